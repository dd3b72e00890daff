"""Known answers: the whole game with linear players, and channels whose best attacker is known in closed form."""

from dataclasses import replace

import channels
import numpy as np
import pytest
import torch
from linear_game import LAMBDA, REACHES, LinearGame, Play, of_faces, play
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import arl
from arl import attacks, faces, paper
from arl.attacks.kernelridge import KernelRidge
from arl.attacks.mean import Mean
from arl.attacks.retrieval import Retrieval
from arl.attacks.ridge import Ridge
from arl.config import RunConfig
from arl.paper.information import match_bits
from arl.training import Nowhere


@pytest.fixture(scope="module")
def game():
    return of_faces()


def test_the_optimum_of_the_game_by_hand():
    """Two directions of the pixels, of deviation 2 and 1, each a label: at λ1 = 1.8 the loud one costs more than it says."""
    n, drawn = 400, torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    a, b = torch.linalg.qr(drawn - drawn.mean(0))[0].T * n**0.5
    pixels = torch.zeros(n, 12)
    pixels[:, 0], pixels[:, 1] = 2 * a, b
    small = LinearGame(pixels.view(n, 3, 2, 2), torch.stack([a, b], 1))
    # each label is half of the label error, 1/2; each direction's pixels are 4/12 and 1/12 of the pixel error
    assert small.spectrum(0.0)[0] == pytest.approx([0.5, 0.5], abs=1e-5)
    assert sorted(small.spectrum(1.8)[0].tolist()) == pytest.approx([0.5 - 1.8 * 4 / 12, 0.5 - 1.8 / 12], abs=1e-5)
    best = small.optimum(1.8, 2)
    assert best.shape == (n, 1) and small.errors(best) == pytest.approx((0.5, 4 / 12), abs=1e-5)


def test_no_linear_encoder_beats_the_optimum(game):
    best = game.optimum(LAMBDA, 8)
    least = game.errors(best).value(LAMBDA)
    assert best.shape[1] == 5 and game.gap(best, LAMBDA, 8) == pytest.approx(0, abs=1e-9)
    without = game.errors(game.u[:, :0]).value(LAMBDA)
    assert without - least == pytest.approx(game.spectrum(LAMBDA)[0].clamp(min=0).sum().item(), rel=1e-6)
    rng = torch.Generator().manual_seed(1)
    for spread in (1e-3, 1e-2, 0.1, 1.0):
        near = torch.randn(len(game.s), 5, generator=rng, dtype=torch.float64) * spread + game.u.T @ best
        assert game.errors(game.u @ near).value(LAMBDA) > least
    assert game.errors(game.optimum(LAMBDA, 4)).value(LAMBDA) > least and game.gap(game.u[:, :5], LAMBDA, 8) > 1


def test_scaling_and_turning_hide_nothing_from_the_exact_players(game):
    best = game.optimum(LAMBDA, 5)
    turn = torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * torch.logspace(0, -4, 5)
    assert game.errors(best @ turn + 3) == pytest.approx(game.errors(best), rel=1e-6)


def test_our_loop_reaches_the_optimum_within_one_per_cent(game):
    assert game.gap(play(game, Play(5, LAMBDA, **REACHES)), LAMBDA, 5) < 0.01


def test_the_schedule_of_the_presets_does_not(game):
    """A finding, not a wish: half of the time warm, Dec at 4e-3, and Enc slows down before Dec has caught up."""
    assert 0.05 < game.gap(play(game, Play(5, LAMBDA)), LAMBDA, 5) < 0.5


def test_our_loop_cannot_drop_a_direction(game):
    """Of sixteen directions eleven cost more than they say; the loop ends at the best encoder that keeps all, far from the best of all."""
    z = play(game, Play(16, LAMBDA, **REACHES))
    assert game.gap(z, LAMBDA, 16, full=True) < 0.03 and game.gap(z, LAMBDA, 16) > 0.5


# -- channels -------------------------------------------------------------------------------------------------------


def made(attack, owned, z):
    """What `attack`, taught on `owned`, makes of `z`."""
    player = attack.player(owned.shapes)
    attack.train(player, owned.public, attacks.Schedule(1, 1e-3, 1), Nowhere())
    with torch.no_grad():
        return player.net.eval()(z)


def beyond(known, attack, n):
    """The attacker's error beyond the least, as a share of it, with `n` images of its own."""
    return known.excess(made(attack, known.first(n), known.z[known.held_out]))


def test_on_gaussian_faces_nobody_beats_the_mmse_and_ridge_comes_nearer_with_each_image():
    sigma = channels.of_faces(torch.from_numpy(faces.render(128, 2, 16).images) / 255, 8)
    known = channels.linear_gaussian(sigma, 8000, 24, 0.02)
    assert known.error(known.best) == pytest.approx(channels.mmse(sigma, 24, 0.02), rel=0.05)
    few, many = (beyond(known, Ridge(), n) for n in (500, 4000))
    assert 0 < many < 0.02 < few < 0.2
    for attack, least in ((KernelRidge(), -0.002), (Retrieval(), 0.3), (Mean(), 1.0)):
        assert beyond(known, attack, 500) > least, attack.name()


def test_the_posterior_mean_of_a_mixture_of_one_is_that_of_its_gaussian():
    sigma, a = channels.falling(4), torch.randn(5, 48, generator=torch.Generator().manual_seed(1))
    z, mean = torch.randn(7, 5, generator=torch.Generator().manual_seed(2)), torch.full((1, 48), 0.5)
    linear = 0.5 + z.double() @ channels._gain(sigma, a, 0.1).T
    found = channels.posterior_mean(z, mean, sigma, a, 0.1)
    assert torch.allclose(found, linear.float(), atol=1e-6)
    twice = channels.posterior_mean(z, mean.expand(3, -1), sigma, a, 0.1)  # three kinds that are one
    assert torch.allclose(twice, found, atol=1e-6)


def test_kernel_ridge_approaches_the_best_reader_of_a_mixture_and_ridge_does_not():
    known = channels.mixture(6000, 3, 0.02)
    few, many = (beyond(known, KernelRidge(), n) for n in (250, 1000))
    assert 0 < many < 0.6 * few and many < 0.5
    assert beyond(known, Ridge(), 1000) > 5 and beyond(known, Ridge(), 4000) > 5


def test_fano_by_hand():
    assert channels.fano(2, 1.0) == pytest.approx(1, abs=1e-6) and channels.fano(2, 0.0) == pytest.approx(0.5, abs=1e-3)
    assert channels.fano(1000, 0.0) == pytest.approx(1 / 1000, abs=1e-3)
    bits = np.log2(4) + 0.25 * np.log2(0.25 / 3) + 0.75 * np.log2(0.75)  # of a channel that errs evenly, one in four
    assert channels.fano(4, bits) == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("codes", [2, 8])
def test_who_it_is_cannot_be_read_from_few_codes_beyond_their_bits(codes):
    """64 people, 8 photographs each, whom Z tells apart without fail: what is left of that in one of K codes."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(64), 8)
    z = rng.normal(size=(64, 16))[who] + 0.2 * rng.normal(size=(512, 16))
    known = np.arange(512) % 2 == 0
    cells = KMeans(codes, n_init=4, random_state=0).fit(z)
    coded = cells.cluster_centers_[cells.labels_]
    limit = channels.fano(64, np.log2(codes))
    assert codes / 64 < limit < 0.8
    for probe in (KNeighborsClassifier(1), LogisticRegression(C=100, max_iter=200)):
        whole, left = (probe.fit(v[known], who[known]).score(v[~known], who[~known]) for v in (z, coded))
        assert whole > 0.95 > limit, "the bound is of the codes, not of the probe"
        assert left <= codes / 64 < limit
        assert left > 0.4 * codes / 64, "a code names the most frequent of its cell"
    cell = torch.from_numpy(cells.labels_)
    said = match_bits(
        (cell[:, None] == cell).float()
    ).mean()  # the likelihood of an original, given a code, but for a factor
    shares = np.bincount(cells.labels_) / 512
    assert said == pytest.approx(-(shares * np.log2(shares)).sum(), abs=0.01) and said <= np.log2(codes)
    assert match_bits(-torch.cdist(*[torch.from_numpy(z)] * 2).square()).mean() > np.log2(codes) + 1


def test_sampling_over_drawn_faces_is_the_best_attacker_only_where_many_stand_behind_a_guess():
    x = (torch.from_numpy(faces.render(1500, 1, 16).images) / 255).float()
    flat, rng = x.flatten(1), torch.Generator().manual_seed(1)
    clean = (flat - flat.mean(0)) @ torch.randn(flat.shape[1], 16, generator=rng) / flat.shape[1] ** 0.5
    errors, effective = {}, {}
    for share in (0.1, 3.0):
        noise = share * clean.std().item()
        known = channels.channel(x, clean + noise * torch.randn(clean.shape, generator=rng))
        guess, behind = channels.weighed(known.z[known.held_out], flat[:1350], clean[:1350], noise)
        effective[share] = behind.median().item()
        errors[share] = known.error(guess), known.error(made(Ridge(), known, known.z[known.held_out]))
    assert effective[0.1] < 1.5 and errors[0.1][1] < 0.8 * errors[0.1][0], "one face behind each guess: no limit"
    assert effective[3.0] > 100 and errors[3.0][0] < 1.01 * errors[3.0][1]


# -- a decoder worse than a linear reader ---------------------------------------------------------------------------


def test_a_row_says_where_dec_a_is_worse_than_ridge(shared_store):
    row = arl.run(RunConfig.preset("tiny").replace(attacks="decoder, features, ridge"))

    def told(dec, ridge, **config):
        result = row.result | {"psnr": row.result["psnr"] | {"value": dec}, "config": row.result["config"] | config}
        ridge = result["attacks"]["ridge"] | {"psnr": {"value": ridge}}
        text = paper.row_text(replace(row, result=result | {"attacks": {"ridge": ridge}}))
        return [line for line in text.splitlines() if "a bug of the decoder" in line]

    (line,) = told(16.7, 17.39)
    assert "16.70" in line and "17.39" in line
    assert not told(17.5, 17.39) and not told(16.7, 17.39, mu2=1.0), "with μ it is after more than pixels"
    dec, ridge = row.value("psnr"), row.result["attacks"]["ridge"]["psnr"]["value"]
    assert bool(told(dec, ridge)) == (dec < ridge)
    without = arl.run(RunConfig.preset("tiny"))
    assert "a bug of the decoder" not in paper.row_text(without)
