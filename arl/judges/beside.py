"""A second process that trains C while this one trains Enc and Dec^a; `python -m arl.judges.beside` is that process."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import DEVNULL

from arl import machine
from arl.config import RunConfig
from arl.judges.recogniser import recogniser
from arl.judges.rendered import rendered_spec
from arl.messages import say
from arl.store import Run, runs_root


@contextmanager
def trained_beside(cfg: RunConfig) -> Iterator[Callable[[], None]]:
    """Where cores are free, C is trained by another process; within, call what this yields to wait for it. It ends with the block."""
    beside = machine.child("arl.judges.beside", *_of_c(cfg), stdout=DEVNULL, stderr=DEVNULL) if _free(cfg) else None

    def wait() -> None:
        if beside is not None and beside.poll() is None:
            say("waiting for the recogniser, which a second process trains")
            beside.wait()  # should it have failed, whoever asks for C next says why

    try:
        yield wait
    finally:
        if beside is not None:
            beside.kill()  # what it has trained is in the store
            beside.wait()


def _free(cfg: RunConfig) -> bool:
    if "rendered" not in cfg.recognisers or not machine.has_room():
        return False
    return Run(runs_root() / rendered_spec(cfg)["run"]).result is None


def _of_c(cfg: RunConfig) -> list[str]:
    names = [name for name in RunConfig.model_fields if name.startswith("recogniser_")]
    return [
        f"{name}={getattr(cfg, name)}" for name in (*names, "image_size", "data_seed")
    ]  # C is "rendered" by default


if __name__ == "__main__":
    recogniser(RunConfig(**dict(argument.split("=", 1) for argument in sys.argv[1:])), machine.prepare())
