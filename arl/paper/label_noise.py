"""The highest MCC that anything can reach with CelebA's labels: the ceiling that label noise sets.

Let p(x) be the chance that CelebA's annotators say yes to picture x, and L, L' two labels given to x independently. Then
cov(L, L') = var p(x), so the correlation of two labels of one picture is r = var p(x) / var L. A prediction g(x) knows the picture and
not the annotator: cov(g, L) = cov(g, p) ≤ √(var g · var p), so **MCC(g, L) ≤ √r, for any g**. It needs that the two labels are given
independently, and nothing else: neither symmetric flips nor the same noise in every picture. The bound is reached where p(x) takes two
values only: a true attribute whose labels are flipped at rates that do not depend on the picture, in which case √r is also the MCC of
the truth with the labels. It is Spearman's index of reliability (The proof and measurement of association between two things, 1904).
An annotator who remembers the copy makes r too large: the bound stays a bound, only looser.

CelebA holds files that are equal byte for byte and labelled twice: `label_noise.csv`, by `tests/bench_label_noise.py`. Some attributes
were judged for a whole folder (a person) at once: copies in two folders differ in Big_Lips 27 times of 89, in one folder 2 of 43.
Whoever has seen a person's other labels can know the folder's habit, so x stands for the picture *and* its folder: the ceiling is that of
copies in one folder, and holds for people seen in training or not. Two other correlations are at most r, and say what the ceiling is at
least: that of all copies, and that of two photographs of one person, cov(p(x), p(x')) ≤ var p. Two annotators of Wu et al. (arXiv
2210.07356) say nothing of it: on High_Cheekbones they differ in 512 of 1000 pictures, CelebA's in 5 of 132; whatever habit CelebA's
had, it can be learned.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arl.messages import ConfigError
from arl.names import ATTRIBUTES

Bounds = dict[str, float | None]  # value, low, high; None: unknown


@dataclass(frozen=True)
class LabelNoise:
    """What is known of one attribute's labels, as counts of pairs of copies (both labels say yes, one does, neither), in one folder or two.

    `share`: of CelebA's 202 599 labels that say yes. `person`: the correlation of labels of two photographs of one person, with its 95 %
    interval. `annotators_apart`: of 1000 pictures, on how many two annotators of Wu et al. (Table 1) differ, copied second-hand.
    """

    attribute: str
    share: float
    same: tuple[int, int, int]
    other: tuple[int, int, int]
    person: Bounds
    annotators_apart: int

    @property
    def ceiling(self) -> Bounds:
        """The highest MCC with these labels: `value` √r (None: no copy in one folder has a yes), `low`, `high`, in [0, 1].

        `low` is the best of three lower ends of 97.5 %: it holds in at least 92.5 %.
        """
        copies = reliability(*self.same)
        every = reliability(*(a + b for a, b in zip(self.same, self.other, strict=True)))
        low = index_of_reliability(max(known["low"] for known in (copies, every, self.person) if known))
        if copies is None:
            return {"value": None, "low": low, "high": 1.0}
        value, high = (max(low, index_of_reliability(copies[name])) for name in ("value", "high"))
        return {"value": value, "low": low, "high": high}


def index_of_reliability(r: float) -> float:
    """√r, in [0, 1]: the highest MCC with labels of which two of one picture correlate at `r`; 0 where they do not."""
    if not -1 <= r <= 1:
        raise ConfigError(f"r: found {r:g}, accepted: -1 to 1")
    return float(np.sqrt(max(r, 0.0)))


def reliability_of(agreement: float, share: float) -> float:
    """The correlation of two labels that are equal in `agreement` of the pictures, where both say yes in `share`: 1 − (1 − a) / 2p(1 − p).

    Phi of a table whose margins are equal. The share must be that of the same two annotators: with another's it can even be below −1.
    """
    for name, value, ok in (("agreement", agreement, 0 <= agreement <= 1), ("share", share, 0 < share < 1)):
        if not ok:
            raise ConfigError(
                f"{name}: found {value:g}, accepted: {'0 to 1' if name == 'agreement' else 'between 0 and 1'}"
            )
    return 1 - (1 - agreement) / (2 * share * (1 - share))


def reliability(both: int, one: int, neither: int, draws: int = 20_000) -> Bounds | None:
    """`reliability_of` from counts of pairs, with its 95 % interval; None where no label says yes, or all do.

    The interval is that of the posterior with Jeffreys' prior, half a pair in each of the three: none that differ do not prove r = 1.
    """
    n = both + one + neither
    if min(both, one, neither) < 0 or n == 0:
        raise ConfigError(f"pairs: found {both}, {one}, {neither}, accepted: numbers of 0 or more, not all 0")
    share = (both + one / 2) / n
    if share in (0, 1):
        return None
    drawn = np.random.default_rng(0).dirichlet([both + 0.5, one + 0.5, neither + 0.5], draws)
    q = drawn[:, 0] + drawn[:, 1] / 2
    low, high = np.percentile(1 - drawn[:, 1] / (2 * q * (1 - q)), [2.5, 97.5])
    value = reliability_of(1 - one / n, share)
    return {"value": value, "low": float(low), "high": max(value, float(high))}


def label_noise(names: Iterable[str] = ATTRIBUTES) -> dict[str, LabelNoise]:
    """`label_noise.csv`, of these attributes. Raises `ConfigError`."""
    with Path(__file__).with_name("label_noise.csv").open(newline="") as file:
        known = {line["attribute"]: _line(line) for line in csv.DictReader(file)}
    names = list(names)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"attributes: found {unknown[0]!r}, accepted: any of {', '.join(known)}")
    return {name: known[name] for name in names}


def _line(line: dict[str, str]) -> LabelNoise:
    same, other = (tuple(int(line[f"{where}_{n}"]) for n in ("both", "one", "neither")) for where in ("same", "other"))
    person = {name: float(line[f"person_{name}"]) for name in ("value", "low", "high")}
    apart = int(line["annotators_apart"])
    return LabelNoise(line["attribute"], float(line["share"]), same, other, person, apart)
