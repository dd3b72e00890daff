"""How far do CelebA's own labels agree with themselves? The numbers of `arl/paper/label_noise.csv`.

python tests/bench_label_noise.py ROOT [--labels FILE --identities FILE --pairs FILE] [--write]

ROOT holds `celeba/` with `img_align_celeba`, `list_attr_celeba.txt`, `identity_CelebA.txt`. Copies: files of ROOT whose bytes are equal;
or, where ROOT has only a part of CelebA, those that `--pairs` names (JSON, a file name to a list of file names: such as
`project_1/src/duplicated.json` of github.com/kkaryl/AI6126-Advanced_Computer_Vision, SHA-1 over all 202 599 files), with all of CelebA's
labels and identities in `--labels` and `--identities`. People: all pairs of different photographs of one person in ROOT, each photograph
weighs the same; the interval resamples people. Beside it, near copies in ROOT (24×18 pixels that correlate above 0.98). Half a minute;
`--write` replaces the CSV.
"""

import argparse
import csv
import hashlib
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

import arl.paper
from arl.names import ATTRIBUTES
from arl.paper.label_noise import LabelNoise

TABLE = Path(arl.paper.__file__).with_name("label_noise.csv")
WHERE = [f"{where}_{which}" for where in ("same", "other") for which in ("both", "one", "neither")]
BOUNDS = [f"{what}_{bound}" for what in ("person", "ceiling") for bound in ("value", "low", "high")]
COLUMNS = ["attribute", "share", *WHERE, *BOUNDS, "annotators_apart", "source"]
SOURCE = (
    "copies: labels of identical files in CelebA; person: its first 10 000 photographs; "
    "annotators_apart: arXiv 2210.07356 Table 1, second-hand"
)


def labels(path):
    """File name to (40,) of booleans; with or without the count on the first line."""
    lines = path.read_text().splitlines()
    head = next(i for i, line in enumerate(lines) if "Smiling" in line)
    if lines[head].split() != list(ATTRIBUTES):
        raise SystemExit(f"{path.name}: found other attributes, accepted: CelebA's forty in their order")
    return {
        name: np.array(values) == "1" for name, *values in (line.split() for line in lines[head + 1 :] if line.strip())
    }


def identical(folder):
    """Groups of files in `folder` whose bytes are equal."""
    groups = {}
    for path in sorted(folder.glob("*.jpg")):
        groups.setdefault(hashlib.sha1(path.read_bytes()).digest(), []).append(path.name)
    return [names for names in groups.values() if len(names) > 1]


def folders(path):
    """File name to identity."""
    lines = (line.split()[:2] for line in path.read_text().splitlines())
    return {name: int(person) for name, person in lines if name.endswith(".jpg")}


def counts(pairs, known):
    """(3, 40): pairs of copies of which both, one, neither says yes."""
    yes = np.array([known[a].astype(int) + known[b] for a, b in pairs]).reshape(-1, 40)
    return np.stack([(yes == k).sum(0) for k in (2, 1, 0)])


def of_people(y, identities, resamples=1000):
    """`value`, `low`, `high`, each (40,): the correlation of the labels of two photographs of one person."""
    people = [y[identities == person] for person in np.unique(identities)]
    people = [own for own in people if len(own) > 1]
    n = np.array([len(own) for own in people])
    yes = np.array([own.sum(0) for own in people])
    apart = 2 * yes * (n[:, None] - yes) / (n[:, None] - 1)  # of each person's ordered pairs that differ, times n
    times = np.random.default_rng(0).multinomial(len(people), np.full(len(people), 1 / len(people)), resamples)
    times = np.vstack([np.ones(len(people)), times])
    q, d = times @ yes / (times @ n)[:, None], times @ apart / (times @ n)[:, None]
    r = 1 - d / np.maximum(2 * q * (1 - q), 1e-12)
    low, high = np.percentile(r[1:], [2.5, 97.5], axis=0)
    return {"value": r[0], "low": low, "high": high}


def near_copies(folder, names, least=0.98):
    """Pairs of files whose small pictures correlate above `least`."""
    small = np.empty((len(names), 24 * 18 * 3), np.float32)
    for i, name in enumerate(names):
        image = Image.open(folder / name).convert("RGB")
        w, h = image.size
        middle = image.crop((w // 8, h // 6, w - w // 8, h - h // 24)).resize((18, 24), Image.Resampling.BOX)
        small[i] = np.asarray(middle, np.float32).ravel()
    small -= small.mean(1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    found = []
    for start in range(0, len(small), 500):
        i, j = np.nonzero(small[start : start + 500] @ small.T > least)
        found += [(names[a], names[b]) for a, b in zip(i + start, j, strict=True) if a < b]
    return found


def copies_of(options, folder):
    """Labels of all pictures, pairs of copies in one folder, pairs in two."""
    known = labels(options.labels or folder / "list_attr_celeba.txt")
    who = folders(options.identities or folder / "identity_CelebA.txt")
    if options.pairs:
        groups = [[name, *others] for name, others in json.loads(options.pairs.read_text()).items()]
    else:
        groups = identical(folder / "img_align_celeba")
    pairs = [pair for names in groups for pair in combinations(names, 2)]
    print(f"{len(known)} labelled pictures, {len(groups)} that have identical copies")
    return known, [p for p in pairs if who[p[0]] == who[p[1]]], [p for p in pairs if who[p[0]] != who[p[1]]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    for name in ("--labels", "--identities", "--pairs"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    folder = options.root / "celeba"
    here, who = labels(folder / "list_attr_celeba.txt"), folders(folder / "identity_CelebA.txt")
    known, *pairs = copies_of(options, folder)
    differ = [name for name in here if (here[name] != known[name]).any()]
    print(f"labels of ROOT that differ from FILE: {len(differ)} of {len(here)} pictures {' '.join(differ)}")
    right = [name for name in here if name not in differ]
    people = of_people(np.array([known[name] for name in right]), np.array([who[name] for name in right]))
    same, other = (counts(each, known) for each in pairs)
    near = near_copies(folder / "img_align_celeba", list(here))
    for title, found in (("one folder", same), ("two folders", other), ("near copies in ROOT", counts(near, known))):
        print(f"{title}: {found[:, 0].sum()} pairs, {found[1].sum() / max(1, found.sum()):.1%} of their labels differ")
    share = np.mean(list(known.values()), axis=0)
    with TABLE.open(newline="") as file:
        published = {line["attribute"]: line["annotators_apart"] for line in csv.DictReader(file)}
    table = []
    for i, name in enumerate(ATTRIBUTES):
        person = {bound: float(people[bound][i]) for bound in ("value", "low", "high")}
        each = [tuple(found[:, i].tolist()) for found in (same, other)]
        ceiling = LabelNoise(name, float(share[i]), *each, person, int(published[name])).ceiling
        cells = [
            f"{share[i]:.4f}",
            *each[0],
            *each[1],
            *("" if v is None else f"{v:.3f}" for v in (*person.values(), *ceiling.values())),
        ]
        table.append([name, *cells, published[name], SOURCE])
        print(f"{name:22}" + "".join(f"{cell!s:>7}" for cell in cells))
    if options.write:
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


if __name__ == "__main__":
    main()
