"""ARL: how much of a face can be recovered from features, and what preventing it costs.

A workbook around *Adversarial Learning of Privacy-Preserving and Task-Oriented Representations* (AAAI 2020).

    cfg = arl.RunConfig(lambda1=1)
    row = arl.run(cfg)                  # one row of Table 1: Enc trained, attacked, judged
    rows = arl.sweep([cfg, ...])        # many, a process a core
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# What a notebook types, and where it stands; imported when first asked for, so that a mistyped parameter does not wait for torch.
_PUBLIC = {
    "RunConfig": "arl.config:RunConfig",
    "run": "arl.experiment:run",
    "find": "arl.experiment:find",
    "sweep": "arl.schedule:sweep",
    "Row": "arl.row:Row",
    "Experiment": "arl.experiment:Experiment",
    "Defence": "arl.defences.base:Defence",
    "Batch": "arl.defences.base:Batch",
    "Attack": "arl.attacks.base:Attack",
    "Explorer": "arl.workbook.explorer:Explorer",
    "notebook": "arl.workbook.notebooks:notebook",
    "paper": "arl.paper",
    "figures": "arl.paper.figures",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'arl' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
