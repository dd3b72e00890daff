"""A portrait: materials are laid on a height field from back to front, then lit."""

import numpy as np

from arl.faces.body import body, double_chin, ears
from arl.faces.canvas import Canvas, Columns, smooth
from arl.faces.face import paint_face
from arl.faces.hair import Hair, comb
from arl.faces.head import face_coordinates, slopes
from arl.faces.light import backdrop, shade
from arl.faces.worn import earrings, glasses, hat, necklace

NO_FACE = -0.3  # the depth on which hair lies where there is no face


def paint(t: Columns, size: int) -> np.ndarray:
    """Linear pictures (B, 3, size, size) float32 of traits `t`."""
    c = Canvas(t, size)
    f = face_coordinates(t, c)
    paint_face(t, f)
    hair = comb(t, c)
    background = backdrop(t, c)
    c.rgb[:] = background
    c.layer(hair.behind, hair.rgb * 0.5, hair.slope_x, hair.slope_y, -0.6, 0.1, hair.sky * 0.8)
    body(t, c)
    double_chin(t, c)
    ears(t, c, near_side=False)
    _lay_face(t, c, f, hair)
    necklace(t, c)
    _lay_hair(t, c, f, hair)
    ears(t, c, near_side=True)
    earrings(t, c)
    hat(t, c)
    worn, glare = glasses(t, c)
    image = shade(t, c, background)
    image[worn.where] += glare[:, None]
    return image * t.exposure[:, None]


def _lay_face(t: Columns, c: Canvas, f: Canvas, hair: Hair) -> None:
    """The painted face `f` on the canvas, darker under the hairline."""
    # `f.gloss` was the skin's; from here on it is that of the canvas, which the layer is laid on
    gloss, f.gloss = f.gloss, c.gloss[f.where]
    f.ao *= 1 - 0.35 * (1 - smooth(f.ey - hair.line[f.where], 0.0, 0.16)) * (1 - t.bald)
    f.layer(f.edge(f.inside), f.skin, *slopes(f.d, f.px), f.d, gloss, f.ao)


def _lay_hair(t: Columns, c: Canvas, f: Canvas, hair: Hair) -> None:
    """The hair before the face, on the head's depth; below the jaw there is no head to lie on."""
    face_depth = np.full_like(c.depth, NO_FACE)
    face_depth[f.where] = np.where(f.inside > -f.px, f.d, NO_FACE)
    hanging = smooth(c.ey, 0.2, 0.9)
    lying = face_depth + 0.07 + 0.5 * t.hair_side
    c.layer(hair.before, hair.rgb, hair.slope_x, hair.slope_y, lying + hanging * (0.35 - lying), 0.25, hair.sky)
