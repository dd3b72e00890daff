"""The README's tables are those of figures/quick: each figure in it was computed, and a later run leaves none behind.

python tests/test_readme.py        writes them anew
"""

import csv
import json
import re

import pytest
from lab import ROOT

README, FIGURES = ROOT / "README.md", ROOT / "figures" / "quick"
TABLES = {
    "Table 1": ("02_table1", ("mean_mcc", "face_similarity", "feature_similarity")),
    "Table 2": ("03_table2", ("mean_mcc", "face_similarity", "feature_similarity")),
    "Table 3": ("04_table3", ("face_similarity", "mean_mcc", "lda_score")),
}
HEADS = {
    "mean_mcc": "mean MCC ↑",
    "face_similarity": "face similarity ↓",
    "feature_similarity": "feature similarity ↓",
    "lda_score": "LDA score ↓",
}


def table(title: str) -> list[str]:
    """Lines of Markdown: each row's value ± half its 95 % interval over seeds, and the paper's in brackets."""
    name, metrics = TABLES[title]
    with open(FIGURES / f"{name}.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    lines = [f"| {title} | {' | '.join(HEADS[metric] for metric in metrics)} |", "|" + "---|" * (1 + len(metrics))]
    for row in dict.fromkeys(cell["row"] for cell in cells):
        own = {cell["metric"]: cell for cell in cells if cell["row"] == row}
        found = [
            f"{float(c['value']):.3f} ± {(float(c['high']) - float(c['low'])) / 2:.3f} ({float(c['paper']):.3f})"
            for c in (own[metric] for metric in metrics)
        ]
        number = row.removeprefix("1") + " " if title == "Table 1" else ""
        lines.append(f"| {number}{own[metrics[0]]['label']} | {' | '.join(found)} |")
    return lines


def claims() -> tuple[str, list[str]]:
    """The sentence that counts the verdicts, and the ledger as lines of Markdown."""
    found = json.loads((FIGURES / "10_claims.json").read_text())["numbers"]
    lines = ["| | claim | effect (95 % over seeds) | paper's | verdict |", "|" + "---|" * 5]
    for f in found:
        paper = "–" if f["paper"] is None else f"{f['paper']:+.3f}"
        effect = f"{f['value']:+.3f} ({f['low']:+.3f} … {f['high']:+.3f})"
        lines.append(f"| {f['id']} | {f['where']}: {f['claim']} | {effect} | {paper} | {f['verdict']} |")
    holds, fails = (sum(f["verdict"] == word for f in found) for word in ("holds", "fails"))
    return f"{holds} hold, {len(found) - holds - fails} are undecided, {fails} fail", lines


def measured_on() -> str:
    """What the tables were measured on, as the first of them says it, without g, which differs."""
    on = json.loads((FIGURES / "02_table1.json").read_text())["numbers"]["on"]
    return re.sub(r" g: [^.]*\.", "", on)


@pytest.mark.parametrize("title", TABLES)
def test_tables_are_the_committed_ones(title):
    assert "\n".join(["", *table(title), ""]) in README.read_text()


def test_claims_are_the_committed_ones():
    counts, lines = claims()
    text = README.read_text()
    assert counts in text
    assert "\n".join(["", *lines, ""]) in text


def test_says_what_it_was_measured_on():
    assert measured_on() in README.read_text()


if __name__ == "__main__":
    text = README.read_text()
    for lines in (*(table(title) for title in TABLES), claims()[1]):
        text, n = re.subn(re.escape(lines[0]) + r"\n(\|.*\n)*", "\n".join(lines).replace("\\", r"\\") + "\n", text)
        assert n == 1, lines[0]
    text = re.sub(r"\d+ hold, \d+ are undecided, \d+ fail", claims()[0], text)
    text = re.sub(r"T, \d+ images unseen.*95 % t-interval over .*?\)\.", measured_on(), text)
    README.write_text(text)
