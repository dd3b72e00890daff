"""Room for faces: the bytes that a set takes on the disk and in memory, against what there is."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from arl.messages import ConfigError

ATTRIBUTES = 40  # at most
GIB = 1 << 30


def bytes_of(images: int, size: int) -> int:
    """Bytes that `images` faces of `size` pixels a side take in the store while they are made."""
    return images * (3 * size * size + 2 * ATTRIBUTES + 8 + 1)


def memory_of(images: int) -> int:
    """Bytes of memory that the labels of `images` faces take; the faces themselves stay on the disk."""
    return images * (2 * ATTRIBUTES + 4 * 8)


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where `folder` is or will be."""
    for place in (folder, *folder.absolute().parents):
        with suppress(OSError):  # not there yet, or what cannot be there: a name too long, another's folder
            return shutil.disk_usage(place).free
    return 0


def physical_memory() -> int | None:
    """Bytes of memory of this machine, where the system says so."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_room(parameter: str, images: int, size: int, folder: Path) -> None:
    """Raise ConfigError, one line, where `images` faces have no room in `folder` or their labels none in memory."""
    held = (
        (folder / "images.u8").stat().st_blocks * 512 if (folder / "images.u8").exists() else 0
    )  # by a build that goes on
    needed, free = bytes_of(images, size), free_bytes(folder) + held
    if needed > free:
        raise ConfigError(
            f"{parameter}: found {images:,} images of {size} px, which need {needed / GIB:,.1f} GiB in {folder.parent}, "
            f"accepted: what fits into the {free / GIB:,.1f} GiB that are free"
        )
    needed, memory = memory_of(images), physical_memory()
    if memory and needed > memory:
        raise ConfigError(
            f"{parameter}: found {images:,} images, whose labels need {needed / GIB:,.1f} GiB of memory, "
            f"accepted: what fits into the {memory / GIB:,.1f} GiB of this machine"
        )
