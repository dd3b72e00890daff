"""Facial hair."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, bump, noise, ridge, smooth, tint


def beard(t: Columns, f: Canvas) -> None:
    """Facial hair: stubble, moustache, goatee, sideburns and beard, each with its region, density and strands."""
    low = f.part(f.y > -0.55)
    x, y, ax = low.x, low.y, low.ax
    hairs = noise("strand", 0.22 * x - 0.14 * (y - 0.7) * low.side + t.hair_phase6, y * 0.6 + 0.4 * ax)
    hairs = hairs * (0.4 + 0.6 * low.fine)

    # the mouth, and the regions about it: moustache, its ends, chin
    q = np.minimum((x / t.mouth_width) ** 2, 1.6)
    corner = (0.140 * t.smile + 0.012) * (q - 0.40)
    top = t.mouth_y - corner - 0.35 * t.mouth_open - t.lip_upper * np.maximum(1 - 0.8 * q, 0.1)
    bottom = t.mouth_y - corner + 0.65 * t.mouth_open + t.lip_lower * np.maximum(1 - q, 0)
    lips = smooth(y, top - 0.02, top + 0.015) * (1 - smooth(y, bottom - 0.015, bottom + 0.02)) * (ax < t.mouth_width)
    under_nose = smooth(y, t.nose_length + 0.015, t.nose_length + 0.06)
    lip = under_nose * (1 - smooth(y, top + 0.0, top + 0.05))
    lip = lip * (1 - smooth(ax, t.mouth_width * 0.85, t.mouth_width * 1.15))
    lip = lip * (1 - 0.45 * ridge(x, 0.03))
    corners = smooth(0.085 - np.abs(ax - t.mouth_width * 1.06), 0, 0.06) * smooth(y, top - 0.12, top + 0.02)
    chin = smooth(y, bottom + 0.03, bottom + 0.10) * (1 - smooth(ax + 0.25 * (y - 1.3), 0.26, 0.38))
    chin = np.maximum(chin, 0.8 * bump(x, y, 0, bottom + 0.05, 0.055, 0.06))

    # the regions of the cheek: jaw, sideburns, and what is shaven
    edge = 1.02 - 0.52 * ax * ax + 0.22 * (1 - ax) + 0.02 * low.cloud  # where a beard begins on the cheek
    jaw = smooth(y - edge + 0.20, 0, 0.22)
    beside = smooth(0.68 + 0.12 * y - low.front, 0, 0.12)  # before the ears
    jaw = jaw * (1 - (1 - t.sideburns) * smooth(0.82 - y, 0, 0.20) * beside)
    burns = beside * smooth(low.front, 0.02, 0.16)
    burns = burns * smooth(y, -0.50, -0.1) * (1 - smooth(y, 0.74, 0.92))
    shade = np.maximum(jaw, under_nose * (1 - smooth(ax, t.mouth_width, t.mouth_width + 0.25)) * smooth(y, 0.5, 0.7))

    full = np.maximum(0.92 * t.beard * np.maximum(jaw, 0.25 * lip), 0.95 * t.mustache * lip)
    full = np.maximum(full, 0.93 * t.goatee * np.maximum(chin, t.mustache * corners * smooth(1.35 - y, 0, 0.15)))
    full = np.maximum(full, 0.95 * t.sideburns * burns)
    dense = full * np.clip(0.97 + 0.10 * hairs, 0.6, 1)
    sparse = 0.40 * t.stubble * shade * (1 + 0.3 * hairs * low.fine + 0.45 * low.grain)
    cover = np.clip(np.maximum(dense, sparse), 0, 0.97) * (1 - lips)
    tint(low.skin, cover, t.beard_rgb * np.exp(0.18 * hairs)[:, None])
    low.d += 0.03 * full * (1 - lips) + 0.006 * hairs * full
    low.gloss *= 1 - 0.8 * cover
