"""Who sits for a picture: the attributes decided, and the random numbers that make the rest of a person and a photograph."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from arl.faces.attributes import Attributes, Latents
from arl.faces.streams import Stream

Traits = dict[str, np.ndarray]  # float64 (N,), or (N, 3) linear colours, by name


class Given(dict):
    """A dict that keeps the values `given` whatever is set: what is derived from a trait then follows the given one."""

    def __init__(self, given: Mapping[str, ArrayLike]):
        super().__init__()
        self.given = given

    def __setitem__(self, name: str, value: np.ndarray) -> None:
        if name in self.given:
            value = np.broadcast_to(np.asarray(self.given[name], np.float64), np.shape(value)).copy()
        super().__setitem__(name, value)


class Sitter:
    """`n` photographs of people: `f`, attributes as float64 (n,) of 0 and 1, `z`, latents (n,), and draws of (n,) by name."""

    def __init__(self, a: Attributes, z: Latents, person: Stream, photo: Stream, shifted: bool):
        self.n = a["Male"].shape[0]
        self.f = {name: np.broadcast_to(value, (self.n,)).astype(np.float64) for name, value in a.items()}
        self.z, self.person, self.photo, self.shifted = z, person, photo, shifted
        self.male, self.young = self.f["Male"], self.f["Young"]
        self.elder = 1 - self.young

    def body(self, name: str, sd: float = 1.0) -> np.ndarray:
        """A person's own deviation, normal of standard deviation `sd`, bounded so that no one leaves the human range."""
        return sd * np.clip(self.person.normal("trait " + name), -2.2, 2.2) + np.zeros(self.n)

    def shot(self, name: str, sd: float = 1.0) -> np.ndarray:
        """A photograph's deviation, bounded likewise."""
        return sd * np.clip(self.photo.normal("trait " + name), -2.2, 2.2) + np.zeros(self.n)

    def chance(self, name: str, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """A person's own number, evenly between `low` and `high`."""
        return self.person.uniform(name, low, high) + np.zeros(self.n)

    def luck(self, name: str) -> np.ndarray:
        """A photograph's number, evenly between 0 and 1."""
        return self.photo.uniform(name) + np.zeros(self.n)


def old(t: Traits) -> np.ndarray:
    """0 up to an age of 35 years, 1 from 75, (N,)."""
    return np.clip((t["age"] - 35) / 40, 0, 1)
