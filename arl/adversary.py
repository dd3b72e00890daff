"""The adversary: Dec, which learns by (5), and where μ1 > 0 its discriminator D, which learns by (3).

One player in two places: simulated while Enc is trained (`arl.protect`), and fresh against a frozen Enc (`arl.attacks.decoder`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from arl import losses
from arl.training import Parts, adam, descend, learning

Distance = Callable[[Tensor, Tensor], Tensor]  # of two batches of images, a scalar


class Adversary(nn.Module):
    """Z (B, ...) to X̂ (B, 3, S, S).

    `decoder`: Dec. `discriminator`: D, needed where `mu1` > 0. `perceptual`: (4) of two batches, needed where `mu2` > 0.
    """

    def __init__(
        self,
        decoder: nn.Module,
        discriminator: nn.Module | None = None,
        perceptual: Distance | None = None,
        mu1: float = 0.0,
        mu2: float = 0.0,
        gan_loss: str = "non-saturating",
    ):
        super().__init__()
        self.net, self.discriminator = decoder, discriminator if mu1 > 0 else None
        self.perceptual, self.mu1, self.mu2, self.gan_loss = perceptual, mu1, mu2, gan_loss
        self.optimiser = adam(decoder)
        self.rivals: Parts = {}  # what learns beside it, by names under which it is kept
        if self.discriminator is not None:
            self.rivals = {"discriminator": discriminator, "discriminator_adam": adam(discriminator, beta1=0.5)}

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)

    def learn(self, z: Tensor, x: Tensor, lr: float) -> dict[str, Tensor]:
        """One step of Dec by (5), then one of D by (3), on images `x` and their features `z`; the losses by name."""
        with learning(x.device):
            x_hat = self.net(z)
            fake = self.discriminator(x_hat) if self.discriminator is not None else None  # for both: D moves after Dec
            attack = losses.attacker_loss(  # equation (5)
                losses.pixel_loss(x_hat, x),
                losses.adversarial_loss(fake, self.gan_loss) if fake is not None else 0.0,
                self.perceptual(x_hat, x) if self.mu2 > 0 else 0.0,
                self.mu1,
                self.mu2,
            )
        descend(attack, self.optimiser, lr, keep_graph=fake is not None)
        if fake is None:
            return {"attack": attack}
        with learning(x.device):
            objective = losses.discriminator_objective(self.discriminator(x), fake)  # equation (3)
        descend(-objective, self.rivals["discriminator_adam"], lr / 4)  # at Dec's rate D wins at once
        return {"attack": attack, "discriminator": objective}

    @torch.no_grad()
    def validation_loss(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """(5) without the GAN's term, whose value is relative to a moving D."""
        perceptual = self.perceptual(x_hat, x) if self.mu2 > 0 else 0.0
        return losses.attacker_loss(losses.pixel_loss(x_hat, x), 0.0, perceptual, 0.0, self.mu2)
