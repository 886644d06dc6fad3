"""A program that is run where a member runs, on both kinds of boundary."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from operatorlab.deploy.kin import kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.errors import UnknownName

_LEAVE = 'setsid "$@" </dev/null >/dev/null 2>&1 &'


def left(lab: ProcessDeployment) -> list[psutil.Process]:
    return [one for one in kin(lab.record) if one.cmdline() == ["sleep", "4321"]]


async def test_it_runs_in_the_labs_folder_and_its_end_and_words_come_back(lab: ProcessDeployment):
    assert await lab.run("store", "sh", "-c", "echo said; echo complained >&2; exit 7") == (7, "said\ncomplained\n")
    assert await lab.run("store", "cat", "etc/absent") != (0, "")
    code, told = await lab.run("store", "ls", "etc")
    assert code == 0
    assert "supervisord.conf" in told
    assert (await lab.run("store", "no-such-program"))[0] == 127
    assert await lab.run("store", "printf", "%s", "it's $HOME; `x`\n") == (0, "it's $HOME; `x`\n")


async def test_an_unknown_member_is_told(lab: ProcessDeployment):
    with pytest.raises(UnknownName, match="store"):
        await lab.run("stroe", "true")


async def test_what_it_leaves_running_is_the_labs_and_ends_with_a_reset_and_with_the_lab(lab: ProcessDeployment):
    for end in (lab.reset, lab.down):
        assert await lab.run("store", "sh", "-c", _LEAVE, "sh", "sleep", "4321") == (0, "")
        async with asyncio.timeout(5):
            while not (strays := left(lab)):  # noqa: ASYNC110  what a shell becomes signals no event
                await asyncio.sleep(0.01)
        [stray] = strays
        await end()
        assert not stray.is_running() or stray.status() == psutil.STATUS_ZOMBIE
        assert not left(lab)
