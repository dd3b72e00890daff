"""The skin's colour: blood, blemishes, make-up, age, nostrils."""

import numpy as np

from arl.faces.canvas import Canvas, Columns, bump, darken, ridge, smooth
from arl.faces.surface import MOLES


def paint_skin(t: Columns, f: Canvas) -> None:
    """Blood, shadow of a beard, rouge, freckles, moles, and what no light reaches."""
    x, y, ax, skin = f.x, f.y, f.ax, f.skin
    # blood shows in cheeks, nose and chin, least on the forehead
    nose, chin = bump(x, y, 0, t.nose_length - 0.13, 0.20, 0.17), bump(x, y, 0, 1.42, 0.3, 0.2)
    warm = 0.9 * f.apple + 0.9 * nose + 0.35 * chin
    darken(skin, np.clip(0.125 * (t.ruddy * warm + 0.14 * t.mottle * f.cloud), -0.2, 0.5), (-0.1, 1, 0.85))
    if t.shaven.any():  # a shaven chin is greyer
        darken(skin, t.shaven * smooth(y + 0.45 * ax * ax, 0.74, 1.05), (1.0, 0.85, 0.62))
    if t.rosy.any():  # here and below: what nobody in the batch has is not computed
        cheek = bump(ax + 0.35 * (y - 0.4), y + 0.25 * (ax - 0.6), 0.60, 0.38, 0.32, 0.27)
        darken(skin, 0.60 * t.rosy * cheek, (0.0, 0.74, 0.62))
    if t.makeup.any():
        darken(skin, 0.22 * t.makeup * bump(ax, y, 0.68, 0.46, 0.2, 0.15), (0.1, 0.7, 0.5))
    if t.freckles.any():
        freckles = smooth(f.speckle, 0.6, 1.4) * (f.apple + bump(x, y, 0, 0.3, 0.4, 0.3))
        darken(skin, 0.4 * t.freckles * freckles, (0.5, 0.8, 1))
    _moles(t, f)
    f.gloss += 0.35 * bump(x, y, 0, -0.65, 0.5, 0.3) + 0.2 * f.apple
    n = f.nose
    n.gloss += 0.4 * bump(n.x, n.y, 0, 0.25, 0.12, 0.4)


def _moles(t: Columns, f: Canvas) -> None:
    """Spots at the places of the traits, no smaller than pixels show them."""
    for i in range(MOLES):
        radius = vars(t)[f"mole_r{i}"]
        if radius.any():
            away = (f.x - vars(t)[f"mole_x{i}"]) ** 2 + (f.y - vars(t)[f"mole_y{i}"]) ** 2
            mole = np.maximum(1 - away / (radius * radius + 0.3 * f.px**2), 0)
            darken(f.skin, mole * np.minimum(radius * radius / (0.1 * f.px**2), 0.75), (0.6, 0.8, 0.9))


def paint_age(t: Columns, f: Canvas) -> None:
    """Folds beside nose and mouth, lines of forehead and eyes, spots."""
    low = f.low
    darken(low.skin, (0.10 * t.fold + 0.16 * t.wrinkle) * low.fold, (0.7, 0.9, 1))
    if not t.wrinkle.any():
        return
    x, y, ax, w = f.x, f.y, f.ax, t.wrinkle
    wave = 0.035 * f.cloud + 0.05 * np.cos(2.2 * x + 3 * t.hair_phase5)
    lines = np.zeros_like(x)
    for k, height in enumerate((-0.54, -0.68, -0.83)):
        lines += (0.9 - 0.2 * k) * ridge(y - height - wave * (1 + 0.4 * k), 0.022 + 0.25 * f.px)
    lines *= ridge(x + 0.2 * (t.hair_phase6 - 0.5), 0.42)
    crow = np.zeros_like(x)
    for slope in (-0.35, 0.05, 0.45):
        crow += ridge(y - 0.02 - slope * (ax - 0.66), 0.014 + 0.25 * f.px)
    crow *= bump(ax, y, 0.80, 0.03, 0.09, 0.14)
    frown = bump(ax, y, 0.075, -0.27, 0.022 + 0.2 * f.px, 0.09)
    mouth = bump(ax - 0.06 * (y - 1.0), y, 0.40, 1.10, 0.022 + 0.25 * f.px, 0.12)  # from the corners down
    amount = w * (0.36 * lines + 0.38 * crow + 0.22 * frown + 0.25 * mouth)
    darken(f.skin, amount, (0.75, 0.92, 1))
    f.d -= 0.02 * amount
    darken(f.skin, 0.24 * t.spots * smooth(f.speckle + 0.5 * f.cloud, 1.3, 2.3), (0.6, 0.85, 1))


def paint_nostrils(t: Columns, f: Canvas) -> None:
    """Nostrils, the creases of the wings, and the shade under nose and lip."""
    n = f.nose
    x, y, ax = n.x, n.y, n.ax
    base = t.nose_length
    tilt = y - base + 0.038 + 0.25 * (ax - 0.09)
    hole = bump(ax, tilt, 0.088 * t.nose_width, 0, 0.042 * t.nostril, 0.022 + 0.15 * n.px)
    darken(n.skin, 0.95 * hole, (0.85, 0.95, 0.97))
    wing = bump(ax, y, 0.222 * t.nose_width, base - 0.06, 0.026 + 0.15 * n.px, 0.075)
    darken(n.skin, 0.36 * wing, (0.75, 0.95, 1))
    n.ao *= 1 - 0.55 * bump(x, y, 0, base + 0.025, 0.17 * t.nose_width, 0.055)
    n.ao *= 1 - 0.30 * bump(ax, y, 0.24 * t.nose_width, base - 0.10, 0.06, 0.14)
    n.gloss *= 1 - hole
    low = f.low
    low.ao *= 1 - 0.40 * low.pit
