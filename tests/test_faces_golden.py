"""Invented people are drawn as they were recorded for this VERSION: labels on every machine, bytes on the processor that recorded them.

Elsewhere a picture may differ by a grey level here and there; there the means of its blocks are compared. Whoever changes pictures on
purpose raises `faces.VERSION` and records anew: python tests/test_faces_golden.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from arl import faces
from arl.config import ATTRIBUTES

GOLDEN = Path(__file__).with_name("golden_faces.json")
MACHINE = f"numpy {np.__version__}, {torch.backends.cpu.get_cpu_capability()}"
BLOCKS = 8  # along a side
SETS = {
    "standard": {"n_identities": 24, "per_identity": 2, "size": 48, "seed": 0},
    "shifted": {"n_identities": 8, "per_identity": 3, "size": 64, "seed": 3, "domain": "shifted", "first_identity": 90},
    "large": {"n_identities": 3, "per_identity": 1, "size": 128, "seed": 2, "batch": 2},
}


def drawn(name: str) -> dict:
    """Digests of the labels of 2000 people and of the bytes, and the means of blocks (3, 8, 8) of the first picture, in grey levels."""
    images, attributes, _ = faces.render(**SETS[name])
    domain = SETS[name].get("domain", "standard")
    labels, _ = faces.parameters(SETS[name]["seed"], np.arange(2000), domain=domain)
    crowd = np.stack([labels[attribute] for attribute in ATTRIBUTES], 1)
    side = images.shape[-1] // BLOCKS
    blocks = images[0].reshape(3, BLOCKS, side, BLOCKS, side).mean((2, 4))
    return {
        "labels": hashlib.sha256(np.packbits(np.concatenate([attributes, crowd])).tobytes()).hexdigest(),
        "bytes": hashlib.sha256(images.tobytes()).hexdigest(),
        "blocks": blocks.round(1).tolist(),
    }


@pytest.mark.parametrize("name", SETS)
def test_pictures_are_those_recorded(name):
    golden = json.loads(GOLDEN.read_text())
    assert golden["version"] == faces.VERSION, "pictures changed on purpose: record them anew"
    found, recorded = drawn(name), golden["sets"][name]
    assert found["labels"] == recorded["labels"]
    if MACHINE == golden["machine"]:
        assert found["bytes"] == recorded["bytes"]
    assert np.abs(np.array(found["blocks"]) - recorded["blocks"]).max() < 1


if __name__ == "__main__":
    sets = {name: drawn(name) for name in SETS}
    GOLDEN.write_text(json.dumps({"version": faces.VERSION, "machine": MACHINE, "sets": sets}) + "\n")
