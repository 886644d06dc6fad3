"""The two tools an operator has: `shell` acts, `report` ends the session.

The SDK turns every `Exception` of a tool into text for the model. So what the model may learn from is a
`ToolError`, and what must end the session (`SessionEnd`, `SandboxGone`, an audit that cannot record) is
or becomes a BaseException.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from anthropic.lib.tools import BetaAsyncFunctionTool, ToolError
from pydantic import AfterValidator, Field, ValidationError

from operatorlab.agent.budget import Meter
from operatorlab.agent.gate import Gate, decide
from operatorlab.agent.outcome import Claim, SessionEnd
from operatorlab.agent.prompts import short
from operatorlab.agent.recorder import Recorder
from operatorlab.agent.report import Alternative, Hop, Report
from operatorlab.agent.shown import NOT_RUN, show
from operatorlab.agent.steps import StepKind
from operatorlab.sandbox import ExecResult, Sandbox
from operatorlab.subject import FaultKind

_LONGEST_COMMAND = 100_000


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something")
    return text


def _runnable(text: str) -> str:
    if "\0" in text or len(text) > _LONGEST_COMMAND:
        raise ValueError(f"must have no NUL and at most {_LONGEST_COMMAND} characters: write a file first")
    return _said(text)


# Checked by functions: patterns and lengths in a schema are more than some endpoints' grammars can take.
_Text = Annotated[str, AfterValidator(_said)]
_Command = Annotated[str, AfterValidator(_runnable)]


class ReportFiled(SessionEnd):
    """The operator reported: nothing more of this message is run."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.outcome.value)
        self.report = report


class ToolBroke(SessionEnd):
    """A tool failed in a way that is not the model's business; `why` is what happened."""

    def __init__(self, why: Exception) -> None:
        super().__init__(repr(why))
        self.why = why


class GateRefused(ToolError):
    """A command that the gate did not let through. It is on record as that, and not as a call that did not fit."""


class _Tool(BetaAsyncFunctionTool[Any]):
    """A tool that tells the model what is wrong with its arguments, and tells it nothing of the lab's troubles."""

    def __init__(self, func: Any, refused: Any) -> None:
        super().__init__(func)
        self._refused = refused

    async def call(self, input: object) -> Any:  # noqa: A002  the SDK's name
        try:
            return await super().call(input)
        except GateRefused:
            raise
        except ToolError as error:
            self._refused(self.name, input, str(error))
            raise
        except ValueError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise ToolBroke(error) from error
            said = _explain(self.name, error.__cause__)
            self._refused(self.name, input, said)
            raise ToolError(said) from error
        except Exception as error:
            raise ToolBroke(error) from error


class Toolbox:
    """The tools of one session. `citable` maps the short ids a report may cite to full ones; commands join it."""

    def __init__(
        self, recorder: Recorder, sandbox: Sandbox, meter: Meter, citable: Mapping[str, str], gate: Gate = Gate.NONE
    ) -> None:
        self._gate = gate
        self._recorder = recorder
        self._store = recorder.store
        self._sandbox = sandbox
        self._meter = meter
        self._citable = dict(citable)

    @cached_property
    def tools(self) -> list[BetaAsyncFunctionTool[Any]]:
        """What the runner is given. Made once: a schema takes longer to make than a command to decide on."""
        return [_Tool(self.shell, self.refused), _Tool(self.report, self.refused)]

    async def shell(self, *, command: _Command, reasoning: _Text) -> str:
        """Run a command by bash in the lab's folder and see its exit code, standard output and standard error.

        Args:
            command: What to run, as one would type it. Pipes, loops and here-documents are fine; there is no terminal.
            reasoning: Why this command, and what you expect to learn or to change. It is recorded with the command.
        """
        self._meter.before_command()
        self._through_the_gate(command, reasoning)
        command_id = self._store.begin_command(self._recorder.session, command, reasoning)
        self._citable[short(command_id)] = command_id
        tell = self._recorder.tell
        tell(StepKind.COMMAND, command, reasoning=reasoning, command_id=command_id)
        result = await self._run(command, command_id)
        text = self._store.redact(show(result, short(command_id), self._meter.budget.shown_chars))
        tell(StepKind.RESULT, text, command_id=command_id, exit_code=result.exit_code, duration_s=result.duration_s)
        return text

    def _through_the_gate(self, command: str, reasoning: str) -> None:
        """Each decision is on record before anything follows from it. Raises GateRefused."""
        if self._gate is Gate.NONE:
            return
        decision = decide(self._gate, command)
        about = {"gate": decision.gate.value, "command": command, "doing": decision.doing.value}
        if decision.allowed:
            self._recorder.note("gate.allowed", about)
            return
        self._recorder.note("gate.refused", {**about, "reasoning": reasoning, "why": decision.why})
        said = f"The command was not run: {decision.why}. Find another way, or report `escalated`."
        self._recorder.tell(StepKind.COMMAND, command, reasoning=reasoning)
        self._recorder.tell(StepKind.RESULT, said, exit_code=NOT_RUN)
        raise GateRefused(said)

    async def _run(self, command: str, command_id: str) -> ExecResult:
        """Run it and record its end, also when it has none of its own."""
        started = self._store.clock.now()
        timeout_s = min(self._meter.budget.command_s, self._meter.left_s)
        try:
            result = await self._sandbox.exec(command, timeout_s)
        except BaseException as ended:
            took = self._store.clock.now().since(started)
            self._store.end_command(command_id, None, took, "", f"[not finished: {type(ended).__name__}: {ended}]")
            raise
        self._store.end_command(
            command_id,
            result.exit_code,
            result.duration_s,
            result.stdout,
            result.stderr,
            result.dropped_bytes,
            result.timed_out,
        )
        return result

    async def report(  # noqa: PLR0913  the parts of a diagnosis
        self,
        *,
        outcome: Claim,
        blamed: list[_Text],
        kind: FaultKind,
        mechanism: _Text,
        evidence: list[str],
        alternatives: list[Alternative],
        confidence: Annotated[float, Field(ge=0, le=1)],
        changed: list[str],
        follow_ups: list[str],
        spread: Annotated[list[Hop], Field(default_factory=list)],
    ) -> str:
        """End the session with your diagnosis. Call it once, when you are done; nothing runs after it.

        Args:
            outcome: `resolved` if you repaired it and checked, `escalated` if people must take over,
                `no_action_needed` if nothing is wrong and you changed nothing.
            blamed: The components at fault, by the names the briefing gives them; not those that merely suffered.
            kind: What kind of trouble it was.
            mechanism: What went wrong and how that led to the tickets, in one or two sentences.
            evidence: Ids of the commands and tickets that show it.
            alternatives: Other causes you considered, and what spoke against each.
            confidence: How sure you are of the diagnosis, from 0 to 1.
            changed: What you changed, one entry a change.
            follow_ups: What people should do later.
            spread: Whose trouble became that of which other component, one entry each; empty if only clients suffered.
        """
        raise ReportFiled(
            Report(
                outcome=outcome,
                blamed=tuple(blamed),
                kind=kind,
                mechanism=mechanism,
                evidence=self._full_ids(evidence, required=outcome is Claim.RESOLVED),
                alternatives=tuple(alternatives),
                confidence=confidence,
                changed=tuple(changed),
                follow_ups=tuple(follow_ups),
                spread=tuple(spread),
            )
        )

    def _full_ids(self, cited: list[str], *, required: bool) -> tuple[str, ...]:
        names = [name.strip().strip("[]").upper() for name in cited]
        unknown = sorted({name for name in names if short(name) not in self._citable})
        known = ", ".join(self._citable) or "(none)"
        if unknown:
            raise ToolError(
                f"The report was not taken: evidence cites unknown ids {', '.join(unknown)}. Known: {known}."
            )
        if required and not names:
            raise ToolError(f"The report was not taken: `resolved` needs evidence. Cite some of: {known}.")
        return tuple(dict.fromkeys(self._citable[short(name)] for name in names))

    def refused(self, tool: str, arguments: object, why: str) -> None:
        """Record a call that was not carried out."""
        self._recorder.note("tool.refused", {"tool": tool, "arguments": repr(arguments), "why": why})


def _explain(tool: str, error: ValidationError) -> str:
    problems = (f"- {'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
    return f"`{tool}` was not run: its arguments do not fit.\n" + "\n".join(problems)
