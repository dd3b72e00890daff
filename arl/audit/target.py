"""Anybody's encoder out of a file: images (B, 3, S, S) in [0, 1] to features, whatever it was written by. Only its graph is executed."""

import io
import json
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor, nn

from arl.audit.formats import format_of
from arl.audit.shapes import as_features, shape_of
from arl.messages import ConfigError, UserError, first_line, say
from arl.store import explained

FIXED = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # batches that a trace may have been made for
WIDE = 16  # channels
STEADY = 1e-3  # how far, relative, features of one face may differ from batch to batch


class TargetSpec(NamedTuple):
    """What defines a target, and so its runs: what the file holds, how a picture is shown to it, what comes out."""

    format: str  # torchscript, export, onnx
    sha256: str
    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # the graph gets RGB as (x − mean) / std of x in [0, 1]
    std: tuple[float, ...]
    shape: tuple[int, ...]  # of one Z as the file gives it


class Target(nn.Module):
    """Images (B, 3, S, S) in [0, 1] to Z as attackers take it (`as_features`), by the graph of a file. Frozen; computes in float32."""

    def __init__(
        self, graph: Callable[[Tensor], Tensor], spec: TargetSpec, batch: int = 0, channels_last: bool = False
    ):
        """`graph`: images as the file takes them to its first output. `batch`: the only number of images that it takes; 0 for any."""
        super().__init__()
        self.graph, self.spec, self.batch, self.channels_last = graph, spec, batch, channels_last
        self.layout = torch.contiguous_format  # of the images in memory
        self.source: tuple[str, dict[str, str]] | None = None  # the file, and what `load_target` was given with it
        self.register_buffer("mean", torch.tensor(spec.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(-1, 1, 1), persistent=False)

    def raw(self, x: Tensor) -> Tensor:
        """Z (B, ...) as the file gives it, float32, on the CPU, where the graph runs. With gradients if `x` asks and the graph has them."""
        asked = x.requires_grad and torch.is_grad_enabled()
        with torch.set_grad_enabled(asked), torch.autocast(x.device.type, enabled=False):
            x = x.float().cpu()
            if x.shape[2:] != self.spec.size:
                x = F.interpolate(x, size=self.spec.size, mode="bilinear", antialias=True)
            x = x.clamp(0, 1)
            x = ((x - self.mean.cpu()) / self.std.cpu()).contiguous(memory_format=self.layout)
            x = x.permute(0, 2, 3, 1).contiguous() if self.channels_last else x
            if not self.batch:
                return self.graph(x).float()
            full = F.pad(x, (0, 0) * 3 + (0, -len(x) % self.batch))  # a fixed batch is filled with black
            return torch.cat([self.graph(part).float() for part in full.split(self.batch)])[: len(x)]

    def forward(self, x: Tensor) -> Tensor:
        return as_features(self.raw(x), x.shape[-1]).to(x.device)


def load_target(path: str | Path, size: str = "", mean: str = "", std: str = "") -> Target:
    """The encoder in the file `path`. `size`: "64" or "height,width"; `mean`, `std`: a number or three. "": what the file says.

    Raises `ConfigError`, one line: no such file, a format that runs code or none that is known, no image in, no tensor out, features that
    are not finite or depend on the other faces of a batch.
    """
    path = Path(path)
    with explained(path, reading=True):
        if not path.is_file():
            raise ConfigError(f"TARGET: found no file {path}, accepted: a file, or a run's id from `arl runs`")
        data = path.read_bytes()
    kind = format_of(path.name, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own about formats that it will drop
            found = LOADERS[kind](data)
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(
            f"TARGET: {path.name} cannot be loaded ({first_line(error)}), accepted: a whole file"
        ) from None
    options = {"size": size, "mean": mean, "std": std}
    target = _settled(path.name, found, kind, data, options)
    target.source = str(path.absolute()), options
    return target


class Loaded(NamedTuple):
    """What a file's own reader says: its graph, the input's shape with None where it is open, and notes by name."""

    graph: Callable[[Tensor], Any]
    shape: tuple[int | None, ...]
    notes: dict[str, str]
    wide: bool = False  # whether it is a network of torch's whose convolutions are all as wide as `WIDE`


def _settled(name: str, found: Loaded, kind: str, data: bytes, options: dict[str, str]) -> Target:
    shape = found.shape or (None, 3, None, None)
    if len(shape) != 4 or not {3, None} & {shape[1], shape[3]}:
        raise ConfigError(
            f"TARGET: {name} takes {shape}, accepted: images, (B, 3, height, width) or (B, height, width, 3)"
        )
    last = shape[1] != 3 and shape[3] == 3
    sides = shape[1:3] if last else shape[2:]
    said = ",".join(str(side) for side in sides) if None not in sides else found.notes.get("size", "")
    if options["size"] and None not in sides and _numbers("size", options["size"], 2) != tuple(map(float, sides)):
        raise ConfigError(f"size: found {options['size']!r} for a graph of {said} pixels, accepted: {said}, or none")
    high, wide = _numbers("size", options["size"] or said, 2)
    if min(high, wide) < 1 or max(high, wide) > 2048 or high % 1 or wide % 1:
        raise ConfigError(f"size: found {options['size'] or said!r}, accepted: whole pixels from 1 to 2048")
    mean, std = (_numbers(n, options[n] or found.notes.get(n, ""), 3) for n in ("mean", "std"))
    if min(std) <= 0:
        raise ConfigError(f"std: found {std}, accepted: numbers above 0")
    spec = TargetSpec(kind, sha256(data).hexdigest(), (int(high), int(wide)), mean, std, ())
    target = _probed(name, found.graph, spec, shape[0] or 0, last)
    if found.wide and not last:
        _lay_out(target)
    return target


def _numbers(name: str, text: str, count: int) -> tuple[float, ...]:
    """One number for all, or `count` with commas between."""
    if not text:
        accepted = (
            "--size 64"
            if name == "size"
            else f"--{name}, a number or three, as in training; mean 0 and std 1 for a graph of [0, 1]"
        )
        raise ConfigError(f"{name}: found neither in the file nor as an option, accepted: {accepted}")
    try:
        found = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        found = ()
    if len(found) not in (1, count) or not all(-1e9 < number < 1e9 for number in found):
        raise ConfigError(f"{name}: found {text!r}, accepted: a number, or {count} with commas between")
    return found * (count // len(found))


def _probed(name: str, graph: Callable[[Tensor], Any], spec: TargetSpec, batch: int, last: bool) -> Target:
    """The target, once it has been shown pictures of noise: which batches it takes, and what comes out."""
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first, z, why = _first_output(name, graph), None, ""
    for size in (batch,) if batch else (0, *FIXED):
        target = Target(first, spec, size, last)
        try:
            z = target.raw(x)
            break
        except UserError:
            raise
        except Exception as error:
            why = why or first_line(error)  # that of any batch
    if z is None:
        accepted = f"a graph of (B, 3, {spec.size[0]}, {spec.size[1]})"
        raise ConfigError(f"TARGET: {name} cannot be run on images ({why}), accepted: {accepted}")
    _check_output(name, z, again=target.raw(x), alone=target.raw(x[:1]))
    if target.batch:
        say(f"{name}: takes {target.batch} images at a time, no more and no fewer; the last ones are filled up")
    target.spec = spec._replace(shape=tuple(z.shape[1:]))
    return target.requires_grad_(False).eval()


def _lay_out(target: Target) -> None:
    """Let images come with their channels last, which a CPU convolves in three quarters of the time, where the same comes out."""
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = target.raw(x)
    target.layout = torch.channels_last
    try:
        same = torch.allclose(before, target.raw(x), rtol=0, atol=STEADY * before.abs().max())
    except Exception:  # a graph that asks for its images' strides
        same = False
    if not same:
        target.layout = torch.contiguous_format


def _check_output(name: str, z: Tensor, again: Tensor, alone: Tensor) -> None:
    """Refuse `z` of three images where it is no row of finite features each, the same for an image `alone`; noise is only said."""
    if z.ndim < 2 or len(z) != 3 or z[0].numel() < 1:
        raise ConfigError(f"TARGET: {name} gives {tuple(z.shape)} for 3 images, accepted: a row of features an image")
    if not z.isfinite().all():
        found = f"{name} gives features that are not finite"
        raise ConfigError(f"TARGET: {found}, accepted: finite ones; do mean and std fit?")
    if alone.shape[1:] != z.shape[1:]:
        found = f"{name} gives {tuple(z.shape[1:])} and {tuple(alone.shape[1:])} numbers"
        raise ConfigError(f"TARGET: {found}, accepted: as many for any image")
    shape_of(tuple(z.shape[1:]), 64)
    near = STEADY * z.abs().max()
    if not torch.allclose(z, again, rtol=0, atol=near):
        say(f"{name}: its features are noisy, another Z each time")
    elif not torch.allclose(z[:1], alone, rtol=0, atol=near):
        found = f"features of {name} depend on the other images of a batch"
        raise ConfigError(f"TARGET: {found}, accepted: exported after .eval()")


def _first_output(name: str, graph: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """`graph` with the first of several outputs, said once; what is no tensor is refused."""
    told: list[str] = []

    def first(x: Tensor) -> Tensor:
        found = graph(x)
        several = isinstance(found, dict | tuple | list)
        found = list(found.values()) if isinstance(found, dict) else found
        z = found[0] if several and len(found) else found
        if not isinstance(z, Tensor):
            raise ConfigError(
                f"TARGET: {name} gives {type(z).__name__}, accepted: a tensor, or several of which the first is taken"
            )
        if several and len(found) > 1 and not told:
            told.append(name)
            say(f"{name}: has {len(found)} outputs; the first is taken for what leaves the device")
        return z

    return first


# -- readers, by kind: of bytes that `format_of` has let pass ------------------------------------------------------------


def _torchscript(data: bytes) -> Loaded:
    notes = dict.fromkeys(("size", "mean", "std"), "")
    module = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=notes).eval()
    wide = _wide(module)
    try:
        module = torch.jit.freeze(module)  # batch norm within the convolutions before it
    except RuntimeError:
        pass  # what cannot be frozen runs as it is
    return Loaded(module, (), {name: _text(value) for name, value in notes.items()}, wide)


def _wide(module: nn.Module) -> bool:
    """Whether each convolution has `WIDE` channels or more, but for a colour image's: narrower ones with channels last have crashed."""
    kernels = [p.shape for p in module.parameters() if p.ndim == 4]
    return bool(kernels) and all(out >= WIDE and (each >= WIDE or each == 3) for out, each, *_ in kernels)


def _export(data: bytes) -> Loaded:
    notes = dict.fromkeys(("size", "mean", "std"), "")
    program = torch.export.load(io.BytesIO(data), extra_files=notes)
    inputs = [
        node
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(inputs) != 1:
        raise ConfigError(f"TARGET: the program takes {len(inputs)} inputs, accepted: one, the images")
    shape = tuple(side if isinstance(side, int) else None for side in inputs[0].meta["val"].shape)
    program._guards_code = []  # Python in text: never compiled, and sizes are checked here
    module = program.module(check_guards=False)
    return Loaded(module, shape, {name: _text(value) for name, value in notes.items()}, _wide(module))


def _onnx(data: bytes) -> Loaded:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("TARGET: onnxruntime is not installed, accepted: after pip install 'arl[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        raise ConfigError(
            f"TARGET: the graph takes {[(i.type, i.shape) for i in inputs]}, accepted: one float tensor, the images"
        )

    def graph(x: Tensor) -> list[Any]:
        return [
            torch.from_numpy(each) if hasattr(each, "dtype") else each
            for each in session.run(None, {inputs[0].name: x.detach().numpy()})
        ]

    shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
    return Loaded(graph, shape, dict(session.get_modelmeta().custom_metadata_map))


def _text(value: Any) -> str:
    """A note of an archive: text, or JSON of a number or a list."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return ",".join(map(str, parsed)) if isinstance(parsed, list) else str(parsed)


LOADERS: dict[str, Callable[[bytes], Loaded]] = {"torchscript": _torchscript, "export": _export, "onnx": _onnx}
