"""An audit in words and as JSON: a line an attacker, floors, who is recognised, and a sentence a verdict."""

from pathlib import Path
from typing import Any

from arl.audit.questions import ten
from arl.audit.suite import Audit
from arl.messages import ConfigError
from arl.metrics import Interval

PICTURE = (
    ("face_similarity", "face similarity", 3),
    ("ssim", "SSIM", 3),
    ("psnr", "PSNR", 2),
    ("label_mcc", "label MCC", 3),
)
WHO = (("rank1", "rank-1", 3), ("eer", "EER", 3))


def report_path(text: str) -> Path:
    """Where a report for people goes. Raises `ConfigError` for a name that says neither kind."""
    if Path(text).suffix not in (".html", ".pdf"):
        raise ConfigError(f"--report: found {text!r}, accepted: a name that ends in .html or .pdf")
    return Path(text)


def audit_json(audit: Audit) -> dict[str, Any]:
    """All of it for a machine: `attackers` in the order of the suite, each with its run, its figures and whom it lets recognise."""
    result = audit.result
    who, held = result["identity"]["C"], result["held_out"]
    return {
        "audit": audit.run.id,
        **result["audit"],
        "measured_on": result["measured_on"] | {"lineup": result["lineup"]},
        "attackers": [
            {"name": name, "run": run, "held_out": held.get(name), **figures_of(result, name), **_who(who.get(name))}
            for name, run in result["runs"].items()
            if name != "encoder"
        ],
        "identity": {shown: _who(who[shown]) for shown in ("Z", "originals", "mean face", "stranger", "answers")},
        "strongest": result["strongest"],
        "verdicts": sentences(audit),
        "answers": [answer.as_json() for answer in ten(audit)],
        "curve": None if audit.curve is None else {"run": audit.curve.id, **audit.curve.result},
        **{key: result[key] for key in ("worst", "effort", "not_tried", "controls") if key in result},
        "config": result["config"],
        "made_with": result["made_with"],
    }


def figures_of(result: dict[str, Any], name: str) -> dict[str, Interval]:
    """The privacy figures of the attacker `name`: `value`, `low`, `high`, `floors`, `ceilings`."""
    found = result if name in ("decoder", "features") else result["attacks"][name]
    keys = ("feature_similarity",) if name == "features" else ("face_similarity", "ssim", "psnr", "label_mcc")
    return {key: found[key] for key in keys if key in found}


def _who(found: dict[str, Any] | None) -> dict[str, Any]:
    """What is kept of a recognition: rank-1, EER, and the size of the gallery."""
    return (
        {}
        if found is None
        else {key: found[key] for key in ("rank1", "rank5", "eer", "auc", "gallery") if key in found}
    )


def audit_text(audit: Audit) -> str:
    """The audit for a terminal."""
    result, about = audit.result, audit.result["audit"]
    on, told = result["measured_on"], f"suite  {about['suite']}"
    if about["changed"]:
        told += f", changed: {', '.join(about['changed'])}; compare it only with audits that say the same"
    lines = [f"{audit.run.id}  {on['setting']}", told, f"measured on  {on['test_set']}", f"C  {on['C']}"]
    lines += [f"recognised among  {result['lineup']}", "", *_table(result), ""]
    lines += ["* the strongest on held-out faces of X2; T did not choose it", "", *sentences(audit)]
    return "\n".join(lines)


def _table(result: dict[str, Any]) -> list[str]:
    """A line an attacker, then floors and ceilings: what they have of the picture, and who is recognised in it."""
    who, names = result["identity"]["C"], [name for name in result["runs"] if name != "encoder"]
    heads = [words for _, words, _ in PICTURE] + [f"{words}, X̂" for _, words, _ in WHO]
    lines = [f"{'':14}" + "".join(f"{head:>24}" for head in heads)]
    for name in names:
        line = _line(name, figures_of(result, name), who.get(name, {}))
        lines.append(line + (" *" if name == result["strongest"] else ""))
    figures = figures_of(result, result["strongest"])
    for name, kind in (("mean face", "floors"), ("stranger", "floors"), ("same person", "ceilings")):
        beside = {key: {"value": figure[kind][name]} for key, figure in figures.items()}
        lines.append(_line(name, beside, who.get(name, {})))
    lines += [_line("the labels", result["answers"], who["answers"]), _line("originals", {}, who["originals"])]
    return [*lines, _line("Z itself", {}, who["Z"])]


def _line(name: str, figures: dict[str, Any], who: dict[str, Any]) -> str:
    cells = [_cell(of.get(key), places) for of, keys in ((figures, PICTURE), (who, WHO)) for key, _, places in keys]
    return f"{name:14}" + "".join(f"{cell:>24}" for cell in cells)


def sentences(audit: Audit) -> list[str]:
    """One sentence each: the picture, who is recognised in it, who is recognised in Z itself, and whether the attackers were done."""
    result, name = audit.result, audit.result["strongest"]
    who, face = result["identity"]["C"], figures_of(audit.result, audit.result["strongest"])["face_similarity"]
    more = result["excess"][name]["face_similarity"]
    floor, ceiling = face["floors"]["mean face"], face["ceilings"]["same person"]
    near = f", another photograph of the person {ceiling:.3f}" if ceiling is not None else ""
    leaks = "leaks more than the labels say" if more["low"] > 0 else "shows no more than the labels say"
    lines = [
        f"The picture {leaks}: {name}, the strongest attacker, has a face similarity of {_cell(face, 3)}, "
        f"{more['value']:+.3f} beyond the labels alone (mean face {floor:.3f}{near})."
    ]
    if read := result["controls"]["each"].get("answers", {}).get("image"):
        linear, own = result["answers"]["face_similarity"]["value"], read["face_similarity"]["value"]
        lines.append(
            f"From the true labels alone {read['strongest']} has {own:.3f}, on some images of T; that floor is a linear reader of the "
            f"answers, {linear:.3f}: "
            "only what is beyond the larger is beyond the labels."
        )
    for what, key in ((f"in the pictures of {name}", name), ("in Z itself, without any decoder", "Z")):
        lines.append(_recognised(what, who[key]))
    if not result["measured_on"]["plateau"]:
        lines.append("An attacker ended at its budget before its plateau: a longer attack may leak more.")
    told = result["controls"]["verdict"]
    return [*lines, told] if result["controls"]["works"] else [told, *lines]


def _recognised(what: str, found: dict[str, Any]) -> str:
    rank, size = found["rank1"], found["gallery"]
    if rank["value"] is None:
        return f"Whether people are recognised {what} is not known: {rank['why']}."
    chance = 1 / size
    verb = "are" if rank["low"] > chance else "are not shown to be"
    return f"People {verb} recognised {what}: rank-1 {_cell(rank, 3)} among {size}, by chance {chance:.3f}."


def _cell(figure: dict[str, Any] | None, places: int) -> str:
    """A figure with its interval, where it has one; a dash where it was not measured."""
    if not figure or figure.get("value") is None:
        return "–"
    value = f"{figure['value']:.{places}f}"
    return value if "low" not in figure else f"{value} ({figure['low']:.{places}f}–{figure['high']:.{places}f})"
