"""The soak: a lab with no fault in it, lived through all that is benign. Whatever ticket opens is a false one.

    report = await soak(Lab("ratelimiter", load="none"), windows=1000)
    report.ok, report.windows, report.false

On the command line: `operatorlab monitor soak`.
"""

from operatorlab.soak.report import Away, PhaseReport, SoakReport
from operatorlab.soak.run import soak

__all__ = ["Away", "PhaseReport", "SoakReport", "soak"]
