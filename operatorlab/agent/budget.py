"""What a session may spend, and the meter that says no before more is spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from operatorlab.agent.outcome import Limit, OverBudget
from operatorlab.agent.prices import Price, Tokens
from operatorlab.agent.shown import SHOWN_CHARS
from operatorlab.clock import Clock
from operatorlab.errors import BadParameter


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one session.

    `turns` are model calls; `tokens` counts everything read and written, cached or not, in all calls;
    `cost_usd` counts calls whose price is known; `wall_s` is the time from the first call to the report;
    `command_s` is the longest a single command may take; of what it printed, about `shown_chars` characters are shown.
    """

    turns: int = 40
    tokens: int = 2_000_000
    cost_usd: float = 5.0
    wall_s: float = 900.0
    command_s: float = 120.0
    shown_chars: int = SHOWN_CHARS

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise BadParameter(
                    f"the budget's {limit.name} must be more than 0, not {getattr(self, limit.name)}",
                    next_step="leave it out to use the default",
                )


class Meter:
    """What one session has spent of its budget."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self.budget = budget
        self.turns = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd = 0.0
        self._clock = clock
        self._started = clock.now()

    @property
    def left_s(self) -> float:
        """Seconds until the wall-time limit; may be negative."""
        return self.budget.wall_s - self._clock.now().since(self._started)

    def before_call(self) -> None:
        """Before each model call. Raises OverBudget."""
        if self.turns >= self.budget.turns:
            raise OverBudget(Limit.TURNS, f"{self.turns} of {self.budget.turns} turns are used")
        self.before_command()

    def before_command(self) -> None:
        """Before each command. Raises OverBudget."""
        used = self.input_tokens + self.output_tokens
        if self.left_s <= 0:
            raise self.out_of_time()
        if used >= self.budget.tokens:
            raise OverBudget(Limit.TOKENS, f"{used} of {self.budget.tokens} tokens are used")
        if self.cost_usd >= self.budget.cost_usd:
            raise OverBudget(Limit.COST, f"${self.cost_usd:.4f} of ${self.budget.cost_usd:g} are spent")

    def out_of_time(self) -> OverBudget:
        """What to raise when the wall time is over."""
        return OverBudget(Limit.TIME, f"the session's {self.budget.wall_s:g} s are over")

    def count_call(self, tokens: Tokens, price: Price) -> None:
        """After each model call that was answered."""
        self.input_tokens += tokens.all_input
        self.output_tokens += tokens.output
        self.cost_usd += price.usd or 0.0
