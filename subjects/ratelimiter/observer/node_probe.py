"""Asking one node over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from operatorlab.clock import Clock
from operatorlab.subject import Json
from subjects.ratelimiter.limits import CANARY
from subjects.ratelimiter.observer.exposition import Page, Unreadable
from subjects.ratelimiter.observer.readings import CanaryCheck, NodeCounts
from subjects.ratelimiter.observer.silence import Kind, Silence, look_again, silence_of
from subjects.ratelimiter.observer.wire import Response, Wire

_GREETING = b"GET /health HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"


class NodeProbe:
    """One node, over its wire. Each question raises Silence if it gets no answer, and waits for one."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self.wire = wire
        self._page = Page(name)

    def __repr__(self) -> str:
        return f"<NodeProbe of {self.name} at {self.wire.address}>"

    async def health(self) -> int:
        """The HTTP status of the liveness probe."""
        return (await self._ask("GET", "/health")).status

    async def unready(self) -> str:
        """Why the node says it cannot do its work; empty if it can."""
        response = await self._ask("GET", "/ready")
        if response.status == HTTPStatus.OK:
            return ""
        return _reason(response) or f"/ready answers {response.status}"

    async def counts(self) -> NodeCounts:
        """What the node counted since its start; Silence also if its metrics cannot be read."""
        response = await self._ask("GET", "/metrics")
        if response.status != HTTPStatus.OK:
            raise Silence(Kind.USELESS, f"/metrics answers {response.status}")
        try:
            return self._page.counts(response.body)
        except Unreadable as trouble:
            raise Silence(Kind.USELESS, f"/metrics cannot be read: {trouble}") from trouble

    async def canary(self, cost: int, clock: Clock) -> CanaryCheck:
        """One check on the canary key. No decision (`allowed` None) when the node cannot take one."""
        sent = clock.now().monotonic
        response = await self._ask("POST", "/check", {"key": CANARY, "cost": cost})
        allowed = response.object.get("allowed") if response.status == HTTPStatus.OK else None
        decision = allowed if isinstance(allowed, bool) else None
        if decision is None and response.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise Silence(Kind.USELESS, f"/check answers {response.status} without a decision")
        return CanaryCheck(self.name, cost, sent, clock.now().monotonic, decision)

    async def _ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> Response:
        try:
            return await self.wire.ask(method, path, body)
        except OSError as trouble:
            address = self.wire.address
            raise await look_again(silence_of(trouble, address), address, _GREETING) from trouble


def _reason(response: Response) -> str:
    return str(response.object.get("reason", ""))[:200]
