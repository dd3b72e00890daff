"""From (seed, domain, person, photograph) to attributes and traits: everything that draws a picture."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from arl.faces import anatomy, setting, surface
from arl.faces.attributes import Attributes, celeba_limits, decide, force_attributes, latents
from arl.faces.sitter import Given, Sitter, Traits
from arl.faces.streams import check_domain, person_stream, photo_stream
from arl.messages import ConfigError

# In an order in which every trait is set before others are derived from it: age, nose before mouth, skin before lips and light.
PARTS = (
    anatomy.age,
    anatomy.skull,
    anatomy.eyes,
    anatomy.brows,
    anatomy.nose,
    anatomy.mouth,
    anatomy.flesh,
    surface.skin,
    surface.makeup,
    surface.haircut,
    surface.hair_colour,
    surface.facial_hair,
    setting.clothes,
    setting.worn,
    setting.pose,
    setting.light,
    setting.camera,
    setting.scene,
)


def parameters(
    seed: int = 0,
    people: ArrayLike = 0,
    photos: ArrayLike = 0,
    *,
    domain: str = "standard",
    force: Mapping[str, ArrayLike] | None = None,
    traits: Mapping[str, ArrayLike] | None = None,
) -> tuple[Attributes, Traits]:
    """Everything that draws photograph `photos[i]` of person `people[i]`: two dicts of arrays (N, ...).

    The first holds attributes (bool), the second traits (lengths in head units, angles in radians, linear colours).
    `force` sets attributes, `traits` overrides numbers and leaves the labels as they were decided:
    `force={"Eyeglasses": True}, traits={"yaw": 0.3}`. Raises `ConfigError` for names that there are not.
    """
    check_domain(domain)
    people, photos = np.broadcast_arrays(np.atleast_1d(people), np.atleast_1d(photos))
    person, photo = person_stream(seed, domain, people), photo_stream(seed, domain, people, photos)
    z = latents(person, photo)
    a, _ = decide(z, person, celeba_limits())
    a = force_attributes(a, z, force or {})
    t = Given(traits or {})
    sitter = Sitter(a, z, person, photo, shifted=domain == "shifted")
    for part in PARTS:
        part(t, sitter)
    for name in traits or {}:
        if name not in t:
            raise ConfigError(f"traits: unknown trait {name!r}; accepted are {', '.join(sorted(t))}")
    return a, t


def person(seed: int, people: ArrayLike, *, domain: str = "standard") -> tuple[Attributes, Traits]:
    """Attributes and traits of people (N,) that do not depend on the photograph: two dicts of arrays."""
    a, t = parameters(seed, people, 0, domain=domain)
    other_a, other_t = parameters(seed, people, 1, domain=domain)
    same = {k: v for k, v in t.items() if np.array_equal(v, other_t[k])}
    return {k: v for k, v in a.items() if np.array_equal(v, other_a[k])}, same


def photograph(
    seed: int,
    people: ArrayLike,
    photos: ArrayLike,
    *,
    domain: str = "standard",
    force: Mapping[str, ArrayLike] | None = None,
) -> tuple[Attributes, Traits]:
    """Attributes and traits of photograph `photos[i]` of person `people[i]`: two dicts of arrays (N, ...)."""
    return parameters(seed, people, photos, domain=domain, force=force)
