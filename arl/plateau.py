"""Training an attacker to the plateau of its loss on held-out public images, and what it learns from: standardised features."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from arl.attacks.base import Batches, Player, Public, Schedule
from arl.parallel import team
from arl.training import Average, Journal, TrainingError, adam, descend, epochs, precision

CUTS, FACTOR = 1, 0.2  # a plateau cuts the learning rate to a fifth, the next one ends training
TIE = 5e-3  # validation losses nearer than this, relative, are equal
CACHE_BYTES = 4 << 30  # features beyond this are encoded anew for each batch
FIT_BYTES = 2 << 30  # what an attack in closed form learns from at most


class Learner(nn.Module):
    """A network that learns by one loss."""

    def __init__(self, net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.net, self.loss, self.optimiser, self.rivals = net, loss, adam(net), {}

    def learn(self, z: Tensor, target: Tensor, lr: float) -> dict[str, Tensor]:
        with precision(z.device):
            loss = self.loss(self.net(z), target)
        descend(loss, self.optimiser, lr)
        return {"attack": loss}

    @torch.no_grad()
    def validation_loss(self, guess: Tensor, target: Tensor) -> Tensor:
        return self.loss(guess, target)


class Fitted(nn.Module):
    """A network that is fitted in one go: an attack in closed form."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def validation_loss(self, guess: Tensor, target: Tensor) -> Tensor:
        return (guess - target).square().mean()


def everything(batches: Batches, most: int = FIT_BYTES) -> tuple[Tensor, Tensor]:
    """All of a pass over `batches`, until `most` bytes: Z flattened (n, D), and its targets flattened (n, m), float32.

    A pass is shuffled, so what fits is a sample of it: 33 000 images of 48 pixels with 9 216 features in 2 GiB.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    for z, target in batches(1):
        pairs.append((z.flatten(1).float(), target.flatten(1).float()))
        most -= sum(t.numel() * t.element_size() for t in pairs[-1])
        if most <= 0:
            break
    z, target = zip(*pairs, strict=True)
    return torch.cat(z), torch.cat(target)


def to_plateau(player: Player, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
    """Train `player` until the validation loss of its weights' mean no longer falls; `player.net` is left with the chosen mean.

    Of the epochs whose loss is within `TIE` of the lowest the last is chosen: the few images held out cannot tell them apart, and which of
    them is lowest is chance, while the recogniser sees more in the later ones.
    """
    average, chosen = Average(player.net), deepcopy(player.net)
    parts = {"model": player.net, "average": average.net, "adam": player.optimiser, "chosen": chosen, **player.rivals}
    state = {"epoch": 0, "cuts": 0, "waited": 0, "lowest": None, "chosen": None, "chosen_epoch": 0}
    for epoch in epochs(journal, parts, schedule.epochs, state, lambda state: state["cuts"] > CUTS):
        state = epoch.state
        lr = schedule.lr * FACTOR ** state["cuts"]
        player.net.train()
        for step, (z, target) in enumerate(public.train(epoch.number), (epoch.number - 1) * public.steps):
            epoch.add(**player.learn(z, target, lr))
            average.update(step)
        loss = team().agreed(validation(player, average.net.eval(), public.held_out))
        if bad := [name for name, value in {**epoch.means(), "validation": loss}.items() if not -1e30 < value < 1e30]:
            raise TrainingError(f"attack: {bad[0]} is no longer finite (attack_lr={schedule.lr:g}); try half of it")
        epoch.note(validation=loss, lr=lr)
        _judge(state, loss, schedule.patience, lambda: chosen.load_state_dict(average.net.state_dict()))
    player.net.load_state_dict(chosen.state_dict())
    plateau = state["cuts"] > CUTS
    kept = {"validation": state["chosen"], "chosen_epoch": state["chosen_epoch"]}
    return {"epoch": state["epoch"], "plateau": plateau, **kept}


def _judge(state: dict[str, Any], loss: float, patience: int, choose: Callable[[], Any]) -> None:
    """What an epoch's validation loss means for the plateau: chosen, better, or another one waited for."""
    if state["lowest"] is None or loss <= state["lowest"] * (1 + TIE):
        state |= {"chosen": loss, "chosen_epoch": state["epoch"]}
        choose()
    if state["lowest"] is None or loss < state["lowest"] * (1 - 1e-3):
        state |= {"lowest": loss, "waited": 0}
        return
    state["waited"] += 1
    if state["waited"] >= patience:
        state |= {"cuts": state["cuts"] + 1, "waited": 0}


@torch.no_grad()
def validation(player: Player, net: nn.Module, held_out: Batches) -> float:
    """The mean over held-out images of the player's validation loss for what `net` makes of them."""
    total, images = 0.0, 0
    for z, target in held_out(0):
        with precision(z.device):
            total = total + player.validation_loss(net(z), target) * len(z)
        images += len(z)
    return total.item() / images


class Standardise(nn.Module):
    """(Z − mean) / deviation per channel, with the statistics of X2: shrinking or shifting Z hides nothing."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.std


class StandardisedFeatures:
    """Standardised Z of the adversary's images, and of their mirror images: encoded once, or per batch where that is too large."""

    def __init__(self, encoder: nn.Module, images: Iterable[Tensor], n: int):
        """`images`: batches (B, 3, S, S) of all `n` images, in order, on the encoder's device."""
        self.encoder = encoder
        count, total, squares = 0, 0.0, 0.0
        kept: list[Tensor] = []
        for x in images:
            z = self._encode(x)
            wide = z.double() if z.device.type != "mps" else z
            over = [0, *range(2, z.ndim)]
            count += z.numel() // z.shape[1]
            total, squares = total + wide.sum(over), squares + wide.square().sum(over)
            self.cached = 2 * n * z[0].numel() * 4 <= CACHE_BYTES
            if self.cached:
                kept.append(torch.stack([z, self._encode(x.flip(-1))]))
        self.shape: tuple[int, ...] = tuple(z.shape[1:])
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=1e-12).sqrt()
        view = (-1, *[1] * (z.ndim - 2))
        self.standardise = Standardise(mean.float().view(view), std.float().view(view))
        self.z = self.standardise(torch.cat(kept, dim=1)) if self.cached else None  # (2, n, C, ...)

    @torch.no_grad()
    def _encode(self, x: Tensor) -> Tensor:
        with precision(x.device):
            return self.encoder(x).float()

    def of(self, rows: Tensor, x: Tensor, mirrored: bool = False) -> Tensor:
        """Z of the images at `rows`, which are `x`; `x` is already mirrored where `mirrored`."""
        if self.z is not None:
            return self.z[int(mirrored), rows.to(self.z.device)]
        return self.standardise(self._encode(x))
