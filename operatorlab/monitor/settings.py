"""How a monitor is set: by a file, by flags, or in code. Flags count for more than the file, a rule's own name for more
than `*`.

    # monitor.yaml
    interval: 0.5          # seconds from one look to the next while all is quiet
    grace:                 # seconds that trouble must last before it is a ticket
      node_down: 0.5
      high_latency: 3

`grace: 0` alone is meant for every rule, and so is the name `*`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from operatorlab.errors import BadParameter, UnknownName
from operatorlab.monitor.judging import EVERY, Patience
from operatorlab.subject import Invariant

Grace = float | Mapping[str, float] | None
"""Seconds for every rule, or by the name of a rule (`*`: every other one); None: what each rule says itself."""
_KNOWN = ("grace", "interval")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file or the flags say. `interval_s` None: nothing."""

    grace: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    interval_s: float | None = None

    def under(self, flags: Settings) -> Settings:
        """Both, where `flags` count for more: a grace there for every rule leaves nothing of this one's."""
        grace = flags.grace if EVERY in flags.grace else {**self.grace, **flags.grace}
        return Settings(grace, self.interval_s if flags.interval_s is None else flags.interval_s)


def read_settings(path: Path) -> Settings:
    """What the YAML file `path` says. BadParameter if it cannot be read, UnknownName for a setting there is not."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as trouble:
        raise BadParameter(f"cannot read {path}: {trouble}") from trouble
    if not isinstance(found, dict):
        raise BadParameter(f"{path} must hold settings, one a line, such as `interval: 0.5`")
    for name in found:
        if name not in _KNOWN:
            raise UnknownName("setting of a monitor", str(name), _KNOWN)
    interval = None if found.get("interval") is None else _seconds("interval", found["interval"])
    return Settings(_by_name(found.get("grace")), interval)


def parse_grace(options: Iterable[str]) -> Mapping[str, float]:
    """Options such as `0.5`, for every rule, or `node_down=0.5`. BadParameter for anything else."""
    grace: dict[str, float] = {}
    for option in options:
        name, given, text = option.rpartition("=")
        try:
            seconds = float(text)
        except ValueError:
            raise BadParameter(
                f"a grace is seconds, or RULE=seconds, not {option!r}", next_step="--grace node_down=0.5"
            ) from None
        grace[name.strip() if given else EVERY] = _seconds("grace", seconds)
    return grace


def patience(invariants: Iterable[Invariant], grace: Grace, others: Iterable[str] = ()) -> Mapping[str, Patience]:
    """The patience of every rule, and of the monitor's `others`, which have none of their own.

    UnknownName if `grace` names a rule there is not.
    """
    given = _by_name(grace)
    own = dict.fromkeys(others, Patience()) | {rule.name: Patience(rule.grace_s, rule.window_s) for rule in invariants}
    for name in given:
        if name not in own and name != EVERY:
            raise UnknownName("invariant", name, own, next_step="operatorlab invariants list")
    return {
        name: Patience(given.get(name, given.get(EVERY, each.grace_s)), each.window_s) for name, each in own.items()
    }


def _by_name(grace: Any) -> Mapping[str, float]:
    if grace is None:
        return {}
    if isinstance(grace, Mapping):
        return {str(name): _seconds(f"the grace of {name}", value) for name, value in grace.items()}
    return {EVERY: _seconds("the grace", grace)}


def _seconds(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadParameter(f"{what} must be 0 seconds or more, not {value!r}")
    return float(value)
