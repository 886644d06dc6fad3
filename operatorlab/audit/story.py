"""The story of a session as indented text: what was thought, done, seen and said, in order.

All stored text is shown with its control characters made visible: nothing in it can move the cursor,
change colours or hide a line of the reader's terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from operatorlab.audit.chain import Event, canonical
from operatorlab.audit.reading import Story
from operatorlab.text import fold, visible

_LINES = 12  # of an output's head, and of its tail
_EVERY_LINE = 10**9


def short(id_: str) -> str:
    """The end of an id: enough to name it, and what the commands accept."""
    return id_[-6:]


def harmless(text: object) -> str:
    """`text` with every control character shown, not obeyed; colours too, since an audit hides nothing."""
    return visible(str(text).replace("\x1b", "␛"))


def tell(story: Story, *, full: bool = False) -> str:
    """The whole story; `full` shows outputs in all their length."""
    lines = [*_heading(story), ""]
    for _, part in sorted(_parts(story, full), key=lambda part: part[0]):
        lines += [*part, ""]
    return "\n".join([*lines, *_report(story)])


def tell_report(story: Story) -> str:
    """Just how it ended and what was reported."""
    return "\n".join(_report(story))


def _heading(story: Story) -> Iterator[str]:
    session = story.session
    outcome = session["outcome"] or "still running (or its process ended; nobody has marked it yet)"
    model = f" ({harmless(session['model'])})" if session["model"] else ""
    yield f"session {session['id']}  {harmless(outcome)}"
    yield f"  {harmless(session['brain'])}{model} on {harmless(session['subject'])}, run {harmless(session['run'])}"
    took = "" if session["took_s"] is None else f", took {session['took_s']:.1f} s"
    yield f"  started {_day(session['started_at'])}{took}, {len(story.commands)} commands, {_usage(session)}"
    for ticket in story.tickets:
        detected = ticket["opened_mono"] - ticket["violated_mono"]
        yield f"  ticket {short(ticket['id'])}  {harmless(ticket['fingerprint'])}  {ticket['state']}"
        opened = f"opened {_time(ticket['opened_at'])}, {detected:.2f} s after it began"
        yield f"    {harmless(ticket['message'])} ({opened})"


def _parts(story: Story, full: bool) -> Iterator[tuple[float, list[str]]]:
    said = "\n".join(block for call in story.model_calls for block in _blocks(call["content"]))
    for call in story.model_calls:
        yield call["started_mono"], list(_model_call(call))
    for command in story.commands:
        yield command["started_mono"], list(_command(command, full, said))
    for event in story.events:
        if event.kind != "thought":  # what a model said stands in its answer already
            yield event.mono, [_event(event)]


def _model_call(call: Mapping[str, Any]) -> Iterator[str]:
    took = "no answer recorded" if call["duration_s"] is None else f"{call['duration_s']:.1f} s"
    yield f"{_time(call['started_at'])}  {harmless(call['model'])}: {took}{_paid(call)}"
    for block in _blocks(call["content"]):
        yield from _indented(block, _EVERY_LINE)
    if call["error"]:
        yield f"  failed: {harmless(call['error'])}"


def _paid(call: Mapping[str, Any]) -> str:
    """Tokens and price, where there are any: the deterministic brains have none."""
    if not (call["input_tokens"] or call["output_tokens"] or call["cost_usd"]):
        return ""
    known = call["cost_usd"] is not None
    price = f"${call['cost_usd']:.4f} ({harmless(call['priced_by'])})" if known else "price unknown"
    return f", {_tokens(call)}, {price}"


def _blocks(content: object) -> Iterator[str]:
    """What a model said: its texts and thoughts. Its tool calls have entries of their own."""
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, str):
            yield block
        elif isinstance(block, Mapping):
            yield from (str(block[kind]) for kind in ("thinking", "text") if block.get(kind))


def _command(command: Mapping[str, Any], full: bool, said: str) -> Iterator[str]:
    first, *rest = harmless(command["command"]).split("\n")
    yield f"{_time(command['started_at'])}  $ {first}"
    yield from (f"            {line}" for line in rest)
    if command["reasoning"] not in said:  # some say the same twice
        yield from _indented(command["reasoning"], _EVERY_LINE, mark="why: ")
    lines = _EVERY_LINE if full else _LINES
    yield from _indented(command["stdout"] or "", lines, mark="| ")
    yield from _indented(command["stderr"] or "", lines, mark="! ")
    yield f"  {_ending(command)}"


def _ending(command: Mapping[str, Any]) -> str:
    if command["ended_at"] is None:
        return f"started, never ended  ({short(command['id'])})"
    status = "timed out" if command["timed_out"] else f"exit {command['exit_code']}"
    dropped = f", {command['dropped_bytes']} bytes of output not kept" if command["dropped_bytes"] else ""
    return f"{status}, {command['duration_s']:.2f} s{dropped}  ({short(command['id'])})"


def _event(event: Event) -> str:
    told = event.payload
    if event.kind.startswith("ticket."):
        change = f"{told.get('from')} → {told.get('to')}" if told.get("from") != told.get("to") else ""
        parts = (told.get("fingerprint"), change, told.get("note"))
        text = "  ".join(str(part) for part in parts if part)
    else:
        text = canonical(told)
    return f"{event.at:%H:%M:%S}  {harmless(event.kind)}  {harmless(text):.200}"


def _report(story: Story) -> Iterator[str]:
    yield f"outcome: {harmless(story.session['outcome'] or 'none yet')}"
    if story.session["error"]:
        yield f"error: {harmless(story.session['error'])}"
    yield from _tree("report", story.report) if story.report else ["no report"]


def _tree(name: str, value: object, indent: str = "") -> Iterator[str]:
    """JSON data as indented text."""
    if isinstance(value, Mapping):
        yield f"{indent}{name}:"
        for key, item in value.items():
            yield from _tree(harmless(key), item, indent + "  ")
    elif isinstance(value, list) and value:
        yield f"{indent}{name}:"
        for item in value:
            yield from _tree("-", item, indent + "  ")
    else:
        first, *rest = harmless("none" if value in (None, []) else value).split("\n")
        yield f"{indent}{name}{'' if name == '-' else ':'} {first}"
        yield from (f"{indent}  {line}" for line in rest)


def _indented(text: str, lines: int, mark: str = "") -> Iterable[str]:
    if not text.strip("\n"):
        return
    folded = fold(harmless(text), head=lines, tail=lines, width=_EVERY_LINE)
    yield from (f"  {mark}{line}" for line in folded.head.split("\n"))
    if folded.hidden:
        yield f"  {mark}… {folded.hidden} lines, shown by --full …"
        yield from (f"  {mark}{line}" for line in folded.tail.split("\n"))


def _usage(session: Mapping[str, Any]) -> str:
    return f"{session['turns']} turns, {_tokens(session)}, ${session['cost_usd']:.4f}"


def _tokens(counted: Mapping[str, Any]) -> str:
    return f"{counted['input_tokens']:,} + {counted['output_tokens']:,} tokens"


def _time(at: str) -> str:
    return at[11:19]


def _day(at: str) -> str:
    return f"{at[:10]} {at[11:19]} UTC"
