"""The claims judged by the strongest attacker of each row, who is chosen on held-out X2."""

import json

import pytest
from test_tables import judged, made_up

import arl
from arl import paper
from arl.audit import suite
from arl.config import RunConfig
from arl.messages import ConfigError
from arl.paper import claims, strongest, summary
from arl.paper.rows import every_row, table1
from arl.store import run_of

TINY = RunConfig.preset("tiny")
PRIVACY = ("face_similarity", "feature_similarity")


def met_by(line, held, values):
    """`line` with further attackers: by name, what each has on held-out faces and on T; `decoder` on held-out faces alone."""
    for run in line.runs:
        attacks = {
            name: {
                m: {"value": value, "low": 0, "high": 1, "floors": {"mean face": 0.04}}
                for m in ("face_similarity", "ssim")
            }
            for name, value in values.items()
        }
        run.result["attacks"] = attacks
        run.held = {name: {"face_similarity": value} for name, value in held.items()}
    return line


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(strongest, "held_out_of", lambda row: row.held)


def everybody(known_values, held, values):
    return [met_by(made_up(row, [known_values(row)] * 2), held(row), values(row)) for row in every_row(TINY)]


def test_a_verdict_changes_where_another_attacker_is_strongest_on_held_out_faces(known, tmp_path):
    """As the paper printed it, but ridge gets .7 everywhere: what was decided by face similarity is so no longer."""
    lines = everybody(
        lambda row: row.paper,
        lambda row: {"decoder": 0.3, "ridge": 0.6, "mean": 0.0},
        lambda row: {"ridge": 0.7, "mean": 0.9},
    )
    hardest = paper.against_strongest(lines)
    plain, found = claims.ledger(lines), claims.ledger(lines, hardest)
    assert [{k: f[k] for k in p} for p, f in zip(plain, found, strict=True)] == plain, (
        "the paper's own ledger is as it was"
    )
    by_id = {f["id"]: f for f in found}
    assert by_id["a"]["verdict"] == "holds" and by_id["a"]["strongest"]["value"] == 0
    assert by_id["a"]["stands"] == "now undecided" and by_id["x"]["stands"] == "now undecided"
    for f in found:
        if "face similarity" not in f["effect"] and f["id"] != "q":
            assert f["strongest"]["value"] == f["value"] and f["stands"] in ("stands", f"still {f['verdict']}")
    assert by_id["c"]["stands"] == "stands"
    text = paper.ledger_text(found)
    assert text.count("against the strongest attacker: ") == len(found) and "now undecided" in text
    words = [t.get_text() for t in paper.ledger_figure(found).axes[0].texts]
    assert "strongest attacker" in words and "+0.000 now undecided" in words
    assert "strongest attacker" not in [t.get_text() for t in paper.ledger_figure(plain).axes[0].texts]
    changed = [f for f in found if f["stands"].startswith("now")]
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "10_claims_strongest.json").write_text(json.dumps({"numbers": found}))
    (tmp_path / "quick" / "10_claims.json").write_text(json.dumps({"numbers": plain}))
    page = summary.text(tmp_path).split("### The ledger by the strongest attacker")[1].split("## What is measured")[0]
    assert f"{len(changed)} of {len(found)} verdicts change" in page and 0 < len(changed) < len(found)
    assert [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")][1:] == [
        f"| {f['id']}" for f in changed
    ]
    assert "by face similarity: ridge in 58 of 58 runs" in paper.strongest_text(hardest)
    assert "by feature similarity: features in 58" in paper.strongest_text(hardest)


def test_t_does_not_choose_and_the_papers_decoder_stays_where_it_is_the_best(known):
    lines = everybody(lambda row: row.paper, lambda row: {"decoder": 0.5, "ridge": 0.4}, lambda row: {"ridge": 0.9})
    for f in claims.ledger(lines, paper.against_strongest(lines)):
        assert f["strongest"] == {key: f[key] for key in f["strongest"]}, "ridge has more on T, less on held-out faces"


def test_each_row_has_its_own_strongest_and_a_further_judge_sees_its_pictures(known):
    by = {"1#1": "ridge", "1#2": "decoder"}
    lines = everybody(
        lambda row: row.paper,
        lambda row: {"decoder": 0.5, "ridge": 0.6 if by.get(row.name) == "ridge" else 0.4},
        lambda row: {"ridge": 0.8},
    )
    found = {f["id"]: f for f in claims.ledger(lines, paper.against_strongest(lines))}
    assert found["a"]["strongest"]["value"] == pytest.approx(0.8 - 0.515) and found["a"]["stands"] == "stands"
    line = judged(lines[0], "dlib", [0.1, 0.1])
    for run in line.runs:
        run.result["judges"]["dlib"]["attacks"] = {
            "ridge": {"face_similarity": {"value": 0.2, "floors": {"mean face": 0}}}
        }
    (hardest,) = paper.against_strongest([line])
    assert hardest.each("face_similarity").tolist() == [0.2, 0.2] and line.each("face_similarity").tolist() == [
        0.1,
        0.1,
    ]
    assert hardest.each("ssim").tolist() == [0.8, 0.8] and hardest.floor("face_similarity") == 0


def test_without_further_attackers_there_is_nothing_to_say():
    lines = [made_up(row, [row.paper] * 2) for row in every_row(TINY)]
    assert paper.against_strongest(lines) == [] and "the paper's attackers alone" in paper.strongest_text([])
    assert all("strongest" not in f and "stands" not in f for f in claims.ledger(lines, []))


def test_further_attackers_are_named_once_for_all_rows_and_change_no_row_without_them():
    assert [row.cfg for row in every_row(TINY, "")] == [row.cfg for row in every_row(TINY)]
    for row in every_row(TINY, "ridge, mean"):
        assert [attack.name() for attack in row.cfg.attacks] == ["decoder", "features", "ridge", "mean"]
    with pytest.raises(ConfigError, match="attacks: found 'magic', accepted"):
        every_row(TINY, "magic")


def test_a_row_says_once_who_is_strongest_on_held_out_faces(shared_store, monkeypatch):
    row = arl.run(table1(TINY.replace(attacks="decoder,features,ridge,mean"))[0].cfg)
    found = strongest.strongest_of(row)
    kept = run_of({"kind": "heldout", "version": 1, "row": row.id}).result["held_out"]
    assert set(kept) == {"decoder", "features", "ridge", "mean"} == set(json.loads(json.dumps(kept)))
    best = max(("decoder", "ridge", "mean"), key=lambda name: kept[name]["face_similarity"])
    assert found == ({} if best == "decoder" else dict.fromkeys(strongest.AFTER["picture"][1], best))
    monkeypatch.setattr(suite, "on_held_out", lambda _: pytest.fail("it is in the store"))
    assert strongest.strongest_of(row) == found
    (line,) = paper.against_strongest([paper.Line(table1(TINY)[0], (row,))])
    shown = row.result if best == "decoder" else row.result["attacks"][best]
    assert line.each("face_similarity").tolist() == [shown["face_similarity"]["value"]]
    assert line.figure("mean_mcc")["value"] == row.value("mean_mcc")
