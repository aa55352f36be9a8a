"""JupyterLab in a headless Chromium, for tests that click: a server on the loopback, a page, a notebook in it.

Chromium is Debian's, or whatever CHROMIUM names; nothing is downloaded. Screenshots go to the folder that SCREENSHOTS
names, else to the test's own. Nothing here has a limit of its own: how long a state may take only the test knows.
"""
import json, os, shutil, socket, subprocess, sys, time, urllib.error, urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat

from project import PROJECT
from waiting import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-precise-memory-info",
         "--js-flags=--expose-gc"]
SCREEN = {"width": 1280, "height": 720}
HOME = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
KERNEL = dict(name="python3", display_name="Python 3", language="python")
OPEN_TO_US = ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=",
              "--ServerApp.allow_root=True", "--ServerApp.port_retries=0"]
PICTURES = "img.widget-image"
SEEN = """() => {
    const images = [...document.querySelectorAll("img.widget-image")].filter(image => image.offsetParent)
    const charts = [...document.querySelectorAll(".selfloop-room svg")].filter(chart => chart.clientWidth)
    const drawn = chart => chart.childNodes.length ? chart.innerHTML : null
    const loaded = image => image.naturalWidth > 1 ? image.src : null
    return [...images.map(loaded), ...charts.map(drawn)]
}""" # what is to be seen, null where it has not come


def free_port():
    "A port nobody listens to."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write_notebook(path, *cells):
    "A notebook with these code cells, for the kernel that everybody has."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nb.metadata["kernelspec"] = KERNEL
    nbformat.write(nb, path)


def library_path(*packages):
    "PYTHONPATH of a process that finds the library and the tests' helpers, and what else lies in these folders."
    return os.pathsep.join(map(str, [PROJECT, Path(__file__).parent, *packages]))


@contextmanager
def serving(folder, port, command, packages=(), **env):
    "A server that runs in the folder and finds the library; yields its address once it answers."
    env = {**os.environ, "PYTHONPATH": library_path(*packages), "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"),
           "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in env.items()}}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", *command], env=env, cwd=folder, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(address, server))
        yield address
    finally:
        server.terminate()
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()


def answers(address, server):
    "Does somebody answer there? A server that has ended never will."
    assert server.poll() is None, "the server has ended at once"
    try: urllib.request.urlopen(f"{address}/api", timeout=5)
    except urllib.error.HTTPError: return True # it answers, if not with this page
    except OSError: return False
    return True


def write_kernel(share, python):
    "The kernel that everybody has, of this Python."
    spec = dict(argv=[python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], **KERNEL)
    (share / "kernels" / "python3").mkdir(parents=True)
    (share / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))


@contextmanager
def lab(folder, theme="JupyterLab Light", python=sys.executable):
    "A JupyterLab server on a folder, its kernels of this Python; yields its address."
    settings = folder / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    no_news = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(no_news))
    write_kernel(folder / ".share", python)
    port = free_port()
    command = ["jupyterlab", "--no-browser", "--expose-app-in-browser", f"--port={port}",
               f"--ServerApp.root_dir={folder}", *OPEN_TO_US]
    places = dict(JUPYTERLAB_SETTINGS_DIR=folder / ".settings", JUPYTER_PATH=folder / ".share")
    with serving(folder, port, command, **places) as address: yield address


@contextmanager
def browser():
    "A headless Chromium with one page; it notes dialogs, errors and requests that leave the machine."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport=SCREEN)
        page.set_default_timeout(0)
        page.noted = dict(dialogs=[], errors=[], strangers=[])
        page.on("dialog", lambda dialog: answer(page, dialog))
        page.on("pageerror", lambda error: page.noted["errors"].append(str(error)))
        page.on("request", lambda request: note_stranger(page, request.url))
        try: yield page
        finally: chromium.close()


def answer(page, dialog):
    "A page may ask whether it is to be left; any other dialog is noted."
    if dialog.type == "beforeunload": return dialog.accept()
    page.noted["dialogs"].append(dialog.message)
    dialog.dismiss()


def note_stranger(page, url):
    "Note an address beyond this machine."
    if not url.startswith(HOME): page.noted["strangers"].append(url)


def middle_of(mark):
    "Where the mouse meets a mark, in pixels, once the page is scrolled to it."
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag_theta(page):
    "Drag theta to the right in the chart; a higher theta must keep fewer, and the table below must say so."
    def n_kept(): return int(page.locator(".widget-html td").nth(1).inner_text().replace(",", ""))
    before = n_kept()
    x, y = middle_of(page.locator(".selfloop-room .theta circle").last)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=8)
    page.mouse.up()
    wait_until(lambda: n_kept() != before, every=0.1)
    assert n_kept() < before, "a higher theta keeps fewer"


def answers_the_hand(page):
    "A round is pointed at, theta dragged, a bar read, in the room of any front end."
    room = page.locator(".selfloop-room").first
    room.locator("figure", has_text="held-out accuracy").locator("svg").hover()
    lines = room.locator(".hovered") # upright, and so of no width: Playwright calls none of them visible
    wait_until(lambda: lines.evaluate_all("lines => lines.some(line => line.style.display === '')"))
    said, note = room.locator(".said"), room.locator(".note")
    x, y = middle_of(room.locator(".theta circle"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    wait_until(lambda: "would keep" in said.inner_text())
    page.mouse.up()
    bar = room.locator("rect.rejected").last
    x, _ = middle_of(bar)
    page.mouse.click(x, bar.bounding_box()["y"] - 3)
    wait_until(lambda: "score" in note.inner_text())


class Notebook:
    "A notebook that is open in the page."
    def __init__(self, page, address, folder, *cells, root=None):
        self.page = page
        self.folder = Path(folder)
        self.path = self.folder / "nb.ipynb"
        self.address = f"{address}/lab/tree/{self.path.relative_to(root or folder)}?reset"
        write_notebook(self.path, *cells)
        self.open()

    def open(self):
        "Load the page anew."
        self.page.goto(self.address)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")

    def ready(self):
        "Wait until the kernel is at rest."
        self.page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for()

    def run_all(self):
        "Run every cell, from the top; the kernel is chosen if the page asks."
        self.ready()
        self.press("Control+b") # the files on the left go, for room
        self.page.locator(".jp-CodeCell .cm-content").first.click()
        self.press("Escape")
        for _ in range(self.page.locator(".jp-CodeCell").count()): self.press("Shift+Enter")

    def again(self, cell):
        "Run a cell once more; 0 is the first."
        self.page.locator(".jp-CodeCell .cm-content").nth(cell).click()
        self.press("Control+Enter")

    def save(self):
        "Save the notebook and wait until all of it is on the disk."
        before = self.path.stat().st_mtime_ns
        def is_saved():
            return self.path.stat().st_mtime_ns != before and self.path.read_text().rstrip().endswith("}")
        self.press("Control+s")
        wait_until(is_saved, every=0.1)

    def press(self, key): self.page.keyboard.press(key)

    def button(self, name, nth=0): return self.page.locator(f"button.jupyter-button:has-text('{name}')").nth(nth)

    def click(self, name, nth=0, says=None):
        "Press a button and, where it is given, wait for what is said then."
        self.button(name, nth).click()
        if says: self.says(says)

    def field(self, label):
        "The field that has this label."
        return self.page.locator(f".widget-inline-hbox:has(label:text-is('{label}')) input").first

    def fill(self, label, value):
        "Write into a field and leave it."
        self.field(label).fill(str(value))
        self.field(label).press("Tab")

    def search(self, text):
        "Search the samples for a text."
        self.page.get_by_placeholder("search in the text").fill(text)
        self.press("Enter")

    def widths(self):
        "How wide each picture is, in pixels; 0 or 1 where none has come."
        return self.page.locator(PICTURES).evaluate_all("images => images.map(image => image.naturalWidth)")

    def pictures_at_rest(self):
        "Wait until every picture and chart that is to be seen is there, and none has changed for a second and a half."
        before = None
        while (now := self.page.evaluate(SEEN)) != before or None in now:
            before = now
            time.sleep(1.5)

    def charts(self, room=0):
        "The charts of a room, from its caption to what it draws."
        return self.page.locator(".selfloop-room").nth(room).locator("figure")

    def says(self, text):
        "Wait until the text stands somewhere in a widget."
        self.page.locator(".widget-html", has_text=text).first.wait_for()

    def shot(self, name, folder): take_shot(self.page, name, folder)


def take_shot(page, name, folder):
    "A screenshot."
    folder = Path(os.environ.get("SCREENSHOTS") or folder)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")
