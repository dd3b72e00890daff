"""What is typed: read by its declared type, refused in one line before anything is computed, or right; nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arl import check, gate, inputs, machine
from arl.config import RunConfig
from arl.inputs import Declared
from arl.judges.recogniser import judge_spec
from arl.messages import ConfigError, UserError
from arl.workbook import notebooks

DECLARED = {name: d for path in notebooks.notebooks() for name, d in notebooks.read_notebook(path).parameters.items()}


@pytest.mark.parametrize("name", ["name", "cls", "self", "lamda1", "__init__"])
def test_a_name_that_python_would_take_for_its_own_is_no_parameter(name):
    with pytest.raises(ConfigError, match=f"{name}: no such parameter"):
        inputs.configuration("tiny", {name: "x"})


@pytest.mark.parametrize("text", ["lambda1", "=1", "preset=paper", ""])
def test_a_setting_is_a_name_and_a_value(text):
    with pytest.raises(ConfigError, match="--set: found"):
        inputs.split_settings([text])
    with pytest.raises(ConfigError, match="seed: found twice"):
        inputs.split_settings(["seed=1", "seed=2"])


def test_values_are_read_by_the_field_not_by_their_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("2024", "true", "1e3"):
        assert inputs.configuration("tiny", {"data": "folder", "data_root": name}).data_root == str(tmp_path / name)
    assert inputs.configuration("tiny", {"identities": "1e2", "lambda1": "1e-3"}).identities == 100
    for wrong in ({"lambda1": "true"}, {"seed": "1.5"}, {"seed": "inf"}, {"lambda1": "nan"}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: found"):
            inputs.configuration("tiny", wrong)


@pytest.mark.parametrize(
    "idle, at_work",
    [
        (dict(extra_images=100), dict(extra="adversary")),
        (dict(extra_source="standard"), dict(extra="instead")),
        (dict(identities=30), None),
        (dict(width=32, encoder="resnet18"), None),
        (dict(recogniser_epochs=5, recogniser="dlib"), dict(recogniser="rendered")),
        (dict(recogniser_per_identity=7, recogniser="dlib"), dict(attacks="identity")),
        (dict(warm=0.2), dict(lambda1=1)),
        (dict(perceptual="efficientnet"), dict(mu2=1)),
        (dict(discriminator="dcgan"), dict(mu1=1)),
        (dict(damaged="skip"), dict(data="folder", data_root="/faces")),
        (dict(damaged="skip", data="orl"), dict(extra="both", extra_source="/faces")),
        (dict(data_seed=3, data="orl", recogniser="dlib"), dict(recogniser="rendered")),
        (
            dict(data_seed=3, data="folder", data_root="/f", recogniser="/c.onnx"),
            dict(extra="adversary", extra_source="shifted"),
        ),
    ],
)
def test_a_setting_that_was_typed_and_changes_nothing_is_refused(idle, at_work):
    name = next(iter(idle))
    typed = idle | ({"data": "orl"} if name == "identities" else {})
    with pytest.raises(ConfigError, match=f"{name}: found .* without effect, accepted: with"):
        inputs.row("tiny", typed)
    assert inputs.configuration("tiny", typed)  # a preset, or a notebook for its other rows, may set it
    if at_work:
        assert getattr(inputs.row("tiny", typed | at_work), name) == idle[name]
    assert inputs.row("tiny", {"data": "orl", "recogniser": "dlib"}).identities == 20


def test_paths_are_absolute_where_they_were_typed_and_names_stay_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").touch(), (tmp_path / "dlib").mkdir()
    made = inputs.configuration("tiny", {"recogniser": "mine.onnx", "perceptual": "./vgg.pth", "extra_source": "a/b"})
    assert made.recogniser == str(tmp_path / "mine.onnx") and made.perceptual == str(tmp_path / "vgg.pth")
    assert made.extra_source == str(tmp_path / "a/b")
    assert inputs.configuration("tiny", {"recogniser": "dlib"}).recogniser == "dlib", "a built-in name wins"
    several = inputs.configuration("tiny", {"recogniser": "mine.onnx, dlib,a/b.onnx"})
    assert several.recognisers == (str(tmp_path / "mine.onnx"), "dlib", str(tmp_path / "a/b.onnx"))
    assert list(several.judges) == ["mine", "dlib", "b"]
    with pytest.raises(
        ConfigError, match="recogniser: found '/.*b.onnx', accepted: rendered, rendered2, dlib or an .onnx file"
    ):
        gate.files([several])
    with pytest.raises(ConfigError, match="recogniser: found '~nosuchuser/x'"):
        inputs.configuration("tiny", {"recogniser": "~nosuchuser/x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("people", 0), ("people", "abc"), ("people", -1), ("people", 1.5), ("people", True), ("points", 0),
        ("counted", "0"), ("least_mcc", "abc"), ("least_mcc", 1.1), ("layers", "conv9"), ("layers", ""),
        ("layers", "fc,fc"), ("seeds", "nan"), ("seeds", "0,-1"), ("seeds", "1.5"), ("seeds", "inf"),
        ("lambda2s", "-1"), ("lambda2s", "a,b"), ("lambda1s", "nan"), ("choose", "middle"), ("choose", "-1"),
        ("photographs", "/nowhere"), ("side", 10**9), ("size", 1), ("target", "gone.ts"),
    ],
)  # fmt: skip
def test_a_value_out_of_its_type_or_range_is_one_line(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: found .* accepted: ") as caught:
        inputs.values(DECLARED, {name: value})
    assert "\n" not in str(caught.value)


def test_papermills_values_become_those_that_were_declared():
    values = inputs.values(DECLARED, {"seeds": 3, "lambda2s": [0, 1], "people": "4", "layers": "conv1, fc"})
    assert (values["seeds"], values["lambda2s"], values["people"], values["layers"]) == ("3", "0,1", 4, "conv1,fc")


@pytest.mark.parametrize(
    "parameters",
    [{"lambda1": -1}, {"people": 0}, {"rows": "5"}, {"least_mcc": "abc"}, {"layers": "conv9"}, {"seeds": "nan"},
     {"lambda2s": ""}, {"layer": "conv9"}, {"recogniser": "mine.onnx"}, {"data": "folder", "data_root": "gone"}, {"judge": "dlib"}],
)  # fmt: skip
def test_a_batch_is_refused_before_it_trains(parameters, store, monkeypatch):
    monkeypatch.setattr(notebooks, "sweep", lambda *_: pytest.fail("must not train"))
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("must not run"))
    with pytest.raises(UserError, match=f"{list(parameters)[-1]}|list"):
        list(notebooks.execute_all([], {"preset": "tiny", **parameters}))
    assert not list(store.glob("*/metrics.jsonl"))


def test_inside_a_notebook_everything_is_checked_and_put_back(tmp_path, store, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = ['preset: str = "tiny"\nlambda1: float = 1.0\npeople: int = 8\nrecogniser: str = ""']
    space = {"In": cells, "preset": "tiny", "lambda1": "2", "people": "3", "recogniser": ""}
    cfg = notebooks.notebook(space)
    assert cfg.lambda1 == 2 and space["people"] == 3 and cfg.recogniser == "rendered"
    for wrong, line in ((space | {"people": 0}, "people: found 0"), (space | {"lambda1": -1.0}, "lambda1: found -1")):
        with pytest.raises(UserError, match=line):
            notebooks.notebook(dict(wrong))
    with pytest.raises(UserError, match="peple: no such parameter, accepted by this notebook: lambda1, people"):
        notebooks.notebook(space | {"In": [*cells, "# Parameters\npeple = 3\n"]})
    with pytest.raises(UserError, match="recogniser: found '/"):
        notebooks.notebook(space | {"recogniser": "mine.onnx"})
    assert notebooks.notebook({"In": ["seed: int = 0"], "seed": 0}) is None


def test_without_names_the_papers_notebooks_are_executed_and_the_others_where_they_are_named(shared_store):
    tiny = {"preset": "tiny"}
    paper = [path.name[:2] for path in notebooks.prepared([], tiny)[0]]
    assert paper == ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "12"]
    assert [path.name[:2] for path in notebooks.prepared(["11", "14"], tiny)[0]] == ["11", "14"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"defence": "nopeek", "lambda1": 1},
            "lambda1: no such parameter, accepted by 01_train: attacks, .*correlation",
        ),
        ({"defence": "nopek"}, "defence: found 'nopek', accepted: adversarial, nopeek"),
        ({"correlation": 2}, "correlation: no such parameter, accepted by these notebooks: "),
        ({"attacks": "features", "mu1": 1}, "mu1: no such parameter"),
        ({"defence": "nopeek", "correlation": -1}, "correlation: found -1"),
    ],
)
def test_a_notebook_takes_the_parameters_of_the_chosen_defence_alone(given, line, store):
    with pytest.raises(UserError, match=line):
        notebooks.prepared(["01"], {"preset": "tiny", **given})
    (values,) = notebooks.prepared(["01"], {"preset": "tiny", "defence": "nopeek", "correlation": "2"})[0].values()
    assert "lambda1" not in values and "simulated_mu1" not in values
    assert notebooks.taking("row").configuration(values) == RunConfig.preset("tiny", defence="nopeek", correlation=2)
    both = notebooks.prepared(["01", "03"], {"preset": "tiny", "defence": "nopeek", "correlation": 2})[0]
    assert ["correlation" in values for values in both.values()] == [True, False], "each takes what it knows"


def test_papermill_alone_gives_a_notebook_its_defence(store):
    cell = 'preset: str = "tiny"\ndefence: str = ""\nlambda1: float = 1.0'
    space = {"preset": "tiny", "defence": "nopeek", "lambda1": 1.0, "correlation": 3}
    injected = '# Parameters\ndefence = "nopeek"\ncorrelation = 3\n'
    cfg = notebooks.notebook(space | {"In": [cell, injected]})
    assert cfg == RunConfig.preset("tiny", defence="nopeek", correlation=3)
    with pytest.raises(UserError, match="lambda1: no such parameter, accepted by this notebook: correlation, defence"):
        notebooks.notebook(space | {"In": [cell, injected + "lambda1 = 1.0\n"]})
    with pytest.raises(UserError, match="correlation: no such parameter"):
        notebooks.notebook(space | {"defence": "", "In": [cell, "# Parameters\ncorrelation = 3\n"]})
    typed = notebooks.notebook({"In": [cell], "preset": "tiny", "defence": "nopeek", "lambda1": 1.0})
    assert typed == RunConfig.preset("tiny", defence="nopeek"), "typed into the cell: λ1 is the cell's default"


def test_sizes_that_cannot_work_are_found_before_anything_is_rendered(store):
    for name, fields in {
        "batch_size": dict(batch_size=100_000),
        "recogniser_identities": dict(recogniser_identities=5, recogniser_per_identity=2),
        "identities": dict(identities=10**9),
        "extra_images": dict(extra="both", extra_images=10**10),
        "x1, x2": dict(x1=100.0, x2=99.0),
        "data_seed": dict(data_seed=2**62),
        "bootstrap": dict(bootstrap=10**12),
        "epochs": dict(epochs=10**18),
    }.items():
        with pytest.raises(ConfigError, match=f"^{name}: found"):
            gate.ready([RunConfig.preset("tiny", **fields)], opening=False)
    assert not store.exists()


def test_a_place_where_nothing_can_be_written_is_named_as_the_user_named_it(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "file/below", "link", "link/below", "loop"):
        with pytest.raises(UserError, match="^ARL_RUNS: found .*, which is no folder, accepted: a folder"):
            gate.writable(tmp_path / name, "ARL_RUNS")
    with pytest.raises(UserError, match="found a name that is too long"):
        gate.writable(tmp_path / ("n" * 300) / "below", "ARL_RUNS")
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "file"))
    with pytest.raises(UserError, match="^--figures: found .*file, which is no folder"):
        gate.figures("--figures")
    if Path("/proc/self").exists():  # rights are not enough there, even for root
        with pytest.raises(UserError, match="^ARL_RUNS: found /proc, where nothing can be written"):
            gate.writable(Path("/proc/store"), "ARL_RUNS")


def test_free_bytes_are_those_of_the_nearest_folder_whatever_the_name(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("new/below", "n" * 300, "loop/x", "a/" * 3000):
        assert machine.free_bytes(tmp_path / name) > 0, name


def test_a_full_disk_is_named_unless_everything_is_stored(store, monkeypatch):
    stored, missing = RunConfig.preset("tiny"), RunConfig.preset("tiny", seed=77)
    monkeypatch.setattr(machine, "free_bytes", lambda folder: 0)
    monkeypatch.setattr(gate, "_stored", lambda cfg: cfg == stored)
    gate.room([stored])
    with pytest.raises(ConfigError, match="^ARL_RUNS: found 0 MiB free for .* accepted: a folder with 64 MiB"):
        gate.room([stored, missing])


@pytest.mark.parametrize("guard", [True, False])
def test_a_script_without_a_guard_is_told_so(guard, tmp_path):
    script = tmp_path / "mine.py"
    call = "gate.main_guard()\nprint('fine')\n"
    lines = "if __name__ == '__main__':\n    " + call.replace("\n", "\n    ") if guard else call
    script.write_text(f"from arl import gate\n{lines}")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert (ran.returncode == 0) is guard, ran.stderr
    assert guard or "mine.py: found line 2 without a guard" in ran.stderr


def test_a_program_that_is_no_file_is_told_so():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    program = "from arl import gate\ngate.main_guard()\n"
    ran = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, env=environment)
    assert ran.stderr.splitlines()[-1].endswith(
        "found a program in <stdin>, accepted: one in a file, as each worker imports it"
    )


@pytest.mark.parametrize("content", ['{"a": 1}', '{"auc_embedding": "x"}', "[]", "{}"])
def test_a_foreign_result_of_a_recogniser_counts_as_none(store, content):
    cfg = RunConfig.preset("tiny")
    run = store / judge_spec(cfg)["run"]
    run.mkdir(parents=True)
    (run / "result.json").write_text(content)
    assert any(line.startswith(f"C: {run.name} would be trained") for line in check.of_rows([cfg]).lines)


def test_how_long_is_not_guessed_where_nothing_like_it_is_stored(store, monkeypatch):
    assert check.of_rows([RunConfig.preset("tiny")]).lines[-1] == "time: no idea yet, as nothing like it is stored"
    monkeypatch.setattr(check, "seconds_a_unit", lambda cfg: 60.0)
    assert check.of_rows([RunConfig.preset("tiny")]).lines[-1].startswith("time: about ")
    assert not store.exists()


ANY = st.one_of(
    st.integers(), st.floats(allow_subnormal=False), st.booleans(), st.none(), st.text(max_size=12), st.lists(st.integers(), max_size=3),
    st.sampled_from(["all", "none", "nan", "inf", "-1", "1e9", "~x", "\0", "a/b", "conv1", "imagenet", "x.onnx", "²"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([*RunConfig.parameters(), "name", "x"]), ANY, max_size=3))
def test_any_configuration_is_right_or_refused(fields):
    try:
        cfg = inputs.configuration("tiny", fields)
        gate.sizes([cfg]), gate.files([cfg]), gate.effect([cfg])
    except UserError as error:
        assert "accepted" in str(error)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(DECLARED)), ANY)
def test_any_parameter_of_a_notebook_is_right_or_refused(name, value):
    kinds = {"int": int, "float": float, "str": str}
    try:
        found = inputs.value_of(name, DECLARED[name], value)
    except UserError as error:
        assert "accepted" in str(error)
    else:
        assert isinstance(found, kinds[DECLARED[name].kind])
        if name in inputs.RANGES:
            assert inputs.RANGES[name][0] <= found <= inputs.RANGES[name][1]


def test_a_user_s_notebook_is_read_by_its_types():
    assert inputs.value_of("mine", Declared("bool", False), "true") is True
    for kind, value in (("bool", 3), ("int", "x"), ("str", None)):
        with pytest.raises(ConfigError, match="mine: found"):
            inputs.value_of("mine", Declared(kind, None), value)
