"""A linear probe: the labels that logistic regression reads from all of Z."""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.whitened import Whitening
from arl.plateau import Fitted, everything
from arl.training import Journal

DECAYS = [10.0**power for power in range(0, -6, -1)]  # of the weights, from strong to weak


class Probe(Attack):
    """argmin E BCE(W Z + b, Y) + γ ‖W‖² / 2 on whitened Z, γ chosen for each label on held-out X2; maps are flattened."""

    target: ClassVar[Literal["image", "embedding", "label"]] = "label"

    @property
    def cost(self) -> float:
        return 0.2

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "Reader":
        head = nn.Linear(torch.Size(shapes.z).numel(), shapes.labels)
        return Reader(nn.Sequential(Whitening(shapes.z[0]), nn.Flatten(), head))

    def train(self, player: "Reader", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        whitening, _, head = player.net
        whitening.fit(public.train)
        sets = [
            everything(lambda e, b=b: ((whitening(z), y) for z, y in b(e))) for b in (public.train, public.held_out)
        ]
        (z, y), (z_held, y_held) = sets
        weight, bias = torch.zeros_like(head.weight), torch.logit(y.mean(0).clamp(1e-4, 1 - 1e-4))
        least = torch.full_like(bias, torch.inf)
        for decay in DECAYS:
            weight, bias = _fitted(z, y, decay, weight, bias)
            error = _bce(z_held @ weight.T + bias, y_held).mean(0)
            better = error < least
            least = torch.where(better, error, least)
            head.weight.data[better], head.bias.data[better] = weight[better], bias[better]
        return {"epoch": 1, "plateau": True, "validation": least.mean().item()}


class Reader(Fitted):
    """A probe fitted in one go, judged by (6)."""

    def validation_loss(self, guess: Tensor, target: Tensor) -> Tensor:
        return _bce(guess, target).mean()


def _bce(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, y, reduction="none")


def _fitted(z: Tensor, y: Tensor, decay: float, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The weights (A, D) and biases (A,) of least penalised cross-entropy, searched from `weight` and `bias`: the loss is convex."""
    weight, bias = (t.detach().clone().requires_grad_() for t in (weight, bias))
    search = torch.optim.LBFGS([weight, bias], max_iter=60, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = _bce(z @ weight.T + bias, y).mean(0).sum() + decay / 2 * weight.square().sum()
        value.backward()
        return value

    search.step(loss)
    return weight.detach(), bias.detach()
