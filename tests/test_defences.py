"""Defences: the paper's, NoPeek, and a user's own from a file and from a cell; what each owns, and what a run's id holds of it."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import arl
from arl import listing, losses, paper, plugins
from arl.config import RunConfig
from arl.defences.base import Batch, Defence
from arl.defences.nopeek import NoPeek, distance_correlation
from arl.experiment import Experiment
from arl.messages import ConfigError
from arl.models import backbone
from arl.parameters import Weight, names
from arl.protect import halves

TINY = RunConfig.preset("tiny")
MINE = '''
import torch
from torch import nn
from pydantic import Field
from arl import Defence
from arl.parameters import Weight


class Quiet(Defence):
    """Gaussian noise on what leaves the device."""

    sigma: Weight = Field(0.5, title="σ")

    def wrap(self, encoder):
        return nn.Sequential(encoder, Noisy(self.sigma))


class Noisy(nn.Module):
    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, z):
        return z + self.sigma * torch.randn_like(z)
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "quiet.py"
    path.write_text(MINE)
    yield path
    Defence.registry.pop("quiet", None)
    plugins._LOADED.clear()


def batch(n=32, **changed):
    torch.manual_seed(0)
    fields = {"x": torch.rand(n, 3, 8, 8), "y": torch.ones(n, 2), "z": torch.randn(n, 5), "logits": torch.zeros(n, 2)}
    return Batch(**fields | changed)


def test_shipped_defences_are_found_by_the_names_of_their_files():
    assert {"adversarial", "nopeek"} <= set(names(Defence))
    with pytest.raises(ConfigError, match=r"defence: found 'none-such', accepted: adversarial, nopeek"):
        RunConfig(defence="none-such")


def test_the_papers_objective_is_equation_9():
    cfg = RunConfig(lambda1=2, lambda2=3)
    b = batch(x_hat=torch.rand(32, 3, 8, 8), perceptual=lambda a, b: (a - b).abs().mean())
    expected = losses.utility_loss(b.logits, b.y) - 2 * losses.pixel_loss(b.x_hat, b.x) - 3 * b.perceptual(b.x_hat, b.x)
    assert cfg.defence.objective(b) == pytest.approx(expected.item())
    assert set(b.seen) == {"pixel", "perceptual", "utility"}


def test_distance_correlation_knows_dependence_from_independence():
    torch.manual_seed(1)
    a = torch.randn(400, 3)
    assert distance_correlation(a, a @ torch.linalg.qr(torch.randn(3, 3))[0] + 7) == pytest.approx(1.0, abs=1e-4)
    assert distance_correlation(a, torch.randn(400, 3)) < 0.2
    signs = a[:, :1] * torch.where(
        torch.rand(400, 1) < 0.5, -1.0, 1.0
    )  # uncorrelated with a, and not independent of it
    assert distance_correlation(a[:, :1], signs) > 1.5 * distance_correlation(a[:, :1], signs[torch.randperm(400)])


def test_distance_correlation_of_three_points_by_hand():
    """Distances of 0, 1, 2 and of 0, 1, 0, doubly centred: −10/9, 2/9, 8/9 … and −4/9, 2/9 …"""
    a = torch.tensor([[0.0], [1.0], [2.0]])
    b = torch.tensor([[0.0], [1.0], [0.0]])
    da = torch.tensor([[-10, 2, 8], [2, -4, 2], [8, 2, -10]]) / 9
    db = torch.tensor([[-2, 4, -2], [4, -8, 4], [-2, 4, -2]]) / 9
    expected = ((da * db).mean().clamp(min=0) / (da.square().mean() * db.square().mean()).sqrt()).sqrt()
    assert distance_correlation(a, b) == pytest.approx(expected.item(), abs=1e-6) and expected > 0.3


def test_nopeek_lowers_its_own_statistic(shared_store):
    off, on = (TINY.replace(defence="nopeek", correlation=c, warm=0, epochs=6, batch_size=50) for c in (0.0, 5.0))
    last = [Experiment(cfg).encoder.metrics[-1]["correlation"] for cfg in (off, on)]
    assert last[1] < last[0] - 0.1
    assert Experiment(on).encoder_spec["defence"] == "nopeek" and Experiment(on).encoder_spec["correlation"] == 5.0
    row = SimpleNamespace(of=lambda stage: Experiment(on).encoder)
    titles = [axis.get_title() for axis in paper.training_curves(row).axes]
    assert "correlation on X1" in titles, "what a defence notes is drawn"
    (listed,) = [line for line in listing.runs_text().splitlines() if line.startswith(Experiment(on).encoder.id)]
    assert "defence=nopeek correlation=5.0" in listed


def test_its_parameters_are_taken_under_their_own_names_and_validated():
    cfg = RunConfig(defence="nopeek", correlation="2")
    assert cfg.correlation == 2 and cfg.defence == NoPeek(correlation=2) and RunConfig(**cfg.flat()) == cfg
    assert cfg.replace(correlation=3).defence.correlation == 3
    assert cfg.replace(defence="adversarial", lambda1=1).lambda1 == 1
    for fields, line in (
        ({"defence": "nopeek", "correlation": -1}, "correlation: found -1, accepted"),
        ({"defence": "nopeek", "correlation": True}, "correlation: found True, accepted: a number"),
        ({"defence": "nopeek", "lambda1": 1}, "lambda1: no such parameter"),
        ({"correlation": 1}, "correlation: no such parameter"),
    ):
        with pytest.raises(ConfigError, match=line):
            RunConfig(**fields)


def test_parameters_without_effect_are_said():
    assert RunConfig().without_effect() == []
    (line,) = RunConfig(simulated_mu1=1).without_effect()
    assert line.startswith("simulated_mu1: found 1.0 without effect")
    assert RunConfig(lambda1=1, simulated_mu1=1).without_effect() == []
    with pytest.raises(ConfigError, match="data_root: found '/my/faces' without effect, accepted: with data=celeba"):
        arl.run(TINY.replace(data_root="/my/faces"))


def test_a_defence_of_a_cell_runs_and_its_id_holds_its_source(shared_store):
    class Scaled(Defence):
        factor: Weight = 1.0

        def objective(self, batch):
            return self.factor * batch.utility()

    try:
        cfg = TINY.replace(defence=Scaled(factor=2))
        row = arl.run(cfg)
        spec = row.of("encoder").spec
        assert spec["defence"] == "scaled" and spec["factor"] == 2 and len(spec["source"]) == 12
        assert "scaled factor=2" in row.result["measured_on"]["setting"]
        assert row.id != arl.run(TINY).id and arl.find(cfg).id == row.id
        assert "Row(" in repr(row) and "face similarity" in row._repr_html_()
    finally:
        Defence.registry.pop("scaled")


def test_a_name_that_is_shipped_is_not_taken_over():
    with pytest.raises(ValueError, match="'nopeek' is taken"):
        type("NoPeek", (Defence,), {"__module__": "elsewhere"})


def test_a_plugin_runs_from_the_command_line_and_its_content_belongs_to_the_id(plugin, tmp_path, session_store):
    def run(*more):
        command = [sys.executable, "-m", "arl.cli", "run", "--preset", "tiny", "--plugin", str(plugin), *more]
        environment = os.environ | {"ARL_RUNS": str(session_store)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)

    first = run("--set", "defence=quiet", "--set", "sigma=0.3")
    assert first.returncode == 0, first.stderr
    assert "quiet σ=0.3" in first.stdout
    assert run("--set", "defence=quiet", "--set", "sigma=0.3").stdout == first.stdout, "found again"
    plugin.write_text(MINE + "# another version\n")
    assert run("--set", "defence=quiet", "--set", "sigma=0.3").stdout.split()[0] != first.stdout.split()[0]
    plugin.write_text("1 / 0")
    assert run().stderr.startswith(f"arl: plugin: {plugin}: ZeroDivisionError")


def test_noise_is_fresh_and_resuming_draws_the_same(plugin, store, monkeypatch):
    assert plugins.load(plugin) == ["quiet"]
    cfg = TINY.replace(defence="quiet", sigma=0.5)
    experiment = Experiment(cfg)
    sent, _ = experiment.networks
    x = torch.rand(2, 3, 32, 32)
    assert not torch.equal(sent(x), sent(x))
    whole = (experiment.encoder.folder / "checkpoint.safetensors").read_bytes()
    monkeypatch.setenv("ARL_RUNS", str(store.with_name("again")))
    assert (Experiment(cfg).encoder.folder / "checkpoint.safetensors").read_bytes() == whole


def test_what_stands_behind_the_encoder_learns_and_is_kept(store):
    class Projected(Defence):
        def wrap(self, encoder):
            return nn.Sequential(encoder, nn.Linear(64, 4))

    try:
        experiment = Experiment(TINY.replace(defence=Projected()))
        with pytest.raises(RuntimeError):  # f of four numbers does not fit f of 64
            _ = experiment.encoder
        with pytest.raises(TypeError, match=r"wrap: found Linear, accepted: the encoder itself, or nn.Sequential"):
            halves(backbone(3, width=8), "fc", type("Wrong", (Defence,), {"wrap": lambda self, enc: nn.Linear(1, 1)})())
    finally:
        for name in ("projected", "wrong"):
            Defence.registry.pop(name, None)


def test_every_defence_has_a_spec_that_is_json():
    for name in names(Defence):
        cfg = RunConfig(defence=name)
        assert json.loads(json.dumps(cfg.defence.spec())) == cfg.defence.spec()
