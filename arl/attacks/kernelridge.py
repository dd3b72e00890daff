"""Kernel ridge regression from Z to the picture: the best smooth reader, in closed form."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.parameters import Number
from arl.plateau import Fitted, everything, validation
from arl.training import Journal, generator

CENTRES, FEW, PIXELS = 2000, 400, 256  # that f stands on; that the width is chosen with; that choices look at
ROWS = 8192  # images that are worked on at once
WIDTHS, PENALTIES = (
    (0.25, 0.5, 1.0, 2.0, 4.0, 16.0),
    [10.0**power for power in range(-8, 1)],
)  # times the median distance; n


class KernelRidge(Attack):
    """argmin E‖f(Z) + b − X‖² + γ ‖f‖², f spanned by Gaussians; their width (times the median distance) and γ chosen on held-out X2.

    Exact for up to `centres` images. With more, all are learned from and f stands on `centres` of them (Nyström; Williams and Seeger,
    2001): more images are then less noise, and more centres a finer f. Images are worked on 8 192 at a time: 64 000 of 48 pixels take
    4 GB, nearly all of it the images. Keeps the features and the weighted pictures of the centres.
    """

    centres: Annotated[int, Number, Field(ge=1, le=20_000)] = Field(
        CENTRES, title="m", description="images that f stands on, drawn from those it learns from"
    )

    @property
    def cost(self) -> float:
        return 0.5

    def spec(self) -> dict[str, Any]:
        whole = super().spec()
        return whole if self.centres != CENTRES else {name: v for name, v in whole.items() if name != "centres"}

    def describe(self) -> str:
        return super().describe() if self.centres != CENTRES else self.name()

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Gaussians(torch.Size(shapes.z).numel(), shapes.image, shapes.images))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        device = player.net.bias.device  # not every device has double precision
        z, x, z_held, x_held = (t.cpu() for b in (public.train, public.held_out) for t in everything(b))
        offset, shuffled = x.mean(0), generator(self.stream())
        centres = z[torch.randperm(len(z), generator=shuffled)[: self.centres]]
        some = torch.randperm(x.shape[1], generator=shuffled)[:PIXELS]
        median = torch.cdist(centres, centres).median().clamp(min=1e-12)  # 0 where Z says nothing
        few, seen, held = centres[:FEW], x[:, some] - offset[some], x_held[:, some] - offset[some]
        found = []
        for w in WIDTHS:
            basis = Basis(few, w * median)
            found.append((_choose(basis, *_sums(basis, z, seen), len(z), z_held, held)[0], w))
        basis = Basis(centres, min(found)[1] * median)
        gram, right = _sums(basis, z, x, offset)
        _, gamma = _choose(basis, gram, right[:, some], len(z), z_held, held)
        inner = _solve(gram, right, gamma)
        weight = torch.linalg.solve_triangular(basis.factor.T, inner, upper=True)
        player.net = Gaussians(z.shape[1], player.net.image, len(centres)).to(device)
        player.net.load_state_dict({"centres": centres, "weight": weight, "bias": offset, "reach": basis.reach})
        said = {"images": len(centres), "width": min(found)[1], "gamma": gamma / len(z)}
        return {"epoch": 1, "plateau": True, "validation": validation(player, player.net, public.held_out), **said}


def _sums(basis: "Basis", z: Tensor, x: Tensor, offset: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """The Gram matrix of the functions of `z` (n, D), and their products with x − offset (n, m), some rows at a time."""
    gram = right = None
    for rows, pixels in zip(z.split(ROWS), x.split(ROWS), strict=True):
        phi = basis(rows)
        own, product = phi.T @ phi, phi.T @ (pixels - offset).double()
        gram, right = (own, product) if gram is None else (gram.add_(own), right.add_(product))
    return gram, right


def _choose(
    basis: "Basis", gram: Tensor, right: Tensor, images: int, z_held: Tensor, x_held: Tensor
) -> tuple[float, float]:
    """The least held-out error, over the pixels of `right` and `x_held`, and the γ that has it."""
    seen, gammas = basis(z_held), [penalty * images for penalty in PENALTIES]
    return min(((seen @ _solve(gram, right, gamma) - x_held).square().mean().item(), gamma) for gamma in gammas)


def _solve(gram: Tensor, right: Tensor, penalty: float) -> Tensor:
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram + penalty * torch.eye(len(gram)).to(gram)))


def _kernel(z: Tensor, centres: Tensor, reach: Tensor) -> Tensor:
    """exp(−‖z − centre‖² / 2 reach²), in the precision of `centres`; some rows at a time."""
    near = [torch.cdist(rows.to(centres), centres) for rows in z.split(1024)]
    return torch.exp(-0.5 * (torch.cat(near) / reach).square())


class Basis:
    """Z (n, D) to functions (n, centres) of norm one, at right angles to one another, that span the Gaussians on `centres`."""

    def __init__(self, centres: Tensor, reach: Tensor):
        self.centres, self.reach = centres.double(), reach
        kernel = _kernel(centres, self.centres, reach)
        self.factor = torch.linalg.cholesky(kernel + 1e-8 * torch.eye(len(centres)))

    def __call__(self, z: Tensor) -> Tensor:
        kernel = _kernel(z, self.centres, self.reach)
        return torch.linalg.solve_triangular(self.factor, kernel.T, upper=False).T


class Gaussians(nn.Module):
    """Z (B, ...) to Σ weight · exp(−‖Z − centre‖² / 2 reach²) + bias, as an image (B, 3, S, S) in [0, 1]."""

    def __init__(self, inputs: int, image: int, centres: int):
        super().__init__()
        self.image, pixels = image, 3 * image * image
        self.register_buffer("centres", torch.zeros(centres, inputs))
        self.register_buffer("weight", torch.zeros(centres, pixels, dtype=torch.float64))  # large, of either sign
        self.register_buffer("bias", torch.zeros(pixels))
        self.register_buffer("reach", torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        centres = self.centres if z.device.type == "mps" else self.centres.double()
        x = _kernel(z.flatten(1), centres, self.reach).to(self.weight) @ self.weight + self.bias
        x = x.float()
        return x.clamp(0, 1).unflatten(1, (3, self.image, self.image))
