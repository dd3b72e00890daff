"""One point of `bench_growth`, alone in its process: python tests/growth_points.py KIND '{"images": 2000, ...}'; prints JSON.

`seconds` of the act, `cpu` of it by all threads; `own`, bytes of memory at the highest, without pages of mapped files, which are the
kernel's and go when somebody else needs the room; `resident` with these; `before`, own bytes once everything is imported.
"""

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_image

from arl.config import RunConfig
from arl.data import batches, open_data
from arl.data.images import read_file
from arl.machine import cores, prepare

STATUS = Path("/proc/self/status")
Made = tuple[Callable[[], Any], Callable[[], dict[str, Any]]]  # an act, and what is said of it afterwards


def bytes_of(field: str) -> int:
    """`field` of this process's status, in bytes; the peak of all that is resident where the system says no more."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Watched:
    """Within, the highest `RssAnon` is noted some fifty times a second."""

    def __enter__(self) -> "Watched":
        self.before = self.most = bytes_of("RssAnon")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, bytes_of("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self.most = max(self.most, bytes_of("RssAnon"))
        self.over.set()
        self.thread.join()


def celeba(root: str, size: int) -> RunConfig:
    return RunConfig(data="celeba", data_root=root, image_size=size)


def importing(root: str, size: int, **_: Any) -> Made:
    """Into `$ARL_RUNS`, which may hold a part of it."""
    return lambda: open_data(celeba(root, size), progress=False), dict


def decoding(root: str, **_: Any) -> Made:
    """Every photograph read as import reads it, decoded by the same library on all cores, and nothing else."""

    def decode(path: str, size: int) -> None:
        decode_image(torch.frombuffer(read_file(path, size), dtype=torch.uint8), ImageReadMode.RGB)

    return on_all_cores(root, decode)


def squaring(root: str, size: int, **_: Any) -> Made:
    """Every photograph to a square on all cores, a file at a time, the way that first comes to mind; nothing is kept."""
    from straightforward import decode_square

    return on_all_cores(root, lambda path, _: decode_square(np.fromfile(path, np.uint8), size))


def on_all_cores(root: str, act_on: Callable[[str, int], Any], together: int = 64) -> Made:
    """`act_on` the path and the bytes of each photograph, `together` at a time in a thread a core."""
    with os.scandir(Path(root) / "celeba" / "img_align_celeba") as entries:
        files = sorted((entry.path, entry.stat().st_size) for entry in entries)

    def part(start: int) -> None:
        for path, size in files[start : start + together]:
            act_on(path, size)

    def act() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(part, range(0, len(files), together)))

    torch.set_num_threads(1)
    return act, dict


def passing(root: str, size: int, **_: Any) -> Made:
    """Finds what was imported, and reads it once in a random order."""

    def act() -> None:
        data = open_data(celeba(root, size), progress=False)
        for _ in batches(data.images, np.arange(len(data)), 64, generator=torch.Generator().manual_seed(0), flip=True):
            pass

    return act, dict


def stepping(size: int, width: int, root: str, steps: int = 4, **_: Any) -> Made:
    """The joint step by (5) and (9) at preset quick, after a first one."""
    import bench_yardstick

    at = bench_yardstick.setting_in(Path(root), RunConfig.preset("quick", image_size=size, width=width), steps)
    pair = bench_yardstick.joint(at, lambda1=1)
    pair.ours()
    return pair.ours, lambda: {"images": pair.images}


def asking(rows: int, **_: Any) -> Made:
    """What `bench_store` measures of a store with so many rows."""
    import bench_store

    found: dict[str, Any] = {}
    return lambda: found.update(bench_store.measure(rows)), lambda: {"asked": found}


KINDS = {
    "import": importing,
    "decode": decoding,
    "squares": squaring,
    "pass": passing,
    "step": stepping,
    "store": asking,
}


def main(kind: str, given: str) -> None:
    prepare()
    act, more = KINDS[kind](**json.loads(given))
    with Watched() as watched:
        began, used = time.perf_counter(), time.process_time()
        act()
        took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps(took | {"own": watched.most, "before": watched.before, "resident": bytes_of("VmHWM")} | more()))


if __name__ == "__main__":
    os.environ.setdefault("ARL_THREADS", "1")
    main(*sys.argv[1:])
