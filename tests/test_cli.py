"""The command line and the notebooks, as users start them: from any folder, with right and with wrong parameters."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from arl.messages import UserError
from arl.workbook import notebooks
from arl.workbook.notebooks import NotebookError, execute, execute_all

ROOT = Path(__file__).parents[1]


def arl(*arguments, cwd, store):
    environment = {**os.environ, "ARL_RUNS": str(store), "ARL_FIGURES": str(store / "figures")}
    command = [sys.executable, "-m", "arl.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def test_run_runs_and_show_from_any_folder(tmp_path, session_store):
    ran = arl("run", "--preset", "tiny", cwd=tmp_path, store=session_store)
    assert ran.returncode == 0, ran.stderr
    for name in (
        "mean MCC ↑",
        "face similarity ↓",
        "feature similarity ↓",
        "SSIM",
        "PSNR",
        "LDA",
        "measured on",
        "g  ",
        "C  ",
    ):
        assert name in ran.stdout
    assert "epoch" not in ran.stdout, "progress is for standard error, results are for standard output"
    again = arl("run", "--preset", "tiny", "--set", "lambda1=0", cwd="/", store=session_store)
    assert again.stdout == ran.stdout and "epoch" not in again.stderr, "found, not made again"
    row = ran.stdout.split()[0]
    listed = arl("runs", cwd=tmp_path, store=session_store).stdout
    assert row in listed and "finished" in listed
    shown = arl("show", row.split("-")[1][:8], cwd=tmp_path, store=session_store).stdout
    assert row in shown and '"mean_mcc"' in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--set", "lamda1=1"], "arl: lamda1: no such parameter"),
        (["run", "--set", "lambda1=-1"], "arl: lambda1: found -1, accepted: greater than or equal to 0"),
        (["run", "--set", "lambda1"], "arl: --set: found 'lambda1', accepted: NAME=VALUE"),
        (["run", "--set", "data=celeba"], "arl: data_root: found nothing"),
        (["run", "--set", "recogniser=openface"], "arl: recogniser: found 'openface'"),
        (["run", "--set", "mu2=1", "--set", "perceptual=/nowhere.pth"], "arl: perceptual: found '/nowhere.pth'"),
        (["run", "--set", "extra=both", "--set", "extra_source=/nowhere"], "arl: extra_source: "),
        (["show", "nothing"], "arl: ID: found no run for 'nothing'"),
        (["run", "--set", "name=x"], "arl: name: no such parameter"),
        (["run", "--set", "cls=x"], "arl: cls: no such parameter"),
        (["run", "--set", "data=folder", "--set", "data_root=2024"], "arl: data_root: found '/"),
        (["run", "--plugin", "gone.py"], "arl: plugin: found 'gone.py'"),
        (["reproduce", "--preset", "tiny", "--set", "lambda1=-1"], "arl: lambda1: found -1"),
        (["reproduce", "--preset", "tiny", "--set", "people=0", "00"], "arl: people: found 0, accepted: 1 to 100"),
        (["check", "--set", "lamda1=1"], "arl: lamda1: no such parameter"),
        (["reproduce", "--set", "lamda1=1"], "arl: lamda1: no such parameter, accepted by these notebooks"),
        (["reproduce", "07_nothing"], "arl: NOTEBOOK: found '07_nothing'"),
        (["run", "--preset", "paper", "--set", "data_root=/nowhere"], "arl: data_root: "),
    ],
)
def test_a_mistake_is_one_line_and_nothing_runs(arguments, line, tmp_path, here):
    code, out, err = here(*arguments)
    assert code not in (0, None) and out == ""
    assert err.startswith(line) and err.count("\n") == 1, err
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_a_mistake_is_one_line_of_the_process_too(tmp_path):
    ran = arl("run", "--set", "lamda1=1", cwd=tmp_path, store=tmp_path / "runs")
    assert ran.returncode == 1 and ran.stdout == ""
    assert ran.stderr.startswith("arl: lamda1: no such parameter") and ran.stderr.count("\n") == 1, ran.stderr


def test_reproduce_executes_the_notebooks_in_order_and_draws_their_figures(tmp_path, session_store):
    ran = arl("reproduce", "--preset", "tiny", "--set", "lambda1=2", "00", "01", cwd=tmp_path, store=session_store)
    assert ran.returncode == 0, ran.stderr
    executed = [Path(line) for line in ran.stdout.split()]
    assert [p.name for p in executed] == ["00_quickstart.ipynb", "01_train.ipynb"]
    assert "[1/2] 00_quickstart" in ran.stderr and "encoder-" in ran.stderr and "epoch 2" in ran.stderr
    for path in executed:
        notebook = nbformat.read(path, as_version=4)
        assert any("image/png" in o.get("data", {}) for c in notebook.cells for o in c.get("outputs", ())), "a picture"
    for name in ("00_leak", "01_curves", "01_reconstructions"):
        drawn = session_store / "figures" / "tiny" / name
        assert drawn.with_suffix(".png").stat().st_size > 10_000 and drawn.with_suffix(".pdf").stat().st_size > 1_000
        provenance = json.loads(drawn.with_suffix(".json").read_text())
        assert provenance["drawn_with"]["commit"] and provenance["drawn_with"]["torch"] and provenance["numbers"]
        assert all((session_store / run).is_dir() for run in provenance["runs"]) and provenance["runs"]
    drawn = json.loads((session_store / "figures/tiny/01_reconstructions.json").read_text())
    results = [json.loads((session_store / run / "result.json").read_text()) for run in drawn["runs"]]
    assert [result["config"]["lambda1"] for result in results] == [0, 2], "without, with"
    for run, result in zip(drawn["runs"], results, strict=True):
        assert drawn["numbers"][run]["mean_mcc"]["value"] == result["mean_mcc"]["value"]


def test_a_failing_cell_and_an_error_hidden_in_a_widget_are_errors(tmp_path, store):
    def notebook(source):
        cells = [new_code_cell("x = 1", metadata={"tags": ["parameters"]}), new_code_cell(source)]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path = tmp_path / "9_test.ipynb"
        nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
        return path

    with pytest.raises(NotebookError, match="ZeroDivisionError"):
        execute(notebook("1 / 0"), {})
    hidden = "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    raise KeyError('hidden')\nout"
    with pytest.raises(NotebookError, match="widget: KeyError"):
        execute(notebook(hidden), {})
    assert execute(notebook("print(x)"), {"x": 3}).exists()


def test_unknown_parameters_are_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("must not run"))
    with pytest.raises(UserError, match=r"lamda1: no such parameter, accepted by these notebooks: .*lambda1"):
        list(execute_all([], {"lamda1": 1}))


def test_a_notebook_refuses_what_papermill_would_only_warn_of(shared_store):
    path = ROOT / "notebooks" / "09_gallery.ipynb"
    with pytest.raises(NotebookError, match=r"sized: no such parameter, accepted by this notebook: .*size, "):
        execute(path, {"size": 32, "sized": 32})


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_are_as_the_house_wants_them(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert all(f"**{part}" in prose for part in ("In the paper:**", "Contents:**", "What to "))
    links = re.findall(r"\]\((\S+?\.ipynb)\)", prose)
    assert links and all((path.parent / link).exists() for link in links)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "no outputs: nbstripout"
    lines = [line for cell in code for line in cell.source.splitlines()]
    assert not any(line.lstrip().startswith(("def ", "class ")) for line in lines), "a def belongs to arl"
    assert "arl.notebook(globals())" in code[1].source
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", ())]
    names = set(papermill.inspect_notebook(str(path)))
    assigned = {
        line.split(":")[0].split("=")[0].strip() for line in parameters.source.splitlines() if not line.startswith("#")
    }
    assert names == assigned and parameters.source.startswith("#"), "typed, with a comment above"


def test_a_bug_is_a_traceback_and_says_that_it_is_one(monkeypatch, capsys):
    from arl import cli

    monkeypatch.setattr(cli, "cli", lambda **_: {}["files"])
    with pytest.raises(KeyError, match="files"):
        cli.main()
    assert "this is a bug" in capsys.readouterr().err


def test_a_full_disk_under_standard_output_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "arl.cli", "--version"]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1
    assert ran.stderr == "arl: standard output: found No space left on device, accepted: a disk with room\n"


def test_check_says_what_is_there_and_every_problem(tmp_path, session_store):
    ran = arl("check", "--preset", "tiny", cwd=tmp_path, store=session_store)
    assert ran.returncode == 0, ran.stderr
    for part in ("faces: ", "200 images of 20 people", "C: ", "rows: 1 asked for", "X1 100, X2 60, T 40"):
        assert part in ran.stdout
    wrong = ["--set", "batch_size=9999", "--set", "recogniser=gone.onnx"]
    ran = arl("check", "--preset", "tiny", *wrong, cwd=tmp_path, store=tmp_path / "empty")
    assert ran.returncode == 1 and ran.stdout.count("problem: ") == 2, ran.stdout + ran.stderr
    assert not (tmp_path / "empty").exists()


def test_nbstripout_finds_nothing():
    paths = [str(path) for path in (ROOT / "notebooks").glob("*.ipynb")]
    ran = subprocess.run([sys.executable, "-m", "nbstripout", "--verify", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ruff_finds_nothing():
    for command in (["check"], ["format", "--check"]):
        ran = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
