"""What docs/evaluation.md says is there, is there."""

import re
from pathlib import Path

import pytest
import yaml

from eval.campaign import expand, parse_campaign
from eval.cli import evaluation
from eval.given import Hints, Prompt, Tools
from eval.score import Verdict
from eval.variant import Variant, named

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "evaluation.md").read_text()


def test_every_command_and_verdict_is_documented():
    assert [name for name in evaluation.list_commands(None) if f"`operatorlab eval {name}" not in DOCS] == []
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in DOCS] == []


@pytest.mark.parametrize("model", [Variant, Prompt, Hints, Tools])
def test_everything_a_variant_can_say_is_documented(model):
    assert [name for name in model.model_fields if not re.search(rf"\b{name}\b", DOCS)] == []


def test_the_campaign_in_the_docs_can_be_run():
    wanted = yaml.safe_load(_yaml_in_the_docs()[0])
    wanted["scenarios"] = [one for one in wanted["scenarios"] if "composite" not in one]  # a subject may have none
    wanted["scenarios"] = [one for one in wanted["scenarios"] if one != {"fault": "node_crash", "target": "node-2"}]
    assert len(expand(parse_campaign(yaml.safe_dump(wanted)))) > 100


def test_the_variant_in_the_docs_can_be_had(tmp_path: Path):
    (tmp_path / "careful.md").write_text("Be careful.")
    (tmp_path / "careful.yaml").write_text(_yaml_in_the_docs()[1])
    assert named(str(tmp_path / "careful.yaml")).instructions().text == "Be careful."


def _yaml_in_the_docs() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


def test_every_file_of_the_package_is_in_its_readme():
    told = (ROOT / "eval" / "README.md").read_text()
    files = [path.name for path in (ROOT / "eval").glob("*.py") if path.name not in {"__init__.py", "canonical.py"}]
    assert [name for name in files if f"`{name}`" not in told] == []


def test_nothing_in_the_lab_knows_the_evaluation_but_its_command():
    for folder in ("operatorlab", "subjects"):
        for path in (ROOT / folder).rglob("*.py"):
            knows = re.search(r"^\s*(from|import) eval\b", path.read_text(), re.MULTILINE)
            assert not knows or path.parts[-2:] == ("cli", "eval.py"), path
