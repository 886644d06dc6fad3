"""Something wrong that was found, and what this procedure knows to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from operatorlab.subject import FaultKind


class Remedy(Enum):
    """What this procedure knows to do about a trouble."""

    START = "start the process"
    THAW = "let the frozen process go on"
    RESTART = "restart the process"
    OPEN_LINK = "let the link pass everything again"
    REREAD_LINK = "let the link read its rule again"
    CLEAR_LIMIT = "go back to the declared limit"
    RECONFIGURE = "give the node the settings that are agreed, and start it with them"
    REMAKE = "make the container anew, as it is declared"
    CREATE = "make the missing container again"
    CONNECT = "put the container on its network again"
    LIFT = "give the container what it is declared to have"
    FREE = "remove what is not Redis' own from its data volume"
    NONE = "hand it to a person"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong: whom to blame, what it is, what was seen, and what can be done about `where`."""

    component: str
    kind: FaultKind
    mechanism: str
    seen: str
    remedy: Remedy
    where: str

    @property
    def fingerprint(self) -> tuple[Remedy, str]:
        """What makes it the same trouble in two looks."""
        return self.remedy, self.where
