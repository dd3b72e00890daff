"""The machine: device, threads, workers, folders, children. The environment is read here only; torch is imported where it is used.

Each variable that is set is checked when it is read; what cannot be used is a `ConfigError` that names it.
"""

import ctypes
import gc
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arl.messages import ConfigError

if TYPE_CHECKING:
    import torch


# glibc returns large blocks to the kernel after every step and asks for them in the next. Processes with these in their
# environment keep them: the same numbers, sooner.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
}
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of processors that have instructions for it: Intel, AMD; ARM
PAYS = 1.2  # times as fast as float32 that a convolution in bf16 has to be: a network gains half as much
MOST = 1024  # threads, or workers: more is a slip of the hand, and the system would refuse it in many lines


@cache
def cores() -> int:
    """The cores that this process may use: of the machine's, those that affinity and a container's quota leave it."""
    import joblib

    return joblib.cpu_count()


# -- numbers and the device ---------------------------------------------------------------------------------------


def _count(name: str) -> int | None:
    """The whole number, 1 to `MOST`, in the variable `name`; None where it is unset or empty."""
    text = os.environ.get(name) or None
    if text is None:
        return None
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", text, re.ASCII) or not 1 <= int(text) <= MOST:
        raise ConfigError(f"{name}: found {text!r}, accepted: a whole number from 1 to {MOST}")
    return int(text)


def threads() -> int:
    """Threads of one process: `$ARL_THREADS`, else half of the cores: two processes with one each do more than one with two."""
    return _count("ARL_THREADS") or max(1, cores() // 2)


def threads_are_set() -> bool:
    """Whether `$ARL_THREADS` says how many threads to use; who says so wants no second process beside."""
    return _count("ARL_THREADS") is not None


def has_room() -> bool:
    """Whether a second process would find a core free here: who says how many threads or workers to use has other plans for the cores."""
    return prepare().type == "cpu" and not threads_are_set() and min(cores(), workers()) >= 2


@contextmanager
def all_threads() -> Iterator[None]:
    """Within, unless `$ARL_THREADS` says how many, a thread a core: for work that no second process shares."""
    import torch

    if threads_are_set():
        yield
        return
    try:
        os.environ["ARL_THREADS"] = str(min(cores(), MOST))
        torch.set_num_threads(threads())
        yield
    finally:
        del os.environ["ARL_THREADS"]
        torch.set_num_threads(threads())


def workers() -> int:
    """Processes side by side: `$ARL_WORKERS`, else one a core; one on an accelerator, which they would share."""
    asked = _count("ARL_WORKERS")
    return 1 if device().type != "cpu" else asked or cores()


def devices() -> int:
    """Devices that share the training of one row: `$ARL_DEVICES`, else 1. CUDA's first ones, or so many processes on the CPU."""
    if (n := _count("ARL_DEVICES") or 1) == 1:
        return 1
    import torch

    found = f"ARL_DEVICES: found {n}"
    if (name := os.environ.get("ARL_DEVICE")) and name not in ("cpu", "cuda"):
        raise ConfigError(f"{found} with ARL_DEVICE={name}, accepted: 1, or ARL_DEVICE=cuda or cpu")
    there = torch.cuda.device_count()
    if (name == "cuda" or (not name and there)) and n > there:
        raise ConfigError(f"{found}, accepted here: 1 to {there}, or any number of processes with ARL_DEVICE=cpu")
    return n


def local_rank() -> int:
    """Which of the processes of `devices()` this one is, from 0."""
    return int(os.environ.get("LOCAL_RANK") or 0) if devices() > 1 else 0


def compiled() -> bool:
    """Whether networks are compiled before they learn: `$ARL_COMPILE`, 1 or 0. Results then differ in their last digits."""
    text = os.environ.get("ARL_COMPILE") or "0"
    if text not in ("0", "1"):
        raise ConfigError(f"ARL_COMPILE: found {text!r}, accepted: 0 or 1")
    return text == "1"


def scheduler() -> str | None:
    """The address in `$ARL_SCHEDULER`, of a Dask cluster whose workers do the stages of sweeps; None where it is unset or empty."""
    return os.environ.get("ARL_SCHEDULER") or None


def device() -> "torch.device":
    """The device to compute on: `$ARL_DEVICE`, or CUDA, Apple's MPS, the CPU, whichever is there; of several CUDA ones this process's."""
    import torch

    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *there]
    name = os.environ.get("ARL_DEVICE") or there[0]
    if name not in there:
        absent = " (which is not on this machine)" if re.fullmatch(r"cuda(:\d+)?|mps", name) else ""
        raise ConfigError(f"ARL_DEVICE: found {name!r}{absent}, accepted here: {', '.join(there)}")
    several = name == "cuda" and devices() > 1
    return torch.device(f"cuda:{local_rank()}" if several else name)


def precision() -> str:
    """What players of images learn in: `$ARL_PRECISION`, else bf16 on CUDA, and on a CPU that is faster in it; else float32."""
    accepted = ("float32", "bf16")
    if asked := os.environ.get("ARL_PRECISION"):
        if asked not in accepted:
            raise ConfigError(f"ARL_PRECISION: found {asked!r}, accepted: {' or '.join(accepted)}")
        return asked
    there = device().type
    return "bf16" if there == "cuda" or (there == "cpu" and bf16_gain() >= PAYS) else "float32"


@cache
def bf16_gain() -> float:
    """How many times as fast a convolution, forward and backward, is in bf16 on this CPU; 0 where nothing could make it faster.

    A processor without instructions of its own for bf16 would take a hundred times as long to answer (pytorch#118499).
    """
    import torch

    if not BF16_FLAGS & set(_cpu_flags()):
        return 0.0
    layer = torch.nn.Conv2d(32, 32, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    x = torch.ones(32, 32, 24, 24).contiguous(memory_format=torch.channels_last).requires_grad_()

    def seconds(bf16: bool) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = layer(x)
        out.backward(out.detach())
        return time.perf_counter() - start

    both = [(seconds(False), seconds(True)) for _ in range(9)]
    return min(a for a, _ in both) / min(b for _, b in both)


def _cpu_flags() -> list[str]:
    """What the processor says that it can do; nothing where there is no Linux to ask."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, said = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return said.split()
    return []


def computes() -> dict[str, str]:
    """What else than a CPU in float32 computes here; {} for that, and where torch was not needed yet."""
    if "torch" not in sys.modules:
        return {"precision": "bf16"} if os.environ.get("ARL_PRECISION") == "bf16" else {}
    if (there := device()).type == "cpu":
        return {"precision": "bf16"} if precision() == "bf16" else {}
    import torch

    name = torch.cuda.get_device_name(there) if there.type == "cuda" else there.type
    return {"device": name, "precision": precision()}


def prepare() -> "torch.device":
    """`device()`, with torch set up for it: `threads()` threads, `precision()`, no slow numbers near zero."""
    import torch

    from arl.training import BF16_LEARNS, BF16_READS

    _settle()
    torch.set_flush_denormal(True)  # dying units would otherwise slow a CPU down many times
    torch.set_num_threads(threads())
    there = device()
    bf16 = precision() == "bf16"
    for types, wanted in ((BF16_LEARNS, bf16), (BF16_READS, bf16 and there.type != "cpu")):
        (types.add if wanted else types.discard)(there.type)
    return there


@cache
def _settle() -> None:
    """Once a process: it keeps memory, and Python's collector of garbage no longer looks at what has been imported."""
    _keep_memory()
    gc.collect()
    gc.freeze()  # every look at torch's 10⁵ objects would take as long as a step


def _keep_memory() -> None:
    """`KEEP_MEMORY` for this process, which was started without: a step of Dec^a takes a tenth less. Of glibc alone."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, (name, value) in zip((-1, -2, -3), KEEP_MEMORY.items(), strict=True):  # M_TRIM_THRESHOLD, …: malloc.h
        mallopt(option, int(os.environ.get(name) or value))


# -- folders ------------------------------------------------------------------------------------------------------


def plugins() -> list[str]:
    """The files in `$ARL_PLUGINS`, which a kernel loads before it makes a configuration."""
    return [path for path in os.environ.get("ARL_PLUGINS", "").split(os.pathsep) if path]


def folder(variable: str) -> Path | None:
    """The folder in `$variable`, absolute, with `~` expanded; None where it is unset or empty.

    A relative one is seen from where it was first asked for, and stays there when the current folder changes.
    """
    text = os.environ.get(variable) or None
    return None if text is None else absolute(variable, text)


@cache
def absolute(name: str, text: str) -> Path:
    """The path `text`, the value of `name`, made absolute once, with `~` expanded."""
    try:
        found = os.path.abspath(Path(text).expanduser())
        found.encode()
        return Path(found)
    except UnicodeEncodeError:  # safetensors could not read there what it wrote
        raise ConfigError(f"{name}: found {text!r}, which is not UTF-8, accepted: a folder") from None
    except RuntimeError:
        raise ConfigError(
            f"{name}: found {text!r}, where ~ names no user of this machine, accepted: a folder"
        ) from None
    except ValueError:
        raise ConfigError(f"{name}: found {text!r}, which holds a zero byte, accepted: a folder") from None
    except OSError:
        raise ConfigError(
            f"{name}: found {text!r} in a current folder that is gone, accepted: an absolute path"
        ) from None


def export_folders(**folders: Path) -> None:
    """Put `folders`, such as ARL_RUNS=..., into the environment, so that children find the same ones wherever they run.

    Python children then import nothing from the current folder: a `random.py` there is not ours. For a program to call first.
    """
    os.environ |= {name: str(path) for name, path in folders.items()}
    os.environ["PYTHONSAFEPATH"] = "1"


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where `folder` is or will be."""
    for place in (folder, *folder.absolute().parents):
        with suppress(OSError):  # not there yet, or what cannot be there: a name too long, another's folder
            return shutil.disk_usage(place).free
    return 0


# -- children -----------------------------------------------------------------------------------------------------


def child_environment(without: str | None = None, **more: str) -> dict[str, str]:
    """The environment for a child: this process's and `more`; those that begin with `without` are left out."""
    kept = {name: text for name, text in os.environ.items() if without is None or not name.startswith(without)}
    return KEEP_MEMORY | kept | more


def child(module: str, *arguments: str, **popen: Any) -> subprocess.Popen:
    """Start `python -m module arguments` as a process that ends within a second of this one, however this one ends.

    It imports nothing from the current folder, and the same `arl`. `popen` goes to `subprocess.Popen`: `env` replaces
    `child_environment()`; standard input is empty unless `stdin` says otherwise.
    """
    watch = str(Path(__file__).resolve().with_name("watch.py"))
    starter = "main" if threading.current_thread() is threading.main_thread() else "thread"
    command = [sys.executable, "-P", watch, str(os.getpid()), starter, module, *arguments]
    return subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, "env": child_environment()} | popen)
