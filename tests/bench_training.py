"""Images a second of each step of a run at the quick preset: python tests/bench_training.py [--width 16] [--image-size 48]

One CPU thread unless ARL_THREADS says otherwise. Machines are noisy: compare ratios from one run, and quote the median.
"""

import argparse
import os
import statistics
import time

import torch

from arl import losses
from arl.config import RunConfig
from arl.judges import perceptual
from arl.machine import prepare
from arl.models import ImageDecoder, backbone, cut, decoder_width, tap_shape
from arl.training import fixed


def rate(step, images, repeats=7):
    """Median images a second of `step`, after two warm-up calls."""
    step(), step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return images / statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=48)
    options = parser.parse_args()
    os.environ.setdefault("ARL_THREADS", "1")
    device = prepare()
    cfg = RunConfig(width=options.width, image_size=options.image_size)
    net = backbone(cfg, 40).to(device, memory_format=torch.channels_last)
    encoder, classifier = cut(net, "fc")
    shape = tap_shape(encoder, cfg.image_size)
    decoder = ImageDecoder(shape, cfg.image_size, decoder_width(cfg)).to(device, memory_format=torch.channels_last)
    g = perceptual(cfg, device)
    n = cfg.batch_size
    x = torch.rand(n, 3, cfg.image_size, cfg.image_size, device=device).contiguous(memory_format=torch.channels_last)
    y = torch.zeros(n, 40, device=device)
    z = encoder(x).detach()

    def utility():
        losses.utility_loss(net(x), y).backward()

    def attack():
        losses.pixel_loss(decoder(z), x).backward()

    def perceptual_attack():
        x_hat = decoder(z)
        (losses.pixel_loss(x_hat, x) + losses.perceptual_distance(g(x_hat), g(x), g.scale)).backward()

    def alternation():
        with fixed(encoder), torch.no_grad():
            features = encoder(x)
        losses.pixel_loss(decoder(features), x).backward()
        with fixed(decoder):
            features = encoder(x)
            (losses.utility_loss(classifier(features), y) - losses.pixel_loss(decoder(features), x)).backward()

    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} thread(s), {cfg.image_size} px, width {cfg.width}"
    )
    for name, step in (
        ("Enc and f by (6), forward + backward", utility),
        ("Dec^a by (1) on kept Z, forward + backward", attack),
        ("Dec^a by (1) and (4), forward + backward", perceptual_attack),
        ("one alternation of (5) and (9) with λ1", alternation),
    ):
        print(f"{name:45} {rate(step, n):8.0f} images/s")


if __name__ == "__main__":
    main()
