"""One row, made in a process of its own that ends with whoever started it.

    python -m arl.workbook.trainer CONFIGURATION FILE [PLUGIN]...

CONFIGURATION is a `RunConfig` as JSON, PLUGIN a file that defines its defence or an attack of it. FILE is written once the faces are
there: JSON, which run each stage is. How far they are stands in the store. Standard input is a pipe from whoever started this, and ends
with them, even by a kill.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def main(configuration: str, file: str, *plugins: str) -> None:
    """Make the row. A mistake that the user can mend is one line on standard error, and exit status 1."""
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    from arl import experiment  # torch is slow to import, and the thread above is at work meanwhile
    from arl.messages import UserError
    from arl.store import write_json
    from arl.training import TrainingError

    try:
        cfg = configured(configuration, plugins)
        write_json(Path(file), run_ids(cfg))
        experiment.run(cfg)
    except (UserError, TrainingError) as error:
        sys.exit(f"arl: {error}")


def configured(configuration: str, plugins: Iterable[str]) -> Any:
    """The `RunConfig` of the JSON `configuration`, once `plugins` are loaded. Raises `ConfigError`."""
    from arl.config import RunConfig
    from arl.plugins import load

    for path in plugins:
        load(path)
    return RunConfig(**json.loads(configuration))


def run_ids(cfg: Any) -> dict[str, str]:
    """The id of the run that each stage of `cfg` is; draws or reads the faces where they are not in the store yet.

    `warm` is the encoder's first epochs, where it has any of its own. `recogniser` is there where C is trained here.
    """
    from arl.experiment import Experiment
    from arl.store import run_id

    experiment = Experiment(cfg)
    experiment.check()
    ids = {"encoder": run_id(experiment.encoder_spec)}
    ids |= {attack.name(): run_id(experiment.attack_spec(attack)) for attack in cfg.attacks}
    if cfg.warm_epochs:
        ids["warm"] = run_id(experiment.warm_spec)
    for spec in (each.judge_spec for each in (experiment, *experiment.beside.values())):
        ids |= {"recogniser": spec["run"]} if spec["kind"] == "rendered" else {}
    return ids


def _end_with_the_pipe() -> None:
    os.read(0, 1)
    if os.getpgrp() == os.getpid():  # a group of its own: with the processes that it started
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
