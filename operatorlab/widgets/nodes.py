"""The panel of members: who is up, why not, the clients' success, and the tickets not yet closed."""

from __future__ import annotations

from dataclasses import dataclass

from operatorlab.subject import Observation
from operatorlab.widgets import html
from operatorlab.widgets.panel import HERE, Panel
from operatorlab.widgets.view import MemberRow, Spark, TicketRow, member_rows, verdict


@dataclass(frozen=True, slots=True)
class NodesView:
    """What the panel shows."""

    title: str
    verdict: str = "not observed yet"
    observed: str = ""
    members: tuple[MemberRow, ...] = ()
    tickets: tuple[TicketRow, ...] = ()
    sparks: tuple[Spark, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        members = "; ".join(f"{m.name} {m.state}" for m in self.members)
        return " · ".join(part for part in (self.title, members or self.verdict, self.note) if part)

    @classmethod
    def of(
        cls,
        title: str,
        seen: Observation | None,
        *,
        tickets: tuple[TicketRow, ...] = (),
        sparks: tuple[Spark, ...] = (),
        note: str = "",
    ) -> NodesView:
        """The view of one observation, or of none yet."""
        if seen is None:
            return cls(title, tickets=tickets, sparks=sparks, note=note)
        observed = f"seen {seen.at:%H:%M:%S} UTC in {seen.duration_s * 1000:.0f} ms"
        return cls(title, verdict(seen), observed, tuple(member_rows(seen.nodes)), tickets, sparks, note)


class NodesPanel(Panel[NodesView]):
    """A live table of a subject's members."""

    _esm = HERE / "nodes.js"

    def static(self) -> str:
        return html.nodes(self.shown)
