"""The equations against values worked by hand, and the direction in which each player pushes."""

import math

import pytest
import torch

from arl import losses


def test_1_and_7_pixel_loss_is_the_mean_squared_difference():
    x, x_hat = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    x_hat[0] = 0.5
    assert losses.pixel_loss(x_hat, x).item() == pytest.approx(0.125)


def test_2_adversarial_loss_by_hand_in_both_forms():
    d = torch.tensor([0.25, 0.8])  # probabilities of real
    logits = torch.log(d / (1 - d))
    assert losses.adversarial_loss(logits, "minimax").item() == pytest.approx((math.log(0.75) + math.log(0.2)) / 2)
    assert losses.adversarial_loss(logits).item() == pytest.approx(-(math.log(0.25) + math.log(0.8)) / 2)


@pytest.mark.parametrize("form", ["non-saturating", "minimax"])
def test_2_and_3_compete(form):
    """What lowers Dec's loss lowers D's objective: the paper's printed pair, with D inverted in (3), would not compete."""
    real, fake = torch.tensor([1.0]), torch.tensor([-1.0], requires_grad=True)
    (dec,) = torch.autograd.grad(losses.adversarial_loss(fake, form), fake)
    (dis,) = torch.autograd.grad(losses.discriminator_objective(real, fake), fake)
    assert dec.item() < 0, "Dec raises the logit of its images"
    assert dis.item() < 0, "D, which maximises (3), lowers it"


def test_3_discriminator_objective_by_hand_and_its_maximum():
    logits = torch.log(torch.tensor([0.9 / 0.1])), torch.log(torch.tensor([0.3 / 0.7]))
    assert losses.discriminator_objective(*logits).item() == pytest.approx(math.log(0.9) + math.log(0.7))
    perfect = losses.discriminator_objective(torch.tensor([50.0]), torch.tensor([-50.0]))
    assert perfect.item() == pytest.approx(0.0, abs=1e-6)


def test_4_and_8_perceptual_distance_is_1_when_each_layer_is_as_far_as_strangers():
    g = [torch.zeros(2, 4, 3, 3), torch.zeros(2, 8, 2, 2)]
    g_hat = [torch.full_like(g[0], 2.0), torch.full_like(g[1], 0.1)]
    assert losses.perceptual_distance(g_hat, g, torch.tensor([4.0, 0.01])).item() == pytest.approx(1.0)
    assert losses.perceptual_distance(g_hat, g, torch.tensor([4.0, 0.02])).item() == pytest.approx(0.75)


def test_5_attacker_and_9_protector_have_opposite_signs():
    pixel, adversarial, perceptual, utility = (torch.tensor(v) for v in (0.1, 0.2, 0.3, 0.7))
    assert losses.attacker_loss(pixel, adversarial, perceptual, 2.0, 3.0).item() == pytest.approx(0.1 + 0.4 + 0.9)
    assert losses.protector_loss(utility, pixel, perceptual, 2.0, 3.0).item() == pytest.approx(0.7 - 0.2 - 0.9)


def test_6_utility_loss_by_hand():
    p = torch.tensor([[0.8, 0.4]])
    logits = torch.log(p / (1 - p))
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert losses.utility_loss(logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(expected)


def test_10_feature_attack_loss_by_hand():
    assert losses.feature_attack_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]])).item() == pytest.approx(
        2.5
    )


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_1_has_the_bytes_of_torchs_loss_and_a_gradient_that_lies_as_its_input(layout):
    drawn = torch.Generator().manual_seed(7)
    x, mine = (torch.rand(3, 3, 6, 5, generator=drawn).contiguous(memory_format=layout) for _ in range(2))
    theirs = mine.clone().requires_grad_()
    mine.requires_grad_()
    ours, other = losses.pixel_loss(mine, x), torch.nn.functional.mse_loss(theirs, x)
    assert torch.equal(ours, other)
    (0.3 * ours).backward(), (0.3 * other).backward()
    assert torch.equal(mine.grad, theirs.grad)
    assert mine.grad.is_contiguous(memory_format=layout)


def test_1_goes_down_both_ways_and_refuses_shapes_that_torch_would_stretch():
    a, b = (torch.rand(2, 3, 4, 4, requires_grad=True, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(losses.pixel_loss, (a, b))
    with pytest.raises(ValueError, match="accepted: that of b"):
        losses.pixel_loss(a, b[:1])


def test_1_of_half_precision_is_counted_in_float32():
    a, b = torch.full((1, 3, 64, 64), 1.0, dtype=torch.bfloat16), torch.full((1, 3, 64, 64), 0.5)
    assert losses.pixel_loss(a, b).dtype == torch.float32
    assert losses.pixel_loss(a, b).item() == 0.25
