"""Whose pictures are shown: nobody is picked by hand."""

import numpy as np

from arl.data import FaceData
from arl.messages import ConfigError
from arl.row import Row


def different_people(data: FaceData, index: np.ndarray, n: int) -> np.ndarray:
    """The first photograph in `index` of each of its first `n` people (fewer if there are fewer): nobody is picked by hand."""
    _, first = np.unique(data.identities[index], return_index=True)
    return index[np.sort(first)[:n]]


def choose_people(row: Row, n: int, how: str | int = "first") -> np.ndarray:
    """Images of T, one a person: the `first` ones, those of the highest face similarity in `row` (`worst`), or the lowest (`best`).

    Or chosen ones: `how` holds their places in T, counted from 0, such as "3,17,40"; `n` does not matter then. Raises `ConfigError`.
    """
    measured, _ = row.run.load()
    t, leak = measured["t"].numpy(), measured["face_similarity"].numpy()
    if how in ("first", "worst", "best"):
        sign = {"first": 0, "worst": -1, "best": 1}[how]
        index = t[np.argsort(sign * leak, kind="stable")]
        _, first = np.unique(row.experiment.data.identities[index], return_index=True)
        return index[np.sort(first)[:n]]
    places = [int(place) if place.strip().isdecimal() else -1 for place in str(how).split(",")]
    if not all(0 <= place < len(t) for place in places):
        raise ConfigError(
            f"choose: found {how!r}, accepted: first, worst, best, or places in T such as 3,17 (0 to {len(t) - 1})"
        )
    return t[places]
