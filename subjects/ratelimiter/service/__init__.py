"""The rate limiter itself: one HTTP process a node, counting in a shared Redis."""
