"""What the answers alone give away: the picture that follows from them, without Z. Tensors in, tensors out."""

from collections.abc import Iterable

import torch
from torch import Tensor

PENALTY = 1.0  # as if each answer's effect had been seen to be nothing in one image


def from_answers(labels: Tensor, targets: Iterable[Tensor], answers: Tensor) -> Tensor:
    """The best linear guess at what has the `answers` (N, A), in 0 and 1: float32 (N, ...). Ridge, in closed form.

    It learns from `labels` (n, A), in 0 and 1, and the `targets` (b, ...) of the same images, in order and in batches.
    """
    mean = labels.double().mean(0)
    centred = labels.double() - mean
    at, total, products = 0, 0.0, 0.0
    for target in targets:
        rows = target.flatten(1).double()
        products = products + centred[at : at + len(rows)].T @ rows
        total, at = total + rows.sum(0), at + len(rows)
    if at != len(labels):
        raise ValueError(f"targets: found {at} images, accepted: those of labels, {len(labels)}")
    gram = centred.T @ centred + PENALTY * torch.eye(len(mean), dtype=torch.float64)
    guess = (answers.double() - mean) @ torch.linalg.solve(gram, products) + total / at
    return guess.float().unflatten(1, target.shape[1:])
