"""Measure a store of many rows: `arl runs`, one run by a part of its id, a row by its configuration, the explorer's start and its moves.

    python tests/bench_store.py [ROWS]...

ROWS made-up rows (2 000 and 10 000) with an encoder, two attacks and a judge each are written into a temporary store. Prints JSON:
for each number, seconds of each question, the best of three, and of `arl runs` as a process, its start included. One thread.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from synthetic import write_row

from arl import experiment
from arl.config import RunConfig
from arl.listing import Wanted, runs_text
from arl.store import find_run
from arl.workbook import choice


def best(act: Callable[[], object], times: int = 3) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        found.append(time.perf_counter() - start)
    return round(min(found), 4)


def command(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-m", "arl.cli", *arguments], check=True, stdout=subprocess.DEVNULL)


def measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARL_RUNS"] = folder
        ids = [write_row(Path(folder), i)["row"] for i in range(rows)]
        found = {
            "runs": sum(1 for _ in Path(folder).glob("*/config.json")),
            "arl runs": best(command("runs"), 1),
            "arl runs --last 20": best(command("runs", "--last", "20"), 1),
            "arl runs, without its start": best(runs_text, 1),
            "rows with lambda1=3, by face similarity": best(
                lambda: runs_text(Wanted(("row",), (("lambda1", "3"),), sort="face_similarity")), 1
            ),
            "arl show, a part of an id": best(lambda: find_run(ids[-1][4:])),
            "arl.find": best(lambda: experiment.find(RunConfig.preset("tiny", seed=5, lambda1=5, lambda2=0.5))),
        }
        start = time.perf_counter()
        store = choice.Store(Path(folder))
        found["explorer, reads the rows"] = round(time.perf_counter() - start, 4)
        cfgs = [RunConfig.preset("tiny", seed=1, lambda1=x, lambda2=0.3) for x in (0.5, 2.5, 4.5, 6.5)]
        for name, cfg in (("first", cfgs[0]), ("next", cfgs[1]), ("third", cfgs[2]), ("fourth", cfgs[3])):
            start = time.perf_counter()
            store.nearest(cfg), choice.front(store.rows, cfg)
            found[f"explorer, {name} choice"] = round(time.perf_counter() - start, 4)
        found["explorer, looks for new rows"] = best(store.refresh)
        return found


if __name__ == "__main__":
    print(json.dumps({rows: measure(rows) for rows in map(int, sys.argv[1:] or ["2000", "10000"])}, indent=1))
