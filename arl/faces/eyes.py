"""Eyes, lids, brows, and the skin about them, both sides at once."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, bump, darken, indicator, linear_rgb, noise, ridge, smooth, tint


def eye_shape(t: Columns, e: Canvas) -> None:
    """Contours of lids, irises and brows, in coordinates mirrored about the nose, added to the canvas `e`.

    `qx` and `qy` are the place in an eye, `gx`, `gy` and `radius` that from the middle of its iris, `upper` and `lower` the lids'
    edges, `cleft` the cover between them, `brow` the cover of the brows and `hairs` their strands.
    """
    e.qx = (e.ax - t.eye_x) / t.eye_width  # -1 the inner corner, 1 the outer
    e.qy = e.y + t.eye_tilt * (e.ax - t.eye_x)
    almond = np.maximum(1 - e.qx * e.qx, 0)
    e.upper = 0.012 - (t.eye_open + 0.012) * np.sqrt(almond) * (1.0 - 0.10 * e.qx + 0.06 * almond)
    e.lower = 0.012 + t.eye_open * (0.66 * almond) * (1 + 0.18 * e.qx) - 0.016 * np.maximum(t.smile, 0) * almond
    e.cleft = e.edge(np.minimum(e.qy - e.upper, e.lower - e.qy)) * indicator(np.abs(e.qx) < 1)
    e.gx = e.ax - t.eye_x + 0.006 - e.side * t.gaze_x
    e.gy = e.qy + 0.008 - t.gaze_y
    e.radius = np.sqrt(e.gx * e.gx + e.gy * e.gy)
    e.over = e.upper - e.qy  # how far above the edge of the upper lid
    _brow_shape(t, e)


def _brow_shape(t: Columns, e: Canvas) -> None:
    """Brows that rise to an arch and thin outwards: adds `hairs` and `brow`."""
    b = (e.ax - t.brow_x) / t.brow_length
    rise = np.where(b < 0.3, (b - 0.3) / 1.25, (b - 0.3) / 0.75)
    middle = t.brow_y + t.brow_drop - t.brow_arch * (0.55 - rise * rise) + t.brow_tilt * b
    thick = t.brow_thick * np.clip(1.0 - 0.55 * np.maximum(b + 0.1, 0), 0.15, 1.0)
    away = e.y - middle
    e.hairs = noise("strand", e.ax * 0.20 + away * (0.40 - 0.27 * b) + t.hair_phase1, (e.y - 0.5 * e.ax) * 0.25)
    e.brow = e.edge(thick - np.abs(away) + 0.007 * e.fine * e.hairs, 0.05) * (1 - smooth(np.abs(b), 0.80, 1.10))


def eye_relief(t: Columns, e: Canvas) -> None:
    """Heights of brows, lids and bags, and depths of the sockets, added to `e.d`; their shapes are added to `e`."""
    y, ax, d = e.y, e.ax, e.d
    d += t.brow_ridge * bump(ax, y, 0.40, -0.26, 0.34, 0.10) + 0.012 * e.brow
    e.socket = bump(ax, y, t.eye_x - 0.02, -0.05, 0.27, 0.145)
    e.corner = bump(ax, y, 0.205, -0.02, 0.085, 0.15)
    d -= t.socket * e.socket + 0.050 * e.corner
    d += 0.085 * bump(e.gx, e.gy, 0, 0, 0.17, 0.13)
    lid = smooth(e.over, -0.004, 0.012) * (1 - np.clip(e.over / t.lid, 0, 1)) * indicator(np.abs(e.qx) < 1.1)
    d += 0.026 * lid - 0.016 * e.cleft
    e.bag = bump(ax, y, t.eye_x - 0.01, 0.165, 0.17, 0.05)
    d += (0.004 + 0.055 * t.bags) * e.bag
    e.trough = ridge(y - 0.235 - 0.16 * (ax - 0.22) + 0.35 * (ax - t.eye_x) ** 2, 0.035) * ridge(ax - 0.40, 0.20)
    d -= (0.006 + 0.020 * t.bags) * e.trough


def paint_lids(t: Columns, e: Canvas) -> None:
    """The skin about the eyes: sockets, bags, creases, eye shadow, and brows."""
    skin = e.skin
    darken(skin, 0.20 * t.orbit * e.socket + 0.28 * t.orbit * e.corner, (0.65, 0.95, 0.9))
    e.ao *= 1 - 0.20 * e.socket - 0.20 * e.corner
    darken(skin, t.bags * (0.34 * e.bag + 0.55 * e.trough) + 0.07 * e.trough, (0.75, 0.95, 0.85))
    if t.makeup.any():
        lid = smooth(e.over, -0.01, 0.02) * (1 - smooth(e.over, 0.06, 0.15))
        lid = lid * (1 - smooth(np.abs(e.qx - 0.1), 0.9, 1.35))
        tint(skin, np.clip(0.62 * t.makeup * lid, 0, 1), t.lid_rgb)
    span = np.maximum(1.25 - (e.qx - 0.08) ** 2, 0)
    crease = ridge(e.over - t.lid, 0.016 + 0.3 * e.px) * np.minimum(span, 1)
    darken(skin, 0.42 * crease * indicator(e.over > 0), (0.7, 0.95, 1))
    # a strand at a time only where pixels show it
    dark = np.clip(e.brow * t.brow_dark * (1 + (0.10 + 0.22 * e.fine) * e.hairs), 0, 0.96)
    tint(skin, dark, t.brow_rgb)
    e.gloss *= 1 - 0.7 * dark


def paint_eyes(t: Columns, e: Canvas) -> None:
    """Eyeballs between the lids, the glint of the light, lashes."""
    tint(e.skin, e.cleft, _eyeball(t, e))
    light = np.sign(t.light_x)
    glint = np.maximum(np.abs(e.gx * e.side - 0.024 * light), np.abs(e.gy + 0.030))
    glint = e.edge(0.016 + 0.05 * e.px - glint, 0.006) * np.minimum(0.020 / e.px, 1) * e.cleft
    tint(e.skin, 0.85 * glint, np.float32(0.85))
    _lashes(t, e)
    e.gloss *= 1 - e.cleft
    e.gloss += 0.35 * e.cleft


def _eyeball(t: Columns, e: Canvas) -> np.ndarray:
    """Colour (B, 3, H, W) of the white, its inner corner, iris and pupil, darker under the upper lid."""
    white = np.clip(0.5 + 1.1 * t.skin_rgb.mean(1, keepdims=True), 0.55, 1)
    ball = linear_rgb(0.40, 0.365, 0.345) * white * np.ones_like(e.x)[:, None]
    round_ = (e.gx / 0.20) ** 2
    darken(ball, 0.42 * np.clip(round_, 0, 1), (0.8, 1, 1))
    corner = bump(e.qx, e.qy, -0.93, 0.012, 0.16, 0.05)
    tint(ball, 0.6 * corner, t.skin_rgb * linear_rgb(0.95, 0.55, 0.5))
    inner = np.clip(e.radius / 0.083, 0, 1)
    spokes = 0.12 * e.fine * e.hairs * inner
    tone = 0.55 + 0.75 * inner - 0.95 * smooth(inner, 0.78, 1.0) + spokes
    tone = tone * (0.8 + 2.2 * np.clip(e.gy + 0.02, 0, 0.08))
    tint(ball, e.edge(0.083 - e.radius, 0.012), t.iris_rgb * np.clip(0.70 * tone, 0.08, 2)[:, None])
    tint(ball, e.edge(t.pupil - e.radius, 0.008), np.float32(0.004))
    lid_shade = 1 - np.clip((e.qy - e.upper) / 0.060, 0, 1)
    darken(ball, 0.75 * lid_shade)
    return ball


def _lashes(t: Columns, e: Canvas) -> None:
    """A dark line along the upper lids, a faint one along the lower."""
    taper = smooth(e.qx, -1.08, -0.45) * (1 - smooth(e.qx, 1.02, 1.16 + 0.10 * t.makeup))
    thick = 0.017 + 0.010 * t.makeup + 0.24 * e.px
    lash = ridge(e.over - 0.004 - 0.010 * t.makeup, thick) * (0.35 + 0.65 * taper) * indicator(np.abs(e.qx) < 1.2)
    tint(e.skin, np.clip(lash * (0.80 + 0.15 * t.makeup) * np.minimum(0.060 / e.px, 1), 0, 0.95), t.lash_rgb)
    rim = ridge(e.qy - e.lower, 0.012 + 0.25 * e.px) * smooth(e.qx, -1.0, -0.2) * indicator(np.abs(e.qx) < 1.06)
    darken(e.skin, (0.20 + 0.35 * t.makeup) * rim, (0.75, 0.95, 1))
