"""Sources, store, split and batches, on small files in their real formats."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import torch
from sources import celeba, photograph, refused, write_celeba, write_folder

from arl import faces
from arl.config import ATTRIBUTES, RunConfig
from arl.data import FaceData, batches, cache, open_data, open_extra, open_rendered, split
from arl.data.batches import _ahead

# torchvision 0.29 announces that its decoders will move to torchcodec
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "data"


def counted(monkeypatch):
    """The ranges of rows that are read from now on."""
    seen = []
    build = cache.build

    def counting(folder, spec, source, progress, skip, reader):
        def read(start, stop):
            seen.append((start, stop))
            return source.read(start, stop)

        build(folder, spec, source._replace(read=read), progress, skip, reader)

    monkeypatch.setattr(cache, "build", counting)
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
    build = cache.build

    def noted(*args, **names):
        with (tmp_path / "built").open("a") as file:
            file.write("once\n")
        build(*args, **names)

    monkeypatch.setattr(cache, "build", noted)
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
    capfd.readouterr()
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


# -- extra data ---------------------------------------------------------------------------------------------------


def test_extra_data(tmp_path):
    assert open_extra(RunConfig()) is None
    cfg = RunConfig(extra="adversary", extra_images=21, image_size=32)
    data = open_extra(cfg)
    assert len(data) == 21 and data.spec["domain"] == "shifted" and data.identities.min() >= 1_000_000
    write_folder(tmp_path / "own")
    cfg = cfg.but(extra_source=str(tmp_path / "own"), extra_images=4)
    one, two = open_extra(cfg), open_extra(cfg.but(seed=1))
    assert len(one) == 4 and not np.array_equal(one.images, two.images) and one.spec != two.spec
    assert np.array_equal(one.images, open_extra(cfg).images) and not one.images.flags.writeable
    refused(lambda: open_extra(cfg.but(extra_images=10)), "extra_images", "10", "9")
    refused(lambda: open_extra(cfg.but(extra_source="nowhere")), "extra_source", "nowhere", "shifted")


# -- X1, X2, T ----------------------------------------------------------------------------------------------------


def people(counts):
    n = sum(counts)
    who = np.repeat(np.arange(len(counts)), counts)
    return FaceData(np.zeros((n, 3, 32, 32), np.uint8), np.zeros((n, 0), bool), (), who, {}, "nobody")


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
    assert not np.array_equal(parts.x1, split(data, cfg.but(seed=1)).x1)


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
    main, seen = threading.get_ident(), []

    def read(part):
        seen.append(threading.get_ident())
        return part * 2

    for n in (0, 1, 2, 5):
        assert list(_ahead(read, list(range(n)))) == [2 * k for k in range(n)]
    assert main not in seen
    seen.clear()
    stream = _ahead(read, list(range(9)))
    assert next(stream) == 0
    stream.close()
    assert len(seen) <= 2  # one used, one ahead
