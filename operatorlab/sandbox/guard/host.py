"""HostConfig, where a container could reach the host: as its service's, or tighter, in every field that matters."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from operatorlab.sandbox.guard.refusal import Refused, malformed
from operatorlab.sandbox.guard.strict import is_empty

_SAME = (
    *("CapAdd", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Tmpfs", "Mounts", "Sysctls"),
    *("LogConfig", "Init", "Ulimits", "GroupAdd", "OomScoreAdj", "Dns", "DnsOptions", "DnsSearch"),
)
_DEFAULT_OR_SAME = ("Runtime", "ShmSize")
_PRIVATE = ("IpcMode", "CgroupnsMode")
_TUNING = ("CpuShares", "MemoryReservation", "MemorySwappiness")
_PLACES = ("CpusetCpus", "CpusetMems")
_LIMITS = ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod", "PidsLimit")
_RESOURCES = frozenset((*_LIMITS, *_TUNING, *_PLACES))
_OTHER = frozenset({*_SAME, *_DEFAULT_OR_SAME, *_PRIVATE, "NetworkMode", "RestartPolicy", "AutoRemove"})
_DEFAULT_PERIOD = 100_000
_USUAL_SHARES = 1024
_FULL_CPU = 1_000_000_000


def check_host(value: object, template: Mapping[str, Any], networks: Collection[str]) -> dict[str, Any]:
    """The HostConfig that goes on for a new container."""
    if not isinstance(value, dict):
        raise malformed("HostConfig is not an object")
    _nothing_else(value, _OTHER | _RESOURCES)
    checked: dict[str, Any] = {}
    for name in _SAME:
        if not _same(name, value.get(name), template.get(name)):
            raise Refused(f"HostConfig.{name} is that of the service: {str(template.get(name))[:200]}")
        if not is_empty(value.get(name)):
            checked[name] = value[name]
    if any(not isinstance(mount, dict) or mount.get("Type") != "tmpfs" for mount in checked.get("Mounts") or ()):
        raise Refused("HostConfig.Mounts may hold tmpfs only")
    checked |= _private(value, template)
    mode = value.get("NetworkMode")
    if not isinstance(mode, str) or (mode not in networks and mode != "none"):
        raise Refused("HostConfig.NetworkMode is one of the lab's networks")
    checked["NetworkMode"] = mode
    checked["RestartPolicy"] = check_restart(value.get("RestartPolicy"))
    if value.get("AutoRemove") is True:
        checked["AutoRemove"] = True
    return checked | check_resources(value, template, creating=True)


def _same(name: str, given: object, had: object) -> bool:
    if name == "LogConfig" and is_empty(given):  # left to the daemon, as the service did
        return isinstance(had, dict) and is_empty(had.get("Config"))
    return _plain(given) == _plain(had)


def _private(value: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that are left to the daemon, or as the service has them."""
    checked: dict[str, Any] = {}
    for name in _DEFAULT_OR_SAME:
        if value.get(name) and value[name] != template.get(name):
            raise Refused(f"HostConfig.{name} is that of the service")
    for name in _PRIVATE:
        given = value.get(name)
        if given and given not in ("private", template.get(name)):
            raise Refused(f"HostConfig.{name} is private")
        # Written out, because what the daemon makes of nothing depends on the version of the API.
        if chosen := given or template.get(name):
            checked[name] = chosen
    return checked


def _nothing_else(value: Mapping[str, Any], known: Collection[str]) -> None:
    folded = {name.casefold(): name for name in known}
    for name, given in value.items():
        if name in known:
            continue
        if name.casefold() in folded:
            raise malformed(f"{name[:50]} is not how {folded[name.casefold()]} is written")
        if not is_empty(given):
            raise Refused(f"HostConfig.{name[:50]} may not be set")


def _plain(value: object) -> object:
    """`value` for comparison: order of lists and of tmpfs options apart, all kinds of nothing alike."""
    if is_empty(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted((str(_plain(each)) for each in value), key=str)
    return sorted(value.split(",")) if isinstance(value, str) else value


def check_restart(value: object) -> dict[str, Any]:
    """When the daemon restarts a container: the lab's user is free in that."""
    if value is None:
        return {"Name": "no"}
    if not isinstance(value, dict) or not set(value) <= {"Name", "MaximumRetryCount"}:
        raise malformed("RestartPolicy is something else")
    name, count = value.get("Name") or "no", value.get("MaximumRetryCount") or 0
    if name not in ("no", "always", "unless-stopped", "on-failure") or type(count) is not int:
        raise malformed("RestartPolicy is something else")
    return {"Name": name, "MaximumRetryCount": count}


def check_resources(value: Mapping[str, Any], template: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """The limits in `value`: at most the service's, and, for a new container, there wherever the service has them."""
    given = _numbers(value)
    if given.get("CpuShares", 0) > max(_USUAL_SHARES, template.get("CpuShares") or 0):
        raise Refused(f"CpuShares is at most {_USUAL_SHARES}")
    _check_at_most(given, template, creating=creating)
    if given.get("CpuQuota"):
        given.setdefault("CpuPeriod", _DEFAULT_PERIOD)  # what stands in the container may be shorter
    elif "CpuPeriod" in given:
        raise Refused("CpuPeriod goes with CpuQuota")
    return given


def _numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that `value` sets, none of them negative: that would take one away."""
    given: dict[str, Any] = {}
    for name in _RESOURCES & set(value):
        if name in _PLACES:
            if not re.fullmatch(r"[0-9,-]*", str(value[name] or "")):
                raise malformed(f"{name} is something else")
        elif value[name] is not None and type(value[name]) is not int:
            raise malformed(f"{name} is not a whole number")
        elif (value[name] or 0) < 0 and (name, value[name]) != ("MemorySwappiness", -1):  # the CLI's "not set"
            raise Refused("limits may not be taken away")
        if value[name] and value[name] != -1:
            given[name] = value[name]
    return given


def _check_at_most(given: Mapping[str, Any], template: Mapping[str, Any], *, creating: bool) -> None:
    checks: tuple[tuple[str, Callable[[Mapping[str, Any]], float], bool], ...] = (
        ("Memory", lambda limits: limits.get("Memory") or 0, True),
        ("MemorySwap", _swap, creating),
        ("PidsLimit", lambda limits: limits.get("PidsLimit") or 0, True),
        ("NanoCpus", _cpus, True),
    )
    for name, amount, needed in checks:
        most, asked = amount(template), amount(given)
        if most <= 0:
            continue  # the service has no such limit
        if asked > most:
            raise Refused(f"{name} is at most {most:g}, the limit this service came up with")
        if creating and needed and not asked:
            raise Refused(f"{name} is a limit that this service has, at most {most:g}")


def _swap(limits: Mapping[str, Any]) -> float:
    """Memory and swap together; twice the memory is what the daemon makes of a memory limit alone."""
    return limits.get("MemorySwap") or 2 * (limits.get("Memory") or 0)


def _cpus(limits: Mapping[str, Any]) -> float:
    """Processor time in billionths of a processor."""
    if quota := limits.get("CpuQuota") or 0:
        return max(quota / (limits.get("CpuPeriod") or _DEFAULT_PERIOD) * _FULL_CPU, limits.get("NanoCpus") or 0)
    return limits.get("NanoCpus") or 0
