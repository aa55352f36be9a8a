"""The control room outside JupyterLab: in Notebook 7 and under Voila, by real clicks.

Each goes into a folder of its own, beside the environment; nothing is installed. Where no Chromium or no package index is found these tests are skipped.
"""
import os, shutil, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path

import nbformat, pytest
from browser import CHROMIUM, answers, browser, free_port
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
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests"), str(extra)]), "JUPYTER_PATH": str(extra / "share" / "jupyter"), "JUPYTER_CONFIG_PATH": str(extra / "etc" / "jupyter"), "JUPYTERLAB_DIR": str(extra / "share" / "jupyter" / "lab"), "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"), "OMP_NUM_THREADS": "1"}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", *command(port)], env=env, cwd=folder, stdout=log, stderr=log)
    try: yield answers(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()


def steps(page, name, folder, its_own=("nobody",)):
    "One round by a click, and what is seen then; `its_own` are addresses that the front end itself asks for."
    says = lambda text: page.locator(".widget-html", has_text=text).first.wait_for(timeout=180_000)
    says("not begun")
    page.locator("button.jupyter-button:has-text('Step')").first.click()
    says("round 1 is done")
    page.wait_for_function("() => [...document.querySelectorAll('img.widget-image')].filter(i => i.offsetParent && i.naturalWidth > 1).length >= 6", timeout=60_000)
    time.sleep(3)
    page.screenshot(path=f"{os.environ.get('SCREENSHOTS') or folder}/{name}.png")
    assert not page.noted["dialogs"] and not [url for url in page.noted["strangers"] if not url.startswith(its_own)], page.noted


def test_notebook_7(tmp_path):
    with served(tmp_path, ["notebook==7.5.1"], lambda port: ["notebook", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={tmp_path}", *PLAIN]) as address, browser() as page:
        page.goto(f"{address}/notebooks/nb.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(timeout=120_000)
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        steps(page, "notebook_7", tmp_path)


def test_voila(tmp_path):
    with served(tmp_path, ["voila==0.5.11", "websockets"], lambda port: ["voila", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", "nb.ipynb"]) as address, browser() as page:
        page.goto(address)
        steps(page, "voila", tmp_path, ("https://cdn.jsdelivr.net/npm/@fortawesome/",)) # icons of its page
        assert not page.locator("img:not(.widget-image)").count(), "no picture for a saved notebook: the page is not saved"
