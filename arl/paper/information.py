"""The information-bottleneck reading, equations (11) to (15), measured on stored rows, in bits.

H(X) is constant, so (9) minimises −H(X | Dec(Z)) + H(Y | f(Z)), and (14) puts a squared error for the first term. What that stands for:
with a Gaussian q(X | X̂) of one variance, H(X | X̂) ≤ E[−log q] = ½ log2(2πe · MSE) an element (Barber and Agakov, 2003).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from arl import metrics
from arl.config import RunConfig
from arl.data import batches, pictures, targets
from arl.judges.known import recognised
from arl.metrics import Interval
from arl.paper.probes import area_under_roc, decoded, over_people, photographs, said, trend
from arl.row import Row
from arl.store import obtain
from arl.training import initialised, precision

COMPONENTS = 32  # of a picture that are matched: with more of them the bound is looser (0.3 bits at 128, quick preset)


def bits(cfg: RunConfig, row: Row) -> dict[str, Interval]:
    """The terms of (13) for the stored `row` of `cfg`, on T, with intervals over its people.

    `pixel_bits`: ½ log2(MSE of X2's mean image / MSE of X̂), an element. By how much Dec^a(Z) lowers the bound on H(X | ·) above. Were
        pixels independent and Gaussian it would be their mutual information; real ones are neither, so do not sum it over a picture.
    `picture_bits`: a lower bound of I(X; X̂) of whole pictures, `match_bits` of a Gaussian score of their principal components.
    `identity_bits`: a lower bound of I(C(X); M(Z)), `match_bits` of their cosine.
    `verification`: area under the ROC of M(Z) against C of another photograph of the person and of a stranger; chance is ½.
    `label_loss`: an upper bound of H(Y | f(Z)): f's cross-entropy, a mean over attributes. `label_entropy` is H(Y), from X1's rates.
    `label_share`: 1 − label_loss / label_entropy, at most 1; what f(Z) certainly says of the labels.
    Kept in the store.
    """
    return obtain({"kind": "bits", "version": 1, "row": row.id}, lambda _: {"bits": _measure(cfg, row)}).result["bits"]


def _measure(cfg: RunConfig, row: Row) -> dict[str, Interval]:
    experiment = row.experiment
    device, data, (x1, x2, t) = experiment.device, experiment.data, experiment.split
    people, y = data.identities[t], targets(data, cfg)
    (enc, f), m, found = experiment.networks, experiment.attacker("features"), []
    with torch.no_grad(), precision(device), initialised(cfg.seed, 9):
        for _, x in batches(data.images, t, 256, device=device):
            z = enc(x).float()
            found.append((f(z).float().cpu(), m(z).float().cpu()))
    logits, m_z = (torch.cat(part) for part in zip(*found, strict=True))
    loss = F.binary_cross_entropy_with_logits(logits, y[t], reduction="none").double().mean(1).numpy() / np.log(2)
    entropy = float(entropy_bits(y[x1].numpy().mean(0)).mean())

    x, x_hat = pictures(data, t), row.reconstruct(t)
    mean = sum(
        pictures(data, part).sum(0, dtype=torch.float64) for part in np.array_split(x2, 1 + len(x2) // 4096)
    ) / len(x2)
    error, without = ((guess - x).double().square().flatten(1).mean(1).numpy() for guess in (x_hat, mean))

    known = np.sort(np.concatenate([x2, t]))
    c, m_z, here = (
        F.normalize(recognised(data, known, experiment.judge)[0]),
        F.normalize(m_z),
        known.searchsorted(t),
    )
    stranger, same = metrics.partners(data.identities[known], here, cfg.seed)
    both = (same >= 0) & (stranger >= 0)
    scores = np.concatenate([(m_z[both] * c[partner[both]]).sum(1).numpy() for partner in (same, stranger)])
    is_same = np.arange(len(scores)) < both.sum()

    measures: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "pixel_bits": lambda n: 0.5 * np.log2((n @ without) / (n @ error)),
        "picture_bits": _mean(match_bits(_picture_scores(cfg, row))),
        "identity_bits": _mean(match_bits(m_z @ c[here].T)),
        "label_loss": _mean(loss),
        "label_share": lambda n: 1 - _mean(loss)(n) / entropy,
    }
    return {
        **{name: over_people(measure, people, cfg) for name, measure in measures.items()},
        "verification": over_people(lambda n: area_under_roc(n, scores, is_same), np.tile(people[both], 2), cfg),
        "label_entropy": {"value": entropy, "low": entropy, "high": entropy},
        "most_bits": {"value": float(np.log2(len(t))), "low": None, "high": None},
    }


def entropy_bits(rate: np.ndarray) -> np.ndarray:
    """H of yes-or-no labels that are yes at `rate`, in bits: 1 at ½, 0 where a label is always the same."""
    p = np.stack([rate, 1 - rate]).astype(np.float64)
    return -np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0).sum(0)


def match_bits(scores: Tensor) -> np.ndarray:
    """Bits by which each of n guesses tells its own original from all n, (n,), from scores (n, n), guesses down; at most log2 n.

    Their mean is a lower bound of the mutual information of guess and original whatever the distributions (InfoNCE, van den Oord et al.,
    2018), and the tighter the nearer the score is to log p(original | guess) − log p(original). The score's scale is chosen on the other
    half of the guesses, 0 among the choices.
    """
    n, scores = len(scores), scores.double() / scores.double().std()
    scales = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-2, 2.5, 46, dtype=torch.float64)])
    bits = torch.stack([np.log2(n) + F.log_softmax(s * scores, 1).diagonal() / np.log(2) for s in scales])
    even = torch.arange(n) % 2 == 0
    best = [int(bits[:, half].mean(1).argmax()) for half in (~even, even)]
    return torch.where(even, bits[best[0]], bits[best[1]]).numpy()


def gaussian_scores(guess: np.ndarray, original: np.ndarray, noise: np.ndarray, signal: np.ndarray) -> Tensor:
    """log N(original; guess, noise) − log N(original; 0, signal) up to a constant, (n, n), for (n, k) and variances (k,)."""
    g, o, noise, signal = (torch.as_tensor(v, dtype=torch.float64) for v in (guess, original, noise, signal))
    distance = torch.cdist(g / noise.sqrt(), o / noise.sqrt()).square()
    return -0.5 * (distance - (o.square() / signal).sum(1))


def _picture_scores(cfg: RunConfig, row: Row) -> Tensor:
    """`gaussian_scores` of X̂ and X of T in the principal components of X2, whose residuals there are the noise."""
    x = photographs(cfg)
    x_hat, learn = decoded(row, x).values, x.learn
    pca = PCA(min(COMPONENTS, learn.sum() - 1), svd_solver="randomized", random_state=0).fit(x.values[learn])
    original, guess = pca.transform(x.values), pca.transform(x_hat)
    signal = np.square(original[learn]).mean(0)
    noise = np.minimum(np.square(original - guess)[learn].mean(0), signal)
    return gaussian_scores(guess[~learn], original[~learn], noise, signal)


def _mean(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda n: n @ values / n.sum(1)


def bits_text(names: Sequence[str], rows: Sequence[Row], bits: Sequence[dict[str, Interval]]) -> str:
    """The measures of `bits` for each row as lines, with face and feature similarity beside them."""
    columns = {
        "pixel_bits": "pixel bits ↓", "picture_bits": "picture bits ↓", "identity_bits": "identity bits ↓",
        "verification": "verification ↓", "label_loss": "H(Y|f(Z)) ≤ ↓", "label_share": "label share ↑",
        "face_similarity": "face sim. ↓", "feature_similarity": "feature sim. ↓",
    }  # fmt: skip
    lines = [" " * 16 + "".join(f"{title:>21}" for title in columns.values())]
    for name, row, found in zip(names, rows, bits, strict=True):
        lines.append(f"{name:16}" + "".join(f"{said((found | row.result)[key]):>21}" for key in columns))
    most, entropy = bits[0]["most_bits"]["value"], bits[0]["label_entropy"]["value"]
    lines += ["", f"picture and identity bits are at most {most:.2f}, the logarithm of the number of pictures in T;"]
    lines += [f"H(Y), a mean over attributes, is {entropy:.3f} bits; " + rows[0].result["measured_on"]["test_set"]]
    return "\n".join(lines)


def limits_text(names: Sequence[str], rows: Sequence[Row], read: Sequence[dict[str, dict[str, Interval]]]) -> str:
    """What probes read of each trait in each setting, as lines; then how it changed where face similarity fell the furthest.

    Only settings with the same attacker are compared.
    """
    lines = [f"{'':16}{'from':12}" + "".join(f"{trait.replace('_', ' '):>21}" for trait in read[0]["Z"])]
    for name, found in [*zip(names, read, strict=True), ("any", {"X": read[0]["X"]})]:
        for source in [source for source in found if source != "X" or name == "any"]:
            pad = " " * (12 - len(source.replace("\u0302", "")))  # the hat takes no room
            lines.append(f"{name:16}{source}{pad}" + "".join(f"{said(v):>21}" for v in found[source].values()))
    lines.append("R² of skin tone, MCC of the others; 0 is guessing")
    similar = [row.result["face_similarity"] for row in rows]
    attackers = [row.result["config"]["mu2"] for row in rows]
    for mu2 in dict.fromkeys(attackers):
        mine = [i for i, attacker in enumerate(attackers) if attacker == mu2]
        a, b = (pick(mine, key=lambda i: similar[i]["value"]) for pick in (max, min))
        if a == b:
            continue
        fall = f"{said(similar[a])} → {said(similar[b])}, {trend(similar[a], similar[b])}"
        lines += ["", f"{names[a]} → {names[b]}: face similarity {fall}"]
        for source in ("Z", "X̂"):
            for trait, before in read[a][source].items():
                after = read[b][source][trait]
                fall = f"{said(before)} → {said(after)}, {trend(before, after)}"
                lines.append(f"  {trait.replace('_', ' ')} from {source}: {fall}")
    return "\n".join(lines)
