"""What of a store no figure stands on, and deleting it: renamed first, then removed, so that no half of a run is ever left."""

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from arl.messages import UserError, say
from arl.store.files import explained, locked, make_folder, read_json, taken, tried
from arl.store.needs import (
    LOOKED_AT,
    MEASURED,
    faces_in,
    ids_in,
    kind_of_id,
    looked_at_for,
    measurements_on,
    needs,
    standing_on,
    warm_of,
)
from arl.store.runs import find_run, run_id, stored
from arl.store.version import check_version

DELETED = ".deleted"  # beside what is deleted: what was renamed and not removed yet
STAGE = ".importing"  # in the store: what an import has checked and not put in place yet
DAY = 86400.0


class Unused(NamedTuple):
    """A run, or a set of faces (kind `data`), that nothing needs: its bytes, and the days since anything in it was written."""

    folder: Path
    kind: str
    bytes: int
    days: float


def named_by_figures(folders: Iterable[Path]) -> set[str]:
    """Every id that a figure's JSON in `folders`, or below them, names. Raises `UserError` for one that cannot be read."""
    found: set[str] = set()
    for folder in folders:
        with explained(folder, reading=True):
            paths = sorted(folder.rglob("*.json"))
        for path in paths:
            with explained(path, reading=True):
                found |= ids_in(path.read_text(encoding="utf-8", errors="replace"))
    return found


def unused(root: Path, named: set[str], keep: Sequence[str] = (), days: float = 1.0) -> list[Unused]:
    """What neither a figure (`named`) nor `keep`, ids or parts of them, needs; what needs comes before what it needs.

    Kept too: what is at work, what was written within `days`, what these need; and whatever is not a run or a set of faces of ours.
    Raises `UserError` for a part of an id that is none.
    """
    runs = {run.id: run for run in stored(root) if not run.folder.is_symlink()}
    specs = {id: run.spec for id, run in runs.items()}
    begun = {id for id, run in runs.items() if not (run.folder / "result.json").exists()}
    since = time.time() - days * DAY
    young = {id for id, run in runs.items() if _written(run.folder) > since}
    busy = {id for id in begun if taken(runs[id].folder)}
    wanted = {find_run(part, root).id for part in keep} | named | young | busy
    kept = _kept(wanted, specs, begun)
    found = [_weighed(runs[id].folder, kind_of_id(id)) for id in specs if id not in kept]
    found = sorted((each for each in found if not taken(each.folder)), key=lambda each: _rank(specs[each.folder.name]))
    used = [faces for id in kept for faces in faces_in(specs[id])]
    return found + [each for each in _faces(root, used) if _written(each.folder) <= since]


def _kept(wanted: set[str], specs: dict[str, dict[str, Any]], begun: set[str]) -> set[str]:
    """`wanted`, what it needs and what was measured on that alone; of encoders that are not finished the first epochs."""
    kept = standing_on(wanted, specs)
    for id in kept & begun:
        kept = kept | warm_of(id, specs) if kind_of_id(id) == "encoder" else kept
    kept |= measurements_on(kept, specs)
    return kept | looked_at_for(kept, specs)


def _rank(spec: dict[str, Any]) -> int:
    """What is measured on others goes before them, rows before attacks, these before encoders and judges."""
    if spec["kind"] in (*MEASURED, *LOOKED_AT):
        return 0
    if spec["kind"] == "row":
        return 1
    return 2 if needs(spec) else 3


def _faces(root: Path, used: list[dict[str, Any]]) -> list[Unused]:
    """The finished sets of faces that hold none of `used`. One that only a gallery shows is drawn again when it is asked for."""
    found = []
    folders = sorted((root / "data").iterdir()) if (root / "data").is_dir() and not (root / "data").is_symlink() else []
    for folder in folders:
        if folder.is_symlink() or folder.name[:1] == "." or not folder.is_dir():
            continue
        spec = (read_json(folder / "meta.json") or {}).get("spec")
        if not isinstance(spec, dict) or not isinstance(spec.get("kind"), str) or run_id(spec) != folder.name:
            continue
        if not any(all(faces.get(name) == value for name, value in spec.items()) for faces in used) and not taken(
            folder
        ):
            found.append(_weighed(folder, "data"))
    return found


def _weighed(folder: Path, kind: str) -> Unused:
    with explained(folder, reading=True):
        size = _bytes_in(folder)
    return Unused(folder, kind, size, max(0.0, (time.time() - _written(folder)) / DAY))


def _bytes_in(folder: Path | str) -> int:
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += _bytes_in(entry.path)
            elif entry.is_file():
                found += entry.stat().st_size
    return found


def _written(folder: Path) -> float:
    """When anything in `folder` was last written, in seconds since 1970."""
    with explained(folder, reading=True), os.scandir(folder) as entries:
        return max(os.lstat(folder).st_mtime, *(entry.stat(follow_symlinks=False).st_mtime for entry in entries), 0.0)


# -- deleting -----------------------------------------------------------------------------------------------------


def delete(root: Path, found: Sequence[Unused]) -> list[Unused]:
    """Delete `found`, in their order, and what a killed call left; returns what is gone. What is at work by now stays, and is said."""
    check_version(root)
    gone = []
    with locked(root / "gc"):
        for parent in (root, root / "data"):
            _remove(parent / DELETED)
        with tried(root / STAGE[1:]) as alone:
            if alone:
                _remove(root / STAGE)
        for each in found:
            with tried(each.folder) as alone:
                if not alone:
                    say(f"{each.folder.name}: another process is at work on it; it stays")
                    continue
                set_aside(each.folder)
            _remove(each.folder.parent / DELETED)
            gone.append(each)
    return gone


def set_aside(folder: Path) -> None:
    """Rename `folder`, so that it is no run any more, to where the next `delete` removes it."""
    aside = folder.parent / DELETED
    make_folder(aside)
    _remove(aside / folder.name)
    with explained(folder):
        folder.replace(aside / folder.name)


def _remove(folder: Path) -> None:
    with explained(folder), suppress(FileNotFoundError):
        shutil.rmtree(folder)


def sizes_text(found: Sequence[Unused]) -> list[str]:
    """A line for each of `found`, then one for each kind, then their sum."""
    lines = [f"{each.folder.name:28} {_mib(each.bytes):>12} {each.days:7.1f} days" for each in found]
    for kind in dict.fromkeys(each.kind for each in found):
        mine = [each for each in found if each.kind == kind]
        lines.append(f"{kind}: {len(mine)}, {_mib(sum(each.bytes for each in mine))}")
    return [*lines, f"all: {len(found)}, {_mib(sum(each.bytes for each in found))}"]


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"


def refuse_without_figures(root: Path, folders: Sequence[Path], named: set[str], keep: Sequence[str]) -> None:
    """Raise `UserError` where no figure is there to say what is needed: all would go."""
    if not keep and not any((root / id).is_dir() for id in named):
        where = ", ".join(map(str, folders))
        raise UserError(f"figures: found none that names a run of {root} in {where}, accepted: figures, or --keep ID")
