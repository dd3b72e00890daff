"""An installed wheel works from any folder, and takes nobody else's notebooks for its own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from optional import need

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The unpacked wheel."""
    need("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def foreign(tmp_path):
    """A folder of another project, with notebooks and a repository of its own."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_send_invoices.ipynb").write_text("{}")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def arl(site, folder, *arguments):
    kept = {k: v for k, v in os.environ.items() if k not in ("ARL_RUNS", "ARL_FIGURES")}
    command = [sys.executable, "-m", "arl.cli", *arguments]
    environment = {**kept, "PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_the_wheel_holds_what_it_needs(installed):
    package = installed / "arl"
    assert len(list((package / "notebooks").glob("[0-9]*.ipynb"))) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for name in ("paper/table1.csv", "data/orl_attributes.csv", "paper/README.md", "workbook/explorer.css"):
        assert (package / name).is_file(), name
    assert not list(installed.rglob("*.png")), "figures stay in the checkout"


def test_no_other_project_s_notebooks_are_taken(installed, foreign):
    ran = arl(installed, foreign, "reproduce", "01_send")
    assert ran.returncode == 1 and ran.stderr.startswith("arl: NOTEBOOK: found '01_send', accepted: 00_quickstart")
    copied = arl(installed, foreign, "notebooks", "mine")
    assert copied.returncode == 0 and (foreign / "mine" / "01_train.ipynb").is_file(), copied.stderr
    again = arl(installed, foreign, "notebooks", "mine")
    assert again.returncode == 1 and again.stderr.startswith("arl: COPY_TO: found"), "no file is replaced"


def test_the_notebooks_run_from_the_wheel_and_the_store_is_where_it_was_typed(installed, foreign):
    ran = arl(installed, foreign, "reproduce", "--preset", "tiny", "00")
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()) == foreign / "runs" / "notebooks" / "00_quickstart.ipynb"
    assert list((foreign / "runs" / "figures" / "tiny").glob("*.png")), "figures go to the store"
    for result in (foreign / "runs").glob("*/result.json"):
        assert '"commit": "unknown"' in result.read_text(), "not the commit of the user's repository"
