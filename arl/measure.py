"""How a row is measured on T: what the attackers and the classifier make of it, as the judges see it. Opens nothing itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arl import evaluate, identity, metrics
from arl.answers import from_answers
from arl.config import setting
from arl.data import FaceData, batches, pictures, targets
from arl.evaluate import Score, Seen, Yardsticks
from arl.judges import Checked, check, embed_all
from arl.judges.known import recognised
from arl.lineup import Lineup, agreements, by_embedding, feature_scores, lineup
from arl.training import initialised, precision

if TYPE_CHECKING:
    from arl.experiment import Experiment
    from arl.store import Run


class Judged(NamedTuple):
    """T, what could stand for a reconstruction, and what was made of Z, by attack, as the judge of `experiment` sees them.

    `answers`: what follows from f's answers alone, by what is attacked.
    """

    experiment: "Experiment"
    x: Seen
    yardsticks: dict[str, Yardsticks]
    guesses: dict[str, Seen]
    answers: dict[str, Seen]


More = Callable[[Judged, Lineup, np.ndarray | None], tuple[dict[str, Any], dict[str, Tensor]]]


def measure_row(
    row: "Run", experiment: "Experiment", attacks: "dict[str, Run]", more: More | None = None
) -> dict[str, Any]:
    """The result of `row`: what the attackers and the classifier make of T, beside the yardsticks. Keeps each image's figures.

    Without a classifier there is no utility, and the answers are those of one that is always right. `more`: further figures, and arrays to
    keep, of what C saw, of T's line-up and of how alike Z is there, (n, m), None without attackers.
    """
    cfg, data, t = experiment.cfg, experiment.data, experiment.split.t
    resampling = {"seed": cfg.seed, "resamples": cfg.bootstrap}
    z, logits, made = made_of_features(experiment, data.images, t)
    y = targets(data, cfg)[t].numpy() > 0.5
    result: dict[str, Any] = {"checkpoint": True}
    said = torch.from_numpy(y) if logits is None else logits > 0
    result |= {} if logits is None else evaluate.utility(logits, y, experiment.attribute_names, **resampling)
    everyone = {"C": experiment} | experiment.beside
    judged = {name: _judged(other, made, said) for name, other in everyone.items()}
    figures, each = _by_c(judged["C"], torch.from_numpy(y))
    line = lineup(data.identities, experiment.split, cfg.seed)
    alike = feature_scores(line, experiment, experiment.attacker(cfg.attacks[0].name())[0]) if cfg.attacks else None
    further, kept = more(judged["C"], line, alike) if more is not None else ({}, {})
    result |= figures | further
    others = {name: _by_judge(judged[name]) for name in experiment.beside}
    if others:
        result["judges"] = {name: figures for name, (figures, _) in others.items()}
        each |= {f"judges/{name}/{metric}": v for name, (_, own) in others.items() for metric, v in own.items()}
    order = ["face_similarity", "embedding_similarity", "feature_similarity", "ssim", "psnr"]
    each = {m: each[m] for m in order if m in each} | each | kept
    row.save({name: values.float() for name, values in each.items()} | {"t": torch.from_numpy(t)})
    result |= {m: result.pop(m) for m in order if m in result}
    result |= metrics.separability_intervals(z.numpy(), data.identities[t], **resampling)
    return (
        result
        | _who_is_it(judged, line, alike)
        | {
            "measured_on": _measured_on(experiment, attacks),
            "runs": {"encoder": experiment.encoder.id} | {name: run.id for name, run in attacks.items()},
            "config": cfg.flat(),
        }
    )


def _by_c(judged: Judged, y: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The figures of the attackers, those of others than the paper's under `attacks`; and each image's, (N,)."""
    experiment, x, yardsticks, guesses, answers = judged
    cfg = experiment.cfg
    found: dict[str, Any] = {}
    each: dict[str, Tensor] = {}
    for attack in cfg.attacks:
        name, scores = attack.name(), _scores(attack.target, x, y)
        if experiment.beside and attack.target == "image":
            scores |= evaluate.face_scores(x)  # by C's embedding too, as by those of the others
        own = {metric: score(guesses[name]) for metric, score in scores.items()}
        beside, resampling = yardsticks.get(attack.target), {"seed": cfg.seed, "resamples": cfg.bootstrap}
        figures = {m: evaluate.figure(own[m], score, beside, **resampling) for m, score in scores.items()}
        _beyond(found, name, own, scores, answers.get(attack.target), **resampling)
        if name in ("decoder", "features"):  # the paper's
            each, found = each | own, found | figures
        else:
            each |= {f"{name}/{metric}": values for metric, values in own.items()}
            found["attacks"] = found.get("attacks", {}) | {name: figures}
    return found, each


def _by_judge(judged: Judged) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a further judge makes of the same pictures: `face_similarity`, `embedding_similarity`, of other attackers than the paper's
    under `attacks`, its `auc` on these faces and its `middle` layer; and each image's figures, (N,) by their place therein."""
    other, x, yardsticks, guesses, answers = judged
    cfg = other.cfg
    found: dict[str, Any] = {"auc": _checked(other).auc, "middle": other.judge.middle_name}
    each: dict[str, Tensor] = {}
    for attack in (attack for attack in cfg.attacks if attack.target == "image"):
        scores = evaluate.face_scores(x)
        own = {metric: score(guesses[attack.name()]) for metric, score in scores.items()}
        resampling = {"seed": cfg.seed, "resamples": cfg.bootstrap}
        figures = {m: evaluate.figure(own[m], score, yardsticks["image"], **resampling) for m, score in scores.items()}
        _beyond(found, attack.name(), own, scores, answers["image"], **resampling)
        if attack.name() == "decoder":  # the paper's
            found, each = found | figures, each | own
        else:
            found.setdefault("attacks", {})[attack.name()] = figures
            each |= {f"attacks/{attack.name()}/{metric}": values for metric, values in own.items()}
    return found, each


def _beyond(
    found: dict[str, Any],
    attack: str,
    own: dict[str, Tensor],
    scores: dict[str, Score],
    answers: Seen | None,
    **resampling: int,
) -> None:
    """Into `found["answers"]` what the answers alone bring back, and into `found["excess"][attack]` how much more `attack` does."""
    if answers is None:
        return
    floors = {metric: score(answers) for metric, score in scores.items()}
    found.setdefault("answers", {}).update({m: metrics.interval(each, **resampling) for m, each in floors.items()})
    more = {m: metrics.interval(own[m] - each, **resampling) for m, each in floors.items()}
    found.setdefault("excess", {})[attack] = more


def _who_is_it(judged: dict[str, Judged], line: Lineup, alike: np.ndarray | None) -> dict[str, Any]:
    """`identity`: by judge and by what was shown to it, who is recognised; `lineup`: among whom; `agreement` of several judges.

    `alike`: how alike Z is, (n, m), where there is an attacker whose standardisation it has.
    """
    cfg = judged["C"].experiment.cfg
    resampling = {"seed": cfg.seed, "resamples": cfg.bootstrap}
    of_z = {} if alike is None else {"Z": identity.recognition(alike, *line.who, **resampling)}
    found = {name: of_z | _recognised_by(each, line, name == "C", **resampling) for name, each in judged.items()}
    if len(judged) == 1:
        return {"identity": found, "lineup": line.words}
    similar = {
        name: {
            attack.name(): metrics.cosine(each.guesses[attack.name()].embedding, each.x.embedding)
            for attack in cfg.attacks
            if attack.target == "image"
        }
        for name, each in judged.items()
    }
    return {"identity": found, "lineup": line.words, "agreement": agreements(line, similar, **resampling)}


def _recognised_by(judged: Judged, line: Lineup, is_c: bool, **resampling: int) -> dict[str, Any]:
    """Whom one judge recognises: in what attackers made, in the originals (the ceiling), in the mean face and in strangers (the floors).

    What M makes is an embedding of C's: no other judge knows it.
    """
    experiment, x, yardsticks, guesses, answers = judged
    known = np.sort(np.concatenate(experiment.split[1:]))
    embedding, _ = recognised(experiment.data, known, experiment.judge)
    floors = yardsticks["image"]
    comparable = ("image", "embedding") if is_c else ("image",)
    names = [attack.name() for attack in experiment.cfg.attacks if attack.target in comparable]
    shown = {name: guesses[name].embedding for name in names} | {"originals": x.embedding}
    shown |= {"mean face": floors.mean_face.embedding, "stranger": floors.stranger.embedding}
    shown["answers"] = answers["image"].embedding
    return by_embedding(line, shown, embedding[np.searchsorted(known, line.gallery)], "answers", **resampling)


def made_of_features(
    experiment: "Experiment", images: np.ndarray, index: np.ndarray
) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
    """Of `images[index]`: Z flattened (N, D), f's logits (N, A), None without f, and what each attacker makes of Z, on the CPU."""
    cfg, device = experiment.cfg, experiment.device
    encoder, classifier = experiment.networks
    attackers = {attack.name(): experiment.attacker(attack.name()) for attack in cfg.attacks}
    batched: list[dict[str, Tensor]] = []
    with torch.no_grad(), precision(device), initialised(cfg.seed, 9):
        for _, x in batches(images, index, 256, device=device):
            z = encoder(x).float()
            found = {"": z.flatten(1)} | ({" ": classifier(z)} if classifier is not None else {})
            found |= {name: attacker(z) for name, attacker in attackers.items()}
            batched.append({name: value.float().cpu() for name, value in found.items()})
    whole = {name: torch.cat([batch[name] for batch in batched]) for name in batched[0]}
    return whole.pop(""), whole.pop(" ", None), whole


def _scores(target: str, x: Seen, y: Tensor) -> dict[str, Score]:
    if target == "image":
        return evaluate.image_scores(x)
    return evaluate.embedding_scores(x) if target == "embedding" else evaluate.label_scores(y)


def _judged(experiment: "Experiment", made: dict[str, Tensor], said: Tensor) -> Judged:
    """What its judge makes of the images in `made`, by attack, beside yardsticks and what follows from the answers `said` (N, A)."""
    targets_of = {attack.name(): attack.target for attack in experiment.cfg.attacks}
    guesses = {}
    for name, guess in made.items():
        image = targets_of[name] == "image"
        guesses[name] = _seen(experiment, guess) if image else Seen(embedding=guess)
    return Judged(experiment, *_yardsticks(experiment), guesses, _answers(experiment, said))


def _answers(experiment: "Experiment", said: Tensor) -> dict[str, Seen]:
    """What an adversary makes of the answers `said` (N, A) alone, by what is attacked; it learns from the labels of X2."""
    data, x2 = experiment.data, experiment.split.x2
    known = np.sort(np.concatenate(experiment.split[1:]))
    embedding, _ = recognised(data, known, experiment.judge)
    labels = targets(data, experiment.cfg)[x2]
    images = (x for _, x in batches(data.images, x2, 256))
    embeddings = embedding[np.searchsorted(known, x2)].split(256)
    return {
        "image": _seen(experiment, from_answers(labels, images, said).clamp(0, 1)),
        "embedding": Seen(embedding=from_answers(labels, embeddings, said)),
    }


def _seen(experiment: "Experiment", images: Tensor) -> Seen:
    return Seen(images, *seen_by_judge(experiment, images))


def seen_by_judge(experiment: "Experiment", x: Tensor) -> tuple[Tensor, Tensor]:
    """C's embedding and middle layer of images (n, 3, S, S) in [0, 1], in bytes as any picture would be."""
    return embed_all(experiment.judge, (x * 255).round().byte().numpy(), np.arange(len(x)), experiment.device)


def _yardsticks(experiment: "Experiment") -> tuple[Seen, dict[str, Yardsticks]]:
    """T as C sees it, and what could stand for a reconstruction: the mean face of X2, a stranger, another photograph of the person.

    By what is attacked, `image` or `embedding`: without Z the best picture is the mean face, the best embedding the mean embedding.
    """
    data, (_, x2, t) = experiment.data, experiment.split
    known = np.sort(np.concatenate([x2, t]))
    embedding, middle = recognised(data, known, experiment.judge)
    here = torch.from_numpy(np.searchsorted(known, t))
    found = metrics.partners(data.identities[known], here.numpy(), experiment.cfg.seed)
    stranger, same = (torch.from_numpy(rows) for rows in found)
    x = Seen(pictures(data, t), embedding[here], middle[here])
    mean_face = torch.from_numpy(mean_image(data, x2))[None]
    mean_embedding, mean_middle = seen_by_judge(experiment, mean_face)
    of_x2 = torch.from_numpy(np.searchsorted(known, x2))
    nobody = Seen(mean_face.expand_as(x.images), mean_embedding.expand_as(x.embedding), mean_middle.expand_as(x.middle))
    unseen = nobody._replace(embedding=embedding[of_x2].mean(0, keepdim=True).expand_as(x.embedding))
    stranger_seen = Seen(pictures(data, known[stranger]), embedding[stranger], middle[stranger])
    same_seen = Seen(pictures(data, known[same.clamp(min=0)]), embedding[same], middle[same])
    others = stranger_seen, same_seen, stranger >= 0, same >= 0
    return x, {"image": Yardsticks(nobody, *others), "embedding": Yardsticks(unseen, *others)}


def mean_image(data: FaceData, index: np.ndarray) -> np.ndarray:
    """The mean of the images `index`, float32 (3, S, S) in [0, 1]: the best guess without Z."""
    total = np.zeros(data.images.shape[1:], np.float64)
    for start in range(0, len(index), 1024):
        total += data.images[index[start : start + 1024]].sum(0, dtype=np.float64)
    return (total / len(index) / 255).astype(np.float32)


def _checked(experiment: "Experiment") -> Checked:
    """How well its judge tells these people apart, also one that was trained here."""
    return experiment.checked or check(experiment.judge, *experiment.sampled)


def _measured_on(experiment: "Experiment", attacks: "dict[str, Run]") -> dict[str, Any]:
    cfg, others = experiment.cfg, experiment.beside
    decoder = attacks.get("decoder")
    whose = f"{decoder.result['g']} for Dec^a, " if decoder is not None else ""
    return {
        "setting": setting(cfg, experiment.attribute_names),
        "test_set": f"T, {len(experiment.split.t)} images unseen by Enc and attackers, of: {experiment.data.title} "
        f"(split by {cfg.split}, seed {cfg.seed})",
        "g": f"{whose}{experiment.encoder.result['g']} for the simulated Dec",
        "C": f"{_whose(experiment)}, feature similarity by its embedding",
        **({"judges": {name: _whose(other) for name, other in others.items()}} if others else {}),
        "plateau": all(run.result.get("plateau", True) for run in attacks.values()),
    }


def _whose(experiment: "Experiment") -> str:
    """Its judge, how well that tells these people apart, and what it sees by. One trained on faces drawn as these says it in its name."""
    judge, auc = experiment.judge, ""
    if not experiment.cfg.trains_c or experiment.cfg.data != "rendered":
        checked = _checked(experiment)
        auc = f"verification AUC {checked.auc:.3f} on these faces" if checked.auc is not None else checked.line()
    return f"{judge.name}{auc and f' ({auc})'}; face similarity by its {judge.middle_name}"
