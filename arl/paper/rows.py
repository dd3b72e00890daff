"""The paper's three tables as data: which configuration is behind each row, and the figures that the paper printed for it.

A `Setting` is one line of a table before it is measured; the sweep finds that the 29 of the three tables need 18 encoders only.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arl.config import LAYERS, RunConfig
from arl.messages import ConfigError

LAMBDA2S = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)  # of Table 2
# Where the paper says μ1 > 0. Calibrated at the quick preset without protection, seed 0: face similarity 0.326 with μ1 = 0, then 0.371 with
# 0.0003, 0.304 with 0.001: a heavier GAN loss draws sharper faces of somebody else.
MU1 = 0.0003

# The columns of `arl/paper/*.csv` by the names of our own metrics.
COLUMNS = {
    "mean_mcc": "mean_mcc",
    "task_mcc": "mean_mcc",
    "face_sim": "face_similarity",
    "feature_sim": "feature_similarity",
    "ssim": "ssim",
    "psnr": "psnr",
    "within_variance": "within_variance",
    "between_variance": "between_variance",
    "lda_score_as_printed": "lda_score",
}


@dataclass(frozen=True)
class Setting:
    """A printed line of one of the paper's tables: `key` as the paper names it, `cfg` our configuration, `paper` its printed figures."""

    table: int
    key: str
    label: str
    cfg: RunConfig
    paper: dict[str, float]

    @property
    def name(self) -> str:
        """Such as "1#2", "2:λ2=5" or "3:conv1, with": unique over the three tables."""
        return f"{self.table}#{self.key}" if self.table == 1 else f"{self.table}:{self.key}"

    @property
    def title(self) -> str:
        """The label as a table's first column has it: with its number in Table 1."""
        return f"#{self.key}  {self.label}" if self.table == 1 else self.label


def table1(cfg: RunConfig) -> list[Setting]:
    """Table 1, Figure 3: attackers with and without GAN and extra data († for Dec^a, ‡ for Enc as well), forty attributes and one."""
    printed = {line["id"]: _figures(line) for line in _paper(1)}
    smiling = dict(attributes="Smiling")
    settings: dict[str, tuple[str, dict]] = {
        "1": ("no protection", {}),
        "2": ("λ1 = 1", dict(lambda1=1)),
        "3": ("no protection, GAN attacker", dict(mu1=MU1)),
        "4": ("λ1 = 1, GAN attacker", dict(lambda1=1, mu1=MU1)),
        "5": ("no protection, attacker †", dict(extra="adversary")),
        "6": ("λ1 = 1, attacker †", dict(lambda1=1, extra="adversary")),
        "7": ("no protection, both ‡", dict(extra="both")),
        "8": ("λ1 = 1, both ‡", dict(lambda1=1, extra="both")),
        "9": ("Smiling alone, no protection, GAN", dict(mu1=MU1, **smiling)),
        "10": ("Smiling alone, λ1 = 1, GAN", dict(lambda1=1, mu1=MU1, **smiling)),
    }
    base = _plain(cfg)
    return [Setting(1, key, label, base.replace(**changed), printed[key]) for key, (label, changed) in settings.items()]


def table2(cfg: RunConfig, lambda2s: Iterable[float] = LAMBDA2S) -> list[Setting]:
    """Table 2, Figures 5 and 7: λ1 = 1 and μ2 = 1 for Dec and Dec^a, for each λ2; any list, the paper's figures where it has them."""
    printed = {float(line["lambda2"]): _figures(line) for line in _paper(2)}
    base = _plain(cfg).replace(lambda1=1, simulated_mu2=1, mu2=1)
    return [
        Setting(2, f"λ2={value:g}", f"λ2 = {value:g}", base.replace(lambda2=value), printed.get(float(value), {}))
        for value in lambda2s
    ]


def table3(cfg: RunConfig, layers: Sequence[str] = LAYERS) -> list[Setting]:
    """Table 3: each layer, without adversarial training (one network for all) and with λ1 = 1.

    The LDA scores that the paper prints for FC are S_w / S_b; `paper` holds S_b / S_w for all.
    """
    printed = {(line["layer"], line["adversarial"]): _figures(line) for line in _paper(3)}
    rows = []
    for layer in layers:
        for word, adversarial, lambda1 in (("without", "no", 0), ("with", "yes", 1)):
            paper = dict(printed[layer, adversarial])
            paper["lda_score"] = round(paper["between_variance"] / paper["within_variance"], 2)
            cfg_row = _plain(cfg).replace(layer=layer, lambda1=lambda1)
            rows.append(Setting(3, f"{layer}, {word}", f"{layer}, {word}", cfg_row, paper))
    return rows


def every_row(cfg: RunConfig, attackers: str = "") -> list[Setting]:
    """The 29 rows of the three tables; `attackers`: names of further ones, separated by commas. Raises `ConfigError`."""
    if further := attackers.replace(",", " ").split():
        cfg = cfg.replace(attacks=(*cfg.attacks, *further))
    return [*table1(cfg), *table2(cfg), *table3(cfg)]


def find_rows(cfg: RunConfig, names: str) -> list[Setting]:
    """Rows by name, separated by ";": "1:2" or "1#2", "2:5" or "2:λ2=5" (any number), "3:conv1, with". Raises `ConfigError`.

    papermill reads no "#" in a notebook's parameter, hence the colon.
    """
    rows = {row.name: row for row in every_row(cfg)}
    rows |= {f"1:{row.key}": row for row in table1(cfg)}
    found = []
    for name in filter(None, (part.strip() for part in names.split(";"))):
        if name not in rows and name.startswith("2:"):
            rows |= {name: table2(cfg, numbers(name[2:].removeprefix("λ2=")))[0]}
        if name not in rows:
            raise ConfigError(
                f"rows: found {name!r}, accepted: 1:1 to 1:10, 2:NUMBER, {', '.join(n for n in rows if n[0] == '3')}"
            )
        found.append(rows[name])
    if not found:
        raise ConfigError("rows: found none, accepted: names such as '1:1; 2:5; 3:conv1, with'")
    return found


def numbers(value: object) -> tuple[float, ...]:
    """`"0, 1, 2"`, `1` or `[0, 1]` as numbers, each once: how notebooks and the shell pass lists. Raises `ConfigError`."""
    parts = value.replace(",", " ").split() if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int | float) else parts
    try:
        found = tuple(dict.fromkeys(float(part) for part in parts))
    except (TypeError, ValueError):
        found = ()
    if not found:
        raise ConfigError(f"list: found {value!r}, accepted: numbers such as '0,1,2'")
    return found


def seeded(cfg: RunConfig, seeds: object) -> list[RunConfig]:
    """`cfg` with each seed of the list `seeds` (see `numbers`)."""
    if bad := [s for s in numbers(seeds) if s < 0 or s != int(s)]:
        raise ConfigError(f"seeds: found {bad[0]:g}, accepted: whole numbers of 0 or more, such as '0,1,2'")
    return [cfg.replace(seed=int(s)) for s in numbers(seeds)]


def _plain(cfg: RunConfig) -> RunConfig:
    """`cfg` without protection, with the plain attacker, at fc: what every row starts from. Data, judges and schedule stay."""
    return cfg.replace(
        lambda1=0, lambda2=0, simulated_mu1=0, simulated_mu2=0, mu1=0, mu2=0, layer="fc", extra="none", attributes="all"
    )


def _paper(table: int) -> list[dict[str, str]]:
    with Path(__file__).with_name(f"table{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _figures(line: dict[str, str]) -> dict[str, float]:
    """The printed figures of a line; of a single task its own MCC, not that over forty attributes it was not trained on."""
    found = {ours: float(line[theirs]) for theirs, ours in COLUMNS.items() if line.get(theirs)}
    return found
