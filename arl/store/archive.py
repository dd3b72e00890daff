"""Runs as one file, to another store: a tar whose first member says the SHA-256 of each byte that follows. Nothing in it is executed.

    manifest.json               {"archive": 1, "store": 1, "made_with": ..., "runs": {ID: {NAME: {"bytes", "sha256", "mtime"}}}}
    ID/config.json ...          the files of each run, in that order; what others need comes first

Faces are never in it: drawn ones are drawn again, photographs stay where they are, with what judges saw of them and attackers that
keep pictures.
"""

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from arl.machine import free_bytes
from arl.messages import UserError
from arl.store.files import explained, file_sha256, locked, make_folder, part_of, read_json, tried
from arl.store.needs import kind_of_id, measurements_on, needs, on_photographs, standing_on
from arl.store.provenance import made_with, runs_root
from arl.store.runs import DamagedError, Run, run_id, stored
from arl.store.unused import STAGE, set_aside
from arl.store.version import STORE_VERSION, begin, check_version

FORMAT = 1  # of the archive
FILES = (
    "config.json",
    "metrics.jsonl",
    "checkpoint.safetensors",
    "result.json",
)  # of a run; no other name is written or read
MANIFEST, MOST = "manifest.json", 64 << 20  # bytes
AN_ARCHIVE = "an archive as `arl export` wrote it"


class _File(NamedTuple):
    bytes: int
    sha256: str
    mtime: float


Files = dict[str, dict[str, _File]]  # by run, by name


# -- writing ------------------------------------------------------------------------------------------------------


def export_archive(archive: Path, runs: Sequence[Run]) -> list[str]:
    """Write `runs`, what they need and what was measured on them to the new file `archive`; what is to be said of it, in lines.

    Raises `UserError`, one line, where a run is not finished, damaged, or has lost what it needs, and where `archive` is there.
    """
    if not runs:
        raise UserError("ID: found no run, accepted: ids, or options that mean stored rows")
    if archive.exists():
        raise UserError(f"{archive}: found a file, accepted: a new name")
    specs = {run.id: run.spec for run in stored(runs[0].folder.parent)}
    ids = standing_on([run.id for run in runs], specs)
    ids |= measurements_on(ids, specs)
    root, left_out = runs[0].folder.parent, set()
    for id in ids:
        _whole(Run(root / id, specs[id]), specs)
        if _shows_photographs(Run(root / id, specs[id]), specs):
            left_out.add(id)
    order = _in_order(ids - left_out, specs)
    if not order:
        raise UserError(f"ID: found only {', '.join(sorted(left_out))}, of photographs, accepted: runs that keep none")
    files = {id: _files_of(root / id) for id in order}
    _pack(archive, root, files)
    size = sum(file.bytes for each in files.values() for file in each.values())
    lines = [f"{archive}: {len(files)} runs, {size / (1 << 20):.1f} MiB"]
    if any(on_photographs([id], specs) for id in ids):
        kept = f", and {', '.join(sorted(left_out))}, which keep them" if left_out else ""
        lines.append(f"left here: the photographs, what judges saw of them{kept}")
    return lines


def _whole(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    """Raise `UserError` where `run` is not finished, not as it was written, or stands on what is not there."""
    if (result := run.result) is None:
        raise UserError(f"{run.id}: found a run that is not finished, accepted: finished ones, see `arl runs`")
    if lost := sorted(need for need in needs(run.spec) if need not in specs):
        raise UserError(f"{run.id}: found without {', '.join(lost)}, accepted: a run with all that it stands on")
    if wrong := _wrong(run, result):
        raise UserError(f"{run.id}: found {wrong}, accepted: a run as it was written; asked for, it is made again")


def _wrong(run: Run, result: dict[str, Any]) -> str:
    """What is not as it was written in the checkpoint of `run`, which ended with `result`; empty where all is."""
    try:
        kept = run.load()[1].get("result", {})
    except FileNotFoundError:
        return "no checkpoint" if result.get("checkpoint", False) else ""
    except DamagedError:
        return "a damaged checkpoint"
    differs = any(name not in result or result[name] != value for name, value in kept.items())
    return "another result than its checkpoint has" if differs else ""


def _shows_photographs(run: Run, specs: dict[str, dict[str, Any]]) -> bool:
    """Whether pictures of people who were not drawn, or what a judge saw of them, can be read out of it.

    An attacker that stands on images says in its result how many; of a user's own nobody knows what it keeps.
    """
    own = {"attack", "source"} <= set(run.spec)
    keeps = kind_of_id(run.id) == "embedding" or "images" in (run.result or {}) or own
    return keeps and on_photographs([run.id], specs)


def _in_order(ids: set[str], specs: dict[str, dict[str, Any]]) -> list[str]:
    """`ids`, each after those that it needs."""
    order: dict[str, None] = {}

    def add(id: str) -> None:
        for need in sorted(needs(specs[id]) & ids - {id}):
            if need not in order:
                add(need)
        order[id] = None

    for id in sorted(ids):
        add(id)
    return list(order)


def _files_of(folder: Path) -> dict[str, _File]:
    found = {}
    for name in FILES:
        if (path := folder / name).is_file():
            found[name] = _File(path.stat().st_size, file_sha256(path), path.stat().st_mtime)
    return found


def _pack(archive: Path, root: Path, files: Files) -> None:
    said = {id: {name: file._asdict() for name, file in each.items()} for id, each in files.items()}
    manifest = {"archive": FORMAT, "store": STORE_VERSION, "made_with": made_with(), "runs": said}
    part = part_of(archive)
    with explained(archive):
        try:
            with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
                content = json.dumps(manifest, indent=1).encode()
                tar.addfile(_member(MANIFEST, len(content), 0), io.BytesIO(content))
                for id, each in files.items():
                    for name, file in each.items():
                        with (root / id / name).open("rb") as source:
                            tar.addfile(_member(f"{id}/{name}", file.bytes, file.mtime), source)
            part.replace(archive)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def _member(name: str, size: int, mtime: float) -> tarfile.TarInfo:
    """A plain file, of nobody."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(mtime), 0o644
    return member


# -- reading ------------------------------------------------------------------------------------------------------


def import_archive(archive: Path, root: Path | None = None) -> list[str]:
    """Put the runs of `archive` into the store `root`; what was done, in lines.

    Every byte is checked before the first run is put in place; a run that is there is kept where its bytes are the same. Killed in the
    middle, the same call goes on. Raises `UserError`, one line, for whatever is not an archive of this store's version, and for a run
    that the store has with other bytes or that is at work: nothing is put in place then.
    """
    root = root or runs_root()
    check_version(root)
    with _opened(archive) as tar:
        files = _manifest(archive, tar)
        there = {id for id, each in files.items() if Run(root / id).result is not None}
        for id in there:
            if _files_of(root / id) and _sums(_files_of(root / id)) != _sums(files[id]):
                raise UserError(
                    f"{archive}: found {id} with other bytes than {root} has, accepted: the same, or another store"
                )
        _room(archive, root, [file for id in files if id not in there for file in files[id].values()])
        begin(root)
        with locked(root / STAGE[1:]):
            stage = root / STAGE
            _clear(stage)
            try:
                _unpack(archive, tar, files, stage, there)
                for id in files:
                    if id not in there:
                        _check_run(archive, Run(stage / id))
                placed = [id for id in files if id not in there and _place(archive, stage / id, root / id)]
            finally:
                _clear(stage)
    return [f"{len(placed)} runs put into {root}, {len(files) - len(placed)} were there"]


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """`archive` as a tar; whatever is wrong with its form is one line."""
    with explained(archive, reading=True):
        archive.open("rb").close()
    try:
        with tarfile.open(archive, "r:") as tar:
            yield tar
    except UserError:
        raise
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:  # all that a header can hold
        raise UserError(f"{archive}: found a file that is cut or not a tar ({error}), accepted: {AN_ARCHIVE}") from None


def _manifest(archive: Path, tar: tarfile.TarFile) -> Files:
    """What the first member says of the others. Raises `UserError`."""
    member = tar.next()
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > MOST:
        raise UserError(f"{archive}: found no {MANIFEST} at its beginning, accepted: {AN_ARCHIVE}")
    try:
        manifest = json.loads(tar.extractfile(member).read())
        version = manifest["archive"], manifest["store"]
        newer = next(
            (found for found, known in zip(version, (FORMAT, STORE_VERSION), strict=True) if found > known), None
        )
        if newer is not None:
            raise UserError(f"{archive}: found version {newer}, accepted: up to {FORMAT}; a newer arl made it")
        files = {id: {name: _File(**file) for name, file in each.items()} for id, each in manifest["runs"].items()}
        sound = bool(files) and min(version) > 0 and all(_sound(id, each) for id, each in files.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise UserError(f"{archive}: found a {MANIFEST} that names no runs, accepted: {AN_ARCHIVE}")
    return files


def _sound(id: str, files: dict[str, _File]) -> bool:
    """Whether the manifest's entry of `id` has the form of a run: names that are known, numbers that are numbers."""
    return (
        re.fullmatch(r"\w+-[0-9a-f]{12}", id) is not None
        and {"config.json", "result.json"} <= set(files) <= set(FILES)
        and all(type(f.bytes) is int and f.bytes >= 0 and 0 <= float(f.mtime) < 2**33 for f in files.values())
        and all(re.fullmatch("[0-9a-f]{64}", f.sha256) for f in files.values())
    )


def _sums(files: dict[str, _File]) -> dict[str, str]:
    return {name: file.sha256 for name, file in files.items()}


def _room(archive: Path, root: Path, files: Sequence[_File]) -> None:
    needed, free = sum(file.bytes for file in files), free_bytes(root)
    if needed > free:
        raise UserError(
            f"{archive}: found {needed >> 20} MiB of runs, accepted: what fits into the {free >> 20} MiB free for {root}"
        )


def _unpack(archive: Path, tar: tarfile.TarFile, files: Files, stage: Path, there: set[str]) -> None:
    """Every byte of `archive` against its manifest; those of runs that are not `there` into `stage`. Raises `UserError`.

    A member is written where the manifest's names say, never where its own does: no link, no folder, no other name is taken.
    """
    wanted = {f"{id}/{name}": (id, name) for id, each in files.items() for name in each}
    for member in tar:
        if member.name == MANIFEST and member.offset == 0:
            continue
        if member.name not in wanted or not member.isreg() or member.issparse():
            raise UserError(
                f"{archive}: found {member.name[:80]!r}, which its manifest does not name, accepted: {AN_ARCHIVE}"
            )
        id, name = wanted.pop(member.name)
        file = files[id][name]
        if id not in there:
            make_folder(stage / id)
        target = None if id in there else stage / id / name
        if member.size != file.bytes or _copy(tar, member, target) != file.sha256:
            raise UserError(f"{archive}: found other bytes in {member.name} than were written, accepted: {AN_ARCHIVE}")
        if target is not None:
            os.utime(target, (file.mtime, file.mtime))
    if wanted:
        raise UserError(f"{archive}: found no {sorted(wanted)[0]}, which its manifest names, accepted: {AN_ARCHIVE}")


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path | None) -> str:
    """The SHA-256 of the bytes of `member`, which are written to `target` where one is given."""
    found, source = hashlib.sha256(), tar.extractfile(member)
    with explained(target or Path(os.devnull)), (target or Path(os.devnull)).open("wb") as file:
        while block := source.read(1 << 20):
            found.update(block)
            file.write(block)
        if target is not None:
            file.flush()
            os.fsync(file.fileno())
    return found.hexdigest()


def _check_run(archive: Path, run: Run) -> None:
    """What the sums cannot say: `run` is called after what defines it, its checkpoint is safetensors with the result that it holds."""
    spec, result = read_json(run.folder / "config.json"), read_json(run.folder / "result.json")
    try:
        called = spec is not None and isinstance(spec.get("kind"), str) and run_id(spec) == run.id
    except ValueError:  # NaN
        called = False
    if not called:
        raise UserError(f"{archive}: found {run.id}, which another configuration defines, accepted: {AN_ARCHIVE}")
    wrong = "no result" if result is None else _wrong(run, result)
    if wrong:
        raise UserError(f"{archive}: found {wrong} in {run.id}, accepted: {AN_ARCHIVE}")


def _place(archive: Path, staged: Path, folder: Path) -> bool:
    """Rename `staged` to `folder`; one that is not finished makes room. False where another process finished it meanwhile."""
    with tried(folder) as alone:
        if not alone:
            raise UserError(
                f"{archive}: found {folder.name} at work in another process, accepted: once that has ended, the same command goes on"
            )
        if Run(folder).result is not None:
            return False
        if folder.exists():
            set_aside(folder)
        with explained(folder):
            staged.replace(folder)
    return True


def _clear(stage: Path) -> None:
    with explained(stage), suppress(FileNotFoundError):
        shutil.rmtree(stage)
