"""The second process of an audit (`arl.audit.beside`): `python -m arl.audit.second GIVEN`, JSON of what the first one says."""

import json
import sys

from arl import plugins
from arl.audit.beside import attackers, controls, make
from arl.audit.foreign import Foreign
from arl.audit.target import load_target
from arl.config import RunConfig
from arl.experiment import Experiment
from arl.messages import lenient_streams
from arl.store import find_run


def main(text: str) -> None:
    given = json.loads(text)
    for path in given["plugins"]:
        plugins.load(path)
    cfg = RunConfig(**given["config"])
    if given["source"]:
        file, options = given["source"]
        experiment: Experiment = Foreign(cfg, load_target(file, **options))
    else:
        experiment = Experiment(cfg, {"encoder": find_run(given["encoder"])})
    make(sorted(attackers(experiment), key=lambda job: -job.cost) + controls(experiment)[::-1])


if __name__ == "__main__":
    lenient_streams()
    try:
        main(sys.argv[1])
    except Exception:  # the first process does what this one leaves, and says what is wrong
        sys.exit(1)
