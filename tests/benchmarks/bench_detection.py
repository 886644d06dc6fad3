"""From a kill, a hang and a partition to the ticket, beside a real Prometheus and Alertmanager on the same cluster.

`OPERATORLAB_BENCH_N` is how often each is done (100), `OPERATORLAB_BENCH_STOCK_N` how often with the stock settings
(3), where a round of the three at once takes up to seven minutes. Asserts no time.
"""

import asyncio
import os
import statistics

import pytest
from alerting import STOCK, TUNED, alerting, missing
from watched import KINDS, NODES, watched_lab

N = int(os.environ.get("OPERATORLAB_BENCH_N", "100"))
STOCK_N = int(os.environ.get("OPERATORLAB_BENCH_STOCK_N", "3"))
pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(300 + 40 * N + 400 * STOCK_N),
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())} (apt-get install them)"),
]
_TUNED_WITHIN_S, _STOCK_WITHIN_S = 30.0, 240.0


async def test_from_fault_to_ticket_and_to_alert(tmp_path, capsys, own_home):
    async with watched_lab(tmp_path) as lab:
        nodes = {name: lab.deployment.address(name) for name in NODES}
        with alerting(TUNED, nodes, tmp_path / "tuned") as tuned, alerting(STOCK, nodes, tmp_path / "stock") as stock:
            await asyncio.sleep(2 * STOCK.scrape_s)  # both have seen everybody well
            ours, theirs = await _one_by_one(lab, tuned)
            slow = await _all_at_once(lab, tuned, stock)
        unexpected = lab.unexpected()
    with capsys.disabled():
        _show(ours, theirs, slow)
        print(f"tickets that nobody caused: {sorted(unexpected) or 'none'}")
    assert not unexpected


async def _one_by_one(lab, tuned):
    """Seconds to the ticket, and to the alert of the tuned ones, by kind."""
    ours, theirs = ({kind: [] for kind in KINDS} for _ in range(2))
    for kind in KINDS:
        for number in range(N):
            node = NODES[number % len(NODES)]
            await asyncio.sleep(0.5 + 0.61 * number % 1.0)  # at every phase of either's schedule
            before = lab.now()
            began = await lab.inject(kind, node)
            alert = asyncio.create_task(tuned.fired(node, _TUNED_WITHIN_S))
            ours[kind].append(await lab.opened(node, before) - began)
            at = await alert
            theirs[kind].append(float("inf") if at is None else at - began)
            await lab.heal(kind, node)
            await lab.closed(node, before)
            await tuned.quiet(_TUNED_WITHIN_S)
    return ours, theirs


async def _all_at_once(lab, tuned, stock):
    """Seconds to the alert of the stock ones, by kind: each kind on a node of its own, at the same time."""
    slow = {kind: [] for kind in KINDS}
    for _ in range(STOCK_N):
        await stock.quiet(2 * _STOCK_WITHIN_S)
        before, began = lab.now(), {}
        for kind, node in zip(KINDS, NODES, strict=True):
            began[kind] = await lab.inject(kind, node)
        for kind, node in zip(KINDS, NODES, strict=True):
            at = await stock.fired(node, _STOCK_WITHIN_S)
            slow[kind].append(float("inf") if at is None else at - began[kind])
        for kind, node in zip(KINDS, NODES, strict=True):
            await lab.heal(kind, node)
        for node in NODES:
            await lab.closed(node, before)
        await tuned.quiet(_TUNED_WITHIN_S)
    return slow


def _show(ours, theirs, slow):
    who = {"monitor": ours, "Prometheus, tuned to 1 s": theirs, "Prometheus, stock": slow}
    print(f"\n{'seconds':12}{'':26}{'p50':>8} {'p95':>8} {'p99':>8} {'max':>8} {'n':>5} {'times the monitor':>18}")
    for kind in KINDS:
        ground = statistics.median(ours[kind])
        for name, found in who.items():
            times = sorted(found[kind])
            if not times:
                continue
            p50 = statistics.median(times)
            p95, p99 = (times[min(len(times) - 1, int(q * len(times)))] for q in (0.95, 0.99))
            cells = " ".join(f"{cell:8.3f}" for cell in (p50, p95, p99, times[-1]))
            print(f"{kind:12}{name:26}{cells} {len(times):5} {p50 / ground:17.1f}×")
