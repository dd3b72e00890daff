"""Many rows at once: each distinct encoder is trained once, attacks follow it, a process a core.

One thread a process: on CPUs two such processes do more than one with two threads. A killed sweep goes on where it was, as every stage is
a run of the store. What the workers say goes to `sweep.log` in the store; here stands one line a stage, with the time that is left.
"""

import math
import multiprocessing
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from arl import experiment
from arl.config import RunConfig, setting
from arl.experiment import Experiment
from arl.machine import KEEP_MEMORY, cores, prepare
from arl.messages import UserError, say
from arl.row import Row
from arl.store import run_id, runs_root


def run_all(cfgs: Sequence[RunConfig], workers: int | None = None) -> list[Row]:
    """The row run of each configuration, in their order; found, or made by `workers` processes (default: `worker_count()`).

    When a row fails the others are finished first; then `UserError` names it.
    """
    unique = list(dict.fromkeys(cfgs))
    for cfg in unique:
        Experiment(cfg).check()  # and what has to be drawn or decoded is, once, here
    missing = [cfg for cfg in unique if experiment.find(cfg) is None]
    if missing:
        say(plan(cfgs, missing))
        _make(missing, workers or worker_count())
    return [experiment.run(cfg) for cfg in cfgs]


def worker_count() -> int:
    """How many processes work side by side: `$ARL_WORKERS`, else one a core; one on an accelerator, which they would share."""
    return 1 if prepare().type != "cpu" else int(os.environ.get("ARL_WORKERS") or cores())


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


def _make(cfgs: Sequence[RunConfig], workers: int) -> None:
    """Make the rows of `cfgs`: C first, then what has most still to come."""
    waiting: dict[str, list[RunConfig]] = defaultdict(list)
    for cfg in cfgs:
        waiting[run_id(Experiment(cfg).encoder_spec)].append(cfg)
    judge = {_judge_key(cfg): cfg for cfg in cfgs}
    total = sum(_encoder_cost(rows[0]) for rows in waiting.values()) + sum(map(_row_cost, cfgs)) + len(judge)
    done, count, stages, start = 0.0, 0, len(waiting) + len(cfgs) + len(judge), time.monotonic()
    failed: list[str] = []
    os.environ |= KEEP_MEMORY | os.environ
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(os.getpid(), str(runs_root())))
    jobs: dict[Future, tuple[str, str, RunConfig, float]] = {}
    # cost of it and of what needs it, kind, key, cfg, its cost
    ready: list[tuple[float, str, str, RunConfig, float]] = []

    def submit() -> None:
        """Give idle workers what has most still to come, so that none of them waits at the end."""
        ready.sort(key=lambda stage: stage[0])
        while ready and len(jobs) < workers:
            _, kind, key, cfg, cost = ready.pop()
            jobs[pool.submit(STAGES[kind], cfg)] = (kind, key, cfg, cost)

    try:
        ready += [(math.inf, "C", key, cfg, 1.0) for key, cfg in judge.items()]
        for encoder, rows in waiting.items():
            cost = _encoder_cost(rows[0])
            ready.append((cost + max(map(_row_cost, rows)), "encoder", encoder, rows[0], cost))
        submit()
        judged: set[str] = set()
        trained: set[str] = set()
        while jobs:
            for job in wait(jobs, return_when=FIRST_COMPLETED).done:
                kind, key, cfg, cost = jobs.pop(job)
                name = f"{kind} · {setting(cfg)} · seed {cfg.seed}" if kind != "C" else "recogniser C"
                try:
                    what = f"{job.result()} · {name}"
                    {"C": judged, "encoder": trained, "row": set()}[kind].add(key)
                except BrokenProcessPool:
                    raise
                except Exception as error:  # the others are finished first
                    what = f"{name} failed: {str(error) or type(error).__name__}"
                    failed.append(what)
                done, count = done + cost, count + 1
                passed = time.monotonic() - start
                left = (
                    f"about {_minutes(passed / done * max(total - done, 0))} left"
                    if done > 0.03 * total
                    else "too early to say how long"
                )
                say(f"[{count}/{stages}] {_minutes(passed)} gone, {left} · {what}")
            for encoder in [e for e in waiting if e in trained]:
                for cfg in [cfg for cfg in waiting[encoder] if _judge_key(cfg) in judged]:
                    waiting[encoder].remove(cfg)
                    ready.append((_row_cost(cfg), "row", "", cfg, _row_cost(cfg)))
            submit()
    except BrokenProcessPool:
        raise UserError(
            "sweep: a worker died, perhaps for want of memory; the same command goes on, ARL_WORKERS=1 needs less"
        ) from None
    finally:
        pool.shutdown(wait=not jobs, cancel_futures=True)
        if jobs:  # interrupted: the workers' checkpoints are on disk
            for child in multiprocessing.active_children():
                child.terminate()
    if failed:
        raise UserError(f"sweep: {len(failed)} of {stages} stages failed, the others are stored; first: {failed[0]}")


def _start_worker(parent: int, store: str) -> None:
    os.environ |= {"ARL_THREADS": "1", "OMP_NUM_THREADS": "1", "ARL_RUNS": store}
    sys.stderr = open(os.path.join(store, "sweep.log"), "a", buffering=1)

    def watch() -> None:  # a worker whose parent was killed would wait for ever
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _recogniser(cfg: RunConfig) -> str:
    return Experiment(cfg).judge.name


def _encoder(cfg: RunConfig) -> str:
    run = Experiment(cfg).encoder
    return f"{run.id} MCC on X2 {run.result['mcc']:.3f}"


def _row(cfg: RunConfig) -> str:
    row = experiment.run(cfg)
    return f"{row.id} MCC {row.value('mean_mcc'):.3f}, face similarity {row.value('face_similarity'):.3f}"


STAGES = {"C": _recogniser, "encoder": _encoder, "row": _row}


def _judge_key(cfg: RunConfig) -> str:
    return str({k: v for k, v in cfg.flat().items() if k.startswith("recogniser") or k == "image_size"})


# Costs in units of training an unprotected encoder, as measured with the preset quick: for the order, and the estimate of the time left.
def _encoder_cost(cfg: RunConfig) -> float:
    entered = (
        1 - cfg.warm_epochs / cfg.epochs if cfg.protected else 0.0
    )  # the share of the epochs that the defence sees
    return 1.0 + entered * (cfg.defence.cost - 1.0)


def _row_cost(cfg: RunConfig) -> float:
    return sum(attack.cost for attack in cfg.attacks) + 1.0 * cfg.layer.startswith("conv")


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s" if seconds >= 60 else f"{int(seconds)} s"
