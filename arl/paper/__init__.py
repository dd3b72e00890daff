"""The paper: its rows, its claims, its tables and figures. What is named here is found in its module when it is first used."""

from importlib import import_module
from typing import Any

NAMES = {
    "architecture": ("figure6", "players"),
    "audit_pages": ("audit_html", "audit_pdf", "write_report"),
    "audited": ("attackers_figure", "audit_numbers"),
    "budgets": ("AXES", "BudgetCurve", "budget_curves", "budget_settings", "budget_text"),
    "budgets_figure": ("budget_figure", "save_budget"),
    "claims": ("CLAIMS", "Claim", "ledger", "ledger_text"),
    "claims_figure": ("ledger_figure",),
    "composition": ("pooled",),
    "composition_figure": ("pooling_text", "save_pooling"),
    "factors": ("factor_ledger",),
    "factors_figure": ("factors_text", "save_factors"),
    "figures": ("compare", "reconstruction_grid", "training_curves", "wall"),
    "front": ("front_figure",),
    "gallery": ("frequencies", "frequencies_text", "percentages", "picture_wall", "switches"),
    "game": ("figure2",),
    "information": ("bits", "bits_text", "limits_text"),
    "label_noise": ("LabelNoise", "index_of_reliability", "reliability", "reliability_of"),
    "lambda_plot": ("lambda_figure",),
    "lambda_map": ("fitting", "ladders", "map_text", "mapped", "matched", "verdicts"),
    "leak": ("mcc_map", "mcc_numbers", "people_leak"),
    "ledgers": ("find_ledgers", "ledgers_text"),
    "measured": ("Line", "measure", "measured_on", "recommend"),
    "pair": ("choose_pair", "measured_pair", "pair_figure", "pair_text"),
    "people": ("choose_people", "different_people"),
    "planes": ("information_planes", "panels_numbers", "tsne_panels"),
    "probes": ("figure4_panels", "figure4_text", "readable"),
    "ranks": ("compared", "missing_tables", "ranks_text"),
    "ranks_figure": ("save_ranks",),
    "rows": ("Setting", "every_row", "find_rows", "numbers", "seeded", "table1", "table2", "table3"),
    "saved": ("figures_folder", "save_figure"),
    "scales": ("Reading", "perceptual_readings", "pixel_readings"),
    "strongest": ("against_strongest", "strongest_text"),
    "style": ("COLOURS", "INK", "METRICS", "theme", "themed"),
    "suites": ("save_suite", "suite_of", "suite_of_rows", "suite_text"),
    "summary": ("write_summary",),
    "tables": ("save_table", "table_text"),
    "text": ("row_text", "sets_text"),
}
MODULES = {name: module for module, names in NAMES.items() for name in names}
__all__ = sorted(MODULES)


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(f"arl.paper.{MODULES[name]}"), name)
    raise AttributeError(f"module 'arl.paper' has no attribute {name!r}")
