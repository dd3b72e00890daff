"""The audit's report: ten answers that a machine checks against the store, in a page that needs nothing else; and the notebook."""

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from lab import ROOT
from test_audit import SHOWN, scripted

import arl
from arl import paper
from arl.audit import audit, audit_json, ten_text
from arl.audit.questions import Cited, ten
from arl.audit.report import report_path
from arl.audit.suite import Audit, experiment_of, of_experiment
from arl.config import RunConfig
from arl.messages import UserError
from arl.paper import saved
from arl.paper.tables import read_cells
from arl.workbook import notebooks

TINY = RunConfig.preset("tiny")
NAMES = ["picture", "identity", "beyond", "worst", "effort", "pairs", "saturated", "controls", "utility", "not_tried"]
LINE = re.compile(r"[-+]?[\d,]*\.?\d+%?")


class Page(HTMLParser):
    """What a machine reads of a page: everything with `data-key`, with its text; the addresses, and the kinds of elements."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.addresses, self.tags = [], [], [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.addresses += [attributes[name] for name in ("src", "href", "srcset", "action") if name in attributes]
        if "data-key" in attributes:
            self.found.append(attributes | {"text": ""})
        self.open.append(self.found[-1] if "data-key" in attributes else None)
        if tag in ("meta", "img", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        for each in self.open:
            if each is not None:
                each["text"] += data


def kept(store, run, key):
    """What lies at `key` of the run's result: value, low, high; None three times where nothing does."""
    found = json.loads((store / run / "result.json").read_text())
    for part in key.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        found = found.get(part) if isinstance(found, dict) else None
    return (found.get("value"), found.get("low"), found.get("high")) if isinstance(found, dict) else (found, None, None)


def mistakes(page, store):
    """Every figure of `page` that is not what the store has, or that reads otherwise than it is."""
    wrong = []
    for each in Page(page).found:
        said = [json.loads(each[f"data-{name}"] or "null") for name in ("value", "low", "high")]
        if said != list(kept(store, each["data-run"], each["data-key"])):
            wrong.append(each)
        numbers = [float(n.strip("%").replace(",", "")) / (100 if "%" in n else 1) for n in LINE.findall(each["text"])]
        if "data-question" not in each and isinstance(said[0], int | float) and not isinstance(said[0], bool):
            near = [
                n for n in numbers if abs(n - said[0]) < (0.051 if isinstance(said[0], float) and said[0] > 1 else 6e-4)
            ]
            wrong += [] if near else [each]
    return wrong


@pytest.fixture
def of_row(shared_store):
    """An audit of a row, with f."""
    return audit(arl.run(TINY).id)


@pytest.fixture
def of_file(tmp_path, shared_store):
    """An audit of a file, by two attackers alone."""
    experiment, about = experiment_of(str(scripted(tmp_path / "<b>&.ts")), {}, "tiny", SHOWN)
    experiment.cfg = experiment.cfg.replace(attacks=("mean", "ridge"))
    return of_experiment(experiment, about)


def test_a_machine_finds_all_ten_answers_of_the_page_in_the_store(of_row, shared_store, tmp_path):
    path, beside = paper.write_report(of_row, tmp_path / "new" / "report.html")
    page = path.read_text()
    answers = [each for each in Page(page).found if "data-question" in each]
    assert [each["data-question"] for each in answers] == NAMES
    assert not mistakes(page, shared_store)
    run, curve = of_row.run.id, of_row.curve.id
    runs = {each["data-question"]: each["data-run"] for each in answers}
    assert runs == {name: curve if name in ("pairs", "saturated") else run for name in NAMES}
    values = {each["data-question"]: each["data-value"] for each in answers}
    assert all(values[name] for name in NAMES if name != "controls"), "nothing was left out"
    assert bool(values["controls"]) == ("controls" in of_row.result)
    found = json.loads(beside.read_text())
    assert found == json.loads(json.dumps(audit_json(of_row))) and [each["name"] for each in found["answers"]] == NAMES
    for each, said in zip(answers, found["answers"], strict=True):
        assert (said["run"], said["key"]) == (each["data-run"], each["data-key"]) and said["sentence"] == each["text"]
        assert (
            said["value"] == json.loads(each["data-value"] or "null") == kept(shared_store, said["run"], said["key"])[0]
        )
    assert {each.text for each in ten(of_row)} == {each["text"] for each in answers}
    assert all(each["text"] in ten_text(of_row) for each in answers)


def test_the_check_of_a_page_sees_a_figure_that_was_changed(of_row, shared_store):
    page = paper.audit_html(of_row)
    value = json.dumps(of_row.result["worst"]["any"]["first"]["value"])
    assert mistakes(page.replace(f'data-value="{value}"', 'data-value="0.123456"', 1), shared_store)
    shown = f"{of_row.result['mean_mcc']['value']:.3f} (95"
    assert shown in page and mistakes(page.replace(shown, "0.987 (95"), shared_store), "read otherwise than it is"
    assert mistakes(page.replace(of_row.run.id, of_row.result["runs"]["encoder"]), shared_store)


def test_a_page_needs_nothing_else_and_shows_nobody(of_row, of_file):
    for each in (of_row, of_file):
        page = Page(paper.audit_html(each))
        assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
        assert not page.tags & {"script", "link", "iframe", "object", "embed", "video", "audio"} and not page.open
    assert not saved.shows_pictures(paper.attackers_figure({"a": [of_row]})), "no face is in its figure"


def test_of_a_file_what_was_not_measured_is_said(of_file, shared_store):
    page = paper.audit_html(of_file)
    assert not mistakes(page, shared_store) and "&lt;b&gt;&amp;.ts" in page and "<b>&.ts" not in page
    said = {each.name: each.text for each in ten(of_file)}
    assert "no classifier" in said["utility"] and "not measured" in said["utility"]
    assert "the attacker kernelridge" in said["not_tried"] and "gradients" in said["not_tried"]
    assert "leaked" not in said["not_tried"], "its curve has tried few pairs"
    missed = of_file.result["controls"]["missed"]
    assert f"missed: {', '.join(missed) or 'none'}" in said["controls"]
    assert ("proves nothing about silence" in said["controls"]) == (not of_file.result["controls"]["works"])
    assert "come first in the line-up" in said["worst"], "too few strangers"
    curve = of_file.curve.result
    assert f"1: {curve['pairs']['1']['value']:.3f} (" in said["pairs"]
    assert (
        f"{curve['budgets']['16']['value']:.3f} (" in said["saturated"] and curve["law"]["verdict"] in said["saturated"]
    )
    assert said["effort"].startswith("ridge") and of_file.result["effort"]["ridge"]["parameters"] == 3 * 32 * 32 * (
        12 + 1
    )


@pytest.mark.parametrize(
    ("controls", "found", "silence"),
    [
        (None, "as a control: not run", "proves nothing"),
        ({"planted": 6, "safe": 3, "missed": [], "false_alarms": []}, "leaks: 6; missed: none.", "says something"),
        ({"planted": 6, "safe": 3, "missed": ["b"], "false_alarms": []}, "leaks: 6; missed: b.", "proves nothing"),
        ({"planted": 6, "safe": 3, "missed": [], "false_alarms": ["c"]}, "false alarms: c.", "proves nothing"),
    ],
)
def test_controls_decide_what_silence_is_worth(of_file, controls, found, silence):
    said = answers_of(of_file, controls=controls)["controls"]
    assert found in said and silence in said


def answers_of(found, **changed):
    """The ten sentences of another result than the store has: without what is None in `changed`."""
    result = {name: value for name, value in (found.result | changed).items() if value is not None}
    return {each.name: each.text for each in ten(Audit(SimpleNamespace(id="audit-1"), found.config, result))}


def test_who_holds_the_encoder_is_said_to_beside_who_only_sees_features(of_row):
    figure = {"value": 0.25, "low": 0.2, "high": 0.3}
    held = {"ridge": {"face_similarity": 0.2}, "mean": {"face_similarity": 0.1}, "refined": {"face_similarity": 0.3}}
    made = {name: {"face_similarity": figure} for name in held}
    effort = {name: {"images": 10, "parameters": 3, "seconds": 1.0} for name in held}
    said = answers_of(of_row, strongest="refined", held_out=held, attacks=made, effort=effort)["effort"]
    assert "It also holds the encoder" in said and said.endswith(
        "; of those that only see features ridge gets most, a face similarity of 0.250 (95 %: 0.200 to 0.300)."
    )
    assert "holds the encoder" not in answers_of(of_row, strongest="ridge", held_out=held, attacks=made)["effort"]
    alone = answers_of(of_row, strongest="refined", held_out={"refined": held["refined"]}, attacks=made)["effort"]
    assert alone.endswith("It also holds the encoder, and follows its gradients.")


def test_what_was_tried_or_is_not_kept_is_said_as_it_is(of_row):
    older = answers_of(of_row, worst=None, effort=None, not_tried=None)  # an audit of an earlier arl
    assert older["worst"] == "For whom it is worst is not measured." and "not measured" in older["effort"]
    assert "not measured" in older["not_tried"]
    assert "not tried" in older["pairs"] and older["saturated"].startswith("Not known. More and more data: not tried")
    few = {"value": None, "low": None, "high": None, "why": "too few people"}
    identity = {"C": {name: each | {"rank1": few} for name, each in of_row.result["identity"]["C"].items()}}
    assert "not known (too few people)" in answers_of(of_row, identity=identity)["identity"]
    sure = {"found": {"value": 0.4, "low": 0.3, "high": 0.5, "chance": 0.02}}
    worst = of_row.result["worst"] | {"any": of_row.result["worst"]["any"] | sure}
    assert "40.0% (95 %: 30.0% to 50.0%) of " in answers_of(of_row, worst=worst)["worst"]
    assert "found again by a threshold" in answers_of(of_row, worst=worst)["worst"]


def test_a_figure_with_a_strange_name_is_found_by_its_pointer():
    number = Cited("row-1", {"a/b": {"c~d": {"value": 0.5, "low": 0.4, "high": 0.6}}}).number("a/b", "c~d")
    assert (number.key, number.text) == ("/a~1b/c~0d", "0.500 (95 %: 0.400 to 0.600)")


def test_the_pdf_has_pages_and_is_the_same_each_time(of_row, tmp_path):
    path, beside = paper.write_report(of_row, tmp_path / "report.pdf")
    made = path.read_bytes()
    assert made[:5] == b"%PDF-" and 4 <= len(re.findall(rb"/Type /Page\b", made)) <= 8 and beside.exists()
    assert paper.audit_pdf(of_row) == made


def test_another_kind_of_report_is_refused_before_anything_is_done(here, tmp_path):
    with pytest.raises(UserError, match="--report: found 'a.doc', accepted: a name that ends in .html or .pdf"):
        report_path("a.doc")
    status, out, err = here("audit", "--report", "a.doc", str(scripted(tmp_path / "a.ts")))
    assert status == 1 and not out and err.startswith("arl: --report: found ") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_command_writes_what_was_asked_for(here, of_row, shared_store, monkeypatch, tmp_path):
    monkeypatch.setenv("ARL_RUNS", str(shared_store))
    status, _, err = here(
        "audit", "--report", "in/a.html", "--report", "a.pdf", "--json", "b.json", of_row.run.spec["encoder"]
    )
    assert status == 0, err
    assert not mistakes((tmp_path / "in/a.html").read_text(), shared_store)
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
    assert len({(tmp_path / name).read_text() for name in ("in/a.json", "a.json", "b.json")}) == 1


def test_the_figure_has_a_line_an_attacker_and_its_numbers(of_row, shared_store):
    figure = paper.attackers_figure({"one": [of_row], "two": [of_row]})
    left, right = figure.axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == [*of_row.result["held_out"], "Z itself", "the answers alone", "any of the chosen"]
    drawn = {float(line.get_xdata()[0]) for line in left.lines if line.get_marker() in ("o", "s")}
    attacks = of_row.result["attacks"].values()
    pictures = {each["face_similarity"]["value"] for each in attacks if "face_similarity" in each}
    assert drawn == pictures | {of_row.result["face_similarity"]["value"]}
    people = {float(line.get_xdata()[0]) for line in right.lines if line.get_marker() in ("o", "s")}
    assert 100 * of_row.result["worst"]["any"]["first"]["value"] in people
    numbers = paper.audit_numbers({"one": [of_row]})
    assert set(numbers) == {of_row.run.id} and "config" not in numbers[of_row.run.id], "whose paths are one machine's"


def test_the_notebook_audits_the_row_of_its_parameters(shared_store, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    executed = notebooks.execute(ROOT / "notebooks" / "11_audit.ipynb", {"preset": "tiny", "rows": "1:1"})
    text = executed.read_text()
    assert "What was not tried?" in text and "image/png" in text
    kept = json.loads((tmp_path / "tiny" / "11_audit.json").read_text())
    (run,) = kept["runs"]
    assert kept["numbers"][run]["answers"][0]["run"] == run and (shared_store / run / "result.json").exists()


def test_a_table_over_seeds_has_the_figures_of_its_audits(here, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path / "figures"))
    line = paper.suite_of(str(scripted(tmp_path / "a.ts")), {}, "0,1", preset="tiny", **SHOWN)
    assert [each.config.seed for each in line.audits] == [0, 1] and line.setting.label == "a.ts"
    for metric, place in {
        "strongest_similarity": lambda r: (r["attacks"] | {"decoder": r})[r["strongest"]]["face_similarity"],
        "found_beyond": lambda r: r["worst"]["excess"]["found"],
    }.items():
        each = [place(one.result)["value"] for one in line.audits]
        assert line.figure(metric)["each"] == [value for value in each if value is not None]
    text = paper.suite_text([line])
    assert f"{line.runs[1].id} against {line.runs[0].id}" in text, "two audits of one encoder are compared"
    paper.save_suite([line])
    cells = {cell["metric"]: cell for cell in read_cells(next((tmp_path / "figures").rglob("11_suite.csv")))}
    two = [float(value) for value in cells["strongest_similarity"]["seeds"].split()]
    assert float(cells["strongest_similarity"]["value"]) == pytest.approx(sum(two) / 2, abs=1e-5)
    assert not cells["mean_mcc"]["value"], "nobody knows the utility of an encoder without f"
    drawn = paper.attackers_figure({"a.ts": line.audits})
    points = {float(each.get_xdata()[0]) for each in drawn.axes[0].lines if each.get_marker() == "o"}
    assert any(point == pytest.approx(line.figure("face_similarity")["value"]) for point in points)


def test_rows_are_audited_by_the_suite_whatever_attacker_they_have(shared_store, monkeypatch):
    """Table 2's rows have a Dec^a with μ2: the audit's own has none, so the table compares all by the same attacker."""
    monkeypatch.setenv("ARL_RUNS", str(shared_store))
    (line,) = paper.suite_of_rows(paper.find_rows(TINY, "1:3"), "0")  # a GAN attacker
    (found,) = line.audits
    assert found.config.flat()["mu1"] == 0 and line.setting.cfg.mu1 > 0
    assert line.figure("face_similarity")["value"] == found.result["face_similarity"]["value"]
