"""The networks. `backbone` is f∘Enc whole; `cut` cuts it at one of the six taps into Enc and f.

A tap's shape is (C,) for `avgpool` and `fc`, (C, h, w) before. Images are (B, 3, S, S) in [0, 1].
"""

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from arl.names import LAYERS

Shape = tuple[int, ...]


class Normalise(nn.Module):
    """[0, 1] to ImageNet's mean 0 and deviation 1 per channel, which pretrained weights expect."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, std = self.mean, self.std
        if (
            x.device.type == "cpu"
        ):  # written out: of three numbers a pixel a CPU makes many short rows, four times slower
            whole = (t.expand(1, *x.shape[1:]) for t in (mean, std))
            mean, std = (t.contiguous(memory_format=torch.channels_last) for t in whole)
        return (x - mean) / std


def backbone(
    n_attributes: int, encoder: str = "small", width: int = 16, weights: str = "none", dropout: float = 0.0
) -> nn.Sequential:
    """f∘Enc: stages `conv1 conv2 conv3 conv4 avgpool fc`, then `head`, the two fully connected layers of f.

    `resnet18`, `resnet50`: torchvision's layer1 ... fc, the stem counted to conv1. `small`: one residual block a stage, channels
    w, 2w, 4w, 8w, and the same stride of 4 in the stem; made for two CPU cores. Logits are (B, n_attributes).
    `weights`: "none" or "imagenet"; raises OSError where the latter cannot be loaded. `dropout` is that of the head.
    """
    w = width
    if encoder == "small":
        stem = nn.Conv2d(3, w, 7, stride=4, padding=3, bias=False), nn.BatchNorm2d(w), nn.ReLU()
        blocks = [residual(w, w, 1), residual(w, 2 * w, 2), residual(2 * w, 4 * w, 2), residual(4 * w, 8 * w, 1)]
        avgpool, fc, features = nn.AdaptiveAvgPool2d(1), nn.Linear(8 * w, 8 * w), 8 * w
    else:
        from torchvision import models  # here, as it takes two seconds

        net = getattr(models, encoder)(weights={"none": None, "imagenet": "IMAGENET1K_V1"}[weights])
        stem = net.conv1, net.bn1, net.relu, net.maxpool
        blocks, avgpool, fc, features = (
            [net.layer1, net.layer2, net.layer3, net.layer4],
            net.avgpool,
            net.fc,
            net.fc.out_features,
        )
    head = [nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, n_attributes)]
    if dropout:
        head = [nn.Dropout(dropout), *head[:2], nn.Dropout(dropout), head[2]]
    stages = [nn.Sequential(Normalise(), *stem, blocks[0]), *blocks[1:], nn.Sequential(avgpool, nn.Flatten()), fc]
    net = nn.Sequential(OrderedDict(zip(LAYERS, stages, strict=True)))
    net.add_module("head", nn.Sequential(*head))
    return net


def cut(net: nn.Sequential, layer: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Enc: images to Z at `layer`; and f: Z to logits. Both share their parameters with `net`."""
    at = LAYERS.index(layer) + 1
    return net[:at].train(net.training), net[at:].train(net.training)


@torch.no_grad()
def tap_shape(encoder: nn.Module, image_size: int) -> Shape:
    """The shape of one Z: (C,) or (C, h, w)."""
    device = next(encoder.parameters()).device
    training = encoder.training
    shape = encoder.eval()(torch.zeros(1, 3, image_size, image_size, device=device)).shape[1:]
    encoder.train(training)
    return tuple(shape)


class _Shuffle(torch.autograd.Function):
    """`PixelShuffle(2)`, forward and backward the same bytes, by four strided copies: on a CPU thrice as fast in channels_last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        out = x.new_empty(b, h, 2, w, 2, c // 4)
        cells = x.permute(0, 2, 3, 1).unflatten(-1, (c // 4, 4))
        for k in range(4):
            out[:, :, k // 2, :, k % 2] = cells[..., k]
        return out.view(b, 2 * h, 2 * w, c // 4).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        g = gradient.permute(0, 2, 3, 1)
        cells = torch.stack([g[:, k // 2 :: 2, k % 2 :: 2] for k in range(4)], -1)
        return cells.flatten(-2).permute(0, 3, 1, 2)


class SubPixel(nn.Module):
    """(B, 4 C, h, w) to (B, C, 2 h, 2 w), as `PixelShuffle(2)`."""

    def forward(self, x: Tensor) -> Tensor:
        return _Shuffle.apply(x) if x.device.type == "cpu" else nn.functional.pixel_shuffle(x, 2)


class ImageDecoder(nn.Module):
    """Dec and Dec^a: the encoder's mirror with up-sampling, from any tap to pixels in (0, 1) (Figure 6).

    From a vector, one linear layer leads to the coarsest map, a sixteenth of the image. Each step then doubles the side and halves
    the channels; the last two undo the stem by sub-pixel convolution, which costs a CPU half of what a convolution at full size
    does. The input is standardised over the batch, so that shrinking Z gains an encoder nothing.
    Z (B, C) or (B, C, h, w) to X̂ (B, 3, S, S).
    """

    def __init__(self, z: Shape, image_size: int, width: int):
        super().__init__()
        coarse = image_size // 16
        side, channels = (z[1], z[0]) if len(z) == 3 else (coarse, 8 * width)
        if len(z) == 3:
            self.enter = nn.Sequential(nn.BatchNorm2d(z[0], affine=False))
        else:
            self.enter = nn.Sequential(
                nn.BatchNorm1d(z[0], affine=False),
                nn.Linear(z[0], channels * side * side, bias=False),
                nn.Unflatten(1, (channels, side, side)),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
        steps: list[nn.Module] = []
        doublings = round(math.log2(image_size / side))
        for left in range(doublings, 2, -1):  # back to a quarter of the image: conv4 ... conv1 mirrored
            out = width * 2 ** (left - 3)
            steps += [nn.Upsample(scale_factor=2), _conv(channels, out), residual(out, out, 1)]
            channels = out
        if doublings <= 2:
            steps += [_conv(channels, width), residual(width, width, 1)]
            channels = width
        steps += [
            nn.Conv2d(channels, 4 * width, 3, padding=1, bias=False),
            SubPixel(),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        steps += [nn.Conv2d(width, 3 * 4, 3, padding=1), SubPixel(), nn.Sigmoid()]
        self.steps = nn.Sequential(*steps)

    def forward(self, z: Tensor) -> Tensor:
        return self.steps(self.enter(z).contiguous(memory_format=torch.channels_last))


class Discriminator(nn.Sequential):
    """D: images (B, 3, S, S) to logits of being real, without batch statistics.

    `patch`: a map of logits (B, 1, h, w), h and w from 4 to 8, each for its own patch of the image (PatchGAN; Isola et al., CVPR 2017).
    `dcgan`: one logit an image (B,); with few public images it learns them by heart.
    """

    def __init__(self, image_size: int, kind: str, width: int = 16):
        patch = kind == "patch"
        steps: list[nn.Module] = []
        channels = 3
        for i in range(max(1, round(math.log2(image_size / 6))) if patch else 4):
            out = width * 2 ** min(i, 3)
            steps += [nn.Conv2d(channels, out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            channels = out
        if patch:
            steps += [nn.Conv2d(channels, 1, 3, padding=1)]
        else:
            steps += [nn.Flatten(), nn.Linear(channels * (image_size // 16) ** 2, 1), nn.Flatten(0)]
        super().__init__(*steps)


class FeatureMap(nn.Sequential):
    """M: Z to C's embedding (B, d), equation (10). Maps are halved to at most 4 × 4, then three linear layers."""

    def __init__(self, z: Shape, dimension: int, hidden: int = 256):
        steps: list[nn.Module] = []
        shape = z
        while len(shape) == 3 and shape[1] > 4:
            out = min(2 * shape[0], hidden)
            steps += [nn.Conv2d(shape[0], out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            shape = (out, -(-shape[1] // 2), -(-shape[2] // 2))
        inputs = shape[0] if len(shape) == 1 else shape[0] * shape[1] * shape[2]
        steps += [nn.Flatten(), nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
        steps += [
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, dimension),
        ]
        super().__init__(*steps)


def decoder_width(encoder: str, width: int) -> int:
    """Channels at a quarter of the image: those of the encoder's first stage, or of its inner planes in a bottleneck."""
    return width if encoder == "small" else 64


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class BasicBlock(nn.Module):
    """A residual block, its names and its order of initialisation those of torchvision's (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def residual(inputs: int, outputs: int, stride: int) -> nn.Module:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)
