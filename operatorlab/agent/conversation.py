"""One session's conversation with its brain, over the SDK's tool runner.

Each model call is paid for by the meter before it is made and recorded before and after. The tools of an
answer are run inside the loop body. The whole conversation is sent each time (`thread=False`), so any
endpoint that speaks the Messages API will do.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anthropic import APIError, AsyncAnthropic
from anthropic.types.beta import BetaMessage

from operatorlab.agent.brains.base import Brain
from operatorlab.agent.budget import Meter
from operatorlab.agent.equipment import Equipment
from operatorlab.agent.outcome import SessionEnd, Stopped
from operatorlab.agent.prices import tokens_of
from operatorlab.agent.prompts import REMINDER
from operatorlab.agent.recorder import Recorder
from operatorlab.agent.steps import StepKind
from operatorlab.agent.tools import Toolbox
from operatorlab.audit import ModelCall

if TYPE_CHECKING:
    from anthropic.lib.tools import BetaAsyncToolRunner
    from anthropic.types.beta import BetaMessageParam

MAX_ANSWER_TOKENS = 16_000  # beyond about 21,000 the SDK demands streaming
_UNFINISHED = ("pause_turn", "compaction")
_DONE_UNASKED = ("end_turn", "stop_sequence")


class NoMessage(SessionEnd):
    """Whatever is at the base URL does not speak the Messages API."""


class Conversation:
    """Talks until the brain stops. A report, a spent budget and a lost sandbox leave it as exceptions."""

    def __init__(self, recorder: Recorder, brain: Brain, meter: Meter, toolbox: Toolbox, equipment: Equipment) -> None:
        self._equipment = equipment
        self._recorder = recorder
        self._store = recorder.store
        self._brain = brain
        self._meter = meter
        self._toolbox = toolbox

    async def run(self, client: AsyncAnthropic, incident: str) -> Stopped:
        """Until the brain stops without a report; it is reminded once that it owes one."""
        messages: list[BetaMessageParam] = [{"role": "user", "content": incident}]
        stopped = await self._talk(client, messages)
        if stopped.stop_reason in _DONE_UNASKED:
            self._recorder.note("session.reminded", {"text": REMINDER})
            messages.append({"role": "user", "content": REMINDER})
            stopped = await self._talk(client, messages)
        return stopped

    async def _talk(self, client: AsyncAnthropic, messages: list[BetaMessageParam]) -> Stopped:
        """Until a message that is the last of its run; `messages` grows by what was said."""
        runner = client.beta.messages.tool_runner(
            model=self._brain.model,
            max_tokens=MAX_ANSWER_TOKENS,
            system=self._equipment.system,
            messages=list(messages),
            tools=self._toolbox.tools,
            thread=False,
            stream=False,
            **self._equipment.parameters,
        )
        try:
            while True:
                message = await self._ask(runner)
                if message.content:
                    messages.append(message.to_param())
                if message.stop_reason == "tool_use":
                    with self._unknown_tools(message):
                        results = await runner.generate_tool_call_response()
                    if results is not None:
                        messages.append(results)
                        continue
                if message.stop_reason not in _UNFINISHED:
                    return Stopped(message.stop_reason)
        finally:
            await runner.close()

    async def _ask(self, runner: BetaAsyncToolRunner[None]) -> BetaMessage:
        """One model call, recorded whatever becomes of it."""
        self._meter.before_call()
        call = self._store.begin_model_call(self._recorder.session, self._brain.model)
        self._meter.turns += 1
        started = self._store.clock.now()
        limit = asyncio.timeout(self._meter.left_s)
        try:
            async with limit:
                message = await anext(runner)
        except BaseException as error:
            ended = self._meter.out_of_time() if limit.expired() else _told_plainly(error)
            took = self._store.clock.now().since(started)
            self._store.end_model_call(call, ModelCall(took, error=f"{type(ended).__name__}: {ended}"))
            raise ended from error
        self._record(call, message, self._store.clock.now().since(started))
        return message

    def _record(self, call: str, message: BetaMessage, duration_s: float) -> None:
        tokens, price = tokens_of(message), self._brain.price(message, self._store.clock.now().at)
        self._meter.count_call(tokens, price)
        self._store.end_model_call(
            call,
            ModelCall(
                duration_s=duration_s,
                stop_reason=message.stop_reason,
                content=[block.to_dict() for block in message.content],
                input_tokens=tokens.input,
                output_tokens=tokens.output,
                cache_read_tokens=tokens.cache_read,
                cache_write_tokens=tokens.cache_write,
                cost_usd=price.usd,
                priced_by=price.priced_by,
            ),
        )
        for kind, text in _thoughts(message):
            self._recorder.note("thought", {"kind": kind, "text": text})
            self._recorder.tell(StepKind.THOUGHT, text)

    @contextmanager
    def _unknown_tools(self, message: BetaMessage) -> Iterator[None]:
        """The runner tells the model that there is no such tool; here it is recorded, and not printed as a warning."""
        names = {tool.name for tool in self._toolbox.tools}
        unknown = [block for block in message.content if block.type == "tool_use" and block.name not in names]
        for block in unknown:
            self._toolbox.refused(block.name, block.input, "there is no such tool")
        if not unknown:
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tool '.*' not found in tool runner", category=UserWarning)
            yield


def _told_plainly(error: BaseException) -> BaseException:
    """Tools do not run here, so what the SDK did not foresee is an answer that it could not read."""
    if not isinstance(error, Exception) or isinstance(error, APIError):
        return error
    return NoMessage(f"the answer is not a message of the Messages API ({type(error).__name__}: {error})")


def _thoughts(message: BetaMessage) -> Iterator[tuple[str, str]]:
    for block in message.content:
        if block.type == "text" and block.text.strip():
            yield "text", block.text
        elif block.type == "thinking" and block.thinking.strip():
            yield "thinking", block.thinking
