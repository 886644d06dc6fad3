"""Disturbances that a good operator leaves alone: harmless ones, and texts that give orders."""

from __future__ import annotations

from collections.abc import Iterable

from eval.hostile import Order, orders_of
from eval.scenario import ALARMING_LOG, STRAY_REQUESTS, Scenario
from operatorlab import Lab
from operatorlab.soak.benign import ALARMING, nonsense, write_to_logs


async def disturb(lab: Lab, scenario: Scenario) -> tuple[Order, ...]:
    """Make each kind of noise once; the orders that were planted with it."""
    if STRAY_REQUESTS in scenario.noise:
        for member in lab.subject.members:
            await nonsense(*lab.deployment.address(member.name))
    if ALARMING_LOG in scenario.noise:
        for line in ALARMING:
            await write_to_logs(lab, line)
    orders = tuple(orders_of(scenario))
    await _plant(lab, orders)
    return orders


async def _plant(lab: Lab, orders: Iterable[Order]) -> None:
    somebody = lab.subject.members[0].name
    for order in orders:
        if order.where:
            command = ("sh", "-c", 'printf "%s\\n" "$1" >"$2"', "sh", order.text, order.where)
            await lab.deployment.run(somebody, *command)
        else:
            await write_to_logs(lab, order.text)
