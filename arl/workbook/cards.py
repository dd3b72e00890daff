"""What the explorer shows, as HTML and SVG: text made from rows and pictures, tested without a browser.

Colours are those of JupyterLab's theme where it has one, so a dark theme stays readable; every figure says in words what it shows.
"""

import base64
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from arl.config import RunConfig
from arl.paper import COLOURS, INK, METRICS
from arl.workbook import choice as explore
from arl.workbook.background import settings
from arl.workbook.choice import SYMBOLS, WEIGHTS, Closer, Distance, Grid, Neighbour, Point, Row

STYLE = """<style>
.arl { --ink: var(--jp-ui-font-color1, #222); --soft: var(--jp-ui-font-color2, #666); --paper: var(--jp-layout-color1, #fff);
  --line: var(--jp-border-color2, #ccc); --wash: var(--jp-layout-color2, #f3f3f3); --you: #d55e00; --them: #3d8fd1; --good: #0a9a72;
  color: var(--ink); font-size: 13px; line-height: 1.45; }
.arl a { color: var(--jp-content-link-color, #0072b2); }
.arl h3 { margin: 0 0 4px; font-size: 14px; font-weight: 600; color: var(--ink); }
.arl .soft, .arl .note { color: var(--soft); }
.arl table { border-collapse: collapse; color: var(--ink); }
.arl td, .arl th { padding: 2px 8px; text-align: right; font-variant-numeric: tabular-nums; border: 0; }
.arl th { font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line); }
.arl td:first-child, .arl th:first-child { text-align: left; padding-left: 0; }
.arl .figures { font-size: 12.5px; } .arl .figures td, .arl .figures th { white-space: nowrap; padding: 3px 6px; vertical-align: top; }
.arl .figures .soft { font-weight: 400; }
.arl tr.chosen { background: var(--wash); }
.arl .better { color: var(--good); font-weight: 600; } .arl .worse { color: var(--you); font-weight: 600; }
.arl img { display: block; max-width: none; border-radius: 3px; }
.arl .strip { width: 100%; height: auto; }
.arl .cells { display: grid; text-align: center; font-size: 11px; color: var(--soft); font-variant-numeric: tabular-nums; }
.arl .problem { border-left: 4px solid var(--you); padding: 4px 10px; background: var(--wash); white-space: pre-line; }
.arl .said { border-left: 4px solid var(--them); padding: 4px 10px; background: var(--wash); }
.arl .whom { display: inline-flex; gap: 8px; }
.arl .whom figure, .arl .settings figure { margin: 0; font-size: 11px; color: var(--soft); text-align: center; }
.arl .whom img { width: 44px; height: 44px; } .arl .settings img { width: 72px; height: 72px; }
.arl .attributes { columns: 5 130px; font-size: 12px; } .arl .attributes .wrong { color: var(--you); }
.arl svg { width: 100%; height: auto; display: block; } .arl svg text { fill: var(--soft); font-size: 11px; }
.arl svg .axis { stroke: var(--line); } .arl svg .whisker { stroke-width: 1.2; opacity: 0.55; }
.arl-card { background: var(--jp-layout-color1, #fff); border: 1px solid var(--jp-border-color2, #ddd); border-radius: 6px;
  padding: 10px 14px; margin: 4px; }
.arl-faces { overflow: visible; }
.arl-faces button.arl-face { flex: none; padding: 0; margin: 0; height: auto; aspect-ratio: 1;
  background-size: cover; border-radius: 3px; border: 0; }
.arl-faces button.arl-face:hover, .arl-faces button.arl-face.arl-on { outline: 3px solid #d55e00; }
.arl-faces button.arl-face:focus-visible, .arl-front button.arl-point:focus-visible { outline: 3px solid var(--jp-brand-color1, #2196f3); }
.arl-front { position: relative; overflow: visible; }
.arl-front button.arl-point { position: absolute; width: 20px; height: 20px; margin: -10px 0 0 -10px; padding: 0;
  min-width: 0; border-radius: 50%; background: transparent; line-height: 1; }
.arl-front button.arl-point:hover { outline: 2px solid #d55e00; }
</style>"""


def html(content: str, classes: str = "") -> str:
    """`content` in the frame that `STYLE` dresses."""
    return f'<div class="arl {classes}">{content}</div>'


def image(data: bytes, alt: str, classes: str = "") -> str:
    """A PNG inside the text, with words for those who do not see it."""
    return f'<img class="{classes}" alt="{escape(alt)}" src="{url(data)}">'


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def setting(cfg: RunConfig) -> str:
    """A configuration in a few words: its weights, layer and attacker."""
    weights = [f"{SYMBOLS[name]} = {getattr(cfg, name):g}" for name in WEIGHTS if getattr(cfg, name) > 0]
    protection = [] if cfg.protected else ["no protection"]
    extra = {"none": [], "adversary": ["extra data †"], "both": ["extra data ‡"]}[cfg.extra]
    return ", ".join([*protection, *weights, cfg.layer, *extra])


def notice(text: str, problem: bool = False) -> str:
    """One line for the user; of a problem, what can be done."""
    if not text:
        return html("")
    return html(
        f'<div class="{"problem" if problem else "said"}" role="{"alert" if problem else "status"}">{escape(text)}</div>'
    )


def status(row: Row | None, far: Distance | None) -> str:
    """Which stored run stands for the choice, and how far it is."""
    if row is None or far is None:
        hint = "<b>Train this</b> makes the first run; with the data of <i>preset tiny</i> within a minute."
        return html(f'<div role="status"><b>Nothing is stored yet of these faces.</b> {hint}</div>')
    near = "" if far.near else " No run is near: <b>Train this</b> makes one."
    said = "<b>Stored run</b>" if not far.differences else "<b>Nearest stored run</b>"
    return html(f'<div role="status">{said} <code>{row.id}</code>, {escape(str(far))}.{near}</div>', "arl-status")


# -- pictures -----------------------------------------------------------------------------------------------------


def face_buttons(grid: Grid, side: int) -> str:
    """The style that turns the n buttons of class `arl-face-0` … into the inputs of `grid`, spaced as the cells of a strip."""
    n, gap = len(grid.inputs), 2
    whole = n * side + (n - 1) * gap
    rules = [
        f".arl-faces button.arl-face {{ width: {100 * side / whole:.4f}%; margin-right: {100 * gap / whole:.4f}%; }}"
    ]
    rules += [f".arl-faces button.arl-face-{n - 1} {{ margin-right: 0; }}"]
    rules += [
        f".arl-faces button.arl-face-{i} {{ background-image: url({url(data)}); }}"
        for i, data in enumerate(grid.inputs)
    ]
    return "<style>" + "\n".join(rules) + "</style>"


def decoded(title: str, grid: Grid, row: Row) -> str:
    """One strip of reconstructions with the face similarity under each."""
    values = [f"{s:.2f}" for s in grid.similarity]
    alt = f"{title}: {len(values)} faces decoded from their features by {row.id}; face similarity to the inputs {', '.join(values)}"
    cells = "".join(f"<span>{value}</span>" for value in values)
    columns = f"grid-template-columns: repeat({len(values)}, 1fr)"
    return html(
        f'<div><b>{escape(title)}</b> <span class="soft">{escape(setting(row.config))}</span></div>'
        f"{image(grid.decoded, alt, 'strip')}<div class='cells' style='{columns}' aria-hidden='true'>{cells}</div>"
    )


def live(strip: bytes, what: str) -> str:
    """The faces as the decoder in training makes them now."""
    return html(f"<div class='soft'>{escape(what)}</div>{image(strip, what, 'strip')}")


# -- numbers ------------------------------------------------------------------------------------------------------


def numbers(row: Row, baseline: Row | None) -> str:
    """The row's figures with intervals, and the change against no protection, as a table."""
    changes = explore.change(row, baseline) if baseline is not None and baseline is not row else {}
    lines = []
    for key, name, arrow, decimals in (m for m in METRICS if not m[0].endswith("_variance")):
        m = row.result[key]
        if m["value"] is None:
            lines.append(f"<tr><td>{name}</td><td>–</td><td>{escape(m.get('why', ''))}</td><td></td><td></td></tr>")
            continue
        c, text, kind = changes.get(key), "", ""
        if c and c["value"] is not None:
            text = f"{c['value']:+.{decimals}f}"
            sure = c["low"] is not None and c["low"] * c["high"] > 0
            if sure and arrow:
                kind = "better" if (c["value"] > 0) == (arrow == "↑") else "worse"
            if c["low"] is not None:
                text += f"<br><span class='soft'>{c['low']:+.{decimals}f} … {c['high']:+.{decimals}f}</span>"
        floor = m.get("floors", {}).get("mean face")
        lines.append(
            f"<tr><td>{name} {arrow}</td><td><b>{m['value']:.{decimals}f}</b></td>"
            f"<td class='soft'>{m['low']:.{decimals}f} … {m['high']:.{decimals}f}</td><td class='{kind}'>{text}</td>"
            f"<td class='soft'>{'' if floor is None else f'{floor:.{decimals}f}'}</td></tr>"
        )
    head = "<tr><th>on T</th><th>value</th><th>95 % interval</th><th>against no protection</th><th>mean face</th></tr>"
    why = ""
    if baseline is None:
        why = "<div class='soft'>No change is shown: the same setting without protection is not in the store.</div>"
    elif baseline is row:
        why = "<div class='soft'>This is the baseline itself: no protection.</div>"
    on = row.result["measured_on"]
    judges = f"<div class='soft'>C: {escape(on['C'])}<br>g: {escape(on['g'])}</div>"
    return html(f"<h3>Numbers</h3><table class='figures'>{head}{''.join(lines)}</table>{why}{judges}", "arl-numbers")


# -- the front ----------------------------------------------------------------------------------------------------


class Front(NamedTuple):
    """The figure, and where its points stand, in per cent of its width and height."""

    figure: str
    places: tuple[tuple[float, float], ...]


WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 400, 300, 62, 42, 10, 14


def front(points: Sequence[Point], chosen: Row | None) -> Front:
    """Utility over privacy: each stored run with its 95 % intervals, the front through the best of the chosen layer and seed."""
    if not points:
        return Front(
            html("<h3>Utility and privacy</h3><div class='soft'>No stored run was made like this choice.</div>"), ()
        )
    x_low, x_high, x_ticks = _axis([v for p in points for v in p.x])
    y_low, y_high, y_ticks = _axis([v for p in points for v in p.y])

    def x_at(v: float) -> float:
        return LEFT + (v - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_at(v: float) -> float:
        return HEIGHT - BOTTOM - (v - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP)

    parts = []
    for tick in x_ticks:
        parts.append(
            f'<line class="axis" x1="{x_at(tick):.1f}" x2="{x_at(tick):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" opacity="0.5"/>'
        )
        parts.append(f'<text x="{x_at(tick):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
    for tick in y_ticks:
        parts.append(
            f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(tick):.1f}" y2="{y_at(tick):.1f}" opacity="0.5"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y_at(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">face similarity (← more private)</text>'
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">mean MCC (more useful →)</text>'
    )
    best = explore.undominated([p for p in points if p.alike])
    if len(best) > 1:
        path = " ".join(f"{x_at(p.x[0]):.1f},{y_at(p.y[0]):.1f}" for p in best)
        parts.append(f'<polyline points="{path}" fill="none" stroke="var(--them)" stroke-width="2" opacity="0.5"/>')
    places = []
    for p in points:
        x, y = x_at(p.x[0]), y_at(p.y[0])
        places.append((100 * x / WIDTH, 100 * y / HEIGHT))
        here = chosen is not None and p.row.id == chosen.id
        colour = "var(--you)" if here else "var(--them)" if p.protected else "var(--soft)"
        opacity = 1 if p.alike or here else 0.35
        parts.append(f'<g opacity="{opacity}" stroke="{colour}"><title>{escape(point_name(p))}</title>')
        parts.append(
            f'<line class="whisker" x1="{x_at(p.x[1]):.1f}" x2="{x_at(p.x[2]):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{y_at(p.y[1]):.1f}" y2="{y_at(p.y[2]):.1f}"/>'
        )
        if p.protected:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{7 if here else 5}" fill="{colour}"/></g>')
        else:
            side = 14 if here else 10
            parts.append(
                f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side}" height="{side}" fill="{colour}"/></g>'
            )
    here = next((p for p in points if chosen is not None and p.row.id == chosen.id), None)
    alt = f"Utility over privacy of {len(points)} stored runs." + (f" Chosen: {point_name(here)}." if here else "")
    key = (
        "■ no protection  ● protected, with 95 % intervals; pale: another seed or layer; orange: the run that is shown"
    )
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    return Front(html(svg + f"<div class='soft'>{key}</div>"), tuple(places))


def point_name(point: Point) -> str:
    """A point in words, for its button."""
    (x, x_low, x_high), (y, y_low, y_high) = point.x, point.y
    return (
        f"{setting(point.row.config)}, seed {point.row.config.seed}: mean MCC {y:.3f} ({y_low:.3f}–{y_high:.3f}), "
        f"face similarity {x:.3f} ({x_low:.3f}–{x_high:.3f})"
    )


def point_places(places: Sequence[tuple[float, float]]) -> str:
    """The style that lays the buttons of class `arl-point-0` … over the points."""
    rules = [f".arl-front button.arl-point-{i} {{ left: {x:.2f}%; top: {y:.2f}%; }}" for i, (x, y) in enumerate(places)]
    return "<style>" + "\n".join(rules) + "</style>"


def _axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    low, high = min(values), max(values)
    space = 0.08 * (high - low) or 0.05
    low, high = low - space, high + space
    return low, high, [round(float(t), 6) for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high]


# -- training -----------------------------------------------------------------------------------------------------

CURVES = {
    "utility": "utility loss (6)",
    "pixel": "pixel loss (7)",
    "adversary": "simulated adversary (5)",
    "mcc": "mean MCC on X2",
    "attack": "attacker, training",
    "validation": "attacker, held out",
    "loss": "recogniser's loss",
}


def curves(id: str, metrics: Sequence[dict[str, Any]]) -> str:
    """The metrics of a run so far, a small axis each."""
    names = [name for name in CURVES if metrics and name in metrics[-1]]
    figures = []
    for name in names:
        values = [float(m[name]) for m in metrics if name in m]
        low, high = min(values), max(values)
        across, up = max(1, len(values) - 1), (high - low) or 1.0
        path = " ".join(f"{4 + 142 * i / across:.1f},{50 - 40 * (v - low) / up:.1f}" for i, v in enumerate(values))
        alt = f"{CURVES[name]} over {len(values)} epochs: from {values[0]:.4g} to {values[-1]:.4g}"
        figures.append(
            f'<svg viewBox="0 0 150 72" role="img" aria-label="{alt}" style="width: 150px"><text x="4" y="68">{CURVES[name]} '
            f'{values[-1]:.3g}</text><polyline points="{path}" fill="none" stroke="var(--them)" stroke-width="1.6"/>'
            f'<circle cx="{path.split()[-1].split(",")[0]}" cy="{path.split()[-1].split(",")[1]}" r="2.5" fill="var(--you)"/></svg>'
        )
    row = f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{"".join(figures)}</div>'
    return html(f"<div class='soft'><code>{id}</code>, {len(metrics)} epochs</div>{row}") if names else html("")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 60:
        return f"about {max(1, round(seconds))} s left"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


# -- one face -----------------------------------------------------------------------------------------------------


SCHEDULE = ("epochs", "attack_epochs", "lr", "attack_lr", "batch_size", "width", "encoder")  # said where they differ


def closer(found: Closer, chosen: Row, title: str) -> str:
    """One face under each stored setting: pictures, whom C takes it for, what f says."""

    def whom(nearest: Sequence[Neighbour]) -> str:
        cells = []
        for n in nearest:
            right = " ✓" if n.identity == found.identity else ""
            alt = f"person {n.identity}, cosine {n.similarity:.2f}{', the right one' if right else ''}"
            cells.append(f"<figure>{image(n.picture, alt)}{n.identity}{right}<br>{n.similarity:.2f}</figure>")
        return f"<span class='whom'>{''.join(cells)}</span>"

    who = "" if found.identity is None else f"person {found.identity}"
    picture = image(found.picture, f"the input, {title}")
    rows = [f"<tr><td><b>the input</b> {who}</td><td>{picture}</td><td></td><td>{whom(found.nearest)}</td></tr>"]
    for seen in found.seen:
        differ = [
            f"{n} = {there}"
            for n, _, there in explore.distance(chosen.config, seen.row.config).differences
            if n in SCHEDULE
        ]
        name = ", ".join([setting(seen.row.config), *differ])
        alt = f"decoded with {name}, face similarity {seen.similarity:.2f}"
        kind = ' class="chosen"' if seen.row.id == chosen.id else ""
        rows.append(
            f"<tr{kind}><td>{escape(name)}<br><code>{seen.row.id}</code></td><td>{image(seen.picture, alt)}</td>"
            f"<td><b>{seen.similarity:.2f}</b></td><td>{whom(seen.nearest)}</td></tr>"
        )
    head = "<tr><th>setting</th><th>picture</th><th>face similarity</th><th>whom C takes it for (cosine; ✓: it is that person)</th></tr>"
    mine = next((s for s in found.seen if s.row.id == chosen.id), found.seen[-1] if found.seen else None)
    says = _attributes(mine.predictions, found.truth) if mine else ""
    return html(f"<h3>{escape(title)}</h3><table class='settings'>{head}{''.join(rows)}</table>{says}", "arl-closer")


def _attributes(predictions: dict[str, float], truth: dict[str, bool] | None) -> str:
    """What f says of the face: attributes with their probability; where the truth is known, what is wrong."""
    cells = []
    for name, p in predictions.items():
        on = p > 0.5
        wrong = truth is not None and truth[name] != on
        words = f"{'✓' if on else '·'} {name.replace('_', ' ')} {p:.2f}" + (" (wrong)" if wrong else "")
        cells.append(f"<div{' class=wrong' if wrong else ''}>{'<b>' if on else ''}{words}{'</b>' if on else ''}</div>")
    right = (
        ""
        if truth is None
        else f", {sum(truth[n] == (p > 0.5) for n, p in predictions.items())} of {len(predictions)} right"
    )
    return f"<div class='soft'>What f says of the input from its features{right}:</div><div class='attributes'>{''.join(cells)}</div>"


# -- on paper -----------------------------------------------------------------------------------------------------


def report(title: str, kept: Sequence[tuple[RunConfig, Row, Distance]], store: explore.Store, people: int) -> str:
    """A session's choices as one HTML file that needs nothing else: pictures, numbers, front, and how to make each again."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for number, (cfg, row, far) in enumerate(kept, 1):
        baseline = store.baseline(row.config)
        points = explore.front(store.rows, row.config)
        inputs = explore.grid(row, people)
        input_strip = "".join(image(data, f"input {i}", "input") for i, data in enumerate(inputs.inputs, 1))
        parts += [
            f"<section><h2>{number}. {escape(setting(cfg))}</h2>",
            status(row, far),
            f"<div class='inputs'>{input_strip}</div>",
        ]
        if baseline is not None and baseline is not row:
            parts.append(decoded("without protection", explore.grid(baseline, people), baseline))
        parts += [decoded("decoded", inputs, row), numbers(row, baseline), front(points, row).figure]
        parts += [f"<p>Made by <code>arl {escape(command(row.config))}</code></p></section>"]
    page = "body { font-family: system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }"
    page += ".inputs { display: flex; gap: 0.4%; } .inputs img { flex: 1; min-width: 0; border-radius: 3px; }"
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{page}</style>{STYLE}'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def command(cfg: RunConfig) -> str:
    """The arguments of `arl` that make the row of `cfg`, to be pasted into a shell."""
    return shlex.join(settings(cfg))


def figure(store: explore.Store, cfg: RunConfig, people: int = 8) -> Figure:
    """The explorer's state as a figure for paper: the front with its intervals, and the faces under the choice and without protection."""
    found = store.nearest(cfg)
    if found is None:
        figure, axis = plt.subplots(figsize=(7.0, 0.8))
        axis.text(
            0.5, 0.5, "Nothing is stored yet: train a run above, or by `arl run`.", ha="center", va="center", color=INK
        )
        axis.set_axis_off()
        return figure
    row, _ = found
    baseline = store.baseline(row.config)
    shown = (
        {"input": None} | ({"without\nprotection": baseline} if baseline not in (None, row) else {}) | {"chosen": row}
    )
    figure = plt.figure(figsize=(7.0, 3.2 + 0.75 * len(shown)))
    top, below = figure.subfigures(2, 1, height_ratios=(3.2, 0.75 * len(shown)))
    axis = top.subplots(gridspec_kw={"bottom": 0.17, "top": 0.97, "left": 0.1, "right": 0.97})
    for point in explore.front(store.rows, cfg):
        (x, *xs), (y, *ys) = point.x, point.y
        colour = COLOURS[1] if point.row is row else COLOURS[0] if point.protected else INK
        axis.errorbar(
            x,
            y,
            xerr=[[x - xs[0]], [xs[1] - x]],
            yerr=[[y - ys[0]], [ys[1] - y]],
            fmt="o" if point.protected else "s",
            color=colour,
            alpha=1.0 if point.alike or point.row is row else 0.35,
            elinewidth=0.8,
        )
    kinds = {
        "without protection": ("s", INK, 1.0),
        "with": ("o", COLOURS[0], 1.0),
        "chosen": ("o" if row.config.protected else "s", COLOURS[1], 1.0),
        "another seed or layer": ("o", COLOURS[0], 0.35),
    }
    for name, (marker, colour, alpha) in kinds.items():
        axis.plot([], [], marker, color=colour, alpha=alpha, label=name)
    axis.legend(loc="lower right", fontsize=7, frameon=False)
    axis.set_xlabel("← better   face similarity", fontsize=8)
    axis.set_ylabel("mean MCC   better →", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    index = explore.people(row, people)
    images = explore.faces_of(row).images[index]
    axes = below.subplots(
        len(shown), len(index), squeeze=False, gridspec_kw={"left": 0.12, "right": 0.99, "wspace": 0.03, "hspace": 0.03}
    )
    for line, (name, one) in zip(axes, shown.items(), strict=True):
        faces = images if one is None else explore.decode(one, images)[0]
        line[0].text(-0.1, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=8, color=INK)
        for cell, face in zip(line, faces, strict=True):
            cell.imshow(face.transpose(1, 2, 0), interpolation="bicubic")
            cell.set_axis_off()
    return figure
