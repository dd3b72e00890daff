"""Faces from any source behind one interface; X1, X2 and T; batches."""

from arl.data.open import (
    FaceData,
    Split,
    attribute_names,
    batches,
    full_batches,
    open_data,
    open_extra,
    open_rendered,
    pictures,
    split,
    stack,
    targets,
    upright,
)

__all__ = [
    "FaceData",
    "Split",
    "attribute_names",
    "batches",
    "full_batches",
    "open_data",
    "open_extra",
    "open_rendered",
    "pictures",
    "split",
    "stack",
    "targets",
    "upright",
]
