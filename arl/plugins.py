"""A user's own file of defences and attacks: `arl run --plugin mine.py --set defence=mine`."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from arl.attacks import Attack
from arl.defences import Defence
from arl.messages import ConfigError, first_line
from arl.parameters import Parameters

_LOADED: dict[Path, str] = {}  # file: the name of its module


def load(path: str | Path) -> list[str]:
    """Execute the file, which defines subclasses of `Defence` or `Attack`; the names that it defined. Raises `ConfigError`.

    The file's content belongs to the ids of the runs that use it.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file() or file.suffix != ".py":
        raise ConfigError(f"plugin: found {str(path)!r}, accepted: a Python file that defines a Defence or an Attack")
    if file in _LOADED:
        return _names(_LOADED[file])
    module = f"arl_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(module, file)
    sys.modules[module] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules[module])
    except Exception as error:  # a user's code raises anything
        del sys.modules[module]
        where = f"{file}: {type(error).__name__}: {first_line(error)}"
        raise ConfigError(f"plugin: {where}, accepted: a file that can be imported") from error
    if not (found := _names(module)):
        raise ConfigError(f"plugin: found no Defence and no Attack in {file}, accepted: a subclass of either")
    _LOADED[file] = module
    return found


def loaded() -> list[str]:
    """The files that `load` has loaded, for processes that make runs elsewhere."""
    return [str(file) for file in _LOADED]


def plugin_files(players: Iterable[Parameters]) -> list[str]:
    """The files that define those of `players` that are a user's own, for another process. Raises `ConfigError` for one of a cell."""
    found: dict[str, None] = {}
    for player in players:
        if player.shipped():
            continue
        if of_a_cell(player):
            accepted = "one of a file, or arl.run(cfg) in a cell"
            raise ConfigError(
                f"{player.kind}: found {player.name()} of a notebook's cell, accepted by another process: {accepted}"
            )
        found[str(sys.modules[type(player).__module__].__file__)] = None
    return list(found)


def of_a_cell(player: Parameters) -> bool:
    """Whether only this process knows it: a class of a notebook's cell."""
    module = type(player).__module__
    return module == "__main__" or getattr(sys.modules.get(module), "__file__", None) is None


def _names(module: str) -> list[str]:
    return [n for kind in (Defence, Attack) for n, cls in kind.registry.items() if cls.__module__ == module]
