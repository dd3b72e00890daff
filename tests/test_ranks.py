"""Drawings against photographs: rank correlations of the tables, the ledgers side by side, and what the summary makes of them."""

import csv
import json
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from lab import ROOT
from matplotlib.axes import Axes
from scipy import stats

from arl import paper
from arl.config import PRESETS, RunConfig
from arl.messages import ConfigError
from arl.paper import ledgers, ranks, saved, summary
from arl.paper.ranks import Measured
from arl.paper.ranks_figure import ranks_figure
from arl.workbook import notebooks

QUICK = ROOT / "figures" / "quick"
METRICS = {
    "mean_mcc",
    "face_similarity",
    "feature_similarity",
    "ssim",
    "psnr",
    "within_variance",
    "between_variance",
    "lda_score",
}


def synthetic(values, rng, spread=0.1, seeds=3, metric="ssim"):
    """Rows of Table 1 whose seeds scatter around `values`."""
    each = {(f"1#{i}", metric): v + spread * rng.standard_normal(seeds) for i, v in enumerate(values)}
    return Measured("some", each, runs={row: row for row, _ in each})


@pytest.fixture
def only_drawn(store, tmp_path, monkeypatch):
    """A project that has tables of drawings only, as a user's may."""
    shutil.copytree(QUICK, tmp_path / "project" / "figures" / "quick")
    monkeypatch.setattr(saved, "project_root", lambda: tmp_path / "project")


@pytest.fixture
def quick(store):
    return ranks.read_tables("quick")


def photographs(folder, change=lambda value, metric: value):
    """The committed tables and ledger as those of celeba10k in `folder`, each seed's value changed; runs are others."""
    target = folder / "celeba10k"
    target.mkdir(parents=True)
    for name in ranks.CSVS:
        with (QUICK / f"{name}.csv").open(newline="") as file:
            cells = list(csv.DictReader(file))
        for cell in cells:
            each = [change(float(v), cell["metric"]) for v in cell["seeds"].split()]
            cell |= {"seeds": " ".join(map(str, each)), "value": np.mean(each), "runs": "x" + cell["runs"]}
        with (target / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(cells[0]))
            writer.writeheader()
            writer.writerows(cells)
        text = (
            (QUICK / f"{name}.json")
            .read_text()
            .replace("rendered faces, 250 people \\u00d7 32, 48 px", "CelebA, 7 images")
        )
        (target / f"{name}.json").write_text(text)
    shutil.copy(QUICK / "10_claims.json", target)
    return target


# -- correlations ---------------------------------------------------------------------------------------------------


def test_the_statistics_are_those_of_scipy_with_ties_and_without():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (20, 9)), rng.normal(size=(20, 9))
    rho, tau = ranks.rank_correlations(x, y)
    assert np.allclose(rho, [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert np.allclose(tau, [stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert np.isnan(ranks.rank_correlations(np.ones((1, 4)), y[:1, :4])).all()


def test_a_table_agrees_with_itself_and_not_with_its_mirror(quick):
    mirror = replace(quick, values={key: -value for key, value in quick.values.items()})
    same, other = ranks.correlations((quick, quick)), ranks.correlations((quick, mirror))
    assert set(same) == set(other) == METRICS
    for metric, groups in same.items():
        for group, found in groups.items():
            for name in ("spearman", "kendall") if "spearman" in found else ():
                assert found[name]["value"] == pytest.approx(1) and found[name]["high"] == pytest.approx(1)
                mirrored = other[metric][group][name]
                assert mirrored["value"] == pytest.approx(-1) and mirrored["low"] == pytest.approx(-1)
                assert -1 <= mirrored["low"] <= mirrored["high"] <= 1 and found[name]["low"] <= found[name]["high"]
    assert ranks.legitimate(same["face_similarity"]["all rows"]) is True
    assert ranks.legitimate(other["face_similarity"]["all rows"]) is False
    assert same == ranks.correlations((quick, quick)), "a fixed seed"


@pytest.mark.parametrize("rows, r, widest", [(7, 0.5, 1.6), (27, 0.0, 0.85), (27, 0.8, 0.5)])
def test_the_interval_covers_what_is_known(rows, r, widest):
    """95 % of 150 samples with a known ρ should have it in their interval: 88 % is four standard errors less."""
    rng = np.random.default_rng(rows)
    truth, inside, widths = 6 / np.pi * np.arcsin(r / 2), 0, []
    for _ in range(150):
        x, y = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], rows).T
        rho = ranks.rank_interval(synthetic(x, rng), synthetic(y, rng), "ssim", draws=300)["spearman"]
        inside += rho["low"] <= truth <= rho["high"]
        widths.append(rho["high"] - rho["low"])
    assert inside >= 0.88 * 150 and np.mean(widths) < widest


def test_seeds_that_scatter_widen_the_interval_and_a_lone_seed_has_its_own_error():
    x = np.arange(12.0)
    rng = np.random.default_rng(0)
    sharp = synthetic(x, rng, 0.01)
    widths = [_width(ranks.rank_interval(sharp, synthetic(x, np.random.default_rng(1), s), "ssim")) for s in (0.01, 2)]
    assert widths[0] < 0.01 < 0.1 < widths[1]
    lone = Measured("lone", {key: v[:1] for key, v in sharp.values.items()}, runs=sharp.runs)
    unsure = replace(lone, errors=dict.fromkeys(lone.values, 3.0))
    assert (
        _width(ranks.rank_interval(sharp, lone, "ssim"))
        < 0.01
        < 0.1
        < _width(ranks.rank_interval(sharp, unsure, "ssim"))
    )


def _width(found):
    return found["spearman"]["high"] - found["spearman"]["low"]


def test_a_seed_is_one_split_for_all_rows():
    """What moves all rows together is no doubt about their order."""
    shift = np.array([-50.0, 0, 50])
    together = Measured("some", {(f"1#{i}", "ssim"): i + shift for i in range(9)}, runs={"1#0": "x"})
    drawn = ranks.redrawn(together, list(together.values), 200, np.random.default_rng(0))
    assert np.ptp(drawn[:, 0]) > 40 and np.allclose(np.diff(drawn, axis=1), 1)


def test_one_measurement_counts_once(quick):
    """Attackers change nothing of what Enc knows; 1#1 and 3:fc, without are the same run."""
    every = ranks.common(quick, quick, "face_similarity")
    assert len(every) == 27 and "1#1" in every and "3:fc, without" not in every and "3:fc, with" not in every
    assert "3:fc, without" in ranks.common(quick, quick, "face_similarity", "layers, without (Table 3)")
    assert ranks.common(quick, quick, "mean_mcc", "layers, without (Table 3)") == ["3:conv1, without"]
    assert ranks.common(quick, quick, "mean_mcc", "attackers (Table 1)") == ["1#1", "1#2", "1#7", "1#8", "1#9", "1#10"]
    other = replace(quick, values={k: v + i for i, (k, v) in enumerate(quick.values.items())})
    assert len(ranks.common(quick, other, "face_similarity")) == 29, "the same in one, told apart in the other"
    assert len(ranks.common(ranks.printed(), quick, "face_similarity")) == 27, (
        "what was printed twice was measured once"
    )


def test_groups_hold_one_thing_that_changes(quick):
    sizes = {group: len(ranks.common(quick, quick, "face_similarity", group)) for group in ranks.WITHIN}
    assert list(sizes.values()) == [27, 10, 7, 6, 6]
    few = replace(quick, values={k: v for k, v in quick.values.items() if k[0] in ("1#1", "1#2", "1#3", "1#4")})
    assert ranks.rank_interval(few, quick, "face_similarity") == {"rows": 4}
    flat = replace(quick, values={k: np.ones(3) for k in quick.values})
    assert "spearman" not in ranks.rank_interval(quick, flat, "face_similarity"), "no order where all are the same"


def test_the_rule():
    for low, high, says in ((0.71, 0.9, True), (0.5, 0.69, False), (0.5, 0.9, None)):
        assert ranks.legitimate({"spearman": {"low": low, "high": high}}) is says
    assert ranks.legitimate({"rows": 2}) is None


def test_what_could_not_be_measured_is_left_out(only_drawn, store):
    folder = store / "figures" / "celeba10k"
    folder.mkdir(parents=True)
    head = "row,label,metric,value,low,high,seeds,paper,runs\n"
    (folder / "02_table1.csv").write_text(
        f"{head}1#1,a,ssim,,,,nan,,r\n1#2,b,ssim,0.5,0.4,0.6,0.5,,s\n1#3,c,ssim,nan,nan,nan,0.5 nan,,t\n"
    )
    found = ranks.read_tables("celeba10k")
    assert found.title == "CelebA 10k" and list(found.values) == [("1#2", "ssim")]
    assert found.errors["1#2", "ssim"] == pytest.approx(0.2 / 3.92) and set(found.runs) == {"1#1", "1#2", "1#3"}


# -- where tables are found -----------------------------------------------------------------------------------------


def test_tables_are_those_of_the_folder_that_has_most(store, monkeypatch, tmp_path):
    assert ranks.read_tables("quick").folder == QUICK, "the project's, where nothing else is"
    own = store / "figures" / "quick"
    own.mkdir(parents=True)
    shutil.copy(QUICK / "02_table1.csv", own)
    assert ranks.read_tables("quick").folder == QUICK, "one of three would mix them"
    for name in ranks.CSVS[1:]:
        shutil.copy(QUICK / f"{name}.csv", own)
    assert ranks.read_tables("quick").folder == own
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "named"))
    shutil.copytree(own, tmp_path / "named" / "quick")
    assert ranks.read_tables("quick").folder == tmp_path / "named" / "quick"


def test_what_is_missing_is_one_line_each(only_drawn, store):
    assert ranks.compared("celeba10k", "tiny") == [] and paper.missing_tables("quick") == ""
    first, _ = paper.missing_tables("celeba10k", "tiny").splitlines()
    assert first.startswith("no tables of preset celeba10k yet: `arl reproduce --preset celeba10k` makes them")
    photographs(store / "figures")
    (store / "figures" / "celeba10k" / "10_claims.json").unlink()
    assert paper.missing_tables("celeba10k", "quick").startswith("no ledger of preset celeba10k yet")
    assert paper.ranks_text([]) == "no tables to compare" and paper.save_ranks([], "x") is None
    assert paper.ledgers_text({}) == "no ledgers to show"


@pytest.mark.parametrize("name", ["", "../quick", "a b", "/tmp"])
def test_a_preset_s_name_is_no_path(name):
    with pytest.raises(ConfigError, match="ours: found .*, accepted: the name of a preset"):
        notebooks.read_notebook(ROOT / "notebooks" / "12_photographs.ipynb").given({"ours": name})


# -- the figure, the ledgers, the page ------------------------------------------------------------------------------


def test_the_figure_is_saved_with_all_its_numbers(store):
    photographs(store / "figures", lambda value, metric: value + 1 if metric == "psnr" else 2 * value)
    pairs = paper.compared("celeba10k", "quick")
    assert [(x.title, y.title) for x, y in pairs] == [
        ("rendered", "CelebA 10k"),
        ("the paper", "CelebA 10k"),
        ("the paper", "rendered"),
    ]
    shown = paper.save_ranks(pairs, "12_ranks")
    assert shown.path == store / "figures" / "celeba10k" / "12_ranks.png" and shown._repr_png_()
    written = json.loads(shown.path.with_suffix(".json").read_text())
    first = written["numbers"]["pairs"][0]
    face = first["correlations"]["face_similarity"]["all rows"]
    assert face["spearman"]["value"] == pytest.approx(1) and face["rows"] == 27 and first["rule"]
    x, y = first["points"]["face_similarity"]["2:λ2=5"]
    assert y == pytest.approx(2 * x) and len(first["points"]["face_similarity"]) == 27
    assert written["numbers"]["rule"] == ranks.RULE and not written["numbers"]["pairs"][1]["rule"]
    assert written["runs"]["rendered"]["1#1"].split()[0] == "row-2f2a7f1d8da8"
    text = paper.ranks_text(pairs)
    assert (
        text.index("The rule, written before any number")
        < text.index("face similarity: ρ = 1.00")
        < text.index("legitimate\n")
    )
    assert "legitimate" not in text[text.index("the paper → CelebA 10k") :], "what was printed is no test bed"
    assert "The rule" not in paper.ranks_text(pairs[2:])


def test_a_point_a_row_a_panel_a_metric_and_rho_in_its_title(quick):
    found = [ranks.correlations((quick, quick))]
    figure = ranks_figure([(quick, quick)], found)
    axes = [axis for axis in figure.findobj(lambda a: isinstance(a, Axes)) if axis.get_visible()]
    assert len(axes) == len(METRICS)
    face = next(axis for axis in axes if axis.get_title().startswith("face similarity"))
    assert sum(len(line.get_xdata()) for line in face.get_lines()) == 27
    assert face.get_title().splitlines()[1].startswith("ρ 1.00 (0.")


def test_three_columns_and_how_often_they_agree(store):
    folder = photographs(store / "figures")
    path = folder / "10_claims.json"
    ledger = json.loads(path.read_text())
    claims = {f["id"]: f for f in ledger["numbers"]}
    claims["a"] |= {"verdict": "fails", "value": -0.5, "low": -0.6, "high": -0.4}
    claims["b"] |= {"verdict": "undecided", "low": -1.0}
    path.write_text(json.dumps(ledger))
    found = paper.find_ledgers("celeba10k", "quick")
    head, first, *rest = ledgers.ledgers_rows(found)
    assert head == ["", "claim", "the paper", "CelebA 10k", "rendered"] and len(rest) == 23
    assert first[2:] == ["+0.036", "fails -0.500 (-0.600 … -0.400)", "holds +0.029 (+0.016 … +0.042)"]
    same, photographs_sign, drawings_sign = ledgers.agreement(found)
    assert "the same verdict in 22 of 24 (92 %) claims, in 19 of 20 (95 %) that both decide" in same
    assert (
        "17 of 23 (74 %) claims on rendered" in drawings_sign
        and "16 of 23 (70 %) claims on CelebA 10k" in photographs_sign
    )
    text = paper.ledgers_text(found)
    assert same in text and len({len(line.split("|")) for line in ledgers.ledgers_table(found)}) == 1


def test_the_page_has_both_comparisons_where_both_were_measured(tmp_path, monkeypatch):
    shutil.copytree(QUICK, tmp_path / "quick")
    shutil.copy(ROOT / "figures" / "README.md", tmp_path)
    assert "## Claims:" not in summary.text(tmp_path), "drawings alone"
    photographs(tmp_path, lambda value, metric: 2 * value)
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    paper.save_ranks(paper.compared("celeba10k", "quick"), "12_ranks")
    text = summary.text(tmp_path)
    assert (
        "## Preset quick: rendered faces, 250 people × 32, 48 px\n" in text
        and "## Preset celeba10k: CelebA, 7 images\n" in text
    )
    assert (
        text.index("## Preset quick")
        < text.index("## Preset celeba10k")
        < text.index("## Claims: paper · CelebA 10k · rendered")
    )
    assert (
        text.index("## Claims")
        < text.index("## From drawings to photographs")
        < text.index(ranks.RULE)
        < text.index("| face similarity | ρ")
    )
    assert "](celeba10k/12_ranks.png)" in text and ": legitimate |" in text


def test_the_page_has_every_preset_and_a_figure_s_preset_is_found():
    assert set(PRESETS) <= set(summary.PRESETS)
    for name in PRESETS:
        cfg = RunConfig.preset(name)
        run = SimpleNamespace(result={"config": cfg.flat()}, spec={})
        assert paper.saved.preset_of([run]) == name


# -- the notebook ---------------------------------------------------------------------------------------------------


def test_the_notebook_reads_what_is_there(store, tmp_path, monkeypatch):
    """In an empty store: drawings of the project against what the paper printed, one line on what is missing, no error."""
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "figures"))
    executed = notebooks.execute(ROOT / "notebooks" / "12_photographs.ipynb", {"ours": "tiny"})
    said = "".join(o.get("text", "") for cell in nbformat.read(executed, 4).cells for o in cell.get("outputs", ()))
    assert (
        "no tables of preset tiny yet" in said and "the paper → rendered" in said and "paper's sign in 17 of 23" in said
    )
    assert (tmp_path / "figures" / "quick" / "12_ranks.png").exists()


def test_it_comes_last_as_it_reads_what_the_others_write(monkeypatch, store):
    order = []

    def execute(path, given):
        time.sleep(0 if path.stem.startswith("12") else 0.3)
        order.append(path.stem)
        copy = store / "notebooks" / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
        return copy

    monkeypatch.setattr(notebooks, "execute", execute)
    monkeypatch.setattr(notebooks, "workers", lambda: 3)
    done = list(notebooks.execute_all(["08", "09", "12"], {}))
    assert order[-1] == "12_photographs" and len(done) == 3
