"""The paper's equations, one pure function each. Images are (B, 3, H, W) in [0, 1]; expectations are means over all elements.

    players   (1) (7) pixel_loss   (2) adversarial_loss   (3) discriminator_objective   (4) (8) perceptual_distance
    aims      (5) attacker_loss    (6) utility_loss       (9) protector_loss            (10) feature_attack_loss

Where the paper leaves the scale of ‖·‖² open it is the mean over elements, so λ and μ do not change with the image size.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812, the usual name
from torch import Tensor


def pixel_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Equations (1) and (7): E‖X̂ − X‖², in [0, 1] for images in [0, 1]."""
    return F.mse_loss(x_hat, x)


def adversarial_loss(fake: Tensor, form: Literal["non-saturating", "minimax"] = "non-saturating") -> Tensor:
    """Equation (2), which Dec minimises: E[log(1 − D(X̂))], with D the probability of *real*.

    `fake`: D's logits for X̂, any shape. `minimax` is (2) to the letter; `non-saturating` is −E[log D(X̂)], which pushes the
    same way with a gradient that does not vanish while D is winning (Goodfellow et al., 2014).
    """
    return -F.softplus(fake).mean() if form == "minimax" else F.softplus(-fake).mean()


def discriminator_objective(real: Tensor, fake: Tensor) -> Tensor:
    """Equation (3), which D *maximises*: E[log D(X)] + E[log(1 − D(X̂))], at most 0.

    `real`, `fake`: D's logits. The paper prints D and 1 − D the other way round, so that D and Dec would not compete; this is
    the standard orientation.
    """
    return -F.softplus(-real).mean() - F.softplus(fake).mean()


def perceptual_distance(g_hat: Sequence[Tensor], g: Sequence[Tensor], scale: Tensor) -> Tensor:
    """Equations (4) and (8): E‖g(X̂) − g(X)‖² over g's layers conv1 ... conv5.

    `scale` (L,): each layer's mean squared distance between random images of X2, over that of their pixels. So strangers are as
    far apart by any g as by (1), and λ2, μ2 weigh what λ1 and 1 weigh.
    """
    distances = [F.mse_loss(a.float(), b.float()) for a, b in zip(g_hat, g, strict=True)]
    return (torch.stack(distances) / scale).mean()


def attacker_loss(
    pixel: Tensor, adversarial: Tensor | float, perceptual: Tensor | float, mu1: float, mu2: float
) -> Tensor:
    """Equation (5), which Dec and Dec^a minimise: (1) + μ1 · (2) + μ2 · (4)."""
    return pixel + mu1 * adversarial + mu2 * perceptual


def utility_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Equation (6), which Enc and f minimise: E[BCE(f(Z), Y)]; `logits` and `y` in {0, 1} are (B, A) for A attributes."""
    return F.binary_cross_entropy_with_logits(logits, y)


def protector_loss(
    utility: Tensor, pixel: Tensor | float, perceptual: Tensor | float, lambda1: float, lambda2: float
) -> Tensor:
    """Equation (9), which Enc and f minimise while Dec is fixed: (6) − λ1 · (7) − λ2 · (8)."""
    return utility - lambda1 * pixel - lambda2 * perceptual


def feature_attack_loss(m: Tensor, c: Tensor) -> Tensor:
    """Equation (10), which M minimises: E‖M(Z) − C(X)‖²; both (B, d)."""
    return F.mse_loss(m, c)
