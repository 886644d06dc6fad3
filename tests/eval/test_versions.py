"""Evidence and scores of an earlier version are read, and computed again byte for byte."""

import json
from pathlib import Path

import pytest

from eval.canonical import canonical
from eval.evidence import Evidence
from eval.score import score

STORED = [json.loads(line) for line in Path(__file__).with_name("version_1.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: json.loads(stored["score"])["verdict"])
def test_evidence_of_version_1_gives_the_bytes_it_gave(stored):
    evidence = Evidence.model_validate_json(stored["evidence"])
    assert evidence.version == 1
    assert canonical(score(evidence)) == stored["score"]
    again = Evidence.model_validate_json(canonical(evidence))
    assert canonical(score(again)) == stored["score"]
