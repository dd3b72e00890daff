"""The machine: device, threads, cores, memory. The environment is read here only."""

import os

import torch

from arl.training import precision  # noqa: F401

# glibc returns large blocks to the kernel after every step and asks for them in the next. Processes with these in their
# environment keep them: the same numbers, sooner.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> torch.device:
    """The device to compute on: `$ARL_DEVICE`, or CUDA, Apple's MPS, the CPU, whichever is there.

    On a CPU with `$ARL_THREADS` threads, by default half of the cores: two processes with a thread each do more than one with two.
    """
    torch.set_flush_denormal(True)  # dying units would otherwise slow a CPU down many times
    torch.set_num_threads(int(os.environ.get("ARL_THREADS") or max(1, (os.cpu_count() or 1) // 2)))
    name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(os.environ.get("ARL_DEVICE") or name)
