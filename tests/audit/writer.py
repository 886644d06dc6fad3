"""A process that writes to an audit file and says on its standard output what was committed.

It reads lines `path name rounds children`; for each it forks so many children that each write so many
rounds (0: until killed), and says `dead` once all of them are gone.
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
    """Forks, so that a child costs no start of an interpreter, and waits for its children."""
    for line in sys.stdin:
        path, name, rounds, children = line.split()
        pids = [fork(Path(path), f"{name}-{number}", int(rounds)) for number in range(int(children))]
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        say("dead", max(statuses))


def fork(path: Path, name: str, rounds: int) -> int:
    """The pid of a new child that writes."""
    child = os.fork()
    if child == 0:
        say("born", os.getpid())
        write(path, name, rounds)
        os._exit(0)
    return child


if __name__ == "__main__":
    nurse()
