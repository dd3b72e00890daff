"""The run store: find a run, resume it, or make it; once, atomically.

A run is a folder `runs/KIND-ID/`, where ID is a hash of what defines the run and nothing else:

    config.json             what defines it: {"kind": ..., ...}
    metrics.jsonl           one line an epoch, written as it happens
    checkpoint.safetensors  tensors and JSON, with their SHA-256; after each epoch, and at the end
    result.json             written last, by rename: a run exists when this does

safetensors and JSON only, so nothing read from disk can run code.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from arl.messages import say
from arl.store.provenance import made_with, project_root

Tensors = dict[str, Tensor]


def runs_root() -> Path:
    """The store's folder: `$ARL_RUNS`, else `runs/` in the checkout."""
    return Path(os.environ.get("ARL_RUNS") or project_root() / "runs")


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_atomically` for JSON; NaN is refused, as it is not JSON."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def run_id(spec: dict[str, Any]) -> str:
    """`KIND-` and twelve hexadecimal digits: a hash of `spec`, which must hold "kind"."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{spec['kind']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, read again only when its size or time has changed."""
    stat = path.stat()
    return _file_sha256(path, stat.st_size, stat.st_mtime_ns)


@cache
def _file_sha256(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DamagedError(ValueError):
    """A file of a run that is not what was written there."""


class Run:
    """One folder of the store. `result` is None until the run is finished."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.id = folder.name

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {'finished' if self.result is not None else 'unfinished'})"

    @property
    def spec(self) -> dict[str, Any]:
        """What defines the run, from `config.json`."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run ended with, or None."""
        try:
            return json.loads((self.folder / "result.json").read_text())
        except (OSError, ValueError):
            return None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, in order; a line cut short by a crash is left out."""
        try:
            lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        except OSError:
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
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")
        say(f"{self.id}  " + "  ".join(f"{k} {_short(v)}" for k, v in values.items()))

    def save(self, tensors: Tensors, **state: Any) -> None:
        """Keep `tensors` and the JSON-able `state`, in place of what `save` kept before.

        The last `save` of a run has its `result` in the state, so that no kill can come between the two.
        """
        tensors = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
        meta = json.dumps({"sha256": _digest(tensors, state), "state": state})  # one key: the order of several varies
        write_atomically(self.folder / "checkpoint.safetensors", to_safetensors(tensors, metadata={"arl": meta}))

    def load(self) -> tuple[Tensors, dict[str, Any]]:
        """What `save` kept last. Raises FileNotFoundError, or `DamagedError` when a byte is not as it was written."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            raise FileNotFoundError(path)
        try:
            with safe_open(path, framework="pt") as file:
                meta = json.loads((file.metadata() or {})["arl"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            state = meta["state"]
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise DamagedError(f"{path}: cannot be read ({error})") from error
        if _digest(tensors, state) != meta.get("sha256"):
            raise DamagedError(f"{path}: its checksum does not match its content")
        return tensors, state

    def restore(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Load the last checkpoint into `parts`; its state, or {} to start afresh."""
        if (kept := self.resume()) is None:
            return {}
        tensors, state = kept
        there = {name: part for name, part in parts.items() if any(t.startswith(f"{name}/") for t in tensors)}
        unpack(tensors, **there)
        return state

    def keep(self, parts: dict[str, Any], line: dict[str, float], **state: Any) -> None:
        """Log `line` and keep `parts` with `state`."""
        self.log(**line)
        self.save(pack(**parts), **state)

    def resume(self) -> tuple[Tensors, dict[str, Any]] | None:
        """The last checkpoint of an unfinished run, or None to start afresh; later metrics lines are dropped."""
        try:
            tensors, state = self.load()
            say(f"{self.id}  goes on after epoch {state['epoch']}")
        except FileNotFoundError:
            tensors, state = None, {"epoch": 0}
        except DamagedError as error:
            say(f"{error}; the run starts again")
            tensors, state = None, {"epoch": 0}
        kept = [json.dumps(m) + "\n" for m in self.metrics if m.get("epoch", 0) <= state["epoch"]]
        write_atomically(self.folder / "metrics.jsonl", "".join(kept).encode())
        return None if tensors is None else (tensors, state)


def obtain(spec: dict[str, Any], make: Callable[[Run], dict[str, Any]], *, root: Path | None = None) -> Run:
    """The finished run that `spec` defines: found, or resumed, or made by `make(run)`, which returns its result.

    Two processes that ask at the same moment make it once: the second waits and finds it. A finished run whose
    checkpoint is damaged is made again.
    """
    folder = (root or runs_root()) / run_id(spec)
    run = Run(folder)
    if sound(run):
        return run
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):  # the system frees it when its owner dies
        if sound(run):
            return run
        (folder / "result.json").unlink(missing_ok=True)
        write_json(folder / "config.json", spec)
        write_json(folder / "result.json", (_unwritten_result(run) or make(run)) | {"made_with": made_with()})
    return run


def _unwritten_result(run: Run) -> dict[str, Any] | None:
    """The result of a run that was killed between its last `save(..., result=...)` and the writing of its result.json."""
    try:
        return run.load()[1].get("result")
    except (FileNotFoundError, DamagedError):
        return None


def sound(run: Run) -> bool:
    """Finished, and its checkpoint, if it has one, as it was written."""
    if run.result is None:
        return False
    try:
        run.load()
    except FileNotFoundError:
        return not run.result.get("checkpoint", False)
    except DamagedError as error:
        say(f"{error}; the run is made again")
        (run.folder / "checkpoint.safetensors").unlink()
        return False
    return True


def stored(root: Path | None = None) -> Iterator[Run]:
    """Every run of the store that has a configuration, finished or not, oldest first."""
    folders = (root or runs_root()).glob("*/config.json")
    for path in sorted(folders, key=lambda p: p.stat().st_mtime):
        yield Run(path.parent)


def find(text: str, root: Path | None = None) -> Run:
    """The stored run whose id starts with or contains `text`; raises LookupError, one line, for none or several."""
    found = [run for run in stored(root) if text in run.id]
    exact = [run for run in found if run.id == text] or found
    if len(exact) == 1:
        return exact[0]
    many = f"{len(exact)} runs ({', '.join(r.id for r in exact[:5])} …)" if exact else "no run"
    raise LookupError(f"ID: found {many} for {text!r}, accepted: an id, or a part of one, from `arl runs`")


# -- modules and optimisers as flat, named tensors ----------------------------------------------------------------


def pack(**parts: nn.Module | torch.optim.Optimizer) -> Tensors:
    """The state of modules and Adam-like optimisers as one flat dictionary of tensors, for `Run.save`."""
    tensors = {}
    for part, value in parts.items():
        if isinstance(value, nn.Module):
            tensors |= {f"{part}/{name}": t for name, t in value.state_dict().items()}
        else:
            for i, slots in value.state_dict()["state"].items():
                tensors |= {f"{part}/{i}/{slot}": torch.as_tensor(t) for slot, t in slots.items()}
    return tensors


def unpack(tensors: Tensors, **parts: nn.Module | torch.optim.Optimizer) -> None:
    """Load what `pack` packed into `parts`, in place. Raises RuntimeError or KeyError where they do not fit."""
    for part, value in parts.items():
        mine = {name.removeprefix(f"{part}/"): t for name, t in tensors.items() if name.startswith(f"{part}/")}
        if isinstance(value, nn.Module):
            value.load_state_dict(mine)
        else:
            state: dict[int, Tensors] = {}
            for name, t in mine.items():
                i, slot = name.split("/")
                state.setdefault(int(i), {})[slot] = t
            value.load_state_dict({"state": state, "param_groups": value.state_dict()["param_groups"]})
            for p, slots in value.state.items():  # fused Adam walks memory in order: the layout must be the parameter's
                for slot, t in slots.items():
                    if t.shape == p.shape:
                        slots[slot] = torch.empty_like(p, dtype=t.dtype).copy_(t)


def _digest(tensors: Tensors, state: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name]
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.reshape(-1).view(torch.uint8).numpy() if t.numel() else b"")
    return digest.hexdigest()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
