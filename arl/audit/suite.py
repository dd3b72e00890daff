"""The suite: which attackers in which order, with which budgets, and an audit as a run of the store, found, resumed or made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arl import gate, inputs
from arl.attacks import Attack
from arl.audit import beside
from arl.audit.compare import refuse_unlike, terms_of, terms_of_experiment
from arl.audit.controls import control_runs, controls
from arl.audit.curve import CLOSED, curve, stored_curve
from arl.audit.foreign import Foreign
from arl.audit.target import Target, load_target
from arl.audit.worst import arrays_of, choose_attackers, of_arrays
from arl.config import PRESETS, RunConfig
from arl.experiment import Experiment
from arl.gradients import gives_gradients
from arl.judges import embed_all
from arl.lineup import Lineup
from arl.measure import Judged, made_of_features, measure_row, seen_by_judge
from arl.messages import ConfigError, say
from arl.metrics import cosine, psnr
from arl.parameters import named, names
from arl.store import Run, UnknownRunError, find_run, obtain, run_id, stored

SUITE = "4"  # raised whenever an attacker, its place, its budget, the split or the choice of the strongest changes
ATTACKERS = ("mean", "ridge", "kernelridge", "retrieval", "bits", "decoder", "whitened")
ATTACKERS += ("identity", "refined", "probe", "features")
BUDGETS = {"refined": {"steps": 16}}  # where not the defaults: a ResNet-18 at 64 pixels takes some 10 minutes for these
SMALLEST, LARGEST = 48, 64  # pixels a side of the faces, unless they are set
STEP = 16  # of which the sides of faces are multiples
# What may be set and two audits still compare, as long as they say the same here: where faces come from, and who judges.
COMPARABLE = {"data", "data_root", "data_seed", "damaged", "recogniser", "seed", "image_size"}
OF_ENCODERS = ("encoder", "encoder_weights", "layer", "defence", "augmentation", "dropout", "weight_decay", "cuts")
OF_ENCODERS += ("epochs", "lr", "warm", "lr_again")
# Ways to attack for which the suite has no attacker, in words.
NOT_THERE = (
    "several photographs of one person together",
    "more and more images, until the leak no longer grows",
)
WAYS = {"refined": "gradients through the encoder itself", "search": "a search in a generator of faces"}
# Nobody of T is known to an adversary, nor anybody by whom the strongest is chosen: else who knows people by heart is.
SPLIT = {"x1": 2, "x2": 0.7, "split": "identity", "held_out": "identity"}


@dataclass(frozen=True, eq=False)
class Audit:
    """A finished audit. `result`: as a row's (`arl.row.Row`), without utility where there is no classifier; and `audit`, `held_out`,
    `strongest`, `controls`. `curve`: the run that says what fewer images and few pairs suffice for, None where it was not made."""

    run: Run
    config: RunConfig
    result: dict[str, Any]
    curve: Run | None = None


def budget(image_size: int) -> dict[str, int]:
    """Epochs of an attacker that trains, at most: 60 at 48 pixels, as many pixels in all at other sizes. A plateau ends it earlier."""
    return {"attack_epochs": max(10, min(60, round(60 * (48 / image_size) ** 2)))}


def audit(
    target: str,
    settings: Mapping[str, Any] | None = None,
    *,
    preset: str = "quick",
    size: str = "",
    mean: str = "",
    std: str = "",
    against: Audit | None = None,
) -> Audit:
    """The suite against `target`: an id of a row or an encoder, or a file; or the audit of that id. Raises `UserError` before anything is
    trained, as where what is found will not compare with the audit `against`.

    `settings`: parameters of `RunConfig`, of a file only. `size`, `mean`, `std`: as `load_target`.
    """
    settings, options = dict(settings or {}), {"size": size, "mean": mean, "std": std}
    if (run := stored_target(target)) is not None and run.spec["kind"] == "audit":
        _refuse_given(settings | options)
        found = stored_audit(target, "TARGET")
        if against is not None:
            refuse_unlike(terms_of(found), terms_of(against))
        return found
    experiment, about = experiment_of(target, settings, preset, options)
    experiment.check()
    if against is not None:
        refuse_unlike(terms_of_experiment(experiment, about), terms_of(against))
    return of_experiment(experiment, about)


def stored_audit(id: str, name: str = "--against") -> Audit:
    """The finished audit that `id` names. Raises `ConfigError` for another run, or for one that is not finished; `name`: where it stood."""
    run = find_run(id)
    if run.spec["kind"] != "audit" or run.result is None:
        raise ConfigError(
            f"{name}: found {run.id}, accepted: the id of a finished audit, which stands in its first line"
        )
    return Audit(run, RunConfig(**run.result["config"]), run.result, stored_curve(run))


def experiment_of(
    target: str, settings: dict[str, Any], preset: str, options: dict[str, str]
) -> tuple[Experiment, dict[str, Any]]:
    """The experiment that an audit attacks, and what an audit says of it: `suite`, what was `changed` of it, its `target`."""
    run = stored_target(target)
    if run is None:
        return _of_file(target, settings, preset, options)
    _refuse_given(settings | options)
    row = _row_of(run)
    cfg = RunConfig(**row.result["config"]).replace(attacks=_attackers())
    (cfg,) = gate.ready([cfg], opening=False)
    encoder = Run(run.folder.with_name(row.result["runs"]["encoder"]))
    about = {"suite": SUITE, "changed": ["faces and split of the row"], "target": {"run": encoder.id}}
    return Experiment(cfg, {"encoder": encoder}), about


def _refuse_given(settings: dict[str, Any]) -> None:
    if given := [name for name, value in settings.items() if value != ""]:
        raise ConfigError(
            f"{given[0]}: found with a stored run, accepted: with a file; a run has its own faces and sizes"
        )


def stored_target(target: str) -> Run | None:
    """The run whose id `target` is; None where it is a file, or looks like one."""
    try:
        return None if "/" in target or "." in target or Path(target).is_file() else find_run(target)
    except UnknownRunError:
        if not target.rpartition("-")[0]:
            return None
        raise


def _row_of(run: Run) -> Run:
    """The row itself, or one that was measured on the encoder `run`: rather one whose adversary has no extra data."""
    if run.result is None:
        raise ConfigError(f"TARGET: found {run.id}, which is not finished, accepted: a finished row or encoder")
    if run.spec["kind"] == "row":
        return run
    rows = [
        r for r in stored(run.folder.parent) if r.spec["kind"] == "row" and r.spec["encoder"] == run.id and r.result
    ]
    if rows:
        return min(rows, key=lambda row: (row.result["config"]["extra"] != "none", row.id))
    raise ConfigError(f"TARGET: found {run.id}, accepted: a row, an encoder that a row was measured on, or a file")


def _of_file(
    path: str, settings: dict[str, Any], preset: str, options: dict[str, str]
) -> tuple[Experiment, dict[str, Any]]:
    found = load_target(inputs.anchored_path("TARGET", path), **options)
    own = {name: value for name, value in PRESETS[preset].items() if name not in SPLIT}
    given = {name: value for name, value in settings.items() if value != ""}
    side = int(
        own.get("image_size", STEP * min(max(-(-max(found.spec.size) // STEP), SMALLEST // STEP), LARGEST // STEP))
    )
    cfg = inputs.configuration(preset, {**SPLIT, "image_size": side, "attacks": _attackers(), **given})
    if "attack_epochs" not in {**own, **given}:
        cfg = cfg.replace(**budget(cfg.image_size))
    if cfg.split == "image" and "x1" not in given:
        cfg = cfg.replace(x1=cfg.batch_size)  # as the gate wants it, though nobody learns from it
    for name, when in _idle(cfg).items():
        if name in given:
            raise ConfigError(f"{name}: found {given[name]!r} without effect, accepted: with {when}")
    cfg = _without_gradients(cfg, found, path.rpartition("/")[2])
    (cfg,) = gate.ready([cfg], opening=False)
    changed = sorted(
        {name for name in given if name not in COMPARABLE} | ({f"preset {preset}"} if preset != "quick" else set())
    )
    return Foreign(cfg, found), {"suite": SUITE, "changed": changed, "target": _about(path, found)}


def _without_gradients(cfg: RunConfig, target: Target, name: str) -> RunConfig:
    """`cfg` without its white-box attackers where `target` gives no gradients, in one line; as it is where it has no others."""
    holders = [attack.name() for attack in cfg.attacks if attack.white_box]
    if len(holders) in (0, len(cfg.attacks)) or gives_gradients(target, cfg.image_size):
        return cfg
    say(f"{name}: gives no gradients; the audit goes on without {', '.join(holders)}")
    return cfg.replace(attacks=tuple(attack for attack in cfg.attacks if not attack.white_box))


def _idle(cfg: RunConfig) -> dict[str, str]:
    """What changes nothing in an audit of a file, whose encoder is trained already; and with what it would."""
    shared = {name for attack in cfg.attacks for name in type(attack).model_fields}
    theirs = [name for name in type(cfg.defence).model_fields if name not in shared]
    return inputs.idle(cfg) | dict.fromkeys((*OF_ENCODERS, *theirs), "arl run, which trains an encoder")


def _attackers() -> tuple[Attack, ...]:
    return tuple(named(Attack, name)(**BUDGETS.get(name, {})) for name in ATTACKERS)


def _about(path: str, target: Target) -> dict[str, Any]:
    return {
        "file": path.rpartition("/")[2],
        **{n: list(v) if isinstance(v, tuple) else v for n, v in target.spec._asdict().items()},
    }


def of_experiment(experiment: Experiment, about: dict[str, Any]) -> Audit:
    """Every attacker's run, found or made in the order of the suite, and the audit's."""
    cfg = experiment.cfg
    spec = {k: v for k, v in experiment.row_spec.items() if k != "version"} | {"kind": "audit", "version": 2}
    spec |= {"suite": about["suite"], "controls": control_runs(experiment)}
    found = Run(experiment.encoder.folder.with_name(run_id(spec)))
    missing = [
        a.name() for a in cfg.attacks if Run(found.folder.with_name(run_id(experiment.attack_spec(a)))).result is None
    ]
    if found.result is None:
        say(f"{found.id}  suite {SUITE}: {len(cfg.attacks)} attackers, to be made: {', '.join(missing) or 'none'}")
    with beside.shared(experiment):
        attacks = experiment.attacked()
        run = obtain(spec, lambda run: _measured(run, experiment, attacks, about))
        return Audit(run, cfg, run.result | {"audit": about}, curve(run, experiment))


def _measured(run: Run, experiment: Experiment, attacks: dict[str, Run], about: dict[str, Any]) -> dict[str, Any]:
    held = on_held_out(experiment)
    chosen = choose_attackers(held)

    def worst(judged: Judged, line: Lineup, alike: np.ndarray | None) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        arrays = arrays_of(judged, line, alike)
        figures = of_arrays(arrays, chosen, seed=experiment.cfg.seed, resamples=experiment.cfg.bootstrap)
        return {"worst": figures}, {f"worst/{name}": each for name, each in arrays.items()}

    result = measure_row(run, experiment, attacks, worst)
    if "file" in about["target"]:
        on = result["measured_on"]
        on["test_set"] = on["test_set"].replace("unseen by Enc and attackers", "unseen by attackers")
        shape = "×".join(map(str, about["target"]["shape"]))
        on["setting"] = f"{about['target']['format']} {about['target']['sha256'][:12]}, Z of {shape}"
    strongest = max(held, key=lambda name: held[name].get("face_similarity", -2.0))
    tried = {
        "effort": {name: _effort(experiment, each) for name, each in attacks.items()},
        "not_tried": _not_tried(attacks),
    }
    return result | {"audit": about, "held_out": held, "strongest": strongest, "controls": controls(experiment)} | tried


def _effort(experiment: Experiment, attack: Run) -> dict[str, float]:
    """What an attack cost: images that it learned from, numbers that it holds, and seconds, too many where it was interrupted."""
    held = sum(tensor.numel() for name, tensor in attack.load()[0].items() if name.startswith("model/"))
    return {"images": len(experiment.owned.learns), "parameters": held, "seconds": round(attack.seconds, 1)}


def _not_tried(attacks: dict[str, Run]) -> list[str]:
    """The attackers of ours that neither suite nor curve tries, by name, and the ways to attack for which there is none."""
    tried = {*attacks} | ({"leaked"} if {*CLOSED} & {*attacks} else set())
    ours = [n for n in names(Attack) if named(Attack, n).__module__.startswith("arl.attacks.") and n not in tried]
    return [*(WAYS.get(name, f"the attacker {name}") for name in sorted(ours)), *NOT_THERE]


def on_held_out(experiment: Experiment) -> dict[str, dict[str, float]]:
    """What each attacker tells of the faces of X2 that it did not learn from.

    Of images: face similarity, by C's middle layer, and PSNR in dB; of embeddings: their similarity to C's, and what the best constant has.
    """
    owned, judge, device = experiment.owned, experiment.judge, experiment.device
    images, index = owned.data.images, owned.held_out
    embedding, middle = embed_all(judge, images, index, device)
    x = torch.from_numpy(images[index]).float() / 255
    attacks = [attack for attack in experiment.cfg.attacks if attack.target != "label"]
    _, _, made = made_of_features(experiment, images, index)
    found = {}
    for attack in attacks:
        guess = made[attack.name()]
        if attack.target == "embedding":
            pairs = {"embedding_similarity": guess, "constant": embedding.mean(0, keepdim=True)}
            found[attack.name()] = {key: cosine(each, embedding).mean().item() for key, each in pairs.items()}
            continue
        _, seen = seen_by_judge(experiment, guess)
        similar, near = cosine(seen, middle).mean().item(), psnr(guess, x).mean().item()
        found[attack.name()] = {"face_similarity": similar, "psnr": near}
    return found
