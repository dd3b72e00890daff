"""Figure 2 for any configuration: who learns when, on what, by which equation, and who is fixed meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from arl.attacks import Attack
from arl.config import RunConfig
from arl.defences import Defence
from arl.defences.adversarial import Adversarial
from arl.models import Shape
from arl.paper.architecture import Network, shape_text
from arl.paper.style import COLOURS, INK, WIDTH, themed
from arl.training import Fixed

OUTPUTS = {"f": "Ŷ", "Dec": "X̂", "M": "M(Z)"}
HIGH, LOW = 0.7, -0.7  # where a panel's upper and lower branch run


@dataclass(frozen=True)
class Step:
    """One step of the game: its title, the images it uses, who takes part and who of them learns, what they descend."""

    title: str
    images: str
    learning: dict[str, bool]
    equations: tuple[str, ...]
    terms: dict[str, str]  # of the equations, by the player whose output they judge
    fresh: bool = False  # Dec is Dec^a, which meets Enc after training


def steps(found: Mapping[str, Network], cfg: RunConfig) -> list[Step]:
    """The steps of training, alternating, then the attack. Who learns is read from the modules while the others are fixed."""
    simulated = cfg.defence.simulated if cfg.protected else None
    game = [] if simulated is None else [_simulated(found, cfg, simulated)]
    return [*game, _protecting(found, cfg, simulated), _attack(found, cfg)]


def _simulated(found: Mapping[str, Network], cfg: RunConfig, attack: Attack) -> Step:
    """(a): Dec, and D if its loss counts, while Enc is fixed."""
    mu1, mu2 = _weights(attack)
    players = ("Dec", "D") if mu1 > 0 else ("Dec",)
    title = f"(a) the simulated adversary: {cfg.defence.pace[0]} steps, from epoch {cfg.warm_epochs + 1} on"
    images = "X2 + extra" if cfg.extra == "both" else "X2"
    equations, terms = _adversary(mu1, mu2)
    return Step(title, images, _learning(found, ("Enc", *players), frozen=("Enc", "f")), equations, {"Dec": terms})


def _protecting(found: Mapping[str, Network], cfg: RunConfig, simulated: Attack | None) -> Step:
    """(b): Enc and f, while Dec is fixed, where an adversary takes part."""
    title, players = "training: no adversary takes part", ("Enc", "f")
    if simulated is not None:
        title, players = "(b) the protector: one step, then (a) again", ("Enc", "f", "Dec")
    equation, terms = _protector(cfg.defence) if cfg.protected else ("(6)", {"f": "(6)"})
    images = "X1 + extra" if cfg.extra == "both" else "X1"
    return Step(
        title, images, _learning(found, players, frozen=("Dec", "D")), (f"Enc and f minimise {equation}",), terms
    )


def _attack(found: Mapping[str, Network], cfg: RunConfig) -> Step:
    """What is measured: fresh attackers meet the frozen Enc."""
    attacks = {attack.name(): attack for attack in cfg.attacks}
    learning, equations, terms = ["Enc"], [], {}
    if "decoder" in attacks:
        mu1, mu2 = _weights(attacks["decoder"])
        learning += ["Dec", "D"] if mu1 > 0 else ["Dec"]
        (first, *others), terms["Dec"] = _adversary(mu1, mu2)
        equations += [first.replace("Dec", "Dec$^a$"), *others]
    if "features" in attacks:
        learning.append("M")
        equations.append("M minimises (10)")
        terms["M"] = "(10)"
    equations += [f"{name} by its own" for name in attacks if name not in ("decoder", "features")]
    images = {"none": "X2", "instead": "extra alone"}.get(cfg.extra, "X2 + extra")
    taking_part = _learning(found, learning, frozen=("Enc", "f"))
    return Step("afterwards: the fresh attackers", images, taking_part, tuple(equations), terms, fresh=True)


def _weights(attack: Attack) -> tuple[float, float]:
    """μ1 and μ2, 0 where an attack has none."""
    fields = attack.model_dump()
    return fields.get("mu1", 0.0), fields.get("mu2", 0.0)


def _protector(defence: Defence) -> tuple[str, dict[str, str]]:
    """What Enc and f descend under `defence`, and the terms that judge the outputs of f and Dec."""
    if not isinstance(defence, Adversarial):
        return f"the objective of {defence.name()} ({defence.describe()})", {"f": "(6)", "Dec": ""}
    terms = [f"− {weight:g}·({n})" for weight, n in ((defence.lambda1, 7), (defence.lambda2, 8)) if weight > 0]
    return f"(9) = {' '.join(['(6)', *terms])}", {"f": "(6)", "Dec": " ".join(terms)}


def _learning(found: Mapping[str, Network], taking_part: Sequence[str], frozen: Sequence[str]) -> dict[str, bool]:
    with Fixed(*(found[name].module for name in frozen)):
        return {name: found[name].learns for name in taking_part}


def _adversary(mu1: float, mu2: float) -> tuple[tuple[str, ...], str]:
    """What Dec and D descend, and the terms that judge X̂."""
    terms = " + ".join(["(1)"] + [f"{mu1:g}·(2)"] * (mu1 > 0) + [f"{mu2:g}·(4)"] * (mu2 > 0))
    return (f"Dec minimises (5) = {terms}", *(("D maximises (3)",) if mu1 > 0 else ())), terms


@themed
def figure2(found: Mapping[str, Network], cfg: RunConfig) -> Figure:
    """Figure 2: a panel a step; orange players learn, grey ones are fixed, arrows carry the shapes of Z, X̂ and the logits."""
    every = steps(found, cfg)
    figure, axes = plt.subplots(len(every), 1, figsize=(WIDTH, 1.55 * len(every)), squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1, 0, 0.02)
    for axis, step in zip(axes.flat, every, strict=True):
        axis.set(xlim=(0, 10), ylim=(-1.35, 1.5))
        axis.set_axis_off()
        axis.text(0.1, 1.25, step.title, fontsize=8, fontweight="bold", va="center")
        axis.text(9.9, 1.25, ";  ".join(step.equations), fontsize=7.5, ha="right", va="center")
        _panel(axis, step, found)
    learns = plt.Line2D([], [], marker="s", color=COLOURS[4], linestyle="", label="learns")
    rests = plt.Line2D([], [], marker="s", color="0.8", linestyle="", label="fixed")
    figure.legend(handles=[learns, rests], loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.0))
    return figure


def _panel(axis: Axes, step: Step, found: Mapping[str, Network]) -> None:
    """Images → Enc → Z, and from there a branch for each who reads Z."""
    readers = [name for name in ("f", "Dec", "M") if name in step.learning]
    _box(axis, 0.75, 0, step.images, None, shape_text(found["Enc"].shape))
    _arrow(axis, (1.4, 0), (1.95, 0))
    _box(axis, 2.6, 0, "Enc", step.learning["Enc"])
    _arrow(axis, (3.25, 0), (3.8, 0))
    _flow(axis, 3.9, 0, "Z", found["Enc"].output)
    heights = (HIGH, LOW) if len(readers) == 2 else (0.0,) * len(readers)
    for name, y in zip(readers, heights, strict=True):
        _arrow(axis, (4.65, 0.2 * y), (5.3, y))
        _box(axis, 5.95, y, "Dec$^a$" if name == "Dec" and step.fresh else name, step.learning[name])
        _arrow(axis, (6.6, y), (7.1, y))
        _flow(axis, 7.2, y, OUTPUTS[name], found[name].output, step.terms[name])
        if name == "Dec" and "D" in step.learning:
            _arrow(axis, (8.1, y), (8.85, y))
            _box(axis, 9.4, y, "D", step.learning["D"], "real or decoded?", width=1.0)


def _flow(axis: Axes, x: float, y: float, text: str, shape: Shape, terms: str = "") -> None:
    """What passes between players: its name, the terms that judge it, its shape below."""
    axis.text(x, y + 0.12, text, fontsize=9, va="center")
    axis.text(x, y - 0.2, shape_text(shape), fontsize=6.5, va="center", color="0.35")
    axis.text(x, y - 0.48, terms, fontsize=6.5, va="center", color=COLOURS[1])


def _box(axis: Axes, x: float, y: float, text: str, learns: bool | None, note: str = "", width: float = 1.3) -> None:
    """A player, coloured by whether it learns; images (None) are an outline."""
    colour = {None: "white", True: COLOURS[4], False: "0.8"}[learns]
    box = FancyBboxPatch((x - width / 2, y - 0.32), width, 0.64, boxstyle="round,pad=0,rounding_size=0.1")
    box.set(facecolor=colour, edgecolor=INK if learns is None else "none", linewidth=0.8)
    axis.add_patch(box)
    axis.text(x, y, text, fontsize=9, ha="center", va="center")
    if note:
        axis.text(x, y - 0.5, note, fontsize=6.5, ha="center", va="center", color="0.35")


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, linewidth=0.9, color=INK, shrinkA=0, shrinkB=0)
    )
