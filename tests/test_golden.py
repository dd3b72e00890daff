"""The net under every change of structure: the ids of the paper's 29 rows, and the bytes of one tiny run, as they were recorded.

`golden.json` was written by the code of commit c48f27c; SSIM, and with it the bytes of rows, is of later, as it is two matrix products
since (1e-6 away). Ids are the same on every machine; bytes are those of one processor and version
of torch, so elsewhere the figures are compared instead.
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch

import arl
from arl.config import RunConfig
from arl.experiment import Experiment
from arl.paper.rows import every_row
from arl.store import run_id

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_rows_of_the_paper_have_the_specs_and_ids_that_were_recorded(seed, shared_store):
    for row in every_row(RunConfig.preset("quick", seed=seed)):
        experiment = Experiment(row.cfg)
        attacks = [experiment.attack_spec(attack) for attack in row.cfg.attacks]
        specs = [experiment.encoder_spec, *attacks, experiment.row_spec]
        for spec, id in zip(specs, GOLDEN["rows"][f"{row.name}, seed {seed}"], strict=True):
            assert json.loads(json.dumps(spec)) == GOLDEN["specs"][id], row.name
            assert run_id(spec) == id


@pytest.mark.parametrize("golden", GOLDEN["tiny"], ids=["both extra, GAN", "conv2, perceptual"])
def test_a_tiny_run_has_the_bytes_that_were_recorded(golden, shared_store):
    row = arl.run(RunConfig(**golden["config"]))
    runs = {"row": row.run, **row.runs}
    assert {name: run.id for name, run in runs.items()} == golden["ids"]
    machine = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    if machine in golden["bytes"]:
        for name, run in runs.items():
            content = (run.folder / "checkpoint.safetensors").read_bytes()
            assert hashlib.sha256(content).hexdigest() == golden["bytes"][machine][name], name
        assert {name: row.result[name] for name in golden["numbers"]} == golden["numbers"]
    for name in ("mean_mcc", "face_similarity", "feature_similarity", "ssim", "psnr"):
        assert row.result[name]["value"] == pytest.approx(golden["numbers"][name]["value"], rel=0.1, abs=0.1), name
