"""Pictures of what a stored row leaks: made from its networks when they are first asked for, and kept as small PNGs.

Nothing here trains and nothing is drawn anew: where faces or networks are gone from the store, `UserError` says so. The caches are of
bounded size, as the explorer asks at every move of a slider.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from arl.config import RunConfig
from arl.data import FaceData, batches, open_data, pictures, split
from arl.experiment import Experiment
from arl.machine import prepare
from arl.messages import UserError
from arl.paper.people import different_people
from arl.plateau import StandardisedFeatures
from arl.row import Row
from arl.store import DamagedError, Run, run_id, runs_root, unpack
from arl.training import precision
from arl.workbook.choice import FACES


@lru_cache(maxsize=4)
def _open(folder: Path, cfg: RunConfig) -> FaceData:
    return open_data(cfg, progress=False)


def faces_of(row: Row) -> FaceData:
    """The faces that `row` was measured on. Raises `UserError` where they are no longer in the store: here nothing is drawn anew."""
    spec = row.of("encoder").spec["data"]
    folder = row.run.folder.parent / "data" / run_id(spec)
    if not (folder / "meta.json").exists():
        raise UserError(f"{row.id}: found no faces {folder.name} in the store, accepted: a row whose faces are there")
    return _open(folder, RunConfig(**{name: getattr(row.config, name) for name in FACES}))


@lru_cache(maxsize=64)
def people(row: Row, n: int) -> np.ndarray:
    """The rows of `faces_of(row)`, all in T, of `n` different people: the same for all rows of one split."""
    data = faces_of(row)
    return different_people(data, split(data, row.config).t, n)


@lru_cache(maxsize=4)
def networks(row: Row) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Enc, f and Dec^a (with its standardisation) of a row, frozen."""
    try:
        return *row.experiment.networks, row.experiment.attacker("decoder")
    except (FileNotFoundError, DamagedError) as error:
        raise UserError(
            f"{row.id}: found no sound networks ({error}), accepted: a row whose runs are in the store"
        ) from None


@torch.no_grad()
def decode(row: Row, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What Dec^a of `row` makes of the features of `images`, and what f does.

    images uint8 (n, 3, S, S) to X̂ of the same kind and shape, and probabilities float32 (n, A), columns as the encoder's attributes.
    """
    device = prepare()
    encoder, classifier, decoder = networks(row)
    x = torch.from_numpy(np.array(images)).to(device).float().div(255).contiguous(memory_format=torch.channels_last)
    with precision(device):
        z = encoder(x)
        x_hat, logits = decoder(z.float()).float(), classifier(z).float()
    return (x_hat * 255).round().byte().cpu().numpy(), torch.sigmoid(logits).cpu().numpy()


def strip(images: np.ndarray, gap: int = 2) -> bytes:
    """Pictures uint8 (n, 3, S, S) side by side as one PNG with transparent gaps, `gap` pixels wide."""
    n, _, height, width = images.shape
    sheet = np.zeros((height, n * (width + gap) - gap, 4), np.uint8)
    for i, image in enumerate(images):
        left = i * (width + gap)
        sheet[:, left : left + width, :3], sheet[:, left : left + width, 3] = image.transpose(1, 2, 0), 255
    return _png(sheet)


def png(image: np.ndarray) -> bytes:
    """One picture uint8 (3, S, S) as a PNG."""
    return _png(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()


class Grid(NamedTuple):
    """The pictures of some people: inputs as PNGs, X̂ as one strip, and C's face similarity of each X̂ to its input."""

    index: tuple[int, ...]
    inputs: tuple[bytes, ...]
    decoded: bytes
    similarity: tuple[float, ...]


@lru_cache(maxsize=256)  # some 60 kB each at 48 pixels
def grid(row: Row, n: int = 8) -> Grid:
    """The reconstructions of `n` people by one row, made once."""
    index = people(row, n)
    images = faces_of(row).images[index]
    decoded, _ = decode(row, images)
    measured, _ = row.run.load()
    similarity = dict(zip(measured["t"].tolist(), measured["face_similarity"].tolist(), strict=True))
    return Grid(
        tuple(index.tolist()),
        tuple(png(x) for x in images),
        strip(decoded),
        tuple(similarity[i] for i in index.tolist()),
    )


# -- a training, as far as it is -----------------------------------------------------------------------------------


@torch.no_grad()
def live(run: Run, cfg: RunConfig, n: int = 8) -> bytes | None:
    """The faces of `n` people of T as an unfinished run makes them now, as a strip; None where it has no decoder, or none yet.

    Of an encoder's training it is the simulated adversary that decodes; without λ there is none.
    """
    kind = run.id.partition("-")[0]
    if kind not in ("encoder", "decoder") or (kind == "encoder" and not cfg.protected):
        return None
    try:
        tensors, _ = run.load()
    except (FileNotFoundError, DamagedError):
        return None
    experiment, device, data = (
        Experiment(cfg),
        prepare(),
        _open(runs_root(), RunConfig(**{name: getattr(cfg, name) for name in FACES})),
    )
    index = different_people(data, split(data, cfg).t, n)
    if kind == "encoder":
        if not any(name.startswith("decoder/") for name in tensors):  # finished: only the network is kept
            return None
        encoder, decoder = experiment.simulated(tensors)
    else:
        standardise, shape = _standardise(cfg)
        decoder = experiment.untrained("decoder", shape)
        encoder = experiment.networks[0]
        part = "average" if any(name.startswith("average/") for name in tensors) else "model"  # unfinished, finished
        unpack(tensors, **{part: decoder})
        encoder = nn.Sequential(encoder, standardise)
    decoder.requires_grad_(False).eval().to(device)
    with precision(device):
        x_hat = decoder(encoder(pictures(data, index).to(device)).float()).float()
    return strip((x_hat * 255).round().byte().cpu().numpy())


@lru_cache(maxsize=1)
def _standardise(cfg: RunConfig) -> tuple[nn.Module, tuple[int, ...]]:
    """What the attacker will store only at its end, from enough of X2 for a picture."""
    experiment = Experiment(cfg)
    some = experiment.split.x2[:512]
    images = (x for _, x in batches(experiment.data.images, some, 256, device=experiment.device))
    features = StandardisedFeatures(experiment.networks[0], images, len(some))
    return features.standardise, features.shape
