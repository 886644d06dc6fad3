"""The evidence of a trial whose process died: what its audit holds, and nothing that nobody saw."""

from __future__ import annotations

from pathlib import Path

from eval import harvest
from eval.evidence import Ended, Evidence, FaultSeen, Moment, Trial
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.errors import OperatorLabError
from operatorlab.registry import find_fault, find_subject


def salvage(trial: Trial, audit: Path, began: Moment, why: str) -> Evidence:
    """What can be said of `trial`, which began at `began` and was killed."""
    marks = {"started": began, "ended": Moment.of(SystemClock().now())}
    bare = Evidence(
        trial=trial, ended=Ended.KILLED, error=why, host=None, run=None,
        times=harvest.times(marks, (), (), (), (), None),
    )  # fmt: skip
    if not audit.exists():
        return bare
    try:
        with AuditStore(audit) as store:
            return _from(store, bare, marks)
    except OperatorLabError as trouble:
        return bare.model_copy(update={"error": f"{why}; its audit cannot be read: {trouble.what}"})


def _from(store: AuditStore, bare: Evidence, marks: dict[str, Moment]) -> Evidence:
    tickets, sessions, samples = harvest.tickets_in(store), harvest.sessions_in(store), harvest.samples_in(store)
    faults = _faults(store, bare.trial)
    times = harvest.times(marks, faults, tickets, sessions, samples, harvest.reported_in(store))
    runs = store.rows("select id from runs")
    found = {
        "run": str(runs[0]["id"]) if runs else None, "times": times, "faults": faults, "tickets": tickets,
        "sessions": sessions, "samples": samples, "chain": harvest.chain_of(store),
    }  # fmt: skip
    return bare.model_copy(update=found)


def _faults(store: AuditStore, trial: Trial) -> tuple[FaultSeen, ...]:
    subject = find_subject(trial.scenario.subject)
    seen = []
    for row in store.rows("select name, target, injected_at, injected_mono from faults order by injected_mono"):
        injected = Moment(at=row["injected_at"], mono=round(row["injected_mono"], 6))
        seen.append(FaultSeen.of(find_fault(subject, row["name"], row["target"]), injected, fixable=False))
    return tuple(seen)
