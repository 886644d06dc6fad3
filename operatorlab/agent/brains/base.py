"""What answers the Messages API for an operator. Every brain goes through the same client, loop, budget and audit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage

from operatorlab.agent.prices import Price


class Brain(Protocol):
    """A source of answers."""

    @property
    def name(self) -> str:
        """`claude`, `runbook`, `noop`, …"""
        ...

    @property
    def model(self) -> str:
        """What requests carry as their model."""
        ...

    @property
    def label(self) -> str:
        """What people are told it is."""
        ...

    @property
    def needs_isolation(self) -> bool:
        """Whether it may act only behind a boundary: true for whatever can think of anything."""
        ...

    def client(self) -> AsyncAnthropic:
        """A new client that reaches it; the caller closes it. Raises UserError if that cannot be."""
        ...

    def parameters(self) -> Mapping[str, Any]:
        """Further fields of each request."""
        ...

    def price(self, message: BetaMessage, at: datetime) -> Price:
        """What the answer cost."""
        ...
