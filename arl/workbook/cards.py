"""What the explorer shows, as HTML and SVG: text made from rows and pictures, tested without a browser.

Colours are those of JupyterLab's theme where it has one, so a dark theme stays readable; every figure says in words what it shows.
"""

import base64
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from arl.config import RunConfig
from arl.paper import front as fronts
from arl.paper.front import Mark, Point
from arl.paper.style import METRICS
from arl.row import Row
from arl.workbook.choice import Distance, change, distance
from arl.workbook.closer import Closer, Neighbour
from arl.workbook.pictures import Grid
from arl.workbook.weights import words

HERE = Path(__file__).parent


@cache
def style(name: str = "explorer") -> str:
    """A style sheet of this folder, `NAME.css`, for a page."""
    return f"<style>\n{(HERE / f'{name}.css').read_text(encoding='utf-8')}</style>"


def html(content: str, classes: str = "") -> str:
    """`content` in the frame that `style` dresses."""
    return f'<div class="arl {classes}">{content}</div>'


def image(data: bytes, alt: str, classes: str = "") -> str:
    """A PNG inside the text, with words for those who do not see it."""
    return f'<img class="{classes}" alt="{escape(alt)}" src="{url(data)}">'


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def setting_words(cfg: RunConfig) -> str:
    """A configuration in a few words: its defence, weights, layer and attacker."""
    extra = {"none": "", "adversary": "extra data †", "both": "extra data ‡", "instead": "extra data in place of X2"}
    return ", ".join(filter(None, [*words(cfg), cfg.layer, extra[cfg.extra]]))


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


def decoded_strip(title: str, grid: Grid, row: Row) -> str:
    """One strip of reconstructions with the face similarity under each."""
    values = [f"{s:.2f}" for s in grid.similarity]
    alt = f"{title}: {len(values)} faces decoded from their features by {row.id}; face similarity to the inputs {', '.join(values)}"
    cells = "".join(f"<span>{value}</span>" for value in values)
    columns = f"grid-template-columns: repeat({len(values)}, 1fr)"
    return html(
        f'<div><b>{escape(title)}</b> <span class="soft">{escape(setting_words(row.config))}</span></div>'
        f"{image(grid.decoded, alt, 'strip')}<div class='cells' style='{columns}' aria-hidden='true'>{cells}</div>"
    )


def live_strip(strip: bytes, what: str) -> str:
    """The faces as the decoder in training makes them now."""
    return html(f"<div class='soft'>{escape(what)}</div>{image(strip, what, 'strip')}")


# -- numbers ------------------------------------------------------------------------------------------------------


def numbers_table(row: Row, baseline: Row | None) -> str:
    """The row's figures with intervals, and the change against no protection, as a table."""
    changes = change(row, baseline) if baseline is not None and baseline is not row else {}
    lines = []
    for key, name, arrow, decimals in (m for m in METRICS if m[0] in row.result and not m[0].endswith("_variance")):
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


class Drawn(NamedTuple):
    """The figure, whose edges are those of its picture, and where its points stand, in per cent of its width and height."""

    figure: str
    places: tuple[tuple[float, float], ...]


WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 400, 300, 62, 42, 10, 14
COLOUR = {"protected": "var(--them)", "plain": "var(--soft)", "chosen": "var(--you)"}
KEY = "■ no protection  ● protected, with 95 % intervals; pale: another seed or layer; orange: the run that is shown"


def front_svg(points: Sequence[Point], chosen: Row | None) -> Drawn:
    """`arl.paper.front.of_points` as SVG: each stored run with its 95 % intervals, the front through the best that are alike."""
    if not points:
        nothing = "<h3>Utility and privacy</h3><div class='soft'>No stored run was made like this choice.</div>"
        return Drawn(html(nothing), ())
    found = fronts.of_points(points, chosen)

    def x_at(value: float) -> float:
        return LEFT + found.x.at(value) * (WIDTH - LEFT - RIGHT)

    def y_at(value: float) -> float:
        return HEIGHT - BOTTOM - found.y.at(value) * (HEIGHT - BOTTOM - TOP)

    parts = [*(_x_tick(x_at(tick), f"{tick:g}") for tick in found.x.ticks)]
    parts += [*(_y_tick(y_at(tick), f"{tick:g}") for tick in found.y.ticks)]
    across, up = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{across}" y="{HEIGHT - 8}" text-anchor="middle">{found.x.title}</text>')
    parts.append(f'<text transform="translate(12 {up}) rotate(-90)" text-anchor="middle">{found.y.title}</text>')
    for path in found.paths:
        line = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in path.places)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{COLOUR[path.kind]}" stroke-width="2" opacity="0.5"/>'
        )
    for mark, point in zip(found.marks, points, strict=True):
        sides = [x_at(v) for v in mark.x], [y_at(v) for v in mark.y]
        parts.append(_mark(mark, *sides, point_name(point)))
    here = next((p for p in points if p.row is chosen), None)
    alt = f"Utility over privacy of {len(points)} stored runs." + (f" Chosen: {point_name(here)}." if here else "")
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    places = ((100 * x_at(p.x[0]) / WIDTH, 100 * y_at(p.y[0]) / HEIGHT) for p in points)
    return Drawn(html(svg), tuple(places))


def front_key() -> str:
    """What the symbols of `front_svg` mean."""
    return html(f"<div class='soft'>{KEY}</div>")


def _x_tick(x: float, text: str) -> str:
    line = f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" opacity="0.5"/>'
    return line + f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{text}</text>'


def _y_tick(y: float, text: str) -> str:
    line = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" opacity="0.5"/>'
    return line + f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _mark(mark: Mark, across: Sequence[float], up: Sequence[float], name: str) -> str:
    """One symbol with its whiskers; `across` and `up` are its place and the ends of its intervals, in the figure."""
    (x, left, right), (y, bottom, top) = across, up
    colour, radius = COLOUR[mark.kind], 7 if mark.kind == "chosen" else 5
    shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'
    if mark.shape == "s":
        corner, side = f'x="{x - radius:.1f}" y="{y - radius:.1f}"', 2 * radius
        shape = f'<rect {corner} width="{side}" height="{side}" fill="{colour}"/>'
    return (
        f'<g opacity="{mark.opacity:g}" stroke="{colour}"><title>{escape(name)}</title>'
        f'<line class="whisker" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>{shape}</g>'
    )


def point_name(point: Point) -> str:
    """A point in words, for its button."""
    (x, x_low, x_high), (y, y_low, y_high) = point.x, point.y
    return (
        f"{setting_words(point.row.config)}, seed {point.row.config.seed}: mean MCC {y:.3f} ({y_low:.3f}–{y_high:.3f}), "
        f"face similarity {x:.3f} ({x_low:.3f}–{x_high:.3f})"
    )


def point_places(places: Sequence[tuple[float, float]]) -> str:
    """The style that lays the buttons of class `arl-point-0` … over the points."""
    rules = [f".arl-front button.arl-point-{i} {{ left: {x:.2f}%; top: {y:.2f}%; }}" for i, (x, y) in enumerate(places)]
    return "<style>" + "\n".join(rules) + "</style>"


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


def closer_table(found: Closer, chosen: Row, title: str) -> str:
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
            f"{n} = {there}" for n, _, there in distance(chosen.config, seen.row.config).differences if n in SCHEDULE
        ]
        name = ", ".join([setting_words(seen.row.config), *differ])
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
