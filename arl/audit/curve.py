"""How much of the leak is the adversary's hunger: what the best reader in closed form gets of T from fewer and from more images, where that
leads, and how few pairs suffice.

Images are of people who are not in T, of whom there can be more and more: fresh drawings for drawings, else those of the adversary's. A
run of the store beside the audit's, so an audit that was finished before there were curves gets one when it is asked for again.
"""

from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl.attacks import Attack
from arl.attacks.leaked import Leaked
from arl.audit.controls import Known
from arl.audit.law import AHEAD, POINTS, fit_law, resampled_means
from arl.data import batches, open_extra
from arl.experiment import Experiment
from arl.feeds import Owned
from arl.judges.known import recognised
from arl.measure import seen_by_judge
from arl.messages import say
from arl.metrics import cosine, interval
from arl.plateau import CACHE_BYTES
from arl.store import Run, obtain, run_id
from arl.training import Nowhere, generator, initialised, precision

CLOSED = ("ridge", "kernelridge", "retrieval")  # readers in closed form: the best on held-out X2 is asked
FRESH = 2  # drawings of strangers, times the images that the adversary owns; a tenth of them tells the reader its width
HALVES = 4  # from all images down to a sixteenth of them
PAIRS = (1, 10, 100, 1000)  # that leaked
TOLERANCE = 0.02  # of face similarity: a leak that all images in the world raise by less is called saturated


def curve_spec(audit: Run) -> dict[str, Any]:
    return {"kind": "curve", "version": 1, "audit": audit.id}


def stored_curve(audit: Run) -> Run | None:
    """The finished curve of an audit, if there is one."""
    run = Run(audit.folder.with_name(run_id(curve_spec(audit))))
    return run if run.result is not None else None


def curve(audit: Run, experiment: Experiment) -> Run | None:
    """Found or made; None where the audit has no reader in closed form."""
    held, names = audit.result["held_out"], [attack.name() for attack in experiment.cfg.attacks]
    readers = [name for name in CLOSED if name in names]
    if not readers:
        return None
    best = max(readers, key=lambda name: held[name]["face_similarity"])
    attack = next(attack for attack in experiment.cfg.attacks if attack.name() == best)
    return obtain(curve_spec(audit), lambda run: _measured(run, audit, experiment, attack))


def _measured(run: Run, audit: Run, experiment: Experiment, attack: Attack) -> dict[str, Any]:
    """`attack`; `budgets` and `pairs`: face similarity on T by the number of images or of pairs, as text; `law`; `answers`, the floor."""
    cfg, pool = experiment.cfg, _strangers(experiment)
    say(f"{run.id}  {attack.name()} with fewer and more images, and {', '.join(map(str, PAIRS))} leaked pairs")
    ns = _budgets(len(pool.owned.learns), cfg.batch_size) if len(pool.owned.held_out) else []
    found: dict[str, Any] = {"attack": attack.name(), "budgets": {}, "law": None}
    found["answers"] = audit.result.get("answers", {}).get("face_similarity")
    z, known = _encoded(experiment, experiment.split.t), _known(pool) if ns else None
    scores = np.zeros((len(ns), len(experiment.split.t)))
    for k, n in enumerate(ns):
        scores[k] = _alike(_with(pool, n, known), attack, z)
    found |= _led(ns, scores, experiment) if ns else {}
    found["pairs"] = {
        str(n): interval(_alike(experiment, Leaked(pairs=n), z), seed=cfg.seed, resamples=cfg.bootstrap)
        for n in PAIRS
        if n <= len(experiment.owned.learns)
    }
    run.save({"face_similarity": torch.from_numpy(scores)}, result={"checkpoint": True} | found)
    return {"checkpoint": True} | found


def _led(ns: list[int], scores: np.ndarray, experiment: Experiment) -> dict[str, Any]:
    """`budgets`, and `law` where there are enough of them, from face similarities (k, N)."""
    people, cfg = experiment.data.identities[experiment.split.t], experiment.cfg
    draws = resampled_means([scores], [people], cfg.bootstrap, cfg.seed)
    points = zip(ns, scores.mean(1).tolist(), *np.percentile(draws, [2.5, 97.5], axis=0).tolist(), strict=True)
    found: dict[str, Any] = {"budgets": {str(n): {"value": v, "low": low, "high": high} for n, v, low, high in points}}
    if len(ns) >= POINTS:
        law = fit_law(ns, scores.mean(1), np.cov(draws.T), bound=1.0, seed=cfg.seed)
        found["law"] = {"limit": law.limit, "more": law.more, "ahead": law.measured_at(AHEAD), "b": law.b}
        found["law"] |= {"n": AHEAD, "tolerance": TOLERANCE, "verdict": law.verdict(TOLERANCE)}
    return found


def _strangers(experiment: Experiment) -> Experiment:
    """The same adversary with the images that the curve is counted in."""
    cfg, owned = experiment.cfg, experiment.owned
    if cfg.data == "rendered" and cfg.extra == "none":
        fresh = cfg.replace(extra="instead", extra_source="standard", extra_images=FRESH * len(owned.all))
        return _owning(experiment, Owned.of(experiment.data, open_extra(fresh), experiment.split.x2, fresh))
    tested = experiment.data.identities[experiment.split.t]
    learns, held = (rows[~np.isin(owned.data.identities[rows], tested)] for rows in (owned.learns, owned.held_out))
    return _owning(experiment, Owned(owned.data, learns, held))


def _budgets(images: int, batch: int) -> list[int]:
    """All images that an attacker sees, whole batches of them, and before them a half, a quarter, …, each once; none below a batch."""
    whole = images // batch * batch
    if not whole:
        return []
    return sorted({max(batch, whole // 2**k // batch * batch) for k in range(HALVES + 1)})


def _owning(experiment: Experiment, owned: Owned) -> Experiment:
    other = copy(experiment)
    other.owned = owned
    other.__dict__.pop("_seen", None)  # what a file's encoder made of others
    return other


def _known(experiment: Experiment) -> Tensor | None:
    """Z (2, n, ...) of the adversary's images and of their mirror images, once for all budgets; None where it is too large."""
    encoder, images, rows = experiment.networks[0], experiment.owned.data.images, experiment.owned.all
    found: list[Tensor] = []
    with torch.no_grad(), precision(experiment.device), initialised(experiment.cfg.seed, 8):
        for _, x in batches(images, rows, 256, device=experiment.device):
            found.append(torch.stack([encoder(x).float(), encoder(x.flip(-1)).float()]))
            if 4 * found[0][:, 0].numel() * len(rows) > CACHE_BYTES:
                return None
    return torch.cat(found, 1)


def _with(experiment: Experiment, n: int, known: Tensor | None = None) -> Experiment:
    """The same adversary with `n` of its images, the first of more; the images that choose for it stay. `known`: what `_known` gives."""
    whole = experiment.owned
    order = torch.randperm(len(whole.learns), generator=generator(experiment.cfg.seed, 0xF3))[:n].sort().values
    other = _owning(experiment, Owned(whole.data, whole.learns[order.numpy()], whole.held_out))
    if known is not None:
        rows = torch.cat([order, torch.arange(len(whole.learns), len(whole.all))]).to(known.device)
        other.standardised = lambda: Known(known[:, rows])
    return other


def _alike(experiment: Experiment, attack: Attack, z: list[Tensor]) -> np.ndarray:
    """C's face similarity (N,) of what `attack`, having learned, makes of T, `z` by batches; nothing of it is stored."""
    player, features, _ = experiment.trained(Nowhere(), attack, None)
    net, t = player.net.eval(), experiment.split.t
    with torch.no_grad(), precision(experiment.device), initialised(experiment.cfg.seed, 9):
        made = torch.cat([net(features.standardise(part)).float().cpu() for part in z])
    return (
        cosine(seen_by_judge(experiment, made)[1], recognised(experiment.data, t, experiment.judge)[1]).double().numpy()
    )


def _encoded(experiment: Experiment, index: np.ndarray) -> list[Tensor]:
    """Z of the images `index`, by batches."""
    shown = batches(experiment.data.images, index, 256, device=experiment.device)
    with torch.no_grad(), precision(experiment.device), initialised(experiment.cfg.seed, 9):
        return [experiment.networks[0](x).float() for _, x in shown]
