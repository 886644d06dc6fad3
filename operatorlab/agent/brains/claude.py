"""A real model: Claude, or whatever answers the Messages API at a base URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage

from operatorlab.agent.prices import Price, price_of
from operatorlab.errors import UserError

DEFAULT_MODEL = "claude-opus-5-5"


@dataclass(frozen=True)
class Claude:
    """A model behind the Messages API.

    Without `base_url` it is Anthropic's and needs a key. Endpoints of one's own mostly ignore the key.
    """

    model: str = DEFAULT_MODEL
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)

    name = "claude"
    needs_isolation = True

    @property
    def label(self) -> str:
        """The model, and where it is if that is not Anthropic's."""
        return f"{self.model} at {self.base_url}" if self.base_url else self.model

    def client(self) -> AsyncAnthropic:
        """A client for it. Raises UserError without a key where one is needed."""
        if not (self.api_key or self.base_url):
            raise UserError(
                "the brain `claude` needs an API key",
                cause="ANTHROPIC_API_KEY is not set",
                next_step="export ANTHROPIC_API_KEY=…, or --base-url for a model of your own, or --brain runbook",
            )
        return AsyncAnthropic(
            api_key=self.api_key or "none-needed", base_url=self.base_url or "https://api.anthropic.com"
        )

    def parameters(self) -> Mapping[str, Any]:
        """Prompt caching, where the endpoint is known to have it."""
        return {} if self.base_url else {"cache_control": {"type": "ephemeral"}}

    def price(self, message: BetaMessage, at: datetime) -> Price:
        """By list price of the model that answered; unknown models have none."""
        return price_of(message, at)
