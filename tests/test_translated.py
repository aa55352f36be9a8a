"""What is translated is in step: a block whose English has changed since is named, and what is whole stays whole."""
import nbformat, pytest

import translated
from project import PROJECT, notebooks

TRANSLATED = [path for path in notebooks() if translated.po_of(path).exists()]
LESSONS = [path for path in TRANSLATED if path.stem != "index"] # README moves with every measurement: English until then
WHOLE = [path for path in LESSONS if path.stem == "quickstart" or path.parent.name == "course"] # no English is left


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_what_is_translated_has_not_changed_since(path):
    changed = translated.changed(path)
    assert changed == [], f"translate anew in {translated.po_of(path).relative_to(PROJECT)}"


def test_every_translation_is_one_of_a_notebook():
    assert set(translated.LOCALE.rglob("*.po")) == set(map(translated.po_of, TRANSLATED))


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_code_names_and_links_are_the_same_in_both_languages(path):
    for english, chinese in translated.table(path).items():
        assert english.count("](") == chinese.count("]("), english
        assert english.count("|\n") == chinese.count("|\n"), english


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_all_of_it_is_translated(path):
    words = translated.words_of(nbformat.read(path, as_version=4))
    assert set(words) == set(translated.table(path))


TEXT = "# A title\n\nfirst line\nsecond line\n\n```python\nx = 1\n\ny = 2\n```\n\n$$a\n\nb$$\n\n- one\n- two"


def test_code_and_formulas_are_no_words():
    assert translated.blocks(TEXT) == ["# A title", "first line\nsecond line", "- one\n- two"]
    assert "".join(translated.parts(TEXT)) == TEXT


def test_what_has_no_translation_stays():
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(TEXT), nbformat.v4.new_code_cell("1 + 1")])
    made = translated.translated(nb, {"# A title": "# \u6807\u9898"})
    assert made.cells[0].source == TEXT.replace("# A title", "# \u6807\u9898") and made.cells[1].source == "1 + 1"
