"""Tables of labels: attributes by name, and who each image is.

Nothing is read by its place alone: each row has as many cells as the header, each name stands there once, an image that
stands there twice has the same values both times. All that is not so is said at once, one line a fault: `ConfigError`.
"""

import codecs
import csv
import io
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from arl.data.build import some
from arl.messages import ConfigError

TRUTH = {"1": True, "true": True, "0": False, "-1": False, "false": False}
FIRST = ("image", "image_id", "file", "filename")  # what the first column of a CSV is called
NUMBER = re.compile("[0-9]{1,18}")  # a person
SCALES = frozenset(("0", "-1"))  # of which a column has one
NOBODY = ("", "nan", "null", "none", "n/a", "?", "unknown", "-1")  # an empty cell, as it may be written
NOT_ATTRIBUTES = ("id", "person", "person_id", "celeb_id", "subject", "subject_id", "identity_id")
MARKS = (  # of the encodings that begin with one; UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


MOST = 10  # faults of a table that are said one by one


class Labels(NamedTuple):
    names: tuple[str, ...]  # of the attributes
    values: dict[str, tuple[bool, ...] | None]  # by image, in the order of the table; None for a row with a fault
    people: dict[str, str]  # by image; empty without a column `identity`


class Faults:
    """What is wrong with the table `path`, gathered while it is read, so that one look at it mends all."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[tuple[str, str], list[str]] = {}  # the images of a fault's rows

    def add(self, found: str, accepted: str, image: str | None = None) -> None:
        """`image`: in whose row; a fault of many rows is said once."""
        self.rows.setdefault((found, accepted), []).extend([] if image is None else [_short(image)])

    def said(self) -> list[str]:
        """The first `MOST` of them, a line each, and how many there are."""
        lines = []
        for (found, accepted), images in list(self.rows.items())[:MOST]:
            where = f" in the row of {images[0]}" if images else ""
            where = f" in {len(images)} rows, the first is that of {images[0]}" if len(images) > 1 else where
            lines.append(f"{self.path}: found {found}{where}, accepted: {accepted}")
        more = len(self.rows) - len(lines)
        return lines + ([f"{self.path}: {len(self.rows)} faults, {more} more than these {MOST}"] if more else [])


def refuse(*tables: Faults) -> None:
    """Raise `ConfigError` where one of `tables` has a fault."""
    if lines := [line for faults in tables for line in faults.said()]:
        raise ConfigError("\n".join(lines))


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


class _Lines:
    """The words of each line that has any, after the first `skip`; split anew at each pass, as all at once take fifteen times the text."""

    def __init__(self, text: str, skip: int = 0):
        self.text, self.skip = text, skip
        self.count = sum(1 for _ in self._lines(skip))

    def _lines(self, skip: int) -> Iterator[re.Match[str]]:
        return itertools.islice(re.finditer(r".*\S.*", self.text), skip, None)

    def __iter__(self) -> Iterator[list[str]]:
        return (line[0].split() for line in self._lines(self.skip))

    def skipped(self) -> list[list[str]]:
        """The lines before."""
        return [line[0].split() for line in itertools.islice(self._lines(0), self.skip)]

    def __len__(self) -> int:
        return self.count


def text_lines(path: Path, skip: int = 0) -> _Lines:
    """The words of each line that has any, after the first `skip` of them."""
    return _Lines(read_text(path).replace("\r\n", "\n").replace("\r", "\n"), skip)


def csv_rows(path: Path) -> list[list[str]]:
    """The cells of each row that has any, without the blanks around them."""
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        ]
    except csv.Error as error:
        raise ConfigError(f"{path}: found a broken CSV ({error}), accepted: image,ATTRIBUTE,…") from None
    return [row for row in rows if row not in ([], [""])]


def read_labels(path: Path, known: tuple[str, ...] = (), faults: Faults | None = None) -> Labels:
    """Attribute names, the values of each image, and who it is, if there is a column `identity`.

    `path` is CelebA's list_attr_celeba.txt (a count, the attributes' names, then an image and its values a line), or
    a CSV with the header `image,ATTRIBUTE,…`. Values are 0, 1, -1, true or false; images are paths or bare names.
    `known`: the only names that are accepted, if any are given. `faults`: gathers what is wrong, for the caller to
    `refuse`, where something can be read at all; without it this raises ConfigError.
    """
    mine = faults or Faults(path)
    header, rows = _table(path, mine)
    _check_header(mine, header, known)
    who = next((k for k, name in enumerate(header) if k and name.lower() == "identity"), None)
    columns = [k for k in range(1, len(header)) if k != who]
    values: dict[str, tuple[bool, ...] | None] = {}
    people: dict[str, str] = {}
    marks: set[str] = set()  # those of `SCALES` that stand anywhere
    of_rows = Faults(path)
    for row in rows:
        image = clean_name(row[0])
        marks |= SCALES.intersection(row)
        found = _values(of_rows, image, row, header, who)
        if not image:
            continue
        person = unicodedata.normalize("NFC", row[who]) if who and len(row) == len(header) else ""
        if who and found is not None and person.lower() in NOBODY:
            of_rows.add("nobody", "an identity for each image", row[0])
        elif image in values and None not in (found, values[image]):
            if (values[image], people.get(image, person)) != (found, person):
                of_rows.add(f"{_short(row[0])} twice, with other values", "one row for each image")
        values[image] = found
        if who:
            people[image] = person
    if len(marks) > 1:
        _check_scales(mine, rows, header, columns)
    mine.rows |= of_rows.rows
    if faults is None:
        refuse(mine)
    return Labels(tuple(header[k] for k in columns), values, people)


def has_identities(path: Path) -> bool:
    """Whether the table `path` has a column `identity`."""
    header, _ = _table(path, Faults(path))
    return "identity" in [name.lower() for name in header[1:]]


def _table(path: Path, faults: Faults) -> tuple[list[str], Collection[list[str]]]:
    """The cells of the header, "image" first, and of each row. Raises ConfigError for what is no table."""
    if path.suffix.lower() == ".txt":
        rows = text_lines(path, skip=2)
        count, names = [*rows.skipped(), [], []][:2]
        if count != [str(len(rows))]:
            faults.add(
                f"{len(rows)} rows of images, and {' '.join(count)[:20]!r} as their count", "their count in line 1"
            )
        return ["image", *names], rows
    header, *rows = csv_rows(path) or [[]]
    if not header or header[0].lower() not in FIRST:
        raise ConfigError(f"{path}: found {','.join(header)[:60]!r} in line 1, accepted: image,ATTRIBUTE,…")
    return header, rows


def _check_header(faults: Faults, header: list[str], known: tuple[str, ...]) -> None:
    names = header[1:]
    if "" in names:
        faults.add("a column without a name", f"a name for each of {len(header)} columns")
    for name, count in Counter(name.lower() for name in names if name).items():
        if count > 1:
            faults.add(f"the column {name!r} twice", "each name once")
    for name in names:
        if name.lower() in NOT_ATTRIBUTES:
            faults.add(f"the column {name!r}", "'identity' for who it is, else attributes")
    unknown = [name for name in names if known and name and name not in known and name.lower() != "identity"]
    if unknown:
        which = ", ".join(map(repr, unknown))
        faults.add(f"the attribute{'s' * (len(unknown) > 1)} {which}", f"any of {', '.join(known)}")


def _check_scales(faults: Faults, rows: Iterable[list[str]], header: list[str], columns: list[int]) -> None:
    """A column that holds both 0 and -1 is a fault: one of them may mean that nobody knows."""
    seen: list[set[str]] = [set() for _ in header]
    for row in rows:
        for cells, cell in zip(seen, row, strict=False):
            if cell in SCALES:
                cells.add(cell)
    for k in columns:
        if len(seen[k]) > 1:
            faults.add(f"both 0 and -1 in {header[k]}", "1 and one of them, which means that it is not so")


def _short(cell: str) -> str:
    """A cell on one line."""
    return " ".join(cell.split())[:80]


def _values(faults: Faults, image: str, row: list[str], header: list[str], who: int | None) -> tuple[bool, ...] | None:
    """The values in the row of `image`, or None where it is not as it should be."""
    accepted = f"{len(header)} columns, with 0, 1, -1, true or false"
    if not image:
        faults.add("a row without an image", accepted)
        return None
    cells = row[1:]
    if len(row) == len(header):
        if who:
            del cells[who - 1]
        try:
            return tuple(map(TRUTH.__getitem__, cells))
        except KeyError:  # capitals, or no value
            strange = [cell for cell in cells if cell.lower() not in TRUTH]
        if not strange:
            return tuple(TRUTH[cell.lower()] for cell in cells)
        found = f"the value {strange[0].lower()!r}"
    else:
        found = f"{len(row)} columns"
        strange = [cell for cell in cells if cell.lower() not in TRUTH]
        if who is None and strange:
            found += f" and the value {strange[0]!r}"
    faults.add(found, accepted, row[0])
    return None


def read_identities(path: Path, faults: Faults | None = None) -> dict[str, int]:
    """Who each image is, out of CelebA's identity_CelebA: an image and a number a line, with blanks or a comma between.

    `faults` as for `read_labels`.
    """
    mine = faults or Faults(path)
    rows = csv_rows(path) if path.suffix.lower() == ".csv" else text_lines(path)
    if path.suffix.lower() == ".csv" and rows and rows[0][0].lower() in FIRST:
        rows = rows[1:]
    people: dict[str, int] = {}
    for row in rows:
        if len(row) != 2 or not NUMBER.fullmatch(row[1]) or not row[0]:
            mine.add(repr(" ".join(row)[:60]), "an image and a number a line")
            continue
        image = clean_name(row[0])
        if people.setdefault(image, int(row[1])) != int(row[1]):
            mine.add(f"{image} twice, as {people[image]} and as {row[1]}", "one person")
    if faults is None:
        refuse(mine)
    return people


def rows_for(path: Path, rows: Mapping[str, object], images: list[str], faults: Faults | None = None) -> list[str]:
    """For each of `images`, the row that means it: its path, or as much of the path's end as no other image has.

    Faults are an image without a row, a row that fits several images, and two rows that fit one image and say different
    things of it; `faults` as for `read_labels`.
    """
    mine = faults or Faults(path)
    paths = [clean_name(name) for name in images]
    ends = Counter(end for name in paths for end in _ends(name))
    whole = Counter(paths)
    found: dict[str, str] = {}
    absent, several = [], set()
    for name in paths:
        row = next((end for end in _ends(name) if end in rows), None)
        if row is None:
            absent.append(name)
        elif (whole if row == name else ends)[row] > 1:
            several.add(row)
            fits = [other for other in paths if row in _ends(other)]
            mine.add(f"the row {row!r}, which fits {len(fits)} images ({some(fits, 3, ', ')})", "their paths")
        else:
            found[name] = row
    if absent:
        first = f"no row for {len(absent)} of {len(images)} images, the first is {absent[0]}"
        mine.add(first, "a row for each image")
    for name, row in found.items():
        for other in _ends(name):
            differ = other in rows and other not in whole and other not in several and rows[other] != rows[row]
            if differ and None not in (rows[other], rows[row]):  # what is wrong with one of them is said already
                mine.add(f"{row} and {other}, with other values", "one row for each image")
    if faults is None:
        refuse(mine)
    return [found[name] for name in paths if name in found]


def _ends(name: str) -> list[str]:
    """a/b/c, b/c, c."""
    parts = name.split("/")
    return ["/".join(parts[k:]) for k in range(len(parts))]
