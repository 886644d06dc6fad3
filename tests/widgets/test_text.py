"""Text is made visible and short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operatorlab.text import fold, short, visible


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("a\x00b\x07", "a␀b␇"),
        ("a\x1bb", "a␛b"),
        ("one\r\ntwo\rthree", "one\ntwo␍three"),
        ("exe\u202egnp", "exe[U+202E]gnp"),
        ("\u2066x\u2069", "[U+2066]x[U+2069]"),
        ("\x9b31m", "[U+009B]31m"),
        ("lone \ud800", "lone [U+D800]"),
    ],
)
def test_what_hides_is_shown(raw, shown):
    assert visible(raw) == shown


@given(st.text())
def test_visible_text_has_no_controls_and_is_stable(text):
    once = visible(text)
    assert all(ch in "\t\n" or ch.isprintable() or ord(ch) > 0x9F for ch in once)
    assert visible(once) == once
    once.encode()


def test_a_long_text_keeps_its_head_and_its_tail():
    folded = fold("\n".join(f"line {i}" for i in range(100)), head=3, tail=2)
    assert folded.head == "line 0\nline 1\nline 2"
    assert folded.hidden == 95
    assert folded.tail == "line 98\nline 99"


def test_a_short_text_is_kept_whole():
    folded = fold("\n  one\ntwo\n")
    assert (folded.head, folded.hidden, folded.tail) == ("\n  one\ntwo", 0, "")
    assert folded.first_line == "one"


def test_a_long_line_is_cut():
    assert fold("x" * 1000, width=10).head == "x" * 9 + "…"
    assert short("abc", 3) == "abc"
