"""One run's configuration: every symbol of the paper that a user may choose, validated.

`RunConfig` is frozen. `RunConfig.preset("quick", lambda1=1)` starts from a preset; `RunConfig(...)` from the default one, `quick`. A
defence and each attack own their parameters, which are also taken and read by their own names: `RunConfig(lambda1=1).lambda1`.
"""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, ValidationError, model_validator
from pydantic.fields import FieldInfo

from arl.attacks.base import Attack
from arl.attacks.decoder import Decoder
from arl.attacks.features import Features
from arl.defences.adversarial import Adversarial
from arl.defences.base import Defence
from arl.messages import ConfigError
from arl.names import ATTRIBUTES, DOMAINS, LAYERS
from arl.parameters import Count, Number, Parameters, Rate, named, names

Fraction = Annotated[float, Number, Field(gt=0, le=1e9, allow_inf_nan=False)]  # of the images below 1, else a count
Reserved = Annotated[float, Number, Field(ge=0, le=1e9, allow_inf_nan=False)]  # the same, and 0 for none
Seed = Annotated[int, Number, Field(ge=0, lt=2**62)]  # 64 bits, with room for what is added
Epochs = Annotated[int, Number, Field(ge=1, le=100_000)]

TRAINED_HERE = ("rendered", "rendered2")  # recognisers that learn drawn people whom no other set holds


def _names(value: Any) -> Any:
    """Let `attributes` be "all", one name, "Smiling,Male" or a sequence of names."""
    if isinstance(value, str):
        return ATTRIBUTES if value == "all" else tuple(name for name in value.replace(",", " ").split())
    return value


class RunConfig(BaseModel):
    """What one row of Table 1 is made from: data, encoder, defence (9), attacks (5) (10), judges g and C.

    Strings coerce ("1e-3", "2"), so that papermill's and the shell's values may be passed as they come.
    Raises `ConfigError`, one line a mistake: the parameter, what was found, what is accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    # -- data ---------------------------------------------------------------------------------------------------
    data: Literal["rendered", "celeba", "folder", "orl"] = "rendered"
    data_root: str = ""  # where `celeba` or `folder` lies
    damaged: Literal["refuse", "skip"] = "refuse"  # what to do with images of `celeba` or `folder` that cannot be read
    data_seed: Seed = 0  # of the rendered people; `seed` never changes the faces
    image_size: Annotated[int, Number, Field(ge=32, le=256, multiple_of=16)] = 48  # pixels a side
    identities: Annotated[int, Number, Field(ge=4)] = 250  # rendered people
    per_identity: Annotated[int, Number, Field(ge=2)] = 32  # photographs of each
    x1: Fraction = 0.65  # private set: a fraction below 1, else a count
    x2: Fraction = 0.25  # the adversary's set; the rest is T
    split: Literal["image", "identity"] = "image"
    held_out: Literal["image", "identity"] = (
        "image"  # X2's tenth by which attackers stop and are chosen; identity: whole people
    )
    reserved: Reserved = (
        0  # images, of whole people, kept out of X1, X2 and T: extra data of the same set; `x1`, `x2` are of the rest
    )
    attributes: Annotated[tuple[str, ...], BeforeValidator(_names)] = ATTRIBUTES
    # none; † for the attackers beside X2; ‡ for Enc as well; for the attackers in place of X2
    extra: Literal["none", "adversary", "both", "instead"] = "none"
    extra_source: str = (
        ""  # standard | shifted drawings | reserved people | a folder; "": shifted for drawings, else reserved
    )
    extra_images: Count = 800

    # -- encoder and classifier ---------------------------------------------------------------------------------
    encoder: Literal["small", "resnet18", "resnet50"] = "small"
    encoder_weights: Literal["none", "imagenet"] = "none"
    # channels of conv1 in `small`; under 8 torch 2.15 corrupts memory
    width: Annotated[int, Number, Field(ge=8, le=128)] = 16
    layer: Literal["conv1", "conv2", "conv3", "conv4", "avgpool", "fc"] = "fc"  # where Z is read

    # -- the players --------------------------------------------------------------------------------------------
    defence: InstanceOf[Defence] = Adversarial()  # its parameters: arl/defences/
    attacks: tuple[InstanceOf[Attack], ...] = (Decoder(), Features())  # theirs: arl/attacks/

    # -- judges -------------------------------------------------------------------------------------------------
    perceptual: str = "random"  # g: random | imagenet | efficientnet | none | a file of VGG16 weights
    recogniser: str = (
        "rendered"  # C: rendered | rendered2 | dlib | an .onnx file; after a comma further judges of the same pictures
    )

    # -- schedule -----------------------------------------------------------------------------------------------
    seed: Seed = 0
    batch_size: Annotated[int, Number, Field(ge=2)] = 32
    augmentation: Literal["mirror", "crops"] = "mirror"  # while Enc learns; crops: also shifted, scaled, turned, re-lit
    dropout: Annotated[float, Number, Field(ge=0, lt=1)] = 0.0  # in f's two layers
    weight_decay: Annotated[float, Number, Field(ge=0, le=1)] = 1e-4  # of Enc and f
    cuts: Literal["half", "mcc"] = "half"  # f says yes above a probability of one half, or where X2's MCC is highest
    epochs: Epochs = 10
    lr: Rate = 3e-3  # of Enc and f at its highest; it rises and falls in one cycle
    warm: Annotated[float, Number, Field(ge=0, lt=1)] = 0.5  # share of `epochs` before the defence enters: (6) alone
    lr_again: Annotated[float, Number, Field(ge=0, le=1)] = (
        0.0  # of a second cycle after the warm epochs; 0: one over all
    )
    attack_epochs: Epochs = 150  # at most; a plateau ends it earlier
    attack_lr: Rate = 4e-3
    attack_patience: Count = 3  # epochs without a better validation loss before the rate is cut, then the end
    recogniser_identities: Annotated[int, Number, Field(ge=4)] = 300
    recogniser_per_identity: Annotated[int, Number, Field(ge=2)] = 20
    recogniser_epochs: Epochs = 12
    bootstrap: Annotated[int, Number, Field(ge=50, le=100_000)] = 1000  # resamples behind each interval

    def __init__(self, **fields: Any):
        mistakes: list[str] = []
        nested = _players(fields, mistakes)
        try:
            super().__init__(**nested)
        except ValidationError as error:
            mistakes = [_line(e, self.parameters(nested)) for e in error.errors()] + mistakes
        if mistakes:
            raise ConfigError("\n".join(mistakes))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = [name for name in self.attributes if name not in ATTRIBUTES]
        if self.data in ("rendered", "celeba") and unknown:
            raise ValueError(f"attributes: found {unknown[0]!r}, accepted: 'all' or any of {', '.join(ATTRIBUTES)}")
        if not self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise ValueError("attributes: found none or a name twice, accepted: 'all' or different names")
        for player in self.players if self.perceptual == "none" else ():
            if name := player.perceptual_weight:
                found = f"{name}: found {getattr(player, name)} with perceptual='none'"
                raise ValueError(f"{found}, accepted: 0, or perceptual=random|imagenet|efficientnet|FILE")
        if self.data in ("celeba", "folder") and not self.data_root:
            raise ValueError(f"data_root: found nothing, accepted: the folder that holds the {self.data} images")
        names = list(self.judges) if len(set(self.recognisers)) == len(self.recognisers) else []
        if len(names) < len(self.recognisers) or "" in names:
            found = f"recogniser: found {self.recogniser!r}, where a name is missing or stands twice"
            raise ValueError(
                f"{found}, accepted: different ones of rendered, rendered2, dlib and .onnx files, such as rendered,dlib"
            )
        self._sizes()
        if self.lr_again and not self.warm_epochs:
            found = f"lr_again: found {self.lr_again:g} with warm={self.warm:g} of {self.epochs} epochs"
            raise ValueError(f"{found}, accepted: 0, or warm epochs before the second cycle")
        return self

    def _sizes(self) -> None:
        if max(self.x1, self.x2) < 1 and self.x1 + self.x2 >= 1:
            found = f"x1 + x2: found {self.x1 + self.x2:g}"
            raise ValueError(f"{found}, accepted: below 1, so that some images are left for T")
        for name in ("x1", "x2", "reserved"):
            value = getattr(self, name)
            if value >= 1 and not float(value).is_integer():
                raise ValueError(f"{name}: found {value:g}, accepted: a fraction below 1 or a whole number of images")

    def check_extra(self) -> None:
        """Raises `ConfigError` where the extra data are to be people whom nobody has reserved. A table may have such a row unmade."""
        if self.extra != "none" and self.extra_from == "reserved" and not self.reserved:
            found = f"extra_source: found {self.extra_source or 'nothing'} with data={self.data}"
            found += " and reserved=0" if self.extra_source else ""
            drawn = " or ".join(f"'{domain}'" for domain in DOMAINS)
            raise ConfigError(
                f"{found}, accepted: reserved=N images of other people, a folder of faces, or {drawn} drawings"
            )

    def __getattr__(self, name: str) -> Any:
        """A parameter of the defence, or of the first attack that has it."""
        if not name.startswith("_"):
            for player in self.players:
                if name in type(player).model_fields:
                    return getattr(player, name)
        return super().__getattr__(name)

    # -- making one ---------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, preset: str = "quick", /, **fields: Any) -> Self:
        """The named preset (`tiny`, `quick`, `celeba10k`, `paper`) with `fields` for its values; an empty string keeps the preset's."""
        if preset not in PRESETS:
            raise ConfigError(f"preset: found {preset!r}, accepted: {', '.join(PRESETS)}")
        given = {name: value for name, value in fields.items() if not (isinstance(value, str) and value == "")}
        base = dict(PRESETS[preset])
        if given.get("data", "") in ("rendered", "orl"):
            base.pop("data_root", None)
        return cls(**base | given)

    def replace(self, **fields: Any) -> Self:
        """This configuration with `fields` changed, validated again. Another defence keeps none of the old one's parameters."""
        mine = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**mine, **fields})

    def flat(self) -> dict[str, Any]:
        """Every parameter by its own name, JSON-able: `RunConfig(**cfg.flat()) == cfg`."""
        own = self.model_dump(mode="json", exclude={"defence", "attacks"})
        players = {"defence": self.defence.name(), "attacks": [attack.name() for attack in self.attacks]}
        theirs = {k: v for player in self.players[::-1] for k, v in player.model_dump(mode="json").items()}
        return {**own, **players, **theirs}

    @classmethod
    def parameters(cls, fields: dict[str, Any] | None = None) -> dict[str, FieldInfo]:
        """Every parameter by its own name, with the fields of the defence and the attacks that `fields` name, or of the default ones.

        Raises `ConfigError` for a name of none.
        """
        found = dict(cls.model_fields)
        mistakes: list[str] = []
        chosen = _chosen(fields or {}, mistakes)
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        for player in chosen.values():
            found |= {name: field for name, field in player[0].model_fields.items() if name not in found}
        return found

    # -- what a stored run depends on ---------------------------------------------------------------------------

    @property
    def players(self) -> tuple[Parameters, ...]:
        """The defence, then the attacks."""
        return (self.defence, *self.attacks)

    @property
    def recognisers(self) -> tuple[str, ...]:
        """The judges as they were typed: C of the paper's tables, then those that look at the same pictures beside it."""
        return tuple(part.strip() for part in self.recogniser.split(","))

    @property
    def judges(self) -> dict[str, str]:
        """`recognisers` by their names in results: rendered, dlib, or a file's name without its ending."""
        return {PurePath(each).stem if each.lower().endswith(".onnx") else each: each for each in self.recognisers}

    @property
    def trains_recognisers(self) -> bool:
        """Whether a recogniser is trained here, on drawn people: one of `recognisers`, or an attack's own."""
        own = any(attack.own_recogniser for attack in self.attacks)
        return own or any(each in TRAINED_HERE for each in self.recognisers)

    @property
    def trains_c(self) -> bool:
        """Whether C is."""
        return self.recognisers[0] in TRAINED_HERE

    @property
    def protected(self) -> bool:
        """Whether the defence does anything. If not, one network serves all layers."""
        return self.defence.active

    @property
    def warm_epochs(self) -> int:
        """The epochs before the defence enters: the same for every defence and layer, so they are trained once."""
        return int(self.warm * self.epochs)

    @property
    def extra_from(self) -> str:
        """`extra_source` with its default: photographs get photographs, never drawings unless these are asked for."""
        return self.extra_source or ("shifted" if self.data == "rendered" else "reserved")

    def without_effect(self) -> list[str]:
        """One line for each parameter that was set and changes nothing: what it is, and when it would count."""
        idle: dict[str, str] = {}
        if self.data in ("rendered", "orl"):
            idle["data_root"] = "data=celeba or data=folder"
        if self.encoder == "small":
            idle["encoder_weights"] = "encoder=resnet18 or resnet50"
        if not self.defence.active:
            idle |= {name: "a defence that is at work" for name in type(self.defence).model_fields}
        shared = {name for attack in self.attacks for name in type(attack).model_fields}
        fields = self.parameters({"defence": self.defence, "attacks": self.attacks})
        set_to = {name: getattr(self, name) for name in idle if name not in shared}
        changed = {name: value for name, value in set_to.items() if value != fields[name].default}
        return [
            f"{name}: found {value!r} without effect, accepted: with {idle[name]}" for name, value in changed.items()
        ]

    def encoder_fields(self) -> dict[str, Any]:
        """The fields that define Enc and f; g is not among them, which has an id of its own."""
        fields = ["attributes", "encoder", "encoder_weights", "x1", "x2", "split", "seed", "batch_size", "epochs", "lr"]
        fields += ["width"] if self.encoder == "small" else []
        fields += [name for name in LATER if getattr(self, name) != type(self).model_fields[name].default]
        fields += ["reserved"] if self.reserved else []
        fields += ["extra", "extra_images"] if self.extra == "both" else []
        fields += ["layer"] if self.protected else []
        fields += ["warm"] if self.protected or self.lr_again else []
        return self._pick(fields) | (self.defence.spec() if self.protected else {})

    def attack_fields(self, attack: Attack) -> dict[str, Any]:
        """The fields that define an attack, beside the encoder that it attacks, g and C."""
        fields = ["layer", "x1", "x2", "split", "seed", "batch_size", "attack_epochs", "attack_lr", "attack_patience"]
        fields += ["reserved"] if self.reserved else []
        fields += ["extra_images"] if self.extra != "none" else []
        fields += ["extra"] if self.extra == "instead" else []
        fields += ["held_out"] if self.held_out != "image" else []
        return self._pick(fields) | attack.spec()

    def _pick(self, fields: list[str]) -> dict[str, Any]:
        return self.model_dump(mode="json", include=set(fields))


# Parameters of Enc and f that came later: part of an id where they are not at their defaults.
LATER = ("augmentation", "dropout", "weight_decay", "cuts", "lr_again")

PRESETS: dict[str, dict[str, Any]] = {
    # Seconds: for tests and for a first look at the code's path. Its numbers mean nothing.
    "tiny": dict(
        image_size=32, identities=20, per_identity=10, x1=0.5, x2=0.3, width=8, batch_size=16, epochs=3,
        attack_epochs=3, attack_patience=1, extra_images=40, recogniser_identities=12, recogniser_per_identity=6,
        recogniser_epochs=2, bootstrap=100,
    ),
    # Two CPU cores, offline, the embedded faces.
    "quick": dict(),
    # Some thousand photographs in CelebA's layout, two CPU cores. Wants extra `faces` for dlib, or another `recogniser`.
    "celeba10k": dict(
        data="celeba", data_root="data", reserved=0.08, x1=0.7, x2=0.2, recogniser="dlib", epochs=61, warm=0.92,
        lr_again=1.5e-3, augmentation="crops", dropout=0.1, weight_decay=0.01, cuts="mcc",
    ),
    # The paper: CelebA, ResNet-50, 128 pixels, 160 000 / 40 000 / the rest, on a GPU.
    "paper": dict(
        data="celeba", data_root="data", image_size=128, x1=160_000, x2=40_000, encoder="resnet50",
        perceptual="imagenet", recogniser="dlib", batch_size=128, epochs=20, lr=1e-3, attack_epochs=100,
        attack_lr=1e-3, attack_patience=3, extra_images=10_000,
    ),
}  # fmt: skip


# -- the defence and the attacks out of flat fields -----------------------------------------------------------------

Chosen = dict[str, tuple[type[Parameters], dict[str, Any]]]  # by name: the class, and the values that it has already


def _chosen(fields: dict[str, Any], mistakes: list[str]) -> Chosen:
    """The defence, then the attacks, that `fields` name or hold; a name that does not exist is a mistake."""
    defence = fields.get("defence", Adversarial())
    attacks = fields.get("attacks", (Decoder(), Features()))
    attacks = attacks.replace(",", " ").split() if isinstance(attacks, str) else attacks
    attacks = attacks if isinstance(attacks, list | tuple) else [attacks]
    found: Chosen = {}
    for parameter, base, values in (("defence", Defence, [defence]), ("attacks", Attack, attacks)):
        for value in values:
            name = value.name() if isinstance(value, base) else value
            if f"{base.kind} {name}" in found:
                mistakes.append(f"{parameter}: found {name} twice, accepted: once")
            elif isinstance(value, base):
                mine = {name: getattr(value, name) for name in type(value).model_fields}
                found[f"{base.kind} {value.name()}"] = (type(value), mine)
            elif isinstance(value, str) and value in names(base):
                found[f"{base.kind} {value}"] = (named(base, value), {})
            else:
                mistakes.append(f"{parameter}: found {value!r}, accepted: {', '.join(names(base))}")
    return found


def _players(fields: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    """`fields` with the parameters of the defence and the attacks gathered into them. One that several have is set in each.

    A player that is named takes what it shares with those that are there: another defence changes nothing of the attacks.
    """
    chosen = _chosen(fields, mistakes)
    theirs = {name for cls, _ in chosen.values() for name in cls.model_fields}.difference(RunConfig.model_fields)
    flat = {name: value for name, value in fields.items() if name in theirs}
    built: dict[str, Parameters] = {}
    held = {name: value for _, mine in chosen.values() for name, value in mine.items()}  # by players that are there
    for key, (cls, mine) in chosen.items():
        try:
            known = {**(mine or held), **flat}
            own = cls.model_fields  # looked up once: pydantic finds it anew each time
            built[key] = cls(**{name: value for name, value in known.items() if name in own})
        except ValidationError as error:
            mistakes += [line for e in error.errors() if (line := _line(e, {})) not in mistakes]
    players = list(built.values())
    given = {name: value for name, value in fields.items() if name not in flat}
    if not any(line.startswith(("defence:", "attacks:")) for line in mistakes):
        given["defence"] = next((p for p in players if isinstance(p, Defence)), Adversarial())
        given["attacks"] = tuple(p for p in players if isinstance(p, Attack)) if players else (Decoder(), Features())
    else:
        given.pop("defence", None), given.pop("attacks", None)
    return given


def _line(error: dict[str, Any], accepted: dict[str, Any]) -> str:
    """One line for one pydantic error: parameter, what was found, what is accepted."""
    if error["type"] == "value_error":  # raised by a validator, already in this form
        return str(error["ctx"]["error"])
    name = ".".join(str(part) for part in error["loc"][:1])
    if error["type"] == "extra_forbidden":
        return f"{name}: no such parameter, accepted: {', '.join(accepted)}"
    found = error["input"]
    found = "nan" if isinstance(found, float) and math.isnan(found) else repr(found)
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{name}: found {found}, accepted: {message.removeprefix('input should be ')}"


def setting(cfg: RunConfig, attributes: Sequence[str] = ()) -> str:
    """`cfg` in a few words, for logs and outputs. `attributes`: those that its faces turned out to have, once they are known."""
    unknown = (
        not attributes and cfg.attributes == ATTRIBUTES and cfg.data != "rendered"
    )  # "all", of faces that are not open
    chosen = attributes or cfg.attributes
    attributes = f"{len(chosen)} attributes" if len(chosen) > 3 else ", ".join(chosen)
    attributes = "all attributes" if unknown else attributes
    papers = [text for a in cfg.attacks if isinstance(a, Decoder | Features) and (text := a.describe())]
    others = [a.describe() for a in cfg.attacks if not isinstance(a, Decoder | Features)]
    parts = [f"{cfg.encoder} at {cfg.layer}", attributes, cfg.defence.describe()]
    parts += [f"attacker with {' '.join(papers)}"] if papers else []
    parts += [f"also attacked by {', '.join(others)}"] if others else []
    if cfg.extra == "instead":
        parts += [f"attackers on {cfg.extra_images} extra images alone"]
    elif cfg.extra != "none":
        parts += [f"{cfg.extra_images} extra images for {cfg.extra}"]
    return " · ".join(parts)


__all__ = ["ATTRIBUTES", "LAYERS", "PRESETS", "ConfigError", "RunConfig", "setting"]
