"""One HTML file of a campaign. It opens offline: no script, no font, no picture from elsewhere.

Drawn by an autoescaping template; whatever a model, a log or a command wrote passes `visible` on its way in, and a
content security policy forbids scripts and every load from a network.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from eval.charts import cost_chart, survival_chart
from eval.file import CampaignFile
from eval.score import Score
from eval.story import tell
from eval.summary import attempts, by_variant, failures, matrix
from operatorlab.text import visible

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent


def write_report(file: CampaignFile, target: Path) -> Path:
    """Write the report of `file` to `target` and return it."""
    target.write_text(page(file), encoding="utf-8")
    return target


def page(file: CampaignFile) -> str:
    """The whole page."""
    scores = file.scores()
    stories = {one.trial.id: tell(one, file.audit_of(one.trial.id)) for one in file.evidence()}
    return _template().render(
        title=f"{file.campaign.name}: {file.done} of {file.total} trials",
        name=file.name, campaign=file.campaign, runs=file.runs(), rows=by_variant(scores), cells=matrix(scores),
        variants=list(dict.fromkeys(score.variant for score in scores)),
        attempts=[a for a in attempts(scores) if a.k > 1],
        bad=failures(scores), scores=scores, stories=stories, charts=_charts(scores), of_cell=_of_cell(scores),
    )  # fmt: skip


def _charts(scores: Sequence[Score]) -> list[tuple[str, str]]:
    """Pictures, each with what it shows in words: as data, so that nothing in them can run."""
    found = [survival_chart(scores), cost_chart(scores)]
    return [(base64.b64encode(one.svg.encode()).decode(), one.words) for one in found if one]


def _of_cell(scores: Sequence[Score]) -> dict[tuple[str, str], list[Score]]:
    """The trials of each cell of the matrix."""
    cells: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        cells.setdefault((score.scenario, score.variant), []).append(score)
    return cells


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    css = (files("operatorlab.notebook") / "report.css").read_text() + (_HERE / "templates" / "report.css").read_text()
    environment.globals["css"] = Markup(css)  # noqa: S704  our own files
    return environment.get_template("report.html.j2")
