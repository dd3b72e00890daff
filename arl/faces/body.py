"""What of a person is behind the face: neck, clothes, a double chin, ears."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, bump, darken, indicator, linear_rgb, noise, ridge, smooth


def body(t: Columns, c: Canvas) -> None:
    """Neck, shoulders, clothes, collar and tie; they turn half as far as the head does."""
    b = c.part((c.hy > 0.5) | (c.sy > 1.3))
    x = b.sx + 0.85 * b.sin_yaw
    _neck(t, b, x)
    _clothes(t, b, x)
    if t.necktie.any():
        _necktie(t, b.part((b.sy > 1.4) & (np.abs(x) < 0.9)))


def _neck(t: Columns, b: Canvas, x: np.ndarray) -> None:
    """A cylinder that widens to the shoulders, with its cords and folds, in the shade of the jaw; x from its middle."""
    ax, hy = np.abs(x), b.hy
    width = t.neck_width + 0.05 * np.clip(1.5 - hy, 0, 1) + 0.42 * np.clip(hy - 1.62, 0, 2) ** 2
    u = np.clip(x / width, -0.985, 0.985)
    throat = ridge(x, 0.16) * smooth(hy, 1.5, 1.9)
    cord = ridge(ax - 0.50 * width + 0.42 * (hy - 1.75), 0.07) * smooth(hy, 1.5, 1.9)  # from ear to breastbone
    slope = -1.05 * u / np.sqrt(1 - u * u * u * u) + 0.5 * cord * np.sign(x) * smooth(ax, 0.05, 0.2)
    jaw = hy - t.chin + 0.55 * x * x  # how far under the jaw
    sky = 0.30 + 0.70 * smooth(jaw, -0.05, 0.62) - 0.12 * smooth(np.abs(u), 0.6, 1)
    skin = t.skin_rgb * linear_rgb(0.93, 0.88, 0.86) * (1 + 0.03 * throat + 0.05 * cord)[:, None]
    for band in (1.76, 1.95):
        darken(skin, (0.05 + 0.22 * t.wrinkle) * ridge(hy - band - 0.05 * x * x, 0.02 + 0.25 * b.px), (0.7, 0.9, 1))
    b.layer(b.edge(width - ax) * (hy > 0.6), skin, slope, 0 * x - 0.12, -0.30 - 0.42 * u * u, 0.3, sky)


def _clothes(t: Columns, b: Canvas, x: np.ndarray) -> None:
    """Cloth over the shoulders, with a hole for the neck, round or with a point."""
    ax, sy, hy = np.abs(x), b.sy, b.hy
    # the line from neck to shoulder, and the edge of the cloth
    over = 1.60 + t.shoulder * np.maximum(ax - 0.55, 0) + 0.22 * np.maximum(ax - 1.35, 0) ** 2
    hole_x, hole_y = ax / (t.neck_width + 0.14), np.maximum(sy - 1.58, 0) / (t.neckline - 1.58)
    hole = np.where(t.neck_cut > 0.6, hole_x + hole_y, np.sqrt(hole_x * hole_x + hole_y * hole_y)) - 1
    hole = hole * (t.neckline - 1.58)
    cut = np.minimum(0.3 * hy + 0.7 * sy - over, hole)
    weave = noise("cloud", b.sx * 0.10 + t.phase0, sy * 0.10 + t.phase1)
    drape = noise("strand", b.sx * 0.05 + 0.06 * sy + t.phase2, sy * 0.10 - 0.05 * b.sx + t.phase5)
    stripes = 1 + 0.30 * indicator(t.phase6 > 0.85) * np.sin(b.sx * 20 + 6 * t.phase2) * (1 - t.necktie)
    colour = t.cloth_rgb * ((1 + 0.10 * weave) * stripes)[:, None]
    fold = 0.16 * drape + 0.12 * weave
    rim = ridge(hole - 0.05, 0.05)
    shade = 1 - 0.3 * smooth(0.05 - hole, 0, 0.06)
    slope_y = 0 * x - 0.30 + 0.6 * fold - 0.5 * rim
    b.layer(b.edge(cut, 0.012), colour, -0.45 * x + fold, slope_y, -0.42 - 0.12 * x * x, 0.1, shade)


def _necktie(t: Columns, b: Canvas) -> None:
    """A shirt, its collar, and a tie over it."""
    x, sy = b.sx + 0.85 * b.sin_yaw, b.sy
    ax = np.abs(x)
    opening = 0.50 - 0.30 * np.maximum(sy - 1.85, 0)
    shirt = b.edge(opening - ax) * b.edge(sy - 1.80 - 0.02 * ax, 0.01)
    b.layer(t.necktie * shirt, linear_rgb(0.70, 0.71, 0.76) * (1 - 0.25 * ax)[:, None], -0.35 * x, 0 * x - 0.15, -0.34)
    # the collar's two wings, folded over
    wing = np.minimum(sy - 1.60 - 0.20 * ax, 2.12 - 0.55 * ax - sy)
    wing = np.minimum(np.minimum(wing, ax - 0.05 - 0.30 * np.maximum(sy - 1.82, 0)), 0.62 - ax)
    b.layer(t.necktie * b.edge(wing), linear_rgb(0.78, 0.79, 0.83), -0.6 * np.sign(x), 0 * x - 0.25, -0.22)
    knot = np.minimum(0.105 + 0.10 * np.maximum(1.98 - sy, 0) - 0.3 * np.maximum(sy - 2.0, 0) ** 2, 0.20) - ax
    blade = np.where(sy < 2.04, knot, 0.10 + 0.16 * (sy - 2.04) - ax)
    tie = b.edge(blade) * b.edge(sy - 1.84)
    pattern = 1 + 0.45 * np.sin((b.sx + sy) * 24) * indicator(t.phase3 > 0.5)
    crease = 1 - 0.35 * ridge(sy - 2.05, 0.03 + 0.2 * b.px)
    b.layer(t.necktie * tie, t.tie_rgb * (pattern * crease)[:, None], -2.5 * x, 0 * x, -0.16, 0.3)


def double_chin(t: Columns, c: Canvas) -> None:
    """A roll of flesh between chin and neck, drawn before the face."""
    if not t.double_chin.any():
        return
    p = c.part((np.abs(c.ex) < 1.1) & (c.ey > 0.9) & (c.ey < t.chin + 0.6))
    x2 = p.ex * p.ex
    end = t.chin + 0.24 - 0.50 * x2
    up = (end - p.ey) * (1 / 0.27)  # 0 at the roll's lower edge, 1 at the chin
    darken(p.rgb, 0.55 * t.double_chin * ridge(p.ey - end - 0.02, 0.06) * (np.abs(p.ex) < 0.75), (0.75, 0.95, 1))
    cover = t.double_chin * p.edge(np.minimum(end - p.ey, 0.80 - np.abs(p.ex)), 0.03) * (p.ey > 1.0)
    sky = 0.35 + 0.60 * smooth(p.ey - t.chin + 0.55 * x2, -0.02, 0.13)
    p.layer(
        cover, t.skin_rgb * linear_rgb(0.99, 0.95, 0.94), -1.1 * p.ex, 0.9 - 3.0 * np.clip(1 - up, 0, 1), 0.42, 0.6, sky
    )


def ears(t: Columns, c: Canvas, *, near_side: bool) -> None:
    """Both ears: drawn before the head, and once more after it (`near_side`) for the one turned to the camera."""
    covered = smooth(t.hair_length, 0.2, 0.5) * (1 - t.bald)
    for sign in (-1.0, 1.0):
        near = smooth(-sign * c.sin_yaw, 0.10, 0.30) * (1 - covered)
        if near_side and not near.any():
            continue
        centre = sign * (t.skull_width * c.cos_yaw * 0.995 + 0.8 * t.ear_out * (1 - near))
        half = (0.105 + 0.30 * np.maximum(-sign * c.sin_yaw, 0)) * t.ear_size
        reach = 1.25 + c.px / half
        p = c.part((np.abs(c.ex - centre) < reach * half) & (np.abs(c.ey - 0.20) < reach * 0.31 * t.ear_size))
        v = (p.ey - 0.20) / (0.31 * t.ear_size)
        u = (p.ex - centre) / half - 0.22 * sign * np.clip(-v, -1, 1)  # the upper rim stands out
        r = np.sqrt(u * u * np.clip(1 + 0.35 * v, 0.6, 1.6) + v * v)
        rim = ridge(r - 0.86, 0.13)
        bowl = bump(u, v, -0.10 * sign, 0.12, 0.30, 0.34)
        fold = ridge(r - 0.60, 0.12) * smooth(-v, -0.5, 0.2)
        tone = 1 + 0.08 * rim + 0.05 * fold - 0.34 * bowl
        colour = t.skin_rgb * linear_rgb(1.0, 0.82, 0.79) * tone[:, None]
        sky = 0.85 - 0.45 * bowl
        cover = p.edge((1 - r) * half, 0.01)
        if near_side:  # it grows out of the cheek
            cover = cover * near * smooth(sign * u, -0.9, -0.1)
        p.layer(cover, colour, 0.4 * sign - 0.9 * u * rim, -0.7 * v * rim, 0.06 if near_side else -0.05, 0.4, sky)
