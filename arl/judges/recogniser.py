"""The recogniser C, chosen by name."""

from pathlib import Path
from typing import Any

import torch

from arl.config import TRAINED_HERE, RunConfig
from arl.data import FaceData
from arl.judges.base import Recogniser
from arl.judges.dlib_resnet import DlibRecogniser
from arl.judges.eyes import CHIP_OF_DLIB, window_by_eyes
from arl.judges.onnx_file import OnnxRecogniser
from arl.judges.rendered import rendered_recogniser, rendered_spec
from arl.messages import ConfigError


def recogniser(cfg: RunConfig, device: torch.device, data: FaceData | None = None) -> Recogniser:
    """The C that `cfg.recogniser` names first; one of `TRAINED_HERE` is found in the store or trained there. Raises `ConfigError`.

    `data`: the faces of `cfg`, where they are known already; of a folder their eyes tell where to look.
    """
    name = cfg.recognisers[0]
    if name in TRAINED_HERE:
        return rendered_recogniser(cfg, device, name)
    if name == "dlib":
        return DlibRecogniser(cfg.data, window_by_eyes(cfg, data, CHIP_OF_DLIB) if cfg.data == "folder" else None)
    if name.lower().endswith(".onnx"):
        found = OnnxRecogniser(Path(name).expanduser())
        if found.eyes is not None and (window := window_by_eyes(cfg, data, found.eyes)):
            found.look_through(window)
        return found
    raise ConfigError(f"recogniser: found {name!r}, accepted: rendered, rendered2, dlib, or the path of an .onnx file")


def judge_spec(cfg: RunConfig) -> dict[str, Any]:
    """The `spec` of the C that `cfg.recogniser` names first, without training it. Raises `ConfigError`."""
    if cfg.trains_c:
        return rendered_spec(cfg, cfg.recognisers[0])
    return recogniser(cfg, torch.device("cpu")).spec
