"""The networks: six taps, mirrored decoders, and what `Fixed` fixes."""

import pytest
import torch

from arl.models import (
    BasicBlock,
    Discriminator,
    FeatureMap,
    ImageDecoder,
    Normalise,
    SubPixel,
    backbone,
    cut,
    decoder_width,
    residual,
    tap_shape,
)
from arl.names import LAYERS
from arl.training import Average, Fixed, generator, initialised, one_cycle

SHAPES = {
    "small": [(16, 12, 12), (32, 6, 6), (64, 3, 3), (128, 3, 3), (128,), (128,)],
    "resnet18": [(64, 12, 12), (128, 6, 6), (256, 3, 3), (512, 2, 2), (512,), (1000,)],
    "resnet50": [(256, 12, 12), (512, 6, 6), (1024, 3, 3), (2048, 2, 2), (2048,), (1000,)],
}


@pytest.mark.parametrize("encoder", SHAPES)
@pytest.mark.parametrize("layer", LAYERS)
def test_the_six_taps_and_their_decoders(encoder, layer):
    size = 48 if encoder == "small" or layer != "conv4" else 64  # a 2 × 2 map of 48 pixels does not double to 48
    net = backbone(40, encoder).eval()
    enc, f = cut(net, layer)
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        z = enc(x)
        assert tap_shape(enc, size) == z.shape[1:]
        if size == 48:
            assert z.shape[1:] == SHAPES[encoder][LAYERS.index(layer)]
        assert torch.equal(f(z), net(x)), "f∘Enc is the same network at every layer"
        assert f(z).shape == (2, 40)
        x_hat = ImageDecoder(tuple(z.shape[1:]), size, decoder_width(encoder, 16)).eval()(z)
        assert FeatureMap(tuple(z.shape[1:]), 7).eval()(z).shape == (2, 7)
    assert x_hat.shape == x.shape and x_hat.min() > 0 and x_hat.max() < 1


@pytest.mark.parametrize("size", [32, 48, 64, 128])
def test_sizes(size):
    for layer in LAYERS:
        enc, _ = cut(backbone(3), layer)
        shape = tap_shape(enc, size)
        assert ImageDecoder(shape, size, 16).eval()(torch.randn(1, *shape)).shape == (1, 3, size, size)
    x = torch.rand(5, 3, size, size)
    assert Discriminator(size, "dcgan", 8)(x).shape == (5,)
    logits = Discriminator(size, "patch", 8)(x)
    assert logits.shape[:2] == (5, 1) and 4 <= logits.shape[2] == logits.shape[3] <= 8


def test_a_decoder_standardises_so_that_shrinking_z_gains_nothing():
    torch.manual_seed(0)
    decoder = ImageDecoder((16,), 32, 8)
    z = torch.randn(64, 16)
    assert torch.allclose(decoder(z), decoder(0.05 * z + 3.0), atol=1e-2)


def test_fixed_changes_neither_parameters_nor_buffers_but_passes_gradients():
    torch.manual_seed(0)
    decoder = ImageDecoder((8,), 32, 8)
    before = {name: t.clone() for name, t in decoder.state_dict().items()}
    z = torch.randn(4, 8, requires_grad=True)
    stands = Fixed(decoder)
    for _ in range(2):  # step after step
        with stands:
            decoder(z).square().mean().backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad is None for p in decoder.parameters())
    assert all(torch.equal(t, before[name]) for name, t in decoder.state_dict().items())
    with pytest.raises(KeyError), stands:
        raise KeyError
    decoder(z.detach()).mean().backward()  # and afterwards, even after an error, all is as it was
    assert all(p.grad is not None for p in decoder.parameters())
    assert not torch.equal(decoder.state_dict()["enter.0.running_mean"], before["enter.0.running_mean"])


def test_random_streams_are_functions_of_their_seeds():
    draw = [torch.rand(3, generator=generator(*seeds)) for seeds in ((0, 1), (0, 1), (1, 0), (0, 2))]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2]) and not torch.equal(draw[0], draw[3])
    state = torch.get_rng_state()
    with initialised(5):
        a = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state), "the global stream is left as it was"
    with initialised(5):
        assert torch.equal(torch.rand(3), a)


def test_one_cycle_rises_then_falls_and_is_never_zero():
    rates = [one_cycle(i / 200) for i in range(200)]
    assert max(rates) == pytest.approx(1.0, abs=0.05) and rates.index(max(rates)) == 20
    assert all(0 < r <= 1 for r in rates) and rates[-1] < 0.01


def laid_out(shape: tuple[int, ...], layout: torch.memory_format) -> torch.Tensor:
    return torch.randn(shape, generator=generator(5)).contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_sub_pixel_has_the_bytes_of_torchs_pixel_shuffle_both_ways(layout):
    for channels in (3, 16):
        x, again = (laid_out((2, 4 * channels, 5, 7), layout) for _ in range(2))
        ours, theirs = SubPixel()(x), torch.nn.functional.pixel_shuffle(again, 2)
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous(memory_format=torch.channels_last)
        weights = torch.randn(ours.shape, generator=generator(6))
        (ours * weights).sum().backward(), (theirs * weights).sum().backward()
        assert torch.equal(x.grad, again.grad)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_normalising_has_the_bytes_of_three_numbers_a_pixel_both_ways(layout):
    x, again = (laid_out((2, 3, 6, 8), layout) for _ in range(2))
    norm = Normalise()
    ours, theirs = norm(x), (again - norm.mean) / norm.std
    assert torch.equal(ours, theirs) and ours.stride() == theirs.stride()
    ours.square().sum().backward(), theirs.square().sum().backward()
    assert torch.equal(x.grad, again.grad)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_residual_block_is_torchvisions(stride):
    from torchvision.models import resnet

    def theirs() -> torch.nn.Module:
        inner = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 1, stride, bias=False), torch.nn.BatchNorm2d(32))
        return resnet.BasicBlock(16, 32, stride, inner)

    blocks = []
    for make in (lambda: residual(16, 32, stride), theirs):
        with initialised(3):
            blocks.append(make())
    ours, other = (block.state_dict() for block in blocks)
    assert isinstance(blocks[0], BasicBlock)
    assert list(ours) == list(other), "checkpoints and the order of initialisation hang on the names"
    assert all(torch.equal(ours[name], other[name]) for name in ours)
    x = [laid_out((2, 16, 6, 6), torch.channels_last) for _ in blocks]
    made = [block(each) for block, each in zip(blocks, x, strict=True)]
    for each in made:
        each.square().sum().backward()
    assert torch.equal(*made) and torch.equal(x[0].grad, x[1].grad)


def test_an_average_is_the_mean_of_the_last_hundred_steps_of_weights_and_of_buffers_also_where_these_are_others():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average, by_hand = Average(net), {name: t.clone() for name, t in net.state_dict().items()}
    for step in range(40):
        with torch.no_grad():
            net[0].weight.add_(torch.randn(2, 2, generator=generator(step)))
            net[1].running_mean = net[1].running_mean + 1  # another tensor
            net[1].num_batches_tracked += 1
        average.update(step)
        for name, now in net.state_dict().items():
            if now.is_floating_point():
                by_hand[name].lerp_(now, max(0.01, 9 / (10 + step)))
    assert average.net[1].num_batches_tracked == 40
    assert average.net[1].running_mean[0] == by_hand["1.running_mean"][0] > 1
    assert all(torch.equal(t, by_hand[n]) for n, t in average.net.state_dict().items() if t.is_floating_point())
    assert not torch.equal(average.net[0].weight, net[0].weight)
