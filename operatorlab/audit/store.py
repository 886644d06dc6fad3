"""`AuditStore`: everything a lab records, in one SQLite file.

On top of the log (`journal.py`) it keeps the records of runs, sessions, commands, model calls, faults
and client samples. Each `begin_…` and `end_…` writes its row and its event in one transaction; the
event carries every column that was written (long texts as digests), so that the chain covers the
records too. Between a begin and its end the row stands as started, whatever happens to the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ulid import ULID

from operatorlab.audit.agreement import disagreement
from operatorlab.audit.card import draw
from operatorlab.audit.chain import ChainReport, canonical
from operatorlab.audit.journal import Journal, timestamp
from operatorlab.audit.migrations import TABLES
from operatorlab.audit.records import JSON_COLUMNS, TABLE_OF, ClientSample, ModelCall, clip, fingerprint, told
from operatorlab.audit.trouble import explained, reachable
from operatorlab.errors import BadParameter, UnknownName

_NONE: Mapping[str, object] = {}
_SINGULAR = {
    "runs": "run",
    "sessions": "session",
    "commands": "command",
    "model_calls": "model call",
    "faults": "fault",
}
_LAST_COLUMN = {
    "runs": "ended_at",
    "sessions": "ended_at",
    "commands": "ended_at",
    "model_calls": "duration_s",
    "faults": "healed_at",
}
_ENDED_TWICE = ("runs", "faults")  # taking down and healing may be repeated; the first time counts


class AuditStore(Journal):
    """The audit file, open for writing (or `readonly=True`). Use one a thread; never await inside `atomic()`."""

    def __repr__(self) -> str:
        shown = str(self.path)
        return f"<AuditStore {shown if len(shown) <= 80 else '…' + shown[-79:]}>"

    def _repr_html_(self) -> str:
        return draw(self.path, self.counts(), self.head())

    # ── runs ───────────────────────────────────────────────────────────────────────────────────

    def begin_run(
        self,
        run_id: str,
        subject: str,
        deployment: str,
        folder: str,
        seed: int | None = None,
        owner_pid: int | None = None,
        owner_started: float | None = None,
        options: Mapping[str, object] = _NONE,
    ) -> str:
        """Record that a lab was started; returns `run_id`."""
        row = {"id": run_id, "subject": subject, "deployment": deployment, "folder": str(folder), "seed": seed}
        owner = {"owner_pid": owner_pid, "owner_started": owner_started, "options": self.json(options)}
        return self._begin("run.started", row | owner | self._now("started"))

    def end_run(self, run_id: str, how: str) -> None:
        """Record how a lab ended."""
        self._end("run.ended", run_id, {"ended_how": how} | self._now("ended"))

    # ── sessions ───────────────────────────────────────────────────────────────────────────────

    def begin_session(self, run: str, incident: str, brain: str, model: str, pid: int | None) -> str:
        """Record that an agent starts on an incident; returns the session's id."""
        row = {"id": _new_id(), "run": run, "incident": incident, "brain": brain, "model": model, "pid": pid}
        return self._begin("session.started", row | self._now("started"))

    def end_session(
        self,
        session: str,
        outcome: str,
        report: Mapping[str, object] | None = None,
        error: str | None = None,
        turns: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_usd: float = 0.0,
    ) -> None:
        """Record how a session ended. ValueError if it had ended before."""
        row = {"outcome": outcome, "report": None if report is None else self.json(report), "error": error}
        usage = {"turns": turns, "input_tokens": input_tokens, "output_tokens": output_tokens, "cost_usd": cost_usd}
        self._end("session.ended", session, row | usage | self._now("ended"))

    def close_dead_sessions(self, alive: Callable[[int], bool]) -> list[str]:
        """Mark sessions whose process is gone as `crashed`; returns their ids.

        `alive` is asked about the pid of each that has not ended; those without a pid are left alone.
        """
        with self.atomic():
            open_ = self.rows("select id, pid from sessions where ended_at is null and pid is not null")
            dead = [str(row["id"]) for row in open_ if not alive(row["pid"])]
            for session in dead:
                why = {"outcome": "crashed", "error": "its process ended without a word"}
                self._end("session.ended", session, why | self._now("ended"))
        return dead

    # ── commands ───────────────────────────────────────────────────────────────────────────────

    def begin_command(self, session: str, command: str, reasoning: str) -> str:
        """Record a command before it starts; returns its id. Committed on return, unless inside `atomic()`."""
        row = {"id": _new_id(), "run": self._run_of(session), "session": session}
        said = {"command": command, "reasoning": reasoning}
        return self._begin("command.started", row | said | self._now("started"))

    def end_command(
        self,
        command_id: str,
        exit_code: int | None,
        duration_s: float,
        stdout: str,
        stderr: str,
        dropped_bytes: int = 0,
        timed_out: bool = False,
    ) -> None:
        """Record a command's end. Output beyond OUTPUT_LIMIT loses its middle, counted in `dropped_bytes`."""
        out, out_dropped = clip(self.redact(stdout))
        err, err_dropped = clip(self.redact(stderr))
        row = {
            "exit_code": exit_code,
            "duration_s": duration_s,
            "timed_out": int(timed_out),
            "stdout": out,
            "stderr": err,
        }
        dropped = {
            "dropped_bytes": dropped_bytes + out_dropped + err_dropped,
            "ended_at": self._now("ended")["ended_at"],
        }
        self._end("command.ended", command_id, row | dropped)

    # ── model calls ────────────────────────────────────────────────────────────────────────────

    def begin_model_call(self, session: str, model: str) -> str:
        """Record that a model is being asked; returns the call's id."""
        row = {"id": _new_id(), "run": self._run_of(session), "session": session, "model": model}
        return self._begin("model_call.started", row | self._now("started"))

    def end_model_call(self, call_id: str, call: ModelCall) -> None:
        """Record a model's answer: its content, usage and price, or the error it ended with."""
        row = {name: getattr(call, name) for name in ModelCall.__slots__}
        row["content"] = None if call.content is None else self.json(call.content)
        self._end("model_call.ended", call_id, row)

    # ── faults and clients ─────────────────────────────────────────────────────────────────────

    def begin_fault(self, run: str, name: str, target: str, truth: object) -> str:
        """Record that a fault is about to be injected, with its ground truth; returns its id."""
        row = {"id": _new_id(), "run": run, "name": name, "target": target, "truth": self.json(truth)}
        return self._begin("fault.injected", row | self._now("injected"))

    def set_fault_memo(self, fault_id: str, memo: Mapping[str, object]) -> None:
        """Keep what the fault needs to be healed later, perhaps by another process."""
        self._change("fault.memo", fault_id, {"memo": self.json(memo)})

    def end_fault(self, fault_id: str) -> None:
        """Record that a fault was healed."""
        self._end("fault.healed", fault_id, self._now("healed"))

    def add_client_samples(self, run: str, samples: Iterable[ClientSample]) -> int:
        """Record what clients saw; returns how many samples."""
        rows = [_sample_row(run, sample) for sample in samples]
        if rows:
            with self.atomic():
                for row in rows:
                    self._insert("client_samples", row)
                about = {"samples": len(rows), "content": fingerprint(self.json(rows))}
                self.append("clients.sampled", about, run=run)
        return len(rows)

    # ── checking and copying ───────────────────────────────────────────────────────────────────

    def verify(self, pinned: str = "") -> ChainReport:
        """Check the chain, then every record against the events that tell of it.

        `pinned` is a `head()` noted earlier: with it, a tail that was cut off is noticed too.
        """
        with self.snapshot():
            report = super().verify(pinned)
            wrong = disagreement(self) if report.ok else None
        return report if wrong is None else replace(report, ok=False, broken_at=wrong.seq, why=wrong.why)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {name: self.rows(f"select count(*) as n from {name}")[0]["n"] for name in TABLES}  # noqa: S608  our names

    def damage(self) -> tuple[str, ...]:
        """What SQLite's own full check finds wrong with the file; empty when it is sound."""
        with explained(self.path):
            found = tuple(str(row[0]) for row in self.db.execute("pragma integrity_check"))
        return () if found == ("ok",) else found

    def backup(self, target: Path) -> None:
        """Copy the whole file, as of now, to a new file; writers need not stop. BadParameter if `target` exists."""
        with reachable(target):
            if target.exists():
                raise BadParameter(f"{target} exists already", next_step="name a file that does not exist")
        try:
            with explained(target), closing(sqlite3.connect(target)) as copy:
                self.db.conn.backup(copy)
        except BaseException:
            target.unlink(missing_ok=True)  # half a copy would look like a whole one
            raise

    # ── how ────────────────────────────────────────────────────────────────────────────────────

    def _now(self, what: str) -> dict[str, object]:
        now = self.clock.now()
        return {f"{what}_at": timestamp(now.at), f"{what}_mono": now.monotonic}

    def _run_of(self, session: str) -> str:
        rows = self.rows("select run from sessions where id = :id", {"id": session})
        if not rows:
            raise UnknownName("session", session, ())
        return str(rows[0]["run"])

    def _begin(self, kind: str, row: Mapping[str, object]) -> str:
        """Insert a record with its event; its id."""
        row = self._clean(row)
        with self.atomic():
            self._insert(TABLE_OF[kind], row)
            self._tell(kind, row)
        return str(row["id"])

    def _end(self, kind: str, id_: str, row: Mapping[str, object]) -> None:
        """Write the closing columns, once: a record that has ended keeps its first end."""
        table = TABLE_OF[kind]
        with self.atomic():
            if self._record(table, id_)[_LAST_COLUMN[table]] is None:
                self._change(kind, id_, row)
            elif table not in _ENDED_TWICE:
                raise ValueError(f"{table} {id_} has ended already")

    def _change(self, kind: str, id_: str, row: Mapping[str, object]) -> None:
        table, row = TABLE_OF[kind], self._clean(row)
        with self.atomic():
            record = self._record(table, id_)
            changes = ", ".join(f"{name} = :{name}" for name in row)
            # Names come from this file, values are bound.
            self.db.execute(f"update {table} set {changes} where id = :id", {**row, "id": id_})  # noqa: S608  see above
            self._tell(kind, {"id": id_, **row}, record)

    def _tell(self, kind: str, row: Mapping[str, object], record: Mapping[str, object] = _NONE) -> None:
        """Append the event for `row`, as part of the run and session it belongs to."""
        whole, table = {**record, **row}, TABLE_OF[kind]
        run = whole["id"] if table == "runs" else whole["run"]
        session = whole["id"] if table == "sessions" else whole.get("session")
        payload = canonical({name: told(name, value) for name, value in row.items()})
        self._append(kind, payload, run=str(run), session=cast("str | None", session), ticket=None, at=None)

    def _record(self, table: str, id_: str) -> dict[str, Any]:
        rows = self.rows(f"select * from {table} where id = :id", {"id": id_})  # noqa: S608  a name from this file
        if not rows:
            raise UnknownName(_SINGULAR[table], id_, ())
        return rows[0]

    def _clean(self, row: Mapping[str, object]) -> dict[str, object]:
        """`row` redacted; JSON columns were redacted when they were made."""
        return {
            name: self.redact(value) if isinstance(value, str) and name not in JSON_COLUMNS else value
            for name, value in row.items()
        }


def _new_id() -> str:
    return str(ULID())


def _sample_row(run: str, sample: ClientSample) -> dict[str, object]:
    row = {name: getattr(sample, name) for name in ClientSample.__slots__}
    mono = row.pop("monotonic")
    return {"run": run, **row, "at": timestamp(sample.at), "mono": mono}
