"""CelebA in all its packings."""

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sources import COLOURS, assert_photographs, celeba, crowd, refused, write_celeba, write_parquet

from arl.config import ATTRIBUTES
from arl.data import open_data

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
        ("identity_CelebA.txt", lambda text: text.replace("2937", "two"), ["000002.jpg two", "a number"]),
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
