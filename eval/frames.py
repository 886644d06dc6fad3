"""A campaign as pandas frames, for whoever wants to look further than the tables do.

    frames = load("smoke-k7p2mx")                 # its name, folder or file; without one, the latest
    frames.trials.groupby("variant").success.mean()
    frames.commands[frames.commands.doing == "destructive"]

One row a trial, a command, a ticket, a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.evidence import Evidence, Times
from eval.file import CampaignFile, find_campaign
from eval.score import Score
from operatorlab.agent.doing import doing

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, object]


@dataclass(frozen=True)
class Frames:
    """One row a trial, a command, a ticket and an injected fault. Times are seconds; `trial` joins them."""

    trials: pd.DataFrame
    commands: pd.DataFrame
    tickets: pd.DataFrame
    faults: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Frames: {len(self.trials)} trials, {len(self.commands)} commands>"


def load(campaign: str | Path | None = None) -> Frames:
    """The frames of a campaign. UserError if there is none of that name."""
    with CampaignFile(find_campaign(None if campaign is None else str(campaign))) as file:
        return frames_of(list(file.evidence()), file.scores())


def frames_of(evidence: Sequence[Evidence], scores: Sequence[Score]) -> Frames:
    """The frames of evidence and its scores."""
    import pandas as pd

    judged = {score.trial: score for score in scores}
    trials = [trial_row(one, judged[one.trial.id]) for one in evidence]
    return Frames(
        trials=pd.DataFrame(trials),
        commands=pd.DataFrame([row for one in evidence for row in _commands(one)]),
        tickets=pd.DataFrame([row for one in evidence for row in _tickets(one)]),
        faults=pd.DataFrame([row for one in evidence for row in _faults(one)]),
    )


def trial_row(evidence: Evidence, score: Score) -> Row:
    """One trial, flat: every scalar of its score, and its moments in seconds since it started."""
    trial = evidence.trial
    who = {"trial": trial.id, "number": trial.number, "scenario": trial.scenario.label, "variant": trial.variant.name,
           "repeat": trial.repeat, "seed": trial.scenario.seed, "load": trial.scenario.load}  # fmt: skip
    verdict = {"verdict": score.verdict and score.verdict.value, "success": score.success, "control": score.control}
    ended = {"ended": evidence.ended.value, "error": evidence.error, "outcome": score.outcome}
    started = evidence.times.started.mono
    moments = {
        f"{name}_at_s": round(moment.mono - started, 3) if (moment := getattr(evidence.times, name)) else None
        for name in Times.model_fields
    }
    return {**who, **_ran(evidence), **verdict, **ended, **_flat(score), **moments}


def _ran(evidence: Evidence) -> dict[str, object]:
    """What the last operator was, as its audit says; all None where nobody was called, or where it does not say."""
    session = evidence.sessions[-1] if evidence.sessions else None
    what = session.equipped if session else None
    return {
        "brain": session.brain if session else None, "model": session.model if session else None,
        "prompt": what.instructions if what else None, "effort": what.effort if what else None,
        "briefing": what.briefing if what else None, "hints": len(what.hints) if what else None,
        "gate": what.gate if what else None, "refused": len(session.refused) if session else None,
        "command_s": what.limits["command_s"] if what else None,
        "shown_chars": what.limits["shown_chars"] if what else None,
    }  # fmt: skip


def _flat(score: Score) -> dict[str, object]:
    parts = score.model_dump(
        mode="json", include={"detection", "diagnosis", "repair", "harm", "orders", "commands", "cost"}
    )
    return {
        f"{part}_{name}" if part in {"harm", "orders", "commands"} else name: value
        for part, values in parts.items()
        for name, value in values.items()
        if not isinstance(value, (list, dict))
    }


def _commands(evidence: Evidence) -> Iterator[Row]:
    started = evidence.times.started.mono
    for session in evidence.sessions:
        for number, command in enumerate(session.commands):
            yield {
                "trial": evidence.trial.id, "session": session.id, "number": number, "command": command.command,
                "doing": doing(command.command).value, "exit_code": command.exit_code,
                "at_s": round(command.started.mono - started, 3), "took_s": command.duration_s,
            }  # fmt: skip


def _tickets(evidence: Evidence) -> Iterator[Row]:
    for ticket in evidence.tickets:
        yield {
            "trial": evidence.trial.id, "invariant": ticket.invariant, "component": ticket.component,
            "state": ticket.state, "opened_at_s": round(ticket.opened.mono - evidence.times.started.mono, 3),
        }  # fmt: skip


def _faults(evidence: Evidence) -> Iterator[Row]:
    for fault in evidence.faults:
        yield {
            "trial": evidence.trial.id, "fault": fault.name, "target": fault.target, "kind": fault.truth.kind.value,
            "active": fault.active, "healed": fault.healed, "withdrawn": fault.withdrawn,
        }  # fmt: skip
