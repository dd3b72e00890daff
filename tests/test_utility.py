"""What makes f learn more from few photographs: changed images, dropout, weight decay, cuts of the highest MCC."""

import numpy as np
import pytest
import torch

from arl import inputs, metrics, models
from arl.config import RunConfig
from arl.data.augment import crops
from arl.experiment import Experiment
from arl.messages import ConfigError
from arl.protect import TrainingSchedule
from arl.training import one_cycle
from arl.watched import Watched
from arl.workbook.weights import protects

TINY = RunConfig.preset("tiny")
LATER = {"augmentation": "crops", "dropout": 0.2, "weight_decay": 0.01, "cuts": "mcc", "lr_again": 1e-3}


@pytest.mark.parametrize("name", LATER)
def test_a_later_parameter_is_part_of_an_id_where_it_is_not_at_its_default(name):
    assert name not in TINY.encoder_fields()
    with_it = TINY.encoder_fields() | {name: LATER[name]} | ({"warm": 0.5} if name == "lr_again" else {})
    assert TINY.replace(**{name: LATER[name]}).encoder_fields() == with_it


def test_changed_images_are_the_same_faces_a_little_otherwise_and_a_function_of_the_generator():
    rows = torch.linspace(0, 1, 32)
    x = (rows[:, None] * rows[None]).expand(8, 3, 32, 32).contiguous()
    a, b = (crops(x, torch.Generator().manual_seed(seed)) for seed in (0, 0))
    assert torch.equal(a, b) and a.shape == x.shape and a.min() >= 0 and a.max() <= 1
    assert not torch.equal(a, crops(x, torch.Generator().manual_seed(1)))
    assert (a - x).abs().mean((1, 2, 3)).min() > 0.002, "each image is changed"
    assert (a - x).abs().mean() < 0.1, "and recognisable"


def test_a_shift_is_no_more_than_was_said():
    """A bright spot in the middle stays within the shift, the turn and the scale of the middle."""
    x = torch.zeros(64, 3, 48, 48)
    x[:, :, 23:25, 23:25] = 1
    found = crops(x, torch.Generator().manual_seed(0)).mean(1)
    where = torch.stack([found.sum(1).argmax(1), found.sum(2).argmax(1)], 1).float() - 23.5
    assert 2 < where.abs().max() <= 48 * 0.08 * 1.15 + 1


def test_dropout_is_in_the_head_and_only_in_training():
    net = models.backbone(5, width=8, dropout=0.5)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(net.eval()(x), net.eval()(x))
    z = net.eval()[:6](x)
    head = net.head.train()
    assert not torch.equal(head(z), head(z))
    assert list(models.backbone(5, width=8).head.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_the_cut_of_the_highest_mcc_is_found_and_better_than_zero_on_other_images():
    """A rare attribute behind a logit whose scale and offset are off: the best cut is known."""
    rng = np.random.default_rng(0)
    truth = rng.random((40_000, 2)) < [0.05, 0.5]
    signal = rng.normal(size=(40_000, 2)) + 2 * truth
    logits = 3 * signal - [9, 3]  # the Bayes cuts for MCC lie below 0 for the first
    cuts = metrics.best_cuts(logits[:20_000], truth[:20_000])
    grid = np.quantile(logits[20_000:, 0], np.linspace(0.01, 0.99, 199))
    best = max(metrics.mcc(logits[20_000:, :1] > cut, truth[20_000:, :1])[0] for cut in grid)
    mine, zero = (metrics.mcc(logits[20_000:] > at, truth[20_000:]) for at in (cuts, 0.0))
    assert mine[0] > best - 0.02 and mine[0] > zero[0] + 0.02
    assert mine[1] > zero[1] - 0.02


def test_an_attribute_of_one_class_is_cut_at_zero():
    truth = np.stack([np.zeros(20, bool), np.ones(20, bool)], 1)
    assert np.array_equal(metrics.best_cuts(np.random.default_rng(0).normal(size=(20, 2)), truth), [0, 0])


def test_an_encoder_with_cuts_says_yes_where_mcc_is_highest(shared_store):
    plain, cut = (Experiment(TINY.replace(cuts=cuts)) for cuts in ("half", "mcc"))
    *same, biases = zip(*(experiment.networks[1].state_dict().values() for experiment in (plain, cut)), strict=True)
    assert not torch.equal(*biases), "f's last bias is shifted"
    assert all(torch.equal(*pair) for pair in same), "and nothing else"
    logits, y = Watched(cut).logits(torch.nn.Sequential(*cut.networks)), Watched(cut).y
    assert metrics.mean_mcc(logits > 0, y) == pytest.approx(cut.encoder.result["mcc"]), "what is stored is what f says"


def test_a_tiny_row_with_all_of_it_is_protected_resumed_and_measured(shared_store):
    import arl

    row = arl.run(TINY.replace(lambda1=1, **LATER))
    assert row.result["mean_mcc"]["value"] is not None and row.config.augmentation == "crops"


def test_with_a_second_cycle_the_rate_rises_again_when_the_defence_enters():
    plain = TrainingSchedule(10, 1e-2, 0)
    assert [plain.rate(e) for e in (0, 1, 9)] == [1e-2 * one_cycle(e / 10) for e in (0, 1, 9)]
    twice = TrainingSchedule(10, 1e-2, 0, lr_again=4e-3, warm=6)
    assert twice.rate(5.9) < 1e-4 and twice.rate(0.6) == pytest.approx(1e-2)
    assert twice.rate(6.4) == pytest.approx(4e-3) and twice.rate(9.99) < 1e-4
    assert max(twice.rate(e / 50) for e in range(300, 500)) == pytest.approx(4e-3)


def test_a_second_cycle_needs_warm_epochs_before_it():
    with pytest.raises(ConfigError, match=r"lr_again: found 0.001 with warm=0 of 3 epochs, accepted: 0, or warm"):
        TINY.replace(lr_again=1e-3, warm=0)


def test_warm_counts_for_an_unprotected_encoder_with_a_second_cycle_only():
    assert "warm" in inputs.idle(TINY) and "warm" not in inputs.idle(TINY.replace(lr_again=1e-3))
    spec = Experiment(TINY.replace(lr_again=1e-3)).cfg.encoder_fields()
    assert "warm" in spec and not protects(spec) and protects(TINY.replace(lambda1=1).encoder_fields())
