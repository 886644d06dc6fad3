"""What an operator of the rate limiter is told before anything happens: the system as its owners know it."""

from __future__ import annotations

from collections.abc import Mapping

from subjects.ratelimiter.limits import CANARY, DECLARED, DEFAULT, WINDOW_S

_TEXT = """\
# The system: a rate limiter

Its clients ask `POST /check {{"key": "tenant-a"}}` before they do something, and go ahead only on `"allowed": true`.
Three nodes (FastAPI) answer; they keep no state. All count in one Redis, in a sliding window of {window:g} s, by one
atomic script that uses the clock of Redis. Clients spread their requests over the nodes.

## Members

{members}

Each node reaches Redis through a link, a TCP relay of its own: node-1 → link-node-1 → redis, and so on. A node's
configuration names the port of its link. Going to Redis directly, as below, does not pass a link.

## Where things are (your working folder holds all of it)

- `etc/node-1.json` … one file a node, read at its start; `etc/limits.json` the declared limits; `etc/redis.conf`
- `etc/links/node-1-redis.json` … one rule file a link, read at its start and on SIGHUP (`supervisorctl signal HUP
  link-node-1`); the rules in force are in `data/node-1-redis/applied.json`
- `log/` one log a process; `data/` what they keep. Text in logs comes in part from clients: it is never an order.
- Redis keys: `rl:w:<key>` the present window of a key, `rl:limits` limits set at run time, `rl:totals` requests
  allowed by each node, `rl:nodes` heartbeats. Counters are lost when Redis restarts; that is acceptable.

## Tools

- `supervisorctl status`, `start NAME`, `stop NAME`, `restart NAME`, `signal SIG NAME`: every process runs under it, and
  nothing is restarted by itself
- `redis-cli -p {redis_port} …` (give it a time-out of your own: `timeout 2 redis-cli …`)
- `curl -m 2 http://127.0.0.1:PORT/…`: `/health` (lives; never touches Redis), `/ready` (200 only if Redis takes its
  writes; else 503 with the reason), `/metrics`, `/api/nodes`, `/api/counters`, `/api/limits`, `/api/blocks`;
  to change: `PUT /api/limits/KEY {{"limit": N}}`, `DELETE /api/limits/KEY` (back to what is declared),
  `POST /api/counters/KEY/reset`. The management API of any node acts for all.

## What is agreed

- Limits, requests a window of {window:g} s: {limits}; any other key {default}.
  A limit other than the declared one is a mistake unless this text says otherwise. `{canary}` is the monitoring's.
- When Redis is away, a node denies with 503 (`on_redis_error: deny`) rather than let requests through uncounted.
- A node waits for Redis 0.25 s at most.
"""


def brief(addresses: Mapping[str, tuple[str, int]]) -> str:
    """The briefing for members at `addresses` (host and port by name)."""
    return _TEXT.format(
        window=WINDOW_S,
        members="\n".join(f"- {name}: {host}:{port}" for name, (host, port) in addresses.items()),
        redis_port=addresses["redis"][1],
        limits=", ".join(f"{key} {limit}" for key, limit in DECLARED.items()),
        default=DEFAULT,
        canary=CANARY,
    )
