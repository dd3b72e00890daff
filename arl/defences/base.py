"""What a defence is: its parameters, what Enc and f minimise, the adversary that it simulates, and what leaves the device.

A new defence is one file here with one subclass; or a class of a user's own file, or of a notebook's cell. Its docstring names its
source, its fields are its parameters, its class name in lower case is what `defence=` takes.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from arl.parameters import Parameters

if TYPE_CHECKING:  # a mistyped parameter does not wait for torch
    from torch import Tensor, nn

    from arl.adversary import Distance
    from arl.attacks.base import Attack


@dataclass
class Batch:
    """What a defence may look at: a batch of X1 and what Enc, f and, where there is one, the simulated Dec make of it."""

    x: "Tensor"  # (B, 3, S, S) in [0, 1]
    y: "Tensor"  # (B, A) in {0, 1}
    z: "Tensor"  # (B, C) or (B, C, h, w), as it leaves the device
    logits: "Tensor"  # (B, A)
    x_hat: "Tensor | None" = None  # (B, 3, S, S)
    perceptual: "Distance | None" = None  # (8) of two batches, where `perceptual_weight` names a parameter
    seen: "dict[str, Tensor]" = field(default_factory=dict)

    def note(self, **losses: "Tensor") -> None:
        """Log these scalars, a mean an epoch."""
        self.seen |= losses

    def utility(self) -> "Tensor":
        """Equation (6), noted."""
        from arl import losses

        utility = losses.utility_loss(self.logits, self.y)
        self.note(utility=utility)
        return utility


class Defence(Parameters):
    """One way to protect. The base class is no protection: (6) alone, and Z as it is."""

    registry: ClassVar[dict[str, type]] = {}
    kind: ClassVar[str] = "defence"
    # Whether `objective` is a mean over the batch's rows, so that devices may share a batch; each class says it of itself alone.
    by_rows: ClassVar[bool] = True

    @property
    def active(self) -> bool:
        """Whether it does anything at all. Without, one network serves all layers."""
        return True

    @property
    def simulated(self) -> "Attack | None":
        """The attack whose player takes part in training, or None."""
        return None

    @property
    def pace(self) -> tuple[int, float]:
        """The simulated adversary's steps for each of Enc's, and its learning rate, constant."""
        return 2, 4e-3

    @property
    def cost(self) -> float:
        """Its time a step beside a step of (6), roughly: for the order of a sweep, and the time left."""
        return 1.0

    def objective(self, batch: Batch) -> "Tensor":
        """What Enc and f minimise on a batch of X1: a scalar. `batch.note(...)` logs its terms."""
        return batch.utility()

    def wrap(self, encoder: "nn.Module") -> "nn.Module":
        """Enc with what stands between it and the line, in training and after: `encoder`, or `nn.Sequential(encoder, ...)`."""
        return encoder
