"""What a monitor in a terminal prints: one line a change, for people or as JSON.

Texts come from a subject, so every control character is shown instead of obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from operatorlab.audit import AuditStore
from operatorlab.audit.chain import Event
from operatorlab.audit.story import harmless, short
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Cycle
from operatorlab.monitor.tickets import Ticket
from operatorlab.subject import Undecided, Violation

Print = Callable[[str], None]
_TOLD = ("ticket.", "observed.check_")


class Console:
    """Prints what happens to the tickets of a run, whoever made it happen."""

    def __init__(self, store: AuditStore, run: str, out: Print, *, as_json: bool) -> None:
        self._store = store
        self._run = run
        self._out = out
        self._as_json = as_json
        self._told = int(store.head().partition(":")[0])

    def say(self, what: str, text: str, **details: object) -> None:
        """One line about the monitor itself."""
        self._out(json.dumps({"kind": what, "run": self._run, **details}) if self._as_json else one_line(text))

    def tell_new(self) -> None:
        """Print the changes since the last call."""
        for event in self._store.events(run=self._run, after_seq=self._told):
            self._told = event.seq
            if event.kind.startswith(_TOLD):
                self._out(as_json(event) if self._as_json else as_text(event))


def as_json(event: Event) -> str:
    """One event as one line of JSON; control characters are escaped by the format."""
    about = {"kind": event.kind, "at": event.at.isoformat(), "run": event.run, "ticket": event.ticket}
    return json.dumps({**about, "session": event.session, **event.payload})


def as_text(event: Event) -> str:
    """One event as one line for people; times are UTC."""
    told = event.payload
    what = event.kind.partition(".")[2]
    if event.ticket is None:
        return one_line(f"{event.at:%H:%M:%S}  {what:<13} {told.get('invariant')}  {told.get('why', '')}")
    by = told.get("who") or (f"session {short(event.session)}" if event.session else "")
    words = [f"{event.at:%H:%M:%S}  {what:<13} {short(event.ticket)}  {told['fingerprint']}"]
    words += [str(told["message"]) if what in {"opened", "reopened", "refuted"} else "", str(told["note"])]
    words += [f"(by {by})" if by else ""]
    return one_line("  ".join(word for word in words if word))


@dataclass(frozen=True, slots=True)
class OneLook:
    """What a single look found."""

    run: str
    cycle: Cycle
    live: tuple[Ticket, ...]
    within_grace: tuple[Violation, ...]

    @classmethod
    def at(cls, cycle: Cycle, board: Board) -> OneLook:
        """What `cycle` found and how the tickets stand after it."""
        return cls(board.run_id, cycle, tuple(board.live()), tuple(t.violation for t in board.pending))

    @property
    def well(self) -> bool:
        """Whether nothing is open, broken or hidden."""
        return not (self.live or self.within_grace or self.cycle.observation.blind or self.cycle.failed)

    @property
    def undecided(self) -> list[str]:
        """What could not be judged; a rule over a window needs more than one look."""
        return sorted({f.fingerprint for f in self.cycle.findings if isinstance(f, Undecided)})

    def json(self) -> str:
        """One line of JSON."""
        seen = self.cycle.observation
        tickets = [
            {"id": t.id, "fingerprint": t.fingerprint, "state": t.state.value, "message": t.message} for t in self.live
        ]
        whole = {
            "run": self.run,
            "well": self.well,
            "nodes": {node.name: node.state.value for node in seen.nodes},
            "tickets": tickets,
            "within_grace": [{"fingerprint": v.fingerprint, "message": v.message} for v in self.within_grace],
            "undecided": self.undecided,
            "blind": [{"what": b.what, "component": b.component, "why": b.why} for b in seen.blind],
            "checks_failed": dict(self.cycle.failed),
            "cost_s": round(self.cycle.cost_s, 6),
        }
        return json.dumps(whole)

    def text(self) -> str:
        """The same for people."""
        lines = [f"{short(t.id)}  {t.state.value:<13} {t.fingerprint}  {t.message}" for t in self.live]
        lines += [f"within its grace  {v.fingerprint}  {v.message}" for v in self.within_grace]
        lines += [f"blind to {b.what} of {b.component}  {b.why}" for b in self.cycle.observation.blind]
        lines += [f"check failed  {name}  {why}" for name, why in self.cycle.failed]
        if self.undecided:
            lines.append(f"not decided in this look: {', '.join(self.undecided)}")
        lines.append("all well" if self.well else "not well")
        return "\n".join(one_line(line) for line in lines)


def one_line(text: str) -> str:
    """`text` on one line, with every control character shown."""
    return harmless(text.replace("\n", " ⏎ "))
