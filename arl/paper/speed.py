"""The table of speed in `figures/README.md`: what `tests/bench_*.py` wrote into `figures/bench/NAME.json`, each figure with its command.

A file holds `bench`, `date`, `commit`, `machine` and `figures`; a figure `name`, `unit`, `value`, `low`, `high`, `command`, and where there
is such a thing `ratio` (to the straightforward version, with `low` and `high`), `gflops` and `share` (of what a plain convolution reaches,
or what the file's `limited_by` says), `memory` (bytes of a device).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = "bench"  # in the figures' folder
FORM = {"bench": str, "date": str, "machine": dict, "figures": list}  # what a file of ours has at least
WORDS = (
    "Medians, with 95 % intervals over repetitions. *Of the limit*: floating-point operations a second over what a plain convolution "
    "reaches in the same process, on a GPU a product of two matrices in bf16. *× straightforward*: as many times as fast as the same "
    "mathematics in the way that first comes to mind (eager, NCHW, the encoder in every epoch of an attack, JPEGs decoded each epoch, "
    "a training per row), measured in turn in one process."
)


def speed_section(figures: Path) -> Iterable[str]:
    """The section of what lies in `figures`/bench; nothing where no bench has written there. Other JSON files are left alone."""
    found = {path: bench for path in sorted((figures / FOLDER).glob("*.json")) if (bench := _read(path)) is not None}
    if not found:
        return
    yield "## Speed\n"
    yield f"{WORDS}\n"
    for path, bench in found.items():
        yield f"### {bench['bench'].capitalize()}\n"
        yield f"{measured_with(bench)}\n"
        yield "\n".join(speed_table(bench["figures"])) + "\n"
        if path.with_suffix(".png").exists():
            yield f"![{bench['bench'].capitalize()}]({FOLDER}/{path.stem}.png)\n"


def speed_table(figures: Iterable[dict[str, Any]]) -> list[str]:
    """Lines of Markdown, one a figure; columns that no figure fills are left out."""
    figures = list(figures)
    columns = {"": lambda one: one["name"], "measured": _value}
    columns |= {"of the limit": _share} if any("share" in one for one in figures) else {}
    columns |= {"memory": _memory} if any("memory" in one for one in figures) else {}
    columns |= {"× straightforward": _ratio} if any("ratio" in one for one in figures) else {}
    columns["command"] = lambda one: f"`{one['command']}`"
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(cell(one) for cell in columns.values())} |" for one in figures]


def measured_with(bench: dict[str, Any]) -> str:
    """The machine, the day and the commit of a bench, in a line."""
    machine = bench["machine"]
    flags = f" ({', '.join(machine['flags'])})" if machine.get("flags") else ""
    parts = [f"{machine.get('cpu', 'a processor')}{flags}", f"{machine.get('cores', '?')} cores"]
    parts += [f"{machine['threads']} thread(s)"] if "threads" in machine else []
    parts += [f"torch {machine['torch']}"] if "torch" in machine else []
    best = max(bench["limit"].items(), key=lambda item: item[1]) if bench.get("limit") else None
    limited_by = bench.get("limited_by", "a plain convolution")
    parts += [f"{limited_by} reaches {best[1]:.0f} GFLOP/s ({best[0]})"] if best else []
    return f"{', '.join(parts)}; {bench['date'][:10]}, {_commits(bench)}."


def _commits(bench: dict[str, Any]) -> str:
    """The commit that was measured; of parts that were measured on several (`measured`), which on which."""
    parts: dict[str, list[str]] = {}
    for part, when in bench.get("measured", {}).items():
        parts.setdefault(when["commit"], []).append(part)
    if len(parts) < 2:
        return f"commit {next(iter(parts), bench.get('commit', 'unknown'))[:12]}"
    return ", ".join(f"{' '.join(names)} at commit {commit[:12]}" for commit, names in parts.items())


def _read(path: Path) -> dict[str, Any] | None:
    """A bench's JSON, or None for a file that is none."""
    try:
        found = json.loads(path.read_text())
    except ValueError:
        return None
    whole = isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in FORM.items())
    return found if whole else None


def _value(one: dict[str, Any]) -> str:
    ends = one.get("low"), one.get("high")
    between = f" ({short(ends[0])} … {short(ends[1])})" if None not in ends and ends[0] != ends[1] else ""
    return f"{short(one['value'])} {one['unit']}{between}"


def _share(one: dict[str, Any]) -> str:
    return f"{one['share']:.0%} ({one['gflops']:.0f} GFLOP/s)" if "share" in one else ""


def _memory(one: dict[str, Any]) -> str:
    return f"{one['memory'] / 1e9:.1f} GB" if "memory" in one else ""


def _ratio(one: dict[str, Any]) -> str:
    ratio = one.get("ratio")
    if ratio is None:
        return ""
    between = f" ({ratio['low']:.2f} … {ratio['high']:.2f})" if "low" in ratio else ""
    return f"{ratio['value']:.2f} ×{between}"


def short(value: float) -> str:
    """Three digits that count: 0.123, 45.6, 12 300."""
    if value == 0 or not abs(value) < 1e15:
        return f"{value:g}"
    decimals = 2 - int(f"{abs(value):e}".partition("e")[2])
    return f"{round(value, decimals):,.{max(0, decimals)}f}".replace(",", " ")
