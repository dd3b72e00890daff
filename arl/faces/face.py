"""The face: its layers of depth and colour, and the order in which its features are painted."""

import numpy as np

from arl.faces.beard import beard
from arl.faces.canvas import Canvas, Columns, bump, noise, ridge, smooth
from arl.faces.eyes import eye_relief, eye_shape, paint_eyes, paint_lids
from arl.faces.head import nose_height
from arl.faces.mouth import mouth_relief, mouth_shape, paint_mouth
from arl.faces.skin import paint_age, paint_nostrils, paint_skin


def paint_face(t: Columns, f: Canvas) -> None:
    """Paint the face on its canvas `f`: adds `f.d`, its depth, `f.skin`, its colour, and `f.ao`, the sky it sees.

    `f.cloud`, `f.speckle` and `f.grain` are noise that lies on the skin; `f.low` and `f.nose` are the parts that hold them.
    """
    x, y = f.x, f.y
    f.cloud = noise("cloud", x * 0.15 + t.hair_phase0, y * 0.15 + t.hair_phase1)
    f.speckle = noise("fine", x * 0.10 + t.hair_phase2, y * 0.10 + t.hair_phase3)
    f.grain = noise("white", x * 0.55 + t.hair_phase4, y * 0.55) * f.fine  # averaged out in a small picture
    f.d, f.ao = f.smooth_depth, np.ones_like(x)
    f.skin = t.skin_rgb * (1 + t.mottle * (0.045 * f.speckle + 0.026 * f.cloud) + 0.022 * f.grain)[:, None]
    f.gloss = np.full_like(x, 0.55)

    # shapes first, then all heights, then colours from the skin up to the eyes
    mouth = f.part((f.ax < t.mouth_width + 0.25) & (np.abs(y - t.mouth_y) < 0.42))
    eyes = f.part((f.ax < 1.15) & (y > -0.75) & (y < 0.42))
    mouth_shape(t, mouth)
    eye_shape(t, eyes)
    _bones(t, f)
    f.low = f.part((f.ax < 1.15) & (y > -0.05))
    _lower_face(t, f.low)
    mouth_relief(t, mouth)
    eye_relief(t, eyes)
    f.nose = f.part((f.ax < 0.75) & (y > -0.55) & (y < 1.1))
    f.nose.d += nose_height(t, f.nose.x, f.nose.y)
    paint_skin(t, f)
    paint_age(t, f)
    paint_nostrils(t, f)
    paint_lids(t, eyes)
    if any(grown.any() for grown in (t.beard, t.mustache, t.goatee, t.sideburns, t.stubble)):
        beard(t, f)
    paint_mouth(t, mouth)
    paint_eyes(t, eyes)


def _bones(t: Columns, f: Canvas) -> None:
    """Heights of cheeks, temples and forehead, and the skin's unevenness, added to `f.d`; `f.apple` is the cheek."""
    x, y, ax, d = f.x, f.y, f.ax, f.d
    smile = np.maximum(t.smile, 0)
    f.apple = bump(ax, y, 0.54, 0.36 - 0.05 * smile, 0.22, 0.19)
    d += (t.cheekbone + 0.055 * smile) * f.apple
    d += (0.03 + 0.6 * t.cheekbone) * bump(ax, y, 0.74, 0.16, 0.22, 0.16)  # zygomatic arch
    d -= (0.012 + 0.24 * t.cheekbone) * bump(ax, y, 0.64, 0.76, 0.20, 0.26)
    d += t.cheek_fat * bump(ax, y, 0.52, 0.74, 0.32, 0.34)
    d -= 0.05 * bump(ax, y, 0.95, -0.30, 0.16, 0.30)  # temples
    d += t.forehead * bump(x, y, 0, -0.75, 0.55, 0.30) + 0.0022 * t.mottle * f.speckle + 0.011 * f.cloud


def _lower_face(t: Columns, low: Canvas) -> None:
    """Heights of teeth, chin, folds and jowls, added to `low.d`; `low.fold` is the fold beside the mouth, `low.pit` that above the chin."""
    x, y, ax, d = low.x, low.y, low.ax, low.d
    smile = np.maximum(t.smile, 0)
    d += 0.085 * bump(x, y, 0, t.mouth_y - 0.02, 0.40, 0.34)  # the teeth's arch
    d += t.chin_bump * bump(x, y, 0, t.chin - 0.19, 0.24, 0.17)
    if t.cleft.any():
        d -= t.cleft * bump(x, y, 0, t.chin - 0.16, 0.035, 0.1)
    low.pit = bump(x, y, 0, t.mouth_y + 0.23 + 0.6 * t.mouth_open, 0.22, 0.06)
    d -= 0.040 * low.pit
    along = np.clip((y - 0.50) / 0.55, 0, 1.3)
    fold_x = ax - 0.23 - 0.28 * along * (1 - 0.25 * along) - 0.06 * smile * along - 0.02 * (t.nose_width - 1)
    low.fold = ridge(fold_x, 0.05) * smooth(y, 0.46, 0.72) * (1 - smooth(y, 0.80, 1.08 + 0.12 * t.sag))
    d -= 0.034 * t.fold * low.fold
    d += 0.022 * t.fold * ridge(fold_x - 0.10, 0.07) * smooth(y, 0.50, 0.66) * (1 - smooth(y, 0.84, 1.08))
    groove = smooth(y, t.nose_length, t.nose_length + 0.06) * (1 - smooth(y, t.mouth_y - 0.11, t.mouth_y - 0.05))
    d -= t.philtrum * ridge(x, 0.035) * groove
    if t.sag.any():  # jowls beside the chin
        d += t.sag * (0.05 * bump(ax, y, 0.42, 1.16, 0.16, 0.16) - 0.04 * bump(ax, y, 0.26, 1.14, 0.05, 0.16))
