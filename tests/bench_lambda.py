"""How much each λ does: `python tests/bench_lambda.py OUT.json [--preset quick] [--seeds 0] [--set NAME=VALUE]...`.

Rows at a ladder of λ1 (λ2 = 0), the same with Z read at conv1, and of λ2 (λ1 = μ2 = 1), from the store or made; the same command
goes on where it was killed.
A row that cannot be trained is left out, with a line. `arl.paper.lambda_map` reads OUT.json.
"""

import json
from pathlib import Path

import click
import numpy as np

import arl
from arl import inputs
from arl.messages import UserError
from arl.paper.lambda_map import LAMBDA1S, LAMBDA2S_TRIED, ladders
from arl.paper.measured import Line, measured_on
from arl.paper.rows import numbers, seeded

SHOWN = ("mean_mcc", "face_similarity", "feature_similarity", "ssim", "psnr")


def point(value: float, line: Line) -> dict:
    """A λ with each figure, its interval and its floors; and what the simulated Dec still reached when Enc was done."""
    figures = {metric: {**line.figure(metric), **yardsticks(line, metric)} for metric in SHOWN}
    for name in line.runs[0].result.get("attacks", {}):
        each = [run.result["attacks"][name]["face_similarity"]["value"] for run in line.runs]
        figures[f"{name}/face_similarity"] = {"value": float(np.mean(each)), "each": each}
    ends = [run.of("encoder").metrics[-1] for run in line.runs]
    simulated = {k: float(np.mean([end[k] for end in ends])) for k in ("utility", "pixel", "adversary") if k in ends[0]}
    return {"lambda": value, **figures, "simulated": simulated, "runs": [run.id for run in line.runs]}


def yardsticks(line: Line, metric: str) -> dict:
    """The floors and ceilings of the first seed."""
    return {k: v for k, v in line.runs[0].result[metric].items() if k in ("floors", "ceilings")}


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--preset", default="quick")
@click.option("--seeds", default="0")
@click.option("--lambda1s", default=",".join(f"{v:g}" for v in LAMBDA1S))
@click.option("--lambda2s", default=",".join(f"{v:g}" for v in LAMBDA2S_TRIED))
@click.option("--conv1s", default="0,1,3,12,30", help="empty for none, as of the two before")
@click.option("--set", "settings", multiple=True)
def main(out: Path, preset: str, seeds: str, lambda1s: str, lambda2s: str, conv1s: str, settings) -> None:
    cfg = inputs.configuration(preset, inputs.split_settings(settings))
    tried = ladders(cfg, *(numbers(given) if given else () for given in (lambda1s, lambda2s, conv1s)))
    try:
        arl.sweep([c for ladder in tried.values() for _, setting in ladder for c in seeded(setting.cfg, seeds)])
    except UserError as error:
        print(f"left out: {error}")
    found, lines = {}, []
    for name, ladder in tried.items():
        found[name] = []
        for value, setting in ladder:
            runs = [arl.find(c) for c in seeded(setting.cfg, seeds)]
            if None not in runs:
                lines.append(Line(setting, tuple(runs)))
                found[name].append(point(value, lines[-1]))
        print(name, *SHOWN, sep="  ")
        for p in found[name]:
            print(f"{p['lambda']:7g}", *(f"{p[m]['value']:.3f} ({p[m]['low']:.3f}–{p[m]['high']:.3f})" for m in SHOWN))
    out.write_text(json.dumps({"on": measured_on(lines), "preset": preset, **found}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
