"""The audit file's schema, one step a version. A step, once released, is never edited.

Times: `*_at` is ISO 8601 in UTC, `*_mono` seconds of the monotonic clock of that boot. Columns that
hold JSON are named `payload`, `evidence`, `report`, `truth`, `memo`, `options`, `content`.

`user_version` counts the steps, so that a file of a later version is known even without reading its
record of steps; `application_id` says to whoever finds the file whose it is.
"""

from __future__ import annotations

import sqlite3

from operatorlab.audit.database import Database, Migrations

migrations = Migrations("operatorlab")

APPLICATION_ID = 0x0B5E_12AB
TABLES = ("runs", "incidents", "tickets", "sessions", "commands", "model_calls", "faults", "client_samples", "events")
"""In an order in which each refers only to earlier ones; the log last."""

_TABLES = """
create table runs (
    id text primary key, subject text not null, deployment text not null, folder text not null,
    owner_pid integer, owner_started real, seed integer, options text not null default '{}',
    started_at text not null, started_mono real not null, ended_at text, ended_mono real, ended_how text
) strict;
create table incidents (
    id text primary key, run text not null references runs(id),
    opened_at text not null, opened_mono real not null, closed_at text, closed_mono real
) strict;
create table tickets (
    id text primary key, run text not null references runs(id), incident text not null references incidents(id),
    fingerprint text not null, invariant text not null, component text not null, severity text not null,
    state text not null check (state in ('open', 'investigating', 'verifying', 'resolved', 'escalated', 'self_healed')),
    message text not null, evidence text not null,
    violated_at text not null, violated_mono real not null,
    opened_at text not null, opened_mono real not null,
    last_broken_at text not null, last_broken_mono real not null,
    holding_since_at text, holding_since_mono real,
    claimed_at text, claimed_mono real,
    closed_at text, closed_mono real,
    recurrences integer not null default 0, attempts integer not null default 0,
    lease_session text, lease_granted_mono real, lease_until_mono real, not_before_mono real,
    held_by text, note text not null default ''
) strict;
create unique index one_live_ticket_per_fingerprint on tickets(run, fingerprint)
    where state in ('open', 'investigating', 'verifying', 'escalated');
create table sessions (
    id text primary key, run text not null references runs(id), incident text not null references incidents(id),
    brain text not null, model text not null, pid integer,
    started_at text not null, started_mono real not null, ended_at text, ended_mono real,
    outcome text, report text, error text,
    turns integer not null default 0, input_tokens integer not null default 0,
    output_tokens integer not null default 0, cost_usd real not null default 0
) strict;
create table events (
    seq integer primary key, id text not null unique, run text references runs(id),
    session text, ticket text, at text not null, mono real not null,
    kind text not null, payload text not null, prev text not null, hash text not null unique
) strict;
create index events_by_run on events(run, seq);
create index events_by_session on events(session, seq) where session is not null;
create index events_by_ticket on events(ticket, seq) where ticket is not null;
create trigger events_follow_one_another before insert on events
    when new.seq is not (select coalesce(max(seq), 0) + 1 from events)
      or new.prev is not coalesce((select hash from events order by seq desc limit 1), '')
    begin select raise(abort, 'an event must follow the newest one'); end;
create trigger events_are_never_changed before update on events
    begin select raise(abort, 'events are append-only'); end;
create trigger events_are_never_deleted before delete on events
    begin select raise(abort, 'events are append-only'); end;
create table commands (
    id text primary key, run text not null references runs(id), session text not null references sessions(id),
    command text not null, reasoning text not null,
    started_at text not null, started_mono real not null, ended_at text, duration_s real,
    exit_code integer, timed_out integer, stdout text, stderr text, dropped_bytes integer
) strict;
create table model_calls (
    id text primary key, run text not null references runs(id), session text not null references sessions(id),
    model text not null, started_at text not null, started_mono real not null,
    duration_s real, stop_reason text, content text,
    input_tokens integer not null default 0, output_tokens integer not null default 0,
    cache_read_tokens integer not null default 0, cache_write_tokens integer not null default 0,
    cost_usd real, priced_by text, error text
) strict;
create table faults (
    id text primary key, run text not null references runs(id), name text not null, target text not null,
    truth text not null, memo text,
    injected_at text not null, injected_mono real not null, healed_at text, healed_mono real
) strict;
create table client_samples (
    run text not null references runs(id), at text not null, mono real not null, span_s real not null,
    sent integer not null, allowed integer not null, denied integer not null, errors integer not null,
    p50_s real, p99_s real
) strict;
create index client_samples_by_run on client_samples(run, mono);
create index incidents_by_run on incidents(run);
create index tickets_by_incident on tickets(incident);
create index sessions_by_run on sessions(run);
create index sessions_by_incident on sessions(incident);
create index commands_by_session on commands(session);
create index model_calls_by_session on model_calls(session);
create index faults_by_run on faults(run);
"""

_VIEWS = """
create view tickets_v as
    select t.id, t.run, r.subject, t.invariant, t.component, t.state, t.message, t.opened_at,
           round(t.opened_mono - t.violated_mono, 3) as detect_s,
           round(t.closed_mono - t.opened_mono, 3) as open_s, t.attempts, t.recurrences
    from tickets t join runs r on r.id = t.run;
create view sessions_v as
    select s.id, s.run, r.subject, s.brain, s.model, s.outcome, s.started_at,
           round(s.ended_mono - s.started_mono, 3) as took_s,
           (select count(*) from commands c where c.session = s.id) as commands,
           s.turns, s.input_tokens, s.output_tokens, s.cost_usd, json_extract(s.report, '$.mechanism') as mechanism
    from sessions s join runs r on r.id = s.run;
create view commands_v as
    select c.id, c.run, c.session, s.brain, c.started_at, round(c.duration_s, 3) as took_s,
           c.exit_code, c.timed_out, c.command, c.reasoning, substr(c.stdout, 1, 200) as stdout_head
    from commands c join sessions s on s.id = c.session;
create view faults_v as
    select f.id, f.run, r.subject, f.name, f.target, f.injected_at, f.healed_at,
           t.id as ticket, t.invariant, t.component, t.state,
           round(t.opened_mono - f.injected_mono, 3) as detect_s,
           round(t.closed_mono - f.injected_mono, 3) as recover_s
    from faults f join runs r on r.id = f.run
    left join tickets t on t.id = (
        select first.id from tickets first
        where first.run = f.run and first.opened_mono >= f.injected_mono
          and first.opened_mono <= coalesce(f.healed_mono, first.opened_mono)
        order by first.opened_mono limit 1);
"""


@migrations()
def m001_initial(db: Database) -> None:
    """Runs, incidents, tickets, sessions, events, commands, model calls, faults, client samples."""
    for statement in _split(_TABLES + _VIEWS):
        db.execute(statement)
    db.execute(f"pragma application_id = {APPLICATION_ID}")
    db.execute("pragma user_version = 1")


def _split(script: str) -> list[str]:
    """The statements of `script`; unlike executescript this does not commit the migration's transaction."""
    statements, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements
