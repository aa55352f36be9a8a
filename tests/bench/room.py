"""The control room beside the one of commit 40696ff, in one session and by turns.

How long the first picture of a run of sixty rounds takes and how many bytes it sends; a drag of theta, with an idle and
with a busy kernel; explore of many samples; the samples of a bar; a long loss drawn anew; the page's memory after many
rounds; a round with the room and without. Where the history of that commit is not here, this room is measured alone,
and it says so. Four numbers say how much: openings, rounds for the memory, rounds of the run, rounds with and without.
"""
import os, statistics, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "helpers"))
import dashboard as rounds_bench
from browser import CHROMIUM, Notebook, browser, lab
from _timing import say
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
WATCH = """bar => { // milliseconds from the next move of the pointer, or from the pick of a bar, to the answering frame
    const target = bar === null ? ".selfloop-room .said, img.widget-image" : ".selfloop-room .cards"
    let began
    window.took = null
    addEventListener("pointermove", () => { began ??= performance.now() }, { capture: true, once: true })
    const watcher = new MutationObserver(() => requestAnimationFrame(() => {
        if (!began) return
        window.took ??= performance.now() - began
        watcher.disconnect() // or it would answer for the next move, too
    }))
    const what = { attributes: true, characterData: true, childList: true, subtree: true }
    watcher.observe(document.querySelector(target), what)
    if (bar === null) return
    began = performance.now()
    document.querySelector(".selfloop-frame").room.pick(bar)
}"""
REDRAW = """() => {
    const room = document.querySelector(".selfloop-frame").room, steps = [...Array(4000).keys()], times = []
    room.losses = [[1, steps, steps.map(i => 1 + Math.sin(i / 500))]]
    for (let i = 0; i < 15; i++) {
        const began = performance.now()
        room.lossChart.show(room.lossChart)
        times.push(performance.now() - began)
    }
    return times
}""" # of the most points that are sent, however long the training
HEAP = "() => performance.memory.usedJSHeapSize / 2**20"
SLEEP = 10 # seconds that a cell keeps the kernel busy
PAUSE = 300 # milliseconds between clicks: sooner, Jupyter's server holds the answer (Nagle, a delayed ACK of 40 ms)
N_SAMPLES = 100_000


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
                 f"import time; print('busy'); time.sleep({SLEEP})", "dashboard(loop)",
                 f"from made_up import scored; many = scored({N_SAMPLES})", "explore(many)"]
        self.nb = Notebook(page, address, folder, *cells)
        self.nb.ready()
        self.nb.press("Control+b")

    def count(self, frame): self.n_bytes += len(frame)

    def cell(self, place):
        "Run a cell, and wait until it has ended."
        self.nb.again(place)
        self.nb.ready()

    def opening(self, cell=1):
        "Seconds until the first picture, and bytes until all is quiet."
        self.clear()
        self.n_bytes, began = 0, time.perf_counter()
        self.nb.again(cell)
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
        "Show theta over the newest round."
        self.clear()
        self.nb.again(2)
        self.page.wait_for_function(SEEN)
        self.nb.ready()
        self.nb.pictures_at_rest()

    def drag(self):
        "Milliseconds from one move of the hand to its answer."
        handle = self.page.locator(".selfloop-room .theta circle, .noUi-handle").first
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.evaluate(WATCH, None)
        self.way = -self.way
        self.page.mouse.move(x + self.way, y)
        took = self.took()
        self.page.mouse.up()
        return took

    def took(self):
        self.page.wait_for_function("() => window.took !== null")
        return self.page.evaluate("window.took")

    def busy_drag(self):
        "The same while a cell runs."
        self.nb.again(3)
        self.page.get_by_text("busy", exact=True).wait_for()
        took = self.drag()
        self.nb.ready()
        return took

    def answers(self):
        "What only the room of now does: milliseconds to the samples of a bar of many, to draw a long loss."
        bars = []
        for i in range(5, 35, 2):
            self.page.wait_for_timeout(PAUSE)
            self.page.evaluate(WATCH, i)
            bars.append(self.took())
        self.opening()
        return statistics.median(bars), statistics.median(self.page.evaluate(REDRAW))

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


def measured(bench, n_openings, n_rounds):
    "What was measured of one room: title -> number, medians of the openings and of nine drags."
    bench.cell(0)
    found = {}
    if n_openings:
        seconds, sizes = zip(*(bench.opening() for _ in range(n_openings)))
        found["first picture, s"] = statistics.median(seconds)
        found["bytes to open it, kB"] = statistics.median(sizes) / 1000
        bench.explorer()
        found["a drag of theta, ms"] = statistics.median(bench.drag() for _ in range(9))
        found["a drag beside a busy kernel, ms"] = bench.busy_drag()
        bench.cell(5)
        opened = statistics.median(bench.opening(6)[0] for _ in range(3))
        found[f"explore of {N_SAMPLES:,} samples, s"] = opened
    if n_openings and bench.name == "now":
        found["the samples of a bar, ms"], found["4,000 points of a loss drawn anew, ms"] = bench.answers()
    if n_rounds: found[f"the page after {n_rounds} rounds, MB more"] = bench.heap(n_rounds)
    return found


def tell(rows):
    "The table, with the ratio to the room before where both have the number."
    for title, now in rows["now"].items():
        before = rows.get("before", {}).get(title)
        say(f"{title}: {now:,.2f}")
        if before is not None: say(f"    before {before:,.2f}: {now / before:.3f} x")


def main(n_openings=5, n_rounds=200, n_made=60, repeats=15):
    if not CHROMIUM: return say("no Chromium is found: apt-get install chromium, or CHROMIUM=/path/to/it")
    with tree_of(BEFORE) as before, tempfile.TemporaryDirectory() as folder:
        if before is None: say(f"the history does not hold {BEFORE}: this room alone")
        trees = {"now": PROJECT, **({"before": before} if before else {})}
        found = {}
        for name, tree in trees.items():
            found[name] = in_its_lab(name, tree, Path(folder) / name, n_openings, n_rounds, n_made)
        tell(found)
    if repeats: rounds_bench.run(rounds_bench.TIME, REPEATS=repeats)


def in_its_lab(name, tree, folder, *sizes):
    "What is measured of one room, in a JupyterLab and a browser of its own."
    n_openings, n_rounds, n_made = sizes
    folder.mkdir()
    path = os.pathsep.join([str(tree), str(PROJECT / "tests" / "helpers")])
    with lab(folder, PYTHONPATH=path) as address, browser() as page:
        return measured(Bench(name, page, address, folder, n_made), n_openings, n_rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
