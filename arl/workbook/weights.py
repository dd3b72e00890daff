"""What the explorer offers of a defence and of the attacks: a control for each field that has a symbol.

No other module of this room names a λ or μ. A field's `title` is its symbol, its `description` the help; its type and bounds say which
control it gets. A field without a title is left to the configuration. The paper's μ inside training are one control, which pairs them
with those of the attacker.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from arl.config import RunConfig
from arl.parameters import Parameters

STEPS = (0.0, *(float(f"{digit * 10.0**power:.2g}") for power in range(-2, 2) for digit in (1, 1.5, 2, 3, 5, 7)), 100.0)
MOST = 1e6  # that can be typed
NO_PROTECTION = "adversarial"  # the defence that, with every weight at 0, is none

# The μ of the adversary in training, and whose values they take where both are to be the same.
SIMULATED = {"simulated_mu1": "mu1", "simulated_mu2": "mu2"}
Pair = tuple[float, float]
SAME = "same"
PAIRS: dict[str, Pair | str] = {"adversary without GAN and g (μ = 0)": (0.0, 0.0), "adversary with the same μ": SAME}


class Control(NamedTuple):
    """How one field is chosen. A `weight` is 0, or anything up to `most`."""

    name: str
    symbol: str
    help: str
    kind: Literal["weight", "number", "whole", "choice", "switch"]
    least: float = 0.0
    most: float = MOST
    options: tuple[Any, ...] = ()  # of a choice


# -- of a class: made once ------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def controls_of(player: type[Parameters]) -> tuple[Control, ...]:
    """The controls of a defence or an attack, in the order of its fields."""
    return tuple(control for name in player.model_fields if (control := _control(player, name)) is not None)


def _control(player: type[Parameters], name: str) -> Control | None:
    field = player.model_fields[name]
    if not field.title:
        return None
    symbol = f"simulated {field.title}" if name in SIMULATED else field.title
    about = (name, symbol, field.description or "")
    if get_origin(field.annotation) is Literal:
        return Control(*about, "choice", options=get_args(field.annotation))
    if field.annotation is bool:
        return Control(*about, "switch")
    if field.annotation not in (int, float):
        return None
    bounds = {
        key: getattr(part, key) for part in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(part, key)
    }
    least, most = bounds.get("ge", bounds.get("gt", -MOST)), bounds.get("le", bounds.get("lt", MOST))
    if field.annotation is int:
        return Control(*about, "whole", least, most)
    return Control(*about, "weight" if bounds.get("ge") == 0 else "number", least, most)


@lru_cache(maxsize=256)
def controls_by_name(players: tuple[type[Parameters], ...]) -> Mapping[str, Control]:
    """The controls of a defence and its attacks by name; where several have a field of one name, the first one's."""
    return MappingProxyType({c.name: c for player in reversed(players) for c in reversed(controls_of(player))})


@lru_cache(maxsize=256)
def weights(players: tuple[type[Parameters], ...]) -> frozenset[str]:
    """The names of their weights."""
    return frozenset(name for name, control in controls_by_name(players).items() if control.kind == "weight")


def player_classes(cfg: RunConfig) -> tuple[type[Parameters], ...]:
    """The classes of the defence and the attacks of `cfg`."""
    return (type(cfg.defence), *map(type, cfg.attacks))


def paired(defence: type[Parameters]) -> bool:
    """Whether `defence` simulates the paper's adversary, whose μ the control `PAIRS` chooses."""
    return set(SIMULATED) <= set(defence.model_fields)


# -- of a configuration ---------------------------------------------------------------------------------------------


def words(cfg: RunConfig) -> list[str]:
    """What is chosen of the defence and the attacks, such as ["λ1 = 1", "μ2 = 1"]: weights that are not 0, and all else."""
    found, defence = [], cfg.defence.name()
    if not cfg.protected:
        found.append("no protection")
    elif defence != NO_PROTECTION:
        found.append(defence)
    controls = controls_by_name(player_classes(cfg)).values()
    for control in sorted(controls, key=lambda control: control.name in SIMULATED):  # those last
        value = getattr(cfg, control.name)
        if control.kind != "weight" or value > 0:
            found.append(f"{control.symbol} = {value if isinstance(value, bool | str) else f'{value:g}'}")
    return found


def unprotected(cfg: RunConfig) -> RunConfig:
    """`cfg` without a defence."""
    return cfg.replace(defence=NO_PROTECTION)


def weighted(cfg: RunConfig, values: Mapping[str, Any], pair: Pair | str, **fields: Any) -> RunConfig:
    """`cfg` with `fields`, the controls' `values`, and the `pair` of μ of an adversary in training. Raises `ConfigError`."""
    defence = fields.get("defence", cfg.defence)
    simulated: dict[str, float] = {}
    if paired(type(defence)):
        chosen = [values.get(same, 0.0) for same in SIMULATED.values()] if pair == SAME else pair
        simulated = dict(zip(SIMULATED, chosen, strict=True))
    return cfg.replace(**fields, **values, **simulated)


def pair_of(cfg: RunConfig) -> Pair | str:
    """The simulated adversary's μ: an entry of `PAIRS`, or two values that none of them has; of another defence, the first entry."""
    if not paired(type(cfg.defence)):
        return next(iter(PAIRS.values()))
    pair = tuple(getattr(cfg.defence, name) for name in SIMULATED)
    theirs = controls_by_name(player_classes(cfg))
    same = tuple(getattr(cfg, name) if name in theirs else 0.0 for name in SIMULATED.values())
    return SAME if pair not in PAIRS.values() and pair == same else pair


def pair_name(pair: Pair) -> str:
    """Two values of μ in words."""
    return ", ".join(
        f"{name.replace('mu', 'μ')} = {value:g}" for name, value in zip(SIMULATED.values(), pair, strict=True)
    )


# -- the scale ------------------------------------------------------------------------------------------------------


def position(weight: float) -> float:
    """Where a weight stands on a scale that is logarithmic above 0.01 and begins at 0: log10(1 + weight / 0.01)."""
    return math.log10(1 + weight / 0.01)


def notches(control: Control) -> tuple[float, ...]:
    """The steps of a weight's slider."""
    return tuple(step for step in STEPS if step <= control.most)


def notch(weight: float, steps: tuple[float, ...] = STEPS) -> float:
    """The step of a slider that is nearest to `weight`."""
    return min(steps, key=lambda step: abs(position(step) - position(weight)))


def protects(spec: Mapping[str, Any]) -> bool:
    """Whether the `spec` of a stored encoder is that of a protected one: without a defence one network serves all layers."""
    return "layer" in spec
