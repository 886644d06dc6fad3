"""What a node is told at its start: its own file (`etc/node-1.json`), the declared limits it names, and variables.

A variable of its environment takes the place of what a file says: `RATELIMITER_REDIS_DB=1` that of `redis_db`. So a
container can be told something else than the files in its image say. All is read once. What does not fit stops the node
before it opens a port, with one line that says which field or variable is wrong. So does a variable that means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Port = Annotated[int, Field(ge=1, le=65535)]
Limit = Annotated[int, Field(ge=0, le=1_000_000, description="Requests a window; 0 lets nothing through.")]
Key = Annotated[str, Field(min_length=1, max_length=200, description="Whose requests are counted together.")]
_Model = TypeVar("_Model", bound=BaseModel)
PREFIX = "RATELIMITER_"


class BadConfiguration(Exception):
    """A configuration that cannot be used; the text names the file and every wrong field, or every wrong variable."""


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
    trace_kb: Annotated[int, Field(ge=0, le=1024, description="How much is kept of each check, to look into.")] = 0


class Told(NodeConfig):
    """The same as it is in force, and what variables may say of the limits."""

    window_s: float
    default: int


class DeclaredLimits(BaseModel):
    """The limits file: what each key may do in one window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_s: Annotated[float, Field(gt=0, le=3600)]
    default: Limit
    limits: dict[Key, Limit]

    def of(self, key: str) -> int:
        """The declared limit of `key`, in requests a window."""
        return self.limits.get(key, self.default)


def variable(field: str) -> str:
    """The variable that takes the place of a field."""
    return f"{PREFIX}{field.upper()}"


_OF_LIMITS = ("window_s", "default")
VARIABLES: Mapping[str, str] = {variable(field): field for field in (*NodeConfig.model_fields, *_OF_LIMITS)}
"""The field that each variable takes the place of."""


def read_node(path: Path, environment: Mapping[str, str]) -> tuple[NodeConfig, DeclaredLimits]:
    """The configuration at `path` and the limits it names (relative to the working folder); BadConfiguration.

    Variables of `environment` take the place of what is in either.
    """
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    if unknown := sorted(given.keys() - VARIABLES.keys()):
        raise BadConfiguration("; ".join(f"{name}: no setting is called so" for name in unknown))
    told = {VARIABLES[name]: value for name, value in given.items()}
    config = _replaced(_read(path, NodeConfig), told)
    return config, _replaced(_read(config.limits_file, DeclaredLimits), told)


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as trouble:
        raise BadConfiguration(f"{path}: {trouble.strerror}") from trouble
    except ValidationError as trouble:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in trouble.errors())
        raise BadConfiguration(f"{path}: {wrong}") from trouble


def _replaced(read: _Model, told: Mapping[str, str]) -> _Model:
    """What was read, with what variables say in place of its own."""
    own = {field: value for field, value in told.items() if field in type(read).model_fields}
    try:
        return type(read).model_validate({**read.model_dump(), **own}) if own else read
    except ValidationError as trouble:
        wrong = "; ".join(f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in trouble.errors())
        raise BadConfiguration(wrong) from trouble
