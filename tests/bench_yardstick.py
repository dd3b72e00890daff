"""The yardstick: how fast each part is, how near to what the processor can do, and how much faster than the straightforward way.

    python tests/bench_yardstick.py OUT.json [--parts joint,attack,...] [--repeats 5] [--steps 8] [--bf16]

One thread unless ARL_THREADS says otherwise; a quiet machine takes less than five minutes, `--bf16` one or two more. Every ratio is of
pairs measured in turn in this process: `straightforward.py` is the other one of each pair, and `test_yardstick.py` holds that it has the
same losses. Preset quick on JPEGs of CelebA's size made of drawn faces. What a slider's move takes in the browser is bench_explore's;
here is what the kernel does for it. `figures/README.md` has the table of figures/bench/*.json (`python -m arl.paper.summary`).
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import straightforward as plain
import torch
from drawn import write_drawn
from synthetic import write_row
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_image
from whole_paper import whole_paper
from yardstick import limit, machine, middle, operations, paired, seconds, write_report

from arl import adversary, evaluate, feeds, losses, metrics, models, plateau, protect, training
from arl.attacks import Schedule, Shapes
from arl.config import RunConfig
from arl.data import FaceData, batches, open_data, targets
from arl.data.images import read_file
from arl.defences import Defence
from arl.evaluate import Seen, Yardsticks
from arl.feeds import Owned
from arl.judges import RenderedRecogniser, embed_all, perceptual
from arl.machine import KEEP_MEMORY, PAYS, bf16_gain, cores, prepare
from arl.paper.rows import MU1
from arl.training import Nowhere, initialised

PARTS = ("joint", "attack", "data", "evaluation", "explorer")
CPU, RGB = torch.device("cpu"), ImageReadMode.RGB


class Setting(NamedTuple):
    """Drawn photographs, as the core reads them and as the straightforward way does; who learns from which."""

    cfg: RunConfig
    data: FaceData
    faces: plain.Photographs
    x1: np.ndarray
    owned: Owned


class Pair(NamedTuple):
    """An act of the core's and the same one the straightforward way; each returns the losses of its epochs."""

    ours: Callable[[], Any]
    plain: Callable[[], Any]
    images: int  # of one act


class Heard(Nowhere):
    """A journal that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, float]] = []

    def keep(self, parts: Any, line: dict[str, float], **state: Any) -> None:
        self.lines.append(line)


def setting_in(folder: Path, cfg: RunConfig, steps: int) -> Setting:
    """`steps` batches an epoch for each of Enc and the attackers, and a tenth held out; the store is `folder`/runs from here on."""
    os.environ["ARL_RUNS"] = str(folder / "runs")
    n = cfg.batch_size * steps
    x2 = -(-n * 10 // 9) + 1
    paths = write_drawn(folder, n + x2)
    cfg = cfg.replace(data="celeba", data_root=str(folder))
    data = open_data(cfg, progress=False)
    owned = Owned.of(data, None, np.arange(n, n + x2), cfg)
    return Setting(cfg, data, plain.Photographs(paths, cfg.image_size), np.arange(n), owned)


def fast(net: nn.Module) -> nn.Module:
    """A copy of `net` as the core lays it out."""
    return deepcopy(net).to(memory_format=torch.channels_last)


# -- training -------------------------------------------------------------------------------------------------------


def joint(at: Setting, epochs: int = 1, **changed: Any) -> Pair:
    """`epochs` of the game by (5) and (9) with `changed` in the configuration; by (6) alone where nothing is protected."""
    cfg = at.cfg.replace(**changed)
    defence, y = cfg.defence if cfg.protected else Defence(), targets(at.data, cfg)
    with initialised(cfg.seed, 1):
        net = models.backbone(y.shape[1], cfg.encoder, cfg.width)
        z = models.tap_shape(models.cut(net, cfg.layer)[0], cfg.image_size)
        shapes = Shapes(z, cfg.image_size, models.decoder_width(cfg.encoder, cfg.width), 0, y.shape[1])
        dec = models.ImageDecoder(shapes.z, shapes.image, shapes.width) if cfg.protected else None
    g = scaled_g(at, cfg) if defence.perceptual_weight else None
    model = protect.halves(fast(net), cfg.layer, defence)
    distance = None if g is None else lambda a, b: losses.perceptual_distance(g(a), g(b), g.scale)
    rival = adversary.Adversary(fast(dec), None, distance, 0.0, cfg.simulated_mu2) if cfg.protected else None
    schedule = protect.TrainingSchedule(cfg.epochs, cfg.lr, cfg.seed)
    feed = feeds.of_protector(at.data, at.x1, at.owned.learns, cfg, CPU)

    def ours() -> list[dict[str, float]]:
        heard = Heard()
        protect.protect(model, defence, rival, feed, schedule, heard, perceptual=distance, until=epochs)
        return heard.lines

    slow = plain.JointTraining(net, dec, g and deepcopy(g).to(memory_format=torch.contiguous_format), cfg)

    def theirs() -> list[dict[str, float]]:
        return [slow.epoch(k + 1, at.faces, at.x1, at.owned.learns, y) for k in range(epochs)]

    return Pair(ours, theirs, epochs * len(at.x1))


def scaled_g(at: Setting, cfg: RunConfig) -> nn.Module:
    g = perceptual(cfg, CPU)
    g.calibrate(at.data.images, at.owned.learns, cfg.seed)
    return g


def attack(at: Setting, name: str = "decoder", epochs: int = 1, **changed: Any) -> Pair:
    """`epochs` of the attack called `name`, to its validation loss, with `changed` in the configuration; Enc is as it was initialised."""
    cfg = at.cfg.replace(attack_epochs=epochs, attack_patience=1000, **changed)
    chosen = next(a for a in cfg.attacks if a.name() == name)
    with initialised(cfg.seed, 1):
        net = models.backbone(40, cfg.encoder, cfg.width)
    encoder = models.cut(net, cfg.layer)[0].requires_grad_(False).eval()
    features = plateau.StandardisedFeatures(fast(encoder).eval(), _owned_images(at), len(at.owned.all))
    c = judge(cfg)
    wanted = embed_all(c, at.data.images, np.arange(len(at.data)), CPU)[0] if name == "features" else None
    g = scaled_g(at, cfg) if chosen.perceptual_weight else None
    distance = None if g is None else lambda a, b: losses.perceptual_distance(g(a), g(b), g.scale)
    width = models.decoder_width(cfg.encoder, cfg.width)
    with initialised(cfg.seed, chosen.stream()):
        shapes = Shapes(features.shape, cfg.image_size, width, 0 if wanted is None else wanted.shape[1], 40)
        player = chosen.player(shapes, distance)
    d = getattr(player, "discriminator", None)
    slow = plain.AttackTraining(
        deepcopy(player.net),
        nn.Sequential(encoder, features.standardise),
        cfg,
        chosen.stream(),
        deepcopy(d),
        g and deepcopy(g).to(memory_format=torch.contiguous_format),
        None if wanted is None else lambda x: c.embed(x)[0],
    )
    player.to(memory_format=torch.channels_last)
    public = feeds.of_attacker(chosen, features, at.owned, wanted, cfg, CPU)

    def ours() -> list[dict[str, float]]:
        plateau.to_plateau(player, public, Schedule(epochs, cfg.attack_lr, cfg.attack_patience), heard := Heard())
        return heard.lines

    def theirs() -> list[dict[str, float]]:
        slow.steps = 0  # each act is an attack from its beginning
        return [slow.epoch(k + 1, at.faces, at.owned.learns, at.owned.held_out) for k in range(epochs)]

    return Pair(ours, theirs, epochs * public.steps * cfg.batch_size)


def _owned_images(at: Setting) -> Iterator[Tensor]:
    return (x for _, x in batches(at.data.images, at.owned.all, 256))


def judge(cfg: RunConfig) -> RenderedRecogniser:
    """C's network before it has learned anything: it costs what the trained one does."""
    with initialised(41):
        return RenderedRecogniser(cfg.recogniser_identities, cfg.image_size).requires_grad_(False)


def joints(at: Setting, repeats: int) -> list[dict[str, Any]]:
    return [
        against("utility", "Enc and f by (6)", joint(at), repeats),
        against("joint", "joint step by (5) and (9), λ1 = 1", joint(at, lambda1=1), repeats),
        against("joint_g", "joint step, λ1 = λ2 = μ2 = 1", joint(at, lambda1=1, lambda2=1, simulated_mu2=1), repeats),
    ]


def attacks(at: Setting, repeats: int) -> list[dict[str, Any]]:
    def encode() -> None:
        plateau.StandardisedFeatures(encoder, _owned_images(at), len(at.owned.all))

    encoder = fast(models.cut(models.backbone(40, at.cfg.encoder, at.cfg.width), at.cfg.layer)[0]).eval()
    return [
        against("attack", "epoch of Dec^a by (1)", attack(at), repeats),
        against("attack_g", "epoch of Dec^a by (1) and (4)", attack(at, mu2=1), repeats),
        against("attack_d", "epoch of Dec^a by (1) and (2), with D", attack(at, mu1=MU1), repeats),
        against("features", "epoch of M by (10)", attack(at, "features"), repeats),
        alone("encode", "Z of an image and its mirror image, once an attack", encode, len(at.owned.all), repeats),
    ]


# -- data -----------------------------------------------------------------------------------------------------------


def data(at: Setting, repeats: int, images: int = 2000) -> list[dict[str, Any]]:
    """Import, and batches; of `images` files, so that reading the tables and finding the files weigh as they do in a large set."""
    with tempfile.TemporaryDirectory() as name:
        paths = write_drawn(Path(name) / "photographs", images)
        cfg, size = at.cfg.replace(data_root=str(Path(name) / "photographs")), at.cfg.image_size
        bytes_of = {path: path.stat().st_size for path in paths}
        everyone, fresh = np.arange(images), (Path(name) / str(i) for i in range(10**6))
        faces = plain.Photographs(paths, size)

        def imported() -> None:
            with store(next(fresh)):
                open_data(cfg, progress=False)

        def squares() -> None:
            on_all_cores(lambda path: plain.decode_square(np.fromfile(path, np.uint8), size), paths)

        def raw() -> None:
            on_all_cores(
                lambda path: decode_image(torch.frombuffer(read_file(path, bytes_of[path]), dtype=torch.uint8), RGB),
                paths,
            )

        def from_store() -> None:
            shuffled = torch.Generator().manual_seed(0)
            for _ in batches(found.images, everyone, cfg.batch_size, generator=shuffled, flip=True, drop_last=True):
                pass

        def decoded() -> None:
            for rows, mirrored in plain.in_order(everyone, cfg.batch_size, torch.Generator().manual_seed(0), True):
                faces(rows, mirrored)

        with store(Path(name) / "kept"):
            found = open_data(cfg, progress=False)
        made = against("import", "import of JPEGs, all cores", Pair(imported, squares, images), repeats, counted=False)
        square, of_square = made.pop("plain"), made.pop("ratio")
        of_raw = against("", "", Pair(imported, raw, images), repeats, counted=False)
        batch = Pair(from_store, decoded, images)
        words = "import's speed, of reading, decoding, cutting and resizing the same files on all cores"
        return [
            made,
            {"key": "decode", "name": "JPEGs to squares in memory, all cores", "unit": "images/s", **square},
            {"key": "import_share", "name": words, "unit": "×", **of_square},
            {"key": "raw_share", "name": "import's speed, of decoding alone", "unit": "×", **of_raw["ratio"]},
            against("batches", "batches out of the store", batch, repeats, counted=False),
        ]


def on_all_cores(read: Callable[[Path], Any], paths: list[Path]) -> None:
    """`read` each of `paths`, 64 at a time in a thread a core."""
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(lambda i: [read(path) for path in paths[i : i + 64]], range(0, len(paths), 64)))


@contextmanager
def store(root: Path) -> Iterator[None]:
    """Another store, within."""
    before, os.environ["ARL_RUNS"] = os.environ["ARL_RUNS"], str(root)
    try:
        yield
    finally:
        os.environ["ARL_RUNS"] = before


# -- evaluation -----------------------------------------------------------------------------------------------------


def evaluated(at: Setting, images: int = 800) -> Pair:
    """The figures of the paper's tables for one row, on `images` of T: metrics, C on what Dec^a made, intervals.

    Who is recognised, and what answers alone give, is not in it.
    """
    cfg, rng = at.cfg, np.random.default_rng(3)
    rows = np.arange(images) % len(at.data)
    x = torch.from_numpy(at.data.images[rows]).float() / 255
    x_hat = (x + 0.1 * torch.from_numpy(rng.normal(size=x.shape)).float()).clamp(0, 1)
    who, y = rows // 4, targets(at.data, cfg)[rows].numpy() > 0.5
    logits = torch.from_numpy(np.where(y, 1.0, -1.0) + rng.normal(size=y.shape))
    z, c = rng.normal(size=(images, 8 * cfg.width)), judge(cfg)
    fast_c = fast(c)
    seen = Seen(x, *embed_all(fast_c, at.data.images[rows], np.arange(images), CPU))
    resampling = {"seed": cfg.seed, "resamples": cfg.bootstrap}
    there = torch.ones(images, dtype=torch.bool)
    beside = Yardsticks(*[Seen(*(part.roll(k, 0) for part in seen)) for k in (1, 2, 3)], there, there)

    def ours() -> dict[str, float]:
        found = {"mcc": evaluate.utility(logits, y, at.data.attribute_names, **resampling)["mean_mcc"]}
        guess = Seen(x_hat, *embed_all(fast_c, (x_hat * 255).round().byte().numpy(), np.arange(images), CPU))
        scores = evaluate.image_scores(seen) | evaluate.embedding_scores(seen)
        found |= {m: evaluate.figure(score(guess), score, beside, **resampling) for m, score in scores.items()}
        found |= metrics.separability_intervals(z, who, **resampling)
        return flattened(found)

    def theirs() -> dict[str, float]:
        return flattened(_plainly(cfg, c, seen, x_hat, beside, logits, y, z, who))

    return Pair(ours, theirs, images)


def _plainly(
    cfg: RunConfig,
    c: nn.Module,
    x: Seen,
    x_hat: Tensor,
    beside: Yardsticks,
    logits: Tensor,
    y: np.ndarray,
    z: np.ndarray,
    who: np.ndarray,
) -> dict[str, dict[str, float]]:
    count, seed = cfg.bootstrap, cfg.seed
    found = {"mcc": plain.plain_utility((logits > 0).numpy(), y, count, seed)}
    parts = [c.embed(part.div(255)) for part in (x_hat * 255).round().split(cfg.batch_size)]
    guess = Seen(x_hat, *(torch.cat(part) for part in zip(*parts, strict=True)))
    cosine = nn.functional.cosine_similarity
    scores = {
        "face_similarity": lambda g: cosine(g.middle, x.middle),
        "ssim": lambda g: torch.cat(
            [plain.plain_ssim(a, b) for a, b in zip(g.images.split(256), x.images.split(256), strict=True)]
        ),
        "psnr": lambda g: -10 * (g.images - x.images).square().flatten(1).mean(1).log10(),
        "feature_similarity": lambda g: cosine(g.embedding, x.embedding),
    }
    for name, score in scores.items():
        found[name] = plain.plain_interval(score(guess).double().numpy(), count, seed)
        _ = [score(each).mean().item() for each in (beside.mean_face, beside.stranger, beside.same)]
    found |= plain.plain_separability(z, who, count, seed)
    return found


def flattened(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {f"{name} {side}": one[side] for name, one in found.items() for side in ("value", "low", "high")}


# -- the explorer ---------------------------------------------------------------------------------------------------


def explorer(at: Setting, repeats: int, rows: int = 250) -> list[dict[str, Any]]:
    """What the kernel does for a slider's move: the nearest stored row and the front around it, among `rows` made-up ones."""
    from arl.workbook import choice  # here, as it takes a second

    with tempfile.TemporaryDirectory() as folder:
        for i in range(rows):
            write_row(Path(folder), i)
        stored = choice.Store(Path(folder))
        places = [RunConfig.preset("tiny", seed=1, lambda1=x, lambda2=0.3) for x in (0.5, 2.5, 4.5, 6.5)]
        moves = iter(places * (1 + repeats))

        def move() -> None:
            stored.nearest(cfg := next(moves))
            choice.front(stored.rows, cfg)

        move()
        times = [seconds(move) for _ in range(repeats)]
    one = middle([1e3 * s for s in times])
    name = f"the kernel's part of a slider's move, {rows} rows stored"
    return [{"key": "move", "name": name, "unit": "ms", **one}]


# -- bf16 -----------------------------------------------------------------------------------------------------------


@contextmanager
def in_bf16() -> Iterator[None]:
    """Within, players of images learn in bf16 on the CPU."""
    training.BF16_LEARNS.add("cpu")
    try:
        yield
    finally:
        training.BF16_LEARNS.discard("cpu")


def in_both(ours: Callable[[], Any]) -> Callable[[], Any]:
    def act() -> Any:
        with in_bf16():
            return ours()

    return act


def bf16(at: Setting, repeats: int) -> list[dict[str, Any]]:
    """bf16 beside float32, at the batch and at four times it, at the batch also beside the straightforward way; the probe alone
    where nothing gains."""
    gain = bf16_gain()
    found = [{"key": "bf16_probe", "name": "bf16, a convolution", "unit": "× float32", **middle([gain])}]
    if gain < PAYS:
        return found
    for batch in (at.cfg.batch_size, 4 * at.cfg.batch_size):
        acts = {
            "joint step": joint(at, batch_size=batch, lambda1=1),
            "joint step, λ2": joint(at, batch_size=batch, lambda1=1, lambda2=1, simulated_mu2=1),
            "Dec^a by (1)": attack(at, batch_size=batch),
            "Dec^a by (1) and (4)": attack(at, batch_size=batch, mu2=1),
            "Dec^a by (1) and (2)": attack(at, batch_size=batch, mu1=MU1),
        }
        for k, (name, pair) in enumerate(acts.items()):
            a, b = paired(in_both(pair.ours), pair.ours, repeats)
            one = {"key": f"bf16_{k}_{batch}", "name": f"bf16, {name}, batches of {batch}", "unit": "× float32"}
            one |= middle(b / a)
            if batch == at.cfg.batch_size:
                a, b = paired(in_both(pair.ours), pair.plain, repeats)
                one["ratio"] = middle(b / a)
            found.append(one)
    return found


# -- figures --------------------------------------------------------------------------------------------------------


def against(key: str, name: str, pair: Pair, repeats: int, counted: bool = True) -> dict[str, Any]:
    """Images a second of both, the ratio of each pair; `counted`: also operations a second."""
    a, b = paired(pair.ours, pair.plain, repeats)
    found = {"key": key, "name": name, "unit": "images/s", **middle(pair.images / a)}
    found |= {"plain": middle(pair.images / b), "ratio": middle(b / a)}
    if counted:
        found["operations"] = operations(pair.ours) / pair.images  # of an image
        found["gflops"] = found["operations"] * found["value"] / 1e9
    return found


def alone(key: str, name: str, act: Callable[[], Any], images: int, repeats: int) -> dict[str, Any]:
    act()
    return {"key": key, "name": name, "unit": "images/s", **middle([images / seconds(act) for _ in range(repeats)])}


def evaluation(at: Setting, repeats: int, images: int = 800) -> list[dict[str, Any]]:
    pair = evaluated(at, images)
    return [against("evaluation", f"evaluation of a row, T of {pair.images}", pair, repeats, counted=False)]


MADE = {"joint": joints, "attack": attacks, "data": data, "evaluation": evaluation, "explorer": explorer, "bf16": bf16}


def measure(parts: tuple[str, ...], repeats: int, steps: int) -> dict[str, Any]:
    """The report: figures of `parts`, what a plain convolution reached before and after them, the whole paper where all of it is there."""
    about, best = machine(), limit(repeats)
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        at = setting_in(Path(folder), RunConfig.preset("quick"), steps)
        photograph = float(np.mean([path.stat().st_size for path in at.faces.paths]))
        for part in parts:
            for one in MADE[part](at, repeats):
                how = "--bf16" if part == "bf16" else f"--parts {part}"
                figures.append(one | {"command": f"python tests/bench_yardstick.py OUT.json {how}"})
                click.echo(line(one), err=True)
    best = {
        shape: max(reached, again)
        for (shape, reached), again in zip(best.items(), limit(repeats).values(), strict=True)
    }
    for one in figures:
        if "gflops" in one:
            one["share"] = one["gflops"] / max(best.values())
    figures += whole_paper(figures, RunConfig.preset("quick"), max(best.values()))
    about |= {"bytes_of_a_photograph": round(photograph), "repeats": repeats, "steps": steps}
    return {"machine": about, "limit": best, "figures": figures}


def line(one: dict[str, Any]) -> str:
    ratio = f", {one['ratio']['value']:.2f} × straightforward" if "ratio" in one else ""
    return f"{one['name']}: {one['value']:.4g} {one['unit']} ({one['low']:.4g} – {one['high']:.4g}){ratio}"


@click.command(help=__doc__, context_settings={"max_content_width": 140})
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--parts", default=",".join(PARTS), show_default=True)
@click.option("--repeats", type=click.IntRange(1, 1000), default=5, show_default=True, help="pairs behind each ratio")
@click.option("--steps", type=click.IntRange(1, 1000), default=8, show_default=True, help="batches of 32 in an act")
@click.option("--bf16", "with_bf16", is_flag=True, help="also bf16 against float32")
def main(out: Path, parts: str, repeats: int, steps: int, with_bf16: bool) -> None:
    chosen = tuple(part.strip() for part in parts.split(",") if part.strip())
    if unknown := [part for part in chosen if part not in PARTS]:
        raise click.BadParameter(f"parts: found {unknown[0]!r}, accepted: {', '.join(PARTS)}")
    os.environ.setdefault("ARL_THREADS", "1")
    os.environ["ARL_PRECISION"] = "float32"  # `--bf16` is for the other one
    prepare()
    report = measure(chosen + (("bf16",) if with_bf16 else ()), repeats, steps)
    write_report(out, "yardstick", report.pop("figures"), **report)


if __name__ == "__main__":
    if not KEEP_MEMORY.keys() <= os.environ.keys():  # as arl's own processes have it, for both of each pair
        os.execve(sys.executable, [sys.executable, *sys.argv], KEEP_MEMORY | os.environ)
    main()
