"""A session on disk: a choice as a file for papermill, as a command, as a figure; what was kept as a report of one HTML file."""

import json
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from arl import inputs
from arl.config import ATTRIBUTES, PRESETS, RunConfig
from arl.paper import front as fronts
from arl.paper.front import Point
from arl.paper.style import INK
from arl.plugins import of_a_cell, plugin_files
from arl.row import Row
from arl.workbook import cards, choice, pictures
from arl.workbook.choice import Distance, Store
from arl.workbook.notebooks import taking


def parameters_yaml(cfg: RunConfig) -> str:
    """`cfg` as YAML for `papermill notebooks/01_train.ipynb out.ipynb -f FILE`, the notebook that takes a row.

    What it cannot be told stands in a comment.
    """
    notebook, flat = taking("row"), cfg.flat()
    players = ",".join(flat["attacks"])
    theirs = notebook.accepted({"defence": flat["defence"], "attacks": players}) - set(notebook.parameters)
    usual = {name: field.default for player in cfg.players for name, field in type(player).model_fields.items()}
    values = {name: value for name, value in flat.items() if name in notebook.parameters}
    values |= {name: flat[name] for name in flat if name in theirs and flat[name] != usual[name]}
    values |= {"attacks": players} if "attacks" in values else {}
    if cfg.attributes == ATTRIBUTES:
        values["attributes"] = "all"
    values |= {"attributes": ",".join(cfg.attributes)} if values["attributes"] != "all" else {}

    def left_out(preset: str) -> dict[str, Any]:
        made = RunConfig.preset(preset, **values).flat()
        return {name: value for name, value in cfg.flat().items() if made[name] != value}

    best = min(PRESETS, key=lambda preset: len(left_out(preset)))
    lines = [
        f"# {notebook.path.stem} has no parameter {name}; the choice had {json.dumps(value)}"
        for name, value in left_out(best).items()
    ]
    return "\n".join([*lines, yaml.safe_dump({"preset": best, **values}, sort_keys=False, allow_unicode=True)])


def settings(cfg: RunConfig) -> list[str]:
    """The arguments of `arl run` that make the row of `cfg`; a defence or an attack of one's own by its file, where it has one."""
    plain = RunConfig.preset("quick").flat()
    unread = inputs.idle(cfg)
    said = {name: value for name, value in cfg.flat().items() if name not in unread}
    changed = {name: value for name, value in said.items() if name not in plain or value != plain[name]}
    texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in changed.items()}
    own = plugin_files(player for player in cfg.players if not of_a_cell(player))
    sets = [part for item in texts.items() for part in ("--set", "=".join(item))]
    return ["run", "--preset", "quick", *sets, *(part for file in own for part in ("--plugin", file))]


def command(cfg: RunConfig) -> str:
    """The arguments of `arl` that make the row of `cfg`, to be pasted into a shell."""
    return shlex.join(settings(cfg))


def report(title: str, kept: Sequence[tuple[RunConfig, Row, Distance]], store: Store, people: int) -> str:
    """A session's choices as one HTML file that needs nothing else: pictures, numbers, front, and how to make each again."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for number, (cfg, row, far) in enumerate(kept, 1):
        baseline = store.baseline(row.config)
        points = choice.front(store.rows, row.config)
        grid = pictures.grid(row, people)
        input_strip = "".join(cards.image(data, f"input {i}", "input") for i, data in enumerate(grid.inputs, 1))
        parts += [
            f"<section><h2>{number}. {escape(cards.setting_words(cfg))}</h2>",
            cards.status(row, far),
            f"<div class='inputs'>{input_strip}</div>",
        ]
        if baseline is not None and baseline is not row:
            parts.append(cards.decoded_strip("without protection", pictures.grid(baseline, people), baseline))
        parts += [cards.decoded_strip("decoded", grid, row), cards.numbers_table(row, baseline)]
        parts += [cards.front_svg(points, row).figure, cards.front_key()]
        parts += [f"<p>Made by <code>arl {escape(command(row.config))}</code></p></section>"]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>{cards.style("report")}{cards.style()}'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def session_figure(store: Store, cfg: RunConfig, people: int = 8) -> Figure:
    """The explorer's state as a figure for paper: the front with its intervals, and the faces under the choice and without protection."""
    found = store.nearest(cfg)
    if found is None:
        return _nothing()
    row, _ = found
    baseline = store.baseline(row.config)
    shown: dict[str, Row | None] = {"input": None}
    if baseline not in (None, row):
        shown["without\nprotection"] = baseline
    shown["chosen"] = row
    figure = plt.figure(figsize=(7.0, 3.2 + 0.75 * len(shown)))
    top, below = figure.subfigures(2, 1, height_ratios=(3.2, 0.75 * len(shown)))
    axis = top.subplots(gridspec_kw={"bottom": 0.17, "top": 0.97, "left": 0.1, "right": 0.97})
    _draw_front(axis, choice.front(store.rows, cfg), row)
    _draw_faces(below, shown, row, people)
    return figure


def _nothing() -> Figure:
    figure, axis = plt.subplots(figsize=(7.0, 0.8))
    text = "Nothing is stored yet: train a run above, or by `arl run`."
    axis.text(0.5, 0.5, text, ha="center", va="center", color=INK)
    axis.set_axis_off()
    return figure


def _draw_front(axis: Axes, points: Sequence[Point], row: Row) -> None:
    if points:
        fronts.draw(axis, fronts.of_points(points, row))
    looks = {
        "without protection": ("plain", "s", 1.0),
        "with": ("protected", "o", 1.0),
        "chosen": ("chosen", "o" if row.config.protected else "s", 1.0),
        "another seed or layer": ("protected", "o", fronts.FAINT),
    }
    fronts.key(axis, looks, loc="lower right")


def _draw_faces(figure: SubFigure, shown: dict[str, Row | None], row: Row, people: int) -> None:
    """A line of faces for each of `shown`: the input where it has no row."""
    index = pictures.people(row, people)
    images = pictures.faces_of(row).images[index]
    space = {"left": 0.12, "right": 0.99, "wspace": 0.03, "hspace": 0.03}
    axes = figure.subplots(len(shown), len(index), squeeze=False, gridspec_kw=space)
    for line, (name, one) in zip(axes, shown.items(), strict=True):
        faces = images if one is None else pictures.decode(one, images)[0]
        line[0].text(-0.1, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=8, color=INK)
        for cell, face in zip(line, faces, strict=True):
            cell.imshow(face.transpose(1, 2, 0), interpolation="bicubic")
            cell.set_axis_off()
