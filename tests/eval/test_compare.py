"""Comparisons of pairs, against published examples and by their own promise."""

import numpy as np
import pytest
from scipy import stats

from eval.compare import Finding, binary, compare, detectable, number, pair_up, pairs_needed
from eval.score import score


def test_mcnemars_exact_test_of_a_published_example():
    # Fagerland, Lydersen and Laake, BMC Med. Res. Meth. 13:91 (2013): airway reactivity before and after a transplant.
    seen = [(True, True)] + [(True, False)] + [(False, True)] * 7 + [(False, False)] * 12
    found = binary("reactive", seen)
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    assert found.difference == pytest.approx(-6 / 21)
    assert found.low is not None
    assert found.low < found.difference < found.high


def test_the_correction_of_benjamini_and_hochberg_of_their_own_example():
    # J. R. Statist. Soc. B 57 (1995), section 4.1: four of fifteen at 5 %.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    assert sum(stats.false_discovery_control(p) <= 0.05) == 4


def test_as_many_pairs_as_it_says_show_the_difference_four_times_in_five():
    discordant, difference = 0.4, 0.2
    n = pairs_needed(discordant, difference)
    chance = np.random.default_rng(1)
    shown = 0
    for _ in range(400):
        only_one, only_other, _ = chance.multinomial(n, [0.3, 0.1, 0.6])
        shown += binary_p(only_one, only_other) < 0.05
    assert 0.70 < shown / 400 < 0.88
    assert pairs_needed(0.4, 0.0) is None


def binary_p(only_one: int, only_other: int) -> float:
    return float(stats.binomtest(int(only_one), int(only_one + only_other), 0.5).pvalue)


def test_numbers_that_differ_all_alike_and_not_at_all():
    found = number("commands", [(float(n + 3), float(n)) for n in range(12)])
    assert found.difference == 3.0
    assert (found.low, found.high) == (3.0, 3.0)
    assert found.p < 0.01
    same = number("commands", [(1.0, 1.0)] * 5)
    assert (same.difference, same.p, same.need) == (0.0, 1.0, None)
    assert number("commands", [(9.0, 0.0)]).p == 1.0  # one pair alone tests nothing
    assert number("commands", []).finding is Finding.TOO_FEW


def judged(make, count: int, variant: str, **changes):
    trials = [make.trial(number=n, variant=variant, seed=n) for n in range(count)]
    return [(trial, score(make.evidence(trial=trial, **changes))) for trial in trials]


def test_pairs_are_the_same_scenario_under_the_same_seed(make):
    one, other = judged(make, 5, "a"), judged(make, 3, "b")
    pairs = pair_up(one, other)
    assert len(pairs) == 3
    assert {(pair.one.variant, pair.other.variant) for pair in pairs} == {("a", "b")}


def test_a_clear_difference_is_found_and_none_is_not(make):
    unfixed = {
        "faults": (make.fault(active=True),),
        "window": make.evidence().window.model_copy(update={"held": False}),
    }
    found = {line.measure: line for line in compare(pair_up(judged(make, 12, "a"), judged(make, 12, "b", **unfixed)))}
    assert found["success"].finding is Finding.DIFFERENT
    assert found["success"].difference == 1.0
    assert found["success"].p_corrected > found["success"].p
    assert found["time to repair, s"].finding is Finding.DIFFERENT
    assert found["harm done"].finding is Finding.NOT_SHOWN
    assert found["commands"].finding is Finding.NOT_SHOWN
    assert compare(pair_up(judged(make, 12, "a"), judged(make, 12, "b")))[0].finding is Finding.NOT_SHOWN


def test_a_comparison_is_the_same_every_time(make):
    pairs = pair_up(judged(make, 8, "a"), judged(make, 8, "b", samples=()))
    assert compare(pairs) == compare(pairs)


def test_one_pair_is_too_few(make):
    assert {line.finding for line in compare(pair_up(judged(make, 1, "a"), judged(make, 1, "b")))} == {Finding.TOO_FEW}


def test_what_few_pairs_can_show():
    assert detectable(3) is None
    assert detectable(10) > detectable(100) > detectable(1000)
