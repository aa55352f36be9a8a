"""Whatever a model writes stays text: on every surface, without a browser here.

tests/test_browser.py looks at them in one.
"""
import re, sys, tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selfloop_nb import browse, compare, dashboard, explore, open_run, rate, tree

sys.path += [str(Path(__file__).with_name(folder)) for folder in ("helpers", "faults")]
from hostile_texts import HOSTILE, hostile_run, hostile_table
from table import Row, show
from waiting import wait_until

ALLOWED = set("""table thead tbody tr td th div span b i code br small p h1 h2 h3 pre figure figcaption img html head
    meta title style body details summary ul li ol""".split())
INVISIBLE = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\x00\x07\x1b\ud800-\udfff]")
SHORT = [text.encode("utf-8", "replace").decode() for text in HOSTILE if len(text) < 3000]


class Tags(HTMLParser):
    "All tags and attributes of a page."
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)
    def handle_starttag(self, tag, attributes): self.found.append((tag, dict(attributes)))


def harmless(page):
    "Only tags of ours, no handler, no address, no invisible character."
    for tag, attributes in Tags(page).found:
        assert tag in ALLOWED, f"<{tag}> does not belong here"
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert tag != "img" or attributes["src"].startswith("data:image/png;base64,")
    assert not INVISIBLE.search(page)
    page.encode("utf-8")
    return page


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run whose samples are made of these texts, to look at."
    return open_run(hostile_run(tmp_path_factory.mktemp("hostile") / "run").path)


def widgets(widget):
    "A widget and all that are in it."
    yield widget
    for child in getattr(widget, "children", ()): yield from widgets(child)


def pages(view):
    "The HTML of a view: of every widget in it, and of what the saved notebook keeps."
    shown = [widget.value for widget in widgets(view.box) if widget.__class__.__name__ == "HTML"]
    found = shown + [output.get("text/html", "") for output in view.plain()]
    assert found and all(isinstance(page, str) for page in found)
    return found


def control_room(run, folder):
    room = dashboard(run)
    wait_until(room.wait)
    assert not room.publisher.errors
    assert "no picture" not in room.answer.value
    assert "example.org" in room.warned.value and "alert" in str(room.live.samples)
    return pages(room)


def explorer(run, folder):
    view = explore(run, group="topic")
    assert "image/png" in view.plain()[0]
    return pages(view)


def browser(run, folder):
    view = browse(run)
    found = []
    for _ in range(10):
        found += pages(view)
        view.forward.click()
    read = "".join(found)
    assert all(text in read for text in ("你好，世界", "日本語の文", "🙂"))
    assert len(read) < 2_000_000
    for text in SHORT:
        view.text.value = text
        found += pages(view)
    return found


def rating(run, folder):
    view = rate(run, by="ada", n=len(HOSTILE))
    found = []
    for n in range(len(HOSTILE)):
        found += pages(view)
        view.give(float(n % 2))
    return found + pages(view)


def round_tree(run, folder):
    view = tree(run)
    found = []
    for record in run.rounds:
        view.show(record.id)
        found += pages(view)
    return found


def comparison(run, folder): return pages(compare(run))


def report(run, folder):
    page = run.report(folder / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "你好，世界" in page
    return [page]


ACTIVE = re.compile(r'\son\w+=|<image[^>]+href="http|<a\s') # what an SVG may do beside being seen


def figures(run, folder):
    for path in run.export(folder / "figures", ("svg", "csv")):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text or path.suffix == ".csv"
        if path.suffix == ".svg": assert not ACTIVE.search(text)
    cells = (folder / "figures" / "samples.csv").read_text(encoding="utf-8")
    assert "'=HYPERLINK" in cells and "\n=HYPERLINK" not in cells
    return []


SURFACES = [control_room, explorer, browser, rating, round_tree, comparison, report, figures]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
def test_text_stays_text(surface, run, tmp_path):
    for page in surface(run, tmp_path): harmless(page)


def test_plots_with_hostile_names(run):
    from selfloop_nb.charts.look import png
    from selfloop_nb.charts.rounds import accuracy_plot
    history = run.history()
    for text in SHORT: png(accuracy_plot({text: history, "other": history}))


def test_every_text_survives_the_store(run):
    from selfloop_nb.text import clean_text
    assert run.samples(2)["completion"][:] == [clean_text(text) for text in HOSTILE] == hostile_table()["completion"][:]


def harm(surface, run, folder):
    "What the texts do to a surface, in words; None where they stay text."
    folder.mkdir()
    try:
        for page in surface(run, folder): harmless(page)
    except Exception as error: return f"{surface.__name__}: {type(error).__name__}: {str(error)[:300]}"


def main():
    "The row of the table: every surface, with all texts."
    with tempfile.TemporaryDirectory() as place:
        run = open_run(hostile_run(Path(place) / "run").path)
        losses = [harm(surface, run, Path(place) / surface.__name__) for surface in SURFACES]
    names = ", ".join(surface.__name__.replace("_", " ") for surface in SURFACES)
    n = len(HOSTILE) * len(SURFACES)
    return [Row("hostile texts x surfaces", n, list(filter(None, losses)), f"{len(HOSTILE)} texts; {names}")]


if __name__ == "__main__": show(main())


def test_a_terminal_is_given_no_codes(capsys):
    from selfloop_nb.opened import Event, ProgressBar
    ProgressBar()(Event("message", 1, "measure", dict(text="guard: \x1b]0;title\x07\x1b[31mred\u202e")))
    said = "".join(capsys.readouterr())
    assert "guard: \\x1b]0;title\\x07\\x1b[31mred\\u202e" in said and not INVISIBLE.search(said)


def test_a_loop_tells_its_name_and_that_of_q_without_codes():
    from selfloop_nb import Scorer
    from small import half_digits, small_loop
    loop = small_loop(score=Scorer("\x1b[31mred\u202e", half_digits, (0, 1)))
    assert "Q = \\x1b[31mred\\u202e" in repr(loop) and not INVISIBLE.search(repr(loop))
