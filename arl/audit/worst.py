"""The worst case over attackers: who is found again by any of them, and how near any of them came, person by person.

A mean hides the people for whom it is worst, and one attacker hides those whom another one finds. So each person counts as found if any
attacker finds them. Which attackers take part is decided on held-out faces of X2, never on T.

*Found*: the score of two people is how alike, to C, any picture of the one is to any photograph of the other, never the very photograph;
the largest of all. In place of a picture there may be an embedding that an attacker made, or Z itself, compared with the others' Z. A
person is found if their score with themselves passes the threshold that 1 % of the scores of two strangers pass, each attacker by its own
threshold. *First*: with nobody else in the gallery do they score as high. Both are taken of many pictures, so chance is measured and not
assumed: `chance` is how often a stranger passes for the person by the same rule, over the same attackers.

Intervals are over the people of T; thresholds and gallery stay. `UNION` is any attacker of `chosen`. From arrays that the audit keeps.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from arl import metrics
from arl.identity import DECIDING, cosines
from arl.judges.known import recognised
from arl.lineup import Lineup
from arl.metrics import Interval
from arl.store import Run

if TYPE_CHECKING:
    from arl.measure import Judged

PASSING = 0.01  # of the scores of two strangers pass the threshold
SHARES = {"worst_1": 0.01, "worst_5": 0.05, "median": 0.5}  # of the people reach at least what is reported
UNION = "any"
NO_ATTACKERS = ("answers", "originals")  # what is measured by the same rule and is no attacker: a floor and a ceiling


def choose_attackers(held_out: Mapping[str, Mapping[str, float]], floor: str = "mean") -> list[str]:
    """Those that tell more of held-out faces of X2 than a constant does, and Z itself, which learned nothing that could mislead it.

    Of pictures: more face similarity than the attacker `floor`, the strongest first; where none has, the strongest. Of embeddings: more
    similarity than the best constant.
    """
    drawn = {name: each["face_similarity"] for name, each in held_out.items() if "face_similarity" in each}
    by_strength = sorted(drawn, key=lambda name: -drawn[name])
    pictures = [name for name in by_strength if drawn[name] > drawn.get(floor, -np.inf)] or by_strength[:1]
    others = [
        name
        for name in held_out
        if name not in drawn and held_out[name]["embedding_similarity"] > held_out[name]["constant"]
    ]
    return [*pictures, *others, "Z"]


def between_people(scores: np.ndarray, who_probe: np.ndarray, who_gallery: np.ndarray) -> np.ndarray:
    """Of each two people the largest of `scores` (n, m), float32 (G, G): pictures of the first, photographs of the second.

    The people are those of `who_probe`, in order; the gallery has no others. NaN where nothing was compared.
    """
    found = np.asarray(scores, np.float32)
    for axis, who in ((1, who_gallery), (0, who_probe)):
        order = np.argsort(who, kind="stable")
        _, starts = np.unique(who[order], return_index=True)
        found = np.fmax.reduceat(found.take(order, axis), starts, axis)
    return found


def worst_case(
    scores: Mapping[str, np.ndarray],
    similar: Mapping[str, np.ndarray],
    chosen: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """From `between_people` of each attacker, (G, G), and of those that make pictures the largest face similarity of each person's, (G,).

    `attackers`: of each, and `UNION`: of any that was `chosen`; `beside`: of what is no attacker. Each has `found` and `first`, shares of
    the people with `chance`, and of pictures the face similarity that so many people reach, by `SHARES`, and its `mean`. `excess`: how
    many more people any of `chosen` finds than the answers do, each beyond its own chance. `by`: to how many people the pictures of each
    came nearest. `people`: all; `left_out`: those without another photograph, who are in no share.
    """
    resampling = {"seed": seed, "resamples": resamples}
    own = has_another(scores)

    def shares(names: Sequence[str]) -> dict[str, Interval]:
        return {measure: _share(each, resampling) for measure, each in people_hit(scores, names).items()}

    each = {name: shares([name]) | _nearness(similar.get(name), resampling) for name in scores}
    drawing = [name for name in chosen if name in similar]
    nearest = np.stack([similar[name] for name in drawing])
    winners = np.bincount(nearest.argmax(0), minlength=len(drawing))
    any_hit, floor = people_hit(scores, chosen), people_hit(scores, ["answers"]) if "answers" in scores else {}
    return {
        "chosen": list(chosen),
        "people": len(own),
        "left_out": int((~own).sum()),
        "attackers": {name: found for name, found in each.items() if name not in NO_ATTACKERS},
        "beside": {name: found for name, found in each.items() if name in NO_ATTACKERS},
        UNION: shares(chosen) | _nearness(nearest.max(0), resampling),
        "excess": {measure: _mean(beyond(any_hit[measure], below), resampling) for measure, below in floor.items()},
        "by": dict(zip(drawing, winners.tolist(), strict=True)),
    }


def has_another(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of each person, (G,): whether there is another photograph, in which they can be found."""
    return ~np.isnan(np.diag(next(iter(scores.values()))))


def people_hit(scores: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, "Hits"]:
    """By any of the attackers `names`: who is `found`, and who comes `first`."""
    own = has_another(scores)
    return {
        "found": _found([_passed(scores[n]) for n in names], scores[names[0]], own),
        "first": _first([scores[n] for n in names], own),
    }


def _passed(scores: np.ndarray) -> np.ndarray | str:
    """Which scores pass the threshold of strangers, bool (G, G); why that cannot be said, where too few strangers decide."""
    strangers = scores[~np.eye(len(scores), dtype=bool)]
    strangers = strangers[~np.isnan(strangers)]
    count = int(PASSING * len(strangers) + 1e-6)
    if count < DECIDING:
        return f"{PASSING:.0%} of {len(strangers)} pairs of people who are strangers: {count} decide, {DECIDING} are needed"
    return scores > np.partition(strangers, -count - 1)[-count - 1]  # so that `count` pass, where none are equal


Hits = (
    tuple[np.ndarray, float] | str
)  # of the people who can be found whether they are, and chance; or why that is not known


def _found(passed: Sequence[np.ndarray | str], scores: np.ndarray, own: np.ndarray) -> Hits:
    """By any of `passed`, (G, G); `own`, (G,): who has another photograph."""
    if refused := [why for why in passed if isinstance(why, str)]:
        return refused[0]
    if not own.any():
        return "needs people with two photographs"
    by_any = np.any(passed, axis=0)
    strangers = ~np.isnan(scores) & ~np.eye(len(own), dtype=bool)
    return np.diag(by_any)[own], float(by_any[strangers].mean())


def _first(scores: Sequence[np.ndarray], own: np.ndarray) -> Hits:
    """By any of `scores`, (G, G)."""
    if not own.any() or len(own) < 2:
        return "needs two people, with two photographs each"
    hits, heads = [], []
    for each in scores:
        others = np.where(np.eye(len(own), dtype=bool) | np.isnan(each), -np.inf, each)
        hits.append(np.diag(each) > others.max(1))
        heads.append(np.where(np.isnan(each), -np.inf, each).argmax(1))
    different = [len(set(column)) for column in np.stack(heads).T[own]]  # guesses at a person: as many chances
    return np.any(hits, axis=0)[own], float(np.mean(different) / len(own))


def _share(hits: Hits, resampling: dict[str, int]) -> Interval:
    if isinstance(hits, str):
        return _unknown(hits) | {"chance": None}
    return metrics.interval(hits[0], **resampling) | {"chance": hits[1]}


def beyond(hits: Hits, floor: Hits) -> np.ndarray | str:
    """How many more people are hit than by `floor`, person by person, less what chance does for the one and not for the other."""
    if refused := [why for why in (hits, floor) if isinstance(why, str)]:
        return refused[0]
    (found, chance), (below, its_chance) = hits, floor
    return found.astype(float) - below - (chance - its_chance)


def _mean(each: np.ndarray | str, resampling: dict[str, int]) -> Interval:
    return _unknown(each) if isinstance(each, str) else metrics.interval(each, **resampling)


def _nearness(similar: np.ndarray | None, resampling: dict[str, int]) -> dict[str, Interval]:
    """What so many of the people reach, by `SHARES`, and the mean, of one number a person, (G,)."""
    if similar is None:
        return {}
    order = np.argsort(-similar)
    falling, count = similar[order].astype(np.float64), len(similar)
    drawn = metrics.resampled(count, resampling["resamples"], resampling["seed"])[:, order].cumsum(1)
    found = {"mean": metrics.interval(similar, **resampling)}
    for name, share in SHARES.items():
        place = ceil(share * count)
        found[name] = metrics.percentile_interval(falling[place - 1], falling[(drawn >= place).argmax(1)])
    return found


def _unknown(why: str) -> Interval:
    return {"value": None, "low": None, "high": None, "why": why}


# -- an audit's arrays ------------------------------------------------------------------------------------------------


def arrays_of(judged: "Judged", line: Lineup, alike: np.ndarray | None) -> dict[str, Tensor]:
    """By NAME/people the scores between people, (G, G), and by NAME/nearest the largest face similarity of each person, (G,).

    Of each attacker of pictures, of embeddings the scores, as of `Z` by `alike`, (n, m), and of `NO_ATTACKERS`; `who`, (G,): the people.
    """
    experiment, x, guesses = judged.experiment, judged.x, judged.guesses
    known = np.sort(np.concatenate(experiment.split[1:]))
    embedding, _ = recognised(experiment.data, known, experiment.judge)
    gallery = embedding[np.searchsorted(known, line.gallery)]
    shown = {attack.name(): guesses[attack.name()] for attack in experiment.cfg.attacks if attack.target != "label"}
    shown |= {"answers": judged.answers["image"], "originals": x}
    found = {"who": torch.from_numpy(np.unique(line.who[0]))}
    if alike is not None:
        found["Z/people"] = torch.from_numpy(between_people(alike, *line.who))
    for name, seen in shown.items():
        scores = line.apart(cosines(seen.embedding[line.probes], gallery))
        found[f"{name}/people"] = torch.from_numpy(between_people(scores, *line.who))
        if name != "originals" and seen.middle is not None:
            near = metrics.cosine(seen.middle, x.middle).numpy()[line.probes]
            found[f"{name}/nearest"] = torch.from_numpy(_largest(near, line.who[0]))
    return found


def _largest(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """The largest of `values` (n,) of each person, (G,)."""
    order = np.argsort(who, kind="stable")
    _, starts = np.unique(who[order], return_index=True)
    return np.maximum.reduceat(values[order], starts)


def of_arrays(arrays: Mapping[str, Tensor], chosen: Sequence[str], **resampling: int) -> dict[str, Any]:
    """`worst_case` of `arrays_of`."""
    parts = {
        kind: {n.rpartition("/")[0]: t.numpy() for n, t in arrays.items() if n.endswith(kind)}
        for kind in ("/people", "/nearest")
    }
    return worst_case(parts["/people"], parts["/nearest"], chosen, **resampling)


def worst_again(audit: Run, chosen: Sequence[str] = ()) -> dict[str, Any]:
    """The worst case of a stored audit, from its arrays alone, over `chosen` attackers; over those of the audit, if none are named."""
    result = audit.result
    kept = {name.removeprefix("worst/"): each for name, each in audit.load()[0].items() if name.startswith("worst/")}
    config = result["config"]
    return of_arrays(kept, chosen or result["worst"]["chosen"], seed=config["seed"], resamples=config["bootstrap"])
