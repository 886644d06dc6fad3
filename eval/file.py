"""The campaign file: one SQLite file that holds what was asked for, every trial of it, its evidence and its score.

    campaign.db     campaign, trials, evidence, scores, runs
    audits/         one audit file a trial, `<trial>.db`: everything that was seen, thought and done in it
    workers/        what the workers printed

A trial's evidence is written once, in one transaction: a trial that has none was not run, whatever happened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eval.campaign import Campaign
from eval.canonical import canonical
from eval.evidence import Evidence, Trial
from eval.judge import Judgement
from eval.score import Score, score
from operatorlab import __version__, home
from operatorlab.audit.database import Database
from operatorlab.errors import BadParameter, OperatorLabError, UnknownName

FORMAT = 4
"""The highest version of evidence in it. A file of an earlier format is read as it is, until trials are run in it."""
_BUSY_S = 30.0
_SHORTEST_ID = 6
_APPLICATION_ID = 0x0B5E_12EC
_SCHEMA = """
create table campaign (one integer primary key check (one = 1), name text not null, content text not null,
    version text not null, created_at text not null) strict;
create table trials (id text primary key, number integer not null unique, scenario text not null, label text not null,
    variant text not null, repeat integer not null, seed integer not null, content text not null) strict;
create table evidence (trial text primary key references trials(id), ended text not null, content text not null,
    stored_at text not null) strict;
create table scores (trial text primary key references evidence(trial), version integer not null, verdict text,
    success integer not null, content text not null) strict;
create table runs (id integer primary key, started_at text not null, ended_at text, jobs integer not null,
    executor text not null, how text) strict;
create view results as select t.number, t.id, t.label, t.variant, t.repeat, e.ended, s.verdict, s.success,
    s.content ->> '$.outcome' as outcome, s.content ->> '$.detection.detect_s' as detect_s,
    s.content ->> '$.repair.repair_s' as repair_s, s.content ->> '$.commands.total' as commands,
    s.content ->> '$.cost.cost_usd' as cost_usd
    from trials t left join evidence e on e.trial = t.id left join scores s on s.trial = t.id;
"""
_JUDGEMENTS = """
create table if not exists judgements (trial text not null references evidence(trial), judge text not null, grade text,
    content text not null, stored_at text not null, primary key (trial, judge)) strict
"""
"""Made when there is one: most campaigns are never judged by a model."""


class CampaignFile:
    """One campaign on disk. Use one a thread; one process at a time runs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = _opened(path)

    def __repr__(self) -> str:
        return f"<CampaignFile {self.path.parent.name}: {self.done} of {self.total} trials>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    @classmethod
    def create(cls, campaign: Campaign, trials: list[Trial], folder: Path | None = None) -> CampaignFile:
        """A new campaign with all its trials, none of them run. BadParameter if `folder` holds one."""
        folder = home.make_folder(folder or campaigns_folder() / home.new_run_id(campaign.name))
        path = folder / "campaign.db"
        if path.exists():
            raise BadParameter(
                f"there is a campaign in {folder} already", next_step=f"operatorlab eval resume {folder}"
            )
        for name in ("audits", "workers"):
            home.make_folder(folder / name)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _create(fresh, campaign, trials)
        fresh.replace(path)  # half a list of trials would look like a whole one
        return cls(path)

    # ── what was asked for ─────────────────────────────────────────────────────────────────────

    @property
    def campaign(self) -> Campaign:
        """What was asked for."""
        return Campaign.model_validate_json(self._one("select content from campaign"))

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.parent.name

    @property
    def total(self) -> int:
        """How many trials there are."""
        return int(self._one("select count(*) from trials"))

    @property
    def done(self) -> int:
        """How many have evidence."""
        return int(self._one("select count(*) from evidence"))

    def trials(self) -> list[Trial]:
        """Every trial, in order."""
        return [Trial.model_validate_json(text) for (text,) in self._rows("select content from trials order by number")]

    def open_trials(self) -> list[Trial]:
        """The trials without evidence, in order."""
        sql = "select content from trials where id not in (select trial from evidence) order by number"
        return [Trial.model_validate_json(text) for (text,) in self._rows(sql)]

    def trial_named(self, short: str) -> str:
        """The id of the trial with this number, or whose id begins so. UnknownName, or BadParameter if several do."""
        rows = []
        if short.isdecimal() and len(short) < _SHORTEST_ID:
            rows = [row[0] for row in self._rows("select id from trials where number = ?", int(short))]
        rows = rows or [row[0] for row in self._rows("select id from trials where id like ? || '%'", short)]
        if not rows:
            known = [row[0] for row in self._rows("select id from trials order by number limit 8")]
            raise UnknownName("trial", short, known, next_step=f"operatorlab eval show {self.name}")
        if len(rows) > 1:
            raise BadParameter(f"{short!r} fits {len(rows)} trials", next_step="give more of the id")
        return str(rows[0])

    # ── what came out of it ────────────────────────────────────────────────────────────────────

    def audit_of(self, trial: str) -> Path:
        """Where the audit of a trial is, or will be."""
        return self.path.parent / "audits" / f"{trial}.db"

    def store(self, evidence: Evidence) -> Score:
        """Keep the evidence of a trial with its score, once. BadParameter if it has evidence already."""
        judged = score(evidence)
        with self._atomic():
            if self._rows("select 1 from evidence where trial = ?", evidence.trial.id):
                raise BadParameter(f"the trial {evidence.trial.id} was stored before")
            row = (evidence.trial.id, evidence.ended.value, canonical(evidence), _now())
            self.db.execute("insert into evidence (trial, ended, content, stored_at) values (?, ?, ?, ?)", row)
            self._write_score(judged)
        return judged

    def evidence(self) -> Iterator[Evidence]:
        """The evidence there is, in the order of the trials."""
        sql = "select e.content from evidence e join trials t on t.id = e.trial order by t.number"
        for (text,) in self._rows(sql):
            yield Evidence.model_validate_json(text)

    def evidence_of(self, trial: str) -> Evidence:
        """The evidence of one trial, by its whole id. BadParameter if it was not run."""
        rows = self._rows("select content from evidence where trial = ?", trial)
        if not rows:
            raise BadParameter(f"the trial {trial} was not run yet", next_step=f"operatorlab eval resume {self.name}")
        return Evidence.model_validate_json(rows[0][0])

    def scores(self) -> list[Score]:
        """The scores as they are stored, in the order of the trials."""
        sql = "select s.content from scores s join trials t on t.id = s.trial order by t.number"
        return [Score.model_validate_json(text) for (text,) in self._rows(sql)]

    def judged(self, variant: str | None = None) -> list[tuple[Trial, Score]]:
        """The trials that have a score, with it, in order; of one variant, if one is named."""
        scores = {score.trial: score for score in self.scores()}
        trials = (trial for trial in self.trials() if trial.id in scores and variant in {None, trial.variant.name})
        return [(trial, scores[trial.id]) for trial in trials]

    def rescore(self) -> tuple[int, int]:
        """Compute every score again from its evidence: how many there are, and how many changed."""
        changed = total = 0
        for evidence in list(self.evidence()):
            judged = score(evidence)
            old = self._rows("select content from scores where trial = ?", evidence.trial.id)
            total += 1
            if not old or old[0][0] != canonical(judged):
                changed += 1
                with self._atomic():
                    self._write_score(judged)
        return total, changed

    # ── what a model thinks of it ──────────────────────────────────────────────────────────────

    def keep(self, judged: Judgement) -> None:
        """Keep what a judge said of a trial, beside its score. A later answer of the same judge takes its place."""
        with self._atomic():
            self.db.execute(_JUDGEMENTS)
            row = (judged.trial, judged.judge, judged.grade, canonical(judged), _now())
            self.db.execute("insert or replace into judgements values (?, ?, ?, ?, ?)", row)

    def judgements(self, judge: str) -> list[Judgement]:
        """What this judge said, in the order of the trials."""
        if not self._rows("select 1 from sqlite_schema where name = 'judgements'"):
            return []
        sql = "select j.content from judgements j join trials t on t.id = j.trial where judge = ? order by t.number"
        return [Judgement.model_validate_json(text) for (text,) in self._rows(sql, judge)]

    # ── who ran it ─────────────────────────────────────────────────────────────────────────────

    def begin_run(self, jobs: int, executor: str) -> int:
        """Note that trials are being run now; the id of that run."""
        with self._atomic():
            row = (_now(), jobs, executor)
            cursor = self.db.execute("insert into runs (started_at, jobs, executor) values (?, ?, ?)", row)
            self.db.execute(f"pragma user_version = {FORMAT}")  # whoever cannot read what comes now shall be told
        return int(cursor.lastrowid or 0)

    def end_run(self, run: int, how: str) -> None:
        """Note how it ended."""
        with self._atomic():
            self.db.execute("update runs set ended_at = ?, how = ? where id = ?", (_now(), how, run))

    def runs(self) -> list[Mapping[str, Any]]:
        """Every run, in order."""
        return list(self.db.query("select * from runs order by id"))

    # ── how ────────────────────────────────────────────────────────────────────────────────────

    def _write_score(self, judged: Score) -> None:
        row = (judged.trial, judged.version, judged.verdict, int(judged.success), canonical(judged))
        self.db.execute(
            "insert or replace into scores (trial, version, verdict, success, content) values (?, ?, ?, ?, ?)", row
        )

    @contextmanager
    def _atomic(self) -> Iterator[None]:
        with _transaction(self.db):
            yield

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return list(self.db.execute(sql, values).fetchall())

    def _one(self, sql: str) -> Any:
        return self._rows(sql)[0][0]


def campaigns_folder() -> Path:
    """Where campaigns are kept unless a folder is named."""
    return home.home() / "campaigns"


def known_campaigns() -> list[Path]:
    """The campaign files of this machine, what was begun or gone on with last first."""
    return sorted(campaigns_folder().glob("*/campaign.db"), key=_begun_at, reverse=True)


def _begun_at(path: Path) -> str:
    """When it was last run, or else made; empty if it cannot be read. The file's own times change when it is read."""
    begun = "select max(at) from (select created_at as at from campaign union all select started_at from runs)"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(begun).fetchone()[0] or ""
    except sqlite3.Error:
        return ""


def find_campaign(short: str | None = None) -> Path:
    """The campaign file of that name, beginning of a name, folder or path; without one, the latest."""
    if short and (path := Path(short)).exists():
        return path / "campaign.db" if path.is_dir() else path
    known = known_campaigns()
    fitting = [path for path in known if path.parent.name.startswith(short or "")]
    if not fitting:
        names = [path.parent.name for path in known]
        raise UnknownName("campaign", short or "latest", names, next_step="operatorlab eval run smoke")
    return fitting[0]


def _create(path: Path, campaign: Campaign, trials: list[Trial]) -> None:
    db = Database(sqlite3.connect(path, timeout=_BUSY_S))
    try:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                db.execute(statement)
        with _transaction(db):
            row = (campaign.name, canonical(campaign), __version__, _now())
            db.execute("insert into campaign (one, name, content, version, created_at) values (1, ?, ?, ?, ?)", row)
            for trial in trials:
                db.execute("insert into trials values (?, ?, ?, ?, ?, ?, ?, ?)", _trial_row(trial))
        db.execute(f"pragma application_id = {_APPLICATION_ID}")
        db.execute(f"pragma user_version = {FORMAT}")
    finally:
        db.close()


def _trial_row(trial: Trial) -> tuple[object, ...]:
    scenario = trial.scenario
    of = (scenario.id, scenario.label, trial.variant.name, trial.repeat, scenario.seed)
    return (trial.id, trial.number, *of, canonical(trial))


def _opened(path: Path) -> Database:
    if not path.is_file():
        raise BadParameter(f"there is no campaign file at {path}", next_step="operatorlab eval list")
    db = Database(sqlite3.connect(path, timeout=_BUSY_S))
    try:
        ours, version = (db.execute(f"pragma {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if ours != _APPLICATION_ID:
            raise BadParameter(f"{path} is no campaign file", next_step="operatorlab eval list")
        if version > FORMAT:
            raise OperatorLabError(f"{path} was written by a later version", next_step="pip install -U operatorlab")
        db.enable_wal()
        db.execute("pragma synchronous = normal")
        db.execute("pragma foreign_keys = on")
    except sqlite3.DatabaseError as trouble:
        db.close()
        raise BadParameter(f"{path} is no campaign file: {trouble}") from trouble
    except OperatorLabError:
        db.close()
        raise
    return db


@contextmanager
def _transaction(db: Database) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
