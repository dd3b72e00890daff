"""The claims ledger: what the paper says about its results, each as a test on stored rows, with effect size and interval over seeds.

An effect is positive where the claim is right. It *holds* when its whole 95 % interval over seeds is above 0, *fails* when all of it
is below 0, and is *undecided* otherwise. One seed decides nothing: the verdict is then "undecided", whatever the effect.

The paper judges its claims by its own decoder and M. Where rows were met by more attackers, each claim is judged once more by the
strongest (`strongest.py`), and the ledger says whether it still stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from arl.config import LAYERS
from arl.paper.measured import Line, over_seeds

KEPT = 0.05  # mean MCC: what we count as "slightly", "not significantly"; the paper's own loss at #2 is 0.029


@dataclass(frozen=True)
class Claim:
    """One statement: where the paper makes it, in what words, and the effect (seeds,) that our rows show for it."""

    id: str
    where: str
    words: str
    measure: str
    effect: Callable[[dict[str, Line]], np.ndarray]
    paper: Callable[[dict[str, dict[str, float]]], float] | None = None


def _less(metric: str, of: str, than: str) -> dict[str, Any]:
    """`metric` of row `of` is less than that of row `than`; the effect is the difference."""
    return {
        "measure": f"{metric.replace('_', ' ')}: {than} − {of}",
        "effect": lambda lines: lines[than].each(metric) - lines[of].each(metric),
        "paper": lambda printed: printed[than][metric] - printed[of][metric],
    }


def _kept(of: str, against: str) -> dict[str, Any]:
    """Row `of` loses less than `KEPT` mean MCC against row `against`."""
    return {
        "measure": f"{KEPT} − (mean MCC: {against} − {of})",
        "effect": lambda lines: KEPT - (lines[against].each("mean_mcc") - lines[of].each("mean_mcc")),
        "paper": lambda printed: KEPT - (printed[against]["mean_mcc"] - printed[of]["mean_mcc"]),
    }


def _falls(metric: str, names: Sequence[str], along: str) -> dict[str, Any]:
    """`metric` falls along the rows `names`; the effect is minus Spearman's rank correlation with the order."""
    order = np.arange(len(names))

    def falls(values: np.ndarray) -> float:
        return 0.0 if np.ptp(values) == 0 else -float(stats.spearmanr(order, values).statistic)

    return {
        "measure": f"{metric.replace('_', ' ')}: −(rank correlation with {along})",
        "effect": lambda lines: np.array([falls(v) for v in np.stack([lines[n].each(metric) for n in names], 1)]),
        "paper": lambda printed: falls(np.array([printed[n][metric] for n in names])),
    }


def _layers(metric: str) -> dict[str, Any]:
    """`metric` is smaller with adversarial training than without; the effect is the mean over the six layers of the relative fall."""
    pairs = [(f"3:{layer}, without", f"3:{layer}, with") for layer in LAYERS]
    return {
        "measure": f"{metric.replace('_', ' ')}: relative fall by training, mean over the layers",
        "effect": lambda lines: np.mean([1 - lines[b].each(metric) / lines[a].each(metric) for a, b in pairs], 0),
        "paper": lambda printed: float(np.mean([1 - printed[b][metric] / printed[a][metric] for a, b in pairs])),
    }


def _mean_face(lines: dict[str, Line]) -> np.ndarray:
    """A tenth minus the share of λ2 = 0's distance from the mean face's similarity that is left at λ2 = 10."""
    first, last = lines["2:λ2=0"], lines["2:λ2=10"]
    floor = first.floor("face_similarity")
    return 0.1 - (last.each("face_similarity") - floor) / (first.each("face_similarity") - floor)


def _layers_kept() -> dict[str, Any]:
    pairs = [(f"3:{layer}, without", f"3:{layer}, with") for layer in LAYERS]
    return {
        "measure": f"{KEPT} − (largest loss of mean MCC over the layers)",
        "effect": lambda lines: (
            KEPT - np.max([lines[a].each("mean_mcc") - lines[b].each("mean_mcc") for a, b in pairs], 0)
        ),
        "paper": lambda printed: KEPT - max(printed[a]["mean_mcc"] - printed[b]["mean_mcc"] for a, b in pairs),
    }


LAMBDA2 = [f"2:λ2={value}" for value in (0, 1, 2, 3, 4, 5, 10)]
WITHOUT, WITH = ([f"3:{layer}, {word}" for layer in LAYERS] for word in ("without", "with"))

CLAIMS = (
    Claim("a", "Table 1, #1 #2", "decrease in face similarity", **_less("face_similarity", "1#2", "1#1")),
    Claim("b", "Table 1, #1 #2", "decrease in feature similarity", **_less("feature_similarity", "1#2", "1#1")),
    Claim("c", "Table 1, #1 #2", "the mean MCC is only slightly lower", **_kept("1#2", "1#1")),
    Claim("d", "Table 1, #3 #4", "also against the stronger attacker with a GAN loss", **_less("face_similarity", "1#4", "1#3")),
    Claim("e", "Table 1, #1 #3", "the GAN loss makes the attacker stronger", **_less("face_similarity", "1#1", "1#3")),
    Claim("f", "Table 1, #1 #5", "extra data helps the adversary: #5 leaks more than #1", **_less("face_similarity", "1#1", "1#5")),
    Claim("g", "Table 1, #6 #1", "with extra data the protected #6 stays under #1", **_less("face_similarity", "1#6", "1#1")),
    Claim("h", "Table 1, #6 #5", "with extra data the protected encoder is more robust", **_less("face_similarity", "1#6", "1#5")),
    Claim("i", "Table 1, #2 #8", "more data for Enc improves the MCC", **_less("mean_mcc", "1#2", "1#8")),
    Claim("j", "Table 1, #6 #8", "more data for Enc lowers feature similarity", **_less("feature_similarity", "1#8", "1#6")),
    Claim("x", "Table 1, #6 #8", "more data for Enc lowers face similarity", **_less("face_similarity", "1#8", "1#6")),
    Claim("k", "Table 1, #3 #9", "a single attribute leaks less: face similarity", **_less("face_similarity", "1#9", "1#3")),
    Claim("l", "Table 1, #3 #9", "a single attribute leaks less: feature similarity", **_less("feature_similarity", "1#9", "1#3")),
    Claim("m", "Table 1, #9 #10", "the negative reconstruction loss improves it further", **_less("face_similarity", "1#10", "1#9")),
    Claim("n", "Table 2", "face similarity falls as λ2 rises", **_falls("face_similarity", LAMBDA2, "λ2")),
    Claim("o", "Table 2", "feature similarity falls as λ2 rises", **_falls("feature_similarity", LAMBDA2, "λ2")),
    Claim("p", "Table 2", "at the cost of utility: mean MCC falls as λ2 rises", **_falls("mean_mcc", LAMBDA2, "λ2")),
    Claim("q", "Table 2, Figure 5", "a mean face when λ2 is 10", "0.1 − (share of the leak above the mean face that is left)", _mean_face),
    Claim("r", "Table 3", "without training face similarity falls with depth", **_falls("face_similarity", WITHOUT, "depth")),
    Claim("s", "Table 3", "training lowers face similarity in all layers", **_layers("face_similarity")),
    Claim("t", "Table 3", "the MCC is not affected significantly", **_layers_kept()),
    Claim("u", "Table 3", "with training lower layers leak less than deeper ones", **_falls("face_similarity", WITH[::-1], "shallowness")),
    Claim("v", "Table 3", "without training the LDA score falls with depth", **_falls("lda_score", WITHOUT, "depth")),
    Claim("w", "Table 3", "the LDA score is smaller with training", **_layers("lda_score")),
)  # fmt: skip


def ledger(lines: Sequence[Line], against: Sequence[Line] = ()) -> list[dict[str, Any]]:
    """Each claim with its verdict, effect `value low high`, the effect of each seed, the paper's own, and the runs behind it.

    `lines`: the rows of all three tables (`rows.every_row`), each measured with the same seeds. `against`: the same as the strongest
    attacker has them (`against_strongest`); a claim then has verdict and effect by that one too, as `strongest`, and `stands`, in words.
    """
    by_name, hardest = ({line.setting.name: line for line in each} for each in (lines, against))
    printed = {name: line.setting.paper for name, line in by_name.items()}
    found = []
    for claim in CLAIMS:
        effect, names = _judged(claim, by_name)
        if effect is None:  # the lines' judge does not measure it
            continue
        again, _ = _judged(claim, hardest) if hardest else (None, ())
        words = {"stands": still(effect["verdict"], again["verdict"])} if again else {}
        found.append(
            {
                "id": claim.id,
                "where": claim.where,
                "claim": claim.words,
                "effect": claim.measure,
                **effect,
                "paper": None if claim.paper is None else claim.paper(printed),
                "rows": names,
                "runs": [run.id for name in names for run in by_name[name].runs],
                **({"strongest": again} if again else {}),
                **words,
            }
        )
    return found


def _judged(claim: Claim, by_name: dict[str, Line]) -> tuple[dict[str, Any] | None, list[str]]:
    """Verdict, effect and the effect of each seed, None where there is none; and the names of the rows that it was taken from."""
    used = _Used(by_name)
    each = np.asarray(claim.effect(used), np.float64)
    if not each.size:
        return None, []
    effect = over_seeds(each) if len(each) > 1 else {"value": float(each[0]), "low": None, "high": None}
    return {"verdict": verdict(effect), **effect, "each": each.tolist()}, list(used.names)


def still(before: str, after: str) -> str:
    """In words what has become of a verdict: `stands`, `still fails`, `now undecided`."""
    return f"now {after}" if before != after else "stands" if after == "holds" else f"still {after}"


def verdict(effect: dict[str, Any]) -> str:
    """`holds`, `fails` or `undecided`, from an effect's `low` and `high`."""
    if effect["low"] is None or effect["low"] <= 0 <= effect["high"]:
        return "undecided"
    return "holds" if effect["low"] > 0 else "fails"


def ledger_text(found: Sequence[dict[str, Any]]) -> str:
    """The ledger as lines: verdict, effect with interval, the paper's effect, the claim."""
    out = [f"{'':3}{'verdict':11}{'effect, 95 % over seeds':28}{'paper':>8}   claim"]
    for f in found:
        interval = "" if f["low"] is None else f"({f['low']:+.3f} … {f['high']:+.3f})"
        paper = "–" if f["paper"] is None else f"{f['paper']:+.3f}"
        out.append(
            f"{f['id']:3}{f['verdict']:11}{f['value']:+.3f} {interval:20}{paper:>8}   {f['where']}: {f['claim']}"
        )
        out.append(f"{'':53}effect: {f['effect']}")
        if hard := f.get("strongest"):
            interval = "" if hard["low"] is None else f"({hard['low']:+.3f} … {hard['high']:+.3f})"
            out.append(
                f"{'':14}{hard['value']:+.3f} {interval:20}{'':8}   against the strongest attacker: {f['stands']}"
            )
    return "\n".join(out)


class _Used(dict[str, Line]):
    """The rows by name; remembers which were asked for."""

    def __init__(self, lines: dict[str, Line]):
        super().__init__(lines)
        self.names: dict[str, None] = {}

    def __getitem__(self, name: str) -> Line:
        self.names[name] = None
        return super().__getitem__(name)
