"""Costs by list price, each answer in its own band; unknown is unknown and not nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from anthropic.types.beta import BetaMessage

from operatorlab.agent.prices import UNPRICED, Tokens, price_of, tokens_of

AT = datetime(2026, 11, 20, tzinfo=UTC)


def answer(model: str, **usage: Any) -> BetaMessage:
    seen = _usage(usage)
    return BetaMessage.model_construct(id="m", type="message", role="assistant", model=model, content=[], usage=seen)


def _usage(fields: dict[str, Any]) -> Any:
    from anthropic.types.beta import BetaUsage

    return BetaUsage.model_construct(**fields) if fields else None


def test_input_output_and_cache_have_their_prices() -> None:
    price = price_of(answer("claude-opus-5-5", input_tokens=1_000_000, output_tokens=0), AT)
    assert price.usd == pytest.approx(4.0)
    assert price.priced_by.startswith("genai-prices ")
    cached = answer("claude-opus-5-5", input_tokens=0, output_tokens=0, cache_read_input_tokens=1_000_000)
    assert price_of(cached, AT).usd == pytest.approx(0.2)
    written = answer("claude-opus-5-5", input_tokens=0, output_tokens=0, cache_creation_input_tokens=1_000_000)
    assert price_of(written, AT).usd == pytest.approx(5.0)


def test_a_long_request_costs_more_than_two_short_ones() -> None:
    short = price_of(answer("claude-haiku-5-5", input_tokens=90_000, output_tokens=0), AT).usd
    long = price_of(answer("claude-haiku-5-5", input_tokens=180_000, output_tokens=0), AT).usd
    assert short is not None
    assert long is not None
    assert long > 2 * short * 1.5


def test_an_unknown_model_has_no_price() -> None:
    assert price_of(answer("qwen3:32b", input_tokens=5, output_tokens=5), AT) == UNPRICED
    assert UNPRICED.usd is None


def test_an_endpoint_that_tells_no_usage_breaks_nothing() -> None:
    assert tokens_of(answer("claude-opus-5-5")) == Tokens()
    assert price_of(answer("claude-opus-5-5"), AT) == UNPRICED
    assert tokens_of(answer("claude-opus-5-5", input_tokens=7)) == Tokens(input=7)


def test_tokens_do_not_overlap() -> None:
    seen = answer("m", input_tokens=1, output_tokens=2, cache_read_input_tokens=4, cache_creation_input_tokens=8)
    assert tokens_of(seen) == Tokens(1, 2, 4, 8)
    assert tokens_of(seen).all_input == 13
