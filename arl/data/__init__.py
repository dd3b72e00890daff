"""Faces from any source behind one interface; X1, X2 and T; batches."""

from arl.data.base import FaceData, Split, attribute_names, full_batches, pictures, reserved_rows, split, stack, targets
from arl.data.batches import batches, resident
from arl.data.description import Description, describe, needed_bytes, some_pictures, unopened, unopened_extra
from arl.data.images import upright
from arl.data.open import open_data, open_extra
from arl.data.rendered import look_rendered, open_rendered

__all__ = [
    "Description",
    "FaceData",
    "Split",
    "attribute_names",
    "batches",
    "describe",
    "full_batches",
    "look_rendered",
    "needed_bytes",
    "open_data",
    "open_extra",
    "open_rendered",
    "pictures",
    "reserved_rows",
    "resident",
    "some_pictures",
    "split",
    "stack",
    "targets",
    "unopened",
    "unopened_extra",
    "upright",
]
