"""A slow alarm: it saw the trouble when the monitor did, and rings when that is long repaired."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from operatorlab import Lab
from operatorlab.monitor.board import Board
from operatorlab.monitor.judging import Patience
from operatorlab.monitor.tickets import Ticket
from operatorlab.subject import Violation


def ring_late(lab: Lab, ticket: Ticket) -> Ticket:
    """Open a second ticket, in an incident of its own, about the trouble of `ticket`, which must be closed.

    It says the same, and since when: nothing in it tells that the trouble is over. The lab's monitor closes it as it
    does any other.
    """
    alarm = Board(lab.store, lab.run_id, replace(lab.policy, reopen_s=0.0), lab.clock)  # knows nothing of the first
    seen = Violation(ticket.invariant, ticket.component, ticket.message, ticket.severity, ticket.evidence)
    alarm.judge([seen], (), ticket.violated, rules={ticket.invariant: Patience(grace_s=inf)})
    (opened,) = alarm.judge([seen], (), lab.clock.now(), rules={ticket.invariant: Patience()})
    return opened
