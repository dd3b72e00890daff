"""What a user types: settings and notebooks' parameters, read by their declared types and ranges; paths made absolute.

torch is not imported, so that a mistyped parameter is said at once.
"""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arl.config import LAYERS, TRAINED_HERE, RunConfig
from arl.messages import ConfigError
from arl.names import DOMAINS

# Parameters of notebooks that no RunConfig has: the least and the most.
RANGES: dict[str, tuple[float, float]] = {
    "people": (1, 100),
    "points": (8, 100_000),
    "counted": (1, 10_000_000),
    "side": (1, 50),
    "size": (16, 1024),
    "person": (0, 2**31 - 1),
    "switched": (0, 2**31 - 1),
    "seed": (0, 2**62 - 1),
    "least_mcc": (-1, 1),
    "fitted": (1, 1_000_000_000),
    "tolerance": (0, 1),
}
TYPES = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}
# Values of path-like fields that name something built in, whatever lies in the current folder.
BUILT_IN = {
    "perceptual": ("random", "imagenet", "efficientnet", "none"),
    "recogniser": (*TRAINED_HERE, "dlib"),
    "extra_source": (*DOMAINS, "reserved"),
    "target": (),  # but an id of a run
}
PLAYERS = ("defence", "attacks")
PATHS = ("data_root", "photographs", *BUILT_IN)


@dataclass(frozen=True)
class Declared:
    """A parameter as a notebook declares it: the name of its type, such as "int", or "" for none; and its default."""

    kind: str
    default: Any


# -- settings of a configuration ----------------------------------------------------------------------------------


def split_settings(settings: Iterable[str]) -> dict[str, str]:
    """`["lambda1=1", "data_root=2024"]` as `{"lambda1": "1", "data_root": "2024"}`. Raises `ConfigError` for anything else."""
    found: dict[str, str] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"--set: found {text!r}, accepted: NAME=VALUE, such as lambda1=1")
        if name == "preset":
            raise ConfigError("--set: found preset, accepted: the option --preset")
        if name in found:
            raise ConfigError(f"{name}: found twice in --set, accepted: once")
        found[name] = value.strip()
    return found


def configuration(preset: str, fields: Mapping[str, Any]) -> RunConfig:
    """`RunConfig.preset(preset, **fields)` with paths absolute; texts are read by the types of the fields. Raises `ConfigError`."""
    for name in fields:
        if not isinstance(name, str) or name in ("self", "cls", "name", "preset"):  # they would be Python's arguments
            raise ConfigError(f"{name}: no such parameter, accepted: {', '.join(_fields(fields))}")
    known = _fields(fields)
    given = {name: by_annotation(known[name].annotation, v) if name in known else v for name, v in fields.items()}
    return anchored(RunConfig.preset(preset, **anchored_fields(given)))


def row(preset: str, fields: Mapping[str, Any]) -> RunConfig:
    """`configuration(preset, fields)` of one row, for which all of `fields` were typed: refuses those that change nothing in it."""
    cfg, base = configuration(preset, fields), RunConfig.preset(preset)
    for name, when in idle(cfg).items():
        if name in fields and getattr(cfg, name) != getattr(base, name, None):
            raise ConfigError(f"{name}: found {getattr(cfg, name)!r} without effect, accepted: with {when}")
    return cfg


def idle(cfg: RunConfig) -> dict[str, str]:
    """The parameters that change nothing in `cfg`, and with what they would. Presets set some of them."""
    found: dict[str, str] = {}
    if cfg.data != "rendered":
        found |= dict.fromkeys(("identities", "per_identity"), "data=rendered")
    extra_from = cfg.extra_from if cfg.extra != "none" else ""
    drawn = cfg.data == "rendered" or extra_from in DOMAINS
    if not drawn and not cfg.trains_recognisers:  # which is trained on other people of that seed
        found["data_seed"] = "data=rendered, recogniser=rendered or a rendered extra_source"
    if cfg.data in ("rendered", "orl") and extra_from in ("", *BUILT_IN["extra_source"]):
        found["damaged"] = "data=celeba or data=folder"
    if cfg.extra == "none":
        found |= dict.fromkeys(("extra_source", "extra_images"), "extra=adversary, both or instead")
    if cfg.encoder != "small":
        found["width"] = "encoder=small"
    if not cfg.trains_recognisers:
        names = ("recogniser_identities", "recogniser_per_identity", "recogniser_epochs")
        found |= dict.fromkeys(names, "recogniser=rendered")
    if not cfg.protected and not cfg.lr_again:
        found["warm"] = "a defence that is at work, or lr_again"
    if not any(player.perceptual_weight for player in cfg.players):
        found["perceptual"] = "a weight of g above 0, such as mu2 or lambda2"
    if not any(getattr(player, name, 0) for player in cfg.players for name in ("mu1", "simulated_mu1")):
        found |= dict.fromkeys(("discriminator", "gan_loss"), "mu1 or simulated_mu1 above 0")
    return found


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a configuration by name, with those of the defence and the attacks that `given` names; "" names none."""
    try:
        return RunConfig.parameters({name: value for name, value in given.items() if value != ""})
    except ConfigError:  # an unknown defence is said by RunConfig
        return RunConfig.parameters()


def by_annotation(annotation: Any, value: Any) -> Any:
    """A text for a field of numbers as that number, where it is one; RunConfig refuses the rest and names it."""
    if not isinstance(value, str) or annotation not in (int, float):
        return value
    return _number(value, whole=annotation is int)


def _number(text: str, whole: bool) -> Any:
    """`text` as a number, or `text` itself; "1e3" is a whole number too."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    if not whole:
        return number
    return int(number) if math.isfinite(number) and number.is_integer() else text


def further_judge(cfg: RunConfig, judge: str) -> str:
    """`judge` as results have it: "" for C. Raises `ConfigError` for one that does not look at the pictures of `cfg`."""
    names = list(cfg.judges)
    if judge and judge not in names:
        found = f"judge: found {judge!r} with recogniser={','.join(names)}"
        raise ConfigError(f"{found}, accepted: one of these, or a further one in recogniser; empty for the first")
    return "" if judge in ("", names[0]) else judge


# -- paths --------------------------------------------------------------------------------------------------------


def anchored_path(name: str, text: str) -> str:
    """The path `text` as seen from the current folder, else, where only that exists, from the project's. Raises `ConfigError`."""
    try:
        here = Path(text).expanduser().absolute()
        str(here).encode()
        project = Path(__file__).resolve().parents[1] / text
        there = not here.exists() and not text.startswith("~") and project.exists()
    except RuntimeError:
        raise ConfigError(f"{name}: found {text!r}, where ~ names no user, accepted: a path") from None
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or ("not UTF-8" if isinstance(error, UnicodeError) else "not a path")
        raise ConfigError(f"{name}: found {text[:80]!r} ({reason}), accepted: a path") from None
    return str(project if there else here)


def anchored_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with every path absolute: children and notebooks work in other folders."""
    found = dict(fields)
    for name in PATHS:
        value = found.get(name)
        if isinstance(value, str) and value:
            parts = [part.strip() for part in value.split(",")] if name == "recogniser" else [value]
            found[name] = ",".join(anchored_path(name, part) if _is_path(name, part) else part for part in parts)
    return found


def _is_path(name: str, value: str) -> bool:
    if name not in BUILT_IN:
        return True
    if value in ("", *BUILT_IN[name]):
        return False
    if "/" in value or value.startswith("~"):
        return True
    try:
        return bool(Path(value).suffix) or Path(value).exists()
    except (ValueError, OSError):
        return False


def anchored(cfg: RunConfig) -> RunConfig:
    """`cfg` with every path absolute; the ids of its runs do not change, as they hold contents."""
    named = {name: getattr(cfg, name) for name in PATHS if name in RunConfig.model_fields}
    changed = {name: value for name, value in anchored_fields(named).items() if value != named[name]}
    return cfg.replace(**changed) if changed else cfg


# -- parameters of a notebook -------------------------------------------------------------------------------------


def declarations(source: str) -> dict[str, Declared]:
    """The typed assignments of a cell, such as `people: int = 8`, by name; empty for what is not Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, Declared] = {}
    for line in body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            found[line.target.id] = Declared(ast.unparse(line.annotation), _literal(line.value))
        elif isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = Declared("", _literal(line.value))
    return found


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def values(declared: Mapping[str, Declared], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each declared parameter, by its type and range, paths absolute: from `given`, else its default.

    Raises `ConfigError`, one line a mistake.
    """
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, parameter in declared.items():
        try:
            found[name] = value_of(name, parameter, given.get(name, parameter.default))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return anchored_fields(found)


def own(declared: Mapping[str, Declared], given: Mapping[str, Any]) -> set[str]:
    """The parameters of the defence and the attacks that a notebook takes beside those that it declares.

    None where it declares neither `defence` nor `attacks`. Raises `ConfigError` for a name of none.
    """
    choice = [name for name in PLAYERS if name in declared]
    if not choice:
        return set()
    chosen = {name: value for name in choice if (value := given.get(name, declared[name].default)) not in ("", None)}
    return set(RunConfig.parameters(chosen)) - set(RunConfig.model_fields)


def of_players(declared: Mapping[str, Declared], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values`, with those of `given` that the chosen defence and attacks have, without the defaults of those that were not chosen.

    Raises `ConfigError`, also for a parameter in `given` of a defence or an attack that was not chosen.
    """
    found = values(declared, given)
    if not any(name in declared for name in PLAYERS):
        return found
    theirs = own(declared, given)
    left_out = set(declared) & set(RunConfig.parameters()) - set(RunConfig.model_fields) - theirs
    unknown(left_out & set(given), sorted({*declared, *theirs} - left_out), where)
    found |= {name: given[name] for name in given if name in theirs and name not in declared}
    return {name: value for name, value in found.items() if name not in left_out}


def value_of(name: str, parameter: Declared, value: Any) -> Any:
    """`value` by the type and the range of `parameter`. Raises `ConfigError`."""
    value = _typed(name, parameter.kind, value)
    if name in RANGES and (name != "seed" or not isinstance(value, str)) and parameter.kind in ("int", "float"):
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ConfigError(f"{name}: found {value}, accepted: {low} to {high}")
    check = TEXTS.get(name)
    return check(name, value) if check is not None and parameter.kind == "str" else value


def _typed(name: str, kind: str, value: Any) -> Any:
    """`value` as the declared type `kind`; papermill and the shell know only their own."""
    refused = ConfigError(f"{name}: found {value!r}, accepted: {TYPES.get(kind, kind)}")
    if kind == "str":
        if isinstance(value, list | tuple):
            return ",".join(str(part) for part in value)
        if value is None or isinstance(value, dict | bool):
            raise refused
        return str(value)
    if kind in ("int", "float"):
        number = _number(value.strip(), kind == "int") if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise refused
        if kind == "int" and number != int(number):
            raise refused
        return int(number) if kind == "int" else float(number)
    if kind == "bool" and not isinstance(value, bool):
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            raise refused
        return words[str(value).lower()]
    return value


def nonnegative_numbers(name: str, text: str) -> tuple[float, ...]:
    """`"0, 1, 2"` as finite numbers of 0 or more. Raises `ConfigError`."""
    try:
        found = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        found = (math.nan,)
    if not all(math.isfinite(number) and number >= 0 for number in found):
        raise ConfigError(f"{name}: found {text!r}, accepted: numbers of 0 or more, such as '0,1,2'")
    return found


def _lambdas(name: str, text: str) -> str:
    nonnegative_numbers(name, text)
    return text


def _seeds(name: str, text: str) -> str:
    try:
        found = nonnegative_numbers(name, text)
    except ConfigError:
        found = ()
    if not found or any(seed != int(seed) or seed >= 2**62 for seed in found):
        raise ConfigError(f"{name}: found {text!r}, accepted: whole numbers of 0 or more, such as '0,1,2'")
    return text


def _layers(name: str, text: str) -> str:
    found = text.replace(",", " ").split()
    unknown = [layer for layer in found if layer not in LAYERS]
    if unknown or not found:
        raise ConfigError(f"{name}: found {(unknown or [text])[0]!r}, accepted: any of {','.join(LAYERS)}")
    if len(set(found)) < len(found):
        raise ConfigError(f"{name}: found {text!r}, accepted: each layer once")
    return ",".join(found)


def _choose(name: str, text: str) -> str:
    words = text.replace(",", " ").split()
    if text not in ("first", "worst", "best") and not (words and all(w.isascii() and w.isdigit() for w in words)):
        raise ConfigError(f"{name}: found {text!r}, accepted: first, worst, best, or places in T such as 3,17,40")
    return text


def _photographs(name: str, text: str) -> str:
    if text and not Path(anchored_path(name, text)).exists():
        raise ConfigError(f"{name}: found nothing at {text!r}, accepted: a photograph or a folder of them")
    return text


def _target(name: str, text: str) -> str:
    if text and _is_path(name, text) and not Path(anchored_path(name, text)).is_file():
        raise ConfigError(f"{name}: found no file {text!r}, accepted: a file, or a run's id from `arl runs`")
    return text


def _preset(name: str, text: str) -> str:
    if not text.isidentifier():  # it is the name of a folder of figures
        raise ConfigError(f"{name}: found {text!r}, accepted: the name of a preset, such as quick")
    return text


TEXTS = {
    "seeds": _seeds,
    "lambda1s": _lambdas,
    "lambda2s": _lambdas,
    "layers": _layers,
    "choose": _choose,
    "photographs": _photographs,
    "target": _target,
    "ours": _preset,
    "drawn": _preset,
}


def unknown(given: Iterable[str], accepted: Sequence[str], where: str) -> None:
    """Refuse the names in `given` that `accepted` has not. Raises `ConfigError`."""
    if strange := sorted(set(given) - set(accepted)):
        raise ConfigError(
            f"{strange[0]}: no such parameter, accepted by {where}: {', '.join(sorted(accepted)) or 'none'}"
        )
