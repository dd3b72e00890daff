"""Train in the background: a row made by a process of its own, watched, paused, cancelled, and gone on with later.

The process is `arl run`; what it has done is what stands in the run store, so a cancelled row goes on from its last epoch.
"""

import atexit
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from arl.config import RunConfig
from arl.store import Run, runs_root, stored

# A pipe that ends when this process does ends the training: a kernel that was killed leaves nobody at work.
PROGRAM = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from arl.cli import main
main()
"""
STAGES = {"encoder": "training Enc and f", "decoder": "the attacker Dec^a", "features": "the feature attack M"}
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


def settings(cfg: RunConfig) -> list[str]:
    """The arguments of `arl run` that make the row of `cfg`."""
    plain = RunConfig.preset("quick").model_dump(mode="json")
    changed = {name: value for name, value in cfg.model_dump(mode="json").items() if value != plain[name]}
    texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in changed.items()}
    return ["run", "--preset", "quick", *(part for item in texts.items() for part in ("--set", "=".join(item)))]


class Training:
    """`arl run` for `cfg`, started at once. Every method returns at once."""

    def __init__(self, cfg: RunConfig):
        self.config = cfg
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *settings(cfg)],
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
        self._usual = {kind: _usual(kind, cfg) for kind in STAGES}
        self._paused = 0.0  # when, and for how long before
        self._lost = 0.0

    # -- what the buttons do ------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop where it stands, in memory; `resume` goes on."""
        if self.state == "running":
            os.killpg(self._process.pid, signal.SIGSTOP)
            self._state, self._paused = "paused", time.monotonic()

    def resume(self) -> None:
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
        """How far it is now, from the metrics of its runs."""
        state = self.state  # before the log: what ended has said all
        text = os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        said = lines[-1].strip() if lines else ""
        runs = self._runs(lines)
        if state == "finished":
            return Progress(state, "done", 1.0, 0.0, runs[-1] if runs else None, said)
        at = list(STAGES).index(_kind(runs[-1])) if runs and _kind(runs[-1]) in STAGES else -1
        done, left, known = 0.0, 0.0, False
        unit = self._unit(runs)
        for i, kind in enumerate(STAGES):
            cost, epochs = self._usual[kind][0] or (unit * COST[kind] if unit else None), self._usual[kind][1]
            run = next((run for run in reversed(runs) if _kind(run) == kind), None)
            epoch = len(run.metrics) if run else 0
            cost = (self._pace(run) if run else None) or cost
            known = known or cost is not None
            passed = epochs if i < at else min(epoch, epochs)
            done += passed * (cost or COST[kind])
            left += (epochs - passed) * (cost or COST[kind])
        current = runs[-1] if runs else None
        return Progress(state, self._stage(current, said), done / (done + left), left if known else None, current, said)

    def _runs(self, lines: list[str]) -> list[Run]:
        """The runs that it has worked on, in order, each marked with the time at which an epoch of it was first seen."""
        ids = dict.fromkeys(
            m[0] for line in lines if (m := re.match(r"(recogniser|warm|encoder|decoder|features)-[0-9a-f]{12}", line))
        )
        runs = [Run(runs_root() / id) for id in ids]
        for run in runs:
            marks, epoch = self._marks.setdefault(run.id, []), len(run.metrics)
            if not marks or marks[-1][1] < epoch:
                marks.append((time.monotonic() - self._lost, epoch))
        return runs

    def _pace(self, run: Run) -> float | None:
        """Seconds an epoch of `run` takes, once two were seen."""
        (since, first), (until, last) = self._marks[run.id][0], self._marks[run.id][-1]
        return (until - since) / (last - first) if last > first else None

    def _unit(self, runs: list[Run]) -> float | None:
        """Seconds an epoch of the encoder takes, or would take by what is known of another stage."""
        paces = [(self._pace(run), COST[_kind(run)]) for run in runs if _kind(run) in COST]
        paces += [(seconds, COST[kind]) for kind, (seconds, _) in self._usual.items()]
        return next((pace / cost for pace, cost in paces if pace), None)

    def _stage(self, run: Run | None, said: str) -> str:
        if "waiting for the recogniser" in said:
            return "waiting for the recogniser C"
        if re.search(r": \d+ of \d+$", said):
            return f"preparing {said}"
        if run is None:
            return "starting"
        kind, epoch = _kind(run), len(run.metrics)
        if kind == "recogniser":
            return f"training the recogniser C, epoch {epoch} of {run.spec['epochs']}"
        limit = (
            f" of {self.config.epochs}"
            if kind == "encoder"
            else f" (to its plateau, at most {self.config.attack_epochs})"
        )
        return f"{STAGES[kind]}, epoch {epoch}{limit}"


def _kind(run: Run) -> str:
    kind = run.id.partition("-")[0]
    return "encoder" if kind == "warm" else kind


def _usual(kind: str, cfg: RunConfig) -> tuple[float | None, int]:
    """Seconds an epoch took and how many there were, by the median of the store's finished runs like this one."""
    wanted: dict[str, Any] = {"batch_size": cfg.batch_size, "x1": cfg.x1, "x2": cfg.x2}
    wanted |= {"epochs": cfg.epochs} if kind == "encoder" else {"attack_epochs": cfg.attack_epochs, "layer": cfg.layer}
    seconds, epochs = [], []
    for run in stored():
        if not run.id.startswith(f"{kind}-") or run.result is None or not (n := len(run.metrics)):
            continue
        spec = run.spec
        # an encoder's first epochs are those of a run of their own
        own = max(1, n - cfg.warm_epochs) if kind == "encoder" else n
        if any(spec.get(name) != value for name, value in wanted.items()):
            continue
        if kind == "encoder" and ("lambda1" in spec) != cfg.protected:
            continue
        epochs.append(n)
        took = [(run.folder / name).stat().st_mtime for name in ("config.json", "metrics.jsonl")]
        if 0.01 * own < took[1] - took[0] < 3600 * own:  # a copied store forgets its times
            seconds.append((took[1] - took[0]) / own)
    most = cfg.epochs if kind == "encoder" else min(cfg.attack_epochs, PLATEAU[kind])
    return statistics.median(seconds) if seconds else None, round(statistics.median(epochs)) if epochs else most
