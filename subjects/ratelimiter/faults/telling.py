"""How a node is told its settings, and told other ones: that depends on what it runs as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from operatorlab.subject import Json


class Telling(Protocol):
    """What a fault in a node's configuration does where the node runs."""

    async def wrongly(self) -> Mapping[str, Json]:
        """Tell the node the wrong settings and start it with them; the memo."""
        ...

    async def is_wrong(self) -> bool:
        """Whether it is told so at its next start, or was at its last."""
        ...

    async def rightly(self, memo: Mapping[str, Json]) -> None:
        """Tell it what it was told before, and have one run that was told that. Twice does no harm."""
        ...

    def fix(self) -> tuple[str, ...]:
        """What an operator runs for the same."""
        ...


class Settings(Protocol):
    """What is told: the part of a fault that does not depend on what the node runs as."""

    target: str
    lives: bool

    @property
    def path(self) -> str: ...

    @property
    def wrong(self) -> Mapping[str, Json]: ...

    @property
    def right(self) -> Mapping[str, Json]: ...

    @property
    def files(self) -> Mapping[str, str]: ...

    @property
    def variables(self) -> Mapping[str, str]: ...

    @property
    def mending(self) -> str: ...

    def spoilt(self, text: str) -> str: ...

    def is_spoilt(self, text: str) -> bool: ...
