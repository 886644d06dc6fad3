"""JSON that every parser reads alike, or it is refused.

The daemon is written in Go, whose decoder takes keys in any case (and folds `ſ` and the Kelvin sign), lets
the last of several equal keys win and ignores what it does not know. So none of these may occur.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from operatorlab.sandbox.guard.refusal import malformed

DEPTH = 12
"""Levels of nesting a body may have."""
_LARGEST = 2**63 - 1


def parse(text: bytes | str) -> Any:
    """The JSON data of `text`. Refused if it is not JSON, or not to be read in exactly one way."""
    try:
        data = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_no_number,
            parse_int=_whole,
        )
    except (ValueError, RecursionError) as wrong:
        raise malformed("the body is not plain JSON") from wrong
    _check(data, DEPTH)
    return data


def parse_object(text: bytes | str) -> dict[str, Any]:
    """As `parse`, an object."""
    data = parse(text)
    if not isinstance(data, dict):
        raise malformed("the body is not a JSON object")
    return data


def is_empty(value: object) -> bool:
    """Whether `value` is a default: nothing, or made of nothing only."""
    if isinstance(value, Mapping):
        return all(is_empty(each) for each in value.values())
    if isinstance(value, list):
        return all(is_empty(each) for each in value)
    return not value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name.casefold() for name, _ in pairs}) != len(pairs):
        raise malformed("a key comes twice in the JSON body")
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    raise malformed(f"the number {text[:20]} is not taken in a body")


def _whole(text: str) -> int:
    if len(text) > 20 or not -_LARGEST <= int(text) <= _LARGEST:
        raise malformed("a number in the body is too large")
    return int(text)


def _check(data: object, depth: int) -> None:
    """Refuse what is too deep, and text with halves of characters."""
    if depth == 0:
        raise malformed("the JSON body is nested too deeply")
    if isinstance(data, dict):
        for name, value in data.items():
            _check(name, depth)
            _check(value, depth - 1)
    elif isinstance(data, list):
        for value in data:
            _check(value, depth - 1)
    elif isinstance(data, str) and any("\ud800" <= sign <= "\udfff" or sign == "\0" for sign in data):
        raise malformed("a text in the body holds what is not a character")
