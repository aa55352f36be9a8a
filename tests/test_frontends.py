"""The control room outside JupyterLab: in Notebook 7, under Voila and in VS Code's widget renderer, by real clicks.

Each goes into a folder of its own, beside the environment; nothing is installed. Where no Chromium, no package index or
no npm is found these tests are skipped.
"""
import shutil, subprocess, sys, tarfile, time
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import CHROMIUM, OPEN_TO_US, answers_the_hand, browser, drag_theta, free_port, serving, take_shot
from browser import write_notebook
from project import PROJECT
from test_browser import LOOP, NO_CHROMIUM, NOTHING_NOTED
from waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)]

INSTALL = ["-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target"]


@contextmanager
def served(folder, packages, command):
    "A server of the packages on a folder that holds the room as nb.ipynb; yields its address."
    extra = folder / ".packages"
    install = [sys.executable, *INSTALL, str(extra), *packages]
    if subprocess.run(install, capture_output=True).returncode:
        pytest.skip(f"{packages[0]} cannot be had: no package index answers")
    share = extra / "share" / "jupyter"
    of_lab = Path(sys.prefix) / "share" / "jupyter" / "lab"
    without_pages = shutil.ignore_patterns("static")
    shutil.copytree(of_lab, share / "lab", ignore=without_pages, dirs_exist_ok=True) # where an installation puts both
    write_notebook(folder / "nb.ipynb", LOOP + "dashboard(loop)")
    places = dict(JUPYTER_PATH=share, JUPYTER_CONFIG_PATH=extra / "etc" / "jupyter", JUPYTERLAB_DIR=share / "lab")
    port = free_port()
    with serving(folder, port, [*command, f"--port={port}"], [extra], **places) as address: yield address


def npm(folder, *arguments):
    "npm in a folder; where it or what it asks for cannot be had, the test is skipped."
    if not shutil.which("npm"): pytest.skip("no npm is found: VS Code's widget renderer cannot be had")
    done = subprocess.run(["npm", *arguments, "--fetch-retries=1"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm {arguments[0]} fails, no registry answers or it lacks the version: {done.stderr[-300:]}")


WIDGETS = ("vscode-jupyter-ipywidgets8-1.0.9.tgz", "dist/ipywidgets.js")
REQUIRE = ("requirejs-2.3.7.tgz", "require.js")
BUNDLED = ("@jupyterlab/services@7.4.7", "esbuild@0.25.9")
BUNDLE = ["page.js", "--bundle", "--format=esm", "--external:./ipywidgets.js", "--outfile=bundled.js",
          "--log-level=error"]


def renderer_page(folder):
    "VS Code's widget renderer and the page of ours that uses it, in a folder; returns it."
    folder.mkdir()
    (folder / "package.json").write_text("{}") # npm stays in this folder
    npm(folder, "pack", "@vscode/jupyter-ipywidgets8@1.0.9", "requirejs@2.3.7") # each is one file that holds all
    npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund", *BUNDLED)
    for archive, file in (WIDGETS, REQUIRE): unpack(folder, archive, file)
    for file in (PROJECT / "tests" / "vscode").iterdir(): shutil.copy(file, folder)
    widget = Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "anywidget" / "index.js"
    shutil.copy(widget, folder / "anywidget.js")
    subprocess.run([folder / "node_modules" / ".bin" / "esbuild", *BUNDLE], cwd=folder, check=True)
    return folder


def unpack(folder, archive, file):
    "Take one file out of a package of npm's."
    with tarfile.open(folder / archive) as packed:
        content = packed.extractfile(f"package/{file}").read()
    (folder / Path(file).name).write_bytes(content)


CHARTS = "charts => charts.map(chart => chart.innerHTML)"


def charts(page, differ_from=None):
    "The room's seven charts, once all are drawn; and, where it is said, once each differs from what it was."
    def drawn():
        now = page.locator(".selfloop-room svg").evaluate_all(CHARTS)
        if len(now) < 7 or "" in now: return None
        return now if differ_from is None or all(a != b for a, b in zip(now, differ_from)) else None
    return wait_until(drawn, every=0.5)


def shot(page, name, folder):
    "A screenshot, when what is on its way has come."
    time.sleep(3)
    take_shot(page, name, folder)


def steps(page, name, folder, its_own=("nobody",)):
    "One round by a click, and what is seen then; `its_own` are addresses that the front end itself asks for."
    def says(text): page.locator(".widget-html", has_text=text).first.wait_for()
    says("not begun")
    empty = charts(page)
    page.locator("button.jupyter-button:has-text('Step')").first.click()
    says("round 1 is done")
    charts(page, differ_from=empty)
    shot(page, name, folder)
    answers_the_hand(page)
    assert not page.noted["dialogs"]
    assert not [url for url in page.noted["strangers"] if not url.startswith(its_own)]


def test_notebook_7(tmp_path):
    command = ["notebook", "--no-browser", f"--ServerApp.root_dir={tmp_path}", *OPEN_TO_US]
    with served(tmp_path, ["notebook==7.5.1"], command) as address, browser() as page:
        page.goto(f"{address}/notebooks/nb.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
        time.sleep(3) # the page connects twice, and what is sent over the first connection can be lost
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        steps(page, "notebook_7", tmp_path)


ICONS = ("https://cdn.jsdelivr.net/npm/@fortawesome/",) # of Voila's page


def test_voila(tmp_path):
    command = ["voila", "--no-browser", "--Voila.ip=127.0.0.1", "nb.ipynb"]
    with served(tmp_path, ["voila==0.5.11", "websockets"], command) as address, browser() as page:
        page.goto(address)
        steps(page, "voila", tmp_path, ICONS)
        others = page.locator("img:not(.widget-image)").count()
        assert not others, "no picture for a saved notebook: the page is not saved"


def test_vscode_widget_renderer(tmp_path):
    """The room and the explorer in the bundle of widgets that VS Code's Jupyter extension loads, on a real kernel.

    Every model, view and style of a widget is VS Code's. It is not VS Code: the page around the widgets is ours, and it
    speaks to the kernel itself, where VS Code hands the messages on from its extension.
    """
    root = renderer_page(tmp_path / "page")
    port = free_port()
    command = ["jupyter_server", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={tmp_path}",
               f"--ServerApp.extra_static_paths={root}", "--ServerApp.disable_check_xsrf=True", *OPEN_TO_US]
    with serving(tmp_path, port, command) as address, browser() as page:
        page.goto(f"{address}/static/page.html")
        page.wait_for_function("() => window.run")
        page.evaluate("code => run(code)", LOOP + "dashboard(loop)")
        steps(page, "vscode_renderer", tmp_path)
        page.evaluate("code => run(code)", "explore(loop)")
        drag_theta(page)
        shot(page, "vscode_explorer", tmp_path)
        lacks = page.evaluate("[missing, failed]")
        assert lacks == [[], []], "no widget that the bundle lacks, no error in the kernel"
        assert page.noted == NOTHING_NOTED, "no dialog, no error of a script, no request to a stranger"
