"""The preset paper's acts on the device at hand: python tests/bench_device.py OUT.json [--steps 40] [--batch 128] [--device cuda].

What `bench_paper.py` counts, measured: for each act of training seconds a step, images a second, the counted operations over what a
product of two matrices reaches in bf16 on the same device, and the device's memory at its highest. Each in bf16, in float32 as the core
would have it, in float32 with TF32, and in bf16 compiled. The images are noise, resident on the device: an act costs the same on any.
A step's time is the median of epochs after the first; the device is waited for at their ends only.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import bench_paper
import click
import torch
from torch import Tensor, nn
from yardstick import machine, write_report

from arl import losses, models, plateau, protect, training
from arl.attacks import Attack, Public, Schedule, Shapes
from arl.attacks.decoder import Decoder
from arl.attacks.features import Features
from arl.config import RunConfig
from arl.data import batches
from arl.defences import Defence
from arl.defences.adversarial import Adversarial
from arl.judges.perceptual import VGG16, Perceptual, vgg_blocks
from arl.training import Nowhere, generator, initialised

PRECISIONS = ("bf16", "float32", "tf32", "compiled")
PRODUCT = "a product of two matrices in bf16"
COMMAND = "python tests/bench_device.py figures/bench/device.json"


class Timed(Nowhere):
    """A journal that notes when an epoch has ended, the device's work done."""

    def __init__(self, device: torch.device):
        self.device, self.ends = device, []

    def keep(self, parts: Any, line: dict[str, float], **state: Any) -> None:
        wait(self.device)
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Of the epochs after the first, the median."""
        return median(b - a for a, b in zip(self.ends, self.ends[1:], strict=False))


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Within, the core's steps are in `precision`, one of `PRECISIONS`."""
    bf16 = precision in ("bf16", "compiled")
    matmul, conv = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    types = {"cuda", "cpu"} if bf16 else set()
    try:
        with mock.patch.multiple(training, BF16_LEARNS=types, BF16_READS=types):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv


def reached(device: torch.device, n: int = 8192, times: int = 20) -> float:
    """Operations a second of a product of two (n, n) in bf16."""
    n = n if device.type == "cuda" else 512
    a, b = torch.randn(2, n, n, device=device).bfloat16()
    for _ in range(3):
        a @ b
    wait(device)
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    wait(device)
    return 2 * n**3 * times / (time.perf_counter() - start)


class Acts:
    """The acts of `cfg` on `device`, on noise; each returns the seconds of an epoch of `steps`."""

    def __init__(self, cfg: RunConfig, device: torch.device, steps: int, epochs: int, compiled: bool):
        self.cfg, self.device, self.steps, self.epochs, self.compiled = cfg, device, steps, epochs, compiled
        n, size = cfg.batch_size * steps, cfg.image_size
        self.images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, device=device)
        self.labels = torch.rand(n, bench_paper.LABELS, device=device).round()
        self.embeddings = torch.randn(n, bench_paper.EMBEDDING, device=device)
        blocks = Perceptual(vgg_blocks(VGG16), "VGG16 of random weights").requires_grad_(False).eval()
        g = blocks.to(device, memory_format=torch.channels_last)
        self.distance = lambda a, b: losses.perceptual_distance(g(a), g(b), g.scale)

    def faces(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches, as the core's feeds read them: positions and faces."""
        drawn, rows = generator(epoch), range(len(self.images))
        return batches(self.images, rows, self.cfg.batch_size, device=self.device, generator=drawn, flip=True)

    def feed(self, paces: int) -> protect.Feed:
        private = lambda epoch: ((x, self.labels[rows]) for rows, x in self.faces(epoch))  # noqa: E731
        public = lambda epoch: (x for turn in range(max(paces, 1)) for _, x in self.faces(epoch + turn))  # noqa: E731
        return protect.Feed(private, self.steps, public)

    def on_device(self, module: nn.Module) -> Any:
        return module.to(self.device, memory_format=torch.channels_last)

    def halves(self, defence: Defence) -> protect.Halves:
        net = models.backbone(bench_paper.LABELS, self.cfg.encoder, self.cfg.width)
        return protect.halves(self.on_device(net), self.cfg.layer, defence)

    def shapes(self) -> Shapes:
        z = models.tap_shape(self.halves(Defence()).sent, self.cfg.image_size)
        width = models.decoder_width(self.cfg.encoder, self.cfg.width)
        return Shapes(z, self.cfg.image_size, width, bench_paper.EMBEDDING, bench_paper.LABELS)

    def compile(self, *networks: nn.Module) -> None:
        for network in networks if self.compiled else ():
            network.compile()

    def game(self, defence: Defence) -> float:
        """Enc and f, and where the defence simulates an adversary its Dec."""
        with initialised(0):
            model = self.halves(defence)
            simulated = defence.simulated
            player = self.on_device(simulated.player(self.shapes(), self.distance)) if simulated else None
        self.compile(model.sent, model.classifier, *([player.net] if player else []))
        schedule, timed = protect.TrainingSchedule(self.epochs, 1e-3, 0), Timed(self.device)
        paces = defence.pace[0] if simulated else 0
        protect.protect(model, defence, player, self.feed(paces), schedule, timed, perceptual=self.distance)
        return timed.seconds

    def attack(self, attack: Attack) -> float:
        """An attacker on kept Z."""
        with initialised(0):
            player = self.on_device(attack.player(self.shapes(), self.distance))
        z = torch.randn(len(self.images), *self.shapes().z, device=self.device)
        self.compile(player.net)

        def train(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            return (
                (z[rows], x if attack.target == "image" else self.embeddings[rows]) for rows, x in self.faces(epoch)
            )

        public, timed = Public(train, self.steps, lambda _: self.first(train)), Timed(self.device)
        attack.train(player, public, Schedule(self.epochs, 1e-3, self.epochs), timed)
        return timed.seconds

    @staticmethod
    def first(train: Callable[[int], Iterator[tuple[Tensor, Tensor]]]) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch of those, for the validation that ends an epoch."""
        yield next(train(0))

    def encode(self) -> float:
        """Z of all images, and of their mirror images."""
        encoder, timed = self.halves(Defence()).sent.eval(), Timed(self.device)
        self.compile(encoder)
        for _ in range(self.epochs):
            plateau.StandardisedFeatures(encoder, (x for _, x in self.faces(0)), len(self.images))
            timed.keep({}, {})
        return timed.seconds / 2  # of an image; there are two of each


def plan(acts: Acts, game: bench_paper.Game) -> dict[str, tuple[Callable[[], float], float]]:
    """By name: the act, and its counted operations an image of X1, or of X2 for an attack."""
    simulated = Adversarial().pace[0] * game.simulated().flops
    lambda2 = Adversarial(lambda1=1, lambda2=1)
    return {
        "Enc and f by (6)": (lambda: acts.game(Defence()), game.utility().flops),
        "the game, λ1": (lambda: acts.game(Adversarial(lambda1=1)), game.protector().flops + simulated),
        "the game, λ1 and λ2, g = VGG16": (lambda: acts.game(lambda2), game.protector(1.0).flops + simulated),
        "Dec^a on kept Z": (lambda: acts.attack(Decoder()), game.attack().flops),
        "Dec^a with μ2, g = VGG16": (lambda: acts.attack(Decoder(mu2=1)), game.attack(1.0).flops),
        "M on kept Z": (lambda: acts.attack(Features()), game.mapped().flops),
        "Enc alone": (acts.encode, game.encode().flops),
    }


def measured(name: str, act: Callable[[], float], flops: float, acts: Acts, limit: float) -> dict[str, Any]:
    """One figure: of an act that ran, or what stopped it."""
    cuda = acts.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        step = act() / acts.steps
    except (
        Exception
    ) as error:  # one act that fails, such as one that cannot be compiled, must not take the others along
        return {"name": name, "failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    memory = {"memory": torch.cuda.max_memory_allocated()} if cuda else {}
    return figure(name, step, acts.cfg.batch_size, flops, limit) | memory


def figure(name: str, step: float, batch: int, flops: float, limit: float) -> dict[str, Any]:
    """Of a step of so many seconds over `batch` images of `flops` operations each."""
    images = batch / step
    speed = {"value": images, "unit": "images/s", "gflops": images * flops / 1e9, "share": images * flops / limit}
    return {"name": name, "step": step, **speed}


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--steps", default=30, help="of an epoch")
@click.option("--epochs", default=3, help="the first warms up")
@click.option("--batch", default=0, help="the preset's where it is not given")
@click.option("--device", "where", default="cuda")
@click.option("--precisions", default=",".join(PRECISIONS))
@click.option("--acts", "asked", default="", help="those alone whose names hold one of these, such as 'game;Dec'")
@click.option("--encoder", default="resnet50")
@click.option("--size", default=128)
@click.option("--benchmark", is_flag=True, help="let cuDNN try its algorithms")
def main(
    out: Path,
    steps: int,
    epochs: int,
    batch: int,
    where: str,
    precisions: str,
    asked: str,
    encoder: str,
    size: int,
    benchmark: bool,
) -> None:
    device = torch.device(where)
    torch.backends.cudnn.benchmark = benchmark
    cfg = RunConfig.preset("paper", data_root="data", encoder=encoder, image_size=size)
    cfg = cfg.replace(batch_size=batch or cfg.batch_size)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    limit, game, figures = reached(device), bench_paper.Game(cfg), []
    print(f"{name}, {encoder} at {size} pixels, batch {cfg.batch_size}; {PRODUCT} {limit / 1e12:.0f} TFLOP/s")
    for precision in precisions.split(","):
        acts = Acts(cfg, device, steps, epochs, precision == "compiled")
        for act, (run, flops) in plan(acts, game).items():
            if not any(part in act for part in asked.split(";")):
                continue
            with computing(precision):
                found = measured(f"{act}, {precision}", run, flops, acts, limit)
            figures.append(found | {"key": f"{act}, {precision}", "command": COMMAND})
            print(line(figures[-1]), flush=True)
        setting = {"limit": {f"{encoder} at {size} pixels, batch {cfg.batch_size}": limit / 1e9}, "limited_by": PRODUCT}
        setting |= {"steps": steps, "benchmark": benchmark, "machine": machine() | {"cpu": name}}
        write_report(out, "device", [each for each in figures if "failed" not in each], **setting)


def line(figure: dict[str, Any]) -> str:
    head = f"{figure['name']:42s}"
    if "failed" in figure:
        return f"{head} {figure['failed']}"
    memory = f"  {figure['memory'] / 1e9:5.1f} GB" if "memory" in figure else ""
    said = (
        f"{1e3 * figure['step']:8.1f} ms a step {figure['value']:8.0f} images/s {figure['gflops'] / 1e3:6.1f} TFLOP/s"
    )
    return f"{head} {said} {figure['share']:6.1%}{memory}"


if __name__ == "__main__":
    main()
