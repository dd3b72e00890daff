"""Figure 6, drawn from the modules themselves: what each network is made of, and where it was cut.

Nothing here names a layer of ours: shapes are those that a zero input has on its way through.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from arl.config import RunConfig
from arl.models import Discriminator, FeatureMap, ImageDecoder, Shape, backbone, cut, decoder_width
from arl.paper.style import COLOURS, WIDTH, themed

EMBEDDING = 128  # elements of C's embedding where no judge is asked; dlib's has as many


@dataclass(frozen=True)
class Network:
    """A network of the game, and the shape of one input, without the batch."""

    name: str
    module: nn.Module
    shape: Shape

    @property
    def output(self) -> Shape:
        """The shape of one output."""
        return layers(self)[-1].shape

    @property
    def learns(self) -> bool:
        """Whether any parameter may change now."""
        return any(p.requires_grad for p in self.module.parameters())

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())


@dataclass(frozen=True)
class Layer:
    """A step of a network: the stage that it belongs to (empty: unnamed), what it is, and the shape that leaves it."""

    stage: str
    text: str
    shape: Shape


def players(cfg: RunConfig, attributes: int | None = None, embedding: int = EMBEDDING) -> dict[str, Network]:
    """Enc and f of `cfg`, cut at its layer, and Dec, D and M that fit them, untrained.

    `attributes`: how many f answers; those of `cfg` if None. `embedding`: elements of C's embedding, which M imitates.
    """
    image = (3, cfg.image_size, cfg.image_size)
    net = backbone(attributes or len(cfg.attributes), cfg.encoder, cfg.width)
    encoder, classifier = cut(net, cfg.layer)
    enc = Network("Enc", encoder, image)
    z = enc.output
    found = [
        enc,
        Network("f", classifier, z),
        Network("Dec", ImageDecoder(z, cfg.image_size, decoder_width(cfg.encoder, cfg.width)), z),
    ]
    if cfg.discriminator != "none":
        found.append(
            Network("D", Discriminator(cfg.image_size, cfg.discriminator, decoder_width(cfg.encoder, cfg.width)), image)
        )
    found.append(Network("M", FeatureMap(z, embedding), z))
    return {player.name: player for player in found}


# -- Figure 6 -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def layers(player: Network) -> list[Layer]:
    """The steps of a network in the order in which a zero input passes them; those that change no shape join the one before."""
    seen: list[tuple[nn.Module, Shape, Shape]] = []
    parts = dict(_parts(player.module))

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((module, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

    with _untouched(player.module):
        hooks = [part.register_forward_hook(note) for part in parts]
        try:
            parameter = next(player.module.parameters())
            player.module(torch.zeros(1, *player.shape, device=parameter.device, dtype=parameter.dtype))
        finally:
            for hook in hooks:
                hook.remove()
    found: list[Layer] = []
    for module, before, after in seen:
        text = _text(module)
        if found and before == after and not _has_weights(module):
            found[-1] = Layer(found[-1].stage, f"{found[-1].text}, {text}", after)
        else:
            found.append(Layer(parts[module], text, after))
    return found


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Within, `module` is in evaluation mode, so that nothing in it changes."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _parts(module: nn.Module, stage: str = "") -> Iterator[tuple[nn.Module, str]]:
    """What a reader takes for one step, with its stage: sequences are opened, and so is what holds nothing but sequences."""
    children = list(module.named_children())
    if isinstance(module, nn.Sequential) or (children and all(isinstance(c, nn.Sequential) for _, c in children)):
        for name, child in children:
            yield from _parts(child, stage or ("" if name.isdigit() else name))
    else:
        yield module, stage


def _has_weights(module: nn.Module) -> bool:
    """Whether it is a step of its own: it holds weights that mix elements, as norms do not."""
    return any(p.dim() > 1 for p in module.parameters())


def _text(module: nn.Module) -> str:
    """A step in a word or two: its kind, its window, its stride."""
    kind = type(module).__name__.removesuffix("2d").removesuffix("1d").replace("BatchNorm", "norm")
    window, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    words = [kind]
    if window is not None:
        words.append(f"{window[0]}×{window[1]}" if isinstance(window, tuple) else f"{window}×{window}")
    step = stride[0] if isinstance(stride, tuple) else stride
    if window is not None and step != 1:
        words.append(f"/{step}")
    return " ".join(words)


def shape_text(shape: Shape) -> str:
    """`16×12×12`, channels first; a single number is a vector's length, or a lone logit."""
    return "×".join(map(str, shape)) or "1"


@themed
def figure6(found: Mapping[str, Network]) -> Figure:
    """Figure 6: the steps of each network from top to bottom with the shapes that leave them, and the cut between Enc and f.

    Each network is a column, but f stands under Enc, from whose Z it starts.
    """
    columns = [[player] for name, player in found.items() if name != "f"]
    if "f" in found:
        columns[list(found).index("Enc")].append(found["f"])
    rows = max(sum(len(_merged(layers(player))) + 3 for player in column) for column in columns)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.3 + 0.2 * rows))
    figure.subplots_adjust(0, 0, 1, 1)
    axis.set(xlim=(0, len(columns)), ylim=(rows + 0.2, -0.6))
    axis.set_axis_off()
    for i, column in enumerate(columns):
        y = 0.0
        for player in column:
            if player.name == "f":
                y += 0.4
                axis.plot([i + 0.02, i + 0.97], [y - 0.9] * 2, color=COLOURS[1], linestyle="--", linewidth=1.4)
                axis.text(i + 0.97, y - 0.95, "cut: Z leaves the device", color=COLOURS[1], ha="right", va="bottom")
            y = _column(axis, player, i, y) + 0.8
    return figure


def _column(axis: Axes, player: Network, x: float, y: float) -> float:
    """One network from `y` downwards; returns where it ends."""
    millions = f"{player.parameters / 1e6:.2f} M" if player.parameters >= 1e5 else f"{player.parameters / 1e3:.1f} k"
    axis.text(x + 0.02, y, player.name, fontsize=9, fontweight="bold", va="center")
    axis.text(x + 0.97, y, f"{millions} parameters", fontsize=6, color="0.4", ha="right", va="center")
    axis.text(x + 0.97, y + 0.9, shape_text(player.shape), fontsize=6.5, ha="right", va="center", style="italic")
    axis.text(x + 0.02, y + 0.9, _input(player), fontsize=6.5, va="center", style="italic")
    y += 1.9
    stage = ""
    for layer in _merged(layers(player)):
        box = FancyBboxPatch((x + 0.02, y - 0.4), 0.95, 0.8, boxstyle="round,pad=0,rounding_size=0.02", linewidth=0)
        box.set_facecolor("#DCEBF5" if len(layer.shape) == 3 else "#F7EBD3")  # maps in blue, vectors in sand
        axis.add_patch(box)
        head = f"{layer.stage}: " if layer.stage != stage else ""
        axis.text(x + 0.04, y, head + layer.text, fontsize=5.5, va="center")
        axis.text(x + 0.95, y, shape_text(layer.shape), fontsize=6, ha="right", va="center")
        stage = layer.stage
        y += 1
    return y


def _input(player: Network) -> str:
    return "image" if len(player.shape) == 3 and player.shape[0] == 3 else "Z"


def _merged(steps: Sequence[Layer]) -> list[Layer]:
    """Equal steps that follow one another as one, with their number."""
    found: list[tuple[Layer, int]] = []
    for step in steps:
        if found and found[-1][0] == step:
            found[-1] = (step, found[-1][1] + 1)
        else:
            found.append((step, 1))
    return [replace(step, text=f"{n} × {step.text}") if n > 1 else step for step, n in found]
