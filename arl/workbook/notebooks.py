"""Execute the notebooks in batches: parameters checked first, progress as it happens, copies kept in the store."""

import ast
import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import papermill
from IPython import get_ipython
from papermill.exceptions import PapermillExecutionError

from arl.config import RunConfig
from arl.machine import KEEP_MEMORY, cores
from arl.machine import workers as worker_count
from arl.messages import UserError, say
from arl.paper import rows as experiments
from arl.store import project_root, runs_root
from arl.sweep import run_all


class NotebookError(UserError):
    """A notebook that cannot be executed, or that failed; the message is one line."""


def notebooks(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks in order; with `names`, those whose file name starts with one of them. Raises `NotebookError`."""
    folder = project_root() / "notebooks"
    every = sorted(folder.glob("[0-9]*.ipynb"))
    if not every:
        raise NotebookError(
            f"notebooks: none in {folder}, accepted: a checkout of the project, installed with pip install -e"
        )
    for name in names:
        if not any(path.name.startswith(name) for path in every):
            raise NotebookError(f"NOTEBOOK: found {name!r}, accepted: {', '.join(path.stem for path in every)}")
    return [path for path in every if not names or path.name.startswith(tuple(names))]


def execute_all(names: Sequence[str], parameters: dict[str, Any]) -> Iterator[Path]:
    """Execute `notebooks(names)`, a kernel a core, with those of `parameters` that each has; yields the executed copies in order.

    Before anything runs, each parameter must be known to at least one of the notebooks: papermill itself would only warn.
    Raises `NotebookError`.
    """
    chosen = {path: papermill.inspect_notebook(str(path)) for path in notebooks(names)}
    known = set().union(*chosen.values())
    if unknown := sorted(set(parameters) - known - {"preset"}):  # a notebook that trains nothing has no preset
        raise NotebookError(f"{unknown[0]}: no such parameter, accepted by these notebooks: {', '.join(sorted(known))}")
    run_all(_rows_ahead(chosen, parameters))  # in one sweep, so that its time left is that of all

    def one(number: int, path: Path) -> Path:
        say(f"[{number}/{len(chosen)}] {path.name}")
        return execute(path, {name: value for name, value in parameters.items() if name in chosen[path]})

    kernels = min(worker_count(), len(chosen))
    os.environ |= KEEP_MEMORY | os.environ
    if kernels > 1:
        for name in ("ARL_THREADS", "OMP_NUM_THREADS"):  # else the kernels' threads wait for one another
            os.environ.setdefault(name, str(max(1, cores() // kernels)))
    with ThreadPoolExecutor(kernels) as pool:
        jobs = [pool.submit(one, number, path) for number, path in enumerate(chosen, 1)]
        try:
            for job in jobs:
                yield job.result()
        finally:  # after a failure those that have begun are finished, no other one begins
            for job in jobs:
                job.cancel()


def check_parameters() -> None:
    """In a notebook, after its imports: refuse what papermill injected and the notebook does not declare; papermill only warns.

    Raises `NotebookError`.
    """
    cells = get_ipython().user_ns["In"]
    # the cell of parameters annotates each
    declared = set(re.findall(r"^(\w+): \w+ = ", "\n".join(cells), re.MULTILINE))
    injected = {
        target.id
        for cell in cells
        if cell.startswith("# Parameters\n")
        for line in ast.parse(cell).body
        for target in getattr(line, "targets", ())
    }
    if unknown := sorted(injected - declared):
        raise NotebookError(
            f"{unknown[0]}: no such parameter, accepted by this notebook: {', '.join(sorted(declared))}"
        )


def _rows_ahead(chosen: dict[Path, dict[str, Any]], parameters: dict[str, Any]) -> list[RunConfig]:
    """The rows of the paper's tables that the notebooks `chosen` will ask for, each with every seed."""
    found: dict[tuple[str, RunConfig], None] = {}  # the ledger asks again for what the tables ask
    for path, accepted in chosen.items():
        needed = accepted.keys() & ({"preset", "seeds", "lambda2s", "layers"} | RunConfig.model_fields.keys())
        given = {name: ast.literal_eval(accepted[name]["default"]) for name in needed}
        given |= {name: value for name, value in parameters.items() if name in accepted}
        tables = {
            "02": lambda cfg, given: experiments.table1(cfg),
            "03": lambda cfg, given: experiments.table2(cfg, experiments.numbers(given["lambda2s"])),
            "04": lambda cfg, given: experiments.table3(cfg, given["layers"].split(",")),
            "10": lambda cfg, given: experiments.every_row(cfg),
        }
        if (table := tables.get(path.name[:2])) is not None:
            fields = {name: value for name, value in given.items() if name in RunConfig.model_fields}
            rows = table(RunConfig.preset(given["preset"], **fields), given)
            found |= {(row.name, cfg): None for row in rows for cfg in experiments.seeded(row.cfg, given["seeds"])}
    return [cfg for _, cfg in found]


def execute(path: Path, parameters: dict[str, Any]) -> Path:
    """Execute one notebook in the kernel `python3`; the copy, with its outputs, goes to `notebooks/` in the store.

    What the notebook prints on standard error, a line an epoch, is passed on as it comes. Raises `NotebookError` for a failed cell
    and for an error hidden in a widget's output, which papermill would let pass.
    """
    executed = runs_root() / "notebooks" / path.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # the debugger's warning is noise here
    try:
        notebook = papermill.execute_notebook(
            str(path),
            str(executed),
            parameters,
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=False,
            stderr_file=sys.stderr,
            extra_arguments=["--log-level=ERROR"],  # the kernel's own warnings are noise here
        )
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{path.name}: cell {error.exec_count}: {error.ename}: {error.evalue} (see {executed})"
        ) from None
    if hidden := widget_errors(notebook):
        raise NotebookError(f"{path.name}: an error in a widget: {hidden[0]} (see {executed})")
    return executed


def widget_errors(notebook: Any) -> list[str]:
    """The errors that `Output` widgets caught, as "NAME: message" (ipywidgets#3208)."""
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    outputs = [output for widget in widgets.values() for output in widget.get("state", {}).get("outputs", ())]
    return [f"{o.get('ename')}: {o.get('evalue')}" for o in outputs if o.get("output_type") == "error"]
