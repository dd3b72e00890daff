"""`figures/README.md`: the tables and the ledger as Markdown, from the CSV and JSON files beside the figures; nothing is trained.

python -m arl.paper.summary        writes that file and the small table of the project's README anew, from the committed figures
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from arl.paper.ledgers import agreement, effect_said, ledgers_table, paper_said, read_ledger
from arl.paper.ranks import CLAIMS, TITLES, ranks_table
from arl.paper.saved import figures_root
from arl.paper.speed import speed_section
from arl.paper.style import AUDITED, NAMES
from arl.paper.tables import read_cells
from arl.store import project_root, write_atomically

PRESETS = ("quick", "celeba10k", "paper", "tiny")  # in the order in which a summary has them
TABLES = {
    "Table 1": ("02_table1", ("mean_mcc", "face_similarity", "feature_similarity")),
    "Table 2": ("03_table2", ("mean_mcc", "face_similarity", "feature_similarity")),
    "Table 2, g = EfficientNet": ("03_table2_efficientnet", ("mean_mcc", "face_similarity", "feature_similarity")),
    "Table 3": ("04_table3", ("face_similarity", "mean_mcc", "lda_score")),
    "The audit's suite": ("11_suite", ("mean_mcc", "face_similarity", *(name for name, *_ in AUDITED))),
}
# Figures that are shown below a table, where they were drawn.
BESIDE = {
    "Table 1": {"02_mcc": "MCC of each attribute", "02_people": "Face similarity of each person"},
    "Table 2": {"03_front": "Utility against privacy lost for each λ2"},
    "The audit's suite": {"11_audit": "Each attacker of the suite, and the people whom it finds"},
    "Table 2, g = EfficientNet": {
        "03_front_efficientnet": "Utility against privacy lost for each λ2, g = EfficientNet"
    },
}
IN_README = ("1#1", "1#2", "1#9", "1#10")  # the rows of Table 1 that the project's README shows
RANKS, STRONGEST = "12_ranks", f"{CLAIMS}_strongest"
PROSE = Path(__file__).with_name("prose")


def write_summary(figures: Path | None = None) -> Path:
    """Write README.md into `figures`, whose sub-folders are presets; returns its path. None: where figures go."""
    figures = figures or figures_root()
    path = figures / "README.md"
    write_atomically(path, text(figures).encode())
    return path


def text(figures: Path) -> str:
    """What `write_summary` writes. A table that no preset has drawn yet is left out."""
    parts = ["# Figures, tables and the claims ledger\n"]
    parts.append("Written by `arl reproduce`, from the files beside this one. Do not edit it.\n")
    sections = {preset: [*_tables(figures / preset), *_ledger(figures / preset)] for preset in PRESETS}
    drawn = [preset for preset in PRESETS if sections[preset]]
    for preset in drawn:
        data = f": {_data(figures / preset)}" if len(drawn) > 1 else ""
        parts += [f"## Preset {preset}{data}\n", *sections[preset]]
    parts += [*_beside(figures), *_ranks(figures), *speed_section(figures)]
    parts.append((PROSE / "method.md").read_text())
    return "\n".join(parts)


def _data(folder: Path) -> str:
    """The faces that the tables in `folder` were measured on, in a few words; the preset's own name where no table says."""
    said = (_measured_on(folder, name) for name, _ in TABLES.values() if (folder / f"{name}.json").exists())
    faces = (re.search(r", of: (.*?)\. C: ", words) for words in said)
    return next((match[1] for match in faces if match), TITLES.get(folder.name, folder.name))


def _beside(figures: Path) -> Iterable[str]:
    """Paper, photographs and drawings side by side: the claims of the presets with a title."""
    found = {TITLES[preset]: ledger for preset in TITLES if (ledger := read_ledger(figures / preset)) is not None}
    if len(found) > 1:
        yield f"## Claims: paper · {' · '.join(found)}\n"
        yield "\n".join(f"* {line}" for line in agreement(found)) + "\n"
        yield "\n".join(ledgers_table(found)) + "\n"


def _ranks(figures: Path) -> Iterable[str]:
    """The rank correlations of the first of the presets with a title that has them."""
    folder = next((figures / preset for preset in TITLES if (figures / preset / f"{RANKS}.json").exists()), None)
    if folder is not None:
        numbers = json.loads((folder / f"{RANKS}.json").read_text())["numbers"]
        bed = any(pair["rule"] for pair in numbers["pairs"])
        yield "## From drawings to photographs\n" if bed else "## In the order of the paper\n"
        words = (
            "Spearman's rank correlation ρ of the tables' distinct rows, with its 95 % interval over rows and seeds."
        )
        yield f"{words} {numbers['rule']}\n" if bed else f"{words}\n"
        yield "\n".join(ranks_table(numbers["pairs"])) + "\n"
        yield f"![Each row on two sets of faces, with rank correlations]({folder.name}/{RANKS}.png)\n"


def _tables(folder: Path) -> Iterable[str]:
    """Each drawn table of a preset's `folder` as a section."""
    for title, (name, metrics) in TABLES.items():
        if (folder / f"{name}.csv").exists():
            yield f"### {title}\n"
            yield f"Ours ± half of the interval (the paper's, on CelebA). {_measured_on(folder, name)}\n"
            yield "\n".join(table(folder, title, metrics)) + "\n"
            yield f"More columns and the run ids: [{name}.csv]({folder.name}/{name}.csv), [LaTeX]({folder.name}/{name}.tex).\n"
            pictures = {name: f"{title}, ours beside the paper's", **BESIDE.get(title, {})}
            for picture, words in pictures.items():
                if (folder / f"{picture}.png").exists():
                    yield f"![{words}]({folder.name}/{picture}.png)\n"


def table(folder: Path, title: str, metrics: Iterable[str], only: Iterable[str] = ()) -> list[str]:
    """Lines of Markdown: each row's value ± half its interval, and the paper's in brackets; `only` some of its rows, if named."""
    cells = {(cell["row"], cell["metric"]): cell for cell in read_cells(folder / f"{TABLES[title][0]}.csv")}
    rows = [row for row in dict.fromkeys(row for row, _ in cells) if not only or row in set(only)]
    heads = [f"{NAMES[metric][0].removesuffix(' S_b / S_w')} {NAMES[metric][1]}" for metric in metrics]
    lines = [f"| {title} | {' | '.join(heads)} |", "|" + "---|" * (1 + len(heads))]
    for row in rows:
        found = [cells[row, metric] for metric in metrics]
        number = row.removeprefix("1") + " " if title == "Table 1" else ""
        lines.append(f"| {number}{found[0]['label']} | {' | '.join(map(_cell, found))} |")
    return lines


def _cell(cell: dict[str, str]) -> str:
    """`0.666 ± 0.026 (0.641)`; a dash where it could not be measured."""
    if not cell["value"]:
        return "–"
    decimals = NAMES[cell["metric"]][2]
    value, half = float(cell["value"]), (float(cell["high"]) - float(cell["low"])) / 2
    paper = f" ({float(cell['paper']):.{decimals}f})" if cell["paper"] else ""
    return f"{value:.{decimals}f} ± {half:.{decimals}f}{paper}"


def _measured_on(folder: Path, name: str) -> str:
    """Faces, judges, kind of interval of a table, as its JSON says."""
    return json.loads((folder / f"{name}.json").read_text())["numbers"]["on"]


def _ledger(folder: Path) -> Iterable[str]:
    """The ledger of a preset's `folder`, with what is known of causes."""
    if (found := read_ledger(folder)) is None:
        return
    yield "### Claims ledger\n"
    yield f"Each statement of the paper about its results as a test on these runs: {counts(found)}.\n"
    yield "\n".join(ledger_table(found)) + "\n"
    yield f"![Each claim's effect with its interval]({folder.name}/{CLAIMS}.png)\n"
    if (causes := PROSE / f"{folder.name}.md").exists():
        yield causes.read_text()
    yield from _by_the_strongest(folder)


def _by_the_strongest(folder: Path) -> Iterable[str]:
    """Which verdicts change where the strongest of several attackers stands for the paper's."""
    found = read_ledger(folder, STRONGEST)
    if found is None:
        return
    changed = [f for f in found if f["stands"].startswith("now")]
    yield "### The ledger by the strongest attacker\n"
    words = "The same claims, once more by the strongest attacker of each row, which held-out faces of X2 choose"
    again = counts([f["strongest"] for f in found])
    seeds = max(len(f["each"]) for f in found)
    yield (
        f"{words}, over {seeds} seed{'s' * (seeds > 1)}: {again}; {len(changed)} of {len(found)} verdicts change "
        f"([each claim]({folder.name}/{STRONGEST}.png)).\n"
    )
    if changed:
        lines = ["| | claim | by the paper's attacker | by the strongest |", "|" + "---|" * 4]
        for f in changed:
            each = (f"{one['verdict']} {effect_said(one)}" for one in (f, f["strongest"]))
            lines.append(f"| {f['id']} | {f['where']}: {f['claim']} | {' | '.join(each)} |")
        yield "\n".join(lines) + "\n"


def counts(found: list[dict[str, Any]]) -> str:
    """Such as "17 hold, 3 are undecided, 4 fail"."""
    holds, fails = (sum(f["verdict"] == word for f in found) for word in ("holds", "fails"))
    return f"{holds} hold, {len(found) - holds - fails} are undecided, {fails} fail"


def ledger_table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown, one a claim."""
    lines = ["| | claim | effect (95 % over seeds) | paper's | verdict |", "|" + "---|" * 5]
    for f in found:
        lines.append(
            f"| {f['id']} | {f['where']}: {f['claim']} | {effect_said(f)} | {paper_said(f)} | {f['verdict']} |"
        )
    return lines


def readme(words: str, figures: Path) -> str:
    """The project's README, with its small table and the count of the claims as the committed figures have them."""
    folder = figures / "quick"
    lines = table(folder, "Table 1", TABLES["Table 1"][1], IN_README)
    words = re.sub(r"\| Table 1 \|.*\n(\|.*\n)*", lambda _: "\n".join(lines) + "\n", words)
    found = read_ledger(folder) or []
    return re.sub(r"\d+ hold, \d+ are undecided, \d+ fail", counts(found), words)


def main() -> None:
    figures = project_root() / "figures"
    path = project_root() / "README.md"
    write_summary(figures)
    write_atomically(path, readme(path.read_text(), figures).encode())


if __name__ == "__main__":
    main()
