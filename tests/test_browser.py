"""The control room in a real JupyterLab, in a headless Chromium: what a user does, by real clicks, drags and keys.

Where no Chromium is found these tests are skipped. Screenshots: SCREENSHOTS=folder, else the test's own folder.
"""
import json, os, signal, time

import pytest
from browser import CHROMIUM, Notebook, browser, drag_theta, lab, take_shot
from waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NO_CHROMIUM = "no Chromium is found: apt-get install chromium, or CHROMIUM=/path/to/it"
pytestmark = [pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)]

LOOP = """
from small import half_digits, small_loop
from selfloop_nb import *
task = addition(n_train=100, n_prompts=100, n_heldout=50)
tune = FineTune(steps=60, batch_size=32)
loop = small_loop("run", task=task, tune=tune, score=half_digits, select=Threshold(0.5))
"""
NOTHING_NOTED = dict(dialogs=[], errors=[], strangers=[])


@pytest.fixture(scope="module")
def server(tmp_path_factory, stand_in):
    "A JupyterLab in the light theme; yields its address and its folder."
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder, python=stand_in) as address: yield address, folder


@pytest.fixture
def page():
    with browser() as page:
        yield page
        assert page.noted == NOTHING_NOTED, "no dialog, no error of a script, no request to a stranger"


@pytest.fixture
def open_notebook(server, page, tmp_path):
    "Opens a notebook with these cells, each test in a folder of the server of its own, and runs them."
    address, root = server
    def opened(*cells):
        folder = root / tmp_path.name
        folder.mkdir(exist_ok=True)
        nb = Notebook(page, address, folder, *cells, root=root)
        nb.run_all()
        return nb
    return opened


def kernel_pids():
    "The processes that are kernels of this JupyterLab."
    import psutil
    mine = psutil.Process().children(recursive=True)
    return [p.pid for p in mine if "ipykernel_launcher" in " ".join(p.cmdline())]


def test_three_rounds_pause_rewind_branch_by_clicks(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "dashboard(loop)")
    nb.says("not begun")
    nb.click("Step", says="round 1 is done")
    nb.fill("rounds", 2)
    nb.click("Run", says="round 2: ")
    nb.click("Pause", says="paused")
    nb.shot("1_paused", tmp_path)
    nb.click("Go on", says="round 3 is done")
    nb.pictures_at_rest()
    nb.shot("2_three_rounds", tmp_path)
    nb.fill("to round", 1)
    nb.click("Rewind", says="back at round 1")
    nb.says("round 1 is done")
    nb.fill("as", "second")
    nb.click("Branch", says="on branch second")
    nb.fill("rounds", 1)
    nb.click("Run", says="second: round 2 is done")
    nb.pictures_at_rest()
    nb.page.locator(".help").click()
    nb.shot("3_branch", tmp_path)
    box = nb.page.locator(".jp-OutputArea-output").first.bounding_box()
    fits = box["width"] <= 1280 and box["height"] <= 490
    assert fits, "the room fits below a short cell on a screen of 1280 x 720"
    nb.click("Stop", says="nothing is running")
    nb.fill("to round", 0)
    nb.click("Rewind", says="back at round 0")
    nb.page.get_by_text("from the first round on").first.wait_for()
    assert not nb.page.get_by_text("scores of round").count(), "no round is named of which nothing is shown"
    nb.shot("4_back_at_0", tmp_path)


def test_stop_and_step_again(open_notebook):
    nb = open_notebook(LOOP + "dashboard(loop)")
    nb.says("not begun")
    nb.click("Step", says="round 1: ")
    nb.click("Stop", says="round 0 is done")
    nb.click("Step", says="round 1 is done")


@pytest.mark.long
def test_the_cell_is_run_again_while_the_loop_runs(open_notebook, tmp_path):
    slow = LOOP.replace("steps=60", "steps=3000")
    nb = open_notebook(slow + "loop.start()", "dashboard(loop)", "print(f'{len(loop.listeners)} listen')")
    nb.says("round 0 is done")
    nb.click("Step", says="round 1: tune")
    nb.click("Pause", says="round 1: tune, paused")
    for _ in range(3):
        nb.again(1)
        nb.ready()
    nb.says("round 1: tune, paused")
    nb.shot("16_run_again", tmp_path)
    assert nb.page.locator("button:has-text('Step')").count() == 1, "one room is left"
    nb.click("Go on", says="steps/s")
    nb.click("Stop", says="main: round 0 is done")
    nb.again(2)
    nb.page.get_by_text("1 listen", exact=True).wait_for()


@pytest.mark.long
def test_the_list_of_branches_leads_back(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.step()\ndashboard(loop)")
    nb.says("main: round 1 is done")
    nb.fill("as", "second")
    nb.click("Branch", says="second: round 1 is done")
    nb.click("Step", says="second: round 2 is done")
    nb.page.locator(".widget-dropdown select").first.select_option("main")
    nb.says("main: round 1 is done")
    nb.click("Step", says="main: round 2 is done")
    nb.pictures_at_rest()
    nb.shot("17_branches", tmp_path)


LONG = """
from hostile_texts import commit_round, hostile_table
from selfloop_nb import *
from selfloop_nb.storage.store import Run
texts = [f"{i} " + "a word and another " * 150 + "THE END" for i in range(6)]
table = hostile_table().select(range(6)).remove_columns("completion").add_column("completion", texts)
run = Run.create("long", {"seed": 0})
commit_round(run, 0, None)
commit_round(run, 1, "0000-x", table)
run = open_run("long")
"""


@pytest.mark.parametrize("view", ("dashboard", *(pytest.param(v, marks=pytest.mark.long) for v in ("browse", "tree"))))
def test_a_long_sample_is_read_to_its_end(open_notebook, tmp_path, view):
    nb = open_notebook(LONG + f"{view}(run)")
    card = nb.page.locator(".selfloop-room .card").first
    card.click()
    assert card.inner_text().count("a word and another") == 150 and "THE END" in card.inner_text()
    end = card.locator("pre").evaluate("text => text.scrollHeight - text.clientHeight")
    assert end <= 1, "all of it is open"
    nb.shot(f"18_long_{view}", tmp_path)


def test_a_notebook_that_is_saved_at_once(open_notebook):
    nb = open_notebook(LOOP + "dashboard(loop)")
    nb.says("not begun")
    nb.save()
    assert "image/png" not in kept_outputs(nb), "no picture of nothing"
    nb.click("Step", says="round 1 is done")
    nb.save()
    assert "<td>1</td>" in kept_outputs(nb)["text/html"], "the table has the new round at once"
    nb.pictures_at_rest()
    wait_until(lambda: nb.page.locator(".jp-RenderedImage img").count() == 1)
    nb.save()
    assert "image/png" in kept_outputs(nb)


def kept_outputs(nb):
    "What a notebook on the disk shows without a kernel, by MIME type."
    cells = json.loads(nb.path.read_text())["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return {kind: "".join(text) for data in outputs if "application/vnd.jupyter.widget-view+json" not in data
            for kind, text in data.items()}


def test_the_tab_is_loaded_again_in_mid_run(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "dashboard(loop)")
    nb.says("not begun")
    nb.fill("rounds", 100) # far from done when the page has been loaded
    nb.click("Run", says="round 2: ")
    nb.save()
    nb.open()
    nb.says("round ")
    nb.says("samples/s")
    nb.shot("4_loaded_again", tmp_path)
    nb.click("Stop", says="is done")
    nb.click("Step", says=", idle")


def test_the_kernel_dies_and_the_run_goes_on(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "dashboard(loop)")
    nb.says("not begun")
    nb.click("Step", says="round 1 is done")
    nb.pictures_at_rest()
    wait_until(lambda: nb.page.locator(".jp-RenderedImage img").count() == 1)
    nb.click("Step", says="round 2: ")
    for pid in kernel_pids(): os.kill(pid, signal.SIGKILL)
    nb.save()
    saved = json.loads(nb.path.read_text())
    outputs = [output for cell in saved["cells"] for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds, "the picture and the table stay without a kernel"
    assert "widgets" not in saved["metadata"]
    nb = open_notebook("from selfloop_nb import *\ndashboard(open_run('run'))", LOOP + "room = dashboard(loop)\nroom")
    nb.says("main: round 1 is done · to look at")
    nb.says("main: round 1 is done, idle")
    nb.pictures_at_rest()
    nb.shot("5_opened_again", tmp_path)
    nb.click("Step", 1, says="main: round 2 is done, idle")
    nb.says("main: round 2 is done · to look at")


def test_theta_is_dragged(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.run(rounds=1)\nexplore(loop)")
    nb.says("a preview")
    drag_theta(nb.page)
    nb.shot("6_explorer", tmp_path)
    nb.click("Apply from the next round", says="applies from the next round")


def test_samples_are_searched(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.run(rounds=1)\nbrowse(loop)")
    nb.says("page 1 of 50")
    nb.click("Next", says="page 2 of 50")
    nb.search("no model writes this")
    nb.says("no sample fits")
    nb.shot("7_browser", tmp_path)


KEYS = "gbsgbugbgbgb" # good, bad, skip, undo


def test_ten_samples_are_rated_by_keys(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.run(rounds=1)\nrater = rate(loop, by='ada', n=10)\nrater")
    nb.says("1 of 10")
    n_cells = nb.page.locator(".jp-Cell").count()
    nb.page.locator(".selfloop-keys").click()
    place = 1
    for key in KEYS:
        place += -1 if key == "u" else 1
        nb.press(key)
        nb.says(f"{place} of 10" if place <= 10 else "10 of 10 rated")
        if place == 4: nb.shot("11_rating", tmp_path)
    nb.pictures_at_rest()
    nb.shot("12_rated", tmp_path)
    assert nb.page.locator(".jp-OutputArea img:visible").count() == 1, "one picture at a time"
    assert nb.page.locator(".jp-Cell").count() == n_cells, "no key became a command of JupyterLab"
    lines = [json.loads(line) for line in (nb.folder / "run" / "ratings.jsonl").read_text().splitlines()]
    assert {line["by"] for line in lines} == {"ada"}
    assert len(lines) == 12, "every verdict, the skip and the undo"


@pytest.mark.long
def test_two_views_of_one_room(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "room = dashboard(loop)\nroom", "room")
    nb.says("not begun")
    nb.click("Step", 1, says="round 1 is done")
    nb.page.locator(".widget-html", has_text="round 1 is done").nth(1).wait_for()
    nb.pictures_at_rest()
    assert nb.charts(0).count() == nb.charts(1).count() == 7
    assert nb.charts(0).all_inner_texts() == nb.charts(1).all_inner_texts(), "both show the same"
    nb.shot("8_two_views", tmp_path)


@pytest.mark.long
def test_dark_theme(tmp_path, stand_in):
    with lab(tmp_path, "JupyterLab Dark", stand_in) as address, browser() as page:
        nb = Notebook(page, address, tmp_path, LOOP + "dashboard(loop)")
        nb.run_all()
        nb.says("not begun")
        nb.click("Step", says="round 1 is done")
        nb.pictures_at_rest()
        nb.shot("9_dark", tmp_path)
        assert page.evaluate("document.body.dataset.jpThemeLight") == "false"
        paper = "getComputedStyle(document.querySelector('.selfloop-room')).backgroundColor"
        theme = "getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')"
        assert (page.evaluate(theme), page.evaluate(paper)) == ("#111", "rgb(17, 17, 17)"), "they follow the theme"


HOSTILE = """
from pathlib import Path
from hostile_texts import hostile_run
from selfloop_nb import *
run = open_run(hostile_run("hostile").path)
views = {
    "dashboard": lambda: dashboard(run), "explore": lambda: explore(run, group="topic"),
    "browse": lambda: browse(run), "tree": lambda: tree(run),
    "compare": lambda: compare(run), "rate": lambda: rate(run, by="ada", n=30)}
left = iter(views)
"""


def test_hostile_texts_stay_text(open_notebook, tmp_path):
    nb = open_notebook(HOSTILE, "name = next(left)\nprint(f'this is {name}')\nviews[name]()")
    for place, name in enumerate(("dashboard", "explore", "browse", "tree", "compare", "rate")):
        if place: nb.again(1)
        nb.page.get_by_text(f"this is {name}", exact=True).wait_for()
        nb.page.locator(".widget-html:visible").first.wait_for()
        nb.pictures_at_rest()
        time.sleep(1) # for what a hostile text would do by then
        if name == "browse":
            nb.search("世界")
            nb.page.locator(".selfloop-room .card", has_text="你好，世界").first.wait_for()
        nb.shot(f"10_hostile_{name}", tmp_path)
        only_text(nb.page.locator(".jp-OutputArea-output"), name)


FORBIDDEN = ("script", "iframe", "form", "svg[onload]", "math", "link", "[onerror]", "[onmouseover]",
             "a[href^=javascript]", "mjx-container", ".MathJax")


def only_text(inside, name):
    "No node of a model's making."
    for tag in FORBIDDEN: assert inside.locator(tag).count() == 0, f"{tag} in {name}"
    sources = inside.locator("img").evaluate_all("images => images.map(image => image.src)")
    assert all(source.startswith(("blob:", "data:image/png")) for source in sources)


def test_the_hostile_report_in_a_browser(page, tmp_path):
    from hostile_texts import hostile_run
    from selfloop_nb import open_run
    report = open_run(hostile_run(tmp_path / "run").path).report(tmp_path / "report.html")
    page.goto(report.as_uri())
    assert page.locator("script, iframe, form, link, [onerror], a").count() == 0
    assert "你好，世界" in page.inner_text("body")
    page.noted["strangers"] = [url for url in page.noted["strangers"] if not url.startswith("file:")]
    take_shot(page, "report", tmp_path)


@pytest.mark.long
def test_export_by_a_click(open_notebook):
    nb = open_notebook(LOOP + "loop.run(rounds=1)\ndashboard(loop)")
    nb.says("round 1 is done")
    nb.click("Export", says="report.html")
    names = {path.name for path in (nb.folder / "run").rglob("*")}
    assert {"report.html", "history.csv"} <= names
    assert any(name.endswith(".pdf") for name in names), names


@pytest.mark.long
def test_the_tree_is_climbed(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.run(rounds=2)\ntree(loop)")
    nb.says("press a round")
    nb.page.locator("button[title^='round 1, made on main']").click()
    nb.says("round 1")
    nb.click("Branch here", says="on branch other, from round 1")
    nb.page.locator("button[title^='round 0, made on main']").click()
    nb.click("Rewind here", says="branch other is back at round 0")
    nb.shot("13_tree", tmp_path)


TWO_BRANCHES = LOOP + """
loop.run(rounds=2)
other = loop.branch("other", round=1, select=Threshold(0.6))
other.run(rounds=1)
compare(loop, other)
"""


@pytest.mark.long
def test_two_branches_are_compared(open_notebook, tmp_path):
    nb = open_notebook(TWO_BRANCHES)
    nb.says("settings that differ")
    nb.pictures_at_rest()
    nb.shot("14_compare", tmp_path)
    assert "0.6" in nb.page.locator(".widget-html", has_text="settings that differ").first.inner_text()
    nb.page.locator(".selfloop-room figcaption", has_text="scores of round 2").wait_for()
    nb.page.locator(".widget-slider .noUi-handle").first.focus()
    nb.press("ArrowLeft")
    nb.page.locator(".selfloop-room figcaption", has_text="scores of round 1").wait_for()
    assert not nb.page.noted["errors"]


@pytest.mark.long
def test_the_projector(open_notebook, tmp_path):
    nb = open_notebook(LOOP + "loop.run(rounds=2)\ndashboard(loop, font_scale=1.6)")
    nb.says("round 2 is done")
    nb.pictures_at_rest()
    nb.shot("15_projector", tmp_path)
    cut = nb.charts().locator("figcaption, .keys, .said, .hint").evaluate_all(CUT)
    assert cut == [], "no text is cut"


CUT = "texts => texts.filter(text => text.scrollWidth > text.clientWidth + 1).map(text => text.textContent)"
