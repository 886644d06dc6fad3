"""Takes secrets out of text before it is stored or shown.

Two ways, both applied: shapes that secrets are known by (provider keys, authorization headers, private
keys, passwords in settings, commands and URLs), and the literal values of variables whose names say
that they hold a secret. This is a net, not a wall: a secret that looks like any other word and is in no
variable passes, which is why the key of a model never enters the sandbox at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from urllib.parse import quote

from pydantic_core import to_jsonable_python

from operatorlab.audit.secret_shapes import ANY_NEEDLE, MARK, SECRET_FIELD, SECRET_VARIABLE, SHAPES

_SHORTEST_LITERAL = 6  # shorter values are words and numbers of every day; hiding them hides the story


def redact(text: str, literals: Iterable[str] = ()) -> str:
    """`text` with every secret in it, known by its shape or listed in `literals`, replaced by `[redacted]`."""
    return Redactor(literals)(text)


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of those variables whose names say that they hold a secret."""
    return tuple(value for name, value in environment.items() if SECRET_VARIABLE.search(name))


class Redactor:
    """Redacts by shape and by a fixed set of literal values, also in their JSON and URL spellings."""

    def __init__(self, literals: Iterable[str] = ()) -> None:
        values = {literal.strip() for literal in literals if len(literal.strip()) >= _SHORTEST_LITERAL}
        spellings = {s for value in values for s in (value, json.dumps(value)[1:-1], quote(value, safe=""))}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """`text` without its secrets and encodable as UTF-8. Applying it again changes nothing."""
        text = text.encode("utf-8", "backslashreplace").decode()
        if self._literals is not None:
            text = self._literals.sub(MARK, text)
        lowered = text.lower()
        if ANY_NEEDLE.search(lowered):
            for shape in SHAPES:
                text = shape.hide(text, lowered)
        return text

    def tree(self, value: object) -> object:
        """`value` as JSON data, every string in it redacted, keys too, and whatever a secret's name points to.

        Takes what pydantic can turn into JSON: dataclasses, models, enums, times, paths. NaN and infinities
        become strings. TypeError for anything else.
        """
        if isinstance(value, str | bytes):
            return self(value if isinstance(value, str) else value.decode("utf-8", "backslashreplace"))
        if isinstance(value, Mapping):
            return {self(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.tree(item) for item in value]
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else str(value)
        return self.tree(to_jsonable_python(value, fallback=_plain))

    def _field(self, name: str, value: object) -> object:
        hidden = isinstance(value, str) and value != "" and SECRET_FIELD.search(name)
        return MARK if hidden else self.tree(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"the audit cannot hold a {type(value).__name__}: {value!r:.80}")
