"""`--preset paper` in numbers, on paper: python tests/bench_paper.py prints the tables of arl/README.md.

Operations, activations and messages are counted on the networks as `arl` builds them, on the meta device, which computes nothing. What
no machine here can measure is an assumption, and an option: see --help. A step takes operations / (peak · used), or the launching of its
kernels where that is longer; in a team also messages · latency + bytes / wire.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
import torchvision
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from arl import losses, models, parallel
from arl.config import RunConfig
from arl.defences import Batch
from arl.defences.adversarial import Adversarial
from arl.plateau import CACHE_BYTES
from arl.protect import halves
from arl.training import Fixed

FEW = 2  # images that are counted, then scaled: BatchNorm wants two
CELEBA, LABELS, EMBEDDING = 202_599, 40, 128
ASSUMED = {
    "peak": (989e12, "dense bf16 operations a second of an H100 (its data sheet)"),
    "used": (
        0.10,
        "share of the peak that eager torch reaches on these networks; on an H200 `bench_device.py` measured 0.04 to 0.16 of a product's",
    ),
    "memory": (80e9, "bytes of an H100"),
    "wire": (300e9, "bytes a second of an all-reduce over eight H100"),
    "launch": (2e-5, "seconds of the host for a kernel: (6) on an H200, whose host was busy"),
    "latency": (20e-6, "seconds of a small all-reduce"),
    "price": (3.0, "dollars for an hour of one H100"),
    "decode": (2000.0, "JPEGs a second and core, decoded, cut and written; raw decode is 4 900"),
    "judge": (18.0, "images a second and thread of dlib's C"),
    "cores": (16.0, "cores beside the devices"),
}


class Counted(NamedTuple):
    """Of one image or one step."""

    flops: float  # an image
    activations: float  # bytes an image that wait for the backward pass, in bf16
    messages: float  # all-reduces a step, in a team
    sent: float  # bytes of the players' gradients a step, in a team
    kernels: int  # a step, the optimiser and the weights' mean among them


class Kernels(TorchDispatchMode):
    """Counts what an accelerator would be given to do: all but views."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        returned = func._schema.returns  # nothing, where it works in place; a type that is asked for is no kernel
        asked = bool(returned) and not any("Tensor" in str(r.type) for r in returned)
        self.count += not asked and not any(r.alias_info and not r.alias_info.is_write for r in returned)
        return func(*args, **(kwargs or {}))


class Counting(parallel.Alone):
    """A team of one that counts what it would send."""

    def __init__(self):
        self.messages = 0

    def mean(self, values):
        self.messages += 1
        return values.clone()


def counted(modules: list[nn.Module], learns: list[nn.Module], step: Callable[[], None]) -> Counted:
    """`step` on `FEW` images, whose gradients go to `learns`; the messages are those of BatchNorm in a team, and one a network."""
    own = {p.untyped_storage()._cdata for m in modules for p in (*m.parameters(), *m.buffers())}
    saved: dict[int, int] = {}

    def keep(t):
        storage = t.untyped_storage()
        if storage._cdata not in own and t.is_floating_point():
            saved[storage._cdata] = storage.nbytes() // 2  # float32 here, bf16 there
            held.append(t)  # so that no other takes its place
        return t

    held: list[torch.Tensor] = []
    kernels, team = Kernels(), Counting()
    with FlopCounterMode(display=False) as flops, kernels, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        step()
    for module in modules:
        parallel.normalise_together(module)
    with parallel.working(team):
        step()
    for norm in (n for m in modules for n in m.modules() if isinstance(n, parallel._Together)):
        norm.__class__ = {theirs: own for own, theirs in parallel.NORMS.items()}[type(norm)]
    sent = sum(4 * p.numel() for m in learns for p in m.parameters())
    launched = kernels.count + sum(1 + len(m.state_dict()) for m in learns)
    flops, bytes_kept = flops.get_total_flops() / FEW, sum(saved.values()) / FEW
    return Counted(flops, bytes_kept, team.messages + len(learns), sent, launched)


class Game:
    """The players of `cfg` on the meta device, and what they do, counted."""

    def __init__(self, cfg: RunConfig):
        self.cfg, s = cfg, cfg.image_size
        with torch.device("meta"):
            net = models.backbone(LABELS, cfg.encoder, cfg.width)
            self.model = halves(net, cfg.layer, Adversarial(lambda1=1))
            z = models.tap_shape(self.model.sent, s)
            self.decoder = models.ImageDecoder(z, s, models.decoder_width(cfg.encoder, cfg.width))
            self.features = models.FeatureMap(z, EMBEDDING)
            self.g = torchvision.models.vgg16().features.requires_grad_(False)
            self.x, self.y, self.z = torch.rand(FEW, 3, s, s), torch.zeros(FEW, LABELS), torch.rand(FEW, *z)
            self.c = torch.zeros(FEW, EMBEDDING)
        self.net = self.model.net.train()

    def perceptual(self, a, b):
        """(4), (8): VGG16 of both."""
        with torch.no_grad():
            of_b = self.g(b)
        return nn.functional.mse_loss(self.g(a), of_b)

    def utility(self) -> Counted:
        """Enc and f by (6): a step of the warm epochs."""

        def step():
            losses.utility_loss(self.net(self.x), self.y).backward()

        return counted([self.net], [self.net], step)

    def protector(self, lambda2: float = 0.0) -> Counted:
        """(b) Enc and f by (9), Dec fixed."""
        defence = Adversarial(lambda1=1, lambda2=lambda2)

        def step():
            with Fixed(self.decoder):
                z = self.model.sent(self.x)
                batch = Batch(self.x, self.y, z, self.model.classifier(z), self.decoder(z), self.perceptual)
                defence.objective(batch).backward(inputs=list(self.net.parameters()))

        return counted([self.net, self.decoder], [self.net], step)

    def simulated(self) -> Counted:
        """(a) Dec by (5), Enc fixed."""

        def step():
            with Fixed(self.net), torch.no_grad():
                z = self.model.sent(self.x)
            losses.pixel_loss(self.decoder(z), self.x).backward()

        return counted([self.net, self.decoder], [self.decoder], step)

    def attack(self, mu2: float = 0.0) -> Counted:
        """Dec^a on kept Z."""

        def step():
            x_hat = self.decoder(self.z)
            loss = losses.pixel_loss(x_hat, self.x)
            (loss + mu2 * self.perceptual(x_hat, self.x) if mu2 else loss).backward()

        return counted([self.decoder], [self.decoder], step)

    def mapped(self) -> Counted:
        """M on kept Z."""
        return counted(
            [self.features],
            [self.features],
            lambda: losses.feature_attack_loss(self.features(self.z), self.c).backward(),
        )

    def encode(self) -> Counted:
        """Enc alone."""

        def step():
            with torch.no_grad():
                self.model.sent(self.x)

        return counted([self.net], [], step)._replace(messages=0)


def sizes(cfg: RunConfig, images: int) -> tuple[int, int, int]:
    """X1, X2 and T of so many images, in the paper's shares."""
    x1, x2 = (round(n / CELEBA * images) for n in (cfg.x1, cfg.x2))
    return x1, x2, images - x1 - x2


def seconds(c: Counted, steps: float, batch: int, devices: int, a: argparse.Namespace) -> float:
    """`steps` of `batch` images over `devices`."""
    step = max(batch / devices * c.flops / (a.peak * a.used), c.kernels * a.launch)
    if devices > 1:
        step += c.messages * a.latency + 2 * (devices - 1) / devices * c.sent / a.wire
    return steps * step


def stages(game: Game, images: int, a: argparse.Namespace) -> dict[str, Callable[[int], float]]:
    """By stage of a row with λ1 = 1: its seconds on so many devices."""
    cfg, (x1, x2, t) = game.cfg, sizes(game.cfg, images)
    batch, paces = cfg.batch_size, Adversarial().pace[0]
    per_epoch, attack_steps = x1 / batch, 0.9 * x2 / batch
    utility, protector, simulated = game.utility(), game.protector(), game.simulated()
    attack, mapped, encode = game.attack(), game.mapped(), game.encode()
    warm = cfg.warm_epochs
    return {
        f"warm epochs, (6): {warm}": lambda n: seconds(utility, warm * per_epoch, batch, n, a),
        f"epochs of the game, (5) and (9): {cfg.epochs - warm}": lambda n: (
            seconds(protector, (cfg.epochs - warm) * per_epoch, batch, n, a)
            + paces * seconds(simulated, (cfg.epochs - warm) * per_epoch, batch, n, a)
        ),
        "Z of X2 and its mirror images, each device all of it": lambda n: seconds(encode, 2 * x2 / batch, batch, 1, a),
        f"Dec^a, {cfg.attack_epochs} epochs at most": lambda n: seconds(
            attack, cfg.attack_epochs * attack_steps, batch, n, a
        ),
        f"M, {cfg.attack_epochs} epochs at most": lambda n: seconds(
            mapped, cfg.attack_epochs * attack_steps, batch, n, a
        ),
        f"C (dlib) looks at X2 and T, {a.cores:.0f} cores, once for all rows": lambda n: (x2 + t) / a.judge / a.cores,
    }


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def duration(s: float) -> str:
    return (
        f"{s / 86400:.1f} d"
        if s > 172_800
        else f"{s / 3600:.1f} h"
        if s > 7200
        else f"{s / 60:.1f} min"
        if s > 99
        else f"{s:.0f} s"
    )


def size(n: float) -> str:
    return f"{n / 1e12:.1f} TB" if n >= 1e12 else f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def of_operations(game: Game) -> list[str]:
    counts = {
        "Enc and f by (6)": game.utility(),
        "(a) Dec by (5), with Enc": game.simulated(),
        "(b) Enc and f by (9), λ1": game.protector(),
        "(b) with λ2, g = VGG16": game.protector(1.0),
        "Dec^a on kept Z": game.attack(),
        "Dec^a with μ2": game.attack(1.0),
        "M on kept Z": game.mapped(),
        "Enc alone": game.encode(),
    }
    rows = [
        [
            what,
            f"{c.flops / 1e9:.2f}",
            size(c.activations * game.cfg.batch_size),
            f"{c.kernels}",
            f"{c.messages}",
            size(c.sent),
        ]
        for what, c in counts.items()
    ]
    head = ["a step", "GFLOP an image", f"activations of {game.cfg.batch_size}, bf16"]
    return table([*head, "kernels", "all-reduces in a team", "gradients"], rows)


def of_time(game: Game, images: int, a: argparse.Namespace) -> list[str]:
    found = stages(game, images, a)
    rows = [[what, *(duration(of(n)) for n in (1, 8))] for what, of in found.items()]
    totals = [sum(of(n) for of in list(found.values())[:-1]) for n in (1, 8)]
    rows += [["a row without C", *map(duration, totals)]]
    dollars = [n * s / 3600 * a.price for n, s in zip((1, 8), totals, strict=True)]
    rows += [["dollars", *(f"{d:.0f}" for d in dollars)]]
    return table([f"{images:,} images".replace(",", " "), "one H100", "eight"], rows)


def of_memory(game: Game, a: argparse.Namespace) -> list[str]:
    cfg = game.cfg
    parameters = sum(p.numel() for m in (game.net, game.decoder) for p in m.parameters())
    faces = 3 * cfg.image_size**2 * CELEBA
    _, x2, _ = sizes(cfg, CELEBA)
    kept = 2 * x2 * game.z[0].numel() * 4
    worst = game.protector(1.0).activations * cfg.batch_size
    rows = [
        ["Enc, f and Dec: weights, gradients, two means of Adam, float32", size(16 * parameters)],
        [f"activations of (b) with λ2, {cfg.batch_size} images, bf16", size(worst)],
        ["all faces, uint8", size(faces)],
        ["Z of X2 and its mirror images at fc, float32", size(kept)],
        ["together", f"{size(16 * parameters + worst + faces + kept)} of {size(a.memory)}"],
    ]
    return table(["in one H100", "bytes"], rows)


def of_ten_million(game: Game, a: argparse.Namespace) -> list[str]:
    n, cfg = 10_000_000, game.cfg
    _, x2, t = sizes(cfg, n)
    picture = 3 * cfg.image_size**2
    z = 2 * x2 * game.z[0].numel() * 4
    found = stages(game, n, a)
    learned = [sum(of(k) for of in list(found.values())[:2]) for k in (1, 8)]
    rows = [
        ["faces, uint8, on disk and in the page cache", size(n * picture), f"not resident: {size(a.memory)} a device"],
        [f"import, {a.cores:.0f} cores", duration(n / a.decode / a.cores), f"{duration(n / a.decode)} on one"],
        ["Z of X2, kept", size(z), f"over {size(CACHE_BYTES)} it is encoded anew for each batch"],
        [f"C (dlib) on X2 and T, {a.cores:.0f} cores", duration((x2 + t) / a.judge / a.cores), "once for all rows"],
        [
            "T as float32: X, X̂ of each attack, strangers, others of the same",
            size(4 * picture * t * 4),
            "in memory at once",
        ],
        ["Enc and f, one H100; eight", "; ".join(map(duration, learned)), f"{cfg.epochs} epochs"],
    ]
    return table(["ten million faces", "", ""], rows)


def text(a: argparse.Namespace) -> str:
    """All tables, as they stand in arl/README.md."""
    game = Game(RunConfig.preset("paper", data_root="data"))
    parts = [of_operations(game), of_time(game, CELEBA, a), of_memory(game, a), of_ten_million(game, a)]
    assumed = "; ".join(f"`--{name} {getattr(a, name):g}` {why}" for name, (_, why) in ASSUMED.items())
    counted_with = f"Counted with torch {torch.__version__.partition('+')[0]}. Assumed: {assumed}."
    return "\n\n".join(["\n".join(part) for part in parts] + [counted_with])


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, (value, why) in ASSUMED.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=why)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    print(text(options()))
