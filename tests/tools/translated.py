"""Notebooks in Chinese: the prose of each, block by block, out of a .po file in nbs/locale/zh; and of code what is read
and not run: comments, docstrings, what is printed, what an assert says. All else of code stays as it is.

    python tests/tools/translated.py NOTEBOOK   # write its .po anew: new blocks are added, without a translation

A block is what stands between two blank lines. One that has no translation is shown in English; one whose English has
changed since is told by a test. Any editor of .po files, such as Poedit, works on them.
"""
import ast, io, re, sys, tokenize
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from selfloop_nb.charts.words import headers_shown
import selfloop_nb.course.exercises # the headers of the labs' tables

PROJECT = Path(__file__).resolve().parents[2]
NBS = PROJECT / "nbs"
LOCALE = NBS / "locale" / "zh"
CHINESE = """from selfloop_nb import session
session(lang="zh") # \u6309\u94ae\u3001\u56fe\u8868\u3001\u63d0\u793a\u548c\u62a5\u9519\u90fd\u7528\u4e2d\u6587"""
FENCE = re.compile(r"(^ *```.*?^ *```$|^\$\$.*?\$\$$)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"^\d+_")
NOT_WORDS = re.compile(r"(```|\$\$|!\[)")
LITERAL = re.compile(r"([rRfFbBuU]*)(\"\"\"|'''|\"|')(.*)\2", re.DOTALL)
NUMBERS = re.compile(r"\d[\d,.]*\d|\d")
WORD = re.compile(r"[A-Za-z]{2,}")


def po_of(path):
    "The .po file of a notebook; it has its name without the number, which may change."
    place = path.resolve().relative_to(NBS)
    return LOCALE / place.parent / f"{NUMBER.sub('', place.stem)}.po"


def parts(text):
    "The blocks of a text and what stands between them, in turns; code and formulas are one block."
    found = FENCE.split(text)
    pieces = []
    for at, piece in enumerate(found):
        pieces += [piece] if at % 2 else re.split(r"(\n\s*\n)", piece)
    return pieces


def blocks(text):
    "The blocks of a text that are words to be read."
    stripped = [part.strip() for part in parts(text)]
    return [block for block in stripped if block and not NOT_WORDS.match(block)]


def said_in(source):
    "The places in code that are read and not run: pairs of a first and a last character."
    tree, lines = ast.parse(source), source.splitlines(keepends=True)
    begins = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
    def place(row, column): return begins[row - 1] + column
    spoken = [(place(node.lineno, _characters(lines, node.lineno, node.col_offset)),
               place(node.end_lineno, _characters(lines, node.end_lineno, node.end_col_offset)))
              for one in ast.walk(tree) for node in _spoken(one)]
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, end = place(*token.start), place(*token.end)
        if token.type == tokenize.COMMENT: found.append((end - len(token.string.lstrip("# ")), end))
        elif token.type == tokenize.STRING and any(low <= start and end <= high for low, high in spoken):
            text = LITERAL.fullmatch(token.string)
            found.append((start + text.start(3), start + text.end(3)))
    return [(start, end) for start, end in found if WORD.search(re.sub(r"{.*?}", "", source[start:end]))]


def _spoken(node):
    "The texts of a statement that somebody reads: a docstring, what is printed, what an assert says."
    if isinstance(node, ast.Assert) and node.msg: return [node.msg]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
        return [text for one in node.args for text in _texts(one)]
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node): return [node.body[0].value]
    return []


def _texts(node):
    "The texts in an expression, but for those by which something is looked up."
    if isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str): return [node]
    below = [node.value] if isinstance(node, ast.Subscript) else ast.iter_child_nodes(node)
    return [text for one in below for text in _texts(one)]


def _characters(lines, row, offset):
    "The column of a line in characters; ast counts bytes."
    return len(lines[row - 1].encode()[:offset].decode())


def words_of(nb):
    "All blocks of a notebook's prose and of its code, in order."
    return [block for cell in nb.cells for block in words_in(cell)]


def words_in(cell):
    "The blocks of a cell."
    if cell.cell_type == "markdown": return blocks(cell.source)
    return [cell.source[start:end] for start, end in said_in(cell.source)] if cell.cell_type == "code" else []


def table(path):
    "English block -> Chinese block, as the .po file of a notebook has them."
    if not po_of(path).exists(): return {}
    with open(po_of(path), "rb") as file:
        return {message.id: message.string for message in read_po(file, locale="zh") if message.id and message.string}


def translated(nb, known):
    "A copy in Chinese, as far as the table goes."
    copy = nbformat.from_dict(nb)
    for cell in copy.cells:
        if cell.cell_type == "markdown": cell.source = in_words(cell.source, known)
        if cell.cell_type == "code": cell.source = in_code(cell.source, known)
        tables_in_words(cell)
    return copy


def tables_in_words(cell):
    "Put the headers of tables that a cell has put out into Chinese, in place; what stands below them stays."
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "text/html" in data: data["text/html"] = headers_shown("".join(data["text/html"]), "zh")


def in_code(source, known):
    "Code whose comments and the like are in Chinese, as far as the table goes."
    for start, end in reversed(said_in(source)):
        source = source[:start] + known.get(source[start:end], source[start:end]) + source[end:]
    return source


def begun_in_chinese(nb):
    "A copy that says before all else that this session is Chinese."
    copy = nbformat.from_dict(nb)
    copy.cells.insert(1, nbformat.v4.new_code_cell(CHINESE, id="in-chinese"))
    return copy


def in_words(text, known):
    "A text in Chinese, as far as the table goes."
    words = Words(known)
    return "".join(_put(part, words) for part in parts(text))


def _put(part, words):
    "A block in Chinese, with the blanks around it as they were."
    block = part.strip()
    return part.replace(block, words.find(block)) if block else part


class Words:
    "A table that knows a block again in which only numbers have changed, and of a longer one the lines that stayed."
    def __init__(self, known):
        self.known = known
        self.alike = {_bare(english): (english, chinese) for english, chinese in known.items()}
        for english, chinese in known.items():
            lines = english.split("\n"), chinese.split("\n")
            if len(lines[0]) != len(lines[1]): continue
            for pair in zip(*lines): self.alike.setdefault(_bare(pair[0]), pair)

    def find(self, block):
        "A block in Chinese; in English where the table does not have it."
        if block in self.known: return self.known[block]
        if _bare(block) in self.alike: return _with_numbers(*self.alike[_bare(block)], block)
        return "\n".join(map(self.find, block.split("\n"))) if "\n" in block else block


def _bare(text):
    "A text without its numbers."
    return NUMBERS.sub("0", text)


def _with_numbers(english, chinese, block):
    "The Chinese of an English text, with the numbers of another one that differs in nothing else."
    now = {}
    for old, new in zip(NUMBERS.findall(english), NUMBERS.findall(block)): now.setdefault(old, []).append(new)
    def number(found): return now[found[0]].pop(0) if now.get(found[0]) else found[0]
    return NUMBERS.sub(number, chinese)


def changed(path):
    "Translated blocks that the notebook has no more."
    return sorted(set(table(path)) - set(words_of(nbformat.read(path, as_version=4))))


def write(path, known):
    "Write the .po file of a notebook."
    catalogue = Catalog(locale="zh", project="selfloop_nb", fuzzy=False, header_comment="", charset="utf-8")
    for block in dict.fromkeys(words_of(nbformat.read(path, as_version=4))):
        catalogue.add(block, known.get(block, ""))
    po_of(path).parent.mkdir(parents=True, exist_ok=True)
    with open(po_of(path), "wb") as file: write_po(file, catalogue, width=120, omit_header=True)


def main():
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        write(path, table(path))
        lacking = len(set(words_of(nbformat.read(path, as_version=4))) - set(table(path)))
        print(f"{po_of(path).relative_to(PROJECT)}: {lacking} blocks are not translated")


if __name__ == "__main__":
    main()
