"""Readings of ‖·‖²: by which factor λ of the paper would have to be multiplied to stand for the same weight among our losses.

The paper writes E‖X̂ − X‖² and E‖g(X̂) − g(X)‖², and says neither over what it sums nor what range images have. Ours: the mean over
all elements, images in [0, 1]; g's layers scaled so that strangers are as far apart by g as by their pixels. (9) is a difference of
losses, so a reading of (6), the mean of the binary cross-entropies over the forty attributes or their sum, counts as much as one of (7).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

PAPER_SIDE = 128  # pixels a side where a reading sums over them: the paper does not say; ours of the preset `paper`
ATTRIBUTES_SUMMED = 40
IMAGENET = float(
    np.mean(1 / np.array([0.229, 0.224, 0.225]) ** 2)
)  # images divided by ImageNet's deviations, as torchvision's are

# (7) over ours, for the same two images.
PIXELS = {
    "mean, [0, 1]": (1.0, "ours"),
    "mean, [−1, 1]": (4.0, "twice the range"),
    "channels summed, [0, 1]": (3.0, "‖·‖² of a pixel, mean over pixels"),
    "channels summed, [−1, 1]": (12.0, "both"),
    "mean, ImageNet": (IMAGENET, "images as torchvision's ResNet takes them"),
    "channels summed, ImageNet": (3 * IMAGENET, "both"),
    "all summed, [0, 1]": (3.0 * PAPER_SIDE**2, f"‖·‖² to the letter, at {PAPER_SIDE} pixels"),
    "all summed, [−1, 1]": (12.0 * PAPER_SIDE**2, f"‖·‖² to the letter, at {PAPER_SIDE} pixels"),
    "mean, [0, 255]": (255.0**2, "images in bytes"),
}
# (6) over ours.
UTILITIES = {"mean of 40": (1.0, ""), "sum of 40": (1.0 * ATTRIBUTES_SUMMED, "; (6) summed over the attributes")}
# VGG16's five blocks at PAPER_SIDE pixels, as `judges.perceptual` cuts it: channels, and by how much the side is smaller.
VGG_BLOCKS = ((64, 1), (128, 2), (256, 4), (512, 8), (512, 16))
# Each layer's mean squared distance between strangers over that of their pixels: `Perceptual.calibrate` on X2 of 10 000 images of CelebA at
# 48 pixels, seed 0. VGG16 with ImageNet weights, the paper's g, could not be measured: its weights need the network.
RAW = {
    "random": (12.0695, 11.6236, 9.9959, 6.3524, 2.3753),
    "efficientnet": (613.139, 1076.692, 859.050, 614.792, 71.809),
}


@dataclass(frozen=True)
class Reading:
    """One way to read λ1 or λ2: λ(ours) = `factor` · λ(paper)."""

    symbol: str
    name: str
    factor: float
    words: str


def pixel_readings() -> list[Reading]:
    """Of λ1: each reading of (7) with each of (6); the first is ours."""
    return [
        Reading("lambda1", f"{pixels}; (6) {utility}", of_7 / of_6, said + also)
        for (utility, (of_6, also)), (pixels, (of_7, said)) in product(UTILITIES.items(), PIXELS.items())
    ]


def perceptual_readings(raw: tuple[float, ...]) -> list[Reading]:
    """Of λ2: our scaled distance, then g's own, for a g whose layers put strangers `raw` times as far apart as their pixels do (5,).

    Exact where X̂ and X differ in each layer in the same share of what strangers do; else the layers' weights differ as well.
    """
    elements = np.array([channels * (PAPER_SIDE // smaller) ** 2 for channels, smaller in VGG_BLOCKS], float)
    ways = {
        "g scaled, mean of layers": (1.0, "ours"),
        "g raw, mean of layers": (float(np.mean(raw)), "mean over elements, g as it is"),
        "g raw, layers summed": (float(np.sum(raw)), "mean over elements, g as it is, its five layers summed"),
        "g raw, all summed": (
            float(np.dot(raw, elements)),
            f"‖·‖² to the letter, VGG16's elements at {PAPER_SIDE} pixels",
        ),
    }
    return [
        Reading("lambda2", f"{way}; (6) {utility}", of_8 / of_6, said + also)
        for (utility, (of_6, also)), (way, (of_8, said)) in product(UTILITIES.items(), ways.items())
    ]
