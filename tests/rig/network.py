"""A network of the test's own, to be cut, jammed and narrowed: the test's thread and all that it starts live in it.

Two hosts: the *near* one, where the thread is, with its own loopback; and the *far* one behind a cable. Needs root on
Linux, ``ip``, ``nft`` and ``tc``. Nothing outlives the process, and nothing of it is seen by other threads.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

_CLONE_NEWNET = 0x40000000
NEAR, FAR = "10.77.0.2", "10.77.0.1"
"""The addresses at the two ends of the cable."""
CABLE = "cable0"
_libc = ctypes.CDLL(None, use_errno=True)


def is_available() -> bool:
    """Whether this machine and this user can have such a network."""
    if os.name == "nt" or os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "nft", "tc")):
        return False
    return subprocess.run(["unshare", "-n", "nft", "add", "table", "inet", "probe"], check=False).returncode == 0


class Network:
    """The network, while the context lasts, for the thread that entered it."""

    def __enter__(self) -> Network:
        self._home = _here()
        self._far = self._near = -1
        try:
            self._far = _new()
            run("ip", "link", "set", "lo", "up")
            self._near = _new()
            self._connect()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        _enter(self._home)
        for descriptor in (self._home, self._far, self._near):
            if descriptor >= 0:
                os.close(descriptor)

    def _connect(self) -> None:
        run("ip", "link", "set", "lo", "up", "mtu", "1400")
        far = f"/proc/{os.getpid()}/fd/{self._far}"
        run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", far)
        run("ip", "address", "add", f"{NEAR}/24", "dev", CABLE)
        run("ip", "link", "set", CABLE, "up")
        with self.far_side():
            run("ip", "address", "add", f"{FAR}/24", "dev", CABLE)
            run("ip", "link", "set", CABLE, "up")
        run("nft", "add", "table", "inet", "faults")
        run("nft", "add", "chain", "inet", "faults", "input", "{ type filter hook input priority 0 ; }")

    @contextmanager
    def far_side(self) -> Iterator[None]:
        """What is started meanwhile lives on the far host."""
        _enter(self._far)
        try:
            yield
        finally:
            _enter(self._near)

    # Faults, all of what arrives at the near host -------------------------------------------------------------------

    def pull_loopback(self) -> None:
        """Have no network at all, this computer's own included."""
        run("ip", "link", "set", "lo", "down")

    def plug_loopback(self) -> None:
        """Have it back."""
        run("ip", "link", "set", "lo", "up")

    def swallow(self) -> None:
        """Take every packet and tell nobody."""
        self._rule("drop")

    def swallow_longer_than(self, size: int) -> None:
        """Let small packets pass and swallow the others: a hole for whatever is larger than the path takes."""
        self._rule("meta", "length", ">", str(size), "drop")

    def lose(self, percent: int) -> None:
        """Lose packets at random."""
        self._rule("numgen", "random", "mod", "100", "<", str(percent), "drop")

    def narrow(self, kbit: int, device: str = "lo") -> None:
        """Let no more than this through."""
        run(
            "tc",
            "qdisc",
            "add",
            "dev",
            device,
            "root",
            "tbf",
            "rate",
            f"{kbit}kbit",
            "burst",
            "16kb",
            "limit",
            "256kb",
        )

    def lead_astray(self) -> None:
        """Send whatever is for the world down the cable, where nobody passes it on."""
        run("ip", "route", "add", "default", "via", FAR)

    def widen(self, device: str = "lo") -> None:
        """Let as much through as there is."""
        run("tc", "qdisc", "del", "dev", device, "root")

    def calm(self) -> None:
        """Let everything pass again."""
        run("nft", "flush", "chain", "inet", "faults", "input")

    def change_address(self, address: str) -> None:
        """Be somebody else on the cable, as when a computer goes from one network to another."""
        run("ip", "address", "flush", "dev", CABLE)
        run("ip", "address", "add", f"{address}/24", "dev", CABLE)

    def _rule(self, *words: str) -> None:
        run("nft", "add", "rule", "inet", "faults", "input", *words)


def run(*command: str) -> None:
    """Run a program in the thread's own network."""
    subprocess.run(command, check=True, timeout=10, capture_output=True)


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new() -> int:
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no new network")
    return _here()


def _enter(network: int) -> None:
    if _libc.setns(network, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network")
