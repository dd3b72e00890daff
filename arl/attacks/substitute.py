"""The weak end without any pair: an encoder of the attacker's own, a decoder of that one's features, and what turns Z into these."""

from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from arl import losses
from arl.adversary import Distance
from arl.attacks.base import Attack, Batches, Public, Schedule, Shapes
from arl.attacks.kernelridge import Gaussians, KernelRidge
from arl.attacks.whitened import Whitening
from arl.messages import ConfigError
from arl.plateau import Fitted, Learner, everything, to_plateau, validation
from arl.training import Journal, precision

DIRECTIONS = (2, 4, 8, 16, 32, 64)  # how many may be kept of those that the answers name
ROUNDS = 50  # of matching channels
LEVELS = 64  # at which the distributions of two channels are compared
ROWS_COMPARED = 20_000  # places of maps that channels are compared on
ENOUGH = (
    4 / 3
)  # times the least disagreement: what may be kept of fewer directions, as each one more may be a wrong one
SMOOTHING = 1e-2  # of the readers of answers, beside the variance of what they read
SMALL_VARIANCE = 1e-6  # below which, beside the mean one, a direction is noise


class Substitute(Attack):
    """No pair and no query: it sees Z of some people, and owns pictures and labels of others (a third and two thirds of X2's images).

    It trains an encoder of the same kind for the same labels, and kernel ridge from that one's features to the pictures. Z is turned into
    such features by what needs no pairs: `moments`, each channel's mean and deviation; `channels`, the channels renamed and with other
    signs so that distributions and correlations agree; `answers`, the directions along which both vary with the answers of their f
    (Procrustes on whitened features), if f is public. That one is taken from whose result the answers follow as from its own features,
    on a half of Z that did not choose it; without f, whose third moments agree. By how much they do, the picture leaves the mean face.
    (FORA, CVPR 2024, without pairs too, trains its encoder towards Z.)
    """

    unpaired: ClassVar[bool] = True
    classifier: Literal["public", "secret"] = Field("public", description="whether it has f, and so the answers to Z")

    @property
    def cost(self) -> float:
        return 1.0

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "WithItsOwn":
        return WithItsOwn(shapes)

    def train(self, player: "WithItsOwn", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        shapes, said = player.shapes, to_plateau(player.own, public.task, schedule, journal)
        known = self.classifier == "public" and public.answers is not None
        own, x = player.look(public.task.train)
        held, x_held = player.look(public.task.held_out)
        z = everything(public.train)[0].unflatten(1, shapes.z)  # their pictures are left unread
        seen = Observed(z, public.answers(z) if known else None).on_cpu()
        name, mine, theirs, share = chosen_alignment(own if known else own._replace(answers=None), seen)
        device, numel = x.device, torch.Size(shapes.z).numel()
        pairs = [(mine(each.z).to(device), pictures) for each, pictures in ((own, x), (held, x_held))]
        decoder = Fitted(Gaussians(numel, shapes.image, 0)).to(device)
        own_pairs = Public(lambda epoch: iter(pairs[:1]), 1, lambda epoch: iter(pairs[1:]))
        smooth = KernelRidge().train(decoder, own_pairs, schedule, journal)
        net = player.net = AlignedPicture(shapes._replace(images=smooth["images"])).to(device)
        net.decoder.load_state_dict(decoder.net.state_dict())
        net.aligned.load_state_dict({"mean": theirs.mean, "turn": theirs.turn})
        net.share.fill_(share)
        told = {"alignment": name, "share": share, "images": smooth["images"]}
        return {**said, "validation": validation(player, net, public.held_out), **told}


class WithItsOwn(Fitted):
    """`own`: f∘Enc of the attacker's own, before it has learned; `net`: Z to pictures."""

    def __init__(self, shapes: Shapes):
        from arl import models

        super().__init__(AlignedPicture(shapes))
        self.shapes = shapes
        net = models.backbone(shapes.labels, shapes.encoder, shapes.width)
        found = models.tap_shape(models.cut(net, shapes.layer)[0], shapes.image)
        if found != shapes.z:
            raise ConfigError(f"attacks: found substitute with Z of {shapes.z}, accepted: {found}, as its own encoder")
        self.own = Learner(net, losses.utility_loss)

    @torch.no_grad()
    def look(self, pictures: Batches) -> tuple["Observed", Tensor]:
        """Its own features of a pass over pictures and its own answers, on the CPU; and the pictures."""
        from arl import models

        encoder, head = models.cut(self.own.net.eval(), self.shapes.layer)
        found = []
        for x, _ in pictures(0):
            with precision(x.device):
                z = encoder(x).float()
                found.append((z, head(z).float(), x))
        z, answers, x = (torch.cat(each) for each in zip(*found, strict=True))
        return Observed(z, answers).on_cpu(), x


class AlignedPicture(nn.Module):
    """Z (B, ...) turned into the attacker's own features, and its picture of these, to `share`, beside the mean one."""

    def __init__(self, shapes: Shapes):
        super().__init__()
        self.aligned = Whitening(shapes.z[0])
        self.decoder = Gaussians(torch.Size(shapes.z).numel(), shapes.image, shapes.images)
        self.register_buffer("share", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        x = self.decoder(self.aligned(z))
        return self.decoder.bias.unflatten(0, x.shape[1:]).lerp(x, self.share)


# -- two spaces of features, and nothing that belongs to two of their points ---------------------------------------------


class Observed(NamedTuple):
    """Features of one encoder, (n, C) or (n, C, h, w), and what its f answers to them, (n, A), where that is known."""

    z: Tensor
    answers: Tensor | None = None

    def on_cpu(self) -> "Observed":
        return Observed(*(None if t is None else t.cpu().double() for t in self))

    def half(self, which: int) -> "Observed":
        return Observed(*(None if t is None else t[which::2] for t in self))


class Turned(NamedTuple):
    """Z to (Z − mean) turned, channel by channel: mean (C,), turn (C, C)."""

    mean: Tensor
    turn: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        return ((z.movedim(1, -1) - self.mean) @ self.turn).movedim(-1, 1)


Alignment = tuple[Turned, Turned]  # of one's own features and of those observed, to where they are alike


def chosen_alignment(own: Observed, seen: Observed) -> tuple[str, Turned, Turned, float]:
    """Its name, what it does to own and to observed features, and the share of the picture that it is worth, in [0, 1].

    Fitted on one half of what is observed, judged on the other, and fitted again on all.
    """
    judged = {name: agreed(own, seen.half(1), *each) for name, each in alignments(own, seen.half(0)).items()}
    least = min(left for left, _ in judged.values())
    best = next(name for name, (left, _) in judged.items() if left <= ENOUGH * least)
    return best, *alignments(own, seen)[best], judged[best][1]


def alignments(own: Observed, seen: Observed) -> dict[str, Alignment]:
    """By name, every one that is tried, those that claim least first."""
    mine, theirs = scaled(own.z), scaled(seen.z)
    order, sign = same_channels(_rows(mine(own.z)), _rows(theirs(seen.z)))
    found = {"moments": (mine, theirs), "channels": (mine, Turned(theirs.mean, theirs.turn[:, order] * sign))}
    return found | (by_answers(own, seen) if seen.answers is not None else {})


def scaled(z: Tensor) -> Turned:
    """Each channel less its mean, by its deviation; 0 where it does not vary."""
    rows = z.movedim(1, -1).flatten(0, -2)
    std = rows.std(0, correction=0)
    return Turned(rows.mean(0), torch.where(std > 1e-6, 1 / std.clamp(min=1e-6), 0.0).diag())


def by_answers(own: Observed, seen: Observed) -> dict[str, Alignment]:
    """The directions of both whitened spaces along which they vary most with the same answers, by how many are kept.

    With C the (channels, A) covariances of whitened features and standardised answers, C_own C_seenᵀ = U S Vᵀ: Uᵀ and Vᵀ turn them.
    """
    maps, crossed = [], []
    for z, answers in (own, seen):
        whitening = Whitening(z.shape[1]).double()
        whitening.fit(lambda epoch, z=z: iter([(z, None)]), SMALL_VARIANCE)
        maps.append(Turned(whitening.mean, whitening.turn))
        crossed.append(_correlated(_pooled(maps[-1](z)), scaled(answers)(answers)))
    u, _, v = torch.linalg.svd(crossed[0] @ crossed[1].T)
    found = {}
    for kept in DIRECTIONS:
        if kept <= min(crossed[0].shape):
            few = [nn.functional.pad(t[:, :kept], (0, len(t) - kept)) for t in (u, v.T)]
            found[f"answers {kept}"] = tuple(Turned(m.mean, m.turn @ t) for m, t in zip(maps, few, strict=True))
    return found


def agreed(own: Observed, seen: Observed, mine: Turned, theirs: Turned) -> tuple[float, float]:
    """What is left, in [0, 1], of a guess about the features observed, and how much of the guess is right, in [0, 1].

    Guessed are the standardised answers, linearly as one's own follow from one's own features; right is the share of it with the least
    error, times what that explains beside what one's own features explain. Where answers are not known, it is how each channel's square
    goes with the other channels, which matched none of them.
    """
    p, q, most = mine(own.z), theirs(seen.z), 1.0
    if seen.answers is None:
        guess, truth = (_correlated(rows.square(), rows).fill_diagonal_(0) for rows in map(_rows, (p, q)))
    else:
        p, q = _pooled(p), _pooled(q)
        own_answers, truth = (scaled(t)(t) for t in (own.answers, seen.answers))
        gram = _correlated(p, p)
        gram += SMOOTHING * gram.trace() / len(gram) * torch.eye(len(gram)).to(p)
        reader = torch.linalg.solve(gram, _correlated(p, own_answers))
        guess, most = q @ reader, 1 - _left(own_answers, p @ reader)
    share = ((guess * truth).sum() / guess.square().sum().clamp(min=1e-12)).clamp(0, 1).item()
    left = _left(truth, share * guess)
    return left, share * min(1.0, (1 - left) / max(most, 1e-6))


def _left(truth: Tensor, guess: Tensor) -> float:
    """The square of the error beside that of the truth; 1 where both are 0."""
    return (((truth - guess).square().sum() + 1e-12) / (truth.square().sum() + 1e-12)).item()


def same_channels(own: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """From channels of variance one, (n, C) and (m, C), which of `seen` is each of `own`, (C,), and its sign: `seen[:, order] * sign`.

    First by their distributions and by how strongly each goes with any other; then again and again by its correlations with those matched.
    """
    levels = torch.linspace(0.5, LEVELS - 0.5, LEVELS).to(own) / LEVELS
    mine, theirs = (torch.quantile(t, levels, 0).T for t in (own, seen))  # (C, LEVELS)
    alone = torch.stack([torch.cdist(mine, each).square() / LEVELS for each in (theirs, -theirs.flip(1))])
    r, s = _correlated(own, own), _correlated(seen, seen)
    strength = torch.cdist(*(t.abs().sort(1).values for t in (r, s))).square()
    order, sign = _assigned(alone + strength)
    for _ in range(ROUNDS):
        known = s[:, order] * sign  # of each channel observed with those that are matched
        with_them = torch.stack(
            [torch.cdist(r, known * way).square() - (1 - known.T * way).square() for way in (1, -1)]
        )
        before, (order, sign) = (order, sign), _assigned(alone + with_them)
        if torch.equal(order, before[0]) and torch.equal(sign, before[1]):
            break
    return order, sign


def _assigned(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The cheapest matching of (own, observed), and signs, for `costs` (2, C, C) with and against the sign."""
    order = torch.from_numpy(linear_sum_assignment(costs.amin(0).numpy())[1])
    along, against = costs[:, torch.arange(len(order)), order]
    return order, torch.where(along <= against, 1.0, -1.0).to(costs)


def _correlated(a: Tensor, b: Tensor) -> Tensor:
    """The mean products of rows (n, C) and (n, D), (C, D)."""
    return a.T @ b / len(a)


def _rows(z: Tensor) -> Tensor:
    """(n, C), or the places of maps."""
    rows = z.movedim(1, -1).flatten(0, -2)
    return rows[:: -(-len(rows) // ROWS_COMPARED)]


def _pooled(z: Tensor) -> Tensor:
    """(n, C): of maps the mean over their places."""
    return z.flatten(2).mean(2) if z.ndim > 2 else z
