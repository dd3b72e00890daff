"""The run store: made once, atomically, resumed, checked."""

import json
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from arl.store import DamagedError, Run, find, obtain, pack, run_id, runs, stored, unpack

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
    assert find(a.id, tmp_path).id == a.id and find(b.id.split("-")[1][:6], tmp_path).id == b.id
    with pytest.raises(LookupError, match="found 2 runs"):
        find("encoder", tmp_path)
    with pytest.raises(LookupError, match="found no run for 'nothing'"):
        find("nothing", tmp_path)


def test_only_safetensors_and_json_are_written(tmp_path):
    run = obtain(SPEC, make, root=tmp_path)
    assert {p.suffix for p in run.folder.iterdir()} == {".json", ".jsonl", ".safetensors"}
    for path in run.folder.glob("*.json"):
        json.loads(path.read_text())
    assert "pickle" not in open(runs.__file__).read()
