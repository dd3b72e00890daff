"""The embedded people: who they are, and pictures of them."""

from arl.faces.render import (
    ATTRACTIVE,
    DOMAINS,
    FREQUENCIES,
    SLIDERS,
    VERSION,
    Rendered,
    explore,
    montage,
    parameters,
    person,
    photograph,
    render,
    render_params,
)

__all__ = [
    "ATTRACTIVE",
    "DOMAINS",
    "FREQUENCIES",
    "SLIDERS",
    "VERSION",
    "Rendered",
    "explore",
    "montage",
    "parameters",
    "person",
    "photograph",
    "render",
    "render_params",
]
