"""Harmless disturbances that a good operator leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

from eval.scenario import ALARMING_LOG, STRAY_REQUESTS
from operatorlab import Lab
from operatorlab.soak.benign import ALARMING, nonsense, write_to_logs


async def disturb(lab: Lab, noise: Sequence[str]) -> None:
    """Make each kind of noise once."""
    if STRAY_REQUESTS in noise:
        for member in lab.subject.members:
            await nonsense(*lab.deployment.address(member.name))
    if ALARMING_LOG in noise:
        for line in ALARMING:
            await write_to_logs(lab, line)
