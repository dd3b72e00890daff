"""What the tests share: a store of their own, one thread, and one tiny trained row for all that only look at it."""

import os
import signal
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ARL_THREADS"] = "1"
os.environ.setdefault("ARL_PRECISION", "float32")  # a processor with bf16 would have other digits

import arl


@pytest.fixture(scope="session")
def session_store(tmp_path_factory):
    """A run store that lives as long as the session: what is rendered or trained in it is shared by the tests."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def shared_store(session_store, monkeypatch):
    monkeypatch.setenv("ARL_RUNS", str(session_store))
    return session_store


@pytest.fixture(scope="module")
def rows_of(session_store, tmp_path_factory):
    """Makes a store with these rows and no others, which would be nearer; the faces are the session's."""

    def make(*cfgs):
        root = tmp_path_factory.mktemp("rows")
        (session_store / "data").mkdir(exist_ok=True)
        (root / "data").symlink_to(session_store / "data")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ARL_RUNS", str(root))
            for cfg in cfgs:
                arl.run(cfg)
        return root

    return make


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty run store of one test."""
    monkeypatch.setenv("ARL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The command in this process, in a folder and a store of its own: its exit status, and what it printed."""
    for name, value in {
        "ARL_RUNS": tmp_path / "runs",
        "ARL_FIGURES": tmp_path / "figures",
        "PYTHONSAFEPATH": 1,
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)

    from arl import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["arl", *arguments])
        handler = signal.getsignal(signal.SIGTERM)
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code
        finally:
            signal.signal(signal.SIGTERM, handler)
        out, err = capsys.readouterr()
        return (1, out, f"{err}{status}\n") if isinstance(status, str) else (status, out, err)

    return run
