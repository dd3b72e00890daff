"""A process that does not outlive its parent: `python -P arl/watch.py PARENT STARTER MODULE [ARGUMENT]...` runs MODULE as `-m` would.

`machine.child` starts it. Workers that others start, such as a pool's, call `follow`. Nothing of `arl` is imported here before the
watch has begun.
"""

import ctypes
import importlib.util
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

EVERY = 0.5  # seconds between two looks


def follow(parent: int) -> None:
    """End this process, at once and without a word, when `parent`, the process that started it, is gone.

    The system gives an orphan another parent; nothing else is needed of the parent, which may be killed with -9.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _die_with_parent() -> None:
    """On Linux, let the kernel end this process when the thread that started it ends: it ends a paused one too, which cannot look.

    Only for a child that a main thread started: another thread may end long before its process.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def main() -> None:
    parent, starter, module, *arguments = sys.argv[1:]
    if starter == "main":
        _die_with_parent()
    follow(int(parent))
    here = Path(__file__).resolve().parent
    found = importlib.util.find_spec("arl")
    if found is None or found.origin is None or Path(found.origin).resolve().parent != here:
        sys.path.insert(0, str(here.parent))  # a checkout that is not installed: the parent's arl, not another
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
