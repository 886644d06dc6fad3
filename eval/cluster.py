"""Runs trials on a Dask cluster, for campaigns that outgrow one machine. Needs the extra `cluster`.

Each task is one trial: a Dask worker starts a worker process of its own machine for it (`executor.Worker`), and brings
the evidence home together with the trial's audit file. A task whose Dask worker dies is run again by another one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.evidence import Evidence, Moment, Trial
from eval.executor import Local, OnProgress, Progress
from eval.salvage import salvage
from operatorlab.clock import SystemClock
from operatorlab.errors import MissingProgram

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
"""In the place of an address: a cluster of its own on this machine."""
_RETRIES = 2


@dataclass
class Dask:
    """Runs trials on the cluster at `scheduler`; `jobs` is the number of workers of a local one."""

    scheduler: str
    jobs: int
    audits: Path
    on_progress: OnProgress = field(default=lambda _: None)
    name = "dask"

    async def run(self, trials: Sequence[Trial]) -> AsyncGenerator[Evidence]:
        """The evidence of each trial as it comes in. MissingProgram without the extra `cluster`."""
        distributed = _distributed()
        async with contextlib.AsyncExitStack() as stack:
            client = await self._client(distributed, stack)
            asked = {client.submit(run_one, trial.model_dump_json(), pure=False, retries=_RETRIES): trial
                     for trial in trials}  # fmt: skip
            began = Moment.of(SystemClock().now())
            for trial in trials:
                self.on_progress(Progress(0, trial, "submitted"))
            async for future in distributed.as_completed(list(asked)):
                yield await self._home(future, asked[future], began)

    async def _client(self, distributed: Any, stack: contextlib.AsyncExitStack) -> Client:
        """A client of the cluster; what is started here ends with `stack`."""
        if self.scheduler != LOCAL:
            return await stack.enter_async_context(distributed.Client(self.scheduler, asynchronous=True))
        options = {"n_workers": self.jobs, "threads_per_worker": 1, "dashboard_address": None, "asynchronous": True}
        cluster = await stack.enter_async_context(distributed.LocalCluster(**options))
        return await stack.enter_async_context(distributed.Client(cluster, asynchronous=True))

    async def _home(self, future: Any, trial: Trial, began: Moment) -> Evidence:
        """Write the audit beside the others; evidence of a trial whose workers died says so."""
        audit = self.audits / f"{trial.id}.db"
        try:
            told, data = await future
        except Exception as trouble:  # noqa: BLE001  whatever a cluster fails with, the trial was not judged
            return salvage(trial, audit, began, f"the cluster could not run it: {type(trouble).__name__}: {trouble}")
        audit.write_bytes(data)
        return Evidence.model_validate_json(told)


async def run_one(asked: str) -> tuple[str, bytes]:
    """On a Dask worker: run one trial in a process of its own; its evidence and its audit file."""
    trial = Trial.model_validate_json(asked)
    with tempfile.TemporaryDirectory(prefix="operatorlab-eval-") as name:
        folder = Path(name)
        (evidence,) = [one async for one in Local(1, folder, folder).run([trial])]
        audit = folder / f"{trial.id}.db"
        return evidence.model_dump_json(), audit.read_bytes() if audit.exists() else b""


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as missing:
        step = "pip install 'operatorlab[cluster]'"
        raise MissingProgram("a cluster needs dask.distributed", next_step=step) from missing
    return distributed
