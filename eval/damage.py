"""What an operator broke: the difference of two inventories outside of the reach of the faults. Pure functions.

The reach of a fault is the component its ground truth names: restarting that is part of a repair, restarting its
neighbour is harm. A lasting change of a file or a setting is harm even there, unless the fault itself had made it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from eval.evidence import Inventory, Item, Record

_NOTHING = Item(owner="", value="")


class Difference(Record):
    """One thing that is not as it was. `what` is its name in the inventory, `how` in a few words."""

    what: str
    owner: str
    how: str


def differences(
    before: Inventory,
    after: Inventory,
    reach: Collection[str] = (),
    during: Inventory | None = None,
    *,
    in_force: bool = False,
) -> tuple[Difference, ...]:
    """What of `after` is not as in `before` and should be; sorted by name.

    Of a component in `reach` processes may be other ones and totals may be lost, but files and settings must be as they
    were, except for those that the fault itself had changed, as `during` shows; without it all of them may differ.
    While a fault is `in_force`, whatever is as `during` shows it is its own doing; once none is, it is left over.
    """
    touched = None if during is None else {one.what for one in _items(before, during)}
    since = {one.what for one in _all(during, after)} if during and in_force else None

    def allowed(one: Difference) -> bool:
        lasting = one.what.startswith(("file/", "setting/", "container/"))
        found_so = since is not None and one.what not in since
        return found_so or (one.owner in reach and (not lasting or touched is None or one.what in touched))

    return tuple(sorted((one for one in _all(before, after) if not allowed(one)), key=lambda one: one.what))


def stale(pristine: Inventory, now: Inventory) -> tuple[str, ...]:
    """What a lab that was made as new keeps of its life before: anything but that its processes are other ones."""
    kept = [one for one in differences(pristine, now) if one.how not in {RESTARTED, LOST}]
    counted = [name for name, total in now.totals.items() if total > pristine.totals.get(name, 0.0) + _PROBES]
    return tuple(sorted([*(f"{one.what} {one.how}" for one in kept), *(f"{name} has counted" for name in counted)]))


RESTARTED, LOST = "is another process", "was lost"
_PROBES = 1000.0
"""Requests a monitor may have had allowed in a lab that has just come up."""


def redundancy(inventory: Inventory) -> int:
    """How many of the supervised processes run."""
    processes = (item for name, item in inventory.items.items() if name.startswith("process/"))
    return sum(item.value.startswith("running") for item in processes)


def _all(before: Inventory, after: Inventory) -> Iterator[Difference]:
    yield from _items(before, after)
    yield from _totals(before, after)
    yield from _unseen(before, after)


def _items(before: Inventory, after: Inventory) -> Iterator[Difference]:
    for name in before.items.keys() | after.items.keys():
        old, new = before.items.get(name, _NOTHING), after.items.get(name, _NOTHING)
        owner = (old if old is not _NOTHING else new).owner
        if old.value != new.value and not _hidden(name, before, after):
            yield Difference(what=name, owner=owner, how=_how(name, old.value, new.value))


def _hidden(name: str, before: Inventory, after: Inventory) -> bool:
    """Whether it differs only because members could not be asked for what they hold."""
    return name.startswith("setting/") and bool(before.unseen or after.unseen)


def _how(name: str, old: str, new: str) -> str:
    if not new:
        return "is gone"
    if not old:
        return "is new"
    if name.startswith("process/"):
        states = old.split(maxsplit=1)[0], new.split(maxsplit=1)[0]
        return RESTARTED if states[0] == states[1] else f"is {states[1]}, was {states[0]}"
    return "was changed"


def _totals(before: Inventory, after: Inventory) -> Iterator[Difference]:
    """What had been counted and is lost."""
    for name, total in before.totals.items():
        owner = name.partition("/")[0]
        if owner not in after.unseen and after.totals.get(name, 0.0) < total:
            yield Difference(what=f"total/{name}", owner=owner, how=LOST)


def _unseen(before: Inventory, after: Inventory) -> Iterator[Difference]:
    for owner, why in after.unseen.items():
        if owner not in before.unseen:
            yield Difference(what=f"member/{owner}", owner=owner, how=f"cannot be asked any more: {why}")
