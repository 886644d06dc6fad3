"""The notebooks on evaluation, headless, on a real campaign."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.file import CampaignFile, find_campaign
from operatorlab.notebook.files import code_cells, load, tags
from operatorlab.notebook.parameters import model_of, parse
from operatorlab.notebook.run import run_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
OURS = sorted(NOTEBOOKS.glob("3*.ipynb"))
QUICK = """
name: quick
scenarios: [{fault: node_crash, target: node-2}]
variants: [runbook, noop]
timing: {detect_s: 8, verify_s: 3, deadline_s: 90}
"""


@pytest.mark.parametrize("notebook", OURS, ids=lambda path: path.stem)
def test_they_are_small_and_clean_and_their_parameters_are_scalars(notebook: Path):
    content = load(notebook)
    cells = code_cells(content)
    assert len(cells) <= 12
    assert all(len(cell.source.splitlines()) <= 10 for cell in cells)
    assert sum("parameters" in tags(cell) for cell in cells) == 1
    assert model_of(notebook).model_fields
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_campaign_runs_in_one_and_is_read_by_the_others(tmp_path: Path):
    campaign = tmp_path / "quick.yaml"
    campaign.write_text(QUICK)
    ran = await headless("30_campaign", tmp_path, campaign=str(campaign), jobs="1")
    assert ran.success, ran.error
    assert ran.result.outcome == "finished"
    with CampaignFile(find_campaign("quick")) as file:
        assert file.done == file.total == 2
        assert (file.path.parent / "report.html").exists()
    again = await headless("30_campaign", tmp_path / "again", resume="quick")
    assert again.success, again.error
    compared, shown = await asyncio.gather(
        headless("31_compare", tmp_path, campaign="quick"), headless("32_trial", tmp_path, campaign="quick", trial="1")
    )
    assert compared.success, compared.error
    assert compared.result.model_extra["pairs"] == 1
    assert shown.success, shown.error
    assert shown.result.outcome == "unfixed"


async def headless(name: str, folder: Path, **given: str):
    notebook = NOTEBOOKS / f"{name}.ipynb"
    parameters = parse(model_of(notebook), given)
    return await run_notebook(notebook, parameters, folder=folder / name, timeout_s=200, report=True, progress=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_papermill_alone_runs_the_smoke_campaign(tmp_path: Path, own_home: Path):
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "notebooks/30_campaign.ipynb", str(out),
               "-p", "campaign", "eval/campaigns/smoke.yaml", "--no-progress-bar"]  # fmt: skip
    ran = subprocess.run(
        command, cwd=NOTEBOOKS.parent, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "OPERATORLAB_HOME": str(own_home)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    with CampaignFile(find_campaign("smoke")) as file:
        assert file.done == file.total == 6
        assert sum(score.success for score in file.scores()) >= 4
