"""With what an operator goes to work: what it is told, what each of its requests carries, its limits, its gate.

It is put together once, before the first model call, recorded as `session.equipped`, and then used: what is on record
is what was sent, and not what somebody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from operatorlab.agent.budget import Budget
from operatorlab.agent.gate import Gate
from operatorlab.agent.prompts import Instructions, how_to_work, system_prompt
from operatorlab.audit import AuditStore
from operatorlab.sandbox import Mode

EQUIPPED = "session.equipped"
"""The kind of the event that records it."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """`system` is the whole system prompt as it is sent, `instructions` the part of it that is the same everywhere.

    `parameters` are the fields of each request that are the brain's own: effort, thinking, caching.
    """

    system: str
    instructions: str
    told: Instructions
    parameters: Mapping[str, Any]
    budget: Budget
    gate: Gate
    mode: Mode

    def payload(self) -> dict[str, object]:
        """As it is recorded: the system prompt in full, and what makes two operators different by name."""
        return {
            "system": self.system,
            "system_sha256": _digest(self.system),
            "instructions_sha256": _digest(self.instructions),
            "briefing": self.told.briefing,
            "hints": list(self.told.hints),
            "parameters": dict(self.parameters),
            "limits": asdict(self.budget),
            "gate": self.gate.value,
            "mode": self.mode.value,
        }


def equip(
    store: AuditStore,
    briefing: str,
    told: Instructions,
    parameters: Mapping[str, Any],
    budget: Budget,
    gate: Gate,
    mode: Mode,
) -> Equipment:
    """Put it together, without secrets."""
    return Equipment(
        system=store.redact(system_prompt(briefing, budget, told, gate)),
        instructions=store.redact(how_to_work(budget, told, gate)),
        told=told,
        parameters=parameters,
        budget=budget,
        gate=gate,
        mode=mode,
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
