"""What is translated is in step: a block whose English has changed since is named, and what is whole stays whole."""
import ast

import nbformat, pytest

import translated
from project import PROJECT, notebooks

TRANSLATED = [path for path in notebooks() if translated.po_of(path).exists()]
LESSONS = [path for path in TRANSLATED if path.stem != "index"] # README moves with every measurement
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


def does(source):
    "What code does, whatever it says of it in words."
    tree = ast.parse(source)
    for spoken in [text for node in ast.walk(tree) for text in translated._spoken(node)]:
        for node in ast.walk(spoken):
            if isinstance(node, ast.JoinedStr): node.values = [one for one in node.values if hasattr(one, "conversion")]
            if isinstance(node, ast.Constant) and isinstance(node.value, str): node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_code_does_the_same_in_chinese(path):
    nb = nbformat.read(path, as_version=4)
    for cell, other in zip(nb.cells, translated.translated(nb, translated.table(path)).cells):
        if cell.cell_type == "code": assert does(cell.source) == does(other.source)


def test_of_code_what_is_read_is_translated_and_nothing_else():
    code = ('def f(n): # a number\n    "Say it."\n    print(f"it is {n}", d["it is"])\n'
            '    assert n == "it is", "never nought"')
    said = [code[start:end] for start, end in translated.said_in(code)]
    assert said == ["a number", "Say it.", "it is {n}", "never nought"]
    assert translated.in_code(code, {"it is {n}": "{n}!"}) == code.replace("it is {n}", "{n}!")


def test_a_measurement_that_is_made_again_needs_no_translator():
    known = {"it takes 3.5 s, 12 of 40": "40 \u4e2d 12\uff0c3.5 \u79d2", "| a 1 |\n|---|": "| \u7532 1 |\n|---|"}
    words = translated.Words(known)
    assert words.find("it takes 4 s, 13 of 1,000") == "1,000 \u4e2d 13\uff0c4 \u79d2"
    assert words.find("| a 7 |\n|---|\n| b 2 |") == "| \u7532 7 |\n|---|\n| b 2 |"
    assert words.find("it took 3.5 s, 12 of 40") == "it took 3.5 s, 12 of 40"


def test_of_the_first_page_nine_blocks_in_ten_are_in_chinese():
    path = next(path for path in TRANSLATED if path.stem == "index")
    words = translated.Words(translated.table(path))
    blocks = translated.words_of(nbformat.read(path, as_version=4))
    english = [block for block in blocks if words.find(block) == block]
    assert len(english) <= 0.1 * len(blocks), english # what was written since, whoever wrote it


TEXT = "# A title\n\nfirst line\nsecond line\n\n```python\nx = 1\n\ny = 2\n```\n\n$$a\n\nb$$\n\n- one\n- two"


def test_code_and_formulas_are_no_words():
    assert translated.blocks(TEXT) == ["# A title", "first line\nsecond line", "- one\n- two"]
    assert "".join(translated.parts(TEXT)) == TEXT


def test_what_has_no_translation_stays():
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(TEXT), nbformat.v4.new_code_cell("1 + 1")])
    made = translated.translated(nb, {"# A title": "# \u6807\u9898"})
    assert made.cells[0].source == TEXT.replace("# A title", "# \u6807\u9898") and made.cells[1].source == "1 + 1"
