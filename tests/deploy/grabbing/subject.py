"""A subject whose port is grabbed between reservation and start: its first member takes what the second needs."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from operatorlab.subject import Blueprint, Deployment, Invariant, Member, Observer, Process, Site, Subject

_THIEF = """
import pathlib, socket, sys, time
marker, own, other = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
taken = []
for port in [own] if marker.exists() else [other, own]:
    taken.append(socket.create_server(("127.0.0.1", port)))
marker.touch()
time.sleep(600)
"""
SERVER = Path(__file__).parent.parent / "example" / "server.py"


class Grabbing(Subject):
    name = "grabbing"
    title = "A thief and its victim"
    members = (Member("thief", "thief"), Member("victim", "victim"))
    ports = ("thief", "victim")
    invariants = (Invariant("calm", "Nothing is ever wrong.", lambda history, rule: ()),)
    faults = ()

    def blueprint(self, site: Site) -> Blueprint:
        settings = {"greeting": "hello", "port": site.ports["victim"], "data": str(site.root / "data/victim")}
        marker = str(site.root.parent / "has-stolen")
        steal = ("etc/thief.py", marker, str(site.ports["thief"]), str(site.ports["victim"]))
        return Blueprint(
            processes=(
                Process("thief", (sys.executable, *steal)),
                Process("victim", (sys.executable, str(SERVER), "etc/victim.json"), order=1),
            ),
            files={"etc/thief.py": _THIEF, "etc/victim.json": json.dumps(settings)},
        )

    def observer(self, deployment: Deployment) -> AbstractAsyncContextManager[Observer]:
        raise NotImplementedError("nobody looks at it")

    def briefing(self, deployment: Deployment) -> str:
        return "A thief and its victim."
