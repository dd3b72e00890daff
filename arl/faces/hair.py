"""The hair on the head: its silhouette, strands, hairline and colour."""

from typing import NamedTuple

import numpy as np

from arl.faces.canvas import Canvas, Columns, noise, ridge, smooth

WIDEST = -0.25  # the height at which head and hair are widest


class Hair(NamedTuple):
    """Layers of hair: covers `behind` and `before` the face, linear colour, slopes, sky, and the height of the hairline."""

    behind: np.ndarray
    before: np.ndarray
    rgb: np.ndarray
    slope_x: np.ndarray
    slope_y: np.ndarray
    sky: np.ndarray
    line: np.ndarray


class _Shape(NamedTuple):
    """The silhouette (B, H, W): `u` across and `v` up in shares of it, `r` from its middle, 1 on the outline, and what disturbs it."""

    wide: np.ndarray
    high: np.ndarray
    u: np.ndarray
    v: np.ndarray
    r: np.ndarray
    r2: np.ndarray
    fall: np.ndarray  # what the outline gains below
    long_hair: np.ndarray  # 0 cropped, 1 long
    rough: np.ndarray
    ripple: np.ndarray  # waves


class _Strands(NamedTuple):
    """Fields (B, H, W) that follow the hair: how far it is `combed`, the distance `away` from the parting, and noise along it."""

    combed: np.ndarray
    away: np.ndarray
    locks: np.ndarray
    strands: np.ndarray
    tuft: np.ndarray


def comb(t: Columns, c: Canvas) -> Hair:
    """The hair on the head, ready to be laid behind and before the face."""
    shape = _shape(t, c)
    strands = _strands(t, c, shape)
    behind = _behind(t, c, shape, strands)
    line, before = _before(t, c, shape, strands, behind)
    return _colour(t, c, shape, strands, behind, line, before)


def _shape(t: Columns, c: Canvas) -> _Shape:
    """The head's own silhouette, larger by the hair on its top and at its sides."""
    ex, y = c.ex, c.ey
    long_hair = smooth(t.hair_length, 0.5, 1.3)
    turn = 0.25 * c.sin_yaw
    rough = noise("cloud", ex * 0.11 + t.hair_phase0, y * 0.11 + t.hair_phase1)
    wide = t.skull_width * np.sqrt(c.cos_yaw**2 + (1.15 * c.sin_yaw) ** 2) + t.hair_side
    high = t.skull_top + WIDEST + t.hair_top
    u, v = (ex - 0.25 * turn) / wide, np.minimum(y - WIDEST, 0) / high
    r2 = u * u * (0.5 + 0.5 * np.abs(u)) + v * v * (0.4 + 0.6 * np.abs(v))
    r = np.sqrt(r2 + 1e-9)
    below = np.clip(y - WIDEST, 0, 3)
    wave = (
        y * (5.5 + 4.5 * (1 - long_hair)) + 1.2 * np.sign(ex) + 2.2 * rough + 1.2 * np.sin(4 * ex) + 6 * t.hair_phase5
    )
    ripple = np.sin(wave + (2.0 + 5.0 * (1 - long_hair)) * np.abs(ex)) * t.wavy
    fall = long_hair * (0.10 * t.wavy + 0.03) * smooth(below, 0.2, 1.6) - (1 - long_hair) * 0.12 * below
    return _Shape(wide, high, u, v, r, r2, fall, long_hair, rough, ripple)


def _strands(t: Columns, c: Canvas, shape: _Shape) -> _Strands:
    """Strands leave the parting and fall to both sides where hair is combed; they run back from the forehead where cropped."""
    ex, y, r = c.ex, c.ey, shape.r
    away = np.abs(ex - 0.35 * t.part) + 0.02
    fan = np.sqrt(np.clip((y - WIDEST + shape.high + 0.12) * (1.1 / shape.high), 0.02, 1.6))
    combed = np.maximum(np.maximum(t.straight, t.wavy), shape.long_hair)
    across = combed * (away / fan + 0.05 * shape.ripple) + (1 - combed) * (1.1 * shape.u / (0.30 + r))
    along = combed * (0.35 * y + 0.2 * r) + (1 - combed) * (0.55 * r)
    short = 1 + 3.0 * (1 - combed)
    clumps = noise("strand", across * 0.042 + t.hair_phase5, along * 0.10 * short + t.hair_phase0)
    locks = noise("strand", across * 0.14 + t.hair_phase2, along * 0.16 * short + t.hair_phase3)
    locks = (0.75 * clumps + 0.65 * locks) * (1 - 0.35 * t.straight)
    strands = noise("strand", across * 0.32 + t.hair_phase6, along * 0.28 * short + t.hair_phase4)
    if t.curly.any():
        curls = noise("fine", ex * 0.080 + t.hair_phase2, y * 0.080 + t.hair_phase3)
        curls = 0.55 * curls + 0.50 * np.sin(2.6 * noise("fine", ex * 0.14, y * 0.14 + t.hair_phase3) + 4 * curls)
        locks = locks + t.curly * (1.15 * curls - locks)
        strands = strands * (1 - 0.6 * t.curly)
    return _Strands(combed, away, locks, strands, 0.6 * locks + 0.4 * strands)


def _behind(t: Columns, c: Canvas, shape: _Shape, hair: _Strands) -> np.ndarray:
    """Cover of all the hair, down to `hair_length`, with a ragged outline."""
    ex, y, rough, tuft = c.ex, c.ey, shape.rough, hair.tuft
    waves = shape.ripple * np.maximum(0.04 * smooth(y, -0.6, 0.6), 0.03 * (1 - shape.long_hair))
    ragged = (0.020 + 0.025 * t.curly) * rough + (0.018 + 0.022 * t.curly) * tuft + waves
    ragged = ragged - 0.03 * t.part * ex * smooth(-y, 0.6, 1.2)  # more hair on one side of the parting
    outline = (1 + shape.fall - shape.r) * shape.wide + ragged
    ends = t.hair_length + 0.10 * rough + 0.16 * tuft - y + 0.25 * (1 - shape.u * shape.u)
    return c.edge(np.minimum(outline, 0.5 * ends), 0.045 + 0.04 * t.curly) * (1 - t.bald)


def _hairline(t: Columns, c: Canvas, hair: _Strands, ax: np.ndarray) -> np.ndarray:
    """Its height at `ax` around the head: high in the middle, lower at the temples; a receding one goes back in two bays."""
    ex, a2 = c.ex, ax * ax
    line = t.hairline + 0.05 * a2 + 0.85 * smooth(ax, 0.66, 1.0) ** 2 + t.peak * ridge(ex, 0.20)
    line = line - t.temples * ridge(ax - 0.62, 0.22)
    line = line - t.receding * 0.21 * ridge(ax - 0.46, 0.36)
    if t.bangs.any():
        fringe = t.fringe + 0.09 * ex * t.part - 0.08 * a2
        line = np.where(t.bangs > 0, np.maximum(line, fringe), line)
    sweep = hair.combed * (1 - t.bangs) * smooth(hair.away, 0.1, 0.9) * smooth(t.hair_length, 0.1, 0.4)
    return line + 0.16 * sweep * (1 - t.receding)  # a side parting sweeps over the temples


def _before(t: Columns, c: Canvas, shape: _Shape, hair: _Strands, behind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hairline, and the cover of what hangs before the face: the top, curtains at the sides, a bald man's wreath."""
    y, rough, tuft = c.ey, shape.rough, hair.tuft
    ax = np.abs(c.around - 0.03 * t.part)
    line = _hairline(t, c, hair, ax)
    line = line + (0.016 + 0.020 * t.bangs) * tuft + 0.018 * rough
    top = c.edge(line - y, 0.055 - 0.025 * t.bangs)
    inner = (
        ax - 0.925 + 0.030 * shape.ripple - 0.11 * shape.long_hair * smooth(y, -0.7, 0.5) + 0.022 * tuft + 0.03 * rough
    )
    curtain = c.edge(inner * np.maximum(c.a, 0.45), 0.035)
    curtain = curtain * smooth(t.hair_length - y, -0.05, 0.12) * smooth(y, -0.75, -0.40)
    curtain = curtain * smooth(t.hair_length, -0.4, -0.15) * (1 - t.sideburns)  # hair is put behind the ears
    # hair falls behind the shoulders where the neck has something to show
    bared = np.maximum(t.necklace, t.double_chin)
    before = np.maximum(top, curtain * (1 - bared * smooth(y, 1.15, 1.5))) * behind
    if t.bald.any():
        wreath = smooth(ax, 0.86, 0.96) * smooth(y, -0.75, -0.45) * (1 - smooth(y, 0.05, 0.25))
        before = np.maximum(before, 0.7 * t.bald * (wreath * (np.abs(c.ex) < c.a + 0.03)))
    return line, before


def _colour(
    t: Columns,
    c: Canvas,
    shape: _Shape,
    hair: _Strands,
    behind: np.ndarray,
    line: np.ndarray,
    before: np.ndarray,
) -> Hair:
    """Darker in the depth between locks, near the parting and below; lit along a band across the strands."""
    y, long_hair, ripple = c.ey, shape.long_hair, shape.ripple
    locks, strands, combed = hair.locks, hair.strands, hair.combed
    crown = ridge(shape.r - 0.70 - 0.05 * locks, 0.20)
    sheen = crown * (0.16 + 0.30 * t.straight + 0.20 * combed) * (1 - 0.8 * t.curly)
    depth = (0.36 + 0.10 * (1 - long_hair)) * ripple
    hollow = 0.20 * locks + (0.06 + 0.07 * c.fine) * strands + depth + 0.06 * shape.rough
    root = 0.35 * combed * ridge(hair.away, 0.05) * smooth(-y, 0.6, 1.0)
    tone = np.exp(np.clip(hollow - root, -1.1, 0.9)) * (1 + 0.55 * sheen)
    bend = -0.95 / np.sqrt(np.clip(1.12 - shape.r2, 0.14, 2))
    fade = (1 - long_hair) * (1 - t.curly) * smooth(y, -0.75, -0.1) * smooth(0.35 - t.hair_length, 0, 0.2)
    return Hair(
        behind=behind,
        before=before * (1 - 0.45 * fade * (0.75 - 0.25 * strands)),
        rgb=t.hair_rgb * tone[:, None] + (0.010 * sheen)[:, None],
        slope_x=shape.u * bend + (0.22 + 0.2 * smooth(y, 0, 1)) * hair.tuft,
        slope_y=shape.v * bend + 0.25 * ripple + 0.05 * locks,
        sky=np.clip(0.95 - 0.35 * smooth(y, 0.2, 1.4) + 0.12 * locks, 0.3, 1),
        line=line,
    )
