"""A decoder that is taught who it is: by pixels, and by what a recogniser of its own sees in the picture."""

from pydantic import Field

from arl.adversary import Distance
from arl.attacks.base import Shapes
from arl.attacks.whitened import OfMixtures, Whitened
from arl.parameters import Weight

NU = 0.03  # on held-out X2 0.1 has as much face similarity (quick, no protection: .586, .582), fewer decibels, and takes longer


class Identity(Whitened):
    """Learns by (1) + ν · (1 − cosine of R(X̂) and R(X)), R's embedding and middle layer (NbNet, TPAMI 2018; GaFaR, NeurIPS 2023).

    R is a recogniser that is no judge: trained, as C on drawings is, on drawn people whom neither C nor any set knows. Otherwise as
    `Whitened`. What its pictures gain by C beyond what they gain by R's kind of face is how far looks are known to both.
    """

    nu: Weight = Field(NU, title="ν", description="weight of the distance that its own recogniser sees")

    @property
    def own_recogniser(self) -> bool:
        return True

    @property
    def cost(self) -> float:
        return super().cost + 2.0

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> OfMixtures:
        return OfMixtures(self.network(shapes), perceptual=perceptual, mu2=self.nu if perceptual is not None else 0.0)
