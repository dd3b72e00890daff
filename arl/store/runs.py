"""The run store: find a run, resume it, or make it; once, atomically.

A run is a folder `runs/KIND-ID/`, where ID is a hash of what defines the run and nothing else:

    config.json             what defines it: {"kind": ..., ...}
    metrics.jsonl           one line an epoch, written as it happens
    checkpoint.safetensors  tensors and JSON, with their SHA-256; after each epoch (see `SHARE`), and at the end
    result.json             written last, by rename: a run exists when this does

safetensors and JSON only, so nothing read from disk can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from arl.messages import UserError, say
from arl.store.files import explain, explained, locked, make_folder, read_json, write_atomically, write_json
from arl.store.provenance import made_with, runs_root
from arl.store.version import begin, check_version

if TYPE_CHECKING:  # torch is slow to import, and not needed to list a store
    from arl.store.tensors import Part, Tensors


# An epoch of a large network on a fast device takes less time than writing its checkpoint. Where that takes longer than `CHEAP` seconds it
# is done so seldom that it takes this share of the time; a kill then costs nine times as long as a checkpoint, and no more.
SHARE, CHEAP = 0.1, 0.5

_AS_TEXT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def run_id(spec: dict[str, Any]) -> str:
    """`KIND-` and twelve hexadecimal digits: a hash of `spec`, which must hold "kind"."""
    return f"{spec['kind']}-{hashlib.sha256(_AS_TEXT(spec).encode()).hexdigest()[:12]}"


class DamagedError(ValueError):
    """A file of a run that is not what was written there."""


class UnknownRunError(UserError, LookupError):
    """A part of an id that names no stored run, or several."""


class Run:
    """One folder of the store. `result` is None until the run is finished. Reading it writes nothing and takes no lock.

    It is the journal of a training: `restore` and `keep`. What the system refuses is a `UserError` that names the file.
    """

    def __init__(self, folder: Path, spec: dict[str, Any] | None = None):
        """`spec`: what defines it, where that was read already; it does not change."""
        self.folder = folder
        self.id = folder.name
        self._spec = spec
        self._due = 0.0  # when the next epoch is kept

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {'finished' if self.result is not None else 'unfinished'})"

    @property
    def spec(self) -> dict[str, Any]:
        """What defines the run, from `config.json`."""
        if (spec := self._spec or read_json(f"{self.folder}/config.json")) is None:
            raise UserError(
                f"{self.folder / 'config.json'}: found no configuration of a run, accepted: JSON, as the store writes it"
            )
        return spec

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run ended with, or None."""
        return read_json(f"{self.folder}/result.json")

    @property
    def seconds(self) -> float:
        """How long it took, from its configuration to its result; too long where it was interrupted, 0 where that is not known."""
        try:
            first, last = (self.folder / name for name in ("config.json", "result.json"))
            return max(0.0, last.stat().st_mtime - first.stat().st_mtime)
        except OSError:
            return 0.0

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, in order; a line cut short by a crash is left out."""
        path = self.folder / "metrics.jsonl"
        with explained(path, reading=True):
            try:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            except (FileNotFoundError, NotADirectoryError):
                return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    # -- while it is being made ---------------------------------------------------------------------------------

    def log(self, **values: float) -> None:
        """Append one epoch's metrics and say them in one line on standard error."""
        path = self.folder / "metrics.jsonl"
        with explained(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        say(f"{self.id}  " + "  ".join(f"{k} {_short(v)}" for k, v in values.items()))

    def save(self, tensors: Tensors, **state: Any) -> None:
        """Keep `tensors` and the JSON-able `state`, in place of what `save` kept before.

        The last `save` of a run has its `result` in the state, so that no kill can come between the two.
        """
        from safetensors.torch import save as to_safetensors

        from arl.store.tensors import digest

        tensors = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
        meta = json.dumps({"sha256": digest(tensors, state), "state": state})  # one key: the order of several varies
        write_atomically(self.folder / "checkpoint.safetensors", to_safetensors(tensors, metadata={"arl": meta}))

    def load(self) -> tuple[Tensors, dict[str, Any]]:
        """What `save` kept last. Raises FileNotFoundError, or `DamagedError` when a byte is not as it was written.

        A checkpoint that may not be read is a `UserError`: it is not damaged, and is not made again.
        """
        from arl.store.tensors import digest

        path = self.folder / "checkpoint.safetensors"
        try:
            path.open("rb").close()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise explain(error, path, reading=True) from error
        try:
            with safe_open(path, framework="pt") as file:
                meta = json.loads((file.metadata() or {})["arl"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            state = meta["state"]
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise DamagedError(f"{path}: cannot be read ({error})") from error
        if digest(tensors, state) != meta.get("sha256"):
            raise DamagedError(f"{path}: its checksum does not match its content")
        return tensors, state

    def resume(self) -> tuple[Tensors, dict[str, Any]] | None:
        """The last checkpoint of an unfinished run, or None to start afresh; later metrics lines are dropped."""
        try:
            tensors, state = self.load()
            say(f"{self.id}  goes on after epoch {state.setdefault('epoch', 0)}")
        except FileNotFoundError:
            tensors, state = None, {"epoch": 0}
        except DamagedError as error:
            say(f"{error}; the run starts again")
            tensors, state = None, {"epoch": 0}
        kept = [json.dumps(m) + "\n" for m in self.metrics if m.get("epoch", 0) <= state["epoch"]]
        write_atomically(self.folder / "metrics.jsonl", "".join(kept).encode())
        return None if tensors is None else (tensors, state)

    def restore(self, parts: dict[str, Part]) -> dict[str, Any]:
        """Load what was kept last into `parts`, in place; returns its state, or {} when there is nothing to go on from.

        A part of which the checkpoint holds no tensor stays as it is; one that does not fit is a RuntimeError.
        """
        from arl.store.tensors import unpack

        kept = self.resume()
        if kept is None:
            return {}
        tensors, state = kept
        held = {name.split("/")[0] for name in tensors}
        unpack(tensors, **{name: part for name, part in parts.items() if name in held})
        return state

    def keep(self, parts: dict[str, Part], line: dict[str, float], final: bool = True, **state: Any) -> None:
        """Log `line`, and keep `parts` with `state`, in place of what was kept before; see `SHARE` for those that are not `final`."""
        from arl.store.tensors import pack

        self.log(**line)
        if final or time.monotonic() >= self._due:
            began = time.monotonic()
            self.save(pack(**parts), **state)
            took = time.monotonic() - began
            self._due = began + took / SHARE if took > CHEAP else 0.0


class Continued:
    """A run's journal whose training goes on from another run's end: from the parts `net` and `net_adam` that `before` kept."""

    def __init__(self, run: Run, before: Run, epochs: int):
        self.run, self.before, self.epochs = run, before, epochs
        self.keep = run.keep

    def restore(self, parts: dict[str, Part]) -> dict[str, Any]:
        from arl.store.tensors import unpack

        if state := self.run.restore(parts):
            return state
        mine = {name: part for name, part in parts.items() if name in ("net", "net_adam")}
        unpack(self.before.load()[0], **mine)
        write_atomically(self.run.folder / "metrics.jsonl", (self.before.folder / "metrics.jsonl").read_bytes())
        return {"epoch": self.epochs}


def obtain(spec: dict[str, Any], make: Callable[[Run], dict[str, Any]], *, root: Path | None = None) -> Run:
    """The finished run that `spec` defines: found, or resumed, or made by `make(run)`, which returns its result.

    Two processes that ask at the same moment make it once: the second waits and finds it. A finished run whose
    checkpoint is damaged is made again.
    """
    run = run_of(spec, root)
    folder = run.folder
    if sound(run):
        return run
    begin(folder.parent)
    with locked(folder):
        if sound(run):
            return run
        make_folder(folder)
        with explained(folder / "result.json"):
            (folder / "result.json").unlink(missing_ok=True)
        write_json(folder / "config.json", spec)
        write_json(folder / "result.json", (_unwritten_result(run) or make(run)) | {"made_with": made_with()})
    return run


def run_of(spec: dict[str, Any], root: Path | None = None) -> Run:
    """The run that `spec` defines, be it there or not. Raises `UserError` for a store of another version."""
    root = root or runs_root()
    check_version(root)
    return Run(root / run_id(spec))


def _unwritten_result(run: Run) -> dict[str, Any] | None:
    """The result of a run that was killed between its last `save(..., result=...)` and the writing of its result.json."""
    try:
        return run.load()[1].get("result")
    except (FileNotFoundError, DamagedError):
        return None


def sound(run: Run) -> bool:
    """Finished, and its checkpoint, if it has one, as it was written, with the result that it holds."""
    result = run.result
    if result is None:
        return False
    try:
        kept = run.load()[1].get("result", {})
    except FileNotFoundError:
        return not result.get("checkpoint", False)
    except DamagedError as error:
        say(f"{error}; the run is made again")
        with explained(run.folder / "checkpoint.safetensors"):
            (run.folder / "checkpoint.safetensors").unlink()
        return False
    if any(name not in result or result[name] != value for name, value in kept.items()):
        say(f"{run.folder / 'result.json'}: not what the run ended with; it is written again")
        return False
    return True


def stored(root: Path | None = None, kinds: Collection[str] = (), part: str = "") -> Iterator[Run]:
    """Every run of the store that has a configuration, finished or not, oldest first; folders of others are left out, and said once.

    `kinds`: of these alone; `part`: of those whose ids hold it. What is left out so is not read.
    """
    for folder, _ in dated(root, kinds, part):
        if (run := run_in(folder)) is not None:
            yield run


def dated(root: Path | None = None, kinds: Collection[str] = (), part: str = "") -> list[tuple[Path, float]]:
    """The folders that `stored` looks at, oldest first, and when each was begun, in seconds since 1970; `run_in` has not seen them."""
    root = root or runs_root()
    check_version(root)
    with explained(root, reading=True):
        try:
            with os.scandir(root) as entries:
                names = [entry.name for entry in entries if entry.name[:1] != "." and part in entry.name]
        except FileNotFoundError:
            return []
    if kinds:
        names = [name for name in names if name.rpartition("-")[0] in kinds]
    found = []
    for name in names:
        try:
            found.append((os.stat(f"{root}/{name}/config.json").st_mtime, name))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            _leave_out(str(explain(error, root / name, reading=True)))
    return [(root / name, when) for when, name in sorted(found)]


def run_in(folder: Path) -> Run | None:
    """The run in `folder`, which is called after what its configuration defines, as `obtain` makes it; None for another's, said once."""
    try:
        spec = read_json(f"{folder}/config.json")
        if spec is not None and isinstance(spec.get("kind"), str) and run_id(spec) == folder.name:
            return Run(folder, spec)
    except UserError as error:
        _leave_out(str(error))
        return None
    except ValueError:  # NaN
        pass
    _leave_out(f"{folder / 'config.json'}: not the configuration of a run")
    return None


@cache
def _leave_out(why: str) -> None:
    """Say, once, why a folder is not taken for a run."""
    say(f"{why}; left out")


def find_run(text: str, root: Path | None = None) -> Run:
    """The stored run whose id starts with or contains `text`; raises `UnknownRunError` for none or several."""
    found = list(stored(root, part=text))
    exact = [run for run in found if run.id == text] or found
    if len(exact) == 1:
        return exact[0]
    many = f"{len(exact)} runs ({', '.join(r.id for r in exact[:5])} …)" if exact else "no run"
    raise UnknownRunError(f"ID: found {many} for {text!r}, accepted: an id, or a part of one, from `arl runs`")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
