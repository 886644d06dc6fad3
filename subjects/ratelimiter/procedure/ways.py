"""What differs between deployments: the commands to look and to act, and how to read what they print."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Protocol
from urllib.parse import quote

from operatorlab.procedure import Printed, Step
from subjects.ratelimiter.procedure.picture import Picture
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble

Looking = Generator[Step, Printed, Picture]
Command = Callable[[Trouble, Picture], str]


class Ways(Protocol):
    """The ways of one deployment. All of it is pure; whoever plays the steps runs them."""

    listing: str  # the command that lists what runs
    commands: Mapping[Remedy, Command]  # the smallest change for each remedy there is here

    def processes(self, listed: str) -> Looking:
        """What runs, from what `listing` printed."""
        ...

    def files(self, picture: Picture) -> Looking:
        """Add the configuration of nodes, links and Redis, and the declared limits."""
        ...

    def redis(self, picture: Picture) -> Looking:
        """Add what Redis says when it is asked directly."""
        ...

    def inside(self, picture: Picture) -> Looking:
        """Add what silent nodes say to those who are nearer to them, if anybody is."""
        ...

    def log(self, name: str, picture: Picture) -> str:
        """The command that prints the last lines of a log."""
        ...


def standing(picture: Picture) -> str:
    """Which processes do not run, in one sentence."""
    seen = picture.processes.values()
    not_running = [f"{one.name} is {one.state}" for one in seen if not one.running]
    return ", ".join(not_running) if not_running else f"All {len(seen)} processes are listed as RUNNING"


def frozen(picture: Picture) -> str:
    """Who is frozen, in one sentence."""
    names = ", ".join(one.name for one in picture.processes.values() if one.frozen)
    return f"{names} frozen (T)" if names else "No process is frozen"


def held(picture: Picture) -> str:
    """Which links hold traffic back, in one sentence."""
    names = ", ".join(link.name for link in picture.links if not link.passes)
    return f"{names} holds traffic back by its rule" if names else "The link rules let everything pass"


def at_once(scripts: Iterable[str]) -> str:
    """Run every script at the same time, and print what each says whole, one after the other."""
    return " ".join(("cat", *(f"<({script})" for script in scripts), "</dev/null"))


def clear_limit(trouble: Trouble, picture: Picture) -> str:
    """Take back the override of one key, through any node that is ready."""
    node = next(node for node in picture.nodes if node.is_ready)
    url = f"{node.url}/api/limits/{quote(trouble.where, safe='')}"
    return f"curl -s -m 2 -f -X DELETE {shlex.quote(url)}"
