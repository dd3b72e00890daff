"""The suite on rows of the paper, or on an encoder in a file, over seeds: what the strongest attacker gets, and whom any finds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arl.audit import Audit, audit, difference_of, difference_text, spread_of, spread_text
from arl.audit.report import figures_of
from arl.audit.spread import FEWEST
from arl.audit.suite import stored_target
from arl.audit.worst import UNION
from arl.config import RunConfig
from arl.paper.measured import Line
from arl.paper.rows import Setting, seeded
from arl.paper.saved import Saved
from arl.paper.style import AUDITED
from arl.paper.tables import save_table, table_text
from arl.row import Row
from arl.schedule import sweep
from arl.store import Run

COLUMNS = ("mean_mcc", "face_similarity", *(name for name, *_ in AUDITED))
Figures = dict[str, Any]

# Where a column lies in an audit's result; T did not choose the strongest.
PLACES: dict[str, Callable[[Figures], Figures | None]] = {
    "mean_mcc": lambda result: result.get("mean_mcc"),
    "face_similarity": lambda result: result.get("face_similarity"),
    "strongest_similarity": lambda result: figures_of(result, result["strongest"])["face_similarity"],
    "strongest_beyond": lambda result: result["excess"][result["strongest"]]["face_similarity"],
    "strongest_rank1": lambda result: result["identity"]["C"][result["strongest"]].get("rank1"),
    "found": lambda result: result["worst"][UNION].get("found"),
    "found_beyond": lambda result: result["worst"].get("excess", {}).get("found"),
}


@dataclass(frozen=True)
class SuiteLine(Line):
    """An encoder with its audit for each seed: `audits`, whose runs are `runs`."""

    audits: tuple[Audit, ...] = ()

    def measured(self, run: Row | Run, metric: str) -> Figures | None:
        """None where an audit has no such figure, as the utility of an encoder without f, or where too few people decide."""
        found = PLACES[metric](run.result)
        return None if found is None or found["value"] is None else found


def suite_of_rows(settings: Sequence[Setting], seeds: object) -> list[SuiteLine]:
    """The suite against the encoder of each setting with each seed of the list `seeds` ("0,1,2"), found or made.

    What the setting says of its own attacker is left out: attackers and budgets are the suite's. Raises `ConfigError`.
    """
    plain = [setting.cfg.replace(mu1=0, mu2=0) for setting in settings]
    each = [seeded(cfg, seeds) for cfg in plain]
    rows = iter(sweep([cfg for cfgs in each for cfg in cfgs]))
    return [_line(setting, [audit(next(rows).id) for _ in cfgs]) for setting, cfgs in zip(settings, each, strict=True)]


def suite_of(target: str, settings: Mapping[str, Any], seeds: object, **shown: str) -> SuiteLine:
    """The suite against `target`, as `arl.audit.audit` takes it; a file is attacked once for each seed, on other people of T each time."""
    each = [{}] if stored_target(target) is not None else [{"seed": cfg.seed} for cfg in seeded(RunConfig(), seeds)]
    audits = [audit(target, {**settings, **seed}, **shown) for seed in each]
    name = target.rpartition("/")[2]
    return _line(Setting(0, name, name, audits[0].config, {}), audits)


def _line(setting: Setting, audits: Sequence[Audit]) -> SuiteLine:
    return SuiteLine(setting, tuple(each.run for each in audits), audits=tuple(audits))


def suite_text(lines: Sequence[SuiteLine]) -> str:
    """The table, who is strongest, and of an encoder that was audited with several seeds, whether its audits agree."""
    out = [table_text(lines, COLUMNS), "face similarity: of Dec^a by (5); the strongest by held-out X2:"]
    for line in lines:
        names = Counter(each.result["strongest"] for each in line.audits)
        out.append(f"  {line.setting.label}: " + ", ".join(f"{name} in {n}" for name, n in names.most_common()))
    for line in lines:
        same = _same_encoder(line)
        out += [f"\n{spread_text(spread_of(same))}"] if len(same) >= FEWEST else []
        out += [f"\n{difference_text(difference_of(*reversed(same)))}"] if len(same) == 2 else []
    return "\n".join(out)


def _same_encoder(line: SuiteLine) -> list[Audit]:
    """The audits of the encoder that the first is of: all where it lay in a file, one where each seed trains its own."""
    first = line.audits[0].result["runs"]["encoder"]
    return [each for each in line.audits if each.result["runs"]["encoder"] == first]


def save_suite(lines: Sequence[SuiteLine]) -> Saved:
    """The table as 11_suite: CSV, LaTeX, picture and JSON; with `spread` of each encoder that was audited with several seeds."""
    several = {line.setting.label: same for line in lines if len(same := _same_encoder(line)) >= FEWEST}
    more = {"spread": {label: spread_of(same) for label, same in several.items()}} if several else {}
    return save_table(lines, "11_suite", COLUMNS, more)
