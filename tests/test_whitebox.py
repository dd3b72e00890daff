"""White-box attackers, who hold the encoder: what they must find, and where they must find nothing."""

import pytest
import torch
from channels import channel, falling, gaussian
from torch import nn

import arl
from arl import attacks, metrics
from arl.attacks.refined import Refined
from arl.attacks.search import Search
from arl.config import RunConfig
from arl.defences import Defence
from arl.experiment import Experiment
from arl.gradients import OpenEncoder, gives_gradients
from arl.messages import ConfigError
from arl.plateau import Standardise
from arl.training import Nowhere
from arl.whitebox import Variation, descend_rows

TINY = RunConfig.preset("tiny")


def opened(x, encode):
    """Pictures (n, 3, S, S) and their Z by `encode`, standardised, for an attacker who holds `encode` too."""
    with torch.no_grad():
        z = encode(x)
    standardise = Standardise(z.mean(0), z.std(0).clamp(min=1e-6))
    known = channel(x, standardise(z), batch=45)
    return known._replace(shapes=known.shapes._replace(opened=OpenEncoder(encode, standardise)))


def fit(attack, known, epochs=1, lr=1e-3):
    """The attacker after it has learned, what it says of it, and what it makes of held-out Z."""
    torch.manual_seed(0)
    player = attack.player(known.shapes)
    state = attack.train(player, known.public, attacks.Schedule(epochs, lr, 1), Nowhere())
    with torch.no_grad():
        return player.net.eval(), state, player.net(known.z[known.held_out])


def linear(numbers=192, seed=1):
    """An encoder that is a matrix; with 192 numbers of 192 pixels it can be undone."""
    turn = torch.linalg.qr(torch.randn(192, 192, generator=torch.Generator().manual_seed(seed)))[0][:, :numbers]
    weight = turn * torch.logspace(0, -1, numbers)
    return lambda x: x.flatten(1) @ weight


@pytest.mark.parametrize("attack", [Refined(steps=256), Search(steps=256)])
def test_an_encoder_that_can_be_undone_is_undone(attack):
    """From 99 pictures of 192 numbers: too few to undo it without its gradients."""
    known = opened(gaussian(110, falling()), linear())
    _, state, made = fit(attack, known)
    assert state["unrefined"] > 0.3 * known.variance and state["steps"] > 0
    assert known.error(made) < 0.01 * known.variance
    assert state["validation"] == pytest.approx(known.error(made), rel=1e-3)


@pytest.mark.parametrize("attack", [Refined(), Search()])
def test_of_a_constant_encoder_nothing_is_gained(attack):
    x = gaussian(200, falling())
    known = opened(x, lambda x: 0 * x.flatten(1)[:, :6] + 0.5)
    _, state, made = fit(attack, known)
    assert state["validation"] == pytest.approx(state["unrefined"], rel=0.01)
    assert state["steps"] == 0 or isinstance(attack, Search)  # whose prior leads to the mean picture
    assert (made == made[:1]).all() and known.error(made) < 1.1 * known.variance


def test_no_step_is_chosen_where_gradients_lead_nowhere_and_some_where_they_lead_to_the_picture():
    """Z = sin(frequency · directions of X): at 20 000 a step says nothing of what it would take."""
    weight = torch.linalg.qr(torch.randn(192, 60, generator=torch.Generator().manual_seed(2)))[0]
    x, found = gaussian(400, falling()), {}
    for frequency in (2e4, 4.0):
        known = opened(x, lambda x, frequency=frequency: torch.sin(frequency * (x.flatten(1) - 0.5) @ weight))
        _, state, made = fit(Refined(), known)
        found[frequency] = state["steps"]
        assert state["validation"] <= state["unrefined"] and known.error(made) == pytest.approx(state["validation"])
    assert found[2e4] == 0 < found[4.0], found


def test_search_finds_a_bent_encoders_pictures_where_a_linear_reader_does_not():
    weight = torch.linalg.qr(torch.randn(192, 192, generator=torch.Generator().manual_seed(3)))[0]

    def encode(x):
        moved = (x.flatten(1) - 0.5) @ weight
        return moved + 0.03 * torch.sin(30 * moved)  # rises everywhere

    known = opened(gaussian(600, falling()), encode)
    net, state, made = fit(Search(), known)
    with torch.no_grad():
        read = net.after(known.z[known.held_out], [0])[0]
    assert known.error(made) < 0.7 * known.error(read) and state["steps"] > 0


def test_each_row_goes_its_own_way_down_and_none_ends_above_its_beginning():
    scale, begin = torch.logspace(-1, 1, 5), torch.randn(4, 5, generator=torch.Generator().manual_seed(4))

    def bowl(w, rows):
        return (scale * (w - 1).square()).sum(1) + 5 * torch.cos(9 * w).sum(1) * (rows == 3)

    ways = [*descend_rows(lambda w: bowl(w, torch.arange(4)), begin, 300)]
    assert len(ways) == 301 and (ways[0] == begin).all()
    losses = torch.stack([bowl(w, torch.arange(4)) for w in ways])
    assert (losses[1:] <= losses[:-1]).all() and (ways[-1][:3] - 1).abs().max() < 0.05
    alone = [*descend_rows(lambda w: bowl(w, torch.tensor([2])), begin[2:3], 300)][-1]
    assert torch.allclose(alone, ways[-1][2:3], atol=1e-6)
    lost = [*descend_rows(lambda w: w.sum(1) * torch.tensor([1.0, torch.nan]), begin[:2], 3)][-1]
    assert (lost[1] == begin[1]).all() and (lost[0] < begin[0]).all(), "a row without a loss stays where it is"


def test_coordinates_of_pictures_have_variance_one_and_lead_back_to_them():
    x = gaussian(3000, falling()).flatten(1)
    x = torch.cat([x, x.unflatten(1, (3, 8, 8)).flip(-1).flatten(1)])
    vary = Variation(8)
    vary.fit(x[:2000], x[2000:3000], 0)
    u = vary.coordinates(x[2000:])
    assert vary.axes.shape == (192, 192) and u.var(0).mean() == pytest.approx(1, abs=0.15)
    assert torch.allclose(vary(u).flatten(1), x[2000:] - vary.mean, atol=1e-4) and vary.floor < 1e-3
    few = Variation(8)
    few.fit(x[:20], x[2000:3000], 0)  # 40 pictures with their mirror images
    assert (few.spread > 1e-4).sum() <= 40 and few.floor > 0.01
    pixels = torch.zeros(1, 192 + 192)
    pixels[0, 192 + 5] = 2
    assert few(pixels).flatten()[5] == 2 * few.floor and few(pixels).count_nonzero() == 1


def test_gradients_are_asked_for_before_anything_is_trained():
    class Rounded(Defence):
        """Features as whole numbers."""

        def wrap(self, encoder):
            return nn.Sequential(encoder, Whole())

    class Whole(nn.Module):
        def forward(self, z):
            return z.round()

    try:
        cfg = TINY.replace(defence=Rounded(), attacks="decoder,refined")
        with pytest.raises(
            ConfigError, match="attacks: found refined with an encoder that gives no gradients, accepted"
        ):
            Experiment(cfg).check()
    finally:
        Defence.registry.pop("rounded", None)
    assert gives_gradients(nn.Conv2d(3, 2, 3), 8) and not gives_gradients(lambda x: x.detach().flatten(1), 8)


@pytest.mark.parametrize("layer", ["fc", "conv1"])
def test_white_box_attackers_are_stored_and_judged_as_others(layer, shared_store):
    row = arl.run(TINY.replace(attacks="decoder,refined,search", layer=layer, steps=8))
    x = torch.from_numpy(row.experiment.data.images[row.experiment.split.t]) / 255
    for name in ("refined", "search"):
        found, run = row.result["attacks"][name]["psnr"]["value"], row.of(name)
        assert run.spec["steps"] == 8 and run.result["steps"] in (0, 1, 4, 8)
        assert run.result["validation"] <= run.result["unrefined"]
        x_hat = row.experiment.reconstruct(row.experiment.split.t, name)  # loaded: what is stored is what was chosen
        assert metrics.psnr(x_hat, x).mean().item() == pytest.approx(found, rel=1e-4), name
        assert not any("encode" in tensor for tensor in run.load()[0]), "the encoder is not kept twice"
    assert row.of("refined").spec["start"] == "kernelridge"
    assert Refined(start="ensemble").cost > Refined().cost > Refined(steps=1).cost


def test_what_does_not_exist_is_refused_in_a_line():
    with pytest.raises(ConfigError, match="start: found 'magic', accepted: .*kernelridge"):
        RunConfig(attacks="refined", start="magic")
    with pytest.raises(ConfigError, match="steps: found 0, accepted: greater than or equal to 1"):
        RunConfig(attacks="search", steps=0)
