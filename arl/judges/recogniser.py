"""The recogniser C, chosen by name."""

from pathlib import Path
from typing import Any

import torch

from arl.config import RunConfig
from arl.data import FaceData, unopened
from arl.judges.base import Recogniser, Window
from arl.judges.dlib_resnet import DlibRecogniser
from arl.judges.eyes import CHIP_OF_DLIB, window_of_folder
from arl.judges.onnx_file import OnnxRecogniser
from arl.judges.rendered import rendered_recogniser, rendered_spec
from arl.messages import ConfigError


def recogniser(cfg: RunConfig, device: torch.device, data: FaceData | None = None) -> Recogniser:
    """The C that `cfg.recogniser` names first; "rendered" is found in the store or trained there. Raises `ConfigError`.

    `data`: the faces of `cfg`, where they are known already; of a folder they tell where dlib has to look.
    """
    name = cfg.recognisers[0]
    if name == "rendered":
        return rendered_recogniser(cfg, device)
    if name == "dlib":
        return DlibRecogniser(cfg.data, _by_eyes(cfg, data) if cfg.data == "folder" else None)
    if name.lower().endswith(".onnx"):
        return OnnxRecogniser(Path(name).expanduser())
    raise ConfigError(f"recogniser: found {name!r}, accepted: rendered, dlib, or the path of an .onnx file")


def _by_eyes(cfg: RunConfig, data: FaceData | None) -> Window | None:
    return window_of_folder(cfg, data or unopened(cfg), CHIP_OF_DLIB)


def judge_spec(cfg: RunConfig) -> dict[str, Any]:
    """The `spec` of the C that `cfg.recogniser` names first, without training it. Raises `ConfigError`."""
    if cfg.recognisers[0] == "rendered":
        return rendered_spec(cfg)
    return recogniser(cfg, torch.device("cpu")).spec
