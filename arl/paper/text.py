"""Rows of Table 1 as text, with their yardsticks."""

from typing import Any

from arl.config import RunConfig
from arl.data import open_data, split
from arl.paper.style import METRICS
from arl.row import Row, identity_lines


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
    lines += [f"{name}  {on['judges'][name]}" for name in judges]
    lines += [f"recognised among  {row.result['lineup']}"] if "lineup" in row.result else []
    lines += [""]
    floors = "floors: mean face, stranger" + (", answers" if "answers" in row.result else "")
    lines += [f"{'':28}{'value':>8}  {'95 % interval':^17}  {floors:>36}  ceiling: same person"]
    who = row.result.get("identity", {})
    lines += _metrics(row.result) + _who(who.get("C", {}))
    for judge, found in judges.items():
        lines += [f"by {judge}", *_metrics(found), *_who(who.get(judge, {}))]
    lines += _worse_than_linear(row.result)
    if not on["plateau"]:
        lines.append("an attacker ended before its plateau: a longer attack may leak more")
    return "\n".join(lines)


def _worse_than_linear(found: dict[str, Any]) -> list[str]:
    """A line where Dec^a, learning by the pixel loss alone, ends behind ridge on T."""
    linear, config = found.get("attacks", {}).get("ridge"), found["config"]
    if linear is None or "psnr" not in found or config.get("mu1") or config.get("mu2"):
        return []
    dec, ridge = found["psnr"]["value"], linear["psnr"]["value"]
    if dec >= ridge:
        return []
    return [
        f"a bug of the decoder: Dec^a has PSNR {dec:.2f}, ridge, a linear reader of the same Z, {ridge:.2f}; not protection"
    ]


def _metrics(found: dict[str, Any]) -> list[str]:
    """A line for each metric of `found`; without Dec^a or M not all are there. Then, on one line, what is beyond the answers."""
    lines, beyond, own = [], [], found.get("excess", {})
    own = own.get("decoder", {}) | own.get("features", {})
    for key, name, arrow, decimals in METRICS:
        if key not in found:
            continue
        m = found[key]
        if key in own:
            m = m | {"floors": m["floors"] | {"answers": found["answers"][key]["value"]}}
            value, low, high = (f"{own[key][end]:.{decimals}f}" for end in ("value", "low", "high"))
            beyond.append(f"{name} {value} ({low} … {high})")
        lines.append(_metric(m, f"{name} {arrow}", decimals))
    return lines + ([f"excess over the answers      {', '.join(beyond)}"] if beyond else [])


def _metric(m: dict[str, Any], name: str, decimals: int) -> str:
    if m["value"] is None:
        return f"{name:28}{'–':>8}  {m.get('why', '')}"
    interval = f"{m['low']:.{decimals}f} … {m['high']:.{decimals}f}"
    floors, ceilings = (
        "  ".join("–" if v is None else f"{v:.{decimals}f}" for v in m.get(kind, {}).values())
        for kind in ("floors", "ceilings")
    )
    return f"{name:28}{m['value']:8.{decimals}f}  {interval:^17}  {floors:>36}  {ceilings:>20}".rstrip()


def _who(found: dict[str, Any]) -> list[str]:
    """Three lines of who is recognised in X̂, and from Z alone; none of a row that was measured before there were any."""
    lines = []
    for words, figure, z in identity_lines(found):
        beside = [f"from Z {z['value']:.3f}"] if z and z["value"] is not None else []
        if (more := figure["excess"]) and more["value"] is not None:
            beside.append(f"over the answers {more['value']:.3f} ({more['low']:.3f} … {more['high']:.3f})")
        lines.append("   ".join([_metric(figure, words, 3), *beside]))
    return lines
