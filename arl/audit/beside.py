"""Two processes make the runs of an audit, where cores are free; `arl.audit.second` is the other.

Each takes what nobody is at: this one the attackers in the order of the suite and then the controls, the second the dearest attackers
first and the controls from their end. Each run is made once (`store.obtain`), so both may die at any time, and numbers are those of one.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import Any, NamedTuple

from arl import machine, plugins
from arl.audit.controls import Bench
from arl.audit.foreign import Foreign
from arl.experiment import Experiment
from arl.messages import say
from arl.store import run_id, runs_root, taken

WORTH = 2.0  # of `Attack.cost` still to be made, from which on a second process gains more than its start takes


class Job(NamedTuple):
    """A run that an audit needs: its folder in the store, how dear it is, and what finds or makes it."""

    folder: Path
    cost: float
    make: Callable[[], Any]

    @property
    def done(self) -> bool:
        return (self.folder / "result.json").exists()


def attackers(experiment: Experiment) -> list[Job]:
    """In the order of the suite; what needs C last, which somebody may still be training."""
    attacks = sorted(experiment.cfg.attacks, key=lambda attack: attack.target == "embedding")
    root = runs_root()
    return [Job(root / run_id(experiment.attack_spec(a)), a.cost, lambda a=a: experiment.attack(a)) for a in attacks]


def controls(experiment: Experiment) -> list[Job]:
    bench, root = Bench(experiment), runs_root()
    return [Job(root / run_id(bench.spec(name)), 0.0, lambda n=name: bench.control(n)) for name in bench.names]


def make(jobs: Sequence[Job]) -> None:
    """Make those that are not there, in their order, each unless another process is at it."""
    for job in jobs:
        if not job.done and not taken(job.folder):
            job.make()


@contextmanager
def shared(experiment: Experiment) -> Iterator[None]:
    """Within, all that the audit of `experiment` needs is made, or being made by the second process, which ends with the block.

    Where no core is free for one nothing is done yet. What is left then is for one process, with the threads of both.
    """
    jobs = attackers(experiment)
    if not _free(experiment, [job for job in jobs if not job.done]):
        yield
        return
    target = experiment.target if isinstance(experiment, Foreign) else None
    given = {"config": experiment.cfg.flat(), "source": target and target.source, "encoder": experiment.encoder.id}
    text = json.dumps(given | {"plugins": plugins.loaded()})
    second = machine.child("arl.audit.second", text, stderr=PIPE, start_new_session=True)
    Thread(target=_repeat, args=[second], daemon=True, name="beside").start()
    try:
        make(jobs + controls(experiment))
        for job in jobs:  # what the second process is at
            job.make()
        with machine.all_threads():
            yield
    finally:
        second.kill()  # what it has made is in the store
        second.wait()


def _free(experiment: Experiment, missing: Sequence[Job]) -> bool:
    """A class of a notebook's cell is not known to another process."""
    if not machine.has_room() or any(plugins.of_a_cell(player) for player in experiment.cfg.players):
        return False
    return sum(job.cost for job in missing) >= WORTH


def _repeat(second: Popen) -> None:
    """Say here what the second process says there."""
    for line in second.stderr:
        say(line.decode(errors="replace").rstrip())
