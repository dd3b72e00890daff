"""The paper's defence: Enc and f against a simulated adversary, equation (9)."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from arl.attacks.decoder import Decoder
from arl.defences.base import Batch, Defence
from arl.parameters import Count, Rate, Weight

if TYPE_CHECKING:
    from torch import Tensor


class Adversarial(Defence):
    """Xiao et al., AAAI 2020: minimise (9) = (6) − λ1 · (7) − λ2 · (8) while Dec is fixed; Dec learns by (5).

    The adversary must not be outrun. At one pace for both, Dec soon reconstructs no more than the mean face, yet a fresh Dec^a gets
    *more* out of the features than without protection: Enc has scrambled them, not emptied them. So Dec takes `simulated_steps` for each
    of Enc's, at a constant rate; and it enters after a time of (6) alone, when Enc has found its features and slows down.
    """

    by_rows: ClassVar[bool] = True
    lambda1: Weight = Field(0.0, title="λ1", description="weight of the negative pixel loss (7) in (9)")
    lambda2: Weight = Field(0.0, title="λ2", description="weight of the negative perceptual distance (8) in (9)")
    simulated_mu1: Weight = Field(0.0, title="μ1", description="μ1 of Dec inside training")
    simulated_mu2: Weight = Field(0.0, title="μ2", description="μ2 of Dec inside training")
    simulated_lr: Rate = Field(4e-3, description="learning rate of Dec and D inside training, constant")
    simulated_steps: Count = Field(2, description="steps of Dec and D for each step of Enc and f")
    discriminator: Literal["patch", "dcgan", "none"] = Field("patch", description="what D looks at")
    gan_loss: Literal["non-saturating", "minimax"] = Field("non-saturating", description="minimax: (2) to the letter")

    @model_validator(mode="after")
    def _d(self) -> "Adversarial":
        if self.simulated_mu1 > 0 and self.discriminator == "none":
            found = f"simulated_mu1: found {self.simulated_mu1:g} with discriminator='none'"
            raise ValueError(f"{found}, accepted: 0, or discriminator=patch|dcgan")
        return self

    @property
    def active(self) -> bool:
        return self.lambda1 > 0 or self.lambda2 > 0

    @property
    def simulated(self) -> Decoder | None:
        if not self.active:
            return None
        shared = {"discriminator": self.discriminator, "gan_loss": self.gan_loss}
        return Decoder(mu1=self.simulated_mu1, mu2=self.simulated_mu2, **shared)

    @property
    def pace(self) -> tuple[int, float]:
        return self.simulated_steps, self.simulated_lr

    @property
    def perceptual_weight(self) -> str:
        return next((name for name in ("lambda2", "simulated_mu2") if getattr(self, name) > 0), "")

    @property
    def cost(self) -> float:
        dec = 1.3 + 0.5 * (self.simulated_mu2 > 0) + 1.0 * (self.simulated_mu1 > 0)
        return 2.0 + dec * self.simulated_steps + 0.6 * (self.lambda2 > 0)

    def spec(self) -> dict[str, Any]:
        used = {"lambda1", "lambda2", "simulated_mu1", "simulated_mu2", "simulated_lr", "simulated_steps"}
        used |= {"discriminator", "gan_loss"} if self.simulated_mu1 > 0 else set()
        return self.model_dump(mode="json", include=used)

    def describe(self) -> str:
        if not self.active:
            return "no protection"
        simulated = self.symbols("simulated_mu1", "simulated_mu2")
        return self.symbols("lambda1", "lambda2") + (f" · simulated Dec with {simulated}" if simulated else "")

    def objective(self, batch: Batch) -> "Tensor":
        from arl import losses

        pixel, perceptual = losses.pixel_loss(batch.x_hat, batch.x), 0.0
        batch.note(pixel=pixel)
        if self.lambda2 > 0:
            perceptual = batch.perceptual(batch.x_hat, batch.x)
            batch.note(perceptual=perceptual)
        return losses.protector_loss(batch.utility(), pixel, perceptual, self.lambda1, self.lambda2)  # equation (9)
