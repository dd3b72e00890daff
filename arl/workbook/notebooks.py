"""The notebooks: their parameters checked, in a batch or inside one; executed with progress as it happens, copies kept in the store.

What a notebook accepts is in its cell tagged `parameters`; which rows of the paper's tables it asks for, in its metadata, `arl.rows`.
"""

import ast
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arl import gate, inputs, machine, plugins
from arl.config import RunConfig
from arl.inputs import Declared
from arl.machine import KEEP_MEMORY, cores, workers
from arl.messages import UserError, say
from arl.paper import budgets
from arl.paper import rows as tables
from arl.schedule import sweep
from arl.store import make_folder, project_root, runs_root
from arl.workbook import executed

BUDGETS = ("lambda1s", "lambda2s", "ns", "attackers", "axis")  # parameters of a notebook that asks for curves
# What a notebook's metadata may name as `arl.rows`: the settings that it asks for, from its configuration and its parameters.
ROWS = {
    "table1": lambda cfg, given: tables.table1(cfg),
    "table2": lambda cfg, given: tables.table2(cfg, tables.numbers(given["lambda2s"])),
    "table3": lambda cfg, given: tables.table3(cfg, given["layers"].split(",")),
    "all": lambda cfg, given: tables.every_row(cfg, given.get("attackers", "")),
    "budgets": lambda cfg, given: budgets.budget_settings(cfg, *(given[name] for name in BUDGETS)),
    "named": lambda cfg, given: tables.find_rows(cfg, given["rows"]),
}


class NotebookError(UserError):
    """A notebook that cannot be executed, or that failed; the message is one line."""


@dataclass(frozen=True)
class Notebook:
    """A notebook's file, the parameters that it declares, and what its metadata say of it."""

    path: Path
    parameters: dict[str, Declared]
    rows: str = ""  # the name of the rows that it asks for
    app: bool = False  # whether `arl app` serves it
    last: bool = False  # whether it reads what those before it write
    takes: str = ""  # "row": its parameters make one row, and the explorer writes them
    reads: bool = False  # whether it is made from others' figures too
    beyond: bool = False  # whether it goes beyond the paper: `arl reproduce` executes it where it is named

    def given(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The values of its parameters, checked, paths absolute: of `parameters` where it has them, else its own.

        With those of the chosen defence and attacks, where it declares `defence` or `attacks`. Raises `ConfigError`.
        """
        return inputs.of_players(self.parameters, parameters, self.path.stem)

    def accepted(self, parameters: Mapping[str, Any]) -> set[str]:
        """The names that it takes of `parameters`. Raises `ConfigError` for a defence or an attack that does not exist."""
        return {*self.parameters, *inputs.own(self.parameters, parameters)}

    def configuration(self, given: Mapping[str, Any]) -> RunConfig | None:
        """The configuration that the values `given` make; None for a notebook without `preset`. Raises `ConfigError`."""
        return notebook_configuration(self.parameters, given)

    def settings(self, given: Mapping[str, Any]) -> dict[tuple[str, RunConfig], None]:
        """The rows of the paper's tables that it will ask for, each with every seed."""
        cfg = self.configuration(given)
        if cfg is None or not self.rows:
            return {}
        found = ROWS[self.rows](cfg, given)
        seeds = given.get("seeds", cfg.seed)
        return {(row.name, each): None for row in found for each in tables.seeded(row.cfg, seeds)}


def notebook_configuration(declared: Mapping[str, Declared], given: Mapping[str, Any]) -> RunConfig | None:
    """`RunConfig.preset(preset, ...)` with those of `given` that are its fields; "" keeps the preset's. None without `preset`."""
    if "preset" not in declared:
        return None
    known = {*RunConfig.parameters(), *inputs.own(declared, given)}
    fields = {name: value for name, value in given.items() if name in known and name != "preset"}
    cfg = inputs.configuration(given["preset"], fields)
    inputs.further_judge(cfg, given.get("judge", ""))
    return cfg


# -- the files ----------------------------------------------------------------------------------------------------


def notebooks_folder() -> Path:
    """Where the notebooks lie: in the checkout or, installed, in the package. Never in the current folder."""
    return project_root() / "notebooks"


def notebooks(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks in order; with `names`, those whose file name starts with one of them. Raises `NotebookError`."""
    every = sorted(notebooks_folder().glob("[0-9]*.ipynb"))
    if not every:
        raise NotebookError(f"notebooks: found none in {notebooks_folder()}, accepted: a complete installation of arl")
    for name in names:
        if not any(path.name.startswith(name) for path in every):
            raise NotebookError(f"NOTEBOOK: found {name!r}, accepted: {', '.join(path.stem for path in every)}")
    return [path for path in every if not names or path.name.startswith(tuple(names))]


def read_notebook(path: Path) -> Notebook:
    """The notebook at `path`. Raises `NotebookError` for a file that is none, or that asks for rows that do not exist."""
    import nbformat  # here, as it takes two seconds, and a kernel reads no notebook

    try:
        content = nbformat.read(path, as_version=4)
    except Exception as error:  # a damaged file raises almost anything
        raise NotebookError(f"{path}: found no notebook ({type(error).__name__}), accepted: an .ipynb file") from None
    source = "\n".join(c.source for c in content.cells if "parameters" in c.metadata.get("tags", ()))
    own = content.metadata.get("arl", {})
    rows = own.get("rows", "")
    if rows and rows not in ROWS:
        raise NotebookError(f"{path.name}: found arl.rows {rows!r} in its metadata, accepted: {', '.join(ROWS)}")
    more = {name: own[name] for name in ("app", "last", "takes", "reads", "beyond") if name in own}
    return Notebook(path, inputs.declarations(source), rows, **more)


def taking(what: str) -> Notebook:
    """The notebook whose metadata say `arl.takes` = `what`. Raises `NotebookError`."""
    for path in notebooks():
        if (found := read_notebook(path)).takes == what:
            return found
    raise NotebookError(f"notebooks: found none that takes a {what}, accepted: a complete installation of arl")


def copy_to(target: Path) -> list[Path]:
    """Copies of all notebooks in the folder `target`. Raises `NotebookError` rather than replace a file."""
    gate.writable(target, "COPY_TO")
    make_folder(target)
    copies = {path: target / path.name for path in notebooks()}
    for copy in copies.values():
        if copy.exists():
            raise NotebookError(f"COPY_TO: found {copy}, accepted: a folder without it")
    for path, copy in copies.items():
        shutil.copyfile(path, copy)
    return list(copies.values())


# -- inside a notebook --------------------------------------------------------------------------------------------


def notebook(namespace: dict[str, Any]) -> RunConfig | None:
    """Right after the cell of parameters, `cfg = arl.notebook(globals())`: check them all, and make the configuration of them.

    Declared parameters are the typed assignments of the cells so far. They are put back into `namespace` as their types, paths
    absolute as seen from the kernel's folder. What papermill injected and the notebook neither declares nor takes for the defence and
    the attacks is refused; papermill only warns. None for a notebook without `preset`. Raises `UserError`.
    """
    for path in machine.plugins():
        plugins.load(path)
    cells = [str(cell) for cell in namespace.get("In", ())]
    declared = {name: d for cell in cells for name, d in inputs.declarations(cell).items() if d.kind}
    if not cells:  # a script
        kinds = namespace.get("__annotations__", {})
        declared = {n: Declared(getattr(kind, "__name__", str(kind)), None) for n, kind in kinds.items()}
    injected = {name for cell in cells if cell.startswith("# Parameters") for name in _assigned(cell)}
    theirs = inputs.own(declared, namespace)
    inputs.unknown(injected, [*declared, *theirs], "this notebook")
    there = {name: namespace[name] for name in {*declared, *injected} if name in namespace}
    typed = {
        n: d if n in injected else Declared(d.kind, there.get(n, d.default)) for n, d in declared.items()
    }  # in the cell itself
    given = inputs.of_players(typed, {name: there[name] for name in there if name in injected}, "this notebook")
    cfg = notebook_configuration(declared, given)
    namespace.update(given)
    gate.ready([] if cfg is None else [cfg], opening=False)
    return cfg


def _assigned(cell: str) -> set[str]:
    return {
        target.id
        for line in ast.parse(cell).body
        for target in getattr(line, "targets", ())
        if isinstance(target, ast.Name)
    }


# -- a batch ------------------------------------------------------------------------------------------------------


def prepared(names: Sequence[str], parameters: Mapping[str, Any]) -> tuple[dict[Path, dict[str, Any]], list[RunConfig]]:
    """The notebooks `names` with the values of their parameters, and the rows that they will ask for. All values are checked.

    Without names those of the paper. Each of `parameters` must be known to at least one of the notebooks. Raises `UserError`.
    """
    chosen = [each for path in notebooks(names) if not (each := read_notebook(path)).beyond or names]
    known = sorted({name for each in chosen for name in each.accepted(parameters)})
    inputs.unknown(set(parameters) - {"preset"}, known, "these notebooks")  # one that trains nothing has no preset
    values = [each.given(parameters) for each in chosen]
    for each, given in zip(chosen, values, strict=True):
        if (cfg := each.configuration(given)) is not None:
            gate.ready([cfg], opening=False)
    rows: dict[tuple[str, RunConfig], None] = {}  # the ledger asks again for what the tables ask
    for each, given in zip(chosen, values, strict=True):
        rows |= each.settings(given)
    return {each.path: given for each, given in zip(chosen, values, strict=True)}, [cfg for _, cfg in rows]


def execute_all(names: Sequence[str], parameters: Mapping[str, Any], again: bool = False) -> Iterator[Path]:
    """Execute `notebooks(names)`, a kernel a core, with those of `parameters` that each has; yields the executed copies in order.

    A copy that still stands (`arl.workbook.executed`) is taken as it is, unless `again`. Everything that can be refused is refused
    before anything runs. Raises `UserError`.
    """
    chosen, rows = prepared(names, parameters)
    gate.figures()
    gate.kernel()
    if own := plugins.loaded():
        os.environ["ARL_PLUGINS"] = os.pathsep.join(own)
    made = sweep(gate.ready(rows))  # in one sweep, so that its time left is that of all
    ids = {cfg: row.id for cfg, row in zip(rows, made, strict=True)}

    def one(number: int, path: Path, before: Sequence[Future[Path]]) -> Path:
        wait(before)
        notebook, given = read_notebook(path), chosen[path]
        asked = {ids[cfg] for _, cfg in notebook.settings(given)}
        from_what = executed.made_from(path, given, notebook.configuration(given), asked, notebook.reads)
        copy, said = _copy_of(path), f"[{number}/{len(chosen)}] {path.name}"
        if not again and executed.stands(copy, from_what):
            say(f"{said}: as it was executed; nothing that it was made from has changed")
            return copy
        say(said)
        began = time.time()
        executed.keep(execute(path, given), from_what, began)
        return copy

    kernels = min(workers(), len(chosen))
    os.environ |= KEEP_MEMORY | os.environ
    if kernels > 1:
        for name in ("ARL_THREADS", "OMP_NUM_THREADS"):  # else the kernels' threads wait for one another
            os.environ.setdefault(name, str(max(1, cores() // kernels)))
    with ThreadPoolExecutor(kernels) as pool:
        jobs: list[Future[Path]] = []
        for number, path in enumerate(chosen, 1):
            jobs.append(pool.submit(one, number, path, [*jobs] if read_notebook(path).last else []))
        try:
            for job in jobs:
                yield job.result()
        finally:  # after a failure those that have begun are finished, no other one begins
            for job in jobs:
                job.cancel()


def execute(path: Path, parameters: Mapping[str, Any]) -> Path:
    """Execute one notebook with this interpreter; the copy, with its outputs, goes to `notebooks/` in the store.

    What the notebook prints on standard error, a line an epoch, is passed on as it comes. Raises `NotebookError` for a failed cell
    and for an error hidden in a widget's output, which papermill would let pass.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    gate.kernel()
    copy = _copy_of(path)
    make_folder(copy.parent)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of a defence's parameters, which are checked here
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # the debugger's warning is noise here
    try:
        done = papermill.execute_notebook(
            str(path),
            str(copy),
            dict(parameters),
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=False,
            stderr_file=sys.stderr,
            extra_arguments=["--log-level=ERROR"],  # the kernel's own warnings are noise here
        )
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{path.name}: cell {error.exec_count}: {error.ename}: {error.evalue} (see {copy})"
        ) from None
    if hidden := widget_errors(done):
        raise NotebookError(f"{path.name}: an error in a widget: {hidden[0]} (see {copy})")
    return copy


def _copy_of(path: Path) -> Path:
    """Where the executed copy of a notebook lies."""
    return runs_root() / "notebooks" / path.name


def widget_errors(notebook: Any) -> list[str]:
    """The errors that `Output` widgets caught, as "NAME: message" (ipywidgets#3208)."""
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    outputs = [output for widget in widgets.values() for output in widget.get("state", {}).get("outputs", ())]
    return [f"{o.get('ename')}: {o.get('evalue')}" for o in outputs if o.get("output_type") == "error"]
