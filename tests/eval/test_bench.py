"""Warm labs: which a trial gets, that each is as new, and that none is left."""

import pytest

from eval.bench import Bench
from operatorlab.deploy.labs import labs
from operatorlab.subject import MemberState

pytestmark = pytest.mark.usefixtures("own_home")


async def test_with_a_spare_one_lab_is_made_new_while_the_other_is_in_use():
    async with Bench("ratelimiter", "processes", spare=True) as bench:
        first, _ = await bench.fresh()
        await first.kill("node-2")
        second, found = await bench.fresh()
        assert (second.run_id != first.run_id, found) == (True, ())
        again, found = await bench.fresh()
        assert (again.run_id, found) == (first.run_id, ())
        assert await again.state("node-2") is MemberState.RUNNING
        assert len(labs()) == 2
    assert labs() == []


async def test_a_lab_that_cannot_be_made_new_is_replaced_and_the_trial_is_told():
    async with Bench("ratelimiter", "processes", spare=True) as bench:
        spoilt, _ = await bench.fresh()
        spoilt.folder.joinpath("lab.json").unlink()  # nobody can tell any more what it is
        other, found = await bench.fresh()
        assert found == ()
        third, found = await bench.fresh()
        assert third.run_id not in {spoilt.run_id, other.run_id}
        assert ["reset failed" in one for one in found] == [True]


async def test_without_one_the_same_lab_is_used_again():
    async with Bench("ratelimiter", "processes") as bench:
        first, _ = await bench.fresh()
        again, found = await bench.fresh()
        assert (again.run_id, found) == (first.run_id, ())


async def test_leaving_while_a_lab_is_made_new_leaves_none():
    async with Bench("ratelimiter", "processes", spare=True) as bench:
        await bench.fresh()
        await bench.fresh()  # the first is being reset
    assert labs() == []
