"""What was said and done in a trial as chat messages, the way logs of models are written: from evidence and audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from eval.evidence import CommandSeen, Evidence, SessionSeen
from operatorlab.audit import AuditStore
from operatorlab.errors import OperatorLabError
from operatorlab.text import short

Message = dict[str, object]
_LONGEST_OUTPUT = 20_000


def messages_of(evidence: Evidence, audit: Path) -> list[Message]:
    """The incident, each command with its output, and each report. Without an audit it says that these are missing."""
    told = _in_audit(audit)
    opened = ", ".join(dict.fromkeys(ticket.fingerprint for ticket in evidence.tickets))
    first: Message = {"role": "user", "content": f"Tickets: {opened}" if opened else "No ticket: nobody was called."}
    messages = [first, *(message for session in evidence.sessions for message in _session(session, told))]
    return [{"id": f"{evidence.trial.id}-{number}", **message} for number, message in enumerate(messages)]


def _session(session: SessionSeen, told: Mapping[str, tuple[str, str]]) -> Iterator[Message]:
    for command in session.commands:
        why, output = told.get(command.id, ("", "its output is in the audit of the trial, which is not here"))
        call = {"id": command.id, "function": "shell", "arguments": {"command": command.command, "reasoning": why},
                "type": "function"}  # fmt: skip
        yield {"role": "assistant", "content": why, "tool_calls": [call], "model": session.model, "source": "generate"}
        answer = f"{_ended(command)}\n{output}"
        yield {"role": "tool", "content": answer, "tool_call_id": command.id, "function": "shell"}
    said = session.report.model_dump_json(indent=2) if session.report else f"(no report: {session.outcome})"
    yield {"role": "assistant", "content": said, "model": session.model, "source": "generate"}


def _ended(command: CommandSeen) -> str:
    return "timed out" if command.timed_out else f"exit {command.exit_code}"


def _in_audit(audit: Path) -> dict[str, tuple[str, str]]:
    """By command, why it was run and what it printed; empty if there is no such audit, or it cannot be read."""
    if not audit.exists():
        return {}
    try:
        with AuditStore(audit, readonly=True) as store:
            rows = store.rows("select id, reasoning, stdout, stderr from commands")
    except OperatorLabError:
        return {}
    return {str(row["id"]): (str(row["reasoning"]), _output(row["stdout"], row["stderr"])) for row in rows}


def _output(stdout: object, stderr: object) -> str:
    return short("\n".join(str(text) for text in (stdout, stderr) if text), _LONGEST_OUTPUT)
