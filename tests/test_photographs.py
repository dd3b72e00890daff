"""Photographs of real people: what may be committed shows nobody, and says no path of the machine that has them."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from sources import celeba, write_celeba

import arl
from arl import paper
from arl.config import RunConfig
from arl.paper import saved
from arl.paper.measured import Line
from arl.store import Run
from arl.workbook import choice
from arl.workbook.choice import Store
from arl.workbook.explorer import Explorer
from arl.workbook.session import session_figure

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
TINY = RunConfig.preset("tiny")
SMALL = {name: getattr(TINY, name) for name in ("width", "epochs", "attack_epochs", "attack_patience", "bootstrap")}
JUDGE = dict(recogniser_identities=12, recogniser_per_identity=6, recogniser_epochs=2)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A store with a row of drawn people and one of photographs, and a folder of figures outside it."""
    root = tmp_path_factory.mktemp("places")
    write_celeba(root, 80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARL_RUNS", str(root / "runs"))
        patch.setenv("ARL_FIGURES", str(root / "committed"))
        cfgs = {"drawn": TINY, "celeba": celeba(root, batch_size=8, **SMALL, **JUDGE)}
        yield root, {name: Line(paper.table1(cfg)[0], (arl.run(cfg),)) for name, cfg in cfgs.items()}


@pytest.fixture
def committed(places, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "committed"))
    return tmp_path / "committed"


def written(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def pictures_of(root, line):
    """Every figure of the workbook that shows the people of `line`."""
    row = line.runs[0]
    yield paper.compare([line], 2)
    yield paper.compare({"a row": row}, 2, "worst")
    yield paper.wall(row.config, 4)
    yield session_figure(Store(), row.config, 2)


def test_pictures_of_people_stay_in_the_store(places, committed, capfd):
    root, lines = places
    for figure in pictures_of(root, lines["celeba"]):
        capfd.readouterr()
        shown = paper.save_figure(figure, "pictures", [lines["celeba"]])
        (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("pictures: shows people")]
        assert str(shown.path.parent) in said and shown.path.is_relative_to(root / "runs" / "figures")
        assert shown._repr_png_()[0][:4] == b"\x89PNG", "the user who has the data sees them"
        assert not committed.exists()
        shown.path.unlink()


def test_numbers_of_photographs_are_written_without_a_path_of_this_machine(places, committed, capfd):
    root, lines = places
    line = lines["celeba"]
    paper.save_figure(paper.mcc_map([line]), "02_mcc", [line])
    paper.save_figure(paper.people_leak([line]), "02_people", [line])
    paper.save_figure(paper.training_curves(line.runs[0]), "01_curves", [line])
    paper.save_figure(paper.front_figure([line]), "03_front", [line])
    paper.save_figure(paper.figure6(paper.players(line.runs[0].config)), "01_figure6", [line])
    paper.save_table([line], "02_table1", ("mean_mcc", "face_similarity"))
    assert "shows people" not in capfd.readouterr().err
    assert len(written(committed)) == 6 * 3 + 2
    for path in committed.rglob("*"):
        assert path.is_dir() or str(root).encode() not in path.read_bytes(), path.name


def test_people_who_were_drawn_are_written_where_they_were_asked_for(places, committed, capfd):
    root, lines = places
    for figure in pictures_of(root, lines["drawn"]):
        shown = paper.save_figure(figure, "pictures", [lines["drawn"]])
        assert shown.path.parent == committed / "tiny"
    assert "shows people" not in capfd.readouterr().err
    both = paper.save_figure(paper.compare([lines["drawn"]], 2), "both", [*lines.values()])
    assert not both.path.is_relative_to(committed), "one row of photographs among drawn ones"


def test_figures_inside_the_store_are_all_in_their_place(places, monkeypatch, capfd):
    root, lines = places
    monkeypatch.setenv("ARL_FIGURES", str(root / "runs" / "exports"))
    shown = paper.save_figure(paper.compare([lines["celeba"]], 2), "pictures", [lines["celeba"]])
    assert shown.path.is_relative_to(root / "runs" / "exports") and "shows people" not in capfd.readouterr().err


def test_any_image_in_a_figure_is_taken_for_a_face():
    face = np.zeros((4, 4, 3))
    inset, aside, sub, plain = (plt.Figure() for _ in range(4))
    inset.subplots().add_artist(AnnotationBbox(OffsetImage(face), (0.5, 0.5)))  # as a thumbnail beside a point
    aside.figimage(face)
    sub.subfigures(1, 2)[1].subplots().imshow(face[..., 0])
    plain.subplots().pcolormesh(face[..., 0])
    assert [*map(saved.shows_pictures, (inset, aside, sub, plain))] == [True, True, True, False]


def test_what_a_run_has_seen_is_asked_of_all_its_parts(places):
    root, lines = places
    drawn, real = (lines[name].runs[0] for name in ("drawn", "celeba"))
    assert [*map(saved.only_drawn, (drawn.run, drawn.of("encoder"), drawn.of("decoder")))] == [True] * 3
    assert not any(map(saved.only_drawn, (real.run, real.of("encoder"), real.of("decoder"), None)))
    removed = type(
        "Row", (), {"spec": drawn.run.spec, "result": drawn.result, "folder": root / "elsewhere" / drawn.id}
    )()
    assert not saved.only_drawn(removed), "who they are is not known any more"
    spec = drawn.of("decoder").spec | {"extra_data": {"kind": "folder"}}
    helped = type("Run", (), {"spec": spec, "result": None, "folder": Run(drawn.of("decoder").folder).folder})()
    assert not saved.only_drawn(helped), "its Dec^a has learned real faces"


def test_the_explorer_names_the_runs_whose_faces_it_shows(places, committed):
    """Where nothing stored compares with the choice, it shows the nearest: that may be of photographs."""
    root, lines = places
    config = lines["celeba"].runs[0].config.replace(image_size=48)
    explorer = SimpleNamespace(store=Store(), config=config, people=2)
    assert not choice.front(explorer.store.rows, config)
    shown = {run.id for run in Explorer.runs(explorer)}
    assert lines["celeba"].runs[0].id in shown
    saved = paper.save_figure(Explorer.figure(explorer), "08_explore", Explorer.runs(explorer))
    assert saved.path.is_relative_to(root / "runs") and not committed.exists()
