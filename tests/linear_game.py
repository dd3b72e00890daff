"""The whole game with linear players: its optimum in closed form, and our own loop (`arl.protect`) on it.

X (n, p) are n images, Y (n, q) their labels, both centred; Enc is linear, Z = XW with W (p, k), and f and Dec are the best linear readers
of Z. With S the space that Z's columns span and P_S the projection on it, least squares leaves

    label error = (‖Y‖² − ‖P_S Y‖²) / nq        pixel error = (‖X‖² − ‖P_S X‖²) / np        (means over elements, as in `arl.losses`)

so the game's value, J = label error − λ1 · pixel error as in (9), depends on S alone: no scaling or turning of Z changes it. With
X = UΣVᵀ, Z = U (ΣVᵀW): S lies in span(U), and every subspace of it of at most k dimensions can be had, by W = VΣ⁻¹Q. Let Q (r, s) have
orthonormal columns, S = span(UQ), P_S = UQQᵀUᵀ. As UᵀX = ΣVᵀ,

    J(S) = ‖Y‖²/nq − λ1 ‖X‖²/np − tr Qᵀ M Q,        M = UᵀYYᵀU / nq − λ1 Σ² / np

and tr QᵀMQ is largest (Ky Fan) for the eigenvectors of M's largest eigenvalues, of which only positive ones help: at most k of them, and
at most q, as M is something of rank q less something positive. That is the argument of K-ARL (Sadeghi, Yu, Boddeti, ICCV 2019) with the
pixels as the secret. An encoder whose Z has full rank k cannot drop a direction: it takes the k largest eigenvalues, negative ones too.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from arl import faces
from arl.adversary import Adversary
from arl.defences.base import Batch, Defence
from arl.protect import Feed, Halves, TrainingSchedule, protect
from arl.training import Nowhere, generator, initialised

LAMBDA = 30.0  # of the game that is measured: of eight directions five are worth their leak
REACHES = {"warm": 0.2, "lr": 1e-2, "simulated_lr": 2e-2}  # the schedule that reaches its optimum


class Errors(NamedTuple):
    """What the best linear readers of a Z leave, means over elements."""

    label: float
    pixel: float

    def value(self, lambda1: float) -> float:
        return self.label - lambda1 * self.pixel


class LinearGame:
    """`images` (n, 3, S, S) in [0, 1] and `labels` (n, q), of any scale."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images.float(), (labels - labels.mean(0)).float()
        flat = self.images.flatten(1).double()
        self.x, self.y = flat - flat.mean(0), self.labels.double()
        u, s, v = torch.linalg.svd(self.x, full_matrices=False)
        rank = int((s > 1e-5 * s[0]).sum())  # images are float32
        self.u, self.s, self.v = u[:, :rank], s[:rank], v[:rank].T

    def errors(self, z: Tensor) -> Errors:
        """What the exact players leave on Z (n, k). They read every direction, however quiet: below 1e-9 of the loudest it is rounding."""
        z = z.double() - z.double().mean(0)
        z = z / z.norm(dim=0).clamp(min=1e-30)
        u, s, _ = torch.linalg.svd(z, full_matrices=False)  # (n, 0) for no columns
        basis = u[:, s > 1e-9 * s.max()] if z.shape[1] else u
        label, pixel = ((t.square().sum() - (basis.T @ t).square().sum()).item() / t.numel() for t in (self.y, self.x))
        return Errors(label, pixel)

    def spectrum(self, lambda1: float) -> tuple[Tensor, Tensor]:
        """Eigenvalues of M, falling, and its eigenvectors in their columns."""
        to_labels = self.u.T @ self.y
        m = to_labels @ to_labels.T / self.y.numel() - lambda1 * torch.diag(self.s.square()) / self.x.numel()
        values, vectors = torch.linalg.eigh(m)
        return values.flip(0), vectors.flip(1)

    def optimum(self, lambda1: float, width: int, full: bool = False) -> Tensor:
        """Z (n, s) that no linear encoder of `width` numbers beats, s ≤ width; `full`: of those with s = width."""
        values, vectors = self.spectrum(lambda1)
        keep = width if full else min(width, int((values > 1e-12).sum()))
        return self.u @ vectors[:, :keep]

    def gap(self, z: Tensor, lambda1: float, width: int, full: bool = False) -> float:
        """J of Z less that of `optimum`, beside what no protection (the optimum at λ1 = 0) lacks: 0 the optimum, 1 no protection."""
        least, none = (self.errors(self.optimum(weight, width)).value(lambda1) for weight in (lambda1, 0.0))
        base = self.errors(self.optimum(lambda1, width, full)).value(lambda1)
        return (self.errors(z).value(lambda1) - base) / (none - least)


class Squares(Defence):
    """(9) with a squared error for (6): label error − λ1 · pixel error, Dec fixed."""

    lambda1: float = 0.0
    steps: int = 2
    rate: float = 4e-3

    @property
    def pace(self) -> tuple[int, float]:
        return self.steps, self.rate

    def objective(self, batch: Batch) -> Tensor:
        objective = (batch.logits - batch.y).square().mean()
        batch.note(utility=objective)
        return objective if batch.x_hat is None else objective - self.lambda1 * (batch.x_hat - batch.x).square().mean()


Defence.registry.pop("squares", None)  # nobody else's


class Kept(Nowhere):
    """A journal that hands on what one training has learned to the next: Enc, f and their optimiser, as after `warm` epochs."""

    def __init__(self, parts: dict[str, Any] | None = None):
        self.parts = parts or {}
        self.lines: list[dict[str, float]] = []

    def restore(self, parts: dict[str, Any]) -> dict[str, Any]:
        for name in self.parts:
            parts[name].load_state_dict(self.parts[name])
        return {"epoch": self.epoch} if self.parts else {}

    def keep(self, parts: dict[str, Any], line: dict[str, float], **state: Any) -> None:
        self.lines.append(line)
        self.last, self.epoch = parts, state["epoch"]

    def handed_on(self) -> "Kept":
        journal = Kept({name: self.last[name].state_dict() for name in ("net", "net_adam")})
        journal.epoch = self.epoch
        return journal


class Turn(nn.Module):
    """Images (B, 3, S, S) to their principal components, each of variance one: a fixed linear layer, so the game is the same."""

    def __init__(self, game: LinearGame):
        super().__init__()
        self.register_buffer("mean", game.images.flatten(1).mean(0))
        self.register_buffer("turn", (game.v / game.s * len(game.x) ** 0.5).float())

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.turn


class Play(NamedTuple):
    """A schedule, by the names of `RunConfig`; `standardised`: Dec's input, `turned`: Enc's."""

    width: int
    lambda1: float
    simulated_steps: int = 2
    warm: float = 0.5
    epochs: int = 100  # of 16 steps: as many as the quick preset takes in ten
    lr: float = 3e-3
    simulated_lr: float = 4e-3
    batch: int = 64
    seed: int = 0
    weight_decay: float = 1e-4
    standardised: bool = True
    turned: bool = True


def play(game: LinearGame, how: Play) -> Tensor:
    """Z (n, k) of all images after `protect` has trained linear Enc and f against a linear simulated Dec; all play on the same images."""
    k, pixels, shape = how.width, game.x.shape[1], game.images.shape[1:]
    with initialised(how.seed, 1):
        front = Turn(game) if how.turned else nn.Flatten()
        encoder = nn.Sequential(front, nn.Linear(len(game.s) if how.turned else pixels, k))
        head = nn.Sequential(nn.Linear(k, game.y.shape[1]))
        norm = nn.BatchNorm1d(k, affine=False) if how.standardised else nn.Identity()
        decoder = nn.Sequential(norm, nn.Linear(k, pixels), nn.Unflatten(1, shape))
    model = Halves(nn.Sequential(*encoder, *head), encoder, nn.Sequential(), head)
    feed = _feed(game, how)
    warm = round(how.warm * how.epochs)
    schedule = TrainingSchedule(how.epochs, how.lr, how.seed, how.weight_decay)
    journal = Kept()
    if warm:
        protect(model, Squares(), None, feed, schedule, journal, until=warm)
        journal = journal.handed_on()
    if warm < how.epochs:
        defence = Squares(lambda1=how.lambda1, steps=how.simulated_steps, rate=how.simulated_lr)
        protect(model, defence, Adversary(decoder), feed, schedule, journal)
    with torch.no_grad():
        return encoder.double()(game.images.double())


def _feed(game: LinearGame, how: Play) -> Feed:
    n, steps = len(game.images), len(game.images) // how.batch

    def shuffled(*seeds: int) -> Iterator[Tensor]:
        return iter(torch.randperm(n, generator=generator(*seeds))[: steps * how.batch].split(how.batch))

    def private(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return ((game.images[rows], game.labels[rows]) for rows in shuffled(how.seed, 2, epoch))

    def public(epoch: int) -> Iterator[Tensor]:
        again = 0
        while True:
            yield from (game.images[rows] for rows in shuffled(how.seed, 3, epoch, again))
            again += 1

    return Feed(private, steps, public)


def of_faces(n: int = 1024, pixels: int = 8, labels: int = 8, components: int = 24, seed: int = 0) -> LinearGame:
    """`n` drawn faces shrunk to `pixels` a side, and the `labels` attributes that a linear reader of them knows best, of variance one.

    The faces keep their first `components` principal components: in the last of 192 nothing is left of a face, so hiding there is free.
    """
    drawn = faces.render(n // 4, 4, 16, seed)
    images = nn.functional.adaptive_avg_pool2d(torch.from_numpy(drawn.images).float() / 255, pixels)
    flat = images.flatten(1).double()
    _, _, v = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    kept = flat.mean(0) + (flat - flat.mean(0)) @ v[:components].T @ v[:components]
    images = kept.float().view_as(images)
    y = torch.from_numpy(drawn.attributes).double()
    y = (y - y.mean(0)) / y.std(0).clamp(min=0.2)  # what fewer than one in 25 has counts for less
    u = torch.linalg.svd(flat @ v[:components].T - flat.mean(0) @ v[:components].T, full_matrices=False)[0]
    told = (u.T @ y).square().sum(0)
    return LinearGame(images, y[:, told.argsort(descending=True)[:labels]])
