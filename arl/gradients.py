"""The frozen encoder as a white-box attacker holds it, and whether it gives the gradients that such an attacker needs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from arl.config import RunConfig
from arl.messages import ConfigError
from arl.training import initialised
from arl.whitebox import Encode


class OpenEncoder:
    """The frozen encoder as its attacker holds it: images (B, 3, S, S) in [0, 1] to standardised Z, float32, with gradients.

    No module: an attacker's network that holds it neither keeps nor trains it. Float32 on every device, as bf16 has no small steps.
    """

    def __init__(self, encoder: nn.Module, standardise: nn.Module):
        self.encoder, self.standardise = encoder, standardise

    def __call__(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.standardise(self.encoder(x.float()).float())


def gives_gradients(encoder: Encode, image: int, device: torch.device | str = "cpu") -> bool:
    """Whether `encoder` says how its features of pictures of `image` pixels a side change with them: a session of ONNX does not."""
    x = torch.rand(2, 3, image, image, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    try:
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(encoder(x).float().square().sum(), x)
    except RuntimeError:  # nothing leads back to x, or through an operator that has no derivative
        return False
    return bool(slope.isfinite().all() and slope.abs().max() > 0)


def check_gradients(cfg: RunConfig, encoder: Callable[[], Encode], device: torch.device | str = "cpu") -> None:
    """Raise `ConfigError` where `cfg` has a white-box attack, and what `encoder()` makes gives no gradients."""
    for attack in (attack for attack in cfg.attacks if attack.white_box):
        with initialised(0):
            given = gives_gradients(encoder(), cfg.image_size, device)
        if not given:
            found = f"attacks: found {attack.name()} with an encoder that gives no gradients"
            raise ConfigError(f"{found}, accepted: attacks that need none, as decoder")
