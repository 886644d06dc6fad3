"""What the notebooks on evaluation call: run a campaign in a cell, and its sums as tables a notebook draws."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from eval.asked import asked
from eval.cli.progress import Bar
from eval.compare import Compared, compare, pair_up
from eval.evidence import Evidence, Trial
from eval.file import CampaignFile, find_campaign, known_campaigns
from eval.run import create, local, run
from eval.score import Score, score
from eval.summary import Row, by_variant, failures, matrix
from operatorlab.audit import AuditStore
from operatorlab.notebook.chart import Figure, timeline
from operatorlab.text import visible


def begin(campaign: str, resume: str = "") -> CampaignFile:
    """A new campaign from a name, a YAML file or a scenario; with `resume`, the one of that name, to go on with."""
    return CampaignFile(find_campaign(resume)) if resume else create(asked(campaign))


async def go(file: CampaignFile, jobs: int = 0) -> str:
    """Run what is left of a campaign in this cell, a line a trial; `jobs` 0: as the campaign says."""
    jobs = jobs or file.campaign.jobs
    bar = Bar(file.total, file.done, lines=sys.stdout)
    how = await run(file, local(file, jobs, bar.phase), jobs, bar.trial)
    print(f"{how}: {bar.rate()}")  # noqa: T201  for the reader of the cell
    return how


async def existing(campaign: str = "", otherwise: str = "smoke") -> CampaignFile:
    """The campaign of that name, without one the latest; where there is none at all, `otherwise` is run first."""
    if campaign or known_campaigns():
        return CampaignFile(find_campaign(campaign or None))
    file = begin(otherwise)
    await go(file)
    return file


def sums(file: CampaignFile) -> pd.DataFrame:
    """One row a variant: rates with n and interval, median times, costs."""
    return pd.DataFrame([_sums(row) for row in by_variant(file.scores())]).set_index("variant")


def cells(file: CampaignFile) -> pd.DataFrame:
    """Scenario by variant: successes of trials, and the verdicts."""
    found = matrix(file.scores())
    return pd.DataFrame({label: {name: _cell(row) for name, row in cell.items()} for label, cell in found.items()}).T


def failed(file: CampaignFile) -> pd.DataFrame:
    """The trials without success, the worst first."""
    columns = ["trial", "scenario", "variant", "verdict", "ended", "outcome"]
    rows = [{name: getattr(one, name) for name in columns} for one in failures(file.scores())]
    return pd.DataFrame([{name: visible(str(value)) for name, value in row.items()} for row in rows], columns=columns)


def compared(file: CampaignFile, one: str, other: str) -> pd.DataFrame:
    """Two variants of a campaign, measure by measure, pair by pair. KeyError for a variant it does not have."""
    lines = compare(pair_up(_judged(file, one), _judged(file, other)))
    return pd.DataFrame([_line(line, one, other) for line in lines]).set_index("measure")


def trial(file: CampaignFile, which: str) -> tuple[Evidence, Score]:
    """A trial by its number or id: its evidence, and the score that follows from it."""
    evidence = file.evidence_of(file.trial_named(which))
    return evidence, score(evidence)


def clock(file: CampaignFile, evidence: Evidence) -> Figure:
    """The trial on one clock, drawn from its own audit."""
    with AuditStore(file.audit_of(evidence.trial.id), readonly=True) as store:
        return timeline(store, str(evidence.run))


def report(file: CampaignFile) -> Path:
    """Write the report of a campaign beside it."""
    from eval.report import write_report

    return write_report(file, file.path.parent / "report.html")


def _judged(file: CampaignFile, variant: str) -> list[tuple[Trial, Score]]:
    found = file.judged(variant)
    if not found:
        raise KeyError(variant)
    return found


def _sums(row: Row) -> dict[str, object]:
    told: Sequence[tuple[str, object]] = [
        ("variant", row.name), ("success", row.success), ("detected", row.detected), ("time to detect", row.detect),
        ("time to repair", row.repair), ("blamed exactly", row.exact), ("harm", row.harm),
        ("cost", "unknown" if row.cost_usd is None else f"${row.cost_usd:.4f}"),
    ]  # fmt: skip
    return {name: str(value) for name, value in told}


def _cell(row: Row) -> str:
    return f"{row.success.k}/{row.n}: " + ", ".join(f"{name} {n}" for name, n in row.verdicts.items())


def _line(line: Compared, one: str, other: str) -> dict[str, object]:
    return {
        "measure": line.measure, "pairs": line.n, one: line.one, other: line.other, "difference": line.difference,
        "low": line.low, "high": line.high, "p": line.p, "p corrected": line.p_corrected,
        "finding": line.finding.value, "pairs needed": line.need,
    }  # fmt: skip
