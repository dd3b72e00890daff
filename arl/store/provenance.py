"""Where results come from, and where they go: the checkout, its commit, the versions at work, the folder of the store."""

import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import arl
from arl import machine

PACKAGE = Path(arl.__file__).resolve().parent


@cache
def checkout() -> Path | None:
    """The checkout of this project that the code at work stands in; None for an installed package."""
    try:
        project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    return PACKAGE.parent if project.get("name") == "arl" else None


def project_root() -> Path:
    """What is read from: the folder that holds `notebooks/`, the checkout or, installed, the package itself. Never the current folder."""
    return checkout() or PACKAGE


def home() -> Path:
    """What is written to when nothing else is said: the checkout or, installed, the folder where the command was typed. Absolute."""
    return checkout() or machine.absolute("the current folder", ".")


def runs_root() -> Path:
    """The store's folder, absolute: `$ARL_RUNS`, else `runs/` in `home()`."""
    return machine.folder("ARL_RUNS") or home() / "runs"


def settle() -> None:
    """Fix the store's folder, and `$ARL_FIGURES`, as seen from here, for this process and its children. For a program to call first."""
    figures = machine.folder("ARL_FIGURES")
    machine.export_folders(ARL_RUNS=runs_root(), **({} if figures is None else {"ARL_FIGURES": figures}))


def made_with() -> dict[str, str]:
    """The checkout's commit ("+" where files differ from it, "unknown" outside a checkout) and the versions at work.

    Beside them what changes the last digits of a result: a device that is no CPU and its precision, several devices, compiled networks.
    """
    devices = {"devices": str(machine.devices())} if machine.devices() > 1 else {}
    return _versions() | machine.computes() | devices | ({"compiled": "torch.compile"} if machine.compiled() else {})


@cache
def _versions() -> dict[str, str]:
    versions = {"arl": arl.__version__} | {name: version(name) for name in ("torch", "torchvision")}
    return {"commit": _commit(checkout()), **versions, "python": platform.python_version()}


def _commit(root: Path | None) -> str:
    """The commit of the repository whose top is `root`; "unknown" for None, and for a folder inside another repository."""
    if root is None:
        return "unknown"
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        changed = _git(root, "status", "--porcelain", "--", "arl", "notebooks")
        return _git(root, "rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    clean = machine.child_environment(without="GIT_")  # a hook's GIT_DIR would lead to another repository
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, env=clean)
    return ran.stdout.strip()
