"""Ten questions to an audit, each answered by a sentence, whose every figure says where in the store it lies.

A figure is cited by the run that has it and by a pointer into that run's `result.json` (RFC 6901), so a machine can check the sentence.
What was not measured is cited by the place where it would lie, and the sentence says so.
"""

import json
from typing import Any, NamedTuple

from arl.attacks import Attack
from arl.audit.suite import Audit
from arl.audit.worst import PASSING, SHARES, UNION
from arl.parameters import named, names


class CitedNumber(NamedTuple):
    """A figure in a sentence, the run that has it, and its place in the run's result; `value` is None where nothing was measured."""

    run: str
    key: str
    value: Any
    low: float | None
    high: float | None
    text: str


class Answer(NamedTuple):
    """`sentence` has the places {0}, {1}, … of `numbers`, of which the first is what was asked for."""

    name: str
    question: str
    sentence: str
    numbers: tuple[CitedNumber, ...]

    @property
    def text(self) -> str:
        return self.sentence.format(*(number.text for number in self.numbers))

    def as_json(self) -> dict[str, Any]:
        """With the first figure's `run`, `key`, `value`, `low`, `high` beside the sentence."""
        first = self.numbers[0]._asdict()
        del first["text"]
        each = [number._asdict() for number in self.numbers]
        return {"name": self.name, "question": self.question, "sentence": self.text} | first | {"numbers": each}


class Cited:
    """The figures of one run's result, by their path in it."""

    def __init__(self, run: str, result: dict[str, Any]):
        self.run, self.result = run, result

    def has(self, *path: str) -> bool:
        found = self.at(*path)
        return (found.get("value") if isinstance(found, dict) else found) is not None

    def at(self, *path: str) -> Any:
        found: Any = self.result
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def number(self, *path: str, form: str = "{:.3f}", absent: str = "not measured") -> CitedNumber:
        """The figure at `path`, with its interval where it has one, in words by `form`, which is given what is there, or `absent`."""
        found, low, high, why = self.at(*path), None, None, ""
        if isinstance(found, dict):
            low, high, why = found.get("low"), found.get("high"), found.get("why", "")
            found = found.get("value")
        key = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
        return CitedNumber(
            self.run, key, found, low, high, _words(found, low, high, f"not known ({why})" if why else absent, form)
        )

    def share(self, *path: str) -> CitedNumber:
        """`number` of a share, in per cent."""
        return self.number(*path, form="{:.1%}")


def _words(value: Any, low: float | None, high: float | None, absent: str, form: str) -> str:
    if value is None:
        return absent
    if isinstance(value, list):
        return ("; " if any("," in str(each) for each in value) else ", ").join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    said = form.format(value)
    return said if low is None or high is None else f"{said} (95 %: {form.format(low)} to {form.format(high)})"


def path_of(name: str) -> tuple[str, ...]:
    """Where in a result the figures of the attacker of images `name` lie: those of the paper's stand by themselves."""
    return () if name == "decoder" else ("attacks", name)


def ten(audit: Audit) -> list[Answer]:
    """The ten answers, in order."""
    cited = Cited(audit.run.id, audit.result)
    best = audit.result["strongest"]
    curve = cited if audit.curve is None else Cited(audit.curve.id, audit.curve.result)
    of_curve = {_pairs: curve, _saturated: curve if curve.at("budgets") else cited}
    asked = (_picture, _identity, _beyond, _worst, _effort, _pairs, _saturated, _controls, _utility, _not_tried)
    return [Answer(each.__name__[1:], *each(of_curve.get(each, cited), best)) for each in asked]


def ten_text(audit: Audit) -> str:
    """The ten answers for a terminal."""
    found = [f"{i}. {each.question}\n   {each.text}" for i, each in enumerate(ten(audit), 1)]
    return "\n".join([*found, f"Every figure: result.json of {audit.run.id}."])


Said = tuple[str, str, tuple[CitedNumber, ...]]


def _picture(cited: Cited, best: str) -> Said:
    at = (*path_of(best), "face_similarity")
    numbers = [cited.number(*at), cited.number("strongest"), cited.number(*at, "floors", "mean face")]
    said = "Pictures with a face similarity of {0} to the true face (1 is the same picture) are made by {1}, the strongest attacker; "
    said += "a mean face, which needs no features, has {2}"
    if cited.has(*at, "ceilings", "same person"):
        numbers.append(cited.number(*at, "ceilings", "same person"))
        said += ", another photograph of the person {3}"
    return "What can be recovered of a face, and how alike is it?", said + ".", tuple(numbers)


def _identity(cited: Cited, best: str) -> Said:
    question, of = "Who is recognised in a line-up?", ("identity", "C")
    if not cited.has(*of, best, "rank1"):
        said = "Whether anybody is recognised is {0}: a line-up needs several people with two photographs each."
        return question, said, (cited.share(*of, best, "rank1"),)
    numbers = [
        cited.share(*of, best, "rank1"),
        cited.number(*of, best, "gallery", form="{}"),
        cited.number("strongest"),
    ]
    numbers += [cited.share(*of, "Z", "rank1"), cited.share(*of, "originals", "rank1")]
    said = (
        "Of {1} people the right one comes first for {0} of the pictures by {2}, for {3} of the features themselves, without "
        "any picture, and for {4} of true photographs; chance is one of {1}"
    )
    judges = [name for name in cited.at("identity") if name != "C"]
    for name in judges:
        numbers.append(cited.share("identity", name, best, "rank1"))
        said += f"; a further judge, {_safe(name)}, says {{{len(numbers) - 1}}} of the pictures"
    return question, said + ("." if judges else "; one judge looked, C, and no other."), tuple(numbers)


def _beyond(cited: Cited, best: str) -> Said:
    question, at = "How much is that beyond what the answers alone give away?", ("excess", best, "face_similarity")
    more = cited.number(*at, form="{:+.3f}")
    if not cited.has(*at):
        return question, "What is beyond the answers is {0}.", (more,)
    who = cited.number("identity", "C", best, "excess", "rank1", form="{:+.1%}")
    verb = "are more alike" if cited.at(*at, "low") > 0 else "are not shown to be more alike"
    said = f"Than what follows from the answers alone, the pictures {verb}: face similarity differs by {{0}}, "
    said += "the share of pictures for which the right person comes first by {1}."
    return question, said, (more, who)


def _worst(cited: Cited, best: str) -> Said:
    question, union = "For whom is it worst?", ("worst", UNION)
    measure = "found" if cited.has(*union, "found") else "first"
    if not cited.has(*union, measure):
        return question, "For whom it is worst is {0}.", (cited.share(*union, measure),)
    first = "come first in the line-up"
    rule = f"are found again by a threshold that {PASSING:.0%} of strangers pass" if measure == "found" else first
    rule += ", by any of these: {4}"
    numbers = [cited.share(*union, measure), cited.number("worst", "people", form="{}")]
    numbers += [cited.share(*union, measure, "chance"), cited.share("worst", "beside", "answers", measure)]
    numbers += [cited.number("worst", "chosen"), *(cited.number(*union, name) for name in SHARES)]
    numbers.append(cited.number("worst", "excess", measure, form="{:+.1%}"))
    said = f"{{0}} of {{1}} people {rule}; by chance it would be {{2}}, and by the answers alone it is {{3}}, so beyond these and "
    said += "beyond chance it is {8}. In pictures, the most exposed 1 % of them, one at least, have a face similarity of {5} or more, "
    said += "5 % have {6}, half have {7}."
    return question, said, tuple(numbers)


def _effort(cited: Cited, best: str) -> Said:
    question, of = "Which attacker gets most, and with which effort?", ("effort", best)
    numbers = [cited.number("strongest"), cited.number(*of, "images", form="{:,}")]
    numbers += [cited.number(*of, "parameters", form="{:,}"), cited.number(*of, "seconds", form="{:,.1f}")]
    said = (
        "{0}, which was chosen on faces that do not count here. Images with their features that it learned from: {1}; "
    )
    said += "numbers that it holds: {2}; seconds that it took: {3}."
    if _white_box(best):
        said += " It also holds the encoder, and follows its gradients"
        held = cited.at("held_out") or {}
        others = [name for name, found in held.items() if "face_similarity" in found and not _white_box(name)]
        if others:
            second = max(others, key=lambda name: held[name]["face_similarity"])
            numbers.append(cited.number(*path_of(second), "face_similarity"))
            said += f"; of those that only see features {second} gets most, a face similarity of {{4}}"
        said += "."
    return question, said, tuple(numbers)


def _white_box(name: str) -> bool:
    """Whether the attacker `name` holds the encoder itself; one of a plugin that is not loaded is not known to."""
    return name in names(Attack) and named(Attack, name).white_box


def _pairs(cited: Cited, best: str) -> Said:
    question = "How few leaked pairs of a picture and its features suffice, and what if nobody may ask the encoder?"
    if not cited.at("pairs"):
        said = (
            "Attackers with few pairs, and without any query: {0}. Each here may encode all the pictures that it owns."
        )
        return question, said, (cited.number("pairs", absent="not tried"),)
    counts = list(cited.at("pairs"))
    numbers = [cited.number("pairs", n) for n in reversed(counts)]
    each = "; ".join(f"{int(n):,}: {{{i}}}" for i, n in enumerate(reversed(counts)))
    said = f"Face similarity of what a linear reader makes of so many leaked pairs: {each}; "
    said += f"the answers alone have {{{len(numbers)}}}. Without any query: not tried."
    return question, said, (*numbers, cited.number("answers"))


def _saturated(cited: Cited, best: str) -> Said:
    question = "Would an attacker with more data get more?"
    if not cited.at("budgets"):
        numbers = [cited.number("law", absent="not tried"), cited.number("effort", best, "images", form="{:,}")]
        numbers.append(cited.number("measured_on", "plateau"))
        said = "Not known. More and more data: {0}; each attacker had one budget, of {1} images. "
        said += "All trained until they learned no more from these: {2}."
        return question, said, tuple(numbers)
    budgets = list(cited.at("budgets"))
    reader = [cited.number("attack"), cited.number("budgets", budgets[0]), cited.number("budgets", budgets[-1])]
    if not cited.at("law"):
        said = f"Not known: what more strangers tell needs more budgets. With {int(budgets[0]):,} images, all of other people, "
        return question, said + f"{{0}} has a face similarity of {{1}}, with {int(budgets[-1]):,} {{2}}.", tuple(reader)
    of, n = "law", f"{cited.at('law', 'n'):,}"
    numbers = [cited.number(of, "more", form="{:+.3f}", absent="not known"), *reader, cited.number(of, "ahead")]
    numbers += [cited.number(of, "verdict"), cited.number(of, "tolerance", form="{:g}")]
    said = f"With {int(budgets[0]):,} images, all of other people, {{1}} has a face similarity of {{2}}, with {int(budgets[-1]):,} {{3}}; "
    said += f"by the law of these it would have {{4}} with {n}, and with all images in the world {{0}} beyond the largest: {{5}}. "
    return question, said + "Saturated is what surely gains no more than {6}.", tuple(numbers)


def _controls(cited: Cited, best: str) -> Said:
    question, of = "Would these attackers have found a leak, had there been one?", "controls"
    if cited.at(of) is None:
        said = (
            "Planted leaks, as a control: {0}. So this report proves nothing about silence, only about what was found."
        )
        return question, said, (cited.number(of, absent="not run"),)
    numbers = [cited.number(of, name, form="{}") for name in ("planted", "missed", "false_alarms", "safe")]
    silence = "where these attackers find nothing, that says something"
    if numbers[1].value != [] or numbers[2].value != []:
        silence = "this report proves nothing about silence, only about what was found"
    said = f"Planted leaks: {{0}}; missed: {{1}}. Safe encoders: {{3}}; false alarms: {{2}}. So {silence}."
    return question, said, tuple(numbers)


def _utility(cited: Cited, best: str) -> Said:
    question = "What are the features still good for?"
    if not cited.has("mean_mcc"):
        said = "Utility is {0}: the file has no classifier, so only its owner knows what the features are good for."
        return question, said, (cited.number("mean_mcc"),)
    return (
        question,
        "The labels are told with a mean MCC of {0}; 1 is without a fault, 0 is chance.",
        (cited.number("mean_mcc"),),
    )


def _not_tried(cited: Cited, best: str) -> Said:
    question = "What was not tried?"
    if not cited.has("not_tried"):
        return question, "What was not tried is not kept in this audit: {0}.", (cited.number("not_tried"),)
    return question, "{0}. Whoever does that may get more.", (cited.number("not_tried"),)


def table_of(audit: Audit) -> tuple[list[str], list[list[CitedNumber]]]:
    """A line an attacker, from weak to strong, then the worst case: heads, and cells of which the first is a name."""
    cited, names = Cited(audit.run.id, audit.result), [name for name in audit.result["runs"] if name != "encoder"]
    heads = [
        "attacker",
        "face similarity",
        "right person first",
        "people found",
        "of the worst 1 %",
        "images",
        "seconds",
    ]

    def line(name: str, picture: tuple[str, ...], who: tuple[str, ...], worst: tuple[str, ...]) -> list[CitedNumber]:
        head = CitedNumber(cited.run, "", name, None, None, name)
        cells = [
            cited.number(*picture),
            cited.share(*who),
            cited.share(*worst, "found"),
            cited.number(*worst, "worst_1"),
        ]
        effort = [
            cited.number("effort", name, each, form=form) for each, form in (("images", "{:,}"), ("seconds", "{:,.1f}"))
        ]
        return [head, *cells, *effort]

    at = {name: ((*path_of(name), "face_similarity"), ("identity", "C", name, "rank1")) for name in names}
    lines = [line(name, *at[name], ("worst", "attackers", name)) for name in names]
    z = ("attacks", "Z", "face_similarity"), ("identity", "C", "Z", "rank1"), ("worst", "attackers", "Z")
    lines.append(line("Z itself", *z))
    lines.append(line("any of the chosen", ("worst", UNION, "mean"), ("worst", UNION, "first"), ("worst", UNION)))
    answers = ("answers", "face_similarity"), ("identity", "C", "answers", "rank1"), ("worst", "beside", "answers")
    return heads, [*lines, line("the answers alone", *answers)]


def _safe(name: str) -> str:
    """A name within a sentence that has places."""
    return name.replace("{", "{{").replace("}", "}}")


def json_of(value: Any) -> str:
    """A figure as an attribute has it; "" where nothing was measured."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)
