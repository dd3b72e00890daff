"""Attacks: the paper's two, ridge in closed form, and how one that a user defines is judged."""

import numpy as np
import pytest
import torch
from channels import channel, falling, gaussian, linear_gaussian, mmse
from torch import nn

import arl
from arl import attacks, evaluate, faces, listing, losses, metrics, paper, plateau, training
from arl.adversary import Adversary
from arl.attacks import kernelridge
from arl.attacks.attention import Attention, PatchDecoder
from arl.attacks.bits import Bits
from arl.attacks.boosted import Boosted
from arl.attacks.decoder import Decoder
from arl.attacks.ensemble import Ensemble, best_share
from arl.attacks.features import Features
from arl.attacks.identity import Identity
from arl.attacks.kernelridge import KernelRidge
from arl.attacks.leaked import Leaked
from arl.attacks.mean import Mean
from arl.attacks.probe import Probe
from arl.attacks.probemlp import ProbeMLP
from arl.attacks.retrieval import Retrieval
from arl.attacks.ridge import Ridge
from arl.attacks.whitened import Whitened, Whitening
from arl.attacks.widefeatures import WideFeatures
from arl.config import RunConfig
from arl.judges import likeness, own_recogniser, own_spec
from arl.judges.rendered import rendered_spec
from arl.messages import ConfigError
from arl.models import FeatureMap, ImageDecoder, backbone
from arl.parameters import names
from arl.store import Run
from arl.training import Nowhere
from arl.workbook.choice import Store

TINY = RunConfig.preset("tiny")


def fit(attack, known, epochs=1, lr=1e-3, patience=1):
    """The attacker after it has learned, and what it says of it."""
    torch.manual_seed(0)
    player = attack.player(known.shapes)
    state = attack.train(player, known.public, attacks.Schedule(epochs, lr, patience), Nowhere())
    return player.net.eval(), state


def guess(net, known):
    with torch.no_grad():
        return net(known.z[known.held_out])


def test_ridge_undoes_a_rotation_exactly():
    turn = torch.linalg.qr(torch.randn(192, 192, generator=torch.Generator().manual_seed(1)))[0]
    x = gaussian(600, falling())
    known = channel(x, x.flatten(1) @ turn)
    net, state = fit(Ridge(), known)
    assert (guess(net, known) - x[known.held_out]).abs().max() < 1e-3 and state["validation"] < 1e-6


def test_ridge_reaches_the_least_error_of_the_linear_gaussian_channel_and_no_more():
    """MMSE = tr(Σ − ΣAᵀ(AΣAᵀ + σ²I)⁻¹AΣ) / pixels, for Z = AX + σ ε."""
    least = mmse(falling(), 40, 0.01)
    known = linear_gaussian(falling(), 20_000, 40, 0.01)
    net, state = fit(Ridge(), known)
    assert least * 0.97 < state["validation"] < least * 1.03
    assert -1e-3 < known.excess(guess(net, known)) < 0.01


def test_the_mean_is_as_wrong_as_the_pictures_differ():
    known = linear_gaussian(falling(), 2000, 4, 0.01)
    net, state = fit(Mean(), known)
    assert state["validation"] == pytest.approx(known.variance, rel=1e-5)
    assert state["validation"] == pytest.approx(falling().diagonal().mean().item(), rel=0.03)
    assert guess(net, known).shape == (200, 3, 8, 8) and known.error(guess(net, known)) == pytest.approx(known.variance)


def test_bits_reads_the_picture_below_a_grid_where_smooth_readers_see_noise():
    x, rng = gaussian(600, falling()), torch.Generator().manual_seed(4)
    z = (torch.randn(600, 192, generator=rng) * 5).round() / 8 + x.flatten(1) / 1024
    scale = plateau.Standardise(z.mean(0), z.std(0))
    known = channel(x, scale(z))
    known = known._replace(public=known.public._replace(standardise=scale))
    net, state = fit(Bits(), known)
    assert 1 / 1024 < state["step"] <= 1 / 8  # any of them has the whole picture in its remainder
    assert known.error(guess(net, known)) < 0.01 * known.variance
    for smooth in (Ridge(), KernelRidge()):
        assert known.error(guess(fit(smooth, known)[0], known)) > 0.95 * known.variance


def test_bits_of_what_has_none_are_what_ridge_reads():
    known = linear_gaussian(falling(), 2000, 40, 0.01)
    bits, ridge = (fit(attack, known)[1]["validation"] for attack in (Bits(), Ridge()))
    assert bits == pytest.approx(ridge, rel=0.02)


@pytest.mark.parametrize("attack", [Ridge(), KernelRidge(), Retrieval(), Bits()])
def test_of_a_z_that_says_nothing_the_mean_picture_is_made(attack):
    x = gaussian(400, falling())
    net, _ = fit(attack, channel(x, torch.zeros(400, 6)))
    made = guess(net, channel(x, torch.zeros(400, 6)))
    assert (made == made[:1]).all() and channel(x, torch.zeros(400, 6)).error(made) < 1.1 * channel(x, x).variance


def test_retrieval_copies_what_it_has_seen_and_is_blind_without_z():
    x = gaussian(400, falling())
    seen = channel(torch.cat([x[:360], x[:40]]), torch.cat([x[:360], x[:40]]).flatten(1))  # asked for what it keeps
    net, state = fit(Retrieval(neighbours=1), seen)
    assert state["k"] == 1 and (guess(net, seen) - x[:40]).abs().max() <= 0.5 / 255 + 1e-6
    blind = channel(x, torch.randn(400, 30, generator=torch.Generator().manual_seed(3)))
    net, _ = fit(Retrieval(neighbours=1), blind)  # a stranger's picture: twice the variance
    assert blind.error(guess(net, blind)) == pytest.approx(2 * blind.variance, rel=0.05)
    net, state = fit(Retrieval(), blind)  # the best of it: the mean of many
    assert state["k"] == 64 and 1 < blind.error(guess(net, blind)) / blind.variance < 1.05


def test_retrieval_sees_small_directions_of_z():
    """Z at 1e-3 beside loud noise: whitened, the nearest are still found."""
    x = gaussian(2000, torch.diag(torch.tensor([0.01, 0.01] + [1e-8] * 190)))
    loud = torch.tensor([1e-3, 1e-3, 1, 1])
    z = torch.cat([x.flatten(1)[:, :2] - 0.5, torch.randn(2000, 2, generator=torch.Generator().manual_seed(4))], 1)
    known = channel(x, z * loud)
    net, _ = fit(Retrieval(), known)
    assert known.error(guess(net, known)) < 0.25 * known.variance


def test_kernel_ridge_reaches_ridge_where_the_world_is_linear():
    known = linear_gaussian(falling(), 600, 20, 0.01)
    linear, smooth = (known.excess(guess(fit(attack, known)[0], known)) for attack in (Ridge(), KernelRidge()))
    assert 0 < smooth < linear + 0.03


def test_kernel_ridge_reads_what_a_linear_reader_cannot():
    """Z = sin of projections of the two directions in which X varies."""
    x = gaussian(600, torch.diag(torch.tensor([0.01, 0.01] + [1e-7] * 190)))
    w = torch.randn(2, 8, generator=torch.Generator().manual_seed(5))
    known = channel(x, torch.sin(25 * (x.flatten(1)[:, :2] - 0.5) @ w))
    linear, smooth = (known.error(guess(fit(attack, known)[0], known)) for attack in (Ridge(), KernelRidge()))
    assert smooth < 0.5 * linear < 0.5 * known.variance


def test_kernel_ridge_is_the_same_however_many_images_it_works_on_at_once(monkeypatch):
    x = gaussian(500, falling())
    known = channel(x, torch.tanh(3 * x.flatten(1)[:, :12]))
    whole, state = fit(KernelRidge(centres=50), known)
    monkeypatch.setattr(kernelridge, "ROWS", 90)
    parts, _ = fit(KernelRidge(centres=50), known)
    assert state["images"] == 50 and len(whole.centres) == 50
    assert torch.allclose(guess(whole, known), guess(parts, known), atol=1e-6)


def test_more_centres_are_another_attack_and_2_000_the_one_that_is_stored():
    assert KernelRidge().spec() == KernelRidge(centres=2000).spec() == {"attack": "kernelridge", "version": 1}
    assert KernelRidge(centres=300).spec() == {"attack": "kernelridge", "version": 1, "centres": 300}
    assert KernelRidge().describe() == "kernelridge" and KernelRidge(centres=300).describe() == "kernelridge m=300"
    with pytest.raises(ConfigError, match="centres: found 0, accepted: greater than or equal to 1"):
        RunConfig(attacks="kernelridge", centres=0)


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
    class Asker(arl.Attack):
        """A linear reader of the attributes."""

        target = "label"

        def player(self, shapes, perceptual=None):
            net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shapes.z)), shapes.labels))
            return plateau.Learner(net, nn.functional.binary_cross_entropy_with_logits)

    try:
        row = arl.run(TINY.replace(attacks=(*TINY.attacks, Asker())))
        assert 0.5 < row.result["attacks"]["asker"]["label_accuracy"]["value"] <= 1
        assert row.of("asker").spec["source"] and "also attacked by asker" in row.result["measured_on"]["setting"]
    finally:
        arl.Attack.registry.pop("asker")


def test_attacks_are_found_by_name_and_mistakes_are_one_line():
    assert {"decoder", "features", "ridge"} <= set(names(arl.Attack))
    assert [attack.name() for attack in RunConfig(attacks="decoder").attacks] == ["decoder"]
    with pytest.raises(ConfigError, match=r"attacks: found 'magic', accepted: attention, .*decoder"):
        RunConfig(attacks="decoder,magic")
    with pytest.raises(ConfigError, match="attacks: found decoder twice, accepted: once"):
        RunConfig(attacks="decoder,decoder")


@pytest.mark.parametrize("shape", [(6,), (6, 3, 3)])
def test_whitening_leaves_channels_uncorrelated_and_of_variance_one(shape):
    turn = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)) * torch.logspace(0, -2, 6)
    z = torch.randn(4000, *shape, generator=torch.Generator().manual_seed(2))
    z = (z.movedim(1, -1) @ turn).movedim(-1, 1) + 3
    whitening = Whitening(6)
    whitening.fit(lambda epoch: iter([(z[:2500], None), (z[2500:], None)]), 1e-9)
    rows = whitening(z).movedim(1, -1).flatten(0, -2)
    assert whitening(z).shape == z.shape and rows.mean(0).abs().max() < 1e-3
    assert torch.cov(rows.T) == pytest.approx(torch.eye(6).numpy(), abs=1e-2)


def test_a_whitened_decoder_reads_the_small_directions_that_dec_a_does_not():
    """Two loud directions that say nothing beside two at 1e-3 that say all, turned, so that each channel is as loud as the next."""
    rng = torch.Generator().manual_seed(4)
    says, loud = torch.randn(1000, 2, generator=rng), torch.randn(1000, 2, generator=rng)
    ramp = torch.linspace(-1, 1, 16).expand(3, 16, 16)
    x = (0.5 + 0.1 * torch.einsum("nk,kchw->nchw", says, torch.stack([ramp, ramp.mT]))).clamp(0, 1)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=rng))[0]
    known = channel(x, torch.cat([loud, 1e-3 * says], 1) @ turn, batch=50)
    errors = {}
    for attack in (Decoder(), Whitened()):
        net, _ = fit(attack, known, epochs=5, lr=4e-3, patience=5)
        errors[attack.name()] = known.error(guess(net, known)) / known.variance
    assert errors["decoder"] > 0.5 and errors["whitened"] < 0.2, errors


def test_the_shares_of_an_ensemble_are_by_least_squares():
    x, rng = torch.rand(400, 3, 8, 8), torch.Generator().manual_seed(6)
    noise = [scale * torch.randn(x.shape, generator=rng) for scale in (1, 2)]

    def share(first, second):
        return best_share(
            lambda z: first[z], lambda z: second[z], lambda e: ((r, x[r]) for r in torch.arange(400).split(150))
        ).item()

    assert share(x, x + noise[0]) == pytest.approx(0, abs=1e-6) and share(x + noise[0], x) == pytest.approx(1, abs=1e-6)
    assert share(x + noise[0], x + noise[1]) == pytest.approx(1 / 5, abs=0.01), "by the inverse of their variances"
    assert share(x + noise[0], x + 3 * noise[0]) == 0 and share(x, x) == 0, "never less than nothing"


def test_an_ensemble_is_no_worse_than_its_members_and_is_one_where_the_other_is_noise():
    x = (torch.from_numpy(faces.render(500, 1, 16).images) / 255).float()
    z = x.flatten(1) @ torch.randn(768, 24, generator=torch.Generator().manual_seed(7))
    known = channel(x, z + 2 * torch.randn(500, 24, generator=torch.Generator().manual_seed(8)), batch=50)
    net, state = fit(Ensemble(), known, epochs=12, lr=4e-3, patience=12)
    members = [known.error(guess(member, known)) for member in net.members]
    assert 0 < state["share"] < 1 and known.error(guess(net, known)) < min(members)
    assert state["validation"] == pytest.approx(known.error(guess(net, known)), rel=1e-4)
    turned = channel(x := gaussian(500, falling(16) * torch.eye(768)[:, :1]), x.flatten(1)[:, :1], batch=50)
    net, state = fit(Ensemble(), turned, epochs=1, lr=1e-9)  # the decoder has learned nothing
    assert state["share"] < 0.01 and turned.error(guess(net, turned)) < 1e-2 * turned.variance


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)])
def test_a_linear_probe_reads_planted_labels_and_a_network_also_those_of_two_directions_at_once(shape):
    """The labels: two directions of Z at 1e-3 beside loud ones, whether both have one sign (XOR), and a coin."""
    rng = torch.Generator().manual_seed(9)
    says = torch.randn(3000, 12, generator=rng)
    a, b = (says[:, :2] > 0).T
    labels = torch.stack([a, b, a ^ b, torch.rand(3000, generator=rng) < 0.5], 1).float()
    loud = torch.logspace(-3, 0, 12)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=rng))[0] if shape == (12,) else torch.eye(12)
    known = channel(torch.zeros(3000, 3, 1, 1), (says * loud @ turn).unflatten(1, shape), batch=100, labels=labels)
    found = {}
    for attack in (Probe(), ProbeMLP()):
        net, state = fit(attack, known, epochs=15, lr=4e-3, patience=5)
        logits = guess(net, known)
        found[attack.name()] = ((logits > 0) == (labels[known.held_out] > 0.5)).float().mean(0).tolist()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[known.held_out]).item()
        assert state["validation"] == pytest.approx(loss, rel=1e-3)
    assert min(found["probe"][:2]) > 0.95 and max(found["probe"][2:]) < 0.62
    assert min(found["probemlp"][:3]) > 0.9 and found["probemlp"][3] < 0.62


def test_the_mean_of_each_images_part_is_the_mean_mcc():
    rng = np.random.default_rng(0)
    y, logits = rng.random((300, 5)) < [0.5, 0.1, 0.9, 0.3, 0], rng.normal(size=(300, 5))
    logits[:, 1] += 3 * y[:, 1]
    score = evaluate.label_scores(torch.from_numpy(y))["label_mcc"]
    part = score(evaluate.Seen(embedding=torch.from_numpy(logits)))
    assert part.shape == (300,) and part.mean().item() == pytest.approx(metrics.mean_mcc(logits > 0, y), abs=1e-6)
    assert score(evaluate.Seen(embedding=torch.ones(300, 5))).abs().max() == 0, "who always says yes says nothing"


def test_wide_features_read_an_embedding_in_small_directions_of_z_that_m_does_not():
    """C's embedding, unit vectors, is a bent function of Z's eight quiet directions, beside eight loud ones that say nothing."""
    rng = torch.Generator().manual_seed(10)
    says, loud = torch.randn(1000, 8, generator=rng), torch.randn(1000, 8, generator=rng)
    bent = torch.tanh(says @ torch.randn(8, 32, generator=rng)) @ torch.randn(32, 24, generator=rng)
    embedding = nn.functional.normalize(bent + 0.1 * torch.randn(bent.shape, generator=rng))
    turn = torch.linalg.qr(torch.randn(16, 16, generator=rng))[0]
    z = torch.cat([loud, 1e-2 * says], 1) @ turn
    known = channel(torch.zeros(1000, 3, 1, 1), z / z.std(0), batch=50, labels=embedding)
    known = known._replace(shapes=known.shapes._replace(embedding=24))
    found = {}
    for attack in (Features(), WideFeatures()):
        net, _ = fit(attack, known, epochs=8, lr=4e-3, patience=8)
        found[attack.name()] = metrics.cosine(guess(net, known), embedding[known.held_out]).mean().item()
    assert found["features"] < 0.3 and found["widefeatures"] > 0.7, found
    straight = nn.functional.normalize(says @ torch.randn(8, 24, generator=rng) + 5)  # nearly linear in Z
    known = channel(known.x, known.z, batch=50, labels=straight)
    net, _ = fit(WideFeatures(), known._replace(shapes=known.shapes._replace(embedding=24)), epochs=2, lr=4e-3)
    errors = [
        (made - straight[known.held_out]).square().mean() for made in (guess(net.ridge, known), guess(net, known))
    ]
    assert errors[1] <= errors[0] * (1 + 1e-5), "never worse than ridge"


def test_attention_learns_the_picture_from_a_map_and_from_a_vector():
    """Ten numbers make a picture of 16 pixels; Z is what is left of it on 8 × 8, or the numbers, turned."""
    rng = torch.Generator().manual_seed(11)
    says, rows = torch.randn(600, 10, generator=rng), torch.linspace(-1, 1, 16)
    waves = torch.stack([torch.sin(f * rows + p) for f, p in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 4))])
    both = torch.stack([waves[:, None, :].expand(5, 16, 16), waves[:, :, None].expand(5, 16, 16)]).flatten(0, 1)
    x = (0.5 + 0.07 * torch.einsum("nk,khw->nhw", says, both))[:, None].expand(-1, 3, -1, -1).clamp(0, 1).contiguous()
    turn = torch.linalg.qr(torch.randn(10, 10, generator=rng))[0]
    for z in (nn.functional.avg_pool2d(x, 2), says @ turn):
        known = channel(x, z, batch=16)
        net, state = fit(Attention(), known, epochs=7, lr=8e-3, patience=8)
        assert known.error(guess(net, known)) < 0.2 * known.variance
        assert state["validation"] == pytest.approx(known.error(guess(net, known)), rel=1e-2)


@pytest.mark.parametrize(
    "z, image, patch", [((7,), 48, 8), ((5, 12, 12), 48, 4), ((4, 45, 45), 178, 8), ((9, 3, 3), 50, 8)]
)
def test_attention_fits_any_z_and_any_picture(z, image, patch):
    net = PatchDecoder(z, image, patch, 36)
    assert net(torch.zeros(2, *z)).shape == (2, 3, image, image) and net.places.shape[1] <= 64


def test_leaked_pairs_are_exact_once_they_are_more_than_z_has_numbers():
    """Pictures of 20 numbers, Z these numbers turned: 21 pairs say all, one says nothing, and between them each says more."""
    rng = torch.Generator().manual_seed(12)
    says = torch.randn(400, 20, generator=rng)
    x = (0.5 + 0.02 * says @ torch.randn(20, 192, generator=rng)).clamp(0, 1).unflatten(1, (3, 8, 8))
    known = channel(x, says @ torch.linalg.qr(torch.randn(20, 20, generator=rng))[0])
    errors = []
    for pairs in (1, 8, 16, 21, 1000):
        net, state = fit(Leaked(pairs=pairs), known)
        assert state["pairs"] == min(pairs, 360)
        errors.append(known.error(guess(net, known)) / known.variance)
        assert state["validation"] == pytest.approx(errors[-1] * known.variance, rel=1e-3)
    assert errors[0] == pytest.approx(1, abs=0.01) and errors[0] > errors[1] > errors[2] and max(errors[3:]) < 1e-6, (
        errors
    )
    blind = channel(x, torch.randn(400, 500, generator=rng))
    for pairs in (50, 360):  # fewer than Z's numbers, and all that there are: whatever fits them says nothing
        assert blind.error(guess(fit(Leaked(pairs=pairs), blind)[0], blind)) < 1.05 * blind.variance
    with pytest.raises(ConfigError, match="pairs: found 0, accepted"):
        RunConfig(attacks="leaked", pairs=0)


def test_boosted_reads_what_kernel_ridge_leaves_and_is_never_worse():
    """Each block of 4 × 4 pixels is a bent function of its place in a 4 × 4 map: many numbers, one rule."""
    z = torch.randn(450, 2, 4, 4, generator=torch.Generator().manual_seed(13))
    x = nn.functional.interpolate(0.5 + 0.2 * torch.cos(2 * z[:, :1]), scale_factor=4).expand(-1, 3, -1, -1)
    known = channel(x.contiguous(), z, batch=25)
    net, state = fit(Boosted(), known, epochs=8, lr=4e-3, patience=5)
    smooth, whole = (known.error(guess(each, known)) for each in (net.base, net))
    assert whole < 0.6 * smooth and state["share"] > 0.5
    assert state["validation"] == pytest.approx(whole, rel=1e-4)
    net, state = fit(Boosted(), linear_gaussian(falling(16), 300, 10, 0.01, batch=50), epochs=1, lr=1e-9)
    assert 0 <= state["share"] < 0.1, "a decoder that has learned nothing adds nothing"


@pytest.mark.parametrize("layer", ["fc", "conv1"])
def test_the_strong_attackers_are_stored_and_judged_by_what_they_are_after(layer, shared_store):
    cfg = TINY.replace(attacks="ensemble,boosted,attention,leaked,probe,probemlp,widefeatures", layer=layer, pairs=7)
    row = arl.run(cfg)
    found = row.result["attacks"]
    wanted = {"ensemble": "psnr", "boosted": "psnr", "attention": "psnr", "leaked": "psnr"}
    wanted |= {"probe": "label_mcc", "probemlp": "label_mcc", "widefeatures": "feature_similarity"}
    assert set(found) == set(wanted)
    for name, metric in wanted.items():
        value = found[name][metric]["value"]
        assert row.each(f"{name}/{metric}").mean().item() == pytest.approx(value, abs=1e-4), name
        if metric == "psnr":  # what is loaded from the store is what had been fitted
            x_hat = row.experiment.reconstruct(row.experiment.split.t, name)
            x = torch.from_numpy(row.experiment.data.images[row.experiment.split.t]) / 255
            assert metrics.psnr(x_hat, x).mean().item() == pytest.approx(value, rel=1e-4), name
    assert row.of("leaked").spec["pairs"] == 7 and row.of("leaked").result["pairs"] == 7
    assert 0.5 < found["probe"]["label_accuracy"]["value"] <= 1


@pytest.mark.parametrize("attacks, shown", [("features", "feature similarity"), ("mean", "mean MCC")])
def test_a_row_without_dec_a_is_shown_and_listed(attacks, shown, shared_store):
    row = arl.run(TINY.replace(attacks=attacks))
    assert "face_similarity" not in row.result and shown in paper.row_text(row)
    (line,) = [line for line in listing.runs_text().splitlines() if line.startswith(row.id)]
    assert "MCC" in line and "face similarity" not in line
    assert row.id not in [other.id for other in Store(shared_store).rows], "the explorer shows it nowhere"


def test_an_identity_decoder_learns_by_a_recogniser_that_is_no_judge(shared_store):
    row = arl.run(TINY.replace(attacks="identity"))
    run, own = row.of("identity"), own_spec(TINY)
    assert run.spec["own_recogniser"] == own != row.run.spec["recogniser"] == rendered_spec(TINY)
    people = [Run(shared_store / spec["run"]).spec["data"]["people"] for spec in (own, row.run.spec["recogniser"])]
    assert people[0] != people[1]
    assert "face_similarity" in row.result["attacks"]["identity"]
    plain = arl.run(TINY.replace(attacks="whitened")).of("whitened")
    assert "own_recogniser" not in plain.spec


def test_what_its_own_recogniser_sees_rises_with_its_weight(shared_store):
    """Z is a coarse picture: by ν the decoder gives up pixels for what R looks at."""
    distance = likeness(own_recogniser(TINY, torch.device("cpu")))
    x = torch.from_numpy(arl.data.open_data(TINY).images).float() / 255
    known = channel(x, nn.functional.avg_pool2d(x, 8).flatten(1), batch=20)
    seen = []
    for nu in (0.0, 0.03):
        torch.manual_seed(0)
        attack = Identity(nu=nu)
        player = attack.player(known.shapes, distance)
        attack.train(player, known.public, attacks.Schedule(6, 4e-3, 6), Nowhere())
        with torch.no_grad():
            made = player.net.eval()(known.z[known.held_out])
            seen.append((distance(made, x[known.held_out]).item(), known.error(made)))
    assert seen[1][0] < seen[0][0] - 0.1 and seen[0][1] < 2 * known.variance
    assert distance(x[:4], x[:4]).item() == pytest.approx(0, abs=1e-6)


def test_on_a_cpu_bf16_is_for_players_of_images_while_they_learn(monkeypatch):
    """What is measured of them, M, and Z as attackers get it, are in float32."""
    monkeypatch.setattr(training, "BF16_LEARNS", {"cpu"})
    seen = []

    def watched(net):
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
        return net

    def dtypes(act):
        seen.clear()
        act()
        return set(seen)

    torch.manual_seed(0)
    z, x, wanted = torch.randn(4, 8), torch.rand(4, 3, 32, 32), torch.randn(4, 5)
    player = Adversary(watched(ImageDecoder((8,), 32, 8)))
    assert dtypes(lambda: player.learn(z, x, 1e-3)) == {torch.bfloat16}
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in player.net.parameters())
    assert dtypes(lambda: plateau.validation(player, player.net, lambda epoch: [(z, x)])) == {torch.float32}
    m = plateau.Learner(watched(FeatureMap((8,), 5)), losses.feature_attack_loss)
    assert dtypes(lambda: m.learn(z, wanted, 1e-3)) == {torch.float32}
    encoder = watched(backbone(40).eval())
    assert dtypes(lambda: plateau.StandardisedFeatures(encoder, [torch.rand(4, 3, 48, 48)], 4)) == {torch.float32}
