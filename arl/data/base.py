"""Faces in memory: what every source gives, and who of them is in X1, X2 and T."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arl.config import ATTRIBUTES, RunConfig
from arl.messages import ConfigError

LEAST = 2  # images in each of X1, X2 and T: a mean and its error need two


@dataclass(frozen=True, eq=False)
class FaceData:
    """N faces of one source.

    images: uint8 (N, 3, S, S), read-only, a memory map unless it is a selection
    attributes: bool (N, A), columns as `attribute_names`; A is 0 for a folder without labels
    identities: int64 (N,), who it is
    spec: what defines these faces, JSON-able and the same on every machine: made to go into run ids
    title: the same in a few words, for outputs
    left_out: what the source holds and these faces do not, and why: a line each
    """

    images: np.ndarray
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    identities: np.ndarray
    spec: dict[str, Any]
    title: str
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


class Split(NamedTuple):
    """Disjoint, sorted rows (int64): X1 private, X2 the adversary's, T the test set: all rows but `reserved_rows`."""

    x1: np.ndarray
    x2: np.ndarray
    t: np.ndarray


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
        left_out=data.left_out + extra.left_out,
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


def split(data: FaceData, cfg: RunConfig) -> Split:
    """X1, X2 and the rest, T: by image as in the paper, or with nobody in two of them; drawn by `cfg.seed` without `reserved_rows`.

    `cfg.x1`, `cfg.x2`: below 1 a fraction of the images that are not reserved, else a count. By identity, people are drawn one by one, and
    each set ends where its number of images comes nearest. Raises `ConfigError` where a set has fewer than `LEAST` images.
    """
    free = np.setdiff1d(np.arange(len(data)), reserved_rows(data, cfg))
    n = len(free)
    n1, n2 = (wanted_images(x, n) for x in (cfg.x1, cfg.x2))
    _enough(data, cfg, (n1, n2, n - n1 - n2), n)
    rng = np.random.default_rng([cfg.seed, 0x5011])  # its own stream: other draws by the same seed differ
    if cfg.split == "image":
        order = rng.permutation(n)
        parts = [order[:n1], order[n1 : n1 + n2], order[n1 + n2 :]]
    else:
        parts = _by_identity(data.identities[free], n1, n2, rng)
        _enough(data, cfg, tuple(map(len, parts)), n)
    return Split(*(free[np.sort(part)].astype(np.int64) for part in parts))


def wanted_images(size: float, of: int) -> int:
    """A size of the configuration as a number of images: a fraction of `of` images below 1, else a count."""
    return round(size * of) if size < 1 else int(size)


def reserved_rows(data: FaceData, cfg: RunConfig) -> np.ndarray:
    """The rows (int64, sorted) of the people who are in none of X1, X2 and T, so that they can be extra data.

    People are drawn one by one by `cfg.seed`, with all of their images, until these are `cfg.reserved` or more: all rows of one seed
    keep the same people out. Raises `ConfigError` where that is everybody.
    """
    want = wanted_images(cfg.reserved, len(data)) if cfg.reserved else 0
    if not want:
        return np.array([], np.int64)
    people, who, counts = np.unique(data.identities, return_inverse=True, return_counts=True)
    order = np.random.default_rng([cfg.seed, 0x5012]).permutation(len(people))  # a stream of its own
    drawn = int(np.searchsorted(np.cumsum(counts[order]), want)) + 1
    if drawn >= len(people):
        raise ConfigError(
            f"reserved: found {cfg.reserved:g} of {len(data)} images of {len(people)} people ({data.title}), "
            "accepted: a fraction or a count that leaves people for X1, X2 and T"
        )
    return np.flatnonzero(np.isin(who, order[:drawn])).astype(np.int64)


def _enough(data: FaceData, cfg: RunConfig, sizes: tuple[int, ...], n: int) -> None:
    if min(sizes) >= LEAST:
        return
    found = f"{cfg.x1:g} and {cfg.x2:g} by {cfg.split}, which leaves {sizes[0]}, {sizes[1]} and {max(sizes[2], 0)}"
    raise ConfigError(
        f"x1, x2: found {found} of {n} images{' that are not reserved' if cfg.reserved else ''} ({data.title}), "
        f"accepted: fractions or counts that leave X1, X2 and T {LEAST} images each or more"
    )


def _by_identity(identities: np.ndarray, n1: int, n2: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of three sets with nobody in two of them, the first two near `n1` and `n2` images."""
    people, who, counts = np.unique(identities, return_inverse=True, return_counts=True)
    if len(people) < 3:
        raise ConfigError(f"split: found 'identity' with {len(people)} people, accepted: 3 people or more")
    order = rng.permutation(len(people))
    upto = np.cumsum(counts[order])  # images of the people drawn so far
    end1 = int(np.abs(upto[:-2] - n1).argmin()) + 1
    end2 = int(np.abs(upto[end1:-1] - upto[end1 - 1] - n2).argmin()) + 1 + end1
    part_of = np.full(len(people), 2)
    part_of[order[:end1]] = 0
    part_of[order[end1:end2]] = 1
    return [np.flatnonzero(part_of[who] == k) for k in range(3)]


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
