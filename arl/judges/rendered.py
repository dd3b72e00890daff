"""The recogniser C trained on rendered people whom no other data set holds."""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor, nn

from arl.config import RunConfig
from arl.data import FaceData, batches, look_rendered, open_rendered
from arl.judges.base import embed_all, verification_auc
from arl.messages import ConfigError
from arl.models import Normalise, residual
from arl.store import Run, obtain, pack, run_id, unpack
from arl.training import adam, descend, epochs, generator, initialised, one_cycle, precision

RENDERED_SEED = 900_001  # added to data_seed: a stream of people of their own, whom no other data set holds
UNSEEN = 40, 8  # people and photographs on which a trained recogniser is tested
BATCH = 64


class Kind(NamedTuple):
    """A recogniser that is trained here: what is added to data_seed for its people, its network's width and embedding, and whose it is."""

    people: int
    width: int = 16
    dimension: int = 128
    title: str = "recogniser"


SIZES = ("width", "dimension")  # part of what defines it where they are not C's
# C; a second judge, of other people and another size; and an adversary's own, which judges nobody (`arl.judges.own`).
KINDS = {
    "rendered": Kind(RENDERED_SEED),
    "rendered2": Kind(8_900_001, 24, 64, "second recogniser"),
    "own": Kind(7_900_001, title="the adversary's own recogniser"),
}


class RenderedRecogniser(nn.Module):
    """A small residual network trained to tell rendered people apart, by a cosine softmax with a margin (CosFace, 2018).

    Its middle layer is the output of its second stage, pooled to 3 × 3 and centred with its mean over the training people, so that the
    cosine of two strangers is about 0, as that of their embeddings is. Of the stages and poolings tried it is the best before the last
    stage: at the quick preset AUC 0.990 on unseen people, 0.972 pooled to one cell, 0.968 from the first stage, 0.994 by the embedding.
    """

    def __init__(self, people: int, image_size: int, width: int = 16, dimension: int = 128):
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            Normalise(),
            nn.Conv2d(3, w, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(w),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.stages = nn.ModuleList([residual(w, 2 * w, 1), residual(2 * w, 4 * w, 2), residual(4 * w, 8 * w, 2)])
        self.project = nn.Sequential(nn.Flatten(), nn.LazyLinear(dimension, bias=False), nn.BatchNorm1d(dimension))
        self.people = nn.Parameter(torch.randn(people, dimension))
        self.register_buffer("middle_mean", torch.zeros(4 * w * 9))
        self.name, self.middle_name, self.spec = "", "second stage, pooled to 3 × 3", {}
        self.eval()(torch.zeros(1, 3, image_size, image_size), torch.zeros(1, dtype=torch.long))  # sizes the lazy layer

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stages[1](self.stages[0](self.stem(x)))
        middle = F.adaptive_avg_pool2d(x, 3).flatten(1)
        return self.project(self.stages[2](x)), middle

    def forward(self, x: Tensor, who: Tensor, margin: float = 0.2, sharpness: float = 24.0) -> Tensor:
        """The training loss for identities `who` (B,)."""
        cosines = F.normalize(self.features(x)[0].float()) @ F.normalize(self.people).T
        return F.cross_entropy(sharpness * (cosines - margin * F.one_hot(who, len(self.people))), who)

    @torch.no_grad()
    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with precision(x.device):
            embedding, middle = self.features(x)
        return embedding.float(), middle.float() - self.middle_mean


def rendered_spec(cfg: RunConfig, name: str = "rendered") -> dict[str, Any]:
    """The `spec` of what `rendered_recogniser` gives, without training it. Raises `ConfigError`."""
    _enough(cfg)
    kind = KINDS[name]
    seed = kind.people + cfg.data_seed
    people = look_rendered(cfg.recogniser_identities, cfg.recogniser_per_identity, cfg.image_size, seed)
    return {"kind": "rendered", "run": run_id(_training_spec(cfg, people.spec, kind))}


def _enough(cfg: RunConfig) -> None:
    """Raise `ConfigError` where the faces that C learns from fill no batch."""
    images = cfg.recogniser_identities * cfg.recogniser_per_identity
    if images < BATCH:
        raise ConfigError(
            f"recogniser_identities × recogniser_per_identity: found {cfg.recogniser_identities} × {cfg.recogniser_per_identity}, "
            f"which is {images} images, accepted: {BATCH} or more"
        )


def _training_spec(cfg: RunConfig, people: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """What defines it, for the training people whose spec is `people`."""
    schedule = {"epochs": cfg.recogniser_epochs, "lr": 4e-3, "batch_size": BATCH}
    sizes = {name: getattr(kind, name) for name in SIZES if getattr(kind, name) != Kind._field_defaults[name]}
    return {"kind": "recogniser", "version": 1, "data": people, **schedule, **sizes}


def rendered_recogniser(cfg: RunConfig, device: torch.device, name: str = "rendered") -> "RenderedRecogniser":
    """C, or another of `KINDS`, trained on `cfg.recogniser_identities` rendered people: found in the store, or trained there.

    Raises `ConfigError`.
    """
    _enough(cfg)
    kind = KINDS[name]
    count, seed = cfg.recogniser_identities, kind.people + cfg.data_seed
    data = open_rendered(count, cfg.recogniser_per_identity, cfg.image_size, seed)
    spec = _training_spec(cfg, data.spec, kind)

    def make(run: Run) -> dict[str, Any]:
        unseen = open_rendered(*UNSEEN, cfg.image_size, seed, first_identity=count)
        return _train_recogniser(run, spec, data, unseen, device)

    run = obtain(spec, make)
    c = _untrained(count, cfg.image_size, spec).to(device)
    unpack(run.load()[0], c=c)
    c.requires_grad_(False).to(memory_format=torch.channels_last)
    auc = run.result["auc_embedding"]
    c.spec = {"kind": "rendered", "run": run.id}
    c.name = f"{kind.title} trained on {count} other rendered people (verification AUC {auc:.3f} on unseen ones)"
    return c


def _untrained(people: int, image_size: int, spec: dict[str, Any]) -> RenderedRecogniser:
    return RenderedRecogniser(people, image_size, **{name: spec[name] for name in SIZES if name in spec})


def _train_recogniser(
    run: Run, spec: dict[str, Any], data: FaceData, unseen: FaceData, device: torch.device
) -> dict[str, Any]:
    with initialised(41):
        c = _untrained(data.spec["people"]["count"], data.images.shape[-1], spec)
    c = c.to(device, memory_format=torch.channels_last)
    optimiser = adam(c)
    who = torch.from_numpy(data.identities - data.identities.min()).to(device)
    everyone = np.arange(len(data))
    steps = len(data) // spec["batch_size"]
    for epoch in epochs(run, {"c": c, "adam": optimiser}, spec["epochs"]):
        c.train()
        shuffled = generator(42, epoch.number)
        everybody = batches(
            data.images, everyone, spec["batch_size"], device=device, generator=shuffled, flip=True, drop_last=True
        )
        for step, (rows, x) in enumerate(everybody):
            with precision(device):
                loss = c(x, who[rows])
            descend(loss, optimiser, spec["lr"] * one_cycle((epoch.number - 1 + step / steps) / spec["epochs"]))
            epoch.add(loss=loss)
    c.eval()
    c.middle_mean.copy_(embed_all(c, data.images, everyone, device)[1].mean(0))
    embedding, middle = embed_all(c, unseen.images, np.arange(len(unseen)), device)
    result = {
        "checkpoint": True,
        "auc_embedding": verification_auc(embedding, unseen.identities),
        "auc_middle": verification_auc(middle, unseen.identities),
        "tested_on": unseen.title,
    }
    run.save(pack(c=c), epoch=spec["epochs"], result=result)
    return result
