"""`arl audit`: anybody's encoder out of a file, nothing in it run but its graph, and the suite of attackers on it."""

import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from optional import need
from PIL import Image
from torch import nn

import arl
from arl.attacks import Attack
from arl.audit import Foreign, audit, audit_json, audit_text, load_target
from arl.audit.shapes import as_features, shape_of
from arl.audit.suite import ATTACKERS, budget, experiment_of, of_experiment
from arl.audit.worst import worst_again
from arl.config import RunConfig
from arl.data import open_data
from arl.gradients import gives_gradients
from arl.messages import UserError
from arl.models import FeatureMap, ImageDecoder
from arl.store import stored

SHOWN = {"size": "32", "mean": "0.5", "std": "0.25,0.3,0.35"}


def network(last=None):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, last or nn.Linear(32, 12)).eval()


def scripted(path, net=None, **notes):
    torch.jit.save(torch.jit.script(net or network()), str(path), _extra_files=notes)
    return path


def traced(path, net=None, batch=2):
    torch.jit.save(torch.jit.trace(net or network(), torch.rand(batch, 3, 32, 32)), str(path))
    return path


def exported(path, net=None, batch=None, **notes):
    batches = {0: torch.export.Dim.DYNAMIC} if batch is None else None
    program = torch.export.export(net or network(), (torch.rand(batch or 2, 3, 32, 32),), dynamic_shapes=(batches,))
    torch.export.save(program, str(path), extra_files=notes)
    return path


def onnx_graph(path, net=None, batch=None, **notes):
    onnx = need("onnx")
    need("onnxruntime")
    axes = {"x": {0: "n"}} if batch is None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = torch.rand(batch or 2, 3, 32, 32)
        torch.onnx.export(net or network(), (image,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, notes)
    onnx.save(model, str(path))
    return path


FORMATS = {"torchscript": (scripted, "a.ts"), "export": (exported, "a.pt2"), "onnx": (onnx_graph, "a.onnx")}


@pytest.mark.parametrize("name", [*FORMATS, "traced"])
def test_features_are_those_of_the_network_whatever_it_was_written_by(tmp_path, name):
    make, file = FORMATS.get(name, (traced, "b.pt"))
    options = SHOWN if name in ("torchscript", "traced") else {**SHOWN, "size": ""}  # the others say their size
    target = load_target(make(tmp_path / file), **options)
    x = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        wanted = network()((x - 0.5) / torch.tensor([0.25, 0.3, 0.35]).view(3, 1, 1))
    torch.testing.assert_close(target(x), wanted, rtol=1e-4, atol=1e-5)
    assert target.spec.size == (32, 32) and target.spec.shape == (12,)
    assert target.spec.format == (name if name in FORMATS else "torchscript")
    assert target(torch.rand(2, 3, 48, 48)).shape == (2, 12)  # faces of another size are resized


class Wide(nn.Module):
    """Convolutions of 16 channels, and features that ask for the order of pixels in memory, or not."""

    def __init__(self, asks: bool):
        super().__init__()
        self.asks, self.convs = (
            asks,
            nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, 2, 1)),
        )

    def forward(self, x):
        z = self.convs(x)
        return z.view(z.shape[0], 16 * 64) if self.asks else z.flatten(1)


@pytest.mark.parametrize("make, file", [(scripted, "a.ts"), (exported, "a.pt2")])
@pytest.mark.parametrize("asks", [True, False])
def test_images_come_channels_last_where_the_same_comes_out(tmp_path, make, file, asks):
    torch.manual_seed(0)
    net = Wide(asks).eval().requires_grad_(False)
    target = load_target(make(tmp_path / file, net), size="32", mean="0", std="1")
    assert target.layout == (torch.contiguous_format if asks else torch.channels_last)
    assert load_target(scripted(tmp_path / "narrow.ts"), **SHOWN).layout == torch.contiguous_format
    x = torch.rand(5, 3, 32, 32)
    slopes = [
        torch.autograd.grad(f(y).square().sum(), y)[0] for f in (target, net) for y in [x.clone().requires_grad_()]
    ]
    torch.testing.assert_close(target(x), net(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_size_and_normalisation_come_from_the_file(tmp_path, name):
    make, file = FORMATS[name]
    notes = {"mean": "0.4,0.5,0.6", "std": "0.5"} | ({"size": "32"} if name == "torchscript" else {})
    spec = load_target(make(tmp_path / file, **notes)).spec
    assert (spec.size, spec.mean, spec.std) == ((32, 32), (0.4, 0.5, 0.6), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("make", [exported, onnx_graph])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_filled_up(tmp_path, make, batch, capsys):
    target = load_target(make(tmp_path / ("a.pt2" if make is exported else "a.onnx"), batch=batch), mean="0", std="1")
    x = torch.rand(6, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(target(x), network()(x), rtol=1e-4, atol=1e-5)
    assert f"takes {batch} images at a time" in capsys.readouterr().err


# -- what could run code ----------------------------------------------------------------------------------------------


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def refused(path, **options):
    with pytest.raises(UserError) as error:
        load_target(path, **{**SHOWN, **options})
    assert "\n" not in str(error.value) and "accepted:" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("file", ["net.pt", "net.pth", "net.pt2", "net.onnx"])
def test_a_pickle_is_refused_unread_whatever_its_name(tmp_path, old, file):
    path, proof = tmp_path / file, tmp_path / "proof"
    torch.save({"net": Touch(proof)}, path, _use_new_zipfile_serialization=not old)
    assert "pickle" in refused(path) and not proof.exists()
    torch.load(path, weights_only=False)
    assert proof.exists()  # whoever reads it does run it


def rewritten(path, to, change):
    """The archive at `path` with what `change` makes of its records by name."""
    with zipfile.ZipFile(path) as source:
        records = {info.filename.partition("/")[2]: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile(to, "w") as into:
        for name, content in change(records).items():
            into.writestr(f"a/{name}", content)
    return to


def test_a_pickle_within_a_torch_export_archive_is_refused_unread(tmp_path):
    proof = tmp_path / "proof"

    def change(records):
        payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        records["data/constants/model_constants_config.json"] = json.dumps({"config": {"c": payload}})
        return records | {"data/constants/opaque_obj_0": pickle.dumps(Touch(proof))}

    path = rewritten(exported(tmp_path / "a.pt2"), tmp_path / "b.pt2", change)
    assert "pickled object" in refused(path) and not proof.exists()
    try:
        torch.export.load(str(path))
    except Exception:
        pass
    assert proof.exists()


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("torch.ops.aten.relu.default", "torch.hub.load", "torch.hub.load"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default", "from_file"),
        ("Symbol('", "__import__('os').mkdir('", "expr_str"),
        ('builtins.tuple', "os.path", "in_spec"),
        ('"name": "conv2d"', '"name": "x = print(1)"', "name"),
        ("TRAINING", "a'b", "verifiers"),
    ],
)  # fmt: skip
def test_what_an_exported_program_could_call_or_evaluate_is_refused(tmp_path, old, new, found):
    def change(records):
        before = records["models/model.json"]
        records["models/model.json"] = before.replace(old.encode(), new.encode())
        assert records["models/model.json"] != before
        return records

    assert found in refused(rewritten(exported(tmp_path / "a.pt2"), tmp_path / "b.pt2", change))


def test_compiled_libraries_are_refused(tmp_path):
    path = rewritten(
        exported(tmp_path / "a.pt2"), tmp_path / "b.pt2", lambda all: all | {"data/aotinductor/m/m.so": b""}
    )
    assert "library" in refused(path)


class Writes(nn.Module):
    def forward(self, x):
        torch.save(x, "written")
        return x.flatten(1)


def test_torchscript_that_writes_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = scripted(tmp_path / "a.ts", Writes())
    assert "'save'" in refused(path) and not Path("written").exists()
    torch.jit.load(str(path))(torch.rand(1, 3, 8, 8))
    assert Path("written").exists()


@pytest.mark.parametrize(
    ("record", "content", "found"),
    [
        ("code/__torch__/EVIL.PY", "def f(x):\n  torch.save(x)\n", "'save'"),
        ("code/__torch__/b.py", 'getattr(ops.aten, "sa\\x76e")', "'getattr'"),
        ("code/__torch__/b.py", "ops.mine.run(x)", "ops.mine"),
        ("attributes.pkl", "c__torch__.torch.classes.c10d\nStore\n", "torch.classes.c10d"),
        ("MODEL.json", "{}", "torch 1.0"),
        ("CONSTANTS.pkl", "", "two records"),
    ],
)  # fmt: skip
def test_torchscript_hides_nothing_from_the_words_that_are_looked_for(tmp_path, record, content, found):
    path = rewritten(scripted(tmp_path / "a.ts"), tmp_path / "b.ts", lambda records: records | {record: content})
    assert found in refused(path)


# -- what is no encoder of images -------------------------------------------------------------------------------------


class Odd(nn.Module):
    """`what` is wrong with it."""

    def __init__(self, what: str):
        super().__init__()
        self.what, self.norm = what, nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x):
        if self.what == "batch":
            return self.norm(x).flatten(1)
        if self.what == "infinite":
            return x.flatten(1) / 0
        if self.what == "whole":
            return x.mean()
        return x.flatten(1)[:, : len(x)]


@pytest.mark.parametrize(
    ("what", "found"),
    [("batch", "depend on the other images"), ("infinite", "not finite"), ("whole", "a row of features"), ("length", "as many")],
)  # fmt: skip
def test_what_is_no_encoder_is_refused_in_a_line(tmp_path, what, found):
    assert found in refused(scripted(tmp_path / "a.ts", Odd(what).eval()))


def test_files_and_options_that_do_not_fit_are_refused_in_a_line(tmp_path):
    assert "found no file" in refused(tmp_path / "none.pt")
    for name, content in {"words.pt": b"no model", "words.onnx": b"no model", "cut.pt2": b"PK\x03\x04cut"}.items():
        (tmp_path / name).write_bytes(content)
        assert name in refused(tmp_path / name)
    path = scripted(tmp_path / "a.ts")
    for option, value in {"size": "", "mean": "", "std": "0"}.items():
        assert refused(path, **{option: value}).startswith(f"{option}: found")
    assert refused(path, size="1,2,3").startswith("size: found") and refused(path, mean="nan").startswith("mean: found")
    assert refused(exported(tmp_path / "b.pt2"), size="64").startswith("size: found '64' for a graph of 32,32")


class Several(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x


def test_of_several_outputs_the_first_is_taken_and_that_is_said(tmp_path, capsys):
    assert load_target(scripted(tmp_path / "a.ts", Several()), **SHOWN).spec.shape == (3,)
    assert capsys.readouterr().err.count("has 2 outputs") == 1


# -- features of any shape --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((7,), (7,)), ((4, 8, 8), (4, 8, 8)), ((4, 7, 7), (4, 8, 8)), ((4, 5, 3), (4, 8, 8)), ((2, 56, 56), (32, 16, 16)),
        ((5, 6), (30,)), ((197, 32), (32, 16, 16)), ((5000,), (20, 16, 16)), ((2, 3, 4, 5), (120,)),
    ],
)  # fmt: skip
def test_features_of_any_shape_lose_nothing(shape, wanted):
    z = torch.randn(3, *shape)
    found = as_features(z, 64)
    assert found.shape[1:] == shape_of(shape, 64) == wanted
    kept = found.flatten(1).sort(1).values
    padding = torch.zeros(3, found[0].numel() - z[0].numel())
    torch.testing.assert_close(kept, torch.cat([z.flatten(1), padding], 1).sort(1).values)
    assert ImageDecoder(wanted, 64, 4)(found).shape == (3, 3, 64, 64) and FeatureMap(wanted, 5)(found).shape == (3, 5)


def test_too_many_features_are_refused():
    with pytest.raises(UserError, match="numbers in one Z"):
        shape_of((64, 112, 112), 64)


# -- the audit --------------------------------------------------------------------------------------------------------


def test_an_encoder_that_tells_no_face_from_another_is_refused(tmp_path, shared_store):
    constant = scripted(tmp_path / "a.ts", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Threshold(2.0, 0.5)))
    with pytest.raises(UserError, match="the same features for"):
        audit(str(constant), preset="tiny", **SHOWN)


def command(store, *arguments):
    environment = {**os.environ, "ARL_RUNS": str(store), "PYTHONPATH": str(Path(arl.__file__).parents[1])}
    return [sys.executable, "-m", "arl.cli", "audit", "--preset", "tiny", *arguments], environment


def test_an_audit_from_the_command_line_goes_on_where_it_was_killed(tmp_path, session_store):
    store = tmp_path / "runs"
    store.mkdir()
    (session_store / "data").mkdir(exist_ok=True)
    (store / "data").symlink_to(session_store / "data")
    options = [f"--{name}={value}" for name, value in SHOWN.items()]
    run, environment = command(store, *options, "--json", str(tmp_path / "a.json"), str(scripted(tmp_path / "a.ts")))
    with subprocess.Popen(run, env=environment, stderr=subprocess.PIPE, text=True) as killed:
        for line in killed.stderr:
            if line.startswith("decoder") and "epoch 2" in line:
                break
        os.kill(killed.pid, signal.SIGKILL)
    assert not (tmp_path / "a.json").exists()
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (
        "to be made: decoder, whitened, identity, refined, probe, features" in done.stderr
        and "goes on after epoch" in done.stderr
    )
    found = json.loads((tmp_path / "a.json").read_text())
    assert [each["name"] for each in found["attackers"]] == list(ATTACKERS) and found["suite"] == "4"
    pictures = [each for each in found["attackers"] if "face_similarity" in (each["held_out"] or {})]
    assert [each["name"] for each in found["attackers"] if each not in pictures] == ["probe", "features"]
    assert set(found["attackers"][-2]["label_mcc"]) == {"value", "low", "high"}
    assert found["controls"]["verdict"] in found["verdicts"] and len(found["controls"]["each"]) == 9
    read = found["controls"]["each"]["answers"]["image"]
    said = f"From the true labels alone {read['strongest']} has {read['face_similarity']['value']:.3f}, on some images of T"
    assert any(sentence.startswith(said) for sentence in found["verdicts"]), (
        "the floor of the same attackers, not a line's alone"
    )
    for each in pictures:
        assert {"face_similarity", "ssim", "psnr", "rank1", "eer"} <= set(each)
        assert (
            each["ssim"]["low"] <= each["ssim"]["value"] <= each["ssim"]["high"]
            and "mean face" in each["ssim"]["floors"]
        )
    assert found["strongest"] == max(pictures, key=lambda each: each["held_out"]["face_similarity"])["name"]
    assert all(sentence in done.stdout for sentence in found["verdicts"]) and "preset tiny" in found["changed"]
    states = {path: path.stat().st_mtime_ns for path in store.rglob("result.json")}
    again = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
    assert again.stdout == done.stdout and "epoch" not in again.stderr and "to be made" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in store.rglob("result.json")} == states


def test_a_stored_row_is_audited_on_its_own_faces(shared_store):
    row = arl.run(RunConfig.preset("tiny", lambda1=0.77))  # whose encoder no other test has measured
    more = RunConfig.preset("tiny", lambda1=0.77, attacks="mean", extra="instead", extra_images=200)
    arl.run(more)
    found = audit(row.id)
    assert found.result["mean_mcc"] == row.result["mean_mcc"] and "file" not in found.result["audit"]["target"]
    assert found.result["runs"]["decoder"] == row.result["runs"]["decoder"]  # nothing is trained twice
    assert audit(row.runs["encoder"].id).run.id == found.run.id
    assert audit_json(found)["verdicts"][0] in audit_text(found)
    assert [run.id for run in stored() if run.spec["kind"] == "audit"] == [found.run.id]
    assert worst_again(found.run) == found.result["worst"], "from what is kept, without a face or a network"
    assert worst_again(found.run, ["mean", "ridge"])["chosen"] == ["mean", "ridge"]
    assert found.result["worst"]["chosen"][-1] == "Z" and {"Z", "features"} <= set(found.result["worst"]["attackers"])
    with pytest.raises(UserError, match="lambda1: found with a stored run"):
        audit(row.id, {"lambda1": 1})


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"lambda1": "1"}, "lambda1: found '1' without effect"), ({"epochs": 5}, "epochs: found 5 without effect"),
        ({"image_size": "big"}, "image_size: found"), ({"nothing": 1}, "nothing: no such"),
    ],
)  # fmt: skip
def test_settings_that_an_audit_cannot_use_are_refused(tmp_path, settings, found):
    with pytest.raises(UserError, match=found):
        experiment_of(str(scripted(tmp_path / "a.ts")), settings, "tiny", SHOWN)


def test_an_unknown_run_is_refused(store):
    with pytest.raises(UserError, match="no run for 'row-000'"):
        audit("row-000")
    with pytest.raises(UserError, match="found no file"):
        audit("nothing")


def test_faces_need_no_labels(tmp_path, shared_store):
    faces = open_data(RunConfig.preset("tiny"))
    for i, (image, who) in enumerate(zip(faces.images, faces.identities, strict=True)):
        (tmp_path / f"faces/{who}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"faces/{who}/{i}.png")
    settings = {"data": "folder", "data_root": str(tmp_path / "faces")}
    experiment, about = experiment_of(str(scripted(tmp_path / "a.ts")), settings, "tiny", SHOWN)
    experiment.cfg = experiment.cfg.replace(attacks=("mean", "ridge"))
    result = of_experiment(experiment, about).result
    assert "mean_mcc" not in result and result["strongest"] == "ridge"
    labels, mean_face = result["answers"]["ssim"]["value"], result["attacks"]["ridge"]["ssim"]["floors"]["mean face"]
    assert labels == pytest.approx(mean_face, abs=1e-4)


def test_nobody_of_t_is_known_to_an_attacker_and_budgets_follow_the_size(tmp_path, shared_store):
    path = scripted(tmp_path / "a.ts")
    experiment, about = experiment_of(str(path), {}, "tiny", SHOWN)
    assert isinstance(experiment, Foreign) and about["changed"] == ["preset tiny"]
    who, (_, x2, t) = experiment.data.identities, experiment.split
    assert not set(who[x2]) & set(who[t]) and len(x2) > len(t) > 40
    owned = experiment.owned
    assert not set(who[owned.held_out]) & set(who[owned.learns])  # nor does who chooses the strongest
    assert sorted(owned.all) == sorted(x2) and len(x2) / 10 <= len(owned.held_out) <= len(x2) / 10 + 10
    assert [attack.name() for attack in experiment.cfg.attacks] == list(ATTACKERS) == [*dict.fromkeys(ATTACKERS)]
    assert all(issubclass(type(attack), Attack) for attack in experiment.cfg.attacks)
    smiles, _ = experiment_of(str(path), {"attributes": "Smiling"}, "tiny", SHOWN)
    assert smiles.encoder_spec == experiment.encoder_spec | {"attributes": ["Smiling"]}
    sized, _ = experiment_of(str(path), {}, "quick", {**SHOWN, "size": "224"})
    assert (
        sized.cfg.image_size == 64
        and sized.cfg.attack_epochs == budget(64)["attack_epochs"] < budget(48)["attack_epochs"]
    )


@pytest.mark.parametrize("content", [b"", pickle.dumps({"a": 1}, 2), b"\x80\x04K\x01."])
def test_bytes_that_are_no_model_are_refused(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    assert refused(tmp_path / "a.bin").startswith("TARGET: found")


@pytest.mark.parametrize("name", FORMATS)
def test_white_box_attackers_need_a_file_that_gives_gradients(tmp_path, shared_store, name, capsys):
    make, file = FORMATS[name]
    path = str(make(tmp_path / file))
    target = load_target(path, **(SHOWN if name == "torchscript" else {**SHOWN, "size": ""}))
    assert gives_gradients(target, 48) == (name != "onnx") and not target(torch.rand(2, 3, 48, 48)).requires_grad
    options = SHOWN if name == "torchscript" else {**SHOWN, "size": ""}
    experiment, _ = experiment_of(path, {"attacks": "ridge,refined"}, "tiny", options)
    said = capsys.readouterr().err
    assert [attack.name() for attack in experiment.cfg.attacks] == ["ridge", "refined"][: 1 + (name != "onnx")]
    assert ("a.onnx: gives no gradients; the audit goes on without refined" in said) == (name == "onnx")
    if name == "onnx":
        with pytest.raises(UserError, match="attacks: found search with an encoder that gives no gradients, accepted"):
            experiment_of(path, {"attacks": "search"}, "tiny", options)[0].check()
    else:  # its gradient is the network's own
        x = torch.rand(2, 3, 32, 32, requires_grad=True)
        wanted = network()((x - 0.5) / torch.tensor([0.25, 0.3, 0.35]).view(3, 1, 1)).square().sum()
        slopes = [torch.autograd.grad(each, x)[0] for each in (target(x).square().sum(), wanted)]
        torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-5)


def test_a_file_is_attacked_through_its_gradients(tmp_path, shared_store):
    path = str(scripted(tmp_path / "a.ts"))
    experiment, _ = experiment_of(path, {"attacks": "ridge,refined", "steps": 4}, "tiny", SHOWN)
    experiment.check()
    run = experiment.attack(experiment.cfg.attacks[1])
    assert run.result["validation"] <= run.result["unrefined"] and run.result["steps"] in (0, 1, 4)
    made = experiment.reconstruct(experiment.owned.held_out, "refined")
    x = torch.from_numpy(experiment.owned.data.images[experiment.owned.held_out]) / 255
    assert (made - x).square().mean().item() == pytest.approx(run.result["validation"], rel=1e-3)
