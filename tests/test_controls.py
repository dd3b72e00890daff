"""The controls inside an audit: what is planted is found, what is safe raises no alarm, and a suite that cannot find says so."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import arl
from arl.attacks.mean import Mean
from arl.attacks.probe import Probe
from arl.attacks.ridge import Ridge
from arl.audit import Foreign, audit_json, audit_text
from arl.audit import controls as module
from arl.audit.controls import (
    CONTROLS,
    GRID,
    TINY_SCALE,
    Bench,
    Shown,
    alarm,
    control_runs,
    controls,
    in_loop,
    told_by_controls,
)
from arl.audit.suite import SPLIT, _attackers, experiment_of, of_experiment
from arl.config import RunConfig
from arl.training import generator

PLANTED = ["one-hot", "identity", "rotation", "small", "low bits", "fooling"]
SAFE = ["constant", "answers", "noise"]
FACES = {"identities": 60, "per_identity": 6, "x2": 0.5}  # thirty people in T: of five, no interval says anything


def tiny(*attacks, **fields):
    return Foreign(RunConfig.preset("tiny", **{**SPLIT, **FACES, **fields}, attacks=attacks or _attackers()))


@pytest.fixture(scope="module")
def suite(session_store):
    """What the controls say of the whole suite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARL_RUNS", str(session_store))
        return controls(tiny())


# -- the nine encoders ------------------------------------------------------------------------------------------------


def shown(n=40, seed=0):
    drawn = generator(seed)
    return Shown(torch.rand(n, 3, 8, 8, generator=drawn), (torch.rand(n, 5, generator=drawn) < 0.5).float(), drawn)


def encoded(name, seed=0):
    of = shown(seed=seed)
    return of, CONTROLS[name].encode(of)


def test_there_are_six_planted_and_three_safe():
    assert [name for name, each in CONTROLS.items() if each.planted] == PLANTED
    assert [name for name, each in CONTROLS.items() if not each.planted] == SAFE


def test_a_rotation_keeps_every_distance_and_mixes_every_pixel():
    of, z = encoded("rotation")
    flat = of.picture.flatten(1)
    torch.testing.assert_close(z @ z.T, flat @ flat.T)  # angles and lengths
    turn = torch.linalg.lstsq(CONTROLS["rotation"].encode(shown(400)), shown(400).picture.flatten(1)).solution
    assert turn.abs().max() < 0.5 and (turn.abs() > 1e-3).float().mean() > 0.9


def test_small_pixels_stand_beside_features_ten_thousand_times_as_large():
    of, z = encoded("small")
    torch.testing.assert_close(z[:, 64:] / TINY_SCALE, of.picture.flatten(1))
    assert z[:, :64].std(0).min() > 1000 * z[:, 64:].std(0).max()


def test_low_bits_hold_the_picture_below_the_grid_and_nothing_of_it_above():
    of, z = encoded("low bits")
    above = (z / GRID).floor() * GRID
    torch.testing.assert_close((z - above) * 2**10, of.picture.flatten(1), rtol=0, atol=2e-3)
    assert above.std(0).min() > 0.1 and above.std() > 100 * (z - above).std()
    other = of._replace(picture=torch.rand_like(of.picture), drawn=shown().drawn)
    same = of._replace(drawn=shown().drawn)
    grids = [(CONTROLS["low bits"].encode(each) / GRID).floor() for each in (same, other)]
    assert torch.equal(*grids)


def test_an_encoder_that_fools_its_own_decoder_shows_it_one_face_and_holds_many():
    _, z = encoded("fooling")
    torch.testing.assert_close(in_loop(z), torch.full((40, 96), 0.5), rtol=0, atol=1e-5)
    assert z.std(0).min() > 0.05 and torch.linalg.matrix_rank(z - z.mean(0)) == 39


def test_safe_encoders_say_what_they_may_and_no_more():
    _, constant = encoded("constant")
    assert (constant == constant[0, 0]).all()
    of, noise = encoded("noise")
    assert not torch.equal(noise, CONTROLS["noise"].encode(of)) and abs(noise.mean()) < 0.1  # another each time
    blank = of._replace(picture=torch.zeros_like(of.picture))
    assert torch.equal(CONTROLS["answers"].encode(of), CONTROLS["answers"].encode(blank))
    assert torch.linalg.matrix_rank(CONTROLS["answers"].encode(of)) == 5
    assert torch.equal(CONTROLS["one-hot"].encode(of).view(40, 2, 5).sum(1), torch.ones(40, 5))


# -- the verdict ------------------------------------------------------------------------------------------------------


def test_six_of_six_are_found_and_no_alarm_is_false(suite):
    assert (suite["planted"], suite["safe"], suite["missed"], suite["false_alarms"]) == (6, 3, [], [])
    assert suite["works"] and suite["verdict"].startswith("The suite works here: 6 of 6")
    each = suite["each"]
    for name in PLANTED[1:]:
        picture = each[name]["image"]
        assert picture["tells"]["low"] > 0.2 and picture["beyond"]["low"] > 0.2 and picture["tells"]["people"] > 25
    assert each["one-hot"]["label"]["mcc"]["low"] > 0.3 and "beyond" not in each["one-hot"]["image"]
    assert abs(each["constant"]["image"]["tells"]["value"]) < 1e-5 and each["constant"]["label"]["mcc"]["value"] == 0


def test_only_an_attacker_that_reads_bits_finds_the_low_ones(suite):
    of = suite["each"]["low bits"]
    others = [value for name, value in of["held_out"].items() if name not in ("bits", "probe")]
    assert of["image"]["strongest"] == "bits" and of["held_out"]["bits"] > max(others) + 0.2


def test_a_suite_of_the_mean_face_alone_misses_all_and_its_report_proves_nothing(tmp_path, shared_store):
    from test_audit import SHOWN, scripted

    settings = {**FACES, "attacks": "mean"}
    experiment, about = experiment_of(str(scripted(tmp_path / "a.ts")), settings, "tiny", SHOWN)
    found = of_experiment(experiment, about)
    told = found.result["controls"]
    assert told["missed"] == PLANTED and told["false_alarms"] == [] and not told["works"]
    assert audit_json(found)["verdicts"][0] == told["verdict"] and told["verdict"] in audit_text(found)
    assert told["verdict"].startswith("This audit proves nothing") and "low bits" in told["verdict"]


def test_what_was_taken_for_safe_and_leaks_is_a_false_alarm(shared_store, monkeypatch):
    leaky = CONTROLS["noise"]._replace(encode=CONTROLS["identity"].encode)
    monkeypatch.setitem(module.CONTROLS, "noise", leaky)
    found = controls(tiny(Ridge(), seed=1))
    assert found["false_alarms"] == ["noise"] and "a false alarm on noise" in found["verdict"]
    assert found["missed"] == ["one-hot", "low bits"]  # no ridge reads labels, nor bits


def of(low, **kinds):
    """A result whose figures have these lower ends."""
    image = {key: {"low": end} for key, end in kinds.items() if key != "mcc"}
    return {"image": image, "label": {"mcc": {"low": kinds.get("mcc", low)}}}


@pytest.mark.parametrize(
    ("name", "result", "wanted"),
    [
        ("identity", of(0, tells=0.1, beyond=0.1), True), ("identity", of(1, tells=0.1, beyond=0.0), False),
        ("identity", of(1, tells=0.0, beyond=0.1), False), ("identity", of(0, tells=0.1), True),  # without labels
        ("one-hot", of(0.1, tells=0.0), True), ("one-hot", of(0, tells=0.1), False), ("one-hot", {}, False),
        ("constant", of(0, tells=0.0, beyond=0.1), False), ("constant", of(0, tells=0.1, beyond=-1), True),
        ("noise", of(0.1, tells=0.0), True), ("noise", of(5e-4, tells=5e-4), False),
        ("answers", of(1, tells=0.1, beyond=0.015), False), ("answers", of(0, tells=0.0, beyond=0.1), True),
    ],
)  # fmt: skip
def test_what_counts_as_found_and_as_a_false_alarm(name, result, wanted):
    assert alarm(CONTROLS[name], result) is wanted


def test_the_verdict_names_what_was_missed():
    assert (
        told_by_controls(5, 2, [], [])
        == "The suite works here: 5 of 5 planted leaks found, no false alarm on 2 safe encoders."
    )
    both = told_by_controls(6, 3, ["small", "low bits"], ["noise"])
    assert "4 of 6 planted leaks found, missed small, low bits, and a false alarm on noise." in both


def test_the_interval_is_students_over_people_and_shared_by_nine(shared_store):
    bench = Bench(tiny(Mean()))
    who = bench.data.identities[bench.tested]
    values = np.random.default_rng(0).normal(size=len(who)) + who % 7
    means = [values[who == person].mean() for person in np.unique(who)]
    wanted = stats.ttest_1samp(means, 0).confidence_interval(1 - 0.05 / 9)
    found = bench.over_people(values)
    assert (found["low"], found["high"]) == pytest.approx(wanted) and found["people"] == len(means) > 25


def test_people_of_t_are_strangers_to_the_attackers_and_few_faces_are_enough(shared_store):
    bench, who = Bench(tiny()), tiny().data.identities
    assert not set(who[bench.tested]) & set(who[bench.owned.all])
    assert not set(who[bench.owned.held_out]) & set(who[bench.owned.learns])
    assert [
        attack.name() for attack in bench.attackers
    ] == "mean ridge kernelridge retrieval bits decoder probe".split()


# -- in the store -----------------------------------------------------------------------------------------------------


def test_controls_are_of_the_faces_and_the_suite_whatever_the_target(shared_store):
    mine = control_runs(tiny(Mean(), Ridge()))
    assert list(mine) == list(CONTROLS) and len(set(mine.values())) == 9
    assert control_runs(Foreign(tiny(Mean(), Ridge()).cfg.replace(attack_epochs=7, bootstrap=60))) == mine
    for other in (tiny(Mean()), tiny(Mean(), Ridge(), seed=1), tiny(Mean(), Ridge(), attributes="Smiling")):
        assert not set(control_runs(other).values()) & set(mine.values())


def test_without_labels_there_are_no_answers_to_plant(shared_store):
    experiment = tiny(Ridge(), Probe(), seed=2)
    data = experiment.data
    nobody = replace(data, attributes=np.zeros((len(data), 1), bool), attribute_names=("no label",), spec={"a": 1})
    blind = tiny(Ridge(), Probe(), seed=2)
    blind.data = nobody
    assert [*control_runs(blind)] == [name for name in CONTROLS if name not in ("one-hot", "answers")]
    found = controls(blind)
    assert (found["planted"], found["safe"], found["missed"], found["false_alarms"]) == (5, 2, ["low bits"], [])


KILLED = """
from arl.attacks.mean import Mean
from arl.attacks.ridge import Ridge
from arl.audit import Foreign
from arl.audit.controls import controls
from arl.config import RunConfig
print(controls(Foreign(RunConfig.preset("tiny", {fields}, attacks=(Mean(), Ridge()))))["verdict"])
"""


def test_killed_in_the_middle_the_finished_ones_are_found_again(tmp_path, session_store):
    store = tmp_path / "runs"
    store.mkdir()
    (session_store / "data").mkdir(exist_ok=True)
    (store / "data").symlink_to(session_store / "data")
    for run in session_store.glob("recogniser-*"):
        (store / run.name).symlink_to(run)
    fields = ", ".join(f"{name}={value!r}" for name, value in {**SPLIT, **FACES}.items())
    environment = {**os.environ, "ARL_RUNS": str(store), "PYTHONPATH": str(Path(arl.__file__).parents[1])}
    command = [sys.executable, "-c", KILLED.format(fields=fields)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as killed:
        said = []
        for line in killed.stderr:
            said.append(line)
            if "control low bits" in line:
                break
        os.kill(killed.pid, signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in store.glob("control-*/result.json")}
    assert len(done) == 4, said
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert "control low bits" in next(line for line in again.stderr.splitlines() if "  control " in line)
    assert again.stderr.count("  control ") == 5 and "This audit proves nothing" in again.stdout
    assert done.items() <= {path: path.stat().st_mtime_ns for path in store.glob("control-*/result.json")}.items()
    assert len(list(store.glob("control-*/result.json"))) == 9


def test_the_store_keeps_a_control_as_long_as_an_audit_that_names_it(suite, shared_store):
    from arl.store import find_run

    run = find_run(suite["each"]["identity"]["run"])
    assert run.spec["kind"] == "control" and suite["each"]["one-hot"]["run"] in str(run.spec)
    assert sum(path.stat().st_size for path in run.folder.iterdir()) < 1 << 16  # figures, no attackers
