"""From answers to what a reading says, without any process."""

import pytest

from operatorlab.subject import NodeState
from subjects.ratelimiter.observer.answers import Answers, NodeAnswers
from subjects.ratelimiter.observer.readings import CanaryCheck, Histogram, NodeCounts, RedisReading
from subjects.ratelimiter.observer.redis_probe import RedisAnswer
from subjects.ratelimiter.observer.silence import Kind, Silence

COUNTS = NodeCounts(1.0, 5, 2, 0, 0, 0, Histogram((0.1,), (7,), 7))
CHECK = CanaryCheck("node-1", 2, 1.0, 1.1, allowed=False)
REDIS = RedisAnswer(RedisReading("run-1"), {}, version="6.2.14", uptime_s=3)
HUNG = Silence(Kind.HUNG, "no answer came")
REFUSED = Silence(Kind.REFUSED, "refuses connections")
UNSEEN = Silence(Kind.UNSEEN, "the observer was held up")
FROZEN = Silence(Kind.FROZEN, "it is paused")
USELESS = Silence(Kind.USELESS, "/metrics answers 404")


def seen(node: NodeAnswers, redis: RedisAnswer | Silence = REDIS) -> Answers:
    return Answers({"node-1": node}, redis)


@pytest.mark.parametrize(
    ("answers", "state", "missed"),
    [
        (NodeAnswers("", None, COUNTS, (CHECK,)), NodeState.UP, []),
        (NodeAnswers("redis: timeout", None, COUNTS), NodeState.DEGRADED, []),
        (NodeAnswers("", 500, COUNTS), NodeState.DEGRADED, []),
        (NodeAnswers(HUNG, 200, COUNTS), NodeState.DEGRADED, ["readiness"]),
        (NodeAnswers("", None, USELESS, (CHECK,)), NodeState.UP, ["metrics"]),
        (NodeAnswers("", None, COUNTS, (CHECK, HUNG)), NodeState.UP, ["canary"]),
        (NodeAnswers(HUNG, HUNG, USELESS), NodeState.DEGRADED, ["health", "readiness", "metrics"]),
        (NodeAnswers(HUNG, HUNG, COUNTS), NodeState.DEGRADED, ["health", "readiness"]),
        (NodeAnswers(HUNG, HUNG, HUNG, (HUNG,)), NodeState.DOWN, []),
        (NodeAnswers(REFUSED, REFUSED, REFUSED), NodeState.DOWN, []),
        (NodeAnswers(UNSEEN, UNSEEN, UNSEEN), NodeState.UNKNOWN, ["state"]),
        (NodeAnswers(FROZEN, FROZEN, FROZEN), NodeState.DOWN, []),
        (NodeAnswers(FROZEN, FROZEN, COUNTS, (CHECK,)), NodeState.DOWN, []),  # what it answered is from before
    ],
)
def test_a_node_lives_if_it_answers_anything_and_is_blind_only_while_it_lives(answers, state, missed):
    reading = seen(answers)
    assert reading.members()[0].state is state
    assert [blind.what for blind in reading.blind(reading.members())] == missed
    assert all(blind.component == "node-1" for blind in reading.blind(reading.members()))


def test_the_kind_of_silence_is_told_to_rules_and_people():
    refused, hung = (seen(NodeAnswers(s, s, s)).members()[0] for s in (REFUSED, HUNG))
    assert (refused.facts["silence"], refused.reason) == ("refused", "refuses connections")
    assert (hung.facts["silence"], hung.reason) == ("hung", "hangs: no answer came")


@pytest.mark.parametrize(
    ("answer", "state", "missed"),
    [
        (REDIS, NodeState.UP, []),
        (RedisAnswer(None, None, "NOAUTH"), NodeState.DEGRADED, ["counts"]),
        (HUNG, NodeState.DOWN, []),
        (REFUSED, NodeState.DOWN, []),
        (UNSEEN, NodeState.UNKNOWN, ["state"]),
    ],
)
def test_redis_that_answers_but_refuses_is_alive_and_unseen(answer, state, missed):
    reading = seen(NodeAnswers("", None, COUNTS), answer)
    assert reading.members()[-1].state is state
    assert [blind.what for blind in reading.blind(reading.members())] == missed
    assert (reading.readings().redis is None) is (state is not NodeState.UP)


def test_numbers_of_what_did_not_answer_are_missing_not_zero():
    readings = seen(NodeAnswers("", None, HUNG, (CHECK, HUNG))).readings()
    assert readings.nodes == {}
    assert readings.canary == (CHECK,)
