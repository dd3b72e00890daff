"""Faces are rendered or decoded once, into a folder of the run store, `data/NAME-HASH/`:

    images.u8             (N, 3, S, S) bytes, read through a memory map
    labels.safetensors    attributes (N, A) and identities (N,)
    meta.json             written last, by rename: the faces exist when it does; sizes, SHA-256, spec, what was left out

While it is being made, `done.u8` holds one byte an image, so that a killed build goes on where it was.
"""

import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from arl.data.base import FaceData
from arl.data.build import Source, build
from arl.data.room import check_room
from arl.messages import UserError, say
from arl.store import begin, explained, file_sha256, locked, make_folder, read_json, run_id, runs_root, tidy, write_json

READER = 2  # of tables and layouts: faces that an older one stored are compared with what this one reads, once
DECODED = ("celeba", "folder", "orl")  # kinds whose labels come out of files, and so depend on READER
# What stands in meta.json at least; one without is not ours, and the faces are made.
FORM = {"images": int, "image_size": int, "attribute_names": list, "title": str, "spec": dict, "files": dict}


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


def obtain_faces(opened: Opened, progress: bool, skip: bool = False) -> FaceData:
    """The faces of `opened`: found in the store, or made there once. `skip`: images that cannot be read are left out."""
    spec = with_damaged(opened.spec, skip)
    folder = folder_of(spec)
    found = load_faces(folder, opened)
    if found is None:
        check_room(opened.parameter, opened.images, spec["image_size"], folder)
        begin(runs_root())
        make_folder(folder.parent)
        with locked(folder):
            make_folder(folder)
            found = load_faces(folder, opened, tell=True)
            if found is None:
                _make(folder, spec, opened, progress, skip)
                found = load_faces(folder, opened)
    if found is None:
        raise UserError(f"{folder}: found other bytes than were written, accepted: a disk that keeps them")
    _say_what_it_is(found, folder)
    return found[0]


def _make(folder: Path, spec: dict[str, Any], opened: Opened, progress: bool, skip: bool) -> None:
    source = opened.prepare()
    remove_marks(folder)
    with explained(folder):
        build(folder, spec, source, progress, skip, reader=READER)


def _say_what_it_is(found: tuple[FaceData, str], folder: Path) -> None:
    data, packing = found
    if packing:
        say_once(f"{data.title}: {packing}", folder)
    for line in data.left_out:
        say_once(f"{data.title.split(',')[0]}: {line}", folder)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """`meta.json` of finished faces, or None. Raises `UserError` where it may not be read."""
    meta = read_json(folder / "meta.json") or {}
    if any(not isinstance(meta.get(name), kind) for name, kind in FORM.items()):
        return None
    files = [meta["files"].get(name) for name in ("images.u8", "labels.safetensors")]
    return meta if all(isinstance(was, dict) and {"bytes", "mtime_ns", "sha256"} <= set(was) for was in files) else None


def load_faces(folder: Path, opened: Opened, tell: bool = False) -> tuple[FaceData, str] | None:
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
    with explained(folder / "labels.safetensors", reading=True):
        labels = load_file(folder / "labels.safetensors")
    if meta["spec"]["kind"] in DECODED and meta.get("reader") != READER:
        meta = _read_again(folder, meta, labels, opened)
        if meta is None:
            return None
    n, size = meta["images"], meta["image_size"]
    with explained(folder / "images.u8", reading=True):
        images = np.asarray(np.memmap(folder / "images.u8", np.uint8, mode="r", shape=(n, 3, size, size)))
    data = FaceData(
        images=images,
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
    with explained(path, reading=True):
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
    with suppress(UserError):
        write_json(folder / "meta.json", meta)


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


def remove_marks(folder: Path) -> None:
    """Delete the marks of a build that is finished, and what older versions left. An unfinished build goes on when it is asked for."""
    with suppress(OSError):  # read-only
        (folder / "images.part").unlink(missing_ok=True)
        if (folder / "meta.json").exists():
            (folder / "done.u8").unlink(missing_ok=True)
            (folder / "attributes.u8").unlink(missing_ok=True)


@functools.cache
def clean(root: Path) -> None:
    """Delete what killed processes left half-written in the store `root`, once a process; sets that are at work are left alone."""
    tidy(root)
    for pattern in ("done.u8", "images.part"):
        for mark in (root / "data").glob(f"*-*/{pattern}"):
            folder = mark.parent
            if (folder / "meta.json").exists() or pattern == "images.part":
                with suppress(UserError), locked(folder):  # else read-only
                    remove_marks(folder)
