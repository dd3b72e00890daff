"""Where figures are kept: PNG, vector PDF, and a JSON with the run ids, numbers, commit and versions behind each.

Pictures of real people stay in the store, whatever folder of figures is named: what is committed shows nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, BboxImage, FigureImage

from arl import machine
from arl.config import RunConfig
from arl.listing import nearest_preset
from arl.messages import UserError, say
from arl.paper.measured import Line
from arl.paper.style import METRICS
from arl.row import Row
from arl.store import Run, made_with, make_folder, project_root, runs_root, write_json

Rows = Mapping[str, Row] | Sequence[Row | Run | Line]


@dataclass(frozen=True)
class Saved:
    """A figure on the disk: `path` is its PNG. As the last value of a notebook's cell it shows itself."""

    path: Path

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        png = self.path.read_bytes()
        width = int.from_bytes(png[16:20])
        return png, {"width": width // 2}  # the file has twice the points of a screen


def figures_root() -> Path:
    """Where figures go: `$ARL_FIGURES`, else `figures/` in the store. What is committed is replaced only when its folder is named."""
    return machine.folder("ARL_FIGURES") or runs_root() / "figures"


def figures_folder(preset: str) -> Path:
    """Where figures of `preset` go: a folder of `figures_root`."""
    return figures_root() / preset


def stored_figures(preset: str) -> Path:
    """Where figures of `preset` are in the store, whatever `$ARL_FIGURES` says."""
    return runs_root() / "figures" / preset


def find_figures(preset: str, names: Iterable[str]) -> Path | None:
    """The folder of `preset`'s figures that has most of the files `names`; of equals: where figures go, the store, the project."""
    folders = (figures_folder(preset), stored_figures(preset), project_root() / "figures" / preset)
    counts = {folder: sum((folder / name).is_file() for name in names) for folder in folders}
    best = max(folders, key=lambda folder: counts[folder])
    return best if counts[best] else None


def save_figure(figure: Figure, name: str, rows: Rows, numbers: Any = None) -> Saved:
    """Write `figure` as PNG and PDF, and beside them a JSON: the runs it was drawn from, its numbers, commit, versions.

    `numbers`: what was drawn; the metrics of each of the rows if None. It goes to the folder of the preset that `rows` (runs, or lines
    of a table) were made with; pictures of people who were not drawn go to the store instead, which is said. The figure is closed:
    what is returned shows the file itself.
    """
    runs, name = runs_of(rows), saved_name(name, rows)
    preset = preset_of(runs)
    folder = figures_folder(preset)
    if (
        shows_pictures(figure)
        and not figures_root().is_relative_to(runs_root())
        and not all(map(only_drawn, runs or [None]))
    ):
        folder = stored_figures(preset)
        say(f"{name}: shows people who are not drawn by code, so it is kept in {folder}, not in {figures_root()}")
    numbers = metrics_of(runs) if numbers is None else numbers
    return write_figure(figure, folder, name, preset, {run.id: run.spec for run in runs}, numbers)


def write_figure(figure: Figure, folder: Path, name: str, preset: str, runs: Any, numbers: Any) -> Saved:
    """Write NAME.png, NAME.pdf and NAME.json, with `runs` and `numbers`, into `folder`; closes the figure. For figures without people."""
    make_folder(folder)
    # A fixed date and producer keep the file the same when the figure is.
    figure.savefig(folder / f"{name}.png", dpi=200, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None, "Producer": None})
    provenance = {"figure": name, "preset": preset, "runs": runs, "numbers": numbers, "drawn_with": made_with()}
    write_json(folder / f"{name}.json", provenance)
    plt.close(figure)
    return Saved(folder / f"{name}.png")


def saved_name(name: str, rows: Rows) -> str:
    """`name`, of lines that a further judge has judged or another g than the preset's was used for with theirs: 03_table2_efficientnet."""
    lines = [row for row in rows if isinstance(row, Line)]
    judges = {line.judge: None for line in lines if line.judge}
    usual = RunConfig.preset(preset_of(runs_of(rows)), data_root="data").perceptual if lines else ""
    gs = {Path(line.setting.cfg.perceptual).stem: None for line in lines if line.setting.cfg.perceptual != usual}
    return "_".join([name, *judges, *gs])


def shows_pictures(figure: Figure) -> bool:
    """Whether an image is anywhere in `figure`. Every one is taken for a face, so a heat map is drawn by `pcolormesh` or seaborn."""
    return bool(figure.findobj(lambda artist: isinstance(artist, AxesImage | BboxImage | FigureImage)))


def only_drawn(run: Run | None) -> bool:
    """Whether all that `run`, its encoder and its attacks have seen was drawn by code; False where that is not known."""
    if run is None:
        return False
    try:
        ids = {*(run.result or {}).get("runs", {}).values()}
        ids |= set() if "data" in run.spec else {run.spec["encoder"]}  # of an encoder itself it is its architecture
        specs = [run.spec, *(Run(run.folder.with_name(id)).spec for id in ids)]
        seen = [spec[name]["kind"] for spec in specs for name in ("data", "extra_data") if name in spec]
    except (UserError, LookupError, TypeError):  # a run that was removed, or that another version wrote
        return False
    return bool(seen) and set(seen) == {"rendered"}


def runs_of(rows: Rows) -> list[Run]:
    """The runs behind `rows`: of a line, those of all its seeds."""
    rows = rows.values() if isinstance(rows, Mapping) else rows
    each = [row for line in rows for row in (line.runs if isinstance(line, Line) else [line])]
    return [row.run if isinstance(row, Row) else row for row in each]


def metrics_of(runs: Iterable[Run]) -> dict[str, Any]:
    """By id, each metric of those of `runs` that are rows: `value`, `low`, `high`."""
    found: dict[str, Any] = {}
    for run in runs:
        result = run.result or {}
        shown = {key: {k: result[key][k] for k in ("value", "low", "high")} for key, *_ in METRICS if key in result}
        if shown:
            found[run.id] = shown
    return found


def preset_of(runs: Iterable[Run]) -> str:
    """The preset whose values the configurations of `runs` share most; the default, `quick`, where there are no runs."""
    return nearest_preset((run.result or {}).get("config") or run.spec for run in runs)
