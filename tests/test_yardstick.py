"""The yardstick compares like with like: the straightforward version has the core's losses; and what it writes becomes a table."""

import json

import bench_yardstick as bench
import numpy as np
import pytest
import torch
import whole_paper
import yardstick

from arl.config import RunConfig
from arl.paper.rows import every_row

TOLERANCE = 1e-7  # relative, in double precision; in single a first step of Adam makes much of a rounding, up to a hundredth of a loss


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """Photographs for epochs of a single step, so that each line is a step's losses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARL_RUNS", "")  # put back afterwards
        cfg = RunConfig.preset("tiny", batch_size=16, epochs=4, lr=3e-3, recogniser_identities=12)
        yield bench.setting_in(tmp_path_factory.mktemp("yard"), cfg, steps=1)


@pytest.fixture
def in_double(monkeypatch):
    """Both compute in double precision: what is left between them is no rounding."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def same(pair, names, epochs):
    ours, theirs = pair.ours(), pair.plain()
    assert len(ours) == len(theirs) == epochs
    for mine, other in zip(ours, theirs, strict=True):
        assert names <= set(mine) and names <= set(other)
        for name in names:
            assert mine[name] == pytest.approx(other[name], rel=TOLERANCE), (name, ours, theirs)
    for name in names:
        assert abs(ours[0][name] - ours[-1][name]) > 1000 * TOLERANCE * abs(ours[0][name]), f"{name} did not move"


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, {"utility"}),
        ({"lambda1": 1}, {"utility", "pixel", "adversary"}),
        ({"lambda1": 1, "lambda2": 1, "simulated_mu2": 1}, {"utility", "pixel", "perceptual", "adversary"}),
    ],
)
def test_the_game_has_the_same_losses_in_the_straightforward_version(in_double, at, changed, names):
    """From equal weights, in each of three steps; the first is taken at a thousandth of the rate."""
    same(bench.joint(at, epochs=3, **changed), names, 3)


@pytest.mark.parametrize(
    ("name", "changed", "names"),
    [
        ("decoder", {}, {"attack", "validation"}),
        ("decoder", {"mu2": 1}, {"attack", "validation"}),
        ("decoder", {"mu1": 0.1}, {"attack", "discriminator", "validation"}),
        ("features", {}, {"attack", "validation"}),
    ],
)
def test_attacks_have_the_same_losses_in_the_straightforward_version(in_double, at, name, changed, names):
    same(bench.attack(at, name, epochs=3, **changed), names, 3)


def test_a_row_has_the_same_figures_in_the_straightforward_version(at):
    """Values and both ends of every interval."""
    pair = bench.evaluated(at, images=40)
    ours, theirs = pair.ours(), pair.plain()
    assert set(ours) == set(theirs) and len(ours) == 3 * 8
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=1e-5, abs=1e-6), name


def test_a_different_mathematics_would_be_seen(in_double, at):
    """A loss weighed otherwise is further away than the tolerance."""
    pair, other = bench.joint(at, epochs=3, lambda1=1), bench.joint(at, epochs=3, lambda1=1.01)
    assert abs(pair.ours()[2]["pixel"] - other.plain()[2]["pixel"]) > 100 * TOLERANCE * other.plain()[2]["pixel"]


def test_every_part_gives_figures_that_can_be_written(at):
    """Once each, on a few images; the whole paper is composed where all of its rates are there."""
    found = (
        bench.attacks(at, 1)
        + bench.data(at, 1, images=40)
        + bench.evaluation(at, 1, images=40)
        + bench.explorer(at, 1, rows=4)
    )
    by_key = {one["key"]: one for one in found}
    assert len(by_key) == len(found) == 12
    assert all(one["low"] <= one["value"] <= one["high"] and one["value"] > 0 for one in found)
    trained = [one for one in found if "operations" in one]
    assert {one["key"] for one in trained} == {"attack", "attack_g", "attack_d", "features"}
    assert by_key["attack"]["operations"] < min(by_key[key]["operations"] for key in ("attack_g", "attack_d"))
    assert "ratio" not in by_key["import"], "decoding is no straightforward version of it: its share stands alone"
    assert by_key["import_share"]["value"] == pytest.approx(by_key["import"]["value"] / by_key["decode"]["value"])
    assert "×" in bench.line(by_key["attack"]) and json.loads(json.dumps(found, allow_nan=False)) == found


# -- how it measures --------------------------------------------------------------------------------------------------


def test_operations_of_a_convolution_are_counted_by_hand():
    layer = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert yardstick.operations(lambda: layer(torch.rand(2, 3, 8, 8))) == 2 * 2 * 5 * 3 * 9 * 64


def test_pairs_alternate_and_their_ratio_has_an_interval():
    called = []
    a, b = yardstick.paired(lambda: called.append("a"), lambda: called.append("b"), 3)
    assert called == ["a", "b", "a", "b", "b", "a", "a", "b"] and a.shape == b.shape == (3,)
    found = yardstick.middle([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found["value"] == 3.0 and 1.0 <= found["low"] < 3.0 < found["high"] <= 100.0


def test_an_exponent_is_found_with_its_interval():
    x = [10, 100, 1000, 10_000]
    found = yardstick.exponent(x, [3 * n**0.7 * e for n, e in zip(x, (1.1, 0.9, 0.95, 1.05), strict=True)])
    assert found["low"] < 0.7 < found["high"] and found["value"] == pytest.approx(0.7, abs=0.05)
    assert yardstick.exponent(x, [7.0] * 4) == pytest.approx({"value": 0.0, "low": 0.0, "high": 0.0}, abs=1e-9), "flat"
    assert yardstick.exponent([1, 10], [5, 50]) == {"value": pytest.approx(1.0), "low": None, "high": None}


def test_the_whole_paper_is_29_rows_of_18_encoders():
    cfgs = [row.cfg for row in every_row(RunConfig.preset("quick"))]
    assert len(cfgs) == 29 and len(whole_paper.encoders(cfgs)) == 18
    assert whole_paper.sizes(cfgs[0]) == (5200, 1800, 800)
    rate = dict.fromkeys(whole_paper.NEEDED, 100.0)
    figures = [{"key": key, "value": 100.0, "plain": {"value": 50.0}} for key in whole_paper.NEEDED]
    one, floor = whole_paper.whole_paper(figures, RunConfig.preset("quick"), 50.0)
    assert one["value"] == pytest.approx(whole_paper.shared(list(dict.fromkeys(cfgs)), rate))
    by_hand = 10 * 5200 + 2 * 40 * 1800 + 800  # one row, at an image a second
    assert whole_paper.alone(cfgs[0], dict.fromkeys(whole_paper.NEEDED, 1.0)) == by_hand
    assert one["ratio"]["value"] > 2, "each twice as fast, and most is shared"
    assert whole_paper.whole_paper(figures[:-1], RunConfig.preset("quick"), 50.0) == []
    assert floor["value"] == pytest.approx(0, abs=1e-6), "nothing is counted"
    counted = [one | {"operations": 50e9 / 100} for one in figures]  # at the limit, as fast as they are
    assert whole_paper.whole_paper(counted, RunConfig.preset("quick"), 50.0)[1]["value"] == pytest.approx(one["value"])


def test_bf16_changes_little_and_nothing_afterwards(at):
    from arl import training

    with bench.in_bf16(), training.learning(torch.device("cpu")):
        assert torch.is_autocast_enabled("cpu") and torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
    assert "cpu" not in training.BF16_LEARNS
    (wide,), (narrow,) = bench.joint(at, lambda1=1).ours(), bench.in_both(bench.joint(at, lambda1=1).ours)()
    for name in ("utility", "pixel", "adversary"):
        assert narrow[name] != wide[name] and narrow[name] == pytest.approx(wide[name], rel=0.1), name


def test_bf16_is_measured_only_where_it_gains(at, monkeypatch):
    monkeypatch.setattr(bench, "bf16_gain", lambda: 1.0)
    (probe,) = bench.bf16(at, 1)
    assert (probe["key"], probe["value"]) == ("bf16_probe", 1.0)
    monkeypatch.setattr(bench, "bf16_gain", lambda: 2.0)
    monkeypatch.setattr(bench, "joint", lambda at, **changed: bench.Pair(float, float, 1))
    monkeypatch.setattr(bench, "attack", lambda at, **changed: bench.Pair(float, float, 1))
    found = bench.bf16(at, 2)
    assert len(found) == 1 + 2 * 5 and sum("ratio" in one for one in found) == 5
    assert len({one["key"] for one in found}) == len(found)


def test_a_report_says_what_it_was_measured_on(tmp_path):
    yardstick.write_report(tmp_path / "out.json", "yardstick", [], machine=yardstick.machine())
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"cpu", "flags", "cores", "threads", "torch"} <= set(found["machine"]) and found["figures"] == []
    assert "/" not in found["date"] and np.isfinite(found["machine"]["threads"])
