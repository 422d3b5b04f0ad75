"""A connection that is not what it should be is refused in words, over real sockets; nothing switches that off."""

from __future__ import annotations

import re
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.core.problems import ProblemKind as Kind
from app.protocol.client import ScribeClient
from app.protocol.clock import is_clock_wrong
from tests.protocol.scripted import SESSION, TOKEN, RawServer, answer, kind_of, refusal_of

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
COMPLETED = b'{"status": "completed"}'


class Authority:
    """A hospital's own authority, in a file as its IT people hand it out."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "hospital.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def context(
        self, host: str = "127.0.0.1", from_: datetime = NOW - DAY, until: datetime = NOW + DAY
    ) -> ssl.SSLContext:
        """A server's side, with a certificate for a host and some days."""
        context = server_side()
        self.ca.issue_cert(host, not_before=from_, not_after=until).configure_cert(context)
        return context

    def odd(
        self, folder: Path, *, key: Key | None = None, purpose: x509.ObjectIdentifier = SERVER, has_names: bool = True
    ) -> ssl.SSLContext:
        """The same with a certificate that the usual tools refuse to make."""
        signer = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = leaf(key, purpose, has_names)
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes()).subject
        return with_certificate(folder, key, builder.issuer_name(issuer).sign(signer, hashes.SHA256()))


def own_authority(folder: Path) -> ssl.SSLContext:
    """A server's side with a certificate that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    return with_certificate(folder, key, leaf(key).issuer_name(NAME).sign(key, hashes.SHA256()))


def leaf(key: Key, purpose: x509.ObjectIdentifier = SERVER, has_names: bool = True) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    return builder.add_extension(names, critical=False) if has_names else builder


def with_certificate(folder: Path, key: Key, certificate: x509.Certificate) -> ssl.SSLContext:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "server.pem"
    file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + certificate.public_bytes(pem))
    context = server_side()
    context.load_cert_chain(file)
    return context


def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def outdated(context: ssl.SSLContext) -> ssl.SSLContext:
    """Speaks TLS 1.0 and 1.1 alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


BAD: dict[str, tuple[Callable[[Authority, Path], ssl.SSLContext | None], str]] = {
    "expired": (lambda ours, _: ours.context(until=NOW - DAY / 2), "certificate has expired"),
    "not yet valid": (lambda ours, _: ours.context(from_=NOW + DAY / 2), "not yet valid"),
    "for another host": (lambda ours, _: ours.context("elsewhere.example"), "mismatch"),
    "for another address": (lambda ours, _: ours.context("127.0.0.2"), "mismatch"),
    "its own authority": (lambda _, folder: own_authority(folder), "self-signed"),
    "an unknown authority": (lambda _, folder: Authority(folder / "other").context(), "unable to get local issuer"),
    "TLS 1.1 at best": (lambda ours, _: outdated(ours.context()), "PROTOCOL_VERSION"),
    "a key that is too short": (lambda ours, folder: ours.odd(folder, key=weak_key()), "key too weak"),
    "for clients": (lambda ours, folder: ours.odd(folder, purpose=CLIENT), "unsuitable certificate purpose"),
    "without a host": (lambda ours, folder: ours.odd(folder, has_names=False), "mismatch"),
    "no TLS at all": (lambda _, __: None, "TLS: "),
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "other").mkdir()
    return tmp_path


def tells(date: datetime | None = None) -> Callable[[ssl.SSLSocket], None]:
    """A server that answers, and tells the date when it has one."""
    headers = [f"Date: {format_datetime(date, usegmt=True)}"] if date else []
    return lambda line: line.sendall(answer(COMPLETED, *headers))


def serve(context: ssl.SSLContext | None, date: datetime | None = None) -> RawServer:
    talk = tells(date)
    return RawServer(talk, tls=context)  # type: ignore[arg-type]


@pytest.fixture
def client(ours: Authority) -> Iterator[Callable[[RawServer], ScribeClient]]:
    made: list[ScribeClient] = []

    def connect(server: RawServer, host: str = "127.0.0.1") -> ScribeClient:
        made.append(ScribeClient(f"https://{host}:{server.port}/v1", TOKEN, ca_file=ours.file))
        return made[-1]

    yield connect
    for each in made:
        each.close()


Connect = Callable[..., ScribeClient]


@pytest.mark.fault("N14")
@pytest.mark.parametrize("name", BAD)
def test_a_connection_that_is_not_secure_is_refused_in_words(
    name: str, ours: Authority, folder: Path, client: Connect
) -> None:
    make, reason = BAD[name]
    with serve(make(ours, folder), NOW) as server:
        problem = refusal_of(lambda: client(server).status(SESSION)).problem
        assert problem.kind is Kind.INSECURE
        assert reason in problem.detail
        assert problem.detail.isprintable()
        assert "not secure and was refused" in problem.words.what
        assert "safe on this computer" in problem.words.safe
        assert "ask your IT person" in problem.words.do
        assert not any(TOKEN.encode() in head or SESSION.encode() in head for head in server.heads)


@pytest.mark.fault("N14")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_hospital_with_an_authority_of_its_own_is_served(host: str, ours: Authority, client: Connect) -> None:
    with serve(ours.context(host)) as server:
        assert client(server, host).status(SESSION).session_id == SESSION
        stranger = ScribeClient(f"https://{host}:{server.port}/v1", TOKEN)
        assert kind_of(lambda: stranger.status(SESSION)) is Kind.INSECURE
        stranger.close()


@pytest.mark.fault("N14")
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_without_authorities_is_refused_and_not_passed_over(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    assert kind_of(lambda: ScribeClient("https://scribe.example", TOKEN, ca_file=file)) is Kind.INSECURE


@pytest.mark.fault("N14")
def test_nothing_in_the_app_can_switch_the_checks_off() -> None:
    switch = re.compile(r"CERT_NONE|CERT_OPTIONAL|check_hostname\s*=|verify\s*=\s*False|unverified|PROTOCOL_TLS\b")
    sources = (Path(__file__).parents[2] / "app").rglob("*.py")
    assert [path for path in sources if switch.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.fault("N14")
def test_the_environment_can_switch_nothing_off(
    ours: Authority, folder: Path, client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHTTPSVERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_TLS_REJECT_UNAUTHORIZED"):
        monkeypatch.setenv(name, "0")
    with serve(own_authority(folder)) as server:
        assert kind_of(lambda: client(server).status(SESSION)) is Kind.INSECURE
        assert server.heads == []


# The clock ------------------------------------------------------------------------------------------------------

YEARS = 365 * DAY


@pytest.mark.fault("C3")
@pytest.mark.parametrize(
    ("days", "told", "kind"),
    [
        ((NOW + DAY, NOW + YEARS), NOW + 2 * DAY, Kind.CLOCK_WRONG),  # this computer is in the past
        ((NOW - YEARS, NOW - DAY), NOW - 2 * DAY, Kind.CLOCK_WRONG),  # this computer is in the future
        ((NOW + DAY, NOW + YEARS), None, Kind.CLOCK_WRONG),
        ((NOW + DAY, NOW + YEARS), NOW, Kind.INSECURE),  # the service put it to use too early
        ((NOW - YEARS, NOW - DAY), NOW, Kind.INSECURE),  # the service let it expire
        ((NOW - YEARS, NOW - DAY), None, Kind.INSECURE),
        ((NOW - YEARS, NOW - DAY), NOW + YEARS, Kind.INSECURE),  # neither clock makes it good
    ],
)
def test_a_wrong_clock_is_told_from_a_bad_certificate(
    days: tuple[datetime, datetime], told: datetime | None, kind: Kind, ours: Authority, client: Connect
) -> None:
    with serve(ours.context("127.0.0.1", *days), told) as server:
        problem = refusal_of(lambda: client(server).status(SESSION)).problem
        assert problem.kind is kind
        assert "clock" in (problem.words.what if kind is Kind.CLOCK_WRONG else problem.words.do)
        # What was asked over a connection that is not to be trusted is the time alone.
        assert [head.split(b"\r\n")[0] for head in server.heads if head] == [b"HEAD / HTTP/1.1"]
        assert b"authorization" not in b"".join(server.heads).lower()


@pytest.mark.fault("C3")
def test_a_stranger_cannot_put_the_blame_on_the_clock(folder: Path, client: Connect) -> None:
    stranger = Authority(folder / "other")
    with serve(stranger.context(from_=NOW + DAY, until=NOW + YEARS), NOW + 2 * DAY) as server:
        assert kind_of(lambda: client(server).status(SESSION)) is Kind.INSECURE
        assert not any(server.heads)


@pytest.mark.fault("C3")
def test_a_clock_that_is_nearly_right_is_not_to_blame() -> None:
    assert not is_clock_wrong(now=1000.0, valid_from=1100.0, valid_until=9000.0, told=1200.0)
    assert is_clock_wrong(now=1000.0, valid_from=1100.0, valid_until=9000.0, told=1400.0)
