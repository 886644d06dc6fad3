"""What the monitor of a lab sees: what is broken and down now, and whether everything holds for a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from eval.evidence import Window
from operatorlab import Lab
from operatorlab.clock import SystemClock
from operatorlab.monitor.loop import Cycle
from operatorlab.subject import NodeState, Undecided, Violation

PATIENCE_S, PATIENCE_IN_FORCE_S = 8.0, 1.0
"""How much longer than itself a hold window may take: rules that look back need a moment, and a busy machine makes
trouble of its own. Where a fault is known to be in force there is little to wait for, but what the operator did last
must be out of sight of every rule: else it is chance whether the cause is still seen, or is masked."""
_LAST = 3
"""Trouble is what is there in so many looks in a row."""


def broken(lab: Lab) -> tuple[str, ...]:
    """Fingerprints of what the latest look found broken."""
    return _sorted(_broken(lab.monitor.latest))


def down(lab: Lab) -> tuple[str, ...]:
    """Members that the latest look did not find alive; one that lives and cannot do its work breaks a rule."""
    return _sorted(_down(lab.monitor.latest))


def patience_s(*, in_force: bool, idle_s: float) -> float:
    """Of a hold window that begins now, `idle_s` seconds after the operator's last command (inf: it had none)."""
    return max(PATIENCE_IN_FORCE_S, PATIENCE_S - idle_s) if in_force else PATIENCE_S


async def watch_window(lab: Lab, hold_s: float, spare_s: float) -> Window:
    """Watch until every rule was decided and held for `hold_s` seconds; given up `spare_s` later."""
    clock, looks = SystemClock(), 0
    last: deque[Cycle] = deque(maxlen=_LAST)
    began = holding = clock.now()
    while True:
        last.append(await lab.monitor.next_cycle())
        looks, now = looks + 1, clock.now()
        if not _well(lab, last[-1]):
            holding = now
        elif now.since(holding) >= hold_s:
            return _window(last, looks, held=True)
        if now.since(began) >= hold_s + spare_s:
            return _window(last, looks, held=False)


def _well(lab: Lab, cycle: Cycle) -> bool:
    return not cycle.findings and not cycle.failed and lab.subject.healthy(cycle.observation)


def _window(last: Collection[Cycle], looks: int, *, held: bool) -> Window:
    findings = [*last][-1].findings
    undecided = (finding.fingerprint for finding in findings if isinstance(finding, Undecided))
    lasting = set.intersection(*map(_broken, last))
    fallen = set.intersection(*map(_down, last))
    return Window(held=held, looks=looks, broken=_sorted(lasting), undecided=_sorted(undecided), down=_sorted(fallen))


def _broken(cycle: Cycle | None) -> set[str]:
    findings = cycle.findings if cycle else ()
    return {finding.fingerprint for finding in findings if isinstance(finding, Violation)}


def _down(cycle: Cycle | None) -> set[str]:
    nodes = cycle.observation.nodes if cycle else ()
    return {node.name for node in nodes if node.state not in {NodeState.UP, NodeState.DEGRADED}}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
