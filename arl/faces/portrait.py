"""Draws heads from their traits: a height field on a head of elliptic sections, materials back to front, light, camera.

Everything is elementwise NumPy over a batch of pictures, so no picture depends on its neighbours. What is small (an eye, the
mouth, a tie) is computed in its own rectangle of the picture, `Canvas.part`, and not elsewhere; whoever widens a shape must see
that its rectangle still holds it: a test compares single pictures with batches, byte for byte.

Lengths are head units: 1 unit is half the width of the face, about 70 mm; the origin is midway between the pupils, x to the
right, y down, z towards the viewer. The outline of the face and the places of brows, eyes, nose and mouth are near the means of
309 nearly frontal photographs of the ORL Database of Faces, as dlib's 68 landmarks find them.
"""

import copy
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
from scipy.ndimage import gaussian_filter

UNITS = 4.25  # head units across the picture at zoom 1: pupils 0.9 / 4.25 of the width apart, as in aligned CelebA
ROWS = 512  # of the tables over height that describe a head's horizontal sections
PUPILS = 1.1  # how far the pupils are before the axis about which a head turns


def _smooth(x, low, high):
    """Smoothstep from 0 below `low` to 1 above `high`."""
    s = (x - low) * (1.0 / (high - low))
    np.clip(s, 0, 1, out=s)
    return s * s * (3 - 2 * s)


def _where(condition):
    """1 where true, 0 elsewhere, as float32: to NumPy a truth value times a Python number is float64."""
    return condition.astype(np.float32)


def _bump(x, y, cx, cy, rx, ry):
    """A hill of height 1 with the shape of exp(-(r/rx)^2), zero beyond 2 rx, at a fifth of its cost."""
    u, v = (x - cx) * (0.5 / rx), (y - cy) * (0.5 / ry)
    s = np.maximum(1 - (u * u + v * v), 0)
    s *= s
    s *= s
    return s


def _ridge(x, width):
    """A soft line of half-width `width` along x = 0."""
    u = x * (0.5 / width)
    s = np.maximum(1 - u * u, 0)
    s *= s
    s *= s
    return s


@lru_cache(maxsize=1)
def _bank():
    """Periodic noise tiles (512, 512) float32 of standard deviation 1: white, fine, cloudy, misty, and strands."""
    white = np.random.Generator(np.random.Philox(20200207)).standard_normal((512, 512))

    def tile(sigma_u, sigma_v):
        image = gaussian_filter(white, (sigma_u, sigma_v), mode="wrap")
        return (image / image.std()).astype(np.float32)

    return {
        "white": tile(0, 0),
        "fine": tile(2, 2),
        "cloud": tile(14, 14),
        "mist": tile(60, 60),
        "strand": tile(1.6, 40),
    }


def _noise(name, u, v):
    """Noise of the bank at (u, v), in tile widths; strands run along v."""
    rows, columns = (u * 512).astype(np.int32) & 511, (v * 512).astype(np.int32) & 511
    return _bank()[name].take(rows * 512 + columns)


def _tint(image, cover, colour):
    """Blend `colour` over `image` (B, 3, H, W), in place."""
    change = colour - image
    change *= cover[:, None]
    image += change


def _darken(image, amount, rgb=(1.0, 1.0, 1.0)):
    """Take the share `amount` (B, H, W), weighted by channel, from `image` (B, 3, H, W), in place."""
    for k in range(3):
        image[:, k] *= np.maximum(1 - amount * rgb[k], 0.03)


def _rgb(r, g, b):
    """One linear colour that broadcasts over pictures (B, 3, H, W)."""
    return np.array([r, g, b], np.float32)[:, None, None]


class Canvas:
    """The picture while it is painted: pixel grids in head units, and colour, slope, depth and gloss by layers."""

    def __init__(self, t, size):
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
        self.sky = np.ones(shape, np.float32)  # the share of the sky that a point sees

    def part(self, mask):
        """The smallest rectangle of this canvas that holds `mask` in every picture: views, so painting there paints here."""
        height, width = mask.shape[-2:]
        rows, columns = np.flatnonzero(mask.any((0, 2))), np.flatnonzero(mask.any((0, 1)))
        r = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
        c = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0, 0)
        part = copy.copy(self)
        part.where = (..., r, c)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and value.ndim > 2:
                r_, c_ = (
                    (r if value.shape[-2] == height else slice(None)),
                    (c if value.shape[-1] == width else slice(None)),
                )
                setattr(part, name, value[..., r_, c_])
        return part

    def edge(self, distance, soft=0.0):
        """Coverage from a signed distance inwards: anti-aliasing over one pixel, plus `soft` head units."""
        return np.clip(0.5 + distance / (self.px + soft), 0, 1)

    def layer(self, cover, colour, slope_x, slope_y, depth, gloss=0.0, sky=1.0):
        """Blend a material over what is there, in linear light; slopes are of its depth, in units per unit."""
        _tint(self.rgb, cover, colour)
        planes = (("nx", slope_x), ("ny", slope_y), ("depth", depth), ("gloss", gloss), ("sky", sky))
        for name, value in planes:
            plane = getattr(self, name)
            change = value - plane
            change *= cover
            plane += change
        np.maximum(self.lit, cover, out=self.lit)


# -- geometry -----------------------------------------------------------------------------------------------------


def _sections(t):
    """Tables (6, B, ROWS) over height: the head's horizontal sections, ellipses of half-axes w across and d deep.

    Seen under a yaw, an ellipse has half-width a and a point of it at sine s of a lies at w (s cos f - c sin f)
    across and d (c cos f + s sin f) deep: so the columns are a, w cos f, w sin f, d cos f, d sin f, and the
    length of the outline per unit of height.
    """
    y = np.linspace(-2.4, 2.6, ROWS, dtype=np.float32)[None]
    p = SimpleNamespace(**{name: value[:, :, 0] for name, value in vars(t).items() if value.ndim == 3})

    def hump(cy, r):
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


def _lookup(tables, y):
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


def _nose(t, x, y):
    """Height of the nose above the face: a bridge that widens downwards, a ball, two wings, a base that turns under."""
    ax = np.abs(x)
    v = (y + 0.10) / (t.nose_length + 0.10)  # 0 at the root, 1 where the lip begins
    tip = 0.80 + t.nose_turn
    rise = np.clip(v, 0, 1) / tip
    line = t.bridge + (1 - t.bridge) * rise - 0.30 * t.nose_hump * rise * (rise - 1)
    under = np.clip((v - tip + 0.04) / (1.10 - tip), 0, 1)
    line = line * (1 - under * under) ** 2 * _smooth(v, -0.42, 0.16)
    narrow = (0.070 + 0.030 * np.clip(rise, 0, 1) ** 2) * (0.75 + 0.25 * t.nose_width)
    wide = (0.145 + 0.030 * np.clip(rise, 0, 1.1)) * (0.6 + 0.4 * t.nose_width)
    spine = 0.18 * _ridge(x, narrow) + 0.82 * _ridge(x, wide)
    ball = _bump(x, v, 0, tip - 0.03, 0.085 * t.nose_ball, 0.15)
    wing = _bump(ax, v, 0.138 * t.nose_width, 0.88, 0.058 * (0.5 + 0.5 * t.nose_width), 0.125)
    return t.nose_height * (0.90 * line * spine + 0.30 * ball + 0.50 * wing)


def _pose(t, c):
    """Map pixels to the frontal face; returns the canvas of the face with x, y, the depth of the smooth head, and inside.

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

    def across(p, x_view):
        s = np.clip(x_view / p.a, -0.999, 0.999)
        k = np.sqrt(1 - s * s)
        return s * p.w_cos - k * p.w_sin, k * p.d_cos + s * p.d_sin

    f.inside = np.minimum((f.a - np.abs(f.ex)) / np.minimum(stretch, 3), np.minimum(t.chin - f.ey, f.ey + t.skull_top))
    x, z = across(f, f.ex)
    f.x, f.y = x, f.ey.copy()
    n = f.part((np.abs(x) < 0.6) & (f.y > -0.55) & (f.y < 1.1))
    rise = _nose(t, n.x, n.y)
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


def _slopes(depth, px):
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


# -- the face -----------------------------------------------------------------------------------------------------


def _face(t, f):
    """Paint the face on its canvas `f`: adds `f.d`, its depth, `f.skin`, its colour, and `f.ao`, the sky it sees."""
    x, y = f.x, f.y
    f.cloud = _noise("cloud", x * 0.15 + t.hair_phase0, y * 0.15 + t.hair_phase1)
    f.speckle = _noise("fine", x * 0.10 + t.hair_phase2, y * 0.10 + t.hair_phase3)
    f.grain = _noise("white", x * 0.55 + t.hair_phase4, y * 0.55) * f.fine  # averaged out in a small picture
    f.d, f.ao = f.smooth_depth, np.ones_like(x)
    f.skin = t.skin_rgb * (1 + t.mottle * (0.045 * f.speckle + 0.026 * f.cloud) + 0.022 * f.grain)[:, None]
    f.gloss = np.full_like(x, 0.55)

    mouth = f.part((f.ax < t.mouth_width + 0.25) & (np.abs(y - t.mouth_y) < 0.42))
    eyes = f.part((f.ax < 1.15) & (y > -0.75) & (y < 0.42))
    _mouth_shape(t, mouth)
    _eye_shape(t, eyes)
    _relief(t, f, mouth, eyes)
    _skin(t, f)
    _age(t, f)
    _nostrils(t, f)
    _lids(t, eyes)
    if any(grown.any() for grown in (t.beard, t.mustache, t.goatee, t.sideburns, t.stubble)):
        _beard(t, f)
    _mouth(t, mouth)
    _eyes(t, eyes)


def _mouth_shape(t, m):
    """Contours and covers of the lips, added to the canvas `m`."""
    q = m.x / t.mouth_width
    arc = np.minimum(q * q, 1.3)
    inner = np.maximum(1 - arc, 0)
    corner = (0.140 * t.smile + 0.012) * (arc - 0.40)  # corners rise with a smile
    middle = t.mouth_y + 0.02 * t.mouth_open - corner + 0.014 * _ridge(m.x, 0.09) + t.mouth_tilt * q
    lens = inner * (1.15 - 0.15 * inner)
    m.gap_top = middle - t.mouth_open * 0.35 * lens
    m.gap_bottom = middle + t.mouth_open * 0.65 * lens
    bow = np.sqrt(inner)
    peaks = 1 + 0.22 * t.cupid * (_ridge(m.ax - 0.095, 0.075) - 1.5 * _ridge(m.x, 0.055))
    m.top = m.gap_top - t.lip_upper * (0.35 * inner + 0.65 * bow * (1 - 0.35 * arc)) * peaks
    m.bottom = m.gap_bottom + t.lip_lower * (0.45 * bow + 0.55 * inner) * (1 - 0.06 * _ridge(m.x, 0.07))
    within = m.edge((t.mouth_width - m.ax) * 0.7, 0.015)
    m.upper = np.minimum(m.y - m.top, m.gap_top - m.y)
    m.lower = np.minimum(m.y - m.gap_bottom, m.bottom - m.y)
    m.lips = m.edge(np.minimum(m.y - m.top, m.bottom - m.y), 0.030 - 0.018 * t.lipstick) * within
    gap = np.minimum(m.y - m.gap_top, m.gap_bottom - m.y)
    m.gap = m.edge(gap, 0.006) * within * np.minimum(t.mouth_open * 30, 1)
    m.line = _ridge(m.y - middle, 0.017 + 0.3 * m.px) * within * (1 - m.gap)
    m.arc = arc


def _eye_shape(t, e):
    """Lids, iris and brows of both eyes at once, in coordinates mirrored about the nose, added to the canvas `e`."""
    e.qx = (e.ax - t.eye_x) / t.eye_width  # -1 the inner corner, 1 the outer
    e.qy = e.y + t.eye_tilt * (e.ax - t.eye_x)
    almond = np.maximum(1 - e.qx * e.qx, 0)
    e.upper = 0.012 - (t.eye_open + 0.012) * np.sqrt(almond) * (1.0 - 0.10 * e.qx + 0.06 * almond)
    e.lower = 0.012 + t.eye_open * (0.66 * almond) * (1 + 0.18 * e.qx) - 0.016 * np.maximum(t.smile, 0) * almond
    e.cleft = e.edge(np.minimum(e.qy - e.upper, e.lower - e.qy)) * _where(np.abs(e.qx) < 1)
    e.gx = e.ax - t.eye_x + 0.006 - e.side * t.gaze_x
    e.gy = e.qy + 0.008 - t.gaze_y
    e.radius = np.sqrt(e.gx * e.gx + e.gy * e.gy)
    e.over = e.upper - e.qy  # how far above the edge of the upper lid

    b = (e.ax - t.brow_x) / t.brow_length
    rise = np.where(b < 0.3, (b - 0.3) / 1.25, (b - 0.3) / 0.75)
    middle = t.brow_y + t.brow_drop - t.brow_arch * (0.55 - rise * rise) + t.brow_tilt * b
    thick = t.brow_thick * np.clip(1.0 - 0.55 * np.maximum(b + 0.1, 0), 0.15, 1.0)
    away = e.y - middle
    e.hairs = _noise("strand", e.ax * 0.20 + away * (0.40 - 0.27 * b) + t.hair_phase1, (e.y - 0.5 * e.ax) * 0.25)
    e.brow = e.edge(thick - np.abs(away) + 0.007 * e.fine * e.hairs, 0.05) * (1 - _smooth(np.abs(b), 0.80, 1.10))


def _relief(t, f, m, e):
    """Heights added to `f.d`: bones, flesh and folds, lips, lids, nose."""
    x, y, ax, d = f.x, f.y, f.ax, f.d
    smile = np.maximum(t.smile, 0)
    f.apple = _bump(ax, y, 0.54, 0.36 - 0.05 * smile, 0.22, 0.19)
    d += (t.cheekbone + 0.055 * smile) * f.apple
    d += (0.03 + 0.6 * t.cheekbone) * _bump(ax, y, 0.74, 0.16, 0.22, 0.16)  # zygomatic arch
    d -= (0.012 + 0.24 * t.cheekbone) * _bump(ax, y, 0.64, 0.76, 0.20, 0.26)
    d += t.cheek_fat * _bump(ax, y, 0.52, 0.74, 0.32, 0.34)
    d -= 0.05 * _bump(ax, y, 0.95, -0.30, 0.16, 0.30)  # temples
    d += t.forehead * _bump(x, y, 0, -0.75, 0.55, 0.30) + 0.0022 * t.mottle * f.speckle + 0.011 * f.cloud

    low = f.part((ax < 1.15) & (y > -0.05))
    f.low, x, y, ax, d = low, low.x, low.y, low.ax, low.d
    d += 0.085 * _bump(x, y, 0, t.mouth_y - 0.02, 0.40, 0.34)  # the teeth's arch
    d += t.chin_bump * _bump(x, y, 0, t.chin - 0.19, 0.24, 0.17)
    if t.cleft.any():
        d -= t.cleft * _bump(x, y, 0, t.chin - 0.16, 0.035, 0.1)
    low.pit = _bump(x, y, 0, t.mouth_y + 0.23 + 0.6 * t.mouth_open, 0.22, 0.06)
    d -= 0.040 * low.pit
    along = np.clip((y - 0.50) / 0.55, 0, 1.3)
    fold_x = ax - 0.23 - 0.28 * along * (1 - 0.25 * along) - 0.06 * smile * along - 0.02 * (t.nose_width - 1)
    low.fold = _ridge(fold_x, 0.05) * _smooth(y, 0.46, 0.72) * (1 - _smooth(y, 0.80, 1.08 + 0.12 * t.sag))
    d -= 0.034 * t.fold * low.fold
    d += 0.022 * t.fold * _ridge(fold_x - 0.10, 0.07) * _smooth(y, 0.50, 0.66) * (1 - _smooth(y, 0.84, 1.08))
    groove = _smooth(y, t.nose_length, t.nose_length + 0.06) * (1 - _smooth(y, t.mouth_y - 0.11, t.mouth_y - 0.05))
    d -= t.philtrum * _ridge(x, 0.035) * groove
    if t.sag.any():  # jowls beside the chin
        d += t.sag * (0.05 * _bump(ax, y, 0.42, 1.16, 0.16, 0.16) - 0.04 * _bump(ax, y, 0.26, 1.14, 0.05, 0.16))
    m.d += m.lips * (
        0.026 * np.clip(m.upper * (2.5 / t.lip_upper), 0, 1.2) + 0.040 * np.clip(m.lower * (3 / t.lip_lower), 0, 1.3)
    )
    m.d -= 0.05 * m.gap + 0.02 * m.line

    x, y, ax, d = e.x, e.y, e.ax, e.d
    d += t.brow_ridge * _bump(ax, y, 0.40, -0.26, 0.34, 0.10) + 0.012 * e.brow
    e.socket = _bump(ax, y, t.eye_x - 0.02, -0.05, 0.27, 0.145)
    e.corner = _bump(ax, y, 0.205, -0.02, 0.085, 0.15)
    d -= t.socket * e.socket + 0.050 * e.corner
    d += 0.085 * _bump(e.gx, e.gy, 0, 0, 0.17, 0.13)
    lid = _smooth(e.over, -0.004, 0.012) * (1 - np.clip(e.over / t.lid, 0, 1)) * _where(np.abs(e.qx) < 1.1)
    d += 0.026 * lid - 0.016 * e.cleft
    e.bag = _bump(ax, y, t.eye_x - 0.01, 0.165, 0.17, 0.05)
    d += (0.004 + 0.055 * t.bags) * e.bag
    e.trough = _ridge(y - 0.235 - 0.16 * (ax - 0.22) + 0.35 * (ax - t.eye_x) ** 2, 0.035) * _ridge(ax - 0.40, 0.20)
    d -= (0.006 + 0.020 * t.bags) * e.trough

    f.nose = f.part((f.ax < 0.75) & (f.y > -0.55) & (f.y < 1.1))
    f.nose.d += _nose(t, f.nose.x, f.nose.y)


def _skin(t, f):
    """Blood, shadow of a beard, rouge, freckles, moles, and what no light reaches."""
    x, y, ax, skin = f.x, f.y, f.ax, f.skin
    # blood shows in cheeks, nose and chin, least on the forehead
    warm = (
        0.9 * f.apple + 0.9 * _bump(x, y, 0, t.nose_length - 0.13, 0.20, 0.17) + 0.35 * _bump(x, y, 0, 1.42, 0.3, 0.2)
    )
    _darken(skin, np.clip(0.125 * (t.ruddy * warm + 0.14 * t.mottle * f.cloud), -0.2, 0.5), (-0.1, 1, 0.85))
    if t.shaven.any():  # a shaven chin is greyer
        _darken(skin, t.shaven * _smooth(y + 0.45 * ax * ax, 0.74, 1.05), (1.0, 0.85, 0.62))
    if t.rosy.any():  # here and below: what nobody in the batch has is not computed
        _darken(
            skin,
            0.60 * t.rosy * _bump(ax + 0.35 * (y - 0.4), y + 0.25 * (ax - 0.6), 0.60, 0.38, 0.32, 0.27),
            (0.0, 0.74, 0.62),
        )
    if t.makeup.any():
        _darken(skin, 0.22 * t.makeup * _bump(ax, y, 0.68, 0.46, 0.2, 0.15), (0.1, 0.7, 0.5))
    if t.freckles.any():
        freckles = _smooth(f.speckle, 0.6, 1.4) * (f.apple + _bump(x, y, 0, 0.3, 0.4, 0.3))
        _darken(skin, 0.4 * t.freckles * freckles, (0.5, 0.8, 1))
    for i in range(3):
        radius = vars(t)[f"mole_r{i}"]
        if radius.any():
            away = (x - vars(t)[f"mole_x{i}"]) ** 2 + (y - vars(t)[f"mole_y{i}"]) ** 2
            mole = np.maximum(1 - away / (radius * radius + 0.3 * f.px**2), 0)
            _darken(skin, mole * np.minimum(radius * radius / (0.1 * f.px**2), 0.75), (0.6, 0.8, 0.9))
    f.gloss += 0.35 * _bump(x, y, 0, -0.65, 0.5, 0.3) + 0.2 * f.apple
    n = f.nose
    n.gloss += 0.4 * _bump(n.x, n.y, 0, 0.25, 0.12, 0.4)


def _age(t, f):
    """Folds beside nose and mouth, lines of forehead and eyes, spots."""
    low = f.low
    _darken(low.skin, (0.10 * t.fold + 0.16 * t.wrinkle) * low.fold, (0.7, 0.9, 1))
    if not t.wrinkle.any():
        return
    x, y, ax, w = f.x, f.y, f.ax, t.wrinkle
    wave = 0.035 * f.cloud + 0.05 * np.cos(2.2 * x + 3 * t.hair_phase5)
    lines = np.zeros_like(x)
    for k, height in enumerate((-0.54, -0.68, -0.83)):
        lines += (0.9 - 0.2 * k) * _ridge(y - height - wave * (1 + 0.4 * k), 0.022 + 0.25 * f.px)
    lines *= _ridge(x + 0.2 * (vars(t)["hair_phase6"] - 0.5), 0.42)
    crow = np.zeros_like(x)
    for slope in (-0.35, 0.05, 0.45):
        crow += _ridge(y - 0.02 - slope * (ax - 0.66), 0.014 + 0.25 * f.px)
    crow *= _bump(ax, y, 0.80, 0.03, 0.09, 0.14)
    frown = _bump(ax, y, 0.075, -0.27, 0.022 + 0.2 * f.px, 0.09)
    mouth = _bump(ax - 0.06 * (y - 1.0), y, 0.40, 1.10, 0.022 + 0.25 * f.px, 0.12)  # from the corners down
    amount = w * (0.36 * lines + 0.38 * crow + 0.22 * frown + 0.25 * mouth)
    _darken(f.skin, amount, (0.75, 0.92, 1))
    f.d -= 0.02 * amount
    _darken(f.skin, 0.24 * t.spots * _smooth(f.speckle + 0.5 * f.cloud, 1.3, 2.3), (0.6, 0.85, 1))


def _nostrils(t, f):
    """Nostrils, the creases of the wings, and the shade under nose and lip."""
    n = f.nose
    x, y, ax = n.x, n.y, n.ax
    base = t.nose_length
    tilt = y - base + 0.038 + 0.25 * (ax - 0.09)
    hole = _bump(ax, tilt, 0.088 * t.nose_width, 0, 0.042 * t.nostril, 0.022 + 0.15 * n.px)
    _darken(n.skin, 0.95 * hole, (0.85, 0.95, 0.97))
    wing = _bump(ax, y, 0.222 * t.nose_width, base - 0.06, 0.026 + 0.15 * n.px, 0.075)
    _darken(n.skin, 0.36 * wing, (0.75, 0.95, 1))
    n.ao *= 1 - 0.55 * _bump(x, y, 0, base + 0.025, 0.17 * t.nose_width, 0.055)
    n.ao *= 1 - 0.30 * _bump(ax, y, 0.24 * t.nose_width, base - 0.10, 0.06, 0.14)
    n.gloss *= 1 - hole
    low = f.low
    low.ao *= 1 - 0.40 * low.pit


def _beard(t, f):
    """Facial hair: stubble, moustache, goatee, sideburns and beard, each with its region, density and strands."""
    low = f.part(f.y > -0.55)
    x, y, ax = low.x, low.y, low.ax
    hairs = _noise("strand", 0.22 * x - 0.14 * (y - 0.7) * low.side + t.hair_phase6, y * 0.6 + 0.4 * ax) * (
        0.4 + 0.6 * low.fine
    )
    q = np.minimum((x / t.mouth_width) ** 2, 1.6)
    corner = (0.140 * t.smile + 0.012) * (q - 0.40)
    top = t.mouth_y - corner - 0.35 * t.mouth_open - t.lip_upper * np.maximum(1 - 0.8 * q, 0.1)
    bottom = t.mouth_y - corner + 0.65 * t.mouth_open + t.lip_lower * np.maximum(1 - q, 0)
    lips = _smooth(y, top - 0.02, top + 0.015) * (1 - _smooth(y, bottom - 0.015, bottom + 0.02)) * (ax < t.mouth_width)
    under_nose = _smooth(y, t.nose_length + 0.015, t.nose_length + 0.06)
    lip = (
        under_nose
        * (1 - _smooth(y, top + 0.0, top + 0.05))
        * (1 - _smooth(ax, t.mouth_width * 0.85, t.mouth_width * 1.15))
    )
    lip = lip * (1 - 0.45 * _ridge(x, 0.03))
    corners = _smooth(0.085 - np.abs(ax - t.mouth_width * 1.06), 0, 0.06) * _smooth(y, top - 0.12, top + 0.02)
    chin = _smooth(y, bottom + 0.03, bottom + 0.10) * (1 - _smooth(ax + 0.25 * (y - 1.3), 0.26, 0.38))
    chin = np.maximum(chin, 0.8 * _bump(x, y, 0, bottom + 0.05, 0.055, 0.06))
    edge = 1.02 - 0.52 * ax * ax + 0.22 * (1 - ax) + 0.02 * low.cloud  # where a beard begins on the cheek
    jaw = _smooth(y - edge + 0.20, 0, 0.22)
    beside = _smooth(0.68 + 0.12 * y - low.front, 0, 0.12)  # before the ears
    jaw = jaw * (1 - (1 - t.sideburns) * _smooth(0.82 - y, 0, 0.20) * beside)
    burns = beside * _smooth(low.front, 0.02, 0.16)
    burns = burns * _smooth(y, -0.50, -0.1) * (1 - _smooth(y, 0.74, 0.92))
    shade = np.maximum(jaw, under_nose * (1 - _smooth(ax, t.mouth_width, t.mouth_width + 0.25)) * _smooth(y, 0.5, 0.7))
    full = np.maximum(0.92 * t.beard * np.maximum(jaw, 0.25 * lip), 0.95 * t.mustache * lip)
    full = np.maximum(full, 0.93 * t.goatee * np.maximum(chin, t.mustache * corners * _smooth(1.35 - y, 0, 0.15)))
    full = np.maximum(full, 0.95 * t.sideburns * burns)
    dense = full * np.clip(0.97 + 0.10 * hairs, 0.6, 1)
    sparse = 0.40 * t.stubble * shade * (1 + 0.3 * hairs * low.fine + 0.45 * low.grain)
    cover = np.clip(np.maximum(dense, sparse), 0, 0.97) * (1 - lips)
    _tint(low.skin, cover, t.beard_rgb * np.exp(0.18 * hairs)[:, None])
    low.d += 0.03 * full * (1 - lips) + 0.006 * hairs * full
    low.gloss *= 1 - 0.8 * cover


def _mouth(t, m):
    """Lips, the dark between them, teeth."""
    shine = 1 + 0.10 * m.speckle * m.fine
    _tint(m.skin, m.lips * (0.80 + 0.16 * t.lipstick), t.lip_rgb * shine[:, None])
    _darken(m.skin, m.lips * 0.20 * _smooth(m.upper, -0.01, 0.02), (0.8, 1, 1))  # the upper lip looks down
    _darken(m.skin, 0.62 * m.line * (0.7 + 0.3 * m.arc), (0.75, 1, 1))
    throat = np.broadcast_to(_rgb(0.040, 0.012, 0.012), m.skin.shape).copy()
    under = m.y - m.gap_top
    long = 0.062 + 0.075 * np.maximum(t.smile, 0) * (1 - 0.8 * m.arc)
    teeth = m.edge(np.minimum(under + 0.004, long - under), 0.012) * m.edge(t.mouth_width * 0.84 - m.ax, 0.08)
    each = np.cos(m.x * (18 - 6 * m.ax)) ** 2
    bite = 1 - 0.30 * m.fine * (1 - np.minimum(3 * each, 1))
    shade = bite * (0.92 - 0.62 * np.clip(m.arc * 1.25, 0, 1)) * (0.72 + 0.28 * _smooth(under, 0, 0.035))
    _tint(throat, teeth, _rgb(0.60, 0.545, 0.47) * shade[:, None])
    tongue = _bump(m.x, m.y - m.gap_bottom, 0, 0.0, 0.2, 0.05) * (1 - teeth)
    _tint(throat, 0.75 * tongue, _rgb(0.17, 0.05, 0.045))
    _tint(m.skin, m.gap, throat)
    m.gloss += (0.9 + 0.9 * t.lipstick) * m.lips * (1 - m.gap) + 0.6 * m.gap * teeth
    m.ao *= 1 - 0.35 * m.gap * (1 - 0.6 * teeth)


def _lids(t, e):
    """The skin about the eyes: sockets, bags, creases, eye shadow, and brows."""
    skin = e.skin
    _darken(skin, 0.20 * t.orbit * e.socket + 0.28 * t.orbit * e.corner, (0.65, 0.95, 0.9))
    e.ao *= 1 - 0.20 * e.socket - 0.20 * e.corner
    _darken(skin, t.bags * (0.34 * e.bag + 0.55 * e.trough) + 0.07 * e.trough, (0.75, 0.95, 0.85))
    if t.makeup.any():
        lid = (
            _smooth(e.over, -0.01, 0.02)
            * (1 - _smooth(e.over, 0.06, 0.15))
            * (1 - _smooth(np.abs(e.qx - 0.1), 0.9, 1.35))
        )
        _tint(skin, np.clip(0.62 * t.makeup * lid, 0, 1), t.lid_rgb)
    span = np.maximum(1.25 - (e.qx - 0.08) ** 2, 0)
    crease = _ridge(e.over - t.lid, 0.016 + 0.3 * e.px) * np.minimum(span, 1)
    _darken(skin, 0.42 * crease * _where(e.over > 0), (0.7, 0.95, 1))
    # a strand at a time only where pixels show it
    dark = np.clip(e.brow * t.brow_dark * (1 + (0.10 + 0.22 * e.fine) * e.hairs), 0, 0.96)
    _tint(skin, dark, t.brow_rgb)
    e.gloss *= 1 - 0.7 * dark


def _eyes(t, e):
    """Eyeball, iris, pupil, lashes, the glint of the light."""
    skin, white = e.skin, np.clip(0.5 + 1.1 * t.skin_rgb.mean(1, keepdims=True), 0.55, 1)
    ball = _rgb(0.40, 0.365, 0.345) * white * np.ones_like(e.x)[:, None]
    round_ = (e.gx / 0.20) ** 2
    _darken(ball, 0.42 * np.clip(round_, 0, 1), (0.8, 1, 1))
    _tint(
        ball, 0.6 * _bump(e.qx, e.qy, -0.93, 0.012, 0.16, 0.05), t.skin_rgb * _rgb(0.95, 0.55, 0.5)
    )  # the inner corner
    inner = np.clip(e.radius / 0.083, 0, 1)
    spokes = 0.12 * e.fine * e.hairs * inner
    tone = (0.55 + 0.75 * inner - 0.95 * _smooth(inner, 0.78, 1.0) + spokes) * (
        0.8 + 2.2 * np.clip(e.gy + 0.02, 0, 0.08)
    )
    _tint(ball, e.edge(0.083 - e.radius, 0.012), t.iris_rgb * np.clip(0.70 * tone, 0.08, 2)[:, None])
    _tint(ball, e.edge(t.pupil - e.radius, 0.008), np.float32(0.004))
    lid_shade = 1 - np.clip((e.qy - e.upper) / 0.060, 0, 1)
    _darken(ball, 0.75 * lid_shade)
    _tint(skin, e.cleft, ball)
    light = np.sign(t.light_x)
    glint = np.maximum(np.abs(e.gx * e.side - 0.024 * light), np.abs(e.gy + 0.030))
    glint = e.edge(0.016 + 0.05 * e.px - glint, 0.006) * np.minimum(0.020 / e.px, 1) * e.cleft
    _tint(skin, 0.85 * glint, np.float32(0.85))
    taper = _smooth(e.qx, -1.08, -0.45) * (1 - _smooth(e.qx, 1.02, 1.16 + 0.10 * t.makeup))
    thick = 0.017 + 0.010 * t.makeup + 0.24 * e.px
    lash = _ridge(e.over - 0.004 - 0.010 * t.makeup, thick) * (0.35 + 0.65 * taper) * _where(np.abs(e.qx) < 1.2)
    _tint(skin, np.clip(lash * (0.80 + 0.15 * t.makeup) * np.minimum(0.060 / e.px, 1), 0, 0.95), t.lash_rgb)
    rim = _ridge(e.qy - e.lower, 0.012 + 0.25 * e.px) * _smooth(e.qx, -1.0, -0.2) * _where(np.abs(e.qx) < 1.06)
    _darken(skin, (0.20 + 0.35 * t.makeup) * rim, (0.75, 0.95, 1))
    e.gloss *= 1 - e.cleft
    e.gloss += 0.35 * e.cleft


# -- other materials, back to front -------------------------------------------------------------------------------


def _scene(t, c):
    """A place behind the person, out of focus: a wall, things and gaps, leaves or lamps (B, 3, H, W)."""
    u, v = c.sx, c.sy
    blend = _smooth(v * np.cos(6.3 * t.phase4) + u * np.sin(6.3 * t.phase4), -2.4, 2.4)
    scale, wide = 0.07 * (1 + t.phase3), 0.25 + 0.5 * t.phase5
    cloud = _noise("mist", u * scale + t.phase0, v * scale + t.phase1)
    panel = _smooth(np.sin(u * (0.9 + 2.2 * t.phase2) + 6.3 * t.phase6), -wide, wide)
    shelf = _smooth(np.sin(v * (0.8 + 1.6 * t.phase7) + 6.3 * t.phase3), -wide, wide)
    busy = _smooth(t.scene, 0.25, 0.6)
    f = (1 - 0.6 * busy) * blend + 0.6 * busy * (0.6 * panel + 0.4 * shelf) + 0.26 * cloud * (0.25 + busy)
    f = np.clip(f, 0, 1)[:, None]
    return t.scene_rgb * (1 - f) + t.scene_rgb2 * f


def _body(t, c):
    """Neck, shoulders, clothes, collar and tie; they turn half as far as the head does."""
    b = c.part((c.hy > 0.5) | (c.sy > 1.3))
    x = b.sx + 0.85 * b.sin_yaw
    ax, sy, hy = np.abs(x), b.sy, b.hy
    width = t.neck_width + 0.05 * np.clip(1.5 - hy, 0, 1) + 0.42 * np.clip(hy - 1.62, 0, 2) ** 2
    u = np.clip(x / width, -0.985, 0.985)
    throat = _ridge(x, 0.16) * _smooth(hy, 1.5, 1.9)
    cord = _ridge(ax - 0.50 * width + 0.42 * (hy - 1.75), 0.07) * _smooth(hy, 1.5, 1.9)  # from ear to breastbone
    slope = -1.05 * u / np.sqrt(1 - u * u * u * u) + 0.5 * cord * np.sign(x) * _smooth(ax, 0.05, 0.2)
    jaw = hy - t.chin + 0.55 * x * x  # how far under the jaw
    sky = 0.30 + 0.70 * _smooth(jaw, -0.05, 0.62) - 0.12 * _smooth(np.abs(u), 0.6, 1)
    skin = t.skin_rgb * _rgb(0.93, 0.88, 0.86) * (1 + 0.03 * throat + 0.05 * cord)[:, None]
    for band in (1.76, 1.95):
        _darken(skin, (0.05 + 0.22 * t.wrinkle) * _ridge(hy - band - 0.05 * x * x, 0.02 + 0.25 * b.px), (0.7, 0.9, 1))
    b.layer(b.edge(width - ax) * (hy > 0.6), skin, slope, 0 * x - 0.12, -0.30 - 0.42 * u * u, 0.3, sky)

    # the line from neck to shoulder, and the edge of the cloth
    over = 1.60 + t.shoulder * np.maximum(ax - 0.55, 0) + 0.22 * np.maximum(ax - 1.35, 0) ** 2
    # the hole for the neck, round or with a point
    hole_x, hole_y = ax / (t.neck_width + 0.14), np.maximum(sy - 1.58, 0) / (t.neckline - 1.58)
    hole = np.where(t.neck_cut > 0.6, hole_x + hole_y, np.sqrt(hole_x * hole_x + hole_y * hole_y)) - 1
    hole = hole * (t.neckline - 1.58)
    cut = np.minimum(0.3 * hy + 0.7 * sy - over, hole)
    weave = _noise("cloud", b.sx * 0.10 + t.phase0, sy * 0.10 + t.phase1)
    drape = _noise("strand", b.sx * 0.05 + 0.06 * sy + t.phase2, sy * 0.10 - 0.05 * b.sx + t.phase5)
    stripes = 1 + 0.30 * _where(t.phase6 > 0.85) * np.sin(b.sx * 20 + 6 * t.phase2) * (1 - t.necktie)
    colour = t.cloth_rgb * ((1 + 0.10 * weave) * stripes)[:, None]
    fold = 0.16 * drape + 0.12 * weave
    rim = _ridge(hole - 0.05, 0.05)
    shade = 1 - 0.3 * _smooth(0.05 - hole, 0, 0.06)
    b.layer(
        b.edge(cut, 0.012),
        colour,
        -0.45 * x + fold,
        0 * x - 0.30 + 0.6 * fold - 0.5 * rim,
        -0.42 - 0.12 * x * x,
        0.1,
        shade,
    )
    if t.necktie.any():
        _necktie(t, b.part((sy > 1.4) & (ax < 0.9)))


def _necktie(t, b):
    x, sy = b.sx + 0.85 * b.sin_yaw, b.sy
    ax = np.abs(x)
    opening = 0.50 - 0.30 * np.maximum(sy - 1.85, 0)
    shirt = b.edge(opening - ax) * b.edge(sy - 1.80 - 0.02 * ax, 0.01)
    b.layer(t.necktie * shirt, _rgb(0.70, 0.71, 0.76) * (1 - 0.25 * ax)[:, None], -0.35 * x, 0 * x - 0.15, -0.34)
    # the collar's two wings, folded over
    wing = np.minimum(sy - 1.60 - 0.20 * ax, 2.12 - 0.55 * ax - sy)
    wing = np.minimum(np.minimum(wing, ax - 0.05 - 0.30 * np.maximum(sy - 1.82, 0)), 0.62 - ax)
    b.layer(t.necktie * b.edge(wing), _rgb(0.78, 0.79, 0.83), -0.6 * np.sign(x), 0 * x - 0.25, -0.22)
    knot = np.minimum(0.105 + 0.10 * np.maximum(1.98 - sy, 0) - 0.3 * np.maximum(sy - 2.0, 0) ** 2, 0.20) - ax
    blade = np.where(sy < 2.04, knot, 0.10 + 0.16 * (sy - 2.04) - ax)
    tie = b.edge(blade) * b.edge(sy - 1.84)
    pattern = 1 + 0.45 * np.sin((b.sx + sy) * 24) * _where(t.phase3 > 0.5)
    crease = 1 - 0.35 * _ridge(sy - 2.05, 0.03 + 0.2 * b.px)
    b.layer(t.necktie * tie, t.tie_rgb * (pattern * crease)[:, None], -2.5 * x, 0 * x, -0.16, 0.3)


def _necklace(t, c):
    if not t.necklace.any():
        return
    n = c.part((c.sy > 1.3) & (np.abs(c.sx) < 1.3))
    x, y = n.sx + 0.85 * n.sin_yaw, n.sy
    line = y - 2.12 + 0.62 * (x / 0.72) ** 2
    worn = t.necklace * (np.abs(x) < t.neck_width + 0.02)
    _darken(n.rgb, 0.5 * worn * _ridge(line - 0.06, 0.06), (0.8, 0.95, 1))  # its shadow
    round_ = np.sin(x * 42)
    beads = n.edge(0.032 - np.abs(line)) * (0.85 + 0.15 * round_)
    n.layer(worn * beads, t.metal_rgb * (0.85 + 0.3 * round_)[:, None], 0 * x, -6 * line, -0.15, 1.5)
    r = np.sqrt(x * x + (y - 2.20) ** 2)
    n.layer(t.necklace * n.edge(0.066 - r), t.metal_rgb, -6 * x, -6 * (y - 2.20), -0.12, 1.5)


def _ears(t, c, near_side):
    """Both ears: drawn before the head, and once more after it (`near_side`) for the one turned to the camera."""
    covered = _smooth(t.hair_length, 0.2, 0.5) * (1 - t.bald)
    for sign in (-1.0, 1.0):
        near = _smooth(-sign * c.sin_yaw, 0.10, 0.30) * (1 - covered)
        if near_side and not near.any():
            continue
        centre = sign * (t.skull_width * c.cos_yaw * 0.995 + 0.8 * t.ear_out * (1 - near))
        half = (0.105 + 0.30 * np.maximum(-sign * c.sin_yaw, 0)) * t.ear_size
        reach = 1.25 + c.px / half
        p = c.part((np.abs(c.ex - centre) < reach * half) & (np.abs(c.ey - 0.20) < reach * 0.31 * t.ear_size))
        v = (p.ey - 0.20) / (0.31 * t.ear_size)
        u = (p.ex - centre) / half - 0.22 * sign * np.clip(-v, -1, 1)  # the upper rim stands out
        r = np.sqrt(u * u * np.clip(1 + 0.35 * v, 0.6, 1.6) + v * v)
        rim = _ridge(r - 0.86, 0.13)
        bowl = _bump(u, v, -0.10 * sign, 0.12, 0.30, 0.34)
        fold = _ridge(r - 0.60, 0.12) * _smooth(-v, -0.5, 0.2)
        tone = 1 + 0.08 * rim + 0.05 * fold - 0.34 * bowl
        colour = t.skin_rgb * _rgb(1.0, 0.82, 0.79) * tone[:, None]
        sky = 0.85 - 0.45 * bowl
        cover = p.edge((1 - r) * half, 0.01)
        if near_side:  # it grows out of the cheek
            cover = cover * near * _smooth(sign * u, -0.9, -0.1)
        p.layer(cover, colour, 0.4 * sign - 0.9 * u * rim, -0.7 * v * rim, 0.06 if near_side else -0.05, 0.4, sky)


def _double_chin(t, c):
    """A roll of flesh between chin and neck, drawn before the face."""
    if not t.double_chin.any():
        return
    p = c.part((np.abs(c.ex) < 1.1) & (c.ey > 0.9) & (c.ey < t.chin + 0.6))
    x2 = p.ex * p.ex
    end = t.chin + 0.24 - 0.50 * x2
    up = (end - p.ey) * (1 / 0.27)  # 0 at the roll's lower edge, 1 at the chin
    _darken(p.rgb, 0.55 * t.double_chin * _ridge(p.ey - end - 0.02, 0.06) * (np.abs(p.ex) < 0.75), (0.75, 0.95, 1))
    cover = t.double_chin * p.edge(np.minimum(end - p.ey, 0.80 - np.abs(p.ex)), 0.03) * (p.ey > 1.0)
    sky = 0.35 + 0.60 * _smooth(p.ey - t.chin + 0.55 * x2, -0.02, 0.13)
    p.layer(cover, t.skin_rgb * _rgb(0.99, 0.95, 0.94), -1.1 * p.ex, 0.9 - 3.0 * np.clip(1 - up, 0, 1), 0.42, 0.6, sky)


def _hair(t, c):
    """Covers behind and before the face, colour and slopes of the hair on the head."""
    ex, y = c.ex, c.ey
    long_hair = _smooth(t.hair_length, 0.5, 1.3)
    widest = -0.25
    turn = 0.25 * c.sin_yaw
    rough = _noise("cloud", ex * 0.11 + t.hair_phase0, y * 0.11 + t.hair_phase1)

    # silhouette: the head's own, larger by the hair on its top and at its sides, falling to `hair_length`
    wide = t.skull_width * np.sqrt(c.cos_yaw**2 + (1.15 * c.sin_yaw) ** 2) + t.hair_side
    high = t.skull_top + widest + t.hair_top
    u, v = (ex - 0.25 * turn) / wide, np.minimum(y - widest, 0) / high
    r2 = u * u * (0.5 + 0.5 * np.abs(u)) + v * v * (0.4 + 0.6 * np.abs(v))
    r = np.sqrt(r2 + 1e-9)
    below = np.clip(y - widest, 0, 3)
    wave = (
        y * (5.5 + 4.5 * (1 - long_hair)) + 1.2 * np.sign(ex) + 2.2 * rough + 1.2 * np.sin(4 * ex) + 6 * t.hair_phase5
    )
    ripple = np.sin(wave + (2.0 + 5.0 * (1 - long_hair)) * np.abs(ex)) * t.wavy
    fall = long_hair * (0.10 * t.wavy + 0.03) * _smooth(below, 0.2, 1.6) - (1 - long_hair) * 0.12 * below

    # strands leave the parting and fall to both sides where hair is combed; they run back from the forehead where cropped
    away = np.abs(ex - 0.35 * t.part) + 0.02
    fan = np.sqrt(np.clip((y - widest + high + 0.12) * (1.1 / high), 0.02, 1.6))
    combed = np.maximum(np.maximum(t.straight, t.wavy), long_hair)
    across = combed * (away / fan + 0.05 * ripple) + (1 - combed) * (1.1 * u / (0.30 + r))
    along = combed * (0.35 * y + 0.2 * r) + (1 - combed) * (0.55 * r)
    short = 1 + 3.0 * (1 - combed)
    clumps = _noise("strand", across * 0.042 + t.hair_phase5, along * 0.10 * short + t.hair_phase0)
    locks = _noise("strand", across * 0.14 + t.hair_phase2, along * 0.16 * short + t.hair_phase3)
    locks = (0.75 * clumps + 0.65 * locks) * (1 - 0.35 * t.straight)
    strands = _noise("strand", across * 0.32 + t.hair_phase6, along * 0.28 * short + t.hair_phase4)
    if t.curly.any():
        curls = _noise("fine", ex * 0.080 + t.hair_phase2, y * 0.080 + t.hair_phase3)
        curls = 0.55 * curls + 0.50 * np.sin(2.6 * _noise("fine", ex * 0.14, y * 0.14 + t.hair_phase3) + 4 * curls)
        locks = locks + t.curly * (1.15 * curls - locks)
        strands = strands * (1 - 0.6 * t.curly)
    tuft = 0.6 * locks + 0.4 * strands
    ragged = (
        (0.020 + 0.025 * t.curly) * rough
        + (0.018 + 0.022 * t.curly) * tuft
        + ripple * np.maximum(0.04 * _smooth(y, -0.6, 0.6), 0.03 * (1 - long_hair))
    )
    ragged = ragged - 0.03 * t.part * ex * _smooth(-y, 0.6, 1.2)  # more hair on one side of the parting
    outline = (1 + fall - r) * wide + ragged
    ends = t.hair_length + 0.10 * rough + 0.16 * tuft - y + 0.25 * (1 - u * u)
    behind = c.edge(np.minimum(outline, 0.5 * ends), 0.045 + 0.04 * t.curly) * (1 - t.bald)

    # hairline: high in the middle, lower at the temples; a receding one goes back in two bays
    ax = np.abs(c.around - 0.03 * t.part)
    a2 = ax * ax
    line = t.hairline + 0.05 * a2 + 0.85 * _smooth(ax, 0.66, 1.0) ** 2 + t.peak * _ridge(ex, 0.20)
    line = line - t.temples * _ridge(ax - 0.62, 0.22)
    line = line - t.receding * 0.21 * _ridge(ax - 0.46, 0.36)
    if t.bangs.any():
        fringe = t.fringe + 0.09 * ex * t.part - 0.08 * a2
        line = np.where(t.bangs > 0, np.maximum(line, fringe), line)
    comb = combed * (1 - t.bangs) * _smooth(away, 0.1, 0.9) * _smooth(t.hair_length, 0.1, 0.4)
    line = line + 0.16 * comb * (1 - t.receding)  # a side parting sweeps over the temples
    line = line + (0.016 + 0.020 * t.bangs) * tuft + 0.018 * rough
    top = c.edge(line - y, 0.055 - 0.025 * t.bangs)
    inner = ax - 0.925 + 0.030 * ripple - 0.11 * long_hair * _smooth(y, -0.7, 0.5) + 0.022 * tuft + 0.03 * rough
    curtain = c.edge(inner * np.maximum(c.a, 0.45), 0.035)
    curtain = (
        curtain
        * _smooth(t.hair_length - y, -0.05, 0.12)
        * _smooth(y, -0.75, -0.40)
        * _smooth(t.hair_length, -0.4, -0.15)
        * (1 - t.sideburns)  # hair is put behind the ears
    )
    # hair falls behind the shoulders where the neck has something to show
    bared = np.maximum(t.necklace, t.double_chin)
    before = np.maximum(top, curtain * (1 - bared * _smooth(y, 1.15, 1.5))) * behind
    if t.bald.any():
        wreath = _smooth(ax, 0.86, 0.96) * _smooth(y, -0.75, -0.45) * (1 - _smooth(y, 0.05, 0.25))
        before = np.maximum(before, 0.7 * t.bald * (wreath * (np.abs(ex) < c.a + 0.03)))

    # colour: darker in the depth between locks, near the parting and below; lit along a band across the strands
    crown = _ridge(r - 0.70 - 0.05 * locks, 0.20)
    sheen = crown * (0.16 + 0.30 * t.straight + 0.20 * combed) * (1 - 0.8 * t.curly)
    hollow = 0.20 * locks + (0.06 + 0.07 * c.fine) * strands + (0.36 + 0.10 * (1 - long_hair)) * ripple + 0.06 * rough
    root = 0.35 * combed * _ridge(away, 0.05) * _smooth(-y, 0.6, 1.0)
    tone = np.exp(np.clip(hollow - root, -1.1, 0.9)) * (1 + 0.55 * sheen)
    bend = -0.95 / np.sqrt(np.clip(1.12 - r2, 0.14, 2))
    fade = (1 - long_hair) * (1 - t.curly) * _smooth(y, -0.75, -0.1) * _smooth(0.35 - t.hair_length, 0, 0.2)
    h = SimpleNamespace(behind=behind, before=before * (1 - 0.45 * fade * (0.75 - 0.25 * strands)))
    h.rgb = t.hair_rgb * tone[:, None] + (0.010 * sheen)[:, None]
    h.slope_x, h.slope_y = u * bend + (0.22 + 0.2 * _smooth(y, 0, 1)) * tuft, v * bend + 0.25 * ripple + 0.05 * locks
    h.sky = np.clip(0.95 - 0.35 * _smooth(y, 0.2, 1.4) + 0.12 * locks, 0.3, 1)
    h.line, h.inner = line, inner
    return h


def _earrings(t, c):
    """Hoops of gold or drops of silver, at the lobes and over whatever hair there is."""
    if not t.earrings.any():
        return
    for sign in (-1.0, 1.0):
        centre = sign * (t.skull_width * c.cos_yaw + t.ear_out + 0.01)
        p = c.part((np.abs(c.ex - centre) < 0.25) & (np.abs(c.ey - 0.75) < 0.4))
        u, v = p.ex - centre, p.ey - 0.58
        drop = np.maximum(0.055 - np.sqrt(u * u + v * v), 0.055 - np.sqrt(1.5 * u * u + 0.22 * (v - 0.17) ** 2))
        hoop = 0.026 - np.abs(np.sqrt(u * u + (v - 0.13) ** 2) - 0.11)
        shape = p.edge(np.where(t.metal_rgb[:, 2] > 0.4, drop, hoop))
        p.layer(t.earrings * shape, t.metal_rgb, -4 * u, -2.5 * v, 0.2, 1.6)


def _hat(t, c):
    """A knitted cap, a cap with a peak, or a hat with a brim, by `hat_kind` 0, 1, 2."""
    if not t.hat.any():
        return
    p = c.part(c.ey < 0.2)
    x, y = p.ex, p.ey
    knitted, brimmed = _where(t.hat_kind == 0), _where(t.hat_kind == 2)
    wide = t.skull_width + 0.13 + 0.03 * brimmed
    rim = -0.64 + 0.05 * knitted - 0.22 * (x / wide) ** 2 * (0.9 * knitted - 0.5)
    u, v = np.abs(x) / wide, np.maximum(-(y + 0.60), 0) / (t.skull_top - 0.44 + 0.1 * brimmed)
    u2, v2 = u * u, v * v
    r = np.where(t.hat_kind == 2, np.sqrt(np.sqrt(u2 * u2 + v2 * v2)), np.sqrt(u2 + v2 * (0.6 + 0.4 * v2)))
    cuff = _smooth(y, rim - 0.24, rim - 0.21) * knitted
    knit = 1 + knitted * 0.16 * np.sin(x * 30) * (0.5 + 0.5 * p.fine) - 0.30 * _ridge(y - rim + 0.23, 0.03) * knitted
    cloth = _noise("cloud", x * 0.10 + t.phase2, y * 0.10)
    band = 1 - 0.65 * brimmed * _where(y > rim - 0.24)
    crown = t.hat * p.edge(np.minimum((1 - r) * wide, rim - y), 0.01)
    tone = knit * band * (1 + 0.07 * cloth + 0.06 * cuff)
    bend = 1 / np.sqrt(np.clip(1.1 - u2, 0.12, 2))
    p.layer(
        crown, t.hat_rgb * tone[:, None], -1.2 * x / wide * bend + 0.2 * cloth, 1.1 * v + 0.12 * cloth, 0.9 - 0.4 * u2
    )
    brim_w, brim_h = (0.83 + 0.62 * brimmed) * wide, 0.19 - 0.04 * brimmed
    brim = (1 - (x / brim_w) ** 2 - ((y + 0.62) / brim_h) ** 2) * brim_h * 0.6
    p.layer(t.hat * (1 - knitted) * p.edge(brim), t.hat_rgb * 0.8, -0.2 * x, 0 * x + 0.5, 1.35)
    under = t.hat * _ridge(y - rim - 0.05, 0.14) * (1 - crown) * (1 - p.edge(brim) * (1 - knitted)) * _where(u < 1)
    p.sky *= 1 - 0.45 * under


def _glasses(t, c):
    """Rims in a plane before the eyes, bridge and temples; returns the light that the lenses throw back, and its canvas."""
    p = c.part((np.abs(c.ey - 0.05) < 0.6) & (np.abs(c.ex) < 1.3)) if t.glasses.any() else c.part(c.ex > 99)
    x, y, n = np.abs((p.hx - 0.12 * p.sin_yaw) / p.cos_yaw), p.ey, t.lens_round
    lx, ly = np.abs(x - 0.465) / t.lens_w, np.abs(y - 0.1 * p.sin_pitch - 0.05) / t.lens_h
    q = (lx**n + ly**n + 1e-9) ** (1 / n)
    far = np.abs(1 - q) * t.lens_h
    rim = p.edge(t.rim - far)
    rim = rim + p.edge(0.75 * t.rim - np.abs(y + 0.03 - 0.25 * x * x)) * (x < 0.475 - t.lens_w)
    rim = rim + p.edge(0.7 * t.rim - np.abs(y + 0.05)) * (x > 0.465 + t.lens_w) * (np.abs(p.ex) < p.a)
    lens = t.glasses * p.edge((1 - q) * t.lens_h)
    _darken(p.rgb, 0.08 * lens)
    shadow = _ridge(far - 0.02 * _where(y > 0), t.rim * 1.8) * _smooth(y, 0.0, 0.1)
    _darken(p.rgb, 0.22 * t.glasses * shadow, (0.8, 0.95, 1))
    p.layer(t.glasses * np.clip(rim, 0, 1), t.rim_rgb, 0 * x - 2 * (x - 0.465), -3 * (y - 0.05), 1.3, 1.0)
    streak = _smooth(ly - 0.5 * lx + 0.3 * _where(y < 0.05), 0.4, 1.2)
    return p, 0.07 * lens * streak


# -- light --------------------------------------------------------------------------------------------------------


def _shadow(t, c):
    """Share of the key light (B, H, W) that arrives: a march over the depth map, softer with distance."""
    batch, size = len(c.depth), c.size
    rows = np.arange(size, dtype=np.int32)
    base = (np.arange(batch, dtype=np.int32) * (size * size))[:, None, None]
    flat = c.depth.reshape(-1)
    blocked = np.zeros_like(c.depth)
    for step in (0.06, 0.12, 0.21, 0.34, 0.52):  # head units: from the nose's length down to its wings
        columns = np.clip(rows[None, None, :] + np.rint(t.light_x * step / c.px).astype(np.int32), 0, size - 1)
        lines = np.clip(rows[None, :, None] + np.rint(t.light_y * step / c.px).astype(np.int32), 0, size - 1)
        above = flat.take(base + lines * size + columns)
        above -= c.depth
        above -= t.light_z * step + 0.015
        above *= 6.0 / (0.3 + step)
        np.clip(above, 0, 1, out=above)
        np.maximum(blocked, above, out=blocked)
    return 1 - blocked * (0.35 + 0.5 * t.hard)


def _shade(t, c, scene):
    """Lambert with a soft reddish edge, sky and bounced light, gloss and cast shadows: linear (B, 3, H, W)."""
    norm = 1 / np.sqrt(1 + c.nx * c.nx + c.ny * c.ny)
    towards = -c.nx * t.light_x - c.ny * t.light_y + t.light_z
    shadow = _shadow(t, c)
    sky = (0.74 + 0.34 * c.ny * norm) * c.sky  # ny > 0 where a surface looks up
    cosine = towards * norm
    shadow *= 0.45 + 0.55 * c.sky
    light = np.empty_like(c.rgb)
    for k, wrap in enumerate((0.28, 0.15, 0.10)):  # light scattered in skin comes out red beyond the edge of shade
        direct = np.maximum((cosine + wrap) * (1.15 / (1 + wrap)), 0)
        direct *= shadow
        light[:, k] = t.key * t.key_rgb[:, k] * direct + t.ambient_rgb[:, k] * sky
    half = np.sqrt(t.light_x**2 + t.light_y**2 + (t.light_z + 1) ** 2)
    mirror = np.clip((towards + 1) * norm / half, 0, 1) ** 2
    mirror *= mirror  # to the fourth power
    mirror *= mirror
    broad = mirror
    tight = mirror * mirror
    tight = tight * tight
    back = (0.030 * broad + 0.050 * tight) * shadow * c.gloss * (0.25 + 0.75 * t.hard)
    lit = c.lit[:, None]
    return (c.rgb * light + (t.key_rgb * back[:, None])) * lit + 0.75 * scene * (1 - lit)


def paint(t, size):
    """Linear pictures (B, 3, size, size) float32 of traits `t`, each (B, 1, 1) or (B, 3, 1, 1) float32."""
    c = Canvas(t, size)
    f = _pose(t, c)
    _face(t, f)
    hair = _hair(t, c)
    c.rgb[:] = scene = _scene(t, c)
    c.layer(hair.behind, hair.rgb * 0.5, hair.slope_x, hair.slope_y, -0.6, 0.1, hair.sky * 0.8)
    _body(t, c)
    _double_chin(t, c)
    _ears(t, c, near_side=False)
    gloss, f.gloss = f.gloss, c.gloss[f.where]
    f.ao *= 1 - 0.35 * (1 - _smooth(f.ey - hair.line[f.where], 0.0, 0.16)) * (1 - t.bald)
    f.layer(f.edge(f.inside), f.skin, *_slopes(f.d, f.px), f.d, gloss, f.ao)
    c.face_depth = np.full_like(c.depth, -0.3)
    c.face_depth[f.where] = np.where(f.inside > -f.px, f.d, -0.3)
    _necklace(t, c)
    hanging = _smooth(c.ey, 0.2, 0.9)  # below the jaw there is no head to lie on
    lying = c.face_depth + 0.07 + 0.5 * t.hair_side
    c.layer(hair.before, hair.rgb, hair.slope_x, hair.slope_y, lying + hanging * (0.35 - lying), 0.25, hair.sky)
    _ears(t, c, near_side=True)
    _earrings(t, c)
    _hat(t, c)
    p, glare = _glasses(t, c)
    image = _shade(t, c, scene)
    image[p.where] += glare[:, None]
    return image * t.exposure[:, None]


# -- camera -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _srgb_table():
    """sRGB of 4097 linear values from 0 to 1: a camera's curve, with a toe and a shoulder so that nothing clips at once."""
    x = np.arange(4097) / 4096.0
    x = 1.10 * x / (1 + 0.10 * x)
    s = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return (s + 0.15 * (s * s * (3 - 2 * s) - s)).astype(np.float32)


def develop(linear, t, grain):
    """Lens blur in linear light, sRGB, sensor noise, uint8; `grain` (B,) int64 says where each picture's noise begins."""
    size = linear.shape[-1]
    tile, number = _bank()["white"], np.arange(size)
    for i, image in enumerate(linear):
        sigma = float(t.blur[i, 0, 0]) * size
        if sigma > 0.25:
            linear[i] = gaussian_filter(image, (0, sigma, sigma), truncate=3.0, mode="nearest")
    srgb = _srgb_table().take(np.clip(linear * 4096, 0, 4096).astype(np.int32))
    for i in range(len(linear)):
        for k in range(3):
            rows, columns = number + (grain[i] >> (9 * k)), number + (grain[i] >> (9 * k + 5))
            srgb[i, k] += t.noise[i, 0, 0] * tile[np.ix_(rows & 511, columns & 511)]
    return np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)
