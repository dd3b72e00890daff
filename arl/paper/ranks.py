"""From drawings to photographs: do the rows of the tables leak in the same order on both? And in the order that the paper printed?

Only the CSVs beside the tables are read. A correlation is over distinct rows: rows that stand for one measurement (attackers do not
change what Enc knows) count once. Its 95 % interval is the percentile one of `DRAWS` draws, in each of which the rows are drawn anew,
and each row's value from its seeds: the same seeds for all rows, as a seed is one split for all. A row of one seed is drawn from a
normal distribution as wide as its interval over images. What the paper printed is taken as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from arl.config import RunConfig
from arl.paper.measured import standard_error
from arl.paper.rows import every_row
from arl.paper.saved import find_figures
from arl.paper.style import METRICS, NAMES
from arl.paper.tables import read_cells

CLAIMS = "10_claims"
CSVS = ("02_table1", "03_table2", "04_table3")
TITLES = {
    "celeba10k": "CelebA 10k",
    "quick": "rendered",
}  # presets whose data have a name in print; of others it is their own
LEGITIMATE = 0.7
RULE = (
    "The rule, written before any number: in a metric, drawings are a legitimate test bed for photographs where all of the 95 % "
    f"interval of Spearman's ρ over all distinct rows is above {LEGITIMATE}, not legitimate where all of it is below, else undecided."
)
WORDS = {True: "legitimate", False: "not legitimate", None: "undecided"}
DRAWS = 2000
FEWEST = 5  # distinct rows that a correlation needs
# Which rows, by their names such as "1#2", "2:λ2=5", "3:conv1, with".
WITHIN = {
    "all rows": ("", ""),
    "attackers (Table 1)": ("1", ""),
    "λ2 (Table 2)": ("2", ""),
    "layers, without (Table 3)": ("3", "without"),
    "layers, with (Table 3)": ("3", ", with"),
}


@dataclass(frozen=True)
class Measured:
    """The figures of the tables by (row, metric): the value of each seed (seeds,). `errors`: of one seed alone, its standard error."""

    title: str
    values: dict[tuple[str, str], np.ndarray]
    errors: dict[tuple[str, str], float] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)  # ids by row; none where they were printed
    on: str = ""  # what all was measured on
    folder: Path | None = None


def printed() -> Measured:
    """What the paper printed."""
    rows = every_row(RunConfig())
    return Measured("the paper", {(row.name, metric): np.array([v]) for row in rows for metric, v in row.paper.items()})


def read_tables(preset: str) -> Measured | None:
    """The drawn tables of `preset`, from the store's figures or the project's; None where there are none."""
    folder = find_figures(preset, [f"{name}.csv" for name in CSVS])
    if folder is None:
        return None
    found = Measured(TITLES.get(preset, preset), {}, folder=folder, on=_on(folder))
    for name in CSVS:
        if (folder / f"{name}.csv").exists():
            for cell in read_cells(folder / f"{name}.csv"):
                _add(found, cell)
    return found


def _add(found: Measured, cell: Mapping[str, str]) -> None:
    """A cell of a table; what could not be measured is left out."""
    seeds = np.array(cell["seeds"].split(), np.float64)
    key = cell["row"], cell["metric"]
    found.runs[cell["row"]] = cell["runs"]
    if len(seeds) and np.isfinite(seeds).all():
        found.values[key] = seeds
        if len(seeds) == 1 and cell["low"]:
            found.errors[key] = standard_error({end: float(cell[end]) for end in ("low", "high")})


def _on(folder: Path) -> str:
    """What the first table says that it was measured on."""
    paths = [folder / f"{name}.json" for name in CSVS]
    return next((json.loads(path.read_text())["numbers"]["on"] for path in paths if path.exists()), "")


# -- correlations ---------------------------------------------------------------------------------------------------


def common(x: Measured, y: Measured, metric: str, group: str = "all rows") -> list[str]:
    """The distinct rows of `group` that both have: the first of those that are one measurement wherever one was measured."""
    start, end = WITHIN[group]
    rows = [row for row, of in x.values if of == metric and (row, metric) in y.values]
    found: dict[Any, str] = {}
    for row in rows:
        if row.startswith(start) and row.endswith(end):
            same = tuple(data.values[row, metric].tobytes() for data in (x, y) if data.runs)
            found.setdefault(same or row, row)
    return list(found.values())


def rank_interval(x: Measured, y: Measured, metric: str, group: str = "all rows", draws: int = DRAWS) -> dict[str, Any]:
    """`spearman` and `kendall` (τ-b), each `value`, `low`, `high`, over `rows`; {"rows": n} alone where they are fewer than `FEWEST`."""
    rows = common(x, y, metric, group)
    keys = [(row, metric) for row in rows]
    means = [np.array([data.values[key].mean() for key in keys]) for data in (x, y)]
    if len(rows) < FEWEST or any(np.ptp(values) == 0 for values in means):
        return {"rows": len(rows)}
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(rows), size=(draws, len(rows)))
    drawn = [np.take_along_axis(redrawn(data, keys, draws, rng), chosen, 1) for data in (x, y)]
    names = ("spearman", "kendall")
    values, several = rank_correlations(*(v[None] for v in means)), rank_correlations(*drawn)
    found = {}
    for name, (value,), each in zip(names, values, several, strict=True):
        low, high = np.nanquantile(each, [0.025, 0.975])
        found[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return {"rows": len(rows), **found}


def redrawn(data: Measured, keys: Sequence[tuple[str, str]], draws: int, rng: np.random.Generator) -> np.ndarray:
    """The values of `keys`, (draws, keys), each a mean over seeds that are drawn with replacement, the same for all of as many seeds."""
    seeds = {n: rng.integers(n, size=(draws, n)) for n in sorted({len(data.values[key]) for key in keys})}
    columns = []
    for key in keys:
        values = data.values[key]
        column = values[seeds[len(values)]].mean(1)
        columns.append(column + data.errors[key] * rng.standard_normal(draws) if key in data.errors else column)
    return np.stack(columns, 1)


def rank_correlations(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's ρ and Kendall's τ-b of each line of two (draws, n), (draws,); nan where one is constant."""
    both = [stats.rankdata(values, axis=1) for values in (x, y)]
    a, b = (ranks - ranks.mean(1, keepdims=True) for ranks in both)
    pairs = np.triu_indices(x.shape[1], 1)
    s, t = (np.sign(ranks[:, pairs[0]] - ranks[:, pairs[1]]) for ranks in both)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho, tau = ((u * v).sum(1) / np.sqrt((u**2).sum(1) * (v**2).sum(1)) for u, v in ((a, b), (s, t)))
    return rho, tau


# -- what is compared -----------------------------------------------------------------------------------------------


def compared(ours: str, drawn: str) -> list[tuple[Measured, Measured]]:
    """Pairs to compare, of those there are: drawings with photographs, and what the paper printed with each. `ours`, `drawn`: presets."""
    tables = [found for preset in dict.fromkeys((drawn, ours)) if (found := read_tables(preset)) is not None]
    return [*([tuple(tables)] if len(tables) == 2 else []), *((printed(), found) for found in reversed(tables))]


def missing_tables(*presets: str) -> str:
    """A line for each of `presets` whose tables or ledger are not there, with the command that makes them; empty where all are."""
    tables = [p for p in presets if read_tables(p) is None]
    ledgers = [p for p in presets if p not in tables and find_figures(p, [f"{CLAIMS}.json"]) is None]
    lines = [
        f"no tables of preset {p} yet: `arl reproduce --preset {p}` makes them (photographs: --set data_root=FOLDER)"
        for p in tables
    ]
    lines += [f"no ledger of preset {p} yet: `arl reproduce --preset {p} 10` makes it" for p in ledgers]
    return "\n".join(lines)


def correlations(pair: tuple[Measured, Measured]) -> dict[str, dict[str, Any]]:
    """By metric and group, the `rank_interval` of a pair; metrics without a common row are left out."""
    found = {metric: {group: rank_interval(*pair, metric, group) for group in WITHIN} for metric, *_ in METRICS}
    return {metric: groups for metric, groups in found.items() if groups["all rows"]["rows"]}


def legitimate(found: Mapping[str, Any]) -> bool | None:
    """What `RULE` says of a correlation; None: undecided."""
    rho = found.get("spearman")
    if rho is None or rho["low"] <= LEGITIMATE <= rho["high"]:
        return None
    return rho["low"] > LEGITIMATE


def ranks_text(pairs: Sequence[tuple[Measured, Measured]]) -> str:
    """The rule, then for each pair and metric what it says, with ρ and τ over all rows and ρ within each group."""
    out = [RULE if any(is_bed(pair) for pair in pairs) else "", *(_pair_text(pair) for pair in pairs)]
    return "\n\n".join(filter(None, out)) or "no tables to compare"


def is_bed(pair: tuple[Measured, Measured]) -> bool:
    """Whether both were measured: the rule is about test beds, not about what was printed."""
    return all(data.runs for data in pair)


def _pair_text(pair: tuple[Measured, Measured]) -> str:
    out = [f"{pair[0].title} → {pair[1].title}", *(f"  {data.title}: {data.on}" for data in pair if data.on)]
    for metric, groups in correlations(pair).items():
        every = groups["all rows"]
        says = f", {WORDS[legitimate(every)]}" if is_bed(pair) else ""
        out.append(f"  {NAMES[metric][0]}: {ranks_said(every)}{says}")
        within = {name: each for name, each in groups.items() if name != "all rows" and each["rows"]}
        out += [f"      {name}: {ranks_said(each, short=True)}" for name, each in within.items()]
    return "\n".join(out)


def ranks_said(found: Mapping[str, Any], short: bool = False) -> str:
    """`ρ = 0.82 (0.61 … 0.93), τ = 0.66 (0.45 … 0.80) over 26 rows`; `short`: ρ alone."""
    n = found["rows"]
    if "spearman" not in found:
        return f"too few rows that differ ({n})"
    each = [(letter, found[name]) for letter, name in (("ρ", "spearman"), ("τ", "kendall"))]
    parts = [f"{letter} = {m['value']:.2f} ({m['low']:.2f} … {m['high']:.2f})" for letter, m in each]
    return f"{', '.join(parts[:1] if short else parts)} over {n} rows"


def ranks_table(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of Markdown, one a metric, of `pairs` as `save_ranks` writes them: ρ over all distinct rows, a column a pair."""
    heads = [f"{pair['across']} → {pair['up']}" for pair in pairs]
    lines = [f"| ρ over all rows | {' | '.join(heads)} |", "|" + "---|" * (1 + len(heads))]
    for metric in dict.fromkeys(metric for pair in pairs for metric in pair["correlations"]):
        cells = [pair["correlations"].get(metric, {}).get("all rows", {"rows": 0}) for pair in pairs]
        says = [f": {WORDS[legitimate(cell)]}" if pair["rule"] else "" for cell, pair in zip(cells, pairs, strict=True)]
        words = [f"{ranks_said(cell, short=True)}{word}" for cell, word in zip(cells, says, strict=True)]
        lines.append(f"| {NAMES[metric][0]} | {' | '.join(words)} |")
    return lines
