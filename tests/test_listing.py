"""`arl runs`: which runs are meant, what is said of them, and how little is read for it."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from synthetic import write_row

from arl import listing
from arl.config import RunConfig
from arl.listing import Wanted, chosen
from arl.messages import ConfigError
from arl.store import files, find_run, runs
from arl.workbook import choice


@pytest.fixture
def rows(store):
    """Three rows, a second apart: of tiny, of tiny with λ1 = 2 at conv3, of quick; the ids of each by kind."""
    cfgs = [RunConfig.preset("tiny", seed=7), RunConfig.preset("tiny", lambda1=2, layer="conv3"), RunConfig()]
    made = [write_row(store, i, cfg) for i, cfg in enumerate(cfgs)]
    for when, ids in enumerate(made):
        for id in ids.values():
            os.utime(store / id / "config.json", (1e9 + 86400 * when,) * 2)
    return made


def ids(**wanted):
    return [each.run.id for each in chosen(Wanted(("row",), **wanted))]


def test_filters_choose_rows(rows):
    first, second, third = (made["row"] for made in rows)
    assert ids() == [first, second, third]
    for settings, found in (
        ({"lambda1": "2"}, [second]),
        ({"lambda1": "2.0", "layer": "conv3"}, [second]),
        ({"lambda1": "0"}, [first, third]),
        ({"seed": "7"}, [first]),
        ({"attributes": "all"}, [first, second, third]),
        ({"attacks": "decoder,features"}, [first, second, third]),
        ({"data": "celeba"}, []),
        ({"dropout": "0.0"}, [first, second, third]),
    ):
        assert ids(settings=tuple(settings.items())) == found, settings
    assert ids(preset="tiny") == [first, second] and ids(preset="quick") == [third] and ids(preset="paper") == []
    assert ids(since="2001-09-10") == [second, third] and ids(since="2001-09-10T12:00:00") == [third]
    assert ids(last=2) == [second, third] and ids(last=1, preset="tiny") == [second]


def test_a_row_of_before_a_parameter_has_its_default(rows, store):
    path = store / rows[0]["row"] / "result.json"
    result = json.loads(path.read_text())
    del result["config"]["cuts"]
    path.write_text(json.dumps(result))
    assert rows[0]["row"] in ids(settings=(("cuts", "half"),))
    assert ids(settings=(("cuts", "mcc"),)) == []


def test_they_are_sorted_by_a_figure(rows):
    values = [each.metrics["face_similarity"] for each in chosen(Wanted(sort="face_similarity"))]
    assert len(values) == 3 and values == sorted(values)
    (best,) = chosen(Wanted(sort="face_similarity", last=1))
    assert best.metrics["face_similarity"] == values[-1]
    with pytest.raises(ConfigError, match="^--sort: found 'fame', accepted: .*face_similarity"):
        chosen(Wanted(sort="fame"))


def test_kinds_and_json(rows, here):
    code, out, _ = here("runs", "--kind", "encoder", "--kind", "recogniser", "--json")
    found = json.loads(out)
    assert {each["kind"] for each in found} == {"encoder", "recogniser"} and len(found) == 4
    code, out, _ = here("runs", "--set", "lambda1=2", "--json")
    (row,) = json.loads(out)
    assert row["id"] == rows[1]["row"] and row["config"]["layer"] == "conv3" and 0 <= row["metrics"]["mean_mcc"] <= 1
    assert row["state"] == "finished" and row["begun"].startswith("2001-09-10") and row["defined_by"]["kind"] == "row"
    code, out, _ = here("runs", "--last", "1", "--preset", "tiny")
    assert not code and out.split()[0] == rows[1]["row"] and out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--set", "lamda1=1"], "arl: lamda1: no such parameter, accepted: data, "),
        (["--set", "lambda1=-1"], "arl: lambda1: found '-1', accepted: greater than or equal to 0"),
        (["--set", "epochs=1e"], "arl: epochs: found '1e', accepted: a valid integer"),
        (["--set", "layer=conv9"], "arl: layer: found 'conv9', accepted: 'conv1', 'conv2'"),
        (["--set", "defence=none"], "arl: defence: found 'none', accepted: adversarial, nopeek"),
        (["--set", "lambda1"], "arl: --set: found 'lambda1', accepted: NAME=VALUE"),
        (["--since", "yesterday"], "arl: --since: found 'yesterday', accepted: a date such as 2026-01-31"),
        (["--since", "99999-01-01"], "arl: --since: found '99999-01-01', accepted: a date"),
        (["--kind", "rows"], "arl: --kind: found 'rows', accepted: decoder, encoder, features, recogniser, row"),
        (["--sort", "fame"], "arl: --sort: found 'fame', accepted: "),
    ],
)
def test_a_mistake_in_a_filter_is_one_line(rows, here, arguments, line):
    code, out, err = here("runs", *arguments)
    assert code == 1 and out == "" and err.startswith(line) and err.count("\n") == 1, err


def test_each_file_is_read_once_and_only_where_it_is_asked_for(rows, monkeypatch):
    read = Counter()
    real = files.read_json

    def count(path):
        read[Path(path).parent.name, Path(path).name] += 1
        return real(path)

    monkeypatch.setattr(runs, "read_json", count)
    listing.runs_text()
    assert max(read.values()) == 1 and len(read) == 2 * 13
    read.clear()
    listing.runs_text(Wanted(("row",), last=1))
    assert set(read) == {(rows[2]["row"], "config.json"), (rows[2]["row"], "result.json")}
    read.clear()
    lines = listing.runs_lines()
    first = next(lines)
    assert len(read) == 2 and {folder for folder, _ in read} == {first.split()[0]}, "a line waits for its run alone"
    assert "\n".join([first, *lines]) == listing.runs_text()
    read.clear()
    find_run(rows[0]["encoder"][3:])
    assert set(read) == {(rows[0]["encoder"], "config.json")}


def test_a_list_does_not_wait_for_torch(rows, store):
    program = "import sys\nfrom arl import cli\ntry:\n    cli.main()\nexcept SystemExit:\n    pass\n"
    program += "sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    for arguments in (["runs", "--set", "lambda1=2"], ["gc"], ["show", rows[0]["row"]]):
        ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
        assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_an_empty_list_says_why(store, here):
    assert "no runs yet" in here("runs")[1]
    write_row(store, 0)
    assert "no such run" in here("runs", "--set", "lambda1=6.5")[1]


def test_the_explorer_starts_with_the_same_rows(rows, store):
    assert {row.id for row in choice.Store(store).rows} == {made["row"] for made in rows}
