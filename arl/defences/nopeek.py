"""NoPeek: features that are uncorrelated, in the sense of distance correlation, with the images."""

import torch
from pydantic import Field
from torch import Tensor

from arl.defences.base import Batch, Defence
from arl.parameters import Weight


class NoPeek(Defence):
    """Vepakomma et al., ICDM Workshops 2020: minimise (6) + α · dCor(X, Z)."""

    correlation: Weight = Field(0.5, title="α", description="weight of the distance correlation of X and Z")

    def objective(self, batch: Batch) -> Tensor:
        correlation = distance_correlation(batch.x, batch.z)
        batch.note(correlation=correlation)
        return batch.utility() + self.correlation * correlation


def distance_correlation(a: Tensor, b: Tensor) -> Tensor:
    """The distance correlation of paired samples (B, ...) and (B, ...), in [0, 1] (Székely, Rizzo and Bakirov, 2007)."""
    a, b = (_centred(torch.cdist(t.flatten(1).float(), t.flatten(1).float())) for t in (a, b))
    variances = (a * a).mean() * (b * b).mean()
    return ((a * b).mean().clamp(min=0) / variances.sqrt().clamp(min=1e-12)).clamp(min=1e-12).sqrt()


def _centred(d: Tensor) -> Tensor:
    return d - d.mean(0) - d.mean(1, keepdim=True) + d.mean()
