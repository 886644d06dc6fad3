"""What faults that need containers have in common."""

from __future__ import annotations

from typing import cast

from operatorlab.subject import COMPOSE, ContainerDeployment, Deployment
from subjects.ratelimiter.faults.on_member import MemberFault


class ContainerFault(MemberFault):
    """A fault whose mechanism exists only where members are containers."""

    deployments = (COMPOSE,)


def containers(deployment: Deployment) -> ContainerDeployment:
    """The same deployment, as one of containers: the lab offers such a fault nowhere else."""
    assert deployment.kind == COMPOSE
    return cast("ContainerDeployment", deployment)
