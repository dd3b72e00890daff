"""Filling one folder of the store with faces, by all cores; a killed build goes on where it was."""

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.numpy import save
from tqdm import tqdm

from arl.machine import cores
from arl.messages import ConfigError, say
from arl.store import file_sha256, part_of, write_atomically, write_json

ROWS = (
    256  # that are read at once; half as many JPEGs lie between two marks of progress, a quarter of what takes longer
)


class Rows(NamedTuple):
    images: np.ndarray  # uint8 (n, 3, S, S)
    attributes: np.ndarray | None  # bool (n, A), if they come with the images
    problems: dict[int, str]  # row: which image, and why it cannot be read


class Source(NamedTuple):
    """What fills the store; made only when it has to be filled."""

    title: str
    attribute_names: tuple[str, ...]
    attributes: np.ndarray | None  # bool (N, A), if they are known beforehand
    identities: np.ndarray  # int64 (N,)
    ranges: list[tuple[int, int]]  # rows to read together
    read: Callable[[int, int], Rows]  # (start, stop), called by several threads
    close: Callable[[], None] = lambda: None  # after the last read
    packing: str = ""  # how the source was laid out, in words; empty for rendered faces
    left_out: tuple[str, ...] = ()  # what its tables name and it does not hold, and the reverse
    unit: int = 1  # rows that come together at least: a rendered person's


def ranges_of(n: int, step: int) -> list[tuple[int, int]]:
    return [(i, min(i + step, n)) for i in range(0, n, step)]


class _Files:
    """The files of a build and how many bytes an image has in each."""

    def __init__(self, folder: Path, size: int, attributes: int):
        self.images, self.attributes, self.done = (folder / f for f in ("images.u8", "attributes.u8", "done.u8"))
        self.row = {self.images: 3 * size * size, self.attributes: attributes, self.done: 1}

    def lay_out(self, n: int) -> None:
        """Make them for `n` images, unless an earlier build left them so."""
        if all(path.exists() and path.stat().st_size == n * row for path, row in self.row.items()):
            return
        for path, row in self.row.items():
            path.unlink(missing_ok=True)  # never cut short a file that somebody may have mapped
            with path.open("wb") as file:
                file.truncate(n * row)

    def mark(self, parts: list[tuple[int, int]], attributes: bool) -> None:
        """Mark the rows of `parts` as done, once the disk has them: what is marked is there, even after a power cut."""
        for path in (self.images, self.attributes) if attributes else (self.images,):
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        for start, stop in parts:  # a lost mark costs another look
            _write_at(self.done, start, np.ones(stop - start))


class _Look:
    """What lies in the file of images, read behind those who fill it: its SHA-256, and which images are the same."""

    def __init__(self, path: Path, n: int, row: int):
        self.path, self.row, self.at = path, row, 0
        self.sha256 = hashlib.sha256()
        # SipHash, with a key of this process: that two different images have the same is less likely than n² / 2^65
        self.hashes = np.empty(n, np.int64)

    def go_on(self, stop: int) -> None:
        """Up to the image `stop`. The file is not mapped: what was read once need not stay in memory."""
        with self.path.open("rb") as file:
            file.seek(self.at * self.row)
            while self.at < stop:
                block = file.read((min(self.at + ROWS, stop) - self.at) * self.row)
                if not block:
                    raise OSError(errno.EIO, "cut short while it was written")
                self.sha256.update(block)
                found = [hash(block[i : i + self.row]) for i in range(0, len(block), self.row)]
                self.hashes[self.at : self.at + len(found)] = found
                self.at += len(found)

    def copies(self) -> int:
        """How many images have the bytes of another one before them."""
        return len(self.hashes) - len(np.unique(self.hashes))


def build(folder: Path, spec: dict[str, Any], source: Source, progress: bool, skip: bool, reader: int) -> None:
    """Fill `folder` with the faces of `source`. Raises ConfigError where images cannot be read, unless `skip` leaves them out."""
    n, size, a = len(source.identities), spec["image_size"], len(source.attribute_names)
    files = _Files(folder, size, a)
    if (folder / "meta.json").exists():  # finished once, and damaged since: nothing of it is taken over
        files.done.unlink(missing_ok=True)
        (folder / "meta.json").unlink()
    files.lay_out(n)
    if source.attributes is not None:
        _write_at(files.attributes, 0, source.attributes)
    look = _Look(files.images, n, files.row[files.images])
    problems = _read_all(files, source, look, progress)

    keep = np.setdiff1d(np.arange(n), list(problems))
    title, left_out = source.title, list(source.left_out)
    if problems:
        line = f"{len(problems)} of {n} images cannot be read: {some(problems[k] for k in sorted(problems))}"
        if not skip or not len(keep):
            shutil.rmtree(folder)  # mended files are other files, and have another folder
            raise ConfigError(f"{title.split(',')[0]}: {line}, accepted: whole images, or damaged='skip'")
        title += f", {len(problems)} left out"
        left_out.append(f"{line}; left out")
        _keep_only(files.images, keep, n, files.row[files.images])
        look = _Look(files.images, len(keep), files.row[files.images])
    look.go_on(len(keep))
    if source.packing and (copies := look.copies()):
        left_out.append(
            f"{copies} images are the same as another, byte for byte; none is left out, so X1 and T may share them"
        )
    kept = np.fromfile(files.attributes, np.uint8).reshape(n, a)[keep]
    labels = save({"attributes": kept, "identities": np.asarray(source.identities, np.int64)[keep]})
    write_atomically(folder / "labels.safetensors", labels)
    meta = dict(images=len(keep), image_size=size, attribute_names=source.attribute_names, title=title, spec=spec)
    meta |= dict(reader=reader, packing=source.packing, left_out=left_out)
    sums = {files.images: look.sha256.hexdigest()}
    sums[folder / "labels.safetensors"] = file_sha256(folder / "labels.safetensors")
    meta["files"] = {
        path.name: dict(bytes=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns, sha256=sha256)
        for path, sha256 in sums.items()
    }
    write_json(folder / "meta.json", meta)
    files.attributes.unlink(missing_ok=True)
    files.done.unlink(missing_ok=True)


def _read_all(files: _Files, source: Source, look: _Look, progress: bool) -> dict[int, str]:
    """Read what is not marked as done, and mark it; returns what cannot be read. `look` follows, as far as all is written."""
    a, image_bytes = len(source.attribute_names), files.row[files.images]

    def work(start: int, stop: int) -> tuple[int, int, dict[int, str]]:
        rows = source.read(start, stop)
        _write_at(files.images, start * image_bytes, rows.images)
        if rows.attributes is not None:
            _write_at(files.attributes, start * a, rows.attributes)
        return start, stop, rows.problems

    n, written, problems = len(source.identities), np.fromfile(files.done, np.uint8), {}
    todo = [(start, stop) for start, stop in source.ranges if not written[start:stop].all()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of each thread of the pool
    # more decode while others wait for the disk; what is drawn has a process a thread
    more = -(-cores() // 4) if source.packing else 0
    pool, finished = ThreadPoolExecutor(cores() + more), SimpleQueue[Future]()
    with _bar(n, source.title, progress) as advance:
        advance(n - sum(stop - start for start, stop in todo))
        try:
            for bounds in todo:
                pool.submit(work, *bounds).add_done_callback(finished.put)
            left = len(todo)
            while left:
                ended = [finished.get() for _ in range(max(1, finished.qsize()))]
                parts = [future.result() for future in ended if not future.exception()]
                files.mark([(start, stop) for start, stop, bad in parts if not bad], source.attributes is None)
                for start, stop, bad in parts:  # one that has problems has to be seen again by a build that goes on
                    problems |= bad
                    written[start:stop] = 1
                    advance(stop - start)
                for future in ended:
                    future.result()  # raises what a part raised, now that the others are marked
                left -= len(ended)
                look.go_on(n if written.all() else int(written.argmin()))
        finally:
            pool.shutdown(cancel_futures=True)
            source.close()
            torch.set_num_threads(threads)
    return problems


def _keep_only(images: Path, keep: np.ndarray, n: int, row: int) -> None:
    """Rewrite `images` with the rows `keep` of its `n`."""
    whole = np.memmap(images, np.uint8, mode="r", shape=(n, row))
    part = part_of(images)
    with part.open("wb") as file:
        for start, stop in ranges_of(len(keep), ROWS):
            file.write(whole[keep[start:stop]])
    part.replace(images)


def some(names: Any, count: int = 5, between: str = "; ") -> str:
    """The first `count` of `names`, and dots for the rest."""
    names = list(names)
    return between.join(names[:count]) + (f"{between}…" if len(names) > count else "")


def _write_at(path: Path, offset: int, values: np.ndarray) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(np.ascontiguousarray(values, dtype=np.uint8))


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
