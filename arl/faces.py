"""Invented people: a small, vectorised portrait renderer that labels its own pictures.

Every number of a picture is a hash of (seed, domain, person, photograph, name of the number), so any slice of a
data set can be made anywhere and is the same slice. A picture is made in six steps, one section each below:

    streams -> person -> photograph -> attributes -> traits (attributes turned into geometry, colour, light)
    -> geometry (a head of elliptic sections plus a height field) -> materials, back to front -> light -> camera

Lengths are head units: 1 unit is half the width of the face, about 70 mm; the origin is midway between the pupils,
x to the right, y down, z towards the viewer. Proportions follow usual anthropometry (pupils 63 mm apart,
mouth 51 mm wide, pupil to chin 110 mm). The crop is that of aligned CelebA cut to its middle 178 pixels.

Frequencies are those commonly reported from CelebA's list_attr_celeba.txt (Liu, Luo, Wang and Tang, "Deep Learning
Face Attributes in the Wild", ICCV 2015). No picture, landmark or weight of CelebA is used.

Two labels are opinions, here as there. *Young* means an age below 40 years. *Attractive* is the sign of `_attractive`,
a fixed sum over other visible traits: it imitates the habits of CelebA's annotators and claims nothing about beauty.
"""

import zlib
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr, ndtri
from tqdm.auto import tqdm

from arl.config import ATTRIBUTES

VERSION = 3  # of the pictures: raised whenever one byte of them changes, so that stored sets are made anew
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
SKIN = np.array([(250, 226, 206), (232, 196, 172), (224, 178, 148), (200, 144, 108), (160, 104, 74), (112, 70, 48),
                 (72, 45, 33)])  # fmt: skip
HAIR = {"Black_Hair": (22, 19, 19), "chestnut": (58, 34, 28), "Brown_Hair": (98, 68, 44), "auburn": (126, 58, 32),
        "sandy": (150, 124, 92), "Blond_Hair": (198, 164, 108), "Gray_Hair": (182, 182, 184)}  # fmt: skip
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
    t = _traits(a, z, person, photo, domain)
    for name, value in (traits or {}).items():
        if name not in t:
            raise ValueError(f"traits: unknown trait {name!r}; accepted are {', '.join(sorted(t))}")
        t[name] = np.broadcast_to(np.asarray(value, np.float64), t[name].shape).copy()
    return a, t


def _traits(a, z, person, photo, domain):
    shifted = domain == "shifted"
    n = a["Male"].shape[0]
    f = {name: np.broadcast_to(value, (n,)).astype(np.float64) for name, value in a.items()}
    male = f["Male"]

    def body(name, sd=1.0):  # a person's own deviation, bounded so that no one leaves the human range
        return sd * np.clip(person.normal("trait " + name), -2.2, 2.2) + np.zeros(n)

    def shot(name, sd=1.0):
        return sd * np.clip(photo.normal("trait " + name), -2.2, 2.2) + np.zeros(n)

    t = {}
    young = f["Young"]
    u = person.uniform("age") + np.zeros(n)
    t["age"] = np.where(young > 0, 18 + 17 * u, 47 + 30 * u)
    if shifted:
        t["age"] = np.where(young > 0, 24 + 13 * u, 52 + 30 * u)
    old = np.clip((t["age"] - 35) / 40, 0, 1)
    chubby, oval = f["Chubby"], f["Oval_Face"]

    # skull and jaw
    t["skull_width"] = 1.0 + body("skull", 0.055) + 0.085 * chubby + 0.02 * male + 0.01 - 0.095 * oval
    t["skull_top"] = 1.54 + body("skull top", 0.06)
    t["skull_depth"] = 1.08 + body("skull depth", 0.05)
    t["chin"] = (
        1.50 + 0.09 * male + body("chin", 0.06) - 0.02 + 0.16 * oval - 0.02 * chubby + 0.05 * f["Mouth_Slightly_Open"]
    )
    t["jaw_power"] = 2.55 + 0.35 * male + body("jaw", 0.42) + 0.12 - 0.7 * oval + 0.5 * chubby
    t["jaw_round"] = 0.66 - 0.04 * male + body("jaw round", 0.06) + 0.06 * oval - 0.14 * chubby
    t["asymmetry"] = body("asymmetry", 0.012) * np.exp(-0.35 * z["harmony"])
    t["lopsided"] = body("lopsided", 0.014) * np.exp(-0.35 * z["harmony"])

    # eyes and brows
    t["eye_x"] = 0.455 + body("eye distance", 0.036)
    t["eye_width"] = 0.215 + body("eye width", 0.018)
    narrow, smile = f["Narrow_Eyes"], f["Smiling"]
    squint = np.clip(shot("squint", 0.12), -0.1, 0.25)
    t["eye_open"] = (
        (0.120 + body("eye open", 0.012))
        * (1 - 0.08 * (1 - young))
        * (1 - 0.06 * smile * (1 - narrow) - squint * 0.2)
        * (1 - 0.64 * narrow)
    )
    t["eye_tilt"] = 0.06 + body("eye tilt", 0.07)
    t["lid"] = 0.075 + body("lid", 0.03) - 0.03 * (1 - young)
    t["iris_tone"] = np.clip(1.6 - 1.5 * z["melanin"] + body("iris", 0.9), 0, 5)
    t["gaze_x"], t["gaze_y"] = shot("gaze x", 0.018), shot("gaze y", 0.01)
    bushy, arched = f["Bushy_Eyebrows"], f["Arched_Eyebrows"]
    t["brow_y"] = -0.31 + body("brow y", 0.055) + 0.03 * male - 0.07 * arched
    t["brow_thick"] = 0.047 + body("brow thick", 0.009) + 0.010 * male + 0.055 * bushy
    t["brow_dark"] = 0.74 + body("brow dark", 0.09) + 0.2 * bushy
    t["brow_arch"] = 0.035 + body("brow arch", 0.02) + 0.20 * arched
    t["brow_tilt"] = 0.01 + body("brow tilt", 0.05) + shot("brow tilt", 0.01)
    t["brow_x"], t["brow_length"] = 0.43 + body("brow x", 0.035), 0.29 + body("brow length", 0.028)
    t["socket"], t["orbit"] = (
        0.13 + body("socket", 0.035),
        np.clip(0.24 + body("orbit", 0.11) + 0.2 * (1 - young), 0.05, 0.7),
    )
    t["brow_ridge"] = 0.035 + 0.05 * male + body("brow ridge", 0.012)
    t["bags"] = 0.04 + 0.12 * (1 - young) + 0.9 * f["Bags_Under_Eyes"]

    # nose
    big, pointy = f["Big_Nose"], f["Pointy_Nose"]
    t["nose_length"] = 0.64 + 0.03 * male + body("nose length", 0.055) + 0.06 * big + 0.05 * pointy
    t["nose_width"] = 1.0 + body("nose width", 0.1) + 0.44 * big - 0.33 * pointy + 0.04 * male
    t["nose_height"] = 0.27 + body("nose height", 0.03) + 0.07 * big + 0.10 * pointy
    t["bridge"] = 0.42 + body("bridge", 0.16)
    t["nostril"] = 1.0 + body("nostril", 0.15) + 0.25 * big - 0.2 * pointy

    # mouth
    lips, open_ = f["Big_Lips"], f["Mouth_Slightly_Open"]
    t["mouth_y"] = 0.98 + 0.03 * male + body("mouth y", 0.055) + 0.02 * big
    t["mouth_width"] = 0.345 + body("mouth width", 0.035) + smile * (0.11 + shot("smile width", 0.012))
    t["lip_upper"] = (0.056 + body("lip upper", 0.011) + 0.088 * lips) * (1 - 0.2 * smile) * (1 - 0.22 * (1 - young))
    t["lip_lower"] = (0.078 + body("lip lower", 0.012) + 0.1 * lips) * (1 - 0.12 * smile) * (1 - 0.22 * (1 - young))
    t["cupid"] = 0.35 + body("cupid", 0.15)
    t["smile"] = smile * (0.85 + shot("smile", 0.12)) + (1 - smile) * np.clip(shot("mouth", 0.08) - 0.05, -0.2, 0.05)
    t["mouth_open"] = open_ * (0.085 + 0.05 * photo.uniform("open")) * (1 + 0.15 * smile)
    t["philtrum"] = 0.03 + body("philtrum", 0.008)

    # cheeks, chin, age
    t["cheekbone"] = 0.03 + body("cheekbone", 0.012) + 0.15 * f["High_Cheekbones"]
    t["cheek_fat"] = 0.02 + body("cheek fat", 0.015) + 0.16 * chubby + 0.05 * (1 - young)
    t["chin_bump"] = 0.07 + body("chin bump", 0.03) + 0.02 * male
    t["cleft"] = np.maximum(body("cleft", 0.02) - 0.015, 0)
    t["double_chin"] = f["Double_Chin"]
    t["wrinkle"] = np.where(young > 0, 0.0, 0.6 + 0.4 * old + body("wrinkle", 0.06))
    t["fold"] = 0.12 + 0.55 * smile + 0.9 * t["wrinkle"] + 0.15 * chubby
    t["ear_size"] = 1.0 + body("ear size", 0.08) + 0.1 * old
    t["ear_out"] = 0.06 + body("ear out", 0.025)

    # skin
    tone = 1.35 + 4.4 * ndtr(z["melanin"] * 1.15 + (0.35 if shifted else -0.35))
    t["skin_tone"] = np.where(f["Pale_Skin"] > 0, 0.35 * person.uniform("pale"), tone)
    t["ruddy"] = 0.5 + body("ruddy", 0.25)
    t["mottle"] = (
        np.clip(0.5 - 0.22 * z["harmony"], 0.1, 1.1)
        * (1 - 0.5 * f["Heavy_Makeup"])
        * (1 + 0.6 * (1 - young) + 0.6 * old)
    )
    t["freckles"] = np.clip(body("freckles") - 1.1, 0, 1) * (t["skin_tone"] < 2.5)
    for i in range(3):
        t[f"mole_x{i}"] = person.uniform(f"mole x{i}", -0.8, 0.8) + np.zeros(n)
        t[f"mole_y{i}"] = person.uniform(f"mole y{i}", -0.7, 1.3) + np.zeros(n)
        t[f"mole_r{i}"] = np.clip(body(f"mole r{i}", 0.018) - 0.006, 0, 0.035)
    t["rosy"] = f["Rosy_Cheeks"]
    makeup = f["Heavy_Makeup"]
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
    style = person.uniform("cut") + np.zeros(n)
    plain = (1 - wavy) * (1 - straight)
    long_f = np.where(plain > 0, 0.0, np.where(style < 0.12, 0.35, np.where(style < 0.3, 1.35, 2.3)))
    long_m = np.where(plain > 0, -0.05, np.where(style < 0.7, 0.25, np.where(style < 0.9, 0.7, 1.7)))
    t["hair_length"] = np.where(male > 0, long_m, long_f) + body("hair length", 0.06)
    t["curly"] = plain * np.where(male > 0, style > 0.85, style > 0.7)
    t["wavy"], t["straight"] = wavy, straight
    t["hair_volume"] = (0.09 + 0.05 * wavy + 0.03 * (1 - male) + 0.13 * t["curly"] * (1 - 0.4 * male)
                        + np.abs(body("hair volume", 0.035)) + shot("hair volume", 0.01)) * (1 - t["bald"])  # fmt: skip
    t["hairline"] = -1.02 + body("hairline", 0.06) - 0.15 * t["receding"] - 0.03 * male
    t["peak"] = body("peak", 0.06)
    t["part"] = body("part", 0.35)
    t["goatee"], t["mustache"], t["beard"] = f["Goatee"], f["Mustache"], f["beard"]
    t["stubble"], t["sideburns"] = f["5_o_Clock_Shadow"], f["Sideburns"]
    hair = np.zeros((n, 3))
    for name, rgb in HAIR.items():
        hair += f[name][:, None] * _linear(np.array(rgb) / 255.0)
    none = hair.sum(1) == 0
    hair[none] = np.where(
        (t["age"][none] > 45)[:, None], _linear(np.array([0.5] * 3)), _linear(np.array([0.2, 0.15, 0.13]))
    )
    hair *= np.exp(body("hair tone", 0.12) + shot("hair tone", 0.04))[:, None]
    t["hair_rgb"] = hair * np.exp(np.stack([body("hair red", 0.05), np.zeros(n), -body("hair red", 0.08)], 1))
    dark = _ramp([(30, 22, 18), (90, 62, 42)], np.clip(t["hair_rgb"].mean(1) * 3, 0, 1))
    t["brow_rgb"] = dark + (1 - young)[:, None] * 0.3 * (np.array([0.15, 0.13, 0.11]) - dark)
    t["beard_rgb"] = np.where(
        f["Gray_Hair"][:, None] > 0, t["hair_rgb"] * 0.75, np.minimum(t["hair_rgb"], 0.12) * 0.7 + 0.008
    )
    skin = _ramp(SKIN, t["skin_tone"])
    t["skin_rgb"] = skin * np.exp(np.stack([body("skin red", 0.03), np.zeros(n), body("skin blue", 0.05)], 1))
    # age: less blood and more yellow in the skin, grey in the brows
    t["skin_rgb"] *= 1 - (1 - young)[:, None] * np.array([0.07, 0.04, 0.16])
    t["iris_rgb"] = _ramp(IRIS, t["iris_tone"])
    lip = np.stack([skin[:, 0] * 0.86, skin[:, 1] * 0.62, skin[:, 2] * 0.66], 1)
    stick = _ramp([(150, 20, 34), (196, 22, 48), (214, 44, 92), (170, 40, 70)], 3 * t["lipstick_hue"])
    t["lip_rgb"] = np.where(t["lipstick"][:, None] > 0, stick, lip)
    t["lid_rgb"] = _ramp([(40, 34, 44), (70, 50, 70), (90, 58, 44), (50, 62, 84)], 3 * t["shadow_hue"])

    # clothes and things worn
    t["necktie"], t["necklace"], t["earrings"] = f["Wearing_Necktie"], f["Wearing_Necklace"], f["Wearing_Earrings"]
    t["glasses"] = f["Eyeglasses"]
    t["rim"] = np.clip(0.032 + body("rim", 0.008), 0.022, 0.05)
    t["lens_w"], t["lens_h"] = 0.33 + body("lens w", 0.02), 0.22 + body("lens h", 0.03)
    t["lens_round"] = 2.5 + person.uniform("lens round", 0, 3) + np.zeros(n)
    t["rim_rgb"] = _ramp(
        [(16, 14, 14), (40, 26, 20), (70, 38, 20), (60, 56, 54)], 3 * person.uniform("rim rgb") + np.zeros(n)
    )
    cloth = np.stack([photo.uniform(f"cloth {c}") + np.zeros(n) for c in "rgb"], 1)
    cloth = 0.35 * cloth + 0.65 * cloth.mean(1, keepdims=True)
    suit = _linear(np.array([0.16, 0.17, 0.2])) * (0.4 + 1.2 * cloth)
    t["cloth_rgb"] = np.where(t["necktie"][:, None] > 0, suit, _linear(0.06 + 0.8 * cloth))
    t["tie_rgb"] = _ramp([(120, 16, 24), (24, 40, 110), (90, 20, 90), (20, 20, 24), (150, 110, 20)],
                         4 * photo.uniform("tie") + np.zeros(n))  # fmt: skip
    t["metal_rgb"] = _ramp([(232, 190, 90), (225, 225, 230)], photo.uniform("metal") + np.zeros(n))
    t["hat_kind"] = np.floor(3 * photo.uniform("hat kind") + np.zeros(n))
    hat = np.stack([photo.uniform(f"hat {c}") + np.zeros(n) for c in "rgb"], 1)
    t["hat_rgb"] = _linear(0.08 + 0.7 * (0.45 * hat + 0.55 * hat.mean(1, keepdims=True)))
    t["neckline"] = 2.0 + 0.25 * photo.uniform("neckline") + np.zeros(n)

    # pose, camera, light
    t["yaw"] = shot("yaw", 0.17)
    t["pitch"] = shot("pitch", 0.07)
    t["roll"] = shot("roll", 0.045)
    t["zoom"] = np.exp(shot("zoom", 0.035))
    t["centre_x"], t["centre_y"] = 0.5 + shot("cx", 0.01), 0.45 + shot("cy", 0.012)
    az = shot("light azimuth", 0.45)
    el = 0.5 + np.clip(shot("light height", 0.2), -0.4, 0.45)
    t["light_x"], t["light_y"] = np.sin(az) * np.cos(el), -np.sin(el)
    t["light_z"] = np.cos(az) * np.cos(el)
    hard = photo.uniform("hard") + np.zeros(n)
    if shifted:
        hard = 0.4 + 0.6 * hard
    t["hard"] = hard
    t["key"] = 0.55 + 0.5 * hard
    warm = shot("warm", 0.07) + (-0.06 if shifted else 0.02)
    t["key_rgb"] = np.exp(np.stack([warm, np.zeros(n), -1.3 * warm], 1))
    t["ambient_rgb"] = (0.52 - 0.26 * hard)[:, None] * np.exp(
        np.stack([-0.5 * warm, np.zeros(n), 0.6 * warm + 0.03], 1)
    )
    t["exposure"] = (
        np.exp(shot("exposure", 0.08) + (-0.12 if shifted else 0.0)) * (0.30 / (t["skin_rgb"].mean(1) + 0.12)) ** 0.47
    )
    t["blur"] = np.where(f["Blurry"] > 0, 0.0148 + 0.0025 * photo.uniform("blur"), 0.0045 * photo.uniform("blur"))
    t["noise"] = 0.006 + 0.010 * photo.uniform("noise") + (0.012 if shifted else 0.0) + np.zeros(n)
    t["scene"] = photo.uniform("scene") + np.zeros(n)
    base = np.stack([photo.uniform(f"scene {c}") + np.zeros(n) for c in "rgb"], 1)
    other = np.stack([photo.uniform(f"scene b{c}") + np.zeros(n) for c in "rgb"], 1)
    t["scene_rgb"] = _linear(0.05 + 0.85 * (0.2 * base + 0.8 * base.mean(1, keepdims=True)))
    t["scene_rgb2"] = _linear(0.05 + 0.85 * (0.28 * other + 0.72 * other.mean(1, keepdims=True)))
    for i in range(8):
        t[f"phase{i}"] = photo.uniform(f"phase {i}") + np.zeros(n)
        t[f"hair_phase{i}"] = person.uniform(f"hair phase {i}") + np.zeros(n)
    return t


# -- geometry -----------------------------------------------------------------------------------------------------

UNITS = 4.25  # head units across the picture at zoom 1: pupils 0.9 / 4.25 of the width apart, as in aligned CelebA
ROWS = 512  # of the tables over height that describe a head's horizontal sections


def _smooth(x, low, high):
    """Smoothstep from 0 below `low` to 1 above `high`."""
    s = np.clip((x - low) * (1.0 / (high - low)), 0, 1)
    return s * s * (3 - 2 * s)


def _where(condition):
    """1 where true, 0 elsewhere, as float32: to NumPy a truth value times a Python number is float64."""
    return condition.astype(np.float32)


def _bump(x, y, cx, cy, rx, ry):
    """A hill of height 1 with the shape of exp(-(r/rx)^2), zero beyond 2 rx, at a fifth of its cost."""
    u, v = (x - cx) * (0.5 / rx), (y - cy) * (0.5 / ry)
    s = np.maximum(1 - (u * u + v * v), 0)
    s = s * s
    return s * s


def _ridge(x, width):
    """A soft line of half-width `width` along x = 0."""
    u = x * (0.5 / width)
    s = np.maximum(1 - u * u, 0)
    s = s * s
    return s * s


@lru_cache(maxsize=1)
def _bank():
    """Periodic noise tiles (512, 512) float32 of standard deviation 1: white, fine, cloudy, and strands."""
    white = np.random.Generator(np.random.Philox(20200207)).standard_normal((512, 512))

    def tile(sigma_u, sigma_v):
        image = gaussian_filter(white, (sigma_u, sigma_v), mode="wrap")
        return (image / image.std()).astype(np.float32)

    return {"white": tile(0, 0), "fine": tile(2, 2), "cloud": tile(14, 14), "strand": tile(1.2, 24)}


def _noise(name, u, v):
    """Noise of the bank at (u, v), in tile widths; strands run along v."""
    rows, columns = (u * 512).astype(np.int32) & 511, (v * 512).astype(np.int32) & 511
    return _bank()[name].take(rows * 512 + columns)


def _sections(t):
    """Tables (6, B, ROWS) over height: the head's horizontal sections, ellipses of half-axes w across and d deep.

    Seen under a yaw, an ellipse has half-width a and a point of it at sine s of a lies at w (s cos f - c sin f)
    across and d (c cos f + s sin f) deep: so the columns are a, w cos f, w sin f, d cos f, d sin f, and the
    length of the outline per unit of height.
    """
    y = np.linspace(-2.4, 2.6, ROWS, dtype=np.float32)[None]
    top, chin, width, depth, power, roundness, yaw = (
        v[:, :, 0] for v in (t.skull_top, t.chin, t.skull_width, t.skull_depth, t.jaw_power, t.jaw_round, t.yaw)
    )
    widest = -0.25
    up = np.clip((widest - y) / (widest + top), 0, 1)
    down = np.clip((y - widest) / (chin - widest), 0, 1)
    w = width * np.where(y < widest, np.sqrt(1 - up**2.7), (1 - down**power) ** roundness)
    w = w * (1 - 0.035 * np.exp(-(((y + 0.35) / 0.2) ** 2)))  # temples
    d = depth * np.where(y < widest, np.sqrt(1 - up**3.0), np.sqrt(1 - down**9) * (1 + 0.06 * down))
    a = np.sqrt((w * np.cos(yaw)) ** 2 + (d * np.sin(yaw)) ** 2) + 1e-4
    cos_f, sin_f = w * np.cos(yaw) / a, d * np.sin(yaw) / a
    slope = np.gradient(a, y[0, 1] - y[0, 0], axis=1)
    columns = (a, w * cos_f, w * sin_f, d * cos_f, d * sin_f, np.sqrt(1 + slope**2))
    return np.stack(columns).astype(np.float32)


def _lookup(tables, y):
    """Columns of `_sections` at heights y (B, H, W), linearly interpolated: a list of (B, H, W)."""
    position = np.clip((y + 2.4) * (ROWS / 5.0), 0, ROWS - 2)
    i = position.astype(np.int32)
    position -= i.astype(np.float32)
    i += (np.arange(len(y), dtype=np.int32) * ROWS)[:, None, None]
    found = []
    for table in tables:
        step = np.zeros_like(table)
        np.subtract(table[:, 1:], table[:, :-1], out=step[:, :-1])
        at = step.take(i)
        at *= position
        at += table.take(i)
        found.append(at)
    return found


def _nose(t, x, y):
    """Height of the nose above the face: a bridge that widens downwards, a tip, two wings."""
    along = np.clip((y + 0.16) / (t.nose_length + 0.16), 0, 1.2)
    bridge = along * (t.bridge + (1 - t.bridge) * along) * (1 - _smooth(y, t.nose_length - 0.06, t.nose_length + 0.09))
    across = _ridge(x, 0.10 + 0.10 * t.nose_width * along * along)
    wings = 0.38 * _bump(np.abs(x), y, 0.175 * t.nose_width, t.nose_length - 0.07, 0.085 * t.nose_width, 0.10)
    tip = 0.22 * _bump(x, y, 0, t.nose_length - 0.10, 0.12 * t.nose_width, 0.13)
    return t.nose_height * (0.85 * bridge * across + wings + tip)


class _Canvas:
    """The picture while it is painted: pixel grids in head units, and colour, slope, depth and gloss by layers."""

    def __init__(self, t, size):
        self.size = size
        self.px = UNITS / (size * t.zoom)  # one pixel in head units
        grid = np.arange(size, dtype=np.float32) + 0.5
        # sx, sy: upright screen coordinates; hx, hy: turned with the head; x, y: those of the frontal face
        self.sx = (grid[None, None, :] - t.centre_x * size) * self.px
        self.sy = (grid[None, :, None] - t.centre_y * size) * self.px
        c, s = np.cos(t.roll), np.sin(t.roll)
        self.hx, self.hy = c * self.sx + s * self.sy, c * self.sy - s * self.sx
        shape = self.hx.shape
        self.rgb = np.zeros((shape[0], 3, *shape[1:]), np.float32)
        self.lit, self.nx, self.ny, self.gloss = (np.zeros(shape, np.float32) for _ in range(4))
        self.depth = np.full(shape, -2.0, np.float32)

    def edge(self, distance, soft=0.0):
        """Coverage from a signed distance inwards: anti-aliasing over one pixel, plus `soft` head units."""
        return np.clip(0.5 + distance / (self.px + soft), 0, 1)

    def layer(self, cover, colour, slope_x, slope_y, depth, gloss=0.0):
        """Blend a material over what is there, in linear light; slopes are of its depth, in units per unit."""
        _tint(self.rgb, cover, colour)
        for name, value in (("nx", slope_x), ("ny", slope_y), ("depth", depth), ("gloss", gloss)):
            plane = getattr(self, name)
            change = value - plane
            change *= cover
            plane += change
        self.lit = np.maximum(self.lit, cover)


def _tint(image, cover, colour):
    change = colour - image
    change *= cover[:, None]
    image += change


def _darken(image, amount, rgb=(1.0, 1.0, 1.0)):
    for k in range(3):
        image[:, k] *= np.maximum(1 - amount * rgb[k], 0.03)


def _rgb(r, g, b):
    """One linear colour that broadcasts over pictures (B, 3, H, W)."""
    return np.array([r, g, b], np.float32)[:, None, None]


def _pose(t, c):
    """Map every pixel to the frontal face: adds to the canvas x, y, across, inside and the depth of the smooth head.

    Yaw turns about the axis through the ears, pitch shears by the depth of a smooth head; both keep the pupils in
    place, as the alignment of CelebA does. What stands out, the nose above all, moves by its height (parallax).
    """
    c.cos_yaw, c.sin_yaw = np.cos(t.yaw), np.sin(t.yaw)
    c.sin_pitch = np.sin(t.pitch)
    c.ex = c.hx + c.sin_yaw  # from the axis of the head
    swell = -0.42 * c.ex * c.ex - 0.30 * (c.hy - 0.2) ** 2 + 0.012
    c.ey = (c.hy - c.sin_pitch * swell) / np.cos(t.pitch)
    tables = _sections(t)

    def surface(x_view, y):
        a, w_cos, w_sin, d_cos, d_sin, stretch = _lookup(tables, y)
        s = np.clip(x_view / a, -0.999, 0.999)
        k = np.sqrt(1 - s * s)
        return a, stretch, s * w_cos - k * w_sin, k * d_cos + s * d_sin

    c.a, stretch, x, _ = surface(c.ex, c.ey)
    c.inside = np.minimum((c.a - np.abs(c.ex)) / stretch, np.minimum(t.chin - c.ey, c.ey + t.skull_top))
    rise = _nose(t, x, c.ey)
    y = c.ey - rise * c.sin_pitch
    _, _, x, z = surface(c.ex - rise * c.sin_yaw, y)
    c.smooth_depth = z * c.cos_yaw - x * c.sin_yaw
    c.z = z
    c.x = x * (1 + t.asymmetry * np.sign(x)) + t.lopsided * np.clip(y, 0, 2) * 0.5
    c.y = y + t.asymmetry * x * 0.8
    c.ax, c.side = np.abs(c.x), np.sign(x)


def _mouth(t, c):
    """Masks of lips, the gap between them and the line where they meet."""
    m = SimpleNamespace()
    m.y, m.width = t.mouth_y + 0.03 * t.mouth_open, t.mouth_width
    arc = (c.x / m.width) ** 2
    inner = np.clip(1 - arc, 0, 1)
    bow = np.sqrt(inner)
    middle = m.y - (0.155 * t.smile + 0.02) * (arc - 0.35) + 0.01 * (1 - arc)
    m.gap_top = middle - t.mouth_open * 0.35 * inner
    m.gap_bottom = middle + t.mouth_open * 0.65 * inner
    m.top = m.gap_top - t.lip_upper * bow * (1 - t.cupid * _ridge(c.x, 0.055))
    m.bottom = m.gap_bottom + t.lip_lower * (0.4 * bow + 0.6 * inner)
    within = c.edge((m.width - c.ax) * 0.6, 0.02)
    m.lips = c.edge(np.minimum(c.y - m.top, m.bottom - c.y), 0.012) * within
    m.gap = c.edge(np.minimum(c.y - m.gap_top, m.gap_bottom - c.y), 0.004) * within * np.minimum(t.mouth_open * 40, 1)
    m.line = _ridge(c.y - middle, 0.018 + 0.3 * c.px) * within * (1 - m.gap)
    upper = _ridge(c.y - 0.5 * (m.top + m.gap_top), t.lip_upper * 0.6 + 0.01)
    lower = _ridge(c.y - 0.5 * (m.bottom + m.gap_bottom), t.lip_lower * 0.55 + 0.01)
    m.rise = m.lips * (0.035 * upper + 0.055 * lower) - 0.05 * m.gap
    m.teeth = c.edge(np.minimum(c.y - m.gap_top - 0.006, m.gap_top + 0.09 - c.y), 0.01) * c.edge(
        m.width * 0.8 - c.ax, 0.06
    )
    m.arc = arc
    return m


def _eyes(t, c):
    """Masks of both eyes at once, in coordinates mirrored about the nose."""
    e = SimpleNamespace()
    e.qx = (c.ax - t.eye_x) / t.eye_width
    e.qy = c.y + t.eye_tilt * (c.ax - t.eye_x) + 0.01
    almond = np.clip(1 - e.qx * e.qx, 0, 1)
    e.upper = -t.eye_open * np.sqrt(almond) * (1.0 - 0.12 * e.qx)
    lower = 0.62 * t.eye_open * almond * (1 + 0.15 * e.qx) - 0.02 * np.maximum(t.smile, 0)
    e.open = c.edge(np.minimum(e.qy - e.upper, lower - e.qy)) * (np.abs(e.qx) < 1)
    e.gx = c.ax - t.eye_x + 0.01 - c.side * t.gaze_x
    e.gy = e.qy + 0.012 - t.gaze_y
    e.radius = np.sqrt(e.gx * e.gx + e.gy * e.gy)
    e.lash = _ridge(e.qy - e.upper + 0.006, 0.020 + 0.012 * t.makeup + 0.25 * c.px) * (np.abs(e.qx) < 1.12)
    e.lash_low = _ridge(e.qy - lower, 0.014 + 0.25 * c.px) * (np.abs(e.qx) < 1.05)
    e.crease = _ridge(e.qy - e.upper + t.lid, 0.022 + 0.3 * c.px) * np.clip(1.2 - e.qx * e.qx, 0, 1)
    return e


def _brows(t, c):
    b = (c.ax - t.brow_x) / t.brow_length
    middle = t.brow_y - t.brow_arch * (0.5 - ((b - 0.25) / (0.9 + 0.7 * _where(b < 0.25))) ** 2) + t.brow_tilt * b
    half = t.brow_thick * np.clip(1.05 - 0.55 * np.clip(b, -0.3, 2), 0.15, 1.2)
    return c.edge(half - np.abs(c.y - middle), 0.035) * (1 - _smooth(np.abs(b), 0.85, 1.1))


def _relief(t, c, mouth, brow):
    """The face's named hills and hollows, each 0 to 1, and `depth`, what the light and the camera see."""
    r = SimpleNamespace()
    x, y, ax = c.x, c.y, c.ax
    r.socket = _bump(ax, y, t.eye_x - 0.03, -0.03, 0.30, 0.17)
    r.corner = _bump(ax, y, 0.2, -0.03, 0.11, 0.17)
    r.apple = _bump(ax, y, 0.55, 0.36 - 0.03 * t.smile, 0.26, 0.20)
    r.hollow = _bump(ax, y, 0.66, 0.80, 0.20, 0.24)
    fold_x = 0.24 + 0.34 * np.clip((y - 0.55) / 0.6, 0, 1.2) + 0.05 * t.smile
    r.fold = _ridge(ax - fold_x, 0.045) * _smooth(y, 0.5, 0.65) * (1 - _smooth(y, 1.0, 1.2))
    r.bag = _bump(ax, y, t.eye_x - 0.02, 0.20, 0.19, 0.055)
    r.chin_pit = _bump(x, y, 0, mouth.y + 0.24, 0.26, 0.07)
    r.depth = (
        c.smooth_depth + mouth.rise + 0.01 * brow + _nose(t, x, y)
        + t.brow_ridge * _bump(ax, y, 0.40, -0.27, 0.40, 0.12)
        - t.socket * r.socket - 0.07 * r.corner + 0.055 * _bump(ax, y, t.eye_x, 0.0, 0.18, 0.13)
        + (t.cheekbone + 0.06 * np.maximum(t.smile, 0)) * r.apple
        - (0.02 + 0.45 * t.cheekbone) * r.hollow
        + t.cheek_fat * _bump(ax, y, 0.58, 0.72, 0.32, 0.36)
        + 0.07 * _bump(x, y, 0, mouth.y, 0.42, 0.34)
        + t.chin_bump * _bump(x, y, 0, t.chin - 0.2, 0.26, 0.18)
        - t.cleft * _bump(x, y, 0, t.chin - 0.16, 0.04, 0.1)
        - 0.05 * r.chin_pit - 0.035 * t.fold * r.fold
        - t.philtrum * 0.6 * _bump(x, y, 0, t.nose_length + 0.15, 0.04, 0.1)
        + 0.05 * t.bags * r.bag
    )  # fmt: skip
    return r


def _slopes(depth, px):
    """Central differences of a depth map (B, H, W) along x and y, in head units per head unit."""
    dx, dy = np.empty_like(depth), np.empty_like(depth)
    dx[:, :, 1:-1] = depth[:, :, 2:] - depth[:, :, :-2]
    dx[:, :, 0], dx[:, :, -1] = dx[:, :, 1], dx[:, :, -2]
    dy[:, 1:-1] = depth[:, 2:] - depth[:, :-2]
    dy[:, 0], dy[:, -1] = dy[:, 1], dy[:, -2]
    return np.clip(dx * (0.5 / px), -3, 3), np.clip(dy * (0.5 / px), -3, 3)


# -- materials, back to front -------------------------------------------------------------------------------------


def _scene(t, c):
    """A blurred place behind the person: a gradient, soft panels and shelves, clouds of light (B, 3, H, W)."""
    blend = _smooth(c.sy * np.cos(6.3 * t.phase4) + c.sx * np.sin(6.3 * t.phase4), -2.2, 2.2)
    scale, wide = 0.022 * (1 + t.phase3), 0.25 + 0.5 * t.phase5
    cloud = _noise("cloud", c.sx * scale + t.phase0, c.sy * scale + t.phase1)
    panel = _smooth(np.sin(c.sx * (1.0 + 2.5 * t.phase2) + 6.3 * t.phase6), -wide, wide)
    shelf = _smooth(np.sin(c.sy * (0.8 + 2.0 * t.phase7) + 6.3 * t.phase3), -wide, wide)
    busy = _smooth(t.scene, 0.25, 0.6)
    f = (1 - 0.6 * busy) * blend + 0.6 * busy * (0.6 * panel + 0.4 * shelf) + 0.22 * cloud * (0.3 + busy)
    f = np.clip(f, 0, 1)[:, None]
    return t.scene_rgb * (1 - f) + t.scene_rgb2 * f


def _skin(t, c, mouth, eyes, brow, r):
    """The colour (B, 3, H, W) of the whole face, before light: skin, folds, make-up, beard, lips, eyes."""
    x, y, ax = c.x, c.y, c.ax
    cloud = _noise("cloud", x * 0.18 + t.hair_phase0, y * 0.18 + t.hair_phase1)
    fine = _noise("fine", x * 0.11 + t.hair_phase2, y * 0.11 + t.hair_phase3)
    grain = _noise("white", x * 0.5 + t.hair_phase4, y * 0.5) * min(
        c.size / 300, 1.0
    )  # averaged out in a small picture
    skin = t.skin_rgb * (1 + t.mottle * (0.06 * fine + 0.03 * cloud) + 0.02 * grain)[:, None]
    blood = t.ruddy * (r.apple + 0.7 * _bump(x, y, 0, t.nose_length - 0.1, 0.2, 0.16)) + 0.15 * t.mottle * cloud
    _darken(skin, np.clip(0.13 * blood, -0.2, 0.5), (0, 1, 0.95))
    if t.rosy.any():  # here and below: what nobody in the batch has is not computed
        _darken(skin, 0.66 * t.rosy * _bump(ax, y, 0.60, 0.44, 0.32, 0.27), (0.12, 0.75, 0.55))
    if t.freckles.any():
        freckles = _smooth(fine, 0.6, 1.4) * (r.apple + _bump(x, y, 0, 0.3, 0.4, 0.3))
        _darken(skin, 0.5 * t.freckles * freckles, (0.5, 0.8, 1))
    for i in range(3):
        radius = vars(t)[f"mole_r{i}"]
        if not radius.any():
            continue
        away = (x - vars(t)[f"mole_x{i}"]) ** 2 + (y - vars(t)[f"mole_y{i}"]) ** 2
        mole = np.maximum(1 - away / (radius * radius + 0.3 * c.px**2), 0)
        _darken(skin, mole * np.minimum(radius * radius / (0.1 * c.px**2), 0.8), (0.6, 0.8, 0.9))

    # age: lines across the forehead, crow's feet, the fold from nose to mouth; then tired and deep-set eyes
    aged = (0.12 * t.fold + 0.32 * t.wrinkle) * r.fold
    if t.wrinkle.any():
        lines = np.sin(y * 34 + 1.1 * cloud) ** 8 * _smooth(-y, 0.5, 0.62) * (1 - _smooth(-y, 0.9, 1.0))
        crow = np.sin((y + 0.02) * 60 / (0.5 + ax)) ** 6 * _bump(ax, y, 0.82, 0.02, 0.1, 0.16)
        frown = _bump(ax, y, 0.085, -0.30, 0.025, 0.12)
        aged = t.wrinkle * (0.6 * lines * _ridge(x, 0.5) + 0.7 * crow + 0.35 * frown) + aged
    _darken(skin, aged, (0.7, 0.9, 1))
    under = 0.75 * _bump(ax, y, t.eye_x - 0.03, 0.18, 0.21, 0.075)
    pouch = 0.6 * _ridge(y - 0.285 + 0.5 * (ax - t.eye_x) ** 2, 0.04) * _ridge(ax - t.eye_x, 0.18)
    _darken(skin, t.bags * (under + pouch), (0.7, 0.9, 0.75))
    _darken(skin, t.orbit * (r.socket + r.corner), (0.75, 0.95, 1))

    # what no light reaches: nostrils, beside the wings, under the lip
    nostril = _bump(ax, y, 0.095 * t.nose_width, t.nose_length - 0.005, 0.055 * t.nostril, 0.033)
    _darken(skin, 1.1 * nostril, (0.8, 0.9, 0.95))
    wing = _bump(ax, y, 0.255 * t.nose_width, t.nose_length - 0.08, 0.03, 0.10)
    below = _bump(x, y, 0, mouth.bottom + 0.05, 0.2, 0.035)
    _darken(skin, 0.35 * wing + 0.22 * r.chin_pit + 0.18 * below, (0.75, 0.95, 1))

    if t.makeup.any():
        lid = t.makeup * _bump(ax, eyes.qy, t.eye_x + 0.02, -0.12, 0.20, 0.085)
        _tint(skin, np.clip(0.85 * lid, 0, 1), t.lid_rgb)
        _darken(skin, 0.25 * t.makeup * _bump(ax, y, 0.68, 0.5, 0.2, 0.16), (0.2, 0.7, 0.5))
    if any(grown.any() for grown in (t.beard, t.mustache, t.goatee, t.sideburns, t.stubble)):
        _tint(skin, _beard(t, c, mouth, grain), t.beard_rgb)
    hairs = _noise("strand", (ax + 0.5 * y) * 0.30, (0.5 * ax - y) * 0.30)
    _tint(skin, np.clip(brow * t.brow_dark * (1 + 0.14 * hairs), 0, 1), t.brow_rgb)

    _tint(skin, mouth.lips * (0.62 + 0.34 * t.lipstick), t.lip_rgb * (1 + 0.08 * fine[:, None]))
    _darken(skin, 0.7 * mouth.line, (0.8, 1, 1))
    throat = np.broadcast_to(_rgb(0.045, 0.012, 0.012), skin.shape).copy()
    gaps = 1 - 0.4 * min(c.size / 300, 1.0) * np.cos(x * 30) ** 16
    _tint(throat, mouth.teeth * gaps * (0.95 - 0.5 * np.clip(mouth.arc, 0, 1)), _rgb(0.70, 0.64, 0.56))
    _tint(skin, mouth.gap, throat)

    ball = np.broadcast_to(_rgb(0.52, 0.47, 0.45), skin.shape).copy()
    ball *= np.clip(0.6 + t.skin_rgb.mean(1, keepdims=True), 0, 1)
    _darken(ball, 0.65 * (1 - np.clip((eyes.qy - eyes.upper) / 0.09, 0, 1)))  # the lid's shadow
    rings = 0.6 + 0.9 * np.clip(eyes.gy + 0.03, 0, 0.09) / 0.09 - 0.5 * _where(eyes.radius > 0.070)
    _tint(ball, c.edge(0.088 - eyes.radius), t.iris_rgb * np.clip(rings, 0.25, 2)[:, None])
    _tint(ball, c.edge(0.036 - eyes.radius), np.float32(0.006))
    glint = np.sqrt((eyes.gx * c.side - 0.03 * np.sign(t.light_x)) ** 2 + (eyes.gy + 0.035) ** 2)
    _tint(ball, 0.9 * c.edge(0.020 + 0.1 * c.px - glint), np.float32(1.1))
    _tint(skin, eyes.open, ball)
    _tint(skin, eyes.lash * np.clip(0.78 + 0.15 * t.makeup, 0, 0.95), t.brow_rgb * 0.35)
    _darken(skin, (0.30 + 0.4 * t.makeup) * eyes.lash_low + 0.34 * eyes.crease * (1 - eyes.open), (0.8, 0.95, 1))
    return skin


def _beard(t, c, mouth, grain):
    """Coverage (B, H, W) of facial hair: stubble, moustache, goatee, sideburns and beard, each with its region."""
    y, ax = c.y, c.ax
    lips = _smooth(y, mouth.top - 0.02, mouth.top + 0.01) * (1 - _smooth(y, mouth.bottom - 0.01, mouth.bottom + 0.02))
    under_nose = _smooth(y, t.nose_length + 0.08, t.nose_length + 0.14)
    moustache = under_nose * (1 - _smooth(ax, mouth.width * 0.9, mouth.width * 1.2))
    moustache = moustache * (1 - _smooth(y, mouth.top - 0.01, mouth.top + 0.05))
    corners = _smooth(0.09 - np.abs(ax - mouth.width * 1.05), 0, 0.05) * _smooth(y, mouth.top - 0.15, mouth.top)
    corners = corners * (y < mouth.bottom + 0.3)
    chin = _smooth(y, mouth.bottom + 0.05, mouth.bottom + 0.11) * (1 - _smooth(ax, 0.26, 0.36))
    cheek_line = 0.98 - 0.60 * ax * ax + 0.30 * (1 - ax)
    jaw = _smooth(y - cheek_line + 0.22, 0, 0.16) * _smooth(y, 0.42, 0.6)
    shade = np.maximum(jaw, under_nose * (ax < mouth.width + 0.1))
    burns = _smooth(ax, 0.67, 0.80) * _smooth(y, -0.45, -0.30) * (1 - _smooth(y, 0.72, 1.0))
    full = np.maximum(0.88 * t.beard * np.maximum(jaw, 0.2 * moustache), 0.94 * t.mustache * moustache)
    full = np.maximum(full, 0.90 * t.goatee * np.maximum(chin, t.mustache * corners))
    full = np.maximum(full, 0.92 * t.sideburns * burns) * (1 + 0.35 * grain)
    cover = np.maximum(full, 0.44 * t.stubble * shade * (1 + 0.9 * grain))
    return np.clip(cover, 0, 0.96) * (1 - lips * (ax < mouth.width))


def _body(t, c):
    """Neck, clothes, collar and tie; they roll half as far as the head does."""
    x = 0.5 * (c.sx + c.ex)
    across_x = np.abs(x)
    flat = np.zeros_like(x)
    width = 0.60 + 0.08 * _smooth(t.jaw_power, 2.3, 3.1) + 0.8 * t.cheek_fat
    neck = c.edge(width + 0.30 * np.clip(c.hy - 1.75, 0, 1) ** 2 - across_x) * (c.hy > 0.6)
    u = np.clip(x / (width + 0.1), -0.97, 0.97)
    c.layer(neck, t.skin_rgb * 0.92, -0.8 * u / np.sqrt(1 - u * u), flat - 0.15, -0.35 - 0.3 * u * u)

    chest = t.neckline - 0.09 * t.necktie
    neckline = np.where(across_x < 0.75, chest - 0.88 * x * x, chest - 0.31)
    shoulder = 1.78 + 0.33 * np.maximum(across_x - 0.62, 0) + 0.25 * np.maximum(across_x - 1.3, 0) ** 2
    cloth = c.edge(np.minimum(c.hy * 0.3 + c.sy * 0.7 - shoulder, c.sy - neckline), 0.02)
    weave = _noise("cloud", c.sx * 0.12 + t.phase0, c.sy * 0.12 + t.phase1)
    stripes = 1 + 0.35 * _where(t.phase6 > 0.85) * np.sign(np.sin(c.sx * 22 + 6 * t.phase2)) * (1 - t.necktie)
    colour = t.cloth_rgb * ((1 + 0.12 * weave) * stripes)[:, None]
    c.layer(cloth, colour, -0.35 * x + 0.1 * weave, flat - 0.2, -0.55)
    if t.necktie.any():
        shirt = c.edge(0.46 - 0.42 * np.maximum(c.sy - 1.95, 0) - across_x) * c.edge(c.sy - 1.78 - 0.1 * across_x)
        c.layer(t.necktie * shirt, _rgb(0.80, 0.80, 0.84) * (1 - 0.2 * across_x)[:, None], -0.3 * x, flat - 0.1, -0.45)
        tie = c.edge(0.12 + 0.25 * np.abs(c.sy - 2.05) - across_x) * c.edge(c.sy - 1.86)
        pattern = 1 + 0.5 * np.sign(np.sin((c.sx + c.sy) * 26)) * (t.phase3 > 0.5)
        c.layer(t.necktie * tie, t.tie_rgb * pattern[:, None], -2.0 * x, flat, -0.4, 0.2)


def _necklace(t, c):
    if not t.necklace.any():
        return
    x, y = 0.5 * (c.sx + c.ex), c.sy
    line = y - 2.10 + 0.55 * (x / 0.72) ** 2
    worn = t.necklace * (np.abs(x) < 0.80)
    _darken(c.rgb, 0.6 * worn * _ridge(line - 0.07, 0.07), (0.8, 0.95, 1))  # its shadow
    beads = c.edge(0.05 - np.abs(line)) * (0.8 + 0.2 * np.sin(x * 40))
    c.layer(worn * beads, t.metal_rgb, 0 * x, 0 * x - 0.5, -0.3, 1.0)
    pendant = c.edge(0.095 - np.sqrt(x * x + (y - 2.19) ** 2))
    c.layer(t.necklace * pendant, t.metal_rgb, -5 * x, -5 * (y - 2.19), -0.3, 1.0)


def _ears(t, c, near_side):
    """Both ears: drawn before the head, and once more after it (`near_side`) for the one turned to the camera."""
    covered = _smooth(t.hair_length, 0.2, 0.5) * (1 - t.bald)
    for sign in (-1.0, 1.0):
        near = _smooth(-sign * c.sin_yaw, 0.10, 0.30) * (1 - covered)
        centre = sign * (t.skull_width * c.cos_yaw * 0.985 + 0.7 * t.ear_out * (1 - near))
        half = (0.115 + 0.30 * np.maximum(-sign * c.sin_yaw, 0)) * t.ear_size
        u, v = (c.ex - centre) / half, (c.ey - 0.18) / (0.30 * t.ear_size)
        r = np.sqrt(u * u + v * v * np.clip(1 + 0.25 * v, 0.5, 1.5))
        colour = t.skin_rgb * _rgb(1.0, 0.86, 0.84) * (1 - 0.55 * _bump(u, v, 0.1 * sign, 0.05, 0.45, 0.5))[:, None]
        cover = c.edge((1 - r) * half) * (near if near_side else 1)
        c.layer(cover, colour, -0.6 * u + 0.3 * sign, -0.4 * v, 0.1 if near_side else -0.05)


def _double_chin(t, c):
    if not t.double_chin.any():
        return
    under = c.ey - t.chin
    pouch = c.edge(np.minimum(0.33 - 0.40 * c.ex * c.ex - under, 0.74 - np.abs(c.ex)), 0.02)
    pouch = t.double_chin * pouch * (1 - c.edge(c.inside)) * (c.ey > 1.0)
    c.layer(pouch, t.skin_rgb * 0.95, -1.1 * c.ex, -5.5 * (under - 0.02), 0.45)
    curve = 0.20 * (1 - np.sqrt(np.clip(1 - (c.ex / 0.8) ** 2, 0, 1)))
    _darken(c.rgb, 0.8 * _ridge(under - 0.02 + curve, 0.06) * pouch, (0.75, 0.95, 1))


def _hair(t, c):
    """Cover behind and before the face, colour and slopes of the hair on the head."""
    ex, y = c.ex, c.ey
    long_hair = _smooth(t.hair_length, 0.5, 1.3)
    widest = -0.25
    polar = np.arctan2(ex, 0.35 - np.minimum(y, 0.2))
    rough = _noise("cloud", polar * 0.12 + t.hair_phase0, y * 0.12 + t.hair_phase1)
    wave = y * 7.5 + 1.5 * np.tanh(8 * (ex - 0.3 * t.part)) + 2.0 * rough + 6 * t.hair_phase5

    # silhouette: the head's own, larger by the hair, falling to `hair_length`
    wide = t.skull_width * np.sqrt(c.cos_yaw**2 + (1.1 * c.sin_yaw) ** 2) + t.hair_volume + 0.02
    high = t.skull_top + widest + 1.15 * t.hair_volume + 0.02
    u, v = ex / wide, np.minimum(y - widest, 0) / high
    r = (u * u * np.sqrt(np.abs(u)) + v * v * np.sqrt(np.abs(v)) + 1e-9) ** 0.4  # a superellipse
    below = np.clip(y - widest, 0, 3)
    fall = long_hair * (0.10 * t.wavy + 0.04) * _smooth(below, 0.2, 1.6) - (1 - long_hair) * 0.10 * below
    ragged = (0.03 + 0.05 * t.curly + 0.03 * t.wavy) * rough
    ragged = ragged + 0.035 * t.wavy * np.sin(wave) * _smooth(y, -0.6, 0.6)

    # strands fall to both sides of the parting where hair is combed, and run back from the forehead where cropped
    combed = t.straight + t.wavy + long_hair > 0
    fan = np.sqrt(np.clip((y + high - widest + 0.1) / (high + 0.5), 0.02, 1))
    across = np.where(combed, 0.6 * (ex - 0.4 * t.part) / fan + 0.06 * t.wavy * np.sin(wave), 0.45 * polar)
    along = np.where(combed, 0.12 * y, 0.25 * r)
    strands = _noise("strand", 0.6 * across + t.hair_phase2, along + t.hair_phase3)
    if t.curly.any():
        curls = _noise("fine", ex * 0.10 + t.hair_phase2, y * 0.10)
        strands = strands + t.curly * (1.1 * curls - strands)
    outline = (1 + fall - r) * wide + ragged + 0.012 * strands
    ends = t.hair_length + 0.12 * rough - y + 0.15 * (1 - u * u)
    behind = c.edge(np.minimum(outline, 0.8 * ends), 0.015 + 0.03 * t.curly) * (1 - t.bald)

    # hairline: high in the middle, lower at the temples; a receding one goes back in two bays
    ax = np.abs(ex - 0.03 * np.sign(t.part)) / np.maximum(c.a, 0.3)
    line = t.hairline + 0.46 * ax**4 + 0.55 * ax**10 + t.peak * _ridge(ex, 0.25)
    line = line - t.receding * 0.36 * _ridge(ax - 0.52, 0.6)
    fringe = -0.44 + 0.10 * (ex - t.part) * np.sign(t.part) + 0.05 * (1 - 0.7 * t.curly) * strands - 0.1 * ax**2
    line = np.where(t.bangs > 0, np.maximum(line, fringe), line) + 0.025 * strands + 0.02 * rough
    top = c.edge(line - y, 0.03)
    curtain = c.edge((ax - 0.90 + 0.03 * t.wavy * np.sin(wave) - 0.10 * long_hair * _smooth(y, -0.6, 0.4)) * c.a, 0.02)
    curtain = (
        curtain * _smooth(t.hair_length - y, -0.05, 0.1) * _smooth(y, -0.7, -0.4) * _smooth(t.hair_length, -0.3, 0.3)
    )
    bared = np.maximum(
        t.necklace, t.double_chin
    )  # hair falls behind the shoulders where the neck has something to show
    before = np.maximum(top, curtain * (1 - bared * _smooth(y, 1.15, 1.5))) * behind
    if t.bald.any():
        wreath = _smooth(ax, 0.88, 0.95) * _smooth(y, -0.6, -0.4) * (1 - _smooth(y, 0.1, 0.25))
        before = np.maximum(before, 0.6 * t.bald * (wreath * (np.abs(ex) < c.a + 0.03)))

    sheen = _ridge(r - 0.78 - 0.04 * strands, 0.2) * (0.2 + 0.5 * t.straight) * (1 - t.curly)
    ripple = 0.45 * t.wavy * np.sin(wave + 9 * r)
    tone = np.exp(np.clip(0.20 * strands + ripple + 0.1 * rough, -1, 1)) * (1 + 0.9 * sheen)
    tone = tone * (1 - 0.35 * _smooth(r, 0.9, 1.05))
    bend = -1.05 / np.sqrt(np.clip(1.15 - r * r, 0.12, 2))
    return SimpleNamespace(behind=behind, before=before, rgb=t.hair_rgb * tone[:, None] + (0.012 * sheen)[:, None],
                           slope_x=u * bend + 0.25 * strands, slope_y=v * bend + 0.1 * ripple)  # fmt: skip


def _earrings(t, c):
    """Hoops of gold or drops of silver, at the lobes and over whatever hair there is."""
    if not t.earrings.any():
        return
    v = c.ey - 0.60
    for sign in (-1.0, 1.0):
        u = c.ex - sign * (t.skull_width * c.cos_yaw + t.ear_out + 0.02)
        drop = np.maximum(0.06 - np.sqrt(u * u + v * v), 0.05 - np.sqrt(1.5 * u * u + 0.25 * (v - 0.17) ** 2))
        hoop = 0.028 - np.abs(np.sqrt(u * u + (v - 0.13) ** 2) - 0.11)
        shape = c.edge(np.where(t.metal_rgb[:, 2] > 0.4, drop, hoop))
        c.layer(t.earrings * shape, t.metal_rgb, 0 * v, -1.5 * v, 0.2, 1.2)


def _hat(t, c):
    """A knitted cap, a cap with a peak, or a hat with a brim, by `hat_kind` 0, 1, 2."""
    if not t.hat.any():
        return
    x, y = c.ex, c.ey
    knitted, brimmed = _where(t.hat_kind == 0), _where(t.hat_kind == 2)
    wide = t.skull_width + 0.14 + 0.04 * brimmed
    rim = -0.66 + 0.05 * knitted - 0.22 * (x / wide) ** 2 * (0.9 * knitted - 0.5)
    u, v = np.abs(x) / wide, np.maximum(-(y + 0.60), 0) / (t.skull_top - 0.40 + 0.1 * brimmed)
    power = 2.4 + 1.6 * brimmed
    r = (u**power + v**power + 1e-9) ** (1 / power)
    knit = 1 + knitted * (0.18 * np.sin(x * 26) - 0.25 * _where(np.abs(y - rim + 0.14) < 0.02))
    band = 1 - 0.6 * brimmed * (y > rim - 0.24)
    crown = t.hat * c.edge(np.minimum((1 - r) * wide, rim - y))
    c.layer(crown, t.hat_rgb * (knit * band)[:, None], -1.4 * x / wide, 0.9 * v, 0.9 - 0.4 * u * u)
    brim_w, brim_h = (0.83 + 0.71 * brimmed) * wide, 0.20 - 0.03 * brimmed
    brim = (1 - (x / brim_w) ** 2 - ((y + 0.64) / brim_h) ** 2) * brim_h * 0.6
    c.layer(t.hat * (1 - knitted) * c.edge(brim), t.hat_rgb * 0.75, -0.2 * x, 0 * x + 0.6, 1.35)


def _glasses(t, c):
    """Rims in a plane before the eyes, bridge and temples; returns the light (B, H, W) that the lenses throw back."""
    if not t.glasses.any():
        return np.zeros_like(c.ex)
    x, y, p = np.abs((c.hx - 0.12 * c.sin_yaw) / c.cos_yaw), c.ey, t.lens_round
    lx, ly = np.abs(x - 0.455) / t.lens_w, np.abs(y - 0.1 * c.sin_pitch - 0.04) / t.lens_h
    q = (lx**p + ly**p + 1e-9) ** (1 / p)
    rim = c.edge(t.rim - np.abs(1 - q) * t.lens_h)
    rim = rim + c.edge(0.9 * t.rim - np.abs(y + 0.02)) * (x < 0.455 - t.lens_w)
    rim = rim + c.edge(0.8 * t.rim - np.abs(y + 0.04)) * (x > 0.455 + t.lens_w) * (np.abs(c.ex) < c.a)
    lens = t.glasses * c.edge((1 - q) * t.lens_h)
    _darken(c.rgb, 0.10 * lens)
    c.layer(t.glasses * np.clip(rim, 0, 1), t.rim_rgb, 0 * x, 0 * x, 1.3, 0.6)
    return 0.1 * lens * _smooth(ly - 0.5 * lx + 0.3 * _where(y < 0.04), 0.4, 1.2)


# -- light --------------------------------------------------------------------------------------------------------


def _shadow(t, c):
    """Share of the key light (B, H, W) that arrives: a march over the depth map, softer with distance."""
    batch, size = len(c.depth), c.size
    rows = np.arange(size, dtype=np.int32)
    base = (np.arange(batch, dtype=np.int32) * (size * size))[:, None, None]
    flat = c.depth.reshape(-1)
    blocked = np.zeros_like(c.depth)
    for step in (0.07, 0.14, 0.24, 0.38):  # head units: from the nose's length down to its wings
        columns = np.clip(rows[None, None, :] + np.rint(t.light_x * step / c.px).astype(np.int32), 0, size - 1)
        lines = np.clip(rows[None, :, None] + np.rint(t.light_y * step / c.px).astype(np.int32), 0, size - 1)
        above = flat[base + lines * size + columns] - c.depth - t.light_z * step - 0.015
        blocked = np.maximum(blocked, np.clip(above * (7.0 / (0.3 + step)), 0, 1))
    return 1 - blocked * (0.35 + 0.5 * t.hard)


def _shade(t, c, scene):
    """Lambert with a soft reddish edge, ambient light from above, gloss and cast shadows: linear (B, 3, H, W)."""
    norm = 1 / np.sqrt(1 + c.nx**2 + c.ny**2)
    towards = -c.nx * t.light_x - c.ny * t.light_y + t.light_z
    shadow = _shadow(t, c)
    sky = 0.80 + 0.25 * c.ny * norm
    light = np.empty_like(c.rgb)
    for k, wrap in enumerate((0.26, 0.14, 0.10)):  # light scattered in skin comes out red beyond the edge of shade
        direct = np.maximum((towards * norm + wrap) * (1.15 / (1 + wrap)), 0) * shadow
        light[:, k] = t.key * t.key_rgb[:, k] * direct + t.ambient_rgb[:, k] * sky
    half = np.sqrt(t.light_x**2 + t.light_y**2 + (t.light_z + 1) ** 2)
    mirror = np.clip((towards + 1) * norm / half, 0, 1) ** 2
    mirror = mirror * mirror
    mirror = mirror * mirror
    light_back = (mirror**3 * shadow * c.gloss * (0.03 + 0.12 * t.hard))[:, None]
    lit = c.lit[:, None]
    return (c.rgb * light + light_back) * lit + 0.75 * scene * (1 - lit)


def _paint(t, size):
    """Linear pictures (B, 3, size, size) float32 of traits `t`, each (B, 1, 1) or (B, 3, 1, 1) float32."""
    c = _Canvas(t, size)
    _pose(t, c)
    mouth, eyes, brow = _mouth(t, c), _eyes(t, c), _brows(t, c)
    relief, hair = _relief(t, c, mouth, brow), _hair(t, c)
    c.rgb[:] = scene = _scene(t, c)
    c.layer(hair.behind, hair.rgb * 0.55, hair.slope_x, hair.slope_y, -0.6, 0.1)
    _body(t, c)
    _ears(t, c, near_side=False)
    oil = 0.6 + 0.4 * mouth.lips + 2.2 * eyes.open
    c.layer(c.edge(c.inside), _skin(t, c, mouth, eyes, brow, relief), *_slopes(relief.depth, c.px), relief.depth, oil)
    _ears(t, c, near_side=True)
    _double_chin(t, c)
    _necklace(t, c)
    hanging = _smooth(c.ey, 0.2, 0.9)  # below the jaw there is no head to lie on
    hair_depth = relief.depth + 0.6 * t.hair_volume + hanging * (0.45 - relief.depth)
    c.layer(hair.before, hair.rgb, hair.slope_x, hair.slope_y, hair_depth)
    _earrings(t, c)
    _hat(t, c)
    glare = _glasses(t, c)
    return (_shade(t, c, scene) + glare[:, None]) * t.exposure[:, None]


# -- camera -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _srgb_table():
    """sRGB of 4097 linear values from 0 to 1, with a slight shoulder so that highlights do not clip at once."""
    x = np.arange(4097) / 4096.0
    x = 1.10 * x / (1 + 0.10 * x)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


def _develop(linear, t, shot):
    """Lens blur in linear light, sRGB, sensor noise, uint8."""
    size = linear.shape[-1]
    tile, offset = _bank()["white"], shot.uniform("grain", 0, 1 << 40).astype(np.int64)
    number = np.arange(size)
    for i, image in enumerate(linear):
        sigma = float(t.blur[i, 0, 0]) * size
        if sigma > 0.25:
            linear[i] = gaussian_filter(image, (0, sigma, sigma), truncate=3.0, mode="nearest")
    srgb = _srgb_table()[np.clip(linear * 4096, 0, 4096).astype(np.int32)]
    for i in range(len(linear)):
        for k in range(3):
            rows, columns = number + (offset[i] >> (9 * k)), number + (offset[i] >> (9 * k + 5))
            srgb[i, k] += t.noise[i, 0, 0] * tile[np.ix_(rows & 511, columns & 511)]
    return np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)


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
        images[part] = _develop(_paint(columns, size), columns, shot)
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
    "skin_tone": (0, 6), "chin": (1.3, 1.75), "jaw_power": (1.8, 3.8), "eye_x": (0.38, 0.54), "eye_open": (0.04, 0.15),
    "eye_tilt": (-0.1, 0.25), "brow_y": (-0.45, -0.2), "nose_width": (0.5, 1.7), "nose_length": (0.5, 0.85),
    "mouth_width": (0.25, 0.5), "wrinkle": (0, 1), "hair_volume": (0, 0.4),
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
