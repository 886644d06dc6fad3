"""The evaluation harness: scenarios and variants become trials, trials become evidence, evidence becomes scores.

    from eval import load
    frames = load("smoke-k7p2mx")     # pandas frames of a campaign
    frames.trials.groupby("variant").success.mean()

It knows everything of the lab, and nothing of the lab knows it. On the command line it is `operatorlab eval`.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "Campaign": "eval.campaign",
    "CampaignFile": "eval.file",
    "Evidence": "eval.evidence",
    "Scenario": "eval.scenario",
    "Score": "eval.score",
    "Variant": "eval.variant",
    "Verdict": "eval.score",
    "load": "eval.frames",
    "score": "eval.score",
}
__all__ = ["Campaign", "CampaignFile", "Evidence", "Scenario", "Score", "Variant", "Verdict", "load", "score"]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'eval' has no attribute {name!r}")
