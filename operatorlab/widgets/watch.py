"""`async with watch(lab) as panel: await panel.until(...)`: live panels for as long as one cell runs.

The cell that shows the panels also awaits: interrupting it cancels what it awaited, papermill records
its outputs, and running it again leaves no task, no comm and no subscription behind. Everything is drawn
by one task of the cell itself, because a kernel files outputs under the cell whose task produced them.

    notebook kernel    two widgets, redrawn at most four times a second, settled as HTML at the end
    anywhere else      nothing is shown; `until` just awaits
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from operatorlab.widgets.nodes import NodesPanel, NodesView
from operatorlab.widgets.operator import OperatorPanel, OperatorView
from operatorlab.widgets.panel import Panel
from operatorlab.widgets.records import client_points, who_answers
from operatorlab.widgets.shapes import LabLike, StepLike
from operatorlab.widgets.view import sparks, step_rows, ticket_rows

INTERVAL_S = 0.25
_STEPS_KEPT, _WAKE_S = 200, 0.5
T = TypeVar("T")


class Shown(Protocol):
    """An output in the notebook that can be replaced."""

    def update(self, content: Any) -> None: ...


Stage = Callable[[Panel[Any]], Shown]
"""Puts a panel where a person sees it."""


def notebook_stage() -> Stage | None:
    """The running notebook's output area; None outside of a Jupyter kernel."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return _display if shell is not None and hasattr(shell, "kernel") else None


def watch(lab: LabLike, *, stage: Stage | None = None, interval_s: float = INTERVAL_S) -> Watch:
    """Show `lab` live until the context ends; redraw at most every `interval_s` seconds."""
    return Watch(lab, stage or notebook_stage(), interval_s)


class Watch:
    """The panels of one lab in one cell. The operator's panel appears with its first step."""

    def __init__(self, lab: LabLike, stage: Stage | None, interval_s: float) -> None:
        self.lab = lab
        self.nodes: NodesPanel | None = None
        self.operator: OperatorPanel | None = None
        self._stage = stage
        self._interval_s = interval_s
        self._steps: deque[StepLike] = deque(maxlen=_STEPS_KEPT)
        self._shown: list[tuple[Panel[Any], Shown]] = []
        self._news = asyncio.Event()
        self._drawing: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        if self._stage is not None:
            self._unsubscribe = self.lab.subscribe(self._notice)
            try:
                self._draw()
            except BaseException:
                self._settle()
                raise
            self._drawing = asyncio.create_task(self._redraw(), name=f"panels of {self.lab.run_id}")
        return self

    async def until(self, awaitable: Awaitable[T]) -> T:
        """Await `awaitable` with the panels live, and return what it returns. Trouble in drawing is raised too."""
        work = asyncio.ensure_future(awaitable)
        drawing = {self._drawing} if self._drawing is not None else set()
        try:
            await asyncio.wait({work, *drawing}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and self._drawing is not None:
                self._drawing.result()
            return await work
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def __aexit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stage is None:
            return
        self._unsubscribe()
        try:
            broken = await self._end_drawing()
            if broken is None:
                self._draw(_note(trouble))
            elif self.nodes is not None:
                self.nodes.show(replace(self.nodes.shown, note=_note(broken)))
        finally:
            self._settle()
        if broken is not None and trouble is not broken:
            raise broken

    def _notice(self, item: Any) -> None:
        """Called by the lab with each cycle and step, from whatever task: only remembers, never draws."""
        if hasattr(item, "kind"):
            self._steps.append(item)
        self._news.set()

    async def _redraw(self) -> None:
        while True:
            # The time limit also wakes an idle loop: ipykernel 7 cancels an interrupted cell only when its loop turns.
            # (Not wait_for: before Python 3.12 it may swallow a cancellation.)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WAKE_S):
                    await self._news.wait()
            self._news.clear()
            self._draw()
            await asyncio.sleep(self._interval_s)

    def _draw(self, note: str = "") -> None:
        view = self._nodes_view(note)
        if self.nodes is None:
            self.nodes = NodesPanel(view)
            self._show(self.nodes)
        self.nodes.show(view)
        if self._steps:
            self._draw_operator(note)

    def _draw_operator(self, note: str) -> None:
        rows = tuple(step_rows(self._steps))
        ended = any(row.kind == "outcome" for row in rows)
        brain = who_answers(self.lab.store.db, self.lab.run_id)
        view = OperatorView(brain, "ended" if ended else "at work", rows, note)
        if self.operator is None:
            self.operator = OperatorPanel(view)
            self._show(self.operator)
        self.operator.show(view)

    def _nodes_view(self, note: str) -> NodesView:
        lab, latest = self.lab, self.lab.monitor.latest
        return NodesView.of(
            f"{lab.subject.title} · {lab.run_id}",
            latest.observation if latest is not None else None,
            tickets=tuple(ticket_rows(lab.board.live())),
            sparks=tuple(sparks(client_points(lab.store.db, lab.run_id))),
            note=note,
        )

    def _show(self, panel: Panel[Any]) -> None:
        assert self._stage is not None
        self._shown.append((panel, self._stage(panel)))

    async def _end_drawing(self) -> BaseException | None:
        """Stop drawing; what it failed with."""
        if self._drawing is None:
            return None
        self._drawing.cancel()
        await asyncio.wait({self._drawing})
        return None if self._drawing.cancelled() else self._drawing.exception()

    def _settle(self) -> None:
        """Replace each widget by its HTML and close it."""
        self._unsubscribe()
        for panel, shown in self._shown:
            shown.update(panel.settled())
            panel.close()
        self._shown.clear()


def _note(trouble: BaseException | None) -> str:
    if trouble is None:
        return ""
    if isinstance(trouble, (asyncio.CancelledError, KeyboardInterrupt)):
        return "interrupted"
    return f"{type(trouble).__name__}: {trouble}"


def _display(panel: Panel[Any]) -> Shown:
    from IPython.display import display

    handle: Shown = display(panel, display_id=True)  # type: ignore[no-untyped-call]
    return handle
