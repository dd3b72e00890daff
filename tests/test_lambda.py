"""λ(ours) ↔ λ(paper): a factor that is known is found again, and the pair of settings is the one that the rule names."""

import math

import numpy as np
import pytest

from arl.config import RunConfig
from arl.paper import lambda_map, scales
from arl.paper.lambda_map import matched, printed_levels, verdicts, where
from arl.paper.lambda_plot import lambda_figure
from arl.paper.pair import choose_pair, table_figures
from arl.paper.rows import every_row

TRIED = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
METRIC = "feature_similarity"
FLOOR = 0.2


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(lambda_map, "DRAWS", 100)


def points(factor: float, rng: np.random.Generator, error: float = 0.005, tried=TRIED):
    """Rows whose leak falls so that λ = `factor` leaves what the paper's λ1 = 1 leaves; seen with an error."""
    paper, floor = printed_levels("lambda1"), printed_levels("lambda2")[10.0][METRIC]
    left = (paper[1.0][METRIC] - floor) / (paper[0.0][METRIC] - floor)
    found = []
    for value in tried:
        mean = FLOOR + 0.4 * left ** (math.log1p(value) / math.log1p(factor))
        mean += float(rng.normal(0, error))
        figure = {
            "value": mean,
            "low": mean - 1.96 * error,
            "high": mean + 1.96 * error,
            "floors": {"mean face": FLOOR},
        }
        found.append({"lambda": value, METRIC: figure, "runs": []})
    return found


@pytest.mark.parametrize("factor", [3.0, 12.0, 60.0])
def test_a_known_factor_is_found_again_and_its_interval_covers(factor):
    rng = np.random.default_rng(5)
    found = [matched(points(factor, rng), "lambda1", METRIC, "share")[0] for _ in range(20)]
    assert np.median([m.value for m in found]) == pytest.approx(factor, rel=0.15)
    covered = np.mean([m.low <= factor <= m.high for m in found])
    assert covered >= 0.8, covered
    assert np.median([m.high / m.low for m in found]) < 3, "an interval that covers everything covers nothing"


def test_where_a_curve_reaches_a_level():
    tried, curve = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([0.9, 0.7, 0.7, 0.1])
    assert where(tried, curve, 0.8) == pytest.approx(math.sqrt(10))
    assert where(tried, curve, 0.7) == pytest.approx(10), "the least λ of a plateau"
    assert where(tried, curve, 0.95) == 0 and where(tried, curve, 0.05) == math.inf


def test_an_effect_that_is_never_reached_is_open_at_the_top():
    weak = points(1e9, np.random.default_rng(0), tried=(0.0, 1.0, 10.0, 30.0))
    (match,) = matched(weak, "lambda1", METRIC, "share")
    assert match.value == match.high == math.inf
    judged = verdicts([match], scales.pixel_readings())
    assert judged["mean, [0, 1]; (6) mean of 40"][METRIC] == "does not fit"
    assert judged["mean, [0, 255]; (6) mean of 40"][METRIC] == "undecided", "what is above all tried is not known"


def test_of_a_leak_that_was_never_above_its_floor_no_share_is_left():
    """Dec^a by a random g draws what the recogniser finds less alike than the mean face."""
    below = points(12.0, np.random.default_rng(0))
    for point in below:
        point[METRIC]["floors"] = {"mean face": 0.7}
    assert not matched(below, "lambda1", METRIC, "share") and matched(below, "lambda1", METRIC, "ratio")


def test_a_reading_fits_where_its_factor_stands():
    found = matched(points(12.0, np.random.default_rng(1), 0.001), "lambda1", METRIC, "share")
    judged = verdicts(found, scales.pixel_readings())
    fits = lambda_map.fitting(judged)
    assert "channels summed, [−1, 1]; (6) mean of 40" in fits
    assert not any(r.name in fits for r in scales.pixel_readings() if not 8 < r.factor < 18)


def test_the_factors_are_those_of_real_losses():
    """Two images of any range and sum: the named loss over ours."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3, 128, 128))
    ours = ((x - y) ** 2).mean()
    signed = (2 * x - 1) - (2 * y - 1)
    by_name = {r.name: r.factor for r in scales.pixel_readings()}
    for name, loss in {
        "mean, [−1, 1]": (signed**2).mean(),
        "channels summed, [0, 1]": ((x - y) ** 2).sum(0).mean(),
        "channels summed, [−1, 1]": (signed**2).sum(0).mean(),
        "all summed, [−1, 1]": (signed**2).sum(),
        "mean, [0, 255]": ((255 * x - 255 * y) ** 2).mean(),
    }.items():
        assert by_name[f"{name}; (6) mean of 40"] == pytest.approx(loss / ours)
        assert by_name[f"{name}; (6) sum of 40"] == pytest.approx(loss / ours / 40)
    assert len(by_name) == 2 * len(scales.PIXELS) and by_name["mean, [0, 1]; (6) mean of 40"] == 1


def test_a_g_that_is_scaled_needs_no_factor():
    by_name = {r.name: r.factor for r in scales.perceptual_readings((1.0,) * 5)}
    assert by_name["g scaled, mean of layers; (6) mean of 40"] == by_name["g raw, mean of layers; (6) mean of 40"] == 1
    assert by_name["g raw, layers summed; (6) mean of 40"] == 5
    assert (
        by_name["g raw, all summed; (6) mean of 40"]
        == 64 * 128**2 + 128 * 64**2 + 256 * 32**2 + 512 * 16**2 + 512 * 8**2
    )


def test_the_figure_shows_what_was_measured_and_what_was_printed():
    measured = {"on": "made up", "lambda1": points(12.0, np.random.default_rng(1))}
    for point in measured["lambda1"]:
        point |= {m: point[METRIC] for m in lambda_map.FOLLOWED}
    found, again = lambda_map.mapped(measured, scales.RAW["random"])
    assert {m.metric for m in again.matches["fall"]} == {METRIC, "mean_mcc"}, "no Dec^a takes part in these"
    panels = [axis for axis in lambda_figure(found).axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels][:2] == ["feature similarity", "face similarity"] and len(panels) == 6
    target = next(m.target for m in found.matches["share"] if m.metric == METRIC)
    assert any(np.allclose(line.get_ydata(), target) for line in panels[0].lines)
    assert "λ(paper) 1" in lambda_map.map_text(found)
    assert found.numbers["verdicts"]["share"].keys() == {r.name for r in found.readings}


# -- the pair -----------------------------------------------------------------------------------------------------

ROWS = every_row(RunConfig())


def table(**figures):
    """Mean MCC and face similarity by row."""
    return {row: dict(zip(("mean_mcc", "face_similarity"), of, strict=True)) for row, of in figures.items()}


def test_the_pair_is_the_least_leak_that_costs_little():
    measured = {"1#1": (0.60, 0.50), "1#2": (0.59, 0.40), "2:λ2=1": (0.56, 0.30), "2:λ2=5": (0.54, 0.10)}
    unprotected, chosen = choose_pair(ROWS, table(**measured))
    assert chosen.name == "2:λ2=1", "λ2 = 5 costs 0.06"
    assert unprotected.cfg == chosen.cfg.replace(lambda1=0, simulated_mu2=0, lambda2=0) and unprotected.cfg.mu2 == 1
    assert not unprotected.cfg.protected


def test_an_encoder_counts_with_its_strongest_attacker():
    measured = {"1#1": (0.60, 0.50), "1#2": (0.59, 0.20), "1#4": (0.59, 0.45), "2:λ2=1": (0.58, 0.30)}
    assert choose_pair(ROWS, table(**measured))[1].name == "2:λ2=1"
    measured["1#4"] = (0.59, 0.25)
    unprotected, chosen = choose_pair(ROWS, table(**measured))
    assert chosen.name == "1#4" and unprotected.cfg.mu1 == chosen.cfg.mu1 > 0, "attacked alike"


@pytest.mark.parametrize("other", ["3:conv1, with", "1#8", "1#6", "1#10", "3:conv4, without"])
def test_rows_that_do_not_compare_are_never_shown(other):
    measured = {"1#1": (0.60, 0.50), "1#2": (0.59, 0.40), other: (0.60, 0.01)}
    assert choose_pair(ROWS, table(**measured))[1].name == "1#2"


def test_where_none_keeps_its_use_the_most_useful_is_shown():
    measured = {"1#1": (0.60, 0.50), "1#2": (0.40, 0.40), "2:λ2=5": (0.30, 0.10)}
    assert choose_pair(ROWS, table(**measured))[1].name == "1#2"
    with pytest.raises(ValueError, match="accepted: 1#1"):
        choose_pair(ROWS, table(**{"1#1": (0.6, 0.5)}))


def test_the_committed_tables_have_a_pair():
    from lab import ROOT

    measured = table_figures(ROOT / "figures" / "quick")
    _, chosen = choose_pair(ROWS, measured)
    assert measured["1#1"]["mean_mcc"] - measured[chosen.name]["mean_mcc"] <= 0.05
