"""What an inventory of a lab of processes holds, and what not."""

from eval.damage import differences
from eval.inventory import take
from operatorlab.deploy.processes import ProcessDeployment
from subjects.ratelimiter.subject import RateLimiter


async def test_a_log_that_was_rotated_is_nobodys_doing_and_a_strange_file_is():
    deployment = await ProcessDeployment.up(RateLimiter())
    try:
        before = await take(deployment)
        for name in ("node-1.log.1", "redis.log.12", "notes.log"):
            (deployment.root / "log" / name).write_text("x")
        found = [one.what for one in differences(before, await take(deployment))]
    finally:
        await deployment.down()
    assert found == ["file/log/notes.log"]
