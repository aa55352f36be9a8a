"""The control room outside JupyterLab: in Notebook 7, under Voila and in VS Code's widget renderer, by real clicks.

Each goes into a folder of its own, beside the environment; nothing is installed. Where no Chromium, no package index or no npm is found these tests are skipped.
"""
import os, shutil, subprocess, sys, tarfile, time
from contextlib import contextmanager
from pathlib import Path

import nbformat, pytest
from browser import CHROMIUM, answers, browser, drag_theta, free_port
from project import PROJECT
from test_browser import LOOP

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not CHROMIUM, reason="no Chromium is found: apt-get install chromium, or CHROMIUM=/path/to/it")]
PLAIN = ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.allow_root=True", "--ServerApp.port_retries=0"]


@contextmanager
def served(folder, packages, command):
    "A server of the packages on a folder that holds the room as nb.ipynb; yields its address."
    extra, port = folder / ".packages", free_port()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target", str(extra), *packages]
    if subprocess.run(install, capture_output=True).returncode: pytest.skip(f"{packages[0]} cannot be had: no package index answers")
    shutil.copytree(Path(sys.prefix) / "share" / "jupyter" / "lab", extra / "share" / "jupyter" / "lab", ignore=shutil.ignore_patterns("static"), dirs_exist_ok=True) # where an installation puts both
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LOOP + "dashboard(loop)")], metadata=dict(kernelspec=dict(name="python3", display_name="Python 3", language="python")))
    nbformat.write(nb, folder / "nb.ipynb")
    env = {"JUPYTER_PATH": str(extra / "share" / "jupyter"), "JUPYTER_CONFIG_PATH": str(extra / "etc" / "jupyter"), "JUPYTERLAB_DIR": str(extra / "share" / "jupyter" / "lab")}
    with running(folder, port, command(port), [extra], env) as address: yield address


@contextmanager
def running(folder, port, command, packages=(), env={}):
    "A server that runs in the folder and finds the library; yields its address."
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [PROJECT, PROJECT / "tests", *packages])), "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"), "OMP_NUM_THREADS": "1", **env}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", *command], env=env, cwd=folder, stdout=log, stderr=log)
    try: yield answers(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()


def npm(folder, *arguments):
    "npm in a folder; where it or what it asks for cannot be had, the test is skipped."
    if not shutil.which("npm"): pytest.skip("no npm is found: VS Code's widget renderer cannot be had")
    done = subprocess.run(["npm", *arguments, "--fetch-retries=1"], cwd=folder, capture_output=True, text=True)
    if done.returncode: pytest.skip(f"npm {arguments[0]} fails, no registry answers or it lacks the version: {done.stderr[-300:]}")


def renderer_page(folder):
    "VS Code's widget renderer and the page of ours that uses it, in a folder; returns it."
    folder.mkdir()
    (folder / "package.json").write_text("{}") # npm stays in this folder
    npm(folder, "pack", "@vscode/jupyter-ipywidgets8@1.0.9", "requirejs@2.3.7") # each is one file that holds all it needs
    npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund", "@jupyterlab/services@7.4.7", "esbuild@0.25.9")
    for archive, file in [("vscode-jupyter-ipywidgets8-1.0.9.tgz", "dist/ipywidgets.js"), ("requirejs-2.3.7.tgz", "require.js")]:
        with tarfile.open(folder / archive) as packed: (folder / Path(file).name).write_bytes(packed.extractfile(f"package/{file}").read())
    for file in (PROJECT / "tests" / "vscode").iterdir(): shutil.copy(file, folder)
    subprocess.run([folder / "node_modules" / ".bin" / "esbuild", "page.js", "--bundle", "--format=esm", "--external:./ipywidgets.js", "--outfile=bundled.js", "--log-level=error"], cwd=folder, check=True)
    return folder


PICTURES = "() => [...document.querySelectorAll('img.widget-image')].filter(i => i.offsetParent && i.naturalWidth > 1).map(i => { const c = document.createElement('canvas'); c.width = i.naturalWidth; c.height = i.naturalHeight; c.getContext('2d').drawImage(i, 0, 0); return c.toDataURL() })" # what is to be seen in each


def pictures(page, differ_from=None, seconds=120):
    "The room's eight charts, once all are painted; and, where it is said, once each differs from what it was."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = page.evaluate(PICTURES)[:8]
        if len(now) == 8 and (differ_from is None or all(a != b for a, b in zip(now, differ_from))): return now
        time.sleep(0.5)
    raise TimeoutError(f"{len(now)} charts are painted, {sum(a != b for a, b in zip(now, differ_from or now))} anew")


def shot(page, name, folder):
    "A screenshot, when what is on its way has come."
    time.sleep(3)
    page.screenshot(path=f"{os.environ.get('SCREENSHOTS') or folder}/{name}.png")


def steps(page, name, folder, its_own=("nobody",)):
    "One round by a click, and what is seen then; `its_own` are addresses that the front end itself asks for."
    says = lambda text: page.locator(".widget-html", has_text=text).first.wait_for(timeout=180_000)
    says("not begun")
    empty = pictures(page)
    page.locator("button.jupyter-button:has-text('Step')").first.click()
    says("round 1 is done")
    pictures(page, differ_from=empty)
    shot(page, name, folder)
    assert not page.noted["dialogs"] and not [url for url in page.noted["strangers"] if not url.startswith(its_own)], page.noted


def test_notebook_7(tmp_path):
    with served(tmp_path, ["notebook==7.5.1"], lambda port: ["notebook", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={tmp_path}", *PLAIN]) as address, browser() as page:
        page.goto(f"{address}/notebooks/nb.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(timeout=120_000)
        time.sleep(3) # the page connects twice, and what is sent over the first connection can be lost
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        steps(page, "notebook_7", tmp_path)


def test_voila(tmp_path):
    with served(tmp_path, ["voila==0.5.11", "websockets"], lambda port: ["voila", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", "nb.ipynb"]) as address, browser() as page:
        page.goto(address)
        steps(page, "voila", tmp_path, ("https://cdn.jsdelivr.net/npm/@fortawesome/",)) # icons of its page
        assert not page.locator("img:not(.widget-image)").count(), "no picture for a saved notebook: the page is not saved"


def test_vscode_widget_renderer(tmp_path):
    """The room and the explorer in the bundle of widgets that VS Code's Jupyter extension loads, on a real kernel: every model, view and style of a widget is VS Code's.

    It is not VS Code: the page around the widgets is ours, and it speaks to the kernel itself, where VS Code hands the messages on from its extension.
    """
    root, port = renderer_page(tmp_path / "page"), free_port()
    command = ["jupyter_server", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={tmp_path}", f"--ServerApp.extra_static_paths={root}", "--ServerApp.disable_check_xsrf=True", *PLAIN]
    with running(tmp_path, port, command) as address, browser() as page:
        page.goto(f"{address}/static/page.html")
        page.wait_for_function("() => window.run", timeout=120_000)
        page.evaluate("code => run(code)", LOOP + "dashboard(loop)")
        steps(page, "vscode_renderer", tmp_path)
        page.evaluate("code => run(code)", "explore(loop)")
        drag_theta(page)
        shot(page, "vscode_explorer", tmp_path)
        assert page.evaluate("[missing, failed]") == [[], []], "no widget that the bundle lacks, no error in the kernel"
        assert page.noted == dict(dialogs=[], errors=[], strangers=[]), "no dialog, no error of a script, no request to a stranger"
