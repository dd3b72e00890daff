"""dlib's face recognition network as C."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl.judges.base import WHOLE, Window, look
from arl.messages import ConfigError

# dlib's own chip is low and tight: the eyes at 31 % of its height, 35 % of its width apart (`eyes.CHIP_OF_DLIB`). These windows were
# chosen by verification AUC; what `eyes` finds by a detector is as good: 0.977 against 0.975 on CelebA, 0.998 and 0.996 on ORL,
# 0.986 and 0.985 on rendered faces, of 120 images each.
WINDOWS = {
    "celeba": Window(0.174, 0.320, 0.652),
    "orl": Window(0.022, 0.109, 0.957),
    "rendered": Window(0.179, 0.259, 0.643),
    "folder": WHOLE,  # where a detector finds too few eyes to tell how its faces lie
}
MEANS = Path(__file__).with_name("dlib_means.json")


class DlibRecogniser:
    """dlib's face recognition ResNet (King, 2017): 150 × 150 pixels to 128 numbers; it has no middle layer. Extra `faces`.

    The faces of a source all lie alike, so each source has its window, and of a folder a detector finds it once. All embeddings of
    dlib point nearly one way, so their mean over faces of the source is subtracted: the cosine of strangers is then about 0.
    That mean is a constant in `dlib_means.json`, not one of X2, so that C is the same for every split, seed and adversary.
    """

    name = "dlib face recognition ResNet v1"
    middle_name = "embedding, as it exposes no middle layer"
    slow = True  # some ten images a second

    def __init__(self, source: str, window: Window | None = None) -> None:
        """`window`: in place of the source's own, one that puts the eyes where CelebA's does, whose mean is then taken."""
        try:
            import dlib
            import face_recognition_models as models
        except ImportError:
            raise ConfigError("recogniser: 'dlib' is not installed, accepted: after pip install 'arl[faces]'") from None
        self.model = dlib.face_recognition_model_v1(models.face_recognition_model_location())
        self.window = window or WINDOWS[source]
        self.mean = torch.tensor(_means()["celeba" if window else source])
        self.spec: dict[str, Any] = {"kind": "dlib", "version": 2, "faces": source}
        if window:
            self.spec["window"] = list(window)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        centred = self.descriptors(x) - self.mean
        return centred, centred

    def descriptors(self, x: Tensor) -> Tensor:
        """dlib's own embedding (B, 128) of images (B, 3, S, S) in [0, 1], not centred."""
        chips = look(x, self.window, (150, 150))
        chips = (chips * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return torch.tensor(np.array(self.model.compute_face_descriptor(list(chips))), dtype=torch.float32)


@functools.cache
def _means() -> dict[str, list[float]]:
    return json.loads(MEANS.read_text())
