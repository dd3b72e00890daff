"""The embedded people (`arl.faces`), rendered by a process for each core."""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from arl import faces
from arl.config import ATTRIBUTES
from arl.data.base import FaceData
from arl.data.build import ROWS, Rows, Source, ranges_of
from arl.data.cache import Opened, load_faces, obtain_faces, read_meta
from arl.machine import KEEP_MEMORY
from arl.messages import UserError
from arl.store import runs_root

PAINTER = Path(__file__).with_name("painter.py").resolve()


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
    `first + count` that do not meet, have nobody in common. Raises ConfigError where they have no room.
    """
    opened = look_rendered(identities, per_identity, image_size, seed, domain, first_identity=first_identity)
    return obtain_faces(opened, progress)


def look_rendered(
    identities: int,
    per_identity: int,
    image_size: int,
    seed: int,
    domain: str = "standard",
    *,
    first_identity: int = 0,
    parameter: str = "identities",
) -> Opened:
    """`open_rendered` before anything is rendered."""
    people = {"seed": seed, "first": first_identity, "count": identities}
    spec = dict(kind="rendered", people=people, per_identity=per_identity, domain=domain, version=faces.VERSION)

    def prepare() -> Source:
        renderers, known = _Renderers(), _drawn_before(spec | {"image_size": image_size})

        def read(start: int, stop: int) -> Rows:
            if known is not None and stop <= len(known):
                return Rows(known.images[start:stop], known.attributes[start:stop], {})
            first, count = first_identity + start // per_identity, (stop - start) // per_identity
            return renderers.render(count, per_identity, image_size, seed, domain=domain, first_identity=first)

        title = f"rendered faces, {identities} people × {per_identity}, {image_size} px"
        title += "" if domain == "standard" else f", {domain}"
        who = np.repeat(np.arange(first_identity, first_identity + identities), per_identity)
        ranges = ranges_of(len(who), -(-ROWS // 4 // per_identity) * per_identity)  # whole people
        return Source(title, ATTRIBUTES, None, who, ranges, read, renderers.close, unit=per_identity)

    return Opened(spec | {"image_size": image_size}, prepare, identities * per_identity, parameter)


def _drawn_before(spec: dict[str, Any]) -> FaceData | None:
    """The largest stored set that begins with the people of `spec`, or that those begin with: nobody is drawn twice."""
    stored: list[tuple[int, Path]] = []
    for folder in (runs_root() / "data").glob("rendered-*"):
        with suppress(UserError):  # a set that may not be read is drawn
            meta = read_meta(folder)
            if meta is not None and meta["spec"] == _counting(spec, meta["images"]):
                stored.append((meta["images"], folder))
    if not stored:
        return None
    images, folder = max(stored)
    found = load_faces(folder, Opened(_counting(spec, images), lambda: None, images, ""))
    return found[0] if found is not None else None


def _counting(spec: dict[str, Any], images: int) -> dict[str, Any]:
    """`spec` with as many people as make `images`."""
    return spec | {"people": spec["people"] | {"count": images // spec["per_identity"]}}


class _Renderers:
    """A process that renders for each thread that asks, as NumPy holds the interpreter's lock.

    They are not `multiprocessing`'s: those need a `__main__` that can be imported, may not be started by a daemon, and
    outlive a parent that was killed. These end when their standard input does.
    """

    def __init__(self) -> None:
        self.own = threading.local()
        self.all: list[subprocess.Popen] = []

    def _start(self) -> subprocess.Popen:
        here = Path.cwd()
        paths = [path for path in sys.path if path and Path(path).resolve() != here]
        env = KEEP_MEMORY | os.environ | {"OMP_NUM_THREADS": "1"}
        env.pop("PYTHONPATH", None)  # it would stand before the standard library
        command = [sys.executable, "-P", str(PAINTER), *paths]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
        )
        self.all.append(process)
        return process

    def render(self, count: int, per_identity: int, size: int, seed: int, **names: Any) -> Rows:
        """`faces.render` with the same arguments."""
        if not hasattr(self.own, "process"):
            self.own.process = self._start()
        process, n = self.own.process, count * per_identity
        try:
            process.stdin.write(json.dumps([[count, per_identity, size, seed], names]).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError("a rendering process ended early") from None
        images = process.stdout.read(n * 3 * size * size)
        attributes = process.stdout.read(n * len(ATTRIBUTES))
        if len(attributes) < n * len(ATTRIBUTES):
            raise RuntimeError("a rendering process ended early")
        shape = (n, 3, size, size)
        return Rows(np.frombuffer(images, np.uint8).reshape(shape), np.frombuffer(attributes, np.uint8), {})

    def close(self) -> None:
        for process in self.all:
            with process:  # closes the pipes, and waits
                process.stdin.close()
