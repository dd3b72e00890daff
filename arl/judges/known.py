"""What C makes of a data set's images, computed once for all runs and kept in the store, also while it is computed."""

import hashlib
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl.data import FaceData
from arl.judges.base import BATCH_OF_FACES, Recogniser, embed_batches
from arl.machine import prepare
from arl.messages import say
from arl.store import DamagedError, Run, obtain

SECONDS = 20.0  # after so long what is done is kept
SHARE = 0.05  # of the time, at most, is spent on keeping


def recognised(data: FaceData, index: np.ndarray, recogniser: Recogniser) -> tuple[Tensor, Tensor]:
    """C's embedding (n, d) and middle layer (n, m) of the images `index`, computed once for all runs.

    Killed in the middle it goes on after the last whole batch that was kept, to the same bytes.
    """
    digest = hashlib.sha256(np.ascontiguousarray(index, dtype="<i8").tobytes()).hexdigest()[:16]
    spec = {"kind": "embedding", "recogniser": recogniser.spec, "data": data.spec, "images": digest}

    def make(run: Run) -> dict[str, Any]:
        say(f"{run.id}  {recogniser.name} looks at {len(index)} images")
        _look_at(run, data.images, index, recogniser)
        return {"checkpoint": True, "images": len(index)}

    tensors, _ = obtain(spec, make).load()
    return tensors["embedding"], tensors["middle"]


def _look_at(run: Run, images: np.ndarray, index: np.ndarray, recogniser: Recogniser) -> None:
    """Embed the images `index` in batches, from where `run` was left, and keep what is done from time to time."""
    parts = _kept_parts(run, len(index))
    done = sum(len(embedding) for embedding, _ in parts)
    kept_at, spent = time.monotonic(), 0.0
    for part in embed_batches(recogniser, images, index[done:], prepare()):
        parts.append(part)
        done += len(part[0])
        passed = time.monotonic() - kept_at
        if done < len(index) and passed >= max(SECONDS, spent / SHARE):
            say(f"{run.id}  {done} of {len(index)} images")
            _keep(run, parts)
            kept_at, spent = time.monotonic(), time.monotonic() - kept_at - passed
    _keep(run, parts)


def _keep(run: Run, parts: list[tuple[Tensor, Tensor]]) -> None:
    embedding, middle = (torch.cat(part) for part in zip(*parts, strict=True))
    run.save({"embedding": embedding, "middle": middle})


def _kept_parts(run: Run, images: int) -> list[tuple[Tensor, Tensor]]:
    """What an interrupted look kept: whole batches, or all `images`. A batch begun anew would be another, and may round otherwise."""
    try:
        tensors, _ = run.load()
        kept = tensors["embedding"], tensors["middle"]
    except (FileNotFoundError, KeyError):
        return []
    except DamagedError as error:
        say(f"{error}; the run starts again")
        return []
    rows = len(kept[0])
    if len(kept[1]) != rows or rows > images or (rows < images and rows % BATCH_OF_FACES):
        return []
    say(f"{run.id}  goes on after {rows} images")
    return [kept]
