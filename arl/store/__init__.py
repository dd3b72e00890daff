"""The run store."""

from arl.store.provenance import made_with, project_root
from arl.store.runs import (
    DamagedError,
    Run,
    Tensors,
    file_sha256,
    find,
    obtain,
    pack,
    run_id,
    runs_root,
    sound,
    stored,
    unpack,
    write_atomically,
    write_json,
)

__all__ = [
    "DamagedError",
    "Run",
    "Tensors",
    "file_sha256",
    "find",
    "made_with",
    "obtain",
    "pack",
    "project_root",
    "run_id",
    "runs_root",
    "sound",
    "stored",
    "unpack",
    "write_atomically",
    "write_json",
]
