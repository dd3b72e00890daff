"""What every training here shares: seeds, one step of an optimiser, a mean of weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


class TrainingError(Exception):
    """Training that cannot go on; the message says why and what to try."""


@contextmanager
def fixed(*modules: nn.Module) -> Iterator[None]:
    """Within, neither parameters nor buffers of `modules` change; gradients pass through, batch statistics stay as in training."""
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    norms = [n for m in modules for n in m.modules() if getattr(n, "track_running_stats", False)]
    for p in parameters:
        p.requires_grad_(False)
    for n in norms:
        n.track_running_stats = False
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
        for n in norms:
            n.track_running_stats = True


def generator(*seeds: int) -> torch.Generator:
    """A CPU random generator that is a function of `seeds`, such as (seed, epoch): resuming needs no saved state."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


@contextmanager
def initialised(*seeds: int) -> Iterator[None]:
    """Within, torch's global generator is a function of `seeds`: for drawing initial weights. Restored after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(*seeds).initial_seed())
        yield


def adam(module: nn.Module, beta1: float = 0.9) -> torch.optim.AdamW:
    """The optimiser of every network here; fused, seven times faster than its loop on a CPU."""
    return torch.optim.AdamW(module.parameters(), betas=(beta1, 0.999), weight_decay=1e-4, fused=True)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, lr: float, keep_graph: bool = False) -> None:
    """One step of the optimiser's own parameters down `loss` at learning rate `lr`; `keep_graph` where another loss shares it."""
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]], retain_graph=keep_graph)
    optimiser.step()


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int, memory: float = 0.99) -> None:
    """Move `average` towards `model`: its weights' exponential mean over some 1 / (1 − memory) steps, over fewer at the start."""
    weight = max(1 - memory, 9 / (10 + step))
    for mean, now in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, weight)
        else:
            mean.copy_(now)


def one_cycle(progress: float) -> float:
    """The learning rate's factor at `progress` in [0, 1): up for a tenth, then a cosine down. A function, so resuming needs no state."""
    return min(progress / 0.1, 0.5 + 0.5 * math.cos(math.pi * max(0.0, progress - 0.1) / 0.9), 1.0) or 1e-3
