"""`arl`: one row of Table 1, the store of runs, and the whole reproduction."""

import json
import sys

import click

from arl import __version__
from arl.config import PRESETS, RunConfig, parse_settings
from arl.messages import UserError

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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """How much of a face can be recovered from features, and what preventing it costs."""


@cli.command()
@PRESET
@SET
def run(preset: str, settings: tuple[str, ...]) -> None:
    """Train Enc, attack it, and print one row of Table 1 with its 95 % intervals."""
    cfg = RunConfig.preset(preset, **parse_settings(settings))
    from arl import experiment  # torch is slow to import; a mistyped parameter should not wait for it
    from arl.paper import row_text

    row = experiment.run(cfg)
    click.echo(row_text(row))


@cli.command()
def runs() -> None:
    """List the runs of the store, oldest first."""
    from arl.paper import runs_text

    click.echo(runs_text())


@cli.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one run: what defines it, how far it is, what it ended with. ID may be a part of an id."""
    from arl.store import find

    found = find(id)
    click.echo(json.dumps({"id": found.id, "folder": str(found.folder), "defined by": found.spec}, indent=1))
    if found.metrics:
        click.echo("last epoch: " + json.dumps(found.metrics[-1]))
    click.echo("result: " + (json.dumps(found.result, indent=1) if found.result is not None else "none yet"))


@cli.command()
@PRESET
@SET
@click.argument("names", nargs=-1, metavar="[NOTEBOOK]...")
def reproduce(preset: str, settings: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Execute the notebooks in order (or those whose names start with NOTEBOOK); executed copies go to the store."""
    from arl.workbook.notebooks import execute_all

    parameters = {"preset": preset, **parse_settings(settings)}
    RunConfig.preset(preset)
    for executed in execute_all(names, parameters):
        click.echo(executed)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8866, show_default=True, help="0 for any free one.")
def app(port: int) -> None:
    """Serve the explorer as a page without code, to this machine alone; prints the address."""
    from arl.workbook.app import serve

    serve(port)


def main() -> None:
    """The console script: errors that the user can mend are one line, not a traceback."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (UserError, LookupError) as error:
        sys.exit(f"arl: {error}")
    except Exception as error:
        if type(error).__name__ != "TrainingError":  # torch is not imported for a name
            raise
        sys.exit(f"arl: {error}")
    except (click.Abort, KeyboardInterrupt):
        sys.exit("arl: interrupted; the same command goes on from the last epoch")


if __name__ == "__main__":
    main()
