"""White-box: a decoder's picture, moved until the frozen encoder makes of it the Z that was seen."""

from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Player, Public, Schedule, Shapes
from arl.attacks.whitened import Whitening
from arl.parameters import Count, named
from arl.plateau import Fitted, everything
from arl.training import Journal, initialised
from arl.whitebox import Variation, descend_rows

SHRINKAGES = (1e-6, 1e-3, 1.0)  # tried: variance beside Z's mean below which a direction of Z counts for less
PRIORS = (0.01, 0.1, 1.0)  # tried: the prior's weight
STEPS_TRIED = (0, 1, 4, 16, 32, 64, 128, 256, 512)
FEW_HELD, TRIED = 64, 32  # held-out images that weights are chosen with, and steps at most
MANY = 1024  # that the number of steps is chosen with


class Refined(Attack):
    """X̂ = start(Z) + δ, where δ has the least ½ ‖Enc(X̂) − Z‖² + ½ w ‖δ‖², both in deviations: Z whitened as X2's, δ in X2's own directions.

    He et al. (ACSAC 2019) begin at grey and keep to smooth pictures (total variation); here the prior is the distance from what a decoder
    made, measured by how pictures of X2 vary. How quiet directions of Z count, w, whether pixels move alone beside the 256 directions, and
    the number of steps are chosen on held-out X2; none at all is among them, so there it is never worse than its start.
    """

    white_box: ClassVar[bool] = True
    start: Literal["kernelridge", "decoder", "whitened", "ensemble", "identity"] = Field(
        "kernelridge", description="attacker whose picture is refined"
    )
    steps: Count = Field(64, description="down the encoder's gradient, at most")

    @property
    def cost(self) -> float:
        """Of a small encoder: each step is once forwards and back through it, for each picture of T too."""
        return self.begins.cost + 0.3 + 0.5 * self.steps / 64

    @property
    def begins(self) -> Attack:
        return named(Attack, self.start)()

    @property
    def own_recogniser(self) -> bool:
        return self.begins.own_recogniser

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "Refiner":
        return Refiner(self.begins.player(shapes, perceptual), shapes)

    def train(self, player: "Refiner", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        state = self.begins.train(player.start, public, schedule, journal)
        x, x_held = everything(public.train)[1], everything(public.held_out)[1]
        net = player.net = Moved(player.start.net.eval(), player.shapes).to(x.device)
        net.vary.fit(x, x_held, self.stream())
        return state | choose_way(net, public, self.steps, self.stream())


class Refiner(Fitted):
    """The player that it starts from, what it is built for, and `net`, which refines."""

    def __init__(self, start: Player, shapes: Shapes):
        super().__init__(Moved(start.net, shapes))
        self.start, self.shapes = start, shapes


class Inverse(nn.Module):
    """Z (B, ...) to a picture (B, 3, S, S) in [0, 1] that the encoder makes Z of; `begin` says where the way there begins."""

    def __init__(self, shapes: Shapes):
        super().__init__()
        self.vary, self.whiten = Variation(shapes.image), Whitening(shapes.z[0])
        self.register_buffer("weight", torch.ones(()))  # of the prior
        self.register_buffer("pixels", torch.tensor(False))  # whether each pixel moves alone beside the directions
        self.register_buffer("steps", torch.tensor(0))
        self.encode = shapes.opened  # no module, so not kept

    def begin(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """A picture (B, 3, S, S), and coordinates (B, k) of how another differs from it."""
        raise NotImplementedError

    @torch.compiler.disable
    @torch.no_grad()
    def after(self, z: Tensor, marks: Sequence[int]) -> list[Tensor]:
        """The pictures after each of `marks` numbers of steps, which rise."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            at, u = self.begin(z)
            if self.pixels:
                u = torch.cat([u, torch.zeros_like(at).flatten(1)], 1)
            wanted = self.whiten(z).flatten(1)

            def loss(u: Tensor) -> Tensor:
                apart = self.whiten(self.encode(at + self.vary(u))).flatten(1) - wanted
                return 0.5 * (apart.square().sum(1) + self.weight * u.square().sum(1))

            way = descend_rows(loss, u, marks[-1]) if marks[-1] else [u]
            return [(at + self.vary(u)).clamp(0, 1) for step, u in enumerate(way) if step in marks]

    def forward(self, z: Tensor) -> Tensor:
        return self.after(z, [int(self.steps)])[0]


class Moved(Inverse):
    """Begins at the picture that `start` makes."""

    def __init__(self, start: nn.Module, shapes: Shapes):
        super().__init__(shapes)
        self.start = start

    def begin(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.start(z).float(), z.new_zeros(len(z), self.vary.directions)


def choose_way(net: Inverse, public: Public, most: int, stream: int) -> dict[str, Any]:
    """Let `net` have the choices, up to `most` steps, with the least error on held-out X2; what they are, and the error.

    How quiet directions count and the prior's weight, then whether pixels move, by some held-out images and a few steps; then the steps, by
    all images up to 1 024. Of those that tie the first, as no step at all.
    """
    pairs = list(public.held_out(0))
    z, x = torch.cat([z for z, _ in pairs]), torch.cat([x for _, x in pairs])
    marks = [*(mark for mark in STEPS_TRIED if mark < most), most]
    few = [mark for mark in marks if mark <= TRIED]

    def errors(images: int, marks: list[int]) -> list[float]:
        apart = slice(None, None, -(-len(z) // images))
        with initialised(stream):  # of an encoder that is noisy
            made = zip(*(net.after(rows, marks) for rows in z[apart].split(256)), strict=True)
        return [(torch.cat(each) - x[apart]).square().mean().item() for each in made]

    whitenings = {shrinkage: Whitening(len(net.whiten.mean)).to(z.device) for shrinkage in SHRINKAGES}
    for shrinkage, each in whitenings.items():
        each.fit(public.train, shrinkage)

    def take(shrinkage: float, weight: float, pixels: bool) -> None:
        net.whiten.load_state_dict(whitenings[shrinkage].state_dict())
        net.weight.fill_(weight)
        net.pixels.fill_(pixels)

    def of(way: tuple[float, float, bool]) -> float:
        take(*way)
        return min(errors(FEW_HELD, few))

    found = {way: of(way) for way in product(SHRINKAGES, PRIORS, [False])}
    best = min(found, key=found.get)
    wide = (*best[:2], True)
    best = wide if of(wide) < found[best] else best
    take(*best)
    whole = errors(MANY, marks)
    net.steps.fill_(marks[whole.index(min(whole))])
    said = dict(zip(("shrinkage", "prior", "pixels"), best, strict=True))
    return {"validation": min(whole), "unrefined": whole[0], "steps": int(net.steps), **said}
