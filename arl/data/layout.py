"""What a folder of photographs holds, and which of its sub-folders are people."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from arl.data.build import some
from arl.data.images import SUFFIXES
from arl.messages import ConfigError

SPLITS = frozenset("train training val valid validation dev test testing eval evaluation gallery probe query".split())
NO_PEOPLE = frozenset(
    {"__pycache__", "__macosx"}
)  # folders that programs leave, beside all whose names begin with a dot


class Tree(NamedTuple):
    """The files under a folder, sorted; what was not taken, a line each."""

    root: Path
    images: list[Path]
    others: list[Path]
    left_out: tuple[str, ...]


class _Walk:
    """All files under a folder once, through links too, but never round in a circle."""

    def __init__(self, root: Path):
        self.files: list[Path] = []
        self.hidden: list[Path] = []
        self.dangling: list[Path] = []
        self.strange: list[Path] = []
        self.empty: list[Path] = []
        self.again: list[Path] = []
        self.links: list[Path] = []
        self.seen: set[tuple[int, int]] = set()
        self._enter(root, False)
        while self.links:  # after the folders that are no links, so that these keep their names
            self._enter(self.links.pop(0), False)

    def _enter(self, folder: Path, hidden: bool) -> None:
        about = folder.stat()
        if (about.st_dev, about.st_ino) in self.seen:
            self.again.append(folder)
            return
        self.seen.add((about.st_dev, about.st_ino))
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if not entries and not hidden:
            self.empty.append(folder)
        for entry in entries:
            self._take(entry, hidden or entry.name.startswith(".") or entry.name.lower() in NO_PEOPLE)

    def _take(self, entry: os.DirEntry, hidden: bool) -> None:
        path = Path(entry.path)
        if entry.is_dir():
            if entry.is_symlink():
                if not hidden:
                    self.links.append(path)
            else:
                self._enter(path, hidden)
        elif hidden:
            self.hidden.append(path)
        elif entry.is_file():
            self.files.append(path)
        elif entry.is_symlink():
            self.dangling.append(path)
        else:
            self.strange.append(path)


def shown(path: Path | str, root: Path | None = None) -> str:
    """A path as it can be printed, whatever its bytes are."""
    path = Path(path).relative_to(root).as_posix() if root else str(path)
    path = path.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in path)


def scan_folder(parameter: str, root: Path, suffixes: Iterable[str] = SUFFIXES) -> Tree:
    """The files under `root`, sorted. Raises ConfigError for folders that cannot be read and names that are not UTF-8."""
    suffixes = frozenset(suffixes)
    try:
        walk = _Walk(root)
    except OSError as error:
        where = shown(error.filename or root)
        raise ConfigError(
            f"{parameter}: found {where} ({error.strerror}), accepted: folders that can be read"
        ) from None
    images = sorted(path for path in walk.files if path.suffix.lower() in suffixes)
    for path in images:
        if not _is_utf8(str(path.relative_to(root))):
            raise ConfigError(f"{parameter}: found the file name {shown(path, root)!r}, accepted: names in UTF-8")
    taken = set(images)
    others = sorted(path for path in walk.files if path not in taken)
    notes = {
        "hidden": [path for path in walk.hidden if path.suffix.lower() in suffixes],
        "links to nothing": walk.dangling,
        "links to folders that are here already": walk.again,
        "neither files nor folders": walk.strange,
        "empty folders": walk.empty,
    }
    left_out = tuple(note(why, paths, root) for why, paths in notes.items() if paths)
    return Tree(root, images, others, left_out)


def note(why: str, paths: list[Path], root: Path) -> str:
    return f"left out {len(paths)} ({why}): {some((shown(path, root) for path in sorted(paths)), 5, ', ')}"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def step_in(tree: Tree, tables: list[Path]) -> Tree:
    """The tree from the folder on in which it begins to branch, as archives often hold themselves once more."""
    root, parts = tree.root, [path.relative_to(tree.root).parts for path in tree.images]
    if tables or not parts:
        return tree
    depth = 0
    while all(len(p) > depth + 2 and p[depth] == parts[0][depth] for p in parts):
        depth += 1
        root = tree.root.joinpath(*parts[0][:depth])
        if any(path.parent == root and path.suffix.lower() == ".csv" for path in tree.others):
            break
    if depth == 0:
        return tree
    above = [path for path in tree.others if not path.is_relative_to(root)]
    left_out = tree.left_out + ((note("beside the images' folder", above, tree.root),) if above else ())
    return Tree(root, tree.images, [path for path in tree.others if path not in set(above)], left_out)


class People(NamedTuple):
    names: list[str]  # of the person on each image
    how: str  # in words
    deeper: bool  # whether they are below the first folders


def people_of(parameter: str, root: Path, names: list[str]) -> People:
    """Who is on each of the images `names` (paths from `root`), by the folders that hold them.

    The folder that holds images is the person, and what lies in its sub-folders is hers too. Folders that are called
    train, test and so on are taken together, and a single folder around all people is stepped through. Raises ConfigError
    for images that lie loose, for a single person, and where two levels of folders may be people.
    """
    parts = [tuple(unicodedata.normalize("NFC", part) for part in name.split("/")) for name in names]
    accepted = "one sub-folder of images a person, or a CSV with a column 'identity'"
    merged: set[str] = set()
    deeper = False
    while True:
        firsts = {p[0] for p in parts if len(p) > 1}
        if all(len(p) > 1 for p in parts) and all(first.lower() in SPLITS for first in firsts):
            merged |= firsts
        elif len(firsts) != 1 or not all(len(p) > 2 for p in parts):
            break
        parts = [p[1:] for p in parts]
        deeper = True
    if loose := [name for name, p in zip(names, parts, strict=True) if len(p) < 2]:
        raise ConfigError(f"{parameter}: found {loose[0]} directly in {root}, accepted: {accepted}")
    direct = {p[0] for p in parts if len(p) == 2}
    if deep := [(name, p) for name, p in zip(names, parts, strict=True) if p[0] not in direct]:
        name, p = deep[0]
        raise ConfigError(
            f"{parameter}: found {name} in {root}, where {p[0]!r} or {p[-2]!r} may be the person, accepted: {accepted}"
        )
    people = [p[0] for p in parts]
    if len(direct) == 1:
        raise ConfigError(
            f"{parameter}: found one person in {root} ({people[0]!r}), accepted: {accepted}, two people or more"
        )
    how = f"one folder a person in {shown(root.name)} ({some(map(shown, sorted(direct)), 3, ', ')})"
    how += f", {' and '.join(sorted(merged))} taken together" if merged else ""
    return People(people, how, deeper)
