"""The smallest change for each trouble that has one. Whether it worked, the next look decides."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from urllib.parse import quote

from operatorlab.procedure import Printed, Step
from subjects.ratelimiter.procedure.assess import Remedy, Trouble
from subjects.ratelimiter.procedure.look import ask
from subjects.ratelimiter.procedure.picture import NodeSeen, Picture
from subjects.ratelimiter.procedure.reading import probes

Repair = Generator[Step, Printed, str]
"""Returns what was changed, in one line; empty if nothing was."""


def repair(trouble: Trouble, picture: Picture) -> Repair:
    """Do what `trouble.remedy` says; not for `Remedy.NONE`."""
    return _REPAIRS[trouble.remedy](trouble, picture)


def _start(trouble: Trouble, _: Picture) -> Repair:
    printed = yield _control("start", trouble, "Nothing else has to change for that: start it.")
    return f"started {trouble.where}" if printed.exit_code == 0 else ""


def _thaw(trouble: Trouble, _: Picture) -> Repair:
    why = "It has lost nothing yet, so let it go on instead of restarting it."
    printed = yield _control("signal CONT", trouble, why)
    return f"sent SIGCONT to {trouble.where}" if printed.exit_code == 0 else ""


def _restart(trouble: Trouble, picture: Picture) -> Repair:
    node = picture.node(trouble.component)
    if node is not None and (yield from _answers_after_all(trouble, node)):
        return ""
    printed = yield _control("restart", trouble, "It was silent twice and keeps no state: restart it.")
    return f"restarted {trouble.where}" if printed.exit_code == 0 else ""


def _answers_after_all(trouble: Trouble, node: NodeSeen) -> Generator[Step, Printed, bool]:
    why = f"{trouble.seen}. One silence may be a busy machine: ask once more before anything is done to it."
    printed = yield Step(f"sleep 1; {ask([node], ['health'])}", why)
    answer = probes(printed.output).get((node.name, "health"))
    return answer is not None and answer.status == 200


def _open_link(trouble: Trouble, picture: Picture) -> Repair:
    link = next(link for link in picture.links if link.name == trouble.where)
    rule = {**link.rule, **{name: False if name == "drop" else 0.0 for name in link.obstacles}}
    path, handle = shlex.quote(link.path), _handle(picture, link.name)
    printed = yield Step(
        f"printf '%s\\n' {shlex.quote(json.dumps(rule))} >{path}.new && mv {path}.new {path} "
        f"&& supervisorctl signal HUP {handle}",
        f"{trouble.seen}. Take that out of the rule, leave the rest as it is, and let the link read it again.",
    )
    return f"took {sorted(link.obstacles)} out of {link.path}" if printed.exit_code == 0 else ""


def _reread_link(trouble: Trouble, picture: Picture) -> Repair:
    why = f"{trouble.seen}. Perhaps the link does not do what its rule file says: let it read the file again."
    printed = yield Step(f"supervisorctl signal HUP {_handle(picture, trouble.where)}", why)
    return f"let {trouble.where} read its rule again" if printed.exit_code == 0 else ""


def _clear_limit(trouble: Trouble, picture: Picture) -> Repair:
    node = next(node for node in picture.nodes if node.is_ready)
    url = f"http://127.0.0.1:{node.port}/api/limits/{quote(trouble.where, safe='')}"
    printed = yield Step(
        f"curl -s -m 2 -f -X DELETE {shlex.quote(url)}",
        f"{trouble.seen}. Take back the override of this one key; the declared limit holds again.",
    )
    return f"removed the override of the limit of {trouble.where!r}" if printed.exit_code == 0 else ""


def _control(verb: str, trouble: Trouble, why: str) -> Step:
    return Step(f"supervisorctl {verb} {shlex.quote(trouble.where)}", f"{trouble.seen}. {why}")


def _handle(picture: Picture, name: str) -> str:
    process = picture.process(name)
    return shlex.quote(process.handle if process else name)


_REPAIRS: Mapping[Remedy, Callable[[Trouble, Picture], Repair]] = MappingProxyType(
    {
        Remedy.START: _start,
        Remedy.THAW: _thaw,
        Remedy.RESTART: _restart,
        Remedy.OPEN_LINK: _open_link,
        Remedy.REREAD_LINK: _reread_link,
        Remedy.CLEAR_LIMIT: _clear_limit,
    }
)
