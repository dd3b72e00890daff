"""Random numbers that are a hash of what they belong to, so that any slice of a data set can be made anywhere and is the same slice."""

import zlib

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from arl.config import DOMAINS
from arl.messages import ConfigError


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64-bit integers."""
    z = np.atleast_1d(z)  # numpy warns of overflow in scalars, not in arrays
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """Named random numbers for arrays of keys: the same key and name give the same number, in any order.

    `keys` are integers from 0 or arrays of them that broadcast to (N,); every name gives (N,) numbers, or (1,) where all keys are single.
    """

    def __init__(self, *keys: ArrayLike):
        state = np.zeros(1, np.uint64)
        for key in keys:
            key = np.atleast_1d(np.asarray(key)).astype(np.uint64)
            state = _mix(state + np.uint64(0x9E3779B97F4A7C15) + _mix(key + np.uint64(0x632BE59BD9B4E019)))
        self.state = state

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """(N,) float64 evenly between `low` and `high`, neither of which is reached."""
        bits = _mix(self.state ^ _mix(np.uint64(zlib.crc32(name.encode())) + np.uint64(1)))
        return low + (high - low) * ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, name: str) -> np.ndarray:
        """(N,) float64, standard normal."""
        return ndtri(self.uniform(name))


def check_domain(domain: str) -> None:
    """Raises `ConfigError` unless `domain` is one of `DOMAINS`."""
    if domain not in DOMAINS:
        raise ConfigError(f"domain: found {domain!r}, accepted are {', '.join(DOMAINS)}")


def person_stream(seed: int, domain: str, people: ArrayLike) -> Stream:
    """What stays a person's in all photographs."""
    return Stream(seed, DOMAINS.index(domain), people)


def photo_stream(seed: int, domain: str, people: ArrayLike, photos: ArrayLike) -> Stream:
    """What belongs to one photograph of a person."""
    return Stream(seed, DOMAINS.index(domain), people, np.asarray(photos) + 1)
