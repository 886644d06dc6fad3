"""sqlite-utils, and in a command of ours without pandas and numpy, of which it imports what is there.

It does so to write their types, which nobody here does; it costs a third of a second and 70 MB, in each of many
processes. In somebody else's process, a notebook say, it is imported as ever: there its user may want them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNUSED = ("pandas", "numpy")


def _is_ours() -> bool:
    """Whether this process was started as a command of this project."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name if spec else Path(getattr(main, "__file__", None) or "").name
    return name.split(".")[0] in {"operatorlab", "eval"}


@contextmanager
def _as_if_not_there(names: tuple[str, ...]) -> Iterator[None]:
    """What is imported meanwhile does not find these modules."""
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: an import of it fails
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


with _as_if_not_there(tuple(name for name in _UNUSED if _is_ours() and name not in sys.modules)):
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

__all__ = ["Database", "Migrations"]
