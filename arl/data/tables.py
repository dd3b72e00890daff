"""Tables of labels: attributes by name, and who each image is.

Nothing is read by its place alone: each row has as many cells as the header, each name stands there once, an image that
stands there twice has the same values both times. What is not so raises `ConfigError`, one line.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from arl.data.build import some
from arl.messages import ConfigError

TRUTH = {"1": True, "true": True, "0": False, "-1": False, "false": False}
FIRST = ("image", "image_id", "file", "filename")  # what the first column of a CSV is called
NOBODY = ("", "nan", "null", "none", "n/a", "?", "unknown", "-1")  # an empty cell, as it may be written
NOT_ATTRIBUTES = ("id", "person", "person_id", "celeb_id", "subject", "subject_id", "identity_id")
MARKS = (  # of the encodings that begin with one; UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Labels(NamedTuple):
    names: tuple[str, ...]  # of the attributes
    values: dict[str, tuple[bool, ...]]  # by image, in the order of the table
    people: dict[str, str]  # by image; empty without a column `identity`


def clean_name(name: str) -> str:
    """A path as tables and folders both may write it: composed letters, /, nothing before the first folder."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./")


def read_text(path: Path) -> str:
    """A text in UTF-8, UTF-16 or UTF-32, else in Windows-1252."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: found a file that cannot be read ({error.strerror}), accepted: a readable one"
        ) from None
    encodings = [name for mark, name in MARKS if data.startswith(mark)][:1]
    if not encodings and b"\0" in data[:200]:  # UTF-16 without its mark: every other byte of plain letters is 0
        encodings = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings or ["utf-8", "cp1252"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ConfigError(f"{path}: found bytes that are no text, accepted: UTF-8, UTF-16 or Windows-1252")


def text_lines(path: Path) -> list[list[str]]:
    """The words of each line that has any."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.split() for line in lines if line.strip()]


def csv_rows(path: Path) -> list[list[str]]:
    """The cells of each row that has any, without the blanks around them."""
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        ]
    except csv.Error as error:
        raise ConfigError(f"{path}: found a broken CSV ({error}), accepted: image,ATTRIBUTE,…") from None
    return [row for row in rows if row not in ([], [""])]


def read_labels(path: Path, known: tuple[str, ...] = ()) -> Labels:
    """Attribute names, the values of each image, and who it is, if there is a column `identity`.

    `path` is CelebA's list_attr_celeba.txt (a count, the attributes' names, then an image and its values a line), or
    a CSV with the header `image,ATTRIBUTE,…`. Values are 0, 1, -1, true or false; images are paths or bare names.
    `known`: the only names that are accepted, if any are given.
    """
    header, rows = _txt_table(path) if path.suffix.lower() == ".txt" else _csv_table(path)
    _check_header(path, header, known)
    who = next((k for k, name in enumerate(header) if k and name.lower() == "identity"), None)
    columns = [k for k in range(1, len(header)) if k != who]
    values: dict[str, tuple[bool, ...]] = {}
    people: dict[str, str] = {}
    _check_scales(path, rows, header, columns)
    for row in rows:
        image, found = _row(path, row, header, columns)
        person = unicodedata.normalize("NFC", row[who]) if who else ""
        if who and person.lower() in NOBODY:
            raise ConfigError(
                f"{path}: found nobody in the row of {_short(row[0])}, accepted: an identity for each image"
            )
        before = (values.get(image, found), people.get(image, person))
        if before != (found, person):
            raise ConfigError(
                f"{path}: found {_short(row[0])} twice, with other values, accepted: one row for each image"
            )
        values[image] = found
        if who:
            people[image] = person
    return Labels(tuple(header[k] for k in columns), values, people)


def has_identities(path: Path) -> bool:
    """Whether the table `path` has a column `identity`."""
    header, _ = _txt_table(path) if path.suffix.lower() == ".txt" else _csv_table(path)
    return "identity" in [name.lower() for name in header[1:]]


def _txt_table(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = text_lines(path)
    count, names, rows = lines[0] if lines else [], lines[1] if len(lines) > 1 else [], lines[2:]
    if count != [str(len(rows))]:
        raise ConfigError(f"{path}: found {len(rows)} rows of images, and {' '.join(count)[:20]!r} as their count")
    return ["image", *names], rows


def _csv_table(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv_rows(path) or [[]]
    if not header or header[0].lower() not in FIRST:
        raise ConfigError(f"{path}: found {','.join(header)[:60]!r} in line 1, accepted: image,ATTRIBUTE,…")
    return header, rows


def _check_header(path: Path, header: list[str], known: tuple[str, ...]) -> None:
    names = header[1:]
    if "" in names:
        raise ConfigError(f"{path}: found a column without a name, accepted: a name for each of {len(header)} columns")
    twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if twice:
        raise ConfigError(f"{path}: found the column {twice[0]!r} twice, accepted: each name once")
    if people := [name for name in names if name.lower() in NOT_ATTRIBUTES]:
        raise ConfigError(
            f"{path}: found the column {people[0]!r}, accepted: 'identity' for who it is, else attributes"
        )
    unknown = [name for name in names if known and name not in known and name.lower() != "identity"]
    if unknown:
        raise ConfigError(f"{path}: found the attribute {unknown[0]!r}, accepted: any of {', '.join(known)}")


def _check_scales(path: Path, rows: list[list[str]], header: list[str], columns: list[int]) -> None:
    """Raise ConfigError for a column that holds both 0 and -1: one of them may mean that nobody knows."""
    for k in columns:
        if {"0", "-1"} <= {row[k] for row in rows if k < len(row)}:
            raise ConfigError(
                f"{path}: found both 0 and -1 in {header[k]}, accepted: 1 and one of them, which means that it is not so"
            )


def _short(cell: str) -> str:
    """A cell on one line."""
    return " ".join(cell.split())[:80]


def _row(path: Path, row: list[str], header: list[str], columns: list[int]) -> tuple[str, tuple[bool, ...]]:
    image = clean_name(row[0])
    accepted = f"{len(header)} columns, with 0, 1, -1, true or false"
    if not image:
        raise ConfigError(f"{path}: found a row without an image, accepted: {accepted}")
    try:
        values = [row[k] for k in columns] if len(row) == len(header) else None
        if values is not None:
            return image, tuple(TRUTH[value.lower()] for value in values)
        found = f"{len(row)} columns"
        strange = [cell for cell in row[1:] if cell.lower() not in TRUTH]
        if len(columns) == len(header) - 1 and strange:
            found += f" and the value {strange[0]!r}"
    except KeyError as error:
        found = f"the value {error}"
    raise ConfigError(f"{path}: found {found} in the row of {_short(row[0])}, accepted: {accepted}")


def read_identities(path: Path) -> dict[str, int]:
    """Who each image is, out of CelebA's identity_CelebA: an image and a number a line, with blanks or a comma between."""
    rows = csv_rows(path) if path.suffix.lower() == ".csv" else text_lines(path)
    if path.suffix.lower() == ".csv" and rows and rows[0][0].lower() in FIRST:
        rows = rows[1:]
    people: dict[str, int] = {}
    for row in rows:
        if len(row) != 2 or not re.fullmatch("[0-9]{1,18}", row[1]) or not row[0]:
            line = " ".join(row)[:60]
            raise ConfigError(f"{path}: found {line!r}, accepted: an image and a number a line")
        image = clean_name(row[0])
        if people.setdefault(image, int(row[1])) != int(row[1]):
            raise ConfigError(f"{path}: found {image} twice, as {people[image]} and as {row[1]}, accepted: one person")
    return people


def rows_for(path: Path, rows: dict[str, object], images: list[str]) -> list[str]:
    """For each of `images`, the row that means it: its path, or as much of the path's end as no other image has.

    Raises ConfigError for an image without a row, for a row that fits several images, and for two rows that fit one image
    and say different things of it.
    """
    paths = [clean_name(name) for name in images]
    ends = Counter(end for name in paths for end in _ends(name))
    whole = Counter(paths)
    found, absent = [], []
    for name in paths:
        row = next((end for end in _ends(name) if end in rows), None)
        if row is None:
            absent.append(name)
        elif (whole if row == name else ends)[row] > 1:
            fits = [other for other in paths if row in _ends(other)]
            raise ConfigError(
                f"{path}: found the row {row!r}, which fits {len(fits)} images ({some(fits, 3, ', ')}), accepted: their paths"
            )
        else:
            found.append(row)
    if absent:
        raise ConfigError(f"{path}: no row for {len(absent)} of {len(images)} images, the first is {absent[0]}")
    for name, row in zip(paths, found, strict=True):
        for other in _ends(name):
            if other in rows and other not in whole and rows[other] != rows[row]:
                raise ConfigError(
                    f"{path}: found {row} and {other}, with other values, accepted: one row for each image"
                )
    return found


def _ends(name: str) -> list[str]:
    """a/b/c, b/c, c."""
    parts = name.split("/")
    return ["/".join(parts[k:]) for k in range(len(parts))]
