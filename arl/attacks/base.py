"""What an attack is: something that learns, on X2, to make an image, an embedding or labels of a frozen encoder's Z.

A new attack is one file here with one subclass of `Attack`; or a class of a user's own file, or of a notebook's cell. `target` says what
it is after, hence how it is judged. Attackers see Z standardised per channel with X2's statistics: shrinking Z hides nothing.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from arl.parameters import Parameters

if TYPE_CHECKING:  # a mistyped parameter does not wait for torch
    from torch import Tensor, nn

    from arl.adversary import Distance
    from arl.training import Journal
    from arl.whitebox import Encode

Batches = Callable[
    [int], "Iterator[tuple[Tensor, Tensor]]"
]  # of an epoch: standardised Z, and what is to be made of it


class Shapes(NamedTuple):
    """What an attacker is built for."""

    z: tuple[int, ...]  # of one Z: (C,) or (C, h, w)
    image: int  # pixels a side
    width: int  # channels at a quarter of the image
    embedding: int  # numbers of C's embedding
    labels: int
    images: int = 0  # that it has learned from, where it keeps them
    encoder: str = "small"  # what kind Enc is, and where Z is read: no secret
    layer: str = "fc"
    opened: "Encode | None" = None  # of one that is `white_box`: Enc itself, pictures to standardised Z, with gradients


class Public(NamedTuple):
    """What the adversary owns: batches to learn from, each epoch another order, and a tenth of X2 that it never learns from."""

    train: Batches
    steps: int  # batches an epoch
    held_out: Batches
    standardise: "nn.Module | None" = None  # what made these Z of the encoder's: (Z − mean) / std, its buffers
    task: "Public | None" = (
        None  # of an `unpaired` attack: pictures and their labels, none of them of an image in `train`
    )
    answers: "Callable[[Tensor], Tensor] | None" = None  # its f: standardised Z to logits (B, A), where there is one


class Schedule(NamedTuple):
    """How long an attacker trains at most, at which rate, and how long it waits for a better validation loss."""

    epochs: int
    lr: float
    patience: int


class Player(Protocol):
    """An attacker at work: `net` is what is kept of it; `learn` and `validation_loss` are what the plateau needs."""

    net: "nn.Module"

    def learn(self, z: "Tensor", target: "Tensor", lr: float) -> "dict[str, Tensor]": ...

    def validation_loss(self, guess: "Tensor", target: "Tensor") -> "Tensor": ...


class Attack(Parameters):
    """One way to attack. Its fields are its parameters: validated, part of the run's id, accepted under their own names."""

    registry: ClassVar[dict[str, type]] = {}
    kind: ClassVar[str] = "attack"
    target: ClassVar[Literal["image", "embedding", "label"]] = "image"
    # Whether all it learns is descent on means over a batch's rows, so that devices may share a batch; each class says it of itself alone.
    by_rows: ClassVar[bool] = False
    white_box: ClassVar[bool] = False  # whether it holds the encoder itself, and needs its gradients
    # Whether it owns no pair: it sees Z of a third of its images, and pictures and labels of the others (`Public.task`).
    unpaired: ClassVar[bool] = False

    @classmethod
    def stream(cls) -> int:
        """Which stream of random numbers it draws its weights from; the next one shuffles its batches."""
        return 1000 + zlib.crc32(cls.name().encode()) % 2**20 * 2

    @property
    def own_recogniser(self) -> bool:
        """Whether it learns by a recogniser of its own, which is no judge: `perceptual` is then what that one sees (`arl.judges.own`)."""
        return False

    @property
    def cost(self) -> float:
        """Its time beside that of training an unprotected encoder, roughly: for the order of a sweep, and the time left."""
        return 1.0

    def player(self, shapes: Shapes, perceptual: "Distance | None" = None) -> Player:
        """The attacker before it learns. `perceptual(x_hat, x)` is (4), where `perceptual_weight` names a parameter."""
        raise NotImplementedError(f"{type(self).__name__}.player")

    def train(self, player: Player, public: Public, schedule: Schedule, journal: "Journal") -> dict[str, Any]:
        """Let `player` learn, `player.net` being what is kept; returns what a result says of it: epoch, plateau, validation."""
        from arl.plateau import to_plateau

        return to_plateau(player, public, schedule, journal)
