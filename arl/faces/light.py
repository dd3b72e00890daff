"""The scene behind, and the light: shadows, sky and gloss."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, noise, smooth


def backdrop(t: Columns, c: Canvas) -> np.ndarray:
    """A place behind the person, out of focus: a wall, things and gaps, leaves or lamps (B, 3, H, W)."""
    u, v = c.sx, c.sy
    blend = smooth(v * np.cos(6.3 * t.phase4) + u * np.sin(6.3 * t.phase4), -2.4, 2.4)
    scale, wide = 0.07 * (1 + t.phase3), 0.25 + 0.5 * t.phase5
    cloud = noise("mist", u * scale + t.phase0, v * scale + t.phase1)
    panel = smooth(np.sin(u * (0.9 + 2.2 * t.phase2) + 6.3 * t.phase6), -wide, wide)
    shelf = smooth(np.sin(v * (0.8 + 1.6 * t.phase7) + 6.3 * t.phase3), -wide, wide)
    busy = smooth(t.scene, 0.25, 0.6)
    f = (1 - 0.6 * busy) * blend + 0.6 * busy * (0.6 * panel + 0.4 * shelf) + 0.26 * cloud * (0.25 + busy)
    f = np.clip(f, 0, 1)[:, None]
    return t.scene_rgb * (1 - f) + t.scene_rgb2 * f


def _shadow(t: Columns, c: Canvas) -> np.ndarray:
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


def shade(t: Columns, c: Canvas, scene: np.ndarray) -> np.ndarray:
    """The lit picture: Lambert with a soft reddish edge, sky and bounced light, gloss and cast shadows: linear (B, 3, H, W)."""
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
