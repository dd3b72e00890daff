"""Utility on images of X2 that Enc never learns from: watched while it learns, and where f's cuts are chosen."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from arl.data import batches, targets
from arl.metrics import best_cuts, mean_mcc
from arl.protect import Halves

if TYPE_CHECKING:
    from arl.experiment import Experiment

WATCHED = 1000  # images, at most


class Watched:
    """The first images of `experiment`'s X2."""

    def __init__(self, experiment: "Experiment"):
        self.data, self.device = experiment.data, experiment.device
        self.rows = experiment.split.x2[:WATCHED]
        self.y = targets(self.data, experiment.cfg)[self.rows].numpy() > 0.5  # (n, A)

    @torch.no_grad()
    def logits(self, predict: nn.Module) -> np.ndarray:
        """What `predict` makes of them, (n, A)."""
        shown = batches(self.data.images, self.rows, 512, device=self.device)
        return torch.cat([predict(x).float().cpu() for _, x in shown]).numpy()

    def mcc(self, predict: nn.Module) -> dict[str, float]:
        """Their mean MCC."""
        return {"mcc": mean_mcc(self.logits(predict) > 0, self.y)}

    def cut(self, model: Halves) -> dict[str, float]:
        """Shift f's last bias so that a logit above 0 means yes where their MCC is highest; their mean MCC then."""
        logits = self.logits(model.predict.eval())
        cuts = best_cuts(logits, self.y)
        with torch.no_grad():
            model.net.head[-1].bias -= torch.from_numpy(cuts).to(model.net.head[-1].bias)
        return {"mcc": mean_mcc(logits > cuts, self.y)}
