"""RunConfig: what it accepts, what it refuses and how it says so, and what a stored run depends on."""

import tomllib
from pathlib import Path

import pytest

from arl import gate, inputs
from arl.config import ATTRIBUTES, PRESETS, RunConfig, setting
from arl.data.open import look_at_extra
from arl.messages import ConfigError

ROOT = Path(__file__).parents[1]


def test_strings_coerce_as_papermill_and_the_shell_pass_them():
    cfg = RunConfig(lambda1="1e-3", seed="7", x2="0.2", attributes="Smiling, Male")
    assert (cfg.lambda1, cfg.seed, cfg.x2, cfg.attributes) == (1e-3, 7, 0.2, ("Smiling", "Male"))
    assert RunConfig(attributes="all").attributes == ATTRIBUTES and len(ATTRIBUTES) == 40


@pytest.mark.parametrize(
    ("fields", "names", "found"),
    [
        ({"lamda1": 1}, "lamda1", "no such parameter"),
        ({"lambda1": float("nan")}, "lambda1", "nan"),
        ({"lambda1": "nan"}, "lambda1", "nan"),
        ({"lambda2": float("inf")}, "lambda2", "inf"),
        ({"lambda1": -1}, "lambda1", "-1"),
        ({"mu1": "much"}, "mu1", "much"),
        ({"layer": "conv5"}, "layer", "conv5"),
        ({"image_size": 50}, "image_size", "50"),
        ({"attributes": "Smile"}, "attributes", "Smile"),
        ({"attributes": "Smiling,Smiling"}, "attributes", "twice"),
        ({"attributes": ""}, "attributes", "none"),
        ({"mu1": 0.1, "discriminator": "none"}, "mu1", "discriminator='none'"),
        ({"simulated_mu1": 0.1, "discriminator": "none"}, "simulated_mu1", "discriminator='none'"),
        ({"mu2": 1, "perceptual": "none"}, "mu2", "perceptual='none'"),
        ({"lambda2": 1, "perceptual": "none"}, "lambda2", "perceptual='none'"),
        ({"data": "celeba"}, "data_root", "nothing"),
        ({"x1": 0.8, "x2": 0.2}, "x1 + x2", "1"),
        ({"x1": 10.5}, "x1", "10.5"),
        ({"reserved": 10.5}, "reserved", "10.5"),
        ({"reserved": -1}, "reserved", "-1"),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_says_what_is_accepted(fields, names, found):
    with pytest.raises(ConfigError) as error:
        RunConfig(**fields)
    line = str(error.value)
    assert "\n" not in line and line.startswith(f"{names}:") and found in line
    assert "accepted" in line and "Value error" not in line


def test_two_mistakes_are_two_lines():
    with pytest.raises(ConfigError) as error:
        RunConfig(lambda1=-1, layer="conv9")
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["layer", "lambda1"]


def test_frozen_and_changed_only_through_validation():
    cfg = RunConfig()
    with pytest.raises(Exception, match="frozen"):
        cfg.lambda1 = 2
    assert cfg.replace(lambda1=2).lambda1 == 2 and cfg.lambda1 == 0
    with pytest.raises(ConfigError, match="lambda1"):
        cfg.replace(lambda1=-2)


def test_presets_are_valid_and_the_paper_preset_is_the_papers():
    assert set(PRESETS) == {"tiny", "quick", "celeba10k", "paper"}
    for name in PRESETS:
        RunConfig.preset(name)
    paper = RunConfig.preset("paper")
    assert (paper.encoder, paper.image_size, paper.x1, paper.x2, paper.layer) == (
        "resnet50",
        128,
        160_000,
        40_000,
        "fc",
    )
    with pytest.raises(ConfigError, match=r"preset: found 'fast', accepted: tiny, quick, celeba10k, paper"):
        RunConfig.preset("fast")


def test_an_unprotected_encoder_is_shared_by_all_layers_attackers_and_judges():
    base = RunConfig().encoder_fields()
    for change in (
        {"layer": "conv1"}, {"mu1": 1}, {"mu2": 1}, {"simulated_mu2": 1}, {"perceptual": "imagenet"},
        {"recogniser": "dlib"}, {"extra": "adversary"}, {"attack_epochs": 5},
    ):  # fmt: skip
        assert RunConfig(**change).encoder_fields() == base, change
    for change in (
        {"seed": 1},
        {"lambda1": 1},
        {"attributes": "Smiling"},
        {"width": 24},
        {"epochs": 3},
        {"extra": "both"},
    ):
        assert RunConfig(**change).encoder_fields() != base, change


def test_a_protected_encoder_depends_on_the_layer_and_on_what_its_simulated_adversary_uses():
    base = RunConfig(lambda1=1).encoder_fields()
    for change in ({"layer": "conv1"}, {"lambda2": 1}, {"simulated_mu1": 0.1}, {"simulated_mu2": 1}):
        assert RunConfig(lambda1=1, **change).encoder_fields() != base, change
    for change in ({"mu1": 1}, {"mu2": 1}, {"perceptual": "imagenet"}, {"gan_loss": "minimax"}):
        assert RunConfig(lambda1=1, **change).encoder_fields() == base, change


def decoder_fields(cfg):
    return cfg.attack_fields(cfg.attacks[0])


def test_an_attack_depends_on_its_own_weights_only():
    base = decoder_fields(RunConfig())
    for change in ({"layer": "conv1"}, {"mu1": 1}, {"mu2": 1}, {"attack_epochs": 5}, {"extra": "adversary"}):
        assert decoder_fields(RunConfig(**change)) != base, change
    for change in ({"lambda1": 1}, {"recogniser": "dlib"}, {"perceptual": "imagenet"}, {"epochs": 3}):
        assert decoder_fields(RunConfig(**change)) == base, change


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"data": "orl", "extra": "adversary"}, "nothing with data=orl"),
        ({"data": "celeba", "data_root": "/c", "extra": "instead"}, "reserved=N images of other people"),
        ({"extra": "both", "extra_source": "reserved"}, "reserved with data=rendered and reserved=0"),
    ],
)
def test_extra_people_whom_nobody_reserved_are_refused_when_they_are_wanted(fields, found):
    cfg = RunConfig(**fields)  # a row of a table that need not be made
    for wanted in (cfg.check_extra, lambda: look_at_extra(cfg), lambda: gate.sizes([cfg])):
        with pytest.raises(ConfigError) as error:
            wanted()
        line = str(error.value)
        assert "\n" not in line and line.startswith("extra_source:") and found in line and "accepted" in line


def test_extra_data_are_drawings_where_the_faces_are_or_where_they_are_asked_for():
    orl = RunConfig(data="orl", reserved=40)
    assert (RunConfig().extra_from, orl.extra_from) == ("shifted", "reserved")
    assert orl.replace(extra="both", extra_source="standard").extra_from == "standard"
    assert RunConfig(data="orl", extra="adversary", extra_source="/faces").extra_from == "/faces"


def test_reserved_people_and_extra_images_in_place_of_x2_are_part_of_the_ids_where_they_are_asked_for():
    plain, apart = RunConfig(extra="adversary"), RunConfig(extra="adversary", reserved=100)
    assert "reserved" not in plain.encoder_fields() | decoder_fields(plain)
    assert apart.encoder_fields() == {**plain.encoder_fields(), "reserved": 100}
    assert decoder_fields(apart) == {**decoder_fields(plain), "reserved": 100}
    people = plain.replace(held_out="identity")
    assert people.encoder_fields() == plain.encoder_fields()
    assert decoder_fields(people) == {**decoder_fields(plain), "held_out": "identity"}
    alone = RunConfig(extra="instead")
    assert decoder_fields(alone) == {**decoder_fields(plain), "extra": "instead"}
    assert alone.encoder_fields() == plain.encoder_fields(), "Enc learns as with X2"
    assert setting(alone).endswith("attackers on 800 extra images alone")


def test_settings_of_the_command_line():
    texts = inputs.split_settings(["lambda1=1", "attributes = Smiling,Male", "lr=1e-3", "layer=fc"])
    assert texts == {"lambda1": "1", "attributes": "Smiling,Male", "lr": "1e-3", "layer": "fc"}
    assert inputs.row("quick", texts) == RunConfig(lambda1=1, attributes="Smiling,Male", lr=1e-3, layer="fc")
    with pytest.raises(ConfigError, match=r"--set: found 'lambda1', accepted: NAME=VALUE"):
        inputs.split_settings(["lambda1"])


def test_conda_and_pip_never_drift():
    """environment.yml installs this package with its test extra and names no version of its own."""
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    items = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert items == ["conda-forge", f"python{project['requires-python']}", "pip", "pip:", "-e .[test]"]
    wanted = {"torch", "torchvision", "jupyterlab", "ipywidgets", "matplotlib", "seaborn", "scikit-learn", "papermill"}
    named = {dependency.split(">=")[0] for dependency in project["dependencies"]}
    assert wanted <= named
    assert {"test", "faces", "onnx"} <= set(project["optional-dependencies"])
    every = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    assert all(">=" in d and "==" not in d for d in every if not d.startswith("arl[")), "lower bounds, not pins"


def test_the_number_of_attributes_is_said_where_it_is_known_only():
    assert "40 attributes" in setting(RunConfig())
    unseen = RunConfig(data="folder", data_root="/faces")
    assert "all attributes" in setting(unseen) and "40" not in setting(unseen)
    assert "Smiling, Male, Young" in setting(unseen, ("Smiling", "Male", "Young"))
    assert "5 attributes" in setting(unseen, tuple("abcde"))
