"""The preset paper on paper: counted, not typed."""

from pathlib import Path

import bench_device
import bench_paper
import pytest
import torch

from arl.config import RunConfig

README = Path(__file__).parents[1] / "arl" / "README.md"


@pytest.fixture(scope="module")
def game():
    return bench_paper.Game(RunConfig.preset("paper", data_root="data"))


def test_what_is_counted_is_what_is_known_of_resnet_50(game):
    """4.09 billion multiplications an image of 224 pixels and 25.6 million weights, of which the first layers scale with the area."""
    assert game.encode().flops / 2 == pytest.approx(4.09e9 * (128 / 224) ** 2, rel=0.01)
    utility, attack = game.utility(), game.attack()
    assert utility.flops == pytest.approx(3 * game.encode().flops, rel=0.02), "backwards costs twice forwards"
    norms = sum(isinstance(m, torch.nn.BatchNorm2d) for m in game.net.modules())
    assert norms == 53 and utility.messages == 2 * norms + 1, "each BatchNorm speaks forwards and backwards"
    assert utility.sent == pytest.approx(4 * 25.6e6, rel=0.05) and attack.activations > 0
    step = game.protector()
    assert step.flops > game.encode().flops * 3 and step.activations > utility.activations


def test_a_step_takes_what_is_longer_and_a_team_talks(game):
    a = bench_paper.options(["--used", "0.5", "--launch", "0", "--latency", "0", "--wire", "1e30"])
    c = game.utility()
    assert bench_paper.seconds(c, 10, 128, 1, a) == pytest.approx(10 * 128 * c.flops / (a.peak * 0.5))
    assert bench_paper.seconds(c, 10, 128, 8, a) == pytest.approx(bench_paper.seconds(c, 10, 128, 1, a) / 8)
    slow = bench_paper.options(["--launch", "1", "--latency", "2"])
    assert bench_paper.seconds(c, 1, 128, 1, slow) == c.kernels
    assert bench_paper.seconds(c, 1, 128, 8, slow) == pytest.approx(c.kernels + 2 * c.messages, rel=1e-3)


def test_the_readme_has_the_tables_as_they_are_counted():
    text = bench_paper.text(bench_paper.options([]))
    if f"torch {torch.__version__.partition('+')[0]}." not in README.read_text():
        pytest.skip("another torch counts other kernels")
    assert text in README.read_text(), "python tests/bench_paper.py prints what belongs there"


def test_the_acts_that_a_device_is_measured_by_run_here_too():
    """`bench_device.py` on the CPU at a small size: two acts, one with Enc and one without."""
    cfg = RunConfig.preset("paper", data_root="data", encoder="small", width=8, image_size=32, batch_size=4)
    acts = bench_device.Acts(cfg, torch.device("cpu"), 2, 2, False)
    game = bench_paper.Game(cfg)
    planned = bench_device.plan(acts, game)
    assert len(planned) == 7 and all(flops > 0 for _, flops in planned.values())
    for name in ("the game, λ1", "M on kept Z"):
        with bench_device.computing("float32"):
            found = bench_device.measured(name, *planned[name], acts, 1e9)
        assert found["step"] > 0 and found["value"] == pytest.approx(4 / found["step"])
        assert found["share"] == pytest.approx(found["gflops"]) and "memory" not in found
    failed = bench_device.measured("none", lambda: 1 / 0, 1.0, acts, 1e9)
    assert "ZeroDivisionError" in failed["failed"] and "failed" not in bench_device.line(found)
