"""A store for a team: its version, its rights, what no figure needs, and archives from one store to another."""

import errno
import io
import json
import os
import shutil
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from synthetic import DATA, PHOTOGRAPHS, make_row, write_row, write_run
from test_store import Refusing, make, refuse, without_locks

import arl
from arl import experiment, gate, schedule, stages
from arl.config import RunConfig
from arl.data import open_rendered
from arl.messages import UserError
from arl.store import Run, archive, begin, files, locked, obtain, run_id, runs, stored, tried, unused, version

DAY = 86400


# -- versions -----------------------------------------------------------------------------------------------------


def test_a_store_says_its_version_when_it_is_begun(store):
    obtain({"kind": "test"}, lambda run: {})
    said = json.loads((store / "store.json").read_text())
    assert said["version"] == version.STORE_VERSION and said["made_with"]["arl"] == arl.__version__
    before = (store / "store.json").stat().st_mtime_ns
    obtain({"kind": "other"}, lambda run: {})
    assert (store / "store.json").stat().st_mtime_ns == before, "once"


def test_a_store_of_before_is_of_version_1(store):
    write_row(store, 0)
    assert len(list(stored())) == 5 and not (store / "store.json").exists(), "reading writes nothing"


WRONG = [
    (
        f'{{"version": {version.STORE_VERSION + 2}}}',
        f"found a store of version {version.STORE_VERSION + 2} in ",
        "a newer arl made it",
    ),
    ('{"version": 0}', "found a store of version 0 in ", "an older arl made it"),
    ('{"version": "1"}', "found no version of a store in ", "as arl writes it"),
    ("{", "found no version of a store in ", "as arl writes it"),
]


@pytest.mark.parametrize(("content", "found", "why"), WRONG)
def test_a_store_of_another_version_is_one_line_of_every_command(store, here, tmp_path, content, found, why):
    ids = write_row(store, 0)
    (store / "store.json").write_text(content)
    (tmp_path / "figures").mkdir()
    commands = (
        ["runs"],
        ["show", ids["row"]],
        ["gc"],
        ["gc", "--delete", "--keep", "row"],
        ["export", "a.tar", "row-"],
    )
    commands += (["import", "a.tar"], ["run", "--preset", "tiny"], ["reproduce", "--preset", "tiny", "00"], ["app"])
    for arguments in commands:
        code, out, err = here(*arguments)
        assert code == 1 and out == "" and err.count("\n") == 1, (arguments, out, err)
        assert err.startswith(f"arl: ARL_RUNS: {found}{store}") and why in err, arguments
    code, out, _ = here("check", "--preset", "tiny")
    assert code == 1 and f"problem: ARL_RUNS: {found}" in out
    for act in (lambda: obtain({"kind": "test"}, None), lambda: experiment.find(RunConfig.preset("tiny"))):
        with pytest.raises(UserError, match=f"^ARL_RUNS: {found}"):
            act()


def test_a_version_that_changes_is_seen(store):
    begin(store)
    version.check_version(store)
    (store / "store.json").write_text('{"version": 77}')
    with pytest.raises(UserError, match="version 77"):
        version.check_version(store)


# -- rights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("umask", "group", "others"), [(0o002, 0o060, 0o004), (0o022, 0o040, 0o004), (0o077, 0, 0)])
def test_what_is_written_has_the_rights_that_the_umask_leaves(store, tmp_path, umask, group, others):
    before = os.umask(umask)
    try:
        run = obtain({"kind": "test"}, make)
        open_rendered(2, 2, 32, 0, progress=False)
        archive.export_archive(tmp_path / "a.tar", [run])
    finally:
        os.umask(before)
    paths = [path for path in store.rglob("*") if path.is_file()]
    assert {".lock", ".json", ".jsonl", ".safetensors", ".u8"} <= {path.suffix for path in paths}
    for path in [*paths, tmp_path / "a.tar"]:
        assert path.stat().st_mode & 0o077 == group | others, path
    for path in store.rglob("*"):
        if path.is_dir():
            assert path.stat().st_mode & 0o077 == group | others | (0o010 if group else 0) | (0o001 if others else 0), (
                path
            )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to a group that it is not in")
def test_a_setgid_store_gives_all_to_its_group(store, tmp_path):
    make_row(tmp_path / "other", 0)
    archive.export_archive(tmp_path / "a.tar", list(stored(tmp_path / "other")))
    store.mkdir()
    os.chown(store, -1, 54321)
    store.chmod(0o2775)
    obtain({"kind": "test"}, make)
    archive.import_archive(tmp_path / "a.tar", store)
    assert {path.stat().st_gid for path in store.rglob("*")} == {54321}


def test_a_read_only_store_is_listed_shown_exported_and_looked_through(store, here, tmp_path, monkeypatch):
    ids = make_row(store, 0)
    old(store)
    before = sorted(store.rglob("*"))
    refuse(monkeypatch, errno.EROFS, lambda path: path.is_relative_to(store))
    monkeypatch.setattr(files, "FileLock", Refusing(errno.EROFS))
    for arguments in (["runs"], ["show", ids["row"]], ["gc"], ["export", "a.tar", ids["row"]]):
        code, out, err = here(*arguments)
        assert code == 0 and ids["row"] in out + "".join(
            tarfile.open("a.tar").getnames() if "a.tar" in arguments else []
        ), err
    assert sorted(store.rglob("*")) == before
    code, _, err = here("gc", "--delete", "--keep", ids["encoder"])
    assert code == 1 and "found a read-only file system" in err and err.count("\n") == 1
    code, _, err = here("import", "a.tar")
    assert code == 1 and "found a read-only file system" in err and err.count("\n") == 1
    assert sorted(store.rglob("*")) == before


# -- what no figure needs -----------------------------------------------------------------------------------------


def old(store: Path, days: float = 3) -> None:
    """Everything in `store` was written `days` ago."""
    for path in [store, *store.rglob("*")]:
        os.utime(path, (time.time() - days * DAY,) * 2)


def figure(store: Path, *ids: str) -> None:
    folder = store / "figures" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "02_table1.json").write_text(json.dumps({"figure": "02_table1", "runs": {id: {} for id in ids}}))


@pytest.fixture
def two(store):
    """Two rows three days old, one of them in a figure, and what was measured on each; their ids by kind."""
    rows = [make_row(store, i) for i in range(2)]
    for ids in rows:
        ids["bits"] = write_run(store, {"kind": "bits", "version": 1, "row": ids["row"]}, {})
        ids["map"] = write_run(store, {"kind": "map", "version": 2, "encoder": ids["encoder"]}, {})
    figure(store, rows[0]["row"])
    old(store)
    return rows


def gone(store, **more) -> set[str]:
    named = unused.named_by_figures([store / "figures"])
    return {each.folder.name for each in unused.unused(store, named, **more)}


def test_what_no_figure_names_goes_and_what_it_stands_on_stays(two, store, here):
    kept, loose = two
    shared = kept["recogniser"]
    assert loose["recogniser"] == shared
    wanted = set(loose.values()) - {shared}
    assert gone(store) == wanted
    order = [each.kind for each in unused.unused(store, {kept["row"]})]
    assert set(order[:2]) == {"bits", "map"} and order[2] == "row" and order[-1] == "encoder", (
        "none loses what it needs"
    )
    code, out, _ = here("gc")
    assert code == 0 and all(id in out for id in wanted) and "nothing was deleted" in out and kept["row"] not in out
    assert "row: 1, " in out and "all: 6, " in out and "3.0 days" in out
    assert all((store / id).is_dir() for ids in two for id in ids.values()), "a dry run"
    code, out, _ = here("gc", "--delete")
    assert code == 0 and out.endswith("deleted\n")
    assert {run.id for run in stored()} == set(kept.values())
    assert not (store / unused.DELETED).exists() and gone(store) == set()


def test_keep_and_the_young_stay_with_what_they_need(two, store):
    _, loose = two
    assert gone(store, keep=[loose["decoder"]]) == {loose[kind] for kind in ("features", "row", "bits")}
    with pytest.raises(UserError, match="^ID: found no run for 'row-zz'"):
        gone(store, keep=["row-zz"])
    (store / loose["row"] / "result.json").touch()
    assert gone(store) == set(), "the row is young: all that it needs is needed"
    assert gone(store, days=0) == set(loose.values()) - {loose["recogniser"]}


def test_an_attacker_that_is_trained_now_keeps_its_encoder_and_waits_for_nobody(two, store):
    _, loose = two
    (store / loose["features"] / "result.json").unlink()
    old(store)
    with locked(store / loose["features"]):
        assert gone(store) == {loose[kind] for kind in ("decoder", "row", "bits")}
    assert loose["encoder"] in gone(store), "interrupted, and nobody goes on with it"


def test_first_epochs_stay_while_their_encoder_is_trained(store, two):
    spec = {"kind": "encoder", "version": 3, "data": DATA, "seed": 9, "epochs": 10, "lambda1": 1.0, "warm": 0.5}
    plain = {"kind": "warm", "version": 2, "data": DATA, "seed": 9, "epochs": 10, "until": 5}
    encoder, warm = write_run(store, spec, None), write_run(store, plain, {})
    other = write_run(store, plain | {"seed": 8}, {})
    old(store)
    with locked(store / encoder):
        assert {encoder, warm} & gone(store) == set() and other in gone(store)
    write_run(store, spec, {})
    old(store)
    figure(store, two[0]["row"], encoder)
    assert warm in gone(store) and encoder not in gone(store), "a finished encoder needs them no more"


def test_what_judges_saw_stays_with_its_faces_and_judge(two, store):
    kept, _ = two
    judge = {"kind": "rendered", "run": kept["recogniser"]}
    used = write_run(store, {"kind": "embedding", "recogniser": judge, "data": DATA, "images": "a"}, {})
    faces = write_run(store, {"kind": "embedding", "recogniser": judge, "data": PHOTOGRAPHS, "images": "a"}, {})
    dlib = write_run(store, {"kind": "embedding", "recogniser": {"kind": "dlib"}, "data": DATA, "images": "a"}, {})
    old(store)
    assert {used, faces, dlib} & gone(store) == {faces, dlib}


def test_faces_that_no_run_uses_go(two, store):
    def faces(spec, name=None):
        folder = store / "data" / (name or run_id(spec))
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"spec": spec}))
        (folder / "images.u8").write_bytes(bytes(100))
        return folder.name

    used, other = faces(DATA), faces(DATA | {"image_size": 48})
    foreign = faces(DATA, "my faces")
    (store / "data" / "half").mkdir()
    old(store)
    assert {used, other, foreign, "half"} & gone(store) == {other}
    (found,) = [each for each in unused.unused(store, {two[0]["row"]}) if each.kind == "data"]
    assert found.bytes > 100 and found.days == pytest.approx(3, abs=0.1)


def test_what_is_not_a_run_stays(two, store, tmp_path, here):
    foreign = [store / "my notes" / "config.json", store / "notebooks" / "a.ipynb", store / "row-123456789abc" / "x"]
    for path in foreign:
        path.parent.mkdir()
        path.write_text("{}")
    elsewhere = make_row(tmp_path / "elsewhere", 5)["row"]
    (store / elsewhere).symlink_to(tmp_path / "elsewhere" / elsewhere)
    old(store)
    assert here("gc", "--delete")[0] == 0
    assert all(path.exists() for path in foreign) and (store / elsewhere / "result.json").exists()


def test_a_run_that_is_taken_meanwhile_stays(two, store, capfd):
    _, loose = two
    found = unused.unused(store, {two[0]["row"]})
    with locked(store / loose["row"]):
        assert loose["row"] not in {each.folder.name for each in unused.delete(store, found)}
    assert (store / loose["row"]).is_dir() and "it stays" in capfd.readouterr().err


def test_a_killed_deletion_leaves_whole_runs_and_the_next_one_ends_it(two, store, monkeypatch):
    _, loose = two
    found, real = unused.unused(store, {two[0]["row"]}), shutil.rmtree

    def killed(path):
        if path.exists():
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        unused.delete(store, found)
    monkeypatch.undo()
    monkeypatch.setenv("ARL_RUNS", str(store))
    (aside,) = list((store / unused.DELETED).iterdir())
    assert (aside / "result.json").exists() and aside.name not in {run.id for run in stored()}
    left = {run.id: run for run in stored()}
    assert loose["encoder"] in left and all(run.result is not None for run in left.values())
    unused.delete(store, unused.unused(store, {two[0]["row"]}))
    assert not (store / unused.DELETED).exists() and {run.id for run in stored()} == set(two[0].values())


def test_without_a_figure_nothing_is_deleted(two, store, here):
    shutil.rmtree(store / "figures")
    code, _, err = here("gc", "--delete")
    assert code == 1 and err.startswith("arl: figures: found none that names a run") and err.count("\n") == 1
    assert len(list(stored())) == 13
    assert here("gc", "--delete", "--keep", two[0]["row"])[0] == 0 and len(list(stored())) == 7


def test_a_run_that_was_deleted_while_one_waited_for_it_is_made(store, monkeypatch):
    real = runs.locked

    @contextmanager
    def after_its_deletion(folder):
        with real(folder):
            assert not folder.exists()
            yield

    monkeypatch.setattr(runs, "locked", after_its_deletion)
    assert obtain({"kind": "test"}, make).result["loss"] == 0.5


# -- archives -----------------------------------------------------------------------------------------------------


@pytest.fixture
def packed(store, tmp_path):
    """An archive of one row; its ids by kind."""
    ids = make_row(store, 0)
    make_row(store, 1)
    archive.export_archive(tmp_path / "a.tar", [Run(store / ids["row"])])
    return ids


def content(root: Path) -> dict[str, bytes]:
    """The files of the runs in `root`."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*-*/*")}


def refused(path: Path, root: Path, *parts: str) -> None:
    """`path` is refused in one line with `parts`, and nothing of it is in `root`."""
    before = content(root)
    with pytest.raises(UserError) as caught:
        archive.import_archive(path, root)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(str(path)) and all(part in line for part in parts), line
    assert content(root) == before and not (root / unused.STAGE).exists()


def repack(path: Path, change) -> Path:
    """A copy of the archive `path` whose members, names and bytes, `change` has had."""
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    target = path.with_name("changed.tar")
    with tarfile.open(target, "w") as tar:
        for member, data in change(members):
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def test_a_row_goes_to_another_store_with_all_that_it_stands_on(packed, store, tmp_path, here):
    other = tmp_path / "other"
    assert archive.import_archive(tmp_path / "a.tar", other) == [f"5 runs put into {other}, 0 were there"]
    assert content(other) == {n: b for n, b in content(store).items() if n.split("/")[0] in packed.values()}
    assert [Run(other / id).seconds for id in packed.values()] == [Run(store / id).seconds for id in packed.values()]
    assert archive.import_archive(tmp_path / "a.tar", other) == [f"0 runs put into {other}, 5 were there"]
    assert not (other / archive.STAGE).exists() and (other / "store.json").exists()


def test_a_trained_row_is_found_where_it_was_imported_and_draws_the_same_pictures(shared_store, tmp_path, monkeypatch):
    row = arl.run(RunConfig.preset("tiny"))
    archive.export_archive(tmp_path / "a.tar", [row.run])
    other = tmp_path / "other"
    archive.import_archive(tmp_path / "a.tar", other)
    monkeypatch.setenv("ARL_RUNS", str(other))
    (other / "data").symlink_to(shared_store / "data")
    found = experiment.find(row.config)
    assert found.id == row.id and found.result == row.result and found.run.folder.parent == other
    assert all(run.result is not None and run.folder.parent == other for run in found.runs.values())
    t = found.experiment.split.t[:3]
    assert torch.equal(found.reconstruct(t), row.reconstruct(t))
    figure(other, row.id)
    (other / "data").unlink()
    (other / "data").mkdir()
    assert gone(other, days=0) == set(), "a row needs its judge, its encoder and its attackers"


def test_export_means_what_runs_means(store, here, tmp_path):
    rows = [write_row(store, i)["row"] for i in range(3)]
    code, out, err = here("export", "b.tar", "--set", "lambda1=2", "--preset", "tiny")
    assert code == 0 and "5 runs, " in out, err
    names = tarfile.open(tmp_path / "b.tar").getnames()
    assert names[0] == "manifest.json" and f"{rows[2]}/result.json" == names[-1] and "row-" not in "".join(names[:-2])
    for arguments, line in (
        (["export", "b.tar", rows[0]], "arl: {}/b.tar: found a file, accepted: a new name"),
        (["export", "c.tar"], "arl: ID: found no run, accepted: ids, or options"),
        (["export", "c.tar", "--set", "lambda1=6.5"], "arl: ID: found no run, accepted: ids, or options"),
        (["export", "c.tar", "row-zz"], "arl: ID: found no run for 'row-zz'"),
        (["import", "gone.tar"], "arl: {}/gone.tar: found nothing there, accepted: an existing file"),
    ):
        code, out, err = here(*arguments)
        assert code == 1 and out == "" and err.startswith(line.format(tmp_path)) and err.count("\n") == 1, err
    assert not list(tmp_path.glob(".*.part")) and not (tmp_path / "c.tar").exists()


@pytest.mark.parametrize("damage", ["unfinished", "lost", "checkpoint", "result"])
def test_only_whole_runs_are_exported(store, tmp_path, damage):
    ids = make_row(store, 0)
    if damage == "unfinished":
        (store / ids["decoder"] / "result.json").unlink()
    elif damage == "lost":
        shutil.rmtree(store / ids["encoder"])
    elif damage == "checkpoint":
        path = store / ids["encoder"] / "checkpoint.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    else:
        path = store / ids["row"] / "result.json"
        path.write_text(path.read_text().replace('"low": ', '"low": 1', 1))
    with pytest.raises(UserError, match="^(row|encoder|decoder|features)-.*: found .* accepted: ") as caught:
        archive.export_archive(tmp_path / "a.tar", [Run(store / ids["row"])])
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("*.tar"))


def test_photographs_and_what_judges_saw_of_them_stay_here(store, tmp_path):
    ids = make_row(store, 0, PHOTOGRAPHS)
    pictures = obtain({"kind": "retrieval", "encoder": ids["encoder"]}, lambda run: {"images": 30}).id
    own = obtain({"kind": "mine", "attack": "mine", "source": "0", "encoder": ids["encoder"]}, lambda run: {}).id
    seen = obtain(
        {"kind": "embedding", "recogniser": {"kind": "dlib"}, "data": PHOTOGRAPHS, "images": "a"}, lambda _: {}
    )
    with pytest.raises(UserError, match="of photographs, accepted: runs that keep none"):
        archive.export_archive(tmp_path / "a.tar", [seen])
    lines = archive.export_archive(tmp_path / "a.tar", [Run(store / id) for id in (ids["row"], pictures, own)])
    assert f"left here: the photographs, what judges saw of them, and {own}, {pictures}, which keep them" in lines
    names = "".join(tarfile.open(tmp_path / "a.tar").getnames())
    assert (
        ids["row"] in names
        and pictures not in names
        and own not in names
        and "embedding" not in names
        and "data" not in names
    )
    drawn = make_row(store, 1)
    assert len(archive.export_archive(tmp_path / "b.tar", [Run(store / drawn["row"])])) == 1


def test_a_run_with_other_bytes_is_refused_and_one_that_is_not_finished_makes_room(packed, store, tmp_path):
    other = tmp_path / "other"
    archive.import_archive(tmp_path / "a.tar", other)
    result = other / packed["encoder"] / "result.json"
    mine = result.read_text()
    result.write_text(mine + " ")
    shutil.rmtree(other / packed["row"])
    refused(tmp_path / "a.tar", other, f"found {packed['encoder']} with other bytes than {other} has")
    result.unlink()
    (other / packed["encoder"] / "metrics.jsonl").write_text("half an epoch")
    with locked(other / packed["encoder"]):
        refused(tmp_path / "a.tar", other, packed["encoder"], "at work in another process")
    assert archive.import_archive(tmp_path / "a.tar", other) == [f"2 runs put into {other}, 3 were there"]
    assert result.read_text() == mine and "half" not in (other / packed["encoder"] / "metrics.jsonl").read_text()


def test_every_byte_that_is_changed_is_seen(packed, tmp_path):
    path, other = tmp_path / "a.tar", tmp_path / "other"
    with tarfile.open(path) as tar:
        members = [(member.name, member.offset_data, member.size) for member in tar]
    whole = path.read_bytes()
    for name, offset, size in members[1:]:
        for at in (0, size // 2, size - 1):
            changed = bytearray(whole)
            changed[offset + at] ^= 1
            (tmp_path / "t.tar").write_bytes(changed)
            refused(tmp_path / "t.tar", other, f"found other bytes in {name}")


def test_an_archive_that_is_cut_is_one_line(packed, tmp_path):
    whole = (tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        at = [member.offset for member in tar]
        end = tar.offset
    for length in (0, 1, 300, 512, 700, *at[1:], at[3] + 100, at[3] + 512, at[-1] + 600, end - 2048):
        (tmp_path / "t.tar").write_bytes(whole[:length])
        refused(tmp_path / "t.tar", tmp_path / "other", "found ", "accepted: an archive as `arl export` wrote it")


@pytest.mark.parametrize("foreign", [b"PK\x03\x04" + bytes(2000), b"text", bytes(10240), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive_is_one_line(tmp_path, foreign):
    (tmp_path / "t.tar").write_bytes(foreign)
    refused(tmp_path / "t.tar", tmp_path / "other", "accepted: an archive as `arl export` wrote it")
    refused_folder = tmp_path / "folder"
    refused_folder.mkdir()
    refused(refused_folder, tmp_path / "other", "found a folder where a file is wanted")


def renamed(name, **fields):
    """Adds a member of that name, of that type, after the manifest."""

    def change(members):
        extra = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(extra, field, value)
        return [members[0], (extra, b""), *members[1:]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        renamed("../evil"),
        renamed("/tmp/evil"),
        renamed("row-123456789abc/result.json"),
        renamed("link", type=tarfile.SYMTYPE, linkname="/etc"),
        renamed("folder", type=tarfile.DIRTYPE),
        renamed("device", type=tarfile.CHRTYPE),
        lambda members: [*members, members[-1]],
    ],
)
def test_a_member_that_the_manifest_does_not_name_is_refused(packed, tmp_path, change):
    refused(repack(tmp_path / "a.tar", change), tmp_path / "other", "which its manifest does not name")
    assert not Path("/tmp/evil").exists() and not (tmp_path / "evil").exists()


def test_a_named_file_that_is_a_link_is_refused(packed, tmp_path):
    def link(members):
        found = tarfile.TarInfo(members[1][0].name)
        found.type, found.linkname = tarfile.SYMTYPE, "/etc/passwd"
        return [members[0], (found, b""), *members[2:]]

    refused(repack(tmp_path / "a.tar", link), tmp_path / "other", "which its manifest does not name")


def forged(change):
    """The manifest, as `change` leaves it."""

    def forge(members):
        manifest = json.loads(members[0][1])
        return [(members[0][0], json.dumps(change(manifest) or manifest).encode()), *members[1:]]

    return forge


def other_names(manifest, name):
    first = next(iter(manifest["runs"]))
    manifest["runs"][name] = manifest["runs"].pop(first)


def other_file(manifest, name):
    first = next(iter(manifest["runs"].values()))
    first[name] = first.pop("metrics.jsonl")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: m.update(archive=2), "found version 2, accepted: up to 1; a newer arl made it"),
        (lambda m: m.update(store=9), "found version 9, accepted: up to 1; a newer arl made it"),
        (lambda m: m.update(archive=0), "names no runs"),
        (lambda m: m.update(archive="x"), "names no runs"),
        (lambda m: m.update(runs={}), "names no runs"),
        (lambda m: m.update(runs=[1]), "names no runs"),
        (lambda m: [m], "names no runs"),
        (lambda m: other_names(m, "../row-123456789abc"), "names no runs"),
        (lambda m: other_names(m, "data"), "names no runs"),
        (lambda m: other_file(m, "../x.json"), "names no runs"),
        (lambda m: other_file(m, "model.pickle"), "names no runs"),
        (lambda m: other_names(m, "row-123456789abc"), "which its manifest does not name"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(packed, tmp_path, change, found):
    refused(repack(tmp_path / "a.tar", forged(change)), tmp_path / "other", found)


@pytest.mark.parametrize("name", ["config.json", "checkpoint.safetensors", "result.json"])
def test_a_run_with_right_sums_and_wrong_content_is_refused(packed, store, tmp_path, name):
    path = store / packed["encoder"] / name
    path.write_text('{"kind": "encoder"}')
    made = archive._files_of(store / packed["encoder"])
    archive._pack(tmp_path / "b.tar", store, {packed["encoder"]: made})
    found = {
        "config.json": "another configuration",
        "result.json": "another result",
        "checkpoint.safetensors": "damaged",
    }
    refused(tmp_path / "b.tar", tmp_path / "other", found[name])


def test_an_import_that_was_killed_goes_on(packed, store, tmp_path, monkeypatch):
    other, real, count = tmp_path / "other", Path.replace, []

    def killed(self, target):
        if self.parent.name == archive.STAGE and len(count) == 2:
            raise KeyboardInterrupt
        count.extend([1] * (self.parent.name == archive.STAGE))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(archive, "_clear", lambda stage: None)  # as after kill -9
    with pytest.raises(KeyboardInterrupt):
        archive.import_archive(tmp_path / "a.tar", other)
    monkeypatch.undo()
    there = {run.id: run for run in stored(other)}
    assert len(there) == 2 and packed["row"] not in there and all(run.result is not None for run in there.values())
    assert (other / archive.STAGE).is_dir()
    assert archive.import_archive(tmp_path / "a.tar", other) == [f"3 runs put into {other}, 2 were there"]
    assert not (other / archive.STAGE).exists() and len(list(stored(other))) == 5


def test_no_room_is_one_line_before_anything_is_written(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "free_bytes", lambda folder: 100)
    refused(tmp_path / "a.tar", tmp_path / "other", "MiB of runs, accepted: what fits into the 0 MiB free for")
    assert not (tmp_path / "other").exists()


def test_who_is_at_work_is_seen_without_waiting(store):
    store.mkdir()
    with tried(store / "a") as free:
        assert free and files.taken(store / "a")
        with tried(store / "a") as again:
            assert not again
    assert not files.taken(store / "a") and not files.taken(store / "b") and not (store / ".b.lock").exists()


def test_who_is_at_work_is_seen_where_there_are_no_locks(store, monkeypatch):
    without_locks(monkeypatch, errno.ENOLCK)
    store.mkdir()
    with locked(store / "a"):
        assert (store / ".a.owner").exists() and files.taken(store / "a")
        with tried(store / "a") as free:
            assert not free
    assert not files.taken(store / "a")
    with tried(store / "a") as free:
        assert free


def test_a_sweep_log_of_another_is_one_line(store, monkeypatch):
    (store / "sweep.log").mkdir(parents=True)
    with pytest.raises(UserError, match=r"sweep.log: found a folder where a file is wanted, accepted: "):
        schedule.Pool(1).run(stages.graph([RunConfig.preset("tiny")]))


def test_each_interpreter_has_its_own_kernel(store, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "")
    gate.kernel()
    monkeypatch.setattr(gate.platform, "node", lambda: "elsewhere")
    gate.kernel()
    kernels = list((store / ".jupyter").glob("*/kernels/python3/kernel.json"))
    assert len(kernels) == 2 and os.environ["JUPYTER_PATH"].split(os.pathsep)[0] in map(
        str, (store / ".jupyter").iterdir()
    )
