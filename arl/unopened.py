"""An experiment before its faces are opened: what it is made of and what is stored of it is known, in seconds."""

from functools import cached_property

import numpy as np

from arl import data, judges
from arl.data import FaceData
from arl.experiment import Experiment
from arl.messages import ConfigError


class Unopened(Experiment):
    """A configuration whose faces are known by names and tables: ids, sizes and labels are right, its pictures are black."""

    @cached_property
    def data(self) -> FaceData:
        return data.unopened(self.cfg)

    @cached_property
    def extra(self) -> FaceData | None:
        return data.unopened_extra(self.cfg, self.data)

    @cached_property
    def sampled(self) -> tuple[np.ndarray, np.ndarray]:
        rows, cfg = self._rows(), self.cfg
        images, self.damaged = data.some_pictures(cfg, rows)
        seen = images.reshape(len(images), -1).any(1)  # what cannot be read is black
        if not seen.any():
            raise ConfigError(f"data: found no image of {len(rows)} that can be read, accepted: whole images")
        return images[seen], self.data.identities[rows][seen]

    def _rows(self) -> np.ndarray:
        """Which images judges are tried on; of rendered people the first, as a whole person is rendered at once."""
        who = self.data.identities
        count = judges.IMAGES if self.cfg.trains_c else judges.wanted(self.judge)
        return judges.sample(who[:count] if self.cfg.data == "rendered" else who, count)
