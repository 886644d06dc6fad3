"""What one answer of a model cost. Price bands go by each request's own length, so prices are never made of totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anthropic.types.beta import BetaMessage


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one model call; the four do not overlap."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def all_input(self) -> int:
        """Everything the model read."""
        return self.input + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars, or None where no price is known; `priced_by` says who says so."""

    usd: float | None
    priced_by: str


UNPRICED = Price(None, "unknown")
FREE = Price(0.0, "free: no model was asked")


def tokens_of(message: BetaMessage) -> Tokens:
    """The tokens of one answer. Endpoints that only resemble the API leave some, or all, out: those count 0."""
    usage = _usage(message)
    return Tokens(
        input=usage.get("input_tokens") or 0,
        output=usage.get("output_tokens") or 0,
        cache_read=usage.get("cache_read_input_tokens") or 0,
        cache_write=usage.get("cache_creation_input_tokens") or 0,
    )


def price_of(message: BetaMessage, at: datetime) -> Price:
    """The list price of one answer given at `at`, by genai-prices; UNPRICED for a model it does not know."""
    import genai_prices

    usage = {name: value for name, value in _usage(message).items() if value is not None}
    if not usage:
        return UNPRICED
    try:
        extracted = genai_prices.extract_usage({"model": message.model, "usage": usage}, provider_id="anthropic")
        found = genai_prices.calc_price(
            extracted.usage, message.model, provider_id="anthropic", genai_request_timestamp=at
        )
    except (LookupError, ValueError):  # an unknown model; a usage it cannot read
        return UNPRICED
    return Price(float(found.total_price), f"genai-prices {genai_prices.__version__}")


def _usage(message: BetaMessage) -> dict[str, Any]:
    # The SDK does not validate answers: what the type says is there may be missing.
    usage: Any = message.usage
    return usage.to_dict() if usage is not None else {}
