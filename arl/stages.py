"""What a sweep is made of: stages, what each waits for and costs, how one is done, and how far all are.

Who does them, a process a core or the workers of a cluster, is an `Executor`: `arl/schedule.py`, `arl/cluster/`.
"""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from arl.config import RunConfig, setting
from arl.experiment import Experiment
from arl.messages import UserError, say
from arl.store import Run, run_id, runs_root


class Stage(NamedTuple):
    """One thing that a worker does; what it makes is a run of the store, or several."""

    kind: str  # C, first epochs, encoder or row
    key: str  # of this one among those of the sweep
    cfg: RunConfig
    cost: float
    ahead: float  # its cost, and the most that still needs it: who has most still to come begins first
    needs: tuple[str, ...] = ()  # the keys of what has to be made before

    @property
    def name(self) -> str:
        if self.kind == "C":
            return "recogniser C"
        return " · ".join([self.kind, *([setting(self.cfg)] * (self.kind != "first epochs")), f"seed {self.cfg.seed}"])


class Executor(Protocol):
    """Who does the stages of a sweep."""

    def run(self, stages: Sequence[Stage]) -> None:
        """Do all of them, each after what it needs. Once the others are done, raises `UserError` that names the first that failed."""


def graph(cfgs: Sequence[RunConfig]) -> list[Stage]:
    """The stages that make the rows of `cfgs`, each after what it needs: C, first epochs that encoders share, encoders, rows.

    An encoder that is stored is no stage: it costs nothing, and the time left would look short.
    """
    judges: dict[str, RunConfig] = {}
    warm: dict[str, Stage] = {}
    encoders: dict[str, Stage] = {}
    rows = []
    for cfg in cfgs:
        of, cost = Experiment(cfg), row_cost(cfg)
        judges.setdefault(c := _judge_key(cfg), cfg)
        rows.append(Stage("row", f"row {len(rows)}", cfg, cost, cost, (c, key := run_id(of.encoder_spec))))
        if key in encoders:
            encoders[key] = _before(encoders[key], cost)
        elif not _made(key):
            share = cfg.warm_epochs / UNIT
            needs = (run_id(of.warm_spec),) if cfg.warm_epochs else ()
            mine = encoder_cost(cfg) - share
            encoders[key] = Stage("encoder", key, cfg, mine, mine + cost, needs)
            for first in needs:
                if first not in warm and not _made(first):
                    warm[first] = Stage("first epochs", first, cfg, share, share)
    for encoder in encoders.values():
        for first in set(encoder.needs) & set(warm):
            warm[first] = _before(warm[first], encoder.ahead)
    stages = [Stage("C", key, cfg, 1.0, math.inf) for key, cfg in judges.items()]
    stages += [*warm.values(), *encoders.values(), *rows]
    there = {stage.key for stage in stages}
    return [stage._replace(needs=tuple(key for key in stage.needs if key in there)) for stage in stages]


def _before(stage: Stage, ahead: float) -> Stage:
    """`stage`, of which something needs it that has `ahead` still to come."""
    return stage._replace(ahead=max(stage.ahead, stage.cost + ahead))


def _made(id: str) -> bool:
    return Run(runs_root() / id).result is not None


class Tally:
    """How far a sweep is: a line for each stage that has ended, with the time that is left."""

    def __init__(self, stages: Sequence[Stage]):
        self.count, self.stages = 0, len(stages)
        self.done, self.total = 0.0, sum(stage.cost for stage in stages)
        self.failures: list[str] = []
        self.start = time.monotonic()

    def made(self, stage: Stage, what: str) -> None:
        """`stage` has made `what`."""
        self._say(stage, f"{what} · {stage.name}")

    def failed(self, stage: Stage, why: str) -> None:
        """`stage` has failed; the others are finished first."""
        self.failures.append(f"{stage.name} failed: {why}")
        self._say(stage, self.failures[-1])

    def _say(self, stage: Stage, what: str) -> None:
        self.done, self.count = self.done + stage.cost, self.count + 1
        passed = time.monotonic() - self.start
        left = "too early to say how long"
        if self.done > 0.03 * self.total:
            left = f"about {minutes(passed / self.done * max(self.total - self.done, 0))} left"
        say(f"[{self.count}/{self.stages}] {minutes(passed)} gone, {left} · {what}")

    def close(self) -> None:
        """Raises `UserError` where a stage failed."""
        if self.failures:
            found = f"sweep: {len(self.failures)} of {self.stages} stages failed, the others are stored"
            raise UserError(f"{found}; first: {self.failures[0]}")


# -- how a stage is done ------------------------------------------------------------------------------------------


def do(kind: str, cfg: RunConfig) -> str:
    """Find or make what a stage of this kind makes for `cfg`; says what, in a few words."""
    return _DO[kind](Experiment(cfg))


def _recogniser(of: Experiment) -> str:
    return ", ".join(each.judge.name for each in (of, *of.beside.values()))


def _first_epochs(of: Experiment) -> str:
    return of.warm.id


def _encoder(of: Experiment) -> str:
    return f"{of.encoder.id} MCC on X2 {of.encoder.result['mcc']:.3f}"


def _row(of: Experiment) -> str:
    row = of.row()
    leak = f", face similarity {row.value('face_similarity'):.3f}" if "face_similarity" in row.result else ""  # Dec^a's
    return f"{row.id} MCC {row.value('mean_mcc'):.3f}{leak}"


_DO = {"C": _recogniser, "first epochs": _first_epochs, "encoder": _encoder, "row": _row}


def _judge_key(cfg: RunConfig) -> str:
    return str({k: v for k, v in cfg.flat().items() if k.startswith("recogniser") or k == "image_size"})


# Costs in units of training an unprotected encoder of the preset quick: for the order, and the estimate of the time left.
UNIT = 10  # its epochs


def encoder_cost(cfg: RunConfig) -> float:
    """Of training it, its first epochs too."""
    entered = cfg.epochs - cfg.warm_epochs if cfg.protected else 0  # the epochs that the defence sees
    return (cfg.epochs + entered * (cfg.defence.cost - 1.0)) / UNIT


def row_cost(cfg: RunConfig) -> float:
    """Of its attacks, and of measuring them."""
    own = cfg.extra_images / 2000 if cfg.extra == "instead" else 1.0  # beside X2 of the preset quick
    return own * sum(attack.cost for attack in cfg.attacks) + 1.0 * cfg.layer.startswith("conv")


def minutes(seconds: float) -> str:
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s" if seconds >= 60 else f"{int(seconds)} s"
