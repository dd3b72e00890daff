"""Which of a file's formats can run code, found without running any: what is refused before torch or onnxruntime is given the bytes.

TorchScript  `torch.jit.load` reads its pickles in C++, by an unpickler that knows tensors, containers and classes of the archive only, and
             compiles the archive's own TorchScript; no Python runs. But that language can write and read files: refused by its words.
torch.export `torch.export.load` calls `pickle.loads` on some weights and constants, `eval` on sizes (by sympy), `exec` on guards, `getattr`
             from `torch` on for what a node calls (`torch.hub.load` is one), and loads compiled libraries. All but aten's functions on
             plain tensors is refused; guards are never compiled.
ONNX         a protobuf graph; onnxruntime runs its operators, and is given bytes, so that it opens no other file.
pickle       `torch.save` of a module or of a state dict: reading it runs whatever it names. Never read.

Archives are read by torch's own reader, which is the one that loads them: a file that two readers see in two ways hides nothing. What is
left is a bug of memory in an operator of torch or onnxruntime: this is no sandbox.
"""

import ast
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import torch

from arl.messages import ConfigError, first_line

READABLE = "accepted: TorchScript (torch.jit.save), torch.export (torch.export.save) or ONNX"
# TorchScript's words for files, processes and other machines, and the one by which any of them could be spelt with escapes.
FORBIDDEN = re.compile(
    rb"\b(save|from_file|rpc\w*|_?c10d\w*|symm_mem|debugprims|profiler)\b|\bgetattr(?!\([\w.]+, \"\w+\"\))"
)
NAMESPACES = re.compile(rb"\bops\.(?!(?:aten|prim|prims|quantized|torchvision)\b)(\w+)")
OBJECTS = re.compile(rb"torch\.classes\.(?!quantized\b|rnn\b|sparse\b)\w+")  # of C++, in a pickle of the archive
CALLED = re.compile(
    r"torch\.ops\.aten\.(?!save\b|from_file\b)\w+\.\w+|torch\.sym_\w+|math\.(ceil|floor|trunc|sqrt|pow)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
SIZES = {
    "Symbol",
    "Integer",
    "Max",
    "Min",
    "Mod",
    "PythonMod",
    "FloorDiv",
    "CleanDiv",
    "CeilDiv",
    "Pow",
    "Add",
    "Mul",
    "True",
    "False",
}
SYMBOL = re.compile(r"[a-z]+\d+|inf")
NAME, TEXT = re.compile(r"[\w.]*"), re.compile(r"[\w.+\-:,>/ ]*")
TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}


def format_of(name: str, data: bytes) -> str:
    """`torchscript`, `export` or `onnx`, by what the bytes are. `ConfigError` for what is unknown or may run code, as a pickle does."""
    if data[:4] == b"PK\x03\x04":
        return _archive(name, data)
    if data[:1] == b"\x80" or data[:2] in (b"(d", b"ct", b"cc") or data[257:262] == b"ustar":
        raise ConfigError(f"TARGET: found a pickle in {name}, which runs code when it is read, {READABLE}")
    if name.lower().endswith(".onnx"):
        return "onnx"
    raise ConfigError(f"TARGET: found no format that is known in {name}, {READABLE}")


def _archive(name: str, data: bytes) -> str:
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(data))
        records = reader.get_all_records()
    except Exception as error:
        raise ConfigError(f"TARGET: {name} cannot be read ({first_line(error)}), {READABLE}") from None
    if len({record.lower() for record in records}) < len(records):  # torch finds a record whatever its capitals
        raise ConfigError(f"TARGET: found two records of one name in {name}, {READABLE}")
    if "archive_format" in records and any(record.startswith("models/") for record in records):
        check_export(name, reader, records)
        return "export"
    if "model.json" in {record.lower() for record in records}:  # it would say where its code stands
        raise ConfigError(f"TARGET: {name} was saved by torch 1.0, accepted: saved by a newer one")
    if "constants.pkl" in records and any(record.startswith("code/") for record in records):
        check_torchscript(name, reader, records)
        return "torchscript"
    if "serialized_exported_program.json" in records:
        raise ConfigError(f"TARGET: {name} was exported by torch 2.7 or older, accepted: exported by a newer one")
    what = "a pickle (torch.save of a module or of weights)" if "data.pkl" in records else "an archive of another kind"
    raise ConfigError(f"TARGET: found {what} in {name}, which may run code when it is read, {READABLE}")


def check_torchscript(name: str, reader: Any, records: list[str]) -> None:
    """Refuse TorchScript that could touch a file, a process or another machine; also in `__setstate__`, which runs while it is loaded."""
    for record in (each for each in records if each.lower().endswith((".py", ".pkl"))):
        content = reader.get_record(record)
        found = FORBIDDEN.search(content) or NAMESPACES.search(content)
        if found := OBJECTS.search(content) if record.lower().endswith(".pkl") else found:
            raise ConfigError(
                f"TARGET: found {found[0].decode()!r} in the code of {name}, accepted: a graph of tensors alone"
            )


def check_export(name: str, reader: Any, records: list[str]) -> None:
    """Refuse what `torch.export.load` would unpickle, evaluate, import or load as a library."""
    try:
        _check_export(reader, records)
    except _RefusedError as refused:
        raise ConfigError(
            f"TARGET: found {refused} in {name}, accepted: a graph of aten's functions on tensors"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(f"TARGET: {name} cannot be read ({first_line(error)}), {READABLE}") from None


class _RefusedError(Exception):
    pass


def _check_export(reader: Any, records: list[str]) -> None:
    for record in records:
        if record.startswith("data/aotinductor/"):
            raise _RefusedError("a compiled library")
        if re.fullmatch(r"data/(weights|constants)/[^/]*\.pt", record):
            raise _RefusedError("a pickle of weights")
        if re.fullmatch(r"data/(weights|constants)/.*_config\.json", record):
            for payload in json.loads(reader.get_record(record))["config"].values():
                if payload["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
                    raise _RefusedError(f"a pickled object ({payload['path_name']!r})")
        if record.startswith("models/"):
            if record != "models/model.json":
                raise _RefusedError(f"a second model ({record[7:]!r})")
            for key, value in _strings(json.loads(reader.get_record(record))):
                _check_string(key, value)


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text in a JSON tree with the name under which it stands, names themselves under "name". `metadata` is only for people."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "name", name
            if name not in ("metadata", "guards_code"):
                yield from _strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str):
        yield key, value


def _check_string(key: str, value: str) -> None:
    if key == "target":
        fine = CALLED.fullmatch(value) is not None
    elif key == "expr_str":
        fine = _is_size(value)
    elif key in ("in_spec", "out_spec"):
        fine = value == "" or _is_tree(json.loads(value)[1])
    else:
        fine = (NAME if key.endswith("name") else TEXT).fullmatch(value) is not None
    if not fine:
        raise _RefusedError(f"{key} {value[:60]!r}")


def _is_size(text: str) -> bool:
    """Arithmetic of sizes: names of symbols, numbers, and sympy's functions of them."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError):
        return False
    for node in nodes:
        if isinstance(
            node, ast.Attribute | ast.Subscript | ast.Lambda | ast.JoinedStr | ast.comprehension | ast.NamedExpr
        ):
            return False
        if isinstance(node, ast.Name) and node.id not in SIZES and not SYMBOL.fullmatch(node.id):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in SIZES):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not SYMBOL.fullmatch(node.value):
            return False
    return True


def _is_tree(node: Any) -> bool:
    """Tuples, lists and dictionaries of tensors: other types would be imported by their names."""
    return node["type"] in TREES and all(_is_tree(child) for child in node["children_spec"])
