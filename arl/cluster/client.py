"""The client's side: connect to a scheduler, look at its workers, submit the stages, say how far they are.

The stages are tasks, what they need are Dask's futures; results go through the store, a task returns a line. Where a worker is lost, Dask
gives its task to another, three times at most (`distributed.scheduler.allowed-failures`), which goes on from the last epoch in the store.
"""

import logging
import pickle
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arl import experiment, plugins
from arl.cluster.worker import Expected, Said, StageError, do_stage, introduce, versions
from arl.config import RunConfig
from arl.messages import ConfigError, UserError, first_line, say
from arl.stages import Stage, Tally
from arl.store import begin, explained, file_sha256, part_of, runs_root, sound

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = 5  # seconds for a scheduler to answer
APPEAR = 90  # seconds until what a worker wrote is seen here: NFS keeps what it knows of a folder for up to a minute
HIGHEST = 1e9  # a priority above all costs


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """A client of the scheduler at `address`. Raises `ConfigError` where none answers within `CONNECT` seconds."""
    distributed = _distributed()
    with _quiet():
        try:
            client = distributed.Client(address, timeout=CONNECT, set_as_default=False, name="arl")
        except (OSError, ValueError, TypeError, ImportError) as error:
            found = f"--scheduler: found no Dask scheduler at {address} ({first_line(error)})"
            raise ConfigError(f"{found}, accepted: what `dask scheduler` prints, such as tcp://host:8786") from None
        try:
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=CONNECT)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, Dask says nothing: of a connection that is lost, the sweep does in a line. Its loggers have levels of their own."""
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    levels = {name: level for name, level in levels.items() if name.split(".")[0] == "distributed"}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ConfigError("--scheduler: Dask is not installed, accepted: after pip install 'arl[cluster]'") from None
    return distributed


def check_scheduler(address: str) -> None:
    """Raise `UserError`, one line, where no scheduler answers, or a worker does not fit; for a program to call before all else."""
    with connected(address) as client:
        Cluster(client).look()


class Cluster:
    """The workers of a Dask cluster, as an `Executor`."""

    def __init__(self, client: "Client"):
        """`client`: a `distributed.Client`, not an asynchronous one."""
        if not hasattr(client, "submit") or getattr(client, "asynchronous", False):
            found = "an asynchronous one" if hasattr(client, "submit") else f"{client!r}"
            raise ConfigError(f"client: found {found}, accepted: a distributed.Client")
        self.client = client
        self.address = str(getattr(client.scheduler, "address", "none"))

    def look(self) -> list[Said]:
        """What each worker says of itself. Raises `UserError`, one line, for the first that does not fit, and for devices of two kinds."""
        with self._expected() as expected:
            return self._look(expected)

    def run(self, stages: Sequence[Stage]) -> None:
        """As `Executor`. Raises `UserError` at once where a worker does not fit, or the scheduler is gone."""
        with self._expected() as expected:
            seen = self._look(expected)
            if not seen:
                say(f"no worker yet at {self.address}: the stages wait for one")
            gpus = [each for each in seen if each.gpus]
            expected = expected._replace(device=next((each.device for each in gpus or seen), ""))
            tally = Tally(stages)
            futures = self._submit(stages, expected, {"GPU": 1} if gpus and expected.device == "cuda" else {})
            try:
                rows = self._follow(futures, tally)
            finally:  # of an interrupted sweep: what has begun ends in the store, nothing else begins
                if futures:
                    with suppress(Exception):
                        self.client.cancel(list(futures))
            _wait_until_seen(rows)
        tally.close()

    @contextmanager
    def _expected(self) -> Iterator[Expected]:
        """What is expected of a worker; within, a file in the store that every worker has to see."""
        root = runs_root()
        begin(root)
        file = part_of(root / f"cluster-{secrets.token_hex(6)}")  # `tidy` removes what a killed client left
        with explained(file):
            file.write_text(file.name, encoding="utf-8")
        own = {path: file_sha256(Path(path)) for path in plugins.loaded()}
        try:
            yield Expected(str(root), file.name, versions(), own)
        finally:
            with suppress(OSError):
                file.unlink()

    def _look(self, expected: Expected) -> list[Said]:
        try:
            found = self.client.run(introduce, expected, on_error="return")
        except (OSError, TimeoutError) as error:
            raise self._lost(first_line(error)) from None
        for address, seen in found.items():
            if isinstance(seen, Exception):
                why = f"{type(seen).__name__}: {first_line(seen)}"
                raise ConfigError(
                    f"arl: found none, or another, on worker {address} ({why}), accepted: {versions()['arl']}, as here"
                )
            if seen.problem:
                raise ConfigError(seen.problem)
        announced = {address: seen for address, seen in found.items() if seen.gpus} or found
        if len(kinds := {seen.device: address for address, seen in announced.items()}) > 1:
            each = ", ".join(f"{device} on worker {address}" for device, address in sorted(kinds.items()))
            raise ConfigError(
                f"workers: found {each}, accepted: one kind of device, or --resources GPU=1 for those that have one"
            )
        return list(found.values())

    def _submit(
        self, stages: Sequence[Stage], expected: Expected, resources: dict[str, float]
    ) -> "dict[Future, Stage]":
        sweep, futures, by_key = secrets.token_hex(4), {}, {}
        for number, stage in enumerate(stages):
            future = self.client.submit(
                do_stage,
                stage.key,
                stage.kind,
                pickle.dumps(stage.cfg),
                expected,
                *(by_key[key] for key in stage.needs),
                key=f"{stage.kind.replace(' ', '_')}-{sweep}{number:04x}",
                priority=min(stage.ahead, HIGHEST),
                resources=resources or None,
                pure=False,
            )
            futures[future], by_key[stage.key] = stage, future
        return futures

    def _follow(self, futures: "dict[Future, Stage]", tally: Tally) -> list[RunConfig]:
        """Say what each stage ended with, and forget it: Dask would do it again where its worker is lost. The rows that were made.

        Of a stage that waited for a failed one nothing is said.
        """
        distributed, rows = _distributed(), []
        for future in distributed.as_completed(list(futures), loop=self.client.loop):
            stage = futures.pop(future)
            if future.status == "finished":
                tally.made(stage, future.result())
                rows += [stage.cfg] * (stage.kind == "row")
                continue
            if future.status != "error":
                raise self._lost("it went away")
            error = future.exception()
            if isinstance(error, distributed.KilledWorker):
                if error.task == future.key:
                    tally.failed(
                        stage, f"{error.allowed_failures + 1} workers died with it, perhaps for want of memory"
                    )
            elif not isinstance(error, StageError):
                tally.failed(stage, f"{type(error).__name__}: {first_line(error)}")
            elif error.unfit:
                raise ConfigError(error.line)
            elif error.key == stage.key:
                tally.failed(stage, error.line)
        return rows

    def _lost(self, why: str) -> UserError:
        found = f"scheduler: found {self.address} lost ({why})"
        return UserError(f"{found}, accepted: one that runs; what has ended is stored, and the same command goes on")


def _wait_until_seen(cfgs: Sequence[RunConfig]) -> None:
    """Wait until the rows that others wrote are seen here: else this process would train them again. Raises `UserError`."""
    until = time.monotonic() + APPEAR
    for cfg in cfgs:
        while (row := experiment.find(cfg)) is None or not all(map(sound, [row.run, *row.runs.values()])):
            if time.monotonic() > until:
                raise UserError(
                    f"{runs_root()}: found no row of {cfg.seed=} {APPEAR} s after a worker wrote it, accepted: a folder that all see"
                )
            time.sleep(1)
