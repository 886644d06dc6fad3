"""What goes over the wire, as the OpenAPI page shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from subjects.ratelimiter.service.config import Key, Limit


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckRequest(_Wire):
    """May this client do that?"""

    key: Annotated[Key, Field(examples=["tenant-a"])]
    cost: Annotated[int, Field(ge=1, le=100, strict=True, description="How much of the limit it takes.")] = 1


class CheckAnswer(_Wire):
    """The decision. A denial is an answer like any other, so it comes with status 200."""

    allowed: Annotated[bool, Field(examples=[False])]
    limit: Annotated[int | None, Field(description="The limit in force; null when Redis was not asked.", examples=[20])]
    remaining: Annotated[int | None, Field(description="What is left in this window, likewise.", examples=[0])]
    retry_after_s: Annotated[
        float | None,
        Field(description="Seconds until it may succeed: 0 when allowed, null when never.", examples=[0.41]),
    ]
    node: Annotated[str, Field(examples=["node-1"])]


class Problem(_Wire):
    """Why a request was not served."""

    error: Annotated[str, Field(examples=["redis_unavailable"])]
    reason: Annotated[str, Field(examples=["redis: timeout after 0.25 s"])]


class Health(_Wire):
    """The process lives and answers. Says nothing about Redis."""

    status: Annotated[str, Field(examples=["ok"])]
    node: Annotated[str, Field(examples=["node-1"])]
    uptime_s: Annotated[float, Field(examples=[12.5])]


class Ready(_Wire):
    """The node reaches Redis, and Redis takes writes."""

    status: Annotated[str, Field(examples=["ready"])]
    node: Annotated[str, Field(examples=["node-1"])]
    reason: Annotated[str, Field(examples=[""])]


class Registered(_Wire):
    """One node as the registry has it."""

    name: Annotated[str, Field(examples=["node-1"])]
    live: Annotated[bool, Field(description="Its last heartbeat is younger than three intervals.")]
    age_s: Annotated[float | None, Field(description="Since that heartbeat, by the clock of Redis.", examples=[0.2])]
    facts: Annotated[dict[str, object], Field(description="What the node wrote about itself.")]


class Nodes(_Wire):
    nodes: list[Registered]


class Counter(_Wire):
    """How one key stands in the present window."""

    key: Annotated[str, Field(examples=["tenant-a"])]
    count: Annotated[int, Field(examples=[17])]
    limit: Annotated[int, Field(description="The limit in force.", examples=[20])]
    declared: Annotated[int, Field(description="The limit in the limits file.", examples=[20])]
    overridden: Annotated[bool, Field(examples=[False])]


class Counters(_Wire):
    """The declared keys, and how many requests each node has allowed since Redis began to count."""

    window_s: Annotated[float, Field(examples=[1.0])]
    counters: list[Counter]
    totals: Annotated[dict[str, int], Field(examples=[{"node-1": 5120}])]


class Limits(_Wire):
    """What was declared, and what was set at run time on top of it."""

    window_s: Annotated[float, Field(examples=[1.0])]
    default: Annotated[int, Field(examples=[50])]
    declared: Annotated[dict[str, int], Field(examples=[{"tenant-a": 20}])]
    overrides: Annotated[dict[str, int | str], Field(description="As written; a text is not a number.")]


class Blocks(_Wire):
    """The keys that are at their limit now."""

    blocked: list[Counter]


class NewLimit(_Wire):
    limit: Annotated[Limit, Field(strict=True, examples=[20])]


class LimitSet(_Wire):
    """The limit of a key after a change."""

    key: Annotated[str, Field(examples=["tenant-a"])]
    limit: Annotated[int, Field(examples=[20])]
    declared: Annotated[int, Field(examples=[20])]
    overridden: Annotated[bool, Field(examples=[False])]


class ResetDone(_Wire):
    key: Annotated[str, Field(examples=["tenant-a"])]
    forgotten: Annotated[int, Field(description="Requests that were in the window.", examples=[20])]
