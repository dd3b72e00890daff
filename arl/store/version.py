"""Which version a store has: `store.json` in its folder, written when the store is begun. One without is of version 1."""

import json
from functools import lru_cache
from pathlib import Path

from arl.messages import UserError
from arl.store.files import explained, make_folder, write_json
from arl.store.provenance import made_with

STORE_VERSION = 1  # of the store's layout: raised when an older arl would misread what this one writes
OLDEST = 1  # that this arl reads
VERSION_FILE = "store.json"


def check_version(root: Path) -> None:
    """Raise `UserError` where the store in `root` is of a version that this arl does not read. Reads its file once for each change."""
    path = root / VERSION_FILE
    with explained(path, reading=True):
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return
        found = _version(path, stat.st_mtime_ns, stat.st_size)
    if found is None:
        raise UserError(f"ARL_RUNS: found no version of a store in {path}, accepted: the file as arl writes it")
    accepted = f"up to {STORE_VERSION}" if OLDEST == 1 else f"{OLDEST} to {STORE_VERSION}"
    if found > STORE_VERSION:
        raise UserError(
            f"ARL_RUNS: found a store of version {found} in {root}, accepted: {accepted}; a newer arl made it"
        )
    if found < OLDEST:
        raise UserError(
            f"ARL_RUNS: found a store of version {found} in {root}, accepted: {OLDEST} or more; an older arl made it"
        )


@lru_cache(maxsize=64)
def _version(path: Path, *_: int) -> int | None:
    try:
        version = json.loads(path.read_text(encoding="utf-8"))["version"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return version if type(version) is int else None


def begin(root: Path) -> None:
    """Make the store in `root`, if there is none; say its version in one that has not said it. Raises `UserError`."""
    check_version(root)
    make_folder(root)
    if not (root / VERSION_FILE).exists():
        write_json(root / VERSION_FILE, {"version": STORE_VERSION, "made_with": made_with()})
