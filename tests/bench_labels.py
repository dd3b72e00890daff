"""Are the labels in the pixels? A ResNet-18 on 20 000 rendered faces, tested on people it never saw, and a linear probe beside it.

python tests/bench_labels.py [--epochs 6]: mean MCC over the forty attributes (wanted: 0.75 and none under 0.4), and that of a
ridge classifier on the raw pixels (wanted: well under it). About half an hour on one core; killed, it goes on from its last epoch.
"""

import argparse
import os

import numpy as np
import torch
from sklearn.linear_model import Ridge

from arl import metrics
from arl.config import RunConfig
from arl.data import batches, open_data, split, targets
from arl.experiment import Experiment
from arl.machine import prepare


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--encoder", default="resnet18")
    options = parser.parse_args()
    os.environ.setdefault("ARL_THREADS", "1")
    cfg = RunConfig(
        encoder=options.encoder,
        image_size=64,
        identities=options.images // 8 + 375,
        per_identity=8,
        x1=options.images,
        x2=1000,
        split="identity",
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=1e-3,
    )
    data = open_data(cfg)
    x1, _, t = split(data, cfg)
    assert not set(data.identities[x1]) & set(data.identities[t])
    y = targets(data, cfg).numpy() > 0.5
    encoder, classifier = Experiment(cfg).networks
    with torch.no_grad():
        logits = torch.cat([classifier(encoder(x)).cpu() for _, x in batches(data.images, t, 256, device=prepare())])
    found = metrics.mcc_intervals((logits > 0).numpy(), y[t])
    mean = found["mean"]
    print(f"{cfg.encoder}, {len(x1)} images of {data.title}, tested on {len(t)} of unseen people")
    print(f"mean MCC {mean['value']:.3f} ({mean['low']:.3f} … {mean['high']:.3f})")
    for name, m in sorted(zip(cfg.attributes, found["attributes"], strict=True), key=lambda pair: pair[1]["value"]):
        print(f"  {name:22} {m['value']:.3f} ({m['low']:.3f} … {m['high']:.3f})")
    few = np.sort(np.random.default_rng(0).choice(x1, min(6000, len(x1)), replace=False))
    pixels = {
        k: data.images[rows].reshape(len(rows), -1).astype(np.float32) / 255 - 0.5 for k, rows in (("x", few), ("t", t))
    }
    probe = Ridge(alpha=1000).fit(pixels["x"], y[few] * 2.0 - 1.0)
    print(
        f"linear probe on the pixels of {len(few)} images: mean MCC {metrics.mean_mcc(probe.predict(pixels['t']) > 0, y[t]):.3f}"
    )


if __name__ == "__main__":
    main()
