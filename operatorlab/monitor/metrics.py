"""What the monitor tells of itself to Prometheus, and an HTTP endpoint on the loopback interface for it."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from operatorlab.errors import PortTaken
from operatorlab.monitor.tickets import TicketState
from operatorlab.subject import NodeState, Observation

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "operatorlab_monitor"


class Metrics:
    """The numbers of one monitor, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._cycles = Counter(f"{_PREFIX}_cycles", "Cycles ended.", registry=self.registry)
        self._failed = Counter(
            f"{_PREFIX}_looks_failed", "Cycles in which nothing could be seen.", registry=self.registry
        )
        self._checks = Counter(f"{_PREFIX}_checks_failed", "Checks that raised.", ["invariant"], registry=self.registry)
        self._observing = self._histogram("observing_seconds", "Time a cycle spent looking.")
        self._judging = self._histogram("judging_seconds", "Time a cycle spent judging and recording.")
        self._cpu = Counter(f"{_PREFIX}_cpu_seconds", "Processor time of the cycles.", registry=self.registry)
        self._tickets = self._gauge("tickets", "Tickets of the run.", "state")
        self._nodes = self._gauge("nodes", "Members by how they look from outside.", "state")
        self._blind = Gauge(
            f"{_PREFIX}_blind", "Things that could not be seen in the last cycle.", registry=self.registry
        )

    def _histogram(self, name: str, about: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", about, buckets=_BUCKETS, registry=self.registry)

    def _gauge(self, name: str, about: str, label: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", about, [label], registry=self.registry)

    def cycle(self, *, observe_s: float, judge_s: float, cpu_s: float, look_failed: bool) -> None:
        """Count a cycle and its cost."""
        self._cycles.inc()
        self._failed.inc(look_failed)
        self._observing.observe(observe_s)
        self._judging.observe(judge_s)
        self._cpu.inc(cpu_s)

    def check_failed(self, invariant: str) -> None:
        """Count a check that raised."""
        self._checks.labels(invariant).inc()

    def seen(self, observation: Observation) -> None:
        """How the members look now."""
        states = Counted(node.state for node in observation.unwell)
        states[NodeState.UP] = len(observation.nodes) - len(observation.unwell)
        for state in NodeState:
            self._nodes.labels(state.value).set(states[state])
        self._blind.set(len(observation.blind))

    def tickets(self, counts: Mapping[TicketState, int]) -> None:
        """How many tickets there are, by state."""
        for state in TicketState:
            self._tickets.labels(state.value).set(counts.get(state, 0))


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's signature
        """Say nothing: a scrape is not news."""


@contextmanager
def served(registry: CollectorRegistry, port: int) -> Iterator[str]:
    """Serve `registry` on 127.0.0.1 while the context lasts; yields the address. Port 0 takes a free one."""
    try:
        server = make_server("127.0.0.1", port, make_wsgi_app(registry), ThreadingWSGIServer, _Quiet)
    except OSError as trouble:
        raise PortTaken(
            f"cannot serve metrics on port {port}: {trouble.strerror}",
            cause="another program listens there, or the port needs more rights",
            next_step="--metrics-port 0 takes a free one",
        ) from trouble
    # prometheus_client's own server looks for the end only twice a second; ending must be quick.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
