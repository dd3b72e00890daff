"""One's own photographs: read with care, turned upright, and cut as the faces are on which an encoder was trained.

A photograph is decoded in memory, by Pillow, and goes nowhere else. What cannot be used is answered with one line (`UserError`).
"""

import io
import math
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from arl.data import FaceData, upright
from arl.messages import UserError, first_line
from arl.paper import different_people

ENOUGH = 1600  # pixels a side that are kept of a larger photograph
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # none that runs another program, as EPS does
BYTES, PIXELS, SIDE, FILES = 30 << 20, 60_000_000, 32, 100  # at most, at most, at least, at most
ACCEPTED = f"a photograph ({', '.join(FORMATS[:6])}) of at most {BYTES >> 20} MB and {PIXELS // 10**6} megapixels"
RENDERED_EYES = ((0.402, 0.434), (0.592, 0.434))  # of the rendered people, by dlib's landmarks

Eyes = tuple[tuple[float, float], tuple[float, float]]


class Photograph(NamedTuple):
    """One photograph, ready for an encoder: uint8 (3, S, S), and how it was cut, in words."""

    name: str
    face: np.ndarray
    how: str


def read_photograph(name: str, content: bytes) -> Image.Image:
    """The photograph in `content`, upright, RGB, at most `ENOUGH` pixels a side. Raises `UserError`, one line, for anything else."""

    def refuse(found: str) -> UserError:
        return UserError(f"{name}: {found}, accepted: {ACCEPTED}")

    if not content:
        raise refuse("found an empty file")
    if len(content) > BYTES:
        raise refuse(f"found {len(content) / (1 << 20):.0f} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the next lines look at the size
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise refuse("found no photograph in it") from None
    except Exception as error:  # decoders raise almost anything for a damaged file
        raise refuse(f"cannot be read ({first_line(error)})") from None
    if image.width * image.height > PIXELS:
        raise refuse(f"found {image.width} × {image.height} pixels")
    if min(image.size) < SIDE:
        raise UserError(f"{name}: found {image.width} × {image.height} pixels, accepted: at least {SIDE} a side")
    try:
        image = upright(image)
        image.thumbnail((ENOUGH, ENOUGH))
        return image
    except Exception as error:
        raise refuse(f"is damaged ({first_line(error)})") from None


def align(name: str, image: Image.Image, size: int, eyes: Eyes = RENDERED_EYES) -> Photograph:
    """Turn, scale and cut an upright photograph so that its eyes stand at `eyes`, fractions of the side; uint8 (3, size, size).

    The eyes are found by dlib's landmarks (extra `faces`). Where it is not installed, or finds no face, the middle square is taken, and
    `how` says so.
    """
    try:
        found = find_eyes(image)
        how = "aligned by its eyes" if found else "no face found in it: its middle square was taken"
    except ImportError:
        found, how = None, "its middle square was taken, as dlib is not installed: pip install 'arl[faces]'"
    if found is None:
        square = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        return Photograph(name, np.asarray(square).transpose(2, 0, 1).copy(), how)
    wide = 4 * size  # turned at four times the size, then reduced: smooth edges
    target = [np.array(eye) * wide for eye in eyes]
    here = [np.array(eye) for eye in found]
    scale = math.dist(*target) / max(math.dist(*here), 1e-6)
    if scale < 1:  # Pillow's transform skips pixels, its resize does not
        size_there = tuple(max(1, round(side * scale)) for side in image.size)
        here = [eye * (np.array(size_there) / image.size) for eye in here]
        image, scale = image.resize(size_there, Image.Resampling.BILINEAR), 1.0
    (ax, ay), (bx, by) = here
    across = complex(bx - ax, by - ay) / complex(*(target[1] - target[0]))  # a turn and a scale as one complex number
    a, b = across.real, across.imag
    margin = int(2 * wide / scale) + 1  # beyond its edges a photograph goes on as it ends
    x, y = ax - (a * target[0][0] - b * target[0][1]) + margin, ay - (b * target[0][0] + a * target[0][1]) + margin
    padded = Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    cut = padded.transform((wide, wide), Image.Transform.AFFINE, (a, -b, x, b, a, y), Image.Resampling.BILINEAR)
    face = np.asarray(cut.resize((size, size), Image.Resampling.BOX)).transpose(2, 0, 1).copy()
    return Photograph(name, face, how)


def read_all(files: Iterable[tuple[str, bytes]]) -> tuple[list[tuple[str, Image.Image]], list[str]]:
    """The photographs among `files` (name, content), and a line for each that cannot be used."""
    photographs, problems = [], []
    for number, (name, content) in enumerate(files):
        if number == FILES:
            problems.append(f"{name}: found more than {FILES} files, accepted: {FILES} at a time")
            break
        try:
            photographs.append((name, read_photograph(name, content)))
        except UserError as error:
            problems.append(str(error))
    return photographs, problems


def of_folder(path: str) -> Iterable[tuple[str, bytes]]:
    """The names and contents of the files in a folder (and its sub-folders), or of one file. Raises `UserError`."""
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"photographs: found no {path!r}, accepted: a folder of photographs, or one of them")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file() and p.name[0] != ".")
    return ((p.name, b"" if p.stat().st_size == 0 else p.open("rb").read(BYTES + 1)) for p in files)


@lru_cache(maxsize=1)
def _dlib() -> tuple[Any, Any]:
    import dlib
    import face_recognition_models as models

    return dlib.get_frontal_face_detector(), dlib.shape_predictor(models.pose_predictor_five_point_model_location())


def find_eyes(image: Image.Image) -> Eyes | None:
    """The middles of the two eyes of the largest face, left one first, in pixels; None without a face. Raises ImportError."""
    detector, landmarks = _dlib()
    scale = min(1.0, 800 / max(image.size)) if max(image.size) > 200 else 240 / max(image.size)
    pixels = np.asarray(image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR))
    boxes = detector(pixels, 0) or detector(pixels, 1)
    if not boxes:
        return None
    corners = [(p.x, p.y) for p in landmarks(pixels, max(boxes, key=lambda box: box.area())).parts()]
    middles = ((np.add(corners[i], corners[i + 1]) / 2 / scale).tolist() for i in (0, 2))
    left, right = sorted(map(tuple, middles))
    return left, right


@lru_cache(maxsize=8)
def eyes_of(data: FaceData) -> Eyes:
    """Where eyes stand in these faces, as fractions of the side: the median over some of them, RENDERED_EYES where dlib finds none."""
    found = []
    try:
        for i in different_people(data, np.arange(len(data)), 24):
            image = Image.fromarray(data.images[i].transpose(1, 2, 0))
            found += [eyes] if (eyes := find_eyes(image)) else []
    except ImportError:
        pass
    if len(found) < 4:
        return RENDERED_EYES
    left, right = np.median(np.array(found), axis=0) / data.images.shape[-1]
    return tuple(left.tolist()), tuple(right.tolist())
