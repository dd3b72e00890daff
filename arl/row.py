"""A finished row of Table 1: its run, its configuration, its figures."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from arl.config import RunConfig, setting
from arl.metrics import Interval
from arl.store import Run

if TYPE_CHECKING:
    from arl.experiment import Experiment

SHOWN = {"mean_mcc": "mean MCC ↑", "face_similarity": "face similarity ↓", "feature_similarity": "feature similarity ↓"}
BY_JUDGE = {name: SHOWN.get(name, "embedding similarity ↓") for name in ("face_similarity", "embedding_similarity")}
SHOWN |= BY_JUDGE | {"ssim": "SSIM ↓", "psnr": "PSNR ↓", "lda_score": "LDA score"}

YARDSTICKS = ("originals", "mean face", "stranger", "answers")  # what is shown to a judge beside what attackers made
# Of `result["identity"]`: who is recognised in what Dec^a made. EER is higher where less leaks.
IDENTITY = (("rank1", "rank-1 of {gallery}", "↓"), ("eer", "EER", "↑"), ("tar_0.01", "TAR at FAR 1 %", "↓"))


def identity_lines(found: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """Of one judge's `found`: in words what is measured, the figure from X̂ with floors and ceiling, and that from Z, if there is one.

    X̂ is Dec^a's; without Dec^a, what the first attack made.
    """
    attacks = [name for name in found if name not in ("Z", *YARDSTICKS)]
    if not attacks:
        return []
    name = "decoder" if "decoder" in attacks else attacks[0]
    lines = []
    for key, words, arrow in IDENTITY:
        floors = {floor: found[floor][key]["value"] for floor in YARDSTICKS[1:] if floor in found}
        beside = {"floors": floors, "ceilings": {"originals": found["originals"][key]["value"]}}
        beside |= {"excess": found[name].get("excess", {}).get(key)}
        label = f"{words.format(**found[name])}, {'X̂' if name == 'decoder' else name} {arrow}"
        lines.append((label, found[name][key] | beside, found["Z"][key] if "Z" in found else None))
    return lines


@dataclass(frozen=True, eq=False)
class Row:
    """`result` holds, for each metric, `value`, `low`, `high` (95 % bootstrap interval over the images of T) and, for privacy, `floors`
    and `ceilings`; `measured_on`: data, g, C; `runs`: the ids that it was measured on.

    `identity`: by judge, `C` or a further one's name, then by what was shown to it (`Z`, the attacks, `originals`, `mean face`,
    `stranger`, `answers`), what `arl.identity` finds; `lineup`: among whom; `agreement`: Kendall's τ of judges. `answers`: by metric, what
    the answers alone bring back; `excess`: by attack and metric, how much more that has, image by image. Older rows have none of these.
    """

    run: Run
    config: RunConfig
    result: dict[str, Any]

    @property
    def id(self) -> str:
        return self.run.id

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The stored runs that it was measured on, by kind: `encoder`, then each attack."""
        return {kind: Run(self.run.folder.with_name(id)) for kind, id in self.result["runs"].items()}

    def of(self, kind: str) -> Run:
        """The run `kind` of `runs`."""
        return self.runs[kind]

    @cached_property
    def experiment(self) -> "Experiment":
        """Its faces, judges and networks, opened when they are asked for."""
        from arl.experiment import Experiment

        return Experiment(self.config, self.runs)

    @property
    def setting(self) -> str:
        """Its configuration in a few words, with the attributes that its faces have."""
        return setting(self.config, tuple(self.result.get("mcc", ())))

    def value(self, metric: str) -> float | None:
        return self.result[metric]["value"]

    def excess(self, metric: str, attack: str = "", judge: str = "C") -> Interval | None:
        """What an attack brings back beyond the answers alone, `value`, `low`, `high`; "": the paper's. None where it was not measured.

        `metric`: one of privacy, or `rank1`, `rank5`.
        """
        attack = attack or ("features" if metric == "feature_similarity" else "decoder")
        if metric in ("rank1", "rank5"):
            found = self.result.get("identity", {}).get(judge, {}).get(attack, {})
            return found.get("excess", {}).get(metric)
        found = self.result if judge == "C" else self.result.get("judges", {}).get(judge, {})
        return found.get("excess", {}).get(attack, {}).get(metric)

    def each(self, metric: str) -> Tensor:
        """A privacy figure of each image of T, (N,)."""
        return self.run.load()[0][metric]

    def reconstruct(self, index: np.ndarray) -> Tensor:
        """X̂ of the images `index`, float32 (n, 3, S, S) in [0, 1]."""
        return self.experiment.reconstruct(index)

    def __repr__(self) -> str:
        return f"Row({self.id}: {self.setting})"

    def _repr_html_(self) -> str:
        def cell(figure: dict[str, Any]) -> str:
            if figure["value"] is None:
                return "–"
            return f"{figure['value']:.3f} <small>({figure['low']:.3f} … {figure['high']:.3f})</small>"

        lines = [
            f"<tr><th style='text-align:left'>{name}</th><td>{cell(self.result[metric])}</td></tr>"
            for metric, name in SHOWN.items()
            if metric in self.result
        ]
        lines += [
            f"<tr><th style='text-align:left'>{words}, by {escape(judge)}</th><td>{cell(found[metric])}</td></tr>"
            for judge, found in self.result.get("judges", {}).items()
            for metric, words in BY_JUDGE.items()
            if metric in found
        ]
        lines += [
            f"<tr><th style='text-align:left'>{escape(words)}{by}</th><td>{cell(figure)}{f', from Z {cell(z)}' if z else ''}</td></tr>"
            for judge, found in self.result.get("identity", {}).items()
            for by in ("" if judge == "C" else f", by {escape(judge)}",)
            for words, figure, z in identity_lines(found)
        ]
        on = self.result["measured_on"]
        others = "".join(f"<br>{escape(judge)}: {escape(words)}" for judge, words in on.get("judges", {}).items())
        return (
            f"<b>{escape(self.setting)}</b> <small>{self.id}</small><table>{''.join(lines)}</table>"
            f"<small>{escape(on['test_set'])}<br>C: {escape(on['C'])}{others}<br>g: {escape(on['g'])}</small>"
        )
