"""One face closer: whom C takes it for, and what each stored setting makes of it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

from arl.data import attribute_names, split
from arl.judges import Recogniser, RenderedRecogniser, embed_all, recogniser
from arl.judges.known import recognised
from arl.machine import prepare
from arl.messages import UserError
from arl.row import Row
from arl.store import Run, unpack
from arl.workbook.choice import FACES, distance, essence
from arl.workbook.pictures import decode, faces_of, png
from arl.workbook.weights import controls_by_name, player_classes


class Neighbour(NamedTuple):
    """A photograph that C takes for the same person: its row in the data, who it is, the cosine of the embeddings, its picture."""

    index: int
    identity: int
    similarity: float
    picture: bytes


class FaceUnderSetting(NamedTuple):
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
    seen: tuple[FaceUnderSetting, ...]


def judge_of(row: Row) -> Recogniser:
    """The C that judged `row`. Raises `UserError` where it is no longer in the store: here nothing is trained."""
    spec = row.run.spec["recogniser"]
    if spec["kind"] != "rendered":
        return recogniser(row.config, prepare(), faces_of(row))
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
    fixed = {"x1", "x2", "split", "reserved", "seed", "recogniser", *FACES}
    found = [r for r in rows if not fixed & {name for name, _, _ in distance(row.config, r.config).differences}]
    return sorted(found, key=_place)


def _place(row: Row) -> tuple[Any, ...]:
    """Where a row stands in a list: by layer, without protection first, by defence, by what is chosen of it and of the attacks."""
    cfg = row.config
    chosen = [essence(cfg).get(name, getattr(cfg, name)) for name in controls_by_name(player_classes(cfg))]
    return cfg.layer, cfg.protected, *(player.name() for player in cfg.players), chosen


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
        seen.append(FaceUnderSetting(r, png(x_hat[0]), similarity[i], whom[i], predictions))
    truth = None if own else dict(zip(data.attribute_names, data.attributes[face].tolist(), strict=True))
    return Closer(png(x), whom[0], truth, None if own else int(data.identities[face]), tuple(seen))
