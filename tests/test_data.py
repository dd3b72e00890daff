"""Sources, store, split and batches, on small files in their real formats."""

import json
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
from sources import celeba, photograph, refused, write_celeba, write_folder

from arl import faces
from arl.config import ATTRIBUTES, RunConfig
from arl.data import (
    FaceData,
    batches,
    cache,
    describe,
    full_batches,
    needed_bytes,
    open_data,
    open_extra,
    open_rendered,
    rendered,
    reserved_rows,
    room,
    split,
    stack,
    unopened_extra,
)
from arl.data.batches import _ahead
from arl.messages import UserError
from arl.store import files, run_id

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


def test_people_who_were_drawn_are_not_drawn_again_for_a_larger_or_a_smaller_set(store, monkeypatch):
    """The images of a budget's curve: 250 of them are the first 250 of 64 000."""
    drawn, render = [], rendered._Renderers.render
    monkeypatch.setattr(
        rendered._Renderers, "render", lambda self, n, *a, **k: drawn.append(n) or render(self, n, *a, **k)
    )
    some = open_rendered(42, 3, 32, 7, first_identity=5)
    assert sum(drawn) == 42
    few, many = (open_rendered(count, 3, 32, 7, first_identity=5) for count in (20, 50))
    assert sum(drawn[2:]) == 28, "the last piece of the largest set, which begins among people who are there"
    assert few.spec["people"]["count"] == 20 and many.spec["people"]["count"] == 50
    whole = faces.render(50, 3, 32, 7, first_identity=5)
    for data in (some, few, many):
        assert np.array_equal(data.images, whole[0][: len(data)]), "byte for byte what the renderer draws"
        assert np.array_equal(data.attributes, whole[1][: len(data)])
        assert np.array_equal(data.identities, whole[2][: len(data)])
    for other in ({"first_identity": 6}, {"domain": "shifted"}):
        drawn.clear()
        open_rendered(**{"identities": 2, "per_identity": 3, "image_size": 32, "seed": 7, "first_identity": 5} | other)
        assert sum(drawn) == 2, "other people, or other photographs of them"


def test_a_stored_set_that_is_damaged_is_not_copied(store, monkeypatch):
    open_rendered(6, 2, 32, 7)
    (images,) = store.glob("*/images.u8")
    images.write_bytes(bytes(images.stat().st_size))
    assert np.array_equal(open_rendered(4, 2, 32, 7).images, faces.render(4, 2, 32, 7)[0])


def test_a_foreign_meta_json_is_no_faces(store):
    open_rendered(4, 2, 32, 7)
    (path,) = store.glob("*/meta.json")
    meta = cache.read_meta(path.parent)
    for wrong in (
        {"files": [1]},
        {"files": {}},
        {"title": None},
        {"images": "x"},
        {"attribute_names": 3},
        {"spec": []},
    ):
        path.write_text(json.dumps(meta | wrong))
        assert cache.read_meta(path.parent) is None, wrong


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
    cfg = cfg.replace(extra_source=str(tmp_path / "own"), extra_images=4)
    one, two = open_extra(cfg), open_extra(cfg.replace(seed=1))
    assert len(one) == 4 and not np.array_equal(one.images, two.images) and one.spec != two.spec
    assert np.array_equal(one.images, open_extra(cfg).images) and not one.images.flags.writeable
    refused(lambda: open_extra(cfg.replace(extra_images=10)), "extra_images", "10", "9")
    refused(lambda: open_extra(cfg.replace(extra_source="nowhere")), "extra_source", "nowhere", "shifted")


def test_the_extra_data_of_photographs_are_other_people_of_the_same_set(tmp_path, store):
    write_celeba(tmp_path, 60, people=20)
    cfg = celeba(tmp_path, reserved=12, extra="both", extra_images=10)
    unseen = unopened_extra(cfg)
    said = describe(cfg)
    assert not list(store.glob("*/images.u8")), "nothing is decoded for it"
    assert needed_bytes(cfg) == needed_bytes(cfg.replace(extra="none")), "they are written once"
    data = open_data(cfg, progress=False)
    extra = open_extra(cfg, progress=False)
    assert extra.spec == unseen.spec == open_extra(cfg, data=data).spec and extra.spec != data.spec
    assert len(extra) == 10 and np.array_equal(extra.identities, unseen.identities)
    for part in split(data, cfg):
        assert not set(data.identities[part]) & set(extra.identities)
    first = [np.flatnonzero(data.identities == who) for who in extra.identities]
    assert all(
        any(np.array_equal(image, data.images[k]) for k in rows)
        for image, rows in zip(extra.images, first, strict=True)
    )
    assert extra.attribute_names == data.attribute_names
    both, added = stack(data, extra)
    assert not set(both.identities[added]) & set(data.identities) and both.left_out == data.left_out
    assert said.extra == extra.title == f"10 of other people of: {data.title}"
    assert said.reserved == 12 and "X1 24, X2 12, T 12 images, 12 of other people" in said.lines()
    other = open_extra(cfg.replace(reserved=24, seed=1))
    assert other.spec != extra.spec and not np.array_equal(other.identities, extra.identities)
    for call in (open_extra, describe, unopened_extra):
        refused(
            lambda call=call: call(cfg.replace(extra_images=13)), "extra_images: found 13", "12 images", "reserved=12"
        )


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
    assert not np.array_equal(parts.x1, split(data, cfg.replace(seed=1)).x1)


@pytest.mark.parametrize("how", ["image", "identity"])
@pytest.mark.parametrize("reserved", [100, 0.25])
def test_reserved_people_are_in_no_set_and_the_same_for_every_row_of_a_seed(how, reserved):
    data = people([6] * 100 if how == "image" else np.random.default_rng(0).integers(1, 12, 100).tolist())
    n, most = len(data), np.unique(data.identities, return_counts=True)[1].max()
    cfg = RunConfig(split=how, reserved=reserved)
    kept_out = reserved_rows(data, cfg)
    least = reserved if reserved >= 1 else round(reserved * n)
    assert least <= len(kept_out) < least + most
    parts = split(data, cfg)
    assert np.array_equal(np.sort(np.concatenate([*parts, kept_out])), np.arange(n))
    free = np.concatenate(parts)
    assert not set(data.identities[kept_out]) & set(data.identities[free])
    assert abs(len(parts.x1) - 0.65 * len(free)) <= most / 2 and abs(len(parts.x2) - 0.25 * len(free)) <= most / 2
    for other in (dict(x1=0.5), dict(split="image"), dict(lambda1=1), dict(x1=300, x2=20)):
        assert np.array_equal(reserved_rows(data, cfg.replace(**other)), kept_out)
    assert not np.array_equal(reserved_rows(data, cfg.replace(seed=1)), kept_out)
    assert not len(reserved_rows(data, cfg.replace(reserved=0)))


def test_reserved_people_who_leave_nobody_are_refused():
    data = people([6] * 10)
    refused(lambda: split(data, RunConfig(reserved=55)), "reserved: found 55 of 60 images of 10 people")
    refused(lambda: split(data, RunConfig(reserved=10**6)), "reserved: found 1e+06")
    refused(lambda: split(people([6]), RunConfig(reserved=0.1)), "reserved: found 0.1 of 6 images of 1 people")
    refused(lambda: split(data, RunConfig(reserved=54, x1=3, x2=2)), "x1, x2", "6 images that are not reserved")


def test_split_that_leaves_nothing_is_refused():
    data = people([2] * 6)
    refused(lambda: split(data, RunConfig(x1=160_000, x2=40_000)), "x1", "160000", "12 images")
    refused(lambda: split(data, RunConfig(x1=8, x2=4)), "x1, x2", "12 images")
    refused(lambda: split(data, RunConfig(x1=0.9, x2=0.01)), "x2", "0.01")
    refused(lambda: split(people([6, 6]), RunConfig(split="identity", x1=0.5)), "split", "2 people")
    for seed in range(20):  # extreme but possible
        for x1, x2 in ((2, 2), (8, 2), (2, 8)):
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
        assert list(_ahead(read, list(range(n)), torch.device("cpu"))) == [2 * k for k in range(n)]
    assert main not in seen
    seen.clear()
    stream = _ahead(read, list(range(9)), torch.device("cpu"))
    assert next(stream) == 0
    stream.close()
    assert len(seen) <= 2  # one used, one ahead


# -- room, and what kills leave ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, parameter",
    [
        (dict(identities=10**9), "identities"),
        (dict(identities=10**7, per_identity=1000, image_size=256), "identities"),
        (dict(extra="adversary", extra_images=10**8 * 50), "extra_images"),
        (dict(extra="both", extra_images=10**11, extra_source="standard"), "extra_images"),
    ],
)
def test_sets_that_have_no_room_are_refused_at_once(store, fields, parameter):
    cfg = RunConfig(**fields)
    for call in (open_extra if "extra" in fields else open_data, describe):
        refused(lambda call=call: call(cfg), parameter, "GiB", "free")
    assert needed_bytes(cfg) > 10**12
    assert not list(store.glob("*"))  # nothing was begun


def test_labels_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda folder: 10**18)
    refused(lambda: open_data(RunConfig(identities=10**9)), "identities", "memory")
    monkeypatch.setattr(room, "free_bytes", lambda folder: 1000)
    refused(lambda: open_rendered(4, 2, 32, 0), "8 images of 32 px", "accepted")


def test_needed_bytes_are_those_that_are_written(store):
    cfg = RunConfig(identities=8, per_identity=4, image_size=32, extra="adversary", extra_images=8)
    needed = needed_bytes(cfg)
    open_data(cfg, progress=False)
    only_extra = needed_bytes(cfg)
    open_extra(cfg, progress=False)
    written = sum(path.stat().st_size for path in store.rglob("*") if path.suffix in (".u8", ".safetensors"))
    assert written <= needed <= written * 1.1 and only_extra == needed // 5 and needed_bytes(cfg) == 0


def test_a_full_disk_is_one_line(monkeypatch):
    def full(*args, **names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "build", full)
    with pytest.raises(UserError, match="found no space left on its disk, accepted: free some"):
        open_rendered(4, 2, 32, 0)


def test_what_a_kill_leaves_is_removed_at_the_next_start(store, tmp_path):
    data = open_rendered(4, 2, 32, 0, progress=False)
    (whole,) = store.glob("*/images.u8")
    gone = multiprocessing.get_context("fork").Process(target=int)
    gone.start()
    gone.join()
    other = store / "folder-123456789abc"  # unfinished: it goes on when it is asked for
    other.mkdir()
    left = [
        whole.with_name(f".meta.json.{gone.pid}@{platform.node()}.part"),
        whole.with_name("done.u8"),
        whole.with_name("attributes.u8"),
    ]
    left += [other / f".images.u8.{gone.pid}@{platform.node()}.part", other / "images.part"]
    kept = [
        whole.with_name(f".meta.json.{os.getpid()}@{platform.node()}.part"),
        other / "done.u8",
        other / "images.u8",
        whole,
    ]
    for path in [*left, *kept[:-1]]:
        path.write_bytes(b"x")
    cache.clean.cache_clear()
    assert np.array_equal(open_data(RunConfig(identities=4, per_identity=2, image_size=32)).images, data.images)
    assert not [path for path in left if path.exists()] and all(path.exists() for path in kept)


def test_a_stored_set_can_be_read_where_nothing_can_be_written(store, monkeypatch):
    data = open_rendered(4, 2, 32, 0, progress=False)
    (images,) = store.glob("*/images.u8")
    os.utime(images)  # a copy, whose time is another

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    def refuse_to_write(path, mode="r", *args, **names):
        return refuse() if mode.strip("b") != "r" else opened(path, mode, *args, **names)

    opened = files.Path.open
    monkeypatch.setattr(files.Path, "open", refuse_to_write)
    monkeypatch.setattr(cache.Path, "mkdir", refuse)
    assert np.array_equal(open_rendered(4, 2, 32, 0).images, data.images)


# -- the process that renders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["current folder", "PYTHONPATH"])
def test_rendering_runs_no_file_of_the_users_folder(tmp_path, monkeypatch, how):
    for name in ("random.py", "numpy.py", "arl.py", "json/__init__.py", "sitecustomize.py", "arl/__init__.py"):
        trap = tmp_path / "trap" / name
        trap.parent.mkdir(parents=True, exist_ok=True)
        trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nraise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path / "trap")
    if how == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "trap"))
    else:
        monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert len(open_rendered(2, 2, 32, 0, progress=False)) == 4
    assert not (tmp_path / "sprung").exists()


# -- sets that are too small -------------------------------------------------------------------------------------


@pytest.mark.parametrize("x1, x2", [(10, 1), (1, 10), (10, 9), (0.8, 0.15)])
def test_each_set_needs_two_images(x1, x2):
    refused(lambda: split(people([2] * 10), RunConfig(x1=x1, x2=x2)), "x1, x2", "20 images", "2 images each")


def test_people_with_one_image_do_not_make_a_set():
    refused(lambda: split(people([1, 1, 1]), RunConfig(x1=1, x2=1, split="identity")), "x1, x2", "2 images each")
    refused(lambda: split(people([20, 1, 20]), RunConfig(x1=20, x2=1, split="identity", seed=3)), "2 images each")


def test_fewer_images_than_a_batch_are_refused():
    cfg = RunConfig(batch_size=32)
    refused(lambda: full_batches(np.arange(31), cfg, "X2"), "batch_size: found 32 with 31 images in X2")
    assert full_batches(np.arange(65), cfg, "X2") == 2


# -- a description -----------------------------------------------------------------------------------------------


def test_a_description_is_what_is_opened_then(store):
    cfg = RunConfig(identities=6, per_identity=8, image_size=32, data_seed=5, extra="adversary", extra_images=16)
    before = describe(cfg)
    assert not store.exists() and not before.stored and before.bytes_needed == needed_bytes(cfg) > 0
    data = open_data(cfg, progress=False)
    open_extra(cfg, progress=False)
    after = describe(cfg)
    assert after.stored and after.bytes_needed == 0
    for found in (before, after):
        assert (found.images, found.people, found.per_person) == (48, 6, (8, 8.0, 8))
        assert found.spec_id == run_id(data.spec) and found.title == data.title
        assert found.sizes == tuple(map(len, split(data, cfg))) and found.extra.startswith("16 of rendered")
        assert [rate for _, rate in found.attributes] == pytest.approx(data.attributes.mean(0).tolist())
        lines = found.lines()
        assert all("\n" not in line for line in lines) and any("48 images of 6 people" in line for line in lines)
    with pytest.raises(AttributeError):
        after.images = 1
