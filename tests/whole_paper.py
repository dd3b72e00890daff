"""What the three tables of the paper would take at the measured rates: composed, not run.

    ours  = N / import + Σ shared first epochs: W · n1 / (6) + Σ encoders: (E − W) · n1 / step
            + Σ attacks: n2 / encode + A · n2 / epoch + Σ rows: T / evaluation
    plain = Σ rows: W · n1 / (6) + (E − W) · n1 / step + A · n2 / epoch of Dec^a + A · n2 / epoch of M + T / evaluation

Rates are images a second, each of its own side: `step` is that of (6), of (9), or of (9) with g, `epoch` that of the row's attacker. Ours
sums over what is different: 18 encoders and their first epochs, the attacks on them, the 29 rows; the straightforward way trains every
row from its beginning. N, n1, n2 and T are the images of the preset, E its epochs, W those before the defence enters; A is `EPOCHS`. In
neither is the drawing of faces, C, and the notebooks; seconds are of one core.

    floor = Σ operations of ours / what a plain convolution reaches
"""

import json
from typing import Any

from arl.attacks.decoder import Decoder
from arl.config import RunConfig
from arl.defences.adversarial import Adversarial
from arl.paper.rows import every_row

EPOCHS = 40  # of an attack until its plateau, about, at the preset quick
NEEDED = {"utility", "joint", "joint_g", "attack", "attack_g", "attack_d", "features", "encode", "import", "evaluation"}


def whole_paper(figures: list[dict[str, Any]], base: RunConfig, limit: float) -> list[dict[str, Any]]:
    """The figures of the whole paper, ours and its floor at `limit`, 1e9 operations a second; none where a rate of `NEEDED` is missing."""
    by_key = {one["key"]: one for one in figures}
    if not by_key.keys() >= NEEDED:
        return []
    ours = {key: one["value"] for key, one in by_key.items()}
    theirs = {key: one["plain"]["value"] for key, one in by_key.items() if "plain" in one}
    cfgs = list(dict.fromkeys(row.cfg for row in every_row(base)))
    a, b = shared(cfgs, ours), sum(alone(cfg, theirs) for cfg in cfgs)
    name = f"all of the paper's tables, composed: {len(cfgs)} rows, {len(encoders(cfgs))} encoders"
    # its ratio has no interval: it is made of medians
    ends = {"value": a, "low": a, "high": a}
    one = {
        "key": "paper",
        "name": name,
        "unit": "core-seconds",
        **ends,
        "plain": {"value": b},
        "ratio": {"value": b / a},
    }
    least = shared(cfgs, {key: 1e9 * limit / by_key[key].get("operations", 1e-9) for key in ours})
    floor = {"key": "paper_floor", "name": "the same operations as a plain convolution", "unit": "core-seconds"}
    floor |= {"value": least, "low": least, "high": least}
    more = {"command": "python tests/bench_yardstick.py OUT.json", "note": "composed (tests/whole_paper.py)"}
    return [one | more, floor | more]


def sizes(cfg: RunConfig) -> tuple[int, int, int]:
    """Images of X1, of what attackers learn from, and of T."""
    n = cfg.identities * cfg.per_identity
    n1, n2 = round(cfg.x1 * n), round(cfg.x2 * n)
    more = cfg.extra_images if cfg.extra != "none" else 0
    return n1 + (more if cfg.extra == "both" else 0), n2 - n2 // 10 + more, n - n1 - n2


def key_of(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, default=str)


def encoders(cfgs: list[RunConfig]) -> dict[str, RunConfig]:
    """A configuration for each different encoder."""
    return {key_of(cfg.encoder_fields()): cfg for cfg in cfgs}


def step_of(cfg: RunConfig) -> str:
    """The key of the rate of Enc's steps once the defence is in."""
    if not cfg.protected:
        return "utility"
    return "joint_g" if cfg.defence.perceptual_weight else "joint"


def attack_of(attack: Any) -> str:
    if not isinstance(attack, Decoder):
        return "features"
    return "attack_g" if attack.mu2 > 0 else "attack_d" if attack.mu1 > 0 else "attack"


def shared(cfgs: list[RunConfig], rate: dict[str, float]) -> float:
    """Seconds where whatever several rows need is made once."""
    base = cfgs[0]
    total = base.identities * base.per_identity / rate["import"] + len(cfgs) * sizes(base)[2] / rate["evaluation"]
    plain = {key_of(cfg.replace(defence=Adversarial()).encoder_fields()): cfg for cfg in cfgs}
    total += sum(cfg.warm_epochs * sizes(cfg)[0] / rate["utility"] for cfg in plain.values())
    total += sum((cfg.epochs - cfg.warm_epochs) * sizes(cfg)[0] / rate[step_of(cfg)] for cfg in encoders(cfgs).values())
    tried = {}
    for cfg in cfgs:
        for attack in cfg.attacks:
            tried[key_of(cfg.encoder_fields()), key_of(cfg.attack_fields(attack))] = cfg, attack
    for cfg, attack in tried.values():
        total += sizes(cfg)[1] * (1 / rate["encode"] + EPOCHS / rate[attack_of(attack)])
    return total


def alone(cfg: RunConfig, rate: dict[str, float]) -> float:
    """Seconds of one row from its beginning."""
    n1, n2, t = sizes(cfg)
    steps = cfg.warm_epochs / rate["utility"] + (cfg.epochs - cfg.warm_epochs) / rate[step_of(cfg)]
    return n1 * steps + sum(n2 * EPOCHS / rate[attack_of(attack)] for attack in cfg.attacks) + t / rate["evaluation"]
