"""Image files to square bytes, and the folders that users name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F  # noqa: N812, its usual name

from arl.data.build import Rows
from arl.messages import ConfigError
from arl.store import project_root

SUFFIXES = {ext for ext, form in Image.registered_extensions().items() if form in Image.OPEN}
SCALED = ("PNG", "PPM")  # formats whose 32-bit integers are 16-bit ones, white at 65535

TOGETHER = (
    8  # squares that are resized in one call, whose own cost is half of a square's; more would not stay in the cache
)
DIM = 4096  # the brightest pixel of 16 bits below this: 8 or 12 bits in a wider file, which would turn black


def find_root(parameter: str, text: str, accepted: str = "an existing folder") -> Path:
    """The folder that `text` names, seen from the current folder or from the project's."""
    try:
        for root in (Path(text).expanduser(), project_root() / text):
            if text and root.is_dir():
                return root
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, no such user, a NUL
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{parameter}: found {text[:80]!r} ({why}), accepted: {accepted}") from None
    raise ConfigError(f"{parameter}: found no folder {text!r}, accepted: {accepted}")


def read_file(path: str, size: int) -> bytearray:
    """A file that has `size` bytes, in a third of the time that NumPy takes to open it; what has grown since is cut short."""
    blob = bytearray(size)
    with open(path, "rb", buffering=0) as file:
        count = file.readinto(blob)
    return blob if count == size else blob[:count]


def read_rows(names: list[str], load: Callable[[int], np.ndarray], start: int, size: int) -> Rows:
    """`load(i)` for each of `names`, as rows from `start`; what cannot be read is named."""
    images, problems = np.zeros((len(names), 3, size, size), np.uint8), {}
    for i, name in enumerate(names):
        try:
            images[i] = load(i)
        except Exception as error:  # decoders raise almost anything for a damaged file
            problems[start + i] = _problem(name, error)
    return Rows(images, None, problems)


def _problem(name: str, error: Exception) -> str:
    why = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return f"{name} ({'not an image' if 'cannot identify' in why else why})"


def read_squares(
    names: list[str], load: Callable[[int], bytes | bytearray | np.ndarray], start: int, size: int
) -> Rows:
    """The middle square of each JPEG or PNG `load(i)`, resized to `size`; of CelebA's 178×218 that is 178×178.

    As `read_rows`, but that squares of one shape are resized `TOGETHER`: the bytes are those of each alone.
    """
    images, problems = np.zeros((len(names), 3, size, size), np.uint8), {}
    rows: list[int] = []  # of the squares that wait
    waiting = np.empty((0, 0, 0, 3), np.uint8)
    for i, name in enumerate(names):
        try:
            square = _middle(load(i))
        except Exception as error:  # decoders raise almost anything for a damaged file
            problems[start + i] = _problem(name, error)
            continue
        if len(rows) == TOGETHER or square.shape != waiting.shape[1:]:
            _resize(waiting, rows, images)
            rows = []
            if square.shape != waiting.shape[1:]:
                waiting = np.empty((TOGETHER, *square.shape), np.uint8)
        waiting[len(rows)] = square
        rows.append(i)
    _resize(waiting, rows, images)
    return Rows(images, None, problems)


def _middle(blob: bytes | bytearray | np.ndarray) -> np.ndarray:
    """The middle square of a JPEG or PNG, a view of uint8 (side, side, 3)."""
    from torchvision.io import ImageReadMode  # here, as it takes two seconds

    # the operator of torchvision.io.decode_image, which warns at each call
    x = torch.ops.image.decode_image(torch.frombuffer(blob, dtype=torch.uint8), ImageReadMode.RGB.value, False)
    if x.dtype != torch.uint8:
        raise ValueError(f"its pixels are {str(x.dtype).removeprefix('torch.')}; accepted: 8 bits")
    height, width = x.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return x.permute(1, 2, 0).numpy()[top : top + side, left : left + side]


def _resize(squares: np.ndarray, rows: list[int], images: np.ndarray) -> None:
    """The first of `squares` into the `rows` of `images`, in order."""
    if rows:
        x = torch.from_numpy(squares[: len(rows)]).permute(0, 3, 1, 2)
        images[rows] = F.interpolate(x, images.shape[2:], mode="bilinear", antialias=True).numpy()


def upright(image: Image.Image) -> Image.Image:
    """A photograph as its camera was held, on white, in RGB. Raises ValueError where its white is unknown."""
    form = image.format
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        image = Image.fromarray(_floats(np.asarray(image)))
    elif image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion cuts off at 255
        if image.mode == "I" and form is not None and form not in SCALED:
            raise ValueError("its pixels are integers of 32 bits, whose white is unknown; accepted: 8 or 16 bits")
        pixels = np.asarray(image)
        if 0 < pixels.max() < DIM:
            raise ValueError(
                f"its brightest pixel of 16 bits is {pixels.max()}, so its white is unknown; accepted: white at 65535"
            )
        image = Image.fromarray((pixels.clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _floats(pixels: np.ndarray) -> np.ndarray:
    """Grey floats in [0, 1] as bytes. Raises ValueError for any other range."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"its pixels are floats from {low:g} to {high:g}; accepted: 0 to 1")
    return np.rint(pixels * 255).astype(np.uint8)


def open_image(path: Path, size: int, centre: float) -> np.ndarray:
    """A square of one photograph, upright, on white, uint8 (3, size, size); `centre` places it, 0 at the top."""
    with Image.open(path) as image:
        image = upright(image)
        side = min(image.size)
        left, top = (image.width - side) // 2, round((image.height - side) * centre)
        image = image.crop((left, top, left + side, top + side))
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
