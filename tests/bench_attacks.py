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
from arl.config import RunConfig
from arl.data import batches
from arl.experiment import Experiment
from arl.paper.leak import leak_of_people
from arl.paper.measured import Line
from arl.plateau import StandardisedFeatures

ATTACKERS = (
    "mean,leaked,ridge,retrieval,kernelridge,decoder,whitened,attention,identity,boosted,ensemble,refined,search"
)
OTHERS = "features,widefeatures,probe,probemlp"  # not after a picture
# With --pairs: from no pair, without and with f, to a thousand.
WEAK = {
    "no pair, f secret": {"attacks": "substitute", "classifier": "secret"},
    "no pair, f public": {"attacks": "substitute"},
    **{f"{pairs} pair{'s' * (pairs > 1)}": {"attacks": "leaked", "pairs": pairs} for pairs in (1, 10, 100, 1000)},
}
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


def picture_line(row, name: str) -> str:
    """What an attacker on images has: face similarity with its interval, the people's, SSIM, PSNR, seconds."""
    found = row.result if name == "decoder" else row.result["attacks"][name]
    similar = found["face_similarity"]
    told = f"{similar['value']:.3f} ({similar['low']:.3f}–{similar['high']:.3f})"
    line = f"{name:12} {told:24} {worst(row, name):26} {found['ssim']['value']:.3f}  {found['psnr']['value']:.2f}"
    return f"{line}  {row.of(name).seconds:.0f}"


def other_line(row, name: str) -> str:
    """What another attacker has, by each of its own metrics with its interval."""
    found = row.result if name == "features" else row.result["attacks"][name]
    shown = [m for m in ("feature_similarity", "label_accuracy", "label_mcc") if m in found]
    told = (f"{m} {found[m]['value']:.3f} ({found[m]['low']:.3f}–{found[m]['high']:.3f})" for m in shown)
    return f"{name:12} {'  '.join(told)}  {row.of(name).seconds:.0f}"


def weak_end(base: RunConfig) -> None:
    """A line for each of `WEAK`, and the floors."""
    for name, settings in WEAK.items():
        row = arl.run(base.replace(**settings))
        attack = settings["attacks"]
        if name == next(iter(WEAK)):
            print(f"\n{row.setting.partition(' · also')[0]} · seed {base.seed}")
        print(f"{name:18} {picture_line(row, attack)}", flush=True)
    figures = row.result["attacks"][attack]
    floors = "  ".join(f"{m} {figures[m]['floors']['mean face']:.3f}" for m in ("face_similarity", "psnr"))
    said = "  ".join(f"{m} {row.result['answers'][m]['value']:.3f}" for m in ("face_similarity", "psnr"))
    print(f"mean face: {floors}\nwhat the answers give: {said}")


@click.command()
@click.option("--preset", default="quick")
@click.option("--attacks", default=ATTACKERS, help="on images")
@click.option("--others", default=OTHERS, help="on embeddings and labels")
@click.option(
    "--pairs", is_flag=True, help="the weak end alone: `substitute`, and `leaked` with 1, 10, 100, 1 000 pairs"
)
@click.option("--protections", default=len(PROTECTIONS), help="how many of them, from none at all")
@click.option("--set", "settings", multiple=True)
def main(preset: str, attacks: str, others: str, pairs: bool, protections: int, settings: tuple[str, ...]) -> None:
    base = inputs.configuration(preset, inputs.split_settings(settings))
    for protection in PROTECTIONS[:protections]:
        if pairs:
            weak_end(base.replace(**protection))
            continue
        cfg = base.replace(**protection, attacks=",".join(filter(None, [others, attacks])))
        began = time.perf_counter()
        row = arl.run(cfg)
        share = loud(row.experiment)
        print(f"\n{row.setting.partition(' · also')[0]} · seed {cfg.seed} · mean MCC {row.value('mean_mcc'):.3f}")
        print(f"{share:.1%} of Z's variance in 20 directions · {row.result['measured_on']['test_set']}")
        title = f"{'attacker':12} {'face similarity, 95 %':24} {'people: median, 5 %, 1 %':26} {'SSIM':6} {'PSNR':6} seconds"
        print(title)
        for name in attacks.split(","):
            print(picture_line(row, name), flush=True)
        for name in filter(None, others.split(",")):
            print(other_line(row, name), flush=True)
        name = attacks.partition(",")[0]
        one = row.result if name == "decoder" else row.result["attacks"][name]
        same = one["face_similarity"]["ceilings"]["same person"]
        print(f"another photograph of the person {same:.3f} · {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
