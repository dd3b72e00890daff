"""The environment, checked where it is read; children that end with their parent; what is said, whoever listens."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arl import machine, messages
from arl.messages import ConfigError, say

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "1e3", " ", "2 4", "²", "1_0", "99999999999", "1025"])
@pytest.mark.parametrize("name, read", [("ARL_THREADS", machine.threads), ("ARL_WORKERS", machine.workers)])
def test_a_number_that_cannot_be_used_is_named(monkeypatch, name, read, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError) as caught:
        read()
    line = str(caught.value)
    assert line == f"{name}: found {text!r}, accepted: a whole number from 1 to 1024"


def test_numbers_that_can_be_used(monkeypatch):
    monkeypatch.setenv("ARL_DEVICE", "cpu")
    monkeypatch.setenv("ARL_THREADS", " 3 ")
    monkeypatch.setenv("ARL_WORKERS", "1024")
    assert (machine.threads(), machine.workers(), machine.threads_are_set()) == (3, 1024, True)
    monkeypatch.setenv("ARL_THREADS", "")  # empty is unset
    monkeypatch.delenv("ARL_WORKERS")
    assert 1 <= machine.cores() <= os.cpu_count() and not machine.threads_are_set()
    assert machine.threads() == max(1, machine.cores() // 2)
    assert machine.workers() == machine.cores()


def test_all_threads_are_for_a_while_and_only_where_nobody_says_how_many(monkeypatch):
    import torch

    monkeypatch.setattr(machine, "cores", lambda: 4)
    with machine.all_threads():
        assert machine.threads() == 1, "who says so"
    monkeypatch.delenv("ARL_THREADS")
    before = torch.get_num_threads()
    try:
        with pytest.raises(KeyError), machine.all_threads():
            assert machine.threads() == torch.get_num_threads() == 4
            raise KeyError
        assert machine.threads() == torch.get_num_threads() == 2 and not machine.threads_are_set()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("text", ["fp16", "bfloat16", "32", "BF16", " "])
def test_a_precision_that_is_none_is_named(monkeypatch, text):
    monkeypatch.setenv("ARL_PRECISION", text)
    with pytest.raises(ConfigError) as caught:
        machine.prepare()
    assert str(caught.value) == f"ARL_PRECISION: found {text!r}, accepted: float32 or bf16"


@pytest.fixture
def undecided(monkeypatch):
    """A CPU and nobody who says in which precision; what a test decides is forgotten after it."""
    from arl import training

    monkeypatch.setenv("ARL_DEVICE", "cpu")
    monkeypatch.delenv("ARL_PRECISION")
    for name in ("BF16_LEARNS", "BF16_READS"):
        monkeypatch.setattr(training, name, {"cuda"})
    measured = machine.bf16_gain
    measured.cache_clear()
    yield
    measured.cache_clear()


@pytest.mark.parametrize(
    "asked, gain, found",
    [("", 1.1, "float32"), ("", 1.2, "bf16"), ("", 0.0, "float32"), ("float32", 2.0, "float32"), ("bf16", 0.1, "bf16")],
)
def test_the_precision_is_what_gains_unless_somebody_says(monkeypatch, undecided, asked, gain, found):
    import torch

    from arl import training
    from arl.store import made_with

    monkeypatch.setattr(machine, "bf16_gain", lambda: gain)
    monkeypatch.setenv("ARL_PRECISION", asked)
    there = machine.prepare()
    one = torch.ones(2, 2)
    with training.learning(there):
        product = one @ one
    with training.precision(there):
        assert (one @ one).dtype == torch.float32, "what is measured is exact"
    assert machine.precision() == found
    assert product.dtype == (torch.bfloat16 if found == "bf16" else torch.float32)
    assert made_with().get("precision", "float32") == found and "device" not in made_with()
    monkeypatch.setenv("ARL_PRECISION", "float32")
    assert machine.prepare().type not in training.BF16_LEARNS, "it is decided anew each time"


def test_a_cpu_without_instructions_for_bf16_is_not_asked(monkeypatch, undecided):
    import torch

    monkeypatch.setattr(machine, "_cpu_flags", lambda: ["avx2", "avx512f"])
    monkeypatch.setattr(torch.nn, "Conv2d", None)  # which a probe would need
    assert machine.bf16_gain() == 0 and machine.precision() == "float32"


def test_one_with_them_is_measured(monkeypatch, undecided):
    monkeypatch.setattr(machine, "_cpu_flags", lambda: ["avx512_bf16"])
    gain = machine.bf16_gain()
    assert gain > 0 and machine.bf16_gain() == gain, "once a process"
    assert machine.precision() == ("bf16" if gain >= machine.PAYS else "float32")


@pytest.mark.parametrize("text", ["gpu", "cuda:99", "cuda:x", "CPU", "cpu:0", "meta", "tpu", "cuda:-1", "0"])
def test_a_device_that_is_not_there_is_named(monkeypatch, text):
    monkeypatch.setenv("ARL_DEVICE", text)
    with pytest.raises(ConfigError, match=r"^ARL_DEVICE: found '.*, accepted here: .*cpu$") as caught:
        machine.prepare()
    assert "\n" not in str(caught.value)


def test_cuda_is_refused_where_it_is_not_and_taken_where_it_is(monkeypatch):
    import torch

    monkeypatch.setenv("ARL_DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="not on this machine"):
        machine.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.device() == torch.device("cuda")
    monkeypatch.setenv("ARL_DEVICE", "cuda:1")
    assert machine.device() == torch.device("cuda:1")
    monkeypatch.setenv("ARL_WORKERS", "4")
    assert machine.workers() == 1, "workers would share the accelerator"


def test_folders_are_absolute_where_they_were_first_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARL_RUNS", "some store")
    assert machine.folder("ARL_RUNS") == tmp_path / "some store"
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert machine.folder("ARL_RUNS") == tmp_path / "some store"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("ARL_RUNS", "~/a store")
    assert machine.folder("ARL_RUNS") == tmp_path / "me" / "a store"
    monkeypatch.setenv("ARL_RUNS", "")
    assert machine.folder("ARL_RUNS") is None


@pytest.mark.parametrize("name", ["ARL_RUNS", "ARL_FIGURES"])
@pytest.mark.parametrize("text", ["~nosuchuser", "~nosuchuser/runs", "~no.such.user/a b"])
def test_a_user_that_is_not_there_is_named(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError, match=f"^{name}: found '{text}'.*accepted: a folder$"):
        machine.folder(name)


@pytest.mark.parametrize("text", ["a\udcff", "/tmp/\udce9/runs"])
def test_a_folder_whose_name_is_not_utf_8_is_named(monkeypatch, text):
    monkeypatch.setattr(os, "environ", {"ARL_RUNS": text})
    with pytest.raises(ConfigError, match="^ARL_RUNS: found .*, which is not UTF-8, accepted: a folder$") as caught:
        machine.folder("ARL_RUNS")
    str(caught.value).encode()


def test_torch_is_not_imported_before_it_is_used():
    program = (
        "import sys, arl.machine, arl.messages, arl.store; arl.machine.threads(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True)


# -- children -----------------------------------------------------------------------------------------------------


def gone(pid, seconds=15):
    """Whether a process ends within `seconds`; one that nobody has waited for has ended too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def write(path, text):
    path.write_text(text)
    return path


SLEEPER = "import os, sys, time\nprint(os.getpid(), *sys.argv[1:], flush=True)\ntime.sleep(600)\n"
PARENT = """
import signal, sys, time
from arl import machine
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    child = machine.child(sys.argv[1], "a b", "--x=1", **eval(sys.argv[3]))
    if sys.argv[2] == "refuse":
        time.sleep(3)
        raise SystemExit("a refusal")
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks in /proc")
@pytest.mark.parametrize("how", ["refuse", signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", ["{}", "{'process_group': 0}", "{'start_new_session': True}"])
def test_a_child_ends_with_its_parent_however_that_ends(tmp_path, how, options):
    write(tmp_path / "sleeper.py", SLEEPER)
    program = write(tmp_path / "parent.py", PARENT)
    env = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, str(program), "sleeper", "refuse" if how == "refuse" else "wait", options]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        pid, *arguments = parent.stdout.readline().split(" ", 1)
        assert arguments == ["a b --x=1\n"]
        if how != "refuse":
            parent.send_signal(how)
        try:
            parent.wait(60)
        finally:
            parent.kill()
        assert gone(int(pid))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks in /proc")
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's doing")
def test_a_paused_child_in_a_group_of_its_own_ends_too(tmp_path):
    write(tmp_path / "sleeper.py", SLEEPER)
    program = write(tmp_path / "parent.py", PARENT)
    env = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, str(program), "sleeper", "wait", "{'process_group': 0}"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline().split()[0])
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
        parent.wait(60)
        assert gone(pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks in /proc")
def test_a_pools_workers_that_follow_end_with_their_parent(tmp_path):
    program = write(
        tmp_path / "parent.py",
        "import multiprocessing, os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from arl.watch import follow\n"
        "if __name__ == '__main__':\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    with ProcessPoolExecutor(1, spawn, initializer=follow, initargs=(os.getpid(),)) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        time.sleep(600)\n",
    )
    with subprocess.Popen([sys.executable, str(program)], env=ENVIRONMENT, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait(60)
        assert gone(pid)


def test_a_child_answers_and_its_end_is_seen(tmp_path):
    write(
        tmp_path / "echo_back.py",
        "import sys\nfor line in sys.stdin:\n    print(line.strip()[::-1], flush=True)\nsys.exit(3)\n",
    )
    env = machine.child_environment(PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    pipe = subprocess.PIPE
    with machine.child("echo_back", stdin=pipe, stdout=pipe, text=True, env=env) as child:
        child.stdin.write("abc\n")
        child.stdin.flush()
        assert child.stdout.readline() == "cba\n"
        child.stdin.close()
        assert child.wait(60) == 3


@pytest.mark.parametrize("name", ["random", "json", "arl", "runpy", "threading"])
def test_a_child_imports_nothing_from_the_current_folder(tmp_path, name):
    write(tmp_path / f"{name}.py", f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit('not ours')\n")
    with machine.child("arl.watch", cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
        said = child.stderr.read()  # arl.watch without its arguments ends early, in its own code
    assert not (tmp_path / "executed").exists() and "not enough values to unpack" in said, said


def test_settled_folders_reach_children_in_other_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    machine.export_folders(ARL_RUNS=tmp_path / "store")
    assert machine.child_environment()["ARL_RUNS"] == str(tmp_path / "store")
    assert machine.child_environment()["PYTHONSAFEPATH"] == "1"
    assert "ARL_RUNS" not in machine.child_environment(without="ARL_")


# -- what is said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_a_letter_that_the_terminal_has_not_is_said_as_its_escape(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    say("MCC ↑ \udcff X̂")
    assert raw.getvalue().decode(encoding).startswith("MCC \\u2191 \\udcff X")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict"))
    messages.lenient_streams()
    print("similarity ↑")
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue().decode(encoding) == "similarity \\u2191\n"


@pytest.mark.parametrize("stream", [None, "closed"])
def test_without_standard_error_nothing_is_said(monkeypatch, capsys, stream):
    broken = io.StringIO()
    broken.close()
    monkeypatch.setattr(sys, "stderr", broken if stream else None)
    say("nobody hears this")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("reader", ["pipe", "/dev/full"])
def test_a_reader_that_goes_away_ends_nothing(reader):
    program = "from arl.messages import say\nfor i in range(20000): say(f'epoch {i}')\nprint('done')"
    if reader == "pipe":
        read, err = os.pipe()
        os.close(read)
    elif Path(reader).exists():
        err = os.open(reader, os.O_WRONLY)
    else:
        pytest.skip("no /dev/full")
    ran = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=err)
    os.close(err)
    assert (ran.returncode, ran.stdout) == (0, b"done\n")


def test_a_log_is_utf_8_whatever_the_locale(tmp_path):
    log = tmp_path / "log"
    text = "import sys; from pathlib import Path; from arl.messages import open_log\n"
    program = write(tmp_path / "logs.py", text + "print('\\u03bb \\u2191 \\udcff', file=open_log(Path(sys.argv[1])))\n")
    env = ENVIRONMENT | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, str(program), str(log)], env=env, check=True)
    assert log.read_bytes() == "λ ↑ \\udcff\n".encode()
