"""JupyterLab in a headless Chromium, for tests that click: a server on the loopback, a page, a notebook in it.

Chromium is Debian's, or whatever CHROMIUM names; nothing is downloaded. Screenshots go to the folder SCREENSHOTS names, else to the test's own.
"""
import json, os, shutil, socket, subprocess, sys, time, urllib.error, urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat

from project import PROJECT

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
SCREEN = {"width": 1280, "height": 720}


def free_port():
    "A port nobody listens to."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def lab(folder, theme="JupyterLab Light"):
    "A JupyterLab server on a folder; yields its address."
    settings = folder / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    port = free_port()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]), "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"), "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}", "--ServerApp.allow_root=True", "--ServerApp.port_retries=0"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
    try:
        yield answers(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()


def answers(address, server, seconds=90):
    "The address, once somebody answers there."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, "the server has ended at once"
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5)
            return address
        except urllib.error.HTTPError: return address # it answers, if not with this page
        except OSError: time.sleep(0.2)
    raise TimeoutError("the server does not answer")


@contextmanager
def browser():
    "A headless Chromium with one page; it notes dialogs, errors and requests that leave the machine."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport=SCREEN)
        page.set_default_timeout(60_000)
        page.noted = dict(dialogs=[], errors=[], strangers=[])
        page.on("dialog", lambda dialog: dialog.accept() if dialog.type == "beforeunload" else (page.noted["dialogs"].append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: page.noted["errors"].append(str(error)))
        page.on("request", lambda request: page.noted["strangers"].append(request.url) if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")) else None)
        try: yield page
        finally: chromium.close()


def drag_theta(page):
    "Drag the explorer's slider to the right; a higher theta must keep fewer."
    kept = lambda: int(page.locator(".widget-html td").nth(1).inner_text().replace(",", ""))
    before, handle = kept(), page.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5); page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 5, steps=8); page.mouse.up()
    end = time.monotonic() + 20
    while kept() == before and time.monotonic() < end: time.sleep(0.1)
    assert kept() < before, "a higher theta keeps fewer"


class Notebook:
    "A notebook that is open in the page."
    def __init__(self, page, address, folder, *cells, root=None):
        self.page, self.address, self.folder, self.root = page, address, Path(folder), Path(root or folder)
        self.path = self.folder / "nb.ipynb"
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nb.metadata["kernelspec"] = dict(name="python3", display_name="Python 3", language="python")
        nbformat.write(nb, self.path)
        self.open()

    def open(self):
        "Load the page anew."
        self.page.goto(f"{self.address}/lab/tree/{self.path.relative_to(self.root)}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")

    def ready(self):
        "Wait until the kernel is at rest."
        self.page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for(timeout=120_000)

    def run(self, n=1):
        "Run the next cells, from the one that is selected."
        for _ in range(n): self.page.keyboard.press("Shift+Enter")

    def run_all(self):
        "Run every cell, from the top; the kernel is chosen if the page asks."
        self.ready()
        self.page.keyboard.press("Control+b") # the files on the left go, for room
        self.page.locator(".jp-CodeCell .cm-content").first.click()
        self.page.keyboard.press("Escape")
        self.run(self.page.locator(".jp-CodeCell").count())

    def again(self, cell):
        "Run a cell once more; 0 is the first."
        self.page.locator(".jp-CodeCell .cm-content").nth(cell).click()
        self.page.keyboard.press("Control+Enter")

    def save(self):
        "Save the notebook and wait until it is on the disk."
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 30
        while self.path.stat().st_mtime_ns == before and time.monotonic() < end: time.sleep(0.1)
        while not self.path.read_text().rstrip().endswith("}") and time.monotonic() < end: time.sleep(0.1) # the server is still at it

    def button(self, name, nth=0): return self.page.locator(f"button.jupyter-button:has-text('{name}')").nth(nth)
    def click(self, name, nth=0): self.button(name, nth).click()

    def field(self, label):
        "The field that has this label."
        return self.page.locator(f".widget-inline-hbox:has(label:text-is('{label}')) input").first

    def fill(self, label, value):
        "Write into a field and leave it."
        self.field(label).fill(str(value)); self.field(label).press("Tab")

    def pictures_at_rest(self, seconds=60):
        "Wait until every picture is there and none has changed for a second."
        sources, end = None, time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.page.locator("img.widget-image").evaluate_all("images => images.map(image => image.src + image.naturalWidth)")
            if now == sources and self.page.locator("img.widget-image").evaluate_all("images => images.every(image => image.naturalWidth > 1 || !image.offsetParent)"): return
            sources = now
            time.sleep(1.5)

    def says(self, text, seconds=120):
        "Wait until the text stands somewhere in a widget."
        self.page.locator(".widget-html", has_text=text).first.wait_for(timeout=1000 * seconds)

    def text(self): return self.page.locator(".jp-Notebook").inner_text()

    def shot(self, name, folder):
        "A screenshot."
        folder = Path(os.environ.get("SCREENSHOTS") or folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png")

    def scroll_to_room(self):
        "Bring the first output to the top."
        self.page.locator(".jp-OutputArea-output").first.evaluate("e => e.scrollIntoView({block: 'start'})")
        time.sleep(0.5)
