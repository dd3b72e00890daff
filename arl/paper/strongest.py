"""Rows as the strongest of their attackers has them. Who that is, each row says on held-out faces of X2; T does not choose it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arl.paper.measured import OF_JUDGES, Line
from arl.row import Row
from arl.store import obtain

# By what is attacked: the paper's attacker, the figures that change with the attacker, and what tells who is strongest on held-out faces.
AFTER = {
    "picture": ("decoder", ("face_similarity", "embedding_similarity", "ssim", "psnr"), "face_similarity"),
    "embedding": ("features", ("feature_similarity",), "embedding_similarity"),
}


@dataclass(frozen=True)
class HardestLine(Line):
    """A line whose privacy figures are those of the attackers `by`: of each run, by its id, the attacker of each metric."""

    by: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def measured(self, run: Row, metric: str) -> dict[str, Any] | None:
        name = self.by.get(run.id, {}).get(metric)
        if name is None:
            return super().measured(run, metric)
        judged = run.result["judges"][self.judge] if self.judge and metric in OF_JUDGES else run.result
        return judged.get("attacks", {}).get(name, {}).get(metric)


def against_strongest(lines: Sequence[Line]) -> list[HardestLine]:
    """`lines` by the strongest attacker of each of their runs; none where no run has other attackers than the paper's."""
    if not any(run.result.get("attacks") for line in lines for run in line.runs):
        return []
    return [
        HardestLine(line.setting, line.runs, line.judge, {r.id: strongest_of(r) for r in line.runs}) for line in lines
    ]


def strongest_of(row: Row) -> dict[str, str]:
    """The attacker of each metric in which another than the paper's is strongest, by held-out faces; found or made in the store."""
    others = row.result.get("attacks", {})
    if not any(key in found for found in others.values() for _, keys, _ in AFTER.values() for key in keys):
        return {}
    held = held_out_of(row)
    chosen = {}
    for papers, keys, criterion in AFTER.values():
        mine = [name for name, found in others.items() if keys[0] in found] + [papers] * (papers in held)
        best = max(mine, key=lambda name: held[name][criterion], default=papers)
        chosen |= {} if best == papers else dict.fromkeys(keys, best)
    return chosen


def held_out_of(row: Row) -> dict[str, dict[str, float]]:
    """What each attacker of `row` tells of the faces of X2 that none of them learned from."""
    from arl.audit.suite import on_held_out

    spec = {"kind": "heldout", "version": 1, "row": row.id}
    return obtain(spec, lambda _: {"held_out": on_held_out(row.experiment)}).result["held_out"]


def strongest_text(lines: Sequence[HardestLine]) -> str:
    """A line for each metric of the claims: whose pictures or embeddings were strongest, in how many runs."""
    out = []
    for papers, (metric, *_), _ in AFTER.values():
        names = Counter(line.by[run.id].get(metric, papers) for line in lines for run in line.runs)
        told = ", ".join(f"{name} in {count}" for name, count in names.most_common())
        out.append(f"strongest on held-out X2, by {metric.replace('_', ' ')}: {told} of {names.total()} runs")
    return "\n".join(out) if lines else "rows have the paper's attackers alone; attackers=kernelridge adds one"
