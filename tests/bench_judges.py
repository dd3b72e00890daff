"""How well the judges tell people apart on each source of faces, and what a g costs and ranks.

python tests/bench_judges.py verify [FILE.onnx ...] [--celeba ROOT]   AUC, and the mean cosine of one person and of strangers
python tests/bench_judges.py means [--celeba ROOT]                    the constants arl/judges/dlib_means.json, on other people
python tests/bench_judges.py g FILE.onnx [--celeba ROOT]              images a second, and Spearman against C under distortion
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from scipy.stats import spearmanr

from arl.config import RunConfig
from arl.data import FaceData, batches, open_data, open_rendered
from arl.judges import OnnxRecogniser, embed_all, perceptual
from arl.judges.base import WHOLE, pairs, verification_auc
from arl.judges.dlib_resnet import MEANS, WINDOWS, DlibRecogniser

CPU = torch.device("cpu")


def sources(size: int, celeba: str | None) -> dict[str, FaceData]:
    found = {
        "rendered": open_rendered(80, 4, size, 777_777),
        "orl": open_data(RunConfig(data="orl", image_size=size)),
    }
    if celeba:
        found["celeba"] = open_data(RunConfig(data="celeba", data_root=celeba, image_size=size))
    return found


def sample(data: FaceData, parity: int, images: int) -> np.ndarray:
    """Up to four photographs each of people with an even or an odd number, as many as make `images`."""
    rng, rows = np.random.default_rng(5), []
    people, counts = np.unique(data.identities, return_counts=True)
    for who in rng.permutation(people[(people % 2 == parity) & (counts > 1)]):
        rows.extend(np.flatnonzero(data.identities == who)[:4])
        if len(rows) >= images:
            break
    return np.sort(rows)[:images]


def verify(celeba: str | None, files: list[Path], images: int) -> None:
    for size in (48, 128):
        for source, data in sources(size, celeba).items():
            rows = sample(data, 1, images)
            who = data.identities[rows]
            dlib = DlibRecogniser(source)
            judges = {"dlib, window and centred": embed_all(dlib, data.images, rows, CPU)[0]}
            dlib.window, dlib.mean = WHOLE, torch.zeros(128)
            judges["dlib, whole square"] = embed_all(dlib, data.images, rows, CPU)[0]
            judges |= {f.name: embed_all(OnnxRecogniser(f), data.images, rows, CPU)[0] for f in files}
            for name, embedding in judges.items():
                same, cosine = pairs(embedding, who)
                print(
                    f"{source:9} {size:3} px  {name:26} AUC {verification_auc(embedding, who):.3f}  "
                    f"same {cosine[same].mean():.3f}  strangers {cosine[~same].mean():.3f}  ({same.sum()} pairs of {len(rows)} images)",
                    flush=True,
                )


def means(celeba: str | None, images: int) -> None:
    kept = json.loads(MEANS.read_text()) if MEANS.exists() else {}
    totals: dict[str, list[np.ndarray]] = {}
    for size in (48, 128):
        for source, data in sources(size, celeba).items():
            dlib = DlibRecogniser("folder")
            rows = sample(data, 0, images)
            uses = {source: WINDOWS[source]} | ({"folder": WHOLE} if source == "celeba" else {})
            for use, window in uses.items():
                dlib.window = window
                parts = [dlib.descriptors(x) for _, x in batches(data.images, rows, 64)]
                totals.setdefault(use, []).append(torch.cat(parts).mean(0).numpy())
                print(use, size, len(rows), flush=True)
    kept |= {use: [round(float(v), 5) for v in np.mean(found, 0)] for use, found in totals.items()}
    MEANS.write_text(json.dumps(kept) + "\n")


def distorted(x: torch.Tensor) -> list[torch.Tensor]:
    """Blurs, noises, coarse pixels, darkenings and shifts of `x`, from slight to heavy."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    side = x.shape[-1]
    made = [(x + s * noise).clamp(0, 1) for s in (0.03, 0.1, 0.2)]
    for k in (2, 4, 8):
        made.append(F.interpolate(F.avg_pool2d(x, k), size=side, mode="bilinear"))
        made.append(F.interpolate(F.avg_pool2d(x, k), size=side, mode="nearest"))
    made += [x * s for s in (0.8, 0.5)] + [x.roll(s, 3) for s in (1, 3, 6)]
    return [*made, *[x + s * (x.mean(0) - x) for s in (0.3, 0.6, 0.9)]]


def g(file: Path, celeba: str | None) -> None:
    torch.set_num_threads(1)
    c = OnnxRecogniser(file)
    data = sources(48, celeba)["celeba" if celeba else "orl"]
    rows = sample(data, 1, 100)
    x = torch.from_numpy(data.images[rows]).float() / 255
    changed = distorted(x)
    cosines = np.concatenate([F.cosine_similarity(c.embed(x)[0], c.embed(y)[0]).numpy() for y in changed])
    pixel = np.concatenate([(x - y).square().mean((1, 2, 3)).numpy() for y in changed])
    print(f"pixels: Spearman {spearmanr(-pixel, cosines).statistic:.3f} over {len(cosines)} faces")
    for name in ("random", "efficientnet"):
        net = perceptual(RunConfig(perceptual=name), CPU)
        net.calibrate(data.images, np.arange(1000), 0)
        x = x.contiguous(memory_format=torch.channels_last)
        maps, far = net(x), []
        for y in changed:
            layers = zip(net(y), maps, net.scale, strict=True)
            far.append(torch.stack([(a - b).square().mean((1, 2, 3)) / s for a, b, s in layers]).mean(0).numpy())
        batch = x[:32].clone().requires_grad_()
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            sum(m.square().mean() for m in net(batch)).backward()
            seconds.append(time.perf_counter() - start)
        rate, best = 32 / float(np.median(seconds)), 32 / min(seconds)
        rank = spearmanr(-np.concatenate(far), cosines).statistic
        print(f"{name}: {rate:.0f} images/s forward + backward (best {best:.0f}), Spearman {rank:.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["verify", "means", "g"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--celeba")
    parser.add_argument("--images", type=int, default=160)
    chosen = parser.parse_args()
    if chosen.what == "verify":
        verify(chosen.celeba, chosen.files, chosen.images)
    elif chosen.what == "means":
        means(chosen.celeba, chosen.images)
    else:
        g(chosen.files[0], chosen.celeba)
