"""Measure what a LocalCluster would cost in place of the sweep's own pool of processes: two workers each, in turns.

    python tests/bench_cluster.py [ROUNDS]

Prints JSON, medians over ROUNDS (3): seconds until both workers have answered and until they are gone, milliseconds of a stage that does
nothing, processor seconds of all processes for the same work.
"""

import json
import logging
import os
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import distributed
import numpy as np

WORKERS, NOTHING, WORK = 2, 30, 6


def spent() -> float:
    """Seconds of the processor that this process and its children that have ended have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def work(size: int) -> int:
    """Some third of a second of products, in steps as short as a training's."""
    a = np.ones((size, size), np.float32)
    for _ in range(200 * bool(size)):
        a = a @ a / size
    return os.getpid()


@contextmanager
def own_pool():
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield lambda *sizes: [job.result() for job in [pool.submit(work, size) for size in sizes]]


@contextmanager
def local_cluster():
    quiet = {"silence_logs": logging.ERROR, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=WORKERS, threads_per_worker=1, memory_limit=0, **quiet) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield lambda *sizes: client.gather([client.submit(work, size, pure=False) for size in sizes])


def measure(who) -> dict[str, float]:
    used, begun = spent(), time.monotonic()
    with who() as run:
        while len(set(run(*[64] * WORKERS))) < WORKERS:
            pass
        started = time.monotonic() - begun
        begun = time.monotonic()
        run(*[0] * NOTHING)
        nothing = (time.monotonic() - begun) / NOTHING
        run(*[512] * WORK)
        begun = time.monotonic()
    return {
        "start and end, s": started + time.monotonic() - begun,
        "a stage that does nothing, ms": 1000 * nothing,
        "processor, s": spent() - used,
    }


if __name__ == "__main__":
    found = {"own pool": [], "LocalCluster": []}
    for _ in range(int((sys.argv[1:] or ["3"])[0])):
        for name, who in (("own pool", own_pool), ("LocalCluster", local_cluster)):
            found[name].append(measure(who))
    medians = {
        name: {what: round(statistics.median(each[what] for each in rounds), 3) for what in rounds[0]}
        for name, rounds in found.items()
    }
    print(json.dumps({"distributed": distributed.__version__, **medians}, indent=1))
