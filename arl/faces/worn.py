"""Things worn: necklace, earrings, hat, glasses."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, darken, indicator, noise, ridge, smooth


def necklace(t: Columns, c: Canvas) -> None:
    """A string of beads with a pendant, and its shadow on the skin."""
    if not t.necklace.any():
        return
    n = c.part((c.sy > 1.3) & (np.abs(c.sx) < 1.3))
    x, y = n.sx + 0.85 * n.sin_yaw, n.sy
    line = y - 2.12 + 0.62 * (x / 0.72) ** 2
    worn = t.necklace * (np.abs(x) < t.neck_width + 0.02)
    darken(n.rgb, 0.5 * worn * ridge(line - 0.06, 0.06), (0.8, 0.95, 1))  # its shadow
    round_ = np.sin(x * 42)
    beads = n.edge(0.032 - np.abs(line)) * (0.85 + 0.15 * round_)
    n.layer(worn * beads, t.metal_rgb * (0.85 + 0.3 * round_)[:, None], 0 * x, -6 * line, -0.15, 1.5)
    r = np.sqrt(x * x + (y - 2.20) ** 2)
    n.layer(t.necklace * n.edge(0.066 - r), t.metal_rgb, -6 * x, -6 * (y - 2.20), -0.12, 1.5)


def earrings(t: Columns, c: Canvas) -> None:
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


def hat(t: Columns, c: Canvas) -> None:
    """A knitted cap, a cap with a peak, or a hat with a brim, by `hat_kind` 0, 1, 2."""
    if not t.hat.any():
        return
    p = c.part(c.ey < 0.2)
    x, y = p.ex, p.ey
    knitted, brimmed = indicator(t.hat_kind == 0), indicator(t.hat_kind == 2)
    wide = t.skull_width + 0.13 + 0.03 * brimmed
    rim = -0.64 + 0.05 * knitted - 0.22 * (x / wide) ** 2 * (0.9 * knitted - 0.5)
    u, v = np.abs(x) / wide, np.maximum(-(y + 0.60), 0) / (t.skull_top - 0.44 + 0.1 * brimmed)
    u2, v2 = u * u, v * v
    r = np.where(t.hat_kind == 2, np.sqrt(np.sqrt(u2 * u2 + v2 * v2)), np.sqrt(u2 + v2 * (0.6 + 0.4 * v2)))
    cuff = smooth(y, rim - 0.24, rim - 0.21) * knitted
    knit = 1 + knitted * 0.16 * np.sin(x * 30) * (0.5 + 0.5 * p.fine) - 0.30 * ridge(y - rim + 0.23, 0.03) * knitted
    cloth = noise("cloud", x * 0.10 + t.phase2, y * 0.10)
    band = 1 - 0.65 * brimmed * indicator(y > rim - 0.24)
    crown = t.hat * p.edge(np.minimum((1 - r) * wide, rim - y), 0.01)
    tone = knit * band * (1 + 0.07 * cloth + 0.06 * cuff)
    bend = 1 / np.sqrt(np.clip(1.1 - u2, 0.12, 2))
    p.layer(
        crown, t.hat_rgb * tone[:, None], -1.2 * x / wide * bend + 0.2 * cloth, 1.1 * v + 0.12 * cloth, 0.9 - 0.4 * u2
    )
    brim_w, brim_h = (0.83 + 0.62 * brimmed) * wide, 0.19 - 0.04 * brimmed
    brim = (1 - (x / brim_w) ** 2 - ((y + 0.62) / brim_h) ** 2) * brim_h * 0.6
    p.layer(t.hat * (1 - knitted) * p.edge(brim), t.hat_rgb * 0.8, -0.2 * x, 0 * x + 0.5, 1.35)
    under = t.hat * ridge(y - rim - 0.05, 0.14) * (1 - crown) * (1 - p.edge(brim) * (1 - knitted)) * indicator(u < 1)
    p.sky *= 1 - 0.45 * under


def glasses(t: Columns, c: Canvas) -> tuple[Canvas, np.ndarray]:
    """Rims in a plane before the eyes, bridge and temples: their canvas, and the light (B, H, W) that the lenses throw back."""
    p = c.part((np.abs(c.ey - 0.05) < 0.6) & (np.abs(c.ex) < 1.3)) if t.glasses.any() else c.part(c.ex > 99)
    x, y, n = np.abs((p.hx - 0.12 * p.sin_yaw) / p.cos_yaw), p.ey, t.lens_round
    lx, ly = np.abs(x - 0.465) / t.lens_w, np.abs(y - 0.1 * p.sin_pitch - 0.05) / t.lens_h
    q = (lx**n + ly**n + 1e-9) ** (1 / n)
    far = np.abs(1 - q) * t.lens_h
    rim = p.edge(t.rim - far)
    rim = rim + p.edge(0.75 * t.rim - np.abs(y + 0.03 - 0.25 * x * x)) * (x < 0.475 - t.lens_w)
    rim = rim + p.edge(0.7 * t.rim - np.abs(y + 0.05)) * (x > 0.465 + t.lens_w) * (np.abs(p.ex) < p.a)
    lens = t.glasses * p.edge((1 - q) * t.lens_h)
    darken(p.rgb, 0.08 * lens)
    shadow = ridge(far - 0.02 * indicator(y > 0), t.rim * 1.8) * smooth(y, 0.0, 0.1)
    darken(p.rgb, 0.22 * t.glasses * shadow, (0.8, 0.95, 1))
    p.layer(t.glasses * np.clip(rim, 0, 1), t.rim_rgb, 0 * x - 2 * (x - 0.465), -3 * (y - 0.05), 1.3, 1.0)
    streak = smooth(ly - 0.5 * lx + 0.3 * indicator(y < 0.05), 0.4, 1.2)
    return p, 0.07 * lens * streak
