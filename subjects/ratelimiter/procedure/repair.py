"""The smallest change for each trouble that has one. Whether it worked, the next look decides."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType

from operatorlab.procedure import Printed, Step
from subjects.ratelimiter.procedure.look import ask
from subjects.ratelimiter.procedure.picture import NodeSeen, Picture
from subjects.ratelimiter.procedure.reading import probes
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble
from subjects.ratelimiter.procedure.ways import Ways

Repair = Generator[Step, Printed, str]
"""Returns what was changed, in one line; empty if nothing was."""

_WORDS: Mapping[Remedy, tuple[str, str]] = MappingProxyType(
    {
        Remedy.START: ("Nothing else has to change for that: start it.", "started {}"),
        Remedy.THAW: ("It has lost nothing yet, so let it go on instead of restarting it.", "let {} go on"),
        Remedy.RESTART: ("It keeps nothing that may not be lost: restart it.", "restarted {}"),
        Remedy.OPEN_LINK: (
            "Take that out of the rule, leave the rest as it is, and let the link read it again.",
            "took what holds traffic back out of the rule of {}",
        ),
        Remedy.REREAD_LINK: (
            "Perhaps the link does not do what its rule file says: let it read the file again.",
            "let {} read its rule again",
        ),
        Remedy.CLEAR_LIMIT: (
            "Take back the override of this one key; the declared limit holds again.",
            "removed the override of the limit of {!r}",
        ),
        Remedy.RECONFIGURE: (
            "Write what is agreed into its file, leave the rest as it is, and start it with that.",
            "set the configuration of {} right, and restarted it",
        ),
        Remedy.REMAKE: (
            "No file of it can be changed, so perhaps its container was made so: make it as compose.yaml declares it.",
            "made the container of {} anew, as it is declared",
        ),
        Remedy.CREATE: ("Make it from compose.yaml, and touch nothing else.", "made the container of {} again"),
        Remedy.CONNECT: ("Connect it again, under the name that others look for.", "connected {} to its network"),
        Remedy.LIFT: ("Give it back what is declared; it goes on meanwhile.", "gave {} back its declared limits"),
        Remedy.FREE: ("Redis does not need that: remove it, and nothing of its own.", "freed the data volume of {}"),
    }
)


def repair(trouble: Trouble, picture: Picture, ways: Ways) -> Repair:
    """Do what `trouble.remedy` says; not for `Remedy.NONE`."""
    node = picture.node(trouble.component)
    if trouble.remedy is Remedy.RESTART and node and node.silent and (yield from _answers_after_all(trouble, node)):
        return ""
    why, done = _WORDS[trouble.remedy]
    printed = yield Step(ways.commands[trouble.remedy](trouble, picture), f"{trouble.seen}. {why}")
    return done.format(trouble.where) if printed.exit_code == 0 else ""


def _answers_after_all(trouble: Trouble, node: NodeSeen) -> Generator[Step, Printed, bool]:
    why = f"{trouble.seen}. One silence may be a busy machine: ask once more before anything is done to it."
    printed = yield Step(f"sleep 1; {ask([node], ['health'])}", why)
    answer = probes(printed.output).get((node.name, "health"))
    return answer is not None and answer.status == 200
