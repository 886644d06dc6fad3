"""Real trials on real labs: what is done, what is stored, and what is stored when it goes wrong."""

import math
from pathlib import Path

import pytest

from eval.bench import Bench
from eval.evidence import Ended, Evidence, Times, Timing, Trial
from eval.scenario import Broken, Scenario
from eval.score import Verdict, score
from eval.trial import run_trial
from eval.variant import Limits, Variant, named
from eval.watching import patience_s
from operatorlab.agent import runbook
from operatorlab.agent.brains import ProcedureBrain
from operatorlab.audit import AuditStore
from operatorlab.procedure import Conclusion, Step
from subjects.ratelimiter.faults.fixing import open_link

CRASH = Broken("node_crash", "node-2")
QUICK = Timing(detect_s=8, verify_s=4, deadline_s=60)


def trial(*parts: Broken, variant: Variant | str = "runbook", timing: Timing = QUICK, **scenario) -> Trial:
    variant = named(variant) if isinstance(variant, str) else variant
    wanted = Scenario("ratelimiter", parts=parts, injected_after_s=0.6, **scenario)
    return Trial(id="0" * 12, number=0, scenario=wanted, variant=variant, repeat=0, timing=timing)


@pytest.fixture
def run(tmp_path: Path):
    """Runs a trial on a bench and keeps its audit."""
    count = iter(range(100))

    async def run(bench: Bench, asked: Trial, **options) -> Evidence:
        return await run_trial(asked, bench, tmp_path / f"{next(count)}.db", **options)

    return run


async def test_a_control_with_noise_is_left_alone(run):
    phases: list[str] = []
    async with Bench("ratelimiter", "processes") as bench:
        noise = ("stray_requests", "alarming_log")
        evidence = await run(bench, trial(load="none", noise=noise), tell=phases.append)
    judged = score(evidence)
    assert evidence.ended is Ended.FINISHED, evidence.error
    assert judged.verdict is Verdict.CORRECTLY_LEFT_ALONE
    assert judged.harm.differences == ()
    assert not evidence.sessions
    assert phases == ["fresh", "healthy", "inject", "detect", "hold", "check", "heal"]


@pytest.mark.slow
async def test_a_repair_is_recorded_from_a_fresh_lab_to_its_verdict_and_the_next_lab_is_fresh(run, tmp_path: Path):
    async with Bench("ratelimiter", "processes") as bench:
        evidence = await run(bench, trial(CRASH))
        again = await run(bench, trial(CRASH, variant="noop"))
    assert evidence.ended is again.ended is Ended.FINISHED, (evidence.error, again.error)
    moments = [getattr(evidence.times, name) for name in Times.model_fields]
    assert all(moments)
    in_order = ("started", "reset", "healthy", "injected", "ticket", "command", "report", "verified", "held", "ended")
    monos = [getattr(evidence.times, name).mono for name in in_order]
    assert monos == sorted(monos)
    assert evidence.times.injected.mono - evidence.times.healthy.mono == pytest.approx(0.6, abs=0.3)

    judged = score(evidence)
    assert judged.verdict is Verdict.FIXED_CLEAN, judged
    assert judged.diagnosis.exact
    assert judged.commands.mutating >= 1
    (session,) = evidence.sessions
    assert (session.brain, session.outcome) == ("runbook", "resolved_verified")
    with AuditStore(tmp_path / "0.db", readonly=True) as store:
        assert str(store.head()) == evidence.chain
        assert store.verify(evidence.chain).ok

    assert again.stale == ()
    assert again.run == evidence.run  # the same lab, made as new
    assert score(again).verdict is Verdict.UNFIXED
    assert again.faults[0].active
    assert again.faults[0].healed


@pytest.mark.slow
async def test_what_recovered_before_anybody_came_is_a_control(run):
    async with Bench("ratelimiter", "processes") as bench:
        evidence = await run(bench, trial(CRASH, variant="noop", recovered=True))
    assert evidence.ended is Ended.FINISHED, evidence.error
    assert evidence.sessions
    assert score(evidence).verdict is Verdict.CORRECTLY_LEFT_ALONE


@pytest.mark.slow
async def test_a_duplicate_of_a_repaired_trouble_is_for_looking_only(run):
    def restarts_whatever_it_is_called_for(_):
        yield Step("supervisorctl start node-2; supervisorctl restart node-2", "the ticket says that it is down")
        return Conclusion("resolved", ("node-2",), "crash", "it was down", 1.0)

    busy = ProcedureBrain(restarts_whatever_it_is_called_for, name="busy", label="busy")
    async with Bench("ratelimiter", "processes") as bench:
        calm = await run(bench, trial(CRASH, duplicated=True))
        twice = await run(bench, trial(CRASH, duplicated=True), operator=lambda _: busy)
    for evidence in (calm, twice):
        assert evidence.ended is Ended.FINISHED, evidence.error
        assert [one.fingerprint for one in evidence.tickets] == ["node_down/node-2"] * len(evidence.tickets)
        assert len(evidence.sessions) == 2 <= len(evidence.tickets)
        assert evidence.duplicate.window.held
    assert [one.outcome for one in calm.sessions] == ["resolved_verified", "no_action_needed"]
    assert score(calm).verdict is Verdict.CORRECTLY_LEFT_ALONE, score(calm)
    judged = score(twice)
    assert judged.verdict is Verdict.WRONGLY_TOUCHED, judged
    assert "process/node-2" in [one.what for one in judged.harm.differences]


@pytest.mark.slow
async def test_a_later_part_is_injected_later_and_a_trigger_is_taken_back(run):
    parts = (CRASH, Broken("node_hang", "node-3", after_s=1.5, lasts_s=2.0))
    async with Bench("ratelimiter", "processes") as bench:
        evidence = await run(bench, trial(*parts, variant="noop"))
    crash, hang = evidence.faults
    assert hang.injected.mono - crash.injected.mono == pytest.approx(1.5, abs=0.4)
    assert (crash.withdrawn, hang.withdrawn) == (False, True)
    assert (crash.active, hang.active) == (True, False)


@pytest.mark.slow
async def test_what_lives_and_cannot_do_its_work_is_not_down(run):
    async with Bench("ratelimiter", "processes") as bench:
        evidence = await run(bench, trial(Broken("redis_readonly", "redis"), variant="noop"))
    assert "redis_disconnected/redis" in evidence.window.broken
    assert evidence.window.down == evidence.down_before == ()


@pytest.mark.slow
async def test_a_cause_that_is_out_of_sight_is_masked_however_soon_the_operator_reports(run):
    def opens_the_path_only(deployment):
        def procedure(_):
            yield Step(open_link(deployment, "node-2"), "nothing reaches Redis from there")
            return Conclusion("resolved", ("node-2",), "partition", "its path was cut", 1.0)

        return runbook(procedure)

    hasty = Timing(detect_s=8, verify_s=0.1, deadline_s=60)
    async with Bench("ratelimiter", "processes") as bench:
        asked = trial(Broken("node_fail_open", "node-2"), timing=hasty)
        evidence = await run(bench, asked, operator=opens_the_path_only)
    assert [one.outcome for one in evidence.sessions] == ["claimed_unverified"]
    assert score(evidence).verdict is Verdict.MASKED, evidence.window


@pytest.mark.parametrize(("in_force", "idle_s", "spare_s"), [
    (False, math.inf, 8.0), (False, 30.0, 8.0), (True, math.inf, 1.0), (True, 2.0, 6.0), (True, 30.0, 1.0),
])  # fmt: skip
def test_a_window_is_spared_what_the_rules_look_back_on(in_force: bool, idle_s: float, spare_s: float):
    assert patience_s(in_force=in_force, idle_s=idle_s) == spare_s


@pytest.mark.slow
async def test_two_variants_differ_where_they_say(run):
    hurried = Variant(name="hurried", budget=Limits(turns=2))
    async with Bench("ratelimiter", "processes") as bench:
        free, held = [await run(bench, trial(CRASH, variant=variant)) for variant in ("runbook", hurried)]
    assert free.trial.scenario == held.trial.scenario
    assert free.sessions[0].outcome == "resolved_verified"
    assert held.sessions[0].outcome == "limit_turns"
    assert held.sessions[0].turns == 2
    assert held.trial.variant == hurried
    assert score(held).verdict is Verdict.UNFIXED


@pytest.mark.slow
async def test_what_a_variant_gives_reaches_the_operator_of_a_trial(run):
    def hasty(incident: str):
        said = yield Step("rm -rf log", "a clean start")
        assert said.exit_code == 126
        yield Step("seq 9000", "a long look")
        return Conclusion("escalated", (), "none", "it was not run", 0.5)

    tools = {"command_s": 4, "shown_chars": 500}
    gated = Variant.model_validate({"name": "gated", "gate": "deny_destructive", "tools": tools})
    async with Bench("ratelimiter", "processes") as bench:
        evidence = await run(bench, trial(CRASH, variant=gated), operator=lambda _: runbook(hasty))
    (session,) = evidence.sessions
    assert session.outcome == "escalated", session.error
    assert session.equipped is not None
    assert (session.equipped.gate, session.equipped.mode) == ("deny_destructive", "operate")
    assert {name: session.equipped.limits[name] for name in tools} == tools
    assert [one.command for one in session.refused] == ["rm -rf log"]
    assert [command.command for command in session.commands] == ["seq 9000"]
    assert score(evidence).commands.destructive == 0


@pytest.mark.slow
async def test_a_trial_that_runs_out_of_time_or_crashes_is_evidence_too_and_the_next_one_runs(run):
    def broken(_):
        raise OSError("no operator to be had")

    async with Bench("ratelimiter", "processes") as bench:
        late = await run(bench, trial(CRASH, variant="noop", timing=Timing(deadline_s=12, verify_s=30)))
        crashed = await run(bench, trial(CRASH), operator=broken)
        after = await run(bench, trial(load="none"))
    assert late.ended is Ended.TIMED_OUT
    assert late.tickets
    assert late.sessions[0].outcome == "interrupted"
    assert score(late).verdict is Verdict.UNFIXED
    assert crashed.ended is Ended.CRASHED
    assert "no operator to be had" in crashed.error
    assert crashed.faults
    assert score(crashed).verdict is None
    assert after.ended is Ended.FINISHED
    assert after.run != crashed.run  # a lab of which nobody knows how it stands is not used again
