"""A Dask cluster of Slurm jobs: `python -m arl.cluster.slurm --jobs 4 --processes 16 -- arl reproduce`.

It needs `pip install dask-jobqueue`. The scheduler runs in this process, on a node that the jobs reach; COMMAND finds it in
`$ARL_SCHEDULER`. Without COMMAND the address is printed, and the cluster stays until Ctrl-C. The jobs end with this process.
"""

import os
import subprocess
import sys
import threading
from typing import Any

import click

from arl.machine import KEEP_MEMORY
from arl.messages import UserError, lenient_streams

BEFORE_ITS_END = (
    5  # minutes before a job's end at which its workers leave: their stages go elsewhere, and no failure is counted
)


def options(
    processes: int, memory: str, walltime: str, gpus: bool, directives: tuple[str, ...] = (), **given: str | None
) -> dict[str, Any]:
    """The keywords of `dask_jobqueue.SLURMCluster` for jobs of `processes` workers, one thread each, or of one with a GPU.

    `walltime`: [HOURS:]MINUTES:SECONDS, as Slurm's; `given`: keywords passed on where they are set. Raises `UserError`.
    """
    minutes = _minutes(walltime) - BEFORE_ITS_END
    workers = ["--lifetime", f"{minutes}m", "--lifetime-stagger", "1m"]
    mine = {"cores": 1, "processes": 1, "job_cpu": processes} if gpus else {"cores": processes, "processes": processes}
    return {
        **mine,
        "memory": memory,
        "walltime": walltime,
        "job_extra_directives": [*directives, *(["--gres=gpu:1"] if gpus else [])],
        "worker_extra_args": workers + (["--resources", "GPU=1"] if gpus else []),
        "job_script_prologue": [f"export {name}={text}" for name, text in {"ARL_THREADS": "1", **KEEP_MEMORY}.items()],
        "python": sys.executable,
        **{name: text for name, text in given.items() if text is not None},
    }


def _minutes(walltime: str) -> int:
    parts = walltime.split(":")
    if len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts):
        raise UserError(f"--walltime: found {walltime!r}, accepted: HOURS:MINUTES:SECONDS, such as 08:00:00")
    hours, minutes = (int(part) for part in (["0", *parts])[-3:-1])
    if (whole := 60 * hours + minutes) <= 2 * BEFORE_ITS_END:
        raise UserError(f"--walltime: found {walltime!r}, accepted: more than {2 * BEFORE_ITS_END} minutes")
    return whole


@click.command()
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option(
    "--processes", type=click.IntRange(1), default=8, show_default=True, help="Cores of a job, a worker each."
)
@click.option("--gpus", is_flag=True, help="A GPU for each job, whose one worker has all its cores.")
@click.option("--memory", default="16GB", show_default=True, help="Of a job.")
@click.option("--walltime", default="08:00:00", show_default=True, help="Of a job.")
@click.option("--queue", metavar="PARTITION")
@click.option("--account")
@click.option("--interface", help="Of the network that all reach, such as ib0.")
@click.option("--log-directory", help="Where the workers' output goes; a folder that all see.")
@click.option(
    "--directive", "directives", multiple=True, help="A line for #SBATCH, such as --constraint=a100; repeatable."
)
@click.option("--show", is_flag=True, help="Print a job's script and start nothing.")
@click.argument("command", nargs=-1, metavar="[-- COMMAND]")
def main(jobs: int, show: bool, command: tuple[str, ...], **given: Any) -> None:
    """Start a Dask cluster of Slurm jobs, and COMMAND with it."""
    lenient_streams()
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        sys.exit("arl: slurm: dask-jobqueue is not installed, accepted: after pip install 'arl[cluster]' dask-jobqueue")
    try:
        keywords = options(**given)
    except UserError as error:
        sys.exit(f"arl: {error}")
    with SLURMCluster(**keywords) as cluster:
        if show:
            click.echo(cluster.job_script())
            return
        cluster.scale(jobs=jobs)
        click.echo(cluster.scheduler_address)
        if command:
            sys.exit(subprocess.run(command, env=os.environ | {"ARL_SCHEDULER": cluster.scheduler_address}).returncode)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
