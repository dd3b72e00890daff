"""One encoder audited with several seeds, each with other people in T and other luck in learning: what the next audit would say.

Intervals over people know nothing of either. What two further audits differ by is the reproducibility limit of ISO 5725-2; whether the
first half of the seeds says the same as the second, Welch's interval (1947).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from arl.audit.compare import OfPeople, headlines, refuse_unlike, terms_of
from arl.messages import ConfigError
from arl.metrics import resampled

if TYPE_CHECKING:
    from arl.audit.suite import Audit

FEWEST = 3  # seeds: two have a spread of one degree of freedom, which says nothing
OF_HALVES = 4  # seeds, so that each half has a spread of its own


def spread_of(audits: Sequence["Audit"]) -> dict[str, Any]:
    """`audits`: their ids; `figures`: of each headline that all know `values`, `mean`, `spread` (a standard deviation), `apart`, the
    most that two audits with other seeds differ by in 95 % of cases, and from `OF_HALVES` on `halves`: `values` of the first half of the
    seeds and of the rest, `difference` with its interval. Raises `ConfigError` where the audits do not compare, or are of two encoders."""
    if len(audits) < FEWEST:
        raise ConfigError(f"seeds: found {len(audits)}, accepted: {FEWEST} or more, for a spread")
    first, *others = audits
    for each in others:
        refuse_unlike(terms_of(each), terms_of(first))
        if each.result["runs"]["encoder"] != first.result["runs"]["encoder"]:
            raise ConfigError(f"audits: found {each.run.id} of another encoder than {first.run.id}, accepted: of one")
    said = [headlines(each) for each in audits]
    figures = {}
    for name in said[0]:
        each = [found.get(name, "") for found in said]
        if not any(isinstance(found, str) for found in each):
            values = np.array([found.value for found in each])
            figures[name] = _spread(values, np.array([_by_people(*both) for both in zip(each, audits, strict=True)]))
    return {"audits": [each.run.id for each in audits], "figures": figures}


def _by_people(found: OfPeople, audit: "Audit") -> float:
    """The variance of a headline over resamples of its people."""
    times = resampled(len(found.sums), audit.config.bootstrap, audit.config.seed)
    return float(found.mean(times).var())


def _spread(values: np.ndarray, people: np.ndarray) -> dict[str, Any]:
    """Of a headline's `values`, (audits,), and the variance of each over `people`."""
    deviation = _variance(values, people) ** 0.5
    apart = float(stdtrit(len(values) - 1, 0.975)) * deviation * 2**0.5
    found = {"values": values.tolist(), "mean": float(values.mean()), "spread": deviation, "apart": apart}
    if len(values) < OF_HALVES:
        return found
    half = len(values) // 2
    return found | {"halves": _halves((values[:half], people[:half]), (values[half:], people[half:]))}


def _variance(values: np.ndarray, people: np.ndarray) -> float:
    """Between seeds; that of people drawn anew, which is part of it, where a few seeds happen to agree more closely."""
    return max(float(values.var(ddof=1)), float(people.mean()))


def _halves(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Welch's interval for the difference of two means."""
    means = [float(values.mean()) for values, _ in (one, other)]
    errors = [_variance(*half) / len(half[0]) for half in (one, other)]
    parts = sum(error**2 / (len(half[0]) - 1) for error, half in zip(errors, (one, other), strict=True))
    freedom = sum(errors) ** 2 / parts if parts else 1.0  # nobody differs from anybody
    reach, difference = float(stdtrit(freedom, 0.975)) * sum(errors) ** 0.5, means[0] - means[1]
    return {"values": means, "difference": {"value": difference, "low": difference - reach, "high": difference + reach}}


def spread_text(found: dict[str, Any]) -> str:
    """A line a headline: its mean, what two audits differ by, and whether the halves agree."""
    count = len(found["audits"])
    halves = count >= OF_HALVES
    told = f"{count // 2} seeds against {count - count // 2}: difference, 95 %" if halves else ""
    lines = [f"one encoder under {count} seeds, other people in T each time: {', '.join(found['audits'])}", ""]
    lines.append(f"{'':42}{'mean':>9}{'spread':>9}{'two audits, ±':>15}   {told}".rstrip())
    apart = []
    for name, each in found["figures"].items():
        line = f"{name:42}{each['mean']:>9.3f}{each['spread']:>9.3f}{each['apart']:>15.3f}"
        if halves:
            difference = each["halves"]["difference"]
            one, other = each["halves"]["values"]
            line += f"   {one:.3f}, {other:.3f}: {difference['value']:+.3f} "
            line += f"({difference['low']:+.3f} … {difference['high']:+.3f})"
            apart += [] if difference["low"] <= 0 <= difference["high"] else [name]
        lines.append(line)
    if halves:
        agree = "They differ in no figure by more than its interval."
        lines += ["", f"They disagree in: {'; '.join(apart)}." if apart else agree]
    return "\n".join(lines)
