"""What `arl check` says, in seconds: faces, judges, what is stored, what would be trained and for how long.

Nothing is trained, rendered or decoded for keeps: judges are tried on some hundred faces, decoded for that alone.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arl import data, gate, judges, machine, stages
from arl.config import RunConfig, setting
from arl.data import FaceData
from arl.messages import ConfigError, UserError
from arl.row import Row
from arl.store import Run, run_id, runs_root, stored
from arl.unopened import Unopened

# Of rows that take about as long; an encoder's step alone told too little of the attacks and the judges.
ALIKE = ("data", "data_root", "image_size", "identities", "per_identity", "x1", "x2", "encoder", "width", "recogniser")
ALIKE += ("batch_size", "epochs", "attack_epochs", "reserved")
FACES = ("data", "data_root", "damaged", "data_seed", "image_size", "identities", "per_identity")
EXTRA = ("extra", "extra_source", "extra_images", "reserved")


@dataclass
class Found:
    """What was found, in lines, and one line for each problem."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Look:
    """The configurations of one check, each set of faces looked at once."""

    def __init__(self, cfgs: Sequence[RunConfig]):
        self.cfgs = list(dict.fromkeys(cfgs))
        self._faces: dict[tuple, FaceData] = {}
        self._extra: dict[tuple, FaceData | None] = {}

    def of(self, cfg: RunConfig) -> Unopened:
        look = Unopened(cfg)
        of_faces = tuple(getattr(cfg, name) for name in FACES)
        of_extra = (*of_faces, *(getattr(cfg, name) for name in EXTRA), cfg.seed)
        if of_faces not in self._faces:
            self._faces[of_faces] = look.data
        look.data = self._faces[of_faces]
        if of_extra not in self._extra:
            self._extra[of_extra] = look.extra
        look.extra = self._extra[of_extra]
        return look

    def differing(self, *names: str) -> list[RunConfig]:
        """One configuration for each value of the fields `names`."""
        return list({tuple(str(getattr(cfg, name)) for name in names): cfg for cfg in reversed(self.cfgs)}.values())[
            ::-1
        ]


def of_notebooks(names: Sequence[str], parameters: Mapping[str, Any]) -> Found:
    """Of the notebooks whose names start with one of `names`: their parameters, and the rows that they will ask for."""
    from arl.workbook.notebooks import prepared

    chosen, rows = prepared(names, parameters)
    found = of_rows(rows) if rows else Found(["no row is asked for ahead"], gate.problems([]))
    found.lines.insert(0, "notebooks: " + ", ".join(path.name for path in chosen))
    return found


def of_rows(cfgs: Sequence[RunConfig]) -> Found:
    """Of the rows that `cfgs` define: all that can be said about each part, whatever is wrong with another."""
    found = Found(problems=gate.problems(cfgs))
    said = {_name(line) for line in found.problems}
    look = _Look(cfgs)
    parts = [(_faces, ("data", "data_root"))]
    if not said & {"data_root", "identities", "extra_source", "reserved"}:
        parts += [(_sizes, ("x1, x2", "batch_size")), (_read, ()), (_c, ("recogniser",)), (_g, ("perceptual",))]
        parts += [(_work, ())]
    for say, names in parts:
        if said & {*names, "ARL_DEVICE", "ARL_THREADS"} and names:
            continue
        try:
            found.lines += dict.fromkeys(say(look))
        except UserError as error:
            known = {_name(line) for line in found.problems}  # what is wrong with it stands there already
            found.problems += [line for line in str(error).splitlines() if _name(line) not in known]
    return found


def _name(line: str) -> str:
    return line.split(":")[0]


def _faces(look: _Look) -> list[str]:
    cfgs = look.differing(*FACES, *EXTRA, "x1", "x2", "split")
    return [f"faces: {line}" for cfg in cfgs for line in data.describe(cfg).lines()]


def _sizes(look: _Look) -> list[str]:
    for cfg in gate.apart(look.cfgs):
        look.of(cfg).check_sizes()
    return []


def _read(look: _Look) -> list[str]:
    """Some images of each set that comes out of files, decoded."""
    lines = []
    for cfg in look.differing(*FACES):
        if cfg.data == "rendered":
            continue
        faces = look.of(cfg.replace(recogniser="rendered"))
        images, damaged = len(faces.sampled[0]), faces.damaged
        lines.append(f"faces: {images} of them decoded, {len(damaged)} cannot be read")
        if damaged and cfg.damaged != "skip":
            found = "; ".join(damaged[:5])
            raise ConfigError(
                f"data: {len(damaged)} images cannot be read: {found}, accepted: whole images, or damaged='skip'"
            )
    return lines


def _c(look: _Look) -> list[str]:
    """C and the judges beside it: the verification AUC of each, on the data's own faces where it comes from elsewhere."""
    lines = []
    for cfg in look.differing(
        *FACES, "recogniser", "recogniser_identities", "recogniser_per_identity", "recogniser_epochs"
    ):
        faces = look.of(cfg)
        lines += [f"C: {line}" for line in _judge(faces)]
        lines += [f"judge {name}: {line}" for name, other in faces.beside.items() for line in _judge(other)]
    return lines


def _judge(faces: Unopened) -> list[str]:
    """What is known of the first judge of `faces`; one that the store has is tried on them, where they are not drawn as its own are."""
    spec, cfg = faces.judge_spec, faces.cfg
    if spec["kind"] != "rendered":
        return [f"{faces.judge.name}: {faces.checked.line()}"]
    result = Run(runs_root() / spec["run"]).result or {}
    if not isinstance(result.get("auc_embedding"), float):
        return [f"{spec['run']} would be trained on {cfg.recogniser_identities} other rendered people"]
    told = f"{spec['run']}, stored: verification AUC {result['auc_embedding']:.3f} on {result.get('tested_on')}"
    elsewhere = cfg.data != "rendered"
    return [told, *([f"{spec['run']}: {judges.check(faces.judge, *faces.sampled).line()}"] if elsewhere else [])]


def _g(look: _Look) -> list[str]:
    lines = []
    for cfg in look.differing(*FACES, "perceptual"):
        if any(
            player.perceptual_weight for row in look.cfgs if row.perceptual == cfg.perceptual for player in row.players
        ):
            faces = look.of(cfg)
            if cfg.perceptual not in ("random", "none"):
                judges.check_perceptual(faces.g, faces.sampled[0])
            lines.append(f"g: {faces.g.name}" if faces.g else "g: none")
    return lines or ["g: not used by these rows"]


def _work(look: _Look) -> list[str]:
    """What is stored, what would be trained, and for how long."""
    missing = [cfg for cfg in look.cfgs if look.of(cfg).find() is None]
    encoders = {run_id(look.of(cfg).encoder_spec): cfg for cfg in missing}
    to_train = {id: cfg for id, cfg in encoders.items() if Run(runs_root() / id).result is None}
    lines = [f"rows: {len(look.cfgs)} asked for, {len(look.cfgs) - len(missing)} stored, {len(missing)} to be made"]
    lines += [f"  to be made: {setting(cfg)}, seed {cfg.seed}" for cfg in missing]
    if not missing:
        return lines
    lines.append(f"encoders: {len(encoders)} needed for them, {len(to_train)} to be trained")
    if (unit := seconds_a_unit(missing[0])) is None:
        return [*lines, "time: no idea yet, as nothing like it is stored"]
    cost = sum(map(stages.encoder_cost, to_train.values())) + sum(map(stages.row_cost, missing))
    workers = min(machine.workers(), len(missing))
    return [*lines, f"time: about {stages.minutes(unit * cost / workers)}, as the stored rows of this size took"]


def seconds_a_unit(cfg: RunConfig) -> float | None:
    """Seconds that a unit of the sweep's costs takes, by the stored rows that are as large as `cfg`; None where there is none."""
    found = []
    for run in stored(kinds=("row",)):
        if (result := run.result) is None:
            continue
        try:
            other = RunConfig(**result["config"])
        except (UserError, KeyError, TypeError):  # of another version, or of a plugin that is not loaded
            continue
        if all(getattr(other, name) == getattr(cfg, name) for name in ALIKE):
            row = Row(run, other, result)
            seconds = sum(part.seconds for part in [run, *row.runs.values()])
            found.append(seconds / (stages.encoder_cost(other) + stages.row_cost(other)))
    return statistics.median(found) if found else None
