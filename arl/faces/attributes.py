"""Who has which attribute, and in which photograph: standard normal latents cut at thresholds that give CelebA's frequencies.

Two labels are opinions, as in CelebA. *Young* means an age below 40 years. *Attractive* is the sign of `attractive`, a fixed
sum over other visible traits: it imitates the habits of CelebA's annotators and claims nothing about beauty.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from arl.config import ATTRIBUTES
from arl.faces.frequencies import (
    ATTRACTIVE,
    BEARDS,
    EXCLUDED,
    FACTOR_PHOTO,
    FREQUENCIES,
    GROUPS,
    HAIR_COLOURS,
    HARMONY,
    MEN,
    RATES,
)
from arl.faces.streams import Stream
from arl.messages import ConfigError

Attributes = dict[str, np.ndarray]  # bool (N,) by name: the 40 of CelebA, and "chestnut", "auburn", "sandy", "beard"
Latents = dict[str, np.ndarray]  # float64 (N,) by name, standard normal
Limits = dict[
    str | tuple[str, float], float
]  # thresholds: by attribute, or by attribute and percent where the sexes differ
BEARD_NAMES = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns", "beard")
BEARDED = ("Goatee", "Mustache", "beard")  # what No_Beard denies


def attractive(a: Attributes, harmony: np.ndarray | float) -> np.ndarray:
    """The rule of Attractive, (N,), before its threshold."""
    return sum(weight * a[name] for name, weight in ATTRACTIVE.items()) + HARMONY * harmony


def latents(person: Stream, photo: Stream) -> Latents:
    """A latent for every entry of `RATES`, person and photograph mixed in their shares, and the two that no attribute names."""

    def mixed(name: str, share: float) -> np.ndarray:
        return np.sqrt(1 - share) * person.normal(name) + np.sqrt(share) * photo.normal(name)

    lasting = {name: person.normal("factor " + name) for name in FACTOR_PHOTO}
    passing = {name: mixed("factor " + name, share) for name, share in FACTOR_PHOTO.items()}
    z = {}
    for name, (_, share, loadings) in RATES.items():
        factors = passing if share else lasting  # what is wholly the person's must not change with the photograph
        own = np.sqrt(1 - sum(v * v for v in loadings.values()))
        z[name] = own * mixed(name, share) + sum(v * factors[f] for f, v in loadings.items())
    z["harmony"] = person.normal("harmony")
    z["melanin"] = -z["Pale_Skin"]  # the palest skins are those called pale
    return z


class _Threshold:
    """Cuts latents so that a share of them lies above: at the limits given, or where none are, at limits that it finds and keeps."""

    def __init__(self, limits: Limits | None):
        self.learn, self.limits = limits is None, {} if limits is None else limits

    def above(self, key: str | tuple[str, float], values: np.ndarray, share: float) -> np.ndarray:
        if self.learn:
            self.limits[key] = float(np.quantile(values, 1 - share))
        return values > self.limits[key]


def decide(z: Latents, person: Stream, limits: Limits | None = None) -> tuple[Attributes, Limits]:
    """Attributes, and the thresholds: those given, else found from the latents `z`."""
    threshold = _Threshold(limits)
    a = {"Male": threshold.above("Male", z["Male"], MEN)}
    _by_rate(a, z, threshold)
    _hair_colour(a, z, person)
    _beard(a, person)
    a["Attractive"] = threshold.above("Attractive", attractive(a, z["harmony"]), FREQUENCIES["Attractive"] / 100)
    return a, threshold.limits


def _by_rate(a: Attributes, z: Latents, threshold: _Threshold) -> None:
    """Decide the attributes of `RATES` in their order, men and women apart."""
    male = a["Male"]
    for name, (men, _, _) in RATES.items():
        if name == "Male":
            continue
        women = (FREQUENCIES[name] - MEN * men) / (1 - MEN)
        a[name] = np.zeros_like(male)
        excluded = np.any([a[other] for other in EXCLUDED.get(name, ())], axis=0)
        for group, percent in ((male, men), (~male, women)):
            may = group & ~excluded
            wanted = percent / 100 * group.sum() / max(may.sum(), 1)  # more of those allowed, to make up for the rest
            a[name][may] = threshold.above((name, percent), z[name][may], wanted)


def _hair_colour(a: Attributes, z: Latents, person: Stream) -> None:
    """Fairer hair on fairer skin; the places of Gray_Hair and Bald are taken evenly from all colours."""
    place = ndtr(-0.8 * z["melanin"] + 0.6 * person.normal("hair colour"))
    coloured = ~(a["Gray_Hair"] | a["Bald"])
    men, women = (np.cumsum((0, *shares)) / sum(shares) for shares in zip(*HAIR_COLOURS.values(), strict=True))
    for i, name in enumerate(HAIR_COLOURS):
        low, high = (np.where(a["Male"], men[k], women[k]) for k in (i, i + 1))
        a[name] = coloured & (place >= low) & (place < high)


def _beard(a: Attributes, person: Stream) -> None:
    """One of `BEARDS` for every man."""
    draw, low = person.uniform("beard") * sum(share for share, _ in BEARDS), 0.0
    for name in BEARD_NAMES:
        a[name] = np.zeros_like(a["Male"])
    for share, names in BEARDS:
        for name in names:
            a[name] |= a["Male"] & (draw >= low) & (draw < low + share)
        low += share
    a["Sideburns"] &= ~a["Bald"]
    a["No_Beard"] = ~(a["Goatee"] | a["Mustache"] | a["beard"])


@lru_cache(maxsize=1)
def celeba_limits() -> Limits:
    """Thresholds that give CelebA's rates, from 100 000 people outside every data set (a key no seed reaches)."""
    n = np.arange(100_000)
    person, photo = Stream(2**63 + 1, n), Stream(2**63 + 2, n)
    return decide(latents(person, photo), person)[1]


def force_attributes(a: Attributes, z: Latents, force: Mapping[str, ArrayLike]) -> Attributes:
    """Set attributes by hand and clear what contradicts them; the rule of Attractive moves `harmony` in `z`. Raises `ConfigError`."""
    for name, value in force.items():
        if name not in ATTRIBUTES:
            raise ConfigError(f"force: unknown attribute {name!r}; accepted are the names of arl.config.ATTRIBUTES")
        a[name] = np.broadcast_to(np.asarray(value, bool), a["Male"].shape).copy()
    for name in force:
        _clear_group(a, name, force)
        _agree_on_beard(a, name, force)
    limit = celeba_limits()["Attractive"]
    if "Attractive" in force:
        need = (limit - attractive(a, 0.0)) / HARMONY
        higher, lower = np.maximum(z["harmony"], need + 0.8), np.minimum(z["harmony"], need - 0.8)
        z["harmony"] = np.where(a["Attractive"], higher, lower)
    else:
        a["Attractive"] = attractive(a, z["harmony"]) > limit
    return a


def _clear_group(a: Attributes, name: str, force: Mapping[str, ArrayLike]) -> None:
    """Where `name` was set, clear the rest of its groups, but for what is forced too."""
    for group in GROUPS:
        if name not in group:
            continue
        for other in group:
            if other != name and other not in force:
                a[other] = a[other] & ~a[name]


def _agree_on_beard(a: Attributes, name: str, force: Mapping[str, ArrayLike]) -> None:
    """No_Beard follows a forced beard, and beards a forced No_Beard."""
    if name in ("Goatee", "Mustache") and "No_Beard" not in force:
        a["No_Beard"] = ~(a["Goatee"] | a["Mustache"] | a["beard"])
    if name != "No_Beard":
        return
    for other in BEARDED:
        if other not in force:
            a[other] = a[other] & ~a[name]
    if "Goatee" not in force and "Mustache" not in force:
        a["beard"] = a["beard"] | ~(a[name] | a["Goatee"] | a["Mustache"])
