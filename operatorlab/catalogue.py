"""The faults and composites of a subject as a page of Markdown, written from what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from operatorlab import composites
from operatorlab.subject import DEPLOYMENTS, Composite, Fault, Part, Subject


def catalogue(subject: Subject) -> str:
    """The page; it ends with a line break."""
    harmful = [one for one in subject.composites if not one.harmless]
    controls = [one for one in subject.composites if one.harmless]
    parts = [
        f"# Faults of {subject.name}",
        f"Written by `operatorlab faults list {subject.name} --markdown`; do not edit this part by hand.",
        f"## {len(subject.faults)} single faults",
        _table(("fault", "what is done", "kind", "opens one of", *DEPLOYMENTS), map(_single, subject.faults)),
    ]
    if harmful:
        rows = map(_composite, harmful)
        parts += [f"## {len(harmful)} composites", _table(("composite", "what is done", "parts", *DEPLOYMENTS), rows)]
    if controls:
        told = _table(("control", "what is done", "parts", *DEPLOYMENTS), map(_composite, controls))
        parts += ["## Controls", "None of these may open a ticket.", told]
    return "\n\n".join(parts) + "\n"


def _single(fault: type[Fault]) -> tuple[str, ...]:
    opens = ", ".join(f"`{one}`" for one in fault.expected)
    if fault.latent:
        opens = f"nothing; once set off {opens}"
    return (f"`{fault.name}`", fault.summary, fault.kind.value, opens, *_where(fault.deployments))


def _composite(one: Composite) -> tuple[str, ...]:
    parts = "; ".join(map(_part, one.parts)) or "none"
    load = f" (load `{one.load}`)" if one.load else ""
    return (f"`{one.name}`", one.summary + load, parts, *_where(composites.deployments(one)))


def _part(part: Part) -> str:
    since = f" after {part.after_s:g} s" if part.after_s else ""
    lasting = "" if part.lasts_s is None else f" for {part.lasts_s:g} s"
    return f"{part.fault.name} on {part.target}{since}{lasting}"


def _where(known: Sequence[str]) -> tuple[str, ...]:
    return tuple("yes" if kind in known else "–" for kind in DEPLOYMENTS)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
