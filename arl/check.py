"""What `arl check` says: faces, judges, what is stored, what would be trained and for how long. Nothing is trained."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arl import data, experiment, gate, judges, machine, schedule
from arl.config import RunConfig, setting
from arl.experiment import Experiment
from arl.messages import UserError
from arl.row import Row
from arl.store import Run, run_id, stored

ALIKE = ("data", "encoder", "width", "image_size", "epochs", "attack_epochs", "x1", "x2", "identities", "per_identity")


@dataclass
class Found:
    """What was found, in lines, and one line for each problem."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def of_notebooks(names: Sequence[str], parameters: Mapping[str, Any]) -> Found:
    """Of the notebooks whose names start with one of `names`: their parameters, and the rows that they will ask for."""
    from arl.workbook.notebooks import prepared

    chosen, rows = prepared(names, parameters)
    found = of_rows(rows) if rows else Found(["no row is asked for ahead"], gate.problems([]))
    found.lines.insert(0, "notebooks: " + ", ".join(path.name for path in chosen))
    return found


def of_rows(cfgs: Sequence[RunConfig]) -> Found:
    """Of the rows that `cfgs` define."""
    found = Found(problems=gate.problems(cfgs))
    if found.problems:
        return found
    unique = list(dict.fromkeys(cfgs))
    for say in (_faces, _judges, _work):
        try:
            found.lines += say(unique)
        except UserError as error:
            found.problems += str(error).splitlines()
    return found


def _faces(cfgs: Sequence[RunConfig]) -> list[str]:
    lines: dict[str, None] = {}
    for cfg in cfgs:
        lines |= {f"faces: {line}": None for line in data.describe(cfg).lines()}
    return list(lines)


def _judges(cfgs: Sequence[RunConfig]) -> list[str]:
    """C with its verification AUC on the data's own faces, and g."""
    lines: dict[str, None] = {}
    for cfg in cfgs:
        faces = Experiment(cfg)
        spec = faces.judge_spec
        if spec["kind"] == "rendered" and not _finished(spec["run"]):
            lines[f"C: {spec['run']} would be trained on {cfg.recogniser_identities} other rendered people"] = None
        else:
            checked = judges.check(faces.judge, faces.data.images, faces.data.identities)
            lines[f"C: {faces.judge.name}: {checked.line()}"] = None
        used = any(player.perceptual_weight for player in cfg.players)
        lines[f"g: {faces.g.name}" if used and faces.g else "g: not used by every row"] = None
    if any(line.startswith("g: ") and line != "g: not used by every row" for line in lines):
        lines.pop("g: not used by every row", None)
    return list(lines)


def _finished(id: str) -> bool:
    return any(run.id == id and run.result is not None for run in stored())


def _work(cfgs: Sequence[RunConfig]) -> list[str]:
    """What is stored, what would be trained, and for how long."""
    missing = [cfg for cfg in cfgs if experiment.find(cfg) is None]
    encoders = {run_id(Experiment(cfg).encoder_spec): cfg for cfg in missing}
    to_train = {id: cfg for id, cfg in encoders.items() if not _finished(id)}
    lines = [f"rows: {len(cfgs)} asked for, {len(cfgs) - len(missing)} stored, {len(missing)} to be made"]
    lines += [f"  to be made: {setting(cfg)}, seed {cfg.seed}" for cfg in missing]
    if not missing:
        return lines
    lines.append(f"encoders: {len(encoders)} needed for them, {len(to_train)} to be trained")
    unit = seconds_a_unit(missing[0])
    if unit is None:
        return [*lines, "time: no idea yet, as no finished row of this size is stored"]
    cost = sum(map(schedule.encoder_cost, to_train.values())) + sum(map(schedule.row_cost, missing))
    workers = min(machine.workers(), len(missing))
    return [*lines, f"time: about {schedule.minutes(unit * cost / workers)}, as the stored rows of this size took"]


def seconds_a_unit(cfg: RunConfig) -> float | None:
    """Seconds that a unit of the sweep's costs takes, by the stored rows that are as large as `cfg`; None where there is none."""
    found = []
    for run in stored():
        if not run.id.startswith("row-") or (result := run.result) is None:
            continue
        try:
            other = RunConfig(**result["config"])
        except (UserError, KeyError, TypeError):  # of another version, or of a plugin that is not loaded
            continue
        if all(getattr(other, name) == getattr(cfg, name) for name in ALIKE):
            row = Row(run, other, result)
            seconds = sum(_seconds(part) for part in [run, *row.runs.values()])
            found.append(seconds / (schedule.encoder_cost(other) + schedule.row_cost(other)))
    return statistics.median(found) if found else None


def _seconds(run: Run) -> float:
    """How long `run` took, from its first file to its last; too long where it was interrupted."""
    try:
        first, last = (run.folder / name for name in ("config.json", "result.json"))
        return max(0.0, last.stat().st_mtime - first.stat().st_mtime)
    except OSError:
        return 0.0
