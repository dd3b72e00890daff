"""Faces are rendered or decoded once, into a folder of the run store, `data/NAME-HASH/`:

    images.u8             (N, 3, S, S) bytes, read through a memory map
    labels.safetensors    attributes (N, A) and identities (N,)
    meta.json             written last, by rename: the faces exist when it does; sizes, SHA-256, spec, what was left out

While it is being made, `done.u8` holds one byte an image, so that a killed build goes on where it was.
"""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from safetensors.numpy import load_file

from arl.data.base import FaceData
from arl.data.build import Source, build
from arl.data.room import check_room
from arl.messages import UserError, say
from arl.store import file_sha256, run_id, runs_root, write_json

READER = 2  # of tables and layouts: faces that an older one stored are compared with what this one reads, once
DECODED = ("celeba", "folder", "orl")  # kinds whose labels come out of files, and so depend on READER


class Opened(NamedTuple):
    """A source that was looked at and not yet decoded."""

    spec: dict[str, Any]  # what defines the faces
    prepare: Callable[[], Source]  # reads the tables, raises ConfigError where they are not sound
    images: int  # how many, before damaged ones are left out
    parameter: str  # of the configuration, for errors
    left_out: tuple[str, ...] = ()  # what the look itself found


@functools.cache
def say_once(line: str, where: Path | None = None) -> None:
    """`say` it once a process and place: a run opens its data several times."""
    say(line)


def folder_of(spec: dict[str, Any]) -> Path:
    return runs_root() / "data" / run_id(spec)


def with_damaged(spec: dict[str, Any], skip: bool) -> dict[str, Any]:
    return spec | ({"damaged": "skip"} if skip else {})


def obtain(opened: Opened, progress: bool, skip: bool = False) -> FaceData:
    """The faces of `opened`: found in the store, or made there once. `skip`: images that cannot be read are left out."""
    spec = with_damaged(opened.spec, skip)
    folder = folder_of(spec)
    found = load(folder, opened)
    if found is None:
        check_room(opened.parameter, opened.images, spec["image_size"], folder)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # the system frees it when its owner dies
            found = load(folder, opened, tell=True)
            if found is None:
                _make(folder, spec, opened, progress, skip)
                found = load(folder, opened)
    if found is None:
        raise UserError(f"{folder}: found other bytes than were written, accepted: a disk that keeps them")
    _say_what_it_is(found, folder)
    return found[0]


def _make(folder: Path, spec: dict[str, Any], opened: Opened, progress: bool, skip: bool) -> None:
    source = opened.prepare()
    remove_leftovers(folder)
    try:
        build(folder, spec, source, progress, skip, reader=READER)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror or error}, accepted: a disk with room that can be written"
        ) from None


def _say_what_it_is(found: tuple[FaceData, str], folder: Path) -> None:
    data, packing = found
    if packing:
        say_once(f"{data.title}: {packing}", folder)
    for line in data.left_out:
        say_once(f"{data.title.split(',')[0]}: {line}", folder)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """`meta.json` of finished faces, or None."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and "files" in meta else None


def load(folder: Path, opened: Opened, tell: bool = False) -> tuple[FaceData, str] | None:
    """The finished faces of `folder` and their packing; None if there are none, or not as they should be (`tell`: a line)."""
    meta = read_meta(folder)
    if meta is None:
        return None
    for name, was in meta["files"].items():
        problem = _problem(folder, name, was, meta)
        if problem and tell:
            say(f"{folder.name}/{name}: {problem}; the faces are made again")
        if problem:
            return None
    labels = load_file(folder / "labels.safetensors")
    if meta["spec"]["kind"] in DECODED and meta.get("reader") != READER:
        meta = _read_again(folder, meta, labels, opened)
        if meta is None:
            return None
    n, size = meta["images"], meta["image_size"]
    data = FaceData(
        images=np.asarray(np.memmap(folder / "images.u8", np.uint8, mode="r", shape=(n, 3, size, size))),
        attributes=labels["attributes"].astype(bool),
        attribute_names=tuple(meta["attribute_names"]),
        identities=labels["identities"],
        spec=meta["spec"],
        title=meta["title"],
        left_out=opened.left_out + tuple(meta.get("left_out", ())),
    )
    return data, meta.get("packing", "")


def _problem(folder: Path, name: str, was: dict[str, Any], meta: dict[str, Any]) -> str:
    """Why the file `name` is not what was written; empty where it is."""
    path = folder / name
    size, mtime = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
    if size != was["bytes"]:
        return f"found {size} bytes where {was['bytes']} were written"
    if mtime == was["mtime_ns"]:  # as it was when its SHA-256 was taken
        return ""
    if file_sha256(path) != was["sha256"]:
        return "its checksum does not match its content"
    was["mtime_ns"] = mtime  # a copy from elsewhere: checked once
    _note(folder, meta)
    return ""


def _note(folder: Path, meta: dict[str, Any]) -> None:
    """Keep what was found out about the faces, unless they lie where nothing can be written."""
    try:
        write_json(folder / "meta.json", meta)
    except OSError:
        pass


def _read_again(
    folder: Path, meta: dict[str, Any], labels: dict[str, np.ndarray], opened: Opened
) -> dict[str, Any] | None:
    """`meta` of faces that an older reader stored, if this one reads the same labels; else None. Raises what `prepare` raises."""
    source = opened.prepare()
    source.close()
    same = (
        np.array_equal(source.identities, labels["identities"])
        and source.attributes is not None
        and np.array_equal(np.asarray(source.attributes, bool), labels["attributes"].astype(bool))
        and tuple(source.attribute_names) == tuple(meta["attribute_names"])
    )
    if not same:
        return None
    meta |= dict(reader=READER, packing=source.packing, left_out=list(source.left_out))
    _note(folder, meta)
    return meta


# -- what a kill leaves behind ----------------------------------------------------------------------------------


def remove_leftovers(folder: Path) -> None:
    """Delete the files that killed processes left half-written in `folder`, and the marks of a build that is finished.

    An unfinished build is kept: it goes on when it is asked for.
    """
    for path in folder.glob(".*.part"):
        if not _alive(path.name):
            path.unlink(missing_ok=True)
    (folder / "images.part").unlink(missing_ok=True)  # as older versions called it
    if read_meta(folder):
        (folder / "done.u8").unlink(missing_ok=True)
        (folder / "attributes.u8").unlink(missing_ok=True)


def _alive(name: str) -> bool:
    """Whether the process that writes `.NAME.PID.part` lives."""
    pid = name.split(".")[-2]
    if not pid.isascii() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@functools.cache
def clean(root: Path) -> None:
    """`remove_leftovers` of every set in the store `root`, once a process; sets that are at work are left alone."""
    for folder in (root / "data").glob("*-*"):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        if (
            not any(folder.glob(".*.part"))
            and not (folder / "done.u8").exists()
            and not (folder / "images.part").exists()
        ):
            continue
        lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
        try:
            with lock:
                remove_leftovers(folder)
        except (OSError, TimeoutError):  # at work, or read-only
            continue
