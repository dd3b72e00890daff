"""The run store: made once, atomically, resumed, checked."""

import builtins
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from arl import store as room
from arl import training
from arl.messages import UserError
from arl.store import (
    DamagedError,
    Run,
    files,
    find_run,
    obtain,
    pack,
    part_of,
    provenance,
    run_id,
    runs,
    runs_root,
    stored,
    tidy,
    unpack,
)

SPEC = {"kind": "test", "lambda1": 1.0}


def make(run):
    run.save({"w": torch.arange(4.0)}, epoch=3)
    run.log(epoch=3, loss=0.5)
    return {"checkpoint": True, "loss": 0.5}


def never(run):
    raise AssertionError("a finished run is found, not made")


def test_the_id_is_a_function_of_the_content_alone():
    assert run_id({"kind": "a", "x": 1, "y": [2]}) == run_id({"y": [2], "x": 1, "kind": "a"})
    assert run_id({"kind": "a", "x": 1}) != run_id({"kind": "a", "x": 2})
    assert run_id(SPEC) == "test-" + run_id(SPEC).split("-")[1] and len(run_id(SPEC).split("-")[1]) == 12
    with pytest.raises(ValueError, match="JSON"):
        run_id({"kind": "a", "x": float("nan")})


def test_a_run_is_made_once_and_then_found(tmp_path):
    run = obtain(SPEC, make, root=tmp_path)
    made_with = run.result.pop("made_with")
    assert made_with["commit"] and made_with["torch"], "whoever finds the run can tell which code made it"
    assert run.result == {"checkpoint": True, "loss": 0.5, "made_with": made_with}
    assert run.spec == SPEC and run.metrics == [{"epoch": 3, "loss": 0.5}]
    again = obtain(SPEC, never, root=tmp_path)
    assert again.id == run.id and again.load()[1] == {"epoch": 3}
    assert torch.equal(again.load()[0]["w"], torch.arange(4.0))


def test_a_failed_run_does_not_exist_and_goes_on_from_its_checkpoint(tmp_path):
    def fail(run):
        run.save({"w": torch.ones(2)}, epoch=1)
        run.log(epoch=1, loss=1.0)
        run.log(epoch=2, loss=2.0)  # killed between this line and its checkpoint
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        obtain(SPEC, fail, root=tmp_path)
    assert Run(tmp_path / run_id(SPEC)).result is None

    def resume(run):
        tensors, state = run.resume()
        assert state == {"epoch": 1} and torch.equal(tensors["w"], torch.ones(2))
        assert run.metrics == [{"epoch": 1, "loss": 1.0}], "the epoch that has no checkpoint is logged again"
        return {}

    assert set(obtain(SPEC, resume, root=tmp_path).result) == {"made_with"}


@pytest.mark.parametrize("where", [10, 100, -2])
def test_a_damaged_checkpoint_is_detected_and_the_run_redone(tmp_path, where, capfd):
    path = obtain(SPEC, make, root=tmp_path).folder / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[where] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="checkpoint.safetensors"):
        Run(path.parent).load()
    calls = []
    run = obtain(SPEC, lambda run: calls.append(1) or make(run), root=tmp_path)
    assert calls == [1] and torch.equal(run.load()[0]["w"], torch.arange(4.0))
    assert "made again" in capfd.readouterr().err


@pytest.mark.parametrize("content", [{}, {"loss": 0.1, "checkpoint": True}, {"mine": 1}])
def test_a_foreign_result_is_written_again_from_the_checkpoint(tmp_path, content, capfd):
    def make(run):
        run.save({"w": torch.ones(2)}, epoch=1, result={"loss": 0.5, "shape": [1, 2]})
        return {"loss": 0.5, "shape": (1, 2)}

    path = obtain(SPEC, make, root=tmp_path).folder / "result.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps(content))
    obtain(SPEC, never, root=tmp_path)
    assert json.loads(path.read_text()) == before and "not what the run ended with" in capfd.readouterr().err


def test_a_cut_checkpoint_of_an_unfinished_run_starts_it_again(tmp_path, capfd):
    run = Run(tmp_path)
    run.save({"w": torch.ones(100)}, epoch=5)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    assert run.resume() is None and "starts again" in capfd.readouterr().err


def test_a_result_that_is_not_json_counts_as_none(tmp_path):
    run = obtain(SPEC, make, root=tmp_path)
    (run.folder / "result.json").write_text('{"loss": 0.')
    assert run.result is None
    assert obtain(SPEC, make, root=tmp_path).result["loss"] == 0.5


def test_two_processes_make_it_once(tmp_path):
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from arl.store import obtain
        def make(run):
            with open({str(tmp_path / "made")!r}, "a") as file:
                file.write("x")
            time.sleep(1)
            return {{"n": 1}}
        print(obtain({SPEC!r}, make, root=Path({str(tmp_path)!r})).result["n"])
    """)
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate(timeout=120)[0].strip() for p in both] == ["1"] * 2
    assert (tmp_path / "made").read_text() == "x"


def test_kill_9_loses_nothing_and_blocks_nobody(tmp_path):
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        import torch
        from arl.store import obtain
        def make(run):
            kept = run.resume()
            start = kept[1]["epoch"] if kept else 0
            for epoch in range(start + 1, 4):
                run.save({{"w": torch.full((2,), float(epoch))}}, epoch=epoch)
                run.log(epoch=epoch)
                if epoch == 2 and start == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return {{"started_after": start}}
        print(obtain({SPEC!r}, make, root=Path({str(tmp_path)!r})).result["started_after"])
    """)
    first = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert first.returncode == -9
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert second.stdout.strip() == "2", second.stderr


def test_modules_and_optimisers_survive_the_round_trip_exactly(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    adam = torch.optim.AdamW(net.parameters(), lr=0.1, fused=True)

    def step(net, adam):
        adam.zero_grad()
        net(torch.ones(2, 3, 5, 5).cumsum(-1)).square().mean().backward()
        adam.step()

    step(net, adam)
    run = Run(tmp_path)
    run.save(pack(net=net, adam=adam), epoch=1)
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    other_adam = torch.optim.AdamW(other.parameters(), lr=0.1, fused=True)
    unpack(run.load()[0], net=other, adam=other_adam)
    step(net, adam)
    step(other, other_adam)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_find_names_one_run_and_lists_several(tmp_path):
    a = obtain({"kind": "encoder", "x": 1}, lambda run: {}, root=tmp_path)
    b = obtain({"kind": "encoder", "x": 2}, lambda run: {}, root=tmp_path)
    assert {run.id for run in stored(tmp_path)} == {a.id, b.id}
    assert find_run(a.id, tmp_path).id == a.id and find_run(b.id.split("-")[1][:6], tmp_path).id == b.id
    with pytest.raises(UserError, match="found 2 runs"):
        find_run("encoder", tmp_path)
    with pytest.raises(UserError, match="found no run for 'nothing'"):
        find_run("nothing", tmp_path)


def test_only_safetensors_and_json_are_written(tmp_path):
    run = obtain(SPEC, make, root=tmp_path)
    assert {p.suffix for p in run.folder.iterdir()} == {".json", ".jsonl", ".safetensors"}
    for path in run.folder.glob("*.json"):
        json.loads(path.read_text())
    assert "pickle" not in open(runs.__file__).read()


# -- a run is the journal of a training ---------------------------------------------------------------------------


def network(width=4):
    torch.manual_seed(width)
    net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
    adam = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(torch.randn(5, 3)).square().sum().backward()
    adam.step()
    return {"net": net, "adam": adam}


def test_keep_writes_what_log_and_save_write(tmp_path):
    parts = network()
    a, b = Run(tmp_path / "a"), Run(tmp_path / "b")
    a.folder.mkdir(), b.folder.mkdir()
    a.log(epoch=2, loss=0.25)
    a.save(pack(**parts), epoch=2, cuts=1)
    b.keep(parts, {"epoch": 2, "loss": 0.25}, epoch=2, cuts=1)
    for name in ("checkpoint.safetensors", "metrics.jsonl"):
        assert (a.folder / name).read_bytes() == (b.folder / name).read_bytes()


def test_restore_loads_the_last_epoch_and_forgets_later_lines(tmp_path):
    run, parts = Run(tmp_path), network()
    assert run.restore(parts) == {}
    run.keep(parts, {"epoch": 1, "loss": 2.0}, epoch=1, waited=3)
    run.log(epoch=2, loss=1.0)
    others = network()
    with torch.no_grad():
        others["net"][0].weight.zero_()
    assert run.restore(others) == {"epoch": 1, "waited": 3}
    assert all(torch.equal(t, pack(**parts)[name]) for name, t in pack(**others).items())
    assert run.metrics == [{"epoch": 1, "loss": 2.0}]


def test_restore_leaves_a_part_that_was_not_kept_and_refuses_half_of_one(tmp_path):
    run, parts = Run(tmp_path), network()
    run.keep(parts, {"epoch": 1}, epoch=1)
    more = network() | {"average": nn.Linear(2, 2), "net2": nn.Linear(1, 1)}
    before = more["average"].weight.clone()
    assert run.restore(more) == {"epoch": 1} and torch.equal(more["average"].weight, before)
    half = {name: t for name, t in pack(**parts).items() if name != "net/0.bias"}
    run.save(half, epoch=1)
    with pytest.raises(RuntimeError, match="0.bias"):
        run.restore(network())


def test_restore_starts_again_where_the_checkpoint_is_damaged(tmp_path, capfd):
    run, parts = Run(tmp_path), network()
    run.keep(parts, {"epoch": 1}, epoch=1)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    assert run.restore(parts) == {} and run.metrics == [] and "starts again" in capfd.readouterr().err


@pytest.mark.parametrize("took, kept", [(0.4, [1, 2, 3, 4, 5, 6, 7]), (2.0, [1, 4, 7]), (200.0, [1, 7])])
def test_checkpoints_that_take_long_are_written_less_often_and_the_last_one_always(tmp_path, monkeypatch, took, kept):
    """Epochs of 7.5 seconds; the writing of a checkpoint takes `took`."""
    now = [100.0]
    monkeypatch.setattr("arl.store.runs.time.monotonic", lambda: now[0])
    run, parts, saved = Run(tmp_path), network(), []

    def save(tensors, **state):
        saved.append(state["epoch"])
        now[0] += took

    run.save = save
    for _ in training.epochs(run, parts, 7):
        now[0] += 7.5
    assert saved == kept
    assert [line["epoch"] for line in run.metrics] == [1, 2, 3, 4, 5, 6, 7], "all of them are logged"


def test_what_was_not_kept_is_trained_again_to_the_same_bytes(tmp_path, monkeypatch):
    """Killed in epoch 5 when 1 was kept last: 2 to 4 come again, each line once."""
    monkeypatch.setattr("arl.store.runs.CHEAP", -1.0)
    monkeypatch.setattr("arl.store.runs.SHARE", 1e-9)

    def train(run, until=9):
        parts = network()
        for epoch in training.epochs(run, parts, 6):
            if epoch.number == until:
                return None
            with torch.no_grad():
                parts["net"][0].weight.mul_(1 + epoch.number / 10)
        return pack(**parts)

    whole, cut = Run(tmp_path / "whole"), Run(tmp_path / "cut")
    whole.folder.mkdir(), cut.folder.mkdir()
    expected = train(whole)
    train(cut, until=5)
    assert cut.load()[1]["epoch"] == 1 and len(cut.metrics) == 4
    again = train(Run(cut.folder))
    assert all(torch.equal(again[name], t) for name, t in expected.items())
    assert [line["epoch"] for line in cut.metrics] == [1, 2, 3, 4, 5, 6] and cut.load()[1]["epoch"] == 6


# -- what the system says -----------------------------------------------------------------------------------------


def one_line(caught, *parts):
    text = str(caught.value)
    assert "\n" not in text and ", accepted: " in text and "Traceback" not in text, text
    for part in parts:
        assert str(part) in text, text


def test_a_store_that_is_a_file_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    for root in (file, file / "below" / "it"):
        with pytest.raises(UserError) as caught:
            obtain(SPEC, make, root=root)
        one_line(caught, root, "a file where a folder is wanted")
    with pytest.raises(UserError) as caught:
        list(stored(file))
    one_line(caught, file, "a file where a folder is wanted")


@pytest.mark.parametrize("name, why", [("n" * 300, "too long"), ("λ" * 200, "too long"), ("a/" * 3000, "too long")])
def test_a_name_that_is_too_long_is_named(tmp_path, name, why):
    for act in (lambda: obtain(SPEC, make, root=tmp_path / name), lambda: list(stored(tmp_path / name))):
        with pytest.raises(UserError) as caught:
            act()
        one_line(caught, why)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
@pytest.mark.parametrize("root", ["/proc/store", "/proc/self/fd/store", "/dev/null", "/dev/null/store"])
def test_a_place_that_is_not_for_files_is_named(root):
    with pytest.raises(UserError) as caught:
        obtain(SPEC, make, root=Path(root))
    one_line(caught, root)


REFUSALS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EACCES: "no permission: it belongs to",
    errno.EPERM: "no permission",
    errno.EIO: "does not answer",
    errno.ESTALE: "network folder",
    errno.EMFILE: "too many open files",
    errno.ENXIO: os.strerror(errno.ENXIO),  # one that has no words of its own
}


def refuse(monkeypatch, number, where=lambda path: True):
    """Whatever opens a file to write, makes a folder or replaces a file that `where` names gets the system's error `number`."""
    for name in ("open", "mkdir", "replace"):
        real = getattr(Path, name)

        def fail(self, *args, real=real, name=name, **kwargs):
            writes = name != "open" or (args and str(args[0])[0] in "wax")
            if writes and where(self):
                raise OSError(number, os.strerror(number), str(self))
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, name, fail)


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("file", ["", "config.json", "metrics.jsonl", "checkpoint.safetensors", "result.json"])
def test_what_the_system_refuses_is_one_line_that_names_the_file(tmp_path, monkeypatch, number, file):
    target = tmp_path / run_id(SPEC) / file
    refuse(monkeypatch, number, lambda path: path == target or (file and path.name.startswith(f".{file}.")))
    with pytest.raises(UserError) as caught:
        obtain(SPEC, make, root=tmp_path)
    one_line(caught, target, REFUSALS[number])
    assert isinstance(caught.value.__cause__, OSError) and not list(tmp_path.rglob("*.part"))


def test_a_full_disk_leaves_the_last_checkpoint_and_no_part(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.save({"w": torch.ones(2)}, epoch=1)
    real = os.fsync

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as caught:
        run.save({"w": torch.zeros(2)}, epoch=2)
    one_line(caught, tmp_path / "checkpoint.safetensors", "no space left", "the same command goes on")
    monkeypatch.setattr(os, "fsync", real)
    assert run.load()[1] == {"epoch": 1} and [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EPERM])
@pytest.mark.parametrize("file", ["checkpoint.safetensors", "result.json"])
def test_a_file_that_may_not_be_read_is_named_and_not_made_again(tmp_path, monkeypatch, number, file):
    path = obtain(SPEC, make, root=tmp_path).folder / file
    content = path.read_bytes()
    for where, real in ((Path, Path.open), (builtins, open)):

        def fail(name, *args, real=real, **kwargs):
            if str(name) == str(path):
                raise OSError(number, os.strerror(number), str(name))
            return real(name, *args, **kwargs)

        monkeypatch.setattr(where, "open", fail)
    with pytest.raises(UserError) as caught:
        obtain(SPEC, never, root=tmp_path)
    one_line(caught, path, *(["a file that you can read"] if number != errno.EIO else []))
    monkeypatch.undo()
    assert path.read_bytes() == content


def test_a_read_only_copy_is_read_without_writing(tmp_path, monkeypatch):
    result = obtain(SPEC, make, root=tmp_path / "store").result
    shutil.copytree(tmp_path / "store", tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(tmp_path / "store")
    refuse(monkeypatch, errno.EROFS)
    monkeypatch.setattr(files, "FileLock", None)
    copy = tmp_path / "copy"
    before = sorted(p.name for p in copy.rglob("*"))
    run = obtain(SPEC, never, root=copy)
    assert run.result == result
    assert [r.id for r in stored(copy)] == [run.id] and find_run(run.id[5:9], copy).load()[1] == {"epoch": 3}
    assert run.metrics and room.sound(run) and sorted(p.name for p in copy.rglob("*")) == before


# -- locks --------------------------------------------------------------------------------------------------------


def without_locks(monkeypatch, number):
    import fcntl

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gets_a_file_that_names_its_owner(tmp_path, monkeypatch, number):
    without_locks(monkeypatch, number)

    def look(run):
        owner = tmp_path / f".{run.id}.owner"
        assert str(os.getpid()) in owner.read_text()
        return make(run)

    run = obtain(SPEC, look, root=tmp_path)
    assert run.result["loss"] == 0.5 and not list(tmp_path.glob("*.owner"))


def test_an_owner_that_is_dead_is_followed(tmp_path, monkeypatch):
    program = f"""
import errno, fcntl, os
from pathlib import Path
def flock(file, operation):
    raise OSError(errno.ENOLCK, "no locks")
fcntl.flock = flock
from arl.store import locked
with locked(Path({str(tmp_path / run_id(SPEC))!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert (tmp_path / f".{run_id(SPEC)}.owner").exists()
    without_locks(monkeypatch, errno.ENOLCK)
    assert obtain(SPEC, make, root=tmp_path).result["loss"] == 0.5


def test_an_owner_on_another_machine_is_followed_when_it_no_longer_says_that_it_is_there(tmp_path, monkeypatch, capsys):
    """Only who is dead says nothing: the lease of who is at work is renewed, and nobody takes it."""
    without_locks(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(files, "LEASE", 3.0)
    owner = tmp_path / f".{run_id(SPEC)}.owner"
    with files.locked(tmp_path / run_id(SPEC)):
        begun = owner.stat().st_mtime_ns
        mine = owner.read_text()
        deadline = time.monotonic() + 60
        while owner.stat().st_mtime_ns == begun:
            assert time.monotonic() < deadline, "it is renewed"
            time.sleep(0.05)
    assert not owner.exists()
    owner.write_text(mine.replace(socket.gethostname(), "another-machine"))
    with files.tried(tmp_path / run_id(SPEC)) as free:
        assert not free
    assert obtain(SPEC, make, root=tmp_path).result["loss"] == 0.5


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
def test_a_lock_that_cannot_be_had_is_one_line(tmp_path, monkeypatch, number):
    without_locks(monkeypatch, number) if number == errno.EIO else monkeypatch.setattr(
        files, "FileLock", Refusing(number)
    )
    with pytest.raises(UserError) as caught:
        obtain(SPEC, make, root=tmp_path)
    one_line(caught, f".{run_id(SPEC)}.lock")


class Refusing:
    def __init__(self, number):
        self.number = number

    def __call__(self, path):
        return self

    def acquire(self):
        raise OSError(self.number, os.strerror(self.number))


# -- what others left ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", '"row"', "{", '{"kind": 3}', '{"kind": "row"}', "[" * 100_000, '{"model_type": "bert"}'],
)
def test_a_foreign_configuration_is_left_out_and_said_once(tmp_path, content, capfd):
    run = obtain(SPEC, make, root=tmp_path)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.json").write_text(content)
    for _ in range(2):
        assert [r.id for r in stored(tmp_path)] == [run.id]
        assert find_run("test", tmp_path).id == run.id
    said = capfd.readouterr().err
    assert said.count(str(tmp_path / "foreign" / "config.json")) == 1 and said.count("\n") == 2, said


def test_other_foreign_things_are_left_out(tmp_path):
    run = obtain(SPEC, make, root=tmp_path)
    shutil.copytree(run.folder, tmp_path / "test-copy of mine")  # a copy under another name is not another run
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "config.json").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "folder" / "config.json").mkdir(parents=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "data").mkdir()
    assert [r.id for r in stored(tmp_path)] == [run.id]


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_files_of_dead_processes_go_at_the_next_start_and_others_stay(tmp_path):
    folder = obtain(SPEC, make, root=tmp_path).folder
    here, dead = files.platform.node(), dead_process()
    gone = [
        folder / f".result.json.{dead}@{here}.part",
        tmp_path / "data" / "faces-1" / f".images.u8.{dead}@{here}.part",
    ]
    old = [
        folder / f".config.json.{dead}.part",
        folder / f".x.json.{os.getpid()}@{here}.part",
        folder / ".y.1@elsewhere.part",
    ]
    stay = [
        part_of(folder / "metrics.jsonl"),
        folder / f".result.json.{dead}.part",
        folder / f".z.{dead}@elsewhere.part",
    ]
    stay += [folder / "images.part", folder / ".hidden.part", folder / f".result.json.{dead}@{here}.parts"]
    for path in gone + old + stay:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    long_ago = time.time() - 2 * 86400
    for path in old:
        os.utime(path, (long_ago, long_ago))
    tidy(tmp_path)
    assert not [p for p in gone + old if p.exists()] and all(p.exists() for p in stay)


def test_kill_9_in_a_write_leaves_no_part_after_the_next_start(tmp_path):
    program = f"""
import os
from pathlib import Path
from arl import store
os.fsync = lambda file: os.kill(os.getpid(), 9)
store.obtain({SPEC!r}, None, root=Path({str(tmp_path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert len(list(tmp_path.rglob("*.part"))) == 1
    obtain({"kind": "other"}, lambda run: {}, root=tmp_path)  # any start in this store
    assert not list(tmp_path.rglob("*.part"))


# -- where it stands, and where it comes from ---------------------------------------------------------------------


def test_the_store_is_absolute_and_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARL_RUNS", "./mine/../mystore")
    assert runs_root() == tmp_path / "mystore"
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir("notebooks")
    assert runs_root() == tmp_path / "mystore"
    monkeypatch.setattr(os, "environ", dict(os.environ))
    room.settle()
    assert os.environ["ARL_RUNS"] == str(tmp_path / "mystore")


@pytest.fixture
def installed(tmp_path):
    """A wheel's package in a folder of its own, and a user's project: a git repository with notebooks."""
    site, project = tmp_path / "site", tmp_path / "project"
    shutil.copytree(provenance.PACKAGE, site / "arl", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "notebooks").mkdir(parents=True)
    (project / "notebooks" / "01_send_invoices.ipynb").write_text("{}")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "mine"]):
        subprocess.run(["git", "-C", project, *command], check=True)
    return site, project


@pytest.mark.parametrize("neighbour", [None, '[project]\nname = "invoices"\n', "[tool.x]\n", "not toml ["])
@pytest.mark.parametrize("vendored", [False, True])
def test_an_installed_package_takes_no_other_project_for_its_own(installed, neighbour, vendored):
    site, project = installed
    if vendored:  # the package inside the user's repository
        site = shutil.copytree(site, project / "vendor")
    if neighbour is not None:
        (site / "pyproject.toml").write_text(neighbour)
    program = "from arl import store as s\n"
    program += "print(s.checkout(), s.project_root(), s.home(), s.runs_root(), s.made_with()['commit'], sep='\\n')"
    env = {k: v for k, v in os.environ.items() if not k.startswith("ARL_")} | {"PYTHONPATH": str(site)}
    ran = subprocess.run([sys.executable, "-P", "-c", program], cwd=project, env=env, capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["None", str(site / "arl"), str(project), str(project / "runs"), "unknown"], (
        ran.stderr
    )


def test_a_checkout_says_its_commit_and_a_copy_inside_another_repository_does_not(installed, monkeypatch):
    root = provenance.checkout()
    assert root is None or (root / "notebooks").is_dir()
    _, project = installed
    head = provenance._git(project, "rev-parse", "HEAD")
    assert provenance._commit(project) == head
    assert provenance._commit(project / "notebooks") == "unknown", "an unpacked archive in somebody's repository"
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    assert provenance._commit(project.parent) == "unknown", "a hook's repository is not ours"
