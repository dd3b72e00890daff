"""The paper's equations, one pure function each. Images are (B, 3, H, W) in [0, 1]; expectations are means over all elements.

    players   (1) (7) pixel_loss   (2) adversarial_loss   (3) discriminator_objective   (4) (8) perceptual_distance
    aims      (5) attacker_loss    (6) utility_loss       (9) protector_loss            (10) feature_attack_loss

Where the paper leaves the scale of ‖·‖² open it is the mean over elements, so λ and μ do not change with the image size.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812, the usual name
from torch import Tensor


class _MeanSquare(torch.autograd.Function):
    """`F.mse_loss`, with a gradient laid out as its input is, of the same bytes.

    torch's own lies as rows of channels whatever its input is (`mse_loss_backward`), and every layer behind it then sorts it anew.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return F.mse_loss(a, b)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        a, b = ctx.saved_tensors
        away = (a - b).mul_(2 / a.numel()).mul_(gradient)
        return away, -away if ctx.needs_input_grad[1] else None


def _mean_square(a: Tensor, b: Tensor) -> Tensor:
    """E‖a − b‖² of two tensors of one shape; of half precision in float32."""
    if a.shape != b.shape:  # torch would stretch one of them
        raise ValueError(f"a: found shape {tuple(a.shape)}, accepted: that of b, {tuple(b.shape)}")
    wide = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return _MeanSquare.apply(a.to(wide), b.to(wide))


def pixel_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Equations (1) and (7): E‖X̂ − X‖², in [0, 1] for images in [0, 1]."""
    return _mean_square(x_hat, x)


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
    distances = [_mean_square(a, b) for a, b in zip(g_hat, g, strict=True)]
    return (torch.stack(distances) / scale).mean()


def attacker_loss(
    pixel: Tensor, adversarial: Tensor | float, perceptual: Tensor | float, mu1: float, mu2: float
) -> Tensor:
    """Equation (5), which Dec and Dec^a minimise: (1) + μ1 · (2) + μ2 · (4)."""
    return pixel + mu1 * adversarial + mu2 * perceptual


def utility_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Equation (6), which Enc and f minimise: E[BCE(f(Z), Y)]; `logits` and `y` in {0, 1} are (B, A) for A attributes.

    Logits of half precision are compared in float32.
    """
    return F.binary_cross_entropy_with_logits(logits.to(torch.promote_types(logits.dtype, torch.float32)), y)


def protector_loss(
    utility: Tensor, pixel: Tensor | float, perceptual: Tensor | float, lambda1: float, lambda2: float
) -> Tensor:
    """Equation (9), which Enc and f minimise while Dec is fixed: (6) − λ1 · (7) − λ2 · (8)."""
    return utility - lambda1 * pixel - lambda2 * perceptual


def feature_attack_loss(m: Tensor, c: Tensor) -> Tensor:
    """Equation (10), which M minimises: E‖M(Z) − C(X)‖²; both (B, d)."""
    return F.mse_loss(m, c)
