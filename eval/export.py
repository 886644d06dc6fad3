"""A campaign in other formats: one table of trials as CSV, Parquet or JSON lines, or a folder of logs for Inspect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from eval.canonical import canonical
from eval.evidence import Evidence
from eval.file import CampaignFile
from eval.frames import frames_of
from eval.inspect_log import write_logs
from eval.score import Score
from operatorlab.errors import BadParameter, MissingProgram

INSPECT = "inspect"
FORMATS = ("csv", "parquet", "json", INSPECT)


def export(file: CampaignFile, target: Path, kind: str) -> int:
    """Write the trials to `target`; how many. BadParameter if it exists, MissingProgram if a library is not there."""
    if target.exists():
        raise BadParameter(f"{target} exists already", next_step="name a file that does not exist")
    if kind == INSPECT:
        return write_logs(file, target)
    evidence, scores = list(file.evidence()), file.scores()
    _WRITERS[kind](evidence, scores, target)
    return len(evidence)


def _csv(evidence: Sequence[Evidence], scores: Sequence[Score], target: Path) -> None:
    frames_of(evidence, scores).trials.to_csv(target, index=False)


def _parquet(evidence: Sequence[Evidence], scores: Sequence[Score], target: Path) -> None:
    try:
        frames_of(evidence, scores).trials.to_parquet(target, index=False)
    except ImportError as missing:
        raise MissingProgram("Parquet needs pyarrow", next_step="pip install 'operatorlab[parquet]'") from missing


def _json(evidence: Sequence[Evidence], scores: Sequence[Score], target: Path) -> None:
    """One object a line: the evidence and the score, whole."""
    judged = {score.trial: score for score in scores}
    with target.open("w", encoding="utf-8") as lines:
        for one in evidence:
            whole = {"evidence": json.loads(canonical(one)), "score": json.loads(canonical(judged[one.trial.id]))}
            lines.write(json.dumps(whole, ensure_ascii=False) + "\n")


_WRITERS = {"csv": _csv, "parquet": _parquet, "json": _json}
