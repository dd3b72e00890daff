"""What a picture is made of, by factor: the truth that is known because the picture is a drawing."""

import numpy as np
from numpy.typing import ArrayLike

from arl.faces.surface import MOLES
from arl.faces.traits import parameters

# The traits of each factor. Geometry, skin and age are a person's in all photographs; expression, pose, light, background and camera
# are a photograph's; hair, make-up and clothes are of both.
FACTORS: dict[str, tuple[str, ...]] = {
    "geometry": (
        "skull_width", "skull_top", "skull_depth", "jaw_power", "jaw_round", "temple", "zygoma", "cheek", "gonion", "chin_width",
        "profile", "forehead", "asymmetry", "lopsided", "eye_x", "eye_width", "eye_tilt", "lid", "socket", "orbit", "brow_ridge", "brow_y",
        "brow_thick", "brow_arch", "brow_x", "brow_length", "nose_length", "nose_width", "nose_height", "nose_ball", "nose_turn",
        "nose_hump", "bridge", "nostril", "mouth_y", "cupid", "philtrum", "chin_bump", "cleft", "cheek_fat", "double_chin", "ear_size",
        "ear_out", "neck_width", "shoulder",
    ),
    "skin": (
        "skin_tone", "ruddy", "freckles", "skin_rgb", "iris_tone", "iris_rgb",
        *(f"mole_{axis}{i}" for i in range(MOLES) for axis in "xyr"),
    ),
    "hair": (
        "bald", "receding", "bangs", "hair_length", "curly", "wavy", "straight", "hair_top", "hair_side", "hairline", "peak", "temples",
        "part", "hair_rgb", "brow_dark", "brow_rgb", "goatee", "mustache", "beard", "stubble", "sideburns", "shaven", "beard_rgb",
    ),
    "age": ("age", "wrinkle", "sag", "spots"),
    "expression": ("smile", "mouth_open", "gaze_x", "gaze_y"),
    "makeup": ("makeup", "lipstick", "rosy"),
    "pose": ("yaw", "pitch", "roll"),
    "light": ("light_x", "light_y", "hard", "key_rgb"),
    "background": ("scene", "scene_rgb", "scene_rgb2"),
    "clothes": ("necktie", "hat", "necklace", "earrings", "glasses", "cloth_rgb", "neckline", "neck_cut"),
    "camera": ("zoom", "centre_x", "centre_y", "blur", "noise"),
}  # fmt: skip

# In no factor: what several factors move together, what follows wholly from others, what shows only where something is worn, and where
# textures begin.
MIXED = ("chin", "eye_open", "pupil", "brow_drop", "brow_tilt", "bags", "mouth_width", "lip_upper", "lip_lower", "mouth_tilt", "cheekbone",
         "fold", "mottle", "lip_rgb", "exposure")  # fmt: skip
DERIVED = ("lash_rgb", "light_z", "key", "ambient_rgb")
HIDDEN = ("lipstick_hue", "shadow_hue", "lid_rgb", "fringe", "tie_rgb", "hat_kind", "hat_rgb", "metal_rgb", "rim", "lens_w", "lens_h",
          "lens_round", "rim_rgb")  # fmt: skip


def factors(seed: int, people: ArrayLike, photos: ArrayLike = 0, domain: str = "standard") -> dict[str, np.ndarray]:
    """Factors of photograph `photos[i]` of person `people[i]`: by name of `FACTORS`, float64 (N, k), a trait a column, a colour three.

    A trait is what is drawn, so that factors go together as they do in people: older skulls have fuller cheeks. Raises `ConfigError`.
    """
    _, traits = parameters(seed, people, photos, domain=domain)
    return {
        factor: np.column_stack([traits[name] for name in names]).astype(np.float64)
        for factor, names in FACTORS.items()
    }
