"""What the boundary says when it says no."""

from __future__ import annotations

ALLOWED_HERE = (
    "the boundary lets you list, inspect, read, start, stop, restart, kill, pause, exec into, connect, disconnect "
    "and re-create this lab's own containers, within the limits they came up with"
)


class Refused(Exception):
    """A request that goes no further. `why` is for the record; `message` is what the asker gets to read."""

    def __init__(self, why: str, *, status: int = 403, message: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.message = message if message is not None else f"refused: {why}; {ALLOWED_HERE}"


def malformed(why: str) -> Refused:
    """A request that cannot be read in exactly one way."""
    return Refused(why, status=400)


def not_there(kind: str, name: str) -> Refused:
    """What Docker says of a thing that does not exist: so do things of others."""
    message = {
        "container": f"No such container: {name}",
        "network": f"network {name} not found",
        "exec": f"No such exec instance: {name}",
        "image": f"No such image: {name}",
        "volume": f"get {name}: no such volume",
    }[kind]
    return Refused(f"no {kind} of this lab", status=404, message=message)
