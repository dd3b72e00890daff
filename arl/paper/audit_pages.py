"""An audit as pages for people: HTML in one file that needs nothing else, and PDF; beside either the same as JSON, for a machine.

In the HTML each answer, and each figure in it, names its run and its place in that run's result: `data-run`, `data-key` (RFC 6901),
`data-value`, `data-low`, `data-high` (JSON; empty where nothing was measured). No page shows a face.
"""

import base64
import io
import json
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from arl.audit import Audit, audit_json
from arl.audit.questions import Answer, CitedNumber, json_of, table_of, ten
from arl.audit.report import report_path
from arl.paper.audited import attackers_figure
from arl.paper.style import INK, theme
from arl.store import make_folder, write_atomically, write_json

A4 = (8.27, 11.69)  # inches
MARGIN = 0.8
STYLE = """
body { font-family: system-ui, sans-serif; max-width: 820px; margin: 2em auto; padding: 0 1em; }
body { color: #222; background: #fff; line-height: 1.45; }
h1 { font-size: 1.5em; } h2 { font-size: 1.05em; margin: 1.6em 0 0.2em; } .answer { margin: 0.2em 0; }
.soft, small { color: #666; font-size: 0.85em; } .n { font-weight: 600; }
table { border-collapse: collapse; font-size: 0.85em; } th, td { text-align: left; padding: 0.25em 0.6em; border-bottom: 1px solid #ddd; }
td .n { font-weight: 400; } img { max-width: 100%; } pre { white-space: pre-wrap; font-size: 0.75em; color: #666; }
@media print { section { break-inside: avoid; } }
"""
# How to read it, for who has never seen such a thing.
READING = {
    "The game": "an encoder turns a photograph into features, numbers that leave the device. An attacker who has other photographs "
    "with their features learns to turn features back into faces, and is then tried on people whom nobody had, T.",
    "Face similarity": "how alike two pictures are to a recogniser, C: 1 is the same picture. It is to be read between the mean face, "
    "which knows nobody, and another photograph of the person.",
    "Line-up": "C is shown a picture and a gallery of one photograph a person; is the right one first?",
    "The answers alone": "what an attacker makes of the labels that the features are meant for, without the features. What is above "
    "it is what the features say beyond their purpose.",
    "Worst case": "a person counts as found if any of the chosen attackers finds them by any of their photographs: by a picture, by an "
    "embedding (features), or by Z itself, the features compared with other features, without any attacker. The threshold of each is "
    "what 1 % of the pairs of strangers pass; how often a stranger passes for the person by the same rule, over the same attackers, "
    "stands beside it. Attackers are chosen by faces that do not count here.",
    "Intervals": "95 %, over people or images of T, of one audit with one seed. Another encoder, other faces or better attackers are "
    "not in them.",
}  # fmt: skip


NOTE = (
    "Face similarity and the right person first: of pictures. People found, and what the worst 1 % reach: of people, by the best of their "
    "pictures; so is the whole line of any attacker chosen. In brackets 95 % intervals; – was not measured."
)


def write_report(audit: Audit, path: Path) -> list[Path]:
    """Write `path`, NAME.html or NAME.pdf, and beside it NAME.json. Raises `ConfigError` for another name."""
    path = report_path(str(path))
    made = audit_pdf(audit) if path.suffix == ".pdf" else audit_html(audit).encode()
    make_folder(path.parent)
    write_atomically(path, made)
    write_json(path.with_suffix(".json"), audit_json(audit))
    return [path, path.with_suffix(".json")]


def target_words(audit: Audit) -> str:
    """What was audited: a file, or a stored encoder."""
    about = audit.result["audit"]["target"]
    return f"{about['file']} ({about['format']}, SHA-256 {about['sha256'][:12]} …)" if "file" in about else about["run"]


def _about(audit: Audit) -> list[str]:
    """What was measured on what, a line each."""
    about, on = audit.result["audit"], audit.result["measured_on"]
    lines = [f"Audit {audit.run.id}, suite {about['suite']}, of {target_words(audit)}: {on['setting']}."]
    if about["changed"]:
        lines.append(
            f"Set otherwise than in the suite: {', '.join(about['changed'])}. Compare only audits that say the same."
        )
    return [*lines, f"Measured on {on['test_set']}.", f"C: {on['C']}.", f"Line-up: {audit.result['lineup']}."]


# -- HTML -------------------------------------------------------------------------------------------------------------


def audit_html(audit: Audit) -> str:
    """The report as one page."""
    title = f"What the features of {target_words(audit)} give away"
    parts = [f"<h1>{escape(title)}</h1>", *(f"<p class='soft'>{escape(line)}</p>" for line in _about(audit))]
    parts += [_section(i, answer) for i, answer in enumerate(ten(audit), 1)]
    parts += [
        "<h2>Each attacker, from weak to strong</h2>",
        _table(audit),
        f"<p class='soft'>{NOTE}</p>",
        _picture(audit),
        "<h2>How to read this</h2>",
    ]
    parts += [f"<p><b>{escape(name)}</b>: {escape(words)}</p>" for name, words in READING.items()]
    made = {"config": audit.result["config"], "made_with": audit.result["made_with"]}
    parts += ["<h2>What made it</h2>", f"<pre>{escape(json.dumps(made, ensure_ascii=False))}</pre>"]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _section(place: int, answer: Answer) -> str:
    first = answer.numbers[0]
    sentence = escape(answer.sentence).format(*map(_span, answer.numbers))
    where = f"{first.run}, {first.key}" if first.value is not None else f"{first.run} has no {first.key}"
    return (
        f"<section><h2>{place}. {escape(answer.question)}</h2>"
        f'<p class="answer" data-question="{answer.name}" {_data(first)}>{sentence}</p><small>{escape(where)}</small></section>'
    )


def _data(number: CitedNumber) -> str:
    """The attributes by which a machine finds a figure in the store."""
    kept = {"run": number.run, "key": number.key} | {n: json_of(getattr(number, n)) for n in ("value", "low", "high")}
    return " ".join(f'data-{name}="{escape(value)}"' for name, value in kept.items())


def _span(number: CitedNumber, text: str = "") -> str:
    return f'<span class="n" {_data(number)}>{escape(text or number.text)}</span>'


def _table(audit: Audit) -> str:
    heads, lines = table_of(audit)
    rows = ["".join(f"<th>{escape(head)}</th>" for head in heads)]
    for head, *cells in lines:
        rows.append(f"<th>{escape(head.text)}</th>" + "".join(f"<td>{_span(each, _cell(each))}</td>" for each in cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(number: CitedNumber) -> str:
    return number.text.replace(" (95 %: ", " (") if number.value is not None else "–"


def _picture(audit: Audit) -> str:
    file = io.BytesIO()
    figure = attackers_figure({target_words(audit): [audit]})
    figure.savefig(file, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    alt = "The figures of the table: face similarity of each attacker, and the share of people whom it finds, with intervals"
    return (
        f'<figure><img alt="{alt}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"></figure>'
    )


# -- PDF --------------------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A paragraph of a page: its text, points, and whether it is bold or soft."""

    text: str
    size: float = 9.0
    bold: bool = False
    soft: bool = False


def audit_pdf(audit: Audit) -> bytes:
    """The report as pages of A4: the answers, how to read them, the attackers as a table and as a figure."""
    file = io.BytesIO()
    metadata: dict[str, Any] = {"CreationDate": None, "Producer": None, "Title": f"Audit {audit.run.id}"}
    with theme(), PdfPages(file, metadata=metadata) as pages:
        for page in (*_pages(list(_blocks(audit))), _attackers_page(audit)):
            pages.savefig(page)
            plt.close(page)
        pages.savefig(attackers_figure({target_words(audit): [audit]}))
    return file.getvalue()


def _blocks(audit: Audit) -> Iterator[Block]:
    yield Block(f"What the features of {target_words(audit)} give away", 14, bold=True)
    yield from (Block(line, 7.5, soft=True) for line in _about(audit))
    for place, answer in enumerate(ten(audit), 1):
        first = answer.numbers[0]
        yield Block(f"\n{place}. {answer.question}", 9.5, bold=True)
        yield Block(answer.text)
        yield Block(f"{first.run}  {first.key}", 6.5, soft=True)
    yield Block("\nHow to read this", 9.5, bold=True)
    yield from (Block(f"{name}: {words}", 8) for name, words in READING.items())


def _pages(blocks: list[Block]) -> Iterator[Figure]:
    """`blocks` from the top of a page to its bottom; one that does not fit begins the next."""
    page, left = None, 0.0
    for block in blocks:
        lines = _wrapped(block)
        height = len(lines) * block.size * 1.35 / 72
        if page is None or left < height + MARGIN + block.bold:  # a question with its answer
            if page is not None:
                yield page
            page, left = plt.figure(figsize=A4), A4[1] - MARGIN
        for line in lines:
            left -= block.size * 1.35 / 72
            look = {"fontsize": block.size, "color": "0.45" if block.soft else INK, "parse_math": False}
            page.text(MARGIN / A4[0], left / A4[1], line, weight="bold" if block.bold else "normal", **look)
        left -= 0.04
    if page is not None:
        yield page


def _wrapped(block: Block) -> list[str]:
    wide = int(
        (A4[0] - 2 * MARGIN) * 72 / (block.size * (0.62 if block.bold else 0.58))
    )  # the mean width of DejaVu's letters
    return [part for line in block.text.split("\n") for part in (textwrap.wrap(line, wide) or [""])]


def _attackers_page(audit: Audit) -> Figure:
    heads, lines = table_of(audit)
    page = plt.figure(figsize=A4[::-1])
    axis = page.add_axes((0.04, 0.05, 0.92, 0.9))
    axis.set_axis_off()
    axis.set_title(f"Each attacker, from weak to strong\n{NOTE}", loc="left", fontsize=7)
    cells = [[line[0].text, *(_cell(each).replace(" (", "\n(") for each in line[1:])] for line in lines]
    table = axis.table(cells, colLabels=heads, loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    table.scale(1, 2.2)
    return page
