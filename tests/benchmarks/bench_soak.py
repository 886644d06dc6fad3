"""False tickets in the soak, and how near what is benign came to one. `OPERATORLAB_BENCH_WINDOWS` says how long."""

import os

import pytest

from operatorlab import Lab
from operatorlab.cli.shared import print_table
from operatorlab.soak import soak

WINDOWS = int(os.environ.get("OPERATORLAB_BENCH_WINDOWS", "1000"))
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(300 + 2 * WINDOWS)]


async def test_false_tickets_in_the_soak(capsys, own_home):
    report = await soak(Lab("ratelimiter", load="none", interval_s=0.5), windows=WINDOWS)
    with capsys.disabled():
        print()
        print_table([phase.row() for phase in report.phases])
        print("\n".join(report.lines()))
    assert report.ok
