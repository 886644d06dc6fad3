"""Fills a small file system with an audit file, frees some of it, goes on; says as JSON what happened.

python disk.py FOLDER        FOLDER is on a file system of its own, about a megabyte large
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from operatorlab.audit import AuditStore
from operatorlab.errors import AuditFull


def fill(store: AuditStore) -> tuple[int, str]:
    """Append until it is full: how many were acknowledged, and the error."""
    number = 0
    try:
        while True:
            with store.atomic():
                store.append("half", {"number": number})
                store.append("whole", {"number": number, "padding": "x" * 2000})
            number += 1
    except AuditFull as error:
        return number, str(error)


def main(folder: Path) -> dict[str, object]:
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    with AuditStore(folder / "audit.db", environment={}) as store:
        acknowledged, error = fill(store)
        full = {"events": len(store.events()), "valid": store.verify().ok}
        ballast.unlink()
        store.append("after", {})
        freed = {"events": len(store.events()), "valid": store.verify().ok}
    with AuditStore(folder / "audit.db", environment={}) as store:
        again = {"events": len(store.events()), "valid": store.verify().ok, "damage": store.damage()}
    return {
        "acknowledged": acknowledged,
        "error": error,
        "full": full,
        "freed": freed,
        "again": again,
        **crowded(folder),
    }


def crowded(folder: Path) -> dict[str, object]:
    """Creating an audit file where there is no room for one."""
    (folder / "audit.db").unlink()
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (4096, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue
    try:
        AuditStore(folder / "audit.db", environment={}).close()
    except AuditFull as error:
        return {"crowded": str(error)}
    return {"crowded": None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
