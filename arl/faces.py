"""Invented people: a small, vectorised portrait renderer that labels its own pictures.

Every number of a picture is a hash of (seed, domain, person, photograph, name of the number), so any slice of a
data set can be made anywhere and is the same slice. A picture is made in six steps, one section each below:

    streams -> person -> photograph -> attributes -> traits (attributes turned into geometry, colour, light)
    -> geometry and shading (a head of elliptic sections plus a height field, seen from any yaw and pitch) -> compositing

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
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from arl.config import ATTRIBUTES

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

# Percent positive in CelebA, percent among its men (the rest of the rate falls to the women), the share of the
# variation that belongs to the photograph rather than the person, and loadings on four common factors, which carry
# CelebA's correlations: age, glamour (make-up, jewellery), cheer (a laughing face) and weight.
RATES = {
    "Male": (41.68, None, 0.0, {}),
    "Young": (77.36, 64.0, 0.0, {"age": -0.85, "weight": -0.1}),
    "Bald": (2.24, 5.37, 0.0, {"age": 0.45}),
    "Wearing_Hat": (4.85, 8.4, 0.7, {}),
    "Receding_Hairline": (7.98, 12.1, 0.0, {"age": 0.4}),
    "Bangs": (15.16, 8.1, 0.25, {"age": -0.2}),
    "Gray_Hair": (4.19, 8.5, 0.0, {"age": 0.75}),
    "Wavy_Hair": (31.96, 14.0, 0.15, {"glamour": 0.3}),
    "Straight_Hair": (20.84, 24.0, 0.15, {}),
    "Smiling": (48.21, 40.0, 0.85, {"cheer": 0.9}),
    "High_Cheekbones": (45.50, 30.5, 0.7, {"cheer": 0.8, "weight": -0.1}),
    "Mouth_Slightly_Open": (48.34, 43.0, 0.95, {"cheer": 0.65}),
    "Heavy_Makeup": (38.69, 0.3, 0.35, {"glamour": 0.85, "age": -0.15}),
    "Wearing_Lipstick": (47.24, 0.7, 0.35, {"glamour": 0.85}),
    "Pale_Skin": (4.29, 2.2, 0.0, {}),
    "Rosy_Cheeks": (6.57, 0.3, 0.3, {"glamour": 0.4, "cheer": 0.35}),
    "Arched_Eyebrows": (26.70, 5.0, 0.05, {"glamour": 0.4}),
    "Bushy_Eyebrows": (14.22, 25.0, 0.0, {"glamour": -0.1}),
    "Wearing_Earrings": (18.89, 1.6, 0.5, {"glamour": 0.3}),
    "Wearing_Necktie": (7.27, 17.3, 0.5, {"age": 0.35}),
    "Wearing_Necklace": (12.30, 1.2, 0.6, {"glamour": 0.25}),
    "Eyeglasses": (6.51, 12.5, 0.25, {"age": 0.35}),
    "Bags_Under_Eyes": (20.46, 34.0, 0.1, {"age": 0.35, "weight": 0.1}),
    "Narrow_Eyes": (11.51, 12.3, 0.3, {"cheer": 0.2}),
    "Big_Nose": (23.45, 42.0, 0.0, {"age": 0.25, "weight": 0.35}),
    "Pointy_Nose": (27.74, 16.3, 0.0, {"glamour": 0.25, "weight": -0.25}),
    "Big_Lips": (24.08, 18.5, 0.0, {"glamour": 0.1}),
    "Chubby": (5.76, 12.0, 0.0, {"age": 0.2, "weight": 0.85}),
    "Double_Chin": (4.67, 9.9, 0.0, {"age": 0.3, "weight": 0.8}),
    "Oval_Face": (28.41, 20.5, 0.0, {"glamour": 0.15, "cheer": 0.15, "weight": -0.2}),
    "Blurry": (5.09, 4.8, 1.0, {}),
}
FACTOR_PHOTO = {"age": 0.0, "glamour": 0.25, "cheer": 0.8, "weight": 0.0}  # what of a factor is the photograph's

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

    factors = {name: mixed("factor " + name, share) for name, share in FACTOR_PHOTO.items()}
    z = {}
    for name, (_, _, share, loadings) in RATES.items():
        own = np.sqrt(1 - sum(v * v for v in loadings.values()))
        z[name] = own * mixed(name, share) + sum(v * factors[f] for f, v in loadings.items())
    return z


def _decide(z, person, limits=None):
    """Attributes as a dict of bool arrays; `limits[name, male]` are thresholds, found from `z` itself if None."""
    found = {}
    a = {}
    for name, (rate, men, _, _) in RATES.items():
        allowed = np.ones(z[name].shape, bool)
        for other in EXCLUDED.get(name, ()):
            allowed &= ~a[other]
        a[name] = np.zeros(z[name].shape, bool)
        for male in (False, True):
            group = a["Male"] == male if name != "Male" else np.full(allowed.shape, male)
            if name == "Male":
                share = rate / 100
            else:
                share = (men if male else (rate - 0.4168 * men) / 0.5832) / 100
            if limits is None and group.any():
                wanted = share * group.sum() / max((group & allowed).sum(), 1)
                found[name, male] = float(np.quantile(z[name][group & allowed], 1 - min(wanted, 1)))
            limit = found if limits is None else limits
            if group.any():
                a[name] |= group & allowed & (z[name] > limit[name, male])
    male = a["Male"]

    # Hair colour: fairer hair on fairer skin; the places of Gray_Hair and Bald are taken evenly from all colours.
    place = _cdf(-0.8 * z["melanin"] + 0.6 * person.normal("hair colour"))
    taken = a["Gray_Hair"] | a["Bald"]
    for sex, shares in enumerate(zip(*HAIR_COLOURS.values(), strict=True)):
        sex = male if sex == 0 else ~male
        edges = np.cumsum([0, *shares]) / sum(shares)
        for i, name in enumerate(HAIR_COLOURS):
            a.setdefault(name, np.zeros(male.shape, bool))
            a[name] |= sex & ~taken & (place >= edges[i]) & (place <= edges[i + 1])

    draw = person.uniform("beard") * sum(share for share, _ in BEARDS)
    for name in ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns", "beard"):
        a[name] = np.zeros(male.shape, bool)
    low = 0.0
    for share, names in BEARDS:
        for name in names:
            a[name] |= male & (draw >= low) & (draw < low + share)
        low += share
    a["Sideburns"] &= ~a["Bald"]
    a["No_Beard"] = ~(a["Goatee"] | a["Mustache"] | a["beard"])
    score = _attractive(a, z["harmony"])
    if limits is None:
        found["Attractive", False] = float(np.quantile(score, 1 - 0.5125))
    a["Attractive"] = score > (found if limits is None else limits)["Attractive", False]
    return (a, found) if limits is None else a


def _cdf(x):
    from scipy.special import ndtr

    return ndtr(x)


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
    """Set attributes by hand and clear what contradicts them; returns the harmony that makes the rule agree."""
    for name, value in force.items():
        if name not in INDEX:
            raise ValueError(f"force: unknown attribute {name!r}; accepted are the names of arl.config.ATTRIBUTES")
        a[name] = np.broadcast_to(np.asarray(value, bool), a["Male"].shape).copy()
    for name, value in force.items():
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
    limit = _limits()["Attractive", False]
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
SKIN = np.array([(246, 224, 214), (232, 196, 172), (224, 178, 148), (200, 144, 108), (160, 104, 74), (112, 70, 48),
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
    `force` sets attributes, `traits` overrides numbers, e.g. `force={"Eyeglasses": True}, traits={"yaw": 0.3}`.
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain: found {domain!r}, accepted are {', '.join(DOMAINS)}")
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    person, photo = _streams(seed, domain, people, photos)
    z = _extra_latents(_latents(person, photo), person)
    a = _decide(z, person, _limits())
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
    t["skull_width"] = 1.0 + body("skull", 0.035) + 0.07 * chubby + 0.02 * male - 0.05 * oval
    t["skull_top"] = 1.54 + body("skull top", 0.05)
    t["skull_depth"] = 1.08 + body("skull depth", 0.05)
    t["chin"] = 1.50 + 0.09 * male + body("chin", 0.05) + 0.09 * oval - 0.02 * chubby + 0.05 * f["Mouth_Slightly_Open"]
    t["jaw_power"] = 2.55 + 0.35 * male + body("jaw", 0.3) - 0.45 * oval + 0.5 * chubby
    t["jaw_round"] = 0.66 - 0.04 * male + body("jaw round", 0.045) + 0.06 * oval - 0.14 * chubby
    t["asymmetry"] = body("asymmetry", 0.012) * np.exp(-0.35 * z["harmony"])
    t["lopsided"] = body("lopsided", 0.014) * np.exp(-0.35 * z["harmony"])

    # eyes and brows
    t["eye_x"] = 0.455 + body("eye distance", 0.022)
    t["eye_width"] = 0.215 + body("eye width", 0.013)
    narrow, smile = f["Narrow_Eyes"], f["Smiling"]
    squint = np.clip(shot("squint", 0.12), -0.1, 0.25)
    t["eye_open"] = (0.105 + body("eye open", 0.009)) * (1 - 0.10 * smile * (1 - narrow) - squint * 0.4) * (1 - 0.50 * narrow)
    t["eye_tilt"] = 0.06 + body("eye tilt", 0.05)
    t["lid"] = 0.075 + body("lid", 0.025) - 0.03 * old
    t["iris_tone"] = np.clip(1.6 - 1.5 * z["melanin"] + body("iris", 1.1), 0, 5)
    t["gaze_x"], t["gaze_y"] = shot("gaze x", 0.018), shot("gaze y", 0.01)
    bushy, arched = f["Bushy_Eyebrows"], f["Arched_Eyebrows"]
    t["brow_y"] = -0.31 + body("brow y", 0.025) + 0.03 * male - 0.035 * arched
    t["brow_thick"] = 0.047 + body("brow thick", 0.006) + 0.012 * male + 0.042 * bushy
    t["brow_dark"] = 0.74 + body("brow dark", 0.06) + 0.2 * bushy
    t["brow_arch"] = 0.035 + body("brow arch", 0.014) + 0.11 * arched
    t["brow_tilt"] = body("brow tilt", 0.035) + shot("brow tilt", 0.01)
    t["brow_ridge"] = 0.035 + 0.05 * male + body("brow ridge", 0.012)
    t["bags"] = 0.08 + 0.1 * old + 0.8 * f["Bags_Under_Eyes"]

    # nose
    big, pointy = f["Big_Nose"], f["Pointy_Nose"]
    t["nose_length"] = 0.64 + 0.03 * male + body("nose length", 0.035) + 0.06 * big + 0.03 * pointy
    t["nose_width"] = 1.0 + body("nose width", 0.07) + 0.34 * big - 0.24 * pointy + 0.04 * male
    t["nose_height"] = 0.27 + body("nose height", 0.025) + 0.06 * big + 0.05 * pointy
    t["bridge"] = 0.42 + body("bridge", 0.12)
    t["nostril"] = 1.0 + body("nostril", 0.15) + 0.25 * big - 0.2 * pointy

    # mouth
    lips, open_ = f["Big_Lips"], f["Mouth_Slightly_Open"]
    t["mouth_y"] = 0.98 + 0.03 * male + body("mouth y", 0.03) + 0.02 * big
    t["mouth_width"] = 0.345 + body("mouth width", 0.025) + smile * (0.085 + shot("smile width", 0.012))
    t["lip_upper"] = (0.062 + body("lip upper", 0.012) + 0.055 * lips) * (1 - 0.2 * smile) * (1 - 0.15 * old)
    t["lip_lower"] = (0.085 + body("lip lower", 0.012) + 0.06 * lips) * (1 - 0.12 * smile) * (1 - 0.15 * old)
    t["cupid"] = 0.35 + body("cupid", 0.15)
    t["smile"] = smile * (0.85 + shot("smile", 0.12)) + (1 - smile) * np.clip(shot("mouth", 0.08), -0.15, 0.12)
    t["mouth_open"] = open_ * (0.085 + 0.05 * photo.uniform("open")) * (1 + 0.15 * smile)
    t["philtrum"] = 0.03 + body("philtrum", 0.008)

    # cheeks, chin, age
    t["cheekbone"] = 0.03 + body("cheekbone", 0.012) + 0.13 * f["High_Cheekbones"]
    t["cheek_fat"] = 0.02 + body("cheek fat", 0.015) + 0.12 * chubby
    t["chin_bump"] = 0.07 + body("chin bump", 0.02) + 0.02 * male
    t["cleft"] = np.maximum(body("cleft", 0.02) - 0.015, 0)
    t["double_chin"] = f["Double_Chin"]
    t["wrinkle"] = np.where(young > 0, 0.02, 0.45 + 0.5 * old + body("wrinkle", 0.06))
    t["fold"] = 0.12 + 0.5 * smile + 0.5 * old + 0.15 * chubby
    t["ear_size"] = 1.0 + body("ear size", 0.08) + 0.1 * old
    t["ear_out"] = 0.06 + body("ear out", 0.025)

    # skin
    tone = 1.35 + 4.65 * _cdf(z["melanin"] * 0.9 + (0.35 if shifted else -0.35))
    t["skin_tone"] = np.where(f["Pale_Skin"] > 0, 0.0, tone)
    t["ruddy"] = 0.5 + body("ruddy", 0.25)
    t["mottle"] = np.clip(0.5 - 0.18 * z["harmony"], 0.12, 1.0) * (1 - 0.5 * f["Heavy_Makeup"]) * (1 + 0.7 * old)
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
    t["hairline"] = -1.02 + body("hairline", 0.06) - 0.12 * t["receding"] - 0.03 * male
    t["peak"] = body("peak", 0.06)
    t["part"] = body("part", 0.35)
    t["goatee"], t["mustache"], t["beard"] = f["Goatee"], f["Mustache"], f["beard"]
    t["stubble"], t["sideburns"] = f["5_o_Clock_Shadow"], f["Sideburns"]
    hair = np.zeros((n, 3))
    for name, rgb in HAIR.items():
        hair += f[name][:, None] * _linear(np.array(rgb) / 255.0)
    none = hair.sum(1) == 0
    hair[none] = np.where((t["age"][none] > 45)[:, None], _linear(np.array([0.5] * 3)), _linear(np.array([0.2, 0.15, 0.13])))
    hair *= np.exp(body("hair tone", 0.12) + shot("hair tone", 0.04))[:, None]
    t["hair_rgb"] = hair * np.exp(np.stack([body("hair red", 0.05), np.zeros(n), -body("hair red", 0.08)], 1))
    dark = _ramp([(30, 22, 18), (90, 62, 42)], np.clip(t["hair_rgb"].mean(1) * 3, 0, 1))
    t["brow_rgb"] = dark * (1 - 0.0 * old)[:, None]
    t["beard_rgb"] = np.where(f["Gray_Hair"][:, None] > 0, t["hair_rgb"] * 0.75, np.minimum(t["hair_rgb"], 0.12) * 0.7 + 0.008)
    skin = _ramp(SKIN, t["skin_tone"])
    t["skin_rgb"] = skin * np.exp(np.stack([body("skin red", 0.03), np.zeros(n), body("skin blue", 0.05)], 1))
    t["iris_rgb"] = _ramp(IRIS, t["iris_tone"])
    lip = np.stack([skin[:, 0] * 0.86, skin[:, 1] * 0.62, skin[:, 2] * 0.66], 1)
    stick = _ramp([(150, 20, 34), (196, 22, 48), (214, 44, 92), (170, 40, 70)], 3 * t["lipstick_hue"])
    t["lip_rgb"] = np.where(t["lipstick"][:, None] > 0, stick, lip)
    t["lid_rgb"] = _ramp([(40, 34, 44), (70, 50, 70), (90, 58, 44), (50, 62, 84)], 3 * t["shadow_hue"])

    # clothes and things worn
    t["necktie"], t["necklace"], t["earrings"] = f["Wearing_Necktie"], f["Wearing_Necklace"], f["Wearing_Earrings"]
    t["glasses"] = f["Eyeglasses"]
    t["rim"] = np.clip(0.05 + body("rim", 0.012), 0.034, 0.075)
    t["lens_w"], t["lens_h"] = 0.33 + body("lens w", 0.02), 0.22 + body("lens h", 0.03)
    t["lens_round"] = 2.5 + person.uniform("lens round", 0, 3) + np.zeros(n)
    t["rim_rgb"] = _ramp([(16, 14, 14), (40, 26, 20), (70, 38, 20), (60, 56, 54)], 3 * person.uniform("rim rgb") + np.zeros(n))
    cloth = np.stack([photo.uniform(f"cloth {c}") + np.zeros(n) for c in "rgb"], 1)
    cloth = 0.5 * cloth + 0.5 * cloth.mean(1, keepdims=True)
    suit = _linear(np.array([0.16, 0.17, 0.2])) * (0.4 + 1.2 * cloth)
    t["cloth_rgb"] = np.where(t["necktie"][:, None] > 0, suit, _linear(0.06 + 0.8 * cloth))
    t["tie_rgb"] = _ramp([(120, 16, 24), (24, 40, 110), (90, 20, 90), (20, 20, 24), (150, 110, 20)],
                         4 * photo.uniform("tie") + np.zeros(n))  # fmt: skip
    t["metal_rgb"] = _ramp([(232, 190, 90), (225, 225, 230)], photo.uniform("metal") + np.zeros(n))
    t["hat_kind"] = np.floor(3 * photo.uniform("hat kind") + np.zeros(n))
    t["hat_rgb"] = _linear(0.08 + 0.7 * np.stack([photo.uniform(f"hat {c}") + np.zeros(n) for c in "rgb"], 1))
    t["neckline"] = 2.0 + 0.25 * photo.uniform("neckline") + np.zeros(n)

    # pose, camera, light
    t["yaw"] = shot("yaw", 0.17)
    t["pitch"] = shot("pitch", 0.07)
    t["roll"] = shot("roll", 0.045)
    t["zoom"] = np.exp(shot("zoom", 0.035))
    t["centre_x"], t["centre_y"] = 0.5 + shot("cx", 0.01), 0.45 + shot("cy", 0.012)
    az = shot("light azimuth", 0.5)
    el = 0.5 + np.clip(shot("light height", 0.25), -0.4, 0.5)
    t["light_x"], t["light_y"] = np.sin(az) * np.cos(el), -np.sin(el)
    t["light_z"] = np.cos(az) * np.cos(el)
    hard = photo.uniform("hard") + np.zeros(n)
    if shifted:
        hard = 0.4 + 0.6 * hard
    t["hard"] = hard
    t["key"] = 0.55 + 0.5 * hard
    warm = shot("warm", 0.07) + (-0.06 if shifted else 0.02)
    t["key_rgb"] = np.exp(np.stack([warm, np.zeros(n), -1.3 * warm], 1))
    t["ambient_rgb"] = (0.52 - 0.26 * hard)[:, None] * np.exp(np.stack([-0.5 * warm, np.zeros(n), 0.6 * warm + 0.03], 1))
    t["exposure"] = np.exp(shot("exposure", 0.1) + (-0.12 if shifted else 0.0)) * (1.06 - 0.3 * t["skin_rgb"].mean(1))
    t["blur"] = np.where(f["Blurry"] > 0, 0.021 + 0.004 * photo.uniform("blur"), 0.0045 * photo.uniform("blur"))
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


def _bump(x, y, cx, cy, rx, ry):
    """A Gaussian-like hill of height 1 and compact support: about exp(-(r/rx)^2) at a fifth of its cost."""
    u, v = (x - cx) * (0.5 / rx), (y - cy) * (0.5 / ry)
    s = np.maximum(1 - (u * u + v * v), 0)
    s = s * s
    return s * s


@lru_cache(maxsize=1)
def _bank():
    """Periodic noise tiles (512, 512), float32, standard deviation 1: white, fine, cloudy, and strands."""
    rng = np.random.Generator(np.random.Philox(20200207))
    white = rng.standard_normal((512, 512))

    def tile(sy, sx):
        image = gaussian_filter(white, (sy, sx), mode="wrap")
        return (image / image.std()).astype(np.float32)

    return {"white": white.astype(np.float32), "fine": tile(2, 2), "cloud": tile(14, 14), "strand": tile(1.2, 24)}


def _noise(name, u, v):
    """Noise at (u, v) in tile widths."""
    tile = _bank()[name]
    iu = (u * 512).astype(np.int32) & 511
    iv = (v * 512).astype(np.int32) & 511
    return tile.ravel()[iu * 512 + iv]


def _sections(t):
    """Tables (B, ROWS, 6) over height of the head's sections, an ellipse of half-axes w across and d deep each."""
    y = np.linspace(-2.4, 2.6, ROWS, dtype=np.float32)[None]
    top, chin, width, depth = (t[k][:, :, 0] for k in ("skull_top", "chin", "skull_width", "skull_depth"))
    widest = -0.25
    up = np.clip((widest - y) / (widest + top), 0, 1)
    down = np.clip((y - widest) / (chin - widest), 0, 1)
    w = width * np.where(y < widest, np.sqrt(1 - up**2.7), (1 - down ** t["jaw_power"][:, :, 0]) ** t["jaw_round"][:, :, 0])
    w = w * (1 - 0.035 * np.exp(-(((y + 0.35) / 0.2) ** 2)))
    d = depth * np.where(y < widest, np.sqrt(1 - up**3.0), (1 - down**9) ** 0.5 * (1 + 0.06 * down))
    c, s = np.cos(t["yaw"][:, :, 0]), np.sin(t["yaw"][:, :, 0])
    a = np.sqrt((w * c) ** 2 + (d * s) ** 2) + 1e-4
    cp, sp = w * c / a, d * s / a
    slope = np.gradient(a, y[0, 1] - y[0, 0], axis=1)
    return np.stack([a, w * cp, w * sp, d * cp, d * sp, np.sqrt(1 + slope**2), w], -1).astype(np.float32)


def _lookup(table, y):
    """Rows of `_sections` at heights y (B, H, W), linearly interpolated: (7, B, H, W)."""
    batch = table.shape[0]
    position = np.clip((y + 2.4) * (ROWS / 5.0), 0, ROWS - 2)
    i = position.astype(np.int32)
    f = (position - i)[..., None]
    flat = table.reshape(-1, table.shape[-1])
    i += (np.arange(batch, dtype=np.int32) * ROWS)[:, None, None]
    rows = flat[i]
    rows += f * (flat[i + 1] - rows)
    return np.ascontiguousarray(np.moveaxis(rows, -1, 0))


def _nose(x, y, t):
    """Height of the nose above the face."""
    length, width = t["nose_length"], t["nose_width"]
    along = np.clip((y + 0.16) / (length + 0.16), 0, 1.2)
    bridge = along * (t["bridge"] + (1 - t["bridge"]) * along) * (1 - _smooth(y, length - 0.06, length + 0.09))
    r = x / (0.10 + 0.10 * width * along * along)
    r = np.maximum(1 - 0.25 * r * r, 0)
    r = r * r
    ax = np.abs(x)
    wings = 0.38 * _bump(ax, y, 0.175 * width, length - 0.07, 0.085 * width, 0.10)
    tip = 0.22 * _bump(x, y, 0, length - 0.10, 0.12 * width, 0.13)
    return t["nose_height"] * (0.85 * bridge * r * r + wings + tip)


def _paint(t, size):
    """Linear pictures (B, 3, size, size) float32 of traits `t`, each (B, 1, 1) or (B, 3, 1, 1) float32."""
    px = UNITS / (size * t["zoom"])  # one pixel in head units
    grid = np.arange(size, dtype=np.float32) + 0.5
    sx = (grid[None, None, :] - t["centre_x"] * size) * px
    sy = (grid[None, :, None] - t["centre_y"] * size) * px
    c, s = np.cos(t["roll"]), np.sin(t["roll"])
    hx, hy = c * sx + s * sy, c * sy - s * sx  # the picture turned upright
    batch = hx.shape[0]
    cy, s_yaw = np.cos(t["yaw"]), np.sin(t["yaw"])
    cp, s_pitch = np.cos(t["pitch"]), np.sin(t["pitch"])

    def edge(sd, soft=0.0):  # coverage from a signed distance: analytic anti-aliasing over one pixel
        return np.clip(0.5 + sd / (px + soft), 0, 1)

    # Yaw turns about the ear axis, pitch shears by the depth of a smooth head; both keep the pupils in place.
    ex = hx + s_yaw * 1.0
    depth0 = -0.42 * ex * ex - 0.30 * (hy - 0.2) ** 2 + 0.012
    y0 = (hy - s_pitch * depth0) / cp
    table = _sections(t)

    def surface(x_view, y_head):
        a, wc, ws, dc, ds, stretch, w = _lookup(table, y_head)
        sine = np.clip(x_view / a, -0.999, 0.999)
        cosine = np.sqrt(1 - sine * sine)
        return a, stretch, w, sine * wc - cosine * ws, cosine * dc + sine * ds

    a, stretch, w, x, z = surface(ex, y0)
    inside = np.minimum((a - np.abs(ex)) / stretch, np.minimum(t["chin"] - y0, y0 + t["skull_top"]))
    rise = _nose(x, y0, t)
    ex2, y = ex - rise * s_yaw, y0 - rise * s_pitch
    a2, stretch2, w2, x, z = surface(ex2, y)
    x = x * (1 + t["asymmetry"] * np.sign(x)) + t["lopsided"] * np.clip(y, 0, 2) * 0.5
    y = y + t["asymmetry"] * x * 0.8
    ax = np.abs(x)
    side = np.sign(x)

    # -- the face's relief: what stands out of the smooth head, in head units
    smile, old = t["smile"], t["wrinkle"]
    eye_x, eye_w, eye_h = t["eye_x"], t["eye_width"], t["eye_open"]
    mouth_y, mouth_w = t["mouth_y"] + 0.03 * t["mouth_open"], t["mouth_width"]
    socket = _bump(ax, y, eye_x - 0.03, -0.03, 0.30, 0.17)
    corner = _bump(ax, y, 0.2, -0.03, 0.11, 0.17)
    ball = _bump(ax, y, eye_x, 0.0, 0.18, 0.13)
    apple = _bump(ax, y, 0.55, 0.36 - 0.03 * smile, 0.26, 0.20)
    hollow = _bump(ax, y, 0.66, 0.80, 0.20, 0.24)
    fold_x = 0.24 + 0.34 * np.clip((y - 0.55) / 0.6, 0, 1.2) + 0.05 * smile
    fold = np.exp(-(((ax - fold_x) / 0.045) ** 2)) * _smooth(y, 0.5, 0.65) * (1 - _smooth(y, 1.0, 1.2))
    bag = _bump(ax, y, eye_x - 0.02, 0.20, 0.19, 0.055)
    chin_pit = _bump(x, y, 0, mouth_y + 0.24, 0.26, 0.07)
    rise = (
        _nose(x, y, t)
        + t["brow_ridge"] * _bump(ax, y, 0.40, -0.27, 0.40, 0.12)
        - 0.13 * socket - 0.07 * corner + 0.055 * ball
        + (t["cheekbone"] + 0.05 * np.maximum(smile, 0)) * apple
        - (0.02 + 0.45 * t["cheekbone"]) * hollow
        + t["cheek_fat"] * _bump(ax, y, 0.58, 0.72, 0.32, 0.36)
        + 0.07 * _bump(x, y, 0, mouth_y, 0.42, 0.34)
        + t["chin_bump"] * _bump(x, y, 0, t["chin"] - 0.2, 0.26, 0.18)
        - t["cleft"] * _bump(x, y, 0, t["chin"] - 0.16, 0.04, 0.1)
        - 0.05 * chin_pit - 0.035 * t["fold"] * fold
        - t["philtrum"] * 0.6 * _bump(x, y, 0, t["nose_length"] + 0.15, 0.04, 0.1)
        + 0.03 * t["bags"] * bag
    )  # fmt: skip

    # -- mouth
    arc = (x / mouth_w) ** 2
    middle = mouth_y - (0.075 * smile + 0.02) * (arc - 0.35) + 0.01 * (1 - arc)
    inner = np.clip(1 - arc, 0, 1)
    bow = np.sqrt(inner)
    gap_up = middle - t["mouth_open"] * 0.35 * inner
    gap_down = middle + t["mouth_open"] * 0.65 * inner
    cupid = 1 - t["cupid"] * _bump(x, 0, 0, 0, 0.055, 1)
    lip_top = gap_up - t["lip_upper"] * bow * cupid
    lip_bottom = gap_down + t["lip_lower"] * (0.4 * bow + 0.6 * inner)
    in_width = edge((mouth_w - ax) * 0.6, 0.02)
    lips = edge(np.minimum(y - lip_top, lip_bottom - y), 0.012) * in_width
    gap = edge(np.minimum(y - gap_up, gap_down - y), 0.004) * in_width * np.minimum(t["mouth_open"] * 40, 1)
    upper_lip = _bump(y, 0, (lip_top + gap_up) * 0.5, 0, t["lip_upper"] * 0.6 + 0.01, 1)
    lower_lip = _bump(y, 0, (lip_bottom + gap_down) * 0.5, 0, t["lip_lower"] * 0.55 + 0.01, 1)
    rise = rise + lips * (0.035 * upper_lip + 0.055 * lower_lip) - 0.05 * gap
    line = np.exp(-(((y - middle) / (0.018 + 0.3 * px)) ** 2)) * in_width * (1 - gap)

    # -- eyes
    qx = (ax - eye_x) / eye_w
    qy = y + t["eye_tilt"] * (ax - eye_x) + 0.01
    lid_shape = np.clip(1 - qx * qx, 0, 1)
    lid_up = -eye_h * np.sqrt(lid_shape) * (1.0 - 0.12 * qx)
    lid_low = 0.62 * eye_h * lid_shape * (1 + 0.15 * qx)
    low_edge = lid_low - (0.02 * np.maximum(smile, 0))
    eye = edge(np.minimum(qy - lid_up, low_edge - qy)) * (qx * qx < 1)
    gx = ax - eye_x + 0.01 - side * t["gaze_x"]
    gy = qy + 0.012 - t["gaze_y"]
    iris_r = 0.088
    radius = np.sqrt(gx * gx + gy * gy)
    iris = edge(iris_r - radius)
    pupil = edge(0.036 - radius)
    lash = np.exp(-(((qy - lid_up + 0.006) / (0.020 + 0.012 * t["makeup"] + 0.25 * px)) ** 2)) * (np.abs(qx) < 1.12)
    lash_low = np.exp(-(((qy - low_edge) / (0.014 + 0.25 * px)) ** 2)) * (np.abs(qx) < 1.05)
    crease = np.exp(-(((qy - lid_up + t["lid"]) / (0.022 + 0.3 * px)) ** 2)) * np.clip(1.2 - qx * qx, 0, 1)

    # -- brows
    bx = (ax - 0.43) / 0.29
    brow_mid = t["brow_y"] - t["brow_arch"] * (1 - ((bx - 0.25) / 1.1) ** 2) + t["brow_arch"] * 0.5 + t["brow_tilt"] * bx
    brow_half = t["brow_thick"] * np.clip(1.05 - 0.55 * np.clip(bx, -0.3, 2), 0.15, 1.2)
    brow = edge(brow_half - np.abs(y - brow_mid), 0.035) * (1 - _smooth(np.abs(bx), 0.85, 1.1))
    rise = rise + 0.01 * brow

    # -- normals by central differences of the depth towards the camera; light and shade see the same relief
    depth = z * cy - ex * 0.0 - x * s_yaw + rise
    skin_x, skin_y = _slopes(depth, px)

    # -- skin colour
    skin = np.broadcast_to(t["skin_rgb"], (batch, 3, size, size)).copy()
    cloud = _noise("cloud", x * 0.18 + t["hair_phase0"], y * 0.18 + t["hair_phase1"])
    fine = _noise("fine", x * 0.11 + t["hair_phase2"], y * 0.11 + t["hair_phase3"])
    red = t["ruddy"] * (apple + 0.7 * _bump(x, y, 0, t["nose_length"] - 0.1, 0.2, 0.16)) + 0.25 * t["mottle"] * cloud
    red = red + 0.6 * t["bags"] * 0.15 * bag
    skin[:, 1] *= 1 - np.clip(0.13 * red, -0.2, 0.5)
    skin[:, 2] *= 1 - np.clip(0.12 * red, -0.2, 0.5)
    skin *= (1 + 0.08 * t["mottle"] * fine + 0.03 * t["mottle"] * cloud)[:, None]

    def tint(image, alpha, rgb):
        image += alpha[:, None] * (rgb - image)

    def darken(image, amount, rgb=(1.0, 1.0, 1.0)):
        for k in range(3):
            image[:, k] *= 1 - np.clip(amount * rgb[k], 0, 0.97)

    rosy = t["rosy"] * _bump(ax, y, 0.60, 0.42, 0.27, 0.22)
    darken(skin, 0.80 * rosy, (0.12, 0.75, 0.55))
    darken(skin, t["freckles"] * 0.5 * _smooth(fine, 0.6, 1.4) * (apple + _bump(x, y, 0, 0.3, 0.4, 0.3)), (0.5, 0.8, 1))
    for i in range(3):
        r = t[f"mole_r{i}"]
        mole = np.maximum(1 - ((x - t[f"mole_x{i}"]) ** 2 + (y - t[f"mole_y{i}"]) ** 2) / (r * r + 0.3 * px * px), 0)
        darken(skin, mole * np.minimum(r * r / (0.1 * px * px), 0.8), (0.6, 0.8, 0.9))
    # wrinkles: forehead lines, crow's feet, the fold beside the mouth
    rows = np.sin(y * 34 + 2.2 * cloud * 0.5) ** 8 * _smooth(-y, 0.5, 0.62) * (1 - _smooth(-y, 0.9, 1.0)) * _bump(x, 0, 0, 0, 0.5, 1)
    crow = np.sin((y + 0.02) * 60 / (0.5 + ax)) ** 6 * _bump(ax, y, 0.82, 0.02, 0.1, 0.16)
    darken(skin, old * (0.22 * rows + 0.3 * crow) + (0.10 * t["fold"] + 0.16 * old) * fold, (0.7, 0.9, 1))
    darken(skin, t["bags"] * (0.40 * _bump(ax, y, eye_x - 0.03, 0.17, 0.19, 0.05)
                             + 0.30 * np.exp(-(((y - 0.255 + 0.5 * (ax - eye_x) ** 2) / 0.025) ** 2)) * _bump(ax, 0, eye_x, 0, 0.18, 1)),
           (0.7, 0.9, 0.75))  # fmt: skip
    darken(skin, 0.25 * socket + 0.25 * corner, (0.75, 0.95, 1))
    # nostrils and the crease beside the wings
    nostril = _bump(ax, y, 0.095 * t["nose_width"], t["nose_length"] - 0.005, 0.055 * t["nostril"], 0.033)
    darken(skin, 1.1 * nostril, (0.8, 0.9, 0.95))
    wing = _bump(ax, y, 0.255 * t["nose_width"], t["nose_length"] - 0.08, 0.03, 0.10)
    darken(skin, 0.35 * wing + 0.22 * chin_pit + 0.18 * _bump(x, y, 0, lip_bottom + 0.05, 0.2, 0.035), (0.75, 0.95, 1))
    # make-up, beard, lips
    lid_paint = t["makeup"] * _bump(ax, qy, eye_x + 0.02, -0.12, 0.20, 0.085)
    tint(skin, np.clip(0.85 * lid_paint, 0, 1), t["lid_rgb"])
    darken(skin, 0.25 * t["makeup"] * _bump(ax, y, 0.68, 0.5, 0.2, 0.16), (0.2, 0.7, 0.5))
    stipple = _noise("white", x * 0.5 + t["hair_phase4"], y * 0.5) * np.minimum(size / 300.0, 1.0)
    skin_beard = _beard(t, x, y, ax, z, lip_top, lip_bottom, mouth_w, stipple)
    tint(skin, skin_beard, t["beard_rgb"])
    tint(skin, np.clip(brow * t["brow_dark"] * (1 + 0.25 * stipple), 0, 1), t["brow_rgb"])
    rim_of_lips = lips * (0.62 + 0.34 * t["lipstick"])
    tint(skin, rim_of_lips, t["lip_rgb"] * (1 + 0.08 * fine[:, None]))
    darken(skin, 0.7 * line, (0.8, 1, 1))
    # mouth cavity and teeth
    teeth = edge(np.minimum(y - gap_up - 0.006, gap_up + 0.09 - y), 0.01) * edge(mouth_w * 0.8 - ax, 0.06)
    inside_mouth = np.broadcast_to(np.array([0.045, 0.012, 0.012], np.float32)[:, None, None], skin.shape).copy()
    tint(inside_mouth, teeth * 0.92, np.array([0.72, 0.66, 0.58], np.float32)[:, None, None])
    tint(skin, gap, inside_mouth)
    # eyes
    white = np.array([0.52, 0.47, 0.45], np.float32)[:, None, None]
    ball_rgb = np.broadcast_to(white, skin.shape).copy()
    ball_rgb *= (0.35 + 0.65 * np.clip((qy - lid_up) / 0.09, 0, 1))[:, None]
    tint(ball_rgb, iris, t["iris_rgb"] * (0.75 + 1.4 * np.clip(gy + 0.03, 0, 0.09) / 0.09 - 0.7 * (radius > iris_r * 0.8))[:, None].clip(0.25, 2))
    tint(ball_rgb, pupil, np.float32(0.006))
    glint = edge(0.020 + 0.1 * px - np.sqrt((gx * side - 0.03 * np.sign(t["light_x"])) ** 2 + (gy + 0.035) ** 2))
    tint(ball_rgb, 0.9 * glint, np.float32(1.1))
    tint(skin, eye, ball_rgb)
    lash_dark = np.clip(0.78 + 0.15 * t["makeup"], 0, 0.95)
    tint(skin, np.clip(lash * lash_dark, 0, 1), t["brow_rgb"] * 0.35)
    darken(skin, (0.30 + 0.4 * t["makeup"]) * lash_low + 0.34 * crease * (1 - eye), (0.8, 0.95, 1))


    # -- the picture, back to front: colour, slopes for the light, depth for the shadows
    rgb = _scene(t, sx, sy, px)
    lit = np.zeros_like(hx)  # how much of a pixel is lit by the portrait's light: not the scene
    nx, ny = np.zeros_like(hx), np.zeros_like(hx)
    far = np.full_like(hx, -2.0)
    gloss = np.zeros_like(hx)

    def layer(alpha, colour, slope_x, slope_y, height, shine=0.0):
        nonlocal rgb, nx, ny, far, gloss, lit
        tint(rgb, alpha, colour)
        nx += alpha * (slope_x - nx)
        ny += alpha * (slope_y - ny)
        far += alpha * (height - far)
        gloss += alpha * (shine - gloss)
        lit = np.maximum(lit, alpha)

    hair = _hair(t, hx, ex, hy, y0, a, w, px, edge)
    layer(hair["back"], hair["rgb"] * 0.55, hair["slope_x"], hair["slope_y"], -0.6, 0.1)

    # neck and clothes; shoulders keep upright while the head rolls
    bx2 = sx * 0.5 + ex * 0.5
    male = _smooth(t["jaw_power"], 2.3, 3.1)
    neck_w = 0.60 + 0.08 * male + 0.1 * t["cheek_fat"] / 0.12
    flare = 0.30 * np.clip(hy - 1.75, 0, 1) ** 2
    neck = edge(neck_w + flare - np.abs(bx2)) * (hy > 0.6)
    across = np.clip(bx2 / (neck_w + 0.1), -0.97, 0.97)
    neck_x = -across / np.sqrt(1 - across * across) * 0.8
    layer(neck, t["skin_rgb"] * 0.92, neck_x, 0 * neck_x - 0.15, -0.35 - 0.3 * across**2)
    chest = t["neckline"] - 0.9 * t["necktie"] * 0.1
    drop = np.where(np.abs(bx2) < 0.75, chest - 0.55 * bx2 * bx2 * (1.6 - 0.0), chest - 0.31)
    slope_line = 1.78 + 0.33 * np.maximum(np.abs(bx2) - 0.62, 0) ** 1.0 + 0.25 * np.maximum(np.abs(bx2) - 1.3, 0) ** 2
    cloth = edge(np.minimum(hy * 0.3 + sy * 0.7 - slope_line, sy - drop), 0.02)
    weave = _noise("cloud", sx * 0.12 + t["phase0"], sy * 0.12 + t["phase1"])
    stripes = 1 + 0.35 * (t["phase6"] > 0.7) * np.sign(np.sin(sx * 22 + 6 * t["phase2"])) * (1 - t["necktie"])
    layer(cloth, t["cloth_rgb"] * ((1 + 0.12 * weave) * stripes)[:, None], -0.35 * bx2 + 0.1 * weave, -0.2 + 0 * bx2, -0.55)
    # collar, tie, necklace
    shirt = t["necktie"] * edge(0.46 - 0.42 * np.maximum(sy - 1.95, 0) - np.abs(bx2)) * edge(sy - 1.78 - 0.1 * np.abs(bx2))
    layer(shirt, np.array([0.80, 0.80, 0.84], np.float32)[:, None, None] * (1 - 0.2 * np.abs(bx2))[:, None], -0.3 * bx2, 0 * bx2 - 0.1, -0.45)
    knot = 0.10 + 0.05 * np.abs(sy - 2.05) / 0.2 + 0.02
    tie = t["necktie"] * edge(knot - np.abs(bx2)) * edge(sy - 1.86)
    pattern = 1 + 0.5 * np.sign(np.sin((sx + sy) * 26)) * (t["phase3"] > 0.5)
    layer(tie, t["tie_rgb"] * pattern[:, None], -2.0 * bx2, 0 * bx2, -0.4, 0.2)
    chain_y = 2.12 - 0.50 * (bx2 / 0.72) ** 2
    links = 0.75 + 0.25 * np.sin(bx2 * 60)
    chain = t["necklace"] * np.clip(edge(0.032 - np.abs(sy - chain_y)) * links, 0, 1) * (np.abs(bx2) < 0.80)
    pendant = t["necklace"] * edge(0.075 - np.sqrt(bx2 * bx2 + (sy - 2.17) ** 2))

    # ears: under the head on the far side, over it on the near side
    ear_top = -0.12
    covered = _smooth(t["hair_length"], 0.2, 0.5) * (1 - t["bald"])
    for sgn in (-1.0, 1.0):
        near = _smooth(-sgn * s_yaw, 0.10, 0.30) * (1 - covered)
        centre = sgn * (t["skull_width"] * cy * 0.985 + t["ear_out"] * 0.7 * (1 - near))
        ew = (0.115 + 0.30 * np.maximum(-sgn * s_yaw, 0)) * t["ear_size"]
        u, v = (ex - centre) / ew, (y0 - ear_top - 0.30) / (0.30 * t["ear_size"])
        r = np.sqrt(u * u + v * v * np.clip(1 + 0.25 * v, 0.5, 1.5)) + 1e-6
        ear = edge((1 - r) * ew)
        bowl = _bump(u, v, 0.1 * sgn, 0.05, 0.45, 0.5)
        colour = t["skin_rgb"] * np.array([1.0, 0.86, 0.84], np.float32)[:, None, None] * (1 - 0.55 * bowl)[:, None]
        if sgn < 0:
            ears = []
        ears.append((ear, colour, -0.6 * u + sgn * 0.3, -0.4 * v, near))
        layer(ear, colour, -0.6 * u + sgn * 0.3, -0.4 * v, -0.05)
    head = edge(inside)
    oil = 0.35 * (1 - 0.4 * lips) + 0.5 * lips + 2.2 * eye
    layer(head, skin, skin_x, skin_y, depth, oil)
    for ear, colour, u, v, near in ears:
        layer(ear * near, colour, u, v, 0.1)
    crease2 = t["double_chin"] * np.exp(-(((y0 - t["chin"] - 0.10 + 0.20 * (1 - np.sqrt(np.clip(1 - (ex / 0.8) ** 2, 0, 1)))) / 0.03) ** 2)) * (np.abs(ex) < 0.62)
    pouch = t["double_chin"] * edge(np.minimum(t["chin"] + 0.21 - 0.42 * ex * ex - y0, 0.62 - np.abs(ex)), 0.02) * (1 - head) * (y0 > 1.0)
    layer(pouch, t["skin_rgb"] * 0.95, -1.1 * ex, -1.6 * (y0 - t["chin"] - 0.02) / 0.2, 0.45)
    darken(rgb, 0.6 * crease2 * np.maximum(pouch, 0.0), (0.75, 0.95, 1))
    layer(chain, t["metal_rgb"], 0 * bx2, 0 * bx2 - 0.5, -0.3, 1.0)
    layer(pendant, t["metal_rgb"], -5 * bx2, -5 * (sy - 2.17), -0.3, 1.0)
    layer(hair["front"], hair["rgb"], hair["slope_x"], hair["slope_y"], depth + 0.6 * t["hair_volume"], 0.0)
    # earrings hang from the lobes, over whatever hair there is
    for sgn in (-1.0, 1.0):
        lobe = sgn * np.maximum(t["skull_width"] * cy + t["ear_out"] + 0.02, 0)
        v = y0 - 0.60
        stud = np.sqrt((ex - lobe) ** 2 + v * v)
        hoop = np.abs(np.sqrt((ex - lobe) ** 2 + (v - 0.13) ** 2) - 0.11)
        ring = np.where(t["metal_rgb"][:, 2] > 0.4, edge(np.maximum(0.06 - stud, 0.05 - np.sqrt((ex - lobe) ** 2 * 1.5 + (v - 0.17) ** 2 * 0.25))), edge(0.028 - hoop))
        layer(t["earrings"] * ring, t["metal_rgb"], 0 * v, -1.5 * v, 0.2, 1.2)
    _hat(t, layer, ex, y0, a, px, edge)

    # spectacles lie in a plane before the eyes
    gx2 = (hx - 0.12 * s_yaw) / cy
    gax = np.abs(gx2)
    lw, lh = t["lens_w"], t["lens_h"]
    p = t["lens_round"]
    lx, ly = np.abs(gax - 0.455) / lw, np.abs(y0 - s_pitch * 0.1 - 0.04) / lh
    q = (lx**p + ly**p + 1e-9) ** (1 / p)
    rim = edge(t["rim"] - np.abs(1 - q) * lh) + edge(t["rim"] * 0.9 - np.abs(y0 - 0.0 + 0.02)) * (gax < 0.455 - lw)
    rim = rim + edge(t["rim"] * 0.8 - np.abs(y0 + 0.04)) * (gax > 0.455 + lw) * (np.abs(ex) < a)
    rim = t["glasses"] * np.clip(rim, 0, 1)
    lens = t["glasses"] * edge((1 - q) * lh)
    darken(rgb, 0.10 * lens)
    glare = lens * np.clip(0.12 * _smooth(ly - 0.5 * lx + 0.3 * (y0 < 0.04), 0.4, 1.2), 0, 1)
    layer(rim, t["rim_rgb"], 0 * rim, 0 * rim, depth + 0.12, 0.6)

    out = _shade(t, rgb, lit, nx, ny, far, gloss, px, size)
    out += (glare * 0.8)[:, None]
    return out


def _slopes(depth, px):
    """Central differences of a depth map (B, H, W) along x and y, in head units per head unit."""
    dx, dy = np.empty_like(depth), np.empty_like(depth)
    dx[:, :, 1:-1] = depth[:, :, 2:] - depth[:, :, :-2]
    dx[:, :, 0], dx[:, :, -1] = dx[:, :, 1], dx[:, :, -2]
    dy[:, 1:-1] = depth[:, 2:] - depth[:, :-2]
    dy[:, 0], dy[:, -1] = dy[:, 1], dy[:, -2]
    scale = 0.5 / px
    return np.clip(dx * scale, -3, 3), np.clip(dy * scale, -3, 3)


def _beard(t, x, y, ax, z, lip_top, lip_bottom, mouth_w, stipple):
    """Coverage (B, H, W) of facial hair: stubble, moustache, goatee, sideburns and full beard, each its own region."""
    off_lips = 1 - _smooth(y, lip_top - 0.02, lip_top + 0.01) * (1 - _smooth(y, lip_bottom - 0.01, lip_bottom + 0.02)) * (
        ax < mouth_w
    )
    under_nose = _smooth(y, t["nose_length"] + 0.08, t["nose_length"] + 0.14)
    moustache = under_nose * (1 - _smooth(ax, mouth_w * 0.9, mouth_w * 1.2)) * (1 - _smooth(y, lip_top - 0.01, lip_top + 0.05))
    moustache_drop = _smooth(0.09 - np.abs(ax - mouth_w * 1.05), 0, 0.05) * _smooth(y, lip_top - 0.15, lip_top)
    chin = _smooth(y, lip_bottom + 0.05, lip_bottom + 0.11) * (1 - _smooth(ax, 0.26, 0.36))
    cheek_line = 0.98 - 0.60 * ax * ax + 0.30 * (1 - ax)
    jaw = _smooth(y - cheek_line + 0.22, 0, 0.16) * _smooth(y, 0.42, 0.6)
    shade = np.maximum(jaw, under_nose * (ax < mouth_w + 0.1))
    burns = _smooth(ax, 0.80, 0.86) * _smooth(y, -0.45, -0.35) * (1 - _smooth(y, 0.78, 0.92))
    grain = 1 + 0.35 * stipple
    cover = 0.34 * t["stubble"] * shade * (1 + 0.9 * stipple)
    cover = np.maximum(cover, 0.88 * t["beard"] * np.maximum(jaw, 0.75 * moustache) * grain)
    cover = np.maximum(cover, 0.90 * t["mustache"] * moustache * grain)
    cover = np.maximum(cover, 0.90 * t["goatee"] * np.maximum(chin, t["mustache"] * moustache_drop * (y < lip_bottom + 0.3)) * grain)
    cover = np.maximum(cover, 0.92 * t["sideburns"] * burns * grain)
    return np.clip(cover, 0, 0.96) * off_lips


def _scene(t, sx, sy, px):
    """A blurred place behind the person: a gradient, a few soft panels, and clouds of light (B, 3, H, W)."""
    blend = _smooth(sy * np.cos(6.3 * t["phase4"]) + sx * np.sin(6.3 * t["phase4"]), -2.2, 2.2)
    wide = 0.25 + 0.5 * t["phase5"]
    cloud = _noise("cloud", sx * 0.022 * (1 + t["phase3"]) + t["phase0"], sy * 0.022 * (1 + t["phase3"]) + t["phase1"])
    panel = _smooth(np.sin(sx * (1.0 + 2.5 * t["phase2"]) + 6.3 * t["phase6"]), -wide, wide)
    shelf = _smooth(np.sin(sy * (0.8 + 2.0 * t["phase7"]) + 6.3 * t["phase3"]), -wide, wide)
    busy = _smooth(t["scene"], 0.25, 0.6)
    f = np.clip((1 - 0.6 * busy) * blend + 0.6 * busy * (0.6 * panel + 0.4 * shelf) + 0.22 * cloud * (0.3 + busy), 0, 1)
    return t["scene_rgb"] * (1 - f)[:, None] + t["scene_rgb2"] * f[:, None]


def _hair(t, hx, ex, hy, y, a, w, px, edge):
    """Masks, colour and slopes of the hair behind and in front of the face."""
    volume, length, curly, wavy = t["hair_volume"], t["hair_length"], t["curly"], t["wavy"]
    has = 1 - t["bald"]
    widest = -0.25
    polar = np.arctan2(ex, 0.35 - np.minimum(y, 0.2))
    rough = _noise("cloud", polar * 0.12 + t["hair_phase0"], y * 0.12 + t["hair_phase1"])
    wave = wavy * np.sin(y * 7.5 + 1.5 * np.tanh(8 * (ex - 0.3 * t["part"])) + 2.0 * rough + 6 * t["hair_phase5"])
    outer_w = t["skull_width"] * np.sqrt(np.cos(t["yaw"]) ** 2 + (1.1 * np.sin(t["yaw"])) ** 2) + volume + 0.02
    outer_h = t["skull_top"] + widest + 1.15 * volume + 0.02
    u, v = ex / outer_w, np.minimum(y - widest, 0) / outer_h
    r = np.sqrt(np.abs(u) ** 2.4 + np.abs(v) ** 2.4 + 1e-9)
    below = np.clip(y - widest, 0, 3)
    long_hair = _smooth(length, 0.5, 1.3)
    sides = 1 + long_hair * (0.10 * wavy + 0.04) * _smooth(below, 0.2, 1.6) - (1 - long_hair) * 0.10 * below
    ragged = (0.03 + 0.05 * curly + 0.03 * wavy) * rough + 0.035 * wave * _smooth(y, -0.6, 0.6)
    outline = (sides - r) * outer_w + ragged
    tail = length + 0.12 * rough - y + 0.15 * (1 - u * u)
    sd = np.minimum(outline, tail * 0.8)
    silhouette = edge(sd, 0.015 + 0.03 * curly) * has
    strand_u = np.where(t["straight"] + wavy + long_hair > 0, r * (1 + 0.03 * wave / 1) * 0.9 + 0.03 * wave, polar * 0.45)
    strand_v = np.where(t["straight"] + wavy + long_hair > 0, polar * 0.08, r * 0.25)
    strands = _noise("strand", strand_u * 0.6 + t["hair_phase2"], strand_v + t["hair_phase3"])
    curls = _noise("fine", ex * 0.10 + t["hair_phase2"], y * 0.10)
    strands = strands * (1 - curly) + 1.1 * curls * curly
    # hairline: high in the middle, coming down at the temples; receding ones go back in two bays
    ax = np.abs(ex - 0.03 * np.sign(t["part"])) / np.maximum(a, 0.3)
    line = t["hairline"] + 0.46 * ax**4 + 0.55 * ax**10 + t["peak"] * _bump(ex, 0, 0, 0, 0.25, 1)
    line = line - t["receding"] * 0.36 * _bump(ax, 0, 0.58, 0, 0.34, 1)
    fringe = -0.44 + 0.10 * (ex - t["part"]) * np.sign(t["part"]) + 0.05 * strands - 0.1 * ax**2
    line = np.where(t["bangs"] > 0, np.maximum(line, fringe), line)
    line = line + 0.025 * strands + 0.02 * rough
    top = edge(line - y, 0.03)
    curtain = edge((ax - 0.90 + 0.03 * wave - 0.10 * long_hair * _smooth(y, -0.6, 0.4)) * a, 0.02) * _smooth(length - y, -0.05, 0.1)
    curtain = curtain * _smooth(y, -0.7, -0.4)
    front = np.maximum(top, curtain * _smooth(length, -0.3, 0.3)) * silhouette
    band = t["bald"] * _smooth(ax, 0.88, 0.95) * _smooth(y, -0.6, -0.4) * (1 - _smooth(y, 0.1, 0.25)) * (np.abs(ex) < a + 0.03)
    front = np.maximum(front, 0.6 * band)
    sheen = np.exp(-(((r - 0.80 - 0.03 * strands) / 0.10) ** 2)) * (0.25 + 0.9 * t["straight"]) * (1 - curly)
    ripple = wavy * 0.45 * np.sin(y * 7.5 + 1.5 * np.tanh(8 * (ex - 0.3 * t["part"])) + 2.0 * rough + 6 * t["hair_phase5"] + 9 * r)
    tone = np.exp(np.clip(0.20 * strands + ripple + 0.1 * rough, -1, 1)) * (1 + 0.9 * sheen)
    tone = tone * (1 - 0.35 * _smooth(r, 0.9, 1.05)) + 0
    lift = 0.012 * sheen
    rgb = t["hair_rgb"] * tone[:, None] + lift[:, None]
    nx = 1.1 * u / np.sqrt(np.clip(1.15 - r * r, 0.12, 2)) * -1
    ny = 1.0 * v / np.sqrt(np.clip(1.15 - r * r, 0.12, 2)) * -1
    return {"back": silhouette, "front": front, "rgb": rgb, "slope_x": nx + 0.25 * strands, "slope_y": ny + 0.1 * ripple}


def _hat(t, layer, ex, y, a, px, edge):
    """A knitted cap, a cap with a peak, or a hat with a brim, by `hat_kind` 0, 1, 2."""
    if not t["hat"].any():
        return
    kind = t["hat_kind"]
    wide = t["skull_width"] + 0.14 + 0.04 * (kind == 2)
    brim_y = -0.60 + 0.05 * (kind == 0) - 0.22 * (ex / wide) ** 2 * np.where(kind == 0, 0.4, -0.5)
    height = t["skull_top"] + 0.20 - 0.60 + 0.1 * (kind == 2)
    u = np.abs(ex) / wide
    v = np.maximum(-(y + 0.60), 0) / height
    power = np.where(kind == 2, 4.0, 2.4)
    r = (u**power + v**power + 1e-9) ** (1 / power)
    crown = np.minimum((1 - r) * wide, brim_y - y)
    knit = 1 + 0.18 * np.sin(ex * 26) * (kind == 0) - 0.25 * (np.abs(y - brim_y + 0.14) < 0.02) * (kind == 0)
    band = 1 - 0.6 * ((kind == 2) & (y > brim_y - 0.24))
    colour = t["hat_rgb"] * (knit * band)[:, None]
    layer(t["hat"] * edge(crown), colour, -1.4 * ex / wide, 0.9 * v, 0.9 - 0.4 * u * u)
    brim_w = np.where(kind == 2, 1.75, 0.95) * wide / 1.14
    depth = np.where(kind == 2, 0.17, 0.20)
    brim = 1 - (ex / brim_w) ** 2 - ((y + 0.58) / depth) ** 2
    mask = t["hat"] * (kind > 0) * edge(brim * depth * 0.6)
    layer(mask, t["hat_rgb"] * 0.75, -0.2 * ex, 0.6 + 0 * ex, 1.35 + 0 * ex)


def _shade(t, rgb, lit, nx, ny, far, gloss, px, size):
    """Lambert with a soft, reddish terminator, ambient light from above, gloss, and shadows marched over the depth map."""
    batch = rgb.shape[0]
    norm = 1 / np.sqrt(1 + nx * nx + ny * ny)
    lx, ly, lz = t["light_x"], t["light_y"], t["light_z"]
    facing = (-nx * lx - ny * ly + lz) * norm
    # the shadow at a pixel: does the depth map rise above the ray towards the light?
    shadow = np.zeros_like(far)
    flat = far.reshape(-1)
    rows = np.arange(size, dtype=np.int32)
    base = (np.arange(batch, dtype=np.int32) * (size * size))[:, None, None]
    for step in (0.07, 0.14, 0.24, 0.38):
        ox = np.rint(lx * step / px).astype(np.int32)
        oy = np.rint(ly * step / px).astype(np.int32)
        ix = np.clip(rows[None, None, :] + ox, 0, size - 1)
        iy = np.clip(rows[None, :, None] + oy, 0, size - 1)
        there = flat[base + iy * size + ix]
        shadow = np.maximum(shadow, np.clip((there - far - lz * step - 0.015) * (7.0 / (0.3 + step)), 0, 1))
    shadow = 1 - shadow * (0.35 + 0.5 * t["hard"])
    sky = 0.80 + 0.25 * (-ny * norm * -1.0) * -1.0
    light = np.empty_like(rgb)
    for k, wrap in enumerate((0.26, 0.14, 0.10)):
        direct = np.clip((facing + wrap) * (1 / (1 + wrap)), 0, None) * shadow
        light[:, k] = t["key"] * t["key_rgb"][:, k] * direct * 1.15 + t["ambient_rgb"][:, k] * sky
    half = np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    spec = np.clip((-nx * lx - ny * ly + lz + 1) * norm / half, 0, 1)
    spec = spec**2
    spec = spec * spec
    spec = spec * spec
    spec = spec * spec * spec * shadow * gloss * (0.03 + 0.12 * t["hard"])
    lit = lit[:, None]
    out = rgb * (light * lit + (1 - lit) * 0.75) + (spec[:, None] * lit)
    return out * t["exposure"][:, None]


# -- camera -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _srgb_table():
    x = np.arange(4097) / 4096.0
    x = x / (1 + 0.10 * x) * 1.10  # a slight shoulder, so that highlights do not clip at once
    return (np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.float32)


def _develop(linear, t, size, shot):
    """Lens blur and exposure in linear light, then sRGB, sensor noise, uint8."""
    for i in range(len(linear)):
        sigma = float(t["blur"][i, 0, 0]) * size
        if sigma > 0.25:
            linear[i] = gaussian_filter(linear[i], (0, sigma, sigma), truncate=3.0, mode="nearest")
    srgb = _srgb_table()[np.clip(linear * 4096, 0, 4096).astype(np.int32)]
    tile = _bank()["white"]
    offset = (shot.uniform("grain", 0, 1 << 40)).astype(np.int64)
    for i in range(len(linear)):
        for k in range(3):
            oy, ox = (offset[i] >> (9 * k)) & 511, (offset[i] >> (9 * k + 5)) & 511
            rows, cols = (np.arange(size) + oy) & 511, (np.arange(size) + ox) & 511
            srgb[i, k] += t["noise"][i, 0, 0] * tile[np.ix_(rows, cols)]
    return np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)


# -- pictures -----------------------------------------------------------------------------------------------------


def _columns(t):
    """Traits as float32 arrays that broadcast over pictures: (B, 1, 1) numbers, (B, 3, 1, 1) colours."""
    return {k: np.ascontiguousarray(v, np.float32).reshape(v.shape + (1, 1)) for k, v in t.items()}


def render_params(seed=0, people=0, photos=0, size=64, *, domain="standard", force=None, traits=None, batch=16):
    """Draw photograph `photos[i]` of person `people[i]`; `force` and `traits` as in `parameters`.

    Returns images (N, 3, size, size) uint8 sRGB and attributes (N, 40) bool.
    """
    if size < 16:
        raise ValueError(f"size: found {size}, accepted are 16 pixels or more")
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    a, t = parameters(seed, people, photos, domain=domain, force=force, traits=traits)
    t = _columns(t)
    images = np.empty((len(people), 3, size, size), np.uint8)
    for i in range(0, len(people), batch):
        part = slice(i, i + batch)
        _, shot = _streams(seed, domain, people[part], photos[part])
        cut = {k: v[part] for k, v in t.items()}
        images[part] = _develop(_paint(cut, size), cut, size, shot)
    return images, np.stack([a[name] for name in ATTRIBUTES], 1)


def render(n_identities, per_identity, size=64, seed=0, *, domain="standard", first_identity=0, out=None, batch=16,
           progress=False):  # fmt: skip
    """Draw `per_identity` photographs of each of `n_identities` people, person by person.

    Photograph k of person p depends on (seed, domain, p, k, size) alone: any slice, made anywhere and in any batch
    size, is the same slice. `first_identity` skips people. `out`, an array or memmap (N, 3, size, size) uint8, is
    written batch by batch, so that a set larger than memory can be made. Returns `Rendered`.
    """
    for name, value, least in (("n_identities", n_identities, 1), ("per_identity", per_identity, 1), ("size", size, 16),
                               ("first_identity", first_identity, 0), ("batch", batch, 1), ("seed", seed, 0)):  # fmt: skip
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
    steps = range(0, total, batch)
    if progress:
        from tqdm.auto import tqdm

        steps = tqdm(steps, desc=f"faces {size} px", unit="batch")
    for i in steps:
        part = slice(i, min(i + batch, total))
        out[part], attributes[part] = render_params(
            seed, identities[part], number[part] % per_identity, size, domain=domain, batch=batch
        )
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
