"""What faults aimed at one member have in common: their targets, and starting the member again."""

from __future__ import annotations

from typing import ClassVar

from operatorlab.subject import Deployment, Fault, MemberState, Subject


class MemberFault(Fault):
    """A fault aimed at a member with a certain role."""

    role: ClassVar[str] = "node"

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        """The members with that role."""
        return tuple(member.name for member in subject.members if member.role == cls.role)

    async def set_running(self, deployment: Deployment) -> None:
        """Have the target run, whether it was stopped, is frozen or was started long ago."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            await deployment.start(self.target)
