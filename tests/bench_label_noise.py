"""How far do CelebA's own labels agree with themselves? The numbers of `arl/paper/label_noise.csv`.

python tests/bench_label_noise.py ROOT [--labels FILE] [--pairs FILE] [--write]

ROOT holds `celeba/` with `img_align_celeba`, `list_attr_celeba.txt`, `identity_CelebA.txt`. Identical pictures: files whose bytes are equal,
found in ROOT; or, where ROOT has only a part of CelebA, named in FILE of `--pairs` (JSON, a file name to a list of file names: such as
`project_1/src/duplicated.json` of github.com/kkaryl/AI6126-Advanced_Computer_Vision, SHA-1 over all 202 599 files), with all labels in FILE of
`--labels` (`list_attr_celeba.txt`). People: all pairs of different photographs of one person in ROOT, each photograph weighs the same; the
interval resamples people. Beside it, near copies in ROOT (24×18 pixels that correlate above 0.98). About a minute; `--write` replaces the CSV.
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
from arl.paper.label_noise import reliability

TABLE = Path(arl.paper.__file__).with_name("label_noise.csv")
COLUMNS = "attribute,share,both,one,neither,r,low,high,person_value,person_low,person_high,annotators_apart,source".split(",")
SOURCE = "copies: CelebA's labels of identical files; person: photographs of ROOT; annotators_apart: arXiv 2210.07356 Table 1 as copied in public code"


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


def counts(groups, known):
    """(3, 40): pairs of copies of which both, one, neither says yes."""
    pairs = [pair for names in groups for pair in combinations(names, 2)]
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    folder = options.root / "celeba"
    here = labels(folder / "list_attr_celeba.txt")
    known = labels(options.labels) if options.labels else here
    groups = [[name, *others] for name, others in json.loads(options.pairs.read_text()).items()] if options.pairs else []
    groups = groups or identical(folder / "img_align_celeba")
    print(f"{len(known)} labelled pictures, {len(groups)} that have identical copies")
    differ = [name for name in here if name in known and (here[name] != known[name]).any()]
    print(f"labels of ROOT that differ from FILE: {len(differ)} of {len(here)} pictures {' '.join(differ)}")
    who = dict(line.split() for line in (folder / "identity_CelebA.txt").read_text().splitlines())
    people = of_people(np.array(list(here.values())), np.array([int(who[name]) for name in here]))
    near = near_copies(folder / "img_align_celeba", list(here))
    apart = counts(near, here)[1].sum() / (40 * max(1, len(near)))
    print(f"near copies in ROOT: {len(near)} pairs, {apart:.1%} of their labels differ")
    both, one, neither = counts(groups, known)
    print(f"identical copies: {one.sum() / (both + one + neither).sum():.1%} of their labels differ")
    share = np.mean(list(known.values()), axis=0)
    with TABLE.open(newline="") as file:
        published = {line["attribute"]: line["annotators_apart"] for line in csv.DictReader(file)}
    table = []
    for i, name in enumerate(ATTRIBUTES):
        r = reliability(int(both[i]), int(one[i]), int(neither[i])) or dict.fromkeys(("value", "low", "high"))
        found = [share[i], both[i], one[i], neither[i], *r.values(), *(people[k][i] for k in ("value", "low", "high"))]
        cells = ["" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in found]
        table.append([name, *cells, published[name], SOURCE])
        print(f"{name:22}" + "".join(f"{cell:>9}" for cell in cells))
    if options.write:
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


if __name__ == "__main__":
    main()
