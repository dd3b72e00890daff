"""How a bench measures: the machine, what a plain convolution reaches, pairs of times, growth's exponent, the JSON that is written.

A figure is a dict: `key`, `name`, `unit`, `value` with `low` and `high`, `command`; where there is such a thing also `ratio` (to the
straightforward version, with `low` and `high`), `gflops` (floating-point operations a second, 1e9) and `share` (of the limit).
`arl.paper.speed` makes a table of them.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from arl.machine import cores
from arl.store import made_with, write_json

Act = Callable[[], Any]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")  # of a processor, that decide what is fast
SHAPES = (
    (16, 48),
    (32, 24),
    (64, 24),
    (64, 48),
    (128, 24),
    (256, 12),
)  # of a plain convolution: channels, pixels a side


def machine() -> dict[str, Any]:
    """Processor, those of its `FLAGS` that it has, cores, threads of this process, torch."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    said = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    has = set(said.get("flags", "").split())
    return {
        "cpu": said.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in has],
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,  # of others, when it began
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def write_report(path: Path, bench: str, figures: list[dict[str, Any]], **more: Any) -> None:
    """The JSON of a bench: what machine, when, which commit, its `figures`, and `more`."""
    made = made_with()
    when = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(path, {"bench": bench, "date": when, "commit": made["commit"], **more, "figures": figures})


def seconds(act: Act) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def paired(ours: Act, plain: Act, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of both, (repeats,) each, one after the other in turn, the first of a pair now this, now that; both are warmed up before."""
    ours(), plain()
    times = np.empty((repeats, 2))
    for i in range(repeats):
        for which in ((0, 1), (1, 0))[i % 2]:
            times[i, which] = seconds((ours, plain)[which])
    return times[:, 0], times[:, 1]


def middle(values: Sequence[float], resamples: int = 2000) -> dict[str, float]:
    """The median with its 95 % interval over resamples; of one value there is no interval, and both ends are that value."""
    values = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(np.median(values[drawn], axis=1), [2.5, 97.5])
    return {"value": float(np.median(values)), "low": float(low), "high": float(high)}


def operations(act: Act) -> int:
    """Floating-point operations of the convolutions and matrix products in `act`, forward and backward; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        act()
    return counter.get_total_flops()


def limit(repeats: int = 5, batch: int = 32) -> dict[str, float]:
    """What a plain 3×3 convolution reaches, 1e9 operations a second forward and backward, at the best of `repeats`, by its shape."""
    found = {}
    for channels, side in SHAPES:
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
        shape = batch, channels, side, side
        x, up = (torch.rand(shape).contiguous(memory_format=torch.channels_last) for _ in range(2))
        x.requires_grad_()

        def step(layer: nn.Module = layer, x: torch.Tensor = x, up: torch.Tensor = up) -> None:
            layer(x).backward(up)

        step()
        best = min(seconds(step) for _ in range(repeats))
        found[f"{channels} channels, {side} px"] = 3 * 2 * batch * 9 * channels**2 * side**2 / best / 1e9
    return found


def exponent(x: Sequence[float], y: Sequence[float]) -> dict[str, float | None]:
    """The power of `x` with which `y` grows: the slope in log–log, with its 95 % t-interval; None for that of two points."""
    x, y = np.log(x), np.log(y)
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    if len(x) < 3:
        return {"value": slope, "low": None, "high": None}
    left = y - y.mean() - slope * away
    half = float(stats.t.ppf(0.975, len(x) - 2) * np.sqrt(left @ left / (len(x) - 2) / (away @ away)))
    return {"value": slope, "low": slope - half, "high": slope + half}
