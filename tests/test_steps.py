"""What a step must not do: wait for the device. And what lies on it."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from arl import feeds, plateau, protect, training
from arl.attacks import Attack, Public, Schedule, Shapes
from arl.config import RunConfig
from arl.data import batches, open_data, resident, split
from arl.defences.adversarial import Adversarial
from arl.defences.nopeek import NoPeek
from arl.models import backbone
from arl.parameters import named, names
from arl.training import Nowhere, initialised

TINY = RunConfig.preset("tiny")
WAITS = ("item", "cpu", "numpy", "tolist", "__float__", "__int__", "__bool__", "__index__")
Z, SIZE, LABELS, EMBEDDING, BATCH = (6,), 32, 4, 5, 8


class Waiting(TorchDispatchMode):
    """Counts what would make the host wait for a device: scalars that are read, and tensors that are fetched."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.count = Counter()
        for name in WAITS:
            self._watch(monkeypatch, name, getattr(torch.Tensor, name))

    def _watch(self, monkeypatch, name, own):
        def counting(tensor, *given, **more):
            self.count[name] += 1
            return own(tensor, *given, **more)

        monkeypatch.setattr(torch.Tensor, name, counting)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count["scalar"] += 1
        return func(*args, **(kwargs or {}))


def waits_of(monkeypatch, work):
    """What `work` waits for."""
    with monkeypatch.context() as patch, Waiting(patch) as waiting:
        work()
    return waiting.count


def of_an_epoch(monkeypatch, train, steps):
    """What one epoch more waits for, with so many steps: what comes before and after all epochs falls out."""
    few, more = (waits_of(monkeypatch, lambda n=n: train(n, steps)) for n in (1, 2))
    return {name: more[name] - few[name] for name in more | few}


def game(defence):
    def train(epochs, steps):
        with initialised(1):
            model = protect.halves(backbone(LABELS, "small", 8), "fc", defence)
            simulated = defence.simulated
            player = simulated.player(Shapes((64,), SIZE, 8, 0, LABELS), distance) if simulated else None
        x, y = torch.rand(BATCH, 3, SIZE, SIZE), torch.ones(BATCH, LABELS)
        feed = protect.Feed(lambda epoch: iter([(x, y)] * steps), steps, lambda epoch: iter([x] * 2 * steps))
        schedule = protect.TrainingSchedule(epochs, 1e-3, 0)
        protect.protect(model, defence, player, feed, schedule, Nowhere(), perceptual=distance)

    return train


def attacker(attack):
    target = {"image": (3, SIZE, SIZE), "embedding": (EMBEDDING,), "label": (LABELS,)}[attack.target]

    def train(epochs, steps):
        with initialised(2):
            player = attack.player(Shapes(Z, SIZE, 8, EMBEDDING, LABELS), distance)
            drawn = [(torch.randn(BATCH, *Z), torch.rand(BATCH, *target).round()) for _ in range(steps + 1)]
        public = Public(lambda epoch: iter(drawn[:-1]), steps, lambda epoch: iter(drawn[-1:]))
        attack.train(player, public, Schedule(epochs, 1e-3, 9), Nowhere())

    return train


def its_own_encoder(epochs, steps):
    """What `substitute` learns in steps."""
    with initialised(2):
        player = named(Attack, "substitute")().player(Shapes((64,), SIZE, 8, EMBEDDING, LABELS))
        drawn = [(torch.rand(BATCH, 3, SIZE, SIZE), torch.rand(BATCH, LABELS).round()) for _ in range(steps + 1)]
    task = Public(lambda epoch: iter(drawn[:-1]), steps, lambda epoch: iter(drawn[-1:]))
    plateau.to_plateau(player.own, task, Schedule(epochs, 1e-3, 9), Nowhere())


def distance(a, b):
    return (a - b).square().mean()


GAN = dict(simulated_mu1=0.1, simulated_mu2=1)
PLAYERS = {"λ1, λ2, D": game(Adversarial(lambda1=1, lambda2=1, **GAN)), "nopeek": game(NoPeek())}
LEARN = ("attention", "boosted", "ensemble", "features", "identity", "probemlp", "whitened", "widefeatures")
PLAYERS |= {name: attacker(named(Attack, name)()) for name in LEARN}
PLAYERS |= {"substitute": its_own_encoder, "decoder, D": attacker(named(Attack, "decoder")(mu1=0.1, mu2=1))}


@pytest.mark.parametrize("player", PLAYERS)
def test_a_step_waits_for_nothing(monkeypatch, player):
    """An epoch of many steps reads as many scalars as one of few: its means, and a validation loss."""
    few, many = (of_an_epoch(monkeypatch, PLAYERS[player], steps) for steps in (3, 5))
    assert few == many and few["item"] > 0


@pytest.mark.parametrize("wait", [lambda t: t.item(), lambda t: t.cpu(), lambda t: bool(t > 0), lambda t: t.tolist()])
@pytest.mark.parametrize("player", ["λ1, λ2, D", "decoder, D"])
def test_a_step_that_waits_is_seen(monkeypatch, player, wait):
    own = training.Epoch.add

    def add(epoch, **values):
        own(epoch, **values)
        wait(next(iter(values.values())))

    monkeypatch.setattr(training.Epoch, "add", add)
    few, many = (of_an_epoch(monkeypatch, PLAYERS[player], steps) for steps in (3, 5))
    assert few != many


def test_every_attack_that_learns_in_steps_is_watched():
    """Those in closed form have no steps: they are named here, so that a new attack is in one of the two.

    Those that hold the encoder learn no network: their steps are down its gradient, picture by picture.
    """
    closed = {"bits", "kernelridge", "leaked", "mean", "probe", "retrieval", "ridge", "refined", "search"}
    ours = {name for name in names(Attack) if named(Attack, name).__module__.startswith("arl.")}
    assert ours == closed | {*LEARN, "decoder", "substitute"}


# -- what lies on the device ----------------------------------------------------------------------------------------


class Copies(TorchDispatchMode):
    """Counts copies from one device to another."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default:
            self.count += made.device != args[0].device
        return made


def a_batch_copies(images, device):
    """Copies to the device for each batch after the first, of a feed for both players and one for attackers."""
    data = open_data(TINY)
    x1, x2, _ = split(data, TINY)
    features = plateau.StandardisedFeatures.__new__(plateau.StandardisedFeatures)
    features.z, features.standardise = torch.empty(2, len(x2), *Z, device=device), None
    owned = feeds.Owned(data, x2[:64], x2[-20:])
    protector = feeds.of_protector(data, x1, x2, TINY, device)
    public = feeds.of_attacker(named(Attack, "decoder")(), features, owned, None, TINY, device)
    counts = []
    for stream in (protector.private(1), protector.public(1), public.train(1)):
        next(stream)
        with Copies() as copies:
            next(stream), next(stream)
        counts.append(copies.count / 2)
    return counts


def test_faces_that_fit_lie_on_the_device_and_no_batch_is_copied_there(shared_store, monkeypatch):
    device = torch.device("meta")  # holds nothing, so a step that looked at a number would fail
    assert min(a_batch_copies(None, device)) >= 1, "those that do not fit travel batch by batch"
    monkeypatch.setattr(feeds, "resident", lambda images, device: resident(images, device, free=1 << 40))
    assert a_batch_copies(None, device) == [0, 0, 0]


@pytest.mark.parametrize("flip, seeded, drop", [(True, True, True), (False, True, False), (False, False, False)])
def test_resident_faces_come_as_those_from_the_file(shared_store, flip, seeded, drop):
    images, index, cpu = open_data(TINY).images, np.arange(3, 150, 2), torch.device("cpu")
    there = resident(images, cpu, free=2 * images.size)
    assert isinstance(there, torch.Tensor) and resident(images, cpu, free=2 * images.size - 1) is images
    assert resident(images, cpu) is images, "a CPU has them already"
    found = []
    for source in (images, there):
        seed = training.generator(5) if seeded else None
        found.append(list(batches(source, index, 16, generator=seed, flip=flip, drop_last=drop)))
    assert len(found[0]) == len(found[1]) > 3
    for (rows, x), (other_rows, other_x) in zip(*found, strict=True):
        assert torch.equal(rows, other_rows) and torch.equal(x, other_x) and x.stride() == other_x.stride()
