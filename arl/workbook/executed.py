"""Which executed notebooks still stand: nothing that one was made from has changed, and every file that it wrote is as it was.

Beside the copy in the store lies a JSON with what it was `made_from`, a hash, and what it `wrote`, by SHA-256, "" for a file that others
write too. Where anything differs, or cannot be read, the notebook is executed again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import arl
from arl import machine
from arl.config import RunConfig
from arl.data.open import look_at_data, look_at_extra
from arl.paper.saved import figures_root
from arl.store import file_sha256, made_with, project_root, read_json, runs_root, write_json

OWN = {".pyc"}  # files of the package that Python writes
CLOCK = 2.0  # seconds that a file system's clock may be behind


def made_from(
    path: Path, given: Mapping[str, Any], cfg: RunConfig | None, rows: Iterable[str], reads: bool = False
) -> str:
    """A hash of the notebook at `path`, its parameters with the files that they name, the faces of `cfg`, the ids of the `rows` that it
    asks for, where figures go, the code of `arl` and of plugins, every package's version, and what changes the last digits.

    `reads`: also of the numbers behind the figures of notebooks before it.
    """
    package = sorted(p for p in Path(arl.__file__).parent.rglob("*") if p.is_file() and p.suffix not in OWN)
    files = [path, *package, *map(Path, machine.plugins()), *_named(given)]
    files += _before(path.name.partition("_")[0]) if reads else []
    hashes = {str(each): file_sha256(each) for each in files}
    faces = [] if cfg is None else [opened.spec for opened in (look_at_data(cfg), look_at_extra(cfg)) if opened]
    packages = sorted({f"{each.name} {each.version}" for each in distributions()})
    made = {name: each for name, each in made_with().items() if name != "commit"}  # the code itself is there
    parts = [hashes, dict(given), faces, sorted(rows), str(figures_root()), packages, made]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def _before(number: str) -> list[Path]:
    """The numbers behind figures with a lower number, and of benches, wherever `find_figures` looks."""
    roots = {figures_root(), runs_root() / "figures", project_root() / "figures"}
    found = sorted({file for root in roots for file in root.glob("*/*.json")})
    return [file for file in found if not number <= file.name < "A"]


def _named(given: Mapping[str, Any]) -> list[Path]:
    """The files that parameters name, some of them several with a comma between."""
    words = [word.strip() for value in given.values() if isinstance(value, str) for word in value.split(",")]
    return [path for word in words if word and (path := Path(word)).is_file()]


def stands(copy: Path, made: str) -> bool:
    """Whether the executed notebook `copy` was made from what `made` is a hash of, and all that it wrote is still there."""
    kept = read_json(_beside(copy)) or {}
    wrote = kept.get("wrote")
    if kept.get("made_from") != made or not isinstance(wrote, dict) or str(copy) not in wrote:
        return False
    return all(Path(file).is_file() and was in ("", file_sha256(Path(file))) for file, was in wrote.items())


def keep(copy: Path, made: str, began: float) -> None:
    """Note that `copy` was made from that: it, the figures with its number and the summary, if written since the time `began`."""
    number = copy.name.partition("_")[0]
    figures = {file for root in {figures_root(), runs_root() / "figures"} for file in root.rglob(f"{number}_*")}
    figures -= {copy, _beside(copy)}  # which lie there where figures go into a folder above the store
    summary = figures_root() / "README.md"  # several write it: it has only to be there
    wrote = [file for file in (*sorted(figures), summary) if file.is_file() and file.stat().st_mtime >= began - CLOCK]
    hashes = {str(file): "" if file == summary else file_sha256(file) for file in (copy, *wrote)}
    write_json(_beside(copy), {"made_from": made, "wrote": hashes})


def _beside(copy: Path) -> Path:
    return copy.with_suffix(".json")
