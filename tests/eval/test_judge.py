"""A model's opinion of diagnoses: blind to who wrote them, beside the scores, and never in them."""

import asyncio
import json
import sqlite3
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.exceptions import HTTPException

from eval.agreement import agreements
from eval.campaign import expand, parse_campaign
from eval.canonical import canonical
from eval.cli import evaluation
from eval.file import CampaignFile
from eval.judge import Grade, Judgement, judge_id, judgements, question
from eval.score import score
from operatorlab.agent.brains import Claude
from operatorlab.errors import OperatorLabError, UserError

CAMPAIGN = parse_campaign(
    "{name: mine, scenarios: [{fault: node_crash, target: node-2}, {control: nothing}], variants: [runbook, noop]}"
)
ANYWHERE = {"max_cost_usd": 1.0}


def grade(given: str, why: str = "so it seems") -> list[dict[str, Any]]:
    return [{"type": "tool_use", "id": "t", "name": "grade", "input": {"grade": given, "why": why}}]


@pytest.fixture
def file(make):
    """Two reports on a crash, one of them wrong, and a control."""
    with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN)) as file:
        for trial in file.trials():
            wrong = {"blamed": ["redis"], "kind": "hang", "mechanism": "it hangs"}
            said = wrong if trial.variant.name == "noop" else {}
            file.store(make.evidence(trial=trial, sessions=(make.session(make.command(), **said),)))
        yield file


async def all_of(brain: Claude, file: CampaignFile, **options: Any) -> list[Judgement]:
    return [one async for one in judgements(brain, file.evidence(), **(ANYWHERE | options))]


async def test_each_report_on_something_broken_is_graded_and_the_answer_kept(file, messages):
    messages.answer = lambda body: grade("wrong" if "it hangs" in body["messages"][0]["content"] else "right")
    brain = Claude("my-own:7b", messages.url, effort="low")
    judged = await all_of(brain, file)
    assert [one.grade for one in judged] == [Grade.RIGHT, Grade.WRONG]
    assert (judged[0].model, judged[0].why, judged[0].input_tokens, judged[0].cost_usd) == (
        "my-own:7b", "so it seems", 5, None,
    )  # fmt: skip
    assert len(messages.seen) == 2  # nothing was broken in the controls
    assert messages.seen[0]["output_config"] == {"effort": "low"}
    for one in judged:
        file.keep(one)
    assert file.judgements(judge_id(brain)) == judged
    assert file.judgements("somebody else") == []


async def test_the_judge_is_not_told_who_wrote_the_report_nor_what_became_of_it(file, messages, make):
    messages.answer = lambda _: grade("right")
    await all_of(Claude("m", messages.url), file)
    told = json.dumps(messages.seen)
    for secret in ("runbook", "noop", "resolved", "verified", "fixed", "supervisorctl", *(t.id for t in file.trials())):
        assert secret not in told, secret
    one, other = (make.evidence(trial=make.trial(variant=name, number=n)) for n, name in enumerate(("a", "b")))
    assert question(one) == question(other)


def test_there_is_no_question_where_nothing_was_broken_or_reported(make):
    assert question(make.evidence(sessions=())) is None
    assert question(make.evidence(faults=())) is None
    assert question(make.evidence(sessions=(make.session().model_copy(update={"report": None}),))) is None


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "right"}],
        grade("splendid"),
        [{"type": "tool_use", "id": "t", "name": "x", "input": {}}],
    ],
)
async def test_an_answer_that_cannot_be_read_is_no_grade_and_counts_as_none(file, messages, content):
    messages.answer = lambda _: content
    judged = await all_of(Claude("m", messages.url), file)
    assert [one.grade for one in judged] == [None, None]
    assert [one.agree.n for one in agreements(judged, file.scores())] == [0, 0]


async def test_it_stops_once_enough_is_spent(file, messages):
    messages.answer = lambda _: grade("right")
    judged = await all_of(Claude("claude-opus-5-5", messages.url), file, max_cost_usd=1e-9)
    assert len(judged) == 1
    assert judged[0].cost_usd


async def test_scores_are_as_they_were_and_are_computed_again_to_the_same_bytes(file, messages):
    messages.answer = lambda _: grade("wrong")
    before = list(file.db.execute("select * from scores order by trial"))
    for one in await all_of(Claude("m", messages.url), file):
        file.keep(one)
    assert file.rescore() == (4, 0)
    assert list(file.db.execute("select * from scores order by trial")) == before


def test_a_judgement_belongs_to_a_trial_that_was_run(file):
    stray = Judgement(trial="none", judge="j", asked="", model="m", grade=None, why="", input_tokens=0, output_tokens=0,
                      cost_usd=None)  # fmt: skip
    with pytest.raises(sqlite3.IntegrityError):
        file.keep(stray)


def test_another_model_place_or_effort_is_another_judge():
    judges = [Claude("m"), Claude("n"), Claude("m", "http://x"), Claude("m", effort="low")]
    assert len({judge_id(one) for one in judges}) == len(judges)
    assert judge_id(Claude("m", api_key="secret")) == judge_id(Claude("m"))


def test_agreement_is_counted_cell_by_cell(make):
    says = [("right", True), ("right", False), ("partly", True), ("wrong", False), ("wrong", False)]
    judged, scores = [], []
    for number, (given, exact) in enumerate(says):
        blamed = {} if exact else {"blamed": ["redis"]}
        evidence = make.evidence(trial=make.trial(number=number), sessions=(make.session(make.command(), **blamed),))
        scores.append(score(evidence))
        judged.append(
            Judgement(trial=evidence.trial.id, judge="j", asked="", model="m", grade=Grade(given), why="",
                      input_tokens=0, output_tokens=0, cost_usd=None)
        )  # fmt: skip
    exactly, of_kind = agreements(judged, scores)
    assert (exactly.both, exactly.judge_only, exactly.score_only, exactly.neither) == (1, 1, 1, 2)
    assert str(exactly.agree) == "60% (3/5; 23%–88%)"
    assert exactly.kappa == pytest.approx((0.6 - 0.52) / 0.48)
    assert of_kind.kappa == exactly.kappa  # the kind was right in all


# ── the command ────────────────────────────────────────────────────────────────────────────────


def said(*arguments: str) -> Result:
    return CliRunner().invoke(evaluation, ["judge", *arguments], catch_exceptions=False)


async def test_the_command_tells_grades_and_agreement_and_asks_nothing_twice(file, messages):
    messages.answer = lambda body: grade("wrong" if "it hangs" in body["messages"][0]["content"] else "right")
    given = (file.name, "--base-url", messages.url, "--model", "m")
    result = await asyncio.to_thread(said, *given)
    assert "2 of 2 reports judged, 0 of them without a readable answer" in result.output
    assert "runbook\t100% (1/1; 21%–100%)\t1\t0\t0" in result.output
    assert "noop\t0% (0/1; 0%–79%)\t0\t0\t1" in result.output
    assert "blamed exactly\t100% (2/2; 34%–100%)\t1.00\t1\t0\t0\t1" in result.output
    whole = json.loads((await asyncio.to_thread(said, *given, "--json")).output)
    assert [one["grade"] for one in whole["judgements"]] == ["right", "wrong"]
    assert len(messages.seen) == 2


async def test_what_was_judged_before_the_judge_failed_is_kept(file, messages):
    def answer(body: dict[str, Any]) -> list[dict[str, Any]]:
        if len(messages.seen) > 1:
            raise HTTPException(400, "the model is not well")
        return grade("right")

    messages.answer = answer
    with pytest.raises(OperatorLabError, match="could not be asked"):
        await asyncio.to_thread(said, file.name, "--base-url", messages.url, "--model", "m")
    assert [one.grade for one in file.judgements(judge_id(Claude("m", messages.url)))] == [Grade.RIGHT]


def test_without_a_key_it_says_so(file, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    with pytest.raises(UserError, match="needs an API key"):
        said(file.name)


def test_what_is_kept_is_written_down_the_same_everywhere(file):
    one = Judgement(trial=file.trials()[0].id, judge="j", asked="", model="m", grade=Grade.PARTLY, why="w",
                    input_tokens=1, output_tokens=2, cost_usd=0.5)  # fmt: skip
    file.keep(one)
    file.keep(one)
    assert list(file.db.execute("select content, grade from judgements")) == [(canonical(one), "partly")]
