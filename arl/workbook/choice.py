"""What the store holds, ready to be looked at: the nearest run to a choice, the front around it, what changes against no protection.

Nothing here trains, and nothing knows of widgets. `Store` reads each row of Table 1 once.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from arl.config import RunConfig
from arl.evaluate import PRIVACY
from arl.messages import UserError
from arl.paper.front import Point, interval_of
from arl.row import Row
from arl.store import Run, check_version, runs_root
from arl.workbook.weights import Control, controls_by_name, player_classes, position, unprotected, weights

FACES = ("data", "data_root", "damaged", "data_seed", "image_size", "identities", "per_identity")
OF_THE_SEED, OF_THE_FACES, OF_THE_REST = 0.25, 100.0, 10.0  # what one difference adds to a distance
EXTRA = ("extra", "extra_images", "extra_source")
COMPARABLE = {
    "defence",
    "seed",
    "layer",
    *EXTRA,
    "perceptual",
    "discriminator",
    "gan_loss",
}  # with all weights, may differ on one front
ORIGIN = ("kind", "version", "source", "attack")  # of a spec: what made it, which the names of defence and attacks say
NEAR = 0.3  # a factor of two in one weight: within it, a stored run stands for a choice


# -- rows, and how far they are from a choice ---------------------------------------------------------------------


class Store:
    """The finished rows of a run store, newest last. `refresh` reads those that came since."""

    def __init__(self, root: Path | None = None):
        self.root = root or runs_root()
        self.rows: list[Row] = []
        self._seen: set[str] = set()
        self.refresh()

    def refresh(self) -> list[Row]:
        """The rows that are new since the last look. Left out is one of another version of the configuration, of a user's class, or
        without a figure that all others show, as without Dec^a."""
        check_version(self.root)
        paths = [path for path in self.root.glob("row-*/result.json") if path.parent.name not in self._seen]
        new = []
        for path in sorted(paths, key=lambda path: path.stat().st_mtime):
            run = Run(path.parent)
            result = run.result
            if result is None:  # it is being made again
                continue
            self._seen.add(run.id)
            try:
                row = Row(run, RunConfig(**result["config"]), result)
                if _of_these_classes(row) and set(PRIVACY) <= set(result):
                    new.append(row)
            except (UserError, KeyError, OSError):
                continue
        self.rows += new
        return new

    def nearest(self, cfg: RunConfig) -> "tuple[Row, Distance] | None":
        """The row at the least `distance` from `cfg`, the newest of several; None when the store is empty."""
        found = [(distance(cfg, row.config), row) for row in self.rows]
        if not found:
            return None
        best = min(range(len(found)), key=lambda i: (found[i][0].value, -i))
        return found[best][1], found[best][0]

    def baseline(self, cfg: RunConfig) -> Row | None:
        """The row that differs from `cfg` in nothing but having no protection."""
        found = self.nearest(unprotected(cfg))
        return found[0] if found and found[1].value == 0 else None


def _of_these_classes(row: Row) -> bool:
    """Whether its defence and attacks, where they are the user's own, had the source that they have now."""
    made = {row.config.defence: "encoder"} if row.config.protected else {}
    made |= {attack: attack.name() for attack in row.config.attacks}
    own = {player: kind for player, kind in made.items() if not player.shipped()}
    return all(row.of(kind).spec.get("source") == player.spec()["source"] for player, kind in own.items())


@lru_cache(maxsize=1 << 15)  # of a store of thousands of rows, each
def essence(cfg: RunConfig) -> dict[str, Any]:
    """The fields that make a difference to the row of `cfg`, and no others."""
    of_faces = {"rendered": ("data_seed", "identities", "per_identity"), "orl": ()}.get(
        cfg.data, ("data_root", "damaged")
    )
    names = {"data", "image_size", "recogniser", "extra", "reserved", *of_faces}
    fields = cfg.encoder_fields()
    for attack in cfg.attacks:
        fields |= cfg.attack_fields(attack)
    fields = {name: value for name, value in fields.items() if name not in ORIGIN}
    fields |= {"perceptual": cfg.perceptual} if any(player.perceptual_weight for player in cfg.players) else {}
    fields |= {name: value for name, value in cfg.flat().items() if name in {*names, "attacks"}}
    fields |= {"extra_source": cfg.extra_from} if cfg.extra != "none" else {}
    fields["recogniser"] = cfg.recognisers[0]  # the others judge beside it
    return dict.fromkeys(weights(player_classes(cfg)), 0.0) | fields | {"defence": cfg.defence.name()}


class Distance(NamedTuple):
    """How far a stored row is from a choice, and in what it differs: (field, in the choice, in the row); the choice's controls."""

    value: float
    differences: tuple[tuple[str, Any, Any], ...]
    controls: Mapping[str, Control] = MappingProxyType({})

    @property
    def near(self) -> bool:
        return self.value <= NEAR

    def __str__(self) -> str:
        if not self.differences:
            return "exactly what you chose"
        parts = [
            f"{self.controls[name].symbol if name in self.controls else name} {_short(there)}, you chose {_short(here)}"
            for name, here, there in self.differences[:4]
        ]
        more = f" and {len(self.differences) - 4} more" if len(self.differences) > 4 else ""
        return f"at distance {self.value:.2f}: {'; '.join(parts)}{more}"


def distance(cfg: RunConfig, other: RunConfig) -> Distance:
    """The distance from a choice to another configuration, 0 for two that make the same row.

    The weights of defence and attacks count by the Euclidean distance of their `position`, so that a factor of ten is about 1 and a
    factor of two about 0.3 at any size. Another seed adds 0.25, other faces add 100 (once for each field), and each other field that makes
    a difference adds 10: a run of the same defence, layer, attributes and attacker always comes before one of others.
    """
    return _distance(cfg, other)


@lru_cache(maxsize=65536)
def _distance(cfg: RunConfig, other: RunConfig) -> Distance:
    a, b = essence(cfg), essence(other)
    differences = [(name, a[name], b[name]) for name in a if name in b and a[name] != b[name]]
    mine, theirs = player_classes(cfg), player_classes(other)
    both = weights(mine) if mine == theirs else weights(mine) & weights(theirs)
    square = sum((position(here) - position(there)) ** 2 for name, here, there in differences if name in both)
    rest = [name for name, _, _ in differences if name not in both]
    counts = {"seed": OF_THE_SEED, **dict.fromkeys(FACES, OF_THE_FACES)}
    far = math.sqrt(square) + sum(counts.get(name, OF_THE_REST) for name in rest)
    return Distance(far, tuple(differences), controls_by_name(mine))


def _short(value: Any) -> str:
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, str):
        return value or "none"
    return f"{len(value)} attributes" if len(value) > 3 else ", ".join(value)


# -- the front ----------------------------------------------------------------------------------------------------


def front(rows: Iterable[Row], cfg: RunConfig, privacy: str = "face_similarity") -> list[Point]:
    """The rows that may be compared with `cfg`: made like it from the same faces, but for what is in `COMPARABLE`."""
    points, weighed = [], weights(player_classes(cfg))
    for row in rows:
        differ = {name for name, _, _ in distance(cfg, row.config).differences} - weighed
        x, y = row.result[privacy], row.result["mean_mcc"]
        if differ <= COMPARABLE and x["value"] is not None and y["value"] is not None:
            alike = not differ & {"seed", "layer"}
            points.append(Point(row, interval_of(x), interval_of(y), alike, row.config.protected))
    return points


@lru_cache(maxsize=1024)
def change(row: Row, baseline: Row) -> dict[str, dict[str, float | None]]:
    """For each figure of a row: its difference to the baseline's, and for privacy the 95 % interval of that, over the same images of T."""
    found: dict[str, dict[str, float | None]] = {}
    names = ("mean_mcc", *PRIVACY, "within_variance", "between_variance", "lda_score")
    for name in names:
        a, b = row.result[name]["value"], baseline.result[name]["value"]
        found[name] = {"value": None if a is None or b is None else a - b, "low": None, "high": None}
    (mine, _), (theirs, _) = row.run.load(), baseline.run.load()
    if torch.equal(mine["t"], theirs["t"]):
        paired = torch.stack([mine[name] - theirs[name] for name in PRIVACY], 1).numpy()  # (N, figures)
        drawn = np.random.default_rng(row.config.seed).integers(len(paired), size=(row.config.bootstrap, len(paired)))
        means = np.stack([paired[images].mean(0) for images in drawn])  # (resamples, figures)
        for name, low, high in zip(PRIVACY, *np.percentile(means, [2.5, 97.5], axis=0), strict=True):
            found[name] |= {"low": float(low), "high": float(high)}
    return found
