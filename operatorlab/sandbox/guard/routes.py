"""Every request there is a way for. What matches none of these is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["", "container", "network", "exec", "image", "volume"]
Does = Literal[
    "forward", "hijack", "create", "exec", "containers", "networks", "network", "images", "volumes", "info", "events"
]

_REFS: Mapping[Kind, str] = {
    "container": r"([A-Za-z0-9][A-Za-z0-9_.-]{0,254})",
    "network": r"([A-Za-z0-9][A-Za-z0-9_.-]{0,254})",
    "volume": r"([A-Za-z0-9][A-Za-z0-9_.-]{0,254})",
    "exec": r"([0-9a-f]{64})",
    "image": r"([A-Za-z0-9][A-Za-z0-9_.:@/-]{0,254})",
}
_TEXT = r"[^\x00-\x1f\x7f]{0,256}"
_FLAG = r"|0|1|[tT]rue|[fF]alse"
_OFF = r"|0|[fF]alse"
_WHOLE = r"|-?\d{1,9}"
_TIME = r"|[0-9.:TZ+-]{1,40}"
_WORD = r"[A-Za-z0-9_+-]{0,32}"


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request: `{}` in `path` is the thing it is about, `query` the shape of each parameter it takes.

    `body` names the validator of the body; without one no body goes on. `alters` is whether `observe` may not have it.
    """

    methods: tuple[str, ...]
    path: str
    kind: Kind = ""
    does: Does = "forward"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Literal["", "create", "update", "exec", "start", "connect", "disconnect"] = ""

    @property
    def alters(self) -> bool:
        return "GET" not in self.methods

    def matches(self, method: str, path: str) -> re.Match[str] | None:
        """The match of a request's method and path, if this is its route."""
        if method not in self.methods:
            return None
        return re.fullmatch(self.path.replace("{}", _REFS.get(self.kind, "")), path)


def _read(path: str, kind: Kind = "", does: Does = "forward", **query: str) -> Route:
    return Route(("GET", "HEAD") if path == "/_ping" else ("GET",), path, kind, does, query)


def _act(verb: str, **query: str) -> Route:
    return Route(("POST",), f"/containers/{{}}/{verb}", "container", "forward", query)


_LOGS = {
    **dict.fromkeys(("follow", "stdout", "stderr", "timestamps", "details"), _FLAG),
    "since": _TIME,
    "until": _TIME,
    "tail": r"|all|\d{1,9}",
}
_IMAGES = {**dict.fromkeys(("all", "digests", "shared-size"), _FLAG), "filters": ".*"}
_ATTACH = dict.fromkeys(("logs", "stream", "stdin", "stdout", "stderr"), _FLAG)

ROUTES = (
    _read("/_ping"),
    _read("/version"),
    _read("/info", does="info"),
    _read("/events", does="events", since=_TIME, until=_TIME, filters=".*"),
    _read("/containers/json", does="containers", all=_FLAG, size=_FLAG, trunc_cmd=_FLAG, limit=_WHOLE, filters=".*"),
    _read("/containers/{}/json", "container", size=_FLAG),
    _read("/containers/{}/top", "container", ps_args=r"|-ef|aux|-aux"),
    _read("/containers/{}/changes", "container"),
    Route(("GET",), "/containers/{}/stats", "container", query={"stream": _FLAG, "one-shot": _FLAG}),
    Route(("GET",), "/containers/{}/logs", "container", query=_LOGS),
    _act("start", detachKeys=_TEXT),
    _act("stop", t=_WHOLE, signal=_WORD),
    _act("restart", t=_WHOLE, signal=_WORD),
    _act("kill", signal=_WORD),
    _act("pause"),
    _act("unpause"),
    _act("wait", condition=r"|not-running|next-exit|removed"),
    _act("resize", h=_WHOLE, w=_WHOLE),
    Route(("POST",), "/containers/{}/rename", "container", query={"name": _TEXT}),
    Route(("POST",), "/containers/{}/attach", "container", "hijack", {"detachKeys": _TEXT, **_ATTACH}),
    Route(("POST",), "/containers/{}/update", "container", body="update"),
    Route(("DELETE",), "/containers/{}", "container", query={"v": _FLAG, "force": _FLAG, "link": _OFF}),
    Route(("POST",), "/containers/create", "", "create", {"name": _TEXT, "platform": ""}, "create"),
    Route(("POST",), "/containers/{}/exec", "container", "exec", body="exec"),
    Route(("POST",), "/exec/{}/start", "exec", "hijack", body="start"),
    Route(("POST",), "/exec/{}/resize", "exec", query={"h": _WHOLE, "w": _WHOLE}),
    _read("/exec/{}/json", "exec"),
    _read("/networks", does="networks", filters=".*"),
    _read("/networks/{}", "network", "network", verbose=_FLAG, scope=r"|local"),
    Route(("POST",), "/networks/{}/connect", "network", body="connect"),
    Route(("POST",), "/networks/{}/disconnect", "network", body="disconnect"),
    Route(("GET",), "/images/json", "", "images", _IMAGES),
    _read("/images/{}/json", "image"),
    _read("/volumes", does="volumes", filters=".*"),
    _read("/volumes/{}", "volume"),
)
