"""Evidence and scores of an earlier version are read, and computed again byte for byte."""

import json
from pathlib import Path

import pytest

from eval.canonical import canonical
from eval.evidence import Evidence
from eval.score import score

STORED = [
    pytest.param(version, stored, id=f"{version}-{json.loads(stored['score'])['verdict']}")
    for version in (1, 2, 3)
    for line in Path(__file__).with_name(f"version_{version}.jsonl").read_text().splitlines()
    for stored in [json.loads(line)]
]


@pytest.mark.parametrize(("version", "stored"), STORED)
def test_evidence_of_an_earlier_version_gives_the_bytes_it_gave(version, stored):
    evidence = Evidence.model_validate_json(stored["evidence"])
    assert evidence.version == version
    assert canonical(score(evidence)) == stored["score"]
    again = Evidence.model_validate_json(canonical(evidence))
    assert canonical(score(again)) == stored["score"]
