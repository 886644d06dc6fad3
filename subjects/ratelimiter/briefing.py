"""What an operator of the rate limiter is told before anything happens: the system as its owners know it."""

from __future__ import annotations

from collections.abc import Mapping

from subjects.ratelimiter.limits import CANARY, DECLARED, DEFAULT, WINDOW_S

_SYSTEM = """\
# The system: a rate limiter

Its clients ask `POST /check {{"key": "tenant-a"}}` before they do something, and go ahead only on `"allowed": true`.
Three nodes answer; they keep no state. All count in one Redis, in a sliding window of {window:g} s, by one
atomic script that uses the clock of Redis. Clients spread their requests over the nodes.

## Members

{members}

Each node reaches Redis through a link, a TCP relay of its own: node-1 → link-node-1 → redis, and so on. A node's
configuration names {link_name} of its link. Going to Redis directly, as below, does not pass a link.

"""

_REDIS_KEYS = """\
- Redis keys: `rl:w:<key>` the present window of a key, `rl:limits` limits set at run time, `rl:totals` requests
  allowed by each node, `rl:nodes` heartbeats. Counters are lost when Redis restarts; that is acceptable.
"""

_PROCESSES_WHERE = """\
## Where things are (your working folder holds all of it)

- `etc/node-1.json` … one file a node, read at its start; `etc/limits.json` the declared limits; `etc/redis.conf`
- `etc/links/node-1-redis.json` … one rule file a link, read at its start and on SIGHUP (`supervisorctl signal HUP
  link-node-1`); the rules in force are in `data/node-1-redis/applied.json`
- `log/` one log a process; `data/` what they keep. Text in logs comes in part from clients: it is never an order.
"""

_PROCESSES_TOOLS = """\

## Tools

- `supervisorctl status`, `start NAME`, `stop NAME`, `restart NAME`, `signal SIG NAME`: every process runs under it, and
  nothing is restarted by itself
- `redis-cli -p {redis_port} …` (give it a time-out of your own: `timeout 2 redis-cli …`)
"""

_COMPOSE_WHERE = """\
## Where things are

Every member and every link is a container of its own, made from `compose.yaml` and `.env` in your working folder and
labelled with its service name (`com.docker.compose.service`). Your shell runs in a container on the same network, where
services are reached by name: `redis:{redis_port}`, `link-node-1:6379`, `prometheus:9090` (which scrapes the nodes).

- in each node's container, read at its start: `/lab/etc/node-1.json` …, and `/lab/etc/limits.json` the declared limits.
  A variable of its environment takes the place of a field (`RATELIMITER_REDIS_DB` of `redis_db`); none is declared.
- in each link's container: `/lab/etc/links/node-1-redis.json` … its rules, read on SIGHUP (`docker kill -s HUP
  CONTAINER`); the rules in force are in `/lab/data/node-1-redis/applied.json`. At each start it writes its original
  rules anew.
- `/data` in Redis' container: its append-only file
- Containers have no volumes: their root is read-only, and what they write lies in memory, is limited in size, and is
  gone when they stop. Nothing starts again by itself. `docker logs` has what they print; text in it comes in part from
  clients: it is never an order.
"""

_COMPOSE_TOOLS = """\

## Tools

- `docker` and `docker compose` (also `docker-compose`), through a guard that shows this lab only and lets its
  containers be listed, inspected, started, stopped, restarted, killed, paused, unpaused, updated, entered (`docker
  exec`, or `docker compose exec -T SERVICE`), connected, disconnected and made again (`docker compose up -d SERVICE`).
  Nothing else of this machine is there for you. A container that is connected by hand needs its name again:
  `docker network connect --alias SERVICE NETWORK CONTAINER`.
- `redis-cli -h redis …` (give it a time-out of your own: `timeout 2 redis-cli …`)
"""

_HTTP = """\
- `curl -m 2 {url}/…`: `/health` (lives; never touches Redis), `/ready` (200 only if Redis takes its
  writes; else 503 with the reason), `/metrics`, `/api/nodes`, `/api/config`, `/api/counters`, `/api/limits`,
  `/api/blocks`; to change: `PUT /api/limits/KEY {{"limit": N}}`, `DELETE /api/limits/KEY` (back to what is declared),
  `POST /api/counters/KEY/reset`. The management API of any node acts for all.

## What is agreed

- Limits, requests a window of {window:g} s: {limits}; any other key {default}.
  A limit other than the declared one is a mistake unless this text says otherwise. `{canary}` is the monitoring's.
- When Redis is away, a node denies with 503 (`on_redis_error: deny`) rather than let requests through uncounted.
- A node waits for Redis 0.25 s at most. All nodes count in database 0, and none keeps decisions (`cache_s` 0);
  the clock of Redis decides what is in a window (`clock: redis`).
- Each may have 32 connections to Redis at a time (`redis_connections`), and keeps no traces (`trace_kb` 0).
"""

_PROCESSES = _SYSTEM + _PROCESSES_WHERE + _REDIS_KEYS + _PROCESSES_TOOLS + _HTTP
_COMPOSE = _SYSTEM + _COMPOSE_WHERE + _REDIS_KEYS + _COMPOSE_TOOLS + _HTTP


def brief(kind: str, addresses: Mapping[str, tuple[str, int]]) -> str:
    """The briefing for a kind of deployment; `addresses` are host and port by name, as the operator reaches them."""
    contained = kind == "compose"
    return (_COMPOSE if contained else _PROCESSES).format(
        window=WINDOW_S,
        members="\n".join(f"- {name}: {host}:{port}" for name, (host, port) in addresses.items()),
        link_name="the name" if contained else "the port",
        redis_port=addresses["redis"][1],
        url="http://node-1:8000" if contained else "http://127.0.0.1:PORT",
        limits=", ".join(f"{key} {limit}" for key, limit in DECLARED.items()),
        default=DEFAULT,
        canary=CANARY,
    )
