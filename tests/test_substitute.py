"""The attacker without a pair: its alignments where the truth is known, that it reads no pair, and a row of it."""

import numpy as np
import pytest
import torch

import arl
from arl import attacks, faces, feeds, metrics
from arl.attacks import substitute
from arl.attacks.substitute import Observed, Substitute, Turned
from arl.config import RunConfig
from arl.data import targets
from arl.experiment import Experiment
from arl.messages import ConfigError
from arl.training import Nowhere

TINY = RunConfig.preset("tiny")
PEOPLE = 60  # drawn, eight photographs each, 32 pixels


def features(n, channels=16, seed=0):
    """(n, C) skewed, correlated features, and twelve answers to them, bent."""
    rng = torch.Generator().manual_seed(seed)
    world = torch.Generator().manual_seed(99)  # the same for every seed
    mix, ask = torch.randn(channels, channels, generator=world), torch.randn(channels, 12, generator=world)
    z = torch.empty(n, channels).exponential_(generator=rng).double() @ (mix + 2 * torch.eye(channels)).double()
    return z, torch.tanh(z @ ask.double() / 8)


def apart(a: Turned, b: Turned, own, seen):
    """How far the same points of both spaces end from one another, beside how far they vary: for checking alone."""
    p, q = a(own), b(seen)
    return ((p - q).square().sum() / p.square().sum()).item()


@pytest.mark.parametrize("shape", [(), (3, 3)])
def test_channels_that_were_renamed_scaled_and_negated_are_found_again(shape):
    """Of other points than one's own, so that nothing can be matched but distributions."""
    places = int(np.prod(shape))
    (own, _), (others, _) = features(1500 * places, seed=1), features(1500 * places, seed=2)
    own, others = (t.unflatten(0, (-1, *shape)).movedim(-1, 1) for t in (own, others))
    names = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    scale = torch.logspace(-2, 2, 16).double() * torch.tensor([1.0, -1.0] * 8)
    there = (others.movedim(1, -1)[..., names] * scale + 5).movedim(-1, 1)
    found = substitute.alignments(Observed(own), Observed(there))
    assert apart(*found["channels"], others, there) < 0.02 < 0.5 < apart(*found["moments"], others, there)
    name, _, _, share = substitute.chosen_alignment(Observed(own), Observed(there))
    assert name == "channels" and share > 0.5


def test_features_turned_in_any_way_are_found_again_by_what_f_answers():
    (own, own_answers), (others, answers) = features(3000, seed=1), features(3000, seed=2)
    turn = torch.randn(16, 16, generator=torch.Generator().manual_seed(4)).double()
    there = others @ turn
    known = Observed(own, own_answers), Observed(there, answers)
    name, mine, theirs, share = substitute.chosen_alignment(*known)
    assert name.startswith("answers") and share > 0.9
    assert apart(mine, theirs, others, there) < 0.1
    kept = (mine(own).square().mean(0) > 1e-9).sum()
    assert kept == int(name.split()[1]) > 2, "directions beyond those that are kept say nothing"
    name, mine, theirs, share = substitute.chosen_alignment(*(each._replace(answers=None) for each in known))
    assert name in ("moments", "channels") and share < 0.1 and apart(mine, theirs, others, there) > 0.5, "only f knows"


def test_of_two_unrelated_spaces_nothing_is_worth_showing():
    (own, own_answers), rng = features(2000, seed=1), torch.Generator().manual_seed(5)
    noise = Observed(torch.randn(2000, 16, generator=rng).double(), torch.randn(2000, 12, generator=rng).double())
    assert substitute.chosen_alignment(Observed(own, own_answers), noise)[3] < 0.1


def world(z, answers=None, x=None, n=320):
    """What `feeds` gives: Z of the last images with their pictures, pictures and labels of the first `n`."""
    drawn = faces.render(PEOPLE, 8, 32)
    pictures = (torch.from_numpy(drawn.images) / 255).float()
    labels = torch.from_numpy(drawn.attributes[:, :6]).float()
    z, x = z(pictures), pictures if x is None else x(pictures)
    at = len(pictures) - 40
    held = lambda epoch: iter([(z[at:], x[at:])])  # noqa: E731
    task = attacks.Public(
        lambda epoch: iter([(pictures[:n], labels[:n])]), 1, lambda epoch: iter([(pictures[at:], labels[at:])])
    )
    public = attacks.Public(lambda epoch: iter([(z[n:at], x[n:at])]), 1, held, None, task, answers)
    return public, attacks.Shapes(tuple(z.shape[1:]), 32, 8, 0, 6), pictures[:n]


def learned(public, shapes, **fields):
    torch.manual_seed(0)
    player = Substitute(**fields).player(shapes)
    state = Substitute(**fields).train(player, public, attacks.Schedule(2, 1e-3, 2), Nowhere())
    return player.net.eval(), state


@pytest.mark.parametrize("classifier", ["public", "secret"])
def test_of_a_constant_it_makes_the_mean_face(classifier):
    public, shapes, own = world(lambda x: torch.zeros(len(x), 64), lambda z: torch.zeros(len(z), 6))
    net, state = learned(public, shapes, classifier=classifier)
    assert state["share"] == 0
    with torch.no_grad():
        made = net(torch.zeros(3, 64))
    assert torch.allclose(made, own.mean(0).expand_as(made), atol=1e-5)


def test_which_picture_belongs_to_which_z_is_never_read():
    """The pictures beside Z in disorder, and Z in another order: the same attacker, to the bit or to a rounding."""
    made = {}
    turn = torch.randn(3072, 64, generator=torch.Generator().manual_seed(6)) / 30
    z = lambda x: x.flatten(1) @ turn  # noqa: E731
    for name, x in (("in order", None), ("in disorder", lambda x: x.flip(0)), ("none", torch.zeros_like)):
        public, shapes, _ = world(z, lambda z: z[:, :6], x)
        net, state = learned(public, shapes)
        made[name] = net.state_dict(), state
    for other in ("in disorder", "none"):
        for key, value in made["in order"][0].items():
            assert torch.equal(value, made[other][0][key]), key
        assert made["in order"][1]["validation"] != made[other][1]["validation"]
        assert made["in order"][1]["alignment"] == made[other][1]["alignment"]


def test_z_is_seen_of_other_images_than_those_that_it_owns(shared_store):
    experiment = Experiment(TINY.replace(attacks="substitute"))
    owned, cfg = experiment.owned, experiment.cfg

    class Places:
        """In place of Z: which image it is of."""

        standardise = torch.nn.Identity()

        def of(self, rows, x, mirrored=False):
            return torch.from_numpy(owned.all)[rows]

    wanted = Places(), owned, None, cfg, torch.device("cpu")
    public = feeds.of_attacker(Substitute(), *wanted)
    seen = torch.cat([z for epoch in range(8) for z, _ in public.train(epoch)]).unique()
    pictures = torch.cat([x for epoch in range(8) for x, _ in public.task.train(epoch)])
    known = {x.tobytes() for x in (pictures * 255).round().byte().numpy()}
    images = owned.data.images[seen.numpy()]
    assert len(seen) == len(owned.learns) // 3 and len(known) > len(owned.learns) // 2
    assert not known & {x.tobytes() for x in np.concatenate([images, images[..., ::-1]])}
    labels = targets(owned.data, cfg)
    for x, y in public.task.train(1):
        for each, label in zip((x * 255).round().byte().numpy(), y, strict=True):
            at = np.flatnonzero(
                (owned.data.images == each).all((1, 2, 3)) | (owned.data.images == each[..., ::-1]).all((1, 2, 3))
            )
            assert torch.equal(labels[at[0]], label)


@pytest.mark.parametrize("layer", ["fc", "conv1"])
def test_a_row_of_it_is_stored_and_measured(layer, shared_store):
    row = arl.run(TINY.replace(attacks="substitute", layer=layer))
    run = row.of("substitute")
    assert run.spec["classifier"] == "public" and 0 <= run.result["share"] <= 1 and run.result["alignment"]
    value = row.result["attacks"]["substitute"]["psnr"]["value"]
    x_hat = row.experiment.reconstruct(row.experiment.split.t, "substitute")
    x = torch.from_numpy(row.experiment.data.images[row.experiment.split.t]) / 255
    assert metrics.psnr(x_hat, x).mean().item() == pytest.approx(value, rel=1e-4), "what is loaded is what was fitted"
    other = TINY.replace(attacks="substitute", layer=layer, classifier="secret")
    assert arl.run(other).of("substitute").id != run.id


def test_what_it_cannot_attack_is_said_in_one_line(shared_store):
    with pytest.raises(ConfigError, match="classifier: found 'known', accepted: 'public' or 'secret'"):
        RunConfig(attacks="substitute", classifier="known")
    with pytest.raises(ConfigError, match=r"substitute with Z of \(7,\), accepted: \(64,\)"):
        Substitute().player(attacks.Shapes((7,), 32, 8, 0, 6))
    few, before = TINY.replace(attacks="substitute", batch_size=32), {path.name for path in shared_store.iterdir()}
    with pytest.raises(ConfigError, match="batch_size: found 32 with 18 images in the adversary's images"):
        arl.run(few)
    assert not {path.name for path in shared_store.iterdir()} - before - {"data"}, "nothing was trained"
