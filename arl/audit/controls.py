"""Did the attack fail, or is the model safe? The suite's attackers on encoders of which that is known, on the audit's own faces.

**Planted**, six that hide something. *The picture* is the face at a quarter of its sides, 432 numbers at 48 pixels.

identity       the picture
rotation       the picture, turned by a random orthogonal matrix
small          the answers as a task's 64 features hold them, beside the picture at 1e-4 of their scale
low bits       features rounded to 1/16, and the picture below that: 2⁻¹⁰ of it, added
fooling        half of the picture's turned numbers, placed where the decoder that it learned against does not look: that sees one face
one-hot        an answer a pair of numbers: it gives the answers away, and no more

**Safe**, three: `constant`; `answers`, turned so that none has a number of its own; `noise`, another Z each time.

An attacker of pictures is judged on test people by the figure of the audit's headline, C's face similarity, in two differences, image
by image. `tells`: beyond what its pictures of *other* people have with the same face; 0 if Z says nothing, whatever picture it shows.
`beyond`: beyond the picture from the answers alone, by the same attackers from one-hot or from turned answers (not as in `answers`), or
by the linear reader of the audit's floor, who has most; it counts from `LEAST_BEYOND` on, as one turning is not read as well as another.
An attacker of answers is judged by its mean MCC.

**Found**: `tells` and `beyond` are above 0; of one-hot, the MCC is. **False alarm**: of constant and noise, `tells` or the MCC is above 0;
of the answers, `beyond` is. *Above*: the lower end of Student's interval over people, at 95 % for all nine controls together (Bonferroni),
is above `LEAST_SEEN`, or `LEAST_BEYOND`. Attackers are not corrected for: which of them speaks was chosen on held-out X2, and T judges
that one.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from scipy import stats
from torch import Tensor, nn

from arl import feeds, identity
from arl.answers import from_answers
from arl.attacks import Attack, Schedule
from arl.data import FaceData, batches, targets
from arl.evaluate import Seen, label_scores
from arl.experiment import Experiment
from arl.feeds import Owned
from arl.judges import Recogniser, embed_all
from arl.measure import seen_by_judge
from arl.messages import say
from arl.metrics import Interval, cosine, psnr
from arl.models import decoder_width
from arl.plateau import Standardise, StandardisedFeatures
from arl.store import Run, obtain, run_id
from arl.training import Nowhere, generator, initialised, precision

LEARNS, HELD_OUT, TESTED = 1800, 100, 400  # images of X2, of its tenth and of T at most: enough to find what is planted
FINER, EPOCHS, AFFORDABLE = (
    4,
    3,
    1.0,
)  # sides by which pictures shrink; of the one network that trains; cost of those in closed form
LEVEL, LEAST_SEEN, LEAST_BEYOND = 0.05, 1e-3, 0.02  # of all controls together; what counts as nothing: see above
TASK, GRID, BELOW, TINY_SCALE = 64, 2.0**-4, 2.0**-10, 1e-4
STREAM = 0xC0  # of random numbers


class Shown(NamedTuple):
    """What an encoder of a control may use of n images: pictures (n, 3, s, s) in [0, 1], answers (n, A) in 0 and 1, fresh randomness."""

    picture: Tensor
    answers: Tensor
    drawn: torch.Generator


class KnownEncoder(NamedTuple):
    """An encoder of which it is known what Z gives away: a `picture`, the `answers`, `nothing`."""

    gives: str
    planted: bool
    encode: Callable[[Shown], Tensor]


# -- the nine ---------------------------------------------------------------------------------------------------------


def _turn(numbers: int, which: int) -> Tensor:
    """A random orthogonal matrix, the same in every audit."""
    return torch.linalg.qr(torch.randn(numbers, numbers, generator=generator(STREAM, which, numbers)))[0]


def _turned(of: Shown, which: int) -> Tensor:
    """The answers, turned so that none has a number of its own."""
    return (2 * of.answers - 1) @ _turn(of.answers.shape[1], which)


def _task(of: Shown, numbers: int, noise: float) -> Tensor:
    """What a task leaves in `numbers` features: mixtures of the answers, bent, and something of each image's own."""
    weights = torch.randn(of.answers.shape[1], numbers, generator=generator(STREAM, 2, numbers))
    mixed = torch.tanh((2 * of.answers - 1) @ weights / of.answers.shape[1] ** 0.5)
    return mixed + noise * torch.randn(mixed.shape, generator=of.drawn)


def _low_bits(of: Shown) -> Tensor:
    flat = of.picture.flatten(1)
    return (_task(of, flat.shape[1], 0.3) / GRID).round() * GRID + BELOW * flat


def _fooling(of: Shown) -> Tensor:
    code = of.picture.flatten(1) @ _turn(of.picture[0].numel(), 3)
    code[:, : code.shape[1] // 2] = 0.5
    return code @ _turn(code.shape[1], 4)


def in_loop(z: Tensor) -> Tensor:
    """What the decoder reads that the encoder `fooling` has learned against: the half of Z's turned numbers that it looks at."""
    return (z @ _turn(z.shape[1], 4).T)[:, : z.shape[1] // 2]


CONTROLS = {
    "one-hot": KnownEncoder(
        "answers", True, lambda of: torch.cat([of.answers, 1 - of.answers], 1)
    ),  # first: others are held against it
    "identity": KnownEncoder("picture", True, lambda of: of.picture),
    "rotation": KnownEncoder("picture", True, lambda of: of.picture.flatten(1) @ _turn(of.picture[0].numel(), 1)),
    "small": KnownEncoder(
        "picture", True, lambda of: torch.cat([_task(of, TASK, 0.1), TINY_SCALE * of.picture.flatten(1)], 1)
    ),
    "low bits": KnownEncoder("picture", True, _low_bits),
    "fooling": KnownEncoder("picture", True, _fooling),
    "constant": KnownEncoder("nothing", False, lambda of: torch.full((len(of.picture), 16), 0.5)),
    "answers": KnownEncoder("answers", False, lambda of: _turned(of, 5)),
    "noise": KnownEncoder("nothing", False, lambda of: torch.randn(len(of.picture), TASK, generator=of.drawn)),
}


# -- what each is measured on -----------------------------------------------------------------------------------------


class Known(StandardisedFeatures):
    """Z (2, n, ...) that are there already, of images and of their mirror images: standardised as an encoder's are."""

    def __init__(self, z: Tensor):
        over = [0, *range(2, z.ndim - 1)]
        mean, var = z[0].double().mean(over), z[0].double().var(over, correction=0)
        view = (-1, *[1] * (z.ndim - 3))
        self.standardise = Standardise(mean.float().view(view), var.clamp(min=1e-12).sqrt().float().view(view))
        self.shape, self.cached, self.z = tuple(z.shape[2:]), True, self.standardise(z)


class Bench(Experiment):
    """The faces, the split and C of an audit, fewer of them, and its attackers that are cheap enough: what its controls share."""

    def __init__(self, audited: Experiment):
        super().__init__(audited.cfg)
        self.audited, whole, rows = audited, audited.owned, audited.split.t
        self.data, self.extra, self.split, self.judge_spec = (
            audited.data,
            audited.extra,
            audited.split,
            audited.judge_spec,
        )
        self.owned = Owned(whole.data, self._some(whole.learns, LEARNS), self._some(whole.held_out, HELD_OUT))
        self.tested = self._some(rows, TESTED)
        self.attackers = affordable(audited.cfg.attacks)

    @cached_property
    def judge(self) -> Recogniser:
        """The audit's, which may be at work on it beside the attackers until it is asked for."""
        return self.audited.judge

    def _some(self, index: np.ndarray, most: int) -> np.ndarray:
        order = torch.randperm(len(index), generator=generator(self.cfg.seed, STREAM)).numpy()
        return np.sort(index[order[:most]])

    def labels(self, data: FaceData, index: np.ndarray) -> Tensor:
        return targets(data, self.cfg)[index]

    @property
    def labelled(self) -> bool:
        """Whether the answers tell one face from another, among those that an attacker learns from and among those of T."""
        sets = self.labels(self.owned.data, self.owned.learns), self.labels(self.data, self.tested)
        return all(bool((y.amax(0) > y.amin(0)).any()) for y in sets)

    @property
    def names(self) -> list[str]:
        """The controls that can be made here: without labels there is none of answers."""
        return [name for name, control in CONTROLS.items() if self.labelled or control.gives != "answers"]

    def spec(self, name: str) -> dict[str, Any]:
        """What defines the control: no target is among it, so audits of other encoders on these faces find it."""
        cfg = self.cfg
        fields = ["attributes", "x1", "x2", "split", "seed", "batch_size", "attack_lr", "attack_patience"]
        fields += ["reserved"] if cfg.reserved else []
        fields += ["held_out"] if cfg.held_out != "image" else []
        fields += ["extra", "extra_images"] if self.extra is not None else []
        found = {"kind": "control", "version": 2, "control": name, "data": self.data.spec}
        found |= cfg.model_dump(mode="json", include=set(fields)) | {"recogniser": self.judge_spec}
        found |= {"width": decoder_width(cfg.encoder, cfg.width), "attackers": [a.spec() for a in self.attackers]}
        found |= {"extra_data": self.extra.spec} if self.extra is not None else {}
        first = {} if name == "one-hot" or not self.labelled else {"answers": run_id(self.spec("one-hot"))}
        return found | first

    def shown(self, data: FaceData, index: np.ndarray, drawn: torch.Generator, mirrored: bool = False) -> Shown:
        small = [F.avg_pool2d(x, FINER) for _, x in batches(data.images, index, 256)]
        picture = torch.cat(small).contiguous()
        return Shown(picture.flip(-1) if mirrored else picture, self.labels(data, index), drawn)

    def look(self, images: Tensor) -> Tensor:
        """C's middle layer of images (n, 3, S, S) in [0, 1], as bytes; (n, m)."""
        return seen_by_judge(self, images)[1]

    def learned(self, attack: Attack, features: Known) -> nn.Module:
        """The attacker after it has learned; nothing of it is stored."""
        cfg, owned = self.cfg, self.owned
        perceptual = self._compares(attack)
        with initialised(cfg.seed, attack.stream()):
            player = self._player(attack, features.shape, perceptual)
        wanted = targets(owned.data, cfg) if attack.target == "label" else None
        public = feeds.of_attacker(attack, features, owned, wanted, cfg, self.device)
        attack.train(player, public, Schedule(EPOCHS, cfg.attack_lr, cfg.attack_patience), Nowhere())
        return player.net.eval()

    @torch.no_grad()
    def made(self, net: nn.Module, z: Tensor) -> Tensor:
        """What the attacker makes of standardised Z, on the CPU."""
        with precision(self.device):
            return torch.cat([net(part).float().cpu() for part in z.split(256)])

    def control(self, name: str) -> Run:
        """The run of a control, found or made; the others are held against one-hot's pictures."""
        floor = None if name == "one-hot" else self._floor
        return obtain(self.spec(name), lambda run: self.measured(run, name, floor))

    @cached_property
    def _floor(self) -> Tensor | None:
        """Face similarity (n,) of the picture that follows from the answers, by the best reader of them; None without answers."""
        return self.control("one-hot").load()[0]["floor"] if self.labelled else None

    def measured(self, run: Run, name: str, floor: Tensor | None) -> dict[str, Any]:
        """The control's result: attackers learn from its Z, the strongest on held-out X2 are judged on T; `floor` (n,): the answers'."""
        say(f"{run.id}  control {name}: {', '.join(attack.name() for attack in self.attackers)}")
        known, best = self.read(CONTROLS[name].encode)
        result: dict[str, Any] = {"checkpoint": True, "held_out": known}
        floors = [self._linear]
        for target, (strongest, made) in best.items():
            figures, own = self._picture(made, floor) if target == "image" else (self._answers(made), None)
            result[target] = {"strongest": strongest, **figures}
            floors += [own] if own is not None else []
        if name == "one-hot" and "image" in best:  # readers see the same answers otherwise where they are turned
            turned = self.read(lambda of: _turned(of, 6), ("image",))[1]["image"][1]
            floors.append(self._picture(turned, None)[1])
        run.save({"floor": max(floors, key=lambda own: own.mean().item())}, result=result)
        return result

    def read(
        self, encode: Callable[[Shown], Tensor], kinds: tuple[str, ...] = ("image", "label")
    ) -> tuple[dict[str, float], dict[str, tuple[str, Tensor]]]:
        """What each attacker has on held-out X2 when Z is what `encode` makes; of each kind, who has most, and what it makes of T."""
        drawn = generator(self.cfg.seed, STREAM, 1)
        owned = [encode(self.shown(self.owned.data, self.owned.all, drawn, flip)) for flip in (False, True)]
        features = Known(torch.stack(owned).to(self.device))
        z = features.standardise(encode(self.shown(self.data, self.tested, drawn)).to(self.device))
        held = features.z[0, len(self.owned.learns) :]
        nets = {attack: self.learned(attack, features) for attack in self.attackers if attack.target in kinds}
        y = self.labels(self.owned.data, self.owned.held_out)
        known = {a.name(): self._of_held_out(a, self.made(net, held), y) for a, net in nets.items()}
        best = {}
        for target in kinds:
            of = {a.name(): net for a, net in nets.items() if a.target == target}
            if of:
                strongest = max(of, key=lambda each: known[each])
                best[target] = strongest, self.made(of[strongest], z)
        return known, best

    def _of_held_out(self, attack: Attack, made: Tensor, y: Tensor) -> float:
        """By what the strongest attacker is chosen: mean face similarity, or mean MCC."""
        if attack.target == "label":
            return _mcc(made, y).mean().item()
        return cosine(self.look(made), self._truth[0]).mean().item()

    @cached_property
    def _truth(self) -> tuple[Tensor, Tensor]:
        """C's middle layer of the faces held out, and of those of T."""
        sets = (self.owned.data, self.owned.held_out), (self.data, self.tested)
        return tuple(embed_all(self.judge, data.images, index, self.device)[1] for data, index in sets)

    def _picture(self, made: Tensor, floor: Tensor | None) -> tuple[dict[str, Any], Tensor]:
        """What the pictures `made` of T give away, and the face similarity of each (n,)."""
        who = self.data.identities[self.tested]
        alike = identity.cosines(self.look(made), self._truth[1])  # of picture i and face j
        own, other = np.diag(alike), who[:, None] != who[None]
        strangers = (alike * other).sum(0) / other.sum(0).clip(min=1)  # of face j, by pictures of other people
        values = {"face_similarity": own, "tells": own - strangers, "beyond_linear": own - self._linear.numpy()}
        values |= {"beyond": own - floor.numpy()} if floor is not None else {}
        x = torch.cat([x for _, x in batches(self.data.images, self.tested, 256)])
        values["psnr"] = psnr(made, x).numpy()
        return {key: self.over_people(each) for key, each in values.items()}, torch.from_numpy(own.copy())

    @cached_property
    def _linear(self) -> Tensor:
        """Face similarity (n,) of what a linear reader makes of the true answers of T: the floor of the audit's table."""
        images = (x for _, x in batches(self.owned.data.images, self.owned.learns, 256))
        known, said = self.labels(self.owned.data, self.owned.learns), self.labels(self.data, self.tested)
        return cosine(self.look(from_answers(known, images, said).clamp(0, 1)), self._truth[1])

    def _answers(self, made: Tensor) -> dict[str, Any]:
        return {"mcc": self.over_people(_mcc(made, self.labels(self.data, self.tested)).numpy())}

    def over_people(self, values: np.ndarray) -> Interval:
        """Mean of the people's means of (n,), one value a test image, with Student's interval at `LEVEL` for all controls together."""
        who = self.data.identities[self.tested]
        each = np.array([values[who == person].mean() for person in np.unique(who)], np.float64)
        value, n = each.mean(), len(each)
        reach = stats.t.ppf(1 - LEVEL / len(CONTROLS) / 2, n - 1) * each.std(ddof=1) / n**0.5 if n > 1 else 1e9
        return {"value": float(value), "low": float(value - reach), "high": float(value + reach), "people": n}


def _mcc(made: Tensor, y: Tensor) -> Tensor:
    """Each image's part in the mean MCC, (n,)."""
    return label_scores(y)["label_mcc"](Seen(embedding=made))


def affordable(attacks: tuple[Attack, ...]) -> tuple[Attack, ...]:
    """The attackers of pictures and answers that are cheap, and of the dearer ones the least dear, for `EPOCHS`. None is white-box:
    a control's Z is made of answers and of noise too."""
    here = [attack for attack in attacks if attack.target != "embedding" and not attack.white_box]
    dear = sorted((attack for attack in here if attack.cost > AFFORDABLE), key=lambda attack: attack.cost)[:1]
    return tuple(attack for attack in here if attack.cost <= AFFORDABLE or attack in dear)


# -- the verdict ------------------------------------------------------------------------------------------------------


def control_runs(audited: Experiment) -> dict[str, str]:
    """The id of each control of an audit, by name."""
    bench = Bench(audited)
    return {name: run_id(bench.spec(name)) for name in bench.names}


def controls(audited: Experiment) -> dict[str, Any]:
    """Each control's run, found or made, and what they say of the suite: `works`, `verdict`, `missed`, `false_alarms`, `each`."""
    bench, found = Bench(audited), {}
    for name in bench.names:
        run = bench.control(name)
        found[name] = {"run": run.id, "gives": CONTROLS[name].gives, "planted": CONTROLS[name].planted}
        found[name] |= {key: run.result[key] for key in ("held_out", "image", "label") if key in run.result}
        found[name]["alarm"] = alarm(CONTROLS[name], run.result)
    missed = [name for name, each in found.items() if each["planted"] and not each["alarm"]]
    false = [name for name, each in found.items() if not each["planted"] and each["alarm"]]
    planted = sum(each["planted"] for each in found.values())
    told = {"planted": planted, "safe": len(found) - planted, "missed": missed, "false_alarms": false}
    attackers = [attack.name() for attack in bench.attackers]
    return {
        "works": not missed and not false,
        "verdict": told_by_controls(**told),
        **told,
        "attackers": attackers,
        "each": found,
    }


def alarm(control: KnownEncoder, result: dict[str, Any]) -> bool:
    """Whether the attackers found in Z what this control is asked about: of a planted one a leak, of a safe one a false alarm."""
    image, label = result.get("image", {}), result.get("label", {})
    tells, read = _above(image, "tells", LEAST_SEEN), _above(label, "mcc", LEAST_SEEN)
    beyond = _above(image, "beyond", LEAST_BEYOND)
    if control.gives == "answers":
        return read if control.planted else beyond
    return tells and ("beyond" not in image or beyond) if control.planted else tells or read


def _above(of: dict[str, Any], key: str, least: float) -> bool:
    return key in of and of[key]["low"] > least


def told_by_controls(planted: int, safe: int, missed: list[str], false_alarms: list[str]) -> str:
    """In one sentence whether the audit's silence means anything."""
    if not missed and not false_alarms:
        return (
            f"The suite works here: {planted} of {planted} planted leaks found, no false alarm on {safe} safe encoders."
        )
    what = [f"{planted - len(missed)} of {planted} planted leaks found, missed {', '.join(missed)}"] if missed else []
    what += [f"a false alarm on {', '.join(false_alarms)}"] if false_alarms else []
    return f"This audit proves nothing: on these faces its suite has {', and '.join(what)}."
