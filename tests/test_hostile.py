"Whatever a model writes stays text: on every surface, without a browser here (tests/test_browser.py looks at them in one)."
import re
from html.parser import HTMLParser

import pytest
from hostile_texts import HOSTILE, hostile_run, hostile_table
from selfloop_nb import browse, dashboard, explore, open_run

ALLOWED = {"table", "thead", "tbody", "tr", "td", "th", "div", "span", "b", "i", "code", "br", "small", "p", "h1", "h2", "h3", "pre", "figure", "figcaption", "img", "html", "head", "meta", "title", "style", "body", "details", "summary", "ul", "li", "ol"}


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
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00\x07\x1b\ud800-\udfff]", page)
    page.encode("utf-8")
    return page


@pytest.fixture(scope="module")
def run(tmp_path_factory): return open_run(hostile_run(tmp_path_factory.mktemp("hostile") / "run").path)


def test_control_room(run):
    room = dashboard(run)
    assert room.wait(120) and not room.publisher.errors and "no picture" not in room.answer.value
    for widget in (room.status, room.answer, room.cards, room.warned): harmless(widget.value)
    assert "example.org" in room.warned.value and "alert" in room.cards.value
    for output in room.plain(): harmless(output.get("text/html", ""))


def test_explorer(run):
    view = explore(run, group="topic")
    harmless(view.table.value)
    assert view.picture.value[:4] == b"\x89PNG"
    for output in view.plain(): harmless(output.get("text/html", ""))


def test_browser(run):
    view, read = browse(run), ""
    for _ in range(10):
        read += harmless(view.cards.value)
        view.forward.click()
    assert "你好，世界" in read and "日本語の文" in read and "🙂" in read and len(read) < 1_000_000
    view.text.value = "<script>"
    harmless(view.answer.value + view.cards.value)


def test_report_and_figures(run, tmp_path):
    page = harmless(run.report(tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "default-src 'none'" in page and "你好，世界" in page
    for path in run.export(tmp_path / "figures", ("svg", "csv")):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text or path.suffix == ".csv"
        if path.suffix == ".svg": assert not re.search(r"\son\w+=|<image[^>]+href=\"http|<a\s", text)
    cells = (tmp_path / "figures" / "samples.csv").read_text(encoding="utf-8")
    assert "'=HYPERLINK" in cells and "\n=HYPERLINK" not in cells


def test_plots_with_hostile_names(run):
    from selfloop_nb import plots
    history = run.history()
    for text in HOSTILE:
        if len(text) < 3000: plots.png(plots.accuracy_plot({text.encode("utf-8", "replace").decode(): history, "other": history}))


def test_every_text_survives_the_store(run):
    from selfloop_nb.records import clean_text
    assert run.samples(2)["completion"][:] == [clean_text(text) for text in HOSTILE] == hostile_table()["completion"][:]
