"""Probes, maps and information measures against what is known without them: made-up data, Gaussian channels, sums by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from arl import experiment, metrics
from arl.config import RunConfig
from arl.data import open_data, open_rendered, split
from arl.experiment import Experiment
from arl.paper import information, information_planes, probes, tsne_panels

TINY = RunConfig.preset("tiny")
rng = np.random.default_rng(0)


def made_up(values, people, learn):
    """A sample without pictures: `values` (n, d) of `people` (n,)."""
    data = type("Data", (), {"identities": people})()
    return probes.Sample(data, np.arange(len(people)), learn, np.asarray(values, np.float32))


def a_set(n=1200, d=6, people=150):
    who = rng.integers(0, people, n)
    return rng.standard_normal((n, d)), who, np.arange(n) < 2 * n // 3


# -- probes ---------------------------------------------------------------------------------------------------------


def test_a_probe_reads_what_is_there_and_nothing_else():
    values, who, learn = a_set()
    there = values[:, 0] + 0.3 * values[:, 1] > 1  # one in six
    found = probes.read(made_up(values, who, learn), there, TINY)
    assert found["mcc"]["value"] > 0.9 and found["auc"]["low"] > 0.98
    absent = rng.random(len(values)) < 0.2
    found = probes.read(made_up(values, who, learn), absent, TINY)
    assert found["mcc"]["low"] < 0 < found["mcc"]["high"] and found["auc"]["low"] < 0.5 < found["auc"]["high"]


def test_four_classes_and_numbers():
    values, who, learn = a_set()
    classes = (values[:, 0] > 0) + 2 * (values[:, 1] > 1.2)
    found = probes.read(made_up(values, who, learn), classes, TINY)["balanced_accuracy"]
    assert found["value"] > 0.85 and found["chance"] == 0.25
    found = probes.read(made_up(values, who, learn), rng.integers(0, 4, len(values)), TINY)["balanced_accuracy"]
    assert found["low"] < 0.25 < found["high"]
    noisy = values[:, 0] + rng.standard_normal(len(values))  # half of its variance can be known
    found = probes.read(made_up(values, who, learn), noisy, TINY)["r2"]
    assert found["low"] < 0.5 < found["high"] and found["value"] == pytest.approx(0.5, abs=0.08)
    found = probes.read(made_up(values, who, learn), rng.standard_normal(len(values)), TINY)["r2"]
    assert abs(found["value"]) < 0.05


def test_who_it_is_does_not_tell_a_trait():
    """Features that name the person and nothing else, and a trait that is the person's by lot: nothing can be read of people not met."""
    who = np.repeat(np.arange(60), 20)
    values = np.eye(60)[who] + 0.01 * rng.standard_normal((len(who), 60))
    trait = (np.random.default_rng(1).random(60) < 0.5)[who]
    learn = np.tile(np.arange(20) < 15, 60)
    found = probes.read(made_up(values, who, learn), trait, TINY)["mcc"]
    assert found["low"] < 0.1, "a probe that had met them would reach 1"


def test_one_class_alone_is_no_reason_to_fail():
    values, who, learn = a_set(120, 3, 20)
    found = probes.read(made_up(values, who, learn), np.zeros(len(values), bool), TINY)
    assert found["mcc"]["value"] == 0 and found["auc"]["value"] is None and found["auc"]["why"]


def test_statistics_agree_with_scikit_learn_also_when_weighted():
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=3).astype(float)
    truth, called = rng.random(200) < 0.3, rng.random(200) < 0.4
    scores, number, says = rng.integers(0, 9, 200) / 9, rng.standard_normal(200), rng.standard_normal(200)
    for weights, mcc, auc, r2, recall in zip(
        counts,
        probes.correlation(counts, called, truth),
        probes.area_under_roc(counts, scores, truth),
        probes.r_squared(counts, says, number),
        probes.mean_recall(counts, called == truth, truth),
        strict=True,
    ):
        drawn = np.repeat(np.arange(200), weights.astype(int))
        assert mcc == pytest.approx(metrics.mcc(called[drawn, None], truth[drawn, None])[0])
        assert auc == pytest.approx(roc_auc_score(truth[drawn], scores[drawn]))
        assert r2 == pytest.approx(r2_score(number[drawn], says[drawn]))
        assert recall == pytest.approx(balanced_accuracy_score(truth[drawn], called[drawn]))


def test_intervals_are_over_people():
    """Twenty equal images of each of 50 people are 50 observations, not 1000."""
    each = rng.standard_normal(50)
    values, people = np.repeat(each, 20), np.repeat(np.arange(50), 20)
    found = probes.over_people(lambda n: n @ values / n.sum(1), people, TINY.replace(bootstrap=1000))
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * each.std() / math.sqrt(50), rel=0.15)


def test_verdicts():
    low, high = {"value": 0.2, "low": 0.1, "high": 0.3}, {"value": 0.5, "low": 0.4, "high": 0.6}
    wide = {"value": 0.4, "low": -0.2, "high": 0.9}
    assert (probes.trend(low, high), probes.trend(high, low)) == ("rises", "falls")
    assert probes.trend(low, wide) == "no difference that the intervals show"
    assert probes.above(low, 0) == "readable" and probes.above(wide, 0) == "not told from guessing"
    assert probes.said(wide) == "0.40 (−0.20–0.90)"


# -- skin -----------------------------------------------------------------------------------------------------------


def test_the_skin_tone_is_that_of_the_picture(shared_store):
    """Each photograph's own tone, in the order of the store: the colour between eyes and mouth falls with it."""
    data = open_rendered(60, 3, 32, 0)
    index = rng.permutation(len(data))
    values = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(data.images[index]).float() / 255, probes.SIDE)
    of = probes.Sample(data, index, np.arange(len(index)) < 120, values.flatten(1).numpy())
    tone, colour = probes.skin_tone(of), probes.skin_colour(of).values
    assert colour.shape == (180, 3) and tone.min() >= 0 and tone.max() <= 6
    assert np.corrcoef(tone, colour[:, 2])[0, 1] < -0.85
    assert tone[of.labels("Pale_Skin")].max() < 0.36 < tone[~of.labels("Pale_Skin")].min()
    whole = values.mean((2, 3)).numpy()
    assert abs(np.corrcoef(tone, whole[:, 2])[0, 1]) < 0.7, "the box is on the skin: the whole picture says less"
    assert probes.skin_tone(probes.photographs(RunConfig.preset("tiny", data="orl"))) is None


# -- t-SNE ----------------------------------------------------------------------------------------------------------


def test_the_map_is_the_same_for_a_seed_and_keeps_groups_apart():
    centres = np.repeat(np.eye(3) * 20, 40, axis=0)
    values = np.hstack([centres, np.zeros((120, 77))]) + rng.standard_normal((120, 80))
    a, b = probes.tsne(values, 1), probes.tsne(values, 1)
    assert a.shape == (120, 2) and np.array_equal(a, b)
    group = np.repeat(np.arange(3), 40)
    distance = np.square(a[:, None] - a[None]).sum(2) + np.diag(np.full(120, np.inf))
    assert (group[distance.argmin(1)] == group).all()
    assert probes.tsne(values[:5]).shape == (5, 2), "few points do not fail"


def test_a_balanced_sample():
    classes = np.repeat([0, 1, 2, 3], [50, 30, 9, 11])
    chosen = probes.balanced(classes, 1200)
    assert np.bincount(classes[chosen]).tolist() == [9] * 4 and len(set(chosen)) == 36
    assert np.bincount(classes[probes.balanced(classes, 20)]).tolist() == [5] * 4
    assert np.array_equal(chosen, probes.balanced(classes, 1200))


# -- information ----------------------------------------------------------------------------------------------------


def test_entropy_by_hand():
    assert information.entropy_bits(np.array([0.5, 0, 1])).tolist() == [1, 0, 0]
    assert information.entropy_bits(np.array([0.25]))[0] == pytest.approx(2 - 0.75 * math.log2(3))


def test_match_bits_of_a_gaussian_channel():
    """Z = X + N, X̂ = E[X | Z]: I(X; X̂) = k · ½ log2(1 + SNR). The bound comes close to it from below, and knows nothing of nothing."""
    n, k, noise, repeats = 600, 2, 0.25, 8
    left = np.full(k, noise / (1 + noise))  # the variance of X given Z
    bits, pixel, stranger = [], [], []
    for seed in range(repeats):  # one set of 600 is off by 0.07 bits, one standard deviation
        own = np.random.default_rng(seed)
        x = own.standard_normal((n, k))
        x_hat = (x + math.sqrt(noise) * own.standard_normal((n, k))) / (1 + noise)
        bits.append(information.match_bits(information.gaussian_scores(x_hat, x, left, np.ones(k))).mean())
        pixel.append(0.5 * math.log2(x.var() / np.square(x - x_hat).mean()))
        wrong = information.gaussian_scores(x_hat[::-1].copy(), x, left, np.ones(k))
        stranger.append(information.match_bits(wrong).mean())
    true = k * 0.5 * math.log2(1 + 1 / noise)  # 2.32
    assert true - 0.1 < np.mean(bits) < true + 0.05
    assert np.mean(pixel) == pytest.approx(true / k, abs=0.03), "pixel bits"
    assert -0.02 < np.mean(stranger) < 0.02
    exact = information.match_bits(torch.eye(n)).mean()
    assert exact == pytest.approx(math.log2(n), abs=0.01), "at most the logarithm of the number of pictures"


@pytest.fixture
def row(shared_store):
    return experiment.run(TINY)


def test_information_of_a_row_agrees_with_the_row(row):
    found = information.bits(TINY, row)
    assert set(found) >= {"pixel_bits", "picture_bits", "identity_bits", "verification", "label_loss", "label_share"}
    assert all(v["low"] <= v["value"] <= v["high"] for k, v in found.items() if k != "most_bits")
    for name in ("picture_bits", "identity_bits"):
        assert found[name]["value"] <= found["most_bits"]["value"] == pytest.approx(math.log2(40))
    data = open_data(TINY)
    _, x2, t = split(data, TINY)
    x, mean_face = (data.images[index] / 255.0 for index in (t, x2))
    guessed = ((x - mean_face.mean(0)) ** 2).mean()
    # each picture's squared error, from its PSNR
    decoded = (10 ** (-row.run.load()[0]["psnr"].double() / 10)).mean().item()
    assert found["pixel_bits"]["value"] == pytest.approx(math.log2(guessed / decoded) / 2, abs=1e-3)
    share = 1 - found["label_loss"]["value"] / found["label_entropy"]["value"]
    assert found["label_share"]["value"] == pytest.approx(share)
    assert "–" in information.bits_text(["a"], [row], [found])


def test_what_is_readable_and_the_figures(row, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    read = probes.readable(TINY, row)
    assert set(read) == {"Z", "X̂", "skin of X̂", "X"} and list(read["Z"]) == ["skin tone", *probes.GROUPS]
    assert read["X"]["skin tone"]["value"] > 0.3
    bits = information.bits(TINY, row)
    figure = information_planes(["a", "b"], [row] * 2, [bits] * 2, [read] * 2)
    assert len(figure.axes) == 3 + 5
    assert "skin tone" in information.limits_text(["a", "b"], [row] * 2, [read] * 2)
    panel = probes.figure4(Experiment(TINY), 40)
    assert panel["map"].shape == (len(panel["classes"]), 2) and len(set(np.bincount(panel["classes"]))) == 1
    assert probes.figure4_text([panel] * 4).count("\n") == 12
    assert len(tsne_panels({str(i): panel for i in range(4)}).axes) == 4
    for module, name in ((probes, "_readable"), (information, "_measure"), (probes, "tsne")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("it is in the store"))
    assert probes.readable(TINY, row) == read and information.bits(TINY, row) == bits
    again = probes.figure4(Experiment(TINY), 40)
    assert again["read"] == panel["read"] and np.array_equal(again["map"], panel["map"])
    x = probes.photographs(TINY)
    assert x.values.shape == (len(x.index), 3 * probes.SIDE**2) and 0 <= x.values.min() and x.values.max() <= 1
    z = probes.features(Experiment(TINY), x).values[x.learn]
    assert np.allclose(z.mean(0), 0, atol=1e-3) and set(z.std(0).round(2)) <= {0, 1}, "X2's statistics"
    assert len(open_data(TINY)) > len(x.index), "X1 is not looked at"
