"""White-box: for attackers that hold the frozen encoder itself, and go down its gradient to a picture with the Z that they have seen."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from arl.training import initialised

FACE_DIRECTIONS, PICTURES = 256, 4096  # in which pictures vary; pictures that they are taken from at most
RATE, SLOWING = 0.1, 256  # of a step, in deviations of a coordinate; steps after which it falls
MEMORY, MEMORY_OF_SQUARES = 0.9, 0.99

Encode = Callable[[Tensor], Tensor]  # images (B, 3, S, S) in [0, 1] to Z
RowLoss = Callable[[Tensor], Tensor]  # of (B, n), a loss for each row, (B,), that no other row is in


def descend_rows(loss: RowLoss, w: Tensor, steps: int) -> Iterator[Tensor]:
    """Of each row of `w` (B, n) the best that was met: before the first of `steps` steps down `loss`, and after each.

    Adam (Kingma and Ba, 2015), whose steps are by coordinate: no row sees another, and none ends above the loss that it began with.
    """
    least, best = w.new_full((len(w),), torch.inf), w
    mean, square = torch.zeros_like(w), torch.zeros_like(w)
    for step in range(steps + 1):
        last = step == steps
        value, slope = _slope(loss, w, last)
        lower = value < least  # one that is not finite is not
        least, best = torch.where(lower, value, least), torch.where(lower[:, None], w, best)
        yield best
        if last:
            return
        mean = mean.lerp(slope, 1 - MEMORY)
        square = square.lerp(slope.square(), 1 - MEMORY_OF_SQUARES)
        rate = RATE * (1 + step / SLOWING) ** -0.5 / (1 - MEMORY ** (step + 1))
        w = w - rate * mean / ((square / (1 - MEMORY_OF_SQUARES ** (step + 1))).sqrt() + 1e-8)


def _slope(loss: RowLoss, w: Tensor, alone: bool) -> tuple[Tensor, Tensor]:
    """The loss of each row, and its slope unless the loss `alone` is asked for."""
    with torch.set_grad_enabled(not alone), torch.autocast(w.device.type, enabled=False):
        w = w.detach().requires_grad_(not alone)
        each = loss(w)
        if alone:
            return each, w
        (slope,) = torch.autograd.grad(each.sum(), w)
    return each.detach(), slope.nan_to_num(0, 0, 0)


class Variation(nn.Module):
    """How pictures vary: in k directions, and beside these in each pixel alike (probabilistic PCA; Tipping and Bishop, 1999).

    Coordinates of variance one to a picture's difference from another (B, 3, S, S): (B, k) of the directions, or (B, k + 3 S²).
    """

    def __init__(self, image: int):
        super().__init__()
        self.image, pixels = image, 3 * image * image
        self.directions = min(FACE_DIRECTIONS, pixels)
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("axes", torch.zeros(self.directions, pixels))
        self.register_buffer("spread", torch.zeros(self.directions))  # deviation along each
        self.register_buffer("floor", torch.ones(()))  # deviation of what is beside them

    @torch.no_grad()
    def fit(self, x: Tensor, x_held: Tensor, stream: int) -> None:
        """Take the directions from `x` and its mirror images, what is beside them from `x_held`; both (n, 3 S²), pictures flattened."""
        x = x[:PICTURES]
        x = torch.cat([x, x.unflatten(1, (3, self.image, self.image)).flip(-1).flatten(1)])
        k = min(self.directions, *x.shape)
        self.mean.copy_(x.mean(0))
        with initialised(stream):  # the decomposition draws its first directions
            _, s, v = torch.pca_lowrank(x - self.mean, k, center=False, niter=4)
        self.axes[:k], self.spread[:k] = v.T, s / len(x) ** 0.5
        off = x_held - self.mean
        self.floor.copy_((off - off @ v @ v.T).square().mean().sqrt())

    def coordinates(self, x: Tensor) -> Tensor:
        """Of pictures (n, 3 S²) along the directions, (n, k)."""
        return (x - self.mean) @ self.axes.T / self.spread.clamp(min=1e-4)

    def forward(self, u: Tensor) -> Tensor:
        moved = (u[:, : self.directions] * self.spread) @ self.axes
        if u.shape[1] > self.directions:
            moved = moved + self.floor * u[:, self.directions :]
        return moved.unflatten(1, (3, self.image, self.image))
