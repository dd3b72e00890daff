"""Dec^a: a fresh decoder against a frozen encoder, equation (5)."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from arl.attacks.base import Attack, Shapes
from arl.parameters import Weight

if TYPE_CHECKING:
    from arl.adversary import Adversary, Distance


class Decoder(Attack):
    """Mirrors Enc and learns by (5) = (1) + μ1 · (2) + μ2 · (4)."""

    by_rows: ClassVar[bool] = True
    mu1: Weight = Field(0.0, title="μ1", description="weight of the GAN loss (2)")
    mu2: Weight = Field(0.0, title="μ2", description="weight of the perceptual distance (4)")
    discriminator: Literal["patch", "dcgan", "none"] = Field("patch", description="what D looks at")
    gan_loss: Literal["non-saturating", "minimax"] = Field("non-saturating", description="minimax: (2) to the letter")

    @model_validator(mode="after")
    def _d(self) -> "Decoder":
        if self.mu1 > 0 and self.discriminator == "none":
            raise ValueError(
                f"mu1: found {self.mu1:g} with discriminator='none', accepted: 0, or discriminator=patch|dcgan"
            )
        return self

    @classmethod
    def stream(cls) -> int:
        return 11

    @property
    def perceptual_weight(self) -> str:
        return "mu2" if self.mu2 > 0 else ""

    @property
    def cost(self) -> float:
        return 1.3 + 1.0 * (self.mu2 > 0) + 1.0 * (self.mu1 > 0)

    def spec(self) -> dict[str, Any]:
        used = {"mu1", "mu2"} | ({"discriminator", "gan_loss"} if self.mu1 > 0 else set())
        return {"kind": "decoder", "version": 3, **self.model_dump(mode="json", include=used)}

    def describe(self) -> str:
        return self.symbols("mu1", "mu2")

    def player(self, shapes: Shapes, perceptual: "Distance | None" = None) -> "Adversary":
        from arl import models
        from arl.adversary import Adversary

        decoder = models.ImageDecoder(shapes.z, shapes.image, shapes.width)
        d = models.Discriminator(shapes.image, self.discriminator, shapes.width) if self.mu1 > 0 else None
        return Adversary(decoder, d, perceptual, self.mu1, self.mu2, self.gan_loss)
