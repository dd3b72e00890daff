"""Composition: several photographs of one person, pooled by the adversary. How many make a protection void?

Fresh photographs, which no player has seen: on drawings as many as are wanted of each person of T, else what T has of them. What an
attacker makes of each is put on the unit sphere of C's embedding; the mean of k is compared with C of one further photograph of everybody.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from arl import faces, identity, metrics
from arl.config import RunConfig
from arl.data import FaceData, batches
from arl.experiment import Experiment
from arl.judges import embed_all
from arl.metrics import Interval
from arl.row import Row
from arl.store import Run, obtain
from arl.training import initialised, precision

MOST_POOLED = 32  # photographs of one person that are pooled, at most
PEOPLE = 100  # of T, at most: the gallery
FEWEST_PEOPLE = 10  # who must have so many photographs, where they cannot be drawn


class Shots(NamedTuple):
    """`images` uint8 (P, K + 1, 3, S, S) of the people `who` (P,): K to be pooled, the last one for the gallery. `words`: which."""

    images: np.ndarray
    who: np.ndarray
    words: str


def shots(data: FaceData, t: np.ndarray, seed: int) -> Shots | None:
    """Photographs of people of T (`t`, rows of `data`); None where fewer than `FEWEST_PEOPLE` have two."""
    people = np.random.default_rng([seed, 92]).permutation(np.unique(data.identities[t]))
    spec = data.spec
    if spec["kind"] == "rendered":
        people = np.sort(people[:PEOPLE])
        seed, first = spec["people"]["seed"], spec["per_identity"]  # photographs from there on are in no set
        images = drawn_shots(seed, spec["domain"], tuple(people.tolist()), data.images.shape[-1], first)
        return Shots(
            images, people, f"{MOST_POOLED} + 1 photographs, drawn for this, of each of {len(people)} people of T"
        )
    rows = [np.flatnonzero(data.identities[t] == person) for person in people]
    counts = np.array([len(mine) for mine in rows])
    most = max((k for k in powers(MOST_POOLED) if (counts > k).sum() >= FEWEST_PEOPLE), default=0)
    if not most:
        return None
    kept = np.flatnonzero(counts > most)[:PEOPLE]
    images = np.stack([data.images[t[rows[i][: most + 1]]] for i in kept])
    return Shots(
        images, people[kept], f"{most} + 1 photographs in T of each of {len(kept)} people, all that have so many"
    )


@lru_cache(maxsize=1)
def drawn_shots(seed: int, domain: str, people: tuple[int, ...], size: int, first: int) -> np.ndarray:
    """Photographs `first` to `first` + `MOST_POOLED` of each of `people`, uint8 (P, `MOST_POOLED` + 1, 3, size, size)."""
    who, photo = np.repeat(people, MOST_POOLED + 1), np.tile(np.arange(MOST_POOLED + 1), len(people)) + first
    images = [
        faces.render_params(seed, who[i : i + 256], photo[i : i + 256], size, domain=domain)[0]
        for i in range(0, len(who), 256)
    ]
    return np.concatenate(images).reshape(len(people), MOST_POOLED + 1, 3, size, size)


def powers(most: int) -> list[int]:
    """1, 2, 4, … up to `most`."""
    return [1 << i for i in range(most.bit_length()) if 1 << i <= most]


# -- who is recognised ------------------------------------------------------------------------------------------------


def pooled_hits(each: Tensor, gallery: Tensor, ks: Sequence[int]) -> np.ndarray:
    """How often each person is the first in the gallery (P, d), (P, len(ks)), from the mean of k of `each` (P, K, d).

    All of K // k groups that have no photograph in common are probes. Rows of both are put on the unit sphere first.
    """
    each, gallery = F.normalize(each.double(), dim=-1), F.normalize(gallery.double(), dim=-1)
    number, hits = np.arange(len(each)), []
    for k in ks:
        groups = each.shape[1] // k
        probes = each[:, : groups * k].unflatten(1, (groups, k)).mean(2).flatten(0, 1)
        found, _, _ = identity._hits(identity.cosines(probes, gallery), np.repeat(number, groups), number, 0)
        hits.append(found[:, 0].reshape(-1, groups).mean(1))
    return np.stack(hits, 1)


def pooled(cfg: RunConfig, row: Row) -> dict[str, Any]:
    """What pooling brings each attacker of `row`; {} where T has too few photographs of anybody (`shots`). Kept in the store.

    `ks`; `rank1`, by attacker an interval a k; `hits`, by attacker how often each person was the first, (P, len(ks)); `gallery`, its
    people; `words`. Attackers: those of `cfg` that make an embedding, or a picture, which C looks at; `Z`, standardised, and `answers`,
    f's, both among those of the gallery's photographs; `originals`, C of the photographs themselves.
    """
    run = obtain({"kind": "composition", "version": 1, "row": row.id}, lambda run: _pool(cfg, row, run))
    if not run.result["pooled"]:
        return {}
    return run.result["pooled"] | {"hits": {name: t.numpy() for name, t in run.load()[0].items()}}


def _pool(cfg: RunConfig, row: Row, run: Run) -> dict[str, Any]:
    experiment = row.experiment
    shown = shots(experiment.data, experiment.split.t, cfg.seed)
    if shown is None:
        return {"checkpoint": False, "pooled": {}}
    ks = powers(shown.images.shape[1] - 1)
    made = _made(experiment, shown.images)
    judged = made["originals"][:, -1]
    own = ("Z", "answers")  # compared with the same of the gallery's photographs; the others with what C makes of these
    hits = {name: pooled_hits(each[:, :-1], each[:, -1] if name in own else judged, ks) for name, each in made.items()}
    run.save({name: torch.from_numpy(found) for name, found in hits.items()})
    over = {name: [rank1(found[:, i], cfg.seed, cfg.bootstrap) for i in range(len(ks))] for name, found in hits.items()}
    found = {"ks": ks, "rank1": over, "gallery": len(shown.who), "words": shown.words}
    return {"checkpoint": True, "pooled": found}


def _made(experiment: Experiment, images: np.ndarray) -> dict[str, Tensor]:
    """Of images (P, K, 3, S, S), by attacker: an embedding of each (P, K, d)."""
    flat, device = images.reshape(-1, *images.shape[2:]), experiment.device
    targets = {attack.name(): attack.target for attack in experiment.cfg.attacks if attack.target != "label"}
    attackers = {name: experiment.attacker(name) for name in targets}
    encoder, classifier = experiment.networks
    standardise = experiment.attacker(experiment.cfg.attacks[0].name())[0]
    parts: dict[str, list[Tensor]] = {name: [] for name in ("Z", "answers", *attackers)}
    with torch.no_grad(), precision(device), initialised(experiment.cfg.seed, 9):
        for _, x in batches(flat, np.arange(len(flat)), 256, device=device):
            z = encoder(x).float()
            parts["Z"].append(standardise(z).flatten(1).cpu())
            if classifier is not None:
                parts["answers"].append((classifier(z) > 0).float().cpu())
            for name, attacker in attackers.items():
                guess = attacker(z).float().cpu()
                if targets[name] == "image":
                    shown = (guess * 255).round().byte().numpy()
                    guess, _ = embed_all(experiment.judge, shown, np.arange(len(shown)), device)
                parts[name].append(guess)
    found = {name: torch.cat(each) for name, each in parts.items() if each}
    if "answers" in found:
        found["answers"] = found["answers"] - found["answers"].mean(0)
    found["originals"] = embed_all(experiment.judge, flat, np.arange(len(flat)), device)[0]
    return {name: each.unflatten(0, images.shape[:2]) for name, each in found.items()}


def rank1(hits: np.ndarray, seed: int, resamples: int) -> Interval:
    """The mean of `hits` (P,) with its interval over people."""
    return metrics.interval(hits, seed=seed, resamples=resamples)


# -- the verdict ------------------------------------------------------------------------------------------------------


def void_at(before: np.ndarray, after: np.ndarray, ks: Sequence[int], seed: int = 0, resamples: int = 1000) -> Interval:
    """How many photographs undo a protection: the k where rank-1 with it, `after`, reaches that of one without it, `before`.

    Both (P, len(ks)), hits of the same people. Between the ks on a line over log2 k; None where it is never reached.
    """
    drawn = metrics.resampled(len(after), resamples, seed) / len(after)
    value = _crossing(after.mean(0, keepdims=True), before[:, 0].mean(keepdims=True), ks)[0]
    each = np.sort(_crossing(drawn @ after, drawn @ before[:, 0], ks))
    low, high = each[int(0.025 * resamples)], each[min(int(np.ceil(0.975 * resamples)), resamples - 1)]
    ends = {"value": value, "low": low, "high": high}
    return {name: float(end) if np.isfinite(end) else None for name, end in ends.items()}


def _crossing(curves: np.ndarray, levels: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """The first k where each of the `curves` (B, len(ks)) is at its level (B,) or above."""
    at = curves >= levels[:, None] - 1e-12
    first = at.argmax(1)
    rows, log = np.arange(len(curves)), np.log2(np.asarray(ks, float))
    before = np.maximum(first - 1, 0)
    low, high = curves[rows, before], curves[rows, first]
    share = np.where(first > 0, (levels - low) / np.maximum(high - low, 1e-12), 0.0)
    found = 2 ** (log[before] + np.clip(share, 0, 1) * (log[first] - log[before]))
    return np.where(at.any(1), found, np.inf)
