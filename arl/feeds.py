"""What the players learn from: batches of X1 for the protector, of X2 or extra images for adversaries, in the order of a seed."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from arl.attacks import Attack, Public
from arl.config import RunConfig
from arl.data import FaceData, batches, full_batches, resident, stack, targets
from arl.data.augment import crops
from arl.parallel import team
from arl.plateau import StandardisedFeatures
from arl.protect import Feed
from arl.training import generator


class Owned(NamedTuple):
    """The adversary's images: rows of `data` that it learns from, and the tenth of X2 that tells it when to stop.

    Where the extra images stand in place of X2, the tenth is of them.
    """

    data: FaceData  # with the extra images behind
    learns: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of(cls, data: FaceData, extra: FaceData | None, x2: np.ndarray, cfg: RunConfig) -> "Owned":
        """The tenth is drawn by the seed: images, or by `cfg.held_out` whole people until they have as many."""
        data, added = stack(data, extra) if extra is not None else (data, np.array([], np.int64))
        own, added = (added, added[:0]) if cfg.extra == "instead" else (x2, added)
        n = max(1, len(own) // 10)
        if cfg.held_out == "identity":
            people, who = np.unique(data.identities[own], return_inverse=True)
            place = torch.randperm(len(people), generator=generator(cfg.seed, 4)).numpy()[who]
            last = np.searchsorted(np.bincount(place).cumsum(), n)  # the person with whom they have as many
            held_out, learns = np.sort(own[place <= last]), np.sort(own[place > last])
        else:
            order = torch.randperm(len(own), generator=generator(cfg.seed, 4)).numpy()
            held_out, learns = np.sort(own[order[:n]]), np.sort(own[order[n:]])
        return cls(data, np.concatenate([learns, added]), held_out)

    @property
    def all(self) -> np.ndarray:
        return np.concatenate([self.learns, self.held_out])


def check_sizes(owned: Owned, cfg: RunConfig) -> None:
    """Refuse fewer images than an attack of `cfg` needs for a batch."""
    shares = [3 if attack.unpaired else 1 for attack in cfg.attacks]
    full_batches(owned.learns[: len(owned.learns) // max(shares, default=1)], cfg, "the adversary's images")


def of_protector(data: FaceData, x1: np.ndarray, x2: np.ndarray, cfg: RunConfig, device: torch.device) -> Feed:
    """Enc's and f's images and labels, rows `x1` of `data`, and the simulated adversary's, rows `x2`; half of them mirrored.

    With `cfg.augmentation` both players see the same changes: a Dec that had never seen a turned face would be no match for Enc there.
    """
    y, images = targets(data, cfg)[x1].to(device), resident(data.images, device)

    def changed(x: Tensor, drawn: torch.Generator) -> Tensor:
        return crops(x, drawn) if cfg.augmentation == "crops" else x

    def private(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = generator(cfg.seed, 14, epoch)
        for rows, x in _shuffled(images, x1, cfg, device, generator(cfg.seed, 2, epoch), flip=True):
            yield changed(x, drawn), y[rows]

    def public(epoch: int) -> Iterator[Tensor]:
        shuffled, drawn = generator(cfg.seed, 3, epoch), generator(cfg.seed, 15, epoch)
        while True:  # for as long as an epoch of X1 lasts, reshuffled at each pass
            for _, x in _shuffled(images, x2, cfg, device, shuffled, flip=True):
                yield changed(x, drawn)

    steps, _ = full_batches(x1, cfg, "X1"), full_batches(x2, cfg, "X2")
    return Feed(private, steps, public)


def of_attacker(
    attack: Attack,
    features: StandardisedFeatures,
    owned: Owned,
    wanted: Tensor | None,
    cfg: RunConfig,
    device: torch.device,
    classifier: nn.Module | None = None,
) -> Public:
    """Standardised Z of what the adversary owns, and what is to be made of it: the image, or its row of `wanted` (N, d).

    An `unpaired` attack gets Z of a third of the images, pictures and labels of the others, and `classifier`, f, for the answers.
    """
    wanted = None if wanted is None else wanted[owned.all].to(device)
    seen, apart = _apart(attack, owned, cfg) if attack.unpaired else (np.arange(len(owned.learns)), None)
    images = resident(owned.data.images, device)
    steps, places = full_batches(owned.learns[seen], cfg, "the adversary's images"), torch.from_numpy(seen).to(device)

    def train(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = generator(cfg.seed, attack.stream() + 1, epoch)
        shown = _shuffled(images, owned.learns[seen], cfg, device, shuffled)
        drawn = torch.rand(steps, generator=shuffled) < 0.5 if attack.target == "image" else torch.zeros(steps)
        for (rows, x), mirrored in zip(shown, drawn.tolist(), strict=True):
            x, rows = x.flip(-1) if mirrored else x, places[rows]
            yield features.of(rows, x, bool(mirrored)), x if wanted is None else wanted[rows]

    def held_out(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for rows, x in batches(images, owned.held_out, 256, device=device):
            rows = rows + len(owned.learns)
            yield features.of(rows, x), x if wanted is None else wanted[rows]

    public = Public(train, steps, held_out, features.standardise)
    if apart is None:
        return public
    scale = features.standardise
    answers = None if classifier is None else lambda z: classifier(z * scale.std + scale.mean).float()
    return public._replace(task=_task(attack, owned, apart, images, cfg, device), answers=answers)


def _apart(attack: Attack, owned: Owned, cfg: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """The places in `owned.learns` of the images of which an unpaired attack sees Z, a third, and of those that it has as pictures."""
    order = torch.randperm(len(owned.learns), generator=generator(cfg.seed, attack.stream() + 1, 0, 1)).numpy()
    return np.sort(order[: len(order) // 3]), np.sort(order[len(order) // 3 :])


def _task(
    attack: Attack, owned: Owned, places: np.ndarray, images: np.ndarray | Tensor, cfg: RunConfig, device: torch.device
) -> Public:
    """Pictures, half of them mirrored, and their labels: of the images at `places` of `owned.learns`, and of those held out."""
    labels, learns = targets(owned.data, cfg)[owned.all].to(device), owned.learns[places]
    steps, own = full_batches(learns, cfg, "the adversary's pictures"), torch.from_numpy(places).to(device)

    def train(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = generator(cfg.seed, attack.stream() + 1, epoch, 2)
        return ((x, labels[own[rows]]) for rows, x in _shuffled(images, learns, cfg, device, shuffled, flip=True))

    def held_out(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        shown = batches(images, owned.held_out, 256, device=device)
        return ((x, labels[rows + len(owned.learns)]) for rows, x in shown)

    return Public(train, steps, held_out)


def _shuffled(
    images: np.ndarray | Tensor,
    index: np.ndarray,
    cfg: RunConfig,
    device: torch.device,
    shuffled: torch.Generator,
    flip: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    size, mine = cfg.batch_size, team().share
    return batches(images, index, size, device=device, generator=shuffled, flip=flip, drop_last=True, share=mine)
