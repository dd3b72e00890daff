"""Any recogniser as an ONNX file."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl.judges.base import WHOLE, Window, look
from arl.judges.eyes import EyePair
from arl.messages import ConfigError, first_line
from arl.store import file_sha256

AT_ONCE = 16  # images a call: what a graph holds of 256 images of 294 pixels are gigabytes, which its session never gives back


class OnnxRecogniser:
    """Any recogniser as an ONNX file (ArcFace, SFace, OpenFace): extra `onnx`.

    Input: one float tensor, NCHW or NHWC with 3 channels, of the graph's own size (112 where it is open). It gets RGB as (x − mean) / std
    of x in [0, 1], both 0.5, so [−1, 1], unless the file's metadata holds other numbers as `mean` and `std`; and of the image the square
    that the metadata's `window` says, "left,top,side" in parts of the image's side, by default all of it (a
    `window` in other words is somebody else's note). In place of a window the metadata may say where the network wants the `eyes` in
    its input, "x_left,y_left,x_right,y_right" in parts of its sides: each source of faces then has its own window (`look_through`).
    First output: the embedding; second output, where there is one of more than one number a face: the middle layer.
    """

    slow = False

    def __init__(self, path: Path):
        self.path = path
        self.session = _session(path)
        meta = self.session.get_modelmeta().custom_metadata_map
        self.mean, self.std = _number(path, meta, "mean"), _number(path, meta, "std")
        if self.std == 0:
            raise ConfigError(f"recogniser: {path} has std '0' in its metadata, accepted: a number other than 0")
        self.window, self.eyes = _window(path, meta), _eyes(path, meta)
        self._read_input()
        try:  # a graph may still refuse its batch or its size: now, not after hours of training
            found = self.outputs(torch.zeros(2, 3, 32, 32))
        except Exception as error:
            raise ConfigError(
                f"recogniser: {path} cannot be run ({first_line(error)}), accepted: any batch of faces"
            ) from None
        if len(found[0]) != 2:
            raise ConfigError(
                f"recogniser: {path} gives {tuple(found[0].shape)} for 2 faces, accepted: one embedding a face"
            )
        if found[0].shape[1] < 2:
            raise ConfigError(
                f"recogniser: {path} gives 1 number a face, accepted: an embedding of two numbers or more as first output"
            )
        self.middle, self.middle_name = _middle(found, [output.type for output in self.session.get_outputs()])
        self.name = f"{path.name} (ONNX, {file_sha256(path)[:12]})"
        self.spec: dict[str, Any] = {"kind": "onnx", "sha256": file_sha256(path)[:12], "version": 1}

    def _read_input(self) -> None:
        inputs = self.session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) > 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or inputs[0].type != "tensor(float)":
            raise ConfigError(
                f"recogniser: {self.path} takes {[(i.type, i.shape) for i in inputs]}, "
                "accepted: one float (B, 3, H, W) or (B, H, W, 3)"
            )
        self.input, self.channels_last = inputs[0].name, shape[1] != 3
        sides = shape[1:3] if self.channels_last else shape[2:]
        self.size = tuple(side if isinstance(side, int) else 112 for side in sides)
        self.one_by_one = shape[0] == 1

    def look_through(self, window: Window) -> None:
        """Of each image look at `window`, which becomes part of the `spec`: it depends on the faces, not on the file alone."""
        self.window = window
        self.spec["window"] = list(window)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.outputs(x)
        return found[0], found[self.middle]

    def outputs(self, x: Tensor) -> list[Tensor]:
        """The first two outputs, (B, numbers) each, for images (B, 3, S, S) in [0, 1]."""
        found = [
            self.session.run(None, {self.input: self._fed(part)}) for part in x.split(1 if self.one_by_one else AT_ONCE)
        ]
        whole = [np.concatenate([np.atleast_1d(f[i]) for f in found]) for i in range(min(2, len(found[0])))]
        return [torch.from_numpy(output.reshape(len(output), -1)) for output in whole]

    def _fed(self, x: Tensor) -> np.ndarray:
        x = (look(x, self.window, self.size) - self.mean) / self.std
        return (x.permute(0, 2, 3, 1) if self.channels_last else x).contiguous().cpu().numpy()


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("recogniser: onnxruntime is not installed, accepted: after pip install 'arl[onnx]'") from None
    if not path.is_file():
        raise ConfigError(f"recogniser: found no file {path}, accepted: an .onnx file, rendered or dlib")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # by itself it takes every core
    options.log_severity_level = 3  # errors: what is wrong with a graph is said below, in one line
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
    except Exception as error:
        raise ConfigError(
            f"recogniser: {path} cannot be loaded ({first_line(error)}), accepted: an ONNX model"
        ) from None


def _number(path: Path, meta: dict[str, str], name: str) -> float:
    text = meta.get(name, "0.5")
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ConfigError(f"recogniser: {path} has {name} {text!r} in its metadata, accepted: a finite number")
    return number


def _window(path: Path, meta: dict[str, str]) -> Window:
    if re.search(r"[^-+.,\s0-9eE]", meta.get("window", "{}")):
        return WHOLE
    try:
        window = Window(*map(float, meta["window"].split(",")))
    except (TypeError, ValueError):
        window = Window(0, 0, 0)
    if not (0.05 <= window.side <= 3 and max(abs(window.left), abs(window.top)) <= 3):
        raise ConfigError(
            f"recogniser: {path} has window {meta['window']!r} in its metadata, "
            "accepted: 'left,top,side' in parts of the image's side, such as 0.17,0.32,0.65"
        )
    return window


def _eyes(path: Path, meta: dict[str, str]) -> EyePair | None:
    """Where the file wants the eyes; None where it does not say."""
    if "eyes" not in meta:
        return None
    try:
        eyes = EyePair(*map(float, meta["eyes"].split(",")))
    except (TypeError, ValueError):
        eyes = EyePair(0, 0, 0, 0)
    if "window" in meta or not all(0 < part < 1 for part in eyes) or eyes.x_right - eyes.x_left < 0.05:
        also = f" and window {meta['window']!r}" if "window" in meta else ""
        raise ConfigError(
            f"recogniser: {path} has eyes {meta['eyes']!r}{also} in its metadata, accepted: without a window, "
            "'x_left,y_left,x_right,y_right' in parts of the input's sides, such as 0.34,0.46,0.66,0.46"
        )
    return eyes


def _middle(found: list[Tensor], types: list[str]) -> tuple[int, str]:
    """Which output is the middle layer, and what to call it."""
    if len(found) == 1:
        return 0, "embedding, as the file has one output"
    whole = "float" not in types[1] and "double" not in types[1]  # places or classes
    if whole or found[1].shape[0] != 2 or found[1].shape[1] < 2:
        return 0, "embedding, as the second output is no layer"
    return 1, "second output"
