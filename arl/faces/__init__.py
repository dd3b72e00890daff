"""The embedded people: who they are, and pictures of them."""

from arl.faces.canvas import UNITS
from arl.faces.factors import FACTORS, factors
from arl.faces.frequencies import ATTRACTIVE, FREQUENCIES
from arl.faces.render import VERSION, Rendered, montage, render, render_params
from arl.faces.streams import DOMAINS
from arl.faces.traits import parameters, person, photograph

__all__ = [
    "ATTRACTIVE",
    "DOMAINS",
    "FACTORS",
    "FREQUENCIES",
    "UNITS",
    "VERSION",
    "Rendered",
    "factors",
    "montage",
    "parameters",
    "person",
    "photograph",
    "render",
    "render_params",
]
