"""The audit store: every observation, thought, command and result, in one SQLite file.

`AuditStore` is the whole of it for writers; `Event`, `ChainReport`, `ModelCall` and `ClientSample` are
what it takes and gives; `redact` and `timestamp` are how text and times are written.
"""

from operatorlab.audit.chain import ChainReport, Event
from operatorlab.audit.journal import timestamp
from operatorlab.audit.records import ClientSample, ModelCall
from operatorlab.audit.redaction import redact
from operatorlab.audit.store import AuditStore

__all__ = ["AuditStore", "ChainReport", "ClientSample", "Event", "ModelCall", "redact", "timestamp"]
