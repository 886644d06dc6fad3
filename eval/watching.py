"""What the monitor of a lab sees: what is broken and down now, and whether everything holds for a while."""

from __future__ import annotations

from eval.evidence import Window
from operatorlab import Lab
from operatorlab.clock import SystemClock
from operatorlab.monitor.loop import Cycle
from operatorlab.subject import NodeState, Undecided, Violation

_PATIENCE_S, _PATIENCE_UNDECIDED_S = 2.5, 5.0
"""How much longer than itself a hold window may take: while something is broken, and while rules are only undecided."""


def broken(lab: Lab) -> tuple[str, ...]:
    """Fingerprints of what the latest look found broken."""
    return _broken(lab.monitor.latest)


def down(lab: Lab) -> tuple[str, ...]:
    """Members that the latest look did not find up."""
    return _down(lab.monitor.latest)


async def watch_window(lab: Lab, hold_s: float) -> Window:
    """Watch until every rule was decided and held for `hold_s` seconds; given up a few seconds later."""
    clock, looks = SystemClock(), 0
    began = holding = clock.now()
    while True:
        cycle = await lab.monitor.next_cycle()
        looks += 1
        now = clock.now()
        if cycle.findings or cycle.failed or not lab.subject.healthy(cycle.observation):
            holding = now
        elif now.since(holding) >= hold_s:
            return _window(cycle, looks, held=True)
        patience_s = _PATIENCE_S if _broken(cycle) else _PATIENCE_UNDECIDED_S
        if now.since(began) >= hold_s + patience_s:
            return _window(cycle, looks, held=False)


def _window(cycle: Cycle, looks: int, *, held: bool) -> Window:
    undecided = (finding.fingerprint for finding in cycle.findings if isinstance(finding, Undecided))
    return Window(held=held, looks=looks, broken=_broken(cycle), undecided=tuple(sorted(undecided)), down=_down(cycle))


def _broken(cycle: Cycle | None) -> tuple[str, ...]:
    findings = cycle.findings if cycle else ()
    return tuple(sorted(finding.fingerprint for finding in findings if isinstance(finding, Violation)))


def _down(cycle: Cycle | None) -> tuple[str, ...]:
    nodes = cycle.observation.nodes if cycle else ()
    return tuple(sorted(node.name for node in nodes if node.state is not NodeState.UP))
