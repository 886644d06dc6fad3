"""Asking one node over HTTP. Connections are kept between readings; a stale one is replaced once, at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httpx

from operatorlab.clock import Clock
from operatorlab.subject import Json
from subjects.ratelimiter.limits import CANARY
from subjects.ratelimiter.observer.exposition import Unreadable, parse_counts
from subjects.ratelimiter.observer.readings import CanaryCheck, NodeCounts
from subjects.ratelimiter.observer.silence import Kind, Silence, deadline, look_again, silence_of

_GREETING = b"GET /health HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class NodeProbe:
    """One node at its address. Each question has a deadline in seconds and raises Silence if it gets no answer."""

    name: str
    address: tuple[str, int]
    client: httpx.AsyncClient

    async def health(self, within_s: float) -> int:
        """The HTTP status of the liveness probe."""
        return (await self._ask("GET", "/health", within_s)).status_code

    async def unready(self, within_s: float) -> str:
        """Why the node says it cannot do its work; empty if it can."""
        response = await self._ask("GET", "/ready", within_s)
        if response.status_code == httpx.codes.OK:
            return ""
        return _reason(response) or f"/ready answers {response.status_code}"

    async def counts(self, within_s: float) -> NodeCounts:
        """What the node counted since its start; Silence also if its metrics cannot be read."""
        response = await self._ask("GET", "/metrics", within_s)
        if response.status_code != httpx.codes.OK:
            raise Silence(Kind.USELESS, f"/metrics answers {response.status_code}")
        try:
            return parse_counts(response.text)
        except Unreadable as trouble:
            raise Silence(Kind.USELESS, f"/metrics cannot be read: {trouble}") from trouble

    async def canary(self, cost: int, within_s: float, clock: Clock) -> CanaryCheck:
        """One check on the canary key. No decision (`allowed` None) when the node cannot take one."""
        sent = clock.now().monotonic
        response = await self._ask("POST", "/check", within_s, {"key": CANARY, "cost": cost})
        allowed = _object(response).get("allowed") if response.status_code == httpx.codes.OK else None
        decision = allowed if isinstance(allowed, bool) else None
        if decision is None and response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise Silence(Kind.USELESS, f"/check answers {response.status_code} without a decision")
        return CanaryCheck(self.name, cost, sent, clock.now().monotonic, decision)

    async def _ask(
        self, method: str, path: str, within_s: float, body: Mapping[str, Json] | None = None
    ) -> httpx.Response:
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        async with deadline(within_s):
            try:
                return await self.client.request(method, url, json=body)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                pass  # a kept connection whose other end has gone: only a new one tells whether anybody is there
            except httpx.TransportError as trouble:
                raise await look_again(silence_of(trouble, self.address), self.address, _GREETING) from trouble
            try:
                return await self.client.request(method, url, json=body)
            except httpx.TransportError as trouble:
                raise await look_again(silence_of(trouble, self.address), self.address, _GREETING) from trouble


def http_client() -> httpx.AsyncClient:
    """A client for one node (a pool is searched for each request, so a small one is quick); no proxies.

    It has no time-outs of its own: each question has a deadline.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(verify=False, limits=limits), timeout=None)  # noqa: S113 - plain HTTP on loopback


def _reason(response: httpx.Response) -> str:
    return str(_object(response).get("reason", ""))[:200]


def _object(response: httpx.Response) -> Mapping[str, Json]:
    """The JSON object of an answer; empty if it is anything else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return cast("dict[str, Json]", body) if isinstance(body, dict) else {}
