"""One way to write a value down: the same value is the same bytes everywhere, so ids and scores can be compared."""

from __future__ import annotations

import json
from hashlib import sha256

from pydantic import BaseModel, TypeAdapter

ID_CHARS = 12


def canonical(value: object) -> str:
    """JSON with sorted keys and no blanks; dataclasses and pydantic models by their fields."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else _ANY.dump_python(value, mode="json")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_id(*values: object) -> str:
    """A short name made from the content of `values`."""
    return sha256("\n".join(canonical(value) for value in values).encode()).hexdigest()[:ID_CHARS]


_ANY: TypeAdapter[object] = TypeAdapter(object)
