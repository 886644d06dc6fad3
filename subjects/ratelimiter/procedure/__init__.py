"""The deterministic diagnostician of the rate limiter: looks, reasons, repairs, checks; no model.

It knows the system as its briefing describes it, and nothing of what may have been done to it: every
conclusion comes from what its own commands printed.

    look ──▶ Picture ── assess ──▶ Trouble ── repair ──▶ look again … ──▶ Conclusion

How to look and to act depends on what runs the system: see `ways`. The first step finds out which it is.
"""

from subjects.ratelimiter.procedure.rounds import diagnose

__all__ = ["diagnose"]
