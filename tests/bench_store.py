"""Measure a store of many rows: `arl runs`, one run by a part of its id, a row by its configuration, the explorer's start and its moves.

    python tests/bench_store.py [ROWS]...

ROWS made-up rows (250 and 2 500) with an encoder, two attacks and a shared judge are written into a temporary store: four runs a row.
Prints JSON: seconds of the processor for each question, the best of up to three, its files read before; of `arl ...` as a process, its
start included.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from synthetic import write_row

from arl import experiment
from arl.config import RunConfig
from arl.listing import Wanted, runs_text
from arl.store import find_run
from arl.workbook import choice


def spent() -> float:
    """Seconds of the processor that this process and its children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def best(act: Callable[[], object], times: int = 3) -> float:
    found = []
    for _ in range(times):
        start = spent()
        act()
        found.append(spent() - start)
    return round(min(found), 4)


def command(*arguments: str) -> Callable[[], object]:
    program = [sys.executable, "-m", "arl.cli", *arguments]
    return lambda: subprocess.run(program, check=True, stdout=subprocess.DEVNULL)


def first_line(*arguments: str) -> None:
    """`arl ...` until it has said one line."""
    with subprocess.Popen([sys.executable, "-m", "arl.cli", *arguments], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.kill()


def measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARL_RUNS"] = folder
        ids = [write_row(Path(folder), i)["row"] for i in range(rows)]
        few = RunConfig.preset("tiny", identities=4, per_identity=4)
        wanted = Wanted(("row",), (("lambda1", "3"),), sort="face_similarity")
        experiment.find(few)  # draws its faces
        found = {
            "runs": sum(1 for _ in Path(folder).glob("*/config.json")),
            "arl runs": best(command("runs"), 1),
            "arl runs, its first line": best(lambda: first_line("runs")),
            "arl runs --last 20": best(command("runs", "--last", "20")),
            "arl gc": best(command("gc", "--days", "0"), 1),
            "rows with lambda1=3, by face similarity": best(lambda: runs_text(wanted)),
            "a run by a part of its id": best(lambda: find_run(ids[-1][4:])),
            "arl.find": best(lambda: experiment.find(few)),
            "explorer, reads the rows": best(lambda: choice.Store(Path(folder))),
        }
        store = choice.Store(Path(folder))
        cfgs = iter(RunConfig.preset("tiny", seed=1, lambda1=x, lambda2=0.3) for x in (0.5, 2.5, 4.5, 6.5))

        def move() -> None:
            cfg = next(cfgs)
            store.nearest(cfg)
            choice.front(store.rows, cfg)

        found["explorer, first choice"] = best(move, 1)
        found["explorer, next choice"] = best(move)
        found["explorer, looks for new rows"] = best(store.refresh)
        return found


if __name__ == "__main__":
    print(json.dumps({rows: measure(rows) for rows in map(int, sys.argv[1:] or ["250", "2500"])}, indent=1))
