"""Files: written whole or not at all, under a lock where two processes may meet, and what the system says about them in one line."""

import errno
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, SoftFileLease, Timeout

from arl.messages import UserError, first_line, say

# What the system found, and what the user can do.
AGAIN = "then the same command goes on where it was"
ELSEWHERE = "a folder that you can write to, such as ARL_RUNS=~/runs"
REMEDIES = {
    errno.ENOSPC: ("no space left on its disk", f"free some, {AGAIN}"),
    errno.EDQUOT: ("your quota of the disk is used up", f"free some, {AGAIN}"),
    errno.EFBIG: ("a file larger than its file system or your limits allow", "another disk"),
    errno.EROFS: ("a read-only file system", ELSEWHERE),
    errno.EACCES: ("no permission", ELSEWHERE),
    errno.EPERM: ("no permission", ELSEWHERE),
    errno.ENOTDIR: ("a file where a folder is wanted", "another folder"),
    errno.EEXIST: ("a file where a folder is wanted", "another folder"),
    errno.EISDIR: ("a folder where a file is wanted", "a file"),
    errno.ENAMETOOLONG: ("a name that is too long for the file system", "a shorter one"),
    errno.ENOENT: ("nothing there", "an existing file or folder"),
    errno.ELOOP: ("links that lead in a circle", "a path without them"),
    errno.EMFILE: ("too many open files", f"raise the limit (ulimit -n), {AGAIN}"),
    errno.ENFILE: ("too many open files on this machine", f"close some programs, {AGAIN}"),
    errno.EIO: ("the disk does not answer as it should", "a copy on another disk"),
    errno.ESTALE: ("a network folder that has changed or gone", f"mount it again, {AGAIN}"),
}
# File systems without locks say one of these: NFS without its lock service, some clusters', some of user space.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
LEASE = 120.0  # seconds: who is at work renews its `.owner` three times in them; all machines of a store agree on it
PART = re.compile(r"\..+\.(?P<pid>\d+)(@(?P<host>.+))?\.part")


def explain(error: OSError, path: Path | str, reading: bool = False) -> UserError:
    """What the system said about `path` as an error for the user: the path, what was found, what to do."""
    found, accepted = REMEDIES.get(error.errno, (error.strerror or str(error) or type(error).__name__, "another path"))
    if error.errno in (errno.EACCES, errno.EPERM) and (owner := _owner(Path(path))):
        found += f": it belongs to {owner}"
    if error.errno in (errno.EACCES, errno.EPERM) and reading:
        accepted = "a file that you can read"
    return UserError(f"{path}: found {found}, accepted: {accepted}")


@contextmanager
def explained(path: Path | str, reading: bool = False) -> Iterator[None]:
    """Within, whatever the system says about `path` becomes a `UserError` of one line. `reading`: nothing is written there."""
    try:
        yield
    except OSError as error:
        raise explain(error, path, reading) from error


def _owner(path: Path) -> str | None:
    """Who owns `path`, or the nearest folder above it that there is."""
    for place in (path, *path.parents):
        with suppress(OSError, KeyError, NotImplementedError):
            return place.owner()
    return None


# -- writing ------------------------------------------------------------------------------------------------------


def part_of(path: Path) -> Path:
    """Where this process writes what will be `path`, in the same folder; `tidy` knows it by its name."""
    return path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}.part")


def make_folder(path: Path) -> None:
    """`path` as a folder, with those above it."""
    with explained(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:
            raise UserError(f"{path}: found a place where no folder can be made, accepted: {ELSEWHERE}") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new. Raises `UserError`."""
    part = part_of(path)
    with explained(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def write_json(path: Path, value: Any) -> None:
    """`write_atomically` for JSON; NaN is refused, as it is not JSON."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path | str) -> dict[str, Any] | None:
    """The JSON object in `path`; None where there is none, or something else. Raises `UserError` where it may not be read."""
    try:
        with open(
            path, "rb", buffering=0
        ) as file:  # a store has tens of thousands, and this takes half the time of Path's
            value = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        raise explain(error, path, reading=True) from error
    return value if isinstance(value, dict) else None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, read again only when its size or time has changed."""
    with explained(path, reading=True):
        stat = path.stat()
        return _file_sha256(path, stat.st_size, stat.st_mtime_ns)


@cache
def _file_sha256(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- alone --------------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within, this process alone makes `path`; others that ask wait. The first time, what dead processes left beside it is removed.

    The lock is `.NAME.lock` beside it, which the system frees when its owner dies; the file stays, empty and harmless. Where the file
    system has no locks, it is `.NAME.owner`, which names its owner and is taken over when that one is dead: on another machine, when
    nobody has renewed it for `LEASE` seconds.
    """
    _tidy_once(path.parent)
    lock = _locked(path.with_name(f".{path.name}.lock"))
    try:
        yield
    finally:
        lock.release()


def _locked(path: Path, wait: bool = True) -> FileLock | SoftFileLease:
    """The lock `path`, taken. Raises `UserError`, of a `Timeout` where another has it and nobody is to `wait`."""
    with explained(path):
        lock = FileLock(path)
        try:
            lock.acquire(**({} if wait else {"timeout": 0}))
            return lock
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in NO_LOCKS:
                raise
        lock = SoftFileLease(path.with_suffix(".owner"), lease_duration=LEASE)
        try:
            lock.acquire(timeout=5 if wait else 0)
        except Timeout as error:
            if not wait:
                raise
            say(f"{first_line(error).rstrip('.')}; waiting for it: if it is gone, it is followed in {LEASE:g} s")
            lock.acquire()
        return lock


@contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Within, this process alone makes or deletes `path`: true; or another one is at work on it: false. Nobody waits."""
    lock = None
    try:
        lock = _locked(path.with_name(f".{path.name}.lock"), wait=False)
    except UserError as error:
        if not isinstance(error.__cause__, Timeout):
            raise
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def taken(path: Path) -> bool:
    """Whether a process makes `path` now, or that cannot be seen. A lock that nobody has taken yet is not made."""
    lock = path.with_name(f".{path.name}.lock")
    if not lock.exists() and not lock.with_suffix(".owner").exists():
        return False
    try:
        with tried(path) as free:
            return not free
    except UserError as error:
        return getattr(error.__cause__, "errno", None) != errno.EROFS  # where nobody can be at work


@cache
def _tidy_once(folder: Path) -> None:
    tidy(folder)


def tidy(folder: Path) -> None:
    """Remove the unfinished files that killed processes left in `folder` and in the folders in it. Never raises."""
    for pattern in (".*.part", "*/.*.part", "*/*/.*.part"):
        with suppress(OSError):
            for path in folder.glob(pattern):
                with suppress(OSError):
                    if _abandoned(path):
                        path.unlink()


def _abandoned(path: Path) -> bool:
    """Whether nobody writes `path` any more: its process is dead on this machine, or it is a day old."""
    name = PART.fullmatch(path.name)
    if name is None:
        return False
    age = time.time() - path.stat().st_mtime
    if age > 86400:
        return True
    if name["host"] is None:  # of an earlier version, perhaps on another machine
        return age > 60 and not _alive(int(name["pid"]))
    return name["host"] == platform.node() and not _alive(int(name["pid"]))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
