"""The ledger of factors against what is known without it: features that are a factor, noise, or the labels; pictures drawn anew."""

import json
import math

import numpy as np
import pytest

from arl import experiment, faces
from arl.config import RunConfig
from arl.data import open_data, open_rendered
from arl.messages import ConfigError
from arl.paper import factors, factors_figure, reader
from arl.paper.probes import Sample, over_people

TINY = RunConfig.preset("tiny")
IMAGES, PEOPLE = 500, 50


def a_sample(values, people, learn):
    """A sample without pictures."""
    return Sample(
        type("Data", (), {"identities": people})(), np.arange(len(people)), learn, np.asarray(values, np.float32)
    )


@pytest.fixture(scope="module")
def drawn():
    """Truth by factor of 50 people × 10, those of the last 17 in T alone; who they are; the images of X2."""
    people, photos = np.divmod(np.arange(IMAGES), IMAGES // PEOPLE)
    return faces.factors(5, people, photos), people, people < 2 * PEOPLE // 3


def r2_of(values, truth, people, learn, factor):
    of, asked = a_sample(values, people, learn), factors.asked_of(truth, learn)
    one = factors.Asked(asked.target, {factor: asked.factors[factor]}, {})
    reading = reader.smooth_reading(of, one.target, one.factors, 0)
    return factors.measured_reading(of, one, reading, TINY)[factor]


# -- the truth --------------------------------------------------------------------------------------------------------


def test_the_truth_is_what_drew_the_picture(shared_store):
    """Drawn again from them, byte by byte; with a factor of somebody else's, it is another picture."""
    data = open_rendered(4, 3, 32, 7, first_identity=2)
    index = np.arange(12)[::-1]
    truth = factors.factors_of(data, index)
    person, photo = data.identities[index], index % 3
    mine = {name: value for factor, values in truth.items() for name, value in as_traits(factor, values).items()}
    again = faces.render_params(7, person, photo, 32, traits=mine)[0]
    assert np.array_equal(again, data.images[index])
    for factor, values in truth.items():
        others = as_traits(factor, np.roll(values, 1, axis=0))
        again = faces.render_params(7, person, photo, 32, traits=others)[0]
        same = (np.roll(values, 1, axis=0) == values).all(1)
        other = (again != data.images[index]).any((1, 2, 3))
        assert not other[same].any() and other[~same].any(), factor


def as_traits(factor, values):
    """A factor, (n, k), as `render_params` takes it; by the names that `columns_of` gives."""
    found, names = {}, factors.columns_of(factor)
    assert len(names) == values.shape[1]
    for name, column in zip(names, values.T, strict=True):
        found.setdefault(name.split(" ")[0], []).append(column)
    return {name: np.stack(columns, -1) if len(columns) == 3 else columns[0] for name, columns in found.items()}


def test_photographs_and_images_that_were_not_drawn_are_refused(shared_store):
    data = open_data(RunConfig.preset("tiny", data="orl"))
    with pytest.raises(ConfigError, match="^data: found orl, accepted: rendered"):
        factors.factors_of(data, np.arange(3))
    with pytest.raises(ConfigError, match="^index: found image 12"):
        factors.factors_of(open_rendered(4, 3, 32, 7, first_identity=2), np.array([12]))


def test_what_is_asked_is_uncorrelated_and_weighs_each_number_alike(drawn):
    truth, _, learn = drawn
    asked = factors.asked_of(truth, learn)
    assert set(asked.factors) == set(faces.FACTORS)
    for factor, columns in asked.factors.items():
        known = asked.target[learn][:, columns]
        covariance = np.cov(known.T, bias=True).reshape(known.shape[1], -1)
        assert np.allclose(covariance, np.diag(np.diag(covariance)), atol=1e-9), factor
        varying = (truth[factor][learn].std(0) > 1e-9).sum()
        assert 0.98 * varying < np.trace(covariance) <= varying + 1e-9, factor
    assert {"hair, wavy", "makeup, lipstick"} <= set(asked.traits)
    assert all(set(np.unique(asked.target[:, columns])) == {0, 1} for columns in asked.traits.values())


# -- the reader -------------------------------------------------------------------------------------------------------


def test_features_that_are_a_factor_say_all_of_it(drawn):
    truth, people, learn = drawn
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    found = r2_of(truth["pose"] / truth["pose"].std(0) @ turn, truth, people, learn, "pose")
    assert found["r2"]["value"] > 0.995 and found["bits"] > 9
    squared = np.sign(truth["pose"]) * np.square(truth["pose"] / truth["pose"].std(0))
    assert r2_of(squared, truth, people, learn, "pose")["r2"]["value"] > 0.95, "not a straight line"


def test_half_noise_is_half_read(drawn):
    """Truth + noise of the same size: R² of ½, half a bit a direction."""
    truth, people, learn = drawn
    pose = (truth["pose"] - truth["pose"].mean(0)) / truth["pose"].std(0)
    found = r2_of(pose + np.random.default_rng(1).standard_normal(pose.shape), truth, people, learn, "pose")
    assert found["r2"]["value"] == pytest.approx(0.5, abs=0.1), found
    assert found["bits"] == pytest.approx(3 * 0.5 * math.log2(2), abs=0.4), found


def test_noise_says_nothing(drawn):
    truth, people, learn = drawn
    found = r2_of(np.random.default_rng(2).standard_normal((IMAGES, 20)), truth, people, learn, "pose")
    assert -0.05 < found["r2"]["value"] < 0.05 and found["r2"]["low"] < 0.02 and found["bits"] < 0.1
    rare = np.arange(IMAGES)[:, None] % 97 == np.arange(3)  # nearly all of the features are the same
    assert abs(r2_of(rare, truth, people, learn, "pose")["r2"]["value"]) < 0.05
    constant = r2_of(np.zeros((IMAGES, 5)), truth, people, learn, "pose")
    assert abs(constant["r2"]["value"]) < 0.05 and constant["bits"] == 0


def test_who_it_is_does_not_tell_what_is_the_person_s():
    """Features that name the person: of people whom the reader has not met it learns nothing about their faces."""
    people = np.arange(400) % 40
    truth, learn = faces.factors(5, people, 0), np.arange(400) < 280  # every person in X2 and T
    found = r2_of(np.eye(40)[people], truth, people, learn, "geometry")
    assert found["r2"]["value"] < 0.1
    told = reader.folds(a_sample(np.zeros((400, 1)), people, learn), 0)
    assert told.min() == 0 and all(len(set(told[people == p])) == 1 for p in range(40))


def test_a_faint_direction_is_found(drawn):
    """A hundred thousandth of the scale beside noise: whitening finds it."""
    truth, people, learn = drawn
    pose = truth["pose"] / truth["pose"].std(0)
    turn, _ = np.linalg.qr(np.random.default_rng(4).standard_normal((13, 13)))
    loud = np.random.default_rng(3).standard_normal((IMAGES, 10)) * 3
    values = np.hstack([1e-2 * pose, loud]) @ turn
    assert r2_of(values, truth, people, learn, "pose")["r2"]["value"] > 0.9


def test_one_person_is_too_few():
    of = a_sample(np.zeros((4, 1)), np.array([1, 1, 2, 2]), np.array([True, True, False, False]))
    with pytest.raises(ConfigError, match="^x2: found images of 1 person"):
        reader.folds(of, 0)


# -- figures ----------------------------------------------------------------------------------------------------------


def test_explained_and_gained_by_hand():
    error, without, ones = np.array([1.0, 1, 0]), np.array([0.0, 4, 16]), np.ones((1, 3))
    assert factors.share_read(error, without)(ones)[0] == pytest.approx(1 - 2 / 20)
    assert factors.share_read(without, without)(ones)[0] == 0, "saying nothing"
    assert factors.share_gained(error, 2 * error, without)(ones)[0] == pytest.approx(2 / 20)
    assert factors.share_read(error, without)(np.array([[2.0, 1, 0]]))[0] == pytest.approx(1 - 3 / 4)


def test_bits_of_a_trait_are_no_more_than_its_entropy():
    rng = np.random.default_rng(0)
    y = rng.random(20000) < 0.3
    entropy = -(0.3 * math.log2(0.3) + 0.7 * math.log2(0.7))
    assert factors.log_gain(y.astype(float), y, 0.3).mean() == pytest.approx(entropy, abs=0.05)
    assert factors.log_gain(np.full(len(y), 0.3), y, 0.3).mean() == pytest.approx(0, abs=1e-9)
    assert factors.log_gain(rng.random(len(y)), y, 0.3).mean() < 0, "what is wrong costs"


def test_the_labels_as_features_have_no_excess_and_more_than_they_have_some(drawn):
    truth, people, learn = drawn
    labels = np.stack(list(faces.parameters(5, people, np.arange(IMAGES) % 10)[0].values()), 1).astype(float)
    truth = {factor: truth[factor] for factor in ("pose", "hair", "clothes")}
    asked, rng, test = factors.asked_of(truth, learn), np.random.default_rng(1), ~learn
    order, turn = rng.permutation(labels.shape[1]), np.linalg.qr(rng.standard_normal((labels.shape[1],) * 2))[0]
    given = {"labels": labels, "in another order": 3 - 7 * labels[:, order], "turned": labels @ turn}
    given["with pose"] = np.hstack([labels, truth["pose"] * 10])
    excess, floor = {}, None
    for name, values in given.items():
        reading = reader.smooth_reading(a_sample(values, people, learn), asked.target, asked.factors, 0)
        errors = factors._errors(a_sample(values, people, learn), asked, reading.says)
        without = factors._errors(a_sample(values, people, learn), asked, reading.guess)
        floor = floor or errors
        for factor in asked.factors:
            gain = factors.share_gained(errors[factor], floor[factor], without[factor])
            excess[name, factor] = over_people(gain, people[test], TINY)
    assert all(abs(excess["in another order", factor]["value"]) < 1e-3 for factor in truth)
    assert all(excess["turned", factor]["low"] < 0.01 for factor in truth), "nothing that the labels do not say"
    assert excess["with pose", "pose"]["low"] > 0.5 and abs(excess["with pose", "clothes"]["value"]) < 0.1


# -- a row ------------------------------------------------------------------------------------------------------------


def test_a_row_has_its_ledger_once(shared_store, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    row = experiment.run(TINY)
    found = factors.factor_ledger(TINY, row)
    assert set(found) == {"Z", "shuffled Z", "answers", "labels", "X", "C"}
    for source in found.values():
        assert set(source) == set(faces.FACTORS)
        assert all(f["r2"]["low"] - 0.02 <= f["r2"]["value"] <= f["r2"]["high"] + 0.02 for f in source.values())
    assert found["X"]["background"]["r2"]["low"] > 0 >= found["shuffled Z"]["background"]["r2"]["low"]
    for factor, of in found["Z"].items():
        gain = of["r2"]["value"] - found["labels"][factor]["r2"]["value"]
        assert of["excess"]["value"] == pytest.approx(gain), factor
    monkeypatch.setattr(factors, "smooth_reading", lambda *_: pytest.fail("it is in the store"))
    assert factors.factor_ledger(TINY, row) == found
    ledgers = {"no protection": found, "protected": found}
    text = factors_figure.factors_text(ledgers)
    assert "shuffled Z" in text and "no protection → protected, R² from Z beyond the labels:" in text
    assert text.count("no difference that the intervals show") == len(faces.FACTORS)
    saved = factors_figure.save_factors(ledgers, [row, row], "14_factors")
    numbers = json.loads(saved.path.with_suffix(".json").read_text())["numbers"]
    assert saved.path.parent.name == "tiny" and numbers["protected"]["Z"]["pose"] == found["Z"]["pose"]


def test_of_photographs_one_line(capsys):
    assert factors_figure.factors_text({"a": {}, "b": {}}) == factors_figure.NO_TRUTH
    assert factors_figure.save_factors({"a": {}}, [], "14_factors") is None
    assert capsys.readouterr().err.count("\n") == 1
