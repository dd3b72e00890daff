"""An audit's curve: what its best reader in closed form gets from fewer and from more images, and a linear one from few pairs."""

import shutil

import numpy as np
import pytest
import torch
from test_audit import SHOWN, scripted

import arl
from arl.audit import audit, stored_audit
from arl.audit import curve as curves
from arl.audit.suite import experiment_of
from arl.config import RunConfig

TINY = RunConfig.preset("tiny")


@pytest.fixture
def of_row(shared_store):
    return audit(arl.run(TINY).id)


def test_a_curve_is_a_run_beside_its_audit_and_is_made_where_it_is_missing(of_row):
    run = of_row.curve
    assert run.spec == {"kind": "curve", "version": 1, "audit": of_row.run.id} and run.result["attack"] in curves.CLOSED
    assert stored_audit(of_row.run.id).curve.id == run.id
    kept = run.result["budgets"], run.result["pairs"], run.result["law"]
    shutil.rmtree(run.folder)
    assert stored_audit(of_row.run.id).curve is None, "a finished audit is not made to attack again"
    again = audit(of_row.run.spec["encoder"]).curve.result
    assert (again["budgets"], again["pairs"], again["law"]) == kept


def test_budgets_halve_and_hold_whole_batches():
    assert curves._budgets(3600, 32) == [224, 448, 896, 1792, 3584]
    assert curves._budgets(100, 32) == [32, 96] and curves._budgets(31, 32) == []


def test_images_of_the_curve_are_of_strangers_and_the_first_of_more(of_row):
    experiment = experiment_of(of_row.run.spec["encoder"], {}, "quick", {})[0]
    pool = curves._strangers(experiment)
    tested = set(experiment.data.identities[experiment.split.t])
    assert tested & set(experiment.owned.data.identities[experiment.owned.all]), (
        "split by image: the row's own X2 knows T"
    )
    assert not tested & set(pool.owned.data.identities[pool.owned.all])
    assert len(pool.owned.all) == curves.FRESH * len(experiment.owned.all)
    few, more = (set(curves._with(pool, n).owned.learns) for n in (16, 48))
    assert len(few) == 16 and few < more <= set(pool.owned.learns)
    assert experiment.owned.learns.max() < len(experiment.data), "the experiment itself stays as it was"


def test_photographs_of_people_in_t_do_not_count(shared_store, tmp_path):
    experiment = experiment_of(
        str(scripted(tmp_path / "a.ts")), {"split": "image", "x1": 16, "extra": "adversary"}, "tiny", SHOWN
    )[0]
    pool, tested = curves._strangers(experiment).owned, experiment.data.identities[experiment.split.t]
    assert not np.isin(pool.data.identities[pool.all], tested).any() and len(pool.all)


def test_one_reader_gets_more_from_more_of_what_is_there(monkeypatch, of_row):
    """Z is the picture at a quarter of its sides: a pair says little of it, all of them nearly all."""
    experiment = experiment_of(of_row.run.spec["encoder"], {}, "quick", {})[0]

    class Open(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.avg_pool2d(x, 4).flatten(1)

    experiment.networks = Open(), None
    pool = curves._strangers(experiment)
    ridge = next(attack for attack in experiment.cfg.attacks if attack.name() == "ridge")
    z, known = curves._encoded(experiment, experiment.split.t), curves._known(pool)
    leak = [curves._alike(curves._with(pool, n, known), ridge, z).mean() for n in (16, 96)]
    anew = curves._alike(curves._with(pool, 96), ridge, z).mean()
    assert leak[1] == pytest.approx(anew, abs=1e-4), "encoded once for all budgets, or for each"
    monkeypatch.setattr(curves, "CACHE_BYTES", known.numel() * 4 - 1)
    assert curves._known(pool) is None
    pairs = [curves._alike(experiment, curves.Leaked(pairs=n), z).mean() for n in (1, 48)]
    assert leak[1] > leak[0] + 0.05 and pairs[1] > pairs[0] + 0.2


def test_a_law_is_fitted_to_four_budgets_and_more(of_row):
    experiment = experiment_of(of_row.run.spec["encoder"], {}, "quick", {})[0]
    rng = np.random.default_rng(0)
    face = rng.normal(0, 0.02, len(experiment.split.t))
    ns = [64, 128, 256, 512]
    flat = curves._led(ns, np.stack([0.4 + face + rng.normal(0, 1e-3, len(face)) for _ in ns]), experiment)
    assert flat["law"]["verdict"] == "saturated" and flat["law"]["limit"]["value"] == pytest.approx(0.4, abs=0.02)
    steep = curves._led(ns, np.stack([0.1 * k + face for k in range(1, 5)]), experiment)
    assert steep["law"]["verdict"] != "saturated" and steep["law"]["ahead"]["value"] > 0.5
    assert "law" not in curves._led(ns[:3], np.stack([0.4 + face] * 3), experiment)
