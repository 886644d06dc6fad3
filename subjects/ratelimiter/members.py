"""The names of its members."""

NODES = ("node-1", "node-2", "node-3")
REDIS = "redis"
