"""Every breach of the contract is named, all at once, in words its author understands."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from operatorlab.errors import ContractBroken, MissingProgram
from operatorlab.subject import FaultKind, GroundTruth, Invariant, Link, Member, Process, Subject
from operatorlab.validate import ValidFault, check


def broken(example: Subject, **changes: Any) -> Subject:
    return type("Broken", (type(example),), changes)()


def problems(example: Subject, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(ContractBroken) as told:
        check(broken(example, **changes))
    return told.value.problems


def holds(history: object, rule: object) -> tuple[()]:
    return ()


RULE = Invariant("calm", "All is calm.", holds)
SOME = Member("store", "store")


def test_a_good_subject_is_given_back(example: Subject):
    assert check(example) is example


@pytest.mark.parametrize("thing", [None, "ratelimiter", Subject, object()])
def test_what_is_no_subject_is_told(thing: object):
    with pytest.raises(ContractBroken, match=r"not an instance of operatorlab\.subject\.Subject"):
        check(thing)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "two words"}, "the subject's name must be a letter"),
        ({"name": None}, "not None"),
        ({"title": " "}, "title must be a text"),
        ({"members": []}, "members: must be a tuple of Member"),
        ({"members": ()}, "members: there must be at least one"),
        ({"members": ("store",)}, "members: 'store' is not a Member"),
        ({"members": (SOME, SOME)}, "members: 'store' appears more than once"),
        ({"members": (Member("a/b", "x"),)}, "members: a name must be a letter"),
        ({"members": (Member("store", ""),)}, "the role of 'store'"),
        ({"ports": ("store",)}, "ports: member 'front' has none"),
        ({"ports": ("store", "front", 80)}, "ports: 80 is not a str"),
        ({"ports": ("store", "front", "front")}, "ports: 'front' appears more than once"),
        ({"invariants": ()}, "invariants: there must be at least one"),
        ({"invariants": (RULE, RULE)}, "invariants: 'calm' appears more than once"),
        ({"invariants": (Invariant("calm", "", holds),)}, "invariant 'calm': its description"),
        ({"invariants": (Invariant("calm", "x", holds, grace_s=-1),)}, "grace_s must be seconds from 0 on"),
        ({"invariants": (Invariant("calm", "x", holds, window_s=float("nan")),)}, "window_s must be seconds"),
        ({"invariants": (Invariant("calm", "x", lambda history: ()),)}, "check must be a function of (history, rule)"),
        ({"invariants": (Invariant("calm", "x", None),)}, "check must be a function"),
        ({"invariants": (Invariant("calm", "x", holds, severity="bad"),)}, "severity must be a Severity, not 'bad'"),
        ({"invariants": (Invariant("calm", "x", holds, threshold="1"),)}, "threshold must be a number or None"),
        ({"faults": [1]}, "faults: must be a tuple"),
        ({"faults": (int,)}, "faults: <class 'int'> is not a subclass of Fault"),
        ({"loads": ("steady",)}, "it names loads and has no workload()"),
        ({"procedure": lambda self: "sometimes"}, "procedure() must return a function or None"),
    ],
)  # fmt: skip
def test_what_a_subject_declares(example: Subject, changes: dict[str, Any], told: str):
    assert [problem for problem in problems(example, **changes) if told in problem]


def _raise(*_: object) -> Any:
    raise RuntimeError("no idea")


def _sync(*_: object) -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": ""}, "its name must be"),
        ({"summary": ""}, "its summary must be"),
        ({"kind": "crash"}, "kind must be a FaultKind, not 'crash'"),
        ({"expected": ()}, "expected must be a tuple of at least one"),
        ({"expected": ("nodedown",)}, "expects the invariant 'nodedown', which the subject does not have"),
        ({"self_healing": "no"}, "self_healing must be True or False"),
        ({"latent": 1}, "latent must be True or False"),
        ({"forgetful": None}, "forgetful must be True or False"),
        ({"targets": classmethod(lambda cls, subject: ())}, "targets() must return a tuple of at least one name"),
        ({"targets": classmethod(lambda cls, subject: (1,))}, "targets() must return a tuple"),
        ({"targets": classmethod(lambda cls, subject: ("store",) * 2)}, "targets(): 'store' appears more than once"),
        ({"targets": classmethod(_raise)}, "targets() failed: RuntimeError: no idea"),
        ({"truth": _raise}, "truth() of target 'store' failed: RuntimeError"),
        ({"truth": lambda self: "it broke"}, "must be a GroundTruth, not 'it broke'"),
        ({"truth": lambda self: GroundTruth("moon", self.kind, "x")}, "blames 'moon', which is neither a member nor"),
        ({"truth": lambda self: GroundTruth("store", FaultKind.SLOW, "x")}, "the fault says"),
        ({"truth": lambda self: GroundTruth("store", self.kind, "")}, "its mechanism must be a text"),
        ({"truth": lambda self: GroundTruth("store", self.kind, "x", "abc")}, "causal_path must be a tuple of strings"),
        ({"truth": lambda self: GroundTruth("store", self.kind, "x", spread=("abc",))}, "spread must be a tuple"),
        (
            {"truth": lambda self: GroundTruth("store", self.kind, "x", spread=(("store", "moon"),))},
            "spread names 'moon', which is neither a member nor the target",
        ),
        ({"inject": _sync}, "inject must be an async function"),
        ({"heal": _sync}, "heal must be an async function"),
    ],
)  # fmt: skip
def test_what_a_fault_declares(example: Subject, changes: dict[str, Any], told: str):
    fault = type("Broken", (example.faults[0],), changes)
    found = problems(example, faults=(fault,))
    assert [problem for problem in found if told in problem and problem.startswith("fault ")], found


def test_a_target_need_not_be_a_member_where_the_truth_blames_it(example: Subject):
    aimed = {"targets": classmethod(lambda cls, subject: ("tenant-a",))}
    assert check(broken(example, faults=(type("Key", (example.faults[0],), aimed),)))


def test_a_fault_with_parts_missing_is_told_which(example: Subject):
    base = example.faults[0].__mro__[1]
    fault = type("Half", (base,), {"name": "half", "summary": "half", "kind": FaultKind.NONE, "expected": ("x",)})
    assert "fault 'half': it does not define active, heal, inject, targets, truth" in problems(example, faults=(fault,))


P = Process("store", ("true",))
Q = Process("front", ("true",))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"processes": (P,)}, "member 'front' has no process of its name"),
        ({"processes": [P, Q]}, "processes must be a tuple"),
        ({"processes": (P, Q, Q)}, "process 'front' appears more than once"),
        ({"processes": (P, Q, "redis")}, "'redis' is not a Process"),
        ({"processes": (P, Q, Process("a b", ("true",)))}, "process 'a b': its name must do as a file name"),
        ({"processes": (P, Process("front", ()))}, "argv must be a tuple of strings"),
        ({"processes": (P, Process("front", ("x", 1)))}, "argv must be a tuple of strings"),
        ({"processes": (P, Process("front", ("x", "a ;b")))}, "cannot be run by supervisord: ';' after a space"),
        ({"processes": (P, Process("front", ("x", "a\nb")))}, "cannot be run by supervisord: a line break"),
        ({"processes": (P, Process("front", ("x",), order=-1))}, "order must be a number from 0 to 999"),
        ({"processes": (P, Process("front", ("x",), {"A": 1}))}, "env must map strings to strings"),
        ({"processes": (P, Process("front", ("x",), {"OPERATORLAB_RUN": "x"}))}, "env cannot set 'OPERATORLAB_RUN'"),
        ({"processes": (P, Process("front", ("x",), {"A": "'x'"}))}, "its quotation marks"),
        ({"processes": (P, Q, Process("link-front", ("true",)))}, "has the name of a link's process"),
        ({"links": (Link("moon", "store", "front-store", "store"),)}, "'moon' is no member"),
        ({"links": (Link("front", "store", "elsewhere", "store"),)}, "'elsewhere' is not among the subject's ports"),
        ({"links": (Link("front", "store", "front", "store"),)}, "it must listen on a port of its own"),
        ({"links": (Link("front", "store", "front-store", "store"),) * 2}, "several links listen on 'front-store'"),
        ({"links": (Link("front", "store", "front-store", "store"),) * 2}, "several links from 'front' to 'store'"),
        ({"links": ("front",)}, "'front' is not a Link"),
        ({"files": ()}, "files must be a mapping"),
        ({"files": {"../x": ""}}, "file '../x' must lie below"),
        ({"files": {"/etc/x": ""}}, "file '/etc/x' must lie below"),
        ({"files": {"etc/supervisord.conf": ""}}, "is the lab's own"),
        ({"files": {"etc/links/front-store.json": ""}}, "is the lab's own"),
        ({"files": {"bin/python": ""}}, "is the lab's own"),
        ({"files": {"etc/x": b""}}, "must be text, not bytes"),
    ],
)  # fmt: skip
def test_what_a_blueprint_wants(example: Subject, changes: dict[str, Any], told: str):
    good = type(example).blueprint
    found = problems(example, blueprint=lambda self, site: dataclasses.replace(good(self, site), **changes))
    assert [problem for problem in found if told in problem and problem.startswith("blueprint: ")], found


def test_a_blueprint_that_fails_or_changes_is_told(example: Subject):
    drawn: list[int] = []

    def another(self: Subject, site: object) -> object:
        drawn.append(len(drawn))
        return dataclasses.replace(type(example).blueprint(self, site), files={"etc/n": str(len(drawn))})

    assert problems(example, blueprint=_raise) == ("blueprint() failed: RuntimeError: no idea",)
    assert "must return a Blueprint" in problems(example, blueprint=lambda self, site: None)[0]
    assert "must be the same each time" in problems(example, blueprint=another)[0]


def test_a_missing_program_is_the_machine_s_trouble_not_the_subject_s(example: Subject):
    def needs(self: Subject, site: object) -> object:
        raise MissingProgram("no tikv-server")

    with pytest.raises(MissingProgram):
        check(broken(example, blueprint=needs))


def test_everything_is_named_at_once(example: Subject):
    fault = type("Bad", (example.faults[0],), {"kind": None, "expected": ("moon",)})
    found = problems(example, title="", ports=("store", "front"), invariants=(), faults=(fault,), loads=("x",))
    for told in ("title", "invariants: there", "kind must", "'moon'", "no workload", "KeyError: 'front-store'"):
        assert [problem for problem in found if told in problem], (told, found)


# ── a fault in use ─────────────────────────────────────────────────────────────────────────────


def fault_that(example: Subject, **returns: Any) -> ValidFault:
    async def answer(self: object, deployment: object, *memo: object) -> Any:
        return returns["value"]

    return ValidFault(type("Odd", (example.faults[0],), {returns["method"]: answer})("store"))


@pytest.mark.parametrize(
    ("method", "value", "told"),
    [
        ("inject", None, "must return a mapping"),
        ("inject", {"pid": object()}, "a memo that JSON cannot hold"),
        ("inject", {"at": float("inf")}, "a memo that JSON cannot hold"),
        ("inject", {1: "one"}, "keys that are not strings"),
        ("active", "yes", "must return True or False"),
        ("active", None, "must return True or False"),
        ("heal", True, "must return nothing"),
    ],
)
async def test_what_a_fault_returns_is_checked(example: Subject, method: str, value: object, told: str):
    fault = fault_that(example, method=method, value=value)
    arguments = (None,) if method == "inject" else (None, {})
    with pytest.raises(ContractBroken, match=r"fault store_crash breaks the contract") as broken:
        await getattr(fault, method)(*arguments)
    assert told in str(broken.value)


async def test_a_good_fault_passes_unchanged(example: Subject):
    memo = {"pid": 7, "files": ["a"], "why": None}
    fault = fault_that(example, method="inject", value=memo)
    assert await fault.inject(None) is memo
    assert (fault.name, fault.target, repr(fault)) == ("store_crash", "store", "<Fault store_crash on store>")
    assert fault.truth().component == "store"


def test_a_truth_of_another_kind_is_told_at_run_time(example: Subject):
    odd = type("Odd", (example.faults[0],), {"truth": lambda self: GroundTruth("store", FaultKind.SLOW, "x")})
    with pytest.raises(ContractBroken, match="the fault says"):
        ValidFault(odd("store")).truth()
