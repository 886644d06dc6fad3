"""Does a subject keep the contract of `operatorlab.subject`? Every breach is named, all at once.

`check` looks at what a subject declares, without running anything: its members, ports, invariants and
faults here, its blueprint in `operatorlab.blueprints`. `ValidFault` wraps one fault while it is used and
checks what it returns.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from math import isfinite
from typing import TypeVar

from operatorlab import composites
from operatorlab.blueprints import blueprint_problems
from operatorlab.errors import ContractBroken
from operatorlab.subject import (
    DEPLOYMENTS,
    Deployment,
    Fault,
    FaultKind,
    GroundTruth,
    Invariant,
    Json,
    Member,
    Severity,
    Subject,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
T = TypeVar("T")
_METHODS = ("inject", "active", "heal")


def check(subject: object) -> Subject:
    """`subject`, if it keeps the contract; ContractBroken with every problem if it does not.

    MissingProgram and its like pass through: they are about this machine, not about the subject.
    """
    if not isinstance(subject, Subject):
        raise ContractBroken(repr(subject), ["it is not an instance of operatorlab.subject.Subject"])
    names = [*_members(subject), *_ports(subject)]
    found = [*_identity(subject), *names, *_invariants(subject), *_faults(subject), *_options(subject)]
    if not any(one.startswith("fault") for one in found):  # composites are asked for what they are made of
        found += composites.problems(subject)
    if not names:  # a blueprint is only asked for where the names it uses can be trusted
        found += blueprint_problems(subject)
    if found:
        raise ContractBroken(str(getattr(subject, "name", type(subject).__name__)), found)
    return subject


class ValidFault:
    """A fault in use: what it returns is checked, and a breach is the fault's author's, by name."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def __repr__(self) -> str:
        return repr(self.fault)

    @property
    def name(self) -> str:
        return self.fault.name

    @property
    def target(self) -> str:
        return self.fault.target

    def truth(self) -> GroundTruth:
        """The right diagnosis."""
        truth = self.fault.truth()
        self._refuse(list(_truth(truth, type(self.fault), self.fault.target, None)))
        return truth

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Break it; the memo is a mapping that JSON keeps as it is."""
        memo = await self.fault.inject(deployment)
        self._refuse(list(_memo(memo)))
        return memo

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it is in force, from the system's own state."""
        answer: object = await self.fault.active(deployment, memo)
        if not isinstance(answer, bool):
            raise ContractBroken(f"fault {self.name}", [f"active() must return True or False, and returned {answer!r}"])
        return answer

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Undo it."""
        answer: object = await self.fault.heal(deployment, memo)  # type: ignore[func-returns-value]
        if answer is not None:
            self._refuse([f"heal() must return nothing, and returned {answer!r}"])

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            raise ContractBroken(f"fault {self.name}", problems)


# ── what a subject declares ────────────────────────────────────────────────────────────────────


def _identity(subject: Subject) -> Iterator[str]:
    yield from _bad_name("the subject's name", getattr(subject, "name", None))
    yield from _bad_text("title", getattr(subject, "title", None))


def _members(subject: Subject) -> Iterator[str]:
    members = yield from _tuple_of(subject, "members", Member)
    if not members:
        yield "members: there must be at least one"
    for member in members:
        yield from _bad_name("members: a name", member.name)
        yield from _bad_text(f"members: the role of {member.name!r}", member.role)
    yield from _doubles("members", [member.name for member in members])


def _ports(subject: Subject) -> Iterator[str]:
    ports = yield from _tuple_of(subject, "ports", str)
    for port in ports:
        yield from _bad_name("ports: a name", port)
    yield from _doubles("ports", ports)
    for member in _declared(subject, "members", Member):
        if member.name not in ports:
            yield f"ports: member {member.name!r} has none; its own name must be among the ports"


def _invariants(subject: Subject) -> Iterator[str]:
    invariants = yield from _tuple_of(subject, "invariants", Invariant)
    if not invariants:
        yield "invariants: there must be at least one"
    yield from _doubles("invariants", [one.name for one in invariants])
    for one in invariants:
        where = f"invariant {one.name!r}"
        yield from _bad_name("invariants: a name", one.name)
        yield from _bad_text(f"{where}: its description", one.description)
        if not _takes(one.check, 2):
            yield f"{where}: check must be a function of (history, rule)"
        severity: object = one.severity
        if not isinstance(severity, Severity):
            yield f"{where}: severity must be a Severity, not {severity!r}"
        for field in ("grace_s", "window_s"):
            if not _is_number(getattr(one, field)) or getattr(one, field) < 0:
                yield f"{where}: {field} must be seconds from 0 on, not {getattr(one, field)!r}"
        if one.threshold is not None and not _is_number(one.threshold):
            yield f"{where}: threshold must be a number or None, not {one.threshold!r}"


def _faults(subject: Subject) -> Iterator[str]:
    declared: object = getattr(subject, "faults", None)
    if not isinstance(declared, tuple):
        yield f"faults: must be a tuple of Fault classes, not {declared!r}"
        return
    faults: list[type[Fault]] = []
    for one in declared:
        if isinstance(one, type) and issubclass(one, Fault):
            faults.append(one)
        else:
            yield f"faults: {one!r} is not a subclass of Fault"
    yield from _doubles("faults", [str(getattr(one, "name", one.__name__)) for one in faults])
    for one in faults:
        yield from (f"fault {getattr(one, 'name', one.__name__)!r}: {why}" for why in _fault(one, subject))


def _fault(fault: type[Fault], subject: Subject) -> Iterator[str]:
    yield from _bad_name("its name", getattr(fault, "name", None))
    yield from _bad_text("its summary", getattr(fault, "summary", None))
    if not isinstance(getattr(fault, "kind", None), FaultKind):
        yield f"kind must be a FaultKind, not {getattr(fault, 'kind', None)!r}"
    for flag in ("self_healing", "latent", "forgetful"):
        if not isinstance(value := getattr(fault, flag), bool):
            yield f"{flag} must be True or False, not {value!r}"
    yield from _deployments(fault.deployments)
    yield from _expected(getattr(fault, "expected", None), subject)
    yield from _known_invariants("may break", fault.also, subject)
    missing = sorted(getattr(fault, "__abstractmethods__", ()))
    if missing:
        yield f"it does not define {', '.join(missing)}"
        return
    for method in _METHODS:
        if not inspect.iscoroutinefunction(getattr(fault, method)):
            yield f"{method} must be an async function"
    yield from _targets(fault, subject)


def _deployments(named: object) -> Iterator[str]:
    if not isinstance(named, tuple) or not named or not set(named) <= set(DEPLOYMENTS):
        yield f"deployments must be a tuple of at least one of {', '.join(DEPLOYMENTS)}, not {named!r}"


def _expected(expected: object, subject: Subject) -> Iterator[str]:
    if not isinstance(expected, tuple) or not expected or not all(isinstance(one, str) for one in expected):
        yield f"expected must be a tuple of at least one invariant's name, not {expected!r}"
        return
    yield from _known_invariants("expects", expected, subject)


def _known_invariants(how: str, names: Sequence[str], subject: Subject) -> Iterator[str]:
    known = {one.name for one in _declared(subject, "invariants", Invariant)}
    for name in (fingerprint.partition("/")[0] for fingerprint in names):
        if name not in known:
            yield f"it {how} the invariant {name!r}, which the subject does not have"


def _targets(fault: type[Fault], subject: Subject) -> Iterator[str]:
    try:
        targets: object = fault.targets(subject)
    except Exception as trouble:  # noqa: BLE001 whatever it raises, it is the author's to know
        yield f"targets() failed: {_told(trouble)}"
        return
    if not isinstance(targets, tuple) or not targets or not all(isinstance(one, str) and one for one in targets):
        yield f"targets() must return a tuple of at least one name, not {targets!r}"
        return
    yield from _doubles("targets()", targets)
    members = {member.name for member in _declared(subject, "members", Member)}
    for target in targets:
        try:
            truth = fault(target).truth()
        except Exception as trouble:  # noqa: BLE001 see above
            yield f"truth() of target {target!r} failed: {_told(trouble)}"
            continue
        yield from _truth(truth, fault, target, members)


def _truth(truth: object, fault: type[Fault], target: str, members: set[str] | None) -> Iterator[str]:
    if not isinstance(truth, GroundTruth):
        yield f"truth() of target {target!r} must be a GroundTruth, not {truth!r}"
        return
    if members is not None and truth.component not in members | {target}:
        yield f"truth() of target {target!r} blames {truth.component!r}, which is neither a member nor the target"
    if truth.kind is not fault.kind:
        yield f"truth() of target {target!r} says {truth.kind!r}, the fault says {fault.kind!r}"
    yield from _bad_text(f"truth() of target {target!r}: its mechanism", truth.mechanism)
    path: object = truth.causal_path
    if not isinstance(path, tuple) or not all(isinstance(step, str) for step in path):
        yield f"truth() of target {target!r}: causal_path must be a tuple of strings, not {path!r}"
    yield from _spread(truth.spread, target, members)


def _spread(spread: object, target: str, members: set[str] | None) -> Iterator[str]:
    if not isinstance(spread, tuple) or not all(isinstance(hop, tuple) and len(hop) == 2 for hop in spread):
        yield f"truth() of target {target!r}: spread must be a tuple of pairs (cause, effect), not {spread!r}"
        return
    for name in dict.fromkeys(name for hop in spread for name in hop):
        if members is not None and name not in members | {target}:
            yield f"truth() of target {target!r}: spread names {name!r}, which is neither a member nor the target"


def _options(subject: Subject) -> Iterator[str]:
    """What a subject may bring besides: loads and a procedure."""
    loads = yield from _tuple_of(subject, "loads", str)
    yield from _doubles("loads", loads)
    if loads and type(subject).workload is Subject.workload:
        yield "loads: it names loads and has no workload()"
    procedure: object = subject.procedure()
    if procedure is not None and not callable(procedure):
        yield f"procedure() must return a function or None, not {procedure!r}"


def _memo(memo: object) -> Iterator[str]:
    if not isinstance(memo, Mapping):
        yield f"inject() must return a mapping, and returned {memo!r}"
        return
    try:
        kept = json.loads(json.dumps(dict(memo), allow_nan=False))
    except (TypeError, ValueError) as trouble:
        yield f"inject() returned a memo that JSON cannot hold: {trouble}"
        return
    if set(kept) != set(memo):
        yield f"inject() returned a memo with keys that are not strings: {memo!r}"


# ── kinds of breach ────────────────────────────────────────────────────────────────────────────


def _tuple_of(subject: Subject, field: str, kind: type[T]) -> Generator[str, None, list[T]]:
    """The values of a field that are of their kind; tells of those that are not."""
    value: object = getattr(subject, field, None)
    if not isinstance(value, tuple):
        yield f"{field}: must be a tuple of {kind.__name__}, not {value!r}"
        return []
    for one in value:
        if not isinstance(one, kind):
            yield f"{field}: {one!r} is not a {kind.__name__}"
    return _declared(subject, field, kind)


def _declared(subject: Subject, field: str, kind: type[T]) -> list[T]:
    value: object = getattr(subject, field, ())
    return [one for one in value if isinstance(one, kind)] if isinstance(value, tuple) else []


def _doubles(where: str, names: Sequence[object]) -> Iterator[str]:
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"{where}: {name!r} appears more than once"


def _bad_name(what: str, name: object) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{what} must be a letter and then letters, digits, '_', '.' or '-', not {name!r}"


def _bad_text(what: str, text: object) -> Iterator[str]:
    if not isinstance(text, str) or not text.strip():
        yield f"{what} must be a text that says something, not {text!r}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _takes(function: object, count: int) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature: only a call can tell
        return True
    return True


def _told(trouble: Exception) -> str:
    return f"{type(trouble).__name__}: {trouble}"
