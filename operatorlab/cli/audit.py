"""`operatorlab audit`: read the record of everything that was seen, thought and done.

All but `backup` only read, through a connection that cannot write.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from operatorlab.cli.shared import HELP, ListUnlessTold, as_json, print_table
from operatorlab.errors import BadParameter, NotWritable
from operatorlab.home import audit_path

if TYPE_CHECKING:
    from operatorlab.audit.store import AuditStore


@click.group(cls=ListUnlessTold, context_settings=HELP)
def audit() -> None:
    """Read the record of everything that was seen, thought and done.

    \b
    operatorlab audit                       the latest incidents and who worked on them
    operatorlab audit show                  the story of the latest session
    operatorlab audit query "select * from tickets_v" --csv
    sqlite-utils query "$(operatorlab audit path)" "select * from sessions_v"
    """


@audit.command("list")
@click.option("-n", "count", default=20, show_default=True, metavar="N", help="How many; 0 for all.")
@as_json
def list_(count: int, json_: bool) -> None:
    """List the latest incidents and the sessions on them, newest first.

    \b
    operatorlab audit list -n 5
    """
    from operatorlab.audit.reading import Handling, handlings
    from operatorlab.audit.story import harmless, short

    with _open() as store:
        found = handlings(store, count or None)
    if json_:
        _print_json([dataclasses.asdict(handling) for handling in found])
        return

    def line(h: Handling) -> dict[str, object]:
        return {
            "when (UTC)": (h.started_at or h.opened_at)[:19].replace("T", " "),
            "session": short(h.session) if h.session else "nobody yet",
            "run": h.run,
            "tickets": "\n".join(f"{fingerprint} {state}" for fingerprint, state in h.tickets.items()),
            "brain": h.brain,
            "outcome": h.outcome or ("running" if h.session else None),
            "commands": h.commands,
            "took": None if h.took_s is None else f"{h.took_s:.1f} s",
            "cost": None if h.cost_usd is None else f"${h.cost_usd:.4f}",
        }

    if found:
        print_table([{name: harmless("" if v is None else v) for name, v in line(h).items()} for h in found])
    else:
        click.echo("No incidents yet.")


@audit.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("-r", "--report", is_flag=True, help="Only the outcome and the report.")
@click.option("--full", is_flag=True, help="Outputs in all their length.")
@as_json
def show(id_: str | None, report: bool, full: bool, json_: bool) -> None:
    """Tell the story of a session; of every session on a ticket, an incident or a run.

    ID may be short: four or more of its first or last characters. Without ID: the latest session.

    \b
    operatorlab audit show 7QX2MA
    operatorlab audit show -r
    """
    from operatorlab.audit.reading import sessions_named, story_of
    from operatorlab.audit.story import tell, tell_report

    with _open() as store:
        stories = [story_of(store, session) for session in sessions_named(store, id_)]
    if json_:
        wanted = [story.session if report else dataclasses.asdict(story) for story in stories]
        _print_json(wanted)
    elif stories:
        told = [tell_report(story) if report else tell(story, full=full) for story in stories]
        click.echo("\n\n".join(told))
    else:
        click.echo("No session yet.")


@audit.command()
@as_json
def path(json_: bool) -> None:
    """Print the path of the audit file, whether it exists yet or not.

    \b
    datasette "$(operatorlab audit path)"
    """
    if json_:
        _print_json({"path": str(audit_path())})
    else:
        click.echo(audit_path())


@audit.command()
@as_json
@click.pass_context
def status(ctx: click.Context, json_: bool) -> None:
    """Count the rows, check the chain, print its head. Exit code 4 when it is broken.

    \b
    operatorlab audit status --json
    """
    with _open() as store, store.snapshot():
        counts = store.counts()
        report = store.verify()
        bytes_ = store.path.stat().st_size
        file = store.path
    if json_:
        about = {"path": str(file), "bytes": bytes_, "counts": counts, "chain": dataclasses.asdict(report)}
        _print_json(about)
    else:
        click.echo(f"{file}  {bytes_ / 1e6:.1f} MB")
        print_table([{"table": name, "rows": str(count)} for name, count in counts.items()])
        _print_chain(report)
    ctx.exit(0 if report.ok else 4)


@audit.command()
@click.option("--head", "pinned", default="", metavar="SEQ:HASH", help="A head noted earlier, to notice a cut tail.")
@as_json
@click.pass_context
def verify(ctx: click.Context, pinned: str, json_: bool) -> None:
    """Check the file, every hash of the chain and every record against it. Exit code 4 when something is wrong.

    The chain cannot see by itself that its newest events were removed, or that it was rewritten up to its end:
    keep the head that this prints somewhere else, and give it back with --head.

    \b
    operatorlab audit verify --head 1042:9f2c…
    """
    with _open() as store:
        damage = store.damage()
        report = store.verify(pinned) if not damage else None
    ok = report is not None and report.ok
    if json_:
        _print_json({"ok": ok, "damage": damage, "chain": dataclasses.asdict(report) if report else None})
    elif report is None:
        click.echo("The file is damaged:\n" + "\n".join(f"  {line}" for line in damage))
    else:
        _print_chain(report)
    ctx.exit(0 if ok else 4)


@audit.command()
@click.argument("sql")
@as_json
@click.option("--csv", "csv_", is_flag=True, help="Print CSV.")
def query(sql: str, json_: bool, csv_: bool) -> None:
    """Run one SQL query that reads. Tables and views: sqlite-utils tables --views "$(operatorlab audit path)".

    \b
    operatorlab audit query "select invariant, count(*) as n from tickets group by 1"
    """
    from operatorlab.audit.story import harmless

    with _open() as store:
        try:
            rows = store.rows(sql)
        except NotWritable as error:
            raise BadParameter("the audit is only read here: the query would change it") from error
        except (sqlite3.Error, ValueError) as error:
            raise BadParameter(f"the query failed: {error}", next_step="operatorlab audit query --help") from error
    if json_:
        _print_json(rows)
    elif csv_:
        _print_csv(rows)
    else:
        print_table([{harmless(k): "" if v is None else harmless(v) for k, v in row.items()} for row in rows])


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the audit file to FILE, consistently, while others write.

    \b
    operatorlab audit backup audit-2026-11-23.db
    """
    with _open() as store:
        store.backup(file)
    click.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


@audit.command()
@click.option("--run", "run", required=True, metavar="ID", help="The run, by its id or its first or last characters.")
def export(run: str) -> None:
    """Print all of a run as JSON lines: {"table": …, …} for each row, events last and in order.

    \b
    operatorlab audit export --run k7p2mx > run.jsonl
    """
    from operatorlab.audit.migrations import TABLES
    from operatorlab.audit.reading import find_run

    with _open() as store, store.snapshot():
        whole = find_run(store, run)
        for table in TABLES:
            column = "id" if table == "runs" else "run"
            order = "seq" if table == "events" else "rowid"
            sql = f"select * from {table} where {column} = :run order by {order}"  # noqa: S608  names from our schema
            for row in store.rows(sql, {"run": whole}):
                click.echo(json.dumps({"table": table, **row}, ensure_ascii=True))


def _open() -> AuditStore:
    from operatorlab.audit.store import AuditStore

    return AuditStore(readonly=True)


def _print_json(data: object) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=True, default=str))


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    from operatorlab.audit.story import harmless

    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: harmless(v) for k, v in row.items()} if sys.stdout.isatty() else row for row in rows)


def _print_chain(report: Any) -> None:
    if report.ok:
        click.echo(f"chain valid: {report.events} events\nhead {report.head}")
    else:
        where = "" if report.broken_at is None else f" at event {report.broken_at}"
        click.echo(f"BROKEN{where}: {report.why}\nvalid up to {report.head}")
