"""How far a judge and the mechanical score say the same of the same reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eval.judge import Grade, Judgement
from eval.score import Diagnosis, Score
from eval.stats import Rate, kappa, rate

Measure = Callable[[Diagnosis], bool]
MEASURES: dict[str, Measure] = {
    "blamed exactly": lambda found: bool(found.exact),
    "and of the right kind": lambda found: bool(found.exact and found.kind_right),
}
"""What the judge's `right` is held against; `partly` and `wrong` are not right."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `agree.n` reports, how many both call right or both call not right; the four cells say which.

    `kappa` is None where one of the two says the same of every report: agreement beyond chance has no meaning then.
    """

    measure: str
    agree: Rate
    kappa: float | None
    both: int
    judge_only: int
    score_only: int
    neither: int


def agreements(judged: Iterable[Judgement], scores: Sequence[Score]) -> list[Agreement]:
    """One a measure. Answers without a grade are in none of them."""
    diagnoses = {score.trial: score.diagnosis for score in scores if score.diagnosis.exact is not None}
    graded = [
        (one.grade is Grade.RIGHT, diagnoses[one.trial]) for one in judged if one.grade and one.trial in diagnoses
    ]
    return [
        _agreement(name, [(right, measure(found)) for right, found in graded]) for name, measure in MEASURES.items()
    ]


def _agreement(measure: str, pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    both, judge_only, score_only, neither = (
        pairs.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))
    )
    return Agreement(measure, rate(both + neither, len(pairs)), kappa(pairs), both, judge_only, score_only, neither)
