"""Does it matter when Dec^a stops? `python tests/bench_plateau.py [--cycles 10,20,30,45] [--draws 5] [--protections 0,1,2]`.

Fresh Dec^a on one stored encoder, by several draws of its first weights and of its batches. Each is trained to its plateau, as everywhere,
and by one cycle of the learning rate over a fixed number of epochs. For each way: epochs, (5) on held-out X2, and on T face similarity and
PSNR; the mean over the draws, ± their deviation.
"""

import click
import numpy as np
import torch
from bench_attacks import PROTECTIONS

from arl import inputs, metrics
from arl.attacks import Public, Schedule
from arl.attacks.base import Player
from arl.attacks.decoder import Decoder
from arl.config import setting
from arl.experiment import Experiment
from arl.judges.known import recognised
from arl.measure import pictures, seen_by_judge
from arl.plateau import validation
from arl.training import Average, Journal, Nowhere, one_cycle


class Cycle(Decoder):
    """Dec^a by one cycle over `cycle` epochs, without a look at what is held out; the mean of its weights is kept, as everywhere."""

    cycle: int = 20

    def train(self, player: Player, public: Public, schedule: Schedule, journal: Journal) -> dict[str, float]:
        average, steps = Average(player.net), self.cycle * public.steps
        player.net.train()
        for epoch in range(self.cycle):
            for step, (z, x) in enumerate(public.train(epoch + 1), epoch * public.steps):
                player.learn(z, x, schedule.lr * one_cycle(step / steps))
                average.update(step)
        player.net.load_state_dict(average.net.state_dict())
        return {"epoch": self.cycle, "validation": validation(player, player.net.eval(), public.held_out)}


def measured(experiment: Experiment, attack: Decoder) -> tuple[float, ...]:
    """Epochs, (5) on held-out X2, face similarity and PSNR on T of one attack, of which nothing is stored."""
    player, features, state = experiment.trained(Nowhere(), attack, None)
    t, encoder = experiment.split.t, experiment.networks[0]
    x = pictures(experiment.data, t)
    with torch.no_grad():
        x_hat = torch.cat([player.net.eval()(features.standardise(encoder(part).float())) for part in x.split(256)])
    _, middle = recognised(experiment.data, t, experiment.judge)
    similar = metrics.cosine(seen_by_judge(experiment, x_hat)[1], middle)
    return state["epoch"], state["validation"], similar.mean().item(), metrics.psnr(x_hat, x).mean().item()


@click.command()
@click.option("--preset", default="quick")
@click.option("--cycles", default="10,20,30,45", show_default=True, help="epochs of a cycle")
@click.option("--draws", default=5, show_default=True)
@click.option("--protections", default="0,1,2", show_default=True, help="which of bench_attacks.PROTECTIONS")
@click.option("--set", "settings", multiple=True)
def main(preset: str, cycles: str, draws: int, protections: str, settings: tuple[str, ...]) -> None:
    base = inputs.configuration(preset, inputs.split_settings(settings))
    for protection in map(int, protections.split(",")):
        cfg = base.replace(**PROTECTIONS[protection])
        experiment = Experiment(cfg)
        _ = experiment.networks, experiment.owned, experiment.split, experiment.judge  # of the configuration's own seed
        parameters = next(a for a in cfg.attacks if a.name() == "decoder").model_dump()
        ways = {"plateau": Decoder(**parameters)}
        ways |= {f"{n} epochs": Cycle(**parameters, cycle=n) for n in map(int, cycles.split(","))}
        print(f"\n{setting(cfg)} · seed {cfg.seed} · {draws} draws · epochs, (5) on held-out X2, face similarity, PSNR")
        for name, attack in ways.items():
            found = []
            for draw in range(draws):
                experiment.cfg = cfg.replace(seed=draw)
                found.append(measured(experiment, attack))
            experiment.cfg = cfg
            mean, spread = np.mean(found, 0), np.std(found, 0, ddof=1)
            told = (f"{m:.{p}f} ± {s:.{p}f}" for m, s, p in zip(mean, spread, (0, 5, 3, 2), strict=True))
            print(f"{name:10}  " + "  ".join(told), flush=True)


if __name__ == "__main__":
    main()
