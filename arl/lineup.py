"""Whom T is compared with, and who is recognised: from Z, from what the attackers make of it, and from what could stand for that."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from arl import identity
from arl.data import Split, batches
from arl.training import initialised, precision

if TYPE_CHECKING:
    from arl.experiment import Experiment

PROBES = 3000  # images of T at most, of whole people, that are compared with others


class Lineup(NamedTuple):
    """Probes (n,), as places in T, and photographs of their people (m,), as rows of the data, out of X2 and T; `who`: on each of both.

    `own` (n,): which photograph is the probe's own, with which it is never compared. `words`: the same for outputs.
    """

    probes: np.ndarray
    gallery: np.ndarray
    who: tuple[np.ndarray, np.ndarray]
    own: np.ndarray
    words: str

    def apart(self, scores: np.ndarray) -> np.ndarray:
        """`scores` (n, m) with NaN for each probe's own photograph, in place."""
        scores[np.arange(len(scores)), self.own] = np.nan
        return scores


def lineup(identities: np.ndarray, sets: Split, seed: int, most: int = PROBES) -> Lineup:
    """All of T, or as many of its people, drawn by `seed`, as have `most` images together."""
    x1, x2, t = sets
    people = np.random.default_rng([seed, 88]).permutation(np.unique(identities[t]))
    images = np.array([np.count_nonzero(identities[t] == person) for person in people])
    people = people[: max(2, np.searchsorted(images.cumsum(), most, side="right"))]
    probes = np.flatnonzero(np.isin(identities[t], people))
    known = np.sort(np.concatenate([x2, t]))
    gallery = known[np.isin(identities[known], people)]
    trained = len(np.intersect1d(people, identities[np.concatenate([x1, x2])]))
    words = (
        f"{len(probes)} images of T, of {len(people)} people, against {len(gallery)} photographs of them in X2 and T, "
    )
    words += f"never the very one; {trained or 'none'} of the people {'is' if trained == 1 else 'are'} in X1 or X2 too"
    who = identities[t][probes], identities[gallery]
    return Lineup(probes, gallery, who, np.searchsorted(gallery, t[probes]), words)


def by_embedding(
    of: Lineup, shown: dict[str, Tensor], gallery: Tensor, floor: str, **resampling: int
) -> dict[str, Any]:
    """By what a judge makes of pictures in place of T's, (N, d) by their names, and of the photographs `gallery` (m, d).

    `excess` of each: how much more often people are recognised than in the picture called `floor`.
    """
    scores = {name: of.apart(identity.cosines(each[of.probes], gallery)) for name, each in shown.items()}
    return {
        name: identity.recognition(each, *of.who, **resampling)
        | {"excess": identity.gain(each, scores[floor], *of.who, **resampling)}
        for name, each in scores.items()
    }


def feature_scores(of: Lineup, experiment: "Experiment", standardise: nn.Module) -> np.ndarray:
    """The cosine of Z alone, (n, m), standardised as the attackers see it: no decoder, no judge. Holds Z of the probes only."""
    encoder, device, images = experiment.networks[0], experiment.device, experiment.data.images

    def features(rows: np.ndarray) -> Iterator[Tensor]:
        for _, x in batches(images, rows, 256, device=device):
            with precision(device):  # the encoder's alone: cosines of bf16 would tie
                z = encoder(x).float()
            yield nn.functional.normalize(standardise(z).flatten(1))

    with torch.no_grad(), initialised(experiment.cfg.seed, 9):
        probes = torch.cat(list(features(experiment.split.t[of.probes])))
        return of.apart(torch.cat([(probes @ z.T).cpu() for z in features(of.gallery)], dim=1).numpy())


def agreements(of: Lineup, similar: dict[str, dict[str, Tensor]], **resampling: int) -> dict[str, Any]:
    """Kendall's τ of each two judges over the probes, for each attack; `similar`: by judge and attack, of each image of T, (N,)."""
    return {
        f"{a} and {b}": {
            attack: identity.rank_agreement(similar[a][attack][of.probes], similar[b][attack][of.probes], of.who[0], **resampling)
            for attack in similar[a]
            if attack in similar[b]
        }
        for a, b in combinations(similar, 2)
    }  # fmt: skip
