"""The same mathematics as `arl` in the way that first comes to mind: what `bench_yardstick` compares with.

Eager, NCHW, torch's own AdamW as it comes, the encoder in every epoch of every attack, JPEGs decoded whenever they are asked for,
a bootstrap that loops. Networks, losses, learning rates and the order of the images are arl's: `test_yardstick` holds that both have
the same losses. Nothing here is slow on purpose: a gradient that nobody needs is computed only where `loss.backward()` does so by itself,
images are decoded by the faster of the usual two decoders, and what is frozen runs without a graph.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name
from torchvision.io import ImageReadMode, decode_image

from arl import losses
from arl.config import RunConfig
from arl.models import cut
from arl.protect import TrainingSchedule
from arl.training import generator


def decode_square(blob: bytes | np.ndarray, size: int) -> np.ndarray:
    """The middle square of a JPEG or PNG, uint8 (3, size, size); of CelebA's 178×218 that is 178×178."""
    x = decode_image(torch.frombuffer(blob, dtype=torch.uint8), ImageReadMode.RGB)
    height, width = x.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    x = x[None, :, top : top + side, left : left + side]
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True)[0].numpy()


@dataclass(frozen=True)
class Photographs:
    """JPEG files as images of `size` pixels a side."""

    paths: list[Path]
    size: int

    def __call__(self, rows: np.ndarray, mirrored: np.ndarray | bool = False) -> Tensor:
        """The images `rows`, float32 (n, 3, S, S) in [0, 1], decoded now; `mirrored`: which of them, or whether all."""
        x = np.stack([decode_square(np.fromfile(self.paths[row], np.uint8), self.size) for row in rows])
        mirrored = np.broadcast_to(mirrored, len(rows))
        x[mirrored] = x[mirrored][..., ::-1]
        return torch.from_numpy(x).float() / 255


def in_order(index: np.ndarray, size: int, drawn: torch.Generator, flip: bool) -> Iterator[tuple[np.ndarray, Any]]:
    """Once through `index` in whole batches: rows, and which are mirrored; drawn as `arl.data.batches` draws them."""
    n = len(index)
    order = torch.randperm(n, generator=drawn).numpy()
    mirrored = (torch.rand(n, generator=drawn) < 0.5).numpy() if flip else np.zeros(n, bool)
    for i in range(0, n - n % size, size):
        part = order[i : i + size]
        part = part[np.argsort(index[part])]
        yield index[part], mirrored[part]


def plain_adam(net: nn.Module, beta1: float = 0.9) -> torch.optim.AdamW:
    return torch.optim.AdamW(net.parameters(), betas=(beta1, 0.999), weight_decay=1e-4)


def step(loss: Tensor, optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Within, BatchNorm of `net` does not move its running statistics: the other player's batches are none of its business."""
    layers = [layer for layer in net.modules() if getattr(layer, "track_running_stats", False)]
    for layer in layers:
        layer.track_running_stats = False
    yield
    for layer in layers:
        layer.track_running_stats = True


class JointTraining:
    """Enc and f by (9), Dec by (5) with μ1 = 0, an epoch a call. Without a decoder: by (6) alone."""

    def __init__(self, net: nn.Sequential, decoder: nn.Module | None, g: nn.Module | None, cfg: RunConfig):
        self.net, self.decoder, self.g, self.cfg = net, decoder, g, cfg
        self.encoder, self.classifier = cut(net, cfg.layer)
        self.adam = plain_adam(net)
        self.decoder_adam = plain_adam(decoder) if decoder is not None else None
        self.schedule = TrainingSchedule(cfg.epochs, cfg.lr, cfg.seed)

    def distance(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return losses.perceptual_distance(self.g(x_hat), self.g(x), self.g.scale)

    def epoch(self, number: int, faces: Photographs, x1: np.ndarray, x2: np.ndarray, y: Tensor) -> dict[str, float]:
        """Mean losses of epoch `number`, from 1; `y` (N, A) by row of `faces`."""
        cfg, sums = self.cfg, {}
        self.net.train()
        public = self._public(number, faces, x2)
        private = list(in_order(x1, cfg.batch_size, generator(cfg.seed, 2, number), flip=True))
        for k, (rows, mirrored) in enumerate(private):
            rate = self.schedule.rate(number - 1 + k / len(private))
            for _ in range(cfg.simulated_steps if self.decoder is not None else 0):
                _add(sums, adversary=self._learn_decoder(next(public)))
            _add(sums, **self._learn_encoder(faces(rows, mirrored), y[rows], rate))
        return {name: float(np.mean(values)) for name, values in sums.items()}

    def _public(self, number: int, faces: Photographs, x2: np.ndarray) -> Iterator[Tensor]:
        drawn = generator(self.cfg.seed, 3, number)
        while True:
            for rows, mirrored in in_order(x2, self.cfg.batch_size, drawn, flip=True):
                yield faces(rows, mirrored)

    def _learn_decoder(self, v: Tensor) -> Tensor:
        with torch.no_grad(), statistics_kept(self.net):
            z = self.encoder(v)
        x_hat = self.decoder(z)
        loss = losses.pixel_loss(x_hat, v)
        if self.cfg.simulated_mu2 > 0:
            loss = loss + self.cfg.simulated_mu2 * self.distance(x_hat, v)
        step(loss, self.decoder_adam, self.cfg.simulated_lr)
        return loss

    def _learn_encoder(self, x: Tensor, y: Tensor, rate: float) -> dict[str, Tensor]:
        z = self.encoder(x)
        loss = utility = losses.utility_loss(self.classifier(z), y)
        seen = {"utility": utility}
        if self.decoder is not None:
            with statistics_kept(self.decoder):
                x_hat = self.decoder(z)
            seen["pixel"] = losses.pixel_loss(x_hat, x)
            loss = loss - self.cfg.lambda1 * seen["pixel"]
            if self.cfg.lambda2 > 0:
                seen["perceptual"] = self.distance(x_hat, x)
                loss = loss - self.cfg.lambda2 * seen["perceptual"]
        step(loss, self.adam, rate)
        return seen


class AttackTraining:
    """Dec^a by (5), or M by (10), on a frozen encoder, an epoch a call; with its validation loss on held-out images.

    `wanted`: images to what is to be made of them; None: the images themselves. `d`: D, where `mu1` > 0.
    """

    def __init__(
        self,
        net: nn.Module,
        encoder: nn.Module,  # with the standardisation behind it
        cfg: RunConfig,
        stream: int,
        d: nn.Module | None = None,
        g: nn.Module | None = None,
        wanted: Callable[[Tensor], Tensor] | None = None,
    ):
        self.net, self.encoder, self.cfg, self.stream, self.d, self.g, self.wanted = (
            net,
            encoder,
            cfg,
            stream,
            d,
            g,
            wanted,
        )
        self.average = deepcopy(net)
        self.adam = plain_adam(net)
        self.d_adam = plain_adam(d, beta1=0.5) if d is not None else None
        self.steps = 0

    def epoch(self, number: int, faces: Photographs, learns: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
        """Mean losses of epoch `number`, from 1."""
        cfg, sums = self.cfg, {}
        self.net.train()
        drawn = generator(cfg.seed, self.stream + 1, number)
        for rows, _ in in_order(learns, cfg.batch_size, drawn, flip=False):
            mirrored = self.wanted is None and bool(torch.rand((), generator=drawn) < 0.5)
            x = faces(rows, mirrored)
            with torch.no_grad():
                z, target = self.encoder(x), x if self.wanted is None else self.wanted(x)
            _add(sums, **self._learn(z, target))
            self._average()
        return {name: float(np.mean(values)) for name, values in sums.items()} | {
            "validation": self._validate(faces, held_out)
        }

    def _loss(self, guess: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.mse_loss(guess, target)  # (1), or (10)
        if self.g is not None:
            loss = loss + self.cfg.mu2 * losses.perceptual_distance(self.g(guess), self.g(target), self.g.scale)
        return loss

    def _learn(self, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        guess = self.net(z)
        loss = self._loss(guess, target)
        if self.d is None:
            step(loss, self.adam, self.cfg.attack_lr)
            return {"attack": loss}
        loss = loss + self.cfg.mu1 * losses.adversarial_loss(self.d(guess))
        step(loss, self.adam, self.cfg.attack_lr)
        objective = losses.discriminator_objective(self.d(target), self.d(guess.detach()))
        step(-objective, self.d_adam, self.cfg.attack_lr / 4)
        return {"attack": loss, "discriminator": objective}

    @torch.no_grad()
    def _average(self) -> None:
        weight = max(0.01, 9 / (10 + self.steps))
        self.steps += 1
        for mean, now in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.copy_((1 - weight) * mean + weight * now)
            else:
                mean.copy_(now)

    @torch.no_grad()
    def _validate(self, faces: Photographs, held_out: np.ndarray) -> float:
        self.average.eval()
        total = 0.0
        for i in range(0, len(held_out), 256):
            x = faces(held_out[i : i + 256])
            target = x if self.wanted is None else self.wanted(x)
            total += self._loss(self.average(self.encoder(x)), target).item() * len(x)
        return total / len(held_out)


def _add(sums: dict[str, list[float]], **values: Tensor) -> None:
    for name, value in values.items():
        sums.setdefault(name, []).append(value.item())


# -- evaluation -------------------------------------------------------------------------------------------------------


def resamples(n: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` resamples of `n` rows; the same that `arl.metrics` draws as counts."""
    drawn = np.random.default_rng([seed, 55])
    for counts in drawn.multinomial(n, np.full(n, 1 / n), size=count):
        yield np.repeat(np.arange(n), counts)


def plain_interval(values: np.ndarray, count: int, seed: int) -> dict[str, float]:
    """The mean of `values` (N,) with its bootstrap interval."""
    means = [values[rows].mean() for rows in resamples(len(values), count, seed)]
    low, high = np.percentile(means, [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def plain_mcc(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Matthews correlation of each column, (A,), of bool (N, A)."""
    tp, tn, fp, fn = (float_sum(a & b) for a, b in ((said, truth), (~said, ~truth), (said, ~truth), (~said, truth)))
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(margins > 0, (tp * tn - fp * fn) / np.sqrt(np.where(margins > 0, margins, 1.0)), 0.0)


def float_sum(marks: np.ndarray) -> np.ndarray:
    return marks.sum(0).astype(np.float64)


def plain_utility(said: np.ndarray, truth: np.ndarray, count: int, seed: int) -> dict[str, float]:
    """Mean MCC with its bootstrap interval over images."""
    means = [plain_mcc(said[rows], truth[rows]).mean() for rows in resamples(len(truth), count, seed)]
    low, high = np.percentile(means, [2.5, 97.5])
    return {"value": float(plain_mcc(said, truth).mean()), "low": float(low), "high": float(high)}


def plain_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """SSIM of each image, (N,), over windows inside the image."""
    from torchmetrics.functional.image import structural_similarity_index_measure  # here, as it takes two seconds

    _, maps = structural_similarity_index_measure(
        x_hat, x, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    return maps[..., 5:-5, 5:-5].flatten(1).mean(1)


def plain_separability(z: np.ndarray, who: np.ndarray, count: int, seed: int) -> dict[str, dict[str, float]]:
    """S_w, S_b and their ratio with bootstrap intervals over people; everybody has two images or more."""
    groups = [z[who == person] for person in np.unique(who)]
    names = "within_variance", "between_variance", "lda_score"
    whole = _variances(groups)
    drawn = np.array([_variances([groups[k] for k in people]) for people in resamples(len(groups), count, seed)])
    ends = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {name: {"value": whole[k], "low": ends[0, k], "high": ends[1, k]} for k, name in enumerate(names)}


def _variances(groups: list[np.ndarray]) -> tuple[float, float, float]:
    means = np.stack([group.mean(0) for group in groups]).repeat([len(group) for group in groups], axis=0)
    within = float(np.square(np.concatenate(groups) - means).sum(1).mean())
    between = float(np.square(means - means.mean(0)).sum(1).mean())
    return within, between, between / within
