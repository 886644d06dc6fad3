"""A program for the crash test: for each line it is given, a fresh operator goes on duty in a forked process.

    on_duty.py AUDIT ROOT RUN

It imports once and opens nothing itself, so that a fork is quick and clean. The child prints the ids of its
commands as they are recorded; the test kills it. `kill PID` on the input: kill and reap that child.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

from operatorlab.agent import Operator, Step, StepKind, runbook
from operatorlab.agent.duty import Duty
from operatorlab.audit import AuditStore
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Policy
from operatorlab.procedure import Conclusion, Printed
from operatorlab.procedure import Step as Look
from operatorlab.sandbox import LocalSandbox

POLICY = Policy(hold_s=0.05, settle_s=0.05, backoff_s=0, lease_s=1.0, max_attempts=10_000)


def procedure(incident: str) -> Generator[Look, Printed, Conclusion]:
    """Three commands that leave a trace, and a claim that is not true."""
    for number in range(3):
        yield Look(f"echo ran-$$-$RANDOM-{number} >> ran.log; sleep 0.01", "leave a trace")
    return Conclusion("resolved", ("service",), "none", "nothing was repaired", 0.1)


def say(line: str) -> None:
    """One write: a line is heard whole or not at all."""
    os.write(1, f"{line}\n".encode())


def tell(step: Step) -> None:
    if step.kind is StepKind.COMMAND:
        say(f"command {step.command_id}")


async def work(audit: Path, root: Path, run: str) -> None:
    with AuditStore(audit, environment={}) as store:
        board = Board(store, run, POLICY)
        sandbox = LocalSandbox(root, {"PATH": os.environ["PATH"]})
        operator = Operator(store, board, sandbox, runbook(procedure), briefing="", verify_s=1, on_step=tell)
        duty = Duty(board, operator, poll_s=0.01)
        while True:
            await duty.next()


def main(audit: str, root: str, run: str) -> None:
    for line in sys.stdin:
        word, _, pid = line.partition(" ")
        if word == "kill":
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
            say("killed")
            continue
        child = os.fork()
        if child == 0:
            asyncio.run(work(Path(audit), Path(root), run))
        say(f"on duty {child}")


if __name__ == "__main__":
    main(*sys.argv[1:])
