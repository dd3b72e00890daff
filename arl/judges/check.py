"""Can this judge judge? g and C are tried on the data's own faces, in seconds and before anything is trained."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

from arl.judges.base import Recogniser, auc, embed_all, pairs
from arl.judges.onnx_file import OnnxRecogniser
from arl.judges.perceptual import Perceptual
from arl.machine import prepare
from arl.messages import ConfigError, UserError, say
from arl.store import Run, obtain, run_id, runs_root

IMAGES, IMAGES_SLOW, PER_PERSON = 300, 120, 4  # of the sample; the fewer for a recogniser of ten images a second
WEAK = 0.7  # a verification AUC below this is said loudly
SATURATED = 0.995  # a mean cosine of strangers above this: the judge sees one face everywhere
FICKLE = 0.2  # of the mean distance from the mean embedding: more between two looks at one face is no rounding
FEEDS = {"[-1, 1]": (0.5, 0.5), "[0, 1]": (0.0, 1.0), "[0, 255]": (0.0, 1 / 255)}  # (mean, std) of the usual inputs


@dataclass(frozen=True)
class Checked:
    """What a recogniser made of a sample of faces.

    images, genuine: photographs, and pairs of one person among them
    auc, middle_auc: of verification by the cosine of embedding and middle layer; None without pairs of both kinds
    same, stranger: mean cosine of one person's pairs and of strangers'; None without such a pair
    """

    images: int
    genuine: int
    auc: float | None
    middle_auc: float | None
    same: float | None
    stranger: float | None

    def line(self) -> str:
        """The same in a few words."""
        if self.auc is None:
            return f"no AUC, as {self.images} faces hold no pair of one person and one of two"
        return (
            f"verification AUC {self.auc:.3f} on {self.images} of these faces "
            f"(cosine {self.same:.2f} for one person, {self.stranger:.2f} for strangers)"
        )


def check(judge: Recogniser, images: np.ndarray, identities: np.ndarray) -> Checked:
    """Try C on some hundred of `images`, uint8 (N, 3, S, S), of `identities` (N,); the result is kept in the store.

    Says what a user should know. Raises `ConfigError` for a judge that cannot judge: numbers that are not finite, no
    spread, all faces alike, or an input range under which it fails while another would do.
    """
    index = sample(identities, wanted(judge))
    faces, who = np.ascontiguousarray(images[index]), np.asarray(identities)[index]
    digest = hashlib.sha256(faces.tobytes() + who.astype("<i8").tobytes()).hexdigest()[:16]
    spec = {"kind": "check", "version": 2, "recogniser": judge.spec, "faces": digest}
    result = _kept(spec, lambda: _try(judge, faces, who))
    if result["fault"]:
        raise ConfigError(f"recogniser: {judge.name} {result['fault']}")
    checked = Checked(**result["checked"])
    for line in _remarks(judge, checked) + result["remarks"]:
        say(f"recogniser: {line}")
    return checked


def _kept(spec: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result that `spec` defines: found in the store, or made, and kept where the store can be written."""
    found = Run(runs_root() / run_id(spec)).result
    if found is None or not {"fault", "remarks", "checked"} <= set(found):
        found = make()
        with suppress(UserError):
            obtain(spec, lambda _: found)
    return found


def wanted(judge: Recogniser) -> int:
    """How many photographs `judge` is tried on, at most."""
    return IMAGES_SLOW if getattr(judge, "slow", False) else IMAGES


def sample(identities: np.ndarray, count: int) -> np.ndarray:
    """Rows of up to `count` photographs, sorted, `PER_PERSON` of a person: first of people with several, drawn by a fixed seed."""
    identities = np.asarray(identities)
    people, where, photographs = np.unique(identities, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(0xC4EC)
    order = rng.permutation(len(people))
    rank = np.empty(len(people), np.int64)
    rank[order[np.argsort(photographs[order] < 2, kind="stable")]] = np.arange(len(people))
    shuffled = rng.permutation(len(identities))
    by_person = shuffled[np.argsort(rank[where[shuffled]], kind="stable")]
    ranks = rank[where[by_person]]
    place = np.arange(len(ranks)) - np.searchsorted(ranks, ranks)  # how many of the person came before
    return np.sort(by_person[place < PER_PERSON][:count])


def _try(judge: Recogniser, faces: np.ndarray, who: np.ndarray) -> dict[str, Any]:
    """`checked`, `remarks` and, for a judge that cannot judge, what its `fault` is."""
    embedding, middle = embed_all(judge, faces, np.arange(len(faces)), prepare())
    fault = _fault(embedding, "embeddings") or _fault(middle, "middle layers") or _fickle(judge, faces, embedding)
    if fault:
        return {"fault": fault, "remarks": [], "checked": None}
    checked = _measure(embedding, middle, who)
    fault, remarks = "", []
    if isinstance(judge, OnnxRecogniser) and _doubtful(checked):
        fault, remarks = _other_feeds(judge, checked, faces, who)
    if not fault and (checked.stranger or 0) > SATURATED:
        fault = _alike(checked)
    return {"fault": fault, "remarks": remarks, "checked": asdict(checked)}


def _fault(features: Tensor, name: str) -> str:
    """Why `features` (n, d) cannot be compared at all; empty where they can."""
    if not features.isfinite().all():
        return f"gives {name} that are not finite for these faces, accepted: numbers"
    if not features.norm(dim=1).isfinite().all():
        return f"gives {name} of {float(features.abs().amax()):.0e}, too large to compare, accepted: numbers whose squares can be added"
    if features.shape[1] < 2:
        return f"gives {name} of one number, accepted: two or more"
    if len(features) > 1 and not (features.std(0) > 1e-6 * (features.abs().amax() + 1e-12)).any():
        return f"gives the same {name} for every face, accepted: a recogniser that tells faces apart"
    return ""


def _fickle(judge: Recogniser, faces: np.ndarray, embedding: Tensor) -> str:
    """Why the first faces are embedded otherwise without the others, as by chance or by their batch; empty where they are not."""
    if len(faces) < 3:
        return ""
    again, _ = embed_all(judge, faces[:2], np.arange(2), prepare())
    spread = (embedding - embedding.mean(0)).norm(dim=1).mean()
    if (again - embedding[:2]).norm(dim=1).max() <= FICKLE * spread:
        return ""
    return "gives one face another embedding when it is asked again, accepted: a graph without dropout, noise or statistics of its batch"


def _measure(embedding: Tensor, middle: Tensor, who: np.ndarray) -> Checked:
    same, cosine = pairs(embedding, who)
    both = same.any() and not same.all()
    return Checked(
        images=len(who),
        genuine=int(same.sum()),
        auc=auc(same, cosine) if both else None,
        middle_auc=auc(*pairs(middle, who)) if both else None,
        same=float(cosine[same].mean()) if same.any() else None,
        stranger=float(cosine[~same].mean()) if not same.all() else None,
    )


def _doubtful(checked: Checked) -> bool:
    return (checked.stranger or 0) > 0.9 or (checked.auc is not None and checked.auc < 0.85)


def _alike(checked: Checked) -> str:
    return f"finds all faces alike (mean cosine of strangers {checked.stranger:.4f}), accepted: another input range (metadata mean, std)"


def _other_feeds(judge: OnnxRecogniser, checked: Checked, faces: np.ndarray, who: np.ndarray) -> tuple[str, list[str]]:
    """A fault or remarks, where another range of input values suits the file better than the one that it gets."""
    own = judge.mean, judge.std
    found: dict[str, Checked] = {}
    for name, (judge.mean, judge.std) in FEEDS.items():
        if np.allclose((judge.mean, judge.std), own, atol=1e-3):
            continue
        embedding, middle = embed_all(judge, faces, np.arange(len(faces)), torch.device("cpu"))
        if _fault(embedding, ""):
            continue
        other = _measure(embedding, middle, who)
        if (other.stranger or 0) <= SATURATED:
            found[name] = other
    judge.mean, judge.std = own
    if not found or checked.auc is None:
        return "", []
    best = max(found, key=lambda name: found[name].auc or 0)
    better = found[best].auc
    mean, std = FEEDS[best]
    metadata = f"metadata mean={mean:.6g}, std={std:.6g} (values in {best})"
    if (checked.auc < WEAK and better >= checked.auc + 0.05) or checked.stranger > SATURATED:
        return (
            f"cannot tell people apart as it is fed (AUC {checked.auc:.3f}, cosine of strangers {checked.stranger:.3f}), "
            f"accepted: the file with {metadata}, where it has {better:.3f}"
        ), []
    if better > checked.auc + 0.02:
        return "", [f"{metadata} would suit {judge.name} better: AUC {better:.3f}, as it is fed {checked.auc:.3f}"]
    return "", []


def _remarks(judge: Recogniser, checked: Checked) -> list[str]:
    lines = []
    if checked.auc is None:
        lines.append(f"{judge.name}: {checked.line()}; whether it knows people cannot be said")
    elif checked.auc < WEAK:
        lines.append(
            f"WARNING: {judge.name} hardly tells these people apart, {checked.line()}: do not trust its similarities"
        )
    elif checked.middle_auc is not None and checked.middle_auc < WEAK <= checked.auc:
        lines.append(
            f"WARNING: the middle layer of {judge.name} hardly tells these people apart (verification AUC "
            f"{checked.middle_auc:.3f}, its embedding {checked.auc:.3f}): do not trust face similarity by it"
        )
    if "no layer" in judge.middle_name:
        lines.append(f"{judge.name}: the middle layer is the {judge.middle_name}")
    return lines


@torch.no_grad()
def check_perceptual(g: Perceptual | None, images: np.ndarray, count: int = 32) -> None:
    """Try g on up to `count` of `images`, uint8 (N, 3, S, S); raises `ConfigError` for maps not finite or without spread."""
    if g is None:
        return
    index = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
    x = torch.from_numpy(images[np.unique(index)]).to(g.scale.device).float() / 255
    for number, layer in enumerate(g(x), 1):
        if not layer.isfinite().all():
            found = "numbers that are not finite"
        elif len(layer) > 1 and F.mse_loss(layer, layer.roll(1, 0)) <= 1e-12 * layer.square().mean() + 1e-20:
            found = "the same map for every face"
        else:
            continue
        raise ConfigError(f"perceptual: {g.name} gives {found} at conv{number}, accepted: weights of a trained network")
