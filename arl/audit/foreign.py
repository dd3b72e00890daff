"""An experiment on an encoder that we did not train: its frozen graph stands for Enc, there is no f, and nobody owns X1."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from arl import feeds
from arl.audit.target import Target
from arl.config import RunConfig
from arl.data import FaceData, batches, open_data
from arl.experiment import Experiment
from arl.gradients import check_gradients
from arl.messages import ConfigError
from arl.names import ATTRIBUTES
from arl.plateau import StandardisedFeatures
from arl.store import Run, obtain

LOOKED_AT = 64  # faces on which features are tried


class Foreign(Experiment):
    """Attacks `target` with the faces of `cfg`: X2 for the adversary, T for the judgement. `target` is None for further judges only."""

    def __init__(self, cfg: RunConfig, target: Target | None = None):
        super().__init__(cfg)
        self.target = target

    @cached_property
    def data(self) -> FaceData:
        """The faces; where nobody labelled them, with one label that says nothing: what follows from it is the mean face."""
        found = open_data(self.cfg)
        if found.attribute_names:
            return found
        return replace(found, attributes=np.zeros((len(found), 1), bool), attribute_names=("no label",))

    @cached_property
    def encoder_spec(self) -> dict[str, Any]:
        spec = self.target.spec._asdict()
        found = {"kind": "foreign", "version": 1, "data": self.data.spec, **{n: _listed(v) for n, v in spec.items()}}
        asked = self.cfg.attributes  # what a probe reads, and the floor of the answers
        return found | ({} if asked == ATTRIBUTES else {"attributes": list(asked)})

    @cached_property
    def encoder(self) -> Run:
        """The run that stands for the target, without its file: nothing is trained."""
        return obtain(self.encoder_spec, lambda run: {"g": "none"})

    @cached_property
    def networks(self) -> tuple[nn.Module, None]:
        return self.target, None

    @cached_property
    def _seen(self) -> StandardisedFeatures:
        return super().standardised()

    def standardised(self) -> StandardisedFeatures:
        """Encoded once for all attackers: a foreign encoder may be slow."""
        return self._seen

    def check_sizes(self) -> None:
        """Refuse labels that these faces have not, sets that hold no batch, and features that tell no face from another."""
        _ = self.extra, self.attribute_names
        feeds.check_sizes(self.owned, self.cfg)
        if self.target is not None:
            self._check_features()
            check_gradients(self.cfg, lambda: self.target)

    def _check_features(self) -> None:
        some = self.owned.held_out[:LOOKED_AT]
        z = torch.cat([self.target(x).flatten(1).cpu() for _, x in batches(self.owned.data.images, some, LOOKED_AT)])
        if not z.isfinite().all():
            raise ConfigError(
                "TARGET: found features of faces that are not finite, accepted: finite ones; do --mean and --std fit?"
            )
        if len(z) > 1 and (z.amax(0) - z.amin(0)).max() <= 1e-6 * z.abs().max().clamp(min=1e-30):
            raise ConfigError(
                f"TARGET: found the same features for {len(z)} faces, accepted: an encoder that tells one from another"
            )


def _listed(value: Any) -> Any:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
