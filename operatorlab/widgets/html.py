"""HTML of what a notebook shows last in a cell: labs, tickets, sessions, observations and the like.

Each function takes the object and returns one self-contained fragment, drawn by an autoescaping
template. Whatever a subject, a log or a model wrote passes `visible` on its way in.

    def _repr_html_(self) -> str:
        return html.ticket(self)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from pydantic import BaseModel

from operatorlab.errors import OperatorLabError
from operatorlab.subject import Observation, Subject
from operatorlab.text import short, visible
from operatorlab.widgets.shapes import FaultLike, LabLike, SessionLike, TicketLike
from operatorlab.widgets.view import SIGNS, MemberRow, TicketRow, member_rows, ticket_rows, verdict

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).parent
Pairs = list[tuple[str, str]]


def render(template: str, **values: Any) -> str:
    """Draw `template` from this package with `values`, every one of them escaped."""
    return _templates().get_template(f"{template}.html.j2").render(**values)


def nodes(view: object) -> str:
    """The panel of members as it stands (`operatorlab.widgets.nodes.NodesView`)."""
    return render("nodes", view=view)


def operator(view: object) -> str:
    """The panel of the operator as it stands (`operatorlab.widgets.operator.OperatorView`)."""
    return render("operator", view=view)


def observation(seen: Observation) -> str:
    """One reading of a subject: every member, and what could not be seen."""
    summary = f"{verdict(seen)} · {seen.at:%H:%M:%S} UTC, took {seen.duration_s * 1000:.0f} ms"
    blind = [(f"blind to {b.what} of {b.component}", b.why) for b in seen.blind]
    return card("observation", summary, blind, members=member_rows(seen.nodes))


def ticket(one: TicketLike) -> str:
    """One ticket with its evidence."""
    row = ticket_rows([one])[0]
    facts = [("ticket", row.id), ("incident", str(getattr(one, "incident", ""))), ("what", row.message)]
    return card(
        f"{row.invariant} on {row.component}", "", facts, state=row.state, fold=("evidence", _pairs(_evidence(one)))
    )


def tickets(several: Iterable[TicketLike]) -> str:
    """A table of tickets."""
    rows = ticket_rows(several)
    return card("tickets", f"{len(rows)} in all", [], tickets=rows)


def session(result: SessionLike) -> str:
    """How a session ended and what the operator reports. The outcome is the monitor's verdict, the report a claim."""
    report = dict(_mapping(result.report))
    if isinstance(evidence := report.get("evidence"), list):
        report["evidence"] = ", ".join(str(id_)[-6:] for id_ in evidence)  # as `operatorlab audit show` names them
    facts = [
        ("session", result.session_id),
        ("turns", str(result.turns)),
        ("cost", f"${result.cost_usd:.4f}"),
        *_pairs(report),
    ]
    return card("session", "", facts, state=str(result.outcome))


def fault(injected: FaultLike) -> str:
    """What was broken on purpose, where and when."""
    at = f"{injected.at.at:%H:%M:%S.%f} UTC"
    return card("fault injected", "", [("fault", injected.name), ("target", injected.target), ("at", at)])


def subject(one: Subject) -> str:
    """What a subject is made of, which rules must hold, and how it can be broken."""
    facts = [
        ("members", ", ".join(f"{m.name} ({m.role})" for m in one.members)),
        ("invariants", ", ".join(rule.name for rule in one.invariants)),
        ("faults", ", ".join(kind.name for kind in one.faults)),
        ("loads", ", ".join(one.loads) or "none"),
    ]
    return card(one.title, "", facts)


def lab(one: LabLike) -> str:
    """A lab: what runs in it, how its members stand and which tickets are not closed."""
    try:
        latest = one.monitor.latest
    except OperatorLabError:  # not started, or stopped
        return card(f"lab for {one.subject.title}", "does not run", [])
    seen = latest.observation if latest is not None else None
    return card(
        f"lab {one.run_id}",
        verdict(seen) if seen else "not observed yet",
        [("subject", one.subject.title), ("audit file", str(one.store.path))],
        members=member_rows(seen.nodes) if seen else (),
        tickets=ticket_rows(one.board.live()),
    )


def result(values: Mapping[str, object], *, success: bool) -> str:
    """The result a notebook records in its last cell."""
    state, word = ("good", "success") if success else ("bad", "no success")
    return card("result", "", _pairs(values), state=state, word=word)


def card(
    title: str,
    summary: str,
    facts: Pairs,
    *,
    state: str = "",
    word: str = "",
    members: Sequence[MemberRow] = (),
    tickets: Sequence[TicketRow] = (),
    fold: tuple[str, Pairs] = ("", []),
) -> str:
    """A titled box: a state told by word and shape, facts, and tables where there is something to list."""
    shown = {"title": title, "summary": summary, "facts": facts, "members": members, "tickets": tickets}
    told = {"state": state, "word": word or state.replace("_", " "), "sign": SIGNS.get(state, "✖")}
    return render("card", **shown, **told, fold_title=fold[0], folded=fold[1])


def _evidence(one: TicketLike) -> Mapping[str, object]:
    return _mapping(getattr(one, "evidence", None))


def _mapping(value: object) -> Mapping[str, object]:
    """`value` as a mapping: a pydantic model's fields, a mapping itself, else nothing."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value if isinstance(value, Mapping) else {}


def _pairs(values: Mapping[str, object]) -> Pairs:
    told = ((name, value) for name, value in values.items() if value not in (None, [], ""))
    return [(name.replace("_", " "), short(_words(value), 1200)) for name, value in told]


def _words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "; ".join(_words(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_words(item)}" for name, item in value.items())
    return str(value)


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.globals["css"] = Markup((HERE / "panel.css").read_text())  # noqa: S704  our own file
    return environment
