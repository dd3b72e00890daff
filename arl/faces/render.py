"""Pictures of invented people, by the one or by the data set: `render` and `render_params`.

Every number of a picture is a hash of (seed, domain, person, photograph, name of the number):

    streams -> person -> photograph -> attributes -> traits (attributes turned into geometry, colour, light) -> pictures

The crop is that of aligned CelebA cut to its middle 178 pixels. No picture, landmark or weight of CelebA is used.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from arl.config import ATTRIBUTES
from arl.faces.camera import develop
from arl.faces.portrait import paint
from arl.faces.sitter import Traits
from arl.faces.streams import check_domain, photo_stream
from arl.faces.traits import parameters
from arl.messages import ConfigError

VERSION = 4  # of the pictures: raised whenever one byte of them changes, so that stored sets are made anew
LEAST_SIZE = 16  # pixels
CHUNK = 256  # photographs: labels and traits come cheaper by the hundred than by the batch


class Rendered(NamedTuple):
    """`images` (N, 3, size, size) uint8 sRGB, `attributes` (N, 40) bool, `identities` (N,) int64."""

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray


def _columns(traits: Traits) -> SimpleNamespace:
    """Traits as float32 arrays that broadcast over pictures: (B, 1, 1) numbers, (B, 3, 1, 1) colours."""
    return SimpleNamespace(**{k: v.astype(np.float32).reshape(*v.shape, 1, 1) for k, v in traits.items()})


def render_params(
    seed: int = 0,
    people: ArrayLike = 0,
    photos: ArrayLike = 0,
    size: int = 64,
    *,
    domain: str = "standard",
    force: Mapping[str, ArrayLike] | None = None,
    traits: Mapping[str, ArrayLike] | None = None,
    batch: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw photograph `photos[i]` of person `people[i]`; `force` and `traits` as in `parameters`. Raises `ConfigError`.

    Returns images (N, 3, size, size) uint8 sRGB and attributes (N, 40) bool.
    """
    if size < LEAST_SIZE:
        raise ConfigError(f"size: found {size}, accepted are {LEAST_SIZE} pixels or more")
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    a, t = parameters(seed, people, photos, domain=domain, force=force, traits=traits)
    images = np.empty((len(people), 3, size, size), np.uint8)
    for i in range(0, len(people), batch):
        part = slice(i, i + batch)
        columns = _columns({k: v[part] for k, v in t.items()})
        shot = photo_stream(seed, domain, people[part], photos[part])
        grain = shot.uniform("grain", 0, 1 << 40).astype(np.int64)
        images[part] = develop(paint(columns, size), columns, grain)
    return images, np.stack([a[name] for name in ATTRIBUTES], 1)


def render(
    n_identities: int,
    per_identity: int,
    size: int = 64,
    seed: int = 0,
    *,
    domain: str = "standard",
    first_identity: int = 0,
    out: np.ndarray | None = None,
    batch: int = 16,
    progress: bool = False,
) -> Rendered:
    """Draw `per_identity` photographs of each of `n_identities` people, person by person. Raises `ConfigError`.

    Photograph k of person p depends on (seed, domain, p, k, size) alone: any slice, made anywhere and in any batch
    size, is the same slice. `first_identity` skips people. `out`, an array or memmap (N, 3, size, size) uint8, is
    written batch by batch, so that a set larger than memory can be made.
    """
    _check_whole("n_identities", n_identities, 1)
    _check_whole("per_identity", per_identity, 1)
    _check_whole("size", size, LEAST_SIZE)
    _check_whole("first_identity", first_identity, 0)
    _check_whole("batch", batch, 1)
    _check_whole("seed", seed, 0)
    check_domain(domain)
    total = n_identities * per_identity
    shape = (total, 3, size, size)
    if out is None:
        out = np.empty(shape, np.uint8)
    elif out.shape != shape or out.dtype != np.uint8:
        raise ConfigError(f"out: found {out.dtype} {out.shape}, accepted is uint8 {shape}")
    number = np.arange(total)
    identities = (first_identity + number // per_identity).astype(np.int64)
    attributes = np.empty((total, len(ATTRIBUTES)), bool)
    chunk = max(batch, CHUNK)
    bar = tqdm(total=total, desc=f"faces, {size} px", unit="image", disable=not progress)
    for i in range(0, total, chunk):
        part = slice(i, min(i + chunk, total))
        out[part], attributes[part] = render_params(
            seed, identities[part], number[part] % per_identity, size, domain=domain, batch=batch
        )
        bar.update(len(identities[part]))
    bar.close()
    return Rendered(out, attributes, identities)


def _check_whole(name: str, value: int, least: int) -> None:
    if int(value) != value or value < least:
        raise ConfigError(f"{name}: found {value}, accepted are whole numbers from {least}")


def montage(images: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, 3, H, W) uint8 side by side, `columns` a row: one picture (rows * H, columns * W, 3) uint8."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * columns, 3, height, width), 255, np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, 3, height, width).transpose(0, 3, 1, 4, 2)
    return sheet.reshape(rows * height, columns * width, 3)
