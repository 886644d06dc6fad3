"""The meter says no before more is spent."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from operatorlab.agent.budget import Budget, Meter
from operatorlab.agent.outcome import Limit, OverBudget
from operatorlab.agent.prices import UNPRICED, Price, Tokens
from operatorlab.clock import Instant
from operatorlab.errors import BadParameter


@dataclass
class Hand:
    """A clock moved by hand."""

    passed_s: float = 0.0
    begin: datetime = field(default=datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> Instant:
        return Instant(self.passed_s, self.begin + timedelta(seconds=self.passed_s))


def limit_hit(meter: Meter, *, call: bool = True) -> Limit | None:
    try:
        meter.before_call() if call else meter.before_command()
    except OverBudget as over:
        return over.limit
    return None


def test_a_fresh_meter_says_yes() -> None:
    assert limit_hit(Meter(Budget(), Hand())) is None


def test_turns_bind_calls_but_not_the_commands_of_the_last_turn() -> None:
    meter = Meter(Budget(turns=1), Hand())
    meter.turns = 1
    assert limit_hit(meter) is Limit.TURNS
    assert limit_hit(meter, call=False) is None


def test_tokens_count_everything_read_and_written() -> None:
    meter = Meter(Budget(tokens=10), Hand())
    meter.count_call(Tokens(input=1, output=2, cache_read=3, cache_write=3), UNPRICED)
    assert limit_hit(meter) is None
    meter.count_call(Tokens(input=1), UNPRICED)
    assert limit_hit(meter) is limit_hit(meter, call=False) is Limit.TOKENS


def test_money_that_is_known_counts() -> None:
    meter = Meter(Budget(cost_usd=1), Hand())
    meter.count_call(Tokens(), Price(0.99, "list"))
    meter.count_call(Tokens(), UNPRICED)
    assert limit_hit(meter) is None
    meter.count_call(Tokens(), Price(0.02, "list"))
    assert limit_hit(meter) is limit_hit(meter, call=False) is Limit.COST


def test_time_runs_from_the_first_moment() -> None:
    hand = Hand(100)
    meter = Meter(Budget(wall_s=10), hand)
    hand.passed_s = 109
    assert limit_hit(meter) is None
    assert meter.left_s == pytest.approx(1)
    hand.passed_s = 110
    assert limit_hit(meter) is limit_hit(meter, call=False) is Limit.TIME


@pytest.mark.parametrize("name", ["turns", "tokens", "cost_usd", "wall_s", "command_s", "shown_chars"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_allows_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadParameter, match=name):
        Budget(**{name: value})  # type: ignore[arg-type]  # turns and tokens are whole
