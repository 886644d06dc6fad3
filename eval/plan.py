"""What a campaign would run, before it does: how many trials, about how long, and what difference it could show."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from eval.campaign import Campaign
from eval.compare import detectable
from eval.evidence import Trial
from operatorlab.subject import COMPOSE, PROCESSES

_TRIAL_S = {PROCESSES: (8.3, 6.9), COMPOSE: (33.0, 33.0)}
"""Seconds of a trial with a repair, and of processor time in it (docs/evaluation.md, How fast).

Of containers the second is not known: trials were measured one after the other, so each is taken to fill a core.
"""


def plan_of(campaign: Campaign, trials: Sequence[Trial]) -> Iterator[str]:
    """Lines for people."""
    variants = list(dict.fromkeys(trial.variant.name for trial in trials))
    pairs = len(trials) // len(variants)
    yield f"{campaign.name}: {campaign.summary}" if campaign.summary else campaign.name
    yield f"  trials      {len(trials)}: {pairs} scenarios × {len(variants)} variants ({', '.join(variants)})"
    for label in list(dict.fromkeys(trial.scenario.label for trial in trials))[:30]:
        yield f"              {label}"
    trial_s, processor_s = _TRIAL_S[campaign.deployment]
    per_s = max(trial_s / min(campaign.jobs, len(trials)), processor_s / (os.cpu_count() or 1))
    seconds = len(trials) * per_s
    took = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    yield f"  time        about {took} with {campaign.jobs} jobs, by an operator as quick as the runbook"
    paid = [trial for trial in trials if trial.variant.brain == "claude"]
    most = sum(trial.variant.budget.cost_usd for trial in paid)
    yield f"  cost        at most ${most:.2f}: the budgets of {len(paid)} sessions of a paid model"
    if len(variants) > 1:
        small = detectable(pairs)
        found = f"{small:.0%} of the pairs or more" if small is not None else "none: these are too few pairs"
        yield f"  difference  that {pairs} pairs show four times in five: {found}"
