"""Rules look closer only at nodes that a quick glance does not clear: whom it clears, a closer look clears as well."""

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from subjects.ratelimiter.invariants.drift import COUNTER_DRIFT, _agree, _drift, _Look, _lost, _only_grew, _run
from subjects.ratelimiter.invariants.latency import _QUANTILE, _is_quick, difference, quantile
from subjects.ratelimiter.observer.readings import Histogram, NodeCounts

BOUNDS = (0.05, 0.1, 0.5)
FEW = st.integers(0, 6)
LIMITS = st.sampled_from([0.01, *BOUNDS, 0.07, 0.3, 1.0])


@st.composite
def histograms(draw):
    """Two of one process, the second later."""
    first = draw(st.lists(FEW, min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1))
    more = draw(st.lists(st.integers(0, 300), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1))
    return [
        Histogram(BOUNDS, tuple(counts[:-1]), counts[-1])
        for counts in (list(accumulate(first)), list(accumulate(a + b for a, b in zip(first, more, strict=True))))
    ]


@given(histograms(), LIMITS)
def test_a_node_that_passes_for_quick_is(pair, limit_s):
    if _is_quick(*pair, limit_s):
        assert quantile(difference(pair[1], pair[0]), _QUANTILE) <= limit_s


@st.composite
def looks(draw):
    """Readings of one node that may restart, be missed, count wrongly, and of a Redis that may lose its totals."""
    found, started, allowed, counted = [], 1.0, 0, 0
    for at in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 9)) == 0:
            started, allowed = started + 1, 0
        if draw(st.integers(0, 9)) == 0:
            counted = draw(FEW)
        allowed, counted = allowed + draw(FEW), counted + draw(FEW)
        counts = NodeCounts(started, allowed, 0, 0, 0, 0, Histogram((), (), 0))
        seen, compared = draw(st.integers(0, 9)) > 0, draw(st.integers(0, 9)) > 0
        before, after = ({"n": counted}, {"n": counted + draw(FEW)}) if compared else ({}, {})
        found.append(_Look(float(at), {"n": counts} if seen else {}, before, after))
    return found


@given(looks())
def test_a_node_that_agrees_at_a_glance_has_not_drifted(seen):
    if len(seen) > 1 and _agree(seen[0], seen[-1], "n"):
        run = _run(seen, "n")
        assert len(run) > 1
        assert not list(_drift(COUNTER_DRIFT, "n", run))


@given(looks())
def test_totals_that_only_grew_were_not_lost(seen):
    if _only_grew(seen):
        assert _lost(_run(seen, "n"), "n") is None
    told = [total for look in _run(seen, "n") for total in (look.before["n"], look.after["n"])]
    assert (_lost(_run(seen, "n"), "n") is None) == all(older <= newer for older, newer in pairwise(told))
