"""Many rows at once: each distinct encoder is trained once, attacks follow it, a process a core.

One thread a process: on CPUs two such processes do more than one with two threads. A killed sweep goes on where it was, as every stage is
a run of the store. What the workers say goes to `sweep.log` in the store; here stands one line a stage, with the time that is left.
"""

import math
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from arl import experiment, machine, plugins
from arl.config import RunConfig, setting
from arl.experiment import Experiment
from arl.machine import KEEP_MEMORY
from arl.messages import UserError, open_log, say
from arl.row import Row
from arl.store import Run, explained, run_id, runs_root
from arl.watch import follow

LOG = "sweep.log"  # in the store: what the workers say


def sweep(cfgs: Sequence[RunConfig], workers: int | None = None) -> list[Row]:
    """The row run of each configuration, in their order; found, or made by `workers` processes (default: `machine.workers()`).

    When a row fails the others are finished first; then `UserError` names it.
    """
    unique = list(dict.fromkeys(cfgs))
    for cfg in unique:
        Experiment(cfg).check()  # and what has to be drawn or decoded is, once, here
    missing = [cfg for cfg in unique if experiment.find(cfg) is None]
    if missing:
        from arl import gate  # which knows the rooms above

        gate.main_guard()
        say(plan(cfgs, missing))
        if elsewhere := [cfg for cfg in missing if not _of_this_process(cfg)]:
            _Sweep(elsewhere, workers or machine.workers()).run()
    return [experiment.run(cfg) for cfg in cfgs]


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


class _Stage(NamedTuple):
    """One thing that a worker does."""

    kind: str  # C, encoder or row
    key: str  # of what waits for it
    cfg: RunConfig
    cost: float
    ahead: float  # its cost, and that of what needs it: who has most still to come begins first
    warm: str = ""  # the run of its first epochs, which other encoders share

    @property
    def name(self) -> str:
        return f"{self.kind} · {setting(self.cfg)} · seed {self.cfg.seed}" if self.kind != "C" else "recogniser C"


class _Sweep:
    """C first, then encoders, then the rows that wait for both."""

    def __init__(self, cfgs: Sequence[RunConfig], workers: int):
        self.workers = workers
        self.waiting: dict[str, list[RunConfig]] = defaultdict(list)  # rows by the id of their encoder
        warms: dict[str, str] = {}
        for cfg in cfgs:
            of = Experiment(cfg)
            self.waiting[encoder := run_id(of.encoder_spec)].append(cfg)
            if encoder not in warms:
                warms[encoder] = run_id(of.warm_spec) if cfg.warm_epochs else ""
        judges = {_judge_key(cfg): cfg for cfg in cfgs}
        self.ready = [_Stage("C", key, cfg, 1.0, math.inf) for key, cfg in judges.items()]
        self.made: set[str] = set()  # keys of judges and encoders
        for encoder, rows in self.waiting.items():
            if Run(runs_root() / encoder).result is not None:  # it costs nothing: the time left would look short
                self.made.add(encoder)
                continue
            cost = encoder_cost(rows[0])
            self.ready.append(
                _Stage("encoder", encoder, rows[0], cost, cost + max(map(row_cost, rows)), warms[encoder])
            )
        self.count, self.stages = 0, len(self.ready) + len(cfgs)
        self.done, self.total = 0.0, sum(stage.cost for stage in self.ready) + sum(map(row_cost, cfgs))
        self.failed: list[str] = []
        self.jobs: dict[Future, _Stage] = {}
        self.start = time.monotonic()

    def run(self) -> None:
        """Make all. Raises `UserError` once the others are finished where a stage failed, or where a worker died."""
        os.environ |= KEEP_MEMORY | os.environ
        with explained(runs_root() / LOG):  # another's, perhaps
            open_log(runs_root() / LOG).close()
        context = multiprocessing.get_context("spawn")
        given = os.getpid(), str(runs_root()), plugins.loaded()
        pool = ProcessPoolExecutor(self.workers, context, initializer=_start_worker, initargs=given)
        try:
            self._submit(pool)
            while self.jobs:
                for job in wait(self.jobs, return_when=FIRST_COMPLETED).done:
                    self._finish(job)
                self._release()
                self._submit(pool)
        except BrokenProcessPool:
            found = "sweep: a worker died, perhaps for want of memory"
            raise UserError(f"{found}; the same command goes on, ARL_WORKERS=1 needs less") from None
        finally:
            pool.shutdown(wait=not self.jobs, cancel_futures=True)
            if self.jobs:  # interrupted: the workers' checkpoints are on disk
                for child in multiprocessing.active_children():
                    child.terminate()
        if self.failed:
            found = f"sweep: {len(self.failed)} of {self.stages} stages failed, the others are stored"
            raise UserError(f"{found}; first: {self.failed[0]}")

    def _submit(self, pool: ProcessPoolExecutor) -> None:
        """Give idle workers what has most still to come, so that none of them waits at the end."""
        while self.ready and len(self.jobs) < self.workers:
            stage = self._next()
            self.jobs[pool.submit(STAGES[stage.kind], stage.cfg)] = stage

    def _next(self) -> _Stage:
        """What has most still to come. Encoders that wait for the same first epochs come after all else: they would idle."""
        warms = {stage.warm for stage in self.jobs.values()} - {""}
        at_work = {warm for warm in warms if Run(runs_root() / warm).result is None}
        stage = max(self.ready, key=lambda stage: (stage.warm not in at_work, stage.ahead))
        self.ready.remove(stage)
        return stage

    def _finish(self, job: Future) -> None:
        """Say what a stage ended with, and how long the rest will take."""
        stage = self.jobs.pop(job)
        try:
            what = f"{job.result()} · {stage.name}"
            self.made.add(stage.key)
        except BrokenProcessPool:
            raise
        except Exception as error:  # the others are finished first
            what = f"{stage.name} failed: {str(error) or type(error).__name__}"
            self.failed.append(what)
        self.done, self.count = self.done + stage.cost, self.count + 1
        passed = time.monotonic() - self.start
        left = "too early to say how long"
        if self.done > 0.03 * self.total:
            left = f"about {minutes(passed / self.done * max(self.total - self.done, 0))} left"
        say(f"[{self.count}/{self.stages}] {minutes(passed)} gone, {left} · {what}")

    def _release(self) -> None:
        """The rows whose encoder and C are made are ready."""
        for encoder in [encoder for encoder in self.waiting if encoder in self.made]:
            for cfg in [cfg for cfg in self.waiting[encoder] if _judge_key(cfg) in self.made]:
                self.waiting[encoder].remove(cfg)
                self.ready.append(_Stage("row", "", cfg, row_cost(cfg), row_cost(cfg)))


def _start_worker(parent: int, store: str, own: list[str]) -> None:
    follow(parent)  # a worker whose parent was killed would wait for ever
    os.environ |= {"ARL_THREADS": "1", "OMP_NUM_THREADS": "1", "ARL_RUNS": store}
    sys.stderr = open_log(Path(store) / LOG)
    for path in own:
        plugins.load(path)


def _recogniser(cfg: RunConfig) -> str:
    experiment = Experiment(cfg)
    return ", ".join(each.judge.name for each in (experiment, *experiment.beside.values()))


def _encoder(cfg: RunConfig) -> str:
    run = Experiment(cfg).encoder
    return f"{run.id} MCC on X2 {run.result['mcc']:.3f}"


def _row(cfg: RunConfig) -> str:
    row = experiment.run(cfg)
    leak = f", face similarity {row.value('face_similarity'):.3f}" if "face_similarity" in row.result else ""  # Dec^a's
    return f"{row.id} MCC {row.value('mean_mcc'):.3f}{leak}"


STAGES = {"C": _recogniser, "encoder": _encoder, "row": _row}


def _judge_key(cfg: RunConfig) -> str:
    return str({k: v for k, v in cfg.flat().items() if k.startswith("recogniser") or k == "image_size"})


# Costs in units of training an unprotected encoder, as measured with the preset quick: for the order, and the estimate of the time left.
def encoder_cost(cfg: RunConfig) -> float:
    entered = (
        1 - cfg.warm_epochs / cfg.epochs if cfg.protected else 0.0
    )  # the share of the epochs that the defence sees
    return 1.0 + entered * (cfg.defence.cost - 1.0)


def row_cost(cfg: RunConfig) -> float:
    own = cfg.extra_images / 2000 if cfg.extra == "instead" else 1.0  # beside X2 of the preset quick
    return own * sum(attack.cost for attack in cfg.attacks) + 1.0 * cfg.layer.startswith("conv")


def minutes(seconds: float) -> str:
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s" if seconds >= 60 else f"{int(seconds)} s"
