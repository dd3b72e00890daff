"""The perceptual network g: images to five maps, conv1 ... conv5. Frozen; it never sees the private data in training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from safetensors.torch import load_file
from torch import Tensor, nn

from arl.config import RunConfig
from arl.data import batches
from arl.judges import efficientnet
from arl.messages import ConfigError, first_line
from arl.models import Normalise
from arl.store import file_sha256
from arl.training import initialised

NAMED = ("random", "efficientnet", "imagenet", "none")
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of the five blocks
RANDOM = (
    (16, 1),
    (32, 1),
    (64, 1),
    (64, 1),
    (64, 1),
)  # for a CPU: conv1 by 5 × 5 with stride 2, so five scales from half the image


class Perceptual(nn.Module):
    """g: images (B, 3, S, S) in [0, 1] to five maps, the outputs of its `blocks` conv1 ... conv5. Frozen.

    `scale` (5,), set by `calibrate`: each layer's mean squared distance between random images, over that of their pixels.
    """

    def __init__(self, blocks: Sequence[nn.Module], name: str, normalise: nn.Module | None = None):
        super().__init__()
        self.name = name
        self.normalise = normalise or Normalise()
        self.blocks = nn.ModuleList(blocks)
        self.register_buffer("scale", torch.ones(len(blocks)))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.normalise(x), []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    @torch.no_grad()
    def calibrate(self, images: np.ndarray, index: np.ndarray, seed: int, pairs: int = 256) -> None:
        """Set `scale` from random pairs of the images `index`: then two strangers are as far apart by g as by their pixels."""
        rng = np.random.default_rng([seed, 33])
        index = rng.choice(index, min(2 * pairs, len(index)), replace=False)
        maps = [[x, *self(x)] for _, x in batches(images, index, 64, device=self.scale.device)]
        layers = [torch.cat(layer).float() for layer in zip(*maps, strict=True)]
        half = len(index) // 2
        pixels, *distances = (F.mse_loss(layer[:half], layer[half : 2 * half]) for layer in layers)
        self.scale.copy_(torch.stack(distances) / pixels)


def vgg_blocks(blocks: Sequence[tuple[int, int]], stride: int = 1) -> list[nn.Module]:
    """A VGG's blocks of (channels, convolutions); with `stride` 2 the first convolution is 5 × 5 and halves the image."""
    built: list[nn.Module] = []
    channels = 3
    for i, (width, convolutions) in enumerate(blocks):
        layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if i else []
        for _ in range(convolutions):
            if stride == 2 and channels == 3:
                layers.append(nn.Conv2d(channels, width, 5, stride=2, padding=2))
            else:
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
            layers.append(nn.ReLU())
            channels = width
        built.append(nn.Sequential(*layers))
    return built


def perceptual(cfg: RunConfig, device: torch.device) -> Perceptual | None:
    """The g that `cfg.perceptual` names, frozen, on `device`; None for "none". Raises `ConfigError`."""
    if cfg.perceptual == "none":
        return None
    if cfg.perceptual == "random":
        g = _random()
    elif cfg.perceptual == "efficientnet":
        g = Perceptual(efficientnet.blocks(), efficientnet.NAME, efficientnet.LiteNormalise())
    else:
        g = _vgg16(cfg.perceptual)
    return g.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)


def _random() -> Perceptual:
    g = Perceptual(vgg_blocks(RANDOM, stride=2), "random VGG, one convolution a block, 16 to 64 channels (seed 0)")
    with initialised(0, 31):
        for layer in g.modules():
            if isinstance(layer, nn.Conv2d):  # He's: keeps the scale of activations from layer to layer
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return g


def _vgg16(source: str) -> Perceptual:
    from torchvision.models import vgg16  # here, as it takes two seconds

    state, name = _vgg16_weights(source)
    g = Perceptual(vgg_blocks(VGG16), name)
    mine = [layer for block in g.blocks for layer in block if isinstance(layer, nn.Conv2d)]
    with torch.device("meta"):  # its shape only: filling it with random weights would take seconds
        features = vgg16().features
    theirs = [i for i, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    for layer, i in zip(mine, theirs, strict=True):
        try:
            layer.load_state_dict({k: state[f"features.{i}.{k}"] for k in ("weight", "bias")})
        except (KeyError, RuntimeError) as error:
            raise ConfigError(
                f"perceptual: {source} has no fitting features.{i} ({first_line(error)}), "
                "accepted: the weights of torchvision's vgg16"
            ) from None
        if not all(p.isfinite().all() for p in layer.parameters()) or not layer.weight.any():
            raise ConfigError(
                f"perceptual: {source} has only zeros, or numbers that are not finite, in features.{i}, "
                "accepted: the weights of a trained vgg16"
            )
    return g


def perceptual_id(cfg: RunConfig) -> str:
    """What tells one g from another in run ids: a file by its content, not by its path. Raises `ConfigError` where there is none."""
    named = cfg.perceptual in NAMED
    name = cfg.perceptual if named else file_sha256(_weights_file(cfg.perceptual))[:12]
    return f"{name}-2"  # a version: raise it when a g or its scale changes


def _weights_file(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"perceptual: found {source!r}, accepted: {', '.join(NAMED)}, or a file of VGG16 weights (.pth, .safetensors)"
        )
    return path


def _vgg16_weights(source: str) -> tuple[dict[str, Tensor], str]:
    if source == "imagenet":
        from torchvision.models import VGG16_Weights

        try:
            return VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False), "VGG16 conv1–conv5, ImageNet weights"
        except (OSError, RuntimeError) as error:  # offline; a download with another hash
            raise ConfigError(
                f"perceptual: the ImageNet weights of VGG16 could not be downloaded ({first_line(error)}), "
                "accepted: 'random', or the path of their file"
            ) from None
    path = _weights_file(source)
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, weights_only=True, map_location="cpu")
        )
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}")
    except Exception as error:  # a damaged file raises almost anything
        raise ConfigError(
            f"perceptual: {path} cannot be read as weights ({_reason(error)}), accepted: .pth or .safetensors"
        ) from None
    return state, f"VGG16 conv1–conv5, weights {path.name} ({file_sha256(path)[:12]})"


def _reason(error: Exception) -> str:
    """What `error` says, without torch's advice to unpickle a foreign file, which would run the code in it."""
    line = first_line(error)
    return "it holds something else than tensors" if "weights_only" in line or "Weights only" in line else line
