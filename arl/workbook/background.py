"""Train in the background: a row made by a process of its own, watched, paused, cancelled, and gone on with later.

What the process has done is what stands in the run store: which runs there are, their epochs and their results. So how far it is can be
read there, and a cancelled row goes on from its last epoch.
"""

import atexit
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from arl.config import RunConfig
from arl.plugins import plugin_files
from arl.store import Run, runs_root, stored
from arl.workbook.weights import protects

STAGES = {"encoder": "training Enc and f", "decoder": "the attacker Dec^a", "features": "the feature attack M"}
ORDER = ("warm", *STAGES, "recogniser")  # of two that are begun, the first is shown; C may be trained beside them
# Where the store has no run to learn from: an epoch's cost beside one of the encoder's, and the epochs to a plateau,
# both from the runs of the quick preset.
COST = {"encoder": 1.0, "decoder": 0.2, "features": 0.02}
PLATEAU = {"decoder": 25, "features": 36}


class Progress(NamedTuple):
    """How far a training is. `fraction` in [0, 1]; `seconds_left` None while nothing is known yet."""

    state: str  # running, paused, finished, cancelled, failed
    stage: str  # in words
    fraction: float
    seconds_left: float | None
    run: Run | None  # the run at work, whose metrics are the curves
    message: str  # the last line that it said; of a failure, why


class Training:
    """The row of `cfg` in the making, started at once. Every method returns at once.

    Raises `ConfigError` where its defence or an attack is a class of a notebook's cell, which no other process knows.
    """

    def __init__(self, cfg: RunConfig):
        self.config = cfg
        plugins = plugin_files(cfg.players)
        self._folder = tempfile.TemporaryDirectory(prefix="arl-training-")
        self._file = Path(self._folder.name) / "runs.json"
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            # -P: the folder it is started in holds no module of this project
            [sys.executable, "-P", "-m", "arl.workbook.trainer", json.dumps(cfg.flat()), str(self._file), *plugins],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            env=os.environ
            | {"ARL_RUNS": str(runs_root().resolve()), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,  # a group of its own, which signals reach whole; an interrupted cell does not
        )
        atexit.register(self.cancel)
        self._state = "running"
        self._marks: dict[str, list[tuple[float, int]]] = {}  # run id: when it was seen at which epoch
        self._usual = {kind: usual(kind, cfg) for kind in STAGES}
        self._paused = 0.0  # when, and for how long before
        self._lost = 0.0

    # -- what the buttons do ------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop where it stands, in memory; `resume` goes on."""
        if self.state == "running":
            os.killpg(self._process.pid, signal.SIGSTOP)
            self._state, self._paused = "paused", time.monotonic()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self.state == "paused":
            os.killpg(self._process.pid, signal.SIGCONT)
            self._state = "running"
            self._lost += time.monotonic() - self._paused

    def cancel(self) -> None:
        """End it. Its finished epochs stay in the store, and the next training of the same choice begins after them."""
        atexit.unregister(self.cancel)
        if self.state in ("running", "paused"):
            self._state = "cancelled"
            for number in (signal.SIGTERM, signal.SIGCONT):  # a stopped process acts when it goes on
                os.killpg(self._process.pid, number)

    def wait(self, seconds: float | None = None) -> None:
        """Until the process has ended. Raises `subprocess.TimeoutExpired`."""
        self._process.wait(seconds)

    # -- what is seen -------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """`running`, `paused`, `finished`, `cancelled` or `failed`."""
        if self._state in ("running", "paused") and (code := self._process.poll()) is not None:
            self._state = "failed" if code else "finished"
            atexit.unregister(self.cancel)
        return self._state

    def progress(self) -> Progress:
        """How far it is now, by the journals of its runs."""
        state = self.state  # before the journals: what ended has written all
        runs = self._runs()
        self._mark(runs)
        if state == "finished":
            return Progress(state, "done", 1.0, 0.0, runs.get("features"), self._said())
        current = at_work(runs)
        fraction, left = self._measure(runs)
        return Progress(state, stage(runs, current, self.config), fraction, left, current, self._said())

    def _runs(self) -> dict[str, Run]:
        """Its runs that are begun, by stage; none while the faces are prepared."""
        try:
            ids = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        runs = {kind: Run(runs_root() / id) for kind, id in ids.items()}
        return {kind: run for kind, run in runs.items() if (run.folder / "config.json").exists()}

    def _said(self) -> str:
        """The last line that it said, for people to read."""
        said = os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace").strip()
        return said.splitlines()[-1].strip() if said else ""

    def _mark(self, runs: dict[str, Run]) -> None:
        """Note when an epoch of each run was first seen."""
        for run in runs.values():
            marks, epoch = self._marks.setdefault(run.id, []), len(run.metrics)
            if not marks or marks[-1][1] < epoch:
                marks.append((time.monotonic() - self._lost, epoch))

    def _measure(self, runs: dict[str, Run]) -> tuple[float, float | None]:
        """The fraction that is done, and the seconds that are left where a pace is known."""
        unit = self._unit(runs)
        done, left, known = 0.0, 0.0, False
        for kind in STAGES:
            seconds, epochs = self._usual[kind]
            run = runs.get(kind)
            if kind == "encoder" and run is not None and not run.metrics:
                run = runs.get("warm", run)
            cost = (self._pace(run) if run else None) or seconds or (unit * COST[kind] if unit else None)
            known = known or cost is not None
            finished = kind in runs and runs[kind].result is not None
            passed = epochs if finished else min(len(run.metrics), epochs) if run else 0
            done += passed * (cost or COST[kind])
            left += (epochs - passed) * (cost or COST[kind])
        return done / (done + left), left if known else None

    def _pace(self, run: Run) -> float | None:
        """Seconds an epoch of `run` takes, once two were seen."""
        marks = self._marks.get(run.id)
        if not marks or marks[-1][1] == marks[0][1]:
            return None
        (since, first), (until, last) = marks[0], marks[-1]
        return (until - since) / (last - first)

    def _unit(self, runs: dict[str, Run]) -> float | None:
        """Seconds an epoch of the encoder takes, or would take by what is known of another stage."""
        cost = COST | {"warm": COST["encoder"]}
        paces = [(self._pace(run), cost[kind]) for kind, run in runs.items() if kind in cost]
        paces += [(seconds, COST[kind]) for kind, (seconds, _) in self._usual.items()]
        return next((pace / cost for pace, cost in paces if pace), None)


def at_work(runs: dict[str, Run]) -> Run | None:
    """Of the runs that are begun, by stage, the one that is being made; None before the first and after the last."""
    return next((runs[kind] for kind in ORDER if kind in runs and runs[kind].result is None), None)


def stage(runs: dict[str, Run], current: Run | None, cfg: RunConfig) -> str:
    """What is being done, in words."""
    if not runs:
        return "preparing the faces"
    if current is None:
        return "measuring on T" if "features" in runs else "starting the next stage"
    kind, epoch = kind_of(current), len(current.metrics)
    if kind == "recogniser":
        return f"training the recogniser C, epoch {epoch} of {current.spec['epochs']}"
    limit = f" of {cfg.epochs}" if kind == "encoder" else f" (to its plateau, at most {cfg.attack_epochs})"
    return f"{STAGES[kind]}, epoch {epoch}{limit}"


def kind_of(run: Run) -> str:
    """Which stage a run belongs to: the encoder's first epochs, `warm`, to the encoder."""
    kind = run.id.partition("-")[0]
    return "encoder" if kind == "warm" else kind


def usual(kind: str, cfg: RunConfig) -> tuple[float | None, int]:
    """Seconds an epoch took and how many there were, by the median of the store's finished runs like this one."""
    wanted: dict[str, Any] = {"batch_size": cfg.batch_size, "x1": cfg.x1, "x2": cfg.x2}
    wanted |= {"epochs": cfg.epochs} if kind == "encoder" else {"attack_epochs": cfg.attack_epochs, "layer": cfg.layer}
    defence = cfg.encoder_fields().get("defence")  # of another than the paper's
    seconds, epochs = [], []
    for run in stored(kinds=(kind,)):
        spec = run.spec
        if any(spec.get(name) != value for name, value in wanted.items()):
            continue
        if kind == "encoder" and (protects(spec), spec.get("defence")) != (cfg.protected, defence):
            continue
        if run.result is None or not (n := len(run.metrics)):
            continue
        # an encoder's first epochs are those of a run of their own
        own = max(1, n - cfg.warm_epochs) if kind == "encoder" else n
        epochs.append(n)
        took = [(run.folder / name).stat().st_mtime for name in ("config.json", "metrics.jsonl")]
        if 0.01 * own < took[1] - took[0] < 3600 * own:  # a copied store forgets its times
            seconds.append((took[1] - took[0]) / own)
    most = cfg.epochs if kind == "encoder" else min(cfg.attack_epochs, PLATEAU[kind])
    return statistics.median(seconds) if seconds else None, round(statistics.median(epochs)) if epochs else most
