"""The run store. torch is imported with the first of `Part`, `Tensors`, `pack`, `unpack` that is asked for."""

from typing import TYPE_CHECKING, Any

from arl.store.files import (
    explain,
    explained,
    file_sha256,
    locked,
    make_folder,
    part_of,
    read_json,
    taken,
    tidy,
    tried,
    write_atomically,
    write_json,
)
from arl.store.provenance import checkout, home, made_with, project_root, runs_root, settle
from arl.store.runs import (
    Continued,
    DamagedError,
    Run,
    UnknownRunError,
    dated,
    find_run,
    obtain,
    run_id,
    run_in,
    run_of,
    sound,
    stored,
)
from arl.store.version import begin, check_version

if TYPE_CHECKING:
    from arl.store.tensors import Part, Tensors, pack, unpack

__all__ = [
    "Continued",
    "DamagedError",
    "Part",
    "Run",
    "Tensors",
    "UnknownRunError",
    "begin",
    "check_version",
    "checkout",
    "dated",
    "explain",
    "explained",
    "file_sha256",
    "find_run",
    "home",
    "locked",
    "made_with",
    "make_folder",
    "obtain",
    "pack",
    "part_of",
    "project_root",
    "read_json",
    "run_id",
    "run_in",
    "run_of",
    "runs_root",
    "settle",
    "sound",
    "stored",
    "taken",
    "tidy",
    "tried",
    "unpack",
    "write_atomically",
    "write_json",
]


def __getattr__(name: str) -> Any:
    if name not in ("Part", "Tensors", "pack", "unpack"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from arl.store import tensors

    return getattr(tensors, name)
