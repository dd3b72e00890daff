"""What the store holds, ready to be looked at: the nearest run to a choice, the front, changes, pictures, one face closer.

Nothing here trains, and nothing knows of widgets. `Store` reads each row of Table 1 once. Pictures are made from the stored networks
when they are first asked for, and kept as small PNGs in caches of bounded size: `arl.widgets` asks at every move of a slider.
"""

import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import papermill
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
import yaml
from PIL import Image
from torch import Tensor, nn

from arl.attack import Features, load_decoder, recognised
from arl.config import ATTRIBUTES, PRESETS, RunConfig
from arl.data import FaceData, attribute_names, open_data, pictures, split
from arl.evaluate import PRIVACY, parts
from arl.judges import Recogniser, RenderedRecogniser, embed_all, recogniser
from arl.machine import precision, prepare
from arl.messages import UserError
from arl.models import Decoder, backbone, cut, decoder_width, tap_shape
from arl.paper import different_people
from arl.protect import load_encoder
from arl.store import DamagedError, Run, project_root, run_id, runs_root, unpack

WEIGHTS = ("lambda1", "lambda2", "mu1", "mu2", "simulated_mu1", "simulated_mu2")
SYMBOLS = dict(zip(WEIGHTS, ("λ1", "λ2", "μ1", "μ2", "simulated μ1", "simulated μ2"), strict=True))
FACES = ("data", "data_root", "damaged", "data_seed", "image_size", "identities", "per_identity")
OF_THE_SEED, OF_THE_FACES, OF_THE_REST = 0.25, 100.0, 10.0  # what one difference adds to a distance
NEAR = 0.3  # a factor of two in one weight: within it, a stored run stands for a choice


# -- rows, and how far they are from a choice ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Row:
    """One finished row of Table 1: its run, the configuration that made it and its result."""

    run: Run
    config: RunConfig
    result: dict[str, Any]

    @property
    def id(self) -> str:
        return self.run.id

    def of(self, kind: str) -> Run:
        """The stored run that this row was measured on: `encoder`, `decoder` or `features`."""
        return parts(self.run)[kind]


class Store:
    """The finished rows of a run store, newest last. `refresh` reads those that came since."""

    def __init__(self, root: Path | None = None):
        self.root = root or runs_root()
        self.rows: list[Row] = []
        self._seen: set[str] = set()
        self.refresh()

    def refresh(self) -> list[Row]:
        """The rows that are new since the last look. A row of another version of the configuration is left out."""
        paths = [path for path in self.root.glob("row-*/result.json") if path.parent.name not in self._seen]
        new = []
        for path in sorted(paths, key=lambda path: path.stat().st_mtime):
            run = Run(path.parent)
            result = run.result
            if result is None:  # it is being made again
                continue
            self._seen.add(run.id)
            try:
                new.append(Row(run, RunConfig(**result["config"]), result))
            except (UserError, KeyError):
                continue
        self.rows += new
        return new

    def nearest(self, cfg: RunConfig) -> "tuple[Row, Distance] | None":
        """The row at the least `distance` from `cfg`, the newest of several; None when the store is empty."""
        found = [(distance(cfg, row.config), row) for row in self.rows]
        if not found:
            return None
        best = min(range(len(found)), key=lambda i: (found[i][0].value, -i))
        return found[best][1], found[best][0]

    def baseline(self, cfg: RunConfig) -> Row | None:
        """The row that differs from `cfg` in nothing but having no protection."""
        found = self.nearest(unprotected(cfg))
        return found[0] if found and found[1].value == 0 else None


def unprotected(cfg: RunConfig) -> RunConfig:
    """`cfg` without λ, and without what only the simulated adversary uses."""
    return cfg.but(lambda1=0, lambda2=0, simulated_mu1=0, simulated_mu2=0)


@lru_cache(maxsize=4096)
def essence(cfg: RunConfig) -> dict[str, Any]:
    """The fields that make a difference to the row of `cfg`, and no others."""
    of_faces = {"rendered": ("data_seed", "identities", "per_identity"), "orl": ()}.get(
        cfg.data, ("data_root", "damaged")
    )
    names = {"data", "image_size", "recogniser", "extra", *of_faces} | (
        {"extra_source"} if cfg.extra != "none" else set()
    )
    fields = cfg.encoder_fields() | cfg.attack_fields() | cfg.feature_attack_fields()
    return dict.fromkeys(WEIGHTS, 0.0) | fields | cfg.model_dump(mode="json", include=names)


def position(weight: float) -> float:
    """Where λ or μ stands on a scale that is logarithmic above 0.01 and begins at 0: log10(1 + weight / 0.01)."""
    return math.log10(1 + weight / 0.01)


class Distance(NamedTuple):
    """How far a stored row is from a choice, and in what it differs: (field, in the choice, in the row)."""

    value: float
    differences: tuple[tuple[str, Any, Any], ...]

    @property
    def near(self) -> bool:
        return self.value <= NEAR

    def __str__(self) -> str:
        if not self.differences:
            return "exactly what you chose"
        parts = [
            f"{SYMBOLS.get(name, name)} {_short(there)}, you chose {_short(here)}"
            for name, here, there in self.differences[:4]
        ]
        more = f" and {len(self.differences) - 4} more" if len(self.differences) > 4 else ""
        return f"at distance {self.value:.2f}: {'; '.join(parts)}{more}"


def distance(cfg: RunConfig, other: RunConfig) -> Distance:
    """The distance from a choice to another configuration, 0 for two that make the same row.

    The six weights λ and μ count by the Euclidean distance of their `position`, so that a factor of ten is about 1 and a factor of
    two about 0.3 at any size. Another seed adds 0.25, other faces add 100 (once for each field), and each other field that makes
    a difference adds 10: a run of the same layer, attributes and attacker always comes before one of others.
    """
    return _distance(cfg, other)


@lru_cache(maxsize=65536)
def _distance(cfg: RunConfig, other: RunConfig) -> Distance:
    a, b = essence(cfg), essence(other)
    differences = [(name, a[name], b[name]) for name in a if name in b and a[name] != b[name]]
    square = sum((position(here) - position(there)) ** 2 for name, here, there in differences if name in WEIGHTS)
    rest = [name for name, _, _ in differences if name not in WEIGHTS]
    counts = {"seed": OF_THE_SEED, **dict.fromkeys(FACES, OF_THE_FACES)}
    return Distance(math.sqrt(square) + sum(counts.get(name, OF_THE_REST) for name in rest), tuple(differences))


def _short(value: Any) -> str:
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, str):
        return value or "none"
    return f"{len(value)} attributes" if len(value) > 3 else ", ".join(value)


# -- the front ----------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """A row on the utility–privacy front: x is its privacy figure, y its mean MCC, each with its interval (value, low, high)."""

    row: Row
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    alike: bool  # of the layer and the seed that were chosen
    protected: bool


def front(rows: Iterable[Row], cfg: RunConfig, privacy: str = "face_similarity") -> list[Point]:
    """The rows that may be compared with `cfg`: made like it from the same faces, but for λ, μ, the layer, the seed and extra data."""
    free = {
        *WEIGHTS,
        "seed",
        "layer",
        "extra",
        "extra_images",
        "extra_source",
        "perceptual",
        "discriminator",
        "gan_loss",
    }
    points = []
    for row in rows:
        differ = {name for name, _, _ in distance(cfg, row.config).differences}
        x, y = row.result[privacy], row.result["mean_mcc"]
        if differ <= free and x["value"] is not None and y["value"] is not None:
            sides = [
                tuple(m[side] if m[side] is not None else m["value"] for side in ("value", "low", "high"))
                for m in (x, y)
            ]
            points.append(Point(row, *sides, alike=not differ & {"seed", "layer"}, protected=row.config.protected))
    return points


def undominated(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in both figures (less similarity, more utility), from the most private on."""
    best, found = -math.inf, []
    for point in sorted(points, key=lambda p: (p.x[0], -p.y[0])):
        if point.y[0] > best:
            best = point.y[0]
            found.append(point)
    return found


@lru_cache(maxsize=1024)
def change(row: Row, baseline: Row) -> dict[str, dict[str, float | None]]:
    """For each figure of a row: its difference to the baseline's, and for privacy the 95 % interval of that, over the same images of T."""
    found: dict[str, dict[str, float | None]] = {}
    names = ("mean_mcc", *PRIVACY, "within_variance", "between_variance", "lda_score")
    for name in names:
        a, b = row.result[name]["value"], baseline.result[name]["value"]
        found[name] = {"value": None if a is None or b is None else a - b, "low": None, "high": None}
    (mine, _), (theirs, _) = row.run.load(), baseline.run.load()
    if torch.equal(mine["t"], theirs["t"]):
        paired = torch.stack([mine[name] - theirs[name] for name in PRIVACY], 1).numpy()  # (N, figures)
        drawn = np.random.default_rng(row.config.seed).integers(len(paired), size=(row.config.bootstrap, len(paired)))
        means = np.stack([paired[images].mean(0) for images in drawn])  # (resamples, figures)
        for name, low, high in zip(PRIVACY, *np.percentile(means, [2.5, 97.5], axis=0), strict=True):
            found[name] |= {"low": float(low), "high": float(high)}
    return found


# -- pictures -----------------------------------------------------------------------------------------------------


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
        return *load_encoder(row.config, row.of("encoder")), load_decoder(row.config, row.of("decoder"))
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


# -- one face closer ----------------------------------------------------------------------------------------------


class Neighbour(NamedTuple):
    """A photograph that C takes for the same person: its row in the data, who it is, the cosine of the embeddings, its picture."""

    index: int
    identity: int
    similarity: float
    picture: bytes


class Seen(NamedTuple):
    """One face under one stored setting."""

    row: Row
    picture: bytes  # X̂
    similarity: float  # C's face similarity of X̂ to the input, as in Table 1
    nearest: tuple[Neighbour, ...]  # whom C takes X̂ for
    predictions: dict[str, float]  # attribute: probability by f


class Closer(NamedTuple):
    """One face, whom C takes it for, and what each stored setting makes of it."""

    picture: bytes
    nearest: tuple[Neighbour, ...]
    truth: dict[str, bool] | None  # None for a photograph of one's own
    identity: int | None
    seen: tuple[Seen, ...]


def judge_of(row: Row) -> Recogniser:
    """The C that judged `row`. Raises `UserError` where it is no longer in the store: here nothing is trained."""
    spec = row.run.spec["recogniser"]
    if spec["kind"] != "rendered":
        return recogniser(row.config, prepare())
    run = Run(row.run.folder.with_name(spec["run"]))
    if run.result is None:
        raise UserError(f"{row.id}: found no {run.id} in the store, accepted: a row whose recogniser is there")
    return _rendered_recogniser(run.folder)


@lru_cache(maxsize=2)
def _rendered_recogniser(folder: Path) -> RenderedRecogniser:
    run = Run(folder)
    data = run.spec["data"]
    judge = RenderedRecogniser(data["people"]["count"], data["image_size"])
    unpack(run.load()[0], c=judge)
    judge.requires_grad_(False).to(prepare(), memory_format=torch.channels_last)
    judge.spec = {"kind": "rendered", "run": run.id}
    judge.name = f"recogniser trained on {data['people']['count']} other rendered people"
    return judge


def comparable(rows: Iterable[Row], row: Row) -> list[Row]:
    """The rows that share the test set of `row`: the same faces, split and seed, so that none of their encoders saw its people's images."""
    fixed = {"x1", "x2", "split", "seed", "recogniser", *FACES}
    found = [r for r in rows if not fixed & {name for name, _, _ in distance(row.config, r.config).differences}]
    return sorted(found, key=lambda r: tuple(essence(r.config)[name] for name in ("layer", *WEIGHTS)))


@lru_cache(maxsize=2)
def _gallery(row: Row) -> tuple[np.ndarray, Tensor]:
    """Whom C knows: the images of X2 and T (sorted rows) and its embeddings of them, of length 1."""
    data = faces_of(row)
    _, x2, t = split(data, row.config)
    known = np.sort(np.concatenate([x2, t]))
    return known, F.normalize(recognised(data, known, judge_of(row))[0])


@torch.no_grad()
def closer(rows: Sequence[Row], row: Row, face: int | np.ndarray, neighbours: int = 3) -> Closer:
    """One face under each of `rows`, which must be `comparable` with `row`.

    face: a row of `faces_of(row)`, or a photograph of one's own, uint8 (3, S, S). Its nearest identities are sought among the images of
    X2 and T, each person once, and never the photograph itself.
    """
    data, judge = faces_of(row), judge_of(row)
    own = isinstance(face, np.ndarray)
    x = face if own else data.images[face]
    known, gallery = _gallery(row)
    made = [decode(r, x[None]) for r in rows]
    faces = np.concatenate([x[None], *(x_hat for x_hat, _ in made)])
    embedding, middle = embed_all(judge, faces, np.arange(len(faces)), prepare())
    similarity = F.cosine_similarity(middle, middle[:1]).tolist()

    def nearest(cosines: Tensor) -> tuple[Neighbour, ...]:
        found: dict[int, Neighbour] = {}
        for i in cosines.argsort(descending=True).tolist():
            index, who = int(known[i]), int(data.identities[known[i]])
            if who not in found and (own or index != face):
                found[who] = Neighbour(index, who, cosines[i].item(), png(data.images[index]))
            if len(found) == neighbours:
                break
        return tuple(found.values())

    whom = [nearest(cosines) for cosines in F.normalize(embedding) @ gallery.T]
    seen = []
    for i, (r, (x_hat, probabilities)) in enumerate(zip(rows, made, strict=True), 1):
        names = attribute_names(data, r.config)
        predictions = dict(zip(names, probabilities[0].tolist(), strict=True))
        seen.append(Seen(r, png(x_hat[0]), similarity[i], whom[i], predictions))
    truth = None if own else dict(zip(data.attribute_names, data.attributes[face].tolist(), strict=True))
    return Closer(png(x), whom[0], truth, None if own else int(data.identities[face]), tuple(seen))


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
    device, data = prepare(), _open(runs_root(), RunConfig(**{name: getattr(cfg, name) for name in FACES}))
    index = different_people(data, split(data, cfg).t, n)
    if kind == "encoder":
        if not any(name.startswith("decoder/") for name in tensors):  # finished: only the network is kept
            return None
        net = backbone(cfg.but(encoder_weights="none"), len(tensors["net/head.2.bias"]))
        encoder, _ = cut(net.requires_grad_(False).eval(), cfg.layer)
        decoder = Decoder(tap_shape(encoder, cfg.image_size), cfg.image_size, decoder_width(cfg))
        unpack(tensors, net=net, decoder=decoder)
        encoder.to(device)
    else:
        encoder_run = Run(run.folder.with_name(run.spec["encoder"]))
        standardise, shape = _standardise(encoder_run.folder, cfg)
        encoder, _ = load_encoder(cfg, encoder_run)
        decoder = Decoder(shape, cfg.image_size, decoder_width(cfg))
        part = "average" if any(name.startswith("average/") for name in tensors) else "model"  # unfinished, finished
        unpack(tensors, **{part: decoder})
        encoder = nn.Sequential(encoder, standardise)
    decoder.requires_grad_(False).eval().to(device)
    with precision(device):
        x_hat = decoder(encoder(pictures(data, index).to(device)).float()).float()
    return strip((x_hat * 255).round().byte().cpu().numpy())


@lru_cache(maxsize=1)
def _standardise(folder: Path, cfg: RunConfig) -> tuple[nn.Module, tuple[int, ...]]:
    """What the attacker will store only at its end, from enough of X2 for a picture."""
    data, encoder = open_data(cfg, progress=False), load_encoder(cfg, Run(folder))[0]
    features = Features(encoder, data, split(data, cfg).x2[:512], prepare())
    return features.standardise, features.shape


# -- a choice as a file --------------------------------------------------------------------------------------------


def parameters(cfg: RunConfig) -> str:
    """`cfg` as YAML for `papermill notebooks/01_train.ipynb out.ipynb -f FILE`; what 01_train cannot be told stands in a comment."""
    accepted = papermill.inspect_notebook(str(project_root() / "notebooks" / "01_train.ipynb"))
    values = {name: value for name, value in cfg.model_dump(mode="json").items() if name in accepted}
    if cfg.attributes == ATTRIBUTES:
        values["attributes"] = "all"
    values |= {"attributes": ",".join(cfg.attributes)} if values["attributes"] != "all" else {}

    def left_out(preset: str) -> dict[str, Any]:
        made = RunConfig.preset(preset, **values).model_dump(mode="json")
        return {name: value for name, value in cfg.model_dump(mode="json").items() if made[name] != value}

    best = min(PRESETS, key=lambda preset: len(left_out(preset)))
    lines = [
        f"# 01_train has no parameter {name}; the choice had {json.dumps(value)}"
        for name, value in left_out(best).items()
    ]
    return "\n".join([*lines, yaml.safe_dump({"preset": best, **values}, sort_keys=False, allow_unicode=True)])
