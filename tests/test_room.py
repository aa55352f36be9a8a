"""The control room in JupyterLab against its thirteen promises: quick, exact, linked, readable at every width, in the
light and in the dark, also with a busy kernel and with a dead one.

By real clicks, drags and keys in a headless Chromium; the longest are marked so. Where no Chromium is found these tests
are skipped. Screenshots: SCREENSHOTS=folder, else the test's own folder.
"""
import math, os, re, shutil, signal, subprocess, sys, time

import pytest
from browser import CHROMIUM, Notebook, browser, lab, middle_of, take_shot
from test_browser import NO_CHROMIUM, kernel_pids, open_notebook, page, server
from waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)]

RUNS = """
from math import inf
from made_up import made_up_run
from selfloop_nb import *
run = open_run(made_up_run("run", {rounds}, {more}).path)
"""
ROOM = "document.querySelector('.selfloop-frame').room"


def made_up(rounds=6, view="dashboard(run)", **more):
    "A cell that makes a run up and shows it."
    arguments = ", ".join(f"{name}={value!r}" for name, value in more.items())
    return RUNS.format(rounds=rounds, more=arguments) + view


def drawn(nb, at_rest=True):
    "Wait until every chart of the room is drawn, and nothing moves any more."
    nb.page.wait_for_function("""() => {
        const charts = [...document.querySelectorAll(".selfloop-room svg")]
        const room = document.querySelector(".selfloop-frame")?.room, is = room?.rounds.length || room?.scores.n != null
        return is && charts.length && charts.every(chart => chart.childNodes.length)
    }""")
    if at_rest: nb.pictures_at_rest() # the explanations move the charts when they come


def asked(nb, code): return nb.page.evaluate(f"() => {code}")


# ---- 1: opening


@pytest.mark.long
def test_sixty_rounds_are_opened_with_few_bytes(open_notebook, page):
    sizes = []
    def came(frame):
        closes = "comm_close" in (frame if isinstance(frame, str) else frame.decode("latin1")) # the room before
        sizes.append(0 if closes else len(frame))
    page.on("websocket", lambda socket: socket.on("framereceived", came))
    nb = open_notebook("1", made_up(60, ""), "dashboard(run)")
    drawn(nb)
    before = sum(sizes)
    nb.again(2)
    nb.ready()
    drawn(nb)
    assert sum(sizes) - before <= 250_000


# ---- 2: theta


DRAG = """async thetas => {
    const room = document.querySelector(".selfloop-frame").room, chart = room.scoresChart, found = []
    for (const theta of thetas) {
        room.moveTheta(theta)
        const { table } = room, said = room.keeps()
        const j = table.theta.findIndex(t => t >= room.theta)
        const bars = room.scores.open.map((_, i) => chart.keptIn(i)).reduce((a, b) => a + b, 0)
        found.push([room.theta, said, bars, table.right[j], table.distinct[j]].map(value => value ?? null))
    }
    return found
}"""
HAND = """() => {
    const room = document.querySelector(".selfloop-frame").room, chart = room.scoresChart, most = []
    const watch = new MutationObserver(() => {})
    watch.observe(room.root, { attributes: true, childList: true, characterData: true, subtree: true })
    for (let i = 0; i < 40; i++) {
        room.moveTheta(chart.inside(i / 40))
        const changes = watch.takeRecords()
        most.push([changes.length, changes.filter(change => change.type === "childList").length])
    }
    return [Math.max(...most.map(pair => pair[0])), Math.max(...most.map(pair => pair[1]))]
}""" # what a move of theta changes in the page: all of it, and elements that come or go
KINDS = {"many samples": dict(rounds=1, n=10_000), "many rounds": dict(rounds=60, n=60),
         "two values": dict(rounds=1, values=[0.0, 1.0]), "below zero": dict(rounds=1, low=-20.0, high=0.0)}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_theta_would_keep_is_exact(open_notebook, tmp_path, kind):
    import random
    from made_up import made_up_run
    from selfloop_nb.filters.preview import ThresholdPreview
    made = KINDS[kind]
    nb = open_notebook(made_up(**made))
    drawn(nb)
    rng = random.Random(0)
    low, high = made.get("low", 0.0), made.get("high", 1.0)
    found = nb.page.evaluate(DRAG, [rng.uniform(low, high) for _ in range(300)])
    run = made_up_run(tmp_path / "same", **made)
    preview = ThresholdPreview(run.samples(made["rounds"]))
    for theta, n_kept, n_green, *shares in found:
        metrics = preview.at(theta)
        assert metrics.n_kept == n_kept == n_green
        for share, exact in zip(shares, (metrics.precision, metrics.distinct_2)):
            assert abs(share - exact) < 1e-12 if math.isfinite(exact) else share is None or math.isnan(share)


@pytest.mark.long
def test_theta_is_dragged_beside_a_busy_kernel_and_a_dead_one(open_notebook, page):
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    def n_messages(): return sum("comm_msg" in str(frame) for frame in sent)
    nb = open_notebook(made_up(), "import time\nprint('busy')\ntime.sleep(60)")
    nb.page.get_by_text("busy", exact=True).wait_for()
    drawn(nb)
    said = nb.page.locator(".selfloop-room .said")
    texts = [said.inner_text()]
    def drag(by):
        grip = nb.page.locator(".selfloop-room .theta circle").bounding_box()
        x, y = grip["x"] + 6, grip["y"] + 6
        nb.page.mouse.move(x, y)
        nb.page.mouse.down()
        before = n_messages()
        nb.page.mouse.move(x + by, y, steps=8)
        texts.append(said.inner_text())
        assert n_messages() == before, "the kernel hears of it when the hand lets go"
        now = nb.page.locator(".selfloop-room .theta circle").bounding_box()
        assert abs(now["x"] + 6 - x - by) < 2, "the handle is where the hand is"
        nb.page.mouse.up()
    drag(60)
    wait_until(lambda: n_messages() > 0)
    n_changes, n_elements = nb.page.evaluate(HAND)
    assert n_changes <= 50 and n_elements <= 2, "a move of theta changes forty bars, the handle and a line of text"
    for pid in kernel_pids(): os.kill(pid, signal.SIGKILL)
    drag(-40)
    assert len(set(texts)) == 3 and all("would keep" in text for text in texts[1:])


@pytest.mark.long
@pytest.mark.parametrize("view", ("browse", "tree"))
def test_theta_is_under_the_hand_where_a_view_is_shown_larger(open_notebook, tmp_path, view):
    nb = open_notebook(made_up(view=f"{view}(run, font_scale=1.6)"))
    drawn(nb)
    circle = nb.page.locator(".selfloop-room .theta circle")
    x, y = middle_of(circle)
    nb.page.mouse.move(x, y)
    nb.page.mouse.down()
    nb.page.mouse.move(x + 80, y, steps=8)
    now, _ = middle_of(circle)
    nb.page.mouse.up()
    nb.shot(f"{view}_larger", tmp_path)
    assert abs(now - x - 80) < 3
    nb.page.locator(".selfloop-room .said", has_text="would keep").wait_for()


def test_the_table_does_not_grow_with_the_samples():
    from datasets import Dataset
    from selfloop_nb.charts.chart_data import RoundScores
    n = 100_000
    columns = dict(prompt=["p"] * n, completion=["c"] * n, score=[i / n for i in range(n)], n_tokens=[1] * n,
                   finished=[True] * n, state=["kept"] * n, prompt_id=[0] * n)
    seen = RoundScores(Dataset.from_dict(columns), {"select": {"unique": False}})
    assert seen.table.nbytes <= 20_000


# ---- 3: bars


@pytest.mark.long
def test_a_bar_shows_its_samples_and_lets_go(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    from made_up import made_up_run
    scores = made_up_run(tmp_path / "same", 6).samples(6)["score"][:]
    edges = asked(nb, f"{ROOM}.scores.edges")
    note = nb.page.locator(".selfloop-room .note")
    whole = note.inner_text()
    for i, (low, high) in enumerate(zip(edges, edges[1:])):
        last = i == len(edges) - 2
        n = sum(low <= score < high or (last and score == high) for score in scores)
        asked(nb, f"{ROOM}.pick({i})")
        stretch = f"score {low:.3g} to {high:.3g}"
        note.filter(has_text=f"{stretch}: {min(n, 8)} of {n:,} ·").wait_for()
        assert nb.page.locator(".selfloop-room .card").count() == min(n, 8)
    nb.page.locator(".selfloop-room").first.focus()
    nb.press("Escape")
    wait_until(lambda: note.inner_text() == whole)


# ---- 4: rounds


CHOSEN = """() => [...document.querySelectorAll(".selfloop-room figure")].map(figure => {
    const mark = figure.querySelector(".chosen")
    return mark && mark.style.display !== "none" ? Math.round(mark.getAttribute("x1")) : null
}).filter(x => x !== null)"""


BETWEEN = """room => { // a round without scores has come, its frame has not
    Object.assign(room, { scores: {}, spread: {}, columns: {}, losses: [], rounds: [] })
    for (const chart of room.charts) chart.later()
    room.point({ hovering: 0 })
    for (const name of ["pointermove", "pointerdown", "click", "dblclick"])
        for (const chart of room.charts) chart.handleEvent(new PointerEvent(name, { clientX: 9, clientY: 9 }))
}"""


def test_the_arrow_keys_choose_a_round_in_all_charts(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    n_cells = nb.page.locator(".jp-Cell").count()
    nb.page.locator(".selfloop-room").focus()
    for key, expected in (("ArrowLeft", 5), ("ArrowLeft", 4), ("Home", 0), ("ArrowRight", 1), ("End", 6)):
        nb.press(key)
        nb.page.wait_for_function(f"n => {ROOM}.round === n", arg=expected)
        marks = nb.page.evaluate(CHOSEN)
        assert len(marks) == 4 and len(set(marks)) == 1, "one mark in each chart by round, at the same place"
    nb.press("a")
    assert nb.page.locator(".jp-Cell").count() == n_cells, "no key became a command of JupyterLab"
    nb.page.wait_for_function(f"() => {ROOM}.scores.round === 6")
    nb.page.evaluate(f"({BETWEEN})({ROOM})")


@pytest.mark.long
def test_a_hover_marks_the_round_in_all_charts(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    chart = nb.page.locator(".selfloop-room figure", has_text="held-out accuracy").locator("svg")
    chart.hover()
    hovered = "[...document.querySelectorAll('.selfloop-room .hovered')].filter(l => l.style.display === '').length"
    nb.page.wait_for_function(f"() => {ROOM}.hovering != null && {hovered} === 4")
    nb.shot("room_hover", tmp_path)
    nb.page.mouse.move(2, 2)
    nb.page.wait_for_function(f"() => {ROOM}.hovering == null && {hovered} === 0")


# ---- 5: for those who do not see, or not well


AXE = "axe-core@4.10.3"


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    "The script of axe-core, out of npm's package; skipped where it cannot be had."
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"): pytest.skip("no npm is found: axe-core cannot be had")
    done = subprocess.run(["npm", "pack", AXE, "--fetch-retries=1"], cwd=folder, capture_output=True, text=True)
    if done.returncode: pytest.skip(f"no registry answers: {done.stderr[-200:]}")
    subprocess.run(["tar", "xzf", next(folder.glob("*.tgz")).name, "package/axe.min.js"], cwd=folder, check=True)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


SERIOUS = """async () => {
    const found = await axe.run(".selfloop-frame", { resultTypes: ["violations"] })
    const grave = found.violations.filter(fault => ["serious", "critical"].includes(fault.impact))
    const told = (fault, node) => `${fault.id}: ${node.html.slice(0, 120)} ${node.failureSummary}`
    return grave.flatMap(fault => fault.nodes.map(node => told(fault, node)))
}"""


@pytest.mark.long
@pytest.mark.parametrize("theme", ("JupyterLab Light", "JupyterLab Dark"))
def test_axe_finds_nothing_serious(tmp_path, axe, theme):
    with lab(tmp_path, theme) as address, browser() as page:
        nb = Notebook(page, address, tmp_path, made_up())
        nb.run_all()
        drawn(nb)
        page.evaluate(axe)
        assert page.evaluate(SERIOUS) == []
        nb.shot(f"room_{theme.split()[-1].lower()}", tmp_path)


@pytest.mark.long
def test_what_is_read_aloud_and_reached_by_keys(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    labels = nb.page.locator(".selfloop-room svg").evaluate_all("all => all.map(svg => svg.getAttribute('aria-label'))")
    accuracy = next(label for label in labels if label.startswith("held-out accuracy"))
    assert "round 6" in accuracy and re.search(r"right \d+ %", accuracy), "the newest value is said"
    handle = nb.page.locator("[role=slider]").first
    assert "of 400" in handle.get_attribute("aria-valuetext")
    nb.page.locator(".selfloop-room").focus()
    reached = []
    for _ in range(14):
        nb.press("Tab")
        reached.append(asked(nb, "document.activeElement.getAttribute('role') ?? document.activeElement.tagName"))
    assert {"slider", "listitem", "SUMMARY"} <= set(reached) and reached.count("SUMMARY") >= 2
    handle.focus()
    before = handle.get_attribute("aria-valuenow")
    nb.press("ArrowRight")
    assert float(handle.get_attribute("aria-valuenow")) > float(before)
    nb.page.emulate_media(reduced_motion="reduce")
    speed = "getComputedStyle(document.querySelector('.selfloop-room .thin')).transitionDuration"
    assert asked(nb, speed) == "0s"
    nb.page.locator(".selfloop-room summary", has_text="table").click()
    nb.page.locator(".selfloop-room table tr").nth(7).wait_for() # a head and seven rounds


# ---- 6: themes


def change_theme(nb, theme):
    "As the menu does it."
    nb.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)


@pytest.mark.long
def test_the_theme_is_switched_under_an_open_room(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    paper = "getComputedStyle(document.querySelector('.selfloop-room')).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.selfloop-room')).color"
    light = asked(nb, f"[{paper}, {ink}]")
    change_theme(nb, "JupyterLab Dark")
    wait_until(lambda: asked(nb, paper) == "rgb(17, 17, 17)")
    dark = asked(nb, ink)
    odd = asked(nb, """[...document.querySelectorAll(".selfloop-room *")].map(e => getComputedStyle(e).backgroundColor)
        .filter(colour => !["rgba(0, 0, 0, 0)", "rgb(17, 17, 17)"].includes(colour))""")
    nb.shot("room_switched", tmp_path)
    assert odd == [] and light[0] == "rgb(255, 255, 255)"
    assert light[1].startswith("rgba(0, 0, 0") and "(255, 255, 255" in dark
    change_theme(nb, "JupyterLab Light")


# ---- 7: widths


FAULTS = """width => {
    const frame = document.querySelector(".selfloop-frame")
    frame.style.width = `${width}px`
    return new Promise(done => setTimeout(() => {
        const room = document.querySelector(".selfloop-room"), faults = []
        if (room.scrollWidth > room.clientWidth + 1) faults.push(`room ${room.scrollWidth} > ${room.clientWidth}`)
        for (const pre of room.querySelectorAll("pre"))
            if (getComputedStyle(pre).wordBreak !== "normal") faults.push("words are cut in two")
        for (const text of room.querySelectorAll("figcaption, .keys, .key, .said, .note, button"))
            if (text.scrollWidth > text.clientWidth + 1 && text.clientWidth) faults.push(`cut: ${text.textContent}`)
        for (const svg of room.querySelectorAll("svg")) for (const text of svg.querySelectorAll("text")) {
            const [a, b] = [text.getBoundingClientRect(), svg.getBoundingClientRect()]
            if (a.left < b.left - 1 || a.right > b.right + 1) faults.push(`label out: ${text.textContent}`)
        }
        for (const svg of room.querySelectorAll("svg")) {
            const texts = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect())
            texts.forEach((a, i) => texts.slice(i + 1).forEach(b => {
                const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top + 2 || b.bottom <= a.top + 2
                if (!apart) faults.push(`labels overlap in ${svg.getAttribute("aria-label")}`)
            }))
        }
        const axes = [...room.querySelectorAll(".axis")].map(axis => axis.getBoundingClientRect())
        const columns = new Set(axes.map(axis => Math.round(axis.left / 2)))
        const figures = [...room.querySelectorAll("figure")].map(f => f.getBoundingClientRect())
        const right = Math.max(...figures.map(f => f.right)), last = Math.max(...figures.map(f => f.top))
        const end = Math.max(...figures.filter(f => Math.abs(f.top - last) < 3).map(f => f.right))
        if (Math.abs(end - right) > 2) faults.push("the last row is not full")
        faults.push(...(columns.size > 4 ? [`${columns.size} left edges`] : []))
        done(faults)
    }, 400))
}"""


@pytest.mark.long
@pytest.mark.parametrize("scale", (1.0, 1.6, 2.0))
def test_every_width_and_size_of_letters(open_notebook, tmp_path, scale):
    nb = open_notebook(made_up(12, f"dashboard(run, font_scale={scale})"))
    drawn(nb)
    nb.page.set_viewport_size({"width": 2200, "height": 1400})
    for width in (560, 700, 800, 1100, 1440, 1920):
        faults = nb.page.evaluate(FAULTS, width)
        nb.shot(f"room_{width}_{scale}", tmp_path)
        assert faults == [], (width, scale)
    asked(nb, "document.querySelector('.selfloop-frame').style.width = ''")


CONTRASTS = """() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number)
    const room = document.querySelector(".selfloop-room"), paper = parts(getComputedStyle(room).backgroundColor)
    const over = ([r, g, b, a = 1]) => [r, g, b].map((part, i) => a * part + (1 - a) * paper[i])
    const linear = part => part <= 10 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4
    const weights = [0.2126, 0.7152, 0.0722]
    const light = colour => over(colour).reduce((sum, part, i) => sum + weights[i] * linear(part), 0)
    const texts = room.querySelectorAll("svg text, .key, .said, figcaption b, .hint, .card pre, .card small, .note")
    return [...texts].map(text => {
        const style = getComputedStyle(text), ink = light(parts(text.tagName === "text" ? style.fill : style.color))
        return (Math.max(ink, light(paper)) + 0.05) / (Math.min(ink, light(paper)) + 0.05)
    })
}""" # of each text with the paper, by WCAG


@pytest.mark.long
@pytest.mark.parametrize("media", (dict(), dict(forced_colors="active"), dict(contrast="more")), ids=str)
def test_every_text_stands_out_from_the_paper(open_notebook, tmp_path, media):
    nb = open_notebook(made_up())
    drawn(nb)
    nb.page.emulate_media(**media)
    for theme in ("Light", "Dark"):
        change_theme(nb, f"JupyterLab {theme}")
        is_on = "theme => document.body.dataset.jpThemeLight === String(theme === 'Light')"
        nb.page.wait_for_function(is_on, arg=theme)
        nb.page.wait_for_function("() => !document.getElementById('jupyterlab-splash')")
        nb.shot(f"room_{theme.lower()}_{'_'.join(media) or 'plain'}", tmp_path)
        found = nb.page.evaluate(CONTRASTS)
        assert len(found) > 50 and min(found) >= 4.5, (theme, min(found))
    change_theme(nb, "JupyterLab Light")


WORDS_SEEN = """() => {
    const places = "figcaption, .hint, .key, .said, .note, .help, summary, .card small"
    const seen = [...document.querySelectorAll(places.split(", ").map(place => `.selfloop-room ${place}`).join(", "))]
    const around = [...document.querySelectorAll("button.jupyter-button, .widget-html, .widget-label")]
    return [...seen, ...around].map(element => element.innerText.trim()).filter(text => text)
}"""


@pytest.mark.long
def test_the_room_speaks_chinese(open_notebook, tmp_path):
    nb = open_notebook(made_up(12, "session(lang='zh')\ndashboard(run)"))
    drawn(nb)
    nb.page.evaluate(f"() => {ROOM}.pick({ROOM}.scores.open.findIndex(n => n > 2))")
    nb.page.locator(".selfloop-room .note", has_text="Esc").wait_for()
    nb.shot("room_chinese", tmp_path)
    seen = [text.replace("distinct-2", "") for text in nb.page.evaluate(WORDS_SEEN)] # a term that stays
    english = [text for text in seen if re.search("[a-z]{4}", text)]
    assert [text for text in english if not re.search("[\u4e00-\u9fff]", text)] == []
    nb.page.set_viewport_size({"width": 2200, "height": 1400})
    for width in (560, 1100, 1920): assert nb.page.evaluate(FAULTS, width) == [], width


# ---- 8: one picture at a time


@pytest.mark.long
def test_one_picture_is_seen_at_a_time(open_notebook, tmp_path):
    nb = open_notebook(made_up())
    drawn(nb)
    wait_until(lambda: nb.page.locator(".jp-RenderedImage img").count() == 1)
    assert not nb.page.locator(".jp-RenderedImage img").is_visible()
    nb.save()
    assert nb.path.stat().st_size <= 0.15 * 2**20
    html = subprocess.run([sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", nb.path.name], cwd=nb.folder,
                          capture_output=True, text=True)
    assert html.returncode == 0, html.stderr
    nb.page.goto((nb.folder / "nb.html").as_uri())
    assert nb.page.locator(".jp-RenderedImage img").is_visible() and not nb.page.locator(".selfloop-room").count()
    nb.page.noted["strangers"] = [] # nbconvert's page asks for MathJax and require.js


# ---- 9: live


SLOW = """
from small import half_digits, small_loop
from selfloop_nb import *
task = addition(n_train=100, n_prompts=300, n_heldout=50)
loop = small_loop("run", task=task, tune=FineTune(steps=400, batch_size=32), score=half_digits, select=Threshold(0.5),
                  initial=FineTune(steps=20, batch_size=32), sampling=Sampling(tokens_per_batch=300))
loop.start()
dashboard(loop)
"""

def test_what_is_written_and_scored_is_seen_before_the_training(open_notebook, tmp_path):
    nb = open_notebook(SLOW)
    nb.says("round 0 is done")
    nb.click("Step", says="round 1: ")
    note = nb.page.locator(".selfloop-room .note")
    note.filter(has_text="being written").wait_for()
    assert nb.page.locator(".selfloop-room .card .prompt").first.inner_text().endswith("="), "with the prompt"
    nb.shot("room_written", tmp_path)
    nb.page.locator(".selfloop-room figcaption", has_text="round 1, not trained on yet").wait_for()
    nb.page.wait_for_function(f"() => {ROOM}.losses.at(-1)[0] === 1 && {ROOM}.losses.at(-1)[1].length > 0")
    n = asked(nb, f"{ROOM}.losses.at(-1)[1].length")
    nb.page.wait_for_function(f"n => {ROOM}.losses.at(-1)[1].length > n", arg=n)
    nb.shot("room_tuning", tmp_path)
    nb.says("round 1 is done")
    steps = asked(nb, f"{ROOM}.losses.at(-1)[1]")
    assert steps[0] == 1 and steps[-1] == 400 and steps == sorted(set(steps)), "no point is lost, and none comes twice"


LONG_LOSS = """
points = [dict(step=i + 1, loss=9.0 if i == 20_777 else 1.0 + i % 7 / 10) for i in range(30_000)]
for n in range(300, 30_001, 300): room.live.show_losses(7, points[:n])
"""
DRAWN_LOSS = """() => {
    const room = document.querySelector(".selfloop-frame").room, [, steps, losses] = room.losses.at(-1)
    const lines = [...room.lossChart.svg.querySelectorAll(".thin")]
    return [steps.length, Math.max(...losses), lines.at(-1).getAttribute("points").split(" ").length]
}"""


@pytest.mark.long
def test_of_thirty_thousand_loss_points_a_few_thousand_are_drawn(open_notebook):
    nb = open_notebook(made_up(view="room = dashboard(run)\nroom"), LONG_LOSS)
    drawn(nb)
    nb.page.wait_for_function(f"() => {ROOM}.losses.at(-1)[1].at(-1) === 30000")
    nb.pictures_at_rest()
    n_points, highest, n_drawn = nb.page.evaluate(DRAWN_LOSS)
    assert n_points == n_drawn <= 4000 and highest == 9.0, "few points, and no peak is lost"


# ---- 10 and bad input: each is shown for what it is


ODD = {
    "equal scores": (dict(values=[0.5]), ["θ 0.5"]),
    "missing scores": (dict(missing=True), ["400 without a score", "nothing was measured"]),
    "infinite scores": (dict(values=[0.25, math.inf]), ["without a score"]),
    "no samples": (dict(n=0), ["nothing was sampled"]),
    "no theta": (dict(rule="Quantile"), ["not kept", "would keep"]),
    "three hundred rounds": (dict(rounds=300, n=12, losses=10), ["scores of round 300"]),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_shown_for_what_it_is(open_notebook, tmp_path, kind):
    more, texts = ODD[kind]
    nb = open_notebook(made_up(**{"rounds": 3, **more}))
    drawn(nb)
    for text in texts: nb.page.locator(".selfloop-room figure", has_text=text).first.wait_for()
    nb.shot(f"room_{kind.replace(' ', '_')}", tmp_path)
    assert not nb.page.noted["errors"]


@pytest.mark.long
def test_without_anywidget_one_line_says_what_to_install(open_notebook, page, tmp_path):
    page.route("**/anywidget/**", lambda route: route.abort())
    nb = open_notebook(made_up())
    nb.page.get_by_text("pip install anywidget").wait_for()
    nb.says("round 6 is done")
    wait_until(lambda: nb.page.locator(".jp-RenderedImage img:visible").count() == 1)
    nb.shot("room_without_anywidget", tmp_path)
    page.noted["errors"] = [] # JupyterLab tells of what it could not load


# ---- 12: explore


@pytest.mark.long
def test_explore_opens_a_hundred_thousand_samples(open_notebook, tmp_path):
    nb = open_notebook(made_up(1, "", n=100_000), "explore(run)")
    drawn(nb)
    nb.page.locator(".selfloop-room .said", has_text="of 100,000").wait_for()
    nb.shot("explore_100000", tmp_path)


def test_what_explore_works_out_grows_no_faster_than_the_samples():
    "By the processor's time, beside that of cutting the same texts one by one, which a busy machine slows as much."
    from made_up import scored
    from selfloop_nb.charts.chart_data import RoundScores
    from selfloop_nb.text import segment
    samples = scored(100_000)
    texts = samples["completion"][:]
    def cost(work):
        def once():
            began = time.process_time()
            work()
            return time.process_time() - began
        return min(once() for _ in range(3))
    assert cost(lambda: RoundScores(samples, {})) < 3 * cost(lambda: list(map(segment, texts)))


@pytest.mark.long
def test_two_threads_draw_the_same_pictures():
    from concurrent.futures import ThreadPoolExecutor
    from made_up import scored
    from selfloop_nb.charts.look import png
    from selfloop_nb.charts.theta import preview_plot
    from selfloop_nb.filters.preview import ThresholdPreview
    preview = ThresholdPreview(scored(2000))
    thetas = [i / 20 for i in range(20)]
    def picture(theta): return png(preview_plot(preview, theta, (0.0, 1.0)))
    alone = list(map(picture, thetas))
    with ThreadPoolExecutor(2) as two: together = list(two.map(picture, thetas * 10))
    assert together == alone * 10


# ---- the other views stand on the same charts


COMPARED = """
from made_up import made_up_run
from selfloop_nb import *
runs = [open_run(made_up_run(f"run{i}", 4 + i, theta=0.3 + 0.1 * i).path) for i in range(3)]
compare(seeds=runs[:2], other=runs[2])
"""


@pytest.mark.long
def test_one_run_stands_out_in_all_charts(open_notebook, tmp_path):
    nb = open_notebook(COMPARED)
    drawn(nb)
    nb.page.locator(".selfloop-room .key", has_text="other").first.hover()
    dim = "[...document.querySelectorAll('.selfloop-room figure')].map(f => f.querySelectorAll('.curve.dim').length)"
    nb.page.wait_for_function(f"() => {dim}.filter(n => n === 1).length === 6") # only the other has a sixth round
    nb.shot("compare_lit", tmp_path)
    nb.page.mouse.move(2, 2)
    assert nb.page.locator(".selfloop-room figcaption", has_text="scores of round 6 · seeds: no round 6").count() == 1


@pytest.mark.long
def test_a_cell_of_the_tree_chooses_the_round(open_notebook, tmp_path):
    nb = open_notebook(made_up(view="tree(run)"))
    drawn(nb)
    nb.page.locator("button[title^='round 3, made on main']").click()
    nb.page.wait_for_function(f"() => {ROOM}.scores.round === 3")
    nb.page.locator(".selfloop-room").focus()
    nb.press("ArrowRight")
    nb.says("round 4")
    nb.shot("tree_round", tmp_path)


@pytest.mark.long
def test_bars_and_search_filter_the_cards(open_notebook, tmp_path):
    nb = open_notebook(made_up(view="browse(run)"))
    drawn(nb)
    asked(nb, f"{ROOM}.pick({ROOM}.scores.open.findIndex(n => n > 2))")
    nb.says("(Esc: all)")
    nb.search("你好")
    nb.shot("browse_bar", tmp_path)
    nb.page.locator(".selfloop-room").focus()
    nb.press("Escape")
    nb.page.locator(".widget-html", has_text="Esc").first.wait_for(state="detached")
    cards = nb.page.locator(".selfloop-room .card b:first-child").all_inner_texts()
    assert cards and nb.page.locator(".selfloop-room .card", has_text="你好").count() == 8


def test_the_report_answers_the_hand_offline(page, tmp_path):
    from made_up import made_up_run
    from selfloop_nb import open_run
    path = open_run(made_up_run(tmp_path / "run", 5).path).report(tmp_path / "report.html", live=True)
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.wait_for_function("() => document.querySelector('.selfloop-room .axis')")
    page.evaluate(f"() => {ROOM}.choose(2)")
    page.locator(".selfloop-room figcaption", has_text="scores of round 2").wait_for()
    page.evaluate(f"() => {ROOM}.pick({ROOM}.scores.open.findIndex(n => n > 1))")
    page.locator(".selfloop-room .note", has_text="2 of the 2").wait_for()
    grip = page.locator(".selfloop-room .theta circle").bounding_box()
    page.mouse.move(grip["x"] + 6, grip["y"] + 6)
    page.mouse.down()
    page.mouse.move(grip["x"] + 66, grip["y"] + 6, steps=4)
    page.mouse.up()
    page.locator(".selfloop-room .said", has_text="would keep").wait_for()
    page.screenshot(path=tmp_path / "report_live.png")
    assert [url for url in page.noted["strangers"] if not url.startswith("file:")] == []
    page.noted["strangers"] = []


def test_a_drag_over_the_loss_shows_it_larger(page, tmp_path):
    from made_up import made_up_run
    from selfloop_nb import open_run
    path = open_run(made_up_run(tmp_path / "run", 5).path).report(tmp_path / "report.html", live=True)
    page.goto(path.as_uri())
    figure = page.locator(".selfloop-room figure.loss")
    figure.locator(".axis").wait_for(state="attached")
    x, y = middle_of(figure.locator("svg"))
    def stretch(*places):
        "What of the training is shown after a press, moves, and a release; texts stay selected."
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]: page.mouse.move(*place, steps=3)
        page.mouse.up()
        return page.evaluate(f"() => {ROOM}.lossChart.part ?? null")
    title = figure.locator("figcaption b").bounding_box()
    assert stretch((title["x"] + 5, title["y"] + 5), (x, y)) is None, "it was pressed elsewhere"
    first, last = stretch((x - 20, y), (x + 20, y))
    assert 0 < first < last < 480
    assert figure.locator(".value").is_visible() and "at step" in figure.locator(".value").inner_text()
    page.mouse.move(2, 2)
    assert not figure.locator(".value").is_visible(), "nothing is pointed at"
    page.mouse.dblclick(x, y)
    assert page.evaluate(f"() => {ROOM}.lossChart.part") is None
    page.noted["strangers"] = []


ARABIC = dict(prompt="ما هي عاصمة مصر؟ ", completion="القاهرة، وعدد سكانها 10 ملايين (2024).", state="kept", reason="")
FROM_THE_RIGHT = """text => {
    const letters = text.firstChild, range = document.createRange()
    const left = i => {
        range.setStart(letters, i)
        range.setEnd(letters, i + 1)
        return range.getBoundingClientRect().left
    }
    return left(0) > left(letters.length - 1)
}""" # does its last letter, a point, stand to the left of the first one?


@pytest.mark.parametrize("live", (False, True))
def test_what_is_read_from_the_right_ends_at_the_left(page, tmp_path, live):
    from datasets import Dataset
    from hostile_texts import commit_round, hostile_table
    from selfloop_nb import open_run
    from selfloop_nb.storage.store import Run
    run = Run.create(tmp_path / "run", {"seed": 0})
    commit_round(run, 0, None)
    commit_round(run, 1, "0000-x", Dataset.from_list([hostile_table()[0] | ARABIC | dict(score=0.5)]))
    page.goto(open_run(run.path).report(tmp_path / "report.html", live=live).as_uri())
    answer = page.locator(".selfloop-room b.completion" if live else ".card code b").first
    answer.wait_for()
    take_shot(page, f"from_the_right_{live}", tmp_path)
    assert answer.inner_text() == ARABIC["completion"] and answer.evaluate(FROM_THE_RIGHT)
    page.noted["strangers"] = []
