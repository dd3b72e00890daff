"""The one gate before the work: what a run or a batch needs, checked in seconds, before anything is rendered, decoded or trained.

`ready(cfgs)` raises at the first mistake; `problems(cfgs)` gives all that is seen without opening faces,
and `arl check` the rest. Each check takes configurations and raises `UserError`,
one line: name, what was found, what is accepted. The cheap ones come first; those of `OPENING` open faces and judges.
"""

import ast
import hashlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from arl import inputs
from arl.config import RunConfig
from arl.messages import ConfigError, UserError

Check = Callable[[Sequence[RunConfig]], None]
GIB = 1 << 30
ONE_AT_A_TIME = threading.Lock()
LEAST_FOR_C = 64  # images: a batch of the recogniser's training
NETWORKS = 64 << 20  # bytes of a row's checkpoints, for the small encoder


def ready(cfgs: Sequence[RunConfig], opening: bool = True) -> list[RunConfig]:
    """`cfgs` with their paths absolute, once every check has passed. `opening=False` leaves faces and judges closed. Raises `UserError`."""
    anchored = [inputs.anchored(cfg) for cfg in cfgs]
    unique = list(dict.fromkeys(anchored))
    for check in CHEAP + (OPENING if opening else ()):
        check(unique)
    return anchored


def problems(cfgs: Sequence[RunConfig]) -> list[str]:
    """One line for each of the cheap checks that fails for a configuration."""
    found: dict[str, None] = {}
    for cfg in dict.fromkeys(inputs.anchored(cfg) for cfg in cfgs):
        for check in CHEAP:
            try:
                check([cfg])
            except UserError as error:
                found |= dict.fromkeys(str(error).splitlines())
    return list(found)


# -- cheap --------------------------------------------------------------------------------------------------------


def environment(cfgs: Sequence[RunConfig] = ()) -> None:
    """Devices, threads and workers, as the environment names them."""
    from arl import devices, machine

    wrong = []
    for read in (machine.threads, machine.workers, machine.device, machine.devices, machine.compiled):
        try:
            read()
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys(wrong)))
    devices.shareable(cfgs)


def store(cfgs: Sequence[RunConfig] = ()) -> None:
    """The store is of a version that is known; its folder can be made and written to. One with results may be there to be read only."""
    from arl.store import check_version, runs_root

    root = runs_root()
    check_version(root)
    try:
        holds_results = any(root.glob("*/result.json"))
    except OSError:
        holds_results = False
    if not holds_results:
        writable(root, "ARL_RUNS")


def figures(name: str = "ARL_FIGURES") -> None:
    """Figures can be written where a batch will put them. `name`: what the user called it."""
    from arl import machine

    if (folder := machine.folder("ARL_FIGURES")) is not None:
        writable(folder, name)


def writable(folder: Path, name: str) -> None:
    """Raise `UserError` where nothing can be written to `folder`, which need not be there yet."""
    from arl.store import explained

    there = folder
    with explained(folder):
        while not _stands(there) and there != there.parent:
            there = there.parent
    if not there.is_dir():
        raise UserError(f"{name}: found {there}, which is no folder, accepted: a folder")
    try:  # rights alone do not tell: not of /proc, nor of many a network folder
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(
            f"{name}: found {there}, where nothing can be written ({why}), accepted: a folder of your own"
        ) from None


def _stands(path: Path) -> bool:
    """Whether something is called `path`, be it a link that leads nowhere. Raises `OSError` for what cannot be a name."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def effect(cfgs: Sequence[RunConfig]) -> None:
    """No parameter was set that changes nothing."""
    if idle := [line for cfg in cfgs for line in cfg.without_effect()]:
        raise ConfigError("\n".join(dict.fromkeys(idle)))


def files(cfgs: Sequence[RunConfig]) -> None:
    """The files and folders that configurations name are there."""
    missing: dict[str, None] = {}
    for cfg in cfgs:
        if cfg.data in ("celeba", "folder"):
            missing |= _missing("data_root", cfg.data_root, Path.is_dir, "an existing folder")
        if cfg.extra != "none" and "/" in cfg.extra_source:
            accepted = f"a folder of faces, or {' or '.join(inputs.BUILT_IN['extra_source'])}"
            missing |= _missing("extra_source", cfg.extra_source, Path.is_dir, accepted)
        for judge in cfg.recognisers:
            if "/" in judge:
                missing |= _missing("recogniser", judge, Path.is_file, "rendered, rendered2, dlib or an .onnx file")
        if "/" in cfg.perceptual:
            named = ", ".join(inputs.BUILT_IN["perceptual"])
            missing |= _missing("perceptual", cfg.perceptual, Path.is_file, f"{named}, or a file of VGG16 weights")
    if missing:
        raise ConfigError("\n".join(missing))


def _missing(name: str, text: str, kind: Callable[[Path], bool], accepted: str) -> dict[str, None]:
    """A line where `text` leads to nothing of this kind."""
    try:
        found = kind(Path(text).expanduser())
    except (OSError, RuntimeError, ValueError):
        found = False
    return {} if found else {f"{name}: found {text!r}, accepted: {accepted}": None}


def sizes(cfgs: Sequence[RunConfig]) -> None:
    """Rendered sets are large enough for a batch of each player, for T and for C. Other sets are known when they are opened.

    Where photographs are to have extra photographs, there are some.
    """
    for cfg in cfgs:
        cfg.check_extra()
        n_c = cfg.recogniser_identities * cfg.recogniser_per_identity
        if cfg.trains_recognisers and n_c < LEAST_FOR_C:
            raise ConfigError(
                f"recogniser_identities: found {cfg.recogniser_identities} × {cfg.recogniser_per_identity} = {n_c} images for C, "
                f"accepted: {LEAST_FOR_C} images or more"
            )
        if cfg.data == "rendered":
            _parts(cfg, cfg.identities * cfg.per_identity)


def _parts(cfg: RunConfig, n: int) -> None:
    """X1, X2 and T of `n` images, drawn by image."""
    if cfg.reserved:
        whole = -(-(round(cfg.reserved * n) if cfg.reserved < 1 else int(cfg.reserved)) // cfg.per_identity)
        n -= whole * cfg.per_identity
        if n < 1:
            raise ConfigError(f"reserved: found {cfg.reserved:g}, accepted: what leaves people for X1, X2 and T")
    n1, n2 = (round(x * n) if x < 1 else int(x) for x in (cfg.x1, cfg.x2))
    if min(n1, n2) < 1 or n - n1 - n2 < 2:
        raise ConfigError(
            f"x1, x2: found {cfg.x1:g} and {cfg.x2:g}, which is {n1} and {n2} of {n} images, "
            "accepted: fractions or counts that leave X1 and X2 images, and T two"
        )
    if cfg.split == "identity":  # whole people: the numbers come out otherwise
        return
    n_extra = cfg.extra_images if cfg.extra != "none" else 0
    n2, n_extra = (n_extra, 0) if cfg.extra == "instead" else (n2, n_extra)
    learns = n2 - max(1, n2 // 10) + n_extra
    for name, images in (("X1", n1), ("the adversary's images", learns)):
        if images < cfg.batch_size:
            raise ConfigError(
                f"batch_size: found {cfg.batch_size} with {images} images in {name}, accepted: that many or less"
            )


def room(cfgs: Sequence[RunConfig]) -> None:
    """There is room on the store's disk for the rendered faces and for the networks of the rows that are not stored."""
    from arl.machine import free_bytes
    from arl.store import runs_root

    free = free_bytes(runs_root())
    if sum(_sets(cfgs).values()) + NETWORKS <= free:
        return
    missing = [cfg for cfg in cfgs if not _stored(cfg)]
    if not missing:  # all is only read, perhaps from a full disk or a read-only one
        return
    sets = _sets(missing)
    needed = sum(sets.values()) + NETWORKS
    if free < NETWORKS:
        raise ConfigError(
            f"ARL_RUNS: found {free >> 20} MiB free for {runs_root()}, accepted: a folder with {NETWORKS >> 20} MiB or more"
        )
    if needed > free:
        largest = max(sets, key=lambda key: sets[key])
        name = {"data": "identities", "extra": "extra_images", "C": "recogniser_identities"}[largest[0]]
        raise ConfigError(
            f"{name}: found faces of {needed / GIB:,.1f} GiB for {runs_root()}, "
            f"accepted: what fits into the {free / GIB:,.1f} GiB that are free"
        )


def _sets(cfgs: Sequence[RunConfig]) -> dict[tuple, int]:
    """Bytes of each set of faces that is rendered or taken over for `cfgs`, by what it is."""
    sets: dict[tuple, int] = {}
    for cfg in cfgs:
        size = 3 * cfg.image_size**2
        if cfg.data == "rendered":
            key = ("data", cfg.identities, cfg.per_identity, size, cfg.data_seed)
            sets[key] = cfg.identities * cfg.per_identity * size
        if cfg.extra != "none" and cfg.extra_from != "reserved":
            sets["extra", cfg.extra_from, cfg.extra_images, size] = cfg.extra_images * size
        if cfg.trains_recognisers:
            images = cfg.recogniser_identities * cfg.recogniser_per_identity
            sets["C", images, size] = images * size
    return sets


def _stored(cfg: RunConfig) -> bool:
    """Whether the row of `cfg` is stored; nothing is opened."""
    from arl.unopened import Unopened

    try:
        return Unopened(cfg).find() is not None
    except UserError:
        return False


def main_guard(cfgs: Sequence[RunConfig] = ()) -> None:
    """A sweep's workers import the script that calls it: there the call must stand under `if __name__ == "__main__":`."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_name == "<module>":
            break
        frame = frame.f_back
    script = frame and frame.f_globals.get("__file__")
    if not script or frame.f_code.co_filename != script:
        return
    try:
        body = ast.parse(Path(script).read_bytes()).body
    except OSError:
        raise UserError(
            f"sweep: found a program in {script}, accepted: one in a file, as each worker imports it"
        ) from None
    except (SyntaxError, ValueError):
        return
    for statement in body:
        if statement.lineno <= frame.f_lineno <= (statement.end_lineno or statement.lineno):
            if not _is_guard(statement):
                raise UserError(
                    f'{script}: found line {frame.f_lineno} without a guard, accepted: under `if __name__ == "__main__":`, '
                    "as each worker imports this file"
                )


def _is_guard(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test))


# -- a kernel for notebooks ---------------------------------------------------------------------------------------


def kernel() -> None:
    """Let `python3` be this interpreter for every notebook started from here, whatever kernelspecs the user has. Raises `UserError`.

    Jupyter looks into `$JUPYTER_PATH` first. In a store that several use, each interpreter of each machine has a folder of its own.
    """
    from arl.store import make_folder, runs_root, write_atomically

    if importlib.util.find_spec("ipykernel") is None:
        raise UserError(f"kernel: found no ipykernel for {sys.executable}, accepted: after pip install ipykernel")
    if not sys.executable or not os.access(sys.executable, os.X_OK):
        raise UserError(f"kernel: found no interpreter at {sys.executable!r}, accepted: Python in a folder that exists")
    whose = hashlib.sha256(f"{platform.node()} {sys.executable}".encode()).hexdigest()[:12]
    base = runs_root().absolute() / ".jupyter" / whose
    folder = base / "kernels" / "python3"
    make_folder(folder)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    with ONE_AT_A_TIME:  # notebooks are started by several threads
        write_atomically(folder / "kernel.json", json.dumps(spec, indent=1).encode())
        others = [part for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if part and part != str(base)]
        os.environ["JUPYTER_PATH"] = os.pathsep.join([str(base), *others])


# -- opening faces and judges -------------------------------------------------------------------------------------


def opened(cfgs: Sequence[RunConfig]) -> None:
    """Faces and extra data can be opened, each set holds a batch, recognisers from elsewhere tell the data's own people apart, g sees."""
    from arl.experiment import Experiment

    for cfg in apart(cfgs):
        experiment = Experiment(cfg)
        experiment.check()
        if len(experiment.split.t) < 2:
            raise ConfigError(f"x1, x2: found {len(experiment.split.t)} image left for T, accepted: two or more")


def apart(cfgs: Sequence[RunConfig]) -> list[RunConfig]:
    """One of those that would open the same: weights and schedules make no difference to a check."""
    same = [
        "data",
        "data_root",
        "damaged",
        "data_seed",
        "image_size",
        "identities",
        "per_identity",
        "x1",
        "x2",
        "split",
        "reserved",
    ]
    same += ["seed", "attributes", "extra", "extra_source", "extra_images", "perceptual", "recogniser", "batch_size"]

    def what(cfg: RunConfig) -> tuple:
        uses_g = any(player.perceptual_weight for player in cfg.players)
        return (*(getattr(cfg, name) for name in same), uses_g, cfg.encoder, cfg.encoder_weights)

    return list({what(cfg): cfg for cfg in cfgs}.values())


CHEAP: tuple[Check, ...] = (environment, effect, files, sizes, store, room)
OPENING: tuple[Check, ...] = (opened,)
