"""The READMEs: short, their numbers those of the committed figures, their links alive."""

import csv
import json
import re
import shutil

import nbformat
import pytest
from lab import ROOT

from arl.paper import speed, summary

README, FIGURES = ROOT / "README.md", ROOT / "figures"
CELL = re.compile(r"(-?[\d.]+) ± ([\d.]+) \((-?[\d.]+)\)")


def test_the_first_readme_is_short():
    lines = README.read_text().splitlines()
    assert len(lines) <= 100
    first_screen = "\n".join(lines[:20])
    assert "![" in first_screen and first_screen.count("```") == 2, "one figure, two commands"


def test_its_small_table_is_that_of_the_committed_csv():
    with (FIGURES / "quick" / "02_table1.csv").open(newline="") as file:
        cells = {(cell["row"], cell["metric"]): cell for cell in csv.DictReader(file)}
    lines = [line for line in README.read_text().splitlines() if re.match(r"\| #\d+ ", line)]
    assert len(lines) >= 3
    for line in lines:
        row = "1" + re.match(r"\| (#\d+) ", line)[1]
        found = CELL.findall(line)
        assert len(found) == 3
        for metric, (value, half, paper) in zip(
            ("mean_mcc", "face_similarity", "feature_similarity"), found, strict=True
        ):
            cell = cells[row, metric]
            assert cell["label"] in line
            assert float(value) == pytest.approx(float(cell["value"]), abs=5e-4)
            assert float(half) == pytest.approx((float(cell["high"]) - float(cell["low"])) / 2, abs=5e-4)
            assert float(paper) == float(cell["paper"])


def test_what_is_written_by_the_command_is_what_is_committed():
    assert (FIGURES / "README.md").read_text() == summary.text(FIGURES)
    assert summary.readme(README.read_text(), FIGURES) == README.read_text()


def test_the_summary_follows_its_files(tmp_path):
    """One seed, a table that nobody drew, a preset of its own: what is written is what lies there."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    assert "##" not in summary.text(tmp_path).split("## What is measured")[0], "no table, no preset"
    for name in ("02_table1.csv", "02_table1.json"):
        text = (FIGURES / "quick" / name).read_text()
        (folder / name).write_text(text.replace("0.6663137102243921", "0.1239999999999999"))
    text = summary.write_summary(tmp_path).read_text()
    assert "## Preset tiny" in text and "| #1 no protection | 0.124 ±" in text
    assert "Table 2" not in text.split("## What is measured")[0] and "### Claims ledger" not in text
    shutil.copy(FIGURES / "quick" / "10_claims.json", folder)
    text = summary.text(tmp_path)
    assert "17 hold, 3 are undecided, 4 fail" in text
    assert "What we know of the causes" not in text, "those are the causes of the preset quick"


def write_bench(tmp_path, bench, **figure):
    (tmp_path / "bench").mkdir(exist_ok=True)
    machine = {"cpu": "A processor", "flags": ["avx2"], "cores": 2, "threads": 1, "torch": "2.14"}
    command = f"python tests/bench_{bench}.py OUT.json"
    one = {"key": "joint", "name": "joint step", "unit": "images/s", "value": 1234.5, "low": 1200.0, "high": 1300.0}
    found = {"bench": bench, "date": "2026-11-26T00:00:00+00:00", "commit": "0123456789abcdef", "machine": machine}
    found |= {"limit": {"16 channels": 50.0, "64 channels": 80.0}, "figures": [one | {"command": command} | figure]}
    (tmp_path / "bench" / f"{bench}.json").write_text(json.dumps(found))


def test_a_bench_s_json_becomes_the_table_of_speed(tmp_path):
    assert "## Speed" not in summary.text(tmp_path)
    write_bench(tmp_path, "yardstick", gflops=40.0, share=0.5, ratio={"value": 1.5, "low": 1.25, "high": 1.75})
    write_bench(tmp_path, "growth", name="import", unit="exponent", value=0.98765, low=None, high=None)
    (tmp_path / "bench" / "else.json").write_text('{"no": "bench"}')
    (tmp_path / "bench" / "torn.json").write_text("{")
    text = summary.write_summary(tmp_path).read_text()
    section = text[text.index("## Speed") : text.index("## What is measured")]
    cells = "joint step | 1 230 images/s (1 200 … 1 300) | 50% (40 GFLOP/s) | 1.50 × (1.25 … 1.75)"
    assert f"| {cells} | `python tests/bench_yardstick.py OUT.json` |" in section.splitlines()
    assert "| import | 0.988 exponent | `python tests/bench_growth.py OUT.json` |" in section.splitlines()
    assert "a plain convolution reaches 80 GFLOP/s (64 channels); 2026-11-26, commit 0123456789ab." in section
    assert "else" not in section and "torn" not in section and "![" not in section
    (tmp_path / "bench" / "growth.png").write_bytes(b"")
    assert "![Growth](bench/growth.png)" in summary.text(tmp_path)


def test_parts_of_a_bench_that_are_of_several_commits_say_so():
    bench = {"machine": {"cores": 2}, "date": "2026-11-26T00:00:00+00:00", "commit": "b" * 40}
    measured = {"images": {"commit": "a" * 40}, "size": {"commit": "a" * 40}}
    assert speed.measured_with(bench | {"measured": measured}).endswith(f"2026-11-26, commit {'a' * 12}."), (
        "not that of another part"
    )
    measured["runs"] = {"commit": "b" * 40}
    words = f"2026-11-26, images size at commit {'a' * 12}, runs at commit {'b' * 12}."
    assert speed.measured_with(bench | {"measured": measured}).endswith(words)


def test_numbers_are_short():
    assert [speed.short(v) for v in (0.12345, 45.678, 123456.0, 999.9, 0, 1.0, 0.000987654)] == [
        "0.123", "45.7", "123 000", "1 000", "0", "1.00", "0.000988",
    ]  # fmt: skip


EVERY = [README, FIGURES / "README.md", *sorted(ROOT.glob("arl/**/README.md"))]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_every_notebook_is_on_the_map():
    text = README.read_text()
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert f"](notebooks/{path.name})" in text


def test_where_things_are_is_where_they_are():
    paths = re.findall(r"arl/[\w/]+(?:\.py|/)", README.read_text())
    assert len(set(paths)) > 15
    for path in paths:
        assert (ROOT / path).exists(), path


def test_no_notebook_defines_a_function():
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert not any(re.search(r"^\s*def ", cell.source, re.MULTILINE) for cell in cells), path.name
        after = cells[[cell.metadata.get("tags") for cell in cells].index(["parameters"]) + 1]
        assert "arl.notebook(globals())" in after.source, f"{path.name}: right after the parameters"
