"""Metrics against values worked by hand and against a second library."""

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import matthews_corrcoef

from arl import metrics

rng = np.random.default_rng(0)


def test_mcc_by_hand():
    """TP 3, TN 4, FP 1, FN 2: (12 − 2) / √(4 · 5 · 5 · 6)."""
    truth = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)[:, None]
    predicted = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0], bool)[:, None]
    assert metrics.mcc(predicted, truth)[0] == pytest.approx(10 / np.sqrt(600))
    assert metrics.mcc(truth, truth)[0] == pytest.approx(1) and metrics.mcc(~truth, truth)[0] == pytest.approx(-1)


def test_mcc_is_0_where_a_row_or_column_is_empty():
    truth = np.array([[1, 0], [0, 0], [1, 0]], bool)
    assert metrics.mcc(np.ones_like(truth), truth).tolist() == [0, 0]
    assert metrics.mcc(np.zeros_like(truth), truth).tolist() == [0, 0]


def test_mcc_agrees_with_scikit_learn():
    truth, predicted = rng.random((500, 6)) < 0.3, rng.random((500, 6)) < 0.4
    predicted[:, 0] = truth[:, 0] ^ (rng.random(500) < 0.1)
    expected = [matthews_corrcoef(truth[:, i], predicted[:, i]) for i in range(6)]
    assert np.allclose(metrics.mcc(predicted, truth), expected)
    assert metrics.mean_mcc(predicted, truth) == pytest.approx(np.mean(expected))


def test_cosine_by_hand():
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    assert metrics.cosine(a, b).tolist() == pytest.approx([0.96, -1.0])


def test_ssim_and_psnr_agree_with_scikit_image():
    x = torch.from_numpy(rng.random((3, 3, 48, 48), np.float32)) * 0.5 + 0.25
    x_hat = (x + 0.1 * torch.from_numpy(rng.standard_normal(x.shape, np.float32))).clamp(0, 1)
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
        "channel_axis": 0,
    }
    expected = [structural_similarity(a.numpy(), b.numpy(), **options) for a, b in zip(x_hat, x, strict=True)]
    assert np.allclose(metrics.ssim(x_hat, x).numpy(), expected, atol=2e-4)
    expected = [peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=1.0) for a, b in zip(x_hat, x, strict=True)]
    assert np.allclose(metrics.psnr(x_hat, x).numpy(), expected, atol=1e-3)


def test_ssim_and_psnr_at_their_ends():
    x = torch.full((2, 3, 32, 32), 0.5)
    assert metrics.ssim(x, x).tolist() == pytest.approx([1, 1])
    assert metrics.psnr(x, x).tolist() == [metrics.PSNR_CAP] * 2
    assert metrics.psnr(x + 0.1, x).tolist() == pytest.approx([20, 20], abs=1e-3), (
        "10 log10(1 / 0.01): the peak is 1, not 255"
    )


def test_shapes_that_numpy_would_stretch_are_refused():
    truth = rng.random((5, 3)) < 0.5
    with pytest.raises(ValueError, match=r"predicted: found shape \(5, 1\)"):
        metrics.mcc(truth[:, :1], truth)
    for score in (metrics.psnr, metrics.ssim):
        with pytest.raises(ValueError, match=r"x_hat: found shape \(1, 3, 32, 32\)"):
            score(torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))


def test_ssim_is_torchmetrics_inside_the_border_for_any_shape_and_number_of_images():
    from torchmetrics.functional.image import structural_similarity_index_measure

    x = torch.from_numpy(rng.random((300, 3, 20, 33), np.float32))
    x_hat = (x + 0.2 * torch.from_numpy(rng.standard_normal(x.shape, np.float32))).clamp(0, 1)
    options = {"sigma": 1.5, "data_range": 1.0, "reduction": "none", "return_full_image": True}
    _, maps = structural_similarity_index_measure(x_hat, x, **options)
    assert torch.allclose(metrics.ssim(x_hat, x), maps[..., 5:-5, 5:-5].flatten(1).mean(1), atol=1e-5)
    with pytest.raises(ValueError, match=r"x: found 10 × 33 pixels, accepted: 11 × 11 or more"):
        metrics.ssim(x_hat[..., :10, :], x[..., :10, :])


def test_resamples_are_drawn_once_and_cannot_be_changed():
    found = metrics.resampled(7, 20, 3)
    drawn = np.random.default_rng([3, 55]).multinomial(7, np.full(7, 1 / 7), size=20)
    assert np.array_equal(found, drawn) and found is metrics.resampled(7, 20, 3)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1
    assert not np.array_equal(found, metrics.resampled(7, 20, 4))


def test_ssim_of_flat_images_by_hand():
    """Without variance only the luminance term is left: (2 · 0.2 · 0.6 + C1) / (0.2² + 0.6² + C1), C1 = 0.01²."""
    a, b = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), 0.6)
    assert metrics.ssim(a, b).item() == pytest.approx((0.24 + 1e-4) / (0.4 + 1e-4), abs=1e-4)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """95 % of 300 samples, within three standard errors of such a share (3.8 points)."""
    samples = np.random.default_rng(5).normal(1.0, 2.0, (300, 120))
    found = [metrics.interval(values, seed=i, resamples=400) for i, values in enumerate(samples)]
    assert np.mean([f["low"] <= 1.0 <= f["high"] for f in found]) == pytest.approx(0.95, abs=0.038)


def test_separability_by_hand():
    """Means (1, 0), (5, 0), grand mean (3, 0): S_w = (1 + 1 + 4 + 4) / 4, S_b = (4 + 4) / 2 over images."""
    z = np.array([[0.0, 0], [2, 0], [5, 2], [5, -2], [100, 100]])
    found = metrics.separability(z, np.array([7, 7, 3, 3, 9]))
    assert found == {"within_variance": 2.5, "between_variance": 4.0, "lda_score": 1.6}, "one image is no class"


def test_separability_adds_up_to_the_total_variance():
    z, who = rng.standard_normal((60, 5)), rng.integers(0, 10, 60)
    found = metrics.separability(z, who)
    kept = z[np.isin(who, [i for i in range(10) if (who == i).sum() > 1])]
    total = np.square(kept - kept.mean(0)).sum(1).mean()
    assert found["within_variance"] + found["between_variance"] == pytest.approx(total)


def test_separability_without_classes_is_none_and_says_why():
    found = metrics.separability_intervals(rng.standard_normal((3, 2)), np.array([1, 2, 3]))
    assert found["lda_score"]["value"] is None and "two images" in found["lda_score"]["why"]


def test_intervals_agree_with_scipy_and_with_the_normal_approximation():
    values = rng.normal(2.0, 3.0, 400)
    mine = metrics.interval(values, resamples=4000)
    other = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert mine["value"] == pytest.approx(values.mean())
    assert (mine["low"], mine["high"]) == pytest.approx((other.low, other.high), abs=0.03)
    half = 1.96 * values.std(ddof=1) / 20
    assert mine["high"] - mine["low"] == pytest.approx(2 * half, rel=0.08)
    assert metrics.interval(values) == metrics.interval(values) != metrics.interval(values, seed=1)


def test_mcc_intervals_resample_images_jointly():
    truth = rng.random((300, 4)) < 0.4
    predicted = truth ^ (rng.random((300, 4)) < 0.2)
    found = metrics.mcc_intervals(predicted, truth, resamples=2000)
    rows = (np.arange(300),)
    draw = bootstrap(rows, lambda i: metrics.mean_mcc(predicted[i], truth[i]), n_resamples=1000, method="percentile",
                     vectorized=False, rng=1).confidence_interval  # fmt: skip
    assert (found["mean"]["low"], found["mean"]["high"]) == pytest.approx((draw.low, draw.high), abs=0.01)
    assert found["mean"]["value"] == pytest.approx(np.mean([m["value"] for m in found["attributes"]]))


def test_separability_resamples_people_with_all_their_images():
    """Copies of one image a person: S_w is 0 in every resample, which a resampling of images could not keep."""
    z = np.repeat(rng.standard_normal((20, 3)), 5, axis=0)
    found = metrics.separability_intervals(z, np.repeat(np.arange(20), 5))
    assert found["within_variance"]["high"] == pytest.approx(0, abs=1e-12)
    assert (
        found["between_variance"]["low"] < found["between_variance"]["value"] < found["between_variance"]["high"] * 1.3
    )


def test_partners_are_who_they_should_be():
    identities = np.array([0, 0, 1, 1, 1, 2, 3, 3])
    stranger, same = metrics.partners(identities, np.arange(8), seed=3)
    assert (identities[stranger] != identities).all()
    assert same[5] == -1, "the only photograph of its person"
    others = np.delete(np.arange(8), 5)
    assert (identities[same[others]] == identities[others]).all() and (same[others] != others).all()
