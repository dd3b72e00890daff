"""Several devices for one row: `ARL_DEVICES=8 arl run ...` starts that command eight times, a process a device, by Lightning Fabric.

The first process does what one would do alone. Where a network learns it calls the others, who train with it, each on its share of every
batch (`arl.parallel`), and write nothing. Fabric (extra: parallel) starts the processes, connects them and ends all when one dies;
without `ARL_DEVICES` it is not imported. Its DDP wrapper is not used: that wants one module, one loss and one backward, and here
two players share a graph.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from arl import machine
from arl.config import RunConfig
from arl.messages import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from arl.parallel import Team

PATIENCE = timedelta(days=7)  # that a process waits for another: the first one judges and measures alone


def shareable(cfgs: Sequence[RunConfig] = ()) -> None:
    """Raise `ConfigError` where a batch cannot be shared evenly, or Fabric is not installed."""
    n = machine.devices()
    if n == 1:
        return
    for cfg in cfgs:
        if cfg.batch_size % n:
            raise ConfigError(f"batch_size: found {cfg.batch_size} with ARL_DEVICES={n}, accepted: a multiple of {n}")
    try:
        import lightning_fabric  # noqa: F401
    except ImportError:
        found = f"ARL_DEVICES: found {n} without lightning-fabric"
        raise ConfigError(f"{found}, accepted: 1, or pip install 'arl[parallel]'") from None


def only_one(what: str) -> None:
    """Raise `ConfigError` where `what`, which uses one device, is asked for with several."""
    if (n := machine.devices()) > 1:
        raise ConfigError(f"ARL_DEVICES: found {n} with {what}, accepted: 1, or `arl run` without a scheduler")


def compile_if_asked(*networks: "nn.Module") -> None:
    """Let torch.compile see to networks before they learn, where `$ARL_COMPILE` asks for it; in place, as they are called."""
    for network in networks if machine.compiled() else ():
        network.compile()


@contextmanager
def started() -> Iterator[None]:
    """Within, the other processes of `$ARL_DEVICES` wait to be called. In these it never begins: they serve, and exit."""
    if machine.devices() == 1:
        yield
        return
    from arl.parallel import waiting

    with waiting(_team()):
        yield


def serve_if_called() -> None:
    """In a process that `started` made: train with the first one when it calls, then exit. Elsewhere nothing."""
    if machine.local_rank():
        _serve()


def _serve() -> NoReturn:
    from arl import parallel
    from arl.experiment import Experiment
    from arl.training import Nowhere, TrainingError
    from arl.watch import follow

    follow(os.getppid())
    team = _team()
    while (order := team.fabric.broadcast(None)) is not None:
        cfg, stage, *arguments = order
        with parallel.working(team):
            try:
                getattr(Experiment(cfg), stage)(Nowhere(), *arguments)
            except TrainingError:  # the first process has it too, and says so
                continue
    sys.exit(0)


def _team() -> "Team":
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    from arl.parallel import Team

    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    device, n = machine.prepare(), machine.devices()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"  # who waits for a call does so on the CPU
    strategy = DDPStrategy(process_group_backend=backend, timeout=PATIENCE)
    fabric = Fabric(accelerator=device.type, devices=n, strategy=strategy, plugins=[LightningEnvironment()])
    fabric.launch()
    machine.prepare()  # launching sets threads of its own
    return Team(fabric)
