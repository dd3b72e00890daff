"""CelebA (Liu, Luo, Wang and Tang, ICCV 2015) as its files come, in any of its packings; they are found by their content."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arl.config import ATTRIBUTES
from arl.data.build import ROWS, Rows, Source, ranges_of, some
from arl.data.cache import Opened, say_once
from arl.data.images import read_file, read_squares
from arl.data.layout import shown
from arl.data.parquet import open_parquet
from arl.data.tables import Faults, Labels, clean_name, read_identities, read_labels, refuse
from arl.messages import ConfigError

TABLES = ("list_attr_celeba.txt", "identity_CelebA.txt")
UNUSED = ("list_landmarks_align_celeba.txt", "list_bbox_celeba.txt", "list_eval_partition.txt")
IMAGES = "img_align_celeba"
DEPTH = 4  # folders below the root in which CelebA's files are looked for
PHOTOGRAPHS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class _Packing:
    """Where CelebA's three parts lie."""

    name: str
    base: Path
    images: Path
    attributes: Path
    identities: Path


def open_celeba(root: Path, size: int) -> Opened:
    """CelebA as torchvision.datasets.CelebA lays it out, as its archive, as Kaggle's tables, or as parquet."""
    base = root / "celeba" if (root / "celeba").is_dir() else root
    try:
        packing = _torchvision(base) or _found(root, base)
        if packing is None:
            return open_parquet(base, size)
        with os.scandir(packing.images) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        digest = hashlib.sha256(json.dumps(sorted(sizes.items())).encode())
        for table in (packing.attributes, packing.identities):
            digest.update(table.read_bytes())
    except OSError as error:
        where = shown(error.filename or base)
        raise ConfigError(f"data_root: found {where} ({error.strerror}), accepted: files that can be read") from None
    spec = dict(kind="celeba", form="jpeg", fingerprint=digest.hexdigest()[:16], image_size=size)
    images = sum(map(_is_photograph, sizes))
    return Opened(spec, lambda: _prepare(packing, sizes, size), images, "data_root")


# -- where the files are --------------------------------------------------------------------------------------------


def _torchvision(base: Path) -> _Packing | None:
    """torchvision's layout, if `base` has it whole."""
    folder, attributes, identities = base / IMAGES, base / TABLES[0], base / TABLES[1]
    if not (folder.is_dir() and attributes.is_file() and identities.is_file() and _holds_photographs(folder)):
        return None
    if unused := [name for name in UNUSED if not (base / name).is_file()]:
        say_once(f"celeba: without {', '.join(unused)}, which are not needed here", base)
    return _Packing("torchvision's layout", base, folder, attributes, identities)


def _found(root: Path, base: Path) -> _Packing | None:
    """CelebA's files wherever they lie under `root`; None for parquet files alone."""
    folders = list(_folders(root, DEPTH))
    attributes = _table(folders, "list_attr_celeba")
    identities = _table(folders, "identity_celeba")
    images = _image_folder(folders)
    missing = [] if attributes else [TABLES[0]]
    missing += [] if identities else [TABLES[1]]
    missing += [] if images else [f"{IMAGES}/ (out of {IMAGES}.zip)"]
    if len(missing) == 3 and any(base.rglob("*.parquet")):
        return None
    if missing:
        raise ConfigError(f"data_root: {', '.join(missing)} not found, accepted: CelebA's own files in {base}")
    where = [path.relative_to(root).as_posix() for path in (images, attributes, identities)]
    name = "the archive's own packing" if attributes.parent.name.lower() == "anno" else "CelebA's files"
    name = "Kaggle's tables" if attributes.suffix.lower() == ".csv" else name
    return _Packing(f"{name}: {', '.join(where)}", root, images, attributes, identities)


def _folders(root: Path, depth: int) -> Iterator[tuple[Path, list[str], bool]]:
    """Each folder under `root`, its tables' names, and whether it holds photographs; the shallow ones first."""
    level = [root]
    for _ in range(depth + 1):
        below = []
        for folder in level:
            tables, photographs = [], False
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    suffix = os.path.splitext(entry.name)[1].lower()
                    if entry.name.startswith("."):
                        continue
                    if suffix in PHOTOGRAPHS:
                        photographs = True
                    elif suffix in (".txt", ".csv"):
                        tables.append(entry.name)
                    elif entry.is_dir():
                        below.append(Path(entry.path))
            yield folder, tables, photographs
        level = below


def _table(folders: list[tuple[Path, list[str], bool]], stem: str) -> Path | None:
    """The table called `stem`, .txt before .csv; several must have the same content."""
    for suffix in (".txt", ".csv"):
        found = [folder / name for folder, names, _ in folders for name in names if name.lower() == stem + suffix]
        if others := [path for path in found[1:] if path.read_bytes() != found[0].read_bytes()]:
            raise ConfigError(f"data_root: found {found[0]} and {others[0]}, which differ, accepted: one of them")
        if found:
            return found[0]
    return None


def _image_folder(folders: list[tuple[Path, list[str], bool]]) -> Path | None:
    """The folder of aligned photographs: the one called so, else the only one with photographs."""
    found = [folder for folder, _, photographs in folders if photographs and folder.name != "img_celeba"]
    for test in (lambda name: name == IMAGES, lambda name: "align" in name, lambda name: True):
        if chosen := [folder for folder in found if test(folder.name.lower())]:
            if len(chosen) > 1:
                raise ConfigError(f"data_root: found photographs in {chosen[0]} and {chosen[1]}, accepted: one of them")
            return chosen[0]
    return None


def _is_photograph(name: str) -> bool:
    return name.lower().endswith(PHOTOGRAPHS) and not name.startswith(".")


def _holds_photographs(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(PHOTOGRAPHS) for entry in entries)


# -- what is in them ------------------------------------------------------------------------------------------------


def _prepare(packing: _Packing, sizes: dict[str, int], size: int) -> Source:
    faults = Faults(packing.attributes), Faults(packing.identities)
    labels = read_labels(packing.attributes, ATTRIBUTES, faults[0])
    if not labels.names:
        faults[0].add("no attribute", f"any of {', '.join(ATTRIBUTES)}")
    people = read_identities(packing.identities, faults[1])
    refuse(*faults)
    rows, files, left_out = _matched(packing, labels, sizes)
    if absent := [row for row in rows if row not in people]:
        raise ConfigError(f"{packing.identities}: no row for {len(absent)} images, the first is {absent[0]}")
    identities = np.array([people[row] for row in rows], np.int64)
    count = len(np.unique(identities))
    if count == 1:
        raise ConfigError(f"data_root: found one person on {len(rows)} images, accepted: two or more")
    if count == len(rows):
        left_out.append(f"each of the {count} people is on one image only: who looks like whom cannot be measured")
    if len(labels.names) < len(ATTRIBUTES):
        left_out.append(
            f"{len(labels.names)} of CelebA's {len(ATTRIBUTES)} attributes are in {packing.attributes.name}"
        )

    def read(start: int, stop: int) -> Rows:
        names = files[start:stop]
        return read_squares(names, lambda i: read_file(f"{packing.images}/{names[i]}", sizes[names[i]]), start, size)

    return Source(
        title=f"CelebA, {len(rows)} images of {count} people, {size} px",
        attribute_names=labels.names,
        attributes=np.frombuffer(b"".join(bytes(labels.values[row]) for row in rows), bool).reshape(len(rows), -1),
        identities=identities,
        ranges=ranges_of(len(rows), ROWS // 2),
        read=read,
        packing=packing.name,
        left_out=tuple(left_out),
    )


def _matched(packing: _Packing, labels: Labels, sizes: dict[str, int]) -> tuple[list[str], list[str], list[str]]:
    """Rows of the table that have a photograph, the photographs' file names, and a line for each kind that is left out.

    A row 000001.jpg means 000001.png in the archive's lossless half.
    """
    files = {clean_name(name): name for name in sizes if _is_photograph(name)}
    file_of = {}
    for row in labels.values:
        if name := files.get(row) or files.get(row.rsplit(".", 1)[0] + ".png"):
            file_of[row] = name
    if not file_of:
        first = next(iter(labels.values), "nothing")
        raise ConfigError(
            f"data_root: found none of the images of {packing.attributes.name} in {packing.images}, the first is {first}"
        )
    left_out = []
    if absent := [row for row in labels.values if row not in file_of]:
        what = f"a subset: {len(file_of)} of the {len(labels.values)} images of {packing.attributes.name} are here"
        left_out.append(f"{what}, without {some(absent, 5, ', ')}")
    if spare := sorted(set(files.values()) - set(file_of.values())):
        left_out.append(
            f"left out {len(spare)} (without a row in {packing.attributes.name}): {some(map(shown, spare), 5, ', ')}"
        )
    return list(file_of), list(file_of.values()), left_out
