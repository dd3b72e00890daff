"""Attackers and our own loop where the answer is known: `python tests/bench_known.py [PART]... [--json FILE]`.

`game`: the gap of `arl.protect`, with linear players, from the optimum in closed form (tests/linear_game.py), schedule by schedule.
`linear`: attackers on Z = AX + σ ε, X Gaussian with the covariance of drawn faces: how much more than the least error each leaves.
`mixture`: the same for a mixture of Gaussians. `drawings`: noised Z of drawn faces, beside importance sampling over drawn faces.
"""

import json
import time
from pathlib import Path
from typing import Any

import channels
import click
import torch
from channels import Channel
from linear_game import LAMBDA, REACHES, LinearGame, Play, of_faces, play
from torch import Tensor

from arl import faces
from arl.attacks import Attack, Schedule
from arl.attacks.decoder import Decoder
from arl.attacks.kernelridge import KernelRidge
from arl.attacks.mean import Mean
from arl.attacks.retrieval import Retrieval
from arl.attacks.ridge import Ridge
from arl.attacks.whitened import Whitened
from arl.training import Nowhere

Rows = list[dict[str, Any]]
SCHEDULES: tuple[dict[str, Any], ...] = (
    {},
    *({"simulated_steps": steps} for steps in (1, 4, 8)),
    *({"warm": warm} for warm in (0.0, 0.2, 0.8)),
    *({"lr": lr} for lr in (1e-3, 1e-2)),
    *({"simulated_lr": lr} for lr in (1e-3, 2e-2)),
    {"epochs": 300},
    REACHES,
    *({**REACHES, "simulated_steps": steps} for steps in (1, 4, 8)),
    {**REACHES, "warm": 0.0},
    {**REACHES, "warm": 0.5},
    {**REACHES, "standardised": False},
    {**REACHES, "turned": False},
    {**REACHES, "turned": False, "epochs": 400},
    *({"width": width} for width in (8, 16)),
    *({**REACHES, "width": width} for width in (8, 16)),
    {**REACHES, "width": 8, "simulated_steps": 8},
    *({**REACHES, "seed": seed} for seed in (1, 2)),
)


def the_game() -> Rows:
    game = of_faces()
    rows = [_bound(game, width) for width in (5, 8, 16)]
    for changed in SCHEDULES:
        how, began = Play(**({"width": 5, "lambda1": LAMBDA} | changed)), time.perf_counter()
        z = play(game, how)
        told = {"gap": game.gap(z, LAMBDA, how.width), "gap_full_rank": game.gap(z, LAMBDA, how.width, full=True)}
        told |= game.errors(z)._asdict() | {"seconds": time.perf_counter() - began}
        rows.append({"who": " ".join(f"{name}={value:g}" for name, value in changed.items()) or "as shipped", **told})
        say(rows[-1])
    return rows


def _bound(game: LinearGame, width: int) -> dict[str, Any]:
    best = game.optimum(LAMBDA, width)
    full = game.gap(game.optimum(LAMBDA, width, full=True), LAMBDA, width)
    row = {"who": f"optimum, width {width}", "directions": best.shape[1], "full_rank": full}
    say(row := row | game.errors(best)._asdict())
    return row


def say(row: dict[str, Any]) -> None:
    print(
        "  ".join(
            f"{k} {v:.4f}" if isinstance(v, float) else f"{v:<48}" if k == "who" else f"{k} {v}" for k, v in row.items()
        ),
        flush=True,
    )


CLOSED = {"mean": Mean(), "ridge": Ridge(), "kernelridge": KernelRidge(), "retrieval": Retrieval()}
TRAINED = {"decoder": Decoder(), "whitened": Whitened()}


def guesses(attack: Attack, owned: Channel, z: Tensor, epochs: int = 30) -> Tensor:
    """What `attack`, taught on `owned`, makes of `z`."""
    torch.manual_seed(0)
    player = attack.player(owned.shapes)
    attack.train(player, owned.public, Schedule(epochs, 4e-3, 3), Nowhere())
    with torch.no_grad():
        return player.net.eval()(z)


def excess(known: Channel, x_hat: Tensor, best: Tensor) -> dict[str, float]:
    """Error beyond that of `best`, beside it, with half of its 95 % interval over the test images (paired); and PSNR of the mean error."""
    x = known.x[known.held_out].flatten(1)
    own, least = ((guess.flatten(1) - x).square().mean(1).double() for guess in (x_hat, best))
    half = 1.96 * (own - least).std() / len(x) ** 0.5 / least.mean()
    return {"excess": ((own - least).mean() / least.mean()).item(), "±": half.item(), "error": own.mean().item()}


def attackers(known: Channel, sizes: dict[int, dict[str, Attack]]) -> Rows:
    """Each attacker with each number of images of its own, on what `known` holds out."""
    rows, z = [], known.z[known.held_out]
    for n, attacks in sizes.items():
        owned = known.first(n)
        for name, attack in attacks.items():
            began = time.perf_counter()
            told = excess(known, guesses(attack, owned, z), known.best)
            rows.append({"who": f"{name}, {n} images", **told, "seconds": time.perf_counter() - began})
            say(rows[-1])
    return rows


def linear_gaussian_channel() -> Rows:
    drawn = torch.from_numpy(faces.render(512, 2, 16).images) / 255
    sigma = channels.of_faces(drawn, 16)
    known = channels.linear_gaussian(sigma, 10_000, 64, 0.02)
    least = channels.mmse(sigma, 64, 0.02)
    error = known.error(known.best)
    say(
        row := {
            "who": "MMSE by the formula",
            "error": least,
            "of best": error,
            "without Z": sigma.trace().item() / len(sigma),
        }
    )
    return [row, *attackers(known, {500: CLOSED, 2000: CLOSED | TRAINED, 8000: CLOSED})]


def gaussian_mixture() -> Rows:
    known = channels.mixture(10_000, 3, 0.02)
    return attackers(known, dict.fromkeys((500, 2000, 8000), CLOSED))


def noised_drawings() -> Rows:
    """Of 4 500 strangers the attackers own the first 2 000; 500 others are the test. σ is beside the deviation of Z."""
    rows, x = [], torch.from_numpy(faces.render(5000, 1, 16).images).float() / 255
    flat, rng = x.flatten(1), torch.Generator().manual_seed(1)
    a = torch.randn(16, flat.shape[1], generator=rng) / flat.shape[1] ** 0.5
    clean = (flat - flat.mean(0)) @ a.T
    for share in (0.03, 0.1, 0.3, 1.0, 3.0):
        noise = share * clean.std().item()
        z = clean + noise * torch.randn(clean.shape, generator=rng)
        known = channels.channel(x, z)
        tested = z[known.held_out]
        by = {m: channels.weighed(tested, flat[:m], clean[:m], noise) for m in (500, 2000, 4500)}
        best = by[4500][0]
        for m, (guess, behind) in by.items():
            told = {"effective": behind.median().item()}
            rows.append({"who": f"σ {share:g}: sampling over {m} faces", **excess(known, guess, best), **told})
            say(rows[-1])
        for name, attack in CLOSED.items():
            told = excess(known, guesses(attack, known.first(2000), tested), best)
            rows.append({"who": f"σ {share:g}: {name}, 2000 images", **told})
            say(rows[-1])
    return rows


PARTS = {"game": the_game, "linear": linear_gaussian_channel, "mixture": gaussian_mixture, "drawings": noised_drawings}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(parts: tuple[str, ...], file: Path | None) -> None:
    torch.set_num_threads(1)
    found = {part: PARTS[part]() for part in parts or PARTS}
    if file is not None:
        file.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
