"""The claims ledgers of several data sets beside one another and beside the paper, from the JSON of 10_claims; how often they agree."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from arl.paper.ranks import CLAIMS, TITLES
from arl.paper.saved import find_figures

PAPER = "the paper"

Ledger = Sequence[Mapping[str, Any]]


def read_ledger(folder: Path, name: str = CLAIMS) -> list[dict[str, Any]] | None:
    """What `claims.ledger` found, as `10_claims.json` in `folder` has it, or another figure of that notebook; None without the file."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text())["numbers"] if path.exists() else None


def find_ledgers(*presets: str) -> dict[str, Ledger]:
    """By name in print, the ledgers of `presets` that there are, in the store's figures or in the project's."""
    folders = {preset: find_figures(preset, [f"{CLAIMS}.json"]) for preset in presets}
    return {TITLES.get(p, p): read_ledger(folder) for p, folder in folders.items() if folder is not None}


def ledgers_rows(found: Mapping[str, Ledger]) -> list[list[str]]:
    """Cells of text: a head, then for each claim that all have its letter, its words, the paper's effect, and what each of `found` says."""
    by_id = {name: {f["id"]: f for f in ledger} for name, ledger in found.items()}
    rows = [["", "claim", PAPER, *by_id]]
    for f in next(iter(found.values()), ()):
        if all(f["id"] in each for each in by_id.values()):
            said = (f"{own['verdict']} {effect_said(own)}" for own in (each[f["id"]] for each in by_id.values()))
            rows.append([f["id"], f"{f['where']}: {f['claim']}", paper_said(f), *said])
    return rows


def effect_said(f: Mapping[str, Any]) -> str:
    """Such as `+0.029 (+0.016 … +0.042)`; of one seed without interval."""
    interval = "" if f["low"] is None else f" ({f['low']:+.3f} … {f['high']:+.3f})"
    return f"{f['value']:+.3f}{interval}"


def paper_said(f: Mapping[str, Any]) -> str:
    """The paper's own effect, or a dash."""
    return "–" if f["paper"] is None else f"{f['paper']:+.3f}"


def agreement(found: Mapping[str, Ledger]) -> list[str]:
    """Sentences: how many verdicts and signs two of `found` share, and how many of its effects have the sign that the paper's has."""
    by_id = {name: {f["id"]: f for f in ledger} for name, ledger in found.items()}
    lines = []
    for one, other in combinations(by_id, 2):
        pairs = [(f, by_id[other][key]) for key, f in by_id[one].items() if key in by_id[other]]
        decided = [(a, b) for a, b in pairs if "undecided" not in (a["verdict"], b["verdict"])]
        words = f"{one} and {other} have the same verdict in {_share(a['verdict'] == b['verdict'] for a, b in pairs)} claims"
        alike = _share((a["value"] > 0) == (b["value"] > 0) for a, b in pairs)
        words += f", in {_share(a['verdict'] == b['verdict'] for a, b in decided)} that both decide"
        lines.append(f"{words}; the same sign of effect in {alike}.")
    for name, ledger in by_id.items():
        printed = [f for f in ledger.values() if f["paper"] is not None]
        same = _share((f["value"] > 0) == (f["paper"] > 0) for f in printed)
        lines.append(f"The effect has the paper's sign in {same} claims on {name}.")
    return lines


def _share(each: Any) -> str:
    """`17 of 24 (71 %)`."""
    each = [*each]
    return f"{sum(each)} of {len(each)}" + (f" ({sum(each) / len(each):.0%})".replace("%", " %") if each else "")


def ledgers_table(found: Mapping[str, Ledger]) -> list[str]:
    """Lines of Markdown, one a claim."""
    rows = [f"| {' | '.join(row)} |" for row in ledgers_rows(found)]
    return [rows[0], "|" + "---|" * (3 + len(found)), *rows[1:]]


def ledgers_text(found: Mapping[str, Ledger]) -> str:
    """The same for reading in a notebook, with how often they agree; a line where `found` is empty."""
    if not found:
        return "no ledgers to show"
    rows = ledgers_rows(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = [0, *range(2, len(widths)), 1]  # the claim comes last, as it is long
    lines = ["  ".join(row[i].ljust(widths[i]) for i in columns).rstrip() for row in rows]
    return "\n".join([*lines, "", *agreement(found)])
