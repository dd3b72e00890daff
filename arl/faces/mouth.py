"""Lips, teeth, and the dark between them."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, bump, darken, linear_rgb, ridge, smooth, tint


def mouth_shape(t: Columns, m: Canvas) -> None:
    """Contours and covers of the lips, added to the canvas `m`: `lips` and `gap` are covers, `upper` and `lower` depths into a lip."""
    q = m.x / t.mouth_width
    arc = np.minimum(q * q, 1.3)
    inner = np.maximum(1 - arc, 0)
    corner = (0.140 * t.smile + 0.012) * (arc - 0.40)  # corners rise with a smile
    middle = t.mouth_y + 0.02 * t.mouth_open - corner + 0.014 * ridge(m.x, 0.09) + t.mouth_tilt * q
    lens = inner * (1.15 - 0.15 * inner)
    m.gap_top = middle - t.mouth_open * 0.35 * lens
    m.gap_bottom = middle + t.mouth_open * 0.65 * lens
    bow = np.sqrt(inner)
    peaks = 1 + 0.22 * t.cupid * (ridge(m.ax - 0.095, 0.075) - 1.5 * ridge(m.x, 0.055))
    m.top = m.gap_top - t.lip_upper * (0.35 * inner + 0.65 * bow * (1 - 0.35 * arc)) * peaks
    m.bottom = m.gap_bottom + t.lip_lower * (0.45 * bow + 0.55 * inner) * (1 - 0.06 * ridge(m.x, 0.07))
    within = m.edge((t.mouth_width - m.ax) * 0.7, 0.015)
    m.upper = np.minimum(m.y - m.top, m.gap_top - m.y)
    m.lower = np.minimum(m.y - m.gap_bottom, m.bottom - m.y)
    m.lips = m.edge(np.minimum(m.y - m.top, m.bottom - m.y), 0.030 - 0.018 * t.lipstick) * within
    gap = np.minimum(m.y - m.gap_top, m.gap_bottom - m.y)
    m.gap = m.edge(gap, 0.006) * within * np.minimum(t.mouth_open * 30, 1)
    m.line = ridge(m.y - middle, 0.017 + 0.3 * m.px) * within * (1 - m.gap)
    m.arc = arc


def mouth_relief(t: Columns, m: Canvas) -> None:
    """Heights of the lips and depths of the gap between them, added to `m.d`."""
    upper = 0.026 * np.clip(m.upper * (2.5 / t.lip_upper), 0, 1.2)
    lower = 0.040 * np.clip(m.lower * (3 / t.lip_lower), 0, 1.3)
    m.d += m.lips * (upper + lower)
    m.d -= 0.05 * m.gap + 0.02 * m.line


def paint_mouth(t: Columns, m: Canvas) -> None:
    """Lips, the dark between them, teeth."""
    shine = 1 + 0.10 * m.speckle * m.fine
    tint(m.skin, m.lips * (0.80 + 0.16 * t.lipstick), t.lip_rgb * shine[:, None])
    darken(m.skin, m.lips * 0.20 * smooth(m.upper, -0.01, 0.02), (0.8, 1, 1))  # the upper lip looks down
    darken(m.skin, 0.62 * m.line * (0.7 + 0.3 * m.arc), (0.75, 1, 1))
    throat = np.broadcast_to(linear_rgb(0.040, 0.012, 0.012), m.skin.shape).copy()
    under = m.y - m.gap_top
    long = 0.062 + 0.075 * np.maximum(t.smile, 0) * (1 - 0.8 * m.arc)
    teeth = m.edge(np.minimum(under + 0.004, long - under), 0.012) * m.edge(t.mouth_width * 0.84 - m.ax, 0.08)
    each = np.cos(m.x * (18 - 6 * m.ax)) ** 2
    bite = 1 - 0.30 * m.fine * (1 - np.minimum(3 * each, 1))
    shade = bite * (0.92 - 0.62 * np.clip(m.arc * 1.25, 0, 1)) * (0.72 + 0.28 * smooth(under, 0, 0.035))
    tint(throat, teeth, linear_rgb(0.60, 0.545, 0.47) * shade[:, None])
    tongue = bump(m.x, m.y - m.gap_bottom, 0, 0.0, 0.2, 0.05) * (1 - teeth)
    tint(throat, 0.75 * tongue, linear_rgb(0.17, 0.05, 0.045))
    tint(m.skin, m.gap, throat)
    m.gloss += (0.9 + 0.9 * t.lipstick) * m.lips * (1 - m.gap) + 0.6 * m.gap * teeth
    m.ao *= 1 - 0.35 * m.gap * (1 - 0.6 * teeth)
