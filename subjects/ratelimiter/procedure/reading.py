"""Understands what the commands of a look print. Nothing here raises: what makes no sense is left out.

Output may be cut, mixed with error lines, or contain text of clients; only lines of the expected form count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from subjects.ratelimiter.procedure.picture import LOOPBACK, LimitsSeen, LinkSeen, NodeSeen, ProbeSeen, ProcessSeen

_STATUS = re.compile(
    r"^(?P<handle>[\w.:-]+)\s+(?P<state>RUNNING|STOPPED|EXITED|FATAL|BACKOFF|STARTING|STOPPING|UNKNOWN)\b[ \t]*"
    r"(?P<detail>.*)$",
    re.MULTILINE,
)
_PID = re.compile(r"\bpid (\d+)")
_PS = re.compile(r"^\s*(\d+)\s+([A-Za-z])\S*\s", re.MULTILINE)
_PROC = re.compile(r"^/proc/(\d+)/status:State:\s+([A-Za-z])", re.MULTILINE)
_SECTION = re.compile(r"^=== (\S+)$", re.MULTILINE)
_PROBE = re.compile(r"^(?P<node>[\w-]+):\d+ /(?P<path>[\w/]+) (?P<body>.*) HTTP (?P<status>\d{3})$", re.MULTILINE)


def processes(printed: str) -> dict[str, ProcessSeen]:
    """The lines of `supervisorctl status`, by the process' own name."""
    seen = {}
    for line in _STATUS.finditer(printed):
        name = line["handle"].rpartition(":")[2]
        pid = _PID.search(line["detail"])
        seen[name] = ProcessSeen(
            name, line["handle"], line["state"], line["detail"].strip(), int(pid[1]) if pid else None
        )
    return seen


def with_kernel_states(seen: Mapping[str, ProcessSeen], printed: str) -> dict[str, ProcessSeen]:
    """The processes with the states that `ps` or /proc printed for their pids."""
    states = {int(pid): letter for form in (_PROC, _PS) for pid, letter in form.findall(printed)}
    return {name: replace(one, kernel_state=states.get(one.pid or 0, "")) for name, one in seen.items()}


def sections(printed: str) -> dict[str, str]:
    """What follows each `=== path` line."""
    parts = _SECTION.split(printed)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def json_object(text: str) -> dict[str, object] | None:
    """The JSON object that `text` is; None if it is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def node(text: str, path: str = "") -> NodeSeen | None:
    """A node's configuration file; `path` is where it can be written."""
    told = json_object(text) or {}
    name, port, redis_port = told.get("name"), told.get("port"), told.get("redis_port")
    if not (isinstance(name, str) and re.fullmatch(r"[\w-]+", name)):
        return None
    if not (isinstance(port, int) and isinstance(redis_port, int)):
        return None
    limits_file, redis_host = told.get("limits_file", "etc/limits.json"), told.get("redis_host", LOOPBACK)
    return NodeSeen(name, port, redis_port, str(limits_file), redis_host=str(redis_host), path=path, file=told)


def link(path: str, text: str, applied: str) -> LinkSeen | None:
    """A link from its rule file and from the rules it says are in force."""
    rule = json_object(text)
    if rule is None or not isinstance(rule.get("source"), str):
        return None
    source = str(rule["source"])
    return LinkSeen(f"link-{source}", source, path, rule, json_object(applied) or {})


def stem(path: str) -> str:
    """The file's name without folder and ending."""
    return path.rpartition("/")[2].removesuffix(".json")


def probes(printed: str) -> dict[tuple[str, str], ProbeSeen]:
    """Answers by node and path."""
    return {(a["node"], a["path"]): ProbeSeen(int(a["status"]), a["body"].strip()) for a in _PROBE.finditer(printed)}


def first_line(printed: str) -> str:
    """The first line that is not empty; at most 200 characters."""
    return next((line.strip() for line in printed.splitlines() if line.strip()), "")[:200]


def info(printed: str) -> dict[str, str]:
    """The `name:value` lines of INFO."""
    pairs = (line.strip().partition(":") for line in printed.splitlines())
    return {name: value for name, colon, value in pairs if colon and re.fullmatch(r"\w+", name)}


def limits_of(who: str, text: str) -> LimitsSeen | None:
    """The limits as a node tells them, or as the limits file has them."""
    told = json_object(text)
    if told is None:
        return None
    declared, overrides = told.get("declared", told.get("limits")), told.get("overrides", {})
    if not (isinstance(declared, dict) and isinstance(overrides, dict)):
        return None
    return LimitsSeen(who, told.get("window_s"), told.get("default"), declared, overrides)


def reason(probe: ProbeSeen | None) -> str:
    """Why a node is not ready, in its own words; at most one short line."""
    if probe is None:
        return "not seen"
    if probe.status == 0:
        return "no answer"
    told = (json_object(probe.body) or {}).get("reason")
    return " ".join(str(told).split())[:120] if told else f"HTTP {probe.status}"
