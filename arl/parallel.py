"""Several processes at one training, each with its share of every batch: what they say to one another, and when.

A training asks `team()`. Alone, which is the rule, every answer is as if this file were not there. In a team the mean over equal shares is
the mean over the batch, for gradients, for BatchNorm and for what is logged; so it holds for losses that are means over rows (`by_rows`).
`arl.devices` starts a team. Who calls: `training.epochs`, `Epoch.means`, `descend`; `plateau` for its decision; the feeds for their shares.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Alone:
    """One process: nothing to share, nothing to agree on."""

    rank, size = 0, 1
    seeds: tuple[int, ...] = ()  # behind a seed, for noise that must differ between processes

    def share(self, rows: Any) -> Any:
        """Of a batch's rows those that are this process's; the shares are of one size."""
        return rows

    def mean(self, values: Tensor) -> Tensor:
        """Over the team; of one shape everywhere."""
        return values

    def std(self, z: Tensor) -> Tensor:
        """The deviation of all elements of all shares."""
        return z.std()

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the team's mean in place of each gradient."""

    def join(self, parts: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """Before the first step: let all have the first process's `parts`, in place; returns its `state`."""
        return state

    def agreed(self, value: float) -> float:
        """The first process's: what is decided by it is decided the same everywhere."""
        return value


class Team(Alone):
    """The processes of a launched Fabric. All of them call the same methods in the same order."""

    def __init__(self, fabric: "Fabric"):
        self.fabric, self.rank, self.size = fabric, fabric.global_rank, fabric.world_size
        self.seeds = (self.rank,)

    def share(self, rows: Any) -> Any:
        return rows[self.rank :: self.size]

    def mean(self, values: Tensor) -> Tensor:
        return self.fabric.all_reduce(values.detach().clone(), reduce_op="mean")

    def std(self, z: Tensor) -> Tensor:
        n, mean = self.size * z.numel(), self.mean(z.mean())
        return (self.mean((z - mean).square().mean()) * n / (n - 1)).sqrt()

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        whole = self.mean(
            torch.cat([g.flatten() for g in gradients])
        )  # one message: many small ones wait for each other
        for g, mean in zip(gradients, whole.split([g.numel() for g in gradients]), strict=True):
            g.copy_(mean.view_as(g))

    def join(self, parts: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        for part in parts.values():
            if isinstance(part, nn.Module):
                normalise_together(part)
        written = io.BytesIO()
        if self.rank == 0:
            torch.save([{name: part.state_dict() for name, part in parts.items()}, state], written)
        sent = self.fabric.broadcast(written.getvalue())
        if self.rank == 0:
            return state
        kept, state = torch.load(io.BytesIO(sent), map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        return state

    def agreed(self, value: float) -> float:
        return self.fabric.broadcast(value)


# -- who is at work -------------------------------------------------------------------------------------------------

ALONE = Alone()
_at_work: Alone = ALONE
_waiting: Team | None = None


def team() -> Alone:
    """Those who train at this moment; `ALONE` but within `called`, and in those who were called."""
    return _at_work


@contextmanager
def working(members: Alone) -> Iterator[None]:
    """Within, `team()` is `members`."""
    global _at_work
    _at_work = members
    try:
        yield
    finally:
        _at_work = ALONE


@contextmanager
def waiting(members: Team) -> Iterator[None]:
    """Within, the other processes of `members` wait for what `called` sends; at a good end they are sent home. For the first process."""
    global _waiting
    _waiting = members
    try:
        yield
    finally:
        _waiting = None
    members.fabric.broadcast(None)


@contextmanager
def called(by_rows: bool, *order: Any) -> Iterator[None]:
    """Within, those who wait train with this process, which sends them `order`; alone where nobody waits, or where not `by_rows`."""
    if _waiting is None or not by_rows:
        yield
        return
    _waiting.fabric.broadcast(order)
    with working(_waiting):
        yield


def by_rows(player: Any) -> bool:
    """Whether the class of a defence or an attack says of itself that its losses are means over rows. Nothing is inherited."""
    return vars(type(player)).get("by_rows", False)


# -- BatchNorm ------------------------------------------------------------------------------------------------------


class _Mean(torch.autograd.Function):
    """The mean over the team. Each process goes down its own loss, and their gradients are averaged: so is the one that comes here."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return team().mean(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return team().mean(gradient)


class _Together(nn.modules.batchnorm._BatchNorm):
    """BatchNorm by the mean and the variance of the team's shares; torch's own SyncBatchNorm runs on accelerators only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        over, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, over, correction=0)
        mean, variance = mean.double(), variance.double()  # of C numbers; a difference of squares needs the digits
        mean, square = _Mean.apply(torch.stack([mean, variance + mean.square()]))
        variance = (square - mean.square()).clamp(min=0)
        if self.track_running_stats:
            n = team().size * x.numel() / x.shape[1]
            self.num_batches_tracked.add_(1)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
                self.running_var.lerp_((variance * n / (n - 1)).to(self.running_var), self.momentum)
        scale = (variance + self.eps).rsqrt()
        scale = scale * self.weight if self.affine else scale
        shift = self.bias - mean * scale if self.affine else -mean * scale
        scale, shift = (t.to(wide.dtype).view(shape) for t in (scale, shift))
        return (wide * scale + shift).to(x.dtype)


class BatchNorm1dTogether(_Together, nn.BatchNorm1d):
    """Of (B, C) or (B, C, L)."""


class BatchNorm2dTogether(_Together, nn.BatchNorm2d):
    """Of (B, C, h, w)."""


NORMS = {nn.BatchNorm1d: BatchNorm1dTogether, nn.BatchNorm2d: BatchNorm2dTogether}


def normalise_together(module: nn.Module) -> None:
    """Let every BatchNorm in `module` see the whole batch. In place: its tensors, their names and those who share it stay."""
    for norm in module.modules():
        if type(norm) in NORMS:
            norm.__class__ = NORMS[type(norm)]
        elif isinstance(norm, nn.modules.batchnorm._BatchNorm) and not isinstance(norm, _Together):
            raise TypeError(f"{type(norm).__name__}: accepted in a team: {', '.join(n.__name__ for n in NORMS)}")
