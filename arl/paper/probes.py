"""What stored features still say to somebody who asks: linear probes on Z and on X̂, and t-SNE (Figure 4).

Probes learn from X2 and are tested on T, and nobody whom a probe is tested on is among those it learned from: a trait that stays with a
person (Eyeglasses and skin tone do, here) could else be read from *who* it is. Intervals resample the people of T with all their images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from arl import faces, metrics
from arl.config import RunConfig
from arl.data import FaceData, batches, open_data, split
from arl.experiment import Experiment
from arl.metrics import Interval
from arl.row import Row
from arl.store import Run, obtain
from arl.training import initialised, precision

LEARN = 5000  # images of X2 at most that a probe learns from
SIDE = 24  # pixels a side of the pictures that a probe looks at
COMPONENTS = 128  # principal components at most that it sees
FOLDS = 5  # groups of people
GROUPS = ("Male", "Young", "Pale_Skin", "Gray_Hair")  # what stays with a person and says which group it belongs to
CLASSES = ("neither", "Smiling", "Eyeglasses", "both")  # of Figure 4, in the order of `combinations`


@dataclass(frozen=True, eq=False)
class Sample:
    """`values` (n, d) of the images `index` (n,) of `data`; probes learn from those that `learn` (n,) marks, the rest is T."""

    data: FaceData
    index: np.ndarray
    learn: np.ndarray
    values: np.ndarray

    @property
    def people(self) -> np.ndarray:
        """Who it is, (n,)."""
        return self.data.identities[self.index]

    def labels(self, name: str) -> np.ndarray:
        """The attribute `name`, bool (n,)."""
        return self.data.attributes[self.index, self.data.attribute_names.index(name)]


def photographs(cfg: RunConfig) -> Sample:
    """X of T and of at most `LEARN` images of X2, (n, 3 · `SIDE`²) in [0, 1]."""
    data = open_data(cfg)
    _, x2, t = split(data, cfg)
    x2 = np.sort(np.random.default_rng([cfg.seed, 88]).permutation(x2)[:LEARN])
    index = np.concatenate([x2, t])
    small = [_small(x) for _, x in batches(data.images, index, 256, device=torch.device("cpu"))]
    return Sample(data, index, np.arange(len(index)) < len(x2), np.concatenate(small))


def features(experiment: Experiment, of: Sample) -> Sample:
    """Z of the images of `of`, (n, d), each element standardised with its statistics on X2."""
    device, (encoder, _) = experiment.device, experiment.networks
    with torch.no_grad(), precision(device), initialised(experiment.cfg.seed, 9):
        z = [encoder(x).float().flatten(1).cpu() for _, x in batches(of.data.images, of.index, 256, device=device)]
    values = torch.cat(z).numpy()
    return replace(of, values=StandardScaler().fit(values[of.learn]).transform(values))


def decoded(row: Row, of: Sample) -> Sample:
    """X̂ of the images of `of` by the fresh Dec^a of `row`, as in `photographs`."""
    blocks = (row.reconstruct(of.index[i : i + 1024]) for i in range(0, len(of.index), 1024))
    return replace(of, values=np.concatenate([_small(x) for x in blocks]))


def skin_colour(of: Sample) -> Sample:
    """The mean colour between eyes and mouth of the pictures `of`, (n, 3): where faces are aligned as CelebA's are."""
    rows, columns = slice(round(0.48 * SIDE), round(0.64 * SIDE)), slice(round(0.35 * SIDE), round(0.65 * SIDE))
    return replace(of, values=of.values.reshape(-1, 3, SIDE, SIDE)[:, :, rows, columns].mean((2, 3)))


def combinations(of: Sample) -> np.ndarray:
    """The four classes of Figure 4, int (n,): 0 neither, 1 Smiling, 2 Eyeglasses, 3 both."""
    return of.labels("Smiling") + 2 * of.labels("Eyeglasses")


def skin_tone(of: Sample) -> np.ndarray | None:
    """The tone that the renderer drew, float (n,) from 0, fair, to 6, dark; None for faces that were not rendered."""
    spec = of.data.spec
    if spec["kind"] != "rendered":
        return None
    photos = of.index % spec["per_identity"]  # each person's photographs lie together, in order
    return faces.parameters(spec["people"]["seed"], of.people, photos, domain=spec["domain"])[1]["skin_tone"]


def readable(cfg: RunConfig, row: Row) -> dict[str, dict[str, Interval]]:
    """Source, then trait: R² of "skin tone" (rendered faces only) and MCC of those of `GROUPS` that the faces are labelled with.

    Sources: Z; X̂; the skin's mean colour in X̂; and, as a yardstick, the photograph X itself. Kept in the store.
    """
    run = obtain({"kind": "probes", "version": 1, "row": row.id}, lambda _: {"read": _readable(cfg, row)})
    return run.result["read"]


def _readable(cfg: RunConfig, row: Row) -> dict[str, dict[str, Interval]]:
    x = photographs(cfg)
    x_hat = decoded(row, x)
    sources = {"Z": features(row.experiment, x), "X̂": x_hat, "skin of X̂": skin_colour(x_hat), "X": x}
    tone, found = skin_tone(x), {}
    for name, of in sources.items():
        of = reduced(of)
        found[name] = {} if tone is None else {"skin tone": read(of, tone, cfg)["r2"]}
        found[name] |= {g: read(of, of.labels(g), cfg)["mcc"] for g in GROUPS if g in of.data.attribute_names}
    return found


def reduced(of: Sample) -> Sample:
    """`of` as its first `COMPONENTS` principal components on X2, if it has more elements than that."""
    if min(of.values[of.learn].shape) <= COMPONENTS:
        return of
    pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(of.values[of.learn])
    return replace(of, values=pca.transform(of.values))


def read(of: Sample, target: np.ndarray, cfg: RunConfig) -> dict[str, Interval]:
    """What a linear probe reads of `target` (n,) from `of.values`, measured on T.

    bool: `mcc` in [−1, 1] and `auc`, by logistic regression with balanced classes; it calls positive as many as it learned from were.
    int: `balanced_accuracy`, the mean recall over the classes of T, by the same; `chance` is 1 over their number.
    float: `r2`, at most 1 and 0 for guessing the mean, by ridge regression.
    """
    kind, test = target.dtype.kind, ~of.learn
    truth, people = target[test], of.people[test]
    says, called = np.zeros(len(truth), int if kind == "i" else float), np.zeros(len(truth), bool)
    _, who = np.unique(of.people, return_inverse=True)
    fold = np.random.default_rng([cfg.seed, 99]).permutation(who.max() + 1)[who] % FOLDS
    for k in np.unique(fold[test]):
        learn, here = of.learn & (fold != k), fold[test] == k
        known = target[learn]
        x = of.values - of.values[learn].mean(0)
        x = x / max(x[learn].std(), 1e-12)  # one scale for all: the penalty is then the same for Z and for pixels
        x, seen = x[learn], x[test][here]
        if kind == "f":
            says[here] = RidgeCV(np.logspace(-2, 4, 13)).fit(x, known).predict(seen)
        elif len(np.unique(known)) == 1:  # nothing to learn
            says[here], called[here] = known[0], bool(known[0])
        else:
            probe = LogisticRegression(class_weight="balanced", max_iter=1000).fit(x, known)
            says[here] = probe.predict(seen) if kind == "i" else probe.decision_function(seen)
            if kind == "b":
                called[here] = says[here] > np.quantile(probe.decision_function(x), 1 - known.mean())
    if kind == "f":
        return {"r2": over_people(lambda n: r_squared(n, says, truth), people, cfg)}
    if kind == "i":
        accuracy = over_people(lambda n: mean_recall(n, says == truth, truth), people, cfg)
        return {"balanced_accuracy": accuracy | {"chance": 1 / len(np.unique(truth))}}
    return {
        "mcc": over_people(lambda n: correlation(n, called, truth), people, cfg),
        "auc": over_people(lambda n: area_under_roc(n, says, truth), people, cfg),
    }


def tsne(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """A map (n, 2) of features (n, d): 50 principal components, then t-SNE; the same seed gives the same map. n is 4 or more."""
    values = PCA(min(50, *values.shape), random_state=seed).fit_transform(values)
    perplexity = min(30.0, (len(values) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)


def balanced(classes: np.ndarray, points: int, seed: int = 0) -> np.ndarray:
    """Rows of `classes` (n,), sorted: of each class as many as the rarest has, and at most `points` in all."""
    groups = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    each = max(1, min(points // len(groups), *map(len, groups)))
    rng = np.random.default_rng([seed, 44])
    return np.sort(np.concatenate([rng.choice(group, each, replace=False) for group in groups]))


def figure4(experiment: Experiment, points: int) -> dict[str, Any]:
    """One panel: `map` (m, 2) and `classes` (m,) of a balanced sample of X2 and T, and what probes read of them all on T.

    Kept in the store.
    """
    cfg = experiment.cfg
    spec = {
        "kind": "map",
        "version": 2,
        "encoder": experiment.encoder.id,
        "layer": cfg.layer,
        "points": points,
        "bootstrap": cfg.bootstrap,
    }

    def make(run: Run) -> dict[str, Any]:
        z = reduced(features(experiment, photographs(cfg)))
        classes = combinations(z)
        shown = balanced(classes, points, cfg.seed)
        found = {name: read(z, z.labels(name), cfg) for name in ("Eyeglasses", "Smiling")}
        found["four classes"] = read(z, classes, cfg)
        run.save(
            {"map": torch.from_numpy(tsne(z.values[shown], cfg.seed)), "classes": torch.from_numpy(classes[shown])}
        )
        return {"checkpoint": True, "read": found}

    run = obtain(spec, make)
    tensors, _ = run.load()
    return {"map": tensors["map"].numpy(), "classes": tensors["classes"].numpy(), "read": run.result["read"]}


def figure4_panels(settings: Mapping[str, RunConfig], points: int) -> dict[str, dict[str, Any]]:
    """`figure4` of each of `settings`, with its encoder's run as `encoder`, which is found or trained; no attacker is needed."""
    found: dict[str, dict[str, Any]] = {}
    for title, cfg in settings.items():
        experiment = Experiment(cfg)
        found[title] = {**figure4(experiment, points), "encoder": experiment.encoder}
    return found


def figure4_text(panels: Sequence[dict[str, Any]]) -> str:
    """What the paper says of its four maps, in its order, and what the probes measured; every verdict is computed."""
    many, many_protected, one, one_protected = (panel["read"] for panel in panels)
    glasses, smiling = (lambda read: read["Eyeglasses"]["mcc"]), (lambda read: read["Smiling"]["mcc"])
    four = lambda read: read["four classes"]["balanced_accuracy"]  # noqa: E731
    return "\n".join(
        [
            "40 attributes, no protection: “well separable along both attributes”",
            f"  Eyeglasses: MCC {said(glasses(many))}, {above(glasses(many), 0)}",
            f"  Smiling: MCC {said(smiling(many))}, {above(smiling(many), 0)}",
            f"  four classes: recall {said(four(many))}, {above(four(many), four(many)['chance'])}",
            "40 attributes, with adversarial training: “more uniformly distributed along these two attributes”",
            f"  four classes: {said(four(many))} → {said(four(many_protected))}, {trend(four(many), four(many_protected))}",
            "Smiling alone: “only the Smiling attribute is preserved for both models”",
            f"  Eyeglasses without: MCC {said(glasses(one))}, {above(glasses(one), 0)}",
            f"  Eyeglasses with: MCC {said(glasses(one_protected))}, {above(glasses(one_protected), 0)}",
            f"  against forty attributes, without: {said(glasses(many))} → {said(glasses(one))}, {trend(glasses(many), glasses(one))}",
            "Smiling alone: the adversarial loss “does not turn out to be particularly effective”",
            f"  Eyeglasses: {said(glasses(one))} → {said(glasses(one_protected))}, {trend(glasses(one), glasses(one_protected))}",
            f"  Smiling: {said(smiling(one))} → {said(smiling(one_protected))}, {trend(smiling(one), smiling(one_protected))}",
        ]
    )


def said(interval: Interval, decimals: int = 2) -> str:
    """`0.71 (0.63–0.77)`, or a dash where there was nothing to measure."""
    if interval["value"] is None:
        return "–"
    low, high = (f"{interval[end]:.{decimals}f}".replace("-", "−") for end in ("low", "high"))
    return f"{interval['value']:.{decimals}f} ({low}–{high})".replace("-", "−")


def above(interval: Interval, chance: float) -> str:
    """Whether a probe reads something: its whole interval lies above `chance`."""
    if interval["value"] is None:
        return "not measured"
    return "readable" if interval["low"] > chance else "not told from guessing"


def trend(a: Interval, b: Interval) -> str:
    """From `a` to `b`: rises or falls where their intervals do not meet."""
    if a["value"] is None or b["value"] is None:
        return "not measured"
    return (
        "falls"
        if b["high"] < a["low"]
        else "rises"
        if b["low"] > a["high"]
        else "no difference that the intervals show"
    )


# -- statistics of weighted images: counts (B, n), how often each is drawn, to (B,) ----------------------------------


def over_people(measure: Callable[[np.ndarray], np.ndarray], people: np.ndarray, cfg: RunConfig) -> Interval:
    """`measure`, of counts (B, n), with its 95 % interval over `people` (n,), each drawn with all their images."""
    _, who = np.unique(people, return_inverse=True)
    drawn = metrics.resampled(who.max() + 1, cfg.bootstrap, cfg.seed)[:, who]
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may lack a class: it is left out
        value, values = measure(np.ones((1, len(who))))[0], measure(drawn)
    values = values[np.isfinite(values)]
    if not np.isfinite(value) or not len(values):
        return {"value": None, "low": None, "high": None, "why": "T lacks a class"}
    return metrics.percentile_interval(value, values)


def correlation(counts: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's, of two yes-or-no variables the MCC; 0 where one of them does not vary."""
    a, b, n = a.astype(float), b.astype(float), counts.sum(1)
    a_mean, b_mean = counts @ a / n, counts @ b / n
    spread = (counts @ a**2 / n - a_mean**2) * (counts @ b**2 / n - b_mean**2)
    product = counts @ (a * b) / n - a_mean * b_mean
    return np.where(spread > 1e-12, product / np.sqrt(np.where(spread > 1e-12, spread, 1)), 0.0)


def r_squared(counts: np.ndarray, says: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The share of the variance of `truth` that `says` explains."""
    n = counts.sum(1)
    variance = counts @ truth**2 / n - (counts @ truth / n) ** 2
    return 1 - counts @ (says - truth) ** 2 / n / variance


def mean_recall(counts: np.ndarray, right: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The share that is `right`, a mean over the classes of `truth`."""
    return np.mean([counts @ (right & (truth == c)) / (counts @ (truth == c)) for c in np.unique(truth)], 0)


def area_under_roc(counts: np.ndarray, scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """How often a positive scores above a negative; ties count half."""
    order = np.argsort(scores[~positive])
    negatives, mine = scores[~positive][order], scores[positive]
    below = np.cumsum(np.pad(counts[:, ~positive][:, order], ((0, 0), (1, 0))), 1)
    beaten = sum(below[:, np.searchsorted(negatives, mine, side)] for side in ("left", "right")) / 2
    weight = counts[:, positive]
    return (weight * beaten).sum(1) / (weight.sum(1) * below[:, -1])


def _small(x: Tensor) -> np.ndarray:
    """Pictures (n, 3, S, S) averaged to `SIDE` pixels, (n, 3 · `SIDE`²)."""
    return F.adaptive_avg_pool2d(x, SIDE).flatten(1).cpu().numpy()
