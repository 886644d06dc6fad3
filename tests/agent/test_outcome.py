"""Every way a session can end has exactly one outcome, and no word of the operator makes it a success."""

import asyncio
from typing import get_args

import pytest
from anthropic.types.beta import BetaStopReason

from operatorlab.agent.outcome import (
    Claim,
    Ending,
    Killed,
    Limit,
    NotOurs,
    Outcome,
    OverBudget,
    Reported,
    Stopped,
    outcome_of,
)
from operatorlab.sandbox import SandboxGone


def test_only_a_confirmed_claim_is_resolved() -> None:
    endings = [Reported(claim, confirmed) for claim in Claim for confirmed in (True, False)]
    verified = [e for e in endings if outcome_of(e) is Outcome.RESOLVED_VERIFIED]
    assert verified == [Reported(Claim.RESOLVED, confirmed=True)]


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (Reported(Claim.RESOLVED, confirmed=False), Outcome.CLAIMED_UNVERIFIED),
        (Reported(Claim.NO_ACTION_NEEDED, confirmed=True), Outcome.NO_ACTION_NEEDED),
        (Reported(Claim.NO_ACTION_NEEDED, confirmed=False), Outcome.CLAIMED_UNVERIFIED),
        (Reported(Claim.ESCALATED, confirmed=False), Outcome.ESCALATED),
        (Stopped("refusal"), Outcome.REFUSED),
        (Stopped("end_turn"), Outcome.CLAIMED_UNVERIFIED),
        (Stopped(None), Outcome.CRASHED),
        (Stopped("never heard of"), Outcome.CRASHED),
        (OverBudget(Limit.TURNS, ""), Outcome.LIMIT_TURNS),
        (OverBudget(Limit.TOKENS, ""), Outcome.LIMIT_TOKENS),
        (OverBudget(Limit.COST, ""), Outcome.LIMIT_COST),
        (OverBudget(Limit.TIME, ""), Outcome.LIMIT_TIME),
        (SandboxGone(), Outcome.SANDBOX_GONE),
        (Killed(), Outcome.KILLED),
        (NotOurs(), Outcome.INTERRUPTED),
        (asyncio.CancelledError(), Outcome.INTERRUPTED),
        (KeyboardInterrupt(), Outcome.INTERRUPTED),
        (RuntimeError("a bug"), Outcome.CRASHED),
        (GeneratorExit(), Outcome.CRASHED),
    ],
    ids=repr,
)
def test_each_ending_has_its_outcome(ending: Reported | Stopped | BaseException, outcome: Outcome) -> None:
    assert outcome_of(ending) is outcome


def test_every_stop_reason_the_sdk_knows_was_thought_of() -> None:
    from operatorlab.agent.outcome import _OF_STOP_REASONS

    assert set(_OF_STOP_REASONS) == set(get_args(BetaStopReason))


@pytest.mark.parametrize("stop_reason", [*get_args(BetaStopReason), None, ""])
def test_stopping_is_never_a_success(stop_reason: str | None) -> None:
    assert outcome_of(Stopped(stop_reason)) not in (Outcome.RESOLVED_VERIFIED, Outcome.NO_ACTION_NEEDED)


def test_every_outcome_can_happen() -> None:
    endings: list[Ending] = [
        *(Reported(claim, confirmed) for claim in Claim for confirmed in (True, False)),
        *(OverBudget(limit, "") for limit in Limit),
        Stopped("refusal"),
        SandboxGone(),
        Killed(),
        NotOurs(),
        RuntimeError(),
    ]
    assert {outcome_of(e) for e in endings} == set(Outcome)
