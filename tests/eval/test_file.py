"""The campaign file: every trial once, evidence as it was, scores that can be computed again."""

import sqlite3
from pathlib import Path

import pytest

from eval.campaign import expand, parse_campaign
from eval.canonical import canonical
from eval.evidence import Evidence
from eval.file import FORMAT, CampaignFile, find_campaign, known_campaigns
from operatorlab.errors import BadParameter, OperatorLabError, UnknownName

CAMPAIGN = parse_campaign("{name: mine, scenarios: [{fault: node_crash}], variants: [noop, runbook], repeats: 3}")


@pytest.fixture
def file(tmp_path: Path):
    with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN), tmp_path / "mine") as file:
        yield file


def test_what_was_asked_for_is_kept(file):
    assert file.campaign == CAMPAIGN
    assert file.trials() == file.open_trials() == expand(CAMPAIGN)
    assert (file.total, file.done) == (6, 0)


def test_evidence_is_stored_once_and_as_it_was(file, make):
    trial = file.trials()[1]
    evidence = make.evidence(trial=trial)
    judged = file.store(evidence)
    assert file.evidence_of(trial.id) == evidence
    assert file.scores() == [judged]
    assert trial not in file.open_trials()
    with pytest.raises(BadParameter, match="stored before"):
        file.store(make.evidence(trial=trial, run="another"))
    assert file.evidence_of(trial.id) == evidence


def test_evidence_of_a_trial_that_is_not_in_the_campaign_is_refused(file, make):
    with pytest.raises(sqlite3.IntegrityError):
        file.store(make.evidence())
    assert file.done == 0


def test_scores_are_computed_again_byte_for_byte(file, make):
    for trial in file.trials():
        file.store(make.evidence(trial=trial))
    before = list(file.db.execute("select * from scores order by trial"))
    assert file.rescore() == (6, 0)
    assert list(file.db.execute("select * from scores order by trial")) == before

    file.db.execute("begin")
    file.db.execute("update scores set content = '{}', verdict = 'worse' where trial = ?", [file.trials()[0].id])
    file.db.execute("delete from scores where trial = ?", [file.trials()[1].id])
    file.db.execute("commit")
    assert file.rescore() == (6, 2)
    assert list(file.db.execute("select * from scores order by trial")) == before


def test_a_campaign_of_an_earlier_version_is_read_and_scored_to_the_same_bytes(tmp_path: Path):
    evidence, scored = Path(__file__).with_name("evidence-1.json").read_text().splitlines()
    old = Evidence.model_validate_json(evidence)
    assert (old.version, old.sessions[0].equipped) == (1, None)
    with CampaignFile.create(CAMPAIGN, [old.trial], tmp_path / "old") as file:
        file.db.execute("pragma user_version = 1")
        row = (old.trial.id, evidence, scored)
        file.db.execute("insert into evidence values (?, 'finished', ?, 'then')", row[:2])
        file.db.execute("insert into scores values (?, 1, 'fixed_clean', 1, ?)", (row[0], row[2]))
    with CampaignFile(file.path) as file:
        assert file.rescore() == (1, 0)
        assert list(file.db.execute("select content from scores")) == [(scored,)]
        assert list(file.db.execute("pragma user_version")) == [(1,)]
        file.begin_run(1, "local")  # what comes now, an earlier version cannot read
        assert list(file.db.execute("pragma user_version")) == [(FORMAT,)]


def test_the_file_is_read_by_anything_that_reads_sqlite(file, make):
    file.store(make.evidence(trial=file.trials()[0]))
    rows = list(file.db.query("select number, label, variant, verdict, repair_s from results order by number limit 2"))
    assert rows[0] == {
        "number": 0, "label": "node_crash@node-1", "variant": "noop", "verdict": "fixed_clean", "repair_s": 4.0,
    }  # fmt: skip
    assert rows[1]["verdict"] is None


def test_trials_are_named_by_number_or_by_the_beginning_of_their_id(file):
    trial = file.trials()[4]
    assert file.trial_named("4") == file.trial_named(trial.id[:6]) == trial.id
    with pytest.raises(UnknownName):
        file.trial_named("zzz")
    with pytest.raises(BadParameter, match="was not run yet"):
        file.evidence_of(trial.id)


def test_the_latest_campaign_is_the_one_that_was_begun_last_whichever_was_read_since(tmp_path: Path):
    paths = []
    for _ in range(2):
        with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN)) as file:
            paths.append(file.path)
            file.db.execute("update campaign set created_at = ?", [f"2026-01-0{len(paths)}T00:00:00.000+00:00"])
            file.db.conn.commit()
    with CampaignFile(paths[0]) as file:
        file.rescore()
    assert find_campaign() == paths[1]
    with CampaignFile(paths[0]) as file:
        file.begin_run(1, "local")
    assert known_campaigns() == paths


def test_campaigns_are_found_by_name_or_folder_and_the_latest_without(tmp_path: Path):
    with pytest.raises(UnknownName, match="operatorlab eval run"):
        find_campaign()
    with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN)) as file:
        assert known_campaigns() == [file.path]
        assert find_campaign() == find_campaign("mine-") == find_campaign(str(file.path.parent)) == file.path
        with pytest.raises(BadParameter, match="there is a campaign in"):
            CampaignFile.create(CAMPAIGN, expand(CAMPAIGN), file.path.parent)


def test_what_is_no_campaign_file_is_refused(tmp_path: Path, file):
    other = tmp_path / "other.db"
    for content in (b"", b"no database at all, but long enough to be taken for one by its size" * 20):
        other.write_bytes(content)
        with pytest.raises(BadParameter, match="no campaign file"):
            CampaignFile(other)
    with pytest.raises(BadParameter, match="there is no campaign file"):
        CampaignFile(tmp_path / "none.db")
    file.db.execute("pragma user_version = 9")
    with pytest.raises(OperatorLabError, match="later version"):
        CampaignFile(file.path)


def test_a_file_of_an_earlier_version_is_read_and_becomes_ours_when_it_is_gone_on_with(file):
    file.db.execute("pragma user_version = 1")
    with CampaignFile(file.path) as same:
        assert same.total == 6
        same.begin_run(1, "local")
        assert same.db.execute("pragma user_version").fetchone()[0] == FORMAT


def test_what_is_written_down_is_the_same_everywhere():
    assert canonical({"b": 1.5, "a": ("x", None)}) == '{"a":["x",null],"b":1.5}'
