"""Photographs pooled, against what is known without it: copies with independent noise, a bias that no mean removes, curves by hand."""

import json

import numpy as np
import pytest
import torch

from arl import experiment, faces
from arl.config import RunConfig
from arl.data import open_data, open_rendered, split
from arl.paper import composition, composition_figure

TINY = RunConfig.preset("tiny")
KS = [1, 2, 4, 8, 16]


def noisy(sigma, people=150, d=64, photos=16, seed=0, bias=0.0):
    """Embeddings of people: themselves, a bias that each has in every photograph, and fresh noise in each; and themselves."""
    rng = np.random.default_rng(seed)
    self_ = rng.standard_normal((people, d))
    each = (
        self_[:, None] + bias * rng.standard_normal((people, 1, d)) + sigma * rng.standard_normal((people, photos, d))
    )
    return torch.from_numpy(each), torch.from_numpy(self_)


def test_k_noisy_copies_are_worth_one_with_less_noise():
    """Rank-1 from the mean of k is that from one copy whose noise is √k smaller."""
    curve = composition.pooled_hits(*noisy(5.0), KS).mean(0)
    assert (np.diff(curve) > 0).all() and curve[0] < 0.3 and curve[-1] > 0.95
    for k, found in zip(KS, curve, strict=True):
        predicted = composition.pooled_hits(*noisy(5.0 / np.sqrt(k), seed=1), [1]).mean()
        assert found == pytest.approx(predicted, abs=0.06), k


def test_what_every_photograph_has_wrong_stays_wrong():
    curve = composition.pooled_hits(*noisy(1.0, bias=5.0), KS).mean(0)
    assert curve[-1] < 0.45 and curve[-1] - curve[0] < 0.15


def test_hits_by_hand():
    """Two people, two photographs each: the first is right once in two alone, and always together."""
    each = torch.tensor([[[1.0, 0.2], [0.2, 0.5]], [[0.0, 1], [0, 1]]])
    hits = composition.pooled_hits(each, torch.eye(2), [1, 2])
    assert hits.tolist() == [[0.5, 1.0], [1.0, 1.0]]
    tie = composition.pooled_hits(torch.ones(2, 1, 2), torch.eye(2), [1])
    assert tie.ravel().tolist() == [0.5, 0.5]
    scaled = composition.pooled_hits(each * torch.tensor([[[9.0]], [[0.1]]]), torch.eye(2), [1, 2])
    assert np.array_equal(scaled, hits), "each counts alike"


def test_where_a_protection_is_void():
    people = 40
    before, after = np.full((people, 3), 0.5), np.tile([0.1, 0.4, 0.8], (people, 1))
    found = composition.void_at(before, after, [1, 2, 4])
    assert all(found[end] == pytest.approx(2 ** (1 + 0.25)) for end in ("value", "low", "high"))
    assert composition.void_at(before, before, [1, 2, 4])["value"] == 1, "no protection is void at once"
    never = composition.void_at(before, np.tile([0.1, 0.2, 0.3], (people, 1)), [1, 2, 4])
    assert never == {"value": None, "low": None, "high": None}
    assert composition_figure.void_words(never, 4) == ">4 photographs (>4–>4)"
    mixed = np.concatenate([after, np.tile([0.1, 0.4, 0.2], (people, 1))])  # 0.5 at 4 on the mean
    found = composition.void_at(np.full((2 * people, 3), 0.5), mixed, [1, 2, 4])
    assert found["value"] == pytest.approx(4) and found["low"] < 4 and found["high"] is None


def test_an_interval_holds_the_truth():
    """Hits with noise of their own, the crossing known: in nine of ten draws at least it lies inside."""
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        before, after = (rng.random((60, 3)) < rates for rates in ([0.5, 0.7, 0.8], [0.2, 0.5, 0.9]))
        found = composition.void_at(before.astype(float), after.astype(float), [1, 2, 4], seed, 300)
        inside += found["low"] <= 2 <= (found["high"] or np.inf)
    assert inside >= 35


def test_drawn_photographs_are_of_the_same_people_and_in_no_data_set(shared_store):
    data = open_rendered(12, 3, 32, 3)
    found = composition.shots(data, np.arange(6, 36), 0)
    assert found.images.shape == (10, 33, 3, 32, 32) and set(found.who) == set(range(2, 12))
    again, _ = faces.render_params(3, found.who[4], np.arange(3, 6), 32)
    assert np.abs(again.astype(int) - found.images[4, :3]).max() <= 3, "from the third on"
    known = {image.tobytes() for image in data.images}
    assert not known & {image.tobytes() for image in found.images.reshape(-1, 3, 32, 32)}


def test_of_photographs_there_are_as_many_as_there_are(shared_store):
    cfg = RunConfig.preset("tiny", data="orl", x1=0.1, x2=0.1)
    data = open_data(cfg)
    t = split(data, cfg).t
    found = composition.shots(data, t, 0)
    assert found.images.shape[1] - 1 in composition.powers(32) and len(found.who) >= composition.FEWEST_PEOPLE
    for person, images in zip(found.who, found.images, strict=True):
        mine = {image.tobytes() for image in data.images[t[data.identities[t] == person]]}
        assert {image.tobytes() for image in images} <= mine
    assert composition.shots(data, t[data.identities[t] == found.who[0]], 0) is None


def test_where_there_is_nothing_to_pool_one_line_says_so(capsys):
    assert composition_figure.pooling_text(TINY, {"a": {}, "b": {}}) == composition_figure.TOO_FEW
    assert composition_figure.save_pooling(TINY, {"a": {}}, [], "14_composition") is None
    assert capsys.readouterr().err == composition_figure.TOO_FEW + "\n"


def test_a_row_is_pooled_once(shared_store, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    row = experiment.run(TINY)
    found = composition.pooled(TINY, row)
    assert set(found["hits"]) == {"Z", "answers", "decoder", "features", "originals"}
    assert found["ks"] == [1, 2, 4, 8, 16, 32]
    assert all(hits.shape == (found["gallery"], 6) for hits in found["hits"].values())
    for name, hits in found["hits"].items():
        assert [v["value"] for v in found["rank1"][name]] == pytest.approx(hits.mean(0).tolist())
    originals = found["rank1"]["originals"]
    assert originals[5]["value"] > originals[0]["value"] > 1 / found["gallery"]
    monkeypatch.setattr(composition, "_pool", lambda *_: pytest.fail("it is in the store"))
    assert composition.pooled(TINY, row)["rank1"] == found["rank1"]
    pools = {"no protection": found, "the same": found}
    text = composition_figure.pooling_text(TINY, pools)
    assert "to Z itself: 1.0 photograph (1.0–1.0)" in text and f"gallery of {found['gallery']}, chance" in text
    assert len(composition_figure.pooling_curves(TINY, pools).axes) == 4
    saved = composition_figure.save_pooling(TINY, pools, [row], "14_composition")
    numbers = json.loads(saved.path.with_suffix(".json").read_text())["numbers"]
    assert (
        numbers["void_at"]["the same"]["Z"]["value"] == 1
        and numbers["rank1"]["the same"]["gallery"] == found["gallery"]
    )
    found["rank1"]["decoder"][0]["low"] = 0.0
    assert "Dec^a: not asked: one photograph" in composition_figure.pooling_text(TINY, pools)
