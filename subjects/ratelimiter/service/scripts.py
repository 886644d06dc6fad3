"""The Lua that Redis runs for a node. Each script is atomic and uses the server's clock, not a node's unless told so.

Keys: `rl:w:<key>` the requests of a window (sorted by time, µs; expires by itself), `rl:limits` overrides,
`rl:totals` requests allowed by each node, `rl:nodes` heartbeats. Nothing else is ever written.
"""

from __future__ import annotations

WINDOW_PREFIX = "rl:w:"
LIMITS = "rl:limits"
TOTALS = "rl:totals"
NODES = "rl:nodes"

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

_LIMIT = """
local override = redis.call('HGET', KEYS[2], ARGV[1])
local limit = (override and tonumber(override)) or tonumber(ARGV[2])
local window = tonumber(ARGV[3])
"""

# KEYS window, limits, totals; ARGV key, declared limit, window µs, cost, member, node, its own time in µs or nothing.
# Answers: allowed, limit, remaining, µs until it may succeed (-1: never under this limit).
DECIDE = (
    _NOW
    + _LIMIT
    + """
local cost = tonumber(ARGV[4])
now = tonumber(ARGV[7]) or now
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local used = redis.call('ZCARD', KEYS[1])
if used + cost <= limit then
  for i = 1, cost do redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[5] .. ':' .. i) end
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1000)
  redis.call('HINCRBY', KEYS[3], ARGV[6], 1)
  return {1, limit, limit - used - cost, 0}
end
if cost > limit then return {0, limit, math.max(limit - used, 0), -1} end
local leaving = used + cost - limit
local last = redis.call('ZRANGE', KEYS[1], leaving - 1, leaving - 1, 'WITHSCORES')
return {0, limit, math.max(limit - used, 0), math.max(tonumber(last[2]) + window - now, 1)}
"""
)

# KEYS window, limits; ARGV key, declared limit, window µs. Reads only.
# Answers: count, limit, whether overridden, by how many µs the latest request is ahead of the server's clock.
COUNT = (
    _NOW
    + _LIMIT
    + """
local since = string.format('(%.0f', now - window)
local latest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
local ahead = latest[2] and math.max(tonumber(latest[2]) - now, 0) or 0
return {redis.call('ZCOUNT', KEYS[1], since, '+inf'), limit, override and 1 or 0, ahead}
"""
)

# KEYS nodes; ARGV node, facts (a JSON object). Stamps the facts with the server's time, seconds.
HEARTBEAT = """
local time = redis.call('TIME')
local facts = cjson.decode(ARGV[2])
facts['at'] = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(facts))
return 1
"""
