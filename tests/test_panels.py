"""Each panel of the explorer alone, with rows that were never trained: what it shows, and what it tells."""

import asyncio
import io
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from pydantic import Field

from arl.config import RunConfig
from arl.defences import Defence
from arl.defences.adversarial import Adversarial
from arl.messages import UserError
from arl.paper.style import METRICS
from arl.parameters import Weight as Weighty
from arl.store import Run, write_json
from arl.workbook import background, cards, choice, closer, pictures, weights
from arl.workbook.background import Progress
from arl.workbook.choice import Row, Store, distance
from arl.workbook.closer import Closer
from arl.workbook.panels import (
    CloserPanel,
    Controls,
    FrontPanel,
    KeepPanel,
    Messages,
    NumbersPanel,
    PhotographsPanel,
    PicturesPanel,
    TrainingPanel,
    Weight,
)
from arl.workbook.panels import training as training_panel

TINY = RunConfig.preset("tiny")
ROOM = Path(weights.__file__).parent


def row(value=0.5, **fields):
    """A row whose every figure is `value` ± 0.1."""
    result = {key: {"value": value, "low": value - 0.1, "high": value + 0.1} for key, *_ in METRICS}
    result["measured_on"] = {"C": "a judge", "g": "none"}
    cfg = TINY.replace(**fields)
    return Row(Run(Path(f"/nowhere/row-{abs(hash(cfg)):012x}"[:24])), cfg, result)


def png(colour="red", size=32):
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def drawn(monkeypatch):
    """Pictures without networks: two faces of each row."""
    grid = pictures.Grid((3, 5), (png("blue"), png("green")), png(), (0.25, 0.75))
    monkeypatch.setattr(pictures, "grid", lambda row, n=8: grid)
    monkeypatch.setattr(pictures, "people", lambda row, n: np.array([3, 5]))
    monkeypatch.setattr(pictures, "faces_of", lambda row: None)
    monkeypatch.setattr(cards, "change", lambda row, baseline: {})
    monkeypatch.setattr(closer, "closer", lambda rows, row, face: Closer(png(), (), None, None, ()))


@pytest.fixture
def told():
    return []


# -- messages and controls ----------------------------------------------------------------------------------------


def test_a_mistake_is_a_line_and_a_bug_is_an_error_output():
    messages = Messages()

    def mistaken(event):
        raise UserError("seed: found x, accepted: a number")

    messages.guarded(mistaken)("event")
    assert "seed: found x" in messages.notice.value and not messages.errors.outputs
    messages.run(lambda: 1 / 0)
    (output,) = messages.errors.outputs
    assert output["ename"] == "ZeroDivisionError" and "seed" not in messages.notice.value


def test_a_slider_and_its_box_follow_one_another():
    weight = Weight(weights.controls_of(Adversarial)[0], 2.0)
    assert weight.value == weight.slider.value == 2 and weight.slider.description == "λ1"
    weight.box.value = 2.2
    assert weight.value == 2.2 and weight.slider.value == 2, "exact entry, nearest notch"
    weight.slider.value = 0.0
    assert weight.value == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"lambda1": 1, "mu2": 0.123, "layer": "conv3", "seed": 4},
        {"lambda2": 2, "mu1": 1, "mu2": 1, "simulated_mu1": 1, "simulated_mu2": 1},
        {"lambda2": 2, "mu1": 1, "simulated_mu1": 0.5, "extra": "both", "attributes": "Smiling,Male"},
        {"identities": 70, "epochs": 9},
    ],
)
def test_the_controls_stand_for_any_choice(fields, told):
    controls = Controls(TINY, [], moved=lambda: told.append(controls.config))
    cfg = TINY.replace(**fields)
    controls.choose(cfg)
    assert controls.config == cfg and told == [], "whoever moves them knows"
    controls.layer.value = "conv1"
    assert told == [cfg.replace(layer="conv1")]


class Veil(Defence):
    """Of this test: a weight, a number and a choice."""

    veil: Weighty = Field(0.5, title="ν", description="how thick it is")
    share: float = Field(0.25, gt=0, le=1, title="p")
    shape: Literal["square", "round"] = Field("square", title="s")
    pace_of_it: int = 3  # without a symbol


def test_a_defence_has_its_controls_from_its_fields(told):
    controls = Controls(TINY, [], moved=lambda: told.append(controls.config))
    assert "veil" in controls.defence.options and "nopeek" in controls.defence.options
    assert controls.simulated in controls.view.children and list(controls.weights) == [
        "lambda1",
        "lambda2",
        "mu1",
        "mu2",
    ]
    controls.weights["mu2"].value = 2
    controls.defence.value = "veil"
    assert list(controls.weights) == ["veil", "share", "shape", "mu1", "mu2"]
    assert controls.simulated not in controls.view.children and set(controls.weights.values()) < set(
        controls.view.children
    )
    slider = controls.weights["veil"].slider
    assert (slider.description, slider.tooltip, slider.value) == ("ν", "how thick it is", 0.5)
    slider.value = 2.0
    controls.weights["share"].value = 0.5
    controls.weights["shape"].value = "round"
    assert told[-1].defence == Veil(veil=2, share=0.5, shape="round") and told[-1].mu2 == 2
    controls.defence.value = "adversarial"
    assert told[-1] == TINY.replace(mu2=2), "and back"


def test_what_has_no_control_is_that_of_the_row_that_was_chosen(told):
    controls = Controls(TINY, [], moved=lambda: None)
    for fields in (
        {"lambda1": 1, "simulated_steps": 4},
        {"defence": Veil(veil=3, pace_of_it=7)},
        {"lambda1": 1, "mu1": 1, "discriminator": "dcgan"},
        {"defence": "nopeek", "correlation": 0, "attacks": "decoder,ridge,features"},
        {"attacks": "features"},
    ):
        cfg = TINY.replace(**fields)
        controls.choose(cfg)
        assert controls.config == cfg
    cfg = TINY.replace(mu1=1, discriminator="dcgan", lambda1=1)
    assert RunConfig(**weights.unprotected(cfg).flat()) == weights.unprotected(cfg), "what both have stays one"


def test_rows_of_another_defence_are_far_and_break_nothing(drawn, told):
    ours, other = row(lambda1=1), row(0.4, defence="nopeek", correlation=2)
    assert distance(ours.config, other.config).value == pytest.approx(choice.OF_THE_REST)
    two, ten = (TINY.replace(defence="nopeek", correlation=value) for value in (2, 20))
    assert distance(two, ten).value == pytest.approx(1, abs=0.01) and "α 20, you chose 2" in str(distance(two, ten))
    for cfg, nearest in ((ours.config, ours), (ten, other)):
        store = Store(Path("/nowhere"))
        store.rows = [row(), ours, other]
        assert store.nearest(cfg)[0] is nearest and store.baseline(nearest.config) is store.rows[0]
        panel = FrontPanel(told.append)
        panel.show(choice.front(store.rows, cfg), nearest)
        assert len(panel.buttons) == 3 and any("nopeek, α = 2, fc" in button.tooltip for button in panel.buttons)
        assert closer.comparable(store.rows[::-1], nearest) == store.rows
        assert {each.config for each in closer.comparable(store.rows, nearest)} == {each.config for each in store.rows}
    assert cards.setting_words(other.config) == "nopeek, α = 2, fc" and cards.setting_words(TINY) == "no protection, fc"


def test_a_defence_of_a_cell_is_not_trained_elsewhere_and_one_of_a_file_is(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(background.subprocess, "Popen", lambda command, **_: started.append(command))
    monkeypatch.setattr(background.atexit, "register", lambda *_: None)
    background.Training(TINY.replace(lambda1=1))
    background.Training(TINY.replace(defence=Veil()))
    assert started[0][-1].endswith("runs.json") and started[1][-1] == __file__
    monkeypatch.setattr(Veil, "__module__", "__main__")
    panel = TrainingPanel(2, lambda: TINY.replace(defence=Veil()), lambda: None, Messages())
    panel.train.click()
    assert "defence: found veil of a notebook" in panel._messages.notice.value and len(started) == 2
    assert not panel._messages.errors.outputs and panel.training is None


def test_the_controls_offer_how_stored_rows_were_made():
    controls = Controls(TINY, [row(image_size=64), row(attributes="Young")], moved=lambda: None)
    assert any("64 px" in name for name in controls.data.options) and "Young" in controls.attributes.options


def test_only_one_module_names_the_weights():
    names = re.compile(r"\b(simulated_)?(lambda|mu)[12]\b")
    for path in [*ROOM.glob("*.py"), *(ROOM / "panels").glob("*.py")]:
        assert path.name == "weights.py" or not names.search(path.read_text()), path
    assert weights.weights(weights.player_classes(TINY)) == {n for n in RunConfig.parameters() if names.fullmatch(n)}


# -- pictures, front, numbers, one face ---------------------------------------------------------------------------


def test_pictures_show_the_row_its_baseline_and_faces_to_click(drawn, told):
    panel = PicturesPanel(3, told.append)
    chosen, baseline = row(lambda1=1), row()
    panel.show(chosen, distance(TINY.replace(lambda1=2), chosen.config), baseline)
    assert chosen.id in panel.status.value and "you chose 2" in panel.status.value
    assert "decoded" in panel.decoded.value and "0.25" in panel.decoded.value and "λ1 = 1" in panel.decoded.value
    assert "without protection" in panel.baseline.value
    assert [button.layout.display for button in panel.faces] == [None, None, "none"], "two faces, two buttons"
    panel.faces[1].click()
    panel.mark(1)
    assert told == [1] and "arl-on" in panel.faces[1]._dom_classes
    panel.show(baseline, distance(TINY, baseline.config), baseline)
    assert panel.baseline.value == "", "the baseline itself has none beside it"
    panel.show(None, None, None)
    assert (
        "Nothing is stored yet" in panel.status.value
        and panel.decoded.value == ""
        and panel.row.layout.display == "none"
    )


def test_the_front_has_a_button_on_each_point(told):
    panel = FrontPanel(told.append)
    rows = [row(0.4), row(0.6, lambda1=1)]
    panel.show(choice.front(rows, TINY), rows[0])
    buttons = panel.buttons
    assert len(buttons) == 2 and panel.map.children[2:] == tuple(buttons) and ".arl-point-1" in panel.style.value
    buttons[1].click()
    assert told == [rows[1].config]
    before = panel.figure.value
    panel.show(choice.front(rows, TINY), rows[1])
    assert panel.buttons is buttons and panel.figure.value != before, "the same points keep their buttons"
    panel.show(choice.front([*rows, row(0.5, lambda1=2)], TINY), rows[1])
    assert len(panel.buttons) == 3 and buttons[0].comm is None, "old ones are closed"
    panel.show([], None)
    assert "No stored run" in panel.figure.value and panel.buttons == []


def test_numbers_are_those_of_the_row(drawn):
    panel = NumbersPanel()
    panel.show(row(0.625, lambda1=1), None)
    assert "<b>0.625</b>" in panel.view.value and "0.525 … 0.725" in panel.view.value
    panel.show(None, None)
    assert panel.view.value == ""


def test_one_face_closer_until_other_faces_are_shown(drawn, tmp_path):
    store = Store(tmp_path)
    store.rows = [row(), row(lambda1=1), row(seed=1)]
    panel = CloserPanel(store, 2)
    assert "Click a face" in panel.view.value
    panel.show(store.rows[1], 1)
    assert "Look closer: face 2" in panel.view.value and panel.seen == store.rows[:2]
    panel.moved(store.rows[0])
    assert "face 2" in panel.view.value, "the same faces under another setting"
    panel.moved(store.rows[2])
    assert "Other faces are shown now" in panel.view.value and panel.seen == []


# -- training -----------------------------------------------------------------------------------------------------


class Fake:
    """A training that is told how far it is."""

    def __init__(self, cfg):
        self.config, self.stages = cfg, []
        self.told, self.end = [], Progress("finished", "done", 1.0, 0.0, None, "")

    @property
    def state(self):
        return self.stages[0].state if self.stages else self.end.state

    def progress(self):
        return self.stages.pop(0) if self.stages else self.end

    def __getattr__(self, name):
        return lambda: self.told.append(name)


def running(**fields):
    return Progress(
        **{"state": "running", "stage": "s", "fraction": 0.5, "seconds_left": 42, "run": None, "message": ""} | fields
    )


@pytest.fixture
def panel(monkeypatch, told):
    monkeypatch.setattr(training_panel, "SECONDS", 0)
    monkeypatch.setattr(training_panel, "Training", Fake)
    return TrainingPanel(2, lambda: TINY.replace(lambda1=3), lambda: told.append("finished"), Messages())


def test_buttons_and_words_follow_the_training(panel):
    panel.show(running(stage="training Enc and f, epoch 2 of 3"), TINY.replace(lambda1=3))
    assert panel.bar.value == 0.5 and (panel.train.disabled, panel.pause.disabled, panel.cancel.disabled) == (
        True,
        False,
        False,
    )
    assert "running – λ1 = 3, fc: training Enc and f, epoch 2 of 3, about 42 s left" in panel.progress.value
    panel.show(running(state="paused"), TINY)
    assert panel.pause.description == "Resume"
    panel.show(running(state="cancelled"), TINY)
    assert (
        "goes on from there" in panel.progress.value and panel.bar.bar_style == "warning" and not panel.train.disabled
    )


@pytest.mark.parametrize(
    ("end", "finished", "problem"),
    [
        (running(state="finished"), ["finished"], ""),
        (running(state="cancelled"), [], ""),
        (running(state="failed", message="arl: data_root: found no folder"), [], "data_root: found no folder"),
        (running(state="failed"), [], "ended without a word"),
    ],
)
def test_a_training_is_watched_to_its_end(panel, told, tmp_path, monkeypatch, end, finished, problem):
    run = Run(tmp_path / "decoder-123456789abc")
    run.folder.mkdir()
    (run.folder / "metrics.jsonl").write_text('{"epoch": 1, "attack": 0.5}\n')
    monkeypatch.setattr(pictures, "live", lambda run, cfg, n: png())

    async def press():
        panel.train.click()
        panel.training.stages, panel.training.end = [running(run=run)] * 3, end
        panel.train.click()
        assert "one at a time" in panel._messages.notice.value
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(press())
    assert told == finished and not panel._messages.errors.outputs
    assert problem in panel._messages.notice.value and (problem != "") == ("problem" in panel._messages.notice.value)
    assert run.id in panel.curves.value and "the attacker decodes after epoch 1" in panel.live.value


def test_pause_resume_and_cancel_reach_the_training(panel):
    panel.training = Fake(TINY)
    for state, button in (("running", panel.pause), ("paused", panel.pause), ("running", panel.cancel)):
        panel.training.stages = [running(state=state)] * 2
        button.click()
    assert panel.training.told == ["pause", "resume", "cancel"]


def journal(root, kind, done, **spec):
    run = Run(root / f"{kind}-123456789abc")
    run.folder.mkdir()
    write_json(run.folder / "config.json", spec)
    (run.folder / "metrics.jsonl").write_text("".join(f'{{"epoch": {i + 1}}}\n' for i in range(done)))
    return run


def test_how_far_a_training_is_stands_in_its_journals(tmp_path):
    cfg = TINY.replace(epochs=12, attack_epochs=40)
    runs = {}

    def now():
        current = background.at_work(runs)
        return background.stage(runs, current, cfg)

    assert now() == "preparing the faces"
    runs["encoder"] = journal(tmp_path, "encoder", 0)
    runs["warm"] = journal(tmp_path, "warm", 2)
    runs["recogniser"] = journal(tmp_path, "recogniser", 4, epochs=9)
    assert now() == "training Enc and f, epoch 2 of 12", "the first epochs are a run of their own"
    write_json(runs["warm"].folder / "result.json", {})
    (runs["encoder"].folder / "metrics.jsonl").write_text('{"epoch": 1}\n' * 5)
    assert now() == "training Enc and f, epoch 5 of 12"
    write_json(runs["encoder"].folder / "result.json", {})
    runs["decoder"] = journal(tmp_path, "decoder", 7)
    assert now() == "the attacker Dec^a, epoch 7 (to its plateau, at most 40)"
    write_json(runs["decoder"].folder / "result.json", {})
    assert now() == "training the recogniser C, epoch 4 of 9"
    write_json(runs["recogniser"].folder / "result.json", {})
    assert now() == "starting the next stage"
    runs["features"] = journal(tmp_path, "features", 3)
    assert now().startswith("the feature attack M, epoch 3")
    write_json(runs["features"].folder / "result.json", {})
    assert now() == "measuring on T"


# -- photographs, and a session on disk ---------------------------------------------------------------------------


def test_photographs_need_a_row_and_bad_ones_are_said(drawn, tmp_path):
    rows, messages = [None], Messages()
    panel = PhotographsPanel(Store(tmp_path), lambda: rows[0], messages)
    with pytest.raises(UserError, match="after Train this"):
        panel.add([("me.png", png())])
    rows[0] = row()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arl.workbook.photos.eyes_of", lambda data: ((0.3, 0.4), (0.7, 0.4)))
        panel.add([("you.png", png("green")), ("bad.png", b"hello")])
        assert "bad.png: found no photograph" in panel.notice.value and "you.png: " in panel.shown.value
        panel.uploaded.value = 0
        assert "me.png: " in panel.shown.value and messages.notice.value == ""
        panel.add([("bad.png", b"")])
    assert [name for name, _ in panel.photographs] == ["me.png", "you.png"]


def test_what_is_kept_is_exported(drawn, tmp_path):
    store, messages, rows = Store(tmp_path), Messages(), [None]
    panel = KeepPanel(store, 2, lambda: TINY.replace(lambda1=1), lambda: rows[0], messages)
    panel.keep.click()
    assert "keep: found no stored run" in messages.notice.value and panel.kept == []
    panel.export.click()
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["parameters.yaml"], "nothing to report"
    rows[0] = row(lambda1=1)
    store.rows = [rows[0]]
    panel.keep.click()
    assert "kept 1: λ1 = 1, fc" in panel.said.value
    panel.export.click()
    report = (tmp_path / "exports" / "report.html").read_text()
    assert rows[0].id in report and ".arl" in report and 'download="report.html"' in panel.said.value
    assert not messages.errors.outputs and messages.notice.value == ""
