"""Figures of the paper's room: what they show is what the modules and the stored rows have."""

import importlib
import json

import matplotlib
import numpy as np
import pytest
import torch
from optional import need
from torch import nn

import arl
from arl import paper
from arl.config import LAYERS, RunConfig
from arl.data import open_data
from arl.paper import architecture, game, leak, saved
from arl.paper.measured import Line

TINY = RunConfig.preset("tiny")


@pytest.fixture
def line(shared_store):
    return Line(paper.table1(TINY)[0], (arl.run(TINY),))


# -- the room -------------------------------------------------------------------------------------------------------


def test_every_name_of_the_room_is_found_and_none_is_a_module():
    for name, module in paper.MODULES.items():
        importlib.import_module(f"arl.paper.{module}")
        assert getattr(paper, name) is not None
    assert not set(paper.MODULES) & set(paper.NAMES), "a module of that name would hide it"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = paper.nothing


def test_the_theme_leaves_the_users_settings_alone():
    with matplotlib.rc_context({"font.size": 31, "axes.spines.top": True}):
        before = dict(matplotlib.rcParams)
        axis = paper.figure6(paper.players(TINY)).axes[0]
        assert dict(matplotlib.rcParams) == before
        assert max(text.get_fontsize() for text in axis.texts) < 31, "drawn in ours"


# -- Figure 6 -------------------------------------------------------------------------------------------------------


def shapes_by_hand(module, x):
    """The output's shape of each module that a zero batch passes, without hooks of `architecture`."""
    found = []
    for part in module:
        x = part(x)
        found.append(tuple(x.shape[1:]))
    return found


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["small", "resnet18"])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_shapes_are_those_of_the_modules(encoder, layer):
    cfg = TINY.replace(encoder=encoder, layer=layer)
    players = paper.players(cfg)
    enc, f = players["Enc"], players["f"]
    stages = [
        shape
        for name, shape in zip([*LAYERS], shapes_by_hand(enc.module.eval(), torch.zeros(2, 3, 32, 32)), strict=False)
    ]
    assert len(stages) == LAYERS.index(layer) + 1, "cut behind the layer"
    shown = {step.stage: step.shape for step in architecture.layers(enc)}  # a stage's last step is its output
    assert shown == dict(zip(LAYERS, stages, strict=False))
    assert enc.output == f.shape == players["Dec"].shape == players["M"].shape == stages[-1]
    assert f.output == (40,) and players["Dec"].output == (3, 32, 32) and players["M"].output == (128,)
    z = torch.zeros(2, *enc.output)
    assert players["D"].output == tuple(players["D"].module(torch.zeros(2, 3, 32, 32)).shape[1:])
    assert architecture.layers(players["M"])[0].shape == tuple(players["M"].module[0](z).shape[1:])


def test_any_module_is_shown_as_it_is():
    """Another's network: names of stages, windows and strides, steps that change no shape, and nothing in it is touched."""
    net = nn.Sequential()
    net.add_module("stem", nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5), nn.ReLU()))
    net.add_module("end", nn.Sequential(nn.Flatten(), nn.Linear(5 * 64, 7)))
    mean = net.stem[1].running_mean.clone()
    steps = architecture.layers(architecture.Network("Enc", net.train(), (3, 16, 16)))
    assert [(s.stage, s.text, s.shape) for s in steps] == [
        ("stem", "Conv 3×3 /2, norm, ReLU", (5, 8, 8)),
        ("end", "Flatten", (320,)),
        ("end", "Linear", (7,)),
    ]
    assert net.training and net.stem[1].training and torch.equal(net.stem[1].running_mean, mean)
    assert not any(m._forward_hooks for m in net.modules())
    words = [
        text.get_text() for text in paper.figure6({"Enc": architecture.Network("Enc", net, (3, 16, 16))}).axes[0].texts
    ]
    assert "stem: Conv 3×3 /2, norm, ReLU" in words and "5×8×8" in words and "3×16×16" in words


def test_the_cut_is_marked_once_between_enc_and_f():
    axis = paper.figure6(paper.players(TINY.replace(layer="conv2"))).axes[0]
    heights = {text.get_text(): text.get_position()[1] for text in axis.texts}
    cut = next(y for words, y in heights.items() if words.startswith("cut"))
    assert heights["Enc"] < heights["conv2: BasicBlock"] < cut < heights["f"] < heights["conv3: BasicBlock"]
    assert len(axis.lines) == 1


def test_the_figure_is_that_of_the_stored_networks(line):
    players = paper.players(TINY)
    enc, f = line.runs[0].experiment.networks
    for name, stored in (("Enc", enc), ("f", f)):
        stored = architecture.Network(name, stored, players[name].shape)
        assert architecture.layers(stored) == architecture.layers(players[name])
        assert stored.parameters == players[name].parameters and not stored.learns


# -- Figure 2 -------------------------------------------------------------------------------------------------------


def test_who_learns_when_and_on_what():
    cfg = TINY.replace(lambda1=1, lambda2=2, simulated_mu1=0.5, simulated_mu2=1, mu2=3, extra="adversary")
    simulated, protecting, attack = game.steps(paper.players(cfg), cfg)
    assert simulated.learning == {"Enc": False, "Dec": True, "D": True} and simulated.images == "X2"
    assert protecting.learning == {"Enc": True, "f": True, "Dec": False} and protecting.images == "X1"
    assert attack.learning == {"Enc": False, "Dec": True, "M": True} and attack.images == "X2 + extra"
    assert simulated.equations == ("Dec minimises (5) = (1) + 0.5·(2) + 1·(4)", "D maximises (3)")
    assert protecting.equations == ("Enc and f minimise (9) = (6) − 1·(7) − 2·(8)",)
    assert "from epoch 2 on" in simulated.title, "warm is half of three epochs"
    assert all(player.learns for player in paper.players(cfg).values()), "as before the steps"


def test_a_defence_without_an_adversary_has_no_step_of_one():
    cfg = TINY.replace(defence="nopeek")
    protecting, attack = game.steps(paper.players(cfg), cfg)
    assert protecting.learning == {"Enc": True, "f": True} and "nopeek" in protecting.equations[0]
    assert attack.learning == {"Enc": False, "Dec": True, "M": True}
    assert len(paper.figure2(paper.players(cfg), cfg).axes) == 2


def test_without_protection_no_adversary_takes_part():
    training, attack = game.steps(paper.players(TINY), TINY)
    assert training.learning == {"Enc": True, "f": True} and training.equations == ("Enc and f minimise (6)",)
    figure = paper.figure2(paper.players(TINY), TINY)
    assert len(figure.axes) == 2
    words = [text.get_text() for text in figure.axes[1].texts]
    assert "Dec$^a$" in words and "M" in words and "3×32×32" in words and "64" in words, "with the shapes of X̂ and Z"
    assert attack.fresh and not training.fresh


# -- attributes and people ------------------------------------------------------------------------------------------


def test_the_leak_of_a_person_is_the_mean_of_their_photographs(line):
    measured, _ = line.runs[0].run.load()
    people = open_data(TINY).identities[measured["t"].numpy()]
    found = leak.leak_of_people(line)
    assert set(found) == set(people.tolist())
    someone = int(people[0])
    assert found[someone] == pytest.approx(measured["face_similarity"].numpy()[people == someone].mean(), abs=1e-6)
    axis = paper.people_leak([line, line]).axes[0]
    dots = next(c for c in axis.collections if len(c.get_offsets()) == 2 * len(found))
    assert np.allclose(np.sort(dots.get_offsets()[:, 0]), np.sort([*found.values()] * 2))


def test_the_map_has_an_encoder_a_row_and_its_own_tasks_only(line):
    smiling = next(row for row in paper.table1(TINY) if row.key == "9")
    result = dict(line.runs[0].result)
    other = type("Run", (), {"result": result | {"mcc": {"Smiling": {"value": 0.5}}, "runs": {"encoder": "another"}}})()
    same = Line(paper.table1(TINY)[2], line.runs)
    encoders, attributes, values = leak.mcc_of_attributes([line, same, Line(smiling, (other,))])
    assert encoders == ["#1 #3  no protection", "#9  Smiling alone, no protection, GAN"]
    assert values.shape == (2, 40) and np.isfinite(values[1]).sum() == 1
    assert values[1, attributes.index("Smiling")] == 0.5
    known = [result["mcc"][name]["value"] for name in attributes]
    assert np.allclose(values[0], np.array(known, float), equal_nan=True)
    assert len(paper.mcc_map([line, same]).axes[0].get_xticklabels()) == 1


# -- what is saved --------------------------------------------------------------------------------------------------


def test_a_saved_figure_knows_its_preset_its_rows_and_their_numbers(line, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    shown = paper.save_figure(paper.compare([line], 3), "pictures", [line])
    assert shown.path == tmp_path / "tiny" / "pictures.png" and shown.path.with_suffix(".pdf").exists()
    png, size = shown._repr_png_()
    assert png[:4] == b"\x89PNG" and size["width"] > 500
    provenance = json.loads(shown.path.with_suffix(".json").read_text())
    (row,) = line.runs
    assert list(provenance["runs"]) == [row.id] and provenance["preset"] == "tiny"
    assert provenance["numbers"][row.id]["face_similarity"]["low"] == row.result["face_similarity"]["low"]
    first = shown.path.read_bytes()
    assert paper.save_figure(paper.compare({"#1\nno protection": row}, 3), "pictures", [row]).path.read_bytes() == first


def test_the_preset_is_known_though_some_values_were_changed(line):
    changed = {"epochs": 7, "lambda1": 3, "image_size": 64, "seed": 4}
    runs = {name: RunConfig.preset(name, data="rendered", **changed) for name in ("tiny", "quick", "paper")}
    for name, cfg in runs.items():
        run = type("Run", (), {"result": {"config": cfg.flat()}, "spec": {}})()
        assert saved.preset_of([run]) == name
    encoder = line.runs[0].of("encoder")
    assert saved.preset_of([encoder]) == "tiny", "an encoder's run has no configuration, but what defines it"


def test_a_figure_is_not_left_open(line):
    before = matplotlib.pyplot.get_fignums()
    paper.wall(TINY, 4), paper.training_curves(line.runs[0])
    assert matplotlib.pyplot.get_fignums() == before


def test_rows_of_several_tables_are_told_apart(line):
    settings = paper.find_rows(TINY, "1:1; 2:5; 3:conv1, with")
    names = list(paper.figures.rows_by_name([Line(setting, line.runs) for setting in settings]))
    assert names == ["Table 1, #1\nno protection", "Table 2\nλ2 = 5", "Table 3\nconv1\nwith"]


def test_pictures_of_a_further_judge_carry_its_numbers(shared_store, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    need("onnxruntime")
    from test_judges import pixels_file

    cfg = TINY.replace(recogniser=f"rendered,{pixels_file(tmp_path / 'coarse.onnx')}")
    setting = paper.table1(cfg)[0]
    (line,), (by_c,) = paper.measure([setting], "0", "coarse"), paper.measure([setting], "0", "rendered")
    row = line.runs[0]
    assert line.figure("face_similarity")["value"] == row.result["judges"]["coarse"]["face_similarity"]["value"]
    assert by_c.judge == "" and by_c.figure("face_similarity")["value"] == row.value("face_similarity")
    each, t = row.each("judges/coarse/face_similarity"), row.each("t")
    figure = paper.compare([line], t[:3].numpy())
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == [f"{value:.2f}" for value in each[:3].tolist()]
    assert "by coarse" in figure.texts[-1].get_text()
    leaks = leak.leak_of_people(line)
    assert np.mean(list(leaks.values())) != pytest.approx(np.mean(list(leak.leak_of_people(by_c).values())))
    assert saved.save_figure(figure, "02_figure3", [line]).path.name == "02_figure3_coarse.png"
    assert saved.save_figure(figure, "02_figure3", [by_c]).path.name == "02_figure3.png"
