"""Any server that speaks the Messages API will do: a real one, on loopback, over real HTTP."""

from typing import Any

from operatorlab.agent import Claude, Outcome


async def test_a_model_of_ones_own_repairs_over_http(watched: Any, endpoint: Any) -> None:
    brain = Claude(model="my-own:7b", base_url=endpoint.url)
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.RESOLVED_VERIFIED
    assert [body["model"] for _, body in endpoint.seen] == ["my-own:7b"] * 2
    assert [len(body["messages"]) for _, body in endpoint.seen] == [1, 3]  # the whole conversation, each time
    assert {tool["name"] for tool in endpoint.seen[0][1]["tools"]} == {"shell", "report"}
    assert "cache_control" not in endpoint.seen[0][1]
    assert {(c["cost_usd"], c["priced_by"]) for c in watched.rows("select cost_usd, priced_by from model_calls")} == {
        (None, "unknown")
    }
    assert brain.label == f"my-own:7b at {endpoint.url}"


async def test_nobody_there_is_a_crash_with_its_cause(watched: Any) -> None:
    result = await watched.operator(Claude(base_url="http://127.0.0.1:9")).handle(watched.incident)
    assert result.outcome is Outcome.CRASHED
    assert "APIConnectionError" in (result.error or "")
