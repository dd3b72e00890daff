"""The colours of skin, hair, cloth and places, as 8-bit sRGB, and how linear colours are taken from them."""

import numpy as np
from numpy.typing import ArrayLike

from arl.faces.streams import Stream

# From fair to dark, evenly spaced in perceived lightness; the first is for Pale_Skin alone.
SKIN = np.array([(250, 229, 214), (236, 203, 183), (222, 182, 157), (200, 151, 121), (164, 114, 88), (118, 80, 61),
                 (78, 53, 42)])  # fmt: skip
HAIR = {"Black_Hair": (22, 19, 19), "chestnut": (58, 34, 28), "Brown_Hair": (98, 68, 44), "auburn": (104, 56, 38),
        "sandy": (150, 124, 92), "Blond_Hair": (196, 166, 120), "Gray_Hair": (182, 182, 184)}  # fmt: skip
IRIS = np.array([(46, 28, 18), (80, 50, 28), (92, 78, 44), (74, 92, 72), (76, 100, 122), (98, 122, 144)])
BROW = [(28, 21, 18), (66, 46, 33), (104, 76, 54)]
LIPSTICK = [(138, 34, 44), (176, 36, 50), (196, 66, 92), (150, 54, 72)]
EYE_SHADOW = [(46, 36, 42), (74, 52, 66), (92, 62, 48), (56, 60, 78)]
RIM = [(16, 14, 14), (40, 26, 20), (70, 38, 20), (60, 56, 54)]
METAL = [(232, 190, 90), (225, 225, 230)]
# What is worn, and what stands behind people: black, white, denim, red; walls, wood, sky, leaves, night.
CLOTH = [(24, 24, 27), (30, 30, 34), (38, 44, 66), (60, 78, 108), (112, 116, 122), (196, 194, 190), (226, 224, 220), (128, 38, 44),
         (46, 78, 66), (92, 94, 70), (96, 62, 84), (178, 132, 138)]  # fmt: skip
SUIT = [(26, 27, 31), (34, 38, 52), (66, 68, 74), (48, 42, 40)]
TIE = [(120, 16, 24), (24, 40, 110), (90, 20, 90), (20, 20, 24), (150, 110, 20)]
SCENES = [(216, 212, 204), (178, 170, 158), (142, 144, 146), (96, 98, 102), (56, 54, 56), (30, 30, 36), (146, 120, 92), (92, 70, 54),
          (136, 160, 186), (92, 118, 150), (88, 108, 74), (52, 70, 50), (150, 92, 78), (120, 40, 44)]  # fmt: skip


def linear(srgb: ArrayLike) -> np.ndarray:
    """Linear light of sRGB values, both in [0, 1], any shape."""
    srgb = np.asarray(srgb)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def ramp(table: ArrayLike, position: np.ndarray) -> np.ndarray:
    """Colours (N, 3), linear, at `position` (N,) between the rows of a table of 8-bit sRGB."""
    table = linear(np.asarray(table) / 255.0)
    position = np.clip(position, 0, len(table) - 1.000001)
    i = position.astype(int)
    f = (position - i)[:, None]
    return table[i] * (1 - f) + table[i + 1] * f


def near(table: list, stream: Stream, name: str, spread: float) -> np.ndarray:
    """Linear colours (N, 3) near one of a table of 8-bit sRGB: brighter or darker by about `spread`, the hue a little."""
    u = stream.uniform(name) * len(table)
    shade = spread * stream.normal(name + " shade")[:, None]
    tint = 0.05 * np.stack([stream.normal(f"{name} {c}") for c in "rgb"], 1)
    return np.clip(linear(np.asarray(table) / 255.0)[u.astype(int)] * np.exp(shade + tint), 0.002, 0.9)


def red_blue(red: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Factors (N, 3) of a colour's channels from logarithms (N,) of the change in red and blue; green stays."""
    return np.exp(np.stack([red, np.zeros(len(red)), blue], 1))
