"""What a defence and an attack have in common: validated parameters, a name, a place in a run's id.

Defining a subclass registers it under its class name in lower case. A shipped one is a file of that name in its package, imported when
it is first named: a mistyped parameter does not wait for torch.
"""

import hashlib
import importlib
import inspect
import math
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take true for 1
        raise PydanticCustomError("number", "input should be a number")
    return value


Number = BeforeValidator(_no_truth)
Weight = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]  # λ or μ: a finite number, zero or more
Rate = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]  # a learning rate
Count = Annotated[int, Number, Field(ge=1)]


class Parameters(BaseModel):
    """A frozen set of parameters that says what it is. `title` of a field is its symbol, `description` its meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    version: ClassVar[int] = 1  # raised when the same parameters come to mean another computation
    registry: ClassVar[dict[str, type["Parameters"]]]  # of each kind's base class
    kind: ClassVar[str]  # "defence" or "attack"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "registry" in vars(cls) or not hasattr(cls, "registry"):  # a kind's base class, or none's
            return
        taken = cls.registry.get(cls.name())
        if taken is not None and taken.__module__ != cls.__module__:
            raise ValueError(f"{cls.kind}: {cls.name()!r} is taken by {taken.__module__}, accepted: another class name")
        cls.registry[cls.name()] = cls

    @classmethod
    def name(cls) -> str:
        """The class name in lower case: what `defence=` and `attacks=` take."""
        return cls.__name__.lower()

    @classmethod
    def shipped(cls) -> bool:
        return cls.__module__.split(".")[0] == "arl"

    @property
    def perceptual_weight(self) -> str:
        """The name of the parameter that needs the perceptual network g, or ""."""
        return ""

    def spec(self) -> dict[str, Any]:
        """What of it defines a stored run: name, version or content of its source, and every field; JSON-able."""
        origin = {"version": self.version} if self.shipped() else {"source": source_sha256(type(self))}
        return {self.kind: self.name(), **origin, **self.model_dump(mode="json")}

    def describe(self) -> str:
        """It in a few words: its name, and its parameters in symbols, such as "nopeek α=0.5"."""
        return " ".join(filter(None, [self.name(), self.symbols(*type(self).model_fields)]))

    def symbols(self, *names: str) -> str:
        """The fields `names` that are not zero, in symbols."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in names if getattr(self, name)}
        return " ".join(f"{fields[name].title or name}={_short(value)}" for name, value in values.items())

    def replace(self, **fields: Any) -> Self:
        """This one with `fields` changed, validated again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **fields})


def named(base: type[Parameters], name: str) -> type[Parameters]:
    """The subclass of `base` called `name`; a shipped one is imported now. Raises KeyError with the accepted names."""
    accepted = names(base)
    if name not in accepted:
        raise KeyError(", ".join(accepted))
    if name not in base.registry:
        importlib.import_module(f"{base.__module__.rpartition('.')[0]}.{name}")
    return base.registry[name]


def names(base: type[Parameters]) -> list[str]:
    """Every name that `named` takes: shipped, and defined by the user."""
    return sorted({*_files(base), *base.registry})


@cache
def _files(base: type[Parameters]) -> list[str]:
    """The names of those that are shipped: thousands of configurations are read in one process."""
    folder = Path(inspect.getfile(base)).parent
    return [path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "base")]


def source_sha256(cls: type) -> str:
    """Twelve digits of the SHA-256 of the file that defines `cls`; of its own lines where that is a notebook's cell."""
    module = sys.modules.get(cls.__module__)
    path = getattr(module, "__file__", None)
    if path is not None and cls.__module__ != "__main__":
        content = Path(path).read_bytes()
    else:
        try:
            content = inspect.getsource(cls).encode()
        except (OSError, TypeError):
            raise ValueError(
                f"{cls.__name__}: its source is not known, accepted: a class of a file or a cell"
            ) from None
    return hashlib.sha256(content).hexdigest()[:12]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and math.isfinite(value) else str(value)
