"""Traits of shape: age, skull and jaw, eyes and brows, nose, mouth, flesh, ears and neck. Lengths are head units, angles radians."""

import numpy as np

from arl.faces.sitter import Sitter, Traits, old


def age(t: Traits, s: Sitter) -> None:
    """Years: below 40 where Young, from 47 elsewhere; the shifted domain is older."""
    u = s.chance("age")
    young, elder = (24 + 13 * u, 52 + 30 * u) if s.shifted else (18 + 17 * u, 47 + 30 * u)
    t["age"] = np.where(s.young > 0, young, elder)


def skull(t: Traits, s: Sitter) -> None:
    """The outline of the head, from its top to the chin, and its asymmetry."""
    body, male = s.body, s.male
    chubby, oval, harmony = s.f["Chubby"], s.f["Oval_Face"], s.z["harmony"]
    open_ = s.f["Mouth_Slightly_Open"]
    t["skull_width"] = 1.0 + body("skull", 0.058) + 0.075 * chubby + 0.015 * male - 0.07 * oval
    t["skull_top"] = 1.55 + body("skull top", 0.06)
    t["skull_depth"] = 1.24 + body("skull depth", 0.06)
    t["chin"] = 1.47 + 0.06 * male + body("chin", 0.075) + 0.16 * oval - 0.03 * chubby + 0.05 * open_ + 0.02 * s.elder
    t["jaw_power"] = np.clip(2.75 + 0.35 * male + body("jaw", 0.45) - 0.55 * oval + 0.35 * chubby, 1.8, 4.2)
    t["jaw_round"] = 0.54 - 0.03 * male + body("jaw round", 0.055) + 0.06 * oval - 0.07 * chubby
    t["temple"], t["zygoma"] = 0.03 + body("temple", 0.015), 0.005 + body("zygoma", 0.025)
    t["cheek"] = body("cheek", 0.026) + 0.085 * chubby - 0.02 * oval - 0.01 * old(t)
    t["gonion"] = body("gonion", 0.038) - 0.02 + 0.045 * male - 0.03 * oval + 0.02 * chubby
    t["chin_width"] = body("chin width", 0.09) + 0.08 * male - 0.10 * oval
    t["profile"] = body("profile", 0.04)
    t["forehead"] = 0.03 + body("forehead", 0.02)
    t["asymmetry"] = body("asymmetry", 0.010) * np.exp(-0.35 * harmony)
    t["lopsided"] = body("lopsided", 0.012) * np.exp(-0.35 * harmony)


def eyes(t: Traits, s: Sitter) -> None:
    """Place, opening and gaze of the eyes, and the bones and bags about them."""
    body, shot, elder = s.body, s.shot, s.elder
    narrow = s.f["Narrow_Eyes"]
    t["eye_x"] = 0.446 + body("eye distance", 0.035)
    t["eye_width"] = 0.192 + body("eye width", 0.017)
    squint = np.clip(shot("squint", 0.12), -0.1, 0.25)
    t["eye_open"] = (
        (0.085 - 0.005 * s.male + body("eye open", 0.009))
        * (1 - 0.08 * elder)
        * (1 - 0.10 * s.f["Smiling"] * (1 - narrow) - squint * 0.25)
        * (1 - 0.70 * narrow)
    )
    t["eye_tilt"] = 0.045 + body("eye tilt", 0.075)
    t["lid"] = np.clip(0.068 + body("lid", 0.030) - 0.02 * elder, 0.022, 0.14)
    t["iris_tone"] = np.clip(1.6 - 1.5 * s.z["melanin"] + body("iris", 0.9), 0, 5)
    t["pupil"] = 0.034 + shot("pupil", 0.004)
    t["gaze_x"], t["gaze_y"] = shot("gaze x", 0.014), shot("gaze y", 0.008)
    t["socket"] = 0.12 + body("socket", 0.04)
    t["orbit"] = np.clip(0.30 + body("orbit", 0.18) + 0.2 * elder, 0.05, 0.8)
    t["brow_ridge"] = 0.035 + 0.045 * s.male + body("brow ridge", 0.012)
    t["bags"] = 0.03 + 0.10 * elder + 0.75 * s.f["Bags_Under_Eyes"]


def brows(t: Traits, s: Sitter) -> None:
    """Place, arch, thickness and darkness of the brows."""
    body, male = s.body, s.male
    bushy, arched = s.f["Bushy_Eyebrows"], s.f["Arched_Eyebrows"]
    t["brow_y"] = -0.255 + body("brow y", 0.052) + 0.035 * male - 0.045 * arched
    t["brow_drop"] = 0.02 * s.f["Narrow_Eyes"]
    t["brow_thick"] = 0.034 + body("brow thick", 0.008) + 0.014 * male + 0.034 * bushy
    t["brow_dark"] = 0.60 + body("brow dark", 0.11) + 0.06 * male + 0.24 * bushy
    t["brow_arch"] = 0.040 + body("brow arch", 0.028) + 0.165 * arched - 0.01 * male
    t["brow_tilt"] = 0.035 + body("brow tilt", 0.030) + s.shot("brow tilt", 0.008)
    t["brow_x"], t["brow_length"] = 0.495 + body("brow x", 0.028), 0.335 + body("brow length", 0.032)


def nose(t: Traits, s: Sitter) -> None:
    """Length, width and height of the nose, its ball, bridge and nostrils."""
    body, male = s.body, s.male
    big, pointy = s.f["Big_Nose"], s.f["Pointy_Nose"]
    t["nose_length"] = 0.595 + 0.045 * male + body("nose length", 0.060) + 0.05 * big + 0.06 * pointy
    t["nose_width"] = 1.0 + body("nose width", 0.105) + 0.42 * big - 0.34 * pointy + 0.08 * male
    t["nose_height"] = 0.222 + 0.012 * male + body("nose height", 0.042) + 0.06 * big + 0.10 * pointy
    t["nose_ball"] = 1.0 + body("nose ball", 0.10) + 0.36 * big - 0.40 * pointy
    t["nose_turn"] = body("nose turn", 0.03)
    t["nose_hump"] = body("nose hump", 0.6)
    t["bridge"] = 0.36 + body("bridge", 0.16)
    t["nostril"] = 1.0 + body("nostril", 0.15) + 0.25 * big - 0.2 * pointy


def mouth(t: Traits, s: Sitter) -> None:
    """Lips, and what they do: a smile and an open mouth."""
    body, shot, male, smile, lips = s.body, s.shot, s.male, s.f["Smiling"], s.f["Big_Lips"]
    t["mouth_y"] = (
        t["nose_length"] + 0.295 - 0.02 * s.f["Big_Nose"] - 0.02 * s.f["Pointy_Nose"] + body("mouth y", 0.046)
    )
    t["mouth_width"] = 0.348 + body("mouth width", 0.036) + 0.015 * male + smile * (0.100 + shot("smile width", 0.012))
    thin = 1 - 0.20 * s.elder
    t["lip_upper"] = (0.070 + body("lip upper", 0.014) - 0.010 * male + 0.074 * lips) * (1 - 0.22 * smile) * thin
    t["lip_lower"] = (0.104 + body("lip lower", 0.018) - 0.012 * male + 0.100 * lips) * (1 - 0.14 * smile) * thin
    t["cupid"] = 1.0 + body("cupid", 0.4)
    t["smile"] = smile * (0.85 + shot("smile", 0.12)) + (1 - smile) * np.clip(shot("mouth", 0.08) - 0.05, -0.2, 0.05)
    open_ = s.f["Mouth_Slightly_Open"]
    t["mouth_open"] = open_ * (0.080 + 0.05 * s.photo.uniform("open")) * (1 + 0.25 * smile)
    t["mouth_tilt"] = body("mouth tilt", 0.008) + shot("mouth tilt", 0.006)
    t["philtrum"] = 0.016 + body("philtrum", 0.005)


def flesh(t: Traits, s: Sitter) -> None:
    """Cheeks and chin, what age and weight add, ears and neck."""
    body, male, elder, chubby = s.body, s.male, s.elder, s.f["Chubby"]
    aged = old(t)
    t["cheekbone"] = 0.025 + body("cheekbone", 0.012) + 0.125 * s.f["High_Cheekbones"]
    t["cheek_fat"] = 0.02 + body("cheek fat", 0.015) + 0.17 * chubby + 0.03 * elder
    t["chin_bump"] = 0.075 + body("chin bump", 0.03) + 0.02 * male
    t["cleft"] = np.maximum(body("cleft", 0.018) - 0.015, 0)
    t["double_chin"] = s.f["Double_Chin"]
    t["wrinkle"] = np.where(s.young > 0, 0.0, 0.62 + 0.38 * aged + body("wrinkle", 0.06))
    t["sag"] = elder * np.clip(0.5 + 0.5 * aged + body("sag", 0.2), 0, 1.3)
    t["fold"] = 0.25 + 0.70 * s.f["Smiling"] + 0.9 * t["wrinkle"] + 0.15 * chubby
    t["ear_size"] = 1.0 + body("ear size", 0.08) + 0.1 * aged
    t["ear_out"] = 0.06 + body("ear out", 0.025)
    t["neck_width"] = 0.66 + 0.10 * male + body("neck", 0.03) + 0.10 * chubby
