"""A campaign as logs of Inspect (inspect_ai): one a variant, in a folder that `inspect view` opens.

    a variant           an eval log; what Inspect calls its model is the operator
    a scenario          a sample, by its place in the campaign; a repeat is an epoch
    what it took        messages: each command as a call of the tool `shell`, with its output from the trial's audit
    the verdict         a score called `success`, C or I; its metadata is the whole score

Plain JSON in version 2 of Inspect's format, written without Inspect.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from eval.canonical import canonical, content_id
from eval.evidence import Ended, Evidence, Trial
from eval.file import CampaignFile
from eval.score import Score
from eval.stats import LEVEL, rate
from eval.transcript import messages_of
from eval.variant import Variant
from operatorlab import __version__

Json = dict[str, object]
_FORMAT = 2
_TOKENS = {
    "input_tokens": "input_tokens", "output_tokens": "output_tokens", "input_tokens_cache_read": "cache_read_tokens",
    "input_tokens_cache_write": "cache_write_tokens",
}  # fmt: skip


def write_logs(file: CampaignFile, folder: Path) -> int:
    """Write a log for each variant that was run into the new `folder`; how many trials are in them."""
    folder.mkdir(parents=True)
    trials, scores = file.trials(), {score.trial: score for score in file.scores()}
    places = _places(trials)
    by_variant: dict[str, list[Evidence]] = {}
    for evidence in file.evidence():
        by_variant.setdefault(evidence.trial.variant.name, []).append(evidence)
    for name, ran in by_variant.items():
        samples = [_sample(one, scores[one.trial.id], places[one.trial.id], file.audit_of(one.trial.id)) for one in ran]
        ids = [places[trial.id] for trial in trials if trial.variant.name == name]
        spec = _spec(file, ran[0].trial.variant, ran, list(dict.fromkeys(ids)))
        status = "success" if len(ran) == len(ids) else "started"  # what was not run can be gone on with
        results = _results(len(ids), [scores[one.trial.id] for one in ran])
        # The order counts: whoever reads the head of a log stops before the samples.
        log = {"version": _FORMAT, "status": status, "eval": spec, "plan": _plan(ran[0].trial.variant),
               "results": results, "stats": _stats(ran), "samples": samples}  # fmt: skip
        target = folder / _name(spec, f"{file.campaign.name}-{name}")
        target.write_text(json.dumps(log, allow_nan=False), encoding="utf-8")
    return sum(map(len, by_variant.values()))


def _places(trials: Iterable[Trial]) -> dict[str, str]:
    """Of each trial, what its scenario is called in every repeat: its place in the campaign and its label."""
    seen: Counter[tuple[str, int]] = Counter()
    places = {}
    for trial in trials:
        key = trial.variant.name, trial.repeat
        places[trial.id] = f"{seen[key]:03d} {trial.scenario.label}"
        seen[key] += 1
    return places


def _stats(ran: Sequence[Evidence]) -> Json:
    began, ended = min(one.times.started.at for one in ran), max(one.times.ended.at for one in ran)
    return {"started_at": _iso(began), "completed_at": _iso(ended), "model_usage": _usage(ran)}


def _spec(file: CampaignFile, variant: Variant, ran: Sequence[Evidence], ids: Sequence[str]) -> Json:
    campaign = file.campaign
    return {
        "run_id": file.name, "eval_id": content_id(file.name, variant), "task_id": content_id(campaign),
        "created": _iso(min(one.times.started.at for one in ran)), "task": campaign.name,
        "task_description": campaign.summary or None,
        "task_args": {"variant": variant.name, "subject": campaign.subject, "deployment": campaign.deployment},
        "dataset": {"name": campaign.subject, "samples": len(ids), "sample_ids": list(ids), "shuffled": False},
        "model": _operator(ran), "model_base_url": variant.endpoint, "config": {"epochs": campaign.repeats},
        "packages": {"operatorlab": __version__},
        "metadata": {"variant": json.loads(canonical(variant)), "seed": campaign.seed,
                     "timing": json.loads(canonical(campaign.timing))},
    }  # fmt: skip


def _plan(variant: Variant) -> Json:
    """The operator as Inspect's solver."""
    params = json.loads(canonical(variant))
    return {"name": "operatorlab", "steps": [{"solver": variant.brain, "params": params, "params_passed": params}]}


def _results(wanted: int, scores: Sequence[Score]) -> Json:
    found = rate(sum(one.success for one in scores), len(scores))
    interval = {"k": found.k, "n": found.n, "low": found.low, "high": found.high, "level": LEVEL, "method": "Wilson"}
    accuracy = {"name": "accuracy", "value": found.share or 0.0, "metadata": interval}
    score = {"name": "success", "scorer": "operatorlab", "scored_samples": len(scores), "unscored_samples": 0,
             "metrics": {"accuracy": accuracy}}  # fmt: skip
    return {"total_samples": wanted, "completed_samples": len(scores), "scores": [score]}


def _sample(evidence: Evidence, score: Score, place: str, audit: Path) -> Json:
    times, model = evidence.times, _operator([evidence])
    messages = messages_of(evidence, audit)
    told = [one for one in messages if one["role"] == "assistant"]
    stopped = {"message": told[-1], "stop_reason": "stop"} if told else None
    return {
        "id": place, "epoch": evidence.trial.repeat + 1, "uuid": evidence.trial.id,
        "input": messages[0]["content"], "target": _target(evidence), "messages": messages,
        "output": {"model": model, "choices": [stopped] if stopped else []},
        "scores": {"success": _score(score)}, "metadata": _metadata(evidence),
        "model_usage": _usage([evidence]), "started_at": _iso(times.started.at), "completed_at": _iso(times.ended.at),
        "total_time": round(times.ended.mono - times.started.mono, 3), **_cut_off(evidence),
    }  # fmt: skip


def _target(evidence: Evidence) -> str:
    """The right diagnosis; of a control that there is nothing to do."""
    if evidence.trial.scenario.is_control and not evidence.trial.scenario.duplicated:
        return "nothing to repair"
    found = (f"{one.truth.component} ({one.truth.kind.value}): {one.truth.mechanism}" for one in evidence.faults)
    return "; ".join(found) or "nothing was broken"


def _score(score: Score) -> Json:
    harm = "; ".join(f"{one.what} {one.how}" for one in score.harm.differences)
    return {
        "value": "C" if score.success else "I", "answer": score.verdict.value if score.verdict else "none",
        "explanation": f"harm: {harm}" if harm else "no harm", "metadata": json.loads(canonical(score)),
    }  # fmt: skip


def _metadata(evidence: Evidence) -> Json:
    trial = evidence.trial
    return {
        "scenario": json.loads(canonical(trial.scenario)), "number": trial.number, "run": evidence.run,
        "outcomes": [session.outcome for session in evidence.sessions], "chain": evidence.chain,
    }  # fmt: skip


def _cut_off(evidence: Evidence) -> Json:
    """Why a trial did not come to its end, in Inspect's words."""
    if evidence.ended is Ended.TIMED_OUT:
        return {"limit": {"type": "time", "limit": evidence.trial.timing.deadline_s}}
    if evidence.ended is Ended.FINISHED:
        return {}
    why = f"{evidence.ended.value}: {evidence.error or 'no reason known'}"
    return {"error": {"message": why, "traceback": why, "traceback_ansi": why}}


def _operator(ran: Iterable[Evidence]) -> str:
    """What really ran, as `brain/model`; the variant's brain where nobody was called."""
    found = (f"{session.brain}/{session.model}" for one in ran for session in one.sessions)
    return next(found, None) or next(iter(ran)).trial.variant.brain


def _usage(ran: Iterable[Evidence]) -> Json:
    """Tokens by model; none where none was asked."""
    usage: dict[str, Counter[str]] = {}
    for call in (call for one in ran for session in one.sessions for call in session.calls):
        mine = usage.setdefault(call.model, Counter())
        counted = {theirs: int(getattr(call, ours)) for theirs, ours in _TOKENS.items()}
        mine.update({**counted, "total_tokens": sum(counted.values())})
    return {model: dict(mine) for model, mine in usage.items()}


def _name(spec: Json, what: str) -> str:
    """Named as Inspect names its logs: when, what, which."""
    when = re.sub(r"[:.]", "-", str(spec["created"]))
    return f"{when}_{re.sub(r'[^A-Za-z0-9-]+', '-', what)}_{spec['eval_id']}.json"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
