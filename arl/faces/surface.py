"""Traits of skin, make-up and hair: their kinds, amounts and linear colours."""

import numpy as np
from scipy.special import ndtr

from arl.faces.palette import BROW, EYE_SHADOW, HAIR, IRIS, LIPSTICK, SKIN, linear, ramp, red_blue
from arl.faces.sitter import Sitter, Traits, old

MOLES = 3


def skin(t: Traits, s: Sitter) -> None:
    """Tone, from 0 fair to 6 dark, blood, and unevenness of the skin; colours of skin and iris."""
    body, elder, pale = s.body, s.elder, s.f["Pale_Skin"]
    tone = 1.35 + 4.4 * ndtr(s.z["melanin"] * 1.15 + (0.35 if s.shifted else -0.35))
    t["skin_tone"] = np.where(pale > 0, 0.35 * s.person.uniform("pale"), tone)
    t["ruddy"] = np.clip(0.9 + body("ruddy", 0.35), 0.2, 1.7) * np.where(pale > 0, 0.4, 1)
    even = 1 - 0.5 * s.f["Heavy_Makeup"]
    t["mottle"] = np.clip(0.9 - 0.25 * s.z["harmony"], 0.3, 1.6) * even * (1 + 0.2 * elder + 0.3 * old(t))
    t["freckles"] = np.clip(body("freckles") - 1.1, 0, 1) * (t["skin_tone"] < 2.5)
    t["spots"] = elder * np.clip(0.4 + body("spots", 0.3), 0, 1)
    for i in range(MOLES):
        t[f"mole_x{i}"] = s.chance(f"mole x{i}", -0.8, 0.8)
        t[f"mole_y{i}"] = s.chance(f"mole y{i}", -0.7, 1.3)
        t[f"mole_r{i}"] = np.clip(body(f"mole r{i}", 0.016) - 0.006, 0, 0.03)
    t["rosy"] = s.f["Rosy_Cheeks"]
    t["skin_rgb"] = ramp(SKIN, t["skin_tone"]) * red_blue(body("skin red", 0.03), body("skin blue", 0.06))
    # age: less blood and more yellow in the skin
    t["skin_rgb"] *= 1 - elder[:, None] * np.array([0.06, 0.05, 0.13])
    t["iris_rgb"] = ramp(IRIS, t["iris_tone"])


def makeup(t: Traits, s: Sitter) -> None:
    """Make-up and lipstick, and the colours of lips and lids, which follow the skin's."""
    base = ramp(SKIN, t["skin_tone"])
    t["makeup"] = s.f["Heavy_Makeup"] * (1 + s.shot("makeup", 0.08))
    t["lipstick"] = s.f["Wearing_Lipstick"]
    t["lipstick_hue"] = np.clip(0.5 + s.shot("lipstick", 0.28), 0, 1)
    t["shadow_hue"] = np.clip(0.5 + s.shot("shadow", 0.28), 0, 1)
    lip = base * np.array([0.76, 0.50, 0.53]) * (1 + 0.10 * s.body("lip tone"))[:, None]
    stick = ramp(LIPSTICK, 3 * t["lipstick_hue"]) * (0.55 + 0.45 * np.sqrt(base.mean(1) / 0.4))[:, None]
    t["lip_rgb"] = np.where(t["lipstick"][:, None] > 0, stick, lip)
    t["lid_rgb"] = ramp(EYE_SHADOW, 3 * t["shadow_hue"])
    t["lid_rgb"] = np.minimum(t["lid_rgb"], 0.5 * base)


def haircut(t: Traits, s: Sitter) -> None:
    """Length, volume, waves and curls of the hair, and its line on the forehead; a hat, under which little of it shows."""
    body, male = s.body, s.male
    wavy, straight = s.f["Wavy_Hair"], s.f["Straight_Hair"]
    t["bald"], t["hat"] = s.f["Bald"], s.f["Wearing_Hat"]
    t["receding"], t["bangs"] = s.f["Receding_Hairline"], s.f["Bangs"]
    style = s.chance("cut")
    plain = (1 - wavy) * (1 - straight)
    long_f = np.where(plain > 0, 0.0, np.where(style < 0.12, 0.85, np.where(style < 0.3, 1.35, 2.3)))
    long_m = np.where(plain > 0, -0.05, np.where(style < 0.7, 0.42, np.where(style < 0.9, 0.8, 1.7)))
    t["hair_length"] = np.where(male > 0, long_m, long_f) + body("hair length", 0.06)
    t["curly"] = plain * np.where(male > 0, style > 0.85, style > 0.7)
    t["wavy"], t["straight"] = wavy, straight
    hairy = 1 - t["bald"]
    full = 0.05 * wavy + 0.15 * t["curly"] * (1 - 0.4 * male) + np.abs(body("hair volume", 0.05))
    full = full + s.shot("hair volume", 0.008)
    t["hair_top"] = (0.115 + full + 0.02 * male) * hairy
    t["hair_side"] = (0.055 + 0.045 * (1 - male) + (0.5 + 0.3 * (1 - male)) * full) * hairy
    t["hairline"] = -1.03 + body("hairline", 0.055) - 0.17 * t["receding"] - 0.02 * male
    t["peak"] = body("peak", 0.05)
    t["temples"] = 0.04 + 0.08 * male + body("temples", 0.04)
    t["part"] = body("part", 0.6)
    t["fringe"] = -0.52 + body("fringe", 0.045)


def hair_colour(t: Traits, s: Sitter) -> None:
    """Colours of hair, brows, lashes and beard."""
    hair = np.zeros((s.n, 3))
    for name, rgb in HAIR.items():
        hair += s.f[name][:, None] * linear(np.array(rgb) / 255.0)
    none = hair.sum(1) == 0  # the bald, whose brows need a colour
    grey, brown = linear(np.array([0.5] * 3)), linear(np.array([0.2, 0.15, 0.13]))
    hair[none] = np.where((t["age"][none] > 45)[:, None], grey, brown)
    hair *= np.exp(s.body("hair tone", 0.14) + s.shot("hair tone", 0.04))[:, None]
    t["hair_rgb"] = hair * red_blue(s.body("hair red", 0.06), -s.body("hair red", 0.09))
    bright = t["hair_rgb"].mean(1)
    dark = ramp(BROW, np.clip(bright * 5, 0, 2))
    # age: grey in the brows
    t["brow_rgb"] = dark + s.elder[:, None] * 0.3 * (np.array([0.15, 0.13, 0.11]) - dark)
    t["lash_rgb"] = 0.30 * dark
    dull = t["hair_rgb"] * (0.75 * np.minimum(1, 0.11 / bright))[:, None] + 0.004
    t["beard_rgb"] = np.where(s.f["Gray_Hair"][:, None] > 0, t["hair_rgb"] * 0.75, dull)


def facial_hair(t: Traits, s: Sitter) -> None:
    """Beards by kind, stubble, and the grey of a shaven chin, darker under dark hair."""
    t["goatee"], t["mustache"], t["beard"] = s.f["Goatee"], s.f["Mustache"], s.f["beard"]
    t["stubble"], t["sideburns"] = s.f["5_o_Clock_Shadow"], s.f["Sideburns"]
    bright = t["hair_rgb"].mean(1)
    grown = s.male * (1 - 0.6 * s.f["beard"])
    t["shaven"] = grown * (0.05 + 0.10 * np.clip(1 - bright * 6, 0, 1)) * (1 + s.body("shaven", 0.25))
