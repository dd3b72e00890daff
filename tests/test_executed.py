"""Executed notebooks stand until something that they were made from has changed; each kind of change, one at a time."""

import json
import os
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from arl.config import RunConfig
from arl.workbook import executed, notebooks

TINY = RunConfig.preset("tiny")


@pytest.fixture
def lab(tmp_path, store, monkeypatch):
    """Two notebooks of its own, of which the second `reads`; `done`: the numbers of those that are executed, which write a figure."""
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr(notebooks, "notebooks_folder", lambda: tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "workers", lambda: 2)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "figures").mkdir()
    for name, own in {"90_writes": {}, "91_reads": {"last": True, "reads": True}}.items():
        cells = [new_code_cell("size: int = 32\nfile: str = ''", metadata={"tags": ["parameters"]})]
        nbformat.write(new_notebook(cells=cells, metadata={"arl": own}), tmp_path / "notebooks" / f"{name}.ipynb")
    done = []

    def execute(path, given):
        done.append(path.name[:2])
        copy = store / "notebooks" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(given))
        (tmp_path / "figures" / f"{path.name[:2]}_drawn.png").write_text(json.dumps(given))
        return copy

    monkeypatch.setattr(notebooks, "execute", execute)

    def call(*names, again=False, **given):
        done.clear()
        copies = list(notebooks.execute_all(names, given, again))
        assert all(copy.exists() for copy in copies) and len(copies) == (len(names) or 2)
        return sorted(done)

    return SimpleNamespace(call=call, root=tmp_path, copy=store / "notebooks" / "90_writes.ipynb")


def test_what_was_executed_stands_until_it_is_asked_for_again(lab, capsys):
    assert lab.call() == ["90", "91"]
    assert lab.call() == [] and "90_writes.ipynb: as it was executed; nothing" in capsys.readouterr().err
    assert lab.call("90") == [] and lab.call("90", again=True) == ["90"] and lab.call("90") == []


@pytest.mark.parametrize(
    "place", ["figures/quick/90_drawn.json", "figures/bench/speed.json", "runs/figures/quick/89_a.json"]
)
def test_what_reads_others_figures_stands_until_one_of_them_changes(lab, place):
    """Not with its own, nor with those of notebooks behind it."""
    assert lab.call("91") == ["91"] and lab.call("91") == []
    figure = lab.root / place
    figure.parent.mkdir(parents=True, exist_ok=True)
    for number in ("91_own", "92_later"):
        (figure.parent / f"{number}.json").write_text("{}")
    assert lab.call("91") == []
    figure.write_text("1")
    assert lab.call("90") == ["90"], "who has read none"
    assert lab.call("91") == ["91"] and lab.call("91") == []
    figure.write_text("2")
    assert lab.call("91") == ["91"] and lab.call("91") == []


def test_the_summary_has_only_to_be_there_as_several_write_it(lab, monkeypatch):
    summary, good = lab.root / "figures" / "README.md", notebooks.execute

    def execute(path, given):
        summary.write_text(path.name)
        return good(path, given)

    monkeypatch.setattr(notebooks, "execute", execute)
    assert lab.call() == ["90", "91"] and lab.call() == []
    summary.unlink()
    assert lab.call() == ["90"], "which writes it, so that it is there when the other one is looked at"
    assert lab.call() == []


def altered(lab, what):
    """Something that the first notebook was made from, or wrote, is no longer what it was; returns parameters."""
    figure, side = lab.root / "figures" / "90_drawn.png", lab.copy.with_suffix(".json")
    if what == "parameter":
        return {"size": 48}
    if what == "figure":
        figure.write_text("other")
    if what == "no figure":
        figure.unlink()
    if what == "copy":
        lab.copy.write_text("half of it")
    if what == "no copy":
        lab.copy.unlink()
    if what == "note":
        side.write_text(side.read_text()[:40])
    if what == "no note":
        side.unlink()
    if what == "notebook":
        path = lab.root / "notebooks" / "90_writes.ipynb"
        path.write_text(path.read_text() + "\n")
    if what == "folder":
        os.environ["ARL_FIGURES"] = str(lab.root)  # the fixture puts it back
    return {}


@pytest.mark.parametrize(
    "what", ["parameter", "figure", "no figure", "copy", "no copy", "note", "no note", "notebook", "folder"]
)
def test_any_change_executes_it_again_and_once(lab, what):
    assert lab.call("90") == ["90"]
    given = altered(lab, what)
    assert lab.call("90", **given) == ["90"] and lab.call("90", **given) == []


def test_a_file_that_a_parameter_names_is_known_by_its_bytes(lab):
    file = lab.root / "c.onnx"
    file.write_text("one")
    given = {"file": f"rendered, {file}"}
    assert lab.call("90", **given) == ["90"] and lab.call("90", **given) == []
    file.write_text("another")
    assert lab.call("90", **given) == ["90"]


def test_a_failed_execution_is_not_kept(lab, monkeypatch):
    lab.call("90")
    good = notebooks.execute

    def fails(path, given):
        good(path, given)
        raise notebooks.NotebookError("stopped")

    monkeypatch.setattr(notebooks, "execute", fails)
    with pytest.raises(notebooks.NotebookError):
        lab.call("90", size=48)
    monkeypatch.setattr(notebooks, "execute", good)
    assert lab.call("90", size=48) == ["90"]


def test_rows_faces_code_packages_plugins_and_devices_are_in_its_hash(tmp_path, store, monkeypatch):
    path = tmp_path / "90_x.ipynb"
    path.write_text("x")

    def made(cfg=TINY, rows=("row-1",), given=None):
        return executed.made_from(path, given or {}, cfg, rows)

    first = made()
    assert first == made() == made(rows=["row-1"]) and made(rows=["b", "a"]) == made(rows=["a", "b"])
    others = [made(rows=["row-2"]), made(cfg=None), made(cfg=TINY.replace(data_seed=1)), made(given={"a": 1})]
    others.append(made(cfg=TINY.replace(extra="adversary", extra_source="standard", extra_images=8)))
    package, plugin = tmp_path / "arl", tmp_path / "own.py"
    package.mkdir()
    (package / "losses.py").write_text("1")
    plugin.write_text("1")
    with monkeypatch.context() as patch:
        patch.setattr(executed.arl, "__file__", str(package / "__init__.py"))
        others.append(made())
        (package / "losses.py").write_text("22")
        others.append(made())
    with monkeypatch.context() as patch:
        patch.setattr(executed, "distributions", lambda: [SimpleNamespace(name="torch", version="99")])
        others.append(made())
    with monkeypatch.context() as patch:
        patch.setenv("ARL_PLUGINS", str(plugin))
        others.append(made())
    with monkeypatch.context() as patch:
        patch.setattr(executed, "made_with", lambda: {"commit": "1", "device": "cuda"})
        others.append(made())
    assert len({first, *others}) == 1 + len(others)
    assert made() == first


def test_only_what_it_wrote_itself_must_stay(lab):
    """Figures of another preset, with the same number but older, are not its own."""
    older = lab.root / "figures" / "90_older.png"
    older.write_text("x")
    os.utime(older, (1, 1))
    lab.call("90")
    older.unlink()
    assert lab.call("90") == []
