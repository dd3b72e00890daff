"""CelebA in all its packings."""

import hashlib
import io
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sources import COLOURS, assert_photographs, celeba, crowd, photograph, refused, write_celeba, write_parquet
from straightforward import decode_square

from arl.config import ATTRIBUTES, RunConfig
from arl.data import build, cache, describe, open_data
from arl.data import celeba as celeba_source
from arl.data.images import TOGETHER, read_file, read_squares
from arl.store import run_id

# torchvision 0.29 announces that its decoders will move to torchcodec
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "data"


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


def noise(shape, kind):
    """A JPEG or PNG of noise, as bytes that can be written to."""
    pixels = np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), kind)
    return bytearray(buffer.getvalue())


@pytest.mark.parametrize("size", [8, 32, 48, 300])
def test_squares_resized_together_have_the_bytes_of_each_alone(size):
    like_celeba = [(218, 178, 3)] * (TOGETHER + 3)  # more than are resized in one call, then others between
    shapes = [
        *like_celeba,
        (178, 218, 3),
        (1, 1, 3),
        (2, 300, 3),
        (33, 32, 3),
        (64, 48),
        (64, 48),
        (40, 50, 4),
        *like_celeba,
    ]
    kinds = ["PNG" if shape[2:] == (4,) or i % 2 else "JPEG" for i, shape in enumerate(shapes)]
    blobs = [noise(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
    blobs[5], blobs[20] = blobs[5][:900], bytearray(b"not a photograph")
    found = read_squares([f"{i}.jpg" for i in range(len(blobs))], blobs.__getitem__, 70, size)
    assert set(found.problems) == {75, 90} and found.problems[90].startswith("20.jpg (")
    for i, blob in enumerate(blobs):
        expected = np.zeros((3, size, size)) if i in (5, 20) else decode_square(blob, size)
        assert np.array_equal(found.images[i], expected), i


def test_pixels_of_16_bits_are_named_in_photographs_of_8(tmp_path):
    Image.fromarray(np.full((70, 50), 33000, np.uint16)).save(buffer := io.BytesIO(), "PNG")
    found = read_squares(["deep.png"], lambda i: bytearray(buffer.getvalue()), 0, 32)
    assert found.problems == {0: "deep.png (its pixels are uint16; accepted: 8 bits)"}


@pytest.mark.parametrize("told, kept", [(7, b"seven b"), (11, b"seven bytes"), (40, b"seven bytes")])
def test_a_file_is_read_to_its_end_or_to_the_size_it_had(tmp_path, told, kept):
    (tmp_path / "x").write_bytes(b"seven bytes")
    assert read_file(str(tmp_path / "x"), told) == kept


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "identity_CelebA.txt", "img_align_celeba"])
def test_celeba_without_a_file_names_it(tmp_path, name):
    base = write_celeba(tmp_path)
    path = base / name
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
    data = open_data(celeba(tmp_path, damaged="skip"), progress=False)
    attributes, identities = crowd()
    kept = np.delete(np.arange(12), 4)
    assert np.array_equal(data.attributes, attributes[kept]) and np.array_equal(data.identities, identities[kept])
    assert np.abs(data.images[4, :, 2].mean(-1) - COLOURS[5]).max() < 12 and len(data) == 11
    assert data.title.endswith("1 left out") and "000005.jpg" in capfd.readouterr().err


@pytest.mark.parametrize("how", ["at once", "resumed", "one left out"])
def test_what_is_noted_of_the_file_is_what_lies_in_it(tmp_path, store, monkeypatch, how):
    """The checksum and the copies are taken while the file is filled, in whatever order."""
    path = write_celeba(tmp_path) / "img_align_celeba" / "000002.jpg"
    monkeypatch.setattr(celeba_source, "ROWS", 6)  # three images at a time
    monkeypatch.setattr(build, "ROWS", 2)
    cfg = celeba(tmp_path, damaged="skip")
    if how == "one left out":
        path.write_bytes(b"")
    if how == "resumed":

        def ends_early(names, load, start, size):
            while start == 3 and not any(np.fromfile(path, np.uint8).any() for path in store.glob("*/done.u8")):
                time.sleep(0.002)
            if start == 3:
                raise KeyboardInterrupt
            return read_squares(names, load, start, size)

        with monkeypatch.context() as patch:
            patch.setattr(celeba_source, "read_squares", ends_early)
            patch.setattr(build, "cores", lambda: 1)
            with pytest.raises(KeyboardInterrupt):
                open_data(cfg, progress=False)
        (marks,) = store.glob("*/done.u8")
        assert list(np.fromfile(marks, np.uint8)[:6]) == [1, 1, 1, 0, 0, 0]  # the others may have been read beside it
    data = open_data(cfg, progress=False)
    (images,) = store.glob("*/images.u8")
    noted = json.loads(images.with_name("meta.json").read_text())["files"]["images.u8"]
    assert noted["sha256"] == hashlib.sha256(images.read_bytes()).hexdigest()
    assert images.read_bytes() == data.images.tobytes() and len(data) == 12 - (how == "one left out")
    copies = 5 if how == "one left out" else 6
    assert any(line.startswith(f"{copies} images are the same as another") for line in data.left_out)


@pytest.mark.parametrize(
    "name, change, parts",
    [
        ("list_attr_celeba.txt", lambda text: text.rsplit("\n", 2)[0] + "\n", ["11 rows", "12"]),
        ("identity_CelebA.txt", lambda text: text.replace("000003.jpg", "x.jpg"), ["no row", "000003.jpg"]),
        (
            "list_attr_celeba.txt",
            lambda text: text.replace("000003.jpg", "000003.jpg 7"),
            ["42 columns", "'7'", "000003.jpg"],
        ),
        ("list_attr_celeba.txt", lambda text: text.rstrip()[:-3] + "\n", ["40 columns", "000012.jpg", "41"]),
        ("identity_CelebA.txt", lambda text: text.replace("2937", "two", 1), ["000002.jpg two", "a number"]),
    ],
)
def test_celeba_tables_that_are_not_whole_are_named(tmp_path, name, change, parts):
    path = write_celeba(tmp_path) / name
    path.write_text(change(path.read_text()))
    refused(lambda: open_data(celeba(tmp_path)), name, *parts)


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


# -- packings -------------------------------------------------------------------------------------------------------


def pack(root, how):
    """CelebA's files as `how` has them, under `root`."""
    base = write_celeba(root / "plain")
    images, attributes, identities = (
        base / "img_align_celeba",
        base / "list_attr_celeba.txt",
        base / "identity_CelebA.txt",
    )
    where = {
        "the archive's": ("CelebA/Img/img_align_celeba", "CelebA/Anno", "CelebA/Anno"),
        "nested once": ("img_align_celeba/img_align_celeba", ".", "."),
        "celeba in celeba": ("celeba/celeba/img_align_celeba", "celeba/celeba", "celeba/celeba"),
        "all in one": ("everything", "everything", "everything"),
        "Kaggle's": ("img_align_celeba/img_align_celeba", ".", "."),
        "lossless": ("Img/img_align_celeba_png", "Anno", "Anno"),
    }[how]
    packed = root / "packed"
    for folder in where:
        (packed / folder).mkdir(parents=True, exist_ok=True)
    for path in images.iterdir():
        if how == "lossless":
            Image.open(path).save(packed / where[0] / f"{path.stem}.png")
        else:
            shutil.copy(path, packed / where[0])
    if how == "Kaggle's":
        _, header, *rows = attributes.read_text().splitlines()
        lines = [",".join(["image_id", *header.split()]), *(",".join(row.split()) for row in rows)]
        (packed / "list_attr_celeba.csv").write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
        (packed / "list_eval_partition.csv").write_text("image_id,partition\n")
    else:
        shutil.copy(attributes, packed / where[1])
    shutil.copy(identities, packed / where[2])
    return packed


@pytest.mark.parametrize(
    "how", ["the archive's", "nested once", "celeba in celeba", "all in one", "Kaggle's", "lossless"]
)
def test_celeba_is_found_by_its_content(tmp_path, capfd, how):
    data = open_data(celeba(pack(tmp_path, how)))
    attributes, identities = crowd()
    assert np.array_equal(data.attributes, attributes) and np.array_equal(data.identities, identities)
    assert_photographs(data)
    said = capfd.readouterr().err
    words = {"the archive's": "the archive's own packing", "lossless": "the archive's", "Kaggle's": "Kaggle's tables"}
    assert words.get(how, "CelebA's files: ") in said and "img_align_celeba" in said + "img_align_celeba" * (
        how == "all in one"
    )
    assert describe(celeba(tmp_path / "packed")).packing in said


def test_torchvisions_layout_keeps_its_id(tmp_path):
    write_celeba(tmp_path)
    base = tmp_path / "celeba"
    sizes = sorted((path.name, path.stat().st_size) for path in (base / "img_align_celeba").iterdir())
    digest = hashlib.sha256(json.dumps(sizes).encode())
    digest.update((base / "list_attr_celeba.txt").read_bytes() + (base / "identity_CelebA.txt").read_bytes())
    spec = dict(kind="celeba", form="jpeg", fingerprint=digest.hexdigest()[:16], image_size=32)
    assert open_data(celeba(tmp_path)).spec == spec
    assert describe(celeba(tmp_path)).spec_id == run_id(spec)


def test_kaggles_tables_alone_name_the_file_that_is_missing(tmp_path):
    packed = pack(tmp_path, "Kaggle's")
    (packed / "identity_CelebA.txt").unlink()
    refused(lambda: open_data(celeba(packed)), "data_root", "identity_CelebA.txt not found")


def test_tables_that_differ_are_refused(tmp_path):
    packed = pack(tmp_path, "the archive's")
    other = packed / "CelebA" / "identity_CelebA.txt"
    shutil.copy(packed / "CelebA/Anno/identity_CelebA.txt", other)
    open_data(celeba(packed))  # a copy will do
    other.write_text(other.read_text().replace("2880", "2881"))
    refused(lambda: open_data(celeba(packed)), "which differ", "one of them")


@pytest.mark.parametrize("gone", [["000007.jpg"], ["000001.jpg", "000012.jpg", "000005.jpg"]])
def test_a_subset_is_said_each_time_and_its_labels_stay(tmp_path, capfd, gone):
    base = write_celeba(tmp_path)
    for name in gone:
        (base / "img_align_celeba" / name).unlink()
    photograph(1).save(base / "img_align_celeba" / "extra.jpg")
    data = open_data(celeba(tmp_path))
    attributes, identities = crowd()
    kept = [i for i in range(12) if f"{i + 1:06d}.jpg" not in gone]
    assert np.array_equal(data.attributes, attributes[kept]) and np.array_equal(data.identities, identities[kept])
    for image, i in zip(data.images, kept, strict=True):
        assert np.abs(image[:, 2].mean(-1) - COLOURS[i % 6]).max() < 12
    subset, spare, _ = data.left_out
    assert f"{12 - len(gone)} of the 12 images" in subset and gone[0] in subset and "extra.jpg" in spare
    said = capfd.readouterr().err
    assert said.count(subset) == 1 and said.count(spare) == 1
    cache.say_once.cache_clear()  # as in a new process
    assert open_data(celeba(tmp_path)).left_out == data.left_out
    assert subset in capfd.readouterr().err
    assert subset in describe(celeba(tmp_path)).lines()


def test_photographs_of_another_set_are_refused(tmp_path):
    base = write_celeba(tmp_path)
    for path in (base / "img_align_celeba").iterdir():
        path.rename(path.with_name("x" + path.name))
    refused(lambda: open_data(celeba(tmp_path)), "none of the images", "000001.jpg")


def test_one_person_alone_is_refused_and_everyone_alone_is_said(tmp_path):
    base = write_celeba(tmp_path)
    table = base / "identity_CelebA.txt"
    names = [line.split()[0] for line in table.read_text().splitlines()]
    table.write_text("".join(f"{name} 7\n" for name in names))
    refused(lambda: open_data(celeba(tmp_path)), "one person on 12 images")
    table.write_text("".join(f"{name} {k}\n" for k, name in enumerate(names)))
    assert "each of the 12 people is on one image only" in open_data(celeba(tmp_path)).left_out[0]


@pytest.mark.parametrize("old", ["right", "wrong"])
def test_what_an_older_reader_stored_is_compared_once(tmp_path, store, monkeypatch, capfd, old):
    write_celeba(tmp_path)
    images = open_data(celeba(tmp_path)).images.copy()
    (meta,) = store.glob("*/meta.json")
    about = json.loads(meta.read_text())
    for key in ("reader", "packing", "left_out"):
        del about[key]
    if old == "wrong":
        about["attribute_names"] = about["attribute_names"][::-1]
    meta.write_text(json.dumps(about))
    built = []
    monkeypatch.setattr(cache, "build", lambda *args, **names: built.append(1) or build.build(*args, **names))
    data = open_data(celeba(tmp_path))
    assert data.attribute_names == ATTRIBUTES and np.array_equal(data.images, images)
    assert len(built) == (old == "wrong")
    assert json.loads(meta.read_text())["reader"] == cache.READER


# -- parquet --------------------------------------------------------------------------------------------------------


def rewritten(folder, change):
    """Each shard of `folder` with its table changed."""
    import pyarrow.parquet as pq

    for path in folder.glob("*.parquet"):
        pq.write_table(change(pq.read_table(path)), path, row_group_size=2)


def column(table, name, values, kind=None):
    import pyarrow as pa

    return table.set_column(table.column_names.index(name), name, pa.array(values, kind))


@pytest.mark.parametrize("name", ["celeb_id", "Smiling"])
def test_null_labels_are_refused(tmp_path, name):
    folder = write_parquet(tmp_path)
    rewritten(folder, lambda t: column(t, name, [None, *t[name].to_pylist()[1:]], t.schema.field(name).type))
    refused(lambda: open_data(celeba(tmp_path)), "empty cells in", name)


@pytest.mark.parametrize("values", [[2, 0], [0.5, 1.0], ["yes", "no"], [-1, 0, 1]])
def test_values_that_are_no_labels_are_refused(tmp_path, values):
    folder = write_parquet(tmp_path)
    rewritten(folder, lambda t: column(t, "Male", (values * 12)[: len(t)]))
    refused(lambda: open_data(celeba(tmp_path)), "other values in Male")


@pytest.mark.parametrize(
    "people, fits", [([1.0, 2.0], True), ([-1, 2], False), ([1.5, 2.0], False), (["a", "b"], False)]
)
def test_numbers_of_people_are_whole_and_known(tmp_path, people, fits):
    folder = write_parquet(tmp_path)
    rewritten(folder, lambda t: column(t, "celeb_id", (people * 12)[: len(t)]))
    if fits:
        assert set(open_data(celeba(tmp_path)).identities) == {1, 2}
    else:
        refused(lambda: open_data(celeba(tmp_path)), "celeb_id", "a number a person")


@pytest.mark.parametrize("name", ["Smiling", "celeb_id"])
def test_a_column_twice_by_its_name_is_refused(tmp_path, name):
    folder = write_parquet(tmp_path)
    rewritten(folder, lambda t: t.append_column(name.lower() if name == "Smiling" else "CELEB_ID", t[name]))
    refused(lambda: open_data(celeba(tmp_path)), name.lower(), "twice")


@pytest.mark.parametrize("person", ["identity", "celeb_id"])
@pytest.mark.parametrize("form", ["struct", "bytes"])
def test_columns_of_other_hubs_are_found(tmp_path, person, form):
    folder = write_parquet(tmp_path)

    def change(table):
        for name in ATTRIBUTES:
            table = column(table, name, [2 * int(v) - 1 for v in table[name].to_pylist()])
        if form == "bytes":
            table = column(table, "image", [cell["bytes"] for cell in table["image"].to_pylist()])
        table = table.append_column("file_name", [[f"{i}.jpg" for i in range(len(table))]])
        names = {"celeb_id": person, "Smiling": "smiling"}
        return table.rename_columns([names.get(name, name) for name in table.column_names])

    rewritten(folder, change)
    data = open_data(celeba(tmp_path))
    attributes, identities = crowd()
    assert np.array_equal(data.attributes, attributes) and np.array_equal(data.identities, identities)
    assert data.attribute_names == ATTRIBUTES
    assert_photographs(data)


@pytest.mark.parametrize("column", ["celeb_id", "image"])
def test_parquet_without_people_or_images_is_refused(tmp_path, column):
    folder = write_parquet(tmp_path)
    rewritten(folder, lambda table: table.drop_columns([column]))
    refused(lambda: open_data(celeba(tmp_path)), f"no column {column}")


def test_copies_of_the_shards_are_left_out_and_said(tmp_path, capfd):
    folder = write_parquet(tmp_path)
    before = open_data(celeba(tmp_path)).spec
    shutil.copytree(folder, tmp_path / "z copy")
    data = open_data(celeba(tmp_path))
    assert len(data) == 12 and data.spec == before
    assert "left out 4 (copies of others)" in data.left_out[0] and data.left_out[0] in capfd.readouterr().err
    shutil.rmtree(tmp_path / "z copy")
    shutil.copytree(folder, tmp_path / "a" / "copy")  # before the others by its name, but deeper
    assert open_data(celeba(tmp_path)).spec == before


def test_the_same_rows_in_other_shards_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write_parquet(tmp_path)
    other = tmp_path / "default" / "train"
    other.mkdir(parents=True)
    whole = pa.concat_tables([pq.read_table(folder / f"train-0000{k}-of-00002.parquet") for k in (0, 1)])
    pq.write_table(whole, other / "0000.parquet", compression="gzip")
    refused(lambda: open_data(celeba(tmp_path)), "same photographs", "default/train", "img_align+identity+attr")


@pytest.mark.parametrize(
    "names, parts",
    [
        (["train-00000-of-00003-aa11", "train-00002-of-00003-bb22"], ["train-00001-of-00003-*.parquet not found"]),
        (["train-00000-of-00002-aa11", "train-00000-of-00002-bb22"], ["one shard for each number"]),
        (["train/0000", "train/0002"], ["train/0001.parquet not found"]),
        (["0001", "0002"], ["0000.parquet not found"]),
        (["train-00000-of-00002_ABC"], ["train-00001-of-00002_*.parquet not found"]),
        (["train-00000-of-00002.snappy"], ["train-00001-of-00002.*.parquet not found"]),
        (["0", "2"], ["1.parquet not found"]),
        (["train_1", "train_3"], ["train_2.parquet not found"]),
    ],
)
def test_missing_shards_are_noticed_by_their_numbers(tmp_path, names, parts):
    folder = write_parquet(tmp_path / "made")
    for name, shard in zip(names, sorted(folder.glob("*.parquet")), strict=False):
        path = tmp_path / "hub" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shard, path)
    refused(lambda: open_data(celeba(tmp_path / "hub")), "data_root", *parts)


def test_a_number_that_counts_no_shards_is_part_of_a_name(tmp_path):
    folder = write_parquet(tmp_path / "made")
    for name, shard in zip(("celeba_64", "more_128"), sorted(folder.glob("*.parquet")), strict=False):
        (tmp_path / "hub").mkdir(exist_ok=True)
        shutil.copy(shard, tmp_path / "hub" / f"{name}.parquet")
    assert len(open_data(celeba(tmp_path / "hub"))) > 2


# -- the real one ---------------------------------------------------------------------------------------------------

SHARED = Path(__file__).parents[2] / "shared" / "celeba"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs photographs of CelebA")
def test_photographs_of_celeba_are_described_without_decoding(store):
    found = describe(RunConfig(data="celeba", data_root=str(SHARED), image_size=48))
    assert found.images == 10_000 and found.people == 5_429 and sum(found.sizes) == 10_000
    assert dict(found.attributes)["Male"] == pytest.approx(0.42, abs=0.02)
    assert not found.stored and found.bytes_needed > 10_000 * 3 * 48 * 48 and not store.exists()
