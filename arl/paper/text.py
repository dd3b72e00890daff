"""Rows of Table 1 as text, with their yardsticks."""

from typing import Any

from arl.config import RunConfig
from arl.data import open_data, split
from arl.paper.style import METRICS
from arl.row import Row


def sets_text(cfg: RunConfig) -> str:
    """The faces of `cfg`, and how many images each set has."""
    data = open_data(cfg)
    x1, x2, t = split(data, cfg)
    kept_out = f", {len(data) - len(x1) - len(x2) - len(t)} of other people" if cfg.reserved else ""
    return f"{data.title}: X1 {len(x1)}, X2 {len(x2)}, T {len(t)} images{kept_out}"


def row_text(*rows: Row) -> str:
    """Rows of Table 1 as text: each figure with its 95 % interval, floor and ceiling, and what all was measured on."""
    return "\n\n".join(_row(row) for row in rows)


def _row(row: Row) -> str:
    on = row.result["measured_on"]
    judges = row.result.get("judges", {})
    lines = [f"{row.id}  {on['setting']}", f"measured on  {on['test_set']}", f"g  {on['g']}", f"C  {on['C']}"]
    lines += [*(f"{name}  {on['judges'][name]}" for name in judges), ""]
    lines += [f"{'':28}{'value':>8}  {'95 % interval':^17}  {'floors: mean face, stranger':>27}  ceiling: same person"]
    lines += _metrics(row.result)
    for judge, found in judges.items():
        lines += [f"by {judge}", *_metrics(found)]
    if not on["plateau"]:
        lines.append("an attacker ended before its plateau: a longer attack may leak more")
    return "\n".join(lines)


def _metrics(found: dict[str, Any]) -> list[str]:
    """A line for each metric of `found`; without Dec^a or M not all are there."""
    return [_metric(found[key], f"{name} {arrow}", decimals) for key, name, arrow, decimals in METRICS if key in found]


def _metric(m: dict[str, Any], name: str, decimals: int) -> str:
    if m["value"] is None:
        return f"{name:28}{'–':>8}  {m.get('why', '')}"
    interval = f"{m['low']:.{decimals}f} … {m['high']:.{decimals}f}"
    floors, ceilings = (
        "  ".join("–" if v is None else f"{v:.{decimals}f}" for v in m.get(kind, {}).values())
        for kind in ("floors", "ceilings")
    )
    return f"{name:28}{m['value']:8.{decimals}f}  {interval:^17}  {floors:>27}  {ceilings:>20}".rstrip()
