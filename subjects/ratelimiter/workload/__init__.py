"""The clients of the rate limiter, as one process that records what they saw."""
