"""What a worker of a cluster does: say whether it fits, and one stage. Importing this imports neither torch nor `distributed`."""

import asyncio
import hashlib
import os
import pickle
import platform
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import arl
from arl import machine
from arl.messages import ConfigError, UserError, first_line
from arl.store import file_sha256

_PLUGINS: dict[str, str] = {}  # the files that this process has loaded, with their content then


class Expected(NamedTuple):
    """What a client expects of a worker."""

    store: str  # the folder, as all see it
    token: str  # the name of a file there, which holds its own name
    versions: dict[str, str]  # as `versions()`
    plugins: dict[str, str]  # the client's own files, with the SHA-256 of each
    device: str = ""  # "cpu", "cuda", "mps"; "" for any


class Said(NamedTuple):
    """What a worker says of itself."""

    problem: str  # one line, or ""
    device: str
    gpus: float  # as it announces them to Dask


class StageError(Exception):
    """A stage that failed: `key` of the stage, `line` to tell the user, `unfit` where the worker is to blame and all is to stop."""

    def __init__(self, key: str, line: str, unfit: bool = False):
        super().__init__(key, line, unfit)  # all of it is pickled
        self.key, self.line, self.unfit = key, line, unfit


@cache
def versions() -> dict[str, str]:
    """What has to be the same wherever a stage is done, else bits differ: of `arl` its code too, as this process found it first."""
    package, code = Path(arl.__file__).resolve().parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        code.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    found = {"arl": f"{arl.__version__} (code {code.hexdigest()[:8]})"}
    found |= {name: version(name) for name in ("torch", "torchvision", "numpy")}
    return found | {"python": platform.python_version().rpartition(".")[0]}


async def introduce(expected: Expected, dask_worker: Any) -> Said:
    """This worker, beside whatever stage it does: for `Client.run`."""
    resources = dask_worker.state.total_resources
    return await asyncio.to_thread(_look, expected, dask_worker.address, dask_worker.state.nthreads, resources)


def _look(expected: Expected, address: str, threads: int, resources: dict[str, float]) -> Said:
    try:
        check_worker(expected, address, threads)
        return Said("", machine.device().type, resources.get("GPU", 0.0))
    except UserError as error:
        return Said(first_line(error), "", 0.0)


def check_worker(expected: Expected, address: str, threads: int) -> None:
    """Raise `UserError`, one line, where the worker at `address` would make something else, or could not keep it."""
    for name, wanted in expected.versions.items():
        if (found := versions().get(name, "none")) != wanted:
            raise ConfigError(
                f"{name}: found {found} on worker {address}, accepted: {wanted}, as here; then start it again"
            )
    if threads != 1:
        raise ConfigError(
            f"workers: found {threads} threads in worker {address}, accepted: one in each, --nthreads 1 --nworkers {threads}"
        )
    _check_store(expected, address)
    for path, sha256 in expected.plugins.items():
        _check_plugin(path, sha256, address)


def _check_store(expected: Expected, address: str) -> None:
    accepted = "a folder that the client and all workers see, and may write to, under one path"
    try:
        held = (Path(expected.store) / expected.token).read_text(encoding="utf-8")
        tempfile.TemporaryFile(dir=expected.store).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(
            f"ARL_RUNS: found {expected.store} not in reach of worker {address} ({why}), accepted: {accepted}"
        ) from None
    if held != expected.token:
        raise ConfigError(f"ARL_RUNS: found another {expected.store} on worker {address}, accepted: {accepted}")


def _check_plugin(path: str, sha256: str, address: str) -> None:
    """A worker lives longer than a sweep: a file that has changed since it was loaded would run as it was, under the new file's ids."""
    try:
        found = file_sha256(Path(path))
    except UserError as error:
        raise ConfigError(f"plugin: worker {address}: {first_line(error)}") from None
    if found != sha256:
        raise ConfigError(
            f"plugin: found another {path} on worker {address}, accepted: a file that all see under one path"
        )
    if _PLUGINS.setdefault(path, sha256) != sha256:
        raise ConfigError(
            f"plugin: found {path} as it was before on worker {address}, accepted: after starting it again"
        )
    from arl import plugins  # with torch

    plugins.load(path)


def do_stage(key: str, kind: str, cfg: bytes, expected: Expected, *after: str) -> str:
    """Do the stage `key` of `cfg`, a pickled `RunConfig`, in this worker, `after` those that it needs; says what was made.

    A configuration is unpickled here, once the plugins that it may need are loaded. Raises `StageError`.
    """
    from distributed import get_worker

    worker = get_worker()
    try:
        check_worker(expected, worker.address, worker.state.nthreads)
        _settle(expected)
        if expected.device not in ("", found := machine.device().type):
            raise ConfigError(
                f"ARL_DEVICE: found {found} on worker {worker.address}, accepted: {expected.device}, as the others have"
            )
    except UserError as error:
        raise StageError(key, first_line(error), unfit=True) from None
    from arl.stages import do

    try:
        return do(kind, pickle.loads(cfg))
    except Exception as error:
        raise StageError(key, str(error) or type(error).__name__) from error


def _settle(expected: Expected) -> None:
    """The environment of a stage. torch has one thread, as in a sweep of one machine, where the worker's own says nothing else."""
    os.environ["ARL_RUNS"] = expected.store
    os.environ.pop("ARL_SCHEDULER", None)
    for name in ("ARL_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if sys.stderr is not None and hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(errors="backslashreplace")
