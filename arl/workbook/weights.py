"""The weights that the explorer offers: their names, symbols, help and steps. No other module of this room names one of them."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from arl.config import RunConfig


class Slider(NamedTuple):
    """A weight with a control of its own: 0, or anything up to `MOST`."""

    name: str  # of the configuration's field
    symbol: str  # the paper's
    help: str


SLIDERS = (
    Slider("lambda1", "λ1", "weight of the pixel loss (7) in the protector's objective (9)"),
    Slider("lambda2", "λ2", "weight of the perceptual distance (8) in (9)"),
    Slider("mu1", "μ1", "weight of the GAN loss (2) for the attacker, in (5)"),
    Slider("mu2", "μ2", "weight of the perceptual distance (4) for the attacker, in (5)"),
)
# The μ of the adversary in training, and whose values they take where both are to be the same.
SIMULATED = {"simulated_mu1": "mu1", "simulated_mu2": "mu2"}
PROTECTING = ("lambda1", "lambda2", *SIMULATED)  # without protection all of them are 0

WEIGHTS = (*(slider.name for slider in SLIDERS), *SIMULATED)
SYMBOLS = {slider.name: slider.symbol for slider in SLIDERS}
SYMBOLS |= {name: f"simulated {SYMBOLS[same]}" for name, same in SIMULATED.items()}

STEPS = (0.0, *(float(f"{digit * 10.0**power:.2g}") for power in range(-2, 2) for digit in (1, 1.5, 2, 3, 5, 7)), 100.0)
MOST = 1e6  # that can be typed

Pair = tuple[float, float]
SAME = "same"
PAIRS: dict[str, Pair | str] = {"adversary without GAN and g (μ = 0)": (0.0, 0.0), "adversary with the same μ": SAME}


def position(weight: float) -> float:
    """Where λ or μ stands on a scale that is logarithmic above 0.01 and begins at 0: log10(1 + weight / 0.01)."""
    return math.log10(1 + weight / 0.01)


def notch(weight: float) -> float:
    """The step of a slider that is nearest to `weight`."""
    return min(STEPS, key=lambda step: abs(position(step) - position(weight)))


def plain(cfg: RunConfig) -> RunConfig:
    """`cfg` with every weight at 0."""
    return cfg.replace(**dict.fromkeys(WEIGHTS, 0.0))


def unprotected(cfg: RunConfig) -> RunConfig:
    """`cfg` without λ, and without what only the simulated adversary uses."""
    return cfg.replace(**dict.fromkeys(PROTECTING, 0.0))


def protects(spec: Mapping[str, Any]) -> bool:
    """Whether the `spec` of a stored encoder is that of a protected one."""
    return any(name in spec for name in PROTECTING)


def weighted(cfg: RunConfig, values: Mapping[str, float], pair: Pair | str) -> RunConfig:
    """`cfg` with the sliders' `values` and the simulated adversary's `pair` of μ. Raises `ConfigError`."""
    simulated = [values[same] for same in SIMULATED.values()] if pair == SAME else pair
    return cfg.replace(**values, **dict(zip(SIMULATED, simulated, strict=True)))


def pair_of(cfg: RunConfig) -> Pair | str:
    """The simulated adversary's μ: an entry of `PAIRS`, or two values that none of them has."""
    pair = tuple(getattr(cfg, name) for name in SIMULATED)
    same = tuple(getattr(cfg, name) for name in SIMULATED.values())
    return SAME if pair not in PAIRS.values() and pair == same else pair


def pair_name(pair: Pair) -> str:
    """Two values of μ in words."""
    return ", ".join(f"{SYMBOLS[same]} = {value:g}" for same, value in zip(SIMULATED.values(), pair, strict=True))
