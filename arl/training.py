"""What every training here shares: seeds, one step of an optimiser, a mean of weights, epochs that are written down and gone on with.

Nothing in this file knows of faces, privacy or the store: a `Journal` is handed in.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from arl.parallel import team

Parts = dict[str, nn.Module | torch.optim.Optimizer]


class TrainingError(Exception):
    """Training that cannot go on; the message says why and what to try."""


# -- epochs ---------------------------------------------------------------------------------------------------------


class Journal(Protocol):
    """Where a training is written down; a run of the store is one."""

    def restore(self, parts: Parts) -> dict[str, Any]:
        """Load what was kept last into `parts`; its state, or {} where there is nothing."""

    def keep(self, parts: Parts, line: dict[str, float], final: bool = True, **state: Any) -> None:
        """Log `line` and keep `parts` with `state`, in place of what was kept before; where more comes it may be left for later."""


class Nowhere:
    """A journal that keeps nothing: for playing with the parts."""

    def restore(self, parts: Parts) -> dict[str, Any]:
        return {}

    def keep(self, parts: Parts, line: dict[str, float], final: bool = True, **state: Any) -> None:
        pass


@dataclass
class Epoch:
    """One epoch at work: `add` losses to it, `note` figures, change `state`; it is kept when the next one begins."""

    number: int  # from 1
    state: dict[str, Any]
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, **values: Tensor) -> None:
        """Count scalar losses towards their means; they stay on their device until the epoch ends."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: team().mean(total).item() / self.counts[name] for name, total in self.sums.items()}

    def note(self, **figures: float) -> None:
        self.figures |= figures

    @property
    def line(self) -> dict[str, float]:
        """What is logged of it."""
        return {"epoch": self.number, **self.means(), **self.figures}


def epochs(
    journal: Journal,
    parts: Parts,
    last: int,
    state: dict[str, Any] | None = None,
    ended: Callable[[dict[str, Any]], bool] = lambda state: False,
) -> Iterator[Epoch]:
    """The epochs up to `last` that are still to come, or until `ended(state)`; each is logged and `parts` kept.

    `state` is where it begins, {"epoch": 0}, unless the journal holds more. Killed anywhere, the same call goes on after the last epoch
    that was kept; the last one of all is.
    """
    state = {"epoch": 0} | (state or {})
    state |= team().join(parts, journal.restore(parts))
    while state["epoch"] < last and not ended(state):
        state["epoch"] += 1
        epoch = Epoch(state["epoch"], state)
        yield epoch
        journal.keep(parts, epoch.line, final=state["epoch"] >= last or ended(state), **state)


# -- a step ---------------------------------------------------------------------------------------------------------


def adam(module: nn.Module, beta1: float = 0.9, weight_decay: float = 1e-4) -> torch.optim.AdamW:
    """The optimiser of every network here; fused, seven times faster than its loop on a CPU."""
    return torch.optim.AdamW(module.parameters(), betas=(beta1, 0.999), weight_decay=weight_decay, fused=True)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, lr: float, keep_graph: bool = False) -> None:
    """One step of the optimiser's own parameters down `loss` at learning rate `lr`; `keep_graph` where another loss shares it."""
    for group in optimiser.param_groups:
        group["lr"] = lr
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=parameters, retain_graph=keep_graph)
    team().average(parameters)
    optimiser.step()


class Average:
    """`net`: the weights of `model`, their exponential mean over some 1 / (1 − memory) steps, over fewer at the start.

    The parameters of both are listed once, as training changes them in place; a buffer may be another tensor after each step.
    """

    def __init__(self, model: nn.Module, memory: float = 0.99):
        self.net, self.model, self.memory = deepcopy(model), model, memory
        self._parameters = list(self.net.parameters()), list(model.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move it towards the model, which has made `step` steps before this one."""
        weight = max(1 - self.memory, 9 / (10 + step))
        pairs = list(zip(self.net.buffers(), self.model.buffers(), strict=True))
        floating, counts = ([p for p in pairs if p[0].is_floating_point() is known] for known in (True, False))
        means, now = self._parameters
        torch._foreach_lerp_(means + [mean for mean, _ in floating], now + [b for _, b in floating], weight)
        if counts:
            torch._foreach_copy_([kept for kept, _ in counts], [b for _, b in counts])


def one_cycle(progress: float) -> float:
    """The learning rate's factor at `progress` in [0, 1): up for a tenth, then a cosine down. A function, so resuming needs no state."""
    return min(progress / 0.1, 0.5 + 0.5 * math.cos(math.pi * max(0.0, progress - 0.1) / 0.9), 1.0) or 1e-3


# Types of devices that compute in bf16 while players of images learn, and whenever else a network is asked: `arl.machine.prepare`.
BF16_LEARNS, BF16_READS = {"cuda"}, {"cuda"}


def learning(device: torch.device) -> torch.autocast:
    """Within, Enc, f, Dec, D and g compute in bf16 on a device of `BF16_LEARNS`: for the steps in which they learn."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in BF16_LEARNS)


def precision(device: torch.device) -> torch.autocast:
    """Within, networks compute in bf16 on a device of `BF16_READS`. Never on a CPU: what is measured there is exact."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in BF16_READS)


# -- seeds, and what stands still -----------------------------------------------------------------------------------


def generator(*seeds: int) -> torch.Generator:
    """A CPU random generator that is a function of `seeds`, such as (seed, epoch): resuming needs no saved state."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


@contextmanager
def initialised(*seeds: int) -> Iterator[None]:
    """Within, torch's global generator is a function of `seeds`: for initial weights, and for noise. Restored after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(*seeds).initial_seed())
        yield


class Fixed:
    """Within, neither parameters nor buffers of `modules` change; gradients pass through, batch statistics stay as in training.

    It may be entered again and again: the modules are looked through once.
    """

    def __init__(self, *modules: nn.Module):
        self._parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
        self._norms = [n for m in modules for n in m.modules() if getattr(n, "track_running_stats", False)]

    def __enter__(self) -> None:
        self._set(False)

    def __exit__(self, *error: object) -> None:
        self._set(True)

    def _set(self, learning: bool) -> None:
        for p in self._parameters:
            p.requires_grad_(learning)
        for n in self._norms:
            n.track_running_stats = learning
