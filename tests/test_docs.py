"""The site is built without a network and without a warning, holds every notebook and every public name, can be
searched, and fetches nothing from elsewhere.

It has an environment of its own, which `make test` makes; without it these tests fail, since a site that nobody
built is not known to be whole.
"""
import json, re, subprocess

import pytest

import selfloop_nb
from docs.addresses import fetched
from project import PROJECT, modules, notebooks

PYTHON = PROJECT / ".venv-docs" / "bin" / "python"
# Whatever looks for another machine while the site is built is an error.
OFFLINE = """
import runpy, socket, sys
def refuse(*address, **rest): raise OSError(f"the site asked for {address}")
socket.create_connection = socket.getaddrinfo = refuse
sys.argv = ["docs", sys.argv[1]]
runpy.run_path("tests/tools/docs", run_name="__main__")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The site's folder, built in a process of its own."
    assert PYTHON.exists(), "run `make .venv-docs/.done` once: the site has an environment of its own"
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([PYTHON, "-c", OFFLINE, folder], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def text(path):
    return path.read_text(encoding="utf-8")


def test_every_notebook_has_a_page_in_the_list(site):
    listed = set(re.findall(r'class="reference internal" href="([^"#]+)"', text(site / "index.html")))
    pages = [path.relative_to(PROJECT / "nbs").with_suffix(".html").as_posix() for path in notebooks()]
    assert [page for page in pages if page not in listed and page != "index.html"] == []
    assert [page for page in listed if not (site / page).exists()] == []


def test_every_public_name_has_its_entry(site):
    first = text(site / "reference" / "index.html")
    links = re.findall(r'href="([\w.]+\.html#[\w-]+)"[^>]*>(?:<[^>]+>)*(\w+)<', first)
    assert set(selfloop_nb.__all__) <= {name for _, name in links}
    for link, _ in links:
        page, anchor = link.split("#")
        assert text(site / "reference" / page).count(f'id="{anchor}"') == 1, link


def test_names_that_differ_by_a_capital_alone_have_entries_of_their_own(site):
    page = text(site / "reference" / "filters.chance.html")
    counts = [page.count(f'id="of-{name}"') for name in ("Chance", "chance")]
    assert counts == [1, 1]


def test_the_pages_in_chinese_lead_to_each_other_and_to_the_rest(site):
    first = text(site / "zh" / "index.html")
    assert 'lang="zh' in first and 'href="../index.html"' in first
    assert 'href="zh/index.html"' in text(site / "index.html")
    for page in (site / "zh").rglob("*.html"):
        links = re.findall(r'href="(?![a-z]+:|#)([^"#]+\.html)', text(page))
        assert [link for link in links if not (page.parent / link).exists()] == [], page
    assert "亲手做一轮" in text(site / "zh" / "course" / "01_one_round_by_hand.html")


def test_nothing_of_the_teachers_is_on_the_site(site):
    pages = [text(page) for page in site.rglob("course/*.html")]
    assert pages and not any("For the teacher" in page for page in pages)


def test_a_reference_shows_parameters_with_their_comments(site):
    page = re.sub(r"<[^>]+>", "", text(site / "reference" / "sampling.html"))
    for words in ("def generate_samples(", "temperature:float", "# ", "Explained in its notebook"):
        assert words in page


def test_methods_that_are_told_elsewhere_stand_with_their_class(site):
    page = re.sub(r"<[^>]+>", "", text(site / "reference" / "loop.html"))
    for name in ("Loop.step", "Loop.rewind", "Loop.undo", "Loop.remake", "Loop.publish", "Loop.at_work"):
        assert name in page, name


def test_every_module_can_be_searched(site):
    index = text(site / "searchindex.js")
    found = json.loads(re.search(r"setIndex\((.*)\)\s*$", index, re.DOTALL)[1])
    assert {f"reference/{name}" for name in modules()} <= set(found["docnames"])
    assert "quarantin" in found["terms"] and "threshold" in found["titleterms"]


def test_formulas_are_set_without_a_script(site):
    page = text(site / "course" / "01_one_round_by_hand.html")
    assert page.count("<math") >= 7
    assert not any("math" in tag.lower() for tag in re.findall(r"<script[^>]*>", page))


def test_outputs_are_those_that_were_saved(site):
    assert len(list((site / "_images").glob("*.png"))) >= 30


def test_nothing_comes_from_elsewhere(site):
    assert fetched(site) == []


FROM_ELSEWHERE = {
    "script.html": '<script async src="https://example.org/a.js"></script>',
    "image.html": "<img alt='' src='//example.org/a.png'>",
    "frame.html": '<iframe\n src="http://example.org/"></iframe>',
    "style.html": '<link rel="stylesheet" href="https://example.org/a.css">',
    "font.css": "@font-face { src: url(https://example.org/a.woff2) }",
    "import.css": '@import "https://example.org/a.css";',
    "module.js": 'import("https://example.org/a.js")',
}


@pytest.mark.parametrize("name", FROM_ELSEWHERE)
def test_what_comes_from_elsewhere_is_found(tmp_path, name):
    (tmp_path / name).write_text(FROM_ELSEWHERE[name], encoding="utf-8")
    assert len(fetched(tmp_path)) == 1


def test_a_link_to_follow_is_none(tmp_path):
    (tmp_path / "page.html").write_text('<a href="https://example.org">there</a> <img src="here.png">', encoding="utf-8")
    assert fetched(tmp_path) == []
