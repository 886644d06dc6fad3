"""What the records of a run carry across module borders, and how long texts are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

OUTPUT_LIMIT = 256 * 1024
"""Bytes kept of each of a command's stdout and stderr: half from the head, half from the tail."""
INLINE_LIMIT = 1024
"""Characters of a text up to which an event carries the text itself, not its digest."""

JSON_COLUMNS = frozenset({"options", "report", "truth", "memo", "content"})
"""Columns of the records that hold JSON text."""
TABLE_OF = {
    "run.started": "runs",
    "run.ended": "runs",
    "session.started": "sessions",
    "session.ended": "sessions",
    "command.started": "commands",
    "command.ended": "commands",
    "model_call.started": "model_calls",
    "model_call.ended": "model_calls",
    "fault.injected": "faults",
    "fault.memo": "faults",
    "fault.healed": "faults",
}
"""The kinds of events that tell of a record, and the table it is in."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """How one call of the Messages API went. `content` is the answer's list of blocks, as JSON data.

    Tokens as the API counts them; `cost_usd` None where no price is known, `priced_by` says whose price it is.
    """

    duration_s: float
    stop_reason: str | None = None
    content: object = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    priced_by: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ClientSample:
    """What clients saw in one span of `span_s` seconds; percentiles are in seconds."""

    at: datetime
    monotonic: float
    span_s: float
    sent: int
    allowed: int
    denied: int
    errors: int
    p50_s: float | None = None
    p99_s: float | None = None


def clip(text: str, limit: int = OUTPUT_LIMIT) -> tuple[str, int]:
    """`text` cut to about `limit` bytes of UTF-8, head and tail kept, and how many bytes were dropped."""
    data = text.encode()
    if len(data) <= limit:
        return text, 0
    head, tail = data[: limit // 2].decode(errors="ignore"), data[-(limit // 2) :].decode(errors="ignore")
    dropped = len(data) - len(head.encode()) - len(tail.encode())
    return f"{head}\n… {dropped} bytes not kept …\n{tail}", dropped


def fingerprint(text: str) -> Mapping[str, object]:
    """What an event carries in place of a long text."""
    return {"sha256": sha256(text.encode()).hexdigest(), "bytes": len(text.encode())}


def told(column: str, value: object) -> object:
    """How an event tells what was written to `column`: as it is, JSON as data, a long text as its digest."""
    if not isinstance(value, str):
        return value
    if len(value) > INLINE_LIMIT:
        return fingerprint(value)
    return json.loads(value) if column in JSON_COLUMNS else value
