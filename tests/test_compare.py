"""Two audits beside one another: known differences, paired and not, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind

import arl
from arl.audit import (
    audit,
    compare,
    difference_of,
    difference_text,
    spread,
    spread_of,
    spread_text,
    stored_audit,
    suite,
)
from arl.audit.compare import OfPeople, Terms, refuse_unlike
from arl.config import RunConfig
from arl.messages import ConfigError

TINY = RunConfig.preset("tiny")
PEOPLE, EACH = 60, 4
WHO = np.repeat(np.arange(PEOPLE), EACH)
TERMS = Terms("2", [], {"kind": "rendered"}, {"kind": "rendered"}, {"x1": 2, "extra": "none"}, list(range(len(WHO))))


def scores(hits):
    """Between people, (G, G): strangers in [0, 1), and who of them scores high with themselves."""
    found = np.random.default_rng(7).random((PEOPLE, PEOPLE)).astype(np.float32)
    found[np.diag_indices(PEOPLE)] = np.where(hits, 2.0, -1.0)
    return found


def made_up(values, hits, *, mcc=0.5, name="one", terms=TERMS):
    """A finished audit of `PEOPLE` people whose strongest attacker, ridge, has `values` of face similarity, and finds those of `hits`."""
    nearest = values.reshape(PEOPLE, EACH).max(1)
    arrays = {"ridge/face_similarity": values, "ridge/psnr": 20 + values, "t": np.arange(len(WHO))}
    arrays |= {"worst/ridge/people": scores(hits), "worst/ridge/nearest": nearest, "worst/who": np.arange(PEOPLE)}
    arrays |= {"worst/answers/people": scores(np.zeros(PEOPLE, bool)), "worst/answers/nearest": nearest}
    run = SimpleNamespace(
        id=f"audit-{name}", load=lambda: ({n: torch.from_numpy(np.asarray(a)) for n, a in arrays.items()}, {})
    )
    result = {"strongest": "ridge", "worst": {"chosen": ["ridge"]}, "mean_mcc": {"value": mcc}}
    return SimpleNamespace(run=run, result=result, config=TINY.replace(bootstrap=400), terms=terms)


@pytest.fixture(autouse=True)
def _known(monkeypatch, request):
    if "shared_store" not in request.fixturenames:
        monkeypatch.setattr(compare, "open_data", lambda cfg: SimpleNamespace(identities=WHO))
        for each in (compare, spread):
            monkeypatch.setattr(each, "terms_of", lambda audit: audit.terms)


def draws(seed=0):
    """Face similarities that differ much between people, little between one's photographs; and who is found."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(0.4, 0.2, PEOPLE), EACH) + rng.normal(0, 0.01, len(WHO)), rng.random(PEOPLE) < 0.5


def test_an_audit_does_not_differ_from_itself():
    values, hits = draws()
    found = difference_of(made_up(values, hits), made_up(values, hits))
    assert found["paired"] and len(found["figures"]) == 7
    for name, each in found["figures"].items():
        assert each["values"][0] == each["values"][1] and each["difference"]["value"] == 0, name
        assert each["difference"]["low"] in (0, None) and each["difference"]["high"] in (0, None)
    assert "They differ in no figure" in difference_text(found)
    assert found["figures"]["face similarity, the strongest"]["values"][0] == pytest.approx(values.mean())
    assert found["figures"]["people found by any"]["values"][0] == pytest.approx(hits.mean())
    assert found["figures"]["people who come first by any"]["values"][0] == pytest.approx(hits.mean())


def test_a_small_difference_is_seen_where_the_people_are_the_same_and_hidden_where_they_are_drawn_apart():
    values, hits = draws()
    less = values - 0.02 - np.random.default_rng(3).normal(0, 0.01, len(WHO))
    found = {}
    for paired in (True, False):
        other = made_up(less, hits, name="two", terms=TERMS if paired else TERMS._replace(t=[*TERMS.t[1:], 999]))
        found[paired] = difference_of(made_up(values, hits), other)
        assert found[paired]["paired"] == paired
    same, apart = (each["figures"]["face similarity, the strongest"]["difference"] for each in found.values())
    assert same["value"] == apart["value"] == pytest.approx((values - less).mean())
    assert 0.015 < same["low"] < same["high"] < 0.025 and apart["low"] < 0 < apart["high"]
    assert apart["high"] - apart["low"] == pytest.approx(2 * 1.96 * 0.2 * (2 / PEOPLE) ** 0.5, rel=0.25), (
        "two means apart"
    )
    text = difference_text(found[True])
    assert "They differ in: face similarity, the strongest; PSNR in dB, the strongest" in text
    assert "people found" not in text.splitlines()[-1]
    assert "the same people of the same T" in text and "their seeds differ" in difference_text(found[False])


def test_who_is_found_is_compared_person_by_person():
    values, hits = draws()
    more = hits.copy()
    more[np.flatnonzero(~hits)[:12]] = True
    each = difference_of(made_up(values, more), made_up(values, hits))["figures"]["people found by any"]["difference"]
    assert each["value"] == pytest.approx(12 / PEOPLE)
    half = 1.96 * (0.2 * 0.8 / PEOPLE) ** 0.5
    assert each["low"] == pytest.approx(0.2 - half, abs=0.03) and each["high"] == pytest.approx(0.2 + half, abs=0.03)
    utility = difference_of(made_up(values, hits, mcc=0.6), made_up(values, hits))["figures"]["mean MCC of f"]
    assert utility["difference"]["value"] == pytest.approx(0.1) and utility["difference"]["low"] is None
    assert "not kept, person by person" in difference_text(
        {**difference_of(made_up(values, hits), made_up(values, hits))}
    )


def test_people_with_more_photographs_weigh_as_they_do_in_the_mean_over_images():
    counts, values = np.array([1, 3, 8]), np.array([0.9, 0.2, 0.5])
    whole = np.repeat(values, counts)
    each = compare._by_person(whole, np.repeat([4, 7, 9], counts))
    assert each.mean(np.ones(3)) == pytest.approx(whole.mean())
    assert each.mean(np.array([[2, 0, 0], [0, 0, 1]])).tolist() == pytest.approx([0.9, 0.5])
    assert isinstance(each, OfPeople)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"suite": "1"}, r"found suite: '1' beside '2'"),
        ({"changed": ["preset tiny"]}, r"found changed settings: \['preset tiny'\] beside \[\]"),
        ({"faces": {"kind": "celeba"}}, "found faces: others"),
        ({"recogniser": {"kind": "onnx"}}, "found C: others"),
        ({"budget": {"x1": 0.5, "extra": "none"}}, "found x1: 0.5 beside 2"),
        ({"budget": {"x1": 2, "extra": "none", "extra_images": 9}}, "found extra_images: 9 beside None"),
    ],
)
def test_what_does_not_compare_is_refused_in_one_line(changed, words):
    values, hits = draws()
    other = made_up(values, hits, terms=TERMS._replace(**changed))
    with pytest.raises(
        ConfigError, match=rf"^--against: {words}, accepted: an audit with the same suite, faces, C and budget$"
    ):
        difference_of(made_up(values, hits), other)
    refuse_unlike(TERMS, TERMS._replace(t=[3]))  # another T of the same faces compares, unpaired


def test_a_stored_audit_is_found_by_its_id_and_compared(shared_store, here, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(shared_store))
    row = arl.run(TINY)
    with pytest.raises(ConfigError, match=f"--against: found {row.id}, accepted: the id of a finished audit"):
        stored_audit(row.id)
    monkeypatch.setattr(suite, "controls", lambda experiment: {"each": {}, "works": True, "verdict": "not asked"})
    monkeypatch.setattr(suite, "ATTACKERS", ("mean", "ridge"))
    found = audit(row.id)
    monkeypatch.setattr(suite, "of_experiment", lambda *_: pytest.fail("it is in the store"))
    again = audit(found.run.id, against=found)
    assert again.run.id == found.run.id and again.result["strongest"] == found.result["strongest"]
    with pytest.raises(ConfigError, match="mean: found with a stored run"):
        audit(found.run.id, mean="0.5")
    code, out, _ = here("audit", found.run.id, "--against", found.run.id)
    assert code == 0 and f"{found.run.id} against {found.run.id}" in out and "They differ in no figure" in out
    name = found.result["strongest"]
    value = found.result["attacks"][name]["face_similarity"]["value"]
    shown = difference_of(found, again)
    assert shown["paired"] and shown["figures"]["face similarity, the strongest"]["values"] == pytest.approx(
        [value] * 2, abs=1e-6
    )
    found_by_any = found.result["worst"]["any"]["found"]["value"]
    assert shown["figures"]["people found by any"]["values"][0] == (
        None if found_by_any is None else pytest.approx(found_by_any)
    )
    asked = []
    monkeypatch.setattr(suite, "refuse_unlike", lambda mine, theirs: asked.append((mine, theirs)))
    monkeypatch.setattr(suite, "of_experiment", lambda experiment, about: found)
    audit(row.id, against=found)
    ((before, after),) = asked
    refuse_unlike(before, after)
    assert before.t == after.t, "what an audit will have is known before it is made"


def many(drawn, encoder="encoder-1"):
    """An audit for each (values, hits), all of one encoder, each with a T of its own."""
    found = []
    for k, (values, hits) in enumerate(drawn):
        found.append(made_up(values, hits, name=str(k), terms=TERMS._replace(t=[*TERMS.t[1:], 1000 + k])))
        found[-1].result["runs"] = {"encoder": encoder}
    return found


def test_what_two_audits_of_one_encoder_differ_by_is_seen_in_several():
    """With the luck of attackers known: a standard deviation of .03 between seeds."""
    luck = 0.03 * np.random.default_rng(1).normal(size=40)
    values, hits = draws()
    found = spread_of(many([(values + each, hits) for each in luck]))
    each = found["figures"]["face similarity, the strongest"]
    assert len(found["figures"]) == 6 and each["mean"] == pytest.approx(values.mean() + luck.mean())
    assert each["spread"] == pytest.approx(luck.std(ddof=1)) == pytest.approx(0.03, rel=0.25)
    assert each["apart"] == pytest.approx(2.02 * 2**0.5 * each["spread"], rel=0.01)
    pairs = np.abs(luck[:20] - luck[20:])
    assert (pairs < each["apart"]).mean() >= 0.9, "95 % of two audits"
    halves = each["halves"]
    assert halves["values"] == pytest.approx([values.mean() + luck[:20].mean(), values.mean() + luck[20:].mean()])
    assert halves["difference"]["low"] < 0 < halves["difference"]["high"]
    always = found["figures"]["people found by any"]
    assert always["spread"] == pytest.approx((hits.mean() * (1 - hits.mean()) / PEOPLE) ** 0.5, rel=0.1), "as people's"
    assert always["halves"]["difference"]["high"] == pytest.approx(2.02 * always["spread"] * (2 / 20) ** 0.5, rel=0.05)
    assert "They differ in no figure by more than its interval." in spread_text(found)


def test_halves_that_differ_are_said_to_and_three_audits_have_none():
    values, hits = draws()
    shifted = [(values + shift + tiny, hits) for shift in (0, 0.1) for tiny in (0, 0.01, -0.01)]
    assert "They disagree in: face similarity, the strongest;" in spread_text(spread_of(many(shifted)))
    few = spread_of(many(shifted[:3]))
    assert "halves" not in few["figures"]["people found by any"] and "disagree" not in spread_text(few)
    with pytest.raises(ConfigError, match="^seeds: found 2, accepted: 3 or more"):
        spread_of(many(shifted[:2]))
    with pytest.raises(ConfigError, match="audit-0 of another encoder than audit-0, accepted: of one"):
        spread_of([*many(shifted[:2]), *many(shifted[2:3], "encoder-2")])
    others = many(shifted[:3])
    others[2].terms = TERMS._replace(suite="1")
    with pytest.raises(ConfigError, match="found suite: '1' beside '2'|found suite: '2' beside '1'"):
        spread_of(others)


def test_the_interval_of_halves_is_welchs(monkeypatch):
    values, hits = draws()
    shifts = np.array([0, 0.08, -0.05, 0.3, -0.1, 0.2, 0.05])
    monkeypatch.setattr(spread, "_by_people", lambda *_: 0.0)
    found = spread_of(many([(values + each, hits) for each in shifts]))["figures"]["face similarity, the strongest"]
    known = ttest_ind(shifts[:3], shifts[3:], equal_var=False).confidence_interval(0.95)
    assert [found["halves"]["difference"][end] for end in ("low", "high")] == pytest.approx([known.low, known.high])
    same = spread_of(many([(values, hits)] * 4))["figures"]["people found by any"]
    assert same["spread"] == same["apart"] == same["halves"]["difference"]["high"] == 0, "everybody, each time"


def test_a_headline_that_one_audit_does_not_know_has_no_spread():
    values, hits = draws()
    audits = many([(values + each, hits) for each in (0, 0.01, 0.02)])
    arrays, _ = audits[1].run.load()
    arrays["Z/people"] = arrays["worst/ridge/people"]
    kept = audits[0].run.load()[0] | {"worst/Z/people": torch.from_numpy(scores(hits))}
    audits[0].run.load = lambda: (kept, {})
    found = spread_of(audits)["figures"]
    assert "people who come first by Z itself" not in found and "people found by any" in found
