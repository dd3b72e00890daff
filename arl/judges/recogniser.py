"""The recogniser C, chosen by name."""

from pathlib import Path
from typing import Any

import torch

from arl.config import RunConfig
from arl.judges.base import Recogniser
from arl.judges.dlib_resnet import DlibRecogniser
from arl.judges.onnx_file import OnnxRecogniser
from arl.judges.rendered import rendered_recogniser, rendered_spec
from arl.messages import ConfigError


def recogniser(cfg: RunConfig, device: torch.device) -> Recogniser:
    """The C that `cfg.recogniser` names; "rendered" is found in the store or trained there. Raises `ConfigError`."""
    if cfg.recogniser == "rendered":
        return rendered_recogniser(cfg, device)
    if cfg.recogniser == "dlib":
        return DlibRecogniser(cfg.data)
    if cfg.recogniser.lower().endswith(".onnx"):
        return OnnxRecogniser(Path(cfg.recogniser).expanduser())
    raise ConfigError(f"recogniser: found {cfg.recogniser!r}, accepted: rendered, dlib, or the path of an .onnx file")


def judge_spec(cfg: RunConfig) -> dict[str, Any]:
    """The `spec` of the C that `cfg.recogniser` names, without training it. Raises `ConfigError`."""
    if cfg.recogniser == "rendered":
        return rendered_spec(cfg)
    return recogniser(cfg, torch.device("cpu")).spec
