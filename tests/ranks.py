"""What test_parallel.py lets two processes do: `ARL_DEVICES=2 python tests/ranks.py FILE` trains each case, writes FILE.0 and FILE.1.

`python tests/ranks.py FILE ALONE` trains a stored row in double precision, by one process in the store ALONE, by both in `$ARL_RUNS`.
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch

from arl import devices, models, parallel, protect
from arl.attacks import Public, Schedule, Shapes
from arl.attacks.decoder import Decoder
from arl.attacks.features import Features
from arl.config import RunConfig
from arl.data.augment import crops
from arl.defences.adversarial import Adversarial
from arl.experiment import Experiment
from arl.training import generator, initialised

SIZE, BATCH, STEPS, LABELS = 32, 8, 3, 4
# By case: the type of the numbers, and what of `arl.parallel` is out of work.
CASES = {
    "float64": (torch.float64, None),
    "float32": (torch.float32, None),
    "each its own BatchNorm": (torch.float64, "normalise_together"),
    "each its own gradient": (torch.float64, "Team.average"),
}


class Lines:
    """A journal that holds what would be written down."""

    def __init__(self):
        self.lines = []

    def restore(self, parts):
        self.parts = parts
        return {}

    def keep(self, parts, line, **state):
        self.lines.append(line)


def pictures(*seeds, dtype):
    return torch.rand(BATCH, 3, SIZE, SIZE, generator=generator(*seeds)).to(dtype)


def mine(x):
    return parallel.team().share(x)


def perceptual(a, b):
    return (torch.nn.functional.avg_pool2d(a, 4) - torch.nn.functional.avg_pool2d(b, 4)).square().mean()


def game(dtype, epochs=2):
    """`protect`: Enc, f, Dec and D, one batch drawn, turned and shared a step. What is kept of it, and what is logged."""
    defence = Adversarial(lambda1=1, lambda2=0.5, simulated_mu1=0.1, simulated_mu2=0.5)
    with initialised(parallel.team().rank):  # each begins elsewhere: all go on from the first one's weights
        model = protect.halves(models.backbone(LABELS, "small", 8).to(dtype), "fc", defence)
        player = defence.simulated.player(Shapes((64,), SIZE, 8, 0, LABELS), perceptual).to(dtype)

    def private(epoch):
        for step in range(STEPS):
            x = pictures(epoch, step, dtype=dtype)
            y = (torch.rand(BATCH, LABELS, generator=generator(epoch, step, 1)) < 0.5).to(dtype)
            yield crops(mine(x), generator(epoch, step, 2)), mine(y)

    def public(epoch):
        for step in range(STEPS * defence.pace[0]):
            yield mine(pictures(epoch, step, 3, dtype=dtype))

    journal = Lines()
    feed = protect.Feed(private, STEPS, public)
    schedule = protect.TrainingSchedule(epochs, 1e-3, 0)
    protect.protect(model, defence, player, feed, schedule, journal, perceptual=perceptual)
    return kept(journal)


def attack(player, target, dtype):
    """`to_plateau` on Z, a batch shared a step."""

    def train(epoch):
        for step in range(STEPS):
            z = torch.randn(BATCH, 6, generator=generator(epoch, step, 4)).to(dtype)
            yield mine(z), mine(target(z, epoch, step))

    def held_out(epoch):
        z = torch.randn(BATCH, 6, generator=generator(7)).to(dtype)
        yield z, target(z, 0, 9)

    journal = Lines()
    player[0].train(player[1].to(dtype), Public(train, STEPS, held_out), Schedule(2, 1e-3, 3), journal)
    return kept(journal)


def decoder(dtype):
    with initialised(parallel.team().rank, 1):
        of = Decoder(mu1=0.1, mu2=0.5)
        player = of.player(Shapes((6,), SIZE, 8, 0, LABELS), perceptual)
    return attack((of, player), lambda z, epoch, step: pictures(epoch, step, 5, dtype=dtype), dtype)


def features(dtype):
    with initialised(parallel.team().rank, 2):
        player = Features().player(Shapes((6,), SIZE, 8, 5, LABELS))
    return attack((Features(), player), lambda z, epoch, step: z[:, :5].tanh(), dtype)


def kept(journal):
    tensors = {}
    for name, part in journal.parts.items():
        if isinstance(part, torch.nn.Module):
            tensors |= {f"{name}/{key}": value.double() for key, value in part.state_dict().items()}
        else:
            for i, state in part.state_dict()["state"].items():
                tensors |= {f"{name}/{i}/{key}": value.double() for key, value in state.items()}
    return {"tensors": tensors, "lines": journal.lines}


def train(dtype):
    return {"game": game(dtype), "decoder": decoder(dtype), "features": features(dtype)}


# -- a stored row, from its faces on --------------------------------------------------------------------------------

GAME = {"lambda1": 1, "lambda2": 0.5, "simulated_mu1": 0.1, "mu1": 0.1, "augmentation": "crops"}


def stored():
    """By stage, what the runs of the row hold; C is drawn, for it learns alone."""
    of = Experiment(RunConfig.preset("tiny", **GAME))
    of.judge, of.judge_spec = SimpleNamespace(name="drawn"), {"kind": "drawn"}
    of._known_embeddings = lambda: torch.randn(len(of.data), 8, generator=generator(9))
    runs = {"warm": of.warm, "encoder": of.encoder} | {attack.name(): of.attack(attack) for attack in of.cfg.attacks}
    loaded = {name: run.load()[0] for name, run in runs.items()}
    wide = {name: {key: t.double() for key, t in tensors.items()} for name, tensors in loaded.items()}
    return {name: {"tensors": wide[name], "lines": run.metrics} for name, run in runs.items()}


def row(file, alone):
    """Everything that is made in single precision is made in double: a bug stays, and what rounding does is gone."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    devices.serve_if_called()
    with devices.started():
        with mock.patch("arl.parallel._waiting", None), mock.patch.dict(os.environ, ARL_RUNS=alone):
            found = {"one": stored()}
        found["two"] = stored()
    torch.save(found, file)


def main():
    if sys.argv[2:]:
        row(*sys.argv[1:])
        return
    torch.set_flush_denormal(True)
    team = devices._team()
    found = {}
    for case, (dtype, broken) in CASES.items():
        with ExitStack() as stack:
            if broken:
                stack.enter_context(mock.patch(f"arl.parallel.{broken}", lambda *given: None))
            stack.enter_context(parallel.working(team))
            found[case] = train(dtype)
    torch.save(found, Path(f"{sys.argv[1]}.{team.rank}"))


if __name__ == "__main__":
    main()
