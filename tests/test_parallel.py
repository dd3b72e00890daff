"""Two processes over gloo, each with half of every batch, against one process with the whole batch: the same players come out.

Differences are beside the largest number of a tensor, or beside 1e-3 where that is less: a mean that is nothing but rounding says nothing.
In double precision they are below 1e-9 (measured: 1e-12), for weights, statistics of BatchNorm and what Adam keeps, and so are losses. In
single precision an attack's are below 1e-3 (measured: 5e-5), Adam's means below 1e-4, and losses below 1e-5. In the game rounding can carry
an activation over its kink, and Adam makes whole steps of it where gradients cancel (seen: 0.15 of one of D's means): there its mean
squares are below 1e-3 (measured: 2e-4) and losses below 1e-4 (measured: 4e-5).
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ranks
import torch
from optional import need

import arl
from arl import feeds, machine, parallel
from arl.attacks.decoder import Decoder
from arl.attacks.features import Features
from arl.attacks.ridge import Ridge
from arl.attacks.whitened import Whitened
from arl.config import RunConfig
from arl.defences import Defence
from arl.defences.adversarial import Adversarial
from arl.defences.nopeek import NoPeek
from arl.experiment import Experiment
from arl.messages import ConfigError

TINY = RunConfig.preset("tiny")
ROOT = Path(__file__).parents[1]


def of_two():
    """The environment of a program that starts a second process for itself."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "ARL_DEVICES": "2", "ARL_DEVICE": "cpu"}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """By case, what each of two processes has at the end."""
    need("lightning_fabric")
    file = tmp_path_factory.mktemp("ranks") / "found"
    subprocess.run([sys.executable, str(Path(ranks.__file__)), str(file)], env=of_two(), check=True, timeout=300)
    return [torch.load(f"{file}.{rank}") for rank in (0, 1)]


@pytest.fixture(scope="module")
def one():
    return {dtype: ranks.train(dtype) for dtype in (torch.float64, torch.float32)}


def apart(a, b, names=""):
    """The largest difference of two players' tensors whose names hold `names`."""
    assert a["tensors"].keys() == b["tensors"].keys()
    found = [
        ((mine - b["tensors"][name]).abs().max() / mine.abs().max().clamp(min=1e-3)).item()
        for name, mine in a["tensors"].items()
        if names in name
    ]
    assert found
    return max(found)


def assert_same_losses(a, b, rel):
    """What is logged, an epoch a line."""
    assert len(a["lines"]) == len(b["lines"]) > 1
    for mine, theirs in zip(a["lines"], b["lines"], strict=True):
        assert mine == pytest.approx(theirs, rel=rel)


PLAYERS = ("game", "decoder", "features")


@pytest.mark.parametrize("player", PLAYERS)
def test_two_halves_are_one_batch(one, two, player):
    for rank in two:
        assert apart(one[torch.float64][player], rank["float64"][player]) < 1e-9
        assert_same_losses(one[torch.float64][player], rank["float64"][player], 1e-9)


@pytest.mark.parametrize("player", ["decoder", "features"])
def test_in_single_precision_too(one, two, player):
    mine, theirs = one[torch.float32][player], two[0]["float32"][player]
    assert apart(mine, theirs) < 1e-3 and apart(mine, theirs, "exp_avg") < 1e-4
    assert_same_losses(mine, theirs, 1e-5)


def test_in_single_precision_the_game_has_the_same_losses_and_mean_squares(one, two):
    mine, theirs = one[torch.float32]["game"], two[0]["float32"]["game"]
    assert apart(mine, theirs, "exp_avg_sq") < 1e-3
    assert_same_losses(mine, theirs, 1e-4)


@pytest.mark.parametrize("player", PLAYERS)
def test_both_processes_end_with_the_same_bytes(two, player):
    a, b = (rank["float32"][player] for rank in two)
    assert apart(a, b) == 0 and a["lines"] == b["lines"]


@pytest.mark.parametrize("case", ["each its own BatchNorm", "each its own gradient"])
@pytest.mark.parametrize("player", PLAYERS)
def test_it_would_be_seen_if_they_did_not_speak(one, two, player, case):
    assert apart(one[torch.float64][player], two[0][case][player]) > 1e-3


# -- shares ---------------------------------------------------------------------------------------------------------


class Half(parallel.Alone):
    """One of two, who do not speak."""

    size = 2
    share = parallel.Team.share

    def __init__(self, rank):
        self.rank = rank


@pytest.mark.parametrize("augmentation", ["mirror", "crops"])
def test_the_shares_of_a_batch_are_the_batch(shared_store, augmentation):
    """Images, mirrored and changed as they would be, with their own labels; and the attackers' pairs."""
    experiment = Experiment(TINY.replace(augmentation=augmentation))
    cfg, data, (x1, x2, _) = experiment.cfg, experiment.data, experiment.split
    device = torch.device("cpu")
    index = torch.arange(len(data))[:, None].float()
    features = SimpleNamespace(of=lambda rows, x, mirrored: x.flatten(1) + mirrored, standardise=None)

    def batches(members):
        with parallel.working(members):
            feed = feeds.of_protector(data, x1, x2, cfg, device)
            attacker = feeds.of_attacker(Decoder(), features, experiment.owned, None, cfg, device)
            labelled = feeds.of_attacker(Features(), features, experiment.owned, index, cfg, device)
            private, public = list(feed.private(2)), feed.public(2)
            yield from zip(*private, strict=True)
            yield from zip(*([next(public)] for _ in range(2)), strict=True)
            yield from zip(*attacker.train(2), *labelled.train(2), strict=True)

    for whole, *halves in zip(*(list(batches(of)) for of in (parallel.ALONE, Half(0), Half(1))), strict=True):
        for batch, *shares in zip(whole, *halves, strict=True):
            mixed = torch.stack(shares, 1).flatten(0, 1)
            assert len(batch) == len(mixed) and torch.allclose(batch, mixed, atol=1e-5)


def test_what_is_no_mean_over_rows_is_not_shared():
    """A class says so of itself: one that inherits, or that is somebody's own, is trained by one device."""
    own = type("Own", (Adversarial,), {"__module__": __name__})
    shared = [of for of in (Defence(), Adversarial(), Decoder(), Features()) if parallel.by_rows(of)]
    assert len(shared) == 4
    assert not any(parallel.by_rows(of) for of in (NoPeek(), own(), Whitened(), Ridge()))


# -- compiled -------------------------------------------------------------------------------------------------------


def test_compiled_networks_have_the_same_ids_and_say_so(shared_store, monkeypatch):
    """By torch's tracing alone: to compile for a CPU takes a minute and gains nothing; what this code does is the same."""
    cfg, calls, own = TINY.replace(lambda1=1, attacks="decoder"), [], torch.nn.Module.compile
    plain = Experiment(cfg)
    before = plain.encoder, plain.attack(cfg.attacks[0])
    monkeypatch.setattr(torch.nn.Module, "compile", lambda m: calls.append(m) or own(m, backend="eager"))
    monkeypatch.setenv("ARL_RUNS", str(shared_store / "compiled"))
    monkeypatch.setenv("ARL_COMPILE", "1")
    again = Experiment(cfg)
    runs = again.encoder, again.attack(cfg.attacks[0])
    assert len(calls) == 2 + 3 + 1, "Enc and f in the warm epochs, with Dec after, Dec^a"
    for run, own_run in zip(runs, before, strict=True):
        assert run.id == own_run.id and run.result["made_with"]["compiled"]
        assert "compiled" not in own_run.result["made_with"]
        for mine, theirs in zip(run.metrics, own_run.metrics, strict=True):
            if (
                mine["epoch"] <= cfg.warm_epochs
            ):  # which an encoder of another layer may have made first, with its own Z
                mine, theirs = ({k: v for k, v in line.items() if k != "feature_scale"} for line in (mine, theirs))
            assert mine == pytest.approx(theirs, rel=1e-3)


# -- how it is started ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "set_to, found",
    [
        ({"ARL_DEVICES": "two"}, "ARL_DEVICES: found 'two', accepted: a whole number from 1 to 1024"),
        ({"ARL_DEVICES": "3"}, "batch_size: found 16 with ARL_DEVICES=3, accepted: a multiple of 3"),
        ({"ARL_DEVICES": "2", "ARL_DEVICE": "mps"}, "with ARL_DEVICE=mps, accepted: 1, or ARL_DEVICE=cuda or cpu"),
        ({"ARL_COMPILE": "yes"}, "ARL_COMPILE: found 'yes', accepted: 0 or 1"),
    ],
)
def test_a_number_of_devices_that_cannot_be_is_one_line(here, monkeypatch, set_to, found):
    for name, text in set_to.items():
        monkeypatch.setenv(name, text)
    status, out, err = here("run", "--preset", "tiny")
    assert status and not out and found in err and len(err.strip().splitlines()) <= 3


def test_more_devices_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setenv("ARL_DEVICES", "8")
    monkeypatch.delenv("ARL_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="^ARL_DEVICES: found 8, accepted here: 1 to 2, or any number"):
        machine.devices()
    monkeypatch.setenv("ARL_DEVICES", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.device() == torch.device("cuda:1"), "each process has its own"


def test_fabric_is_not_imported_for_one_device():
    program = "import sys; from arl import cli, devices, experiment\nwith devices.started(): sys.exit('lightning_fabric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("command", [["reproduce"], ["audit", "row-1"]])
def test_commands_for_one_device_refuse_several(here, monkeypatch, command):
    monkeypatch.setenv("ARL_DEVICES", "2")
    status, _, err = here(*command)
    assert status and "ARL_DEVICES: found 2 with arl" in err


def test_a_stored_row_is_the_same_to_its_last_epoch(shared_store, tmp_path):
    """Faces, g, turned crops, first epochs, the game with D, both attacks, by the code of `arl run`, in double precision.

    Measured: weights 1e-9, losses 2e-13. In single precision they part, for two processes as for one whose batches are in another order:
    where a gradient is nothing but rounding, Adam makes a step of it as soon as it is beside its 1e-8.
    """
    need("lightning_fabric")
    assert len(Experiment(TINY).data)  # drawn now, in single precision
    alone, both = tmp_path / "alone", tmp_path / "both"
    for store in (alone, both):
        store.mkdir()
        (store / "data").symlink_to(shared_store / "data")
    command = [sys.executable, str(Path(ranks.__file__)), str(tmp_path / "found"), str(alone)]
    subprocess.run(command, env={**of_two(), "ARL_RUNS": str(both)}, check=True, timeout=600)
    found = torch.load(tmp_path / "found")
    assert found["one"].keys() == found["two"].keys() == {"warm", "encoder", "decoder", "features"}
    for stage, mine in found["one"].items():
        assert apart(mine, found["two"][stage]) < 1e-7, stage
        if stage != "warm":  # whose one line is the encoder's first
            assert_same_losses(mine, found["two"][stage], 1e-6)


def test_a_row_of_two_devices_is_stored_once_and_says_so(shared_store):
    """The command of the README; what it stores is found by one device."""
    need("lightning_fabric")
    cfg = TINY.replace(lambda1=1, lr=1e-4)
    env = {**of_two(), "ARL_RUNS": str(shared_store)}
    command = [sys.executable, "-m", "arl.cli", "run", "--preset", "tiny", "--set", "lambda1=1", "--set", "lr=1e-4"]
    ran = subprocess.run(command, env=env, check=True, timeout=300, capture_output=True, text=True)
    assert ran.stdout.count("mean MCC") == 1, "one process prints"
    row = arl.find(cfg)
    assert row is not None and row.runs["encoder"].result["made_with"]["devices"] == "2"
