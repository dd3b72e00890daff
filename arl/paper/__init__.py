"""The paper: its rows, its claims, its tables and figures. What is named here is found in its module when it is first used."""

from importlib import import_module
from typing import Any

NAMES = {
    "architecture": ("networks", "players"),
    "claims": ("CLAIMS", "Claim", "ledger", "ledger_text"),
    "figures": ("compare", "reconstruction_grid", "training_curves", "wall"),
    "game": ("game",),
    "leak": ("mcc_map", "people_leak"),
    "ledger": ("ledger_figure",),
    "measured": ("Line", "measure", "measured_on", "recommend"),
    "people": ("choose_people", "different_people"),
    "planes": ("information_planes", "tsne_panels"),
    "rows": ("Setting", "every_row", "find_rows", "numbers", "seeded", "table1", "table2", "table3"),
    "saved": ("figures_folder", "save_figure"),
    "style": ("COLOURS", "INK", "METRICS", "theme", "themed"),
    "summary": ("write_summary",),
    "tables": ("front", "save_table"),
    "text": ("row_text", "runs_text"),
}
MODULES = {name: module for module, names in NAMES.items() for name in names}
ROOMS = ("information", "probes", "tables")  # modules that are used by their own name

__all__ = [*sorted(MODULES), *ROOMS]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(f"arl.paper.{MODULES[name]}"), name)
    if name in ROOMS:
        return import_module(f"arl.paper.{name}")
    raise AttributeError(f"module 'arl.paper' has no attribute {name!r}")
