"""Measure `arl.data`: decoding CelebA-sized photographs, rendering, and batches.

    python tests/bench_data.py [IMAGES]

Files are written once into a temporary folder, in CelebA's layout (178×218, JPEG quality 90), and decoded to 48, 64 and
128 pixels by all cores; batches are read from the store, 64 at a time, on one thread.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from arl.config import ATTRIBUTES, RunConfig
from arl.data import batches, open_data, open_rendered


def write_celeba(root: Path, n: int) -> None:
    """`n` smooth random photographs of about 9 kB."""
    (root / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 22, 3), np.uint8))
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(root / "img_align_celeba" / f"{i:06d}.jpg", quality=90)
    values = " ".join(["-1"] * 40)
    rows = "".join(f"{i:06d}.jpg {values}\n" for i in range(n))
    (root / "list_attr_celeba.txt").write_text(f"{n}\n{' '.join(ATTRIBUTES)}\n{rows}")
    (root / "identity_CelebA.txt").write_text("".join(f"{i:06d}.jpg {i // 20}\n" for i in range(n)))


def main(n: int = 4000) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARL_RUNS"] = folder
        write_celeba(Path(folder) / "celeba", n)
        for size in (48, 64, 128):
            cfg = RunConfig(data="celeba", data_root=folder, image_size=size)
            start = time.perf_counter()
            data = open_data(cfg, progress=False)
            print(f"celeba, {size} px: {n / (time.perf_counter() - start):.0f} images/s decoded, all cores")
            start = time.perf_counter()
            open_data(cfg, progress=False)
            print(f"celeba, {size} px: found again in {1e3 * (time.perf_counter() - start):.0f} ms")
            for name, more in {"in order": {}, "shuffled": dict(flip=False), "flipped": dict(flip=True)}.items():
                best = 1e9
                for seed in range(5):
                    generator = torch.Generator().manual_seed(seed) if more else None
                    start = time.perf_counter()
                    count = sum(1 for _ in batches(data.images, np.arange(n), 64, generator=generator, **more))
                    best = min(best, (time.perf_counter() - start) / count)
                print(f"batches of 64, {size} px, {name}: {1e6 * best:.0f} µs")
        start = time.perf_counter()
        open_rendered(n // 32, 32, 64, 0, progress=False)
        print(
            f"rendered, 64 px: {n // 32 * 32 / (time.perf_counter() - start):.0f} images/s, all cores, start included"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
