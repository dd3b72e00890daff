"""Small sets of photographs in the formats of the sources, for the tests of `arl.data`."""

import io

import numpy as np
import pytest
from optional import need
from PIL import Image

from arl.config import ATTRIBUTES, RunConfig
from arl.messages import ConfigError

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 30), (30, 220, 220), (220, 30, 220)]


def photograph(i, size=(178, 218)):
    """A plain colour with a dark square in the middle; the top and bottom 20 rows, outside the crop, are white."""
    image = Image.new("RGB", size, COLOURS[i % 6])
    image.paste((10, 10, 10), (size[0] // 3, size[1] // 3, 2 * size[0] // 3, 2 * size[1] // 3))
    image.paste((255, 255, 255), (0, 0, size[0], 18))
    image.paste((255, 255, 255), (0, size[1] - 18, size[0], size[1]))
    return image


def crowd(n=12):
    """Attributes (n, 40) and identities (n,) as CelebA numbers them."""
    rng = np.random.default_rng(1)
    return rng.random((n, 40)) < 0.4, np.array([2880, 2937, 8692, 5805] * n)[:n]


def write_celeba(root, n=12, people=None):
    """`people`: how many share the `n` photographs in turn; else the four of `crowd`."""
    base = root / "celeba"
    (base / "img_align_celeba").mkdir(parents=True)
    attributes, identities = crowd(n)
    identities = identities if people is None else 1 + np.arange(n) % people
    names = [f"{i + 1:06d}.jpg" for i in range(n)]
    for i, name in enumerate(names):
        photograph(i).save(base / "img_align_celeba" / name, quality=95)
    rows = [
        f"{name} " + " ".join(f"{'1' if v else '-1':>2}" for v in row)
        for name, row in zip(names, attributes, strict=True)
    ]
    (base / "list_attr_celeba.txt").write_text(f"{n}\n{' '.join(ATTRIBUTES)} \n" + "\n".join(rows) + "\n")
    people = "".join(f"{name} {who}\n" for name, who in zip(names, identities, strict=True))
    (base / "identity_CelebA.txt").write_text(people)
    points = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    marks = "".join(f"{name} 69 109 106 113 77 142 73 152 108 154\n" for name in names)
    (base / "list_landmarks_align_celeba.txt").write_text(f"{n}\n{points}\n{marks}")
    boxes = "".join(f"{name} 95 71 226 313\n" for name in names)
    (base / "list_bbox_celeba.txt").write_text(f"{n}\nimage_id x_1 y_1 width height\n{boxes}")
    (base / "list_eval_partition.txt").write_text("".join(f"{name} 0\n" for name in names))
    return base


def celeba(root, **fields):
    return RunConfig(data="celeba", data_root=str(root), image_size=32, x1=0.5, x2=0.25, **fields)


def refused(call, *parts):
    """The call raises one line that holds each of `parts`."""
    with pytest.raises(ConfigError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def write_parquet(root, n=12):
    """As `flwrlabs/celeba`: PNG in image.bytes, `-1`s already bool, the order train, valid, test."""
    pa = need("pyarrow")
    import pyarrow.parquet as pq

    folder = root / "img_align+identity+attr"
    folder.mkdir(parents=True)
    attributes, identities = crowd(n)
    blobs = []
    for i in range(n):
        photograph(i).save(buffer := io.BytesIO(), "PNG")
        blobs.append({"bytes": buffer.getvalue(), "path": f"{i + 1:06d}.jpg"})
    columns = {"image": blobs, "celeb_id": identities} | {a: attributes[:, k] for k, a in enumerate(ATTRIBUTES)}
    shards = {"train-00000-of-00002": (0, 5), "train-00001-of-00002": (5, 7), "valid-00000-of-00001": (7, 9)}
    for name, (i, j) in (shards | {"test-00000-of-00001": (9, n)}).items():
        table = pa.table({key: pa.array(list(value[i:j])) for key, value in columns.items()})
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=2)
    return folder


def write_folder(root):
    """Two people, nine awkward but good files; each is grey 128 (or as named) in its middle square."""
    for person in ("anna b", "carl"):
        (root / person).mkdir(parents=True)
    grey = Image.new("L", (50, 70), 128)
    grey.save(root / "anna b" / "grey 1.png")
    Image.fromarray(np.full((70, 50), 33000, np.uint16)).save(root / "anna b" / "sixteen.png")
    Image.fromarray(np.full((70, 50), 33000, np.uint16)).save(root / "anna b" / "sixteen.tiff")
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(root / "anna b" / "white.png")  # all transparent
    Image.new("RGB", (10, 9), (128, 128, 128)).save(root / "carl" / "small.bmp")
    Image.new("CMYK", (60, 60), (0, 0, 0, 127)).save(root / "carl" / "cmyk.JPG")
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette([255, 0, 0, 128, 128, 128])
    palette.save(root / "carl" / "palette.gif")
    palette.save(root / "carl" / "white palette.png", transparency=1)
    turned = Image.new("RGB", (60, 40), "black")  # stored lying down; upright its top half is white
    turned.paste((255, 255, 255), (0, 0, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(root / "carl" / "turned.jpg", exif=exif, quality=95)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def folder(root, **fields):
    return RunConfig(data="folder", data_root=str(root), image_size=32, **fields)


def assert_photographs(data, n=12):
    """Images are the middle squares of `photograph(i)`: the colour outside, dark inside, nothing of the white edge."""
    for i in range(n):
        image = data.images[i].astype(int)
        assert np.abs(image[:, 2:4].mean((1, 2)) - COLOURS[i % 6]).max() < 12, i
        assert image[:, 14:18, 14:18].max() < 40, i
        assert np.abs(image[:, [0, -1]].mean((1, 2)) - COLOURS[i % 6]).max() < 12, i
