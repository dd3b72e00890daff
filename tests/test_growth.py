"""The bench of growth: its points are real processes, its powers are those of the points, its picture is drawn."""

import json

import bench_growth
import click
import pytest
from drawn import write_drawn

from arl.config import RunConfig
from arl.data import open_data


def points(kind, seconds, own, counts=(1000, 10_000, 100_000)):
    """Made-up points: `seconds` and `own` bytes by the number of images."""
    return [{"images": n, "seconds": seconds(n), "cpu": seconds(n) ** 2, "own": own(n)} for n in counts]


def test_powers_and_bytes_are_those_of_the_points():
    made = {
        "import": points("import", lambda n: n / 1000, lambda n: 4e8 + 100 * n),
        "decode": points("decode", lambda n: n / 1250, lambda n: 4e8),
        "squares": points("squares", lambda n: n / 500, lambda n: 4e8),
        "pass": points("pass", lambda n: 1e-9 * n**2, lambda n: 4e8),
        "size": [{"size": s, "images": 10, "seconds": s**2 / 1e3, "own": 4e8} for s in (32, 64, 128)],
    }
    found = {one["name"]: one for one in bench_growth.figures(made, {"images": 500, "done": 0.4, "equal": True})}
    assert found["import of JPEGs: time against images"]["value"] == pytest.approx(1.0)
    assert found["finding them, and one pass of batches: time against images"]["value"] == pytest.approx(2.0)
    assert found["finding them, and one pass of batches: memory against images"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["import of JPEGs: memory a further image"]["value"] == pytest.approx(100)
    assert found["joint step, an image: time against pixels a side"]["value"] == pytest.approx(2.0)
    assert found["import's speed, of decoding alone, 100000 images, all cores"]["value"] == pytest.approx(0.8)
    plain = "reading, decoding, cutting and resizing a file at a time"
    assert found[f"import's speed, of {plain}, 100000 images, all cores"]["value"] == pytest.approx(2)
    assert found[f"{plain}, of import's processor time, 100000 images, all cores"]["value"] == pytest.approx(4)
    assert found["import of 500 images, killed with -9 at 40%, called again"]["value"] == 1.0
    assert all(one["command"].startswith("python tests/bench_growth.py OUT.json --parts ") for one in found.values())
    json.dumps(list(found.values()), allow_nan=False)


def test_what_was_not_measured_has_no_figure():
    assert bench_growth.figures({}) == []
    alone = bench_growth.figures({"runs": [{"asked": {"runs": 9, **dict.fromkeys(bench_growth.ASKED, 0.0)}}]})
    assert [one["unit"] for one in alone] == ["s"] * len(bench_growth.ASKED), "one store has no power of growth"


def test_what_is_kept_is_of_the_parts_that_are_not_measured_anew(tmp_path):
    one, other = (bench_growth.figure(part, "s", 1.0, part) for part in ("images", "runs"))
    report = {
        "machine": {"cpu": "x", "cores": 2, "torch": "2"},
        "figures": [one, other],
        "points": {"import": [1], "squares": [2], "runs": [3]},
        "resumed": {"done": 0.5},
    }
    (tmp_path / "growth.json").write_text(
        json.dumps(report | {"measured": {"images": {"load": 0.1}, "runs": {"load": 4.0}}})
    )
    about = {"cpu": "x", "cores": 2, "torch": "2"}
    kept = bench_growth.kept(tmp_path / "growth.json", {"images", "resume"}, about)
    assert kept.pop("machine") == about
    assert kept == {"figures": [other], "points": {"runs": [3]}, "measured": {"runs": {"load": 4.0}}, "resumed": None}
    kept = bench_growth.kept(tmp_path / "growth.json", {"runs"}, about | {"load": 1.0})
    assert kept["figures"] == [one] and set(kept["points"]) == {"import", "squares"}
    assert kept["resumed"] == {"done": 0.5}
    with pytest.raises(click.BadParameter, match=r"found growth\.json of cores 2, accepted: 4, as here"):
        bench_growth.kept(tmp_path / "growth.json", {"runs"}, about | {"cores": 4})


def test_the_picture_has_a_line_for_each_kind_with_its_power():
    asked = [{"asked": {"runs": n, **dict.fromkeys(bench_growth.ASKED, n / 1e3)}} for n in (10, 100)]
    made = {"import": points("import", lambda n: n / 1000, lambda n: 4e8), "runs": asked}
    figure = bench_growth.growth_figure(made)
    labels = [line.get_label() for axis in figure.axes for line in axis.get_lines()]
    assert labels.count("import of JPEGs (1.00)") == 1 and "arl runs (1.00)" in labels
    assert any(label.startswith("import of JPEGs (") and label.strip("-").endswith("0.00)") for label in labels)


def test_a_point_is_a_process_that_imports_and_says_what_it_took(tmp_path):
    paths = write_drawn(tmp_path / "photographs", 12, distinct=4)
    assert paths[5].read_bytes() == paths[1].read_bytes() and paths[5].stat().st_nlink == 3
    given = {"root": str(tmp_path / "photographs"), "size": 32}
    found = bench_growth.point("import", tmp_path / "runs", **given)
    assert found["size"] == 32 and "root" not in found and found["seconds"] > 0
    assert 1e7 < found["before"] <= found["own"] <= found["resident"] < 1e11
    assert len(bench_growth.digests(tmp_path / "runs")) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARL_RUNS", str(tmp_path / "runs"))
        data = open_data(RunConfig(data="celeba", data_root=given["root"], image_size=32), progress=False)
    assert len(data) == 12 and list(data.identities) == [1] * 4 + [2] * 4 + [3] * 4
    assert (data.images[5] == data.images[1]).all() and "8 images are the same as another" in data.left_out[-1]
    with pytest.raises(Exception, match="import: .*photographs"):
        bench_growth.point("import", tmp_path / "runs", root=str(tmp_path / "no photographs"), size=32)
