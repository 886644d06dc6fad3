"""The guard: a proxy on a Unix socket through which an operator reaches the Docker API, and nothing but its own lab.

`http.py` reads one request strictly, `policy.py`, `bodies.py` and `host.py` decide without any I/O, `views.py` narrows
what comes back, `proxy.py` connects the two sides. `Guard` runs it as a process; `capture` notes how a lab came up.
"""

from operatorlab.sandbox.guard.lab import Lab
from operatorlab.sandbox.guard.process import Guard
from operatorlab.sandbox.guard.templates import Template, Templates, capture

__all__ = ["Guard", "Lab", "Template", "Templates", "capture"]
