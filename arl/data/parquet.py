"""CelebA as parquet files, as hubs keep it; columns are found by their content."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from arl.config import ATTRIBUTES
from arl.data.build import Rows, Source, some
from arl.data.cache import Opened
from arl.data.images import read_squares
from arl.messages import ConfigError
from arl.store import file_sha256

PERSON = ("celeb_id", "identity", "identity_id", "celebrity_id", "person_id", "person")
KNOWN = {name.lower(): name for name in ATTRIBUTES}
SPLITS = ("train", "valid", "test")  # CelebA's own order
LONG = 4  # digits of a number that begins at 0 for certain


@dataclass(frozen=True)
class _Columns:
    """The columns of one shard: of the image's bytes, of who it is, and of each attribute by CelebA's name."""

    image: str
    nested: bool  # bytes in a struct {bytes, path}
    person: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class _Shard:
    path: Path
    name: str  # from the root
    columns: _Columns
    rows: list[int]  # of each row group


def open_parquet(base: Path, size: int) -> Opened:
    """The files of `flwrlabs/celeba`, image {bytes, path}, celeb_id and forty bool, and others like them."""
    try:
        import pyarrow  # noqa: F401, asked for before anything is read
    except ImportError:
        raise ConfigError("data_root: found parquet files, which need pyarrow: pip install 'arl[parquet]'") from None
    paths = sorted(base.rglob("*.parquet"), key=lambda path: _order(path, base))
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(base).parts)]
    paths, copies = _without_copies(paths)
    names = [path.relative_to(base).as_posix() for path in paths]
    _check_whole(names, base)
    digest, shards = hashlib.sha256(), []
    for path, name in zip(paths, names, strict=True):
        columns, groups = _footer(path, shards[0].columns if shards else None)
        digest.update(json.dumps([name, path.stat().st_size, groups], default=str).encode())
        shards.append(_Shard(path, name, columns, [group["num_rows"] for group in groups]))
    spec = dict(kind="celeba", form="parquet", fingerprint=digest.hexdigest()[:16], image_size=size)
    left_out = (f"left out {len(copies)} (copies of others): {some(_names(copies, base), 5, ', ')}",) if copies else ()
    images = sum(sum(shard.rows) for shard in shards)
    return Opened(spec, lambda: _prepare(shards, size), images, "data_root", left_out)


def _names(paths: list[Path], base: Path) -> list[str]:
    return [path.relative_to(base).as_posix() for path in paths]


# -- the shards -----------------------------------------------------------------------------------------------------


def _split_of(name: str) -> str:
    found = re.search(r"(?:^|/)(train|valid|test)(?:idation)?\b", name)
    return found[1] if found else ""


def _order(path: Path, base: Path) -> tuple[int, str]:
    """CelebA's own order; "validation" comes last, as run ids depend on it."""
    name = path.relative_to(base).as_posix()
    found = re.search(r"(?:^|/)(train|valid|test)\b", name)
    return SPLITS.index(found[1]) if found else len(SPLITS), name


def _without_copies(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """The shards, and those that are byte for byte another one; only shards of one size are read for it."""
    by_size = defaultdict(list)
    for path in paths:
        by_size[path.stat().st_size].append(path)
    copies = []
    for same in by_size.values():
        seen = set()
        for path in (
            sorted(same, key=lambda path: len(path.parts)) if len(same) > 1 else ()
        ):  # the one nearest to the root stays
            digest = file_sha256(path)
            if digest in seen:
                copies.append(path)
            seen.add(digest)
    return [path for path in paths if path not in copies], copies


def _check_whole(names: list[str], base: Path) -> None:
    """Raise ConfigError where shards are numbered and a number is missing or there twice."""
    for (start, count, rest), found in _series(names).items():
        numbers = [number for number, _ in found]
        if len(set(numbers)) < len(numbers):
            twice = [name for number, name in found if numbers.count(number) > 1]
            raise ConfigError(
                f"data_root: found {' and '.join(twice[:2])} in {base}, accepted: one shard for each number"
            )
        width = len(re.search(r"(\d+)", found[0][1][len(start) :])[1])
        first = min(numbers) if not count and width < LONG else 0
        missing = sorted(set(range(first, count or max(numbers) + 1)) - set(numbers))
        end = (f"-of-{count:0{width}d}{rest}" if count else "") + ".parquet"
        if missing:
            absent = some((f"{start}{number:0{width}d}{end}" for number in missing), 5, ", ")
            raise ConfigError(f"data_root: {absent} not found in {base}, where {found[0][1]} is")


def _series(names: list[str]) -> dict[tuple[str, int, str], list[tuple[int, str]]]:
    """Number and name of each numbered shard, by what stands before its number, how many there are (0: unknown), what follows."""
    series = defaultdict(list)
    for name in names:
        if numbered := re.fullmatch(r"(.*?)(\d+)-of-(\d+)(\D.*)?\.parquet", name):
            rest = f"{numbered[4][0]}*" if numbered[4] else ""  # a hash, a compression: another one in each shard
            series[numbered[1], int(numbered[3]), rest].append((int(numbered[2]), name))
        elif numbered := re.fullmatch(r"(.*?)(\d+)\.parquet", name):
            series[numbered[1], 0, len(numbered[2]) >= LONG].append((int(numbered[2]), name))
    short = [key for key in series if key[1:] == (0, False)]
    for key in short:  # celeba_64.parquet is no shard; 0 and 2 are two of three
        numbers = [number for number, _ in series[key]]
        if min(numbers) > 1 or max(numbers) > 2 * len(numbers) + 1:
            del series[key]
    return series


def _footer(path: Path, first: _Columns | None) -> tuple[_Columns, list[dict[str, Any]]]:
    """The columns of a shard and its row groups as its footer tells them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from None
    columns = _columns(path, schema)
    if first:
        absent = [name for name in (first.image, first.person, *first.attributes.values()) if name not in schema.names]
        absent = absent or [name for name in columns.attributes.values() if name not in first.attributes.values()]
        if absent:
            raise ConfigError(
                f"{path}: no column {absent[0]} in it or in the others, accepted: the same columns in each shard"
            )
    return columns, [footer.row_group(g).to_dict() for g in range(footer.num_row_groups)]


def _columns(path: Path, schema: Any) -> _Columns:
    import pyarrow as pa

    def binary(kind: pa.DataType) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    plain = [field.name for field in schema if binary(field.type)]
    nested = [
        f.name
        for f in schema
        if pa.types.is_struct(f.type) and any(g.name == "bytes" and binary(g.type) for g in f.type)
    ]
    images = plain + nested
    chosen = "image" if "image" in images else images[0] if len(images) == 1 else None
    people = [name for wanted in PERSON for name in schema.names if name.lower() == wanted]
    attributes = {KNOWN[key]: name for name in schema.names if (key := name.lower().replace(" ", "_")) in KNOWN}
    accepted = "an image, celeb_id or identity, and CelebA's attributes"
    if chosen is None:
        raise ConfigError(f"{path}: no column image, found {some(schema.names, 5, ', ')}, accepted: {accepted}")
    if not people:
        raise ConfigError(f"{path}: no column celeb_id, so nobody knows who is who, accepted: {accepted}")
    if not attributes:
        raise ConfigError(f"{path}: no column {ATTRIBUTES[0]} nor another attribute, accepted: {accepted}")
    spelled = Counter(name.lower().replace(" ", "_") for name in schema.names)
    if twice := [name for name in (people[0], *attributes.values()) if spelled[name.lower().replace(" ", "_")] > 1]:
        raise ConfigError(f"{path}: found the column {twice[0]} twice, accepted: each name once")
    ordered = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
    return _Columns(chosen, chosen in nested, people[0], ordered)


# -- what is in them ------------------------------------------------------------------------------------------------


def _prepare(shards: list[_Shard], size: int) -> Source:
    labels = [_labels(shard) for shard in shards]
    _check_groups(shards, labels)
    identities = np.concatenate([who for who, _ in labels])
    attributes = np.concatenate([values for _, values in labels])
    groups = [(shard, g, rows) for shard in shards for g, rows in enumerate(shard.rows)]
    ends = np.cumsum([0, *(rows for *_, rows in groups)]).tolist()
    count, names = len(np.unique(identities)), tuple(shards[0].columns.attributes)
    if count < 2:
        raise ConfigError(f"data_root: found {count} people on {len(identities)} images, accepted: two or more")
    left_out = []
    if count == len(identities):
        left_out.append(f"each of the {count} people is on one image only: who looks like whom cannot be measured")
    if len(names) < len(ATTRIBUTES):
        left_out.append(f"{len(names)} of CelebA's {len(ATTRIBUTES)} attributes are in {shards[0].name}")

    def read(start: int, stop: int) -> Rows:
        shard, group, rows = groups[ends.index(start)]
        blobs = _blobs(shard, group)
        some_rows = [f"{shard.name} row group {group} row {i}" for i in range(rows)]
        return read_squares(some_rows, lambda i: _bytes(blobs[i]), start, size)

    return Source(
        title=f"CelebA, {len(identities)} images of {count} people, {size} px",
        attribute_names=names,
        attributes=attributes,
        identities=identities,
        ranges=[(start, stop) for start, stop in pairwise(ends) if stop > start],
        read=read,
        packing=f"{len(shards)} parquet files, people by {shards[0].columns.person}",
        left_out=tuple(left_out),
    )


def _blobs(shard: _Shard, group: int) -> Any:
    import pyarrow.parquet as pq

    column = pq.ParquetFile(shard.path).read_row_group(group, columns=[shard.columns.image])[shard.columns.image]
    column = column.combine_chunks()
    return column.field("bytes") if shard.columns.nested else column


def _bytes(cell: Any) -> np.ndarray:
    if not cell.is_valid:
        raise ValueError("no image in it")
    return np.frombuffer(cell.as_buffer(), np.uint8)


def _labels(shard: _Shard) -> tuple[np.ndarray, np.ndarray]:
    """Identities int64 (N,) and attributes bool (N, A) of a shard; refuses what is null or not a label."""
    import pyarrow.parquet as pq

    columns = shard.columns
    table = pq.read_table(shard.path, columns=[columns.person, *columns.attributes.values()])
    for name in table.column_names:
        if nulls := table[name].null_count:
            raise ConfigError(f"{shard.path}: found {nulls} empty cells in {name}, accepted: a value for each image")
    try:
        who = [_number(person) for person in table[columns.person].to_pylist()]
        identities = np.array(who, np.int64)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{shard.path}: found other things than numbers in {columns.person}, accepted: a number a person, 0 or more"
        ) from None
    values = np.empty((len(identities), len(columns.attributes)), bool)
    for k, name in enumerate(columns.attributes.values()):
        column = np.asarray(table[name].to_pylist())
        strange = column.dtype.kind not in "biuf" or (len(column) and not np.isin(column, (-1, 0, 1)).all())
        both = column.dtype.kind != "b" and {0, -1} <= set(column.tolist())  # one of them may mean that nobody knows
        if len(column) and (strange or both):
            raise ConfigError(
                f"{shard.path}: found other values in {name}, accepted: true and false, 1 and 0, or 1 and -1"
            )
        values[:, k] = column.astype(float) > 0
    return identities, values


def _number(person: Any) -> int:
    """A person's number, 0 or more; raises ValueError for anything else, such as the -1 of an unknown one."""
    number = int(person) if isinstance(person, float) and person.is_integer() else int(str(person))
    if number < 0:
        raise ValueError(person)
    return number


def _check_groups(shards: list[_Shard], labels: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise ConfigError where two folders hold the same people with the same labels in the same order: the same photographs."""
    groups = defaultdict(hashlib.sha256)
    for shard, (who, values) in zip(shards, labels, strict=True):
        folder = shard.name.rpartition("/")[0]
        rows = np.concatenate([who[:, None], values], axis=1).astype(np.int64)
        groups[folder, _split_of(shard.name)].update(rows.tobytes())
    seen: dict[bytes, str] = {}
    for (folder, split), digest in groups.items():
        where = f"{folder or '.'} ({split or 'all'})"
        other = seen.setdefault(digest.digest(), where)
        if other != where:
            raise ConfigError(f"data_root: found the same photographs in {other} and in {where}, accepted: each once")
