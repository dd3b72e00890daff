"""`arl`: one row of Table 1, the store of runs, what would be done, and the whole reproduction."""

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from arl import __version__
from arl.config import PRESETS
from arl.inputs import anchored_path, row, split_settings
from arl.messages import UserError, lenient_streams

PRESET = click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="quick",
    show_default=True,
    help="Where the settings start from.",
)
SET = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of RunConfig; repeatable."
)


def _load_plugins(context: click.Context, option: click.Option, paths: tuple[str, ...]) -> None:
    if paths:
        from arl import plugins

        for path in paths:
            plugins.load(path)


PLUGIN = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    is_eager=True,  # before any other parameter is read
    expose_value=False,
    callback=_load_plugins,
    help="A Python file with a Defence or an Attack of your own; repeatable.",
)


SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Of a Dask cluster, such as tcp://host:8786, whose workers train: arl/cluster/README.md.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """How much of a face can be recovered from features, and what preventing it costs."""


@cli.command("run")
@PRESET
@SET
@PLUGIN
@SCHEDULER
def run_command(preset: str, settings: tuple[str, ...], scheduler: str | None) -> None:
    """Train Enc, attack it, and print one row of Table 1 with its 95 % intervals."""
    cfg = row(preset, split_settings(settings))
    from arl import devices, experiment, gate, machine, schedule  # torch is slow; a slip should not wait
    from arl.paper import row_text

    _settle(scheduler=scheduler)
    if machine.scheduler():
        devices.only_one("a scheduler")  # whose workers train a row each
    devices.serve_if_called()
    (cfg,) = gate.ready([cfg])
    with devices.started():
        click.echo(row_text(schedule.sweep([cfg])[0] if machine.scheduler() else experiment.run(cfg)))


@cli.command("check")
@PRESET
@SET
@PLUGIN
@click.argument("names", nargs=-1, metavar="[NOTEBOOK]...")
def check_command(preset: str, settings: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Train nothing: say what was found (faces, judges), what is stored, what would be trained, and every problem.

    Of one row, as `arl run` would train it, or of the rows that the notebooks whose names start with NOTEBOOK ask for.
    """
    given = split_settings(settings)
    cfg = None if names else row(preset, given)
    from arl import check as checks

    _settle()
    found = checks.of_notebooks(names, {"preset": preset, **given}) if names else checks.of_rows([cfg])
    for line in found.lines:
        click.echo(line)
    for line in found.problems:
        click.echo(f"problem: {line}")
    if found.problems:
        sys.exit(1)


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which stored runs are meant."""
    preset = click.Choice(list(PRESETS))
    for option in (
        click.option("--since", metavar="DATE", help="Begun then or later, such as 2026-01-31."),
        click.option("--preset", type=preset, help="Rows whose configuration is nearest to this preset."),
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Rows made with it; repeatable."),
        PLUGIN,
    ):
        command = option(command)
    return command


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of lines.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N of them.")
@click.option("--sort", metavar="METRIC", help="By a figure, such as face_similarity, lowest first.")
@filters
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="row, encoder, decoder, ...; repeatable.")
def runs(kinds: tuple[str, ...], as_json: bool, **meant: Any) -> None:
    """List the runs of the store, oldest first."""
    from arl import listing

    wanted = listing.Wanted(kinds, **meant | {"settings": tuple(split_settings(meant["settings"]).items())})
    if as_json:
        click.echo(json.dumps([each.as_json() for each in listing.chosen(wanted)], indent=1))
    else:
        for line in listing.runs_lines(wanted):
            click.echo(line)


@cli.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one run: what defines it, how far it is, what it ended with. ID may be a part of an id."""
    from arl.store import find_run

    found = find_run(id)
    click.echo(json.dumps({"id": found.id, "folder": str(found.folder), "defined by": found.spec}, indent=1))
    if found.metrics:
        click.echo("last epoch: " + json.dumps(found.metrics[-1]))
    click.echo("result: " + (json.dumps(found.result, indent=1) if found.result is not None else "none yet"))


@cli.command()
@PRESET
@SET
@PLUGIN
@SCHEDULER
@click.option("--figures", metavar="FOLDER", help="Where figures go; by default figures/ in the store.")
@click.option("--again", is_flag=True, help="Execute also the notebooks whose copies still stand.")
@click.argument("names", nargs=-1, metavar="[NOTEBOOK]...")
def reproduce(
    preset: str,
    settings: tuple[str, ...],
    scheduler: str | None,
    figures: str | None,
    again: bool,
    names: tuple[str, ...],
) -> None:
    """Execute the paper's notebooks in order (or those whose names start with NOTEBOOK); executed copies go to the store.

    11_audit, 13_budget and 14_factors go beyond the paper: name them. A copy stands as long as notebook, parameters, rows, code,
    packages and figures are as they were; it is not executed again.
    """
    parameters: dict[str, Any] = {"preset": preset, **split_settings(settings)}
    from arl import devices, gate
    from arl.workbook.notebooks import execute_all

    devices.only_one("arl reproduce")
    if figures is not None:
        os.environ["ARL_FIGURES"] = anchored_path("--figures", figures)
        gate.figures("--figures")
    _settle(scheduler=scheduler)
    for executed in execute_all(names, parameters, again):
        click.echo(executed)


@cli.command("export")
@filters
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N rows of them.")
@click.argument("archive", metavar="ARCHIVE")
@click.argument("ids", nargs=-1, metavar="[ID]...")
def export_command(archive: str, ids: tuple[str, ...], **meant: Any) -> None:
    """Put runs, and the runs that they stand on, into the new file ARCHIVE: those of ID, and the rows that the options mean.

    Faces and embeddings are never in it.
    """
    from arl import listing
    from arl.store import archive as archives
    from arl.store import find_run

    found = [find_run(id) for id in ids]
    if any(meant.values()):
        settings = tuple(split_settings(meant.pop("settings")).items())
        found += [each.run for each in listing.chosen(listing.Wanted(("row",), settings, **meant)) if each.result]
    for line in archives.export_archive(Path(anchored_path("ARCHIVE", archive)), found):
        click.echo(line)


@cli.command("import")
@click.argument("archive", metavar="ARCHIVE")
def import_command(archive: str) -> None:
    """Put the runs of ARCHIVE, which `arl export` wrote, into the store, once every byte of it has been checked."""
    from arl.store import archive as archives

    for line in archives.import_archive(Path(anchored_path("ARCHIVE", archive))):
        click.echo(line)


@cli.command()
@click.option("--delete", "really", is_flag=True, help="Delete it; else it is only listed.")
@click.option("--keep", multiple=True, metavar="ID", help="A run to keep, with all that it needs; repeatable.")
@click.option("--days", type=click.FloatRange(0), default=1, show_default=True, help="What is younger stays.")
def gc(really: bool, keep: tuple[str, ...], days: float) -> None:
    """List what no figure names and nothing needs that one names; with --delete, delete it."""
    from arl.store import runs_root, unused

    root, folders = runs_root(), _figure_folders()
    named = unused.named_by_figures(folders)
    found = unused.unused(root, named, keep, days)
    if really:
        unused.refuse_without_figures(root, folders, named, keep)
        found = unused.delete(root, found)
    for line in unused.sizes_text(found):
        click.echo(line)
    click.echo("deleted" if really else "nothing was deleted; arl gc --delete deletes these")


def _figure_folders() -> list[Path]:
    """Where figures may lie: where they go now, the store's, the explorer's exports, the project's."""
    from arl.machine import folder
    from arl.store import project_root, runs_root

    places = (folder("ARL_FIGURES"), runs_root() / "figures", runs_root() / "exports", project_root() / "figures")
    return list(dict.fromkeys(place for place in places if place is not None))


@cli.command("audit")
@PRESET
@SET
@PLUGIN
@click.option("--size", default="", metavar="PIXELS", help="Side of the encoder's images, or height,width.")
@click.option("--mean", default="", metavar="NUMBER", help="Subtracted from RGB in [0, 1]; one number or three.")
@click.option("--std", default="", metavar="NUMBER", help="What is divided by then; one number or three.")
@click.option("--json", "as_json", metavar="FILE", help="Write all figures there, for a machine.")
@click.option(
    "--report", "reports", multiple=True, metavar="FILE", help="Ten answers for people: .html or .pdf; repeatable."
)
@click.option(
    "--against", default="", metavar="AUDIT", help="Also say what differs from the finished audit of this id."
)
@click.argument("target", metavar="TARGET")
def audit_command(
    preset: str,
    settings: tuple[str, ...],
    as_json: str | None,
    reports: tuple[str, ...],
    against: str,
    target: str,
    **options: str,
) -> None:
    """Attack an encoder with the fixed suite of attackers, and say what its features give away.

    TARGET is the id of a stored row, encoder or audit, or a file: TorchScript, torch.export (.pt2) or ONNX. Killed, the same command goes
    on.
    """
    given, to = split_settings(settings), as_json and Path(anchored_path("--json", as_json))
    from arl import devices, gate
    from arl.audit import audit, audit_json, audit_text, difference_of, difference_text, stored_audit
    from arl.audit.report import report_path
    from arl.store import make_folder, write_json

    devices.only_one("arl audit")
    pages = [report_path(anchored_path("--report", each)) for each in reports]
    for path, option in [(to, "--json")] * bool(to) + [(each, "--report") for each in pages]:
        gate.writable(path.parent, option)
    _settle()
    other = stored_audit(against) if against else None
    found = audit(target, given, preset=preset, against=other, **options)
    click.echo(audit_text(found))
    difference = {} if other is None else {"against": difference_of(found, other)}
    if other is not None:
        click.echo(f"\n{difference_text(difference['against'])}")
    if to:
        make_folder(to.parent)
        write_json(to, audit_json(found) | difference)
    if pages:
        from arl.paper import write_report

        for each in pages:
            write_report(found, each)


@cli.command("notebooks")
@click.argument("copy_to", metavar="COPY_TO")
def notebooks_command(copy_to: str) -> None:
    """Copy the notebooks into the folder COPY_TO, to open them in JupyterLab."""
    from arl.workbook.notebooks import copy_to as copy

    for path in copy(Path(anchored_path("COPY_TO", copy_to))):
        click.echo(path)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8866, show_default=True, help="0 for any free one.")
def app(port: int) -> None:
    """Serve the explorer as a page without code, to this machine alone; prints the address."""
    from arl.workbook.app import serve

    _settle("exports")
    serve(port)


def _settle(figures: str = "figures", scheduler: str | None = None) -> None:
    """Fix the folders of store and figures as seen from here, for this process and its children: `figures` in the store by default.

    What is committed is replaced only when its folder is named. `scheduler`: of the cluster that does the work, else `$ARL_SCHEDULER`;
    it answers, and its workers fit, before anything is drawn.
    """
    from arl.store import runs_root, settle

    settle()
    os.environ.setdefault("ARL_FIGURES", str(runs_root() / figures))
    if scheduler:
        os.environ["ARL_SCHEDULER"] = scheduler
        from arl.cluster.client import check_scheduler

        check_scheduler(scheduler)


def _terminated(number: int, frame: Any) -> NoReturn:
    """SIGTERM ends as an error does, so that whatever was started is ended too."""
    raise SystemExit(128 + number)


def main() -> None:
    """The console script: errors that the user can mend are one line, not a traceback."""
    lenient_streams()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of a home that cannot be written to it has much to say
    signal.signal(signal.SIGTERM, _terminated)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        sys.exit(f"arl: {error}")
    except BrokenPipeError:  # a reader such as `head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):  # what remains is said where it is written
            _bug()
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(f"arl: {error.filename or 'standard output'}: found {error.strerror}, accepted: a disk with room")
    except (click.Abort, KeyboardInterrupt):
        sys.exit("arl: interrupted; the same command goes on from the last epoch")
    except Exception as error:
        if type(error).__name__ == "TrainingError":  # torch is not imported for a name
            sys.exit(f"arl: {error}")
        _bug()
        raise


def _bug() -> None:
    print(f"arl {__version__}: this is a bug, please report it with the lines below", file=sys.stderr)


if __name__ == "__main__":
    main()
