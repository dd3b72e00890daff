"""The store as a list: which of its runs are meant, and what is said of each. torch is not imported: a list of thousands takes seconds.

A run is read only where a filter or a line needs it, and what only some kinds have is asked of those alone.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from arl.attacks.base import Attack
from arl.config import PRESETS, RunConfig
from arl.defences.base import Defence
from arl.inputs import anchored_fields, by_annotation
from arl.messages import ConfigError
from arl.parameters import Parameters, named, names
from arl.store import Run, dated, run_in, runs_root

# What tells runs of the store apart, in the order in which it is listed.
TELLING = (
    "encoder",
    "layer",
    "lambda1",
    "lambda2",
    "simulated_mu1",
    "simulated_mu2",
    "mu1",
    "mu2",
    "extra",
    "seed",
)


class Listed:
    """A run of the store and when it was begun, each of its files read at most once."""

    def __init__(self, run: Run, when: float):
        self.run, self.when = run, when

    @cached_property
    def result(self) -> dict[str, Any] | None:
        return self.run.result

    @property
    def spec(self) -> dict[str, Any]:
        return self.run.spec

    @property
    def kind(self) -> str:
        return self.run.id.rpartition("-")[0]

    @property
    def config(self) -> dict[str, Any] | None:
        """Of a finished row its whole configuration, flat; None for other runs."""
        config = (self.result or {}).get("config") if self.kind == "row" else None
        return config if isinstance(config, dict) else None

    @property
    def state(self) -> str:
        if self.result is not None:
            return "finished"
        metrics = self.run.metrics
        return f"epoch {metrics[-1]['epoch']}" if metrics else "started"

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every figure of the result that has a value, by its name."""
        found = {name: m["value"] for name, m in (self.result or {}).items() if isinstance(m, dict) and "value" in m}
        return {name: value for name, value in found.items() if isinstance(value, int | float)}

    def as_json(self) -> dict[str, Any]:
        """It as JSON: id, kind, state, when it was begun, what defines it, of a row its configuration, and its figures."""
        begun = datetime.fromtimestamp(self.when).astimezone().isoformat(timespec="seconds")
        found = {"id": self.run.id, "kind": self.kind, "state": self.state, "begun": begun, "defined_by": self.spec}
        return found | ({"config": self.config} if self.config else {}) | {"metrics": self.metrics}


# -- which are meant ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which runs are meant, as they were typed: what is empty says nothing. `settings` and `preset` are of finished rows."""

    kinds: Sequence[str] = ()
    settings: tuple[tuple[str, str], ...] = ()
    preset: str | None = None
    since: str | None = None
    sort: str | None = None
    last: int | None = None


def chosen(wanted: Wanted) -> list[Listed]:
    """The stored runs that `wanted` means: oldest first, or by the figure `sort`, lowest first. Raises `ConfigError`, one line."""
    if wanted.sort is None:
        return _first(_meant(wanted, newest_first=True), wanted.last)[::-1]
    found = list(_meant(wanted))
    known = {name for each in found for name in each.metrics}
    if found and wanted.sort not in known:
        raise ConfigError(f"--sort: found {wanted.sort!r}, accepted: {', '.join(sorted(known)) or 'what results have'}")
    found = sorted((each for each in found if wanted.sort in each.metrics), key=lambda each: each.metrics[wanted.sort])
    return found[-wanted.last :] if wanted.last else found


def _meant(wanted: Wanted, newest_first: bool = False) -> Iterator[Listed]:
    """The runs that `wanted` means, oldest first, whatever its `sort` and `last`; none is read before it is asked for."""
    values = typed(dict(wanted.settings))
    since = _moment(wanted.since) if wanted.since else 0.0
    there = dated(kinds=_kinds(wanted.kinds))
    there = [(folder, when) for folder, when in there if when >= since]
    runs = ((run_in(folder), when) for folder, when in (reversed(there) if newest_first else there))
    return (each for each in (Listed(run, when) for run, when in runs if run) if _fits(each, values, wanted.preset))


def _first(runs: Iterator[Listed], count: int | None) -> list[Listed]:
    """The first `count` of `runs`: none after them is read."""
    found = []
    for each in runs:
        found.append(each)
        if len(found) == count:
            break
    return found


def _kinds(kinds: Sequence[str]) -> Sequence[str]:
    """`kinds`, where the store has them. Raises `ConfigError`."""
    if not kinds:
        return kinds
    there = {folder.name.rpartition("-")[0] for folder, _ in dated()}
    if there and (unknown := [kind for kind in kinds if kind not in there]):
        raise ConfigError(f"--kind: found {unknown[0]!r}, accepted: {', '.join(sorted(there))}")
    return kinds


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--since: found {text!r}, accepted: a date such as 2026-01-31, or 2026-01-31T12:00"
        ) from None


def typed(settings: dict[str, str]) -> dict[str, Any]:
    """`settings` read by the types and ranges of their parameters, JSON-able as results have them; one by one: they need not fit together.

    Raises `ConfigError`, a line for each.
    """
    fields = RunConfig.parameters({name: value for name, value in settings.items() if name in ("defence", "attacks")})
    found, mistakes = {}, []
    for name, value in anchored_fields(settings).items():
        if name == "attacks":
            found[name] = value.replace(",", " ").split()
        elif name == "defence":
            found[name] = value
        elif name not in fields:
            mistakes.append(f"{name}: no such parameter, accepted: {', '.join(fields)}")
        else:
            try:
                found[name] = _read(fields[name], value)
            except ValidationError as error:
                said = error.errors()[0]["msg"].removeprefix("Input should be ")
                mistakes.append(f"{name}: found {value!r}, accepted: {said[0].lower()}{said[1:]}")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return found


def _read(field: FieldInfo, text: str) -> Any:
    """`text` by the type and the range of `field`."""
    adapter = TypeAdapter(field.rebuild_annotation())
    return adapter.dump_python(adapter.validate_python(by_annotation(field.annotation, text)), mode="json")


def _fits(each: Listed, values: dict[str, Any], preset: str | None) -> bool:
    if not values and preset is None:
        return True
    config = each.config
    if config is None:
        return False
    defaults = _defaults()
    if any(config.get(name, defaults.get(name)) != value for name, value in values.items()):
        return False
    return preset is None or nearest_preset([config]) == preset


@cache
def _defaults() -> dict[str, Any]:
    """What a configuration of an earlier arl, which did not know a parameter, has for it."""
    return RunConfig().flat()


@cache
def _preset_values() -> dict[str, list[tuple[str, Any]]]:
    """Of each preset, the default first, the fields that some preset changes; one that several change counts so often."""
    changed = [field for preset in PRESETS.values() for field in preset]
    flat = {name: RunConfig.preset(name).flat() for name in ("quick", *PRESETS)}
    return {name: [(field, values[field]) for field in changed] for name, values in flat.items()}


def nearest_preset(made: Iterable[dict[str, Any]]) -> str:
    """The preset whose values the configurations or specs `made` share most; the default, `quick`, where there are none."""
    shared = dict.fromkeys(_preset_values(), 0)
    for config in made:
        for name, values in _preset_values().items():
            shared[name] += sum(field in config and config[field] == value for field, value in values)
    return max(shared, key=lambda name: shared[name])


# -- what is said of them -----------------------------------------------------------------------------------------


def runs_lines(wanted: Wanted | None = None) -> Iterator[str]:
    """One line for each run that is meant: id, state, when, and what sets it apart. Raises `ConfigError`, before the first.

    Of a store of ten thousand the first line comes when the others have not been read, and none of those before it is held.
    """
    wanted, own = wanted or Wanted(), cache(_own)  # it looks at files
    meant = iter(chosen(wanted)) if wanted.sort or wanted.last else _meant(wanted)
    if (first := next(meant, None)) is not None:
        return (_line_of(each, own) for each in itertools.chain([first], meant))
    none = (
        "no such run: `arl runs` lists all"
        if dated()
        else f"no runs yet in {runs_root()}: `arl run` makes the first one"
    )
    return iter([none])


def runs_text(wanted: Wanted | None = None) -> str:
    """`runs_lines` as one text."""
    return "\n".join(runs_lines(wanted))


def _line_of(each: Listed, own: Callable[[type[Parameters], str], list[str]]) -> str:
    spec, result = each.spec, each.result
    when = datetime.fromtimestamp(each.when).strftime("%Y-%m-%d %H:%M")
    telling = [*TELLING, *own(Defence, str(spec.get("defence"))), *own(Attack, str(spec.get("kind")))]
    told = dict.fromkeys(k for k in telling if k in spec and spec[k] not in (0, 0.0, "none"))
    settings = " ".join(f"{k}={spec[k]}" for k in told)
    if isinstance(spec.get("data"), dict):
        settings = f"{spec['data'].get('kind', '')} {settings}"
    if result and "mean_mcc" in result:
        settings = f"{result['measured_on']['setting']} → MCC {result['mean_mcc']['value']:.3f}"
        if "face_similarity" in result:
            settings += f", face similarity {result['face_similarity']['value']:.3f}"
    return f"{each.run.id:24} {each.state:10} {when}  {settings}"


def _own(kind: type[Parameters], name: str) -> list[str]:
    """The parameters of the defence or attack called `name`, where it is known here."""
    return [kind.kind, *named(kind, name).model_fields] if name in names(kind) else [kind.kind]
