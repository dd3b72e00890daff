"""Invented people who know their own attributes: who they are, and what each photograph of them shows. `arl.faces.portrait` draws them.

Every number of a picture is a hash of (seed, domain, person, photograph, name of the number), so any slice of a
data set can be made anywhere and is the same slice:

    streams -> person -> photograph -> attributes -> traits (attributes turned into geometry, colour, light) -> pictures

The crop is that of aligned CelebA cut to its middle 178 pixels. Frequencies are those commonly reported from CelebA's
list_attr_celeba.txt (Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015). No picture, landmark
or weight of CelebA is used.

Two labels are opinions, here as there. *Young* means an age below 40 years. *Attractive* is the sign of `_attractive`,
a fixed sum over other visible traits: it imitates the habits of CelebA's annotators and claims nothing about beauty.
"""

import zlib
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from tqdm.auto import tqdm

from arl.config import ATTRIBUTES
from arl.faces.portrait import develop, paint

VERSION = 4  # of the pictures: raised whenever one byte of them changes, so that stored sets are made anew
DOMAINS = ("standard", "shifted")
INDEX = {name: i for i, name in enumerate(ATTRIBUTES)}


class Rendered(NamedTuple):
    """`images` (N, 3, size, size) uint8 sRGB, `attributes` (N, 40) bool, `identities` (N,) int64."""

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray


# -- streams ----------------------------------------------------------------------------------------------------


def _mix(z):
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64-bit integers."""
    z = np.atleast_1d(z)  # numpy warns of overflow in scalars, not in arrays
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """Named random numbers for arrays of keys: the same key and name give the same number, in any order."""

    def __init__(self, *keys):
        state = np.zeros(1, np.uint64)
        for key in keys:
            key = np.atleast_1d(np.asarray(key)).astype(np.uint64)
            state = _mix(state + np.uint64(0x9E3779B97F4A7C15) + _mix(key + np.uint64(0x632BE59BD9B4E019)))
        self.state = state

    def uniform(self, name, low=0.0, high=1.0):
        bits = _mix(self.state ^ _mix(np.uint64(zlib.crc32(name.encode())) + np.uint64(1)))
        return low + (high - low) * ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, name):
        return ndtri(self.uniform(name))


# -- attributes: who has which, and in which photograph -----------------------------------------------------------

# Percent positive, as commonly reported from CelebA's list_attr_celeba.txt (Liu et al., ICCV 2015).
FREQUENCIES = {
    "5_o_Clock_Shadow": 11.11, "Arched_Eyebrows": 26.70, "Attractive": 51.25, "Bags_Under_Eyes": 20.46,
    "Bald": 2.24, "Bangs": 15.16, "Big_Lips": 24.08, "Big_Nose": 23.45, "Black_Hair": 23.93,
    "Blond_Hair": 14.80, "Blurry": 5.09, "Brown_Hair": 20.52, "Bushy_Eyebrows": 14.22, "Chubby": 5.76,
    "Double_Chin": 4.67, "Eyeglasses": 6.51, "Goatee": 6.28, "Gray_Hair": 4.19, "Heavy_Makeup": 38.69,
    "High_Cheekbones": 45.50, "Male": 41.68, "Mouth_Slightly_Open": 48.34, "Mustache": 4.15,
    "Narrow_Eyes": 11.51, "No_Beard": 83.49, "Oval_Face": 28.41, "Pale_Skin": 4.29, "Pointy_Nose": 27.74,
    "Receding_Hairline": 7.98, "Rosy_Cheeks": 6.57, "Sideburns": 5.65, "Smiling": 48.21,
    "Straight_Hair": 20.84, "Wavy_Hair": 31.96, "Wearing_Earrings": 18.89, "Wearing_Hat": 4.85,
    "Wearing_Lipstick": 47.24, "Wearing_Necklace": 12.30, "Wearing_Necktie": 7.27, "Young": 77.36,
}  # fmt: skip

# In the order of decision: percent among CelebA's men (approximate; the rest of the rate falls to the women), the
# share of the variation that belongs to the photograph rather than the person, and loadings on four common factors,
# which carry CelebA's correlations: age, glamour (make-up, jewellery), cheer (a laughing face) and weight.
RATES = {
    "Male": (None, 0.0, {}),
    "Young": (64.0, 0.0, {"age": -0.85, "weight": -0.1}),
    "Bald": (5.37, 0.0, {"age": 0.45}),
    "Wearing_Hat": (8.4, 0.5, {}),
    "Receding_Hairline": (12.1, 0.0, {"age": 0.4}),
    "Bangs": (8.1, 0.03, {"age": -0.2}),
    "Gray_Hair": (8.5, 0.0, {"age": 0.75}),
    "Wavy_Hair": (14.0, 0.0, {"glamour": 0.3}),
    "Straight_Hair": (24.0, 0.0, {}),
    "Smiling": (40.0, 0.85, {"cheer": 0.9}),
    "High_Cheekbones": (30.5, 0.7, {"cheer": 0.8, "weight": -0.1}),
    "Mouth_Slightly_Open": (43.0, 0.95, {"cheer": 0.65}),
    "Heavy_Makeup": (0.3, 0.1, {"glamour": 0.85, "age": -0.15}),
    "Wearing_Lipstick": (0.7, 0.1, {"glamour": 0.85}),
    "Pale_Skin": (2.2, 0.0, {}),
    "Rosy_Cheeks": (0.3, 0.3, {"glamour": 0.4, "cheer": 0.35}),
    "Arched_Eyebrows": (5.0, 0.0, {"glamour": 0.4}),
    "Bushy_Eyebrows": (25.0, 0.0, {"glamour": -0.1}),
    "Wearing_Earrings": (1.6, 0.5, {"glamour": 0.3}),
    "Wearing_Necktie": (17.3, 0.5, {"age": 0.35}),
    "Wearing_Necklace": (1.2, 0.6, {"glamour": 0.25}),
    "Eyeglasses": (12.5, 0.01, {"age": 0.35}),
    "Bags_Under_Eyes": (34.0, 0.03, {"age": 0.35, "weight": 0.1}),
    "Narrow_Eyes": (12.3, 0.3, {"cheer": 0.2}),
    "Big_Nose": (42.0, 0.0, {"age": 0.25, "weight": 0.35}),
    "Pointy_Nose": (16.3, 0.0, {"glamour": 0.25, "weight": -0.25}),
    "Big_Lips": (18.5, 0.0, {"glamour": 0.1}),
    "Chubby": (12.0, 0.0, {"age": 0.2, "weight": 0.85}),
    "Double_Chin": (9.9, 0.0, {"age": 0.3, "weight": 0.8}),
    "Oval_Face": (20.5, 0.0, {"glamour": 0.15, "weight": -0.2}),
    "Blurry": (4.8, 1.0, {}),
}
MEN = FREQUENCIES["Male"] / 100
FACTOR_PHOTO = {"age": 0.0, "glamour": 0.03, "cheer": 0.8, "weight": 0.0}  # what of a factor is the photograph's

# Never true together with one already decided; `RATES` above is in order of decision.
EXCLUDED = {
    "Wearing_Hat": ("Bald",),
    "Receding_Hairline": ("Bald", "Wearing_Hat"),
    "Bangs": ("Bald", "Wearing_Hat", "Receding_Hairline"),
    "Gray_Hair": ("Bald",),
    "Wavy_Hair": ("Bald", "Wearing_Hat"),
    "Straight_Hair": ("Bald", "Wearing_Hat", "Wavy_Hair"),
    "Wearing_Necklace": ("Wearing_Necktie",),
    "Pointy_Nose": ("Big_Nose",),
    "Oval_Face": ("Chubby", "Double_Chin"),
    "Rosy_Cheeks": ("Pale_Skin",),
}

# Hair from dark to fair: what a person's place between 0 and 1 means. In CelebA a third has none of the four names:
# chestnut between black and brown, auburn, or sandy.
HAIR_COLOURS = {  # men, women: percent
    "Black_Hair": (28.0, 21.0),
    "chestnut": (20.0, 10.0),
    "Brown_Hair": (15.0, 24.5),
    "auburn": (8.0, 11.0),
    "sandy": (13.1, 8.5),
    "Blond_Hair": (2.0, 23.95),
}

# Beards of men, percent: the sums give 5 o'clock shadow 26.66, goatee 15.07, moustache 9.96, sideburns 13.56,
# no beard 60.4 of the men, nought of the women.
BEARDS = (
    (34.40, ()),
    (4.00, ("Sideburns",)),
    (22.00, ("5_o_Clock_Shadow",)),
    (6.00, ("Goatee", "Mustache")),
    (6.07, ("Goatee",)),
    (3.00, ("Goatee", "5_o_Clock_Shadow")),
    (2.96, ("Mustache",)),
    (1.00, ("Mustache", "5_o_Clock_Shadow")),
    (9.56, ("beard", "Sideburns")),
    (10.35, ("beard",)),
    (0.66, ("beard", "5_o_Clock_Shadow")),
)

# The rule of Attractive: what adds and what takes away. `harmony` is a trait, standard normal: even skin, symmetry.
ATTRACTIVE = {
    "Young": 1.1, "Male": -0.55, "Heavy_Makeup": 0.7, "Wearing_Lipstick": 0.3, "Oval_Face": 0.4, "Chubby": -1.2,
    "Double_Chin": -0.9, "Big_Nose": -0.6, "Bags_Under_Eyes": -0.4, "Eyeglasses": -0.8, "Bald": -0.7,
    "Receding_Hairline": -0.5, "Gray_Hair": -0.5, "Arched_Eyebrows": 0.3, "Pointy_Nose": 0.3, "Blurry": -0.8,
    "Wavy_Hair": 0.3, "Goatee": -0.3,
}  # fmt: skip


def _attractive(a, harmony):
    return sum(weight * a[name] for name, weight in ATTRACTIVE.items()) + 0.9 * harmony


def _latents(person, photo):
    """Standard normal latents of every entry of `RATES`, person and photograph mixed in their shares."""

    def mixed(name, share):
        return np.sqrt(1 - share) * person.normal(name) + np.sqrt(share) * photo.normal(name)

    lasting = {name: person.normal("factor " + name) for name in FACTOR_PHOTO}
    passing = {name: mixed("factor " + name, share) for name, share in FACTOR_PHOTO.items()}
    z = {}
    for name, (_, share, loadings) in RATES.items():
        factors = passing if share else lasting  # what is wholly the person's must not change with the photograph
        own = np.sqrt(1 - sum(v * v for v in loadings.values()))
        z[name] = own * mixed(name, share) + sum(v * factors[f] for f, v in loadings.items())
    return z


def _decide(z, person, limits=None):
    """Attributes, a dict of bool arrays (N,), and the thresholds: those given, else found from the latents `z`."""
    learn, limits = limits is None, {} if limits is None else limits

    def above(key, values, share):
        if learn:
            limits[key] = float(np.quantile(values, 1 - share))
        return values > limits[key]

    a = {"Male": above("Male", z["Male"], MEN)}
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
            a[name][may] = above((name, percent), z[name][may], wanted)

    # Fairer hair on fairer skin; the places of Gray_Hair and Bald are taken evenly from all colours.
    place = ndtr(-0.8 * z["melanin"] + 0.6 * person.normal("hair colour"))
    coloured = ~(a["Gray_Hair"] | a["Bald"])
    men, women = (np.cumsum((0, *shares)) / sum(shares) for shares in zip(*HAIR_COLOURS.values(), strict=True))
    for i, name in enumerate(HAIR_COLOURS):
        low, high = (np.where(male, men[k], women[k]) for k in (i, i + 1))
        a[name] = coloured & (place >= low) & (place < high)

    draw, low = person.uniform("beard") * sum(share for share, _ in BEARDS), 0.0
    for name in ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns", "beard"):
        a[name] = np.zeros_like(male)
    for share, names in BEARDS:
        for name in names:
            a[name] |= male & (draw >= low) & (draw < low + share)
        low += share
    a["Sideburns"] &= ~a["Bald"]
    a["No_Beard"] = ~(a["Goatee"] | a["Mustache"] | a["beard"])
    a["Attractive"] = above("Attractive", _attractive(a, z["harmony"]), FREQUENCIES["Attractive"] / 100)
    return a, limits


def _streams(seed, domain, people, photos):
    person = Stream(seed, DOMAINS.index(domain), people)
    return person, Stream(seed, DOMAINS.index(domain), people, np.asarray(photos) + 1)


def _extra_latents(z, person):
    z["harmony"] = person.normal("harmony")
    z["melanin"] = -z["Pale_Skin"]  # the palest skins are those called pale
    return z


@lru_cache(maxsize=1)
def _limits():
    """Thresholds that give CelebA's rates, from 100 000 people outside every data set (a key no seed reaches)."""
    n = np.arange(100_000)
    person, photo = Stream(2**63 + 1, n), Stream(2**63 + 2, n)
    return _decide(_extra_latents(_latents(person, photo), person), person)[1]


GROUPS = (
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "chestnut", "auburn", "sandy", "Bald"),
    ("Straight_Hair", "Wavy_Hair", "Bald"),
    ("Bald", "Bangs", "Receding_Hairline"),
    ("Wearing_Hat", "Bangs"), ("Wearing_Hat", "Bald"), ("Wearing_Hat", "Receding_Hairline"),
    ("Wearing_Hat", "Straight_Hair"), ("Wearing_Hat", "Wavy_Hair"),
    ("Wearing_Necklace", "Wearing_Necktie"),
    ("Big_Nose", "Pointy_Nose"),
    ("Oval_Face", "Chubby"), ("Oval_Face", "Double_Chin"),
    ("Rosy_Cheeks", "Pale_Skin"),
)  # fmt: skip


def _force(a, z, force):
    """Set attributes by hand and clear what contradicts them; the rule of Attractive moves `harmony`."""
    for name, value in force.items():
        if name not in INDEX:
            raise ValueError(f"force: unknown attribute {name!r}; accepted are the names of arl.config.ATTRIBUTES")
        a[name] = np.broadcast_to(np.asarray(value, bool), a["Male"].shape).copy()
    for name in force:
        on = a[name]
        for group in GROUPS:
            if name in group:
                for other in group:
                    if other != name and other not in force:
                        a[other] = a[other] & ~on
        if name in ("Goatee", "Mustache") and "No_Beard" not in force:
            a["No_Beard"] = ~(a["Goatee"] | a["Mustache"] | a["beard"])
        if name == "No_Beard":
            for other in ("Goatee", "Mustache", "beard"):
                if other not in force:
                    a[other] = a[other] & ~on
            if "Goatee" not in force and "Mustache" not in force:
                a["beard"] = a["beard"] | ~(on | a["Goatee"] | a["Mustache"])
    limit = _limits()["Attractive"]
    if "Attractive" in force:
        base = _attractive(a, 0.0)
        need = (limit - base) / 0.9
        z["harmony"] = np.where(a["Attractive"], np.maximum(z["harmony"], need + 0.8),
                                np.minimum(z["harmony"], need - 0.8))  # fmt: skip
    else:
        a["Attractive"] = _attractive(a, z["harmony"]) > limit
    return a


# -- traits: attributes and latents turned into geometry, colour and light ----------------------------------------

# sRGB of skin from fair to dark, evenly spaced in perceived lightness; the first is for Pale_Skin alone.
SKIN = np.array([(250, 229, 214), (236, 203, 183), (222, 182, 157), (200, 151, 121), (164, 114, 88), (118, 80, 61),
                 (78, 53, 42)])  # fmt: skip
HAIR = {"Black_Hair": (22, 19, 19), "chestnut": (58, 34, 28), "Brown_Hair": (98, 68, 44), "auburn": (104, 56, 38),
        "sandy": (150, 124, 92), "Blond_Hair": (196, 166, 120), "Gray_Hair": (182, 182, 184)}  # fmt: skip
# What is worn, and what stands behind people: black, white, denim, red; walls, wood, sky, leaves, night.
CLOTH = [(24, 24, 27), (30, 30, 34), (38, 44, 66), (60, 78, 108), (112, 116, 122), (196, 194, 190), (226, 224, 220), (128, 38, 44),
         (46, 78, 66), (92, 94, 70), (96, 62, 84), (178, 132, 138)]  # fmt: skip
SUIT = [(26, 27, 31), (34, 38, 52), (66, 68, 74), (48, 42, 40)]
SCENES = [(216, 212, 204), (178, 170, 158), (142, 144, 146), (96, 98, 102), (56, 54, 56), (30, 30, 36), (146, 120, 92), (92, 70, 54),
          (136, 160, 186), (92, 118, 150), (88, 108, 74), (52, 70, 50), (150, 92, 78), (120, 40, 44)]  # fmt: skip
IRIS = np.array([(46, 28, 18), (80, 50, 28), (92, 78, 44), (74, 92, 72), (76, 100, 122), (98, 122, 144)])


def _linear(srgb):
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def _ramp(table, position):
    """Colours (N, 3), linear, at `position` (N,) between the rows of a table of 8-bit sRGB."""
    table = _linear(np.asarray(table) / 255.0)
    position = np.clip(position, 0, len(table) - 1.000001)
    i = position.astype(int)
    f = (position - i)[:, None]
    return table[i] * (1 - f) + table[i + 1] * f


def _near(table, stream, name, spread):
    """Linear colours (N, 3) near one of a table of 8-bit sRGB: brighter or darker by about `spread`, the hue a little."""
    u = stream.uniform(name) * len(table)
    shade = spread * stream.normal(name + " shade")[:, None]
    tint = 0.05 * np.stack([stream.normal(f"{name} {c}") for c in "rgb"], 1)
    return np.clip(_linear(np.asarray(table) / 255.0)[u.astype(int)] * np.exp(shade + tint), 0.002, 0.9)


def parameters(seed=0, people=0, photos=0, *, domain="standard", force=None, traits=None):
    """Everything that draws photograph `photos[i]` of person `people[i]`: two dicts of arrays (N, ...).

    The first holds attributes (bool), the second traits (lengths in head units, angles in radians, linear colours).
    `force` sets attributes, `traits` overrides numbers and leaves the labels as they were decided:
    `force={"Eyeglasses": True}, traits={"yaw": 0.3}`.
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain: found {domain!r}, accepted are {', '.join(DOMAINS)}")
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    person, photo = _streams(seed, domain, people, photos)
    z = _extra_latents(_latents(person, photo), person)
    a, _ = _decide(z, person, _limits())
    a = _force(a, z, force or {})
    t = _traits(a, z, person, photo, domain, traits or {})
    for name in traits or {}:
        if name not in t:
            raise ValueError(f"traits: unknown trait {name!r}; accepted are {', '.join(sorted(t))}")
    return a, t


class _Given(dict):
    """A dict that keeps the values `given` whatever is set: what is derived from a trait then follows the given one."""

    def __init__(self, given):
        super().__init__()
        self.given = given

    def __setitem__(self, name, value):
        if name in self.given:
            value = np.broadcast_to(np.asarray(self.given[name], np.float64), np.shape(value)).copy()
        super().__setitem__(name, value)


def _traits(a, z, person, photo, domain, given):
    shifted = domain == "shifted"
    n = a["Male"].shape[0]
    f = {name: np.broadcast_to(value, (n,)).astype(np.float64) for name, value in a.items()}
    male = f["Male"]

    def body(name, sd=1.0):  # a person's own deviation, bounded so that no one leaves the human range
        return sd * np.clip(person.normal("trait " + name), -2.2, 2.2) + np.zeros(n)

    def shot(name, sd=1.0):
        return sd * np.clip(photo.normal("trait " + name), -2.2, 2.2) + np.zeros(n)

    def chance(stream, name):
        return stream.uniform(name) + np.zeros(n)

    t = _Given(given)
    young = f["Young"]
    u = chance(person, "age")
    t["age"] = np.where(young > 0, 18 + 17 * u, 47 + 30 * u)
    if shifted:
        t["age"] = np.where(young > 0, 24 + 13 * u, 52 + 30 * u)
    elder = 1 - young
    old = np.clip((t["age"] - 35) / 40, 0, 1)
    chubby, oval, smile = f["Chubby"], f["Oval_Face"], f["Smiling"]
    lips, open_ = f["Big_Lips"], f["Mouth_Slightly_Open"]

    # skull and jaw
    t["skull_width"] = 1.0 + body("skull", 0.058) + 0.075 * chubby + 0.015 * male - 0.07 * oval
    t["skull_top"] = 1.55 + body("skull top", 0.06)
    t["skull_depth"] = 1.24 + body("skull depth", 0.06)
    t["chin"] = 1.47 + 0.06 * male + body("chin", 0.075) + 0.16 * oval - 0.03 * chubby + 0.05 * open_ + 0.02 * elder
    t["jaw_power"] = np.clip(2.75 + 0.35 * male + body("jaw", 0.45) - 0.55 * oval + 0.35 * chubby, 1.8, 4.2)
    t["jaw_round"] = 0.54 - 0.03 * male + body("jaw round", 0.055) + 0.06 * oval - 0.07 * chubby
    t["temple"], t["zygoma"] = 0.03 + body("temple", 0.015), 0.005 + body("zygoma", 0.025)
    t["cheek"] = body("cheek", 0.026) + 0.085 * chubby - 0.02 * oval - 0.01 * old
    t["gonion"] = body("gonion", 0.038) - 0.02 + 0.045 * male - 0.03 * oval + 0.02 * chubby
    t["chin_width"] = body("chin width", 0.09) + 0.08 * male - 0.10 * oval
    t["profile"] = body("profile", 0.04)
    t["forehead"] = 0.03 + body("forehead", 0.02)
    t["asymmetry"] = body("asymmetry", 0.010) * np.exp(-0.35 * z["harmony"])
    t["lopsided"] = body("lopsided", 0.012) * np.exp(-0.35 * z["harmony"])

    # eyes and brows
    t["eye_x"] = 0.446 + body("eye distance", 0.035)
    t["eye_width"] = 0.192 + body("eye width", 0.017)
    narrow = f["Narrow_Eyes"]
    squint = np.clip(shot("squint", 0.12), -0.1, 0.25)
    t["eye_open"] = (
        (0.085 - 0.005 * male + body("eye open", 0.009))
        * (1 - 0.08 * elder)
        * (1 - 0.10 * smile * (1 - narrow) - squint * 0.25)
        * (1 - 0.70 * narrow)
    )
    t["eye_tilt"] = 0.045 + body("eye tilt", 0.075)
    t["lid"] = np.clip(0.068 + body("lid", 0.030) - 0.02 * elder, 0.022, 0.14)
    t["iris_tone"] = np.clip(1.6 - 1.5 * z["melanin"] + body("iris", 0.9), 0, 5)
    t["pupil"] = 0.034 + shot("pupil", 0.004)
    t["gaze_x"], t["gaze_y"] = shot("gaze x", 0.014), shot("gaze y", 0.008)
    bushy, arched = f["Bushy_Eyebrows"], f["Arched_Eyebrows"]
    t["brow_y"] = -0.255 + body("brow y", 0.052) + 0.035 * male - 0.045 * arched
    t["brow_drop"] = 0.02 * narrow
    t["brow_thick"] = 0.034 + body("brow thick", 0.008) + 0.014 * male + 0.034 * bushy
    t["brow_dark"] = 0.60 + body("brow dark", 0.11) + 0.06 * male + 0.24 * bushy
    t["brow_arch"] = 0.040 + body("brow arch", 0.028) + 0.165 * arched - 0.01 * male
    t["brow_tilt"] = 0.035 + body("brow tilt", 0.030) + shot("brow tilt", 0.008)
    t["brow_x"], t["brow_length"] = 0.495 + body("brow x", 0.028), 0.335 + body("brow length", 0.032)
    t["socket"] = 0.12 + body("socket", 0.04)
    t["orbit"] = np.clip(0.30 + body("orbit", 0.18) + 0.2 * elder, 0.05, 0.8)
    t["brow_ridge"] = 0.035 + 0.045 * male + body("brow ridge", 0.012)
    t["bags"] = 0.03 + 0.10 * elder + 0.75 * f["Bags_Under_Eyes"]

    # nose
    big, pointy = f["Big_Nose"], f["Pointy_Nose"]
    t["nose_length"] = 0.595 + 0.045 * male + body("nose length", 0.060) + 0.05 * big + 0.06 * pointy
    t["nose_width"] = 1.0 + body("nose width", 0.105) + 0.42 * big - 0.34 * pointy + 0.08 * male
    t["nose_height"] = 0.222 + 0.012 * male + body("nose height", 0.042) + 0.06 * big + 0.10 * pointy
    t["nose_ball"] = 1.0 + body("nose ball", 0.10) + 0.36 * big - 0.40 * pointy
    t["nose_turn"] = body("nose turn", 0.03)
    t["nose_hump"] = body("nose hump", 0.6)
    t["bridge"] = 0.36 + body("bridge", 0.16)
    t["nostril"] = 1.0 + body("nostril", 0.15) + 0.25 * big - 0.2 * pointy

    # mouth
    t["mouth_y"] = t["nose_length"] + 0.295 - 0.02 * big - 0.02 * pointy + body("mouth y", 0.046)
    t["mouth_width"] = 0.348 + body("mouth width", 0.036) + 0.015 * male + smile * (0.100 + shot("smile width", 0.012))
    thin = 1 - 0.20 * elder
    t["lip_upper"] = (0.070 + body("lip upper", 0.014) - 0.010 * male + 0.074 * lips) * (1 - 0.22 * smile) * thin
    t["lip_lower"] = (0.104 + body("lip lower", 0.018) - 0.012 * male + 0.100 * lips) * (1 - 0.14 * smile) * thin
    t["cupid"] = 1.0 + body("cupid", 0.4)
    t["smile"] = smile * (0.85 + shot("smile", 0.12)) + (1 - smile) * np.clip(shot("mouth", 0.08) - 0.05, -0.2, 0.05)
    t["mouth_open"] = open_ * (0.080 + 0.05 * photo.uniform("open")) * (1 + 0.25 * smile)
    t["mouth_tilt"] = body("mouth tilt", 0.008) + shot("mouth tilt", 0.006)
    t["philtrum"] = 0.016 + body("philtrum", 0.005)

    # cheeks, chin, age
    t["cheekbone"] = 0.025 + body("cheekbone", 0.012) + 0.125 * f["High_Cheekbones"]
    t["cheek_fat"] = 0.02 + body("cheek fat", 0.015) + 0.17 * chubby + 0.03 * elder
    t["chin_bump"] = 0.075 + body("chin bump", 0.03) + 0.02 * male
    t["cleft"] = np.maximum(body("cleft", 0.018) - 0.015, 0)
    t["double_chin"] = f["Double_Chin"]
    t["wrinkle"] = np.where(young > 0, 0.0, 0.62 + 0.38 * old + body("wrinkle", 0.06))
    t["sag"] = elder * np.clip(0.5 + 0.5 * old + body("sag", 0.2), 0, 1.3)
    t["fold"] = 0.25 + 0.70 * smile + 0.9 * t["wrinkle"] + 0.15 * chubby
    t["ear_size"] = 1.0 + body("ear size", 0.08) + 0.1 * old
    t["ear_out"] = 0.06 + body("ear out", 0.025)
    t["neck_width"] = 0.66 + 0.10 * male + body("neck", 0.03) + 0.10 * chubby

    # skin
    tone = 1.35 + 4.4 * ndtr(z["melanin"] * 1.15 + (0.35 if shifted else -0.35))
    t["skin_tone"] = np.where(f["Pale_Skin"] > 0, 0.35 * person.uniform("pale"), tone)
    t["ruddy"] = np.clip(0.9 + body("ruddy", 0.35), 0.2, 1.7) * np.where(f["Pale_Skin"] > 0, 0.4, 1)
    makeup = f["Heavy_Makeup"]
    t["mottle"] = np.clip(0.9 - 0.25 * z["harmony"], 0.3, 1.6) * (1 - 0.5 * makeup) * (1 + 0.2 * elder + 0.3 * old)
    t["freckles"] = np.clip(body("freckles") - 1.1, 0, 1) * (t["skin_tone"] < 2.5)
    t["spots"] = elder * np.clip(0.4 + body("spots", 0.3), 0, 1)
    for i in range(3):
        t[f"mole_x{i}"] = person.uniform(f"mole x{i}", -0.8, 0.8) + np.zeros(n)
        t[f"mole_y{i}"] = person.uniform(f"mole y{i}", -0.7, 1.3) + np.zeros(n)
        t[f"mole_r{i}"] = np.clip(body(f"mole r{i}", 0.016) - 0.006, 0, 0.03)
    t["rosy"] = f["Rosy_Cheeks"]
    t["makeup"] = makeup * (1 + shot("makeup", 0.08))
    t["lipstick"] = f["Wearing_Lipstick"]
    t["lipstick_hue"] = np.clip(0.5 + shot("lipstick", 0.28), 0, 1)
    t["shadow_hue"] = np.clip(0.5 + shot("shadow", 0.28), 0, 1)

    # hair
    t["bald"] = f["Bald"]
    t["hat"] = f["Wearing_Hat"]
    t["receding"] = f["Receding_Hairline"]
    t["bangs"] = f["Bangs"]
    wavy, straight = f["Wavy_Hair"], f["Straight_Hair"]
    style = chance(person, "cut")
    plain = (1 - wavy) * (1 - straight)
    long_f = np.where(plain > 0, 0.0, np.where(style < 0.12, 0.85, np.where(style < 0.3, 1.35, 2.3)))
    long_m = np.where(plain > 0, -0.05, np.where(style < 0.7, 0.42, np.where(style < 0.9, 0.8, 1.7)))
    t["hair_length"] = np.where(male > 0, long_m, long_f) + body("hair length", 0.06)
    t["curly"] = plain * np.where(male > 0, style > 0.85, style > 0.7)
    t["wavy"], t["straight"] = wavy, straight
    hairy = 1 - t["bald"]
    full = (
        0.05 * wavy
        + 0.15 * t["curly"] * (1 - 0.4 * male)
        + np.abs(body("hair volume", 0.05))
        + shot("hair volume", 0.008)
    )
    t["hair_top"] = (0.115 + full + 0.02 * male) * hairy
    t["hair_side"] = (0.055 + 0.045 * (1 - male) + (0.5 + 0.3 * (1 - male)) * full) * hairy
    t["hairline"] = -1.03 + body("hairline", 0.055) - 0.17 * t["receding"] - 0.02 * male
    t["peak"] = body("peak", 0.05)
    t["temples"] = 0.04 + 0.08 * male + body("temples", 0.04)
    t["part"] = body("part", 0.6)
    t["fringe"] = -0.52 + body("fringe", 0.045)
    t["goatee"], t["mustache"], t["beard"] = f["Goatee"], f["Mustache"], f["beard"]
    t["stubble"], t["sideburns"] = f["5_o_Clock_Shadow"], f["Sideburns"]
    hair = np.zeros((n, 3))
    for name, rgb in HAIR.items():
        hair += f[name][:, None] * _linear(np.array(rgb) / 255.0)
    none = hair.sum(1) == 0
    hair[none] = np.where(
        (t["age"][none] > 45)[:, None], _linear(np.array([0.5] * 3)), _linear(np.array([0.2, 0.15, 0.13]))
    )
    hair *= np.exp(body("hair tone", 0.14) + shot("hair tone", 0.04))[:, None]
    t["hair_rgb"] = hair * np.exp(np.stack([body("hair red", 0.06), np.zeros(n), -body("hair red", 0.09)], 1))
    bright = t["hair_rgb"].mean(1)
    dark = _ramp([(28, 21, 18), (66, 46, 33), (104, 76, 54)], np.clip(bright * 5, 0, 2))
    t["brow_rgb"] = dark + elder[:, None] * 0.3 * (np.array([0.15, 0.13, 0.11]) - dark)
    t["lash_rgb"] = 0.30 * dark
    t["beard_rgb"] = np.where(
        f["Gray_Hair"][:, None] > 0,
        t["hair_rgb"] * 0.75,
        t["hair_rgb"] * (0.75 * np.minimum(1, 0.11 / bright))[:, None] + 0.004,
    )
    t["shaven"] = (
        male * (1 - 0.6 * f["beard"]) * (0.05 + 0.10 * np.clip(1 - bright * 6, 0, 1)) * (1 + body("shaven", 0.25))
    )
    skin = _ramp(SKIN, t["skin_tone"])
    t["skin_rgb"] = skin * np.exp(np.stack([body("skin red", 0.03), np.zeros(n), body("skin blue", 0.06)], 1))
    # age: less blood and more yellow in the skin, grey in the brows
    t["skin_rgb"] *= 1 - elder[:, None] * np.array([0.06, 0.05, 0.13])
    t["iris_rgb"] = _ramp(IRIS, t["iris_tone"])
    lip = skin * np.array([0.76, 0.50, 0.53]) * (1 + 0.10 * body("lip tone"))[:, None]
    stick = _ramp([(138, 34, 44), (176, 36, 50), (196, 66, 92), (150, 54, 72)], 3 * t["lipstick_hue"])
    t["lip_rgb"] = np.where(
        t["lipstick"][:, None] > 0, stick * (0.55 + 0.45 * np.sqrt(skin.mean(1) / 0.4))[:, None], lip
    )
    t["lid_rgb"] = _ramp([(46, 36, 42), (74, 52, 66), (92, 62, 48), (56, 60, 78)], 3 * t["shadow_hue"])
    t["lid_rgb"] = np.minimum(t["lid_rgb"], 0.5 * skin)

    # clothes and things worn
    t["necktie"], t["necklace"], t["earrings"] = f["Wearing_Necktie"], f["Wearing_Necklace"], f["Wearing_Earrings"]
    t["glasses"] = f["Eyeglasses"]
    t["rim"] = np.clip(0.027 + body("rim", 0.008), 0.018, 0.044)
    t["lens_w"], t["lens_h"] = 0.33 + body("lens w", 0.022), 0.235 + body("lens h", 0.03)
    t["lens_round"] = 2.3 + person.uniform("lens round", 0, 2.2) + np.zeros(n)
    t["rim_rgb"] = _ramp([(16, 14, 14), (40, 26, 20), (70, 38, 20), (60, 56, 54)], 3 * chance(person, "rim rgb"))
    cloth = _near(CLOTH, photo, "cloth", 0.22)
    t["cloth_rgb"] = np.where(t["necktie"][:, None] > 0, _near(SUIT, photo, "cloth", 0.12), cloth)
    t["tie_rgb"] = _ramp([(120, 16, 24), (24, 40, 110), (90, 20, 90), (20, 20, 24), (150, 110, 20)],
                         4 * chance(photo, "tie"))  # fmt: skip
    t["metal_rgb"] = _ramp([(232, 190, 90), (225, 225, 230)], chance(photo, "metal"))
    t["hat_kind"] = np.floor(3 * chance(photo, "hat kind"))
    t["hat_rgb"] = _near(CLOTH, photo, "hat", 0.22)
    t["neckline"] = 1.98 + 0.22 * chance(photo, "neckline")
    t["neck_cut"] = chance(photo, "neck cut")
    t["shoulder"] = 0.42 - 0.06 * male + body("shoulder", 0.05)

    # pose, camera, light
    t["yaw"] = shot("yaw", 0.17)
    t["pitch"] = shot("pitch", 0.07)
    t["roll"] = shot("roll", 0.045)
    t["zoom"] = np.exp(shot("zoom", 0.035))
    t["centre_x"], t["centre_y"] = 0.5 + shot("cx", 0.01), 0.45 + shot("cy", 0.012)
    az = shot("light azimuth", 0.40)
    el = 0.5 + np.clip(shot("light height", 0.2), -0.4, 0.45)
    t["light_x"], t["light_y"] = np.sin(az) * np.cos(el), -np.sin(el)
    t["light_z"] = np.cos(az) * np.cos(el)
    hard = chance(photo, "hard")
    if shifted:
        hard = 0.4 + 0.6 * hard
    t["hard"] = hard
    t["key"] = 0.55 + 0.5 * hard
    warm = shot("warm", 0.06) + (-0.06 if shifted else 0.0)
    t["key_rgb"] = np.exp(np.stack([warm, np.zeros(n), -1.3 * warm], 1))
    t["ambient_rgb"] = (0.56 - 0.26 * hard)[:, None] * np.exp(
        np.stack([-0.5 * warm, np.zeros(n), 0.6 * warm + 0.03], 1)
    )
    t["exposure"] = (
        np.exp(shot("exposure", 0.10) + (-0.12 if shifted else 0.0)) * (0.345 / (t["skin_rgb"].mean(1) + 0.12)) ** 0.47
    )
    t["blur"] = np.where(f["Blurry"] > 0, 0.0148 + 0.0025 * photo.uniform("blur"), 0.0040 * photo.uniform("blur"))
    t["noise"] = 0.006 + 0.010 * photo.uniform("noise") + (0.012 if shifted else 0.0) + np.zeros(n)
    t["scene"] = chance(photo, "scene")
    t["scene_rgb"] = _near(SCENES, photo, "scene colour", 0.35)
    t["scene_rgb2"] = _near(SCENES, photo, "scene colour 2", 0.35)
    for i in range(8):
        t[f"phase{i}"] = chance(photo, f"phase {i}")
        t[f"hair_phase{i}"] = chance(person, f"hair phase {i}")
    return t


# -- pictures -----------------------------------------------------------------------------------------------------


def _columns(traits):
    """Traits as float32 arrays that broadcast over pictures: (B, 1, 1) numbers, (B, 3, 1, 1) colours."""
    return SimpleNamespace(**{k: v.astype(np.float32).reshape(*v.shape, 1, 1) for k, v in traits.items()})


def render_params(seed=0, people=0, photos=0, size=64, *, domain="standard", force=None, traits=None, batch=16):
    """Draw photograph `photos[i]` of person `people[i]`; `force` and `traits` as in `parameters`.

    Returns images (N, 3, size, size) uint8 sRGB and attributes (N, 40) bool.
    """
    if size < 16:
        raise ValueError(f"size: found {size}, accepted are 16 pixels or more")
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    a, t = parameters(seed, people, photos, domain=domain, force=force, traits=traits)
    images = np.empty((len(people), 3, size, size), np.uint8)
    for i in range(0, len(people), batch):
        part = slice(i, i + batch)
        _, shot = _streams(seed, domain, people[part], photos[part])
        columns = _columns({k: v[part] for k, v in t.items()})
        grain = shot.uniform("grain", 0, 1 << 40).astype(np.int64)
        images[part] = develop(paint(columns, size), columns, grain)
    return images, np.stack([a[name] for name in ATTRIBUTES], 1)


def render(n_identities, per_identity, size=64, seed=0, *, domain="standard", first_identity=0, out=None, batch=16,
           progress=False):  # fmt: skip
    """Draw `per_identity` photographs of each of `n_identities` people, person by person.

    Photograph k of person p depends on (seed, domain, p, k, size) alone: any slice, made anywhere and in any batch
    size, is the same slice. `first_identity` skips people. `out`, an array or memmap (N, 3, size, size) uint8, is
    written batch by batch, so that a set larger than memory can be made. Returns `Rendered`.
    """
    for name, value, least in (
        ("n_identities", n_identities, 1),
        ("per_identity", per_identity, 1),
        ("size", size, 16),
        ("first_identity", first_identity, 0),
        ("batch", batch, 1),
        ("seed", seed, 0),
    ):
        if int(value) != value or value < least:
            raise ValueError(f"{name}: found {value}, accepted are whole numbers from {least}")
    if domain not in DOMAINS:
        raise ValueError(f"domain: found {domain!r}, accepted are {', '.join(DOMAINS)}")
    total = n_identities * per_identity
    shape = (total, 3, size, size)
    if out is None:
        out = np.empty(shape, np.uint8)
    elif out.shape != shape or out.dtype != np.uint8:
        raise ValueError(f"out: found {out.dtype} {out.shape}, accepted is uint8 {shape}")
    number = np.arange(total)
    identities = (first_identity + number // per_identity).astype(np.int64)
    attributes = np.empty((total, len(ATTRIBUTES)), bool)
    chunk = max(batch, 256)  # labels and traits come cheaper by the hundred than by the batch
    bar = tqdm(total=total, desc=f"faces, {size} px", unit="image", disable=not progress)
    for i in range(0, total, chunk):
        part = slice(i, min(i + chunk, total))
        out[part], attributes[part] = render_params(
            seed, identities[part], number[part] % per_identity, size, domain=domain, batch=batch
        )
        bar.update(len(identities[part]))
    bar.close()
    return Rendered(out, attributes, identities)


def person(seed, people, *, domain="standard"):
    """Attributes and traits of people (N,) that do not depend on the photograph: two dicts of arrays."""
    a, t = parameters(seed, people, 0, domain=domain)
    other_a, other_t = parameters(seed, people, 1, domain=domain)
    same = {k: v for k, v in t.items() if np.array_equal(v, other_t[k])}
    return {k: v for k, v in a.items() if np.array_equal(v, other_a[k])}, same


def photograph(seed, people, photos, *, domain="standard", force=None):
    """Attributes and traits of photograph `photos[i]` of person `people[i]`: two dicts of arrays (N, ...)."""
    return parameters(seed, people, photos, domain=domain, force=force)


# -- looking at them ----------------------------------------------------------------------------------------------


def montage(images, columns):
    """Pictures (N, 3, H, W) uint8 side by side, `columns` a row: one picture (rows * H, columns * W, 3) uint8."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * columns, 3, height, width), 255, np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, 3, height, width).transpose(0, 3, 1, 4, 2)
    return sheet.reshape(rows * height, columns * width, 3)


# What the sliders move, and between which bounds: head units, radians, or 0 to 1.
SLIDERS = {
    "yaw": (-0.5, 0.5), "pitch": (-0.2, 0.2), "light_x": (-0.9, 0.9), "smile": (-0.3, 1.2), "mouth_open": (0, 0.16),
    "skin_tone": (0, 6), "chin": (1.3, 1.75), "jaw_power": (1.8, 3.8), "eye_x": (0.36, 0.54), "eye_open": (0.02, 0.12),
    "eye_tilt": (-0.1, 0.25), "brow_y": (-0.38, -0.12), "nose_width": (0.5, 1.7), "nose_length": (0.45, 0.85),
    "mouth_width": (0.25, 0.5), "wrinkle": (0, 1), "hair_top": (0, 0.4),
}  # fmt: skip


def explore(seed=0, size=256):
    """Sliders for a person, a photograph, its traits and attributes: an ipywidgets box (JupyterLab)."""
    import io

    import ipywidgets
    from PIL import Image

    def slider(name, low, high, kind=ipywidgets.FloatSlider, step=0.01):
        return kind(min=low, max=high, step=step, description=name, continuous_update=False)

    who = slider("person", 0, 999, ipywidgets.IntSlider, 1)
    which = slider("photograph", 0, 99, ipywidgets.IntSlider, 1)
    forced = ipywidgets.SelectMultiple(options=ATTRIBUTES, description="turn on", rows=12)
    moved = {name: slider(name, *bounds) for name, bounds in SLIDERS.items()}
    picture, has = ipywidgets.Image(format="png", width=str(size)), ipywidgets.HTML()

    def draw(change=None):
        fresh = change is None or change["owner"] in (who, which, forced)
        force = dict.fromkeys(forced.value, True)
        if fresh:  # another photograph: the sliders go where its own traits are
            _, traits = parameters(seed, who.value, which.value, force=force)
            for name, one in moved.items():
                one.unobserve(draw, "value")
                one.value = float(np.clip(traits[name][0], one.min, one.max))
                one.observe(draw, "value")
        values = None if fresh else {name: one.value for name, one in moved.items()}
        images, labels = render_params(seed, who.value, which.value, size, force=force, traits=values)
        data = io.BytesIO()
        Image.fromarray(montage(images, 1)).save(data, "png")
        picture.value = data.getvalue()
        has.value = "<br>".join(name for name, on in zip(ATTRIBUTES, labels[0], strict=True) if on)

    for one in (who, which, forced, *moved.values()):
        one.observe(draw, "value")
    draw()
    return ipywidgets.HBox([ipywidgets.VBox([who, which, *moved.values()]), ipywidgets.VBox([picture, forced]), has])
