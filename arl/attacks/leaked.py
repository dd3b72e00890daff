"""The weak end: ridge regression from a few leaked pairs of a picture and its Z."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.ridge import Linear
from arl.parameters import Count
from arl.plateau import Fitted, everything, validation
from arl.training import Journal

FROM_STRONG = [
    10.0**power for power in range(3, -9, -1)
]  # penalties beside the mean square of the pairs' singular values
WORTH = 1e-3  # of the error: a weaker penalty has to be better by that


class Leaked(Attack):
    """It owns X2's pictures and X2's features, but of `pairs` alone it knows which belong together (few pairs: ALGEN, ACL 2025).

    X̂ = W (Z − mean) + mean picture; W is the pairs' pseudo-inverse, or ridge where leaving one pair out says so. Exact where pictures are
    linear in Z and pairs are more than Z's numbers; one pair says nothing but the mean. Fewer pairs are the first of more.
    """

    pairs: Count = Field(100, description="leaked pairs of a picture and its features; all, where X2 has fewer")

    @property
    def cost(self) -> float:
        return 0.1

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Linear(torch.Size(shapes.z).numel(), shapes.image))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        z, x = everything(public.train)
        known = min(self.pairs, len(z))
        own = 2 * known > len(z)  # the pairs are most of it: without one of them its mean would tell of that one
        at, offset = (t[: known if own else None].mean(0) for t in (z, x))
        centred = ((t[:known] - mean).cpu().double() for t, mean in ((z, at), (x, offset)))
        weight, penalty = left_out(*centred, own)
        player.net.weight.copy_(weight)
        player.net.bias.copy_(offset - player.net.weight @ at)
        error = validation(player, player.net, public.held_out)
        return {"epoch": 1, "plateau": True, "validation": error, "pairs": known, "gamma": penalty}


def left_out(z: Tensor, x: Tensor, own: bool) -> tuple[Tensor, float]:
    """W (m, D) of ridge from (n, D) to (n, m), and its penalty: that with the least error on each pair, learned from the others.

    Without pair i the error is its residual over 1 − h, h the i-th number on the diagonal of the matrix that makes X̂ of X; `own`: both
    are centred by their own means, which are left out as well.
    """
    u, s, v = torch.linalg.svd(z, full_matrices=False)
    inner, least, found = u.T @ x, torch.inf, (torch.zeros(x.shape[1], z.shape[1]).to(z), 0.0)
    for penalty in FROM_STRONG:
        gamma = penalty * s.square().mean().clamp(min=1e-30)
        shrunk = s.square() / (s.square() + gamma)
        others = (1 - own / len(z) - u.square() @ shrunk).clamp(min=1e-12)
        residual = (x - u @ (shrunk[:, None] * inner)) / others[:, None]
        error = residual.square().mean().item()
        if error < (1 - WORTH) * least:
            least, found = error, ((inner.T * (s / (s.square() + gamma))) @ v, penalty)
    return found
