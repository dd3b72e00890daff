"""Folders in CelebA's layout out of drawn faces, as many files as a bench wants: nobody is on them."""

import io
import os
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from arl import faces
from arl.config import ATTRIBUTES

PER_PERSON = 4  # drawn photographs of each person


@cache
def jpegs(distinct: int) -> tuple[list[bytes], np.ndarray]:
    """`distinct` drawn faces as JPEGs of CelebA's size, 178×218, some 8 kB each as CelebA's are; their labels, bool (n, 40)."""
    drawn = faces.render(-(-distinct // PER_PERSON), PER_PERSON, 64, 5)
    found = []
    for image in drawn.images[:distinct]:
        large = Image.fromarray(image.transpose(1, 2, 0)).resize((178, 218), Image.Resampling.BICUBIC)
        large.save(buffer := io.BytesIO(), "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found, drawn.attributes[:distinct]


def write_drawn(root: Path, n: int, distinct: int = 120) -> list[Path]:
    """CelebA's layout in `root`/celeba with `n` photographs of n / 4 people; the paths of the photographs, in order.

    There are `distinct` different faces; the other names are hard links to them, so `n` may be large. To a decoder a linked file is a file
    as any other: it is opened, read and decoded. What a disk takes to find bytes that it has not read before is not in such a measurement.
    """
    base = root / "celeba"
    folder = base / "img_align_celeba"
    folder.mkdir(parents=True)
    blobs, attributes = jpegs(min(n, distinct))
    paths = [folder / f"{i + 1:06d}.jpg" for i in range(n)]
    for i, path in enumerate(paths):
        if i < len(blobs):
            path.write_bytes(blobs[i])
        else:
            os.link(paths[i % len(blobs)], path)
    labels = [" ".join("1" if value else "-1" for value in row) for row in attributes]
    with (base / "list_attr_celeba.txt").open("w") as file:
        file.write(f"{n}\n{' '.join(ATTRIBUTES)}\n")
        file.writelines(f"{path.name} {labels[i % len(blobs)]}\n" for i, path in enumerate(paths))
    with (base / "identity_CelebA.txt").open("w") as file:
        file.writelines(f"{path.name} {1 + i // PER_PERSON}\n" for i, path in enumerate(paths))
    return paths
