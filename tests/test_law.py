"""The law of leak against the adversary's budget: known curves, the coverage of its intervals, its verdicts, and truths that it has not."""

import math

import numpy as np
import pytest

from arl.audit.law import VERDICTS, fit_law, resampled_means, shape_of_law

BUDGETS = np.array([250.0, 500, 1000, 2000, 4000])
SATURATED, NOT_SATURATED, CANNOT_TELL = VERDICTS


def power(b, limit=0.6, low=0.3):
    return lambda n: limit - (limit - low) * (np.asarray(n) / 250.0) ** -b


def logarithm(n):
    return 0.3 + 0.04 * np.log(np.asarray(n) / 250.0)


def flat(n):
    return np.full(np.shape(n), 0.4)


def simulated(truth, times=200, budgets=BUDGETS, shared=0.006, own=0.004, **options):
    """Laws of `times` simulated curves, each with the measurement at 64 000 that it has not seen.

    All points of a curve share one error, of the people; each has its own beside it, of which half is known.
    """
    rng, every = np.random.default_rng(7), np.append(budgets, 64_000)
    known = shared**2 * np.ones((len(budgets),) * 2) + (own / 2) ** 2 * np.eye(len(budgets))
    for _ in range(times):
        y = truth(every) + rng.normal(0, shared) + rng.normal(0, own, len(every))
        yield fit_law(budgets, y[:-1], known, bound=1.0, **options), y[-1]


def inside(interval, value):
    return interval["low"] <= value <= interval["high"]


def width(interval):
    return interval["high"] - interval["low"]


@pytest.mark.parametrize(("b", "widest"), [(0.15, 0.14), (0.3, 0.12), (0.5, 0.09), (0.8, 0.065)])
def test_the_interval_at_64_000_from_4_000_and_fewer_holds_the_measurement(b, widest):
    """Of 200 curves 92 % or more: a right interval of 95 % has fewer than that in 4 of 100 tests. And no wider than it says much."""
    found = [(law.measured_at(64_000), held) for law, held in simulated(power(b))]
    assert np.mean([inside(said, held) for said, held in found]) >= 0.92
    assert np.mean([width(said) for said, _ in found]) < widest
    middle = np.mean([said["value"] - held for said, held in found])
    assert abs(middle) < widest / 4, "on the whole neither too high nor too low"


def test_the_interval_can_miss():
    """The curve that was measured, and another one's point at 64 000: the check above is able to fail."""
    found = [(law.measured_at(64_000), held - 0.1) for law, held in simulated(power(0.5), times=50)]
    assert np.mean([inside(said, held) for said, held in found]) < 0.2


@pytest.mark.parametrize("b", [0.3, 0.5, 0.8])
def test_the_interval_of_the_limit_holds_it(b):
    laws = [law for law, _ in simulated(power(b))]
    assert np.mean([inside(law.limit, 0.6) for law in laws]) >= 0.92
    assert all(law.limit["high"] <= 1.0 for law in laws), "a similarity ends at 1"


def test_a_rise_with_the_logarithm_is_foreseen_and_not_called_saturated():
    """The law has no limit then: it must not invent a near one."""
    found = list(simulated(logarithm))
    assert np.mean([inside(law.measured_at(64_000), held) for law, held in found]) >= 0.9
    verdicts = [law.verdict(0.02) for law, _ in found]
    assert SATURATED not in verdicts and verdicts.count(NOT_SATURATED) > 100
    limits = [(law.limit, held) for law, held in found if law.limit]
    assert np.mean([limit["high"] > held + 0.1 for limit, held in limits]) > 0.95, "the interval of its limit is open"


def test_a_truth_outside_of_the_family_is_not_called_saturated():
    """A fast part that ends and a slow one that hardly shows by 4 000, and a curve that has not begun to rise as the law does."""

    def twice(n):
        return 0.6 - 0.2 * (n / 250) ** -0.2 - 0.1 * (n / 250) ** -1.0

    def late(n):
        return 0.2 + 0.5 / (1 + (8000 / n) ** 1.5)

    slow, later = ([law.verdict(0.02) for law, _ in simulated(truth, times=60)] for truth in (twice, late))
    assert SATURATED not in slow + later
    assert later.count(CANNOT_TELL) > 50, "it rises ever faster: nothing is said of its limit"


def test_verdicts_of_flat_and_steep_curves():
    verdicts = [law.verdict(0.02) for law, _ in simulated(flat, own=0.001, times=60)]
    assert verdicts.count(SATURATED) > 50 and NOT_SATURATED not in verdicts
    verdicts = [law.verdict(0.02) for law, _ in simulated(power(0.3), own=0.001, times=60)]
    assert set(verdicts) == {NOT_SATURATED}
    verdicts = [law.verdict(0.02) for law, _ in simulated(power(0.3, 0.35), own=0.02, times=60)]
    assert verdicts.count(CANNOT_TELL) > 50, "noise as large as the rise"
    long = np.geomspace(250, 64_000, 9)
    verdicts = [law.verdict(0.02) for law, _ in simulated(power(0.8), budgets=long, own=0.002, times=60)]
    assert verdicts.count(SATURATED) > 50, "what 4 000 images leave open, 64 000 settle"


def test_an_error_is_the_same_curve_upside_down():
    truth, exact = power(0.5), 1e-10 * np.eye(5)
    rises = fit_law(BUDGETS, truth(BUDGETS), exact)
    falls = fit_law(BUDGETS, 1 - truth(BUDGETS), exact, rising=False)
    for n in (1000, 64_000):
        one, other = rises.curve(n), falls.curve(n)
        assert other["value"] == pytest.approx(1 - one["value"]) and other["low"] == pytest.approx(1 - one["high"])
    assert falls.limit["low"] < 0.4 < falls.limit["high"]
    assert falls.more == pytest.approx(rises.more) and falls.verdict(0.02) == rises.verdict(0.02) == NOT_SATURATED
    floor = fit_law(BUDGETS, 0.05 + (BUDGETS / 250) ** -0.1, exact, rising=False, bound=0.0)
    assert floor.limit["low"] >= 0


@pytest.mark.parametrize("b", [0.1, 0.5, 1.0])
def test_without_noise_the_law_is_found(b):
    truth = power(b)
    law = fit_law(BUDGETS, truth(BUDGETS), 1e-12 * np.eye(5), bound=1.0)
    assert law.b["value"] == pytest.approx(b, abs=0.051)
    for n in (250, 700, 4000):
        assert law.curve(n)["value"] == pytest.approx(truth(n), abs=1e-3)
    assert law.curve(64_000)["value"] == pytest.approx(truth(64_000), abs=0.02)
    assert width(law.curve(250_000)) > width(law.curve(64_000)) > width(law.curve(8000)) > width(law.curve(2000))


def test_the_shape_is_that_of_the_law():
    place = np.linspace(0, 2, 9)
    for c in (2.0, 0.3, -0.5):
        expected = (np.exp(-c * place) - math.exp(-c)) / (1 - math.exp(-c))
        assert shape_of_law(np.float64(c), place) == pytest.approx(expected)
    assert shape_of_law(np.float64(0), place) == pytest.approx(1 - place)
    assert shape_of_law(np.float64(1e-8), place) == pytest.approx(1 - place, abs=1e-6)


def test_too_little_is_refused():
    y, exact = power(0.5)(BUDGETS), np.eye(5)
    with pytest.raises(ValueError, match="4 different budgets"):
        fit_law([250, 250, 500, 500, 1000], y, exact)
    with pytest.raises(ValueError, match="accepted"):
        fit_law(BUDGETS, y, np.eye(4))
    with pytest.raises(ValueError, match="not finite"):
        fit_law(BUDGETS, [*y[:4], np.nan], exact)


def test_what_points_share_is_known_from_their_people():
    """60 people with 10 photographs each; a person's level is the same at both budgets, 0.1 apart between people."""
    rng, who = np.random.default_rng(0), np.repeat(np.arange(60), 10)
    person = rng.normal(0, 0.1, 60)[who]
    scores = np.stack([level + person + rng.normal(0, 0.05, 600) for level in (0.3, 0.4)])
    drawn = resampled_means([scores], [who])
    cov = np.cov(drawn.T)
    assert drawn.mean(0) == pytest.approx(scores.mean(1), abs=2e-3)
    assert cov[0, 0] == pytest.approx(0.1**2 / 60 + 0.05**2 / 600, rel=0.5)
    assert cov[0, 1] / cov[0, 0] > 0.8, "what people share is not noise of the curve's shape"
    alone = np.cov(resampled_means([scores], [np.arange(600)]).T)
    assert alone[0, 0] < cov[0, 0] / 3, "photographs of one person are not so many people"


def test_seeds_are_drawn_as_well():
    rng, who = np.random.default_rng(1), np.arange(400)
    seeds = [level + rng.normal(0, 0.02, (2, 400)) for level in (0.30, 0.34)]
    drawn = resampled_means(seeds, [who, who])
    assert drawn.mean() == pytest.approx(np.mean(seeds), abs=3e-3)
    assert drawn.std(0) == pytest.approx(0.02 * np.ones(2), rel=0.15), "half of their distance, as s / (s − 1) counts"
