"""Lists of containers: how Docker is asked for them, and what its answers say. Nothing here raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from subjects.ratelimiter.procedure.picture import ProcessSeen, Resource, Share, VolumeSeen

HEADING = "=== containers"
_PROJECT = "$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' .env)"
_FIELDS = (
    '{{index .Config.Labels "com.docker.compose.service"}} {{.Name}} {{.State.Status}} exit={{.State.ExitCode}} '
    "oom={{.State.OOMKilled}} cpus={{.HostConfig.NanoCpus}} quota={{.HostConfig.CpuQuota}}/{{.HostConfig.CpuPeriod}} "
    "memory={{.HostConfig.Memory}} networks={{range $name, $_ := .NetworkSettings.Networks}}{{$name}},{{end}}"
)
LISTING = (
    f"echo '{HEADING}'; docker container inspect --format '{_FIELDS}' "
    f'$(docker ps -aq --filter "label=com.docker.compose.project={_PROJECT}")'
)
COMPOSE = "$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)"
"""Compose as it is called where this runs."""
DECLARED = f"echo === declared; {COMPOSE} config | grep -E '^[a-z]|^  [a-z0-9-]+:$|^    (cpus|mem_limit|profiles):'"

_CONTAINER = re.compile(
    r"^(?P<service>[\w-]+) /(?P<name>[\w.-]+) (?P<state>[a-z]+) exit=(?P<exit>-?\d+) oom=(?P<oom>true|false) "
    r"cpus=(?P<cpus>\d+) quota=(?P<quota>-?\d+)/(?P<period>\d+) memory=(?P<memory>\d+) networks=(?P<networks>\S*)$",
    re.MULTILINE,
)
_TOP = re.compile(r"^\S+\s+(\d+)(?:\s+\S+){5}\s+([A-Za-z])\S*\s", re.MULTILINE)  # ps aux: the pid, the state
_SERVICE = re.compile(r"^  ([\w-]+):$((?:\n    \S.*)*)", re.MULTILINE)
_NEXT_PART = re.compile(r"^\w", re.MULTILINE)
_SETTING = re.compile(r"^    (cpus|mem_limit|profiles):[ '\"]*([\d.]*)([bkmg]?)", re.MULTILINE | re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LITTLE = 0.8  # of what is declared; no rounding explains less
_DF = re.compile(r"\s(\d+)% /data$", re.MULTILINE)
_FILE = re.compile(r"^/data/[^\s'\"\\]+$", re.MULTILINE)
_OF_REDIS = re.compile(
    r"/data/(dump\.rdb|(appendonlydir/)?(temp-[\w-]+\.(rdb|aof)|(temp-)?appendonly\.aof(\.\d+\.(base|incr)\.(rdb|aof)|\.manifest)?))"
)


def containers(printed: str) -> dict[str, ProcessSeen]:
    """The containers that `LISTING` printed, by service."""
    return {line["service"]: _container(line) for line in _CONTAINER.finditer(printed)}


def _container(line: re.Match[str]) -> ProcessSeen:
    cpus = int(line["cpus"]) / 1e9
    if int(line["quota"]) > 0:
        cpus = int(line["quota"]) / (int(line["period"]) or 100_000)
    given = {Resource.CPU: cpus, Resource.MEMORY: float(line["memory"])}
    state, starved = line["state"].upper(), line["oom"] == "true" and line["state"] == "exited"
    return ProcessSeen(
        line["service"],
        line["service"],
        state,
        f"exit code {line['exit']}{', out of memory' if starved else ''}" if state == "EXITED" else "",
        container=line["name"],
        networks=tuple(name for name in line["networks"].split(",") if name),
        short_of={resource: Share(has, 0) for resource, has in given.items() if has},
        starved=starved,
    )


def with_kernel_states(seen: Mapping[str, ProcessSeen], parts: Mapping[str, str]) -> dict[str, ProcessSeen]:
    """The containers with what `docker top` printed for each: frozen is one with any process that is stopped."""
    return {name: _with_kernel_state(one, _TOP.findall(parts.get(one.container, ""))) for name, one in seen.items()}


def _with_kernel_state(one: ProcessSeen, rows: list[tuple[str, str]]) -> ProcessSeen:
    stopped = next((row for row in rows if row[1] == "T"), None)
    pid, letter = stopped or (rows[0] if rows else ("0", ""))
    return replace(one, pid=int(pid) or None, kernel_state=letter)


def with_declared(seen: Mapping[str, ProcessSeen], config: str) -> dict[str, ProcessSeen]:
    """The containers, judged by what `DECLARED` printed: who lacks what, and who is not there at all."""
    services: dict[str, str] = dict(_SERVICE.findall(_NEXT_PART.split(config.partition("\nservices:")[2])[0]))
    missing = {
        name: ProcessSeen(name, name, "MISSING")
        for name, settings in services.items()
        if name not in seen and "profiles:" not in settings
    }
    return missing | {name: replace(one, short_of=_short_of(one, services.get(name, ""))) for name, one in seen.items()}


def _short_of(one: ProcessSeen, settings: str) -> dict[Resource, Share]:
    declared = {
        Resource.CPU if name == "cpus" else Resource.MEMORY: float(number) * _UNITS[unit.lower()]
        for name, number, unit in _SETTING.findall(settings)
        if number.count(".") <= 1 and number.strip(".")
    }
    has = {resource: share.has for resource, share in one.short_of.items()}
    return {
        resource: Share(has[resource], wanted)
        for resource, wanted in declared.items()
        if resource in has and has[resource] < _LITTLE * wanted
    }


def volume(printed: str) -> VolumeSeen | None:
    """The data volume of Redis, from `df` and `find`; None if they printed nothing of it."""
    used = _DF.search(printed)
    if used is None:
        return None
    foreign = (path for path in _FILE.findall(printed) if not _OF_REDIS.fullmatch(path))
    return VolumeSeen(int(used[1]), tuple(foreign))
