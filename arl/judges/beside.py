"""A second process that trains C while this one trains Enc and Dec^a; `python -m arl.judges.beside` is that process."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from arl.config import RunConfig
from arl.judges.recogniser import recogniser
from arl.machine import prepare
from arl.messages import say


@contextmanager
def trained_beside(cfg: RunConfig) -> Iterator[Callable[[], None]]:
    """Where cores are free, C is trained by another process; within, call what this yields to wait for it. It ends with the block."""
    child = _start(cfg) if _free(cfg) else None

    def wait() -> None:
        if child is not None and child.poll() is None:
            say("waiting for the recogniser, which a second process trains")
            child.wait()  # should it have failed, whoever asks for C next says why

    try:
        yield wait
    finally:
        if child is not None:
            child.stdin.close()  # on which it ends, as it does when this process is killed
            child.wait()


def _free(cfg: RunConfig) -> bool:
    """Whoever sets the threads has other plans for the cores."""
    alone = "ARL_THREADS" in os.environ or (os.cpu_count() or 1) < 2
    return cfg.recogniser == "rendered" and prepare().type == "cpu" and not alone


def _start(cfg: RunConfig) -> subprocess.Popen:
    of_c = {name: getattr(cfg, name) for name in RunConfig.model_fields if name.startswith("recogniser")}
    of_c |= {"image_size": cfg.image_size, "data_seed": cfg.data_seed}
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-P", "-m", "arl.judges.beside", *(f"{name}={value}" for name, value in of_c.items())]
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, **quiet)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    recogniser(RunConfig(**dict(argument.split("=", 1) for argument in sys.argv[1:])), prepare())
