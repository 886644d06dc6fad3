"""What is shown of the lab's values."""

from operatorlab.subject import Blind, NodeState
from operatorlab.widgets.view import SIGNS, ClientPoint, member_rows, sparks, step_rows, ticket_rows, verdict


def test_each_state_has_a_word_and_a_shape_of_its_own(seen):
    rows = member_rows(seen(*NodeState).nodes)
    assert [row.state for row in rows] == ["up", "degraded", "down", "unknown"]
    assert len({row.sign for row in rows}) == 4


def test_facts_are_few_and_short(seen):
    row = member_rows(seen(NodeState.UP, facts={"id": "x" * 500} | {f"f{i}": i for i in range(50)}).nodes)[0]
    assert row.facts == "f0 0 · f1 1 · f2 2 · f3 3"
    assert member_rows(seen(NodeState.UP, facts={"p99_s": 0.123456}).nodes)[0].facts == "p99_s 0.123"
    assert member_rows(seen(NodeState.UP, facts={"started": 1763918712.25}).nodes)[0].facts == "started 1763918712"


def test_blindness_is_told(seen):
    assert "blind to 1" in verdict(seen(NodeState.UP, blind=(Blind("metrics", "node-1", "no answer"),)))


def test_tickets_of_a_board(watched):
    watched.break_()
    (row,) = ticket_rows(watched.board.tickets())
    assert (row.invariant, row.component, row.state, row.sign) == ("node_down", "node-2", "open", SIGNS["open"])


def test_a_result_is_shown_with_its_command(step):
    rows = step_rows(
        [
            step("thought", "look first"),
            step("command", "ps", "c1", reasoning="who is alive"),
            step("command", "ls", "c2"),
            step("result", "a\nb\n", "c1", exit_code=0, duration_s=0.5),
        ]
    )
    assert [(row.kind, row.text, row.status) for row in rows] == [
        ("thought", "look first", ""),
        ("command", "ps", "exit 0 · 0.50 s"),
        ("command", "ls", "running"),
    ]
    assert rows[1].reasoning == "who is alive"
    assert rows[1].head == "a\nb"


def test_reasoning_that_the_thought_before_says_is_not_said_twice(step):
    rows = step_rows([step("thought", "runbook: who is alive?"), step("command", "ps", "c", reasoning="who is alive?")])
    assert rows[1].reasoning == ""


def test_the_heading_of_a_result_is_told_once(step):
    shown = "exit 0 · 0.03 s · 7QX2MA\nout\n"
    rows = step_rows([step("command", "ps", "c"), step("result", shown, "c", exit_code=0, duration_s=0.03)])
    assert (rows[0].status, rows[0].head) == ("exit 0 · 0.03 s", "out")


def test_a_result_without_exit_code_timed_out_and_a_stray_one_is_kept(step):
    (row,) = step_rows([step("result", "x", "c9", exit_code=None, duration_s=120.0)])
    assert row.status == "timed out · 120.00 s"


def test_the_last_rows_are_kept(step):
    rows = step_rows([step("thought", str(i)) for i in range(100)], limit=10)
    assert [row.text for row in rows] == [str(i) for i in range(90, 100)]


def test_state_for_the_browser_stays_small(step):
    noisy = [step("command", "x" * 10**6, "c"), step("result", "y" * 10**6, "c", exit_code=0, duration_s=1.0)]
    (row,) = step_rows(noisy)
    assert len(row.text) + len(row.head) + len(row.tail) < 10_000


def test_sparks_say_in_words_what_they_draw():
    success, latency = sparks([ClientPoint(1.0, 10.0), ClientPoint(None, None), ClientPoint(0.5, 40.0)])
    assert success.words == "50.0% of requests answered"
    assert latency.words == "40 ms, highest 40 ms"
    assert success.points == "2.0,2.0 118.0,12.0"


def test_no_samples_no_sparks():
    assert sparks([]) == []
    assert sparks([ClientPoint(None, None)]) == []
