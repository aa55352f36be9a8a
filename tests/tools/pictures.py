"""Take the pictures in nbs/images anew: the control room, the explorer and the rating of lesson 2, in JupyterLab.

    python tests/tools/pictures.py

Chromium is needed, as for tests/test_browser.py. The runs are those of the lesson; the one of the first page keeps
what reaches theta .55, and gets better by it.
"""
import sys, tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from browser import Notebook, browser, lab, middle_of
from project import PROJECT, sources

IMAGES = PROJECT / "nbs" / "images"
LESSON = PROJECT / "nbs" / "course" / "02_the_control_room.ipynb"
SCREEN = dict(width=1700, height=900)
SCALE = 1.25 # pixels of a picture for each of the page
MARKER = next(code for code in sources(LESSON, "code") if "def hurried_marker" in code)
BEGIN = f"""
import math
from selfloop_nb import *
{MARKER}
task = addition(digits=2, n_train=700, n_prompts=300, n_heldout=500, seed=0)
def lesson(theta, store):
    return Loop(tiny_llama(task), task, score=hurried_marker, select=Threshold(theta), tune=FineTune(steps=100),
                initial=FineTune(steps=400, lr=2e-3), store=store, seed=0, progress=False)
"""
BETTER = """
better = lesson(.55, "better")
better.run(rounds=6)
dashboard(better)
"""
SEEN = """
loop = lesson(.5, "lesson")
loop.run(rounds=2)
explore(loop, round=2)
"""
RATED = "rate(loop, round=2, by='you', n=20)"
PAUSED = """
def pause_in_tuning(event):
    if event.kind == "loss" and event.data["step"] == 15: loop.pause()
loop.on(pause_in_tuning)
room = dashboard(loop)
room
"""


def picture(nb, cell, name):
    "What a cell shows, to nbs/images."
    nb.pictures_at_rest()
    shown = nb.page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output").first
    shown.scroll_into_view_if_needed()
    shown.screenshot(path=IMAGES / f"{name}.png")


def take(nb):
    "All four."
    nb.run_all()
    nb.ready()
    third = nb.charts().filter(has_text="held-out accuracy").locator("circle").nth(3)
    nb.page.mouse.click(*middle_of(third))
    picture(nb, 1, "control_room")
    x, y = middle_of(nb.page.locator(".selfloop-room").nth(1).locator(".theta circle"))
    nb.page.mouse.move(x, y)
    nb.page.mouse.down()
    nb.page.mouse.move(x + 370, y, steps=8)
    nb.page.mouse.up()
    picture(nb, 2, "lesson_explore")
    picture(nb, 3, "lesson_rate")
    nb.button("Step", 1).click()
    nb.says("tune, paused")
    picture(nb, 4, "lesson_dashboard")


def main():
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder)) as address, browser() as small:
        page = small.context.browser.new_page(viewport=SCREEN, device_scale_factor=SCALE)
        page.set_default_timeout(0)
        take(Notebook(page, address, Path(folder), BEGIN, BETTER, SEEN, RATED, PAUSED))


if __name__ == "__main__":
    main()
