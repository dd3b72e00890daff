"""One run's configuration: every symbol of the paper that a user may choose, validated.

`RunConfig` is frozen. `RunConfig.preset("quick", lambda1=1)` starts from a preset; `RunConfig(...)` from the
default one, `quick`. What a *stored* run depends on is a part of it: see `encoder_fields` and its neighbours.
"""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from arl.messages import ConfigError

# CelebA's forty attributes, in the order of list_attr_celeba.txt (Liu et al., ICCV 2015).
ATTRIBUTES: tuple[str, ...] = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
    Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup
    High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose
    Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat
    Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young""".split()
)

# The paper's Conv1 ... FC, shallow to deep.
LAYERS: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "avgpool", "fc")

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # λ or μ: a finite number, zero or more
Count = Annotated[int, Field(ge=1)]


def _names(value: Any) -> Any:
    """Let `attributes` be "all", one name, "Smiling,Male" or a sequence of names."""
    if isinstance(value, str):
        return ATTRIBUTES if value == "all" else tuple(name for name in value.replace(",", " ").split())
    return value


class RunConfig(BaseModel):
    """What one row of Table 1 is made from: data, encoder, protector (9), attackers (5) (10), judges g and C.

    Strings coerce ("1e-3", "2"), so that papermill's and the shell's values may be passed as they come.
    Raises `ConfigError`, one line a mistake: the parameter, what was found, what is accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    # -- data ---------------------------------------------------------------------------------------------------
    data: Literal["rendered", "celeba", "folder", "orl"] = "rendered"
    data_root: str = ""  # where `celeba` or `folder` lies
    damaged: Literal["refuse", "skip"] = "refuse"  # what to do with images of `celeba` or `folder` that cannot be read
    data_seed: Annotated[int, Field(ge=0)] = 0  # of the rendered people; `seed` never changes the faces
    image_size: Annotated[int, Field(ge=32, le=256, multiple_of=16)] = 48  # pixels a side
    identities: Annotated[int, Field(ge=4)] = 250  # rendered people
    per_identity: Annotated[int, Field(ge=2)] = 32  # photographs of each
    x1: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.65  # private set: a fraction below 1, else a count
    x2: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.25  # the adversary's set; the rest is T
    split: Literal["image", "identity"] = "image"
    attributes: Annotated[tuple[str, ...], BeforeValidator(_names)] = ATTRIBUTES
    extra: Literal["none", "adversary", "both"] = "none"  # none, † (Dec and M of the adversary), ‡ (Enc as well)
    extra_source: str = "shifted"  # a rendered domain, or a folder of faces
    extra_images: Count = 800

    # -- encoder and classifier ---------------------------------------------------------------------------------
    encoder: Literal["small", "resnet18", "resnet50"] = "small"
    encoder_weights: Literal["none", "imagenet"] = "none"
    width: Annotated[int, Field(ge=8, le=128)] = 16  # channels of conv1 in `small`; under 8 torch 2.15 corrupts memory
    layer: Literal["conv1", "conv2", "conv3", "conv4", "avgpool", "fc"] = "fc"

    # -- protector (9) and the adversary that it simulates (5) --------------------------------------------------
    lambda1: Weight = 0.0  # of the pixel reconstruction loss (7)
    lambda2: Weight = 0.0  # of the perceptual distance (8)
    simulated_mu1: Weight = 0.0  # μ1 of Dec inside training
    simulated_mu2: Weight = 0.0  # μ2 of Dec inside training
    simulated_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        4e-3  # of Dec and D inside training, constant; see protect.py
    )
    simulated_steps: Count = 2  # steps of Dec and D for each step of Enc and f
    warm: Annotated[float, Field(ge=0, lt=1)] = 0.5  # the share of `epochs` before the adversary enters: (6) alone

    # -- the real adversary, Dec^a (5) --------------------------------------------------------------------------
    mu1: Weight = 0.0  # of the GAN loss (2)
    mu2: Weight = 0.0  # of the perceptual distance (4)
    discriminator: Literal["patch", "dcgan", "none"] = "patch"
    gan_loss: Literal["non-saturating", "minimax"] = "non-saturating"  # minimax: (2) to the letter

    # -- judges -------------------------------------------------------------------------------------------------
    perceptual: str = "random"  # g: random | imagenet | none | a file of VGG16 weights
    recogniser: str = "rendered"  # C: rendered | dlib | an .onnx file

    # -- schedule -----------------------------------------------------------------------------------------------
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=2)] = 32
    epochs: Count = 10
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        3e-3  # of Enc and f at its highest; it rises and falls in one cycle
    )
    attack_epochs: Count = 150  # at most; a plateau ends it earlier
    attack_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4e-3
    attack_patience: Count = 3  # epochs without a better validation loss before the rate is cut, then the end
    recogniser_identities: Annotated[int, Field(ge=4)] = 300
    recogniser_per_identity: Annotated[int, Field(ge=2)] = 20
    recogniser_epochs: Count = 12
    bootstrap: Annotated[int, Field(ge=50)] = 1000  # resamples behind each interval

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError("\n".join(_line(e) for e in error.errors())) from None

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        unknown = [name for name in self.attributes if name not in ATTRIBUTES]
        if self.data in ("rendered", "celeba") and unknown:
            raise ValueError(f"attributes: found {unknown[0]!r}, accepted: 'all' or any of {', '.join(ATTRIBUTES)}")
        if not self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise ValueError("attributes: found none or a name twice, accepted: 'all' or different names")
        for name in ("mu1", "simulated_mu1"):
            if getattr(self, name) > 0 and self.discriminator == "none":
                raise ValueError(
                    f"{name}: found {getattr(self, name):g} with discriminator='none', accepted: 0, or discriminator=patch|dcgan"
                )
        for name in ("mu2", "simulated_mu2", "lambda2"):
            if getattr(self, name) > 0 and self.perceptual == "none":
                raise ValueError(
                    f"{name}: found {getattr(self, name):g} with perceptual='none', accepted: 0, or perceptual=random|imagenet|FILE"
                )
        if self.data in ("celeba", "folder") and not self.data_root:
            raise ValueError(f"data_root: found nothing, accepted: the folder that holds the {self.data} images")
        if max(self.x1, self.x2) < 1 and self.x1 + self.x2 >= 1:
            raise ValueError(
                f"x1 + x2: found {self.x1 + self.x2:g}, accepted: below 1, so that some images are left for T"
            )
        for name in ("x1", "x2"):
            value = getattr(self, name)
            if value >= 1 and not float(value).is_integer():
                raise ValueError(f"{name}: found {value:g}, accepted: a fraction below 1 or a whole number of images")
        return self

    @classmethod
    def preset(cls, name: str = "quick", **fields: Any) -> "RunConfig":
        """The named preset (`tiny`, `quick`, `paper`) with `fields` in place of its values; an empty string keeps the preset's."""
        if name not in PRESETS:
            raise ConfigError(f"preset: found {name!r}, accepted: {', '.join(PRESETS)}")
        return cls(**PRESETS[name] | {field: value for field, value in fields.items() if value != ""})

    def but(self, **fields: Any) -> "RunConfig":
        """This configuration with `fields` changed, validated again."""
        return type(self)(**{**self.model_dump(), **fields})

    # -- what a stored run depends on, and nothing else ---------------------------------------------------------

    @property
    def protected(self) -> bool:
        """Whether training is adversarial at all. Without λ no decoder takes part, and one network serves all layers."""
        return self.lambda1 > 0 or self.lambda2 > 0

    @property
    def warm_epochs(self) -> int:
        """The epochs before the adversary enters: the same for every λ and layer, so they are trained once."""
        return int(self.warm * self.epochs)

    def encoder_fields(self) -> dict[str, Any]:
        """The fields that define Enc and f."""
        names = ["attributes", "encoder", "encoder_weights", "x1", "x2", "split", "seed", "batch_size", "epochs", "lr"]
        names += ["width"] if self.encoder == "small" else []
        names += ["extra", "extra_images"] if self.extra == "both" else []
        if self.protected:
            names += [
                "layer",
                "lambda1",
                "lambda2",
                "simulated_mu1",
                "simulated_mu2",
                "simulated_lr",
                "simulated_steps",
                "warm",
            ]
            names += ["perceptual"] if self.lambda2 > 0 or self.simulated_mu2 > 0 else []
            names += ["discriminator", "gan_loss"] if self.simulated_mu1 > 0 else []
        return self._pick(names)

    def attack_fields(self) -> dict[str, Any]:
        """The fields that define Dec^a, beside the encoder that it attacks."""
        names = ["layer", "mu1", "mu2", "x1", "x2", "split", "seed", "batch_size"]
        names += ["attack_epochs", "attack_lr", "attack_patience"]
        names += ["extra_images"] if self.extra != "none" else []
        names += ["perceptual"] if self.mu2 > 0 else []
        names += ["discriminator", "gan_loss"] if self.mu1 > 0 else []
        return self._pick(names)

    def feature_attack_fields(self) -> dict[str, Any]:
        """The fields that define M, beside the encoder that it attacks and the recogniser that it imitates."""
        names = ["layer", "x1", "x2", "split", "seed", "batch_size", "attack_epochs", "attack_lr", "attack_patience"]
        names += ["extra_images"] if self.extra != "none" else []
        return self._pick(names)

    def _pick(self, names: list[str]) -> dict[str, Any]:
        return {k: v for k, v in self.model_dump(mode="json").items() if k in names}


PRESETS: dict[str, dict[str, Any]] = {
    # Seconds: for tests and for a first look at the code's path. Its numbers mean nothing.
    "tiny": dict(
        image_size=32, identities=20, per_identity=10, x1=0.5, x2=0.3, width=8, batch_size=16, epochs=3,
        attack_epochs=3, attack_patience=1, extra_images=40, recogniser_identities=12, recogniser_per_identity=6,
        recogniser_epochs=2, bootstrap=100,
    ),
    # Two CPU cores, offline, the embedded faces.
    "quick": dict(),
    # The paper: CelebA, ResNet-50, 128 pixels, 160 000 / 40 000 / the rest, on a GPU.
    "paper": dict(
        data="celeba", data_root="data", image_size=128, x1=160_000, x2=40_000, encoder="resnet50",
        perceptual="imagenet", recogniser="dlib", batch_size=128, epochs=20, lr=1e-3, attack_epochs=100,
        attack_lr=1e-3, attack_patience=3, extra_images=10_000,
    ),
}  # fmt: skip


def _line(error: dict[str, Any]) -> str:
    """One line for one pydantic error: parameter, what was found, what is accepted."""
    if error["type"] == "value_error":  # raised by _consistent, already in this form
        return str(error["ctx"]["error"])
    name = ".".join(str(part) for part in error["loc"][:1])
    if error["type"] == "extra_forbidden":
        return f"{name}: no such parameter, accepted: {', '.join(RunConfig.model_fields)}"
    found = error["input"]
    found = "nan" if isinstance(found, float) and math.isnan(found) else repr(found)
    accepted = error["msg"][0].lower() + error["msg"][1:]
    return f"{name}: found {found}, accepted: {accepted.removeprefix('input should be ')}"


def parse_settings(settings: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """`["lambda1=1", "layer=conv2"]` as `{"lambda1": 1, "layer": "conv2"}`; raises `ConfigError` for anything else."""
    fields = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set: found {text!r}, accepted: NAME=VALUE, such as lambda1=1")
        try:
            number = json.loads(value)
        except ValueError:
            number = None
        fields[name.strip()] = number if isinstance(number, int | float) else value.strip()
    return fields
