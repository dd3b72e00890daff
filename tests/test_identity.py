"""Identification and verification against closed forms, scikit-learn and resampling by brute force; and what a row says of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, norm
from sklearn.metrics import roc_auc_score, roc_curve

import arl
from arl import identity, metrics
from arl.answers import from_answers
from arl.config import RunConfig
from arl.data import Split, open_data
from arl.judges import embed_all
from arl.lineup import agreements, feature_scores, lineup
from arl.paper import row_text
from arl.plateau import Standardise
from arl.row import Row

TINY = RunConfig.preset("tiny")


def people(count, each):
    return np.repeat(np.arange(count), each)


def normal(who_probe, who_gallery, d, rng, effect=0.0):
    """Scores of strangers N(0, 1 + 2 effect²), of one person N(d, 1 + 4 effect²): each person has its own offset on both sides."""
    own = effect * rng.standard_normal(max(who_probe.max(), who_gallery.max()) + 1)
    noise = rng.standard_normal((len(who_probe), len(who_gallery)))
    return noise + d * (who_probe[:, None] == who_gallery) + own[who_probe][:, None] + own[who_gallery]


def without_own(scores):
    """Probes are the gallery's photographs: none is compared with itself."""
    np.fill_diagonal(scores, np.nan)
    return scores


def test_the_same_embedding_for_all_photographs_of_a_person_is_always_found():
    who = people(40, 4)
    each = np.random.default_rng(0).standard_normal((40, 16))[who]
    found = identity.recognition(without_own(identity.cosines(each, each)), who, who, resamples=50)
    assert [found[name]["value"] for name in ("rank1", "rank5", "auc", "tar_0.01")] == pytest.approx([1] * 4, abs=1e-9)
    assert found["eer"]["value"] == pytest.approx(0, abs=1e-9) and found["eer"]["high"] < 1e-6
    assert (found["gallery"], found["probes"], found["left_out"]) == (40, 160, 0)
    assert (found["genuine"], found["impostors"]) == (40 * 4 * 3, 160 * 156)


@pytest.mark.parametrize("constant", [False, True])
def test_chance_is_one_of_the_gallery_and_a_half(constant):
    who = people(50, 6)
    scores = np.random.default_rng(1).standard_normal((300, 300)) * (not constant)
    found = identity.recognition(without_own(scores), who, who, resamples=100)
    expected = {"rank1": 1 / 50, "rank5": 5 / 50, "auc": 0.5, "eer": 0.5, "tar_0.01": 0.01}
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6 if constant else 0.04), name
        assert found[name]["low"] - 1e-6 <= value <= found[name]["high"] + 1e-6, name


@pytest.mark.parametrize("d", [1.0, 2.0, 3.0])
def test_normal_scores_have_the_rates_of_their_distance(d):
    """AUC Φ(d/√2), EER Φ(−d/2), TAR at FAR 1 % Φ(d − Φ⁻¹(.99)); rank-1 of P people ∫ φ(s − d) Φ(s)^(P−1) ds."""
    who = people(60, 8)
    found = identity.recognition(normal(who, who, d, np.random.default_rng(2)), who, who, resamples=300)
    at = np.linspace(-8, 12, 20001)
    rank1 = np.trapezoid(norm.pdf(at - d) * norm.cdf(at) ** 59, at)
    expected = {"auc": norm.cdf(d / 2**0.5), "eer": norm.cdf(-d / 2), "rank1": rank1}
    expected |= {f"tar_{far:g}": norm.cdf(d - norm.ppf(1 - far)) for far in (0.01, 0.001)}
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=0.06), name
        assert found[name]["low"] <= value <= found[name]["high"], name
        assert found[name]["high"] - found[name]["low"] < 0.12, name


def test_the_roc_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    who = people(30, 5)
    scores = without_own(np.round(normal(who, who, 1.5, rng), 1))  # with ties
    compared = ~np.isnan(scores)
    same = (who[:, None] == who)[compared]
    fpr, tpr, _ = roc_curve(same, scores[compared], drop_intermediate=False)
    found = identity.verification(scores, who, who, resamples=20)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(same, scores[compared]), abs=1e-9)
    kept = [i for i, value in enumerate(found["roc"]["tpr"]) if value is not None]
    at = np.array(found["roc"]["fpr"])[kept]
    assert len(kept) >= 8 and np.array(found["roc"]["tpr"])[kept] == pytest.approx(np.interp(at, fpr, tpr), abs=1e-9)
    assert found["eer"]["value"] == pytest.approx(np.interp(1, fpr + tpr, fpr), abs=1e-9)
    assert found["tar_0.01"]["value"] == pytest.approx(np.interp(0.01, fpr, tpr), abs=1e-9)


def test_resampled_curves_follow_the_exact_one():
    """One resample that draws everybody once is the sample: its figures, at the cuts, are those of the exact curve."""
    who = people(40, 5)
    scores = normal(who, who, 1.5, np.random.default_rng(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "resampled", lambda n, resamples, seed: np.ones((1, n)))
        found = identity.verification(scores, who, who, resamples=1)
    for name in ("auc", "eer", "tar_0.01", "tar_0.001"):
        assert found[name]["low"] == pytest.approx(found[name]["value"], abs=3e-3), name


def test_a_false_accept_rate_that_few_pairs_decide_is_refused():
    who = people(20, 5)
    found = identity.verification(normal(who, who, 1, np.random.default_rng(5)), who, who, resamples=20)
    assert found["impostors"] == 9500 and found["tar_0.01"]["pairs"] == 95 and found["tar_0.01"]["value"] > 0
    assert found["tar_0.001"] == {"value": None, "low": None, "high": None, "pairs": 9} | {
        "why": "FAR 0.10% of 9500 pairs of strangers: 9 decide, 30 are needed"
    }
    assert found["roc"]["tpr"][:4] == [None] * 4 and None not in found["roc"]["tpr"][4:]


def test_whoever_has_one_photograph_is_in_the_gallery_but_no_probe():
    who = np.array([*people(10, 3), 10, 11])
    found = identity.identification(without_own(np.random.default_rng(6).random((32, 32))), who, who, resamples=10)
    assert (found["gallery"], found["probes"], found["left_out"]) == (12, 30, 2)
    alone = identity.recognition(without_own(np.ones((5, 5))), np.arange(5), np.arange(5), resamples=10)
    assert (
        alone["rank1"]["value"] is None and alone["auc"]["value"] is None and "two photographs" in alone["auc"]["why"]
    )
    few = identity.identification(without_own(np.random.default_rng(6).random((9, 9))), people(3, 3), people(3, 3))
    assert few["rank1"]["value"] is not None and "more than 5 people" in few["rank5"]["why"]


def test_a_gain_is_the_difference_probe_by_probe():
    rng = np.random.default_rng(12)
    who = people(50, 4)
    weak = normal(who, who, 1.0, rng)
    strong = weak + 1.5 * (who[:, None] == who)  # the same noise: what is found by the weak is found by the strong
    ranks = [identity.identification(without_own(scores), who, who) for scores in (strong, weak)]
    gain = identity.gain(strong, weak, who, who)
    for name in ("rank1", "rank5"):
        assert gain[name]["value"] == pytest.approx(ranks[0][name]["value"] - ranks[1][name]["value"])
        assert gain[name]["low"] > 0.1
    apart = sum(each["rank5"]["high"] - each["rank5"]["low"] for each in ranks)
    assert gain["rank5"]["high"] - gain["rank5"]["low"] < apart
    assert identity.gain(weak, weak, who, who)["rank1"] == {"value": 0, "low": 0, "high": 0}
    none = np.where(who[:, None] == 0, np.nan, weak)
    with pytest.raises(ValueError, match="floor: found other probes left out"):
        identity.gain(weak, none, who, who)


def test_nobody_is_found_by_the_very_photograph():
    """Each photograph is like no other but itself: compared with itself it would always be found."""
    who = people(30, 2)
    each = np.eye(60)
    assert identity.identification(identity.cosines(each, each), who, who)["rank1"]["value"] > 0.5
    found = identity.identification(without_own(identity.cosines(each, each)), who, who)
    assert found["rank1"]["value"] == pytest.approx(1 / 30), "ties are broken by chance"


def brute_force(scores, who, far, resamples, rng):
    """AUC, EER and TAR of resamples of the people, a pair as often as both were drawn."""
    compared = ~np.isnan(scores)
    same = (who[:, None] == who)[compared]
    drawn = []
    for _ in range(resamples):
        times = rng.multinomial(who.max() + 1, np.full(who.max() + 1, 1 / (who.max() + 1)))
        weight = np.where(who[:, None] == who, times[who][:, None], times[who][:, None] * times[who])[compared]
        fpr, tpr, _ = roc_curve(same, scores[compared], sample_weight=weight)
        drawn.append([np.trapezoid(tpr, fpr), np.interp(1, fpr + tpr, fpr), np.interp(far, fpr, tpr)])
    return np.percentile(drawn, [2.5, 97.5], axis=0)


def test_intervals_are_as_wide_as_those_of_pairs_drawn_by_brute_force():
    rng = np.random.default_rng(7)
    who = people(40, 3)
    scores = without_own(normal(who, who, 1.5, rng, effect=0.4))
    found = identity.verification(scores, who, who, resamples=1000)
    for name, (low, high) in zip(("auc", "eer", "tar_0.01"), brute_force(scores, who, 0.01, 300, rng).T, strict=True):
        assert found[name]["high"] - found[name]["low"] == pytest.approx(high - low, rel=0.25), name


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Strangers N(0, s²), one person N(d, g²): AUC Φ(d/√(s² + g²)), EER Φ(−d/(s + g)). 40 people, so a little less than 95 %."""
    effect, d, who = 0.4, 1.5, people(40, 3)
    s, g = (1 + 2 * effect**2) ** 0.5, (1 + 4 * effect**2) ** 0.5
    truth = {"auc": norm.cdf(d / (s * s + g * g) ** 0.5), "eer": norm.cdf(-d / (s + g))}
    hits = {name: 0 for name in truth}
    for seed in range(120):
        scores = normal(who, who, d, np.random.default_rng([8, seed]), effect)
        found = identity.verification(scores, who, who, seed=seed, resamples=200)
        for name, value in truth.items():
            hits[name] += found[name]["low"] <= value <= found[name]["high"]
    assert all(0.87 <= count / 120 <= 0.995 for count in hits.values()), hits


def test_agreement_is_kendalls_tau_over_people():
    rng = np.random.default_rng(9)
    who = people(50, 4)
    a = np.round(rng.standard_normal(200), 1)
    b = np.round(a + rng.standard_normal(200), 1)
    found = identity.rank_agreement(a, b, who, resamples=300)
    assert found["value"] == pytest.approx(kendalltau(a, b).statistic, abs=1e-6)
    assert found["low"] < found["value"] < found["high"] < found["value"] + 0.15
    assert identity.rank_agreement(a, -a, who)["value"] == pytest.approx(-1)
    of_people = identity.rank_agreement(np.repeat(a[:50], 4), np.repeat(b[:50], 4), who, resamples=300)
    of_images = identity.rank_agreement(np.repeat(a[:50], 4), np.repeat(b[:50], 4), np.arange(200), resamples=300)
    assert of_people["high"] - of_people["low"] > 1.5 * (of_images["high"] - of_images["low"])
    assert identity.rank_agreement(a, np.ones(200), who)["value"] is None


# -- T's line-up ----------------------------------------------------------------------------------------------------


def test_the_line_up_is_the_people_of_t_in_x2_and_t():
    who = np.array([0, 0, 0, 1, 1, 2, 2, 3, 4, 4])
    of = lineup(who, Split(np.array([0, 8]), np.array([1, 3, 7]), np.array([2, 4, 5, 6])), seed=0)
    assert of.probes.tolist() == [0, 1, 2, 3] and of.gallery.tolist() == [1, 2, 3, 4, 5, 6], "7, 8 and 9 are not in T"
    assert of.gallery[of.own].tolist() == [2, 4, 5, 6] and [w.tolist() for w in of.who] == [
        [0, 1, 2, 2],
        [0, 0, 1, 1, 2, 2],
    ]
    assert (
        "4 images of T, of 3 people, against 6 photographs" in of.words
        and "2 of the people are in X1 or X2" in of.words
    )


def test_a_large_t_gives_whole_people():
    who = people(100, 5)
    of = lineup(
        who,
        Split(np.array([], int), np.arange(0, 500, 5), np.setdiff1d(np.arange(500), np.arange(0, 500, 5))),
        0,
        most=80,
    )
    assert len(of.probes) == 80 and len(of.gallery) == 100 and set(of.who[0]) == set(of.who[1])
    assert (np.unique(of.who[0], return_counts=True)[1] == 4).all() and "none of" not in of.words


@pytest.mark.parametrize("loud", [1.0, 1000.0])
def test_from_z_people_are_found_however_loud_another_channel_is(loud):
    """Z: eight channels say who it is, one is noise; standardised as attackers see it, what is loud is no more than the rest."""
    rng = np.random.default_rng(10)
    who, data = people(30, 6), rng.integers(0, 256, (180, 3, 4, 4)).astype(np.uint8)
    z = torch.from_numpy(np.c_[rng.standard_normal((30, 8))[who], loud * rng.standard_normal(180)]).float()
    place = {tuple(image.ravel()[:6]): i for i, image in enumerate(data)}

    def encoder(x):
        rows = [place[tuple(row)] for row in (x * 255).round().flatten(1)[:, :6].int().tolist()]
        return z[rows]

    sets = Split(np.array([], int), np.arange(0, 180, 2), np.arange(1, 180, 2))
    experiment = SimpleNamespace(
        networks=(encoder, None), device=torch.device("cpu"), cfg=TINY, split=sets, data=SimpleNamespace(images=data)
    )
    of = lineup(who, sets, 0)
    scores = feature_scores(of, experiment, Standardise(z.mean(0), z.std(0)))
    found = identity.recognition(scores, *of.who, resamples=50)
    assert found["rank1"]["value"] > 0.8 and found["auc"]["value"] > 0.95
    if loud > 1:
        raw = identity.recognition(feature_scores(of, experiment, torch.nn.Identity()), *of.who, resamples=50)
        assert raw["rank1"]["value"] < 0.5, "the test would find a Z that is not standardised"


def test_judges_agree_by_pairs():
    rng = np.random.default_rng(11)
    of = SimpleNamespace(probes=np.arange(60), who=(people(20, 3), None))
    a, b = (torch.from_numpy(rng.standard_normal(60)) for _ in "ab")
    found = agreements(
        of, {"C": {"decoder": a, "ridge": a}, "dlib": {"decoder": a, "ridge": -a}, "x": {"decoder": b}}, resamples=50
    )
    assert {pair: list(each) for pair, each in found.items()} == {
        "C and dlib": ["decoder", "ridge"], "C and x": ["decoder"], "dlib and x": ["decoder"],
    }  # fmt: skip
    assert found["C and dlib"]["decoder"]["value"] == pytest.approx(1)
    assert found["C and dlib"]["ridge"]["value"] == pytest.approx(-1)
    assert abs(found["C and x"]["decoder"]["value"]) < 0.3


# -- in a row -------------------------------------------------------------------------------------------------------


def test_a_row_says_who_is_recognised(shared_store):
    row = arl.run(TINY.replace(attacks="decoder,features,mean"))
    found = row.result["identity"]["C"]
    assert set(found) == {"Z", "decoder", "features", "mean", "originals", "mean face", "stranger", "answers"}
    x2, t = row.experiment.split[1:]
    data, known, judge = open_data(TINY), np.sort(np.concatenate([x2, t])), row.experiment.judge
    known = known[np.isin(data.identities[known], data.identities[t])]
    x_hat = (row.reconstruct(t) * 255).round().byte().numpy()
    probe, _ = embed_all(judge, x_hat, np.arange(len(t)), torch.device("cpu"))
    gallery, _ = embed_all(judge, data.images, known, torch.device("cpu"))
    same = data.identities[t][:, None] == data.identities[known]
    compared = t[:, None] != known
    cosine = torch.nn.functional.cosine_similarity(probe[:, None], gallery[None], dim=2).numpy()
    assert found["decoder"]["auc"]["value"] == pytest.approx(roc_auc_score(same[compared], cosine[compared]), abs=1e-4)
    assert found["originals"]["rank1"]["value"] > found["mean face"]["rank1"]["value"]
    assert found["mean"]["auc"]["value"] == pytest.approx(found["mean face"]["auc"]["value"], abs=0.03)
    assert found["decoder"]["gallery"] == len(np.unique(data.identities[t])) and found["decoder"]["probes"] <= len(t)
    assert "agreement" not in row.result and "photographs of them in X2 and T" in row.result["lineup"]
    text = row_text(row)
    assert f"rank-1 of {found['decoder']['gallery']}, X̂ ↓" in text and "EER, X̂ ↑" in text and "TAR at FAR 1 %" in text
    assert f"from Z {found['Z']['rank1']['value']:.3f}" in text and row.result["lineup"] in text
    assert "rank-1 of" in row._repr_html_() and ", from Z" in row._repr_html_()


def test_a_row_that_was_measured_before_is_shown_without(shared_store):
    row = arl.run(TINY)
    later = ("identity", "lineup", "answers", "excess")
    old = Row(row.run, row.config, {k: v for k, v in row.result.items() if k not in later})
    assert set(later) < set(row.result) and old.excess("ssim") is None and old.excess("rank1") is None
    assert "answers" not in row_text(old)
    assert "rank-1" in row_text(row) and "rank-1" not in row_text(old) and "recognised among" not in row_text(old)
    assert "rank-1" not in old._repr_html_() and "face similarity" in old._repr_html_()


# -- what the answers alone give away -------------------------------------------------------------------------------


def test_a_picture_that_follows_from_the_answers_is_found():
    rng = torch.Generator().manual_seed(0)
    labels = (torch.rand(4000, 5, generator=rng) < 0.4).float()
    effects = torch.randn(5, 3, 2, 2, generator=rng)
    x = 0.5 + torch.einsum("na,achw->nchw", labels, effects)
    noisy = x + torch.randn(x.shape, generator=rng)
    found = from_answers(labels[:3000], noisy[:3000].split(700), labels[3000:] > 0)
    assert found.shape == (1000, 3, 2, 2) and (found - x[3000:]).square().mean() < 0.01, (
        "6 numbers from 3000 images: 0.002"
    )
    with pytest.raises(ValueError, match="targets: found 700 images, accepted: those of labels, 3000"):
        from_answers(labels[:3000], noisy[:700].split(700), labels[3000:])


def test_answers_that_say_nothing_give_the_mean_picture():
    rng = torch.Generator().manual_seed(1)
    x, labels = torch.rand(50, 3, 2, 2, generator=rng), torch.ones(50, 4)
    assert torch.allclose(from_answers(labels, [x], labels[:2]), x.mean(0).expand(2, -1, -1, -1), atol=1e-6)


def test_a_row_has_the_floor_of_the_answers_and_what_is_beyond_it(shared_store):
    row = arl.run(TINY.replace(attacks="decoder,features,mean"))
    e, t = row.experiment, row.each("t").numpy()
    data, x2 = e.data, e.split.x2
    y = torch.from_numpy(data.attributes.astype(np.float32))
    encoder, classifier = e.networks
    x = torch.from_numpy(data.images[t]).float() / 255
    said = classifier(encoder(x)) > 0
    picture = from_answers(y[x2], [torch.from_numpy(data.images[x2]).float() / 255], said).clamp(0, 1)
    psnr = metrics.psnr(picture, x)
    answers, excess = row.result["answers"], row.result["excess"]
    assert set(answers) == {"face_similarity", "feature_similarity", "ssim", "psnr"}
    assert set(excess) == {"decoder", "features", "mean"} and set(excess["features"]) == {"feature_similarity"}
    assert answers["psnr"]["value"] == pytest.approx(psnr.mean().item(), abs=1e-3)
    assert excess["decoder"]["psnr"]["value"] == pytest.approx((row.each("psnr") - psnr).mean().item(), abs=1e-3)
    assert row.excess("psnr") == excess["decoder"]["psnr"] and row.excess("psnr", "mean") == excess["mean"]["psnr"]
    assert row.excess("feature_similarity") == excess["features"]["feature_similarity"]
    assert row.excess("psnr", judge="nobody") is None
    text = row_text(row)
    assert (
        "floors: mean face, stranger, answers" in text and f"PSNR, dB {excess['decoder']['psnr']['value']:.2f}" in text
    )
    assert f"{answers['face_similarity']['value']:.3f}" in text
    assert f"over the answers {row.excess('rank1')['value']:.3f} (" in text
