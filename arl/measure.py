"""How a row is measured on T: what the attackers and the classifier make of it, as the judges see it. Opens nothing itself."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from arl import evaluate, metrics
from arl.config import setting
from arl.data import FaceData, batches, pictures, targets
from arl.evaluate import Score, Seen, Yardsticks
from arl.judges import embed_all
from arl.judges.known import recognised
from arl.training import initialised, precision

if TYPE_CHECKING:
    from arl.experiment import Experiment
    from arl.store import Run


def measure_row(row: "Run", experiment: "Experiment", attacks: "dict[str, Run]") -> dict[str, Any]:
    """The result of `row`: what the attackers and the classifier make of T, beside the yardsticks. Keeps each image's figures."""
    cfg, data, t = experiment.cfg, experiment.data, experiment.split.t
    resampling = {"seed": cfg.seed, "resamples": cfg.bootstrap}
    z, logits, guesses = _on_test_set(experiment)
    x, yardsticks = _yardsticks(experiment)
    y = targets(data, cfg)[t].numpy() > 0.5
    result: dict[str, Any] = {"checkpoint": True}
    result |= evaluate.utility(logits, y, experiment.attribute_names, **resampling)
    each: dict[str, Tensor] = {}
    for attack in cfg.attacks:
        name, scores, beside = attack.name(), _scores(attack.target, x, torch.from_numpy(y)), yardsticks
        guess = _seen(experiment, attack.target, guesses[name])
        beside = None if attack.target == "label" else yardsticks
        own = {metric: score(guess) for metric, score in scores.items()}
        figures = {m: evaluate.figure(own[m], score, beside, **resampling) for m, score in scores.items()}
        if name in ("decoder", "features"):  # the paper's
            each, result = each | own, result | figures
        else:
            each |= {f"{name}/{metric}": values for metric, values in own.items()}
            result["attacks"] = result.get("attacks", {}) | {name: figures}
    order = ["face_similarity", "feature_similarity", "ssim", "psnr"]
    each = {m: each[m] for m in order if m in each} | each
    row.save({name: values.float() for name, values in each.items()} | {"t": torch.from_numpy(t)})
    result |= {m: result.pop(m) for m in order if m in result}
    result |= metrics.separability_intervals(z.numpy(), data.identities[t], **resampling)
    return result | {
        "measured_on": _measured_on(experiment, attacks),
        "runs": {"encoder": experiment.encoder.id} | {name: run.id for name, run in attacks.items()},
        "config": cfg.flat(),
    }


def _on_test_set(experiment: "Experiment") -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Z flattened (N, D), f's logits (N, A), and what each attacker makes of Z, on the CPU."""
    cfg, device = experiment.cfg, experiment.device
    encoder, classifier = experiment.networks
    attackers = {attack.name(): experiment.attacker(attack.name()) for attack in cfg.attacks}
    batched: list[dict[str, Tensor]] = []
    with torch.no_grad(), precision(device), initialised(cfg.seed, 9):
        for _, x in batches(experiment.data.images, experiment.split.t, 256, device=device):
            z = encoder(x).float()
            found = {"": z.flatten(1), " ": classifier(z)} | {name: attacker(z) for name, attacker in attackers.items()}
            batched.append({name: value.float().cpu() for name, value in found.items()})
    whole = {name: torch.cat([batch[name] for batch in batched]) for name in batched[0]}
    return whole.pop(""), whole.pop(" "), whole


def _scores(target: str, x: Seen, y: Tensor) -> dict[str, Score]:
    if target == "image":
        return evaluate.image_scores(x)
    return evaluate.embedding_scores(x) if target == "embedding" else evaluate.label_scores(y)


def _seen(experiment: "Experiment", target: str, guess: Tensor) -> Seen:
    """A guess as the scores want it: an image is looked at by C."""
    if target != "image":
        return Seen(embedding=guess)
    embedding, middle = _look(experiment, guess)
    return Seen(guess, embedding, middle)


def _look(experiment: "Experiment", x: Tensor) -> tuple[Tensor, Tensor]:
    """C's embedding and middle layer of images (n, 3, S, S) in [0, 1], in bytes as any picture would be."""
    return embed_all(experiment.judge, (x * 255).round().byte().numpy(), np.arange(len(x)), experiment.device)


def _yardsticks(experiment: "Experiment") -> tuple[Seen, Yardsticks]:
    """T as C sees it, and what could stand for a reconstruction: the mean face of X2, a stranger, another photograph of the person."""
    data, (_, x2, t) = experiment.data, experiment.split
    known = np.sort(np.concatenate([x2, t]))
    embedding, middle = recognised(data, known, experiment.judge)
    here = torch.from_numpy(np.searchsorted(known, t))
    found = metrics.partners(data.identities[known], here.numpy(), experiment.cfg.seed)
    stranger, same = (torch.from_numpy(rows) for rows in found)
    x = Seen(pictures(data, t), embedding[here], middle[here])
    mean_face = torch.from_numpy(mean_image(data, x2))[None]
    _, mean_middle = _look(experiment, mean_face)
    of_x2 = torch.from_numpy(np.searchsorted(known, x2))
    nobody = Seen(
        mean_face.expand_as(x.images),
        embedding[of_x2].mean(0, keepdim=True).expand_as(x.embedding),
        mean_middle.expand_as(x.middle),
    )
    stranger_seen = Seen(pictures(data, known[stranger]), embedding[stranger], middle[stranger])
    same_seen = Seen(pictures(data, known[same.clamp(min=0)]), embedding[same], middle[same])
    return x, Yardsticks(nobody, stranger_seen, same_seen, stranger >= 0, same >= 0)


def mean_image(data: FaceData, index: np.ndarray) -> np.ndarray:
    """The mean of the images `index`, float32 (3, S, S) in [0, 1]: the best guess without Z."""
    total = np.zeros(data.images.shape[1:], np.float64)
    for start in range(0, len(index), 1024):
        total += data.images[index[start : start + 1024]].sum(0, dtype=np.float64)
    return (total / len(index) / 255).astype(np.float32)


def _measured_on(experiment: "Experiment", attacks: "dict[str, Run]") -> dict[str, Any]:
    cfg, judge = experiment.cfg, experiment.judge
    decoder = attacks.get("decoder")
    whose = f"{decoder.result['g']} for Dec^a, " if decoder is not None else ""
    return {
        "setting": setting(cfg, experiment.attribute_names),
        "test_set": f"T, {len(experiment.split.t)} images unseen by Enc and attackers, of: {experiment.data.title} "
        f"(split by {cfg.split}, seed {cfg.seed})",
        "g": f"{whose}{experiment.encoder.result['g']} for the simulated Dec",
        "C": f"{judge.name}{_auc(experiment)}; face similarity by its {judge.middle_name}, feature similarity by its embedding",
        "plateau": all(run.result.get("plateau", True) for run in attacks.values()),
    }


def _auc(experiment: "Experiment") -> str:
    """How well a C from elsewhere tells these people apart; the one that is trained here says it in its name."""
    if (checked := experiment.checked) is None:
        return ""
    return (
        f" (verification AUC {checked.auc:.3f} on these faces)" if checked.auc is not None else f" ({checked.line()})"
    )
