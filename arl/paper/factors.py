"""The ledger of factors: what Z says of each thing that a drawing is made of, beside what the labels alone say of it.

On drawings the truth is known. A factor is several numbers (`arl.faces.FACTORS`): each is standardised on X2, and all are turned into their
principal directions there. R² is the share of what a guess without Z, the mean, has wrong of them on T that `reader.smooth_reading` has
right, at people it has not met.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arl import faces
from arl.config import RunConfig
from arl.data import FaceData, batches, targets
from arl.experiment import Experiment
from arl.judges.known import recognised
from arl.messages import ConfigError
from arl.metrics import Interval
from arl.paper.probes import Sample, area_under_roc, features, over_people, photographs
from arl.paper.reader import SmoothReading, smooth_reading
from arl.row import Row
from arl.store import Run, obtain
from arl.training import initialised, precision

LEAST_SHARE = 1e-3  # of a factor's mean variance, that a principal direction has at least
SURE = 0.02  # how near to 0 and 1 the probability of a trait may come
FEWEST_WITH = 10  # images of X2 and of T that must have a trait, and lack it, so that it is asked for


def factors_of(data: FaceData, index: np.ndarray) -> dict[str, np.ndarray]:
    """What the images `index` were drawn from: by name of `faces.FACTORS`, float64 (n, k). Raises `ConfigError` for photographs."""
    spec, index = data.spec, np.asarray(index)
    if spec["kind"] != "rendered":
        raise ConfigError(f"data: found {spec['kind']}, accepted: rendered; of a photograph nobody knows what made it")
    drawn = spec["people"]["count"] * spec["per_identity"]
    if len(index) and index.max() >= drawn:
        raise ConfigError(f"index: found image {index.max()}, accepted: the {drawn} that were drawn as one set")
    photos = index % spec["per_identity"]  # each person's photographs lie together, in order
    return faces.factors(spec["people"]["seed"], data.identities[index], photos, spec["domain"])


def columns_of(factor: str) -> list[str]:
    """The names of a factor's columns: its traits, those of a colour three times."""
    return [
        f"{name} {channel}" if channel else name
        for name in faces.FACTORS[factor]
        for channel in ("rgb" if "_rgb" in name else ("",))
    ]


class Asked(NamedTuple):
    """What readers are asked: `target` (n, k), and which columns are a factor's directions, or a yes-or-no trait's own."""

    target: np.ndarray
    factors: dict[str, slice]
    traits: dict[str, slice]  # by "factor, trait"


def asked_of(truth: dict[str, np.ndarray], learn: np.ndarray) -> Asked:
    """`truth` by factor, (n, k), standardised and turned with the statistics of the images that `learn` (n,) marks."""
    parts: list[np.ndarray] = []
    found = Asked(np.empty(0), {}, {})

    def add(where: dict[str, slice], name: str, columns: np.ndarray) -> None:
        start = sum(part.shape[1] for part in parts)
        where[name] = slice(start, start + columns.shape[1])
        parts.append(columns)

    for factor, values in truth.items():
        if (turned := _directions(values, learn)).shape[1]:
            add(found.factors, factor, turned)
    for factor, values in truth.items():
        for name, column in zip(columns_of(factor), values.T, strict=True):
            if (
                np.isin(column, (0, 1)).all()
                and min(np.bincount(column[m] > 0, minlength=2).min() for m in (learn, ~learn)) >= FEWEST_WITH
            ):
                add(found.traits, f"{factor}, {name}", column[:, None])
    return found._replace(target=np.concatenate(parts, 1))


def _directions(values: np.ndarray, learn: np.ndarray) -> np.ndarray:
    """Columns that vary, each of variance 1 on the images `learn`, in their principal directions, those of next to no variance left out."""
    mean, spread = values[learn].mean(0), values[learn].std(0)
    varies = spread > 1e-9
    if not varies.any():
        return np.empty((len(values), 0))
    standard = (values[:, varies] - mean[varies]) / spread[varies]
    variance, turn = np.linalg.eigh(np.cov(standard[learn].T, bias=True).reshape(varies.sum(), -1))
    return standard @ turn[:, variance > LEAST_SHARE][:, ::-1]


# -- what was read ----------------------------------------------------------------------------------------------------


def measured_reading(of: Sample, asked: Asked, reading: SmoothReading, cfg: RunConfig) -> dict[str, dict[str, Any]]:
    """By factor: `r2` with its interval over people; `bits`; how it was `read`; `traits`, the yes-or-no ones among it.

    `bits`: −½ log2(1 − R²) of a principal direction, summed over those of which the reader said something on held-out people of X2. It is
    the mutual information where truth and reading are jointly Gaussian, and an estimate elsewhere.
    A trait has `auc` (½ is guessing) and `bits`, by how much log2 of the probability read exceeds that of its rate in X2: but for what T's
    sample is off, no more than the mutual information, whatever the distributions.
    """
    test = ~of.learn
    people, truth = of.people[test], asked.target[test]
    found = {}
    for factor, columns in asked.factors.items():
        wrong, without = (np.square(each[:, columns] - truth[:, columns]) for each in (reading.says, reading.guess))
        r2 = over_people(share_read(wrong.sum(1), without.sum(1)), people, cfg)
        each = 1 - wrong.sum(0) / np.maximum(without.sum(0), 1e-12)
        each = np.where(reading.held_out[columns] > 0, np.clip(each, -1, 1 - 1e-6), 0)
        found[factor] = {"r2": r2, "bits": float(-0.5 * np.log2(1 - each).sum()), "read": reading.choice[factor]}
        found[factor]["traits"] = {}
    for name, columns in asked.traits.items():
        factor, trait = name.split(", ")
        y, says = truth[:, columns.start] > 0, reading.says[:, columns.start]
        rate = asked.target[of.learn][:, columns.start].mean()
        found[factor]["traits"][trait] = {
            "auc": over_people(lambda n, s=says, y=y: area_under_roc(n, s, y), people, cfg),
            "bits": over_people(_mean_of(log_gain(says, y, rate)), people, cfg),
        }
    return found


def share_read(error: np.ndarray, without: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """R², of counts (B, n): 1 − squared errors / those `without` features, both (n,). Who says nothing has 0."""
    return lambda n: 1 - n @ error / (n @ without)


def share_gained(error: np.ndarray, floor: np.ndarray, without: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """By how much the R² of `error` (n,) is above that of `floor` (n,), of counts (B, n): the same images in both."""
    return lambda n: n @ (floor - error) / (n @ without)


def log_gain(says: np.ndarray, y: np.ndarray, rate: float) -> np.ndarray:
    """log2 of the probability that was read for what is true, less that of `rate`, image by image."""
    p = np.clip(says, SURE, 1 - SURE)
    return np.log2(np.where(y, p, 1 - p)) - np.log2(np.where(y, rate, 1 - rate))


def _mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda n: n @ values / n.sum(1)


# -- the sources ------------------------------------------------------------------------------------------------------


def factor_ledger(cfg: RunConfig, row: Row) -> dict[str, dict[str, Any]]:
    """Source, then factor: what `measured_reading` finds. {} for photographs. Kept in the store.

    Sources: `Z`; `shuffled Z`, that of other images, which says nothing; `answers`, f's forty yeses and noes; and what is the same for all
    encoders: `labels`, the answers were they all right; the picture `X` itself; C's embedding `C`. A factor of `Z` and of `answers` has
    `excess`: the R² above that of the labels, image by image, with its interval.
    """
    experiment = row.experiment
    if experiment.data.spec["kind"] != "rendered":
        return {}
    common = _of_faces(cfg, experiment)
    spec = {
        "kind": "factors",
        "version": 1,
        "encoder": experiment.encoder.id,
        "layer": cfg.layer,
        "bootstrap": cfg.bootstrap,
    }
    mine = obtain(spec, lambda _: {"read": _of_encoder(cfg, experiment, common.load()[0])})
    return mine.result["read"] | common.result["read"]


def _of_faces(cfg: RunConfig, experiment: Experiment) -> Run:
    """What does not depend on the encoder; its tensors are the squared errors of the labels' reader by factor, (n,)."""
    sets = {name: getattr(cfg, name) for name in ("x1", "x2", "split", "seed", "reserved", "bootstrap")}
    spec = {"kind": "factors", "version": 1, "data": experiment.data.spec, "recogniser": experiment.judge_spec} | sets

    def make(run: Run) -> dict[str, Any]:
        x = photographs(cfg)
        asked = asked_of(factors_of(x.data, x.index), x.learn)
        known = np.sort(np.concatenate([experiment.split.x2, experiment.split.t]))
        embedding, _ = recognised(x.data, known, experiment.judge)
        sources = {"labels": _labels(x, cfg), "X": x}
        sources["C"] = _as(x, embedding[np.searchsorted(known, x.index)])
        read = {}
        for name, of in sources.items():
            reading = smooth_reading(of, asked.target, asked.factors | asked.traits, cfg.seed)
            read[name] = measured_reading(of, asked, reading, cfg)
            if name == "labels":
                run.save({factor: torch.from_numpy(e) for factor, e in _errors(of, asked, reading.says).items()})
        return {"checkpoint": True, "read": read}

    return obtain(spec | {"attributes": list(experiment.attribute_names)}, make)


def _of_encoder(cfg: RunConfig, experiment: Experiment, floor: dict[str, Tensor]) -> dict[str, Any]:
    x = photographs(cfg)
    asked = asked_of(factors_of(x.data, x.index), x.learn)
    z = features(experiment, x)
    sources = {"Z": z, "shuffled Z": _shuffled(z, cfg.seed)}
    if experiment.networks[1] is not None:
        sources["answers"] = _answers_of(experiment, x)
    found: dict[str, Any] = {}
    for name, of in sources.items():
        reading = smooth_reading(of, asked.target, asked.factors | asked.traits, cfg.seed)
        found[name] = measured_reading(of, asked, reading, cfg)
        if name == "shuffled Z":
            continue
        without = _errors(of, asked, reading.guess)
        for factor, error in _errors(of, asked, reading.says).items():
            gain = share_gained(error, floor[factor].numpy(), without[factor])
            found[name][factor]["excess"] = over_people(gain, of.people[~of.learn], cfg)
    return found


def _errors(of: Sample, asked: Asked, says: np.ndarray) -> dict[str, np.ndarray]:
    """By factor, the squared error of each image of T, (n,), where `says` (n, k) is what is said."""
    wrong = np.square(says - asked.target[~of.learn])
    return {factor: wrong[:, columns].sum(1) for factor, columns in asked.factors.items()}


def _as(of: Sample, values: Tensor | np.ndarray) -> Sample:
    return Sample(of.data, of.index, of.learn, np.asarray(values, np.float32))


def _labels(of: Sample, cfg: RunConfig) -> Sample:
    return _as(of, targets(of.data, cfg)[of.index])


def _shuffled(of: Sample, seed: int) -> Sample:
    """Each image with the features of another of its set."""
    drawn, values = np.random.default_rng([seed, 91]), of.values.copy()
    for rows in (np.flatnonzero(of.learn), np.flatnonzero(~of.learn)):
        values[rows] = of.values[drawn.permutation(rows)]
    return _as(of, values)


def _answers_of(experiment: Experiment, of: Sample) -> Sample:
    """f's answers, 0 and 1, (n, A)."""
    device, (encoder, classifier) = experiment.device, experiment.networks
    with torch.no_grad(), precision(device), initialised(experiment.cfg.seed, 9):
        shown = batches(of.data.images, of.index, 256, device=device)
        said = [(classifier(encoder(x).float()).float() > 0).cpu() for _, x in shown]
    return _as(of, torch.cat(said).float())


def excess_of(found: dict[str, dict[str, Any]], factor: str) -> Interval:
    """What Z says of `factor` beyond the labels, of a `factor_ledger`."""
    return found["Z"][factor]["excess"]
