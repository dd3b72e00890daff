"""The ceiling that label noise sets: the formula against simulated annotators, the table, and the map that shows it."""

import csv
import importlib.util
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from arl import metrics, paper
from arl.config import ATTRIBUTES, ConfigError, RunConfig
from arl.paper import label_noise as noise
from arl.paper import leak
from arl.paper.measured import Line

TINY = RunConfig.preset("tiny")
TABLE = Path(noise.__file__).with_name("label_noise.csv")
N = 200_000


def mcc(a, b):
    return float(metrics.mcc(a[:, None], b[:, None])[0])


def flipped(truth, rng, miss, false):
    """A label of each picture: a yes is missed, a no is a false yes, at these rates."""
    return np.where(truth, rng.random(N) >= miss, rng.random(N) < false)


# -- the formula ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "miss", "false"), [(0.5, 0.1, 0.1), (0.2, 0.25, 0.02), (0.05, 0.1, 0.01)])
def test_the_truth_reaches_the_ceiling_and_no_more(share, miss, false):
    rng = np.random.default_rng(1)
    truth = rng.random(N) < share
    one, two = flipped(truth, rng, miss, false), flipped(truth, rng, miss, false)
    r = noise.reliability_of(float((one == two).mean()), float((one.mean() + two.mean()) / 2))
    assert r == pytest.approx(mcc(one, two), abs=1e-4), "phi of two labels of one picture"
    assert mcc(truth, one) == pytest.approx(noise.index_of_reliability(r), abs=0.01)
    assert mcc(truth, one) > r + 0.03, "not the correlation itself: the truth has no noise of its own"
    worse = flipped(truth, rng, 0.05, 0.01)
    assert mcc(worse, one) < noise.index_of_reliability(r) - 0.01


def test_no_prediction_from_the_picture_passes_it_where_noise_depends_on_the_picture():
    rng = np.random.default_rng(2)
    chance = rng.beta(0.4, 0.8, N)  # of a yes, a picture
    one, two = rng.random(N) < chance, rng.random(N) < chance
    top = noise.index_of_reliability(
        noise.reliability_of(float((one == two).mean()), float((one.mean() + two.mean()) / 2))
    )
    reached = [mcc(chance > t, one) for t in np.linspace(0.05, 0.95, 19)]
    assert max(reached) < top, "a yes or no reaches less than the chance itself"
    assert np.corrcoef(chance, one)[0, 1] == pytest.approx(top, abs=0.01)


def test_an_interval_holds_the_true_correlation_and_pairs_without_a_difference_prove_little():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        truth = rng.random(80) < 0.3
        labels = [np.where(truth, rng.random(80) >= 0.1, rng.random(80) < 0.05) for _ in range(2)]
        yes = labels[0].astype(int) + labels[1]
        found = noise.reliability(*(int((yes == k).sum()) for k in (2, 1, 0)), draws=2000)
        q = 0.3 * 0.9 + 0.7 * 0.05
        r = 0.3 * 0.7 * 0.85**2 / (q * (1 - q))
        held += found["low"] <= r <= found["high"]
    assert 180 <= held, "of 200; 190 are expected"
    rare, common = noise.reliability(1, 0, 42), noise.reliability(20, 0, 23)
    assert rare["value"] == common["value"] == 1 and rare["low"] < 0.5 < 0.85 < common["low"]
    assert noise.reliability(0, 0, 43) is None and noise.reliability(43, 0, 0) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: noise.reliability_of(1.2, 0.5), "agreement: found 1.2, accepted: 0 to 1"),
        (lambda: noise.reliability_of(0.9, 0.0), "share: found 0, accepted: between 0 and 1"),
        (lambda: noise.index_of_reliability(1.1), "r: found 1.1, accepted: -1 to 1"),
        (lambda: noise.reliability(0, 0, 0), "pairs: found 0, 0, 0, accepted"),
        (lambda: noise.reliability(-1, 2, 3), "pairs: found -1, 2, 3, accepted"),
        (
            lambda: noise.label_noise(["Smiling", "Freckles"]),
            "attributes: found 'Freckles', accepted: any of 5_o_Clock",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(call, words):
    with pytest.raises(ConfigError) as refused:
        call()
    assert str(refused.value).startswith(words) and "\n" not in str(refused.value)


# -- the table ------------------------------------------------------------------------------------------------------


def test_the_table_has_the_forty_attributes_and_what_the_code_makes_of_its_counts():
    with TABLE.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(line["attribute"] for line in lines) == ATTRIBUTES and all(line["source"] for line in lines)
    for line, known in zip(lines, noise.label_noise().values(), strict=True):
        assert (sum(known.same), sum(known.other)) == (43, 89), known.attribute
        assert min(*known.same, *known.other) >= 0 and 0 < known.share < 1 and 0 <= known.annotators_apart <= 1000
        assert -1 <= known.person["low"] <= known.person["value"] <= known.person["high"] <= 1
        top = known.ceiling
        assert 0 <= top["low"] <= top["high"] <= 1
        assert top["value"] is None or top["low"] <= top["value"] <= top["high"]
        printed = [line[f"ceiling_{bound}"] for bound in ("value", "low", "high")]
        for words, bound in zip(printed, top.values(), strict=True):
            assert (words == "" and bound is None) or float(words) == pytest.approx(bound, abs=0.002), known.attribute


def test_the_table_agrees_with_what_is_published_of_it():
    known = noise.label_noise()
    assert round(known["Mouth_Slightly_Open"].share * 202_599) == pytest.approx(97_942, abs=11), "CelebAMSO's README"
    apart = {name: line.annotators_apart for name, line in known.items()}
    assert sum(n <= 50 for n in apart.values()) == 12, "95 % and more: the abstract of arXiv 2210.07356"
    assert set(sorted(apart, key=apart.get)[-3:]) == {"High_Cheekbones", "Pointy_Nose", "Oval_Face"}


def test_what_is_known_of_other_photographs_of_a_person_lifts_the_lower_end():
    person = {"value": 0.8, "low": 0.64, "high": 0.9}
    weak = noise.LabelNoise("Male", 0.4, (1, 0, 9), (0, 0, 5), {"value": 0.1, "low": 0.0, "high": 0.2}, 0)
    strong = noise.LabelNoise("Male", 0.4, (1, 0, 9), (0, 0, 5), person, 0)
    assert weak.ceiling["low"] < strong.ceiling["low"] == pytest.approx(0.8)
    bare = noise.LabelNoise("Bald", 0.02, (0, 0, 43), (0, 0, 89), person, 0).ceiling
    assert bare == {"value": None, "low": pytest.approx(0.8), "high": 1.0}


# -- how it is measured ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_label_noise", Path(__file__).with_name("bench_label_noise.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_copies_are_found_by_their_bytes_and_counted(bench, tmp_path):
    for name, content in (("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"1"), ("d.jpg", b"1")):
        (tmp_path / name).write_bytes(content)
    assert bench.identical(tmp_path) == [["a.jpg", "c.jpg", "d.jpg"]]
    y = {"a.jpg": np.arange(40) < 10, "c.jpg": np.arange(40) < 4, "d.jpg": np.arange(40) < 10}
    both, one, neither = bench.counts([("a.jpg", "c.jpg"), ("a.jpg", "d.jpg")], y)
    assert both[0] == 2 and (both[5], one[5]) == (1, 1) and neither[20] == 2 and one[20] == 0
    assert set((both + one + neither).tolist()) == {2}


def test_two_photographs_of_a_person_correlate_as_they_were_drawn(bench):
    rng = np.random.default_rng(4)
    traits = rng.random((3000, 1)) < 0.3
    people = np.repeat(np.arange(3000), rng.integers(1, 4, 3000))
    y = np.where(traits[people], rng.random((len(people), 40)) > 0.1, rng.random((len(people), 40)) < 0.1)
    q = 0.3 * 0.9 + 0.7 * 0.1
    r = 0.3 * 0.7 * 0.8**2 / (q * (1 - q))
    found = bench.of_people(y, people, resamples=200)
    assert found["value"].mean() == pytest.approx(r, abs=0.02)
    assert ((found["low"] < r) & (r < found["high"])).sum() > 30


# -- the map --------------------------------------------------------------------------------------------------------


def row(mcc_of, encoder, data="celeba"):
    told = {name: {"value": v, "low": v and v - 0.04, "high": v and v + 0.04} for name, v in mcc_of.items()}
    result = {"mcc": told, "runs": {"encoder": encoder}, "config": {"data": data}}
    return SimpleNamespace(result=result)


def lines_of(plain, protected, data="celeba"):
    """Rows 1 and 2 of Table 1, by seed."""
    first, second = paper.table1(TINY)[:2]
    return [
        Line(first, tuple(row(m, f"u{i}", data) for i, m in enumerate(plain))),
        Line(second, tuple(row(m, f"p{i}", data) for i, m in enumerate(protected))),
    ]


SEEDS = [{"Male": 0.9, "Smiling": 0.6, "Bald": None}, {"Male": 0.8, "Smiling": 0.5, "Bald": None}]
PROTECTED = [{"Male": 0.7, "Smiling": 0.61, "Bald": None}, {"Male": 0.602, "Smiling": 0.47, "Bald": None}]


def test_the_numbers_of_the_map_are_those_of_the_rows():
    found = paper.mcc_numbers(lines_of(SEEDS, PROTECTED))
    plain, protected = found["encoders"].values()
    assert plain["Male"]["value"] == pytest.approx(0.85) and plain["Male"]["change"] is None
    assert protected["Male"]["change"]["value"] == pytest.approx(-0.199) and protected["Male"]["change"]["high"] < 0
    change = protected["Smiling"]["change"]
    assert change["low"] < 0 < change["high"] and change["value"] == pytest.approx(-0.01)
    assert plain["Bald"] == dict.fromkeys(("value", "low", "high", "change"))
    assert found["ceiling"]["Male"] == noise.label_noise()["Male"].ceiling
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert paper.mcc_numbers(lines_of(SEEDS, PROTECTED, "rendered"))["ceiling"] is None


def test_one_seed_marks_only_what_its_intervals_keep_apart():
    _, protected = paper.mcc_numbers(lines_of(SEEDS[:1], PROTECTED[:1]))["encoders"].values()
    assert protected["Male"]["change"] == {
        k: pytest.approx(v) for k, v in (("value", -0.2), ("low", -0.28), ("high", -0.12))
    }
    assert protected["Smiling"]["change"]["low"] < 0 < protected["Smiling"]["change"]["high"]


def words_of(figure):
    axis = figure.axes[0]
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    columns = len(axis.get_xticklabels())
    words = [text.get_text() for text in axis.texts]
    return {name: words[i * columns : (i + 1) * columns] for i, name in enumerate(names)}, axis


def test_the_map_writes_each_number_marks_what_protection_costs_and_shows_the_ceiling():
    words, axis = words_of(paper.mcc_map(lines_of(SEEDS, PROTECTED)))
    top = noise.label_noise()["Male"].ceiling
    assert words["Male"] == [
        ".85",
        ".65 ▾",
        leak._decimals(top["value"]),
        leak._decimals(top["low"]),
        f"{0.85 / top['value']:.0%}",
    ]
    assert words["Smiling"][:2] == [".55", ".54"] and list(words) == ["Male", "Smiling", "Bald"]
    assert words["Bald"][:3] == ["–", "–", "–"] and words["Bald"][4] == "–"
    heads = [tick.get_text() for tick in axis.get_xticklabels()]
    assert heads[0] == "#1\nno\nprotection" and heads[2:] == ["ceiling by\nlabel noise", "at least", "#1 of\nceiling"]


def test_drawn_people_have_no_ceiling_and_what_is_no_task_stays_empty():
    plain, protected = lines_of(SEEDS, PROTECTED, "rendered")
    alone = Line(
        paper.table1(TINY)[8], (row({"Smiling": 0.7}, "s0", "rendered"), row({"Smiling": 0.72}, "s1", "rendered"))
    )
    words, _ = words_of(paper.mcc_map([plain, protected, alone]))
    assert words["Male"] == [".85", ".65 ▾", ""] and words["Smiling"][2].startswith(".71")


@pytest.mark.parametrize(
    ("value", "words"), [(1, "1.00"), (0.62, ".62"), (-0.04, "−.04"), (-0.001, ".00"), (math.nan, "–")]
)
def test_two_decimals(value, words):
    assert leak._decimals(value) == words
