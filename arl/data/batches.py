"""Batches of faces, read ahead of the device."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor


def resident(images: np.ndarray, device: torch.device, free: int | None = None) -> np.ndarray | Tensor:
    """`images` as uint8 on `device`, where they take half of its `free` bytes at most; else as they are, to be read batch by batch.

    By default `free` is what a CUDA device has, and nothing elsewhere: a CPU has the file's pages already.
    """
    if free is None:
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    if 2 * int(np.prod(images.shape)) > free:
        return images
    there = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), 4096):
        rows = np.arange(start, min(start + 4096, len(images)))
        there[start : start + len(rows)] = torch.from_numpy(images[rows])
    return there


def batches(
    images: np.ndarray | Tensor,
    index: np.ndarray,
    batch_size: int,
    *,
    device: str | torch.device = "cpu",
    generator: torch.Generator | None = None,
    flip: bool = False,
    drop_last: bool = False,
    share: Callable[[np.ndarray], np.ndarray] = lambda part: part,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Once through `images[index]`: (positions, faces), int64 (B,) positions in `index` and float32 (B, 3, S, S), on `device`.

    `images` is uint8 (N, 3, S, S), an array or `resident` there; faces are in [0, 1], channels_last. With a `generator` (on the CPU) the
    order is shuffled; `flip` mirrors a random half. Both are drawn at once, not while the batches are read, so the
    generator's state afterwards does not depend on how many of them were. `share` says which of a batch are read.
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
    parts = [share(part) for part in parts]

    if isinstance(images, Tensor):
        return _of_residents(images, index, parts, mirrored if flip else None)

    def read(part: np.ndarray) -> tuple[Tensor, Tensor]:
        rows, m = images[index[part]], mirrored[part]  # a copy
        if flip:
            rows[m] = rows[m][..., ::-1]
        both = torch.from_numpy(part), torch.from_numpy(rows)
        return tuple(t.pin_memory() for t in both) if device.type == "cuda" else both

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        for part, rows in _ahead(read, parts, device) if device.type == "cuda" else map(read, parts):
            x = rows.to(device, non_blocking=True).float().div_(255)  # bytes travel, floats do not
            yield part.to(device, non_blocking=True), x.contiguous(memory_format=torch.channels_last)

    return stream()


def _of_residents(
    images: Tensor, index: np.ndarray, parts: list[np.ndarray], mirrored: np.ndarray | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same of images that lie on the device: what is drawn goes there once, before the first batch."""
    order = np.concatenate([*parts, np.array([], np.int64)])
    sizes = [len(part) for part in parts]
    there = [_sent(each[order], images.device) for each in (np.arange(len(index)), index)]
    m = None if mirrored is None else _sent(mirrored[order], images.device).view(-1, 1, 1, 1).split(sizes)
    for i, (part, rows) in enumerate(zip(*(each.split(sizes) for each in there), strict=True)):
        x = images[rows]
        x = x if m is None else torch.where(m[i], x.flip(-1), x)
        yield part, x.float().div_(255).contiguous(memory_format=torch.channels_last)


def _sent(values: np.ndarray, device: torch.device) -> Tensor:
    """`values` on the device, which need not be waited for: the copy is made from pinned memory."""
    here = torch.from_numpy(values)
    return (here.pin_memory() if device.type == "cuda" else here).to(device, non_blocking=True)


def _ahead(read: Callable[[np.ndarray], Any], parts: list[np.ndarray], device: torch.device) -> Iterator[Any]:
    """`map(read, parts)` that reads the next one in a thread while this one is used."""
    own = {} if device.index is None else {"initializer": torch.cuda.set_device, "initargs": (device,)}
    with ThreadPoolExecutor(1, **own) as pool:  # a thread begins on the first device, not on its process's
        coming = []
        for part in parts:
            coming.append(pool.submit(read, part))
            if len(coming) == 2:
                yield coming.pop(0).result()
        for future in coming:
            yield future.result()
