"""The monitor: it looks at a subject, judges what it saw, and keeps the tickets.

`tickets` and `lifecycle` are pure; `board` keeps the tickets in the audit file; `loop` looks and judges
again and again; `python -m operatorlab.monitor` does so in a process of its own.
"""
