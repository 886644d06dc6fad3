"""Loopback ports: chosen free, and kept from others until the processes that need them start.

They are taken from below the range that the kernel hands to outgoing connections: a port of a stopped
member must not be given to some client's connection, or the member could not start again.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from operatorlab.errors import BadParameter, EnvironmentTrouble, PortTaken, StartFailed, UnknownName

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 500


class Grabbed(StartFailed):
    """Something else listens on the port `port` that is meant for `name`."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"port {port} ({name}) is held by something else", next_step=_who_has(port))
        self.name, self.port = name, port


class Reservation:
    """Ports by name, each held by a listening socket until `release`."""

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self._sockets = dict(sockets)
        self.ports: Mapping[str, int] = {name: s.getsockname()[1] for name, s in sockets.items()}

    def take(self, names: Iterable[str]) -> dict[int, socket.socket]:
        """Hand over the listening sockets of these names, by port, to whoever closes them."""
        taken = [self._sockets.pop(name) for name in names]
        return {one.getsockname()[1]: one for one in taken}

    def release(self) -> None:
        """Let the ports go, so that the processes can have them."""
        while self._sockets:
            self._sockets.popitem()[1].close()


def reserve(
    names: Iterable[str],
    wanted: Mapping[str, int],
    *,
    avoid: Collection[int] = (),
    rng: random.Random | None = None,
) -> Reservation:
    """Reserve a port for each name: the one in `wanted`, else a free one not in `avoid`.

    UnknownName for a wanted name that is not in `names`, PortTaken for a wanted port in use.
    """
    names = tuple(names)
    for name in wanted:
        if name not in names:
            raise UnknownName("port", name, names)
    held: dict[str, socket.socket] = {}
    try:
        for name, port in wanted.items():
            held[name] = _hold_wanted(name, port)
        for name in names:
            if name not in held:
                held[name] = _hold_any(avoid, rng or random.SystemRandom())
    except BaseException:
        for taken in held.values():
            taken.close()
        raise
    return Reservation({name: held[name] for name in names})


def port_taken(name: str, port: int) -> PortTaken:
    """The error for a port of a lab that something else uses."""
    return PortTaken(
        f"port {port}, asked for as {name!r}, is in use on {LOOPBACK}",
        cause="another program, or another lab, listens there",
        next_step=f"choose another port, or {_who_has(port)}",
    )


def _who_has(port: int) -> str:
    return f"see who has it: ss -ltnp 'sport = :{port}'"


def _hold_wanted(name: str, port: int) -> socket.socket:
    if not 0 < port < 65_536:
        raise BadParameter(f"{port} is not a port ({name!r}); ports go from 1 to 65535")
    try:
        return _hold(port)
    except OSError as trouble:
        raise port_taken(name, port) from trouble


def _hold_any(avoid: Collection[int], rng: random.Random) -> socket.socket:
    highest = _first_ephemeral()
    for _ in range(_TRIES):
        port = rng.randrange(_LOWEST, highest) if highest > _LOWEST + _TRIES else 0
        if port in avoid:
            continue
        try:
            return _hold(port)
        except OSError:  # someone has it: that is what this loop is for
            continue
    raise EnvironmentTrouble(f"found no free port on {LOOPBACK} in {_TRIES} tries")


def _hold(port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # With this option a port whose old connections linger can be had, as the servers will have it;
        # listening makes the hold exclusive all the same.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        holder.listen(1)
    except OSError:
        holder.close()
        raise
    return holder


def _first_ephemeral() -> int:
    try:
        return int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: the range starts at 49152 by convention
        return 32_768
