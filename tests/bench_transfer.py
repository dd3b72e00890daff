"""Attackers that learn from drawings alone, tried on photographs: `python tests/bench_transfer.py --set data_root=FOLDER [--json FILE]`.

Two encoders of CelebA, without protection and with λ1 = 1. Each attacker owns photographs (X2), as many drawings in place of them, or both;
it is tried on CelebA's T and, as it is, on ORL's 400 photographs. Prints a markdown table: the mean over the seeds, ± the standard
deviation over them, and at its end the floors (the mean face of X2, a stranger) and the ceiling (another photograph of the person).
"""

import json
import statistics
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import arl
from arl import evaluate, inputs, judges, metrics
from arl.config import RunConfig, setting
from arl.data import FaceData, open_data, pictures
from arl.evaluate import Seen, Yardsticks
from arl.experiment import Experiment
from arl.judges import embed_all
from arl.judges.known import recognised
from arl.measure import mean_image

ENCODERS = {"no protection": {}, "λ1 = 1": {"lambda1": 1}}
ATTACKERS = ("decoder", "whitened", "kernelridge", "features")
METRICS = {"face_similarity": 3, "feature_similarity": 3, "ssim": 3, "psnr": 2}  # with the decimals that are printed
Figures = dict[str, dict[str, Any]]  # of an attacker: each metric with its interval, floors and ceiling


def owned(cfg: RunConfig, drawings: int) -> dict[str, dict[str, Any]]:
    """What the adversary may own, by name: the fields of a configuration."""
    drawn = {"extra_source": "standard", "extra_images": drawings or len(Experiment(cfg).split.x2)}
    return {
        "photographs": {"extra": "none"},
        "drawings": {"extra": "instead", **drawn},
        "both": {"extra": "adversary", **drawn},
    }


def on_t(row: arl.Row) -> dict[str, Figures]:
    """What the row says of each attacker."""
    found = {name: row.result["attacks"][name] for name in ("whitened", "kernelridge")}
    of = {"decoder": ("face_similarity", "ssim", "psnr"), "features": ("feature_similarity",)}
    return {name: {metric: row.result[metric] for metric in of[name]} for name in of} | found


def elsewhere(row: arl.Row, faces: FaceData, judge: judges.Recogniser) -> dict[str, Figures]:
    """The same encoder and attackers on all of `faces`, people whom neither has seen."""
    experiment, every = row.experiment, np.arange(len(faces))
    x, yardsticks = of_faces(experiment, faces, judge)
    resampling = {"seed": row.config.seed, "resamples": row.config.bootstrap}
    found = {}
    for name in ATTACKERS:
        guess = experiment.reconstruct(every, name, data=faces)
        if name == "features":
            seen, scores = Seen(embedding=guess), evaluate.embedding_scores(x)
        else:
            seen, scores = seen_by(judge, guess, experiment.device), evaluate.image_scores(x)
        found[name] = {
            metric: evaluate.figure(score(seen), score, yardsticks, **resampling) for metric, score in scores.items()
        }
    return found


def seen_by(judge: judges.Recogniser, images: torch.Tensor, device: torch.device) -> Seen:
    bytes_ = (images * 255).round().byte().numpy()
    return Seen(images, *embed_all(judge, bytes_, np.arange(len(images)), device))


def of_faces(experiment: Experiment, faces: FaceData, judge: judges.Recogniser) -> tuple[Seen, Yardsticks]:
    """All of `faces` as C sees them, and what could stand for a reconstruction: the mean face and embedding are still those of X2."""
    every = np.arange(len(faces))
    x = Seen(pictures(faces, every), *recognised(faces, every, judge))
    partners = metrics.partners(faces.identities, every, experiment.cfg.seed)
    x2 = experiment.split.x2
    nobody = seen_by(judge, torch.from_numpy(mean_image(experiment.data, x2))[None], experiment.device)
    mean_embedding = recognised(experiment.data, x2, experiment.judge)[0].mean(0, keepdim=True)
    nobody = nobody._replace(embedding=mean_embedding)
    nobody = Seen(*(part.expand(len(x.images), *part.shape[1:]) for part in nobody))
    stranger, same = (torch.from_numpy(rows) for rows in partners)
    at = [Seen(*(part[rows.clamp(min=0)] for part in x)) for rows in (stranger, same)]
    return x, Yardsticks(nobody, *at, stranger >= 0, same >= 0)


def table(lines: list[dict[str, Any]]) -> str:
    """A line for each test set, encoder, attacker and what it owned, a column for each metric; then floors and ceiling of each set."""
    heads = ["tried on", "encoder", "attacker", "learned from", *(name.replace("_", " ") for name in METRICS)]
    text = [heads, ["---"] * len(heads)]
    for key in dict.fromkeys(tuple(line["key"]) for line in lines):
        alike = [line["figures"] for line in lines if tuple(line["key"]) == key]
        values = {m: [figures[m]["value"] for figures in alike if m in figures] for m in METRICS}
        text.append([*key, *(spread(values[m], n) for m, n in METRICS.items())])
    for where in dict.fromkeys(line["key"][0] for line in lines):
        for kind, name in (("floors", "mean face"), ("floors", "stranger"), ("ceilings", "same person")):
            first = {line["seed"]: [] for line in lines}  # they are the same for every encoder and attacker of a seed
            for line in lines:
                first[line["seed"]] += [line["figures"]] if line["key"][0] == where else []
            found = {m: [next(f for f in each if m in f)[m][kind][name] for each in first.values()] for m in METRICS}
            text.append([where, "", name, kind.rstrip("s"), *(spread(found[m], n) for m, n in METRICS.items())])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in text)


def spread(values: list[float | None], decimals: int) -> str:
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    over = f" ± {statistics.stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{decimals}f}{over}"


@click.command()
@click.option("--preset", default="quick")
@click.option("--seeds", default="0", help="such as 0,1,2")
@click.option("--recogniser", default="", help="C; the preset's where it is not given")
@click.option("--orl-recogniser", default="", help="C for ORL, where its file cuts another window; else the same")
@click.option("--drawings", type=int, default=0, help="how many the attackers own; as many as X2 by default")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--set", "settings", multiple=True)
def main(
    preset: str, seeds: str, recogniser: str, orl_recogniser: str, drawings: int, path: Path | None, settings: tuple
) -> None:
    fields = {"data": "celeba", "recogniser": recogniser} | inputs.split_settings(settings)
    base = inputs.configuration(preset, fields).replace(attacks=ATTACKERS)
    there = base.replace(data="orl", data_root="", attributes="all", reserved=0)
    there = inputs.anchored(there.replace(recogniser=orl_recogniser or base.recogniser))
    faces, lines = open_data(there), []
    for seed in inputs.nonnegative_numbers("seeds", seeds):
        for encoder, protection in ENCODERS.items():
            cfg = base.replace(seed=int(seed), **protection)
            for whose, extra in owned(cfg, drawings).items():
                row = arl.run(cfg.replace(**extra))
                judge = judges.recogniser(there, row.experiment.device)
                for where, found in (("CelebA's T", on_t(row)), ("ORL", elsewhere(row, faces, judge))):
                    for name in ATTACKERS:
                        line = {"key": [where, encoder, name, whose], "seed": int(seed), "figures": found[name]}
                        lines.append(
                            line | {"row": row.id, "setting": setting(row.config), "C": row.result["measured_on"]["C"]}
                        )
    lines.sort(key=lambda line: (line["key"][0], list(ENCODERS).index(line["key"][1]), ATTACKERS.index(line["key"][2])))
    print(table(lines))
    if path is not None:
        path.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
