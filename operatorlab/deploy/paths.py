"""The links of a lab: cut, delay and mend the network path between two of its members."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import NamedTuple

from operatorlab.deploy.members import Members
from operatorlab.deploy.place import Place
from operatorlab.deploy.system import link_applied, link_file, link_name, link_rules
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.subject import Blueprint, Link, MemberState, Site

_APPLIED_WITHIN_S = 5.0
_MOST_BYTES = 1 << 16


class InForce(NamedTuple):
    """What a link says it does."""

    drop: bool = False
    delay_s: float = 0.0


class Paths:
    """Commands to the links of the lab at `site`."""

    def __init__(self, site: Site, place: Place, blueprint: Blueprint, members: Members) -> None:
        self._site = site
        self._place = place
        self._blueprint = blueprint
        self._members = members

    def listens(self, process: str) -> str | None:
        """The name of the port a link process listens on; None if `process` is no link."""
        ports = {link_name(self._blueprint, link): link.listen for link in self._blueprint.links}
        return ports.get(process)

    async def rule(self, source: str, target: str, *, drop: bool = False, delay_s: float | None = None) -> None:
        """Cut the path, or delay it by `delay_s` seconds each way, and wait until that is in force.

        The other rule stays as it is. UnknownName if there is no such link.
        """
        if delay_s is not None and not 0 <= delay_s < 3600:
            raise BadParameter(f"a delay of {delay_s} s does not fit: 0 to 3600 seconds")
        link = self._link(source, target)
        now = self._applied(link)
        await self._apply(link, InForce(drop or now.drop, now.delay_s if delay_s is None else delay_s))

    async def mend(self, source: str, target: str) -> None:
        """Let everything pass again, and wait until that is in force; starts the link if it does not run."""
        link = self._link(source, target)
        name = link_name(self._blueprint, link)
        await self._apply(link, InForce())
        state = await self._members.process_state(name)
        if state is MemberState.PAUSED:
            await self._members.signal(name, signal.SIGCONT)
        elif state is MemberState.STOPPED:
            await self._members.start_processes({name: link.listen})
        if not await self._take(link, InForce()):
            raise TimedOut(
                f"the link from {source} to {target} was started and ended again", next_step="look at its log"
            )

    async def is_cut(self, source: str, target: str) -> bool:
        """Whether the link itself says that it drops everything, and runs."""
        link = self._link(source, target)
        running = await self._members.process_state(link_name(self._blueprint, link)) is MemberState.RUNNING
        return running and self._applied(link).drop

    async def delay_of(self, source: str, target: str) -> float:
        """The delay that the link itself says it is under; 0 if it does not run."""
        link = self._link(source, target)
        running = await self._members.process_state(link_name(self._blueprint, link)) is MemberState.RUNNING
        return self._applied(link).delay_s if running else 0.0

    async def _apply(self, link: Link, wanted: InForce) -> None:
        rules = link_rules(self._site, link, drop=wanted.drop, delay_s=wanted.delay_s)
        self._place.files.write(link_file(link), json.dumps(rules, indent=2) + "\n")
        name = link_name(self._blueprint, link)
        state = await self._members.process_state(name)
        if state is not MemberState.STOPPED:
            await self._members.signal(name, signal.SIGHUP)
        if state is MemberState.RUNNING:
            await self._take(link, wanted)

    async def _take(self, link: Link, wanted: InForce) -> bool:
        """Wait until the link has taken its rules; False if it does not run, for then it takes them at its start."""
        name = link_name(self._blueprint, link)
        until = time.monotonic() + _APPLIED_WITHIN_S
        while (now := self._applied(link)) != wanted:
            if time.monotonic() > until:
                raise TimedOut(f"the link from {link.source} to {link.target} did not take its rules: {now}")
            if await self._members.process_state(name) is not MemberState.RUNNING:
                return False
            await asyncio.sleep(0.002)
        return True

    def _applied(self, link: Link) -> InForce:
        """What the link says of itself; an operator may have written there whatever it liked."""
        try:
            found = json.loads(self._place.files.read(link_applied(link), _MOST_BYTES))
            return InForce(drop=bool(found.get("drop")), delay_s=float(found.get("delay_s", 0)))
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            return InForce()

    def _link(self, source: str, target: str) -> Link:
        for link in self._blueprint.links:
            if (link.source, link.target) == (source, target):
                return link
        known = [f"{link.source} to {link.target}" for link in self._blueprint.links]
        raise UnknownName("link", f"{source} to {target}", known)
