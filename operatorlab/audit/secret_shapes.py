"""The shapes that secrets come in, as patterns.

Every repetition is bounded or cannot overlap with its neighbours, so that hostile output costs no more
than linear time. A shape is tried only on text that holds one of its needles (in lower case): almost
all text holds none, and looking for a fixed word is far cheaper than matching a pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MARK = "[redacted]"

_QUOTE = r"""(?:\\{0,3}["'])"""
_VALUE = (
    rf"(?!{_QUOTE}?\[redacted\])"
    r"(?:"
    r'"(?:[^"\\\n]|\\.)+"'
    r"|'[^'\n]+'"
    r"""|\\{1,3}["'][^"'\\\n]+\\{1,3}["']"""  # quoted inside a quoted text
    r"""|[^\s"',;&|)}\]]+"""
    r")"
)
_IS = rf"{_QUOTE}?[ \t]{{0,8}}[=:][ \t]{{0,8}}"
_KEY_LABEL = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "api[_-]?key",
    "access[_-]?key",
    "private[_-]?key",
    "credentials?",
    "auth[_-]?token",
    "access[_-]?token",
    "session[_-]?token",
)
_NAME = f"(?:{'|'.join(_NAMES)})"


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape. The group `keep`, where there is one, is what stands before the secret and stays."""

    needles: tuple[str, ...]
    pattern: re.Pattern[str]

    def hide(self, text: str, lowered: str) -> str:
        """`text` with every secret of this shape replaced by the mark, in the quotes it had."""
        if not any(needle in lowered for needle in self.needles):
            return text
        return self.pattern.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    kept = match["keep"] if "keep" in match.re.groupindex else ""
    quote = re.match(rf"{_QUOTE}?", match[0][len(kept) :])
    quotes = quote[0] if quote else ""
    return f"{kept}{quotes}{MARK}{quotes}"


def _shape(needles: str, *pattern: str) -> Shape:
    return Shape(tuple(needles.split()), re.compile("".join(pattern)))


SHAPES = (
    # private keys: whole or cut off at the end, then those cut off at the start
    _shape("private key", rf"(?s)-----BEGIN {_KEY_LABEL}.*?(?:-----END {_KEY_LABEL}|\Z)"),
    _shape("private key", rf"(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{{16,}}\r?\n){{1,200}}+-----END {_KEY_LABEL}"),
    # keys that their makers gave a shape
    _shape("sk-", r"sk-ant-[A-Za-z0-9_\-]+|\bsk-[A-Za-z0-9_\-]{20,}"),
    _shape(
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ xox",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abeoprs]-[A-Za-z0-9\-]{10,})",
    ),
    _shape("akia asia abia acca aroa aida", r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"),
    # headers
    _shape(
        "authorization",
        r"(?i)(?P<keep>authorization",
        rf"{_QUOTE}?\s{{0,8}}[:=]\s{{0,8}}{_QUOTE}?(?:[a-z]{{1,20}}[ \t]+)?+)",
        r"""(?!\[redacted\])[^\s"'\\]+""",
    ),
    _shape("bearer", r"(?i)\b(?P<keep>bearer[ \t]+)[A-Za-z0-9._~+/=\-]{8,}"),
    # who logs in, in a URL
    _shape("://", r"""(?P<keep>://)(?!\[redacted\]@)[^\s/"'<>?#]{1,512}(?=@)"""),
    # settings and variables, as shells, YAML, JSON, INI files and query strings write them
    _shape(
        "pass secret key credential token",
        rf"(?i)(?P<keep>{_NAME}[\w.\-]{{0,40}}{_IS}){_VALUE}",
    ),
    _shape("token", rf"(?i)(?P<keep>token{_IS})(?!\d{{1,12}}\b){_VALUE}"),
    _shape("_key= _pwd= _pass=", rf"(?i)(?P<keep>_(?:KEY|PWD|PASS)=){_VALUE}"),
    _shape(
        "-pass -secret -token -api-key",
        rf"(?i)(?P<keep>(?<![\w-])--?(?:password|passwd|pass|secret|token|api-key)[ \t=]{{1,8}}){_VALUE}",
    ),
    # Redis: in files, in commands, in replies of redis-cli and on the wire
    _shape(
        "requirepass masterauth primaryauth auth-pass",
        r"(?i)(?P<keep>(?:requirepass|masterauth|primaryauth|auth-pass[ \t]+\S{1,80})",
        rf"(?:{_IS}|{_QUOTE}?\s{{1,8}}+(?:\d{{1,6}}\)\s|\$\d{{1,6}}\s{{1,4}}+)?+)){_VALUE}",
    ),
    _shape("auth", rf"\b(?P<keep>AUTH{_QUOTE}?\s{{1,4}}+(?:\$\d{{1,6}}\s{{1,4}}+)?+){_VALUE}(?:[ \t]{{1,8}}{_VALUE})?"),
    _shape("auth", rf"(?im)(?P<keep>^[ \t]{{0,8}}auth[ \t]{{1,8}}){_VALUE}(?:[ \t]{{1,8}}{_VALUE})?"),
    _shape(
        "redis-cli",
        r"(?i)(?P<keep>\bredis-cli\b[^\n]{0,200}?[ \t]auth[ \t]{1,8})",
        rf"{_VALUE}(?:[ \t]{{1,8}}{_VALUE})?",
    ),
    _shape("redis-cli", rf"(?P<keep>\bredis-cli\b[^\n]{{0,200}}?[ \t]-a[ \t]{{0,8}}){_VALUE}"),
    _shape("setuser", rf"(?i)(?P<keep>\bacl[ \t]+setuser\b[^\n]{{0,200}}?[ \t][\"']?>){_VALUE}"),
    _shape("curl", rf"(?P<keep>\bcurl\b[^\n]{{0,400}}?[ \t](?:-u|--user)[ \t=]{{0,8}}){_VALUE}"),
)

ANY_NEEDLE = re.compile("|".join(sorted({re.escape(needle) for shape in SHAPES for needle in shape.needles})))
"""Found in every lowered text that one of the shapes could match."""

SECRET_FIELD = re.compile(
    rf"(?i){_NAME}$|^(?:requirepass|masterauth|primaryauth|authorization|proxy-authorization|x-api-key)$"
)
"""Names in JSON whose string value is a secret."""

SECRET_VARIABLE = re.compile(
    r"(?i)(?:^|_)(?:KEY|APIKEY|TOKEN|PASSWD|PASSPHRASE|PASS|CREDENTIALS?|COOKIE|AUTH)(?:_\d+)?$"
    r"|_PWD$|SECRET|PASSWORD|API_?KEY|ACCESS_?KEY|ACCESS_?TOKEN"
)
"""Names of environment variables that hold a secret."""
