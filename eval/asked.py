"""What somebody asks to be run: a campaign, or one scenario by its name.

    asked("smoke")                            a campaign in eval/campaigns/, or a YAML file
    asked("node_crash@node-2", repeats=5)     one fault; without a target, at its first
    asked("node_hang@node-1+redis_latency")   two at once

The name of a composite, `all` and `nothing` are scenarios, too.
"""

from __future__ import annotations

import re
from typing import Any

from eval.campaign import Campaign, campaigns, checked, read_campaign
from eval.scenario import composites_on
from operatorlab.errors import UnknownName
from operatorlab.registry import find_subject
from operatorlab.subject import PROCESSES, Subject

_BY = ("runbook",)


def asked(what: str, **otherwise: Any) -> Campaign:
    """The campaign, with what is given `otherwise` (fields of `Campaign`) in place of what it says.

    UnknownName if it is neither a campaign nor a scenario; BadParameter lists every problem it has.
    """
    otherwise = {name: value for name, value in otherwise.items() if value not in (None, ())}
    if what.endswith((".yaml", ".yml")) or what in campaigns():
        campaign = read_campaign(what)
        return checked(campaign.model_copy(update=otherwise), what) if otherwise else campaign
    entry = _entry(what, find_subject("ratelimiter"), otherwise.get("deployment", PROCESSES))
    name = re.sub(r"[^a-z0-9_-]+", "-", what.lower()).strip("-")[:41]
    return checked(Campaign.model_validate({"name": name, "scenarios": [entry], "variants": _BY} | otherwise), what)


def _entry(what: str, subject: Subject, deployment: str) -> dict[str, object]:
    """The scenario's entry in a campaign file."""
    composites, faults = composites_on(subject, deployment), [fault.name for fault in subject.faults]
    if what == "nothing":
        return {"control": what}
    if what in composites:
        return {"composite": what}
    parts = what.split("+")
    for part in parts:
        if (name := part.partition("@")[0]) not in {*faults, "all"}:
            raise UnknownName("campaign or scenario", name, [*campaigns(), *faults, *composites, "nothing", "all"])
    if len(parts) > 1:
        return {"faults": parts}
    name, _, target = what.partition("@")
    return {"fault": name, "target": target or None}
