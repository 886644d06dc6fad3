"""One small web server, run as a real lab: what the monitor's command is tested on."""

import asyncio
import contextlib
import sys
import time
from datetime import UTC, datetime

from operatorlab.subject import (
    Blueprint,
    Fault,
    FaultKind,
    GroundTruth,
    Invariant,
    Member,
    Node,
    NodeState,
    Observation,
    Process,
    Subject,
    Violation,
)


class Look:
    """Asks the server; being connected says nothing where a forwarder stands between."""

    def __init__(self, address):
        self.address = address

    async def observe(self):
        began = time.monotonic()
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(*self.address)
                try:
                    writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
                    await reader.readexactly(1)
                finally:
                    writer.close()
            node = Node("kettle", "server", NodeState.UP)
        except (OSError, EOFError):
            node = Node("kettle", "server", NodeState.DOWN, "refuses")
        return Observation(datetime.now(UTC), began, time.monotonic() - began, (node,))


def cold(history, rule):
    if history[-1].node("kettle").state is NodeState.DOWN:
        yield Violation(rule.name, "kettle", "the kettle is \x1b[2J\ncold")


class Cooled(Fault):
    name = "cooled"
    summary = "the server is killed"
    kind = FaultKind.CRASH
    expected = ("cold",)

    @classmethod
    def targets(cls, subject):
        return ("kettle",)

    def truth(self):
        return GroundTruth("kettle", FaultKind.CRASH, "the server was killed")

    async def inject(self, deployment):
        await deployment.kill("kettle")
        return {}

    async def active(self, deployment, memo):
        return (await deployment.state("kettle")) != "running"

    async def heal(self, deployment, memo):
        await deployment.start("kettle")


class Kettle(Subject):
    name = "kettle"
    title = "A kettle"
    members = (Member("kettle", "server"),)
    ports = ("kettle",)
    invariants = (Invariant("cold", "the kettle answers", cold, grace_s=0.3),)
    faults = (Cooled,)

    def blueprint(self, site):
        port = str(site.ports["kettle"])
        argv = (sys.executable, "-S", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", str(site.root))
        return Blueprint(processes=(Process("kettle", argv),))

    @contextlib.asynccontextmanager
    async def observer(self, deployment):
        yield Look(deployment.address("kettle"))

    def briefing(self, deployment):
        return "a web server"
