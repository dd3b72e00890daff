"""The game of Figure 2: (a) the adversary learns on X2 by (5) while Enc is fixed; (b) Enc and f learn on X1 by (9) while Dec is fixed.

Where the defence is another one than the paper's, (b) minimises its objective, and (a) is left out where it simulates no adversary.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from arl.adversary import Adversary, Distance
from arl.defences.base import Batch, Defence
from arl.models import cut
from arl.parallel import team
from arl.training import (
    Epoch,
    Fixed,
    Journal,
    Parts,
    TrainingError,
    adam,
    descend,
    epochs,
    initialised,
    learning,
    one_cycle,
)


class Feed(NamedTuple):
    """What the players learn from, an iterator an epoch."""

    private: Callable[[int], Iterator[tuple[Tensor, Tensor]]]  # X1: images (B, 3, S, S) and labels (B, A)
    steps: int  # batches of X1 an epoch
    public: Callable[[int], Iterator[Tensor]]  # X2: images, without end


class TrainingSchedule(NamedTuple):
    """`epochs` in all, at a rate that rises to `lr` and falls in one cycle; `seed` of what draws noise.

    With `lr_again` there are two cycles, the first over the `warm` epochs, the second, up to that rate, over the others.
    """

    epochs: int
    lr: float
    seed: int
    weight_decay: float = 1e-4
    lr_again: float = 0.0
    warm: int = 0

    def rate(self, done: float) -> float:
        """The learning rate when `done` epochs are over."""
        if not self.lr_again:
            return self.lr * one_cycle(done / self.epochs)
        if done < self.warm:
            return self.lr * one_cycle(done / self.warm)
        return self.lr_again * one_cycle((done - self.warm) / (self.epochs - self.warm))


class Halves(NamedTuple):
    """f∘Enc in two: what stays on the device, and what the service does."""

    net: nn.Sequential  # f∘Enc whole
    sent: nn.Module  # images to what leaves the device: Enc, and what a defence puts behind it
    added: nn.Sequential  # the latter alone; empty for none
    classifier: nn.Sequential  # f: logits

    @property
    def predict(self) -> nn.Sequential:
        """Images to logits, as they are used."""
        return nn.Sequential(self.sent, self.classifier)

    @property
    def parts(self) -> Parts:
        """What is kept of them."""
        return {"net": self.net} | ({"sent": self.added} if len(self.added.state_dict()) else {})


def halves(net: nn.Sequential, layer: str, defence: Defence) -> Halves:
    """`net` = f∘Enc cut at `layer`, with what `defence` puts behind Enc."""
    encoder, classifier = cut(net, layer)
    sent = defence.wrap(encoder)
    if sent is encoder:
        return Halves(net, encoder, nn.Sequential(), classifier)
    if not isinstance(sent, nn.Sequential) or sent[0] is not encoder:
        found = f"{type(defence).__name__}.wrap: found {type(sent).__name__}"
        raise TypeError(f"{found}, accepted: the encoder itself, or nn.Sequential(encoder, ...)")
    return Halves(net, sent, sent[1:], classifier)


def protect(
    model: Halves,
    defence: Defence,
    adversary: Adversary | None,
    feed: Feed,
    schedule: TrainingSchedule,
    journal: Journal,
    *,
    perceptual: Distance | None = None,
    watch: Callable[[nn.Module], dict[str, float]] = lambda predict: {},
    until: int | None = None,
) -> None:
    """Train `model`, in place, to the schedule's end or to epoch `until`.

    `watch` is asked after each epoch, with images to logits as they are used, for figures to log. Raises `TrainingError`.
    """
    optimiser = adam(nn.Sequential(model.net, model.added), weight_decay=schedule.weight_decay)
    parts = {**model.parts, "net_adam": optimiser}
    if adversary is not None:
        parts |= {"decoder": adversary.net, "decoder_adam": adversary.optimiser, **adversary.rivals}
    steps, rate = defence.pace if adversary is not None else (0, 0.0)

    for epoch in epochs(journal, parts, until or schedule.epochs):
        model.net.train(), model.added.train()
        # listed now: where several devices train, the first epoch's beginning has put other norms in place
        protector_stands, adversary_stands = Fixed(model.net, model.added), Fixed(*([adversary] if steps else []))
        public = feed.public(epoch.number)
        with initialised(schedule.seed, 5, epoch.number, *team().seeds):  # resuming draws the same noise
            for step, (x, y) in enumerate(feed.private(epoch.number)):
                lr = schedule.rate(epoch.number - 1 + step / feed.steps)

                for _ in range(steps):  # (a) the simulated adversary, equations (5) and (3), on public data; Enc fixed
                    v = next(public)
                    with learning(v.device), protector_stands, torch.no_grad():
                        z = model.sent(v)
                    lost = adversary.learn(z, v, rate)
                    epoch.add(adversary=lost.pop("attack"), **lost)

                with learning(x.device), adversary_stands:  # (b) the protector, equation (9); Dec fixed
                    z = model.sent(x)
                    batch = Batch(x, y, z, model.classifier(z), adversary(z) if steps else None, perceptual)
                    protector = defence.objective(batch)
                descend(protector, optimiser, lr)
                epoch.add(**batch.seen, feature_scale=team().std(z.detach().float()))

            _check(epoch, f"{defence.describe()}, lr={schedule.lr:g}")
            epoch.note(**watch(model.predict.eval()))


def _check(epoch: Epoch, setting: str) -> None:
    """Stop, with advice, where going on makes no sense."""
    means = epoch.means()
    if not all(map(math.isfinite, means.values())):
        raise TrainingError(f"training: a loss is no longer finite ({setting}); try half the lr, or a smaller weight")
    if not 1e-6 < (scale := means["feature_scale"]) < 1e6:
        found = f"training: the features' scale is {scale:.1e} ({setting}), accepted: 1e-6 to 1e6"
        raise TrainingError(f"{found}; try half the lr, or a smaller weight")
