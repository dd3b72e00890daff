"""Channels from X to Z whose least error is known, for the attackers' known answers."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from arl import attacks


class Channel(NamedTuple):
    public: attacks.Public
    shapes: attacks.Shapes
    x: Tensor  # (n, 3, S, S), held out last
    z: Tensor
    best: Tensor | None = None  # E[X | Z] of the held-out images, where it is known

    @property
    def held_out(self) -> slice:
        return slice(int(0.9 * len(self.x)), len(self.x))

    def error(self, x_hat: Tensor) -> float:
        """The mean squared error of what is made of the held-out Z."""
        return (x_hat.reshape_as(self.x[self.held_out]) - self.x[self.held_out]).square().mean().item()

    @property
    def variance(self) -> float:
        return self.error(self.x[: self.held_out.start].mean(0).expand_as(self.x[self.held_out]))

    def first(self, n: int) -> "Channel":
        """The same world, of which an attacker owns the first `n`, in batches of 50: what is held out here stays a test set."""
        return channel(self.x[:n], self.z[:n], batch=50)

    def excess(self, x_hat: Tensor) -> float:
        """How much more than the least error, as a share of it; on the same images, so that their own luck cancels."""
        return self.error(x_hat) / self.error(self.best) - 1


def channel(x: Tensor, z: Tensor, best: Tensor | None = None, batch: int = 0, labels: Tensor | None = None) -> Channel:
    """X (n, 3, S, S) and Z (n, ...): nine tenths are learned from, in batches of `batch` or at once."""
    at, target = int(0.9 * len(x)), x if labels is None else labels

    def train(epoch: int):
        order = torch.randperm(at, generator=torch.Generator().manual_seed(epoch))
        return ((z[rows], target[rows]) for rows in order.split(batch or at) if len(rows) == (batch or at))

    public = attacks.Public(train, at // (batch or at), lambda epoch: iter([(z[at:], target[at:])]))
    outputs = 0 if labels is None else labels.shape[1]
    return Channel(public, attacks.Shapes(tuple(z.shape[1:]), x.shape[-1], 8, 0, outputs), x, z, best)


def gaussian(n: int, sigma: Tensor, seed: int = 0) -> Tensor:
    """n pictures around grey with covariance `sigma` (3 S², 3 S²), far from black and white."""
    values, vectors = torch.linalg.eigh(sigma.double())
    root = vectors * values.clamp(min=0).sqrt()
    draws = torch.randn(n, len(sigma), generator=torch.Generator().manual_seed(seed)).double()
    side = round((len(sigma) / 3) ** 0.5)
    return (0.5 + draws @ root.T).float().unflatten(1, (3, side, side))


def falling(pixels: int = 8) -> Tensor:
    """A covariance whose variances fall off."""
    return torch.diag((0.08 / (1 + torch.arange(3 * pixels * pixels)) ** 0.3).square())


def linear_gaussian(sigma: Tensor, n: int, codes: int, noise: float, *, batch: int = 0, seed: int = 0) -> Channel:
    """Z = AX + σ ε of `codes` numbers, A random: `best` = ΣAᵀ(AΣAᵀ + σ²I)⁻¹ Z, hence `error(best)` → the MMSE."""
    rng = torch.Generator().manual_seed(seed + 1)
    a = torch.randn(codes, len(sigma), generator=rng) / len(sigma) ** 0.5
    x = gaussian(n, sigma, seed)
    z = (x.flatten(1) - 0.5) @ a.T
    z = z + noise * torch.randn(z.shape, generator=rng)
    best = 0.5 + z @ _gain(sigma, a, noise).T.float()
    return channel(x, z, best[int(0.9 * n) :], batch)


def mmse(sigma: Tensor, codes: int, noise: float, seed: int = 0) -> float:
    """tr(Σ − ΣAᵀ(AΣAᵀ + σ²I)⁻¹AΣ) a pixel, of the same channel."""
    a = torch.randn(codes, len(sigma), generator=torch.Generator().manual_seed(seed + 1)) / len(sigma) ** 0.5
    left = sigma.double() - _gain(sigma, a, noise) @ a.double() @ sigma.double()
    return torch.trace(left).item() / len(sigma)


def _gain(sigma: Tensor, a: Tensor, noise: float) -> Tensor:
    sigma, a = sigma.double(), a.double()
    return torch.linalg.solve(a @ sigma @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64), a @ sigma).T


def mixture(n: int, codes: int, noise: float, parts: int = 12, seed: int = 0) -> Channel:
    """X is a picture of one of `parts` kinds, N(m, Σ), Z = AX + σ ε of `codes` numbers; `best` = E[X | Z].

    E[X | Z] = Σ r (m + G (Z − Am)), r ∝ N(Z; Am, AΣAᵀ + σ²I), G = ΣAᵀ(AΣAᵀ + σ²I)⁻¹: linear within a kind, and not over all.
    """
    rng, sigma = torch.Generator().manual_seed(seed + 2), falling() / 25
    means = 0.5 + 0.1 * torch.randn(parts, len(sigma), generator=rng)
    a = torch.randn(codes, len(sigma), generator=rng) / len(sigma) ** 0.5
    x = gaussian(n, sigma, seed).flatten(1) - 0.5 + means[torch.randint(parts, (n,), generator=rng)]
    z = (x - 0.5) @ a.T
    z = z + noise * torch.randn(z.shape, generator=rng)
    best = posterior_mean(z[int(0.9 * n) :], means, sigma, a, noise)
    return channel(x.unflatten(1, (3, 8, 8)), z, best)


def posterior_mean(z: Tensor, means: Tensor, sigma: Tensor, a: Tensor, noise: float) -> Tensor:
    """E[X | Z] of the mixture of `means` (parts, p), each with covariance `sigma`, for Z = A (X − ½) + σ ε (n, codes)."""
    means, sigma, a = means.double(), sigma.double(), a.double()
    spread = a @ sigma @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
    off = z.double()[:, None] - (means - 0.5) @ a.T  # (n, parts, codes)
    share = torch.softmax(-0.5 * (off * torch.linalg.solve(spread, off.mT).mT).sum(2), 1)
    return (share @ means + torch.einsum("nk,nkc->nc", share, off) @ _gain(sigma, a, noise).T).float()


def weighed(z: Tensor, x: Tensor, clean: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """E[X | Z] by importance sampling over pictures `x` (m, p) whose Z before the noise is `clean` (m, codes), and on how many it stands.

    w ∝ exp(−‖z − clean‖² / 2σ²), their effective number 1 / Σ w². The Bayes attacker as m grows; where that number is near 1, it is not.
    """
    w = torch.softmax(-0.5 * (torch.cdist(z.double(), clean.double()) / noise).square(), 1)
    return (w @ x.double()).float(), 1 / w.square().sum(1)


def fano(classes: int, bits: float) -> float:
    """The highest accuracy in naming one of `classes`, equally likely, from `bits` of information about them (Fano, 1961).

    Where h(e) + e log2(classes − 1) = log2 classes − bits, for the error e.
    """
    low, high = 1 / classes, 1.0  # of the accuracy; the left side falls in it
    for _ in range(60):
        a = (low + high) / 2
        e = 1 - a
        left = sum(-p * math.log2(p) for p in (a, e) if p > 0) + e * math.log2(classes - 1)
        low, high = (a, high) if left >= math.log2(classes) - bits else (low, a)
    return low


def of_faces(images: Tensor, pixels: int) -> Tensor:
    """The covariance of `images` (n, 3, S, S) shrunk to `pixels` a side, and scaled so that no Gaussian picture leaves [0, 1]."""
    small = torch.nn.functional.interpolate(images.float(), size=(pixels, pixels), mode="area").flatten(1)
    sigma = torch.cov(small.T.double())
    return sigma * (0.1 / sigma.diagonal().max().sqrt()) ** 2
