"""How time and memory grow with images, with their size, with the encoder's width and with the runs of the store.

    python tests/bench_growth.py OUT.json [--keep] [--plot FILE.png] [--parts images,size,width,runs,resume] [--images 2000,10000,50000]

Each point is a process of its own. The power of growth is the slope in log–log with its 95 % interval: 1 is linear, 0 is flat. Photographs
are drawn faces as JPEGs of CelebA's size in CelebA's layout, a few different ones under many names by hard links: reading and decoding them
costs what it does of different files, but for a disk that has never read them. Import is compared with decoding the same files on all
cores and nothing else, and with making squares of them a file at a time. An import is killed by `kill -9` in the middle and called again:
the bytes have to be those of one that was let be. What `--keep` keeps stands under `measured` with the commit,
the threads and the load of its own day.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
import numpy as np
from drawn import write_drawn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from yardstick import exponent, machine, write_report

from arl.machine import child_environment
from arl.paper.style import COLOURS, WIDTH, themed
from arl.store import file_sha256, made_with

HERE = Path(__file__).resolve().parent
PARTS = ("images", "size", "width", "runs", "resume")
MB = 1e6
ASKED = (
    "arl runs",
    "arl runs, its first line",
    "a run by a part of its id",
    "arl.find",
    "explorer, reads the rows",
    "explorer, next choice",
)
WORDS = {
    "import": "import of JPEGs",
    "decode": "decoding alone",
    "squares": "a file at a time to squares, nothing kept",
    "pass": "finding them, and one pass of batches",
    "size": "pixels a side",
    "width": "the encoder's width",
}
Points = dict[str, list[dict[str, Any]]]


# -- points ---------------------------------------------------------------------------------------------------------


def started(kind: str, store: Path, **given: Any) -> subprocess.Popen:
    """The process of a point, at work in `store`."""
    env = child_environment(ARL_RUNS=str(store), PYTHONPATH=f"{HERE.parent}:{HERE}")
    command = [sys.executable, str(HERE / "growth_points.py"), kind, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def point(kind: str, store: Path, **given: Any) -> dict[str, Any]:
    """What a point measured, and `given` but for folders. Raises `click.ClickException` with its last words."""
    process = started(kind, store, **given)
    out, err = process.communicate()
    if process.returncode:
        raise click.ClickException(f"{kind}: {(err.strip().splitlines() or ['ended'])[-1]}")
    found = {name: value for name, value in given.items() if name != "root"} | json.loads(out.splitlines()[-1])
    click.echo(f"{kind}: {json.dumps({k: v for k, v in found.items() if k != 'asked'})}", err=True)
    return found


@contextmanager
def room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def of_images(counts: list[int], size: int) -> Points:
    """Import, decoding, squares, a pass, at each number of images."""
    found: Points = {"import": [], "decode": [], "squares": [], "pass": []}
    for n in counts:
        with room() as folder:
            write_drawn(folder / "photographs", n)
            for kind in ("decode", "import", "squares", "pass"):
                given = {"root": str(folder / "photographs"), "size": size}
                found[kind].append(point(kind, folder / "runs", **given) | {"images": n})
    return found


def of_steps(name: str, values: list[int]) -> Points:
    """The joint step at each size, or at each width."""
    found = []
    for value in values:
        with room() as folder:
            given = {"size": 48, "width": 16} | {name: value}
            found.append(point("step", folder / "runs", root=str(folder), **given))
    return {name: found}


def of_runs(counts: list[int]) -> Points:
    """Questions to a store of so many runs, four a row."""
    found = []
    for n in counts:
        with room() as folder:
            found.append(point("store", folder, rows=max(1, round(n / 4))))
    return {"runs": found}


def resumed(images: int, size: int) -> dict[str, Any]:
    """An import killed when a third of it is done, and called again, against one that was let be."""
    with room() as folder:
        given = {"root": str(folder / "photographs"), "size": size}
        write_drawn(folder / "photographs", images)
        whole = point("import", folder / "whole", **given)
        process = started("import", folder / "killed", **given)
        done = kill_at(process, folder / "killed", 1 / 3)
        again = point("import", folder / "killed", **given)
        equal = digests(folder / "whole") == digests(folder / "killed")
    return {"images": images, "done": done, "equal": equal, "whole": whole["seconds"], "again": again["seconds"]}


def kill_at(process: subprocess.Popen, store: Path, share: float) -> float:
    """Kill the import `process` with -9 when `share` of its images is marked; what was marked then."""
    done = 0.0
    while done < share and process.poll() is None:
        time.sleep(0.005)
        for marks in store.glob("data/*/done.u8"):
            done = float(np.fromfile(marks, np.uint8).mean()) if marks.stat().st_size else 0.0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if not 0 < done < 1:
        raise click.ClickException(f"resume: found {done:.0%} done at the kill, accepted: a part; try more --images")
    return done


def digests(store: Path) -> dict[str, str]:
    """SHA-256 of the images and labels in `store`, by folder and name."""
    paths = [path for name in ("images.u8", "labels.safetensors") for path in sorted(store.glob(f"data/*/{name}"))]
    if len(paths) != 2:
        raise click.ClickException(f"resume: found {len(paths)} files in {store.name}, accepted: images and labels")
    return {f"{path.parent.name}/{path.name}": file_sha256(path) for path in paths}


# -- figures --------------------------------------------------------------------------------------------------------


def figures(points: Points, kill: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The powers of growth, what import is to decoding, the answers of the largest store."""
    found = []
    for kind in ("import", "pass"):
        many = points.get(kind, [])
        found += powers(WORDS[kind], "images", [p["images"] for p in many], many, "images", whole=True)
    for name in ("size", "width"):
        many = points.get(name, [])
        found += powers("joint step, an image", WORDS[name], [p[name] for p in many], many, name)
    if points.get("import"):
        last = points["import"][-1]
        of = f"{last['images']} images, all cores"
        for kind, words in (
            ("decode", "decoding alone"),
            ("squares", "reading, decoding, cutting and resizing a file at a time"),
        ):
            if points.get(kind):
                other = points[kind][-1]
                found.append(
                    figure(f"import's speed, of {words}, {of}", "×", other["seconds"] / last["seconds"], "images")
                )
                share = other["cpu"] / last["cpu"]
                found.append(figure(f"{words}, of import's processor time, {of}", "×", share, "images"))
        found.append(figure(f"import, {last['images']} images", "images/s", last["images"] / last["seconds"], "images"))
    if points.get("runs"):
        found += of_questions(points["runs"])
    if kill is not None:
        name = f"import of {kill['images']} images, killed with -9 at {kill['done']:.0%}, called again"
        found.append(figure(name, "of the bytes equal", float(kill["equal"]), "resume"))
    return found


def powers(
    what: str, of: str, x: list[int], many: list[dict[str, Any]], part: str, whole: bool = False
) -> list[dict[str, Any]]:
    """The powers of time and of memory of `many` points at `x`; and for `whole` sets how many bytes each further image takes."""
    if len(many) < 2:
        return []
    seconds = [p["seconds"] / (1 if whole else p["images"]) for p in many]
    own = [p["own"] for p in many]
    found = [figure(f"{what}: time against {of}", "power", exponent(x, seconds), part)]
    found.append(figure(f"{what}: memory against {of}", "power", exponent(x, own), part))
    if whole:
        each = max(0.0, (own[-1] - own[0]) / (x[-1] - x[0]))
        found.append(figure(f"{what}: memory a further image", "bytes", each, part))
        found.append(figure(f"{what}: most memory, {x[-1]} images", "MB", max(own) / MB, part))
    return found


def of_questions(many: list[dict[str, Any]]) -> list[dict[str, Any]]:
    runs, found = [p["asked"]["runs"] for p in many], []
    for name in ASKED:
        spent = [max(p["asked"][name], 1e-4) for p in many]  # the clock's grain
        found.append(figure(f"{name}, {runs[-1]} runs", "s", spent[-1], "runs"))
        if len(many) > 1:
            found.append(figure(f"{name}: time against runs", "power", exponent(runs, spent), "runs"))
    return found


def kept(path: Path, anew: set[str], about: dict[str, Any]) -> dict[str, Any]:
    """Of the report in `path`, what is not of the parts `anew`: its figures, points and when they were measured.

    Raises `click.BadParameter` for a report of another machine than the one that `about` describes, or of another torch.
    """
    report = json.loads(path.read_text())
    if other := [name for name in ("cpu", "cores", "torch") if report["machine"].get(name) != about[name]]:
        found = f"{path.name} of {other[0]} {report['machine'].get(other[0])!r}"
        raise click.BadParameter(f"--keep: found {found}, accepted: {about[other[0]]!r}, as here")
    of = {"images": ("import", "decode", "squares", "pass")}
    gone = {kind for part in anew for kind in of.get(part, (part,))}
    return {
        "figures": [one for one in report["figures"] if one["command"].split()[-1] not in anew],
        "points": {kind: many for kind, many in report["points"].items() if kind not in gone},
        "measured": {part: when for part, when in report.get("measured", {}).items() if part not in anew},
        "resumed": None if "resume" in anew else report["resumed"],
        "machine": report["machine"],
    }


def figure(name: str, unit: str, value: float | dict[str, Any], part: str) -> dict[str, Any]:
    ends = value if isinstance(value, dict) else {"value": value, "low": None, "high": None}
    return {"name": name, "unit": unit, **ends, "command": f"python tests/bench_growth.py OUT.json --parts {part}"}


@themed
def growth_figure(points: Points) -> Figure:
    """Time and memory against images; time against size and width; questions against runs; the power of growth in the legend."""
    drawn, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.8), layout="constrained")
    kinds = [kind for kind in ("import", "decode", "squares", "pass") if points.get(kind)]
    for colour, kind in zip(COLOURS, kinds, strict=False):
        many = points[kind]
        n = [p["images"] for p in many]
        _line(axes[0, 0], n, [p["seconds"] for p in many], WORDS[kind], colour)
        _line(axes[0, 1], n, [p["own"] / MB for p in many], WORDS[kind], colour)
    for colour, name in zip(COLOURS, [name for name in ("size", "width") if points.get(name)], strict=False):
        many = points[name]
        _line(
            axes[1, 0], [p[name] for p in many], [1e3 * p["seconds"] / p["images"] for p in many], WORDS[name], colour
        )
    for colour, name in zip(COLOURS, ASKED if points.get("runs") else (), strict=False):
        many = points["runs"]
        _line(axes[1, 1], [p["asked"]["runs"] for p in many], [max(p["asked"][name], 1e-4) for p in many], name, colour)
    axes[0, 0].set(xlabel="images", ylabel="seconds, all cores", title="time")
    axes[0, 1].set(xlabel="images", ylabel="memory of its own, MB", title="memory", ylim=(10, 2000))
    axes[1, 0].set(xlabel="pixels, channels", ylabel="ms an image, one thread", title="joint step")
    axes[1, 1].set(xlabel="runs in the store", ylabel="seconds of the processor", title="store and explorer")
    for axis in axes.flat:
        axis.set_visible(bool(axis.lines))
        axis.minorticks_off()
        if axis.lines:  # below, where no line is
            axis.legend(fontsize=5.5, loc="upper left", bbox_to_anchor=(-0.1, -0.2), ncol=2, columnspacing=1)
    return drawn


def _line(axis: Axes, x: list[float], y: list[float], words: str, colour: str) -> None:
    power = f" ({exponent(x, y)['value']:.2f})" if len(x) > 1 else ""
    axis.loglog(x, y, "o-", color=colour, markersize=3.5, label=f"{words}{power}")


# -- the command ----------------------------------------------------------------------------------------------------


def whole_numbers(_: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdigit() and int(part) for part in parts):
        raise click.BadParameter(f"{parameter.name}: found {text!r}, accepted: whole numbers such as 2000,10000")
    return sorted({int(part) for part in parts})


@click.command(help=__doc__, context_settings={"max_content_width": 140})
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="a PNG of the growth")
@click.option("--keep", is_flag=True, help="of OUT, what PARTS does not measure anew")
@click.option("--parts", default=",".join(PARTS), show_default=True)
@click.option("--images", default="2000,10000,50000,200000", show_default=True, callback=whole_numbers)
@click.option("--sizes", default="32,48,64,96,128", show_default=True, callback=whole_numbers)
@click.option("--widths", default="8,16,32,64", show_default=True, callback=whole_numbers)
@click.option("--runs", default="10,100,1000,10000", show_default=True, callback=whole_numbers)
def main(
    out: Path,
    plot: Path | None,
    keep: bool,
    parts: str,
    images: list[int],
    sizes: list[int],
    widths: list[int],
    runs: list[int],
) -> None:
    chosen = {part.strip() for part in parts.split(",") if part.strip()}
    if unknown := sorted(chosen - set(PARTS)):
        raise click.BadParameter(f"parts: found {unknown[0]!r}, accepted: {', '.join(PARTS)}")
    about, points, kill = machine(), {}, None
    before = kept(out, chosen, about) if keep else {}
    points |= of_images(images, 48) if "images" in chosen else {}
    points |= of_steps("size", sizes) if "size" in chosen else {}
    points |= of_steps("width", widths) if "width" in chosen else {}
    points |= of_runs(runs) if "runs" in chosen else {}
    kill = resumed(min(images[-1], 20_000), 48) if "resume" in chosen else None
    now = {"commit": made_with()["commit"], "threads": about["threads"], "load": about["load"]}
    when = {part: now for part in PARTS if part in chosen}
    found, when = before.get("figures", []) + figures(points, kill), before.get("measured", {}) | when
    points, kill = before.get("points", {}) | points, kill or before.get("resumed")
    write_report(out, "growth", found, machine=before.get("machine", about), measured=when, points=points, resumed=kill)
    if plot is not None:
        drawn = growth_figure(points)
        drawn.savefig(plot, dpi=200, bbox_inches="tight", facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
