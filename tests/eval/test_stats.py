"""The statistics, against published examples."""

import pytest

from eval.stats import Median, kappa, logrank, median, pass_all, pass_at, rate, survival

# Newcombe, Statistics in Medicine 17 (1998), table I: Wilson's method without continuity correction.
NEWCOMBE = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]

# Freireich et al., Blood 21 (1963): weeks of remission under 6-MP and placebo; the example of most textbooks.
SIX_MP = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
STILL_IN_REMISSION = {3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20}
SIX_MP_ENDED = [index not in STILL_IN_REMISSION for index in range(21)]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


@pytest.mark.parametrize(("k", "n", "low", "high"), NEWCOMBE)
def test_wilson(k, n, low, high):
    found = rate(k, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_rate_of_none_says_nothing():
    assert (rate(0, 0).low, rate(0, 0).high, rate(0, 0).share) == (0.0, 1.0, None)
    assert str(rate(0, 0)) == "– (0)"
    assert str(rate(1, 2)) == "50% (1/2; 9%–91%)"


def test_kaplan_meier_medians_of_the_remission_study():
    drug = median(SIX_MP, SIX_MP_ENDED)
    assert (drug.value, drug.low, drug.high) == (23, 13, None)
    placebo = median(PLACEBO, [True] * 21)
    assert (placebo.value, placebo.low, placebo.high) == (8, 4, 11)


def test_the_survival_curve_of_the_remission_study():
    curve = survival(SIX_MP, SIX_MP_ENDED)
    at = dict(zip(curve.times, curve.shares, strict=True))
    assert [at[week] for week in (6, 7, 10, 13, 16, 22, 23)] == pytest.approx(
        [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4
    )


def test_the_log_rank_test_of_the_remission_study():
    # Chi-squared 16.79 on one degree of freedom.
    assert logrank(SIX_MP, SIX_MP_ENDED, PLACEBO, [True] * 21) == pytest.approx(4.17e-5, rel=0.01)


def test_what_never_ended_has_no_median_and_no_test():
    assert median([5.0, 6.0], [False, False]) == Median(None, None, None, 0, 2)
    assert median([], []) == Median(None, None, None, 0, 0)
    assert logrank([1.0], [False], [2.0], [False]) is None
    assert logrank([], [], [2.0], [True]) is None


def test_several_attempts():
    assert pass_at(1, 10, 3) == pytest.approx(0.3)
    assert pass_at(2, 4, 2) == pytest.approx(1 - 1 / 6)
    assert pass_all(2, 4, 2) == pytest.approx(1 / 6)
    assert pass_at(5, 4, 2) is None
    assert pass_all(3, 3, 3) == 1.0


def test_agreement_beyond_chance():
    # By hand: they agree on 0.7, and by chance on 0.5 · 0.6 + 0.5 · 0.4 = 0.5.
    cells = {(True, True): 20, (True, False): 5, (False, True): 10, (False, False): 15}
    assert kappa([cell for cell, count in cells.items() for _ in range(count)]) == pytest.approx(0.4)
    assert kappa([(True, False), (False, True)]) == pytest.approx(-1)
    assert kappa([(True, True), (True, False)]) is None  # one says the same of everything
    assert kappa([]) is None
