"""The embedded faces on paper: people, one person's photographs, attributes off and on, and how frequent they are."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from arl import faces
from arl.config import ATTRIBUTES
from arl.paper.style import themed


@themed
def picture_wall(images: np.ndarray, columns: int, width: float = 10.0) -> Figure:
    """Pictures (n, 3, S, S) side by side, `columns` in a row; `width` in inches."""
    rows = -(-len(images) // columns)
    figure, axis = plt.subplots(figsize=(width, width * rows / columns))
    figure.subplots_adjust(0, 0, 1, 1)
    axis.imshow(faces.montage(images, columns))
    axis.set_axis_off()
    return figure


@themed
def switches(seed: int, person: int, size: int) -> Figure:
    """One photograph of `person`, twice for each attribute: off at the left, on at the right. `size` in pixels a side."""
    figure, axes = plt.subplots(8, 5, figsize=(10, 9.5))
    for name, axis in zip(ATTRIBUTES, axes.flat, strict=True):
        pair = [faces.render_params(seed, person, 1, size, force={name: value})[0] for value in (False, True)]
        axis.imshow(faces.montage(np.concatenate(pair), 2))
        axis.set_title(name, fontsize=8, pad=2)
        axis.set_axis_off()
    figure.tight_layout(pad=0.3)
    return figure


def percentages(seed: int, counted: int) -> dict[str, tuple[float, float]]:
    """By attribute, how many of `counted` invented people have it, and of CelebA's, in percent."""
    decided, _ = faces.parameters(seed, np.arange(counted))
    return {name: (100 * decided[name].mean(), faces.FREQUENCIES[name]) for name in ATTRIBUTES}


@themed
def frequencies(found: dict[str, tuple[float, float]]) -> Figure:
    """`percentages` against one another: a dot an attribute."""
    ours, celeba = zip(*found.values(), strict=True)
    figure, axis = plt.subplots(figsize=(5, 5))
    axis.plot([0, 100], [0, 100], color="0.8")
    axis.scatter(celeba, ours, s=12)
    axis.set(xlabel="CelebA, % positive", ylabel="invented people, % positive", aspect="equal")
    return figure


def frequencies_text(found: dict[str, tuple[float, float]]) -> str:
    """`percentages` as lines, after the attribute where they differ most."""
    worst = max(found, key=lambda name: abs(found[name][0] - found[name][1]))
    lines = [f"largest distance: {worst}, {found[worst][0]:.2f} % here, {found[worst][1]:.2f} % in CelebA"]
    return "\n".join([*lines, *(f"{name:22s}{here:7.2f}{there:7.2f}" for name, (here, there) in found.items())])
