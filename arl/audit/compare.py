"""Two audits beside one another: the headline figures of both, what is between them, and its interval over people.

Where both looked at the same T, each resample draws the same people for both, so that what is easy or hard for both cancels. Where only
the faces are the same, as with another seed, whose T has other photographs, people are drawn for each by itself. Otherwise it is refused.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from arl.audit.worst import beyond, people_hit
from arl.data import open_data
from arl.messages import ConfigError
from arl.metrics import percentile_interval, resampled
from arl.store import Run

if TYPE_CHECKING:
    from arl.audit.suite import Audit
    from arl.experiment import Experiment

# What attackers learn from, and for how long: audits whose suites are the same may differ here, as a stored row keeps its own.
BUDGET = ("attack_epochs", "attack_lr", "attack_patience", "batch_size", "x1", "x2", "split", "held_out", "extra")


class Terms(NamedTuple):
    """What two audits must have in common, and `t`, the images that they looked at."""

    suite: str
    changed: list[str]
    faces: dict[str, Any]
    recogniser: dict[str, Any]
    budget: dict[str, Any]
    t: list[int]


def terms_of(audit: "Audit") -> Terms:
    """Of a finished one."""
    about, result = audit.result["audit"], audit.result
    encoder = Run(audit.run.folder.with_name(result["runs"]["encoder"]))
    t = audit.run.load()[0]["t"].long().tolist()
    shown = encoder.spec["data"], audit.run.spec["recogniser"], _budget(result["config"])
    return Terms(about["suite"], about["changed"], *shown, t)


def terms_of_experiment(experiment: "Experiment", about: dict[str, Any]) -> Terms:
    """Of one that is still to be made."""
    shown = experiment.data.spec, experiment.judge_spec, _budget(experiment.cfg.flat())
    return Terms(about["suite"], about["changed"], *shown, experiment.split.t.tolist())


def _budget(config: dict[str, Any]) -> dict[str, Any]:
    more = ("extra_images",) if config["extra"] != "none" else ()
    return {name: config[name] for name in (*BUDGET, *more)}


def refuse_unlike(one: Terms, other: Terms) -> None:
    """Raises `ConfigError` where two audits do not compare: that of `other` is what was asked for."""
    words = {"suite": "suite", "changed": "changed settings", "faces": "faces", "recogniser": "C", "budget": "budget"}
    for name, told in words.items():
        mine, theirs = (json.loads(json.dumps(getattr(each, name))) for each in (one, other))
        if mine == theirs:
            continue
        if name == "budget":
            told = next(key for key in (*BUDGET, "extra_images") if mine.get(key) != theirs.get(key))
            mine, theirs = mine.get(told), theirs.get(told)
        shown = f"{theirs!r} beside {mine!r}" if name not in ("faces", "recogniser") else "others"
        raise ConfigError(
            f"--against: found {told}: {shown}, accepted: an audit with the same suite, faces, C and budget"
        )


class OfPeople(NamedTuple):
    """A mean: of each person the sum, (G,), and of how many numbers it is, (G,)."""

    sums: np.ndarray
    counts: np.ndarray

    def mean(self, times: np.ndarray) -> np.ndarray:
        """With each person taken so many `times`, (..., G)."""
        return (times @ self.sums) / np.maximum(times @ self.counts, 1e-12)

    @property
    def value(self) -> float:
        """With each person taken once."""
        return float(self.mean(np.ones(len(self.sums))))


def difference_of(one: "Audit", other: "Audit") -> dict[str, Any]:
    """`audits`: both ids; `paired`: whether over the same T; `figures`: of each headline its value in `one`, in `other`, and `difference`,
    one − other, with its interval. `why` in place of an interval where it is not known. Raises `ConfigError` where they do not compare."""
    mine, theirs = terms_of(one), terms_of(other)
    refuse_unlike(mine, theirs)
    paired, figures = mine.t == theirs.t, {}
    both = headlines(one), headlines(other)
    for name in both[0]:
        if name in both[1]:
            figures[name] = _between(both[0][name], both[1][name], paired, one.config.bootstrap, one.config.seed)
    if "mean_mcc" in one.result and "mean_mcc" in other.result:
        values = [each.result["mean_mcc"]["value"] for each in (one, other)]
        nothing = {
            "value": values[0] - values[1],
            "low": None,
            "high": None,
            "why": "answers are not kept, person by person",
        }
        figures["mean MCC of f"] = {"values": values, "difference": nothing}
    strongest = [each.result["strongest"] for each in (one, other)]
    return {"audits": [one.run.id, other.run.id], "paired": paired, "strongest": strongest, "figures": figures}


def headlines(audit: "Audit") -> dict[str, OfPeople | str]:
    """The figures that are compared, by what they are called, person by person; or why one is not known."""
    arrays = {name: each.numpy() for name, each in audit.run.load()[0].items()}
    result, name = audit.result, audit.result["strongest"]
    own = "" if name == "decoder" else f"{name}/"
    who = open_data(audit.config).identities[arrays["t"].astype(np.int64)]
    scores = {n.split("/")[1]: each for n, each in arrays.items() if n.startswith("worst/") and n.endswith("/people")}
    chosen = result["worst"]["chosen"]
    hit, by_answers = people_hit(scores, chosen), people_hit(scores, ["answers"])
    nearest = [arrays[f"worst/{n}/nearest"] for n in chosen if f"worst/{n}/nearest" in arrays]
    found = {
        "face similarity, the strongest": _by_person(arrays[f"{own}face_similarity"], who),
        "PSNR in dB, the strongest": _by_person(arrays[f"{own}psnr"], who),
        "face similarity, each one's best picture": _each(np.max(nearest, axis=0)),
        "people found by any": _each(hit["found"]),
        "the same beyond answers and chance": _each(beyond(hit["found"], by_answers["found"])),
        "people who come first by any": _each(hit["first"]),
    }
    return found | (
        {"people who come first by Z itself": _each(people_hit(scores, ["Z"])["first"])} if "Z" in scores else {}
    )


def _by_person(values: np.ndarray, who: np.ndarray) -> OfPeople:
    """Of numbers (N,) of images of `who`, (N,)."""
    _, place = np.unique(who, return_inverse=True)
    return OfPeople(np.bincount(place, values.astype(np.float64)), np.bincount(place).astype(np.float64))


def _each(values: Any) -> OfPeople | str:
    """One number a person; hits are a pair with their chance."""
    values = values[0] if isinstance(values, tuple) else values
    return values if isinstance(values, str) else OfPeople(np.asarray(values, np.float64), np.ones(len(values)))


def _between(mine: OfPeople | str, theirs: OfPeople | str, paired: bool, resamples: int, seed: int) -> dict[str, Any]:
    """`values` of both, and `difference`."""
    values = [None if isinstance(each, str) else each.value for each in (mine, theirs)]
    if refused := [each for each in (mine, theirs) if isinstance(each, str)]:
        return {"values": values, "difference": {"value": None, "low": None, "high": None, "why": refused[0]}}
    times = resampled(len(mine.sums), resamples, seed)
    again = times if paired else resampled(len(theirs.sums), resamples, seed + 1)
    drawn = mine.mean(times) - theirs.mean(again)
    return {"values": values, "difference": percentile_interval(values[0] - values[1], drawn)}


def difference_text(found: dict[str, Any]) -> str:
    """A line a figure, and what of it is more than chance."""
    one, other = found["audits"]
    over = (
        "the same people of the same T"
        if found["paired"]
        else "people of two T, each drawn by itself: their seeds differ"
    )
    lines = [f"{one} against {other}", f"strongest  {found['strongest'][0]}, {found['strongest'][1]}", ""]
    lines.append(f"{'':42}{'this':>9}{'against':>9}   difference, 95 % over {over}")
    apart = []
    for name, each in found["figures"].items():
        difference, values = each["difference"], ["–" if v is None else f"{v:.3f}" for v in each["values"]]
        between = "–" if difference["value"] is None else f"{difference['value']:+.3f}"
        known = difference["low"] is not None
        between += f" ({difference['low']:+.3f} … {difference['high']:+.3f})" if known else f"  ({difference['why']})"
        lines.append(f"{name:42}{values[0]:>9}{values[1]:>9}   {between}")
        apart += [name] if known and not difference["low"] <= 0 <= difference["high"] else []
    told = f"They differ in: {'; '.join(apart)}." if apart else "They differ in no figure by more than its interval."
    return "\n".join([*lines, "", told])
