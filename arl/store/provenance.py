"""Where results come from: the checkout, its commit, the versions at work."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


def project_root() -> Path:
    """The checkout that holds `notebooks/`, or the current folder for an installed package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() else Path.cwd()


@cache
def made_with() -> dict[str, str]:
    """The checkout's commit ("+" where files differ from it, "unknown" outside a checkout) and the versions at work."""
    try:
        git = ["git", "-C", str(project_root())]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = [*git, "status", "--porcelain", "--", "arl", "notebooks"]
        changed = subprocess.run(changed, capture_output=True, text=True, check=True).stdout.strip()
        commit = head + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    versions = {name: version(name) for name in ("arl", "torch", "torchvision")}
    return {"commit": commit, **versions, "python": platform.python_version()}
