"""Attacks: the paper's two, ridge in closed form, and how one that a user defines is judged."""

import numpy as np
import pytest
import torch
from torch import nn

import arl
from arl import attacks, plateau
from arl.attacks.ridge import Ridge
from arl.config import RunConfig
from arl.messages import ConfigError
from arl.parameters import names
from arl.training import Nowhere

TINY = RunConfig.preset("tiny")


def public(encode, n=300, pixels=8, noise=0.0, seed=0):
    """Gaussian images around grey with a covariance that falls off, and their features by `encode`."""
    rng = torch.Generator().manual_seed(seed)
    scales = 0.08 / (1 + torch.arange(3 * pixels * pixels)) ** 0.3
    x = (0.5 + torch.randn(n, len(scales), generator=rng) * scales).clamp(0, 1)
    z = encode(x)
    z = z + noise * torch.randn(z.shape, generator=rng)

    def batches(rows):
        return lambda epoch: iter([(z[rows], x[rows].unflatten(1, (3, pixels, pixels)))])

    at = int(0.9 * n)
    return attacks.Public(batches(slice(0, at)), 1, batches(slice(at, n))), scales


def fit(attack, feed, shapes):
    player = attack.player(shapes)
    return player, attack.train(player, feed, attacks.Schedule(1, 1e-3, 1), Nowhere())


def test_ridge_undoes_a_rotation_exactly():
    turn = torch.linalg.qr(torch.randn(192, 192, generator=torch.Generator().manual_seed(1)))[0]
    feed, _ = public(lambda x: x @ turn, n=600)
    player, state = fit(Ridge(), feed, attacks.Shapes((192,), 8, 8, 0, 0))
    z, x = next(feed.held_out(0))
    assert (player.net(z) - x).abs().max() < 1e-3 and state["validation"] < 1e-6


def test_ridge_reaches_the_least_error_of_the_linear_gaussian_channel_and_no_more():
    """MMSE = tr(Σ − ΣAᵀ(AΣAᵀ + σ²I)⁻¹AΣ) / pixels, for Z = AX + σ ε."""
    a = torch.randn(192, 40, generator=torch.Generator().manual_seed(2)) / 192**0.5
    feed, scales = public(lambda x: (x - 0.5) @ a, n=20_000, noise=0.01)
    sigma = torch.diag(scales.square())
    gain = sigma @ a @ torch.linalg.inv(a.T @ sigma @ a + 1e-4 * torch.eye(40))
    least = torch.trace(sigma - gain @ a.T @ sigma).item() / 192
    _, state = fit(Ridge(), feed, attacks.Shapes((40,), 8, 8, 0, 0))
    assert least * 0.97 < state["validation"] < least * 1.03


def test_a_row_with_another_attack_keeps_the_papers_figures_and_adds_its_own(shared_store):
    plain = arl.run(TINY)
    row = arl.run(TINY.replace(attacks="decoder, features, ridge"))
    assert {name: row.of(name).id for name in ("encoder", "decoder", "features")} == {
        name: plain.of(name).id for name in ("encoder", "decoder", "features")
    }
    assert row.result["face_similarity"] == plain.result["face_similarity"]
    ridge = row.result["attacks"]["ridge"]
    assert set(ridge) == {"face_similarity", "ssim", "psnr"} and ridge["psnr"]["floors"]["mean face"] > 0
    assert ridge["psnr"]["value"] > ridge["psnr"]["floors"]["stranger"]
    x_hat = row.experiment.reconstruct(row.experiment.split.t[:3], "ridge")
    assert x_hat.shape == (3, 3, 32, 32) and 0 <= x_hat.min() and x_hat.max() <= 1
    assert "ridge" in row.of("ridge").id and row.each("ridge/psnr").shape == (40,)


def test_an_attack_on_labels_of_a_users_own_is_judged_by_them(shared_store):
    class Probe(arl.Attack):
        """A linear reader of the attributes."""

        target = "label"

        def player(self, shapes, perceptual=None):
            net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shapes.z)), shapes.labels))
            return plateau.Learner(net, nn.functional.binary_cross_entropy_with_logits)

    try:
        row = arl.run(TINY.replace(attacks=(*TINY.attacks, Probe())))
        assert 0.5 < row.result["attacks"]["probe"]["label_accuracy"]["value"] <= 1
        assert row.of("probe").spec["source"] and "also attacked by probe" in row.result["measured_on"]["setting"]
    finally:
        arl.Attack.registry.pop("probe")


def test_attacks_are_found_by_name_and_mistakes_are_one_line():
    assert {"decoder", "features", "ridge"} <= set(names(arl.Attack))
    assert [attack.name() for attack in RunConfig(attacks="decoder").attacks] == ["decoder"]
    with pytest.raises(ConfigError, match=r"attacks: found 'magic', accepted: decoder, features"):
        RunConfig(attacks="decoder,magic")
    with pytest.raises(ConfigError, match="attacks: found decoder twice, accepted: once"):
        RunConfig(attacks="decoder,decoder")
