"""The paper's tables as data, the sweep that makes their rows, the tables and the ledger made from them."""

import csv
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from arl import evaluate, experiment, schedule, stages
from arl.config import LAYERS, RunConfig
from arl.experiment import Experiment
from arl.inputs import further_judge
from arl.messages import ConfigError, UserError
from arl.paper import claims, ledger_figure, measured, tables
from arl.paper.rows import every_row, find_rows, numbers, seeded, table1, table2, table3
from arl.schedule import sweep
from arl.store import run_id, stored

TINY = RunConfig.preset("tiny")
METRICS = ("mean_mcc", "face_similarity")


def made_up(setting, values):
    """A `Line` whose runs have the metrics `values`, one dictionary a seed."""
    runs = []
    for seed, metrics in enumerate(values):
        result = {
            name: {"value": v, "low": v - 0.1, "high": v + 0.1, "floors": {"mean face": 0.04}}
            for name, v in metrics.items()
        }
        result |= {
            "config": setting.cfg.replace(seed=seed).flat(),
            "measured_on": {"test_set": "T (split", "C": "c; x", "g": "G for Dec^a, none for the simulated Dec"},
        }
        runs.append(SimpleNamespace(id=f"row-{setting.name}-{seed}", result=result, spec={"kind": "row"}))
    return measured.Line(setting, tuple(runs))


# -- the rows ---------------------------------------------------------------------------------------------


def test_29_rows_need_18_encoders(shared_store):
    rows = every_row(TINY)
    assert len(rows) == 29 and len({row.name for row in rows}) == 29
    encoders = {row.name: run_id(Experiment(row.cfg).encoder_spec) for row in rows}
    assert len(set(encoders.values())) == 18
    assert encoders["1#1"] == encoders["1#3"] == encoders["1#5"] and encoders["1#2"] == encoders["3:fc, with"]
    assert len({encoders[f"3:{layer}, without"] for layer in LAYERS}) == 1, (
        "without training one network serves all layers"
    )
    assert encoders["1#2"] != encoders["2:λ2=0"], "Table 2's simulated adversary has a perceptual loss"


def test_rows_are_what_the_paper_says():
    one, two, three = table1(TINY), table2(TINY), {row.key: row for row in table3(TINY)}
    assert [row.key for row in one] == [str(i) for i in range(1, 11)]
    assert [row.cfg.lambda1 for row in one] == [0, 1] * 5 and {row.cfg.lambda2 for row in one} == {0}
    assert [row.cfg.mu1 > 0 for row in one] == [False, False, True, True, False, False, False, False, True, True]
    assert [row.cfg.extra for row in one[4:8]] == ["adversary", "adversary", "both", "both"]
    assert one[8].cfg.attributes == ("Smiling",) and one[8].paper["mean_mcc"] == 0.851, "its own task's MCC"
    assert one[1].paper == {
        "mean_mcc": 0.612,
        "face_similarity": 0.515,
        "feature_similarity": 0.574,
        "ssim": 0.221,
        "psnr": 13.423,
    }
    assert [row.cfg.lambda2 for row in two] == [0, 1, 2, 3, 4, 5, 10]
    assert {(row.cfg.lambda1, row.cfg.mu1, row.cfg.mu2, row.cfg.simulated_mu2) for row in two} == {(1, 0, 1, 1)}
    assert two[1].paper["face_similarity"] == 0.575 and table2(TINY, [0.5])[0].paper == {}
    assert three["fc, without"].paper["lda_score"] == 0.39 and three["fc, with"].paper["lda_score"] == 0.67, "S_b / S_w"
    assert three["conv1, with"].paper["lda_score"] == 0.28 and three["conv3, with"].cfg.layer == "conv3"


def test_rows_start_without_protection_but_keep_data_and_schedule():
    cfg = TINY.replace(lambda1=7, mu1=3, layer="conv1", extra="both", attributes="Male", epochs=5, data_seed=4)
    assert table1(cfg)[0].cfg == TINY.replace(epochs=5, data_seed=4)


def test_lists_of_numbers_and_rows():
    assert numbers("0, 1,2") == (0, 1, 2) and numbers(3) == (3,) and numbers([1, 1, 2.5]) == (1, 2.5)
    assert [cfg.seed for cfg in seeded(TINY, "0,2")] == [0, 2]
    assert [row.name for row in find_rows(TINY, "1:2; 2:5; 2:0.5; 3:conv1, with")] == [
        "1#2",
        "2:λ2=5",
        "2:λ2=0.5",
        "3:conv1, with",
    ]
    for wrong, call in (
        ("'a'", lambda: numbers("a")),
        ("''", lambda: numbers("")),
        ("0.5", lambda: seeded(TINY, "0.5")),
    ):
        with pytest.raises(ConfigError, match=wrong):
            call()
    with pytest.raises(ConfigError, match="rows: found '1#11', accepted: 1:1 to 1:10"):
        find_rows(TINY, "1#11")


# -- the sweep ----------------------------------------------------------------------------------------------------


def test_a_sweep_makes_what_one_row_at_a_time_makes_and_shares_encoders(tmp_path, monkeypatch, capfd):
    cfgs = [row.cfg for row in find_rows(TINY, "1#1; 1#3; 1#2; 3:conv4, without")]
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "many"))
    rows = sweep([*cfgs, cfgs[0]], workers=2)
    said = capfd.readouterr().err
    assert (
        "5 rows, 4 different, 2 distinct encoders; 0 rows are stored" in said
        and "serves 3 rows" in said
        and "[8/8]" in said
        and "left" in said
    )
    assert rows[0].id == rows[4].id and len([run for run in stored() if run.id.startswith("encoder-")]) == 2
    assert [row.id for row in sweep(cfgs)] == [row.id for row in rows[:4]]
    assert capfd.readouterr().err == "", "a second call finds all and says nothing"
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "one"))
    monkeypatch.setenv("ARL_THREADS", "1")
    alone = experiment.run(cfgs[2])
    assert alone.id == rows[2].id
    assert {k: alone.result[k] for k in ("mean_mcc", *evaluate.PRIVACY)} == {
        k: rows[2].result[k] for k in ("mean_mcc", *evaluate.PRIVACY)
    }


def test_first_epochs_are_a_stage_that_their_encoders_wait_for(store):
    """Both protected ones have more to come than the third, whose first epochs are others."""
    cfgs = [TINY.replace(lambda1=1), TINY.replace(lambda1=2), TINY.replace(attributes="Smiling")]
    planned = stages.graph(cfgs)
    assert [stage.kind for stage in planned] == ["C", *["first epochs"] * 2, *["encoder"] * 3, *["row"] * 3]
    pool = schedule.Pool(2)
    pool.waiting = list(planned)
    begun = [pool._next() for _ in range(3)]
    assert pool._next() is None, "the others wait"
    assert [stage.kind for stage in begun] == ["C", "first epochs", "first epochs"]
    assert begun[1].key == Experiment(cfgs[0]).warm.id and begun[1].ahead > begun[2].ahead
    pool.made.add(begun[1].key)
    assert {pool._next().cfg, pool._next().cfg} == set(cfgs[:2]) and pool._next() is None
    assert sum(stage.cost for stage in planned if stage.kind in ("first epochs", "encoder")) == pytest.approx(
        sum(map(stages.encoder_cost, cfgs)) - cfgs[0].warm_epochs / stages.UNIT
    ), "they are shared"
    assert Experiment(cfgs[0]).encoder.result
    again = stages.graph(cfgs)
    assert {stage.key for stage in planned} - {stage.key for stage in again} == {begun[1].key, planned[3].key}
    assert all(stage.needs for stage in again if stage.kind == "row") and not again[2].needs, (
        "what is stored is no stage"
    )


def test_an_encoder_costs_as_many_epochs_as_it_has():
    """So the time left of a preset of 61 epochs, 56 of them shared, is not that of 16 whole encoders."""
    long = RunConfig(lambda1=1, epochs=61, warm=0.92)
    assert stages.encoder_cost(RunConfig()) == 1 and stages.encoder_cost(RunConfig(epochs=61)) == pytest.approx(6.1)
    games = stages.encoder_cost(long) - long.warm_epochs / stages.UNIT
    assert long.warm_epochs == 56 and games == pytest.approx(0.5 * long.defence.cost)


def test_sets_that_differ_in_size_alone_are_said_once():
    said = {"T, 919 images of 430 people", "T, 920 images of 430 people", "faces without a count"}
    assert measured._counted(said) == ["T, 919 or 920 images of 430 people", "faces without a count"]


def test_a_row_that_fails_is_named_after_the_others_are_made(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path))
    bad = TINY.replace(lr=1e30)
    with pytest.raises(
        UserError, match=r"sweep: 1 of 7 stages failed, the others are stored; first: first epochs · .*lr"
    ) as error:
        sweep([bad, TINY], workers=2)
    assert "\n" not in str(error.value)
    assert experiment.find(TINY) is not None and experiment.find(bad) is None


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals as on Unix")
def test_killed_in_the_middle_it_leaves_no_process_and_goes_on(tmp_path):
    program = "from arl import sweep\nfrom arl.paper import table1\nfrom arl.config import RunConfig\n"
    program += "if __name__ == '__main__':\n"
    program += "    sweep([r.cfg for r in table1(RunConfig.preset('tiny'))[:4]], workers=2)\n"
    (tmp_path / "many.py").write_text(program)
    environment = {**os.environ, "ARL_RUNS": str(tmp_path / "runs")}
    command = [sys.executable, str(tmp_path / "many.py")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("[2/"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while (alive := _workers(tmp_path / "runs")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive, "workers end with their parent"
    made = {p.parent.name: p.stat().st_mtime_ns for p in (tmp_path / "runs").glob("*/result.json")}
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert made and all((tmp_path / "runs" / name / "result.json").stat().st_mtime_ns == t for name, t in made.items())


def _workers(store):
    """Processes that have the store in their environment."""
    found = []
    for folder in os.listdir("/proc") if os.path.isdir("/proc") else []:
        try:
            with open(f"/proc/{folder}/environ", "rb") as file:
                if folder.isdigit() and f"ARL_RUNS={store}".encode() in file.read():
                    found.append(folder)
        except OSError:
            continue
    return found


# -- tables -------------------------------------------------------------------------------------------------------


def test_the_interval_over_seeds_is_students():
    values = [0.61, 0.64, 0.66]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    found = measured.over_seeds(values)
    assert (found["low"], found["high"]) == pytest.approx(expected) and found["value"] == pytest.approx(np.mean(values))


def test_a_table_as_text_csv_and_latex(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    rows = table1(TINY)[:2]
    lines = [made_up(rows[0], [dict(mean_mcc=0.6, face_similarity=0.4), dict(mean_mcc=0.7, face_similarity=0.5)]),
             made_up(rows[1], [dict(mean_mcc=0.5, face_similarity=0.3)] * 2)]  # fmt: skip
    half = stats.t.ppf(0.975, 1) * 0.05
    assert f"0.650 ± {half:.3f} (0.641)" in tables.table_text(lines, METRICS)
    assert "C: c. g: G. 95 % t-interval over 2 seeds (0, 1)." in tables.table_text(lines, METRICS)
    tables.save_table(lines, "t", METRICS)
    with (tmp_path / "tiny" / "t.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 4 and cells[0]["runs"] == "row-1#1-0 row-1#1-1" and float(cells[3]["paper"]) == 0.515
    assert float(cells[1]["value"]) == pytest.approx(0.45) and cells[0]["seeds"] == "0.6 0.7"
    source = (tmp_path / "tiny" / "t.tex").read_text()
    assert (
        source.count(r"\\") == 3
        and r"\toprule" in source
        and r"\#2 $\lambda_1$ = 1 & 0.500 $\pm$ 0.000 (0.612)" in source
    )
    assert (tmp_path / "tiny" / "t.png").stat().st_size > 10_000 and (tmp_path / "tiny" / "t.json").exists()


def test_a_table_by_another_g_does_not_replace_the_presets(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    c = dict(mean_mcc=0.6, face_similarity=0.4)
    for g, name in (("random", "t"), ("efficientnet", "t_efficientnet"), ("/a/vgg.pt", "t_vgg")):
        lines = [made_up(row, [c, c]) for row in table1(TINY.replace(perceptual=g))[:2]]
        tables.save_table(lines, "t", METRICS)
        assert (tmp_path / "tiny" / f"{name}.csv").exists()


def judged(line, judge, values):
    """`line` as the further judge `judge` sees it, with the face similarities `values`, one a seed."""
    for run, value in zip(line.runs, values, strict=True):
        figure = {"value": value, "low": value - 0.2, "high": value + 0.2, "floors": {"mean face": 0.01}}
        run.result["judges"] = {judge: {"face_similarity": figure}}
        run.result["measured_on"]["judges"] = {judge: "network of many; face similarity by its embedding"}
    return measured.Line(line.setting, line.runs, judge)


def test_a_table_as_a_further_judge_sees_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    c = dict(mean_mcc=0.6, face_similarity=0.4, feature_similarity=0.7)
    lines = [judged(made_up(row, [c, c]), "dlib", [0.1 * n, 0.1 * n + 0.02]) for n, row in enumerate(table1(TINY)[:2])]
    metrics = (*METRICS, "feature_similarity")
    text = tables.table_text(lines, metrics)
    first, second = text.splitlines()[1:3]
    assert "0.600 ± 0.000" in first and "0.010 ± " in first and "0.110 ± " in second and "0.4" not in first
    assert first.rstrip().endswith("–"), "feature similarity is by C's embedding and no other's"
    assert "C: c; here judged by dlib, network of many. " in text
    tables.save_table(lines, "02_table1", metrics)
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {f"02_table1_dlib.{end}" for end in ENDINGS}
    with (tmp_path / "tiny" / "02_table1_dlib.csv").open() as file:
        cells = {(cell["row"], cell["metric"]): cell for cell in csv.DictReader(file)}
    assert cells["1#2", "face_similarity"]["seeds"] == "0.1 0.12" and cells["1#2", "feature_similarity"]["value"] == ""
    assert lines[0].floor("face_similarity") == 0.01 and lines[0].floor("feature_similarity") is None
    assert judged(lines[0], "dlib", [0.3, 0.3]).figure("face_similarity")["value"] == pytest.approx(0.3)


ENDINGS = ("csv", "tex", "png", "pdf", "json")


def test_the_ledger_of_a_further_judge_has_no_claim_about_features():
    rows = every_row(TINY)
    lines = [judged(made_up(row, [row.paper] * 2), "dlib", [row.paper["face_similarity"] / 2] * 2) for row in rows]
    found = {f["id"]: f for f in claims.ledger(lines)}
    about = {claim.id for claim in claims.CLAIMS if "feature similarity" in claim.measure}
    assert about and set(found) == {claim.id for claim in claims.CLAIMS} - about
    assert found["a"]["value"] == pytest.approx((0.551 - 0.515) / 2) and found["c"]["value"] > 0


def test_a_judge_that_does_not_look_at_the_pictures_is_refused_before_training(store, monkeypatch):
    monkeypatch.setattr(measured, "sweep", lambda *_: pytest.fail("must not train"))
    with pytest.raises(ConfigError, match=r"^judge: found 'dlib' with recogniser=rendered, accepted: one of these"):
        measured.measure(table1(TINY), "0", "dlib")
    assert further_judge(TINY, "rendered") == "" == further_judge(TINY, "")
    assert further_judge(TINY.replace(recogniser="rendered,/a/dlib2.onnx"), "dlib2") == "dlib2"


def test_one_seed_shows_the_interval_over_images():
    line = made_up(table1(TINY)[0], [dict(mean_mcc=0.6, face_similarity=0.4)])
    assert line.figure("mean_mcc")["low"] == pytest.approx(0.5) and line.floor("face_similarity") == 0.04
    assert "bootstrap interval over test images, seed 0" in measured.measured_on([line])


def test_the_recommendation_leaks_least_among_what_is_useful_enough():
    useful, private, useless = (made_up(row, v) for row, v in zip(table2(TINY, [0, 1, 2]), (
        [dict(mean_mcc=0.70, face_similarity=0.50), dict(mean_mcc=0.71, face_similarity=0.51)],
        [dict(mean_mcc=0.60, face_similarity=0.30), dict(mean_mcc=0.61, face_similarity=0.31)],
        [dict(mean_mcc=0.10, face_similarity=0.10), dict(mean_mcc=0.11, face_similarity=0.11)]), strict=True))  # fmt: skip
    lines = [useful, private, useless]
    found = measured.recommend(lines, 0.5)
    assert (
        found.startswith("for a mean MCC of at least 0.5: λ2 = 1, mean MCC 0.605, face similarity 0.305")
        and "best choice in 100%" in found
    )
    assert measured.recommend(lines, 0.65).split(":")[1].startswith(" λ2 = 0")
    assert "no measured setting keeps a mean MCC of 0.9; the most useful is λ2 = 0" in measured.recommend(lines, 0.9)
    assert "it keeps that MCC in 5" in measured.recommend(
        lines, 0.605
    ) or "it keeps that MCC in 4" in measured.recommend(lines, 0.605)


# -- the ledger ---------------------------------------------------------------------------------------------------


def test_the_ledger_on_the_papers_own_figures():
    """Two seeds that both measured what the paper printed: each effect is then the paper's own."""
    rows = every_row(TINY)
    both = [made_up(row, [row.paper] * 2) for row in rows]
    found = {f["id"]: f for f in claims.ledger(both)}
    assert len(found) == len(claims.CLAIMS) >= 15
    for f in found.values():
        if f["paper"] is not None:
            assert f["value"] == pytest.approx(f["paper"]), f["claim"]
    assert found["a"]["value"] == pytest.approx(0.551 - 0.515) and found["a"]["rows"] == ["1#1", "1#2"]
    assert found["n"]["value"] == pytest.approx(1) and found["r"]["value"] == pytest.approx(1)
    assert found["q"]["verdict"] == "fails", "0.294 is not within a tenth of our floor"
    assert found["x"]["verdict"] == "fails", "Table 1 has 0.541 and 0.550: the text contradicts it"
    holding = [f["id"] for f in found.values() if f["verdict"] == "holds"]
    assert set("abcdefghijklmnoprst") <= set(holding)
    assert "holds" in claims.ledger_text(list(found.values())) and ledger_figure(list(found.values()))


def test_a_claim_fails_when_the_effect_is_the_other_way_round_and_one_seed_decides_nothing():
    rows = every_row(TINY)
    swap = {"1#1": "1#2", "1#2": "1#1"}
    by_name = {row.name: row.paper for row in rows}
    noise = ({}, {"face_similarity": 0.001}, {"face_similarity": -0.001})
    lines = []
    for row in rows:
        paper = by_name[swap.get(row.name, row.name)]
        lines.append(
            made_up(row, [{k: v + d.get(k, 0) * (row.name == "1#1") for k, v in paper.items()} for d in noise])
        )
    assert {f["id"]: f["verdict"] for f in claims.ledger(lines)}["a"] == "fails"
    one = [measured.Line(line.setting, line.runs[:1]) for line in lines]
    assert {f["verdict"] for f in claims.ledger(one)} == {"undecided"}
    assert claims.verdict({"low": -0.1, "high": 0.2}) == "undecided"
