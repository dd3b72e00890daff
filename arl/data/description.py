"""What a configuration's faces are, in seconds: read from names and tables, without decoding or rendering one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from arl import faces
from arl.config import RunConfig
from arl.data.base import FaceData, reserved_rows, split
from arl.data.cache import Opened, folder_of, load_faces, read_meta, with_damaged
from arl.data.open import choice_of_extra, look_at_data, look_at_extra, picked
from arl.data.room import GIB, bytes_of, check_room
from arl.machine import cores, free_bytes
from arl.store import run_id, runs_root

SAMPLE = 4000  # rendered photographs whose attributes are decided for their rates


@dataclass(frozen=True)
class Description:
    """The faces of one configuration.

    per_person: the least, the median and the most images of a person
    attributes: each attribute's name and its positive rate, in [0, 1]
    sizes: images in X1, X2 and T
    reserved: images of the people who are in none of them
    bytes_needed: what will be written for them, 0 where they are stored
    """

    title: str
    packing: str
    images: int
    people: int
    per_person: tuple[int, float, int]
    attributes: tuple[tuple[str, float], ...]
    sizes: tuple[int, int, int]
    left_out: tuple[str, ...]
    spec_id: str
    stored: bool
    bytes_needed: int
    bytes_free: int
    extra: str = ""  # the extra data's title, or nothing
    reserved: int = 0

    def lines(self) -> list[str]:
        """The same as lines of text."""
        low, middle, high = self.per_person
        kept = (
            "stored"
            if self.stored
            else f"not stored yet, {self.bytes_needed / GIB:.2f} GiB of {self.bytes_free / GIB:.1f} free"
        )
        rates = ", ".join(f"{name} {rate:.0%}" for name, rate in self.attributes)
        lines = [f"{self.title}" + (f": {self.packing}" if self.packing else "")]
        lines.append(f"{self.images} images of {self.people} people, {low} to {high} each, {middle:g} in the middle")
        lines.append(f"{len(self.attributes)} attributes, positive: {rates}" if rates else "no attributes")
        kept_out = f", {self.reserved} of other people" if self.reserved else ""
        lines.append("X1 {}, X2 {}, T {} images".format(*self.sizes) + kept_out)
        lines += list(self.left_out) or ["nothing left out"]
        lines.append(f"{self.spec_id}: {kept}")
        return lines + ([f"extra data: {self.extra}"] if self.extra else [])


def describe(cfg: RunConfig) -> Description:
    """What `open_data(cfg)` and `open_extra(cfg)` will give. Raises the `ConfigError` that they would raise before they decode."""
    opened, extra = _looked_at(cfg)
    for each in filter(None, (opened, extra)):
        _check(each, cfg)
    data, packing = _faces(opened, cfg)
    of_extra = data if extra is opened else _faces(extra, cfg)[0] if extra else None
    counts = np.unique(data.identities, return_counts=True)[1]
    stored = _stored(opened, cfg)
    return Description(
        title=data.title,
        packing=packing,
        images=len(data),
        people=len(counts),
        per_person=(int(counts.min()), float(np.median(counts)), int(counts.max())),
        attributes=_rates(data, cfg),
        sizes=tuple(len(part) for part in split(data, cfg)),
        left_out=data.left_out,
        spec_id=run_id(_spec(opened, cfg)),
        stored=stored,
        bytes_needed=needed_bytes(cfg),
        bytes_free=free_bytes(runs_root()),
        extra=choice_of_extra(of_extra, cfg)[2] if of_extra else "",
        reserved=len(reserved_rows(data, cfg)),
    )


def unopened(cfg: RunConfig) -> FaceData:
    """The faces that `open_data(cfg)` will give: the stored ones, else faces without pictures, of which none is known to be damaged.

    Raises the `ConfigError` that `open_data` would raise before it decodes.
    """
    opened = look_at_data(cfg)
    _check(opened, cfg)
    return _faces(opened, cfg)[0]


def unopened_extra(cfg: RunConfig, data: FaceData | None = None) -> FaceData | None:
    """The same for `open_extra(cfg, data=data)`."""
    if data is not None and cfg.extra != "none" and cfg.extra_from == "reserved":
        return picked(data, cfg)
    opened = look_at_extra(cfg)
    if opened is None:
        return None
    _check(opened, cfg)
    return picked(_faces(opened, cfg)[0], cfg)


def some_pictures(cfg: RunConfig, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The images `rows` of the faces of `cfg`, uint8 (n, 3, S, S), from the store or decoded for this call, and what cannot be read."""
    opened = look_at_data(cfg)
    if found := load_faces(folder_of(_spec(opened, cfg)), opened):
        return found[0].images[rows], []
    source = opened.prepare()
    last, step = len(source.identities), source.unit
    starts = np.unique(rows // step) * step
    try:
        with ThreadPoolExecutor(cores()) as pool:
            read = dict(
                zip(starts, pool.map(lambda k: source.read(k, min(k + step, last)), starts.tolist()), strict=True)
            )
    finally:
        source.close()
    images = np.stack([read[row // step * step].images[row % step] for row in rows])
    problems = {row: why for part in read.values() for row, why in part.problems.items()}
    return images, [problems[row] for row in sorted(problems)]


def needed_bytes(cfg: RunConfig) -> int:
    """Bytes that the faces of `cfg` and its extra data will take on the disk of the run store; 0 for those that are there.

    Nothing is decoded or rendered. Raises ConfigError where the files are missing.
    """
    total = 0
    data, extra = _looked_at(cfg)
    for opened in [data] if extra in (None, data) else [data, extra]:
        if not _stored(opened, cfg):
            total += bytes_of(opened.images, opened.spec["image_size"])
    return total


def _looked_at(cfg: RunConfig) -> tuple[Opened, Opened | None]:
    """The data and the extra data; the same object twice where these are other people of the same set."""
    opened = look_at_data(cfg)
    return opened, opened if cfg.extra != "none" and cfg.extra_from == "reserved" else look_at_extra(cfg)


def _spec(opened: Opened, cfg: RunConfig) -> dict:
    return with_damaged(opened.spec, cfg.damaged == "skip" and opened.spec["kind"] != "rendered")


def _stored(opened: Opened, cfg: RunConfig) -> bool:
    return read_meta(folder_of(_spec(opened, cfg))) is not None


def _check(opened: Opened, cfg: RunConfig) -> None:
    if not _stored(opened, cfg):
        check_room(opened.parameter, opened.images, opened.spec["image_size"], folder_of(_spec(opened, cfg)))


def _faces(opened: Opened, cfg: RunConfig) -> tuple[FaceData, str]:
    """The stored faces, else faces without pictures, of which none is known to be damaged; and their packing."""
    if found := load_faces(folder_of(_spec(opened, cfg)), opened):
        return found
    source = opened.prepare()
    source.close()
    n, size = len(source.identities), cfg.image_size
    attributes = source.attributes
    if attributes is None:  # they come with the pictures
        attributes = np.zeros((n, len(source.attribute_names)), bool)
    pictures = np.broadcast_to(np.uint8(0), (n, 3, size, size))
    left_out = opened.left_out + source.left_out
    names, who = source.attribute_names, source.identities
    return FaceData(pictures, attributes, names, who, _spec(opened, cfg), source.title, left_out), source.packing


def _rates(data: FaceData, cfg: RunConfig) -> tuple[tuple[str, float], ...]:
    if data.spec["kind"] == "rendered" and not data.attributes.any():  # not stored
        people = data.identities[:: max(1, len(data) // SAMPLE)][:SAMPLE]
        decided, _ = faces.parameters(cfg.data_seed, people, np.arange(len(people)) % cfg.per_identity)
        return tuple((name, float(np.mean(decided[name]))) for name in data.attribute_names)
    return tuple(zip(data.attribute_names, data.attributes.mean(0).tolist(), strict=True))
