"""A real JupyterLab, a real Voilà and a headless Chromium, for `test_browser` and `bench_explore`."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
CELL = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell"
ERROR = '[data-mime-type="application/vnd.jupyter.error"]'
# Pressing a key to the first frame with another picture, in the page's own time.
WATCH = """() => {
  window.arl = {pressed: 0, times: []};
  const picture = () => document.querySelector('.arl .strip[alt^="decoded"]');
  let last = picture().src;
  addEventListener('keydown', () => { window.arl.pressed = performance.now(); }, true);
  new MutationObserver(() => {
    const now = picture();
    if (!now || now.src === last) return;
    last = now.src;
    const pressed = window.arl.pressed;
    now.decode().then(() => requestAnimationFrame(() => window.arl.times.push(performance.now() - pressed)));
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(store, folder):
    """For servers and their kernels: this checkout, this store, and no setting of the user's."""
    extra = {
        "ARL_RUNS": store,
        "ARL_FIGURES": folder / "figures",
        "PYTHONPATH": ROOT,
        "ARL_THREADS": 1,
        "OMP_NUM_THREADS": 1,
    }
    extra |= {"JUPYTERLAB_SETTINGS_DIR": folder / "settings", "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces"}
    extra |= {"JUPYTER_CONFIG_DIR": folder / "config", "IPYTHONDIR": folder / "ipython"}
    return os.environ | {name: str(value) for name, value in extra.items()}


@contextmanager
def jupyterlab(store, folder, *, dark=False, **parameters):
    """JupyterLab over copies of the notebooks in `folder`, with other values for their parameters; yields its address, made by {}."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
        for name, value in parameters.items():
            cell.source = re.sub(rf"^({name}: \w+ = ).*$", lambda m, v=value: m[1] + repr(v), cell.source, flags=re.M)
        nbformat.write(notebook, notebooks / path.name)
    for name, value in {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "apputils-extension/themes": {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"},
        "notebook-extension/tracker": {"windowingMode": "none"},  # every cell stands in the page
    }.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    port = free_port()
    options = [
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=secret",
        "--no-browser",
        "--allow-root",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={notebooks}"]
    with started(command, environment(store, folder), folder / "lab.log"):
        answers(f"http://127.0.0.1:{port}/api?token=secret")
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token=secret&reset"


def end_kernel(address, notebook):
    """End the kernel of `notebook` in the JupyterLab at `address`."""
    base = address.partition("/lab/")[0] + "/api/sessions"
    with urllib.request.urlopen(f"{base}?token=secret") as answer:
        sessions = json.load(answer)
    for session in sessions:
        if session["path"].endswith(notebook):
            ending = urllib.request.Request(f"{base}/{session['id']}?token=secret", method="DELETE")
            urllib.request.urlopen(ending).close()


@contextmanager
def app(store, folder):
    """`arl app`; yields the address that it prints."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "arl.cli", "app", "--port", "0"]
    with started(command, environment(store, folder), folder / "app.log", subprocess.PIPE) as process:
        address = process.stdout.readline().decode().strip()
        assert address.startswith("http://127.0.0.1:"), (folder / "app.log").read_text()
        answers(address.partition("?")[0] + "login")
        yield address


@contextmanager
def started(command, env, log, stdout=subprocess.DEVNULL):
    with log.open("w") as file:
        process = subprocess.Popen(command, env=env, stdout=stdout, stderr=file, cwd=log.parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def status(address):
    """The HTTP status of an address, and where a redirection leads."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.url
    except urllib.error.HTTPError as error:
        return error.code, address


def answers(address, seconds=90):
    end = time.monotonic() + seconds
    while True:
        try:
            if status(address)[0] == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < end, f"{address} does not answer"
        time.sleep(0.1)


@contextmanager
def chromium():
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def open_and_run(page, address, seconds=120):
    """Open a notebook in JupyterLab, run all its cells from the menu, wait until each has its number. Mouse only."""
    page.goto(address, wait_until="commit", timeout=90_000)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    run_all(page, seconds)


def run_all(page, seconds=120):
    page.get_by_text(re.compile(r"\| Idle")).wait_for(timeout=60_000)  # before it, Run asks which kernel
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Run All Cells")).first.click()
    done = f"() => [...document.querySelectorAll('{CELL} .jp-InputPrompt')].every(p => /\\[\\d+\\]/.test(p.innerText))"
    page.wait_for_function(done, timeout=seconds * 1000)


def slider(page, symbol):
    return page.locator(".widget-slider", has=page.get_by_text(symbol, exact=True)).locator(".noUi-handle")


def enter(page, symbol, value):
    """An exact value in the box beside a slider."""
    box = page.locator(".widget-hbox", has=page.get_by_text(symbol, exact=True)).last.locator("input[type=number]")
    box.fill(value)
    box.press("Enter")


def choose(page, name, text):
    """The entry of a list that contains `text`."""
    control = page.locator(".widget-dropdown", has=page.get_by_text(name, exact=True)).locator("select")
    entry = control.locator("option", has_text=text)
    entry.wait_for(state="attached")
    control.select_option(label=entry.text_content())


def move(page, key):
    """Press an arrow on the slider that has the focus, and wait for another picture."""
    before = page.evaluate("window.arl.times.length")
    page.keyboard.press(key)
    page.wait_for_function(f"window.arl.times.length > {before}", timeout=20_000)
