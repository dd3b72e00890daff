"""Which two settings the first picture of the README shows: nobody picks them by hand.

The rule, over the measured rows of the tables that read Z at fc, learn all attributes, and have no extra data:

1. An encoder's leak is the face similarity that the strongest of the Dec^a which were tried on it reaches, the mean over seeds.
2. Of the protected encoders that lose at most `KEPT` of mean MCC against no protection, the one that leaks least is shown; where none
   keeps that much, the one that keeps most.
3. Beside it stands the encoder without protection, attacked in the same way as the row that was chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from arl.config import RunConfig
from arl.paper.claims import KEPT
from arl.paper.figures import compare
from arl.paper.measured import Line, measure
from arl.paper.rows import Setting, every_row
from arl.paper.tables import read_cells

UNPROTECTED = "1#1"  # the row whose mean MCC is what protection may cost
Figures = Mapping[str, Mapping[str, float]]  # by a row's name, its figures by metric


def choose_pair(settings: Sequence[Setting], figures: Figures) -> tuple[Setting, Setting]:
    """No protection, then the protection that is shown: the rule above, of those `settings` that `figures` has.

    Raises `ValueError` where the row without protection, or any with it, was not measured.
    """
    by_encoder: dict[str, list[Setting]] = {}
    for setting in settings:
        if setting.name in figures and setting.cfg.protected and _alike(setting.cfg):
            by_encoder.setdefault(str(setting.cfg.encoder_fields()), []).append(setting)
    if UNPROTECTED not in figures or not by_encoder:
        found = ", ".join(figures) or "none"
        raise ValueError(f"rows: found {found}, accepted: {UNPROTECTED} and at least one with protection at fc")
    strongest = [max(rows, key=lambda row: figures[row.name]["face_similarity"]) for rows in by_encoder.values()]
    lost = {row.name: figures[UNPROTECTED]["mean_mcc"] - figures[row.name]["mean_mcc"] for row in strongest}
    kept = [row for row in strongest if lost[row.name] <= KEPT]
    if kept:
        chosen = min(kept, key=lambda row: figures[row.name]["face_similarity"])
    else:
        chosen = min(strongest, key=lambda row: lost[row.name])
    off = dict.fromkeys(("lambda1", "lambda2", "simulated_mu1", "simulated_mu2"), 0)
    unprotected = replace(chosen, key=f"{chosen.key}, unprotected", label="no protection", paper={})
    return replace(unprotected, cfg=chosen.cfg.replace(**off)), chosen


def _alike(cfg: RunConfig) -> bool:
    """Whether a row compares with the first of Table 1: all attributes, Z at fc, no extra data."""
    return cfg.layer == "fc" and cfg.attributes == RunConfig.model_fields["attributes"].default and cfg.extra == "none"


def measured_pair(lines: Sequence[Line]) -> list[Line]:
    """The two of `choose_pair` among measured `lines`, each with its run of their first seed, found or made."""
    metrics = ("mean_mcc", "face_similarity")
    figures = {line.setting.name: {metric: line.figure(metric)["value"] for metric in metrics} for line in lines}
    return measure(choose_pair([line.setting for line in lines], figures), lines[0].runs[0].config.seed)


def pair_figure(pair: Sequence[Line], people: int = 8) -> Figure:
    """Faces of T, and what is decoded without and with the protection that the rule chose."""
    unprotected, chosen = (line.runs[0] for line in pair)
    weights = chosen.config.defence.symbols("lambda1", "lambda2")
    return compare({"no\nprotection": unprotected, weights.replace(" ", "\n").replace("=", " = "): chosen}, people)


def table_figures(folder: Path) -> dict[str, dict[str, float]]:
    """What the tables' CSV files in `folder` say, by row and metric."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(folder.glob("*_table[123].csv")):
        for cell in read_cells(path):
            if cell["value"]:
                found.setdefault(cell["row"], {})[cell["metric"]] = float(cell["value"])
    return found


def pair_text(folder: Path) -> str:
    """What the rule picks from the tables in `folder`, with the figures that decide."""
    figures = table_figures(folder)
    _, chosen = choose_pair(every_row(RunConfig()), figures)
    lines = [f"the pair: {UNPROTECTED}, attacked as {chosen.name} is, and {chosen.name}"]
    for name in (UNPROTECTED, chosen.name):
        of = figures[name]
        lines.append(f"{name}: mean MCC {of['mean_mcc']:.3f}, face similarity {of['face_similarity']:.3f}")
    return "\n".join(lines)
