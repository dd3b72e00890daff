"""Who is it? Identification and verification by similarities, each with its interval over people. Arrays in, numbers out.

`scores` (N, M): how alike probe i and photograph j of the gallery are, higher is more alike; NaN where the two are not to be compared, as a
probe and the photograph that it was made from. Who is on them: `who_probe` (N,), `who_gallery` (M,). Ties are broken by chance, in
expectation. Intervals are the 2.5th and 97.5th percentiles over resamples of the people, each with all of their images.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from arl import metrics
from arl.metrics import Interval

FAR = (0.01, 0.001)  # false accepts at which true ones are counted
ROC_AT = (
    0.0001,
    0.0003,
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.9,
)  # false accepts at which the ROC is kept
DECIDING = 30  # pairs of strangers that a threshold must let pass, or what it says is chance (the rule of 30)
AMONG = (1, 5)
THRESHOLDS = 200  # thresholds at which resampled curves are followed
AT_ONCE = 256  # probes that are counted at once


def cosines(probe: ArrayLike, gallery: ArrayLike) -> np.ndarray:
    """The cosine of each row of `probe` (N, d) with each of `gallery` (M, d), float32 (N, M)."""
    rows = (np.asarray(each, np.float32) for each in (probe, gallery))
    a, b = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in rows)
    return a @ b.T


def recognition(
    scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Any]:
    """`identification` and `verification` in one dictionary."""
    asked = scores, who_probe, who_gallery
    return identification(*asked, seed=seed, resamples=resamples) | verification(*asked, seed=seed, resamples=resamples)


def identification(
    scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Any]:
    """Closed set: `rank1`, `rank5`, how often the person is the first, among the first five, of a gallery of one photograph a person.

    `gallery`: its people. `probes`: those that count; `left_out`: those of whose person the gallery has no photograph to compare. Which
    photograph is drawn by `seed`; where it is the probe's own, another one stands for the person. The gallery is not resampled: a resample
    holds fewer different people, and is an easier one.
    """
    hits, counts, size = _hits(scores, who_probe, who_gallery, seed)
    about = {"gallery": size, "probes": int(counts.sum()), "left_out": int((~counts).sum())}
    return _over_ranks(hits, who_probe[counts], size, seed, resamples) | about


def gain(
    scores: np.ndarray,
    floor: np.ndarray,
    who_probe: np.ndarray,
    who_gallery: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Interval]:
    """How much higher `rank1` and `rank5` are by `scores` than by `floor`, both (N, M), of the same pairs: probe by probe."""
    hits, counts, size = _hits(scores, who_probe, who_gallery, seed)
    below, same, _ = _hits(floor, who_probe, who_gallery, seed)
    if not np.array_equal(counts, same):
        raise ValueError("floor: found other probes left out, accepted: NaN where scores have it")
    return _over_ranks(hits - below, who_probe[counts], size, seed, resamples)


def verification(
    scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Any]:
    """Same person or not, over all pairs: `auc`, `eer`, `tar_0.01`, `tar_0.001` (true accepts at that rate of false ones), `roc`.

    Where fewer than `DECIDING` pairs of strangers decide, there is None and `why`. `genuine`, `impostors`: pairs of one person, of two.
    A pair of strangers counts as often as both were drawn, to first order: c_p + c_q − 1 for c_p · c_q (Hájek's projection).
    """
    same, compared = who_probe[:, None] == who_gallery[None], ~np.isnan(scores)
    genuine, impostors = np.sort(scores[same & compared]), np.sort(scores[~same & compared])
    about = {"genuine": len(genuine), "impostors": len(impostors)}
    if not len(genuine) or not len(impostors):
        nothing = _none("needs two people, and two photographs of one")
        return {name: nothing for name in ("auc", "eer", *map(_tar, FAR))} | {"roc": None} | about
    exact = _curve(genuine, impostors)
    drawn = _curves(scores, who_probe, who_gallery, _cuts(genuine, impostors), seed, resamples)
    found = {"auc": _interval(_area, exact, drawn), "eer": _interval(_equal_error, exact, drawn)}
    true_accepts = {far: _at_far(far, exact, drawn, len(impostors)) for far in {*FAR, *ROC_AT}}
    roc = [true_accepts[far] for far in ROC_AT]
    found |= {_tar(far): true_accepts[far] for far in FAR}
    found["roc"] = {"fpr": list(ROC_AT), "tpr": [at["value"] for at in roc]}
    found["roc"] |= {end: [at[end] for at in roc] for end in ("low", "high")}
    return found | about


def rank_agreement(a: np.ndarray, b: np.ndarray, who: np.ndarray, *, seed: int = 0, resamples: int = 1000) -> Interval:
    """Kendall's τ-b of two judges' figures `a`, `b` (N,) of the same images, whose people are `who` (N,); None where one is constant.

    All pairs of images are held at once: 4 N² bytes, three times.
    """
    signs = [np.sign(each[:, None] - each[None]).astype(np.float32) for each in map(np.asarray, (a, b))]
    of = [signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1])]
    _, person = np.unique(who, return_inverse=True)
    weights = metrics.resampled(person.max() + 1, resamples, seed)[:, person].astype(np.float32)
    weights = np.concatenate([np.ones((1, len(person)), np.float32), weights])
    both, one, other = ((weights @ pairs * weights).sum(1, dtype=np.float64) for pairs in of)
    if not one[0] or not other[0]:
        return _none("needs figures that differ")
    tau = both / np.sqrt(np.maximum(one * other, 1e-12))
    return metrics.percentile_interval(tau[0], tau[1:])


def _enrolled(who_gallery: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The people, and for each two photographs by chance, as columns; −1 where there is no second one."""
    order = np.random.default_rng([seed, 66]).permutation(len(who_gallery))
    people, first = np.unique(who_gallery[order], return_index=True)
    rest = np.delete(order, first)
    several, second = np.unique(who_gallery[rest], return_index=True)
    spare = np.full(len(people), -1)
    spare[np.searchsorted(people, several)] = rest[second]
    return people, order[first], spare


def _hits(
    scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """How surely the person of each probe that counts is among so many, (n, R) for `AMONG`; which count, (N,); the gallery's people."""
    people, first, spare = _enrolled(who_gallery, seed)
    line_up = scores[:, first].astype(np.float32)
    missing = np.isnan(line_up) & (spare >= 0)
    line_up[missing] = scores[:, spare][missing]
    place = np.searchsorted(people, who_probe).clip(max=len(people) - 1)
    mine = np.where(people[place] == who_probe, line_up[np.arange(len(scores)), place], np.nan)
    counts = ~np.isnan(mine)
    line_up, mine = line_up[counts], mine[counts, None]
    better, equal = (line_up > mine).sum(1), (line_up == mine).sum(1)  # with itself
    return np.stack([np.clip((k - better) / equal, 0, 1) for k in AMONG], 1), counts, len(people)


def _over_ranks(hits: np.ndarray, who: np.ndarray, size: int, seed: int, resamples: int) -> dict[str, Interval]:
    """The mean of each column of `hits` (n, R), with its interval over people; None where it could not be otherwise."""
    refused = {k: _none(f"needs more than {k} people with two photographs") for k in AMONG if not len(who) or size <= k}
    columns = zip(AMONG, hits.T, strict=True)
    return {f"rank{k}": refused.get(k) or _over_people(each, who, seed, resamples) for k, each in columns}


def _over_people(values: np.ndarray, who: np.ndarray, seed: int, resamples: int) -> Interval:
    """The mean of one number per image, (N,), with its interval over people."""
    _, person = np.unique(who, return_inverse=True)
    total, images = np.bincount(person, values), np.bincount(person)
    drawn = metrics.resampled(len(images), resamples, seed)
    return metrics.percentile_interval(values.mean(), drawn @ total / (drawn @ images))


# -- curves: of each, the rates of false and of true accepts as the threshold falls, float (B, K) from 0 to 1 ---------------

Curves = tuple[np.ndarray, np.ndarray]


def _curve(genuine: np.ndarray, impostors: np.ndarray) -> Curves:
    """The exact ROC of sorted scores: its corners lie where a genuine score is, before and after it."""
    falling = np.unique(genuine)[::-1]
    found = []
    for scores in (impostors, genuine):
        rates = [1 - np.searchsorted(scores, falling, side) / len(scores) for side in ("right", "left")]
        found.append(np.concatenate([[0.0], np.stack(rates, 1).ravel(), [1.0]])[None])
    return found[0], found[1]


def _cuts(genuine: np.ndarray, impostors: np.ndarray) -> np.ndarray:
    """Rising thresholds that follow the whole curve, and its beginning closely; from sorted scores."""
    tail = 1 - np.geomspace(1 / len(impostors), 1, THRESHOLDS // 2)
    parts = [
        (genuine, np.linspace(0, 1, THRESHOLDS // 4)),
        (impostors, np.linspace(0, 1, THRESHOLDS // 4)),
        (impostors, tail),
    ]
    return np.unique(np.concatenate([each[(at * (len(each) - 1)).astype(int)] for each, at in parts]))


def _curves(
    scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray, cuts: np.ndarray, seed: int, resamples: int
) -> Curves:
    """The ROC of each resample of the people, at `cuts`."""
    people, person = np.unique(np.concatenate([who_probe, who_gallery]), return_inverse=True)
    probe, shown = np.split(person, [len(who_probe)])
    shape = len(people), len(cuts) + 1
    genuine, impostors = np.zeros(shape), np.zeros(shape)  # of each person, how many pairs between two cuts
    for start in range(0, len(scores), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        ok, between = ~np.isnan(scores[rows]), np.searchsorted(cuts, scores[rows])
        p, q = np.broadcast_arrays(probe[rows, None], shown[None])
        for kept, whose, into in ((p == q, p, genuine), (p != q, p, impostors), (p != q, q, impostors)):
            cells = (whose * shape[1] + between)[kept & ok]
            into += np.bincount(cells, minlength=into.size).reshape(shape)
    drawn = metrics.resampled(len(people), resamples, seed)
    accepted = [each[:, ::-1].cumsum(1) for each in (genuine, impostors)]
    true = drawn @ accepted[0]
    false = np.maximum.accumulate(np.maximum(drawn @ accepted[1] - accepted[1].sum(0) / 2, 0), axis=1)
    return tuple(np.insert(each / np.maximum(each[:, -1:], 1e-12), 0, 0, axis=1) for each in (false, true))


def _at(x: np.ndarray, level: float, y: np.ndarray) -> np.ndarray:
    """`y` where rising `x` crosses `level`, row by row of (B, K), between corners on a straight line."""
    after = (x <= level).sum(1, keepdims=True).clip(1, x.shape[1] - 1)
    (x0, x1), (y0, y1) = ([np.take_along_axis(each, after - back, 1)[:, 0] for back in (1, 0)] for each in (x, y))
    return y0 + (y1 - y0) * np.clip((level - x0) / np.maximum(x1 - x0, 1e-12), 0, 1)


def _equal_error(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    return _at(false + true, 1.0, false)


def _area(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.trapezoid(true, false, axis=1)


def _interval(of: Any, exact: Curves, drawn: Curves) -> Interval:
    return metrics.percentile_interval(of(*exact)[0], of(*drawn))


def _at_far(far: float, exact: Curves, drawn: Curves, impostors: int) -> Interval:
    """True accepts at the rate `far` of false ones, with `pairs`, of strangers, that decide; None where these are too few."""
    pairs = int(far * impostors + 1e-6)
    if pairs < DECIDING:
        return _none(f"FAR {far:.2%} of {impostors} pairs of strangers: {pairs} decide, {DECIDING} are needed") | {
            "pairs": pairs
        }
    return _interval(lambda false, true: _at(false, far, true), exact, drawn) | {"pairs": pairs}


def _tar(far: float) -> str:
    return f"tar_{far:g}"


def _none(why: str) -> Interval:
    return {"value": None, "low": None, "high": None, "why": why}
