"""What a variant gives its operator besides a brain and a budget: a prompt, hints, limits of its tools.

prompt: Look at the links first.                     # said after how it works
prompt: {text: You only look., replace: true}        # in place of who it is and how it works
prompt: {file: careful.md}                           # beside the YAML file; what was in it is kept, not where it was
hints: false                                         # without the subject's briefing
hints: [node-1 was upgraded an hour ago]             # lines after the briefing
tools: {command_s: 10, shown_chars: 4000}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from operatorlab.agent.prompts import Instructions

_LONGEST = 50_000


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(_Given):
    """Instructions of one's own. What binds an operator (shell, budget, gate) is told whatever they say."""

    text: str = Field(min_length=1, max_length=_LONGEST, pattern=r"\S")
    replace: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, str):
            return {"text": given}
        if not isinstance(given, dict) or "file" not in given:
            return given
        if "text" in given:
            raise ValueError("give a text or a file, not both")
        path = Path((info.context or {}).get("folder", ""), str(given["file"]))
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as trouble:
            raise ValueError(f"{path} cannot be read: {trouble}") from trouble
        return {**{name: value for name, value in given.items() if name != "file"}, "text": text}


class Hints(_Given):
    """What an operator is told of the system: whether the subject's briefing, and which lines after it."""

    briefing: bool = True
    lines: tuple[str, ...] = Field((), max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, given: Any) -> Any:
        if given == "none":
            return {"briefing": False}
        if isinstance(given, bool):
            return {"briefing": given}
        return {"lines": given} if isinstance(given, (list, tuple)) else given


class Tools(_Given):
    """Limits of the shell. What is not given is as usual; `command_s` is the budget's limit of that name."""

    command_s: float | None = Field(None, gt=0)
    """How long one command may take, in seconds."""
    shown_chars: int | None = Field(None, ge=200)
    """How much of a command's output is shown, in characters; head and tail of what is longer."""


def instructions(prompt: Prompt | None, hints: Hints | None) -> Instructions:
    """As the operator takes them."""
    told, known = prompt or _NO_PROMPT, hints or Hints()
    return Instructions(told.text, told.replace, known.briefing, known.lines)


_NO_PROMPT = Prompt.model_construct(text="", replace=False)
