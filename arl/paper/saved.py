"""Where figures are kept: PNG, vector PDF, and a JSON with the run ids, numbers, commit and versions behind each."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from arl.config import PRESETS, RunConfig
from arl.paper.measured import Line
from arl.store import Run, made_with, project_root, write_json

Rows = Mapping[str, Run] | Sequence[Run | Line]


@dataclass(frozen=True)
class Saved:
    """A figure on the disk: `path` is its PNG. As the last value of a notebook's cell it shows itself."""

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


def figures_folder(preset: str) -> Path:
    """Where figures of `preset` go: `$ARL_FIGURES`, else `figures/`, and there a folder a preset."""
    return Path(os.environ.get("ARL_FIGURES") or project_root() / "figures") / preset


def save_figure(figure: Figure, name: str, rows: Rows, numbers: Any = None) -> Saved:
    """Write `figure` as PNG and PDF, and beside them a JSON: the runs it was drawn from, its numbers, commit, versions.

    It goes to the folder of the preset that `rows` (runs, or lines of a table) were made with. The figure is closed: what is
    returned shows the file itself.
    """
    runs = runs_of(rows)
    preset = preset_of(runs)
    folder = figures_folder(preset)
    folder.mkdir(parents=True, exist_ok=True)
    # A fixed date and producer keep the file the same when the figure is.
    figure.savefig(folder / f"{name}.png", dpi=200, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None, "Producer": None})
    provenance = {
        "figure": name,
        "preset": preset,
        "runs": {run.id: run.spec for run in runs},
        "numbers": numbers,
        "drawn_with": made_with(),
    }
    write_json(folder / f"{name}.json", provenance)
    plt.close(figure)
    return Saved(folder / f"{name}.png")


def runs_of(rows: Rows) -> list[Run]:
    """The runs behind `rows`: of a line, those of all its seeds."""
    rows = rows.values() if isinstance(rows, Mapping) else rows
    return [run for row in rows for run in (row.runs if isinstance(row, Line) else [row])]


def preset_of(runs: Iterable[Run]) -> str:
    """The preset whose values the configurations of `runs` share most; the default, `quick`, where there are no runs."""
    shared = dict.fromkeys(("quick", "tiny", "paper"), 0)
    for run in runs:
        made = (run.result or {}).get("config") or run.spec
        for name in shared:
            values = RunConfig.preset(name).model_dump(mode="json")
            changed = [field for preset in PRESETS.values() for field in preset]
            shared[name] += sum(field in made and made[field] == values[field] for field in changed)
    return max(shared, key=lambda name: shared[name])
