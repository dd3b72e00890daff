"""Traits of a photograph: clothes and things worn, pose, light, camera, and the scene behind."""

import numpy as np

from arl.faces.palette import CLOTH, METAL, RIM, SCENES, SUIT, TIE, near, ramp, red_blue
from arl.faces.sitter import Sitter, Traits

PHASES = 8  # where textures begin: of the scene and the clothes, and as many of skin and hair


def clothes(t: Traits, s: Sitter) -> None:
    """Cloth, tie and hat, their colours, and the hole for the neck."""
    t["necktie"] = s.f["Wearing_Necktie"]
    cloth, suit = near(CLOTH, s.photo, "cloth", 0.22), near(SUIT, s.photo, "cloth", 0.12)
    t["cloth_rgb"] = np.where(t["necktie"][:, None] > 0, suit, cloth)
    t["tie_rgb"] = ramp(TIE, 4 * s.luck("tie"))
    t["hat_kind"] = np.floor(3 * s.luck("hat kind"))
    t["hat_rgb"] = near(CLOTH, s.photo, "hat", 0.22)
    t["neckline"] = 1.98 + 0.22 * s.luck("neckline")
    t["neck_cut"] = s.luck("neck cut")
    t["shoulder"] = 0.42 - 0.06 * s.male + s.body("shoulder", 0.05)


def worn(t: Traits, s: Sitter) -> None:
    """Jewellery and glasses."""
    t["necklace"], t["earrings"] = s.f["Wearing_Necklace"], s.f["Wearing_Earrings"]
    t["metal_rgb"] = ramp(METAL, s.luck("metal"))
    t["glasses"] = s.f["Eyeglasses"]
    t["rim"] = np.clip(0.027 + s.body("rim", 0.008), 0.018, 0.044)
    t["lens_w"], t["lens_h"] = 0.33 + s.body("lens w", 0.022), 0.235 + s.body("lens h", 0.03)
    t["lens_round"] = 2.3 + s.chance("lens round", 0, 2.2)
    t["rim_rgb"] = ramp(RIM, 3 * s.chance("rim rgb"))


def pose(t: Traits, s: Sitter) -> None:
    """Angles of the head, and where and how large it stands in the crop, in shares of the picture."""
    t["yaw"] = s.shot("yaw", 0.17)
    t["pitch"] = s.shot("pitch", 0.07)
    t["roll"] = s.shot("roll", 0.045)
    t["zoom"] = np.exp(s.shot("zoom", 0.035))
    t["centre_x"], t["centre_y"] = 0.5 + s.shot("cx", 0.01), 0.45 + s.shot("cy", 0.012)


def light(t: Traits, s: Sitter) -> None:
    """Direction (a unit vector towards it), hardness and colour of the key light, and the light from everywhere."""
    azimuth = s.shot("light azimuth", 0.40)
    height = 0.5 + np.clip(s.shot("light height", 0.2), -0.4, 0.45)
    t["light_x"], t["light_y"] = np.sin(azimuth) * np.cos(height), -np.sin(height)
    t["light_z"] = np.cos(azimuth) * np.cos(height)
    hard = s.luck("hard")
    if s.shifted:
        hard = 0.4 + 0.6 * hard
    t["hard"] = hard
    t["key"] = 0.55 + 0.5 * hard
    warm = s.shot("warm", 0.06) + (-0.06 if s.shifted else 0.0)
    t["key_rgb"] = red_blue(warm, -1.3 * warm)
    t["ambient_rgb"] = (0.56 - 0.26 * hard)[:, None] * red_blue(-0.5 * warm, 0.6 * warm + 0.03)


def camera(t: Traits, s: Sitter) -> None:
    """Exposure, which follows the skin in part as a camera's does, blur in shares of the picture, and noise."""
    skin = (0.345 / (t["skin_rgb"].mean(1) + 0.12)) ** 0.47
    t["exposure"] = np.exp(s.shot("exposure", 0.10) + (-0.12 if s.shifted else 0.0)) * skin
    blur = s.photo.uniform("blur")
    t["blur"] = np.where(s.f["Blurry"] > 0, 0.0148 + 0.0025 * blur, 0.0040 * blur)
    t["noise"] = 0.006 + 0.010 * s.luck("noise") + (0.012 if s.shifted else 0.0)


def scene(t: Traits, s: Sitter) -> None:
    """How busy the place behind is, its two colours, and where all textures of the picture begin."""
    t["scene"] = s.luck("scene")
    t["scene_rgb"] = near(SCENES, s.photo, "scene colour", 0.35)
    t["scene_rgb2"] = near(SCENES, s.photo, "scene colour 2", 0.35)
    for i in range(PHASES):
        t[f"phase{i}"] = s.luck(f"phase {i}")
        t[f"hair_phase{i}"] = s.chance(f"hair phase {i}")
