"""The geometry of a head: its elliptic sections, its nose, and how pixels map to its front.

The outline of the face and the places of brows, eyes, nose and mouth are near the means of 309 nearly frontal photographs of the
ORL Database of Faces, as dlib's 68 landmarks find them.
"""

from types import SimpleNamespace

import numpy as np

from arl.faces.canvas import Canvas, Columns, Number, bump, ridge, smooth

ROWS = 512  # of the tables over height that describe a head's horizontal sections
PUPILS = 1.1  # how far the pupils are before the axis about which a head turns


def _sections(t: Columns) -> np.ndarray:
    """Tables (6, B, ROWS) over height: the head's horizontal sections, ellipses of half-axes w across and d deep.

    Seen under a yaw, an ellipse has half-width a and a point of it at sine s of a lies at w (s cos f - c sin f)
    across and d (c cos f + s sin f) deep: so the columns are a, w cos f, w sin f, d cos f, d sin f, and the
    length of the outline per unit of height.
    """
    y = np.linspace(-2.4, 2.6, ROWS, dtype=np.float32)[None]
    p = SimpleNamespace(**{name: value[:, :, 0] for name, value in vars(t).items() if value.ndim == 3})

    def hump(cy: Number, r: float) -> np.ndarray:
        return np.exp(-(((y - cy) / r) ** 2))

    widest = -0.25
    up = np.clip((widest - y) / (widest + p.skull_top), 0, 1)
    down = np.clip((y - widest) / (p.chin - widest), 0, 1)
    w = np.where(y < widest, np.sqrt(1 - up**2.6), (1 - down**p.jaw_power) ** p.jaw_round)
    w = w * p.skull_width * (
        1
        - p.temple * hump(-0.42, 0.22)
        + p.zygoma * hump(0.16, 0.22)
        + p.cheek * hump(0.70, 0.26)
        + p.gonion * hump(1.03, 0.20)
        + p.chin_width * hump(p.chin - 0.13, 0.14)
    )  # fmt: skip
    d = np.where(y < widest, np.sqrt(1 - up**2.9), np.sqrt(1 - down**7) * (1 + 0.03 * down))
    d = p.skull_depth * d + p.profile * hump(-0.9, 0.4) + 0.02 * p.brow_ridge / 0.05 * hump(-0.27, 0.16)
    a = np.sqrt((w * np.cos(p.yaw)) ** 2 + (d * np.sin(p.yaw)) ** 2) + 1e-4
    cos_f, sin_f = w * np.cos(p.yaw) / a, d * np.sin(p.yaw) / a
    slope = np.gradient(a, y[0, 1] - y[0, 0], axis=1)
    columns = (a, w * cos_f, w * sin_f, d * cos_f, d * sin_f, np.sqrt(1 + slope**2))
    return np.stack(columns).astype(np.float32)


def _lookup(tables: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Columns of `_sections` at heights y (B, H, W), linearly interpolated: a list of (B, H, W)."""
    position = np.clip((y + 2.4) * (ROWS / 5.0), 0, ROWS - 2)
    i = position.astype(np.int32)
    position -= i.astype(np.float32)
    i += (np.arange(len(y), dtype=np.int32) * ROWS)[:, None, None]
    found = []
    for table in tables:
        step = np.zeros_like(table)
        np.subtract(table[:, 1:], table[:, :-1], out=step[:, :-1])
        at = step.take(i)
        at *= position
        at += table.take(i)
        found.append(at)
    return found


def nose_height(t: Columns, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the nose above the face: a bridge that widens downwards, a ball, two wings, a base that turns under."""
    ax = np.abs(x)
    v = (y + 0.10) / (t.nose_length + 0.10)  # 0 at the root, 1 where the lip begins
    tip = 0.80 + t.nose_turn
    rise = np.clip(v, 0, 1) / tip
    line = t.bridge + (1 - t.bridge) * rise - 0.30 * t.nose_hump * rise * (rise - 1)
    under = np.clip((v - tip + 0.04) / (1.10 - tip), 0, 1)
    line = line * (1 - under * under) ** 2 * smooth(v, -0.42, 0.16)
    narrow = (0.070 + 0.030 * np.clip(rise, 0, 1) ** 2) * (0.75 + 0.25 * t.nose_width)
    wide = (0.145 + 0.030 * np.clip(rise, 0, 1.1)) * (0.6 + 0.4 * t.nose_width)
    spine = 0.18 * ridge(x, narrow) + 0.82 * ridge(x, wide)
    ball = bump(x, v, 0, tip - 0.03, 0.085 * t.nose_ball, 0.15)
    wing = bump(ax, v, 0.138 * t.nose_width, 0.88, 0.058 * (0.5 + 0.5 * t.nose_width), 0.125)
    return t.nose_height * (0.90 * line * spine + 0.30 * ball + 0.50 * wing)


def face_coordinates(t: Columns, c: Canvas) -> Canvas:
    """Map pixels to the frontal face: the part of `c` that holds the face.

    Adds to `c` the angles, `ex` and `ey`, from the head's axis, `a`, the half-width of the head there, and `around`. To the face it
    adds x, y, |x|, the side, -1 or 1, `smooth_depth`, `front`, and `inside`, the distance from the outline.

    Yaw turns about the axis through the ears, pitch shears by the depth of a smooth head; both keep the pupils in
    place, as the alignment of CelebA does. The nose moves by its height (parallax).
    """
    c.cos_yaw, c.sin_yaw = np.cos(t.yaw), np.sin(t.yaw)
    c.sin_pitch = np.sin(t.pitch)
    c.ex = c.hx + PUPILS * c.sin_yaw  # from the axis of the head
    swell = -0.50 * c.ex * c.ex - 0.26 * (c.hy - 0.1) ** 2 + 0.012
    c.ey = (c.hy - c.sin_pitch * swell) / np.cos(t.pitch)
    tables = _sections(t)
    (c.a,) = _lookup(tables[:1], c.ey)
    f = c.part((np.abs(c.ex) < c.a + 2 * c.px) & (np.abs(c.ey) < 2.0))
    f.w_cos, f.w_sin, f.d_cos, f.d_sin, stretch = _lookup(tables[1:], f.ey)

    def across(p: Canvas, x_view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s = np.clip(x_view / p.a, -0.999, 0.999)
        k = np.sqrt(1 - s * s)
        return s * p.w_cos - k * p.w_sin, k * p.d_cos + s * p.d_sin

    f.inside = np.minimum((f.a - np.abs(f.ex)) / np.minimum(stretch, 3), np.minimum(t.chin - f.ey, f.ey + t.skull_top))
    x, z = across(f, f.ex)
    f.x, f.y = x, f.ey.copy()
    n = f.part((np.abs(x) < 0.6) & (f.y > -0.55) & (f.y < 1.1))
    rise = nose_height(t, n.x, n.y)
    n.x[...] = across(n, n.ex - rise * c.sin_yaw)[0]
    n.y -= rise * c.sin_pitch
    f.smooth_depth = z * c.cos_yaw - x * c.sin_yaw
    f.front = z / t.skull_depth  # 1 straight ahead, 0 at the ears
    # how far around the head: 0 in the middle of the face, 1 at the ears, more behind them; signed
    c.around = c.ex / np.maximum(c.a, 0.3)
    side = x / np.sqrt(f.w_cos * f.w_cos + f.w_sin * f.w_sin + 1e-6)
    side = np.where(z < 0, 2 * np.sign(x) - side, side)
    c.around[f.where] = np.where(f.inside > 0, side, c.around[f.where])
    f.side = np.sign(f.x)
    f.x = f.x * (1 + t.asymmetry * f.side) + t.lopsided * np.clip(f.y, 0, 2) * 0.5
    f.y = f.y + t.asymmetry * f.x * 0.8
    f.ax = np.abs(f.x)
    return f


def slopes(depth: np.ndarray, px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of a depth map (B, H, W) along x and y, in head units per head unit."""
    dx, dy = np.empty_like(depth), np.empty_like(depth)
    np.subtract(depth[:, :, 2:], depth[:, :, :-2], out=dx[:, :, 1:-1])
    dx[:, :, 0], dx[:, :, -1] = dx[:, :, 1], dx[:, :, -2]
    np.subtract(depth[:, 2:], depth[:, :-2], out=dy[:, 1:-1])
    dy[:, 0], dy[:, -1] = dy[:, 1], dy[:, -2]
    half = 0.5 / px
    dx *= half
    dy *= half
    return np.clip(dx, -3, 3, out=dx), np.clip(dy, -3, 3, out=dy)
