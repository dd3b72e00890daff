"""What each step towards more utility gains: `python tests/bench_utility.py OUT.json --set data=celeba --set data_root=ROOT`.

Encoders without protection, from the quick preset's training to the celeba10k preset's, one change more a step; mean MCC on T, and the
gain over the step before, paired over seeds. The same command goes on where it was killed.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np

from arl import inputs, metrics
from arl.config import PRESETS, RunConfig
from arl.data import batches, targets
from arl.experiment import Experiment
from arl.paper.measured import over_seeds
from arl.paper.rows import numbers
from arl.store import Run, unpack

FULL = {n: v for n, v in PRESETS["celeba10k"].items() if n not in ("data", "data_root", "recogniser")}
NOT_YET = {"augmentation": "mirror", "dropout": 0.0, "weight_decay": 1e-4, "cuts": "half"}
STEPS: dict[str, dict[str, Any]] = {
    "as quick trains": FULL | NOT_YET | {"epochs": 10, "warm": 0.5, "lr_again": 0.0},
    "more epochs, the rate in two cycles": FULL | NOT_YET,
    "shifted, scaled, turned, re-lit": FULL | NOT_YET | {"augmentation": "crops"},
    "dropout and weight decay": FULL | {"cuts": "half"},
    "cuts where X2's MCC is highest": FULL,
    "first taught on drawn people": FULL,
}
DRAWN = {
    "data": "rendered",
    "identities": 2500,
    "per_identity": 4,
    "x1": 8000,
    "x2": 1000,
    "reserved": 0.0,
    "recogniser": "rendered",
}
DRAWN |= {"epochs": 15, "warm": 0.0, "lr_again": 0.0, "cuts": "half"}


class TaughtBefore(Experiment):
    """An experiment whose f∘Enc begins with the weights that it has learned on 8 000 drawings with the same labels."""

    @cached_property
    def drawn(self) -> Run:
        fields = {name: getattr(self.cfg, name) for name in (*FULL, "image_size", "width") if name not in DRAWN}
        return Experiment(RunConfig.preset("quick", **fields, **DRAWN)).encoder

    def halves(self, defence: Any, weights: str = "none") -> Any:
        model = super().halves(defence, weights)
        unpack(self.drawn.load()[0], **model.parts)
        return model

    def _encoder_spec(self, cfg: RunConfig) -> dict[str, Any]:
        return super()._encoder_spec(cfg) | {"taught_before": self.drawn.id}


def on_test_set(experiment: Experiment) -> float:
    """Mean MCC on T of the encoder, found or trained."""
    cfg = experiment.cfg
    encoder, classifier = experiment.networks
    data, t = experiment.data, experiment.split.t
    said = [classifier(encoder(x)).cpu() > 0 for _, x in batches(data.images, t, 256, device=experiment.device)]
    return metrics.mean_mcc(np.concatenate(said), targets(data, cfg)[t].numpy() > 0.5)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seeds", default="0,1,2")
@click.option("--set", "settings", multiple=True)
def main(out: Path, seeds: str, settings: tuple[str, ...]) -> None:
    given = inputs.split_settings(settings)
    found: dict[str, list[float]] = {}
    for seed in map(int, numbers(seeds)):
        for name, changed in STEPS.items():
            cfg = inputs.configuration("quick", changed | dict(given) | {"seed": seed})
            kind = TaughtBefore if name == "first taught on drawn people" else Experiment
            found.setdefault(name, []).append(on_test_set(kind(cfg)))
            print(f"seed {seed}  {name}: {found[name][-1]:.3f}", flush=True)
    table, before = {}, None
    print("| step | mean MCC | gain |\n|---|---|---|")
    for name, each in found.items():
        gains = None if before is None else np.subtract(each, before)
        table[name] = {"each": each, **spread(each), **({} if gains is None else {"gain": spread(gains)})}
        gain = "" if gains is None else words(spread(gains), "+")
        print(f"| {name} | {words(spread(each))} | {gain} |")
        before = each
    out.write_text(json.dumps({"settings": settings, "seeds": seeds, "steps": table}, indent=1, ensure_ascii=False))


def spread(each: Any) -> dict[str, float]:
    return over_seeds(each) if len(each) > 1 else {"value": float(each[0])}


def words(figure: dict[str, float], sign: str = "") -> str:
    half = f" ± {(figure['high'] - figure['low']) / 2:.3f}" if "low" in figure else ""
    return f"{figure['value']:{sign}.3f}{half}"


if __name__ == "__main__":
    main()
