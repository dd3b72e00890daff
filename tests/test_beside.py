"""An audit on two processes: each run is made once, and what is found is what one process finds."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from test_audit import SHOWN, scripted

import arl
from arl import machine
from arl.audit import audit, beside, second
from arl.audit.suite import experiment_of
from arl.config import RunConfig
from arl.messages import ConfigError
from arl.store import stored

FEW = {"attacks": "mean,ridge,decoder,whitened,features", "attack_epochs": 2}


@pytest.fixture
def two_cores(monkeypatch):
    """Free ones, however many there are; the environment is as it was afterwards."""
    monkeypatch.delenv("ARL_THREADS")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    monkeypatch.setattr(machine, "cores", lambda: 2)


def figures(store: Path) -> dict[str, dict]:
    """Results of the runs by folder, without who made them and how long it took."""
    found = {}
    for path in store.glob("*/result.json"):
        result = {k: v for k, v in json.loads(path.read_text()).items() if k != "made_with"}
        for each in result.get("effort", {}).values():
            each.pop("seconds")
        found[path.parent.name] = result
    return found


def kill_both(target: str) -> None:
    """`arl audit`, killed with -9 when the second process has learned something; that one ends by itself."""
    arguments = [
        "--preset=tiny",
        *(f"--set={k}={v}" for k, v in FEW.items()),
        *(f"--{k}={v}" for k, v in SHOWN.items()),
    ]
    command = [sys.executable, "-m", "arl.cli", "audit", *arguments, target]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        for line in first.stderr:
            if line.startswith("whitened") and "epoch 1" in line:
                break
        (child,) = psutil.Process(first.pid).children()
        first.kill()
    child.wait(timeout=10)


def test_two_processes_find_what_one_finds_and_make_each_run_once(
    tmp_path, session_store, monkeypatch, two_cores, capfd
):
    target, found, said = str(scripted(tmp_path / "a.ts")), {}, {}
    for name in ("killed", "both", "alone"):
        store = tmp_path / name
        store.mkdir()
        (session_store / "data").mkdir(exist_ok=True)
        (store / "data").symlink_to(session_store / "data")
        monkeypatch.setenv("ARL_RUNS", str(store))
        if name == "killed":
            kill_both(target)
        if name == "alone":
            monkeypatch.setenv("ARL_WORKERS", "1")
        found[name] = audit(target, FEW, preset="tiny", **SHOWN).result["controls"]["works"]
        said[name] = capfd.readouterr().err
        assert machine.threads() == 1 and not machine.threads_are_set(), "the threads of both were for the end alone"
    assert figures(tmp_path / "killed") == figures(tmp_path / "both") == figures(tmp_path / "alone")
    assert found["killed"] == found["both"] == found["alone"] and "to be made: mean" not in said["killed"]
    for run in stored(tmp_path / "both", ["control"]):
        assert said["both"].count(f"{run.id}  control") == said["alone"].count(f"{run.id}  control") == 1, "made once"


def test_the_second_process_takes_the_dearest_first(tmp_path, shared_store, monkeypatch):
    experiment, _ = experiment_of(str(scripted(tmp_path / "a.ts")), FEW, "tiny", SHOWN)
    taken = []
    monkeypatch.setattr(second, "make", lambda jobs: taken.extend(jobs))
    given = {"config": experiment.cfg.flat(), "source": experiment.target.source, "encoder": "", "plugins": []}
    second.main(json.dumps(given))
    kinds = [job.folder.name.rpartition("-")[0] for job in taken]
    assert kinds[:2] == ["whitened", "decoder"] and {*kinds[2:5]} == {"features", "mean", "ridge"}
    assert {*kinds[5:]} == {"control"}
    ours = [job.folder for job in beside.controls(experiment)]
    assert [job.folder for job in taken[5:]] == ours[::-1], "the same controls, from their end"


def test_of_a_stored_row_it_makes_the_same_runs(shared_store, monkeypatch):
    row, taken = arl.run(RunConfig.preset("tiny")), []
    experiment, _ = experiment_of(row.id, {}, "quick", {})
    monkeypatch.setattr(second, "make", lambda jobs: taken.extend(jobs))
    given = {"config": experiment.cfg.flat(), "source": None, "encoder": row.runs["encoder"].id, "plugins": []}
    second.main(json.dumps(given))
    ours = beside.attackers(experiment) + beside.controls(experiment)
    assert {job.folder for job in taken} == {job.folder for job in ours} and taken[0].folder.name.startswith("identity")


@pytest.mark.parametrize("variable", ["ARL_THREADS", "ARL_WORKERS"])
def test_whoever_says_how_many_wants_no_second_process(tmp_path, shared_store, monkeypatch, two_cores, variable):
    experiment, _ = experiment_of(str(scripted(tmp_path / "a.ts")), FEW, "tiny", SHOWN)
    missing = [beside.Job(tmp_path, 5.0, lambda: None)]
    assert beside._free(experiment, missing) and not beside._free(experiment, [])
    monkeypatch.setenv(variable, "1")
    assert not beside._free(experiment, missing)


def test_it_ends_with_the_first_s_work(tmp_path, shared_store, monkeypatch, two_cores):
    experiment, _ = experiment_of(str(scripted(tmp_path / "a.ts")), {**FEW, "attack_epochs": 5000}, "tiny", SHOWN)
    monkeypatch.setattr(beside, "make", lambda jobs: None)
    monkeypatch.setattr(beside, "attackers", lambda experiment: [beside.Job(tmp_path, 5.0, lambda: None)])
    with pytest.raises(ConfigError), beside.shared(experiment):
        (child,) = [c for c in psutil.Process().children() if "arl.audit.second" in " ".join(c.cmdline())]
        raise ConfigError("refused")
    assert not child.is_running()


def test_what_it_cannot_do_is_left_to_the_first():
    ended = subprocess.run([sys.executable, "-m", "arl.audit.second", "{}"], capture_output=True)
    assert ended.returncode == 1 and not ended.stderr
