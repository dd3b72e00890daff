"""How the explorer feels: slider to picture, memory after 500 moves, and a first-time user's path. Prints one line each.

    python tests/bench_explore.py [STORE]            by default a tiny store, made anew; needs chromium and playwright
    python tests/bench_explore.py STORE --pictures   photographs 08_explore with a store of the preset quick, for figures/

Slider to picture: from the key press to the first frame with another picture, in the page, over 500 moves each of which changes the
nearest run. The first-time path starts with `jupyter lab` and an empty store, uses the mouse only, and ends with a decoded face.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lab
import numpy as np
import psutil


def moves(store: Path, folder: Path, preset: str) -> None:
    with lab.jupyterlab(store, folder, preset=preset) as address, lab.chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1800})
        lab.open_and_run(page, address.format("08_explore.ipynb"))
        page.locator(".arl .strip").first.wait_for()
        page.evaluate(lab.WATCH)
        lab.enter(page, "λ1", "0.1")  # between here and 0.07 the nearest run changes from λ1 = 1 to 0
        lab.slider(page, "λ1").focus()
        kernel = next(p for p in psutil.process_iter() if "ipykernel_launcher" in _command(p) and _ours(p))
        memory = [kernel.memory_info().rss / 2**20]
        for count in (100, 500):
            page.evaluate("window.arl.times.length = 0")
            for i in range(count):
                lab.move(page, ("ArrowLeft", "ArrowRight")[i % 2])
            memory.append(kernel.memory_info().rss / 2**20)
        times = np.array(page.evaluate("window.arl.times"))
        print(
            f"slider to picture, {len(times)} moves: median {np.median(times):.0f} ms, p95 {np.percentile(times, 95):.0f} ms"
        )
        print("kernel at the start, after 100 and after 600 moves: " + ", ".join(f"{m:.1f}" for m in memory) + " MB")


def first_time(folder: Path) -> None:
    store = folder / "empty"
    begun = time.monotonic()
    with lab.jupyterlab(store, folder / "first") as address, lab.chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1800})
        page.goto(address.replace("/lab/tree/{}", "/lab"), wait_until="commit", timeout=90_000)
        page.locator(".jp-DirListing-item", has_text="08_explore").dblclick(timeout=60_000)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        lab.run_all(page)
        print(f"first-time path: notebook run after {time.monotonic() - begun:.0f} s", flush=True)
        lab.choose(page, "data", "preset tiny")
        page.get_by_role("button", name="Train this").click()
        page.locator(".arl .strip").first.wait_for(timeout=300_000)
        print(f"first-time path: first decoded face after {time.monotonic() - begun:.0f} s", flush=True)
        page.locator('.arl .strip[alt^="decoded"]').first.wait_for(timeout=300_000)
        print(f"first-time path: first finished run after {time.monotonic() - begun:.0f} s", flush=True)


def pictures(store: Path, folder: Path) -> None:
    for dark in (False, True):
        with lab.jupyterlab(store, folder / str(dark), dark=dark) as address, lab.chromium() as browser:
            page = browser.new_page(viewport={"width": 1500, "height": 1750})
            lab.open_and_run(page, address.format("08_explore.ipynb"))
            page.locator(".arl .strip").first.wait_for()
            lab.enter(page, "λ1", "1")
            page.get_by_text("exactly what you chose").wait_for()
            page.locator("button.arl-face").nth(1).click()
            page.get_by_text("Look closer: face 2").wait_for(timeout=60_000)
            page.wait_for_timeout(3_000)
            path = lab.ROOT / "figures" / f"08_explore_{'dark' if dark else 'light'}.png"
            page.locator(".jp-Notebook .arl").first.scroll_into_view_if_needed()
            page.screenshot(path=path)
            print(path)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _ours(process: psutil.Process) -> bool:
    return any(parent.pid == os.getpid() for parent in process.parents())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "--pictures" in sys.argv:
            pictures(Path(sys.argv[1]).resolve(), folder)
            sys.exit()
        if len(sys.argv) > 1:
            moves(Path(sys.argv[1]).resolve(), folder / "moves", "quick")
        else:
            for settings in ([], ["--set", "lambda1=1"]):
                command = [sys.executable, "-m", "arl.cli", "run", "--preset", "tiny", *settings]
                subprocess.run(command, env=lab.environment(folder / "runs", folder), check=True, capture_output=True)
            moves(folder / "runs", folder / "moves", "tiny")
        first_time(folder)
