"""Batches of faces, read ahead of the device."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor


def batches(
    images: np.ndarray,
    index: np.ndarray,
    batch_size: int,
    *,
    device: str | torch.device = "cpu",
    generator: torch.Generator | None = None,
    flip: bool = False,
    drop_last: bool = False,
    share: Callable[[np.ndarray], np.ndarray] = lambda part: part,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Once through `images[index]`: (positions, faces), int64 (B,) positions in `index` and float32 (B, 3, S, S).

    `images` is uint8 (N, 3, S, S); faces are in [0, 1], channels_last, on `device`. With a `generator` (on the CPU) the
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
