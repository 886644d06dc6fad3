"""The state of a system before and after: processes, files, settings and totals, each with the component it belongs to.

It knows subjects through the contract alone: what members hold through `Subject.holdings`, the rest through the
deployment, each kind in a module of its own.
"""

from __future__ import annotations

from collections.abc import Collection

from eval.evidence import Inventory, Item, Moment
from operatorlab.clock import SystemClock
from operatorlab.deploy.base import LabDeployment
from operatorlab.subject import COMPOSE, Holdings

# A kind is imported when it is used: each needs libraries that the other does not.


async def take(deployment: LabDeployment, spare: Collection[int] = ()) -> Inventory:
    """The inventory of a running lab; processes with pids in `spare`, such as the clients', are none of its own."""
    asked = Moment.of(SystemClock().now())
    holdings = await deployment.subject.holdings(deployment)
    items = {**await _standing(deployment, spare), **_settings(holdings)}
    return Inventory(
        at=Moment.of(SystemClock().now()),
        asked=asked,
        items=dict(sorted(items.items())),
        totals=_totals(holdings),
        acknowledged=dict(holdings.acknowledged),
        unseen=dict(holdings.unseen),
    )


async def _standing(deployment: LabDeployment, spare: Collection[int]) -> dict[str, Item]:
    if deployment.kind == COMPOSE:
        from eval.inventory import containers
        from operatorlab.deploy.compose import ComposeDeployment

        assert isinstance(deployment, ComposeDeployment)
        return await containers.standing(deployment)
    from eval.inventory import processes
    from operatorlab.deploy.processes import ProcessDeployment

    assert isinstance(deployment, ProcessDeployment)
    return await processes.standing(deployment, spare)


def _settings(holdings: Holdings) -> dict[str, Item]:
    return {
        f"setting/{component}/{name}": Item(owner=component, value=str(value))
        for component, held in holdings.settings.items()
        for name, value in held.items()
    }


def _totals(holdings: Holdings) -> dict[str, float]:
    return {f"{part}/{name}": value for part, held in holdings.totals.items() for name, value in held.items()}
