"""Every error a user can meet. Each says what happened, the likely cause, and what to do next.

    OperatorLabError
    ├── UserError                    the person at the keyboard can fix it          exit code 2
    │   ├── UnknownName              no such subject, fault, target, ticket, …
    │   ├── BadParameter             a value that does not fit
    │   └── BareHostRefused          a real model may not act without a boundary
    ├── EnvironmentTrouble           this machine must change                        exit code 3
    │   ├── PortTaken                a port that was asked for is in use
    │   ├── NotWritable              no permission, or a read-only place
    │   ├── MissingProgram           a program the deployment needs is not there
    │   └── DockerTrouble            the Docker daemon is away, or refuses
    │       └── NetworkHeld          it does not let go of an empty network until it is restarted
    ├── AuditError                   the audit file                                  exit code 4
    │   ├── AuditCorrupt             not a database, or damaged
    │   ├── AuditNewer               written by a later version
    │   └── AuditFull                no space left to record; the lab stops acting
    ├── SubjectError                 the subject's author can fix it                 exit code 5
    │   ├── ContractBroken           names every breach of the contract at once
    │   └── StartFailed              a process did not come up; carries the tail of its log
    └── TimedOut                     something awaited did not happen in time        exit code 6

`SandboxGone`, and what else ends an agent session from inside a tool, lives in `operatorlab.agent`:
those are control flow, not errors of a user.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class OperatorLabError(Exception):
    """Base of all. `cause` is the likely reason, `next_step` a command or deed that helps."""

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        if self.cause:
            lines.append(f"  likely cause: {self.cause}")
        if self.next_step:
            lines.append(f"  try: {self.next_step}")
        return "\n".join(lines)


class UserError(OperatorLabError):
    """The person at the keyboard can fix it."""

    exit_code = 2


class UnknownName(UserError):
    """No `kind` is called `name`; says which there are and which is meant."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, next_step: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(names) or "(none)"
        super().__init__(f"no {kind} is called {name!r}; there is {listed}", cause=guess, next_step=next_step)
        self.kind, self.name, self.known = kind, name, tuple(names)


class BadParameter(UserError):
    """A value that does not fit its place."""


class BareHostRefused(UserError):
    """A real model may act only inside a boundary, unless told otherwise in as many words."""


class EnvironmentTrouble(OperatorLabError):
    """This machine must change."""

    exit_code = 3


class PortTaken(EnvironmentTrouble):
    """A port that was asked for is in use."""


class NotWritable(EnvironmentTrouble):
    """No permission to write where the lab keeps its files."""


class MissingProgram(EnvironmentTrouble):
    """A program the deployment needs is not there."""


class DockerTrouble(EnvironmentTrouble):
    """The Docker daemon is away, or refuses what a lab needs of it."""


class NetworkHeld(DockerTrouble):
    """The daemon says that empty networks are in use (https://github.com/moby/moby/issues/42119)."""

    def __init__(self, networks: Sequence[str]) -> None:
        super().__init__(
            f"the Docker daemon does not let go of {', '.join(networks)}, though nothing is attached there any more",
            cause="it miscounts what is attached to a network, now and then; all else of the lab is gone",
            next_step="restart Docker, then `operatorlab down` again, or `operatorlab cleanup`",
        )


class AuditError(OperatorLabError):
    """Something about the audit file."""

    exit_code = 4


class AuditCorrupt(AuditError):
    """Not a database, or a damaged one. It is left as it is."""


class AuditNewer(AuditError):
    """Written by a later version of operatorlab. It is left as it is."""


class AuditFull(AuditError):
    """No space left to record. What cannot be recorded must not be done."""


class SubjectError(OperatorLabError):
    """The subject's author can fix it."""

    exit_code = 5


class ContractBroken(SubjectError):
    """A subject or fault that breaks the contract; `problems` names every breach."""

    def __init__(self, name: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{name} breaks the contract of operatorlab.subject:\n{listed}")


class StartFailed(SubjectError):
    """A process of the subject did not come up."""


class TimedOut(OperatorLabError):
    """Something awaited did not happen in time."""

    exit_code = 6
