"""The control room beside the one of commit 40696ff, in one session and by turns.

How long the first picture of a run of sixty rounds takes and how many bytes it sends; a drag of theta, with an idle and
with a busy kernel; a round with the room and without; the page's memory after many rounds. Where the history of that
commit is not here, this room is measured alone, and it says so.
"""
import os, statistics, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "helpers"))
import dashboard as rounds_bench
from browser import CHROMIUM, Notebook, browser, lab
from timing import say
from waiting import wait_until

BEFORE = "40696ff"
MAKE = """
from selfloop_nb import *
import torch; torch.set_num_threads(1)
task = addition(digits=1, n_train=40, n_prompts=40, n_heldout=20)
few = FineTune(steps=5, batch_size=32)
def low_digits(samples): return [sum(c in "01234" for c in text) / max(len(text), 1) for text in samples["completion"]]
low_digits.range = (0.0, 1.0)
loop = Loop(tiny_llama(task, width=32), task, score=low_digits, select=Threshold(0.1), tune=few, initial=few,
            store="run", progress=False)
loop.run(rounds=N);
"""
SEEN = """() => {
    const images = [...document.querySelectorAll("img.widget-image")]
    return images.some(image => image.naturalWidth > 1) || !!document.querySelector(".selfloop-room .axis")
}"""
ANSWER = """() => document.querySelector(".selfloop-room .said")?.textContent
    ?? document.querySelector("img.widget-image").src""" # what a drag changes
HEAP = "() => performance.memory.usedJSHeapSize / 2**20"
SLEEP = 10 # seconds that a cell keeps the kernel busy


@contextmanager
def tree_of(commit):
    "A worktree of a commit; None where the history does not reach it."
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "before"
        git = ["git", "-C", str(PROJECT), "worktree"]
        if subprocess.run([*git, "add", "--detach", str(place), commit], capture_output=True).returncode:
            yield None
            return
        try: yield place
        finally: subprocess.run([*git, "remove", "--force", str(place)], capture_output=True)


class Bench:
    "A JupyterLab that runs one of the two, and what it takes there."
    def __init__(self, name, page, address, folder, n_rounds):
        self.name, self.page = name, page
        self.n_bytes = 0
        self.way = -40 # pixels of the last move, there and back
        page.on("websocket", lambda socket: socket.on("framereceived", self.count))
        view = "dashboard(open_run('run'))"
        cells = [f"N = {n_rounds}\n{MAKE}", view, "explore(loop)",
                 f"import time; print('busy'); time.sleep({SLEEP})", "dashboard(loop)"]
        self.nb = Notebook(page, address, folder, *cells)
        self.nb.ready()
        self.nb.press("Control+b")

    def count(self, frame): self.n_bytes += len(frame)

    def cell(self, place):
        "Run a cell, and wait until it has ended."
        self.nb.again(place)
        self.nb.ready()

    def opening(self):
        "Seconds until the first picture, and bytes until all is quiet."
        self.clear()
        self.n_bytes, began = 0, time.perf_counter()
        self.nb.again(1)
        self.page.wait_for_function(SEEN)
        seconds = time.perf_counter() - began
        self.nb.ready()
        self.nb.pictures_at_rest()
        return seconds, self.n_bytes

    def clear(self):
        "Take away what the cells have put out."
        self.page.evaluate("() => document.querySelectorAll('.jp-OutputArea-output').forEach(e => e.replaceChildren())")
        wait_until(lambda: not self.page.evaluate(SEEN))

    def explorer(self):
        "Where theta stands in the explorer, as text; it changes when a drag is answered."
        self.clear()
        self.nb.again(2)
        self.page.wait_for_function(SEEN)
        self.nb.ready()
        self.nb.pictures_at_rest()

    def drag(self):
        "Seconds from one move of the hand to its answer."
        handle = self.page.locator(".selfloop-room .theta circle, .noUi-handle").first
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        before, began = self.page.evaluate(ANSWER), time.perf_counter()
        self.way = -self.way
        self.page.mouse.move(x + self.way, y)
        self.page.wait_for_function(f"before => ({ANSWER})() !== before", arg=before)
        seconds = time.perf_counter() - began
        self.page.mouse.up()
        return seconds

    def busy_drag(self):
        "The same while a cell runs."
        self.nb.again(3)
        self.page.get_by_text("busy", exact=True).wait_for()
        seconds = self.drag()
        self.nb.ready()
        return seconds

    def heap(self, n_rounds):
        "MB that the page grows by while rounds are made in the room."
        self.clear()
        self.cell(4)
        self.nb.fill("rounds", n_rounds)
        self.page.evaluate("() => window.gc?.()")
        before = self.page.evaluate(HEAP)
        self.nb.click("Run")
        self.page.locator(".widget-html", has_text=", idle").first.wait_for()
        self.page.evaluate("() => window.gc?.()")
        return self.page.evaluate(HEAP) - before


def measured(benches, n_openings, n_rounds):
    "Name -> what was measured, medians of the openings."
    found = {bench.name: dict(openings=[], bytes=[], drags=[]) for bench in benches}
    for bench in benches: bench.cell(0)
    for _ in range(n_openings):
        for bench in benches:
            seconds, n_bytes = bench.opening()
            found[bench.name]["openings"].append(seconds)
            found[bench.name]["bytes"].append(n_bytes)
    for bench in benches:
        bench.explorer()
        found[bench.name]["drags"] = [bench.drag() for _ in range(9)]
        found[bench.name]["busy"] = bench.busy_drag()
        if n_rounds: found[bench.name]["heap"] = bench.heap(n_rounds)
    return found


def tell(found, n_rounds):
    "The table, with the ratio to the room before where both are here."
    rows = {name: row_of(bench, n_rounds) for name, bench in found.items()}
    for title in rows["now"]:
        said = ", ".join(f"{name} {row[title]:,.2f}" for name, row in rows.items())
        say(f"{title}: {said}")
        if "before" in rows: say(f"    {rows['now'][title] / rows['before'][title]:.3f} x")


def row_of(found, n_rounds):
    "What is said of one room."
    row = {"first picture, s": statistics.median(found["openings"]),
           "bytes to open it, kB": statistics.median(found["bytes"]) / 1000,
           "a drag of theta, ms": 1000 * statistics.median(found["drags"]),
           "a drag beside a busy kernel, ms": 1000 * found["busy"]}
    if n_rounds: row[f"the page after {n_rounds} rounds, MB more"] = found["heap"]
    return row


def main(n_openings=5, n_rounds=200, n_made=60, repeats=15):
    if not CHROMIUM: return say("no Chromium is found: apt-get install chromium, or CHROMIUM=/path/to/it")
    with tree_of(BEFORE) as before, tempfile.TemporaryDirectory() as folder:
        if before is None: say(f"the history does not hold {BEFORE}: this room alone")
        trees = {"now": PROJECT, **({"before": before} if before else {})}
        found = {}
        for name, tree in trees.items():
            found |= in_its_lab(name, tree, Path(folder) / name, n_openings, n_rounds, n_made)
        tell(found, n_rounds)
    if repeats: rounds_bench.run(rounds_bench.TIME, REPEATS=repeats)


def in_its_lab(name, tree, folder, *sizes):
    "What is measured of one room, in a JupyterLab and a browser of its own."
    n_openings, n_rounds, n_made = sizes
    folder.mkdir()
    with lab(folder, PYTHONPATH=str(tree)) as address, browser() as page:
        return measured([Bench(name, page, address, folder, n_made)], n_openings, n_rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
