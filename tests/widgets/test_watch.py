"""Watching: what is shown while a cell awaits, and that nothing is left afterwards."""

import asyncio

import pytest
from ipywidgets.widgets.widget import _instances

from operatorlab.subject import NodeState
from operatorlab.widgets.nodes import NodesPanel
from operatorlab.widgets.operator import OperatorPanel
from operatorlab.widgets.panel import Settled
from operatorlab.widgets.watch import watch


@pytest.fixture(autouse=True)
def nothing_is_left(watched):
    before = set(_instances)
    yield
    assert set(_instances) == before, "an open comm is left"
    assert watched.listeners == [], "a subscription is left"


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  panels announce nothing
            await asyncio.sleep(0.01)


async def test_panels_follow_and_settle(watched, output, seen, step):
    async with watch(watched, stage=output, interval_s=0.01) as panel:
        watched.clients(0, 5)
        watched.publish(seen(NodeState.UP, NodeState.DOWN))
        await until(lambda: "1 up, 1 down" in panel.nodes.shown.verdict)
        assert panel.nodes.shown.sparks[0].words == "50.0% of requests answered"
        assert panel.operator is None, "the operator's panel appears with its first step"
        watched.break_()
        watched.publish(step("command", "ps", "c1"))
        await until(lambda: panel.operator is not None)
        assert panel.nodes.shown.tickets[0].invariant == "node_down"
        watched.publish(step("outcome", "resolved_verified"))
    nodes, operator = output.shown
    assert isinstance(nodes.contents[0], NodesPanel)
    assert isinstance(operator.contents[0], OperatorPanel)
    for place in (nodes, operator):
        assert isinstance(place.contents[-1], Settled)
    assert "resolved_verified" in operator.contents[-1].html, "what came last is in the settled panel"


async def test_until_returns_what_it_awaited(watched, output):
    async def answer():
        await asyncio.sleep(0)
        return 42

    async with watch(watched, stage=output) as panel:
        assert await panel.until(answer()) == 42


async def test_a_failure_is_shown_and_raised(watched, output):
    async def fail():
        raise ValueError("no <b>luck</b>")

    with pytest.raises(ValueError, match="luck"):
        async with watch(watched, stage=output) as panel:
            await panel.until(fail())
    assert "ValueError: no &lt;b&gt;luck&lt;/b&gt;" in output.shown[0].contents[-1].html


async def test_an_interrupt_cancels_what_was_awaited(watched, output):
    cancelled, started = asyncio.Event(), asyncio.Event()

    async def forever():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def cell():
        async with watch(watched, stage=output) as panel:
            await panel.until(forever())

    running = asyncio.create_task(cell())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()
    assert "interrupted" in output.shown[0].contents[-1].html
    assert len(asyncio.all_tasks()) == 1


async def test_trouble_in_drawing_is_shown_and_raised_too(watched, output):
    async def cell():
        async with watch(watched, stage=output, interval_s=0.01) as panel:
            watched.publish(type("Odd", (), {"kind": "thought"})())
            await panel.until(asyncio.Event().wait())

    with pytest.raises(AttributeError, match="text"):
        await cell()
    assert "AttributeError" in output.shown[0].contents[-1].html


async def test_a_flood_of_news_is_drawn_at_most_every_interval(watched, output, seen):
    drawn = []
    async with watch(watched, stage=output, interval_s=0.2) as panel:
        panel.nodes.observe(drawn.append, "view")
        for i in range(40):
            watched.publish(seen(NodeState.UP, reason=str(i)))
            await asyncio.sleep(0.01)
    assert 1 <= len(drawn) <= 5


async def test_running_a_cell_again_leaves_nothing(watched, output, seen):
    for _ in range(3):
        async with watch(watched, stage=output, interval_s=0.01):
            watched.publish(seen(NodeState.UP))
    assert len(asyncio.all_tasks()) == 1


async def test_without_a_kernel_nothing_is_shown(watched, seen):
    async with watch(watched) as panel:
        watched.publish(seen(NodeState.UP))
        assert await panel.until(asyncio.sleep(0, "done")) == "done"
    assert panel.nodes is None
