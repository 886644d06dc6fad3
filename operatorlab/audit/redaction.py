"""Takes secrets out of text before it is stored or shown.

Two ways, both applied: patterns that secrets are known by (provider keys, authorization headers,
private keys, passwords in settings, commands and URLs), and the literal values of variables whose
names say that they hold a secret. This is a net, not a wall: a secret that looks like any other word
and is in no variable passes, which is why the key of a model never enters the sandbox at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from urllib.parse import quote

from pydantic_core import to_jsonable_python

MARK = "[redacted]"
_SHORTEST_LITERAL = 6  # shorter values are words and numbers of every day; hiding them hides the story

# Every repetition is bounded or cannot overlap with itself: hostile output must not cost more than linear time.
_VALUE = (
    r"""(?!\\{0,3}["']?\[redacted\])"""
    r"""(?:"(?:[^"\\\n]|\\.)+"|'[^'\n]+'|\\{1,3}["'][^"'\\\n]+\\{1,3}["']|[^\s"',;&|)}\]]+)"""
)
_SEPARATOR = r"""(?:\\{0,3}["'])?[ \t]{0,8}[=:][ \t]{0,8}"""
_SECRET_NAME = (
    r"(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
    r"|auth[_-]?token|access[_-]?token|session[_-]?token)"
)


def _hide(match: re.Match[str]) -> str:
    """What was before the value, and the mark in the quotes the value had."""
    value = match[0][len(match[1]) :]
    opening = re.match(r"""\\{0,3}["']""", value)
    quotes = opening[0] if opening else ""
    return f"{match[1]}{quotes}{MARK}{quotes}"


_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # private keys: whole, cut off at the end, cut off at the start
        (
            r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            MARK,
        ),
        (r"(?m)(?:^[A-Za-z0-9+/=]{16,}\r?\n)+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", MARK),
        # keys that their makers gave a shape
        (r"sk-ant-[A-Za-z0-9_\-]+", MARK),
        (r"\bsk-[A-Za-z0-9_\-]{20,}", MARK),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abeoprs]-[A-Za-z0-9\-]{10,})", MARK),
        (r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b", MARK),
        # headers
        (
            r"""(?i)((?:proxy-)?authorization["']?\s{0,8}[:=]\s{0,8}["']?(?:[a-z]{1,20}[ \t]+)?)(?!\[redacted\])[^\s"']+""",
            _hide,
        ),
        (r"(?i)\b(bearer[ \t]+)[A-Za-z0-9._~+/=\-]{8,}", _hide),
        # a word before @ in a URL's authority, and everything a password may hold
        (r"""(://)(?!\[redacted\]@)[^\s/"'<>?#]{1,512}@""", rf"\g<1>{MARK}@"),
        # settings and variables, as shells, YAML, JSON, INI and query strings write them
        (rf"(?i)({_SECRET_NAME}[\w.\-]{{0,40}}{_SEPARATOR}){_VALUE}", _hide),
        (rf"(?i)(token{_SEPARATOR})(?!\d{{1,12}}\b){_VALUE}", _hide),
        (rf"(_(?:KEY|PWD|PASS)=){_VALUE}", _hide),
        (rf"(?i)((?<![\w-])--?(?:password|passwd|pass|secret|token|api-key)[ \t=]{{1,8}}){_VALUE}", _hide),
        # Redis, in files, commands, replies and on the wire
        (
            r"(?i)\b((?:requirepass|masterauth|primaryauth|auth-pass[ \t]+\S{1,80})"
            rf"""["']?(?:[ \t]{{0,8}}[:=][ \t]{{0,8}}|\s{{1,8}}(?:\d{{1,6}}\)\s|\$\d{{1,6}}\s{{1,4}})?)){_VALUE}""",
            _hide,
        ),
        (
            rf"\b(AUTH\s{{1,4}}(?:\$\d{{1,6}}\s{{1,4}})?){_VALUE}(?:[ \t]{{1,8}}{_VALUE})?",
            _hide,
        ),
        (
            rf"(?im)((?:^\s{{0,8}}|\bredis-cli\b[^\n]{{0,200}}?[ \t])auth[ \t]{{1,8}}){_VALUE}(?:[ \t]{{1,8}}{_VALUE})?",
            _hide,
        ),
        (rf"(\bredis-cli\b[^\n]{{0,200}}?[ \t]-a[ \t]{{0,8}}){_VALUE}", _hide),
        (rf"(?i)(\bacl[ \t]+setuser\b[^\n]{{0,200}}?[ \t][\"']?>){_VALUE}", _hide),
        (rf"(\bcurl\b[^\n]{{0,400}}?[ \t](?:-u|--user)[ \t=]{{0,8}}){_VALUE}", _hide),
    )
)

_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|CREDENTIALS?|COOKIE|AUTH)(?:_\d+)?$"
    r"|_PWD$|SECRET|PASSWORD|API_?KEY|ACCESS_?KEY|ACCESS_?TOKEN",
    re.IGNORECASE,
)
_SECRET_FIELD = re.compile(
    rf"(?i){_SECRET_NAME}$|^(?:requirepass|masterauth|primaryauth|authorization|proxy-authorization|x-api-key)$"
)


def redact(text: str, literals: Iterable[str] = ()) -> str:
    """`text` with every secret in it, known by its shape or listed in `literals`, replaced by `[redacted]`."""
    return Redactor(literals)(text)


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of those variables whose names say that they hold a secret."""
    return tuple(value for name, value in environment.items() if _SECRET_VARIABLE.search(name))


class Redactor:
    """Redacts by the patterns and by a fixed set of literal values, also in their JSON and URL spellings."""

    def __init__(self, literals: Iterable[str] = ()) -> None:
        spellings = {
            spelling
            for literal in literals
            if len(literal.strip()) >= _SHORTEST_LITERAL
            for spelling in (literal.strip(), json.dumps(literal.strip())[1:-1], quote(literal.strip(), safe=""))
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """`text` without its secrets and encodable as UTF-8. Applying it again changes nothing."""
        text = text.encode("utf-8", "backslashreplace").decode()
        if self._literals is not None:
            text = self._literals.sub(MARK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def tree(self, value: object) -> object:
        """`value` as JSON data, every string in it redacted, keys too, and whatever a secret's name points to.

        Takes what pydantic can turn into JSON: dataclasses, models, enums, times, paths. NaN and infinities
        become strings. TypeError for anything else.
        """
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if isfinite(value) else str(value)
            case str():
                return self(value)
            case bytes():
                return self(value.decode("utf-8", "backslashreplace"))
            case Mapping():
                return {self(str(key)): self._field(str(key), item) for key, item in value.items()}
            case list() | tuple():
                return [self.tree(item) for item in value]
            case set() | frozenset():
                return [self.tree(item) for item in sorted(value, key=str)]
        return self.tree(to_jsonable_python(value, fallback=_plain))

    def _field(self, name: str, value: object) -> object:
        hidden = isinstance(value, str) and value != "" and _SECRET_FIELD.search(name)
        return MARK if hidden else self.tree(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"the audit cannot hold a {type(value).__name__}: {value!r:.80}")
