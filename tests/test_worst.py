"""The worst case over attackers: planted people are found, by whichever attacker knows them; chance is what is measured by chance."""

import numpy as np
import pytest

from arl.audit import worst

G = 80


def strangers(rng, people=G):
    return rng.standard_normal((people, people)).astype(np.float32)


def knowing(rng, known):
    """Scores of an attacker who recognises the people `known`, and nobody else: those score below all strangers with themselves."""
    scores = strangers(rng)
    np.fill_diagonal(scores, -9)
    scores[known, known] = 9
    return scores


def near(rng, value=0.0, who=()):
    found = rng.uniform(-1, value, G).astype(np.float32)
    found[list(who)] = value + 0.01
    return found


def test_a_person_is_found_if_any_chosen_attacker_finds_them():
    rng = np.random.default_rng(0)
    scores = {"a": knowing(rng, range(10)), "b": knowing(rng, range(5, 20)), "c": knowing(rng, range(60))}
    similar = {"a": near(rng, 0.2), "b": near(rng, 0.3), "c": near(rng, 0.9)}
    found = worst.worst_case(scores, similar, ["a", "b"], resamples=200)
    for measure in ("found", "first"):
        each = {name: found["attackers"][name][measure]["value"] for name in "abc"}
        assert each == {"a": 10 / G, "b": 15 / G, "c": 60 / G}
        assert found["any"][measure]["value"] == 20 / G, "c was not chosen"
        assert found["any"][measure]["low"] < 20 / G < found["any"][measure]["high"]
    assert found["attackers"]["a"]["found"]["chance"] == pytest.approx(0.01, abs=1e-3)
    both = [scores[n] > np.sort(scores[n][~np.eye(G, dtype=bool)])[-int(0.01 * G * (G - 1)) - 1] for n in "ab"]
    pairs = (both[0] | both[1])[~np.eye(G, dtype=bool)]
    assert found["any"]["found"]["chance"] == pytest.approx(pairs.mean()) and pairs.mean() > 0.015
    nearest = np.maximum(similar["a"], similar["b"])
    assert found["any"]["mean"]["value"] == pytest.approx(nearest.mean())
    assert found["by"]["b"] == int((similar["b"] > similar["a"]).sum()) == G - found["by"]["a"]


def test_attackers_who_know_nobody_find_as_many_as_strangers_would():
    rng = np.random.default_rng(1)
    counted = {"found": [], "first": []}
    for _ in range(40):
        scores = {name: strangers(rng) for name in "abcd"}
        found = worst.worst_case(scores, dict.fromkeys("abcd", near(rng)), [*"abcd"], resamples=2)["any"]
        for measure, values in counted.items():
            values.append((found[measure]["value"], found[measure]["chance"]))
    for measure, expected in (("found", 1 - 0.99**4), ("first", 1 - (1 - 1 / G) ** 4)):
        value, chance = np.mean(counted[measure], axis=0)
        assert chance == pytest.approx(expected, rel=0.05), measure
        assert value == pytest.approx(chance, abs=4 * np.sqrt(expected / (40 * G))), measure


def test_scores_between_people_are_the_largest_of_their_pictures():
    rng = np.random.default_rng(2)
    who_probe, who_gallery = rng.integers(0, 5, 30) * 7, np.concatenate([np.arange(5), rng.integers(0, 5, 20)]) * 7
    scores = rng.standard_normal((30, 25))
    scores[rng.random((30, 25)) < 0.2] = np.nan
    scores[np.ix_(who_probe == 7, who_gallery == 7)] = np.nan
    found = worst.between_people(scores, who_probe, who_gallery)
    for i, p in enumerate(np.unique(who_probe)):
        for j, q in enumerate(np.unique(who_gallery)):
            cell = scores[np.ix_(who_probe == p, who_gallery == q)]
            wanted = np.nan if np.isnan(cell).all() else np.nanmax(cell)
            assert found[i, j] == pytest.approx(wanted, nan_ok=True)
    assert np.isnan(found[1, 1]) and np.isnan(found).sum() == 1


def test_the_worst_1_and_5_per_cent_and_the_median_with_intervals_by_brute_force():
    rng = np.random.default_rng(3)
    values, resampling = rng.random(150), {"seed": 4, "resamples": 300}
    found = worst._nearness(values, resampling)
    falling = np.sort(values)[::-1]
    places = {"worst_1": 2, "worst_5": 8, "median": 75}
    counts = np.random.default_rng([4, 55]).multinomial(150, np.full(150, 1 / 150), size=300)
    for name, place in places.items():
        assert found[name]["value"] == falling[place - 1] and (values >= found[name]["value"]).sum() == place
        drawn = [np.sort(np.repeat(values, row))[::-1][place - 1] for row in counts]
        assert (found[name]["low"], found[name]["high"]) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert worst._nearness(values[:9], resampling)["worst_1"]["value"] == values[:9].max(), "one person at least"


def test_too_few_strangers_decide_nothing_and_people_with_one_photograph_are_left_out():
    rng = np.random.default_rng(5)
    small = {"a": strangers(rng, 20)}
    found = worst.worst_case(small, {"a": rng.random(20)}, ["a"], resamples=10)["any"]
    assert (
        found["found"]["value"] is found["found"]["chance"] is None
        and "3 decide, 30 are needed" in found["found"]["why"]
    )
    assert found["first"]["value"] is not None
    scores = knowing(rng, range(40))
    scores[range(30), range(30)] = np.nan
    found = worst.worst_case({"a": scores}, {"a": near(rng)}, ["a"], resamples=10)
    assert found["left_out"] == 30 and found["any"]["found"]["value"] == found["any"]["first"]["value"] == 10 / 50


def test_attackers_are_chosen_by_what_they_have_above_a_constant_on_held_out_faces():
    held = {name: {"face_similarity": value} for name, value in {"mean": 0.3, "a": 0.2, "b": 0.4, "c": 0.5}.items()}
    assert worst.choose_attackers(held) == ["c", "b", "Z"]
    assert worst.choose_attackers({n: held[n] for n in ("mean", "a")}) == ["mean", "Z"], "one of pictures at least"
    assert worst.choose_attackers({n: held[n] for n in ("a", "b")}) == ["b", "a", "Z"], "no floor was tried"
    held |= {"m": {"embedding_similarity": 0.6, "constant": 0.5}, "n": {"embedding_similarity": 0.4, "constant": 0.5}}
    assert worst.choose_attackers(held) == ["c", "b", "m", "Z"]


def test_more_people_than_by_the_answers_is_person_by_person_and_beyond_chance():
    rng = np.random.default_rng(7)
    scores = {"a": knowing(rng, range(30)), "b": knowing(rng, range(20, 40)), "answers": knowing(rng, range(15))}
    found = worst.worst_case(scores, dict.fromkeys(scores, near(rng)), ["a", "b"], resamples=400)
    for measure in ("found", "first"):
        union, answers = found["any"][measure], found["beside"]["answers"][measure]
        more = (union["value"] - union["chance"]) - (answers["value"] - answers["chance"])
        assert union["value"] - answers["value"] == 25 / G and union["chance"] > answers["chance"]
        assert found["excess"][measure]["value"] == pytest.approx(more)
        width = found["excess"][measure]["high"] - found["excess"][measure]["low"]
        paired, apart = np.sqrt(25 / G * 55 / G / G), np.sqrt((40 * 40 + 15 * 65) / G**3)
        assert width == pytest.approx(2 * 1.96 * paired, rel=0.15) and width < 2 * 1.96 * apart, "of the same people"
    nobody = dict.fromkeys("ab", scores["answers"]) | {"answers": scores["answers"]}
    same = worst.worst_case(nobody, dict.fromkeys(nobody, near(rng)), ["a", "b"], resamples=20)["excess"]
    assert same["found"]["value"] == same["found"]["low"] == same["first"]["high"] == 0, "the same attacker again"


def test_who_makes_no_pictures_finds_people_and_comes_near_to_nobody():
    rng = np.random.default_rng(6)
    scores = {"a": knowing(rng, range(10)), "Z": knowing(rng, range(5, 30))}
    found = worst.worst_case(scores, {"a": near(rng)}, ["a", "Z"], resamples=50)
    assert found["any"]["found"]["value"] == 30 / G and found["by"] == {"a": G}
    assert set(found["attackers"]["Z"]) == {"found", "first"} and "median" in found["any"]
