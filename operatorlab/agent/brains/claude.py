"""A real model: Claude, or whatever answers the Messages API at a base URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage

from operatorlab.agent.prices import Price, price_of
from operatorlab.errors import BadParameter, UnknownName, UserError

DEFAULT_MODEL = "claude-opus-5-5"
Effort = Literal["low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[str, ...] = get_args(Effort)
_WITHOUT_EFFORT = ("claude-haiku-4", "claude-sonnet-4-5", "claude-opus-4-5")
"""Models that do not think adaptively, by the beginning of their names: they would answer with an error."""


@dataclass(frozen=True)
class Claude:
    """A model behind the Messages API.

    Without `base_url` it is Anthropic's and needs a key. Endpoints of one's own mostly ignore the key. With an `effort`
    it thinks, as deeply as that says; without one, as its model does by default. UserError for an effort there is not,
    or that the model cannot take.
    """

    model: str = DEFAULT_MODEL
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    effort: str | None = None

    name = "claude"
    needs_isolation = True

    def __post_init__(self) -> None:
        if self.effort is None:
            return
        if self.effort not in EFFORTS:
            raise UnknownName("effort", self.effort, EFFORTS)
        if self.model.startswith(_WITHOUT_EFFORT):
            raise BadParameter(
                f"the model {self.model} takes no effort", next_step="leave it out, or name a later model"
            )

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
        """Prompt caching, where the endpoint is known to have it, and the effort, wherever it was asked for."""
        caching = {} if self.base_url else {"cache_control": {"type": "ephemeral"}}
        if self.effort is None:
            return caching
        return {**caching, "thinking": {"type": "adaptive"}, "output_config": {"effort": self.effort}}

    def price(self, message: BetaMessage, at: datetime) -> Price:
        """By list price of the model that answered; unknown models have none."""
        return price_of(message, at)
