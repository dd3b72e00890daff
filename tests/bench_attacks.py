"""How much each attacker recovers, and how long it takes: `python tests/bench_attacks.py [--preset quick] [--set NAME=VALUE]...`.

For each protection: the share of Z's variance in its first 20 directions; for each attacker its figures on T, with the worst people's.
A decoder that does worse than ridge has a bug.
"""

import time

import click
import numpy as np
import torch

import arl
from arl import inputs
from arl.data import batches
from arl.experiment import Experiment
from arl.paper.leak import leak_of_people
from arl.paper.measured import Line
from arl.plateau import StandardisedFeatures

ATTACKERS = "mean,ridge,retrieval,kernelridge,decoder,whitened"
PROTECTIONS = ({}, {"lambda1": 1}, {"lambda1": 1, "lambda2": 10, "simulated_mu2": 1})


@torch.no_grad()
def loud(experiment: Experiment, directions: int = 20) -> float:
    """The share of the variance of Z, standardised per channel, that lies in its first directions over X2."""
    images, rows = experiment.data.images, experiment.owned.learns
    seen = StandardisedFeatures(experiment.networks[0], (x for _, x in batches(images, rows, 256)), len(rows))
    values = torch.linalg.svdvals(seen.z[0].flatten(1)).square()
    return (values[:directions].sum() / values.sum()).item()


def worst(row, name: str) -> str:
    """The face similarity of the people of T, the mean of each: median, highest 5 % and 1 %."""
    metric = "face_similarity" if name == "decoder" else f"{name}/face_similarity"
    means = list(leak_of_people(Line(None, (row,)), metric).values())
    return "  ".join(f"{value:.3f}" for value in np.quantile(means, (0.5, 0.95, 0.99)))


@click.command()
@click.option("--preset", default="quick")
@click.option("--attacks", default=ATTACKERS)
@click.option("--set", "settings", multiple=True)
def main(preset: str, attacks: str, settings: tuple[str, ...]) -> None:
    base = inputs.configuration(preset, inputs.split_settings(settings))
    for protection in PROTECTIONS:
        cfg = base.replace(**protection, attacks=f"features,{attacks}")
        began = time.perf_counter()
        row = arl.run(cfg)
        share = loud(row.experiment)
        print(f"\n{row.setting.partition(' · also')[0]} · seed {cfg.seed} · mean MCC {row.value('mean_mcc'):.3f}")
        print(f"{share:.1%} of Z's variance in 20 directions · {row.result['measured_on']['test_set']}")
        print(
            f"{'attacker':12} {'face similarity, 95 %':24} {'people: median, 5 %, 1 %':26} {'SSIM':6} {'PSNR':6} seconds"
        )
        for name in attacks.split(","):
            found = row.result if name == "decoder" else row.result["attacks"][name]
            similar = found["face_similarity"]
            told = f"{similar['value']:.3f} ({similar['low']:.3f}–{similar['high']:.3f})"
            line = (
                f"{name:12} {told:24} {worst(row, name):26} {found['ssim']['value']:.3f}  {found['psnr']['value']:.2f}"
            )
            print(f"{line}  {row.of(name).seconds:.0f}", flush=True)
        same = row.result["face_similarity"]["ceilings"]["same person"]
        print(f"another photograph of the person {same:.3f} · {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
