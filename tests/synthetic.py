"""Stores that nobody trained: rows, encoders and attacks with right ids and made-up figures, written in milliseconds."""

import json
import random
from pathlib import Path
from typing import Any

import torch

from arl.config import ATTRIBUTES, RunConfig, setting
from arl.store import Run, run_id

DATA = {"kind": "rendered", "version": 1, "people": {"seed": 0, "count": 20}, "image_size": 32}
PHOTOGRAPHS = {"kind": "celeba", "form": "jpeg", "fingerprint": "0123456789abcdef", "image_size": 32}


def write_run(root: Path, spec: dict[str, Any], result: dict[str, Any] | None) -> str:
    """The run that `spec` defines, as the store writes it but for its checkpoint; its id."""
    folder = root / run_id(spec)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(spec, indent=1))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result | {"made_with": {"arl": "0"}}, indent=1))
    return folder.name


def write_row(root: Path, i: int, cfg: RunConfig | None = None, data: dict[str, Any] = DATA) -> dict[str, str]:
    """A finished row of `cfg` (of seed `i` if None), all that it stands on; the ids by kind."""
    cfg = cfg or RunConfig.preset("tiny", seed=i, lambda1=i % 7, lambda2=round(0.1 * (i % 11), 1))
    ids = {"encoder": write_run(root, {"kind": "encoder", "version": 2, "data": data, **cfg.encoder_fields()}, {})}
    recogniser = {"kind": "recogniser", "version": 1, "data": DATA | {"people": {"seed": 1, "count": 12}}}
    ids["recogniser"] = write_run(root, recogniser, {"auc_embedding": 0.9})
    for attack in cfg.attacks:
        spec = {"kind": attack.name(), "encoder": ids["encoder"], **cfg.attack_fields(attack)}
        ids[attack.name()] = write_run(root, spec, {})
    made = {kind: id for kind, id in ids.items() if kind != "recogniser"}
    spec = {"kind": "row", "version": 1, **made, "recogniser": {"kind": "rendered", "run": ids["recogniser"]}}
    ids["row"] = write_run(root, spec | {"bootstrap": cfg.bootstrap}, _result(cfg, made, i))
    return ids


def _result(cfg: RunConfig, runs: dict[str, str], i: int) -> dict[str, Any]:
    drawn = random.Random(i)

    def figure(yardsticks: bool = True) -> dict[str, Any]:
        value = drawn.random()
        beside = {"floors": {"mean_face": 0.1, "stranger": 0.0}, "ceilings": {"same_person": 0.9}}
        return {"value": value, "low": value - 0.1, "high": value + 0.1} | (beside if yardsticks else {})

    privacy = ("face_similarity", "feature_similarity", "ssim", "psnr")
    more = ("within_variance", "between_variance", "lda_score")
    measured_on = {"setting": setting(cfg), "test_set": "T", "C": "C", "g": "none", "plateau": True}
    return {
        "checkpoint": False,
        "mean_mcc": figure(False),
        "mcc": {name: figure(False) for name in ATTRIBUTES},
        **{name: figure(name in privacy) for name in (*privacy, *more)},
        "measured_on": measured_on,
        "runs": runs,
        "config": cfg.flat(),
    }


def make_row(root: Path, i: int, data: dict[str, Any] = DATA) -> dict[str, str]:
    """`write_row` with small checkpoints, as `obtain` makes them; a second's worth of neither training nor torch's time."""
    ids = write_row(root, i, data=data)
    for id in ids.values():
        run = Run(root / id)
        result = {"checkpoint": True, **{k: v for k, v in run.result.items() if k not in ("made_with", "checkpoint")}}
        run.save({"w": torch.arange(8.0) + i}, epoch=1, result=result)
        (run.folder / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5}\n')
        (run.folder / "result.json").write_text(json.dumps(result | {"made_with": {"arl": "0"}}))
    return ids
