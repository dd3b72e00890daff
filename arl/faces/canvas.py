"""What every part of a portrait is painted with: soft shapes, noise, blending, and the canvas with its layers.

Everything is elementwise NumPy over a batch of pictures, so no picture depends on its neighbours. What is small (an eye, the
mouth, a tie) is computed in its own rectangle of the picture, `Canvas.part`, and not elsewhere; whoever widens a shape must see
that its rectangle still holds it: a test compares single pictures with batches, byte for byte.

Lengths are head units: 1 unit is half the width of the face, about 70 mm; the origin is midway between the pupils, x to the
right, y down, z towards the viewer.
"""

import copy
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
from scipy.ndimage import gaussian_filter

UNITS = 4.25  # head units across the picture at zoom 1: pupils 0.9 / 4.25 of the width apart, as in aligned CelebA
TILE = 512  # pixels along a side of a noise tile

Columns = SimpleNamespace  # traits as float32 that broadcast over pictures: numbers (B, 1, 1), colours (B, 3, 1, 1)
Number = np.ndarray | float  # an array that broadcasts against (B, H, W), or a number


def smooth(x: np.ndarray, low: Number, high: Number) -> np.ndarray:
    """Smoothstep of x, any shape: from 0 below `low` to 1 above `high`."""
    s = (x - low) * (1.0 / (high - low))
    np.clip(s, 0, 1, out=s)
    return s * s * (3 - 2 * s)


def indicator(condition: np.ndarray) -> np.ndarray:
    """1 where true, 0 elsewhere, as float32: to NumPy a truth value times a Python number is float64."""
    return condition.astype(np.float32)


def bump(x: np.ndarray, y: np.ndarray, cx: Number, cy: Number, rx: Number, ry: Number) -> np.ndarray:
    """A hill of height 1 about (cx, cy) with the shape of exp(-(r/rx)^2), zero beyond 2 rx, at a fifth of its cost."""
    u, v = (x - cx) * (0.5 / rx), (y - cy) * (0.5 / ry)
    s = np.maximum(1 - (u * u + v * v), 0)
    s *= s
    s *= s
    return s


def ridge(x: np.ndarray, width: Number) -> np.ndarray:
    """A soft line of half-width `width` along x = 0."""
    u = x * (0.5 / width)
    s = np.maximum(1 - u * u, 0)
    s *= s
    s *= s
    return s


@lru_cache(maxsize=1)
def noise_tiles() -> dict[str, np.ndarray]:
    """Periodic noise tiles (TILE, TILE) float32 of standard deviation 1: white, fine, cloudy, misty, and strands."""
    white = np.random.Generator(np.random.Philox(20200207)).standard_normal((TILE, TILE))

    def tile(sigma_u: float, sigma_v: float) -> np.ndarray:
        image = gaussian_filter(white, (sigma_u, sigma_v), mode="wrap")
        return (image / image.std()).astype(np.float32)

    return {
        "white": tile(0, 0),
        "fine": tile(2, 2),
        "cloud": tile(14, 14),
        "mist": tile(60, 60),
        "strand": tile(1.6, 40),
    }


def noise(name: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The noise tile `name` at (u, v), in tile widths; strands run along v."""
    rows, columns = (u * TILE).astype(np.int32) & (TILE - 1), (v * TILE).astype(np.int32) & (TILE - 1)
    return noise_tiles()[name].take(rows * TILE + columns)


def tint(image: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Blend `colour` over `image` (B, 3, H, W), in place, where `cover` (B, H, W) is above 0."""
    change = colour - image
    change *= cover[:, None]
    image += change


def darken(image: np.ndarray, amount: np.ndarray, rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    """Take the share `amount` (B, H, W), weighted by channel, from `image` (B, 3, H, W), in place."""
    for k in range(3):
        image[:, k] *= np.maximum(1 - amount * rgb[k], 0.03)


def linear_rgb(r: float, g: float, b: float) -> np.ndarray:
    """One linear colour (3, 1, 1) that broadcasts over pictures (B, 3, H, W)."""
    return np.array([r, g, b], np.float32)[:, None, None]


class Canvas:
    """The picture while it is painted: pixel grids in head units (B, H, W), and what the layers laid so far give each pixel.

    `rgb` (B, 3, H, W) is linear colour; (B, H, W) are `lit`, the share that light falls on, `nx` and `ny`, slopes of the
    depth, `depth`, `gloss`, and `sky`, the share of the sky that a point sees. Whoever paints a part of the body adds its own
    grids as attributes, and says so.
    """

    def __init__(self, t: Columns, size: int):
        self.size = size
        self.px = UNITS / (size * t.zoom)  # one pixel in head units
        self.fine = min(size / 250, 1.0)  # how much of the finest texture a picture this small still shows
        grid = np.arange(size, dtype=np.float32) + 0.5
        # sx, sy: upright screen coordinates; hx, hy: turned with the head; ex, ey: from the head's own axis
        self.sx = (grid[None, None, :] - t.centre_x * size) * self.px
        self.sy = (grid[None, :, None] - t.centre_y * size) * self.px
        c, s = np.cos(t.roll), np.sin(t.roll)
        self.hx, self.hy = c * self.sx + s * self.sy, c * self.sy - s * self.sx
        shape = self.hx.shape
        self.rgb = np.zeros((shape[0], 3, *shape[1:]), np.float32)
        self.lit, self.nx, self.ny, self.gloss = (np.zeros(shape, np.float32) for _ in range(4))
        self.depth = np.full(shape, -2.0, np.float32)
        self.sky = np.ones(shape, np.float32)

    def part(self, mask: np.ndarray) -> "Canvas":
        """The smallest rectangle of this canvas that holds `mask` in every picture: views, so painting there paints here.

        Its `where` is the index of the rectangle in this canvas's grids.
        """
        height, width = mask.shape[-2:]
        rows, columns = np.flatnonzero(mask.any((0, 2))), np.flatnonzero(mask.any((0, 1)))
        r = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
        c = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0, 0)
        part = copy.copy(self)
        part.where = (..., r, c)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and value.ndim > 2:
                down = r if value.shape[-2] == height else slice(None)
                across = c if value.shape[-1] == width else slice(None)
                setattr(part, name, value[..., down, across])
        return part

    def edge(self, distance: np.ndarray, soft: Number = 0.0) -> np.ndarray:
        """Coverage from a signed distance inwards: anti-aliasing over one pixel, plus `soft` head units."""
        return np.clip(0.5 + distance / (self.px + soft), 0, 1)

    def layer(
        self,
        cover: np.ndarray,
        colour: np.ndarray,
        slope_x: np.ndarray,
        slope_y: np.ndarray,
        depth: Number,
        gloss: Number = 0.0,
        sky: Number = 1.0,
    ) -> None:
        """Blend a material over what is there, in linear light; slopes are of its depth, in units per unit."""
        tint(self.rgb, cover, colour)
        planes = (("nx", slope_x), ("ny", slope_y), ("depth", depth), ("gloss", gloss), ("sky", sky))
        for name, value in planes:
            plane = getattr(self, name)
            change = value - plane
            change *= cover
            plane += change
        np.maximum(self.lit, cover, out=self.lit)
