"""What is kept of each check, for whoever looks into what a node did. It is never thrown away."""

from __future__ import annotations


class Traces:
    """So many KB of each check; with 0 nothing is kept."""

    def __init__(self, size_kb: int) -> None:
        self._size = size_kb * 1024
        self._kept: list[bytes] = []

    def keep(self, key: str, outcome: str) -> None:
        """Remember how a check ended."""
        if self._size:
            self._kept.append(f"{key} {outcome}".encode().ljust(self._size))
