"""What a node is told at its start: its own file (`etc/node-1.json`) and the declared limits it names.

Both are read once. A file that does not fit stops the node before it opens a port, with one line that
says which field is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Port = Annotated[int, Field(ge=1, le=65535)]
Limit = Annotated[int, Field(ge=0, le=1_000_000, description="Requests a window; 0 lets nothing through.")]
Key = Annotated[str, Field(min_length=1, max_length=200, description="Whose requests are counted together.")]
_Model = TypeVar("_Model", bound=BaseModel)


class BadConfiguration(Exception):
    """A configuration file that cannot be used; the text names the file and every wrong field."""


class NodeConfig(BaseModel):
    """One node's configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    host: str = "127.0.0.1"
    port: Port
    redis_host: str = "127.0.0.1"
    redis_port: Port
    limits_file: Path = Path("etc/limits.json")
    on_redis_error: Literal["deny", "allow"] = "deny"
    redis_timeout_s: Annotated[float, Field(gt=0, le=30)] = 0.25
    metrics: bool = True
    heartbeat_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    redis_connections: Annotated[int, Field(ge=1, le=256, description="Calls at a time; others wait for theirs.")] = 32
    redis_db: Annotated[int, Field(ge=0, le=15)] = 0
    clock: Annotated[Literal["redis", "node"], Field(description="Whose time decides what is in a window.")] = "redis"
    clock_offset_s: Annotated[float, Field(ge=-3600, le=3600, description="How far the node's clock is ahead.")] = 0.0
    cache_s: Annotated[float, Field(ge=0, le=60, description="How long a decision is given again; 0: never.")] = 0.0


class DeclaredLimits(BaseModel):
    """The limits file: what each key may do in one window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_s: Annotated[float, Field(gt=0, le=3600)]
    default: Limit
    limits: dict[Key, Limit]

    def of(self, key: str) -> int:
        """The declared limit of `key`, in requests a window."""
        return self.limits.get(key, self.default)


def read_node(path: Path) -> tuple[NodeConfig, DeclaredLimits]:
    """The configuration at `path` and the limits it names (relative to the working folder); BadConfiguration."""
    config = _read(path, NodeConfig)
    return config, _read(config.limits_file, DeclaredLimits)


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as trouble:
        raise BadConfiguration(f"{path}: {trouble.strerror}") from trouble
    except ValidationError as trouble:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in trouble.errors())
        raise BadConfiguration(f"{path}: {wrong}") from trouble
