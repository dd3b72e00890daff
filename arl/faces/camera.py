"""The camera: from linear light to the bytes of a picture."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from arl.faces.canvas import TILE, Columns, noise_tiles


@lru_cache(maxsize=1)
def _srgb_table() -> np.ndarray:
    """sRGB of 4097 linear values from 0 to 1: a camera's curve, with a toe and a shoulder so that nothing clips at once."""
    x = np.arange(4097) / 4096.0
    x = 1.10 * x / (1 + 0.10 * x)
    s = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return (s + 0.15 * (s * s * (3 - 2 * s) - s)).astype(np.float32)


def develop(linear: np.ndarray, t: Columns, grain: np.ndarray) -> np.ndarray:
    """Bytes (B, 3, size, size) of linear pictures, which it overwrites: lens blur in linear light, sRGB, sensor noise.

    `grain` (B,) int64 says where each picture's noise begins.
    """
    size = linear.shape[-1]
    tile, number = noise_tiles()["white"], np.arange(size)
    for i, image in enumerate(linear):
        sigma = float(t.blur[i, 0, 0]) * size
        if sigma > 0.25:
            linear[i] = gaussian_filter(image, (0, sigma, sigma), truncate=3.0, mode="nearest")
    srgb = _srgb_table().take(np.clip(linear * 4096, 0, 4096).astype(np.int32))
    for i in range(len(linear)):
        for k in range(3):
            rows, columns = number + (grain[i] >> (9 * k)), number + (grain[i] >> (9 * k + 5))
            srgb[i, k] += t.noise[i, 0, 0] * tile[np.ix_(rows & (TILE - 1), columns & (TILE - 1))]
    return np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)
