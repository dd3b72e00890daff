"""Many rows at once: each distinct encoder is trained once, attacks follow it, a process a core or the workers of a Dask cluster.

One thread a process: on CPUs two such processes do more than one with two threads. A killed sweep goes on where it was, as every stage is
a run of the store. What the workers say goes to `sweep.log` in the store; here stands one line a stage, with the time that is left.
"""

import multiprocessing
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from arl import experiment, machine, plugins
from arl.config import RunConfig, setting
from arl.experiment import Experiment
from arl.machine import KEEP_MEMORY
from arl.messages import UserError, open_log, say
from arl.row import Row
from arl.stages import Executor, Stage, Tally, do, graph
from arl.store import explained, run_id, runs_root
from arl.watch import follow

if TYPE_CHECKING:
    from distributed import Client

LOG = "sweep.log"  # in the store: what the workers say


def sweep(cfgs: Sequence[RunConfig], workers: int | None = None, client: "Client | None" = None) -> list[Row]:
    """The row run of each configuration, in their order; found, or made by `workers` processes (default: `machine.workers()`).

    `client`, of a Dask cluster: its workers make them; so do those of `$ARL_SCHEDULER`, an address, where neither is given.
    When a row fails the others are finished first; then `UserError` names it.
    """
    unique = list(dict.fromkeys(cfgs))
    for cfg in unique:
        Experiment(cfg).check()  # and what has to be drawn or decoded is, once, here
    missing = [cfg for cfg in unique if experiment.find(cfg) is None]
    if missing:
        with _executor(workers, client) as executor:
            say(plan(cfgs, missing))
            if elsewhere := [cfg for cfg in missing if not _of_this_process(cfg)]:
                executor.run(graph(elsewhere))
    return [experiment.run(cfg) for cfg in cfgs]


@contextmanager
def _executor(workers: int | None, client: "Client | None") -> Iterator[Executor]:
    """Who does the stages."""
    address = machine.scheduler() if workers is None else None
    if client is None and address is None:
        from arl import gate  # which knows the rooms above

        gate.main_guard()
        yield Pool(workers or machine.workers())
        return
    from arl.cluster.client import Cluster, connected

    if client is not None:
        yield Cluster(client)
        return
    with connected(address) as own:
        yield Cluster(own)


def _of_this_process(cfg: RunConfig) -> bool:
    """Whether only this process knows its defence or an attack."""
    return any(plugins.of_a_cell(player) for player in cfg.players)


def plan(cfgs: Sequence[RunConfig], missing: Sequence[RunConfig]) -> str:
    """What a sweep will do, in lines: how many encoders serve how many rows, how much is stored, which rows share an encoder."""
    shared: dict[str, dict[str, None]] = defaultdict(dict)
    for cfg in cfgs:
        shared[run_id(Experiment(cfg).encoder_spec)][f"{setting(cfg)}, seed {cfg.seed}"] = None
    different = len(set(cfgs))
    lines = [
        f"{len(cfgs)} rows, {different} different, {len(shared)} distinct encoders; {different - len(missing)} rows are stored"
    ]
    lines += [f"  {e} serves {len(rows)} rows: " + "; ".join(rows) for e, rows in shared.items() if len(rows) > 1]
    return "\n".join(lines)


class Pool:
    """Processes of this machine, one stage at a time each: whoever is idle begins what is ready and has most still to come."""

    def __init__(self, workers: int):
        self.workers = workers
        self.waiting: list[Stage] = []
        self.made: set[str] = set()  # keys
        self.jobs: dict[Future, Stage] = {}

    def run(self, stages: Sequence[Stage]) -> None:
        """As `Executor`. Raises `UserError` at once where a worker died."""
        self.waiting, tally = list(stages), Tally(stages)
        if (precision := machine.precision()) == "bf16" and machine.device().type == "cpu":
            say("networks learn in bf16, in which this processor is faster; ARL_PRECISION=float32 says otherwise")
        os.environ |= KEEP_MEMORY | os.environ | {"ARL_PRECISION": precision}  # one for all workers
        with explained(runs_root() / LOG):  # another's, perhaps
            open_log(runs_root() / LOG).close()
        context = multiprocessing.get_context("spawn")
        given = os.getpid(), str(runs_root()), plugins.loaded()
        pool = ProcessPoolExecutor(self.workers, context, initializer=_start_worker, initargs=given)
        try:
            self._submit(pool)
            while self.jobs:
                for job in wait(self.jobs, return_when=FIRST_COMPLETED).done:
                    self._finish(job, tally)
                self._submit(pool)
        except BrokenProcessPool:
            found = "sweep: a worker died, perhaps for want of memory"
            raise UserError(f"{found}; the same command goes on, ARL_WORKERS=1 needs less") from None
        finally:
            pool.shutdown(wait=not self.jobs, cancel_futures=True)
            if self.jobs:  # interrupted: the workers' checkpoints are on disk
                for child in multiprocessing.active_children():
                    child.terminate()
        tally.close()

    def _submit(self, pool: ProcessPoolExecutor) -> None:
        """Give idle workers something to do."""
        while len(self.jobs) < self.workers and (stage := self._next()) is not None:
            self.jobs[pool.submit(do, stage.kind, stage.cfg)] = stage

    def _next(self) -> Stage | None:
        """What is ready and has most still to come, so that nobody waits at the end; it waits no more."""
        ready = [stage for stage in self.waiting if self.made.issuperset(stage.needs)]
        if not ready:
            return None
        stage = max(ready, key=lambda stage: stage.ahead)
        self.waiting.remove(stage)
        return stage

    def _finish(self, job: Future, tally: Tally) -> None:
        stage = self.jobs.pop(job)
        try:
            tally.made(stage, job.result())
            self.made.add(stage.key)
        except BrokenProcessPool:
            raise
        except Exception as error:  # the others are finished first
            tally.failed(stage, str(error) or type(error).__name__)


def _start_worker(parent: int, store: str, own: list[str]) -> None:
    follow(parent)  # a worker whose parent was killed would wait for ever
    os.environ |= {"ARL_THREADS": "1", "OMP_NUM_THREADS": "1", "ARL_RUNS": store}
    sys.stderr = open_log(Path(store) / LOG)
    for path in own:
        plugins.load(path)
