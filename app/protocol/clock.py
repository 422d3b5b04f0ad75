"""Whose fault it is when a certificate is refused for its dates: the service's, or this computer's clock.

Only the words for people depend on it: the connection stays refused either way. Blocking; may be used from several
threads at once.
"""

from __future__ import annotations

import ssl
import time
from contextlib import closing
from pathlib import Path

import httpx

from app.protocol.answer import http_date
from app.protocol.transport import BoundedTransport, tls_context

_REFUSED_FOR_DATES = (9, 10)
"""OpenSSL's numbers for: not yet valid, expired."""
_WHATEVER_THE_DATES = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""
_TOLERABLE_SECONDS = 300.0


def is_about_dates(error: ssl.SSLError) -> bool:
    """All else about the certificate may be right."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _REFUSED_FOR_DATES


def is_clock_to_blame(place: httpx.URL, ca_file: Path | None, timeouts: dict[str, float]) -> bool:
    """Ask the same host once more what time it has, with every check but that of the dates, and no credentials."""
    context = tls_context(ca_file)
    context.verify_flags |= _WHATEVER_THE_DATES
    transport = BoundedTransport(context)
    try:
        request = httpx.Request("HEAD", place.copy_with(raw_path=b"/"), extensions={"timeout": timeouts})
        with closing(transport.handle_request(request)) as response:
            certificate = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
            valid_from, valid_until = (
                ssl.cert_time_to_seconds(certificate[key]) for key in ("notBefore", "notAfter")
            )
            return is_clock_wrong(time.time(), valid_from, valid_until, http_date(response.headers.get("date", "")))
    except (httpx.HTTPError, httpx.StreamError, OSError, ValueError, LookupError):
        return False
    finally:
        transport.close()


def is_clock_wrong(now: float, valid_from: float, valid_until: float, told: float | None) -> bool:
    """By the service's own clock its certificate is good; or it tells no time, and nobody uses one before its day."""
    if told is None:
        return now < valid_from
    return valid_from <= told <= valid_until and abs(told - now) > _TOLERABLE_SECONDS
