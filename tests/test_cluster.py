"""A real cluster of three processes, each with its own folder: what it makes is what one process makes, whoever is killed."""

import json
import math
import os
import re
import subprocess
import sys
import time
import types
from collections import Counter
from pathlib import Path

import click.testing
import pytest
import yaml
from lab import ROOT, free_port
from optional import need

import arl
from arl import machine, plugins
from arl.cluster import client as cluster
from arl.cluster import slurm, worker
from arl.config import RunConfig
from arl.machine import KEEP_MEMORY
from arl.messages import ConfigError, UserError
from arl.stages import Stage

distributed = need("distributed")

PATIENCE = 120  # seconds, for a busy machine
# Dec^a, which after two epochs kills the process that the file `victim` names, or the one it runs in: once.
BRITTLE = """
import os, signal
from pathlib import Path
from arl.attacks import Attack
from arl.attacks.decoder import Decoder

HERE = Path(__file__).parent


class Brittle(Attack):
    def player(self, shapes, perceptual=None):
        return Decoder().player(shapes, perceptual)

    def train(self, player, public, schedule, journal):
        return super().train(player, public, schedule, Trap(journal))


class Trap:
    def __init__(self, journal):
        self.restore, self.journal = journal.restore, journal

    def keep(self, parts, line, **state):
        self.journal.keep(parts, line, **state)
        if line["epoch"] == 2 and (HERE / "victim").exists():
            (HERE / "victim").replace(HERE / f"done {os.getpid()}")
            os.kill(int((HERE / f"done {os.getpid()}").read_text() or os.getpid()), signal.SIGKILL)
"""


class Machines:
    """A scheduler and two workers, each in a folder of its own, at one address."""

    def __init__(self, folder):
        self.folder, self.address = folder, f"tcp://127.0.0.1:{free_port()}"
        self.processes, self.logs = {}, []

    def up(self):
        """Start those that do not run; all, where the scheduler does not."""
        if self.dead("scheduler"):
            self.down()
            self.start("scheduler", "--host", self.address, "--no-dashboard")
        for name in ("one", "two"):
            if self.dead(name):
                alone = [
                    "--nthreads",
                    "1",
                    "--no-nanny",
                    "--no-dashboard",
                    "--memory-limit",
                    "0",
                    "--local-directory",
                    ".",
                ]
                self.start(name, self.address, *alone)
        return self

    def start(self, name, *arguments):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        self.logs.append(folder / f"log {len(self.logs)}")
        kept = {key: text for key, text in os.environ.items() if not key.startswith("ARL_") or key == "ARL_PRECISION"}
        module = f"distributed.cli.dask_{'scheduler' if name == 'scheduler' else 'worker'}"
        with self.logs[-1].open("w") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=folder,
                env=kept | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def dead(self, name):
        return name not in self.processes or self.processes[name].poll() is not None

    def down(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes = {}

    def client(self, workers=2):
        client = distributed.Client(self.address, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(workers, timeout=PATIENCE)
        return client

    def epochs(self, since=0):
        """How often each epoch of each run was logged by a worker, since the log number `since`."""
        said = "\n".join(path.read_text() for path in self.logs[since:])
        return Counter(re.findall(r"^([\w.]+-[0-9a-f]{12}  epoch \d+) ", said, re.MULTILINE))


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    machines = Machines(tmp_path_factory.mktemp("machines"))
    try:
        yield machines.up()
    finally:
        machines.down()


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Two rows that share their first epochs, made by this process alone: the file that they need, their configurations, the store."""
    folder = tmp_path_factory.mktemp("serial")
    file = folder / "brittle.py"
    file.write_text(BRITTLE)
    plugins.load(file)
    first = RunConfig.preset("tiny", attacks="decoder,features,brittle", epochs=2, attack_epochs=3)
    cfgs = [first, first.replace(lambda1=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARL_RUNS", str(folder / "runs"))
        for cfg in cfgs:
            arl.run(cfg)
    yield file, cfgs, folder / "runs"
    plugins._LOADED.pop(file.resolve(), None)


@pytest.fixture
def beside(serial, tmp_path, monkeypatch):
    """An empty store, but for the faces, which are those of `serial`."""
    root = tmp_path / "runs"
    root.mkdir()
    (root / "data").symlink_to(serial[2] / "data")
    monkeypatch.setenv("ARL_RUNS", str(root))
    monkeypatch.setenv("ARL_SCHEDULER", "")
    return root


def finished(root):
    return {path.parent.name: path.parent for path in root.glob("*/result.json")}


def assert_same(root, other):
    """The same runs, bit by bit."""
    assert set(finished(root)) == set(finished(other))
    for id, folder in finished(root).items():
        for name in ("checkpoint.safetensors", "metrics.jsonl"):
            if (folder / name).exists():
                assert (folder / name).read_bytes() == (other / id / name).read_bytes(), f"{id}/{name}"
        one, two = (json.loads((each / id / "result.json").read_text()) for each in (root, other))
        assert one.pop("made_with") and two.pop("made_with") and one == two, id


def test_two_workers_make_what_one_process_makes_and_nothing_twice(machines, serial, beside, capfd):
    _, cfgs, alone = serial
    since = len(machines.up().logs) - 3
    with machines.client() as client:
        rows = arl.sweep([*cfgs, cfgs[0]], client=client)
        assert arl.sweep(cfgs, client=client)[1].id == rows[1].id
    said = capfd.readouterr().err
    assert "[6/6]" in said and "left" in said and rows[0].id == rows[2].id
    assert_same(alone, beside)
    assert set(machines.epochs(since).values()) == {1}, "none twice"
    made = [path for path in machines.logs[since:] if "  epoch " in path.read_text()]
    assert len(made) == 2, "both worked"
    assert not list(beside.glob(".cluster-*")), "nothing of the sweep is left in the store"


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(machines, serial, beside):
    file, cfgs, alone = serial
    machines.up()
    with machines.client() as client:
        since = len(machines.logs)
        file.with_name("victim").touch()
        arl.sweep(cfgs, client=client)
    assert not file.with_name("victim").exists()
    assert len([name for name in ("one", "two") if machines.dead(name)]) == 1, "killed with -9"
    assert_same(alone, beside)
    assert len(machines.logs) == since
    assert any("brittle-" in line and "goes on after epoch 2" in line for path in machines.logs for line in path.open())


def test_a_killed_scheduler_is_one_line_and_the_same_command_goes_on(machines, serial, beside, here):
    file, _, alone = serial
    machines.up().client().close()
    command = ["run", "--preset", "tiny", "--plugin", str(file), "--scheduler", machines.address]
    for name, value in {"attacks": "decoder,features,brittle", "epochs": 2, "attack_epochs": 3, "lambda1": 1}.items():
        command += ["--set", f"{name}={value}"]
    file.with_name("victim").write_text(str(machines.processes["scheduler"].pid))
    status, out, err = here(*command)
    assert status == 1 and not out
    assert err.splitlines()[-1].startswith(f"arl: scheduler: found {machines.address} lost"), err
    assert "Traceback" not in err and machines.dead("scheduler")
    for name in ("one", "two"):  # they end by themselves, once the stage has
        machines.processes[name].wait(PATIENCE)
    machines.up().client().close()
    status, out, err = here(*command)
    assert status == 0 and "row-" in out, err
    there = finished(beside)
    assert {id.rpartition("-")[0] for id in there} >= {"row", "encoder", "decoder", "features", "brittle", "warm"}
    for id, folder in there.items():
        assert (folder / "metrics.jsonl").exists() == (alone / id / "metrics.jsonl").exists()
        for name in ("checkpoint.safetensors", "metrics.jsonl"):
            if (folder / name).exists():
                assert (folder / name).read_bytes() == (alone / id / name).read_bytes(), f"{id}/{name}"


def test_a_scheduler_that_goes_away_before_it_had_a_worker_is_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    machines, follow = Machines(tmp_path), cluster.Cluster._follow
    machines.start("scheduler", "--host", machines.address, "--no-dashboard")

    def killed(self, *given):
        machines.down()
        return follow(self, *given)

    monkeypatch.setattr(cluster.Cluster, "_follow", killed)
    monkeypatch.setattr(cluster, "CONNECT", PATIENCE)
    try:
        with cluster.connected(machines.address) as client:
            client._timeout = 1  # to find it again
            with pytest.raises(UserError, match=rf"scheduler: found {machines.address} lost \(") as caught:
                cluster.Cluster(client).run([Stage("C", "C", RunConfig.preset("tiny"), 1.0, math.inf)])
            monkeypatch.setattr(cluster, "CONNECT", 1)
    finally:
        machines.down()
    said = capfd.readouterr().err
    assert "\n" not in str(caught.value)
    assert said == f"no worker yet at {machines.address}: the stages wait for one\n", "Dask is quiet"
    assert not list((tmp_path / "runs").glob(".cluster-*"))


def test_a_worker_that_does_not_fit_is_one_line_before_anything_is_trained(machines, serial, beside, monkeypatch):
    _, cfgs, _ = serial
    with machines.up().client() as client:
        monkeypatch.setattr(cluster, "versions", lambda: worker.versions() | {"torch": "1.0"})
        with pytest.raises(
            ConfigError, match=r"torch: found \d.* on worker tcp://.*, accepted: 1\.0, as here"
        ) as caught:
            arl.sweep(cfgs, client=client)
    assert "\n" not in str(caught.value) and not finished(beside)


def test_what_a_worker_refuses(tmp_path):
    (tmp_path / "token").write_text("token")
    (tmp_path / "mine.py").write_text("1")
    fits = worker.Expected(str(tmp_path), "token", worker.versions(), {})
    worker.check_worker(fits, "tcp://w:1", 1)
    other = fits._replace(store=str(tmp_path / "elsewhere"))
    moved = fits._replace(plugins={str(tmp_path / "mine.py"): "0" * 64})
    for expected, threads, found in (
        (
            fits._replace(versions={"arl": "0.0"}),
            1,
            r"arl: found \S+ \(code \w{8}\) on worker tcp://w:1, accepted: 0\.0",
        ),
        (fits, 4, "workers: found 4 threads in worker tcp://w:1, accepted: one in each, --nthreads 1 --nworkers 4"),
        (other, 1, r"ARL_RUNS: found .*elsewhere not in reach of worker tcp://w:1 \(No such file"),
        (moved, 1, r"plugin: found another .*mine\.py on worker tcp://w:1"),
    ):
        with pytest.raises(ConfigError, match=found) as caught:
            worker.check_worker(expected, "tcp://w:1", threads)
        assert "\n" not in str(caught.value)
    (tmp_path / "token").write_text("of another folder")
    with pytest.raises(ConfigError, match="ARL_RUNS: found another"):
        worker.check_worker(fits, "tcp://w:1", 1)


def test_a_plugin_that_changed_under_a_worker_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_PLUGINS", {})
    file = tmp_path / "mine.py"
    file.write_text("from arl import Defence\nclass Of1(Defence):\n    pass\n")
    try:
        worker._check_plugin(str(file), worker.file_sha256(file), "tcp://w:1")
        file.write_text(file.read_text() + "# now another\n")
        with pytest.raises(ConfigError, match=r"mine\.py as it was before on worker tcp://w:1"):
            worker._check_plugin(str(file), worker.file_sha256(file), "tcp://w:1")
    finally:
        plugins._LOADED.pop(file.resolve(), None)
        arl.Defence.registry.pop("of1", None)


def test_nobody_at_the_address_is_one_line_within_seconds(here, monkeypatch):
    monkeypatch.setenv("ARL_SCHEDULER", "")
    monkeypatch.setattr(cluster, "CONNECT", 1)
    for address in (f"tcp://127.0.0.1:{free_port()}", "nobody", "none://x:1"):
        begun = time.monotonic()
        status, out, err = here("reproduce", "--preset", "tiny", "--scheduler", address, "00")
        assert status == 1 and not out and time.monotonic() - begun < 30
        assert err.count("\n") == 1 and err.startswith(f"arl: --scheduler: found no Dask scheduler at {address} ("), err
    assert not list(Path("runs").glob("data/*")), "nothing was drawn"


def test_without_dask_one_line_names_the_extra(here, monkeypatch):
    monkeypatch.setenv("ARL_SCHEDULER", "")
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = here("run", "--preset", "tiny", "--scheduler", "tcp://127.0.0.1:1")
    assert (status, err) == (1, "arl: --scheduler: Dask is not installed, accepted: after pip install 'arl[cluster]'\n")


def test_what_is_no_client_is_refused():
    with pytest.raises(UserError, match=r"client: found 'tcp://x', accepted: a distributed\.Client"):
        cluster.Cluster("tcp://x")


def test_an_address_in_the_environment_is_the_cluster_s(monkeypatch):
    monkeypatch.setenv("ARL_SCHEDULER", "tcp://x:1")
    assert machine.scheduler() == "tcp://x:1"
    monkeypatch.setenv("ARL_SCHEDULER", "")
    assert machine.scheduler() is None


# -- the files that start a cluster -------------------------------------------------------------------------------


def of_dask(program, arguments):
    """Whether Dask's own command takes these options."""
    from distributed.cli import dask_scheduler, dask_worker

    main = {"scheduler": dask_scheduler, "worker": dask_worker}[program].main
    known = {name for parameter in main.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {each for each in arguments if each.startswith("--")} <= known


def test_the_file_for_kubernetes_is_what_the_operator_takes():
    """By the schema of kubernetes.dask.org/v1, and by what the parts call one another."""
    claim, dask, job = yaml.safe_load_all((ROOT / "arl" / "cluster" / "kubernetes.yaml").read_text())
    assert (dask["apiVersion"], dask["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    made, scheduler = dask["spec"]["worker"], dask["spec"]["scheduler"]
    assert set(made) == {"replicas", "spec"} and set(scheduler) == {"spec", "service"} and type(made["replicas"]) is int
    (of_worker,), (of_scheduler,) = made["spec"]["containers"], scheduler["spec"]["containers"]
    for container in (of_worker, of_scheduler):
        assert container["args"][0] == "dask" and of_dask(container["args"][1], container["args"][2:])
        assert container["args"][1] == container["name"]
        assert all(type(each["value"]) is str for each in container["env"])
    threads = of_worker["args"].index("--nthreads")
    assert of_worker["args"][threads + 1] == "1" and "$(DASK_WORKER_NAME)" in of_worker["args"]
    assert KEEP_MEMORY.items() <= {each["name"]: each["value"] for each in of_worker["env"]}.items()
    service, ports = scheduler["service"], {port["name"] for port in of_scheduler["ports"]}
    assert service["selector"] == {"dask.org/cluster-name": dask["metadata"]["name"], "dask.org/component": "scheduler"}
    assert (
        {port["targetPort"] for port in service["ports"]} == ports >= {of_scheduler["livenessProbe"]["httpGet"]["port"]}
    )

    pod = job["spec"]["template"]["spec"]
    (of_client,) = pod["containers"]
    assert len({each["image"] for each in (of_worker, of_scheduler, of_client, *pod["initContainers"])}) == 1
    address = f"tcp://{dask['metadata']['name']}-scheduler:8786"
    assert of_client["args"] == ["arl", "reproduce", "--scheduler", address] and address in str(pod["initContainers"])
    for each in (made["spec"], pod):
        (volume,), (mount,) = each["volumes"], each["containers"][0]["volumeMounts"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount == {"name": volume["name"], "mountPath": "/store"}
    assert {"name": "ARL_RUNS", "value": "/store/runs"} in of_client["env"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


# What dask_jobqueue.SLURMCluster takes, by its documentation (0.9).
OF_SLURM = """queue account walltime job_cpu cores processes memory interface worker_extra_args job_extra_directives
    job_script_prologue log_directory python""".split()


@pytest.mark.parametrize("gpus", [False, True])
def test_a_slurm_job_has_a_worker_a_core_or_one_with_a_gpu(gpus):
    found = slurm.options(16, "48GB", "08:00:00", gpus, ("--constraint=fast",), queue="long", account=None)
    assert set(found) <= set(OF_SLURM) and found["queue"] == "long" and "account" not in found
    assert found["cores"] == found["processes"] == (1 if gpus else 16), "one thread each"
    assert found.get("job_cpu", found["cores"]) == 16
    assert of_dask("worker", found["worker_extra_args"]) and found["worker_extra_args"][:2] == ["--lifetime", "475m"]
    assert ("GPU=1" in found["worker_extra_args"]) == gpus == ("--gres=gpu:1" in found["job_extra_directives"])
    assert "--constraint=fast" in found["job_extra_directives"]
    for wrong in ("8h", "10:00", "1-00:00:00", "::"):
        with pytest.raises(UserError, match=f"--walltime: found '{wrong}', accepted"):
            slurm.options(1, "1GB", wrong, gpus)


def test_the_program_for_slurm_gives_its_command_the_address(monkeypatch, tmp_path):
    """With a stand-in for dask-jobqueue; what a real one would write is shown by --show."""
    given = {}

    class SLURMCluster:
        scheduler_address = "tcp://node:1"

        def __init__(self, **keywords):
            given.update(keywords)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            given["closed"] = True

        def scale(self, jobs):
            given["jobs"] = jobs

        def job_script(self):
            return "#!/bin/sh"

    run = click.testing.CliRunner().invoke
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    assert "pip install 'arl[cluster]' dask-jobqueue" in str(run(slurm.main, ["--show"]).exception)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", types.SimpleNamespace(SLURMCluster=SLURMCluster))
    assert run(slurm.main, ["--show"]).output == "#!/bin/sh\n" and "jobs" not in given
    program = f"import os, pathlib, sys; pathlib.Path({str(tmp_path / 'said')!r}).write_text(os.environ['ARL_SCHEDULER']); sys.exit(3)"
    ran = run(slurm.main, ["--jobs", "4", "--queue", "long", "--", sys.executable, "-c", program])
    assert ran.exit_code == 3 and ran.output == "tcp://node:1\n" and given["jobs"] == 4 and given["closed"]
    assert (tmp_path / "said").read_text() == "tcp://node:1"
    assert "--walltime" in str(run(slurm.main, ["--walltime", "soon"]).exception)
