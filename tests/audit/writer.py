"""A process that writes to an audit file and says on its standard output what was committed.

python writer.py            reads lines `path name rounds`; for each forks a child that writes that many
                            rounds (0: until it is killed), and says `dead` once the child is gone
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from operatorlab.audit import AuditStore, timestamp
from operatorlab.clock import SystemClock


def say(*words: object) -> None:
    """One line, in one write: lines of several processes do not mix."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(path: Path, name: str, rounds: int) -> None:
    """Commands, and pairs of events that belong together; each is said after its commit."""
    with AuditStore(path, environment={}) as store:
        session = _begin(store, name)
        say("session", session)
        done = 0
        while rounds == 0 or done < rounds:
            command = store.begin_command(session, f"round {done}", "because")
            say("begun", command)
            store.end_command(command, 0, 0.1, "output " * (done % 700), "")
            say("ended", command)
            with store.atomic():
                left = store.append("left", {"round": done}, session=session)
                right = store.append("right", {"round": done}, session=session)
            say("event", left.id)
            say("event", right.id)
            done += 1


def _begin(store: AuditStore, name: str) -> str:
    now = SystemClock().now()
    with store.atomic() as db:
        store.begin_run(name, "ratelimiter", "processes", "/tmp")
        db.execute(
            "insert into incidents(id, run, opened_at, opened_mono) values (?, ?, ?, ?)",
            (f"i-{name}", name, timestamp(now.at), now.monotonic),
        )
        return store.begin_session(name, f"i-{name}", "runbook", "", os.getpid())


def nurse() -> None:
    """Forks, so that a child costs no start of an interpreter, and waits for it."""
    for line in sys.stdin:
        path, name, rounds = line.split()
        child = os.fork()
        if child == 0:
            write(Path(path), name, int(rounds))
            os._exit(0)
        say("born", child)
        _, status = os.waitpid(child, 0)
        say("dead", status)


if __name__ == "__main__":
    nurse()
