"""One trial told as text: what was done to the system, noticed, done by the operator, and found afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from math import inf
from pathlib import Path

from eval.evidence import Equipped, Evidence, Times
from eval.score import Diagnosis, Score, score
from operatorlab.agent.doing import doing
from operatorlab.text import short

_SHORT_HASH = 12


def tell(evidence: Evidence, audit: Path) -> str:
    """The whole story. Texts are as they came: make them visible before they are shown."""
    judged = score(evidence)
    parts = (_head(evidence, judged), _times(evidence), _tickets(evidence), _commands(evidence))
    last = _after(evidence, judged)
    told = "\n\n".join("\n".join(lines) for part in (*parts, last) if (lines := list(part)))
    query = shlex.quote("select * from commands_v")
    return f"{told}\n\nthe whole record: sqlite-utils query {shlex.quote(str(audit))} {query} -t"


def _head(evidence: Evidence, judged: Score) -> Iterator[str]:
    trial = evidence.trial
    yield f"trial {trial.id} (number {trial.number}): {judged.scenario}"
    yield f"  verdict   {judged.verdict or 'none'}{'' if judged.success else ', no success'}"
    yield f"  ended     {evidence.ended}{f': {evidence.error}' if evidence.error else ''}"
    if judged.diagnosis.exact is not None:
        yield f"  diagnosis {_judged(judged.diagnosis)}"
    ran = ", ".join(f"{one.brain} ({one.model}), {one.turns} turns: {one.outcome}" for one in evidence.sessions)
    yield f"  operator  {trial.variant.name}; ran {ran or 'nobody'}"
    yield from (f"  with      {_with(one.equipped)}" for one in evidence.sessions if one.equipped)
    yield f"  load      {trial.scenario.load}, seed {trial.scenario.seed}"
    for order in evidence.orders:
        yield f"  order     {order.noise}, shown {order.shown} times: {short(order.text, 110)}"
    for fault in evidence.faults:
        state = {True: "in force", False: "not in force", None: "not known to be in force"}[fault.active]
        yield f"  fault     {fault.name} on {fault.target}: {fault.truth.mechanism}; at the end {state}"


def _judged(found: Diagnosis) -> str:
    """How near the report came to the ground truth."""
    blamed = "exactly" if found.exact else "partly" if found.partial else "wrongly"
    spread = "" if found.spread_f1 is None else f", and F1 {found.spread_f1:.2f} of where it spread"
    return f"blamed {blamed} (F1 {found.f1:.2f}), of the {'right' if found.kind_right else 'wrong'} kind{spread}"


def _with(what: Equipped) -> str:
    """What makes this operator another one than the usual."""
    limits, hints = what.limits, len(what.hints)
    parts = [
        f"prompt {what.instructions[:_SHORT_HASH]}",
        f"effort {what.effort or 'as usual'}",
        "the briefing" if what.briefing else "no briefing",
        f"{hints} hint{'s' * (hints != 1)}" if hints else "",
        f"gate {what.gate}",
        f"{limits['command_s']:g} s a command",
        f"{limits['shown_chars']:g} characters shown",
    ]
    return ", ".join(part for part in parts if part)


def _times(evidence: Evidence) -> Iterator[str]:
    yield "seconds since the injection" if evidence.times.injected else "seconds since the start"
    begin = (evidence.times.injected or evidence.times.started).mono
    for name in Times.model_fields:
        if (moment := getattr(evidence.times, name)) is not None:
            yield f"  {moment.mono - begin:8.2f}  {name:9} {moment.at:%H:%M:%S.%f} UTC"


def _tickets(evidence: Evidence) -> Iterator[str]:
    late = evidence.duplicate.opened.mono if evidence.duplicate else inf
    for ticket in evidence.tickets:
        duplicate = "  a duplicate, when all was well" if ticket.opened.mono >= late else ""
        yield f"ticket {ticket.id[-6:]}  {ticket.invariant}/{ticket.component}  {ticket.state}{duplicate}"


def _commands(evidence: Evidence) -> Iterator[str]:
    for session in evidence.sessions:
        for command in session.commands:
            ended = "timed out" if command.timed_out else f"exit {command.exit_code}"
            yield f"  [{doing(command.command):11}] {ended:9} $ {short(' '.join(command.command.split()), 110)}"
        for one in session.refused:
            yield f"  [{one.doing:11}] refused   $ {short(' '.join(one.command.split()), 110)}"
        if report := session.report:
            yield f"report: {report.outcome}; blames {', '.join(report.blamed) or 'nobody'} ({report.kind})"
            yield f"  {report.mechanism}"
            if report.spread:
                yield f"  it spread: {', '.join(f'{hop.cause} → {hop.effect}' for hop in report.spread)}"


def _after(evidence: Evidence, judged: Score) -> Iterator[str]:
    window = evidence.window
    if window is not None:
        broken = ", ".join((*window.broken, *(f"{one} is down" for one in window.down)))
        yield f"hold window: {'everything held' if window.held else 'not well: ' + (broken or 'undecided')}"
    yield f"clients back: {judged.repair.slo_back}; {judged.harm.errors_after} requests failed after the first command"
    for one in judged.harm.differences:
        yield f"  harm: {one.what} {one.how}"
