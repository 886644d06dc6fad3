"""Differences of inventories: what is harm, what is within reach, and what a reset left."""

from eval.damage import differences, redundancy, stale


def told(before, after, reach=()):
    return [f"{one.what} {one.how}" for one in differences(before, after, reach)]


def test_nothing_changed(make):
    assert told(make.inventory(), make.inventory()) == []


def test_the_reach_of_a_fault_is_its_component(make):
    after = make.inventory(**{"process/node-2": "running 9@4.00", "process/redis": "running 8@4.00"})
    assert told(make.inventory(), after, {"node-2"}) == ["process/redis is another process"]
    assert told(make.inventory(), after, {"node-2", "redis"}) == []


def test_a_lasting_change_is_harm_within_reach_too_unless_the_fault_had_made_it(make):
    before, calm = make.inventory(), make.inventory(**{"process/redis": "stopped"})
    changed = make.inventory(**{"process/redis": "running 8@4.00", "setting/redis/maxmemory": "5"})
    assert told(before, changed, {"redis"}) == []  # nobody knows what the fault had changed
    assert [one.what for one in differences(before, changed, {"redis"}, calm)] == ["setting/redis/maxmemory"]
    broken = make.inventory(**{"setting/redis/maxmemory": "1"})
    assert differences(before, changed, {"redis"}, broken) == ()  # another limit than before, but a repair


def test_what_a_fault_in_force_has_done_is_no_harm_and_what_is_left_of_one_that_is_not_is(make):
    rogue = {"stray/nc": "running 5@4.00"}
    before, during = make.inventory(), make.inventory(**rogue).model_copy(update={"totals": {"redis/allowed": 0.0}})
    assert differences(before, during, (), during, in_force=True) == ()
    assert [one.what for one in differences(before, during, (), during)] == ["stray/nc", "total/redis/allowed"]
    busy = make.inventory(**rogue, **{"process/node-1": "running 7@4.00", "file/etc/notes": "cccc"})
    found = differences(before, busy, (), during, in_force=True)
    assert [one.what for one in found] == ["file/etc/notes", "process/node-1"]
    more = make.inventory(**{"stray/nc": "running 6@5.00"})
    assert [one.what for one in differences(before, more, (), during, in_force=True)] == ["stray/nc"]


def test_what_nobody_owns_is_in_nobodys_reach(make):
    after = make.inventory(**{"file/etc/limits.json": "bbbb", "stray/nc": "running 5@4.00"})
    assert told(make.inventory(), after, {"node-1", "node-2", "redis"}) == [
        "file/etc/limits.json was changed",
        "stray/nc is new",
    ]


def test_members_that_cannot_be_asked_any_more_are_said_once(make):
    after = make.inventory(**{"setting/redis/maxmemory": ""}).model_copy(update={"unseen": {"redis": "it is stopped"}})
    assert told(make.inventory(), after) == ["member/redis cannot be asked any more: it is stopped"]
    assert told(make.inventory(), after, {"redis"}) == []


def test_totals_may_grow_and_not_shrink(make):
    more = make.inventory().model_copy(update={"totals": {"redis/allowed": 900.0}})
    less = make.inventory().model_copy(update={"totals": {"redis/allowed": 0.0}})
    assert told(make.inventory(), more) == []
    assert told(make.inventory(), less) == ["total/redis/allowed was lost"]
    assert told(make.inventory(), less, {"redis"}) == []


def test_a_lab_as_new_has_other_processes_and_nothing_else(make):
    pristine = make.inventory().model_copy(update={"totals": {}})
    anew = make.inventory(**{"process/node-1": "running 71@9.00", "process/redis": "running 74@9.00"})
    assert stale(pristine, anew) == ()
    assert stale(pristine, make.inventory(**{"process/node-1": "stopped"})) == (
        "process/node-1 is stopped, was running",
    )
    kept = make.inventory(**{"file/data/left": "dddd"}).model_copy(update={"totals": {"redis/allowed": 50_000.0}})
    assert stale(pristine, kept) == ("file/data/left is new", "redis/allowed has counted")


def test_redundancy_counts_what_runs(make):
    assert redundancy(make.inventory()) == 3
    assert redundancy(make.inventory(**{"process/node-1": "paused 1@1.00", "process/node-2": "stopped"})) == 1
