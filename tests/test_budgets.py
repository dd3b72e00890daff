"""Budget curves: whose rows they are, what their points share, what is foretold, and the notebook."""

import csv
import io
import json
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from lab import ROOT
from matplotlib import pyplot as plt

from arl import paper
from arl.attacks.kernelridge import KernelRidge
from arl.config import RunConfig
from arl.experiment import Experiment
from arl.messages import ConfigError
from arl.paper import budgets
from arl.paper.budgets_figure import budget_figure
from arl.paper.measured import Line
from arl.stages import row_cost
from arl.store import run_id
from arl.workbook import notebooks

TINY = RunConfig.preset("tiny")
NS = (250, 500, 1000, 2000, 4000)
FLOORS = {"floors": {"mean face": 0.05, "stranger": None}, "ceilings": {"same person": 0.5}}


def settings(lambda1s="0,1", lambda2s="", ns=NS, attackers="ridge,kernelridge", axis="images", cfg=TINY):
    return paper.budget_settings(cfg, lambda1s, lambda2s, ns, attackers, axis)


def truth(n, protected):
    """Without protection .5 − .3 (n / 250)^−.6; with it .5 − .4 (n / 250)^−.6: the same at last."""
    return 0.5 - (0.4 if protected else 0.3) * (n / 250) ** -0.6


def measured(setting, seed=0, people=80, each=5):
    """A row of what `truth` says: people differ, the same ones at every budget, as photographs of T do."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    level = truth(setting.cfg.extra_images, setting.cfg.protected) + rng.normal(0, 0.1, people)[who]
    level = level + rng.normal(0, 0.05, len(who))
    scores = {f"{name}/face_similarity": torch.from_numpy(level) for name in ("ridge", "kernelridge")}
    scores["t"] = torch.arange(len(who))
    figure = {"value": level.mean(), "low": 0, "high": 1, **FLOORS}
    result = {
        "attacks": {name: {"face_similarity": figure} for name in ("ridge", "kernelridge")},
        "answers": {"face_similarity": {"value": 0.2}},
        "config": setting.cfg.flat() | {"seed": seed},
        "measured_on": {"test_set": "T of nobody", "C": "C", "g": "none"},
    }
    data = SimpleNamespace(identities=who)
    return SimpleNamespace(
        result=result, each=scores.__getitem__, experiment=SimpleNamespace(data=data), id=f"row-{seed}-{setting.key}"
    )


@pytest.fixture
def lines():
    return [Line(setting, (measured(setting), measured(setting, 1))) for setting in settings()]


def test_every_budget_is_fresh_faces_alone_before_the_same_frozen_encoder(shared_store):
    rows = settings(ns=(48, 40), attackers="ridge")
    assert [(row.cfg.extra_images, row.cfg.lambda1) for row in rows] == [(48, 0), (48, 1), (40, 0), (40, 1)]
    assert {(row.cfg.extra, row.cfg.extra_source) for row in rows} == {("instead", "standard")}
    assert len({row.name for row in rows}) == 4
    plain = [Experiment(row.cfg) for row in rows if not row.cfg.protected]
    assert {run_id(each.encoder_spec) for each in plain} == {run_id(Experiment(TINY).encoder_spec)}
    many, few = plain
    assert np.array_equal(many.extra.images[:40], few.extra.images), "the smaller budget is a part of the larger"
    assert len(few.owned.all) == 40 and not set(few.extra.identities) & set(few.data.identities)
    assert len({run_id(each.attack_spec(each.cfg.attacks[0])) for each in plain}) == 2
    assert row_cost(rows[0].cfg) > row_cost(rows[-1].cfg), "the larger budget takes longer"


def test_other_axes_change_the_attacker_and_leave_it_x2():
    for axis, attackers, field in (
        ("widening", "whitened", "widening"),
        ("centres", "kernelridge", "centres"),
        ("epochs", "decoder", "attack_epochs"),
    ):
        rows = settings("0", ns="1,2,4", attackers=attackers, axis=axis)
        assert [getattr(row.cfg, field) for row in rows] == [4, 2, 1] and {row.cfg.extra for row in rows} == {"none"}
    assert settings("0", ns="4", attackers="kernelridge", axis="centres")[0].cfg.attacks == (KernelRidge(centres=4),)


def test_encoders_are_those_of_the_tables():
    rows = settings("0,1", "10", ns=(40,), attackers="decoder,features")
    assert [row.label for row in rows] == ["no protection", "λ1 = 1", "λ1 = 1, λ2 = 10"]
    table2 = next(row.cfg for row in paper.table2(TINY) if row.cfg.lambda2 == 10)
    assert rows[2].cfg.defence == table2.defence and rows[1].cfg.defence == paper.table1(TINY)[1].cfg.defence
    photographs = settings("0", ns=(40,), cfg=TINY.replace(data="celeba", data_root="/c", reserved=50))
    assert photographs[0].cfg.extra_from == "reserved", "photographs get no drawings unless they are asked for"


def test_photographs_have_no_more_budget_than_was_reserved(capsys, monkeypatch):
    celeba = TINY.replace(data="celeba", data_root="/c", reserved=800)
    assert [row.cfg.extra_images for row in settings("0", cfg=celeba)] == [800, 500, 250]
    assert "ns: reserved=800 keeps 800 photographs" in capsys.readouterr().err
    monkeypatch.setattr(budgets, "look_at_data", lambda cfg: SimpleNamespace(images=5000))
    assert [row.cfg.extra_images for row in settings("0", cfg=celeba.replace(reserved=0.1))] == [500, 250]
    assert len(settings("0", cfg=celeba.replace(extra_source="standard"))) == len(NS), "drawings are without end"
    with pytest.raises(ConfigError, match="extra_source: found nothing with data=celeba"):
        settings("0", cfg=celeba.replace(reserved=0))


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"ns": "10,0"}, "ns: found 0, accepted"),
        ({"ns": "1.5"}, "ns: found 1.5, accepted"),
        ({"axis": "time"}, "axis: found 'time', accepted: images, widening"),
        ({"attackers": "rigde"}, "attacks: found 'rigde', accepted"),
        ({"axis": "widening"}, "widening: no such parameter"),
        ({"lambda1s": "-1"}, "lambda1: found -1"),
    ],
)
def test_what_is_no_curve_is_refused(wrong, line):
    with pytest.raises(ConfigError, match=line):
        settings(**wrong)


def test_a_curve_knows_what_its_points_share(lines):
    curves = paper.budget_curves(lines)
    names = [(curve.encoder, curve.attack) for curve in curves]
    assert names == [(e, a) for e in ("no protection", "λ1 = 1") for a in ("ridge", "kernelridge")]
    first = curves[0]
    assert first.n.tolist() == list(NS) and (np.diff(first.value) > 0).all()
    assert first.value == pytest.approx(truth(first.n, False), abs=0.03)
    assert np.corrcoef(first.draws.T).min() > 0.99, "the same people at each budget"
    assert (first.bounds[0] < first.value).all() and (first.value < first.bounds[1]).all()
    assert first.floors == {"mean face": 0.05, "answers": 0.2} and first.ceilings == {"same person": 0.5}
    assert paper.budget_curves(lines, "feature_similarity") == [], "pictures are none"


def test_what_was_held_back_is_foretold(lines):
    curve = paper.budget_curves(lines)[0]
    found = budgets.budget_numbers(curve, 2000, 0.02)
    (held,) = found["held_back"]
    assert (
        held["n"] == 4000 and held["inside"] and held["foretold"]["low"] < truth(4000, False) < held["foretold"]["high"]
    )
    law = found["law"]
    assert law["ahead"]["n"] == 64_000 and law["ahead"]["low"] < curve.value[-1] + 0.05 < law["ahead"]["high"]
    assert law["limit"]["low"] < 0.5 + curve.value[0] - truth(250, False) < law["limit"]["high"]
    assert law["verdict"] == "not saturated" and law["more"]["low"] > 0.02
    assert budgets.budget_numbers(curve, 1000, 0.02)["held_back"] == [], "three budgets make no law"
    few = paper.budget_curves([line for line in lines if line.setting.cfg.extra_images < 2000])[0]
    assert budgets.budget_numbers(few, 1000, 0.02)["law"] is None
    json.dumps(found)


def test_what_is_left_of_the_protection_is_of_the_same_people(lines):
    curves = paper.budget_curves(lines)
    left = budgets.protection_left(curves)
    assert [(gap["encoder"], gap["attack"]) for gap in left] == [("λ1 = 1", "ridge"), ("λ1 = 1", "kernelridge")]
    for gap in left:
        for point in gap["points"]:
            assert point["value"] == pytest.approx(0.1 * (point["n"] / 250) ** -0.6, abs=1e-6)
            assert point["high"] - point["low"] < 1e-6, "people differ ten times more than the encoders, and cancel"
        assert gap["limit"]["low"] < 0 < gap["limit"]["high"], "at last nothing is left of it"
        assert abs(gap["limit"]["value"]) < 0.03


def test_text_and_csv_say_the_same(lines):
    curves = paper.budget_curves(lines)
    text = paper.budget_text(curves, 2000, 0.02)
    assert "foretold from 2000 and fewer" in text and "not saturated" in text and "λ1 = 1 takes from ridge" in text
    cells = list(csv.DictReader(io.StringIO(budgets.budget_csv(curves, 2000, 0.02).decode())))
    kinds = [cell["kind"] for cell in cells if cell["encoder"] == "no protection" and cell["attack"] == "ridge"]
    assert kinds == ["measured"] * 5 + ["foretold from 2000", "foretold", "limit"]
    last = next(cell for cell in cells if cell["n"] == "4000.0" and cell["kind"] == "measured")
    assert float(last["value"]) == curves[0].value[-1] and "row-0-" in last["runs"] and "row-1-" in last["runs"]
    assert cells[7]["verdict"] == "not saturated"


def test_the_figure_shows_every_point_its_law_and_what_was_held_back(lines):
    curves = paper.budget_curves(lines)
    figure = budget_figure(curves, 2000)
    axes = figure.axes
    assert [axis.get_title() for axis in axes] == ["ridge", "kernelridge"]
    for axis, attack in zip(axes, ("ridge", "kernelridge"), strict=True):
        own = [curve for curve in curves if curve.attack == attack]
        drawn = [container.lines[0] for container in axis.containers]
        points = [(x, y) for line in drawn for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
        for curve in own:
            assert {(n, v) for n, v in zip(curve.n, curve.value, strict=True)} <= set(points)
            assert curve.law().limit["value"] in [y for _, y in points]
        hollow = [line for line in drawn if line.get_markerfacecolor() == "white"]
        assert [line.get_xdata().tolist() for line in hollow] == [[4000.0], [4000.0]]
        assert axis.get_xscale() == "log" and len(axis.collections) >= 2
        assert axis.get_xticklabels()[-1].get_text() == "y∞"
    plt.close(figure)


def test_the_notebook_draws_the_curve(shared_store, monkeypatch):
    path = ROOT / "notebooks" / "13_budget.ipynb"
    given = {"preset": "tiny", "ns": "40,56,72,96", "attackers": "ridge", "fitted": 72}
    rows = notebooks.read_notebook(path).settings(notebooks.read_notebook(path).given(given))
    assert len(rows) == 8 and {cfg.extra_images for _, cfg in rows} == {40, 56, 72, 96}
    executed = nbformat.read(notebooks.execute(path, given), as_version=4)
    said = "".join(o.get("text", "") for cell in executed.cells for o in cell.get("outputs", ()))
    assert "law: b" in said and "λ1 = 1 takes from ridge" in said and "y∞" in said
    drawn = shared_store / "figures" / "tiny" / "13_budget_images_face_similarity"
    assert all(drawn.with_suffix(suffix).stat().st_size > 1000 for suffix in (".png", ".pdf", ".csv", ".json"))
    numbers = json.loads(drawn.with_suffix(".json").read_text())["numbers"]
    assert len(numbers["curves"]) == 2 and len(numbers["left"]) == 1
    before = drawn.with_suffix(".png").read_bytes()
    notebooks.execute(path, given | {"attackers": "mean"})
    assert drawn.with_name(f"{drawn.name}_mean.png").exists() and drawn.with_suffix(".png").read_bytes() == before
