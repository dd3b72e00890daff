"""Where the eyes are on a data set's faces, and so which square of its images a recogniser should look at."""

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name

from arl.config import RunConfig
from arl.data import FaceData, some_pictures, unopened
from arl.judges.base import Window
from arl.messages import ConfigError, UserError, say
from arl.store import Run, obtain, run_id, runs_root

LOOKED_AT, FEWEST_FACES = 64, 8  # looked at, at most; fewer faces than the second tell nothing
# Pixels of an image for the detector, and of its repeated edge: a tight face fills all of it.
DETECTOR_SIDE, AROUND = 256, 64


class EyePair(NamedTuple):
    """Both eyes in parts of the image's side from its left and top; `left` is on the image's left."""

    x_left: float
    y_left: float
    x_right: float
    y_right: float


CHIP_OF_DLIB = EyePair(0.325, 0.31, 0.675, 0.31)
# The median of what `eyes_on` finds on 200 images of each source (on 180, 196 and 195 of them).
EYES_OF = {
    "celeba": EyePair(0.389, 0.522, 0.609, 0.523),
    "orl": EyePair(0.318, 0.426, 0.686, 0.434),
    "rendered": EyePair(0.404, 0.438, 0.592, 0.440),
}


def window_onto(eyes: EyePair, chip: EyePair) -> Window:
    """The window through which `eyes` come to lie where `chip` has them, rounded to 3 decimals."""
    across = (eyes.x_right - eyes.x_left) / (chip.x_right - chip.x_left)
    x, y = (eyes.x_left + eyes.x_right) / 2, (eyes.y_left + eyes.y_right) / 2
    left = x - across * (chip.x_left + chip.x_right) / 2
    top = y - across * (chip.y_left + chip.y_right) / 2
    return Window(*(round(float(part), 3) for part in (left, top, across)))


def window_by_eyes(cfg: RunConfig, data: FaceData | None, chip: EyePair) -> Window | None:
    """The window through which the eyes of `cfg`'s faces come to lie where `chip` has them; of a folder as `window_of_folder`."""
    if cfg.data in EYES_OF:
        return window_onto(EYES_OF[cfg.data], chip)
    return window_of_folder(cfg, data or unopened(cfg), chip)


def window_of_folder(cfg: RunConfig, data: FaceData, chip: EyePair) -> Window | None:
    """`window_onto` the eyes that a detector finds on the photographs `data` of `cfg`, kept in the store. None where it finds too few.

    Raises `ConfigError` without dlib.
    """
    rows = np.unique(np.linspace(0, len(data) - 1, LOOKED_AT).astype(int))
    spec = {"kind": "eyes", "version": 1, "data": data.spec}
    found = Run(runs_root() / run_id(spec)).result
    if found is None or not {"eyes", "faces", "images"} <= set(found):
        images = data.images[rows]
        found = _look_for(images if images.any() else some_pictures(cfg, rows)[0])  # black: not opened yet
        with suppress(UserError):  # a store that can be read only
            obtain(spec, lambda _: found)
    seen = f"a face on {found['faces']} of {found['images']} images"
    if found["eyes"] is None:
        say(
            f"recogniser: the detector finds {seen}, so the whole square is looked at; {FEWEST_FACES} faces would tell its window"
        )
        return None
    window = window_onto(EyePair(*found["eyes"]), chip)
    say(
        f"recogniser: the detector finds {seen}; by their eyes the window is {window.left:g},{window.top:g},{window.side:g}"
    )
    return window


def _look_for(images: np.ndarray) -> dict[str, Any]:
    each = eyes_on(images)
    median = [round(float(value), 4) for value in np.median(each, 0)] if len(each) >= FEWEST_FACES else None
    return {"eyes": median, "faces": len(each), "images": len(images)}


def eyes_on(images: np.ndarray) -> np.ndarray:
    """Both eyes of the largest face on each of `images`, uint8 (N, 3, S, S), that shows one: (n, 4) as `EyePair`. Extra `faces`."""
    try:
        import dlib
        import face_recognition_models as models
    except ImportError:
        raise ConfigError("recogniser: 'dlib' is not installed, accepted: after pip install 'arl[faces]'") from None
    detector = dlib.get_frontal_face_detector()
    landmarks = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
    found = []
    for image in images:
        x = F.interpolate(
            torch.tensor(image)[None].float(), (DETECTOR_SIDE, DETECTOR_SIDE), mode="bilinear", antialias=True
        )
        x = F.pad(x, [AROUND] * 4, mode="replicate").round().clamp(0, 255).byte()
        picture = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
        boxes = detector(picture, 0)
        if not boxes:
            continue
        points = landmarks(picture, max(boxes, key=lambda box: box.area()))
        corners = np.array([(points.part(i).x, points.part(i).y) for i in range(4)], np.float64)  # two of each eye
        eyes = (corners.reshape(2, 2, 2).mean(1) - AROUND + 0.5) / DETECTOR_SIDE
        found.append(eyes[eyes[:, 0].argsort()].ravel())
    return np.array(found).reshape(-1, 4)
