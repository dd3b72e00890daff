"""Attackers and our own loop where the answer is known: `python tests/bench_known.py [PART]... [--json FILE]`.

`game`: the gap of `arl.protect`, with linear players, from the optimum in closed form (tests/linear_game.py), schedule by schedule.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from linear_game import LinearGame, Play, of_faces, play

Rows = list[dict[str, Any]]
LAMBDA = 30.0  # of the game: five directions of eight are worth their leak
GOOD = {"warm": 0.2, "lr": 1e-2, "simulated_lr": 2e-2}  # the schedule that reaches the optimum
SCHEDULES: tuple[dict[str, Any], ...] = (
    {},
    *({"simulated_steps": steps} for steps in (1, 4, 8)),
    *({"warm": warm} for warm in (0.0, 0.2, 0.8)),
    *({"lr": lr} for lr in (1e-3, 1e-2)),
    *({"simulated_lr": lr} for lr in (1e-3, 2e-2)),
    {"epochs": 300},
    GOOD,
    *({**GOOD, "simulated_steps": steps} for steps in (1, 4, 8)),
    {**GOOD, "warm": 0.0},
    {**GOOD, "warm": 0.5},
    {**GOOD, "standardised": False},
    {**GOOD, "turned": False},
    {**GOOD, "turned": False, "epochs": 400},
    *({**GOOD, "width": width} for width in (8, 16)),
    *({**GOOD, "seed": seed} for seed in (1, 2)),
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


PARTS = {"game": the_game}


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
