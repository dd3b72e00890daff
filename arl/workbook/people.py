"""Sliders for one invented person: what 09_gallery shows below the pictures."""

import io
from typing import Any

import ipywidgets
import numpy as np
from PIL import Image

from arl import faces
from arl.config import ATTRIBUTES

# What the sliders move, and between which bounds: head units, radians, or 0 to 1.
SLIDERS = {
    "yaw": (-0.5, 0.5), "pitch": (-0.2, 0.2), "light_x": (-0.9, 0.9), "smile": (-0.3, 1.2), "mouth_open": (0, 0.16),
    "skin_tone": (0, 6), "chin": (1.3, 1.75), "jaw_power": (1.8, 3.8), "eye_x": (0.36, 0.54), "eye_open": (0.02, 0.12),
    "eye_tilt": (-0.1, 0.25), "brow_y": (-0.38, -0.12), "nose_width": (0.5, 1.7), "nose_length": (0.45, 0.85),
    "mouth_width": (0.25, 0.5), "wrinkle": (0, 1), "hair_top": (0, 0.4),
}  # fmt: skip


class PersonSliders:
    """Sliders for a person, a photograph, its traits and attributes; `box` is what JupyterLab shows."""

    def __init__(self, seed: int, size: int):
        self.seed, self.size = seed, size
        self.who = _slider("person", 0, 999, ipywidgets.IntSlider, 1)
        self.which = _slider("photograph", 0, 99, ipywidgets.IntSlider, 1)
        self.forced = ipywidgets.SelectMultiple(options=ATTRIBUTES, description="turn on", rows=12)
        self.traits = {name: _slider(name, *bounds) for name, bounds in SLIDERS.items()}
        self.picture = ipywidgets.Image(format="png", width=str(size))
        self.has = ipywidgets.HTML()
        for one in (self.who, self.which, self.forced):
            one.observe(self._choose, "value")
        for one in self.traits.values():
            one.observe(self._move, "value")
        self._choose()
        choices = ipywidgets.VBox([self.who, self.which, *self.traits.values()])
        self.box = ipywidgets.HBox([choices, ipywidgets.VBox([self.picture, self.forced]), self.has])

    def _choose(self, change: Any = None) -> None:
        """Another photograph: the sliders go where its own traits are."""
        _, traits = faces.parameters(self.seed, self.who.value, self.which.value, force=self._force())
        for name, one in self.traits.items():
            one.unobserve(self._move, "value")
            one.value = float(np.clip(traits[name][0], one.min, one.max))
            one.observe(self._move, "value")
        self._draw(None)

    def _move(self, change: Any) -> None:
        self._draw({name: one.value for name, one in self.traits.items()})

    def _force(self) -> dict[str, bool]:
        return dict.fromkeys(self.forced.value, True)

    def _draw(self, traits: dict[str, float] | None) -> None:
        """Draw the photograph, with its own traits or those given, and list its attributes."""
        images, labels = faces.render_params(
            self.seed, self.who.value, self.which.value, self.size, force=self._force(), traits=traits
        )
        data = io.BytesIO()
        Image.fromarray(faces.montage(images, 1)).save(data, "png")
        self.picture.value = data.getvalue()
        self.has.value = "<br>".join(name for name, on in zip(ATTRIBUTES, labels[0], strict=True) if on)


def _slider(name: str, low: float, high: float, kind: type = ipywidgets.FloatSlider, step: float = 0.01) -> Any:
    return kind(min=low, max=high, step=step, description=name, continuous_update=False)


def explore(seed: int = 0, size: int = 256) -> ipywidgets.HBox:
    """Sliders for a person, a photograph, its traits and attributes, as a box for JupyterLab."""
    return PersonSliders(seed, size).box
