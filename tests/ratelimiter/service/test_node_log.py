"""The log lets a line through, holds its repeats back, and forgets what is old."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from subjects.ratelimiter.service.logs import Sparing, quoted


def test_repeats_are_held_back_and_counted():
    now = [0.0]
    sparing = Sparing(every_s=5, clock=lambda: now[0])
    assert [sparing.admit("a") for _ in range(3)] == [0, None, None]
    assert sparing.admit("b") == 0
    now[0] = 5.0
    assert sparing.admit("a") == 2
    assert sparing.admit("a") is None


def test_it_remembers_no_more_than_it_was_told_to():
    sparing = Sparing(every_s=1000, remembered=2, clock=lambda: 0.0)
    for what in ("a", "b", "c"):
        sparing.admit(what)
    assert sparing.admit("a") == 0, "forgotten"
    assert sparing.admit("c") is None


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_quoted_text_is_one_short_printable_line(text):
    shown = quoted(text)
    assert len(shown) <= 200
    assert shown.replace("…", "").isascii()
    assert shown.isprintable()
