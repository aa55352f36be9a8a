"""Notebooks in Chinese: the prose of each, block by block, out of a .po file in nbs/locale/zh; code stays as it is.

    python tests/tools/translated.py NOTEBOOK   # write its .po anew: new blocks are added, without a translation

A block is what stands between two blank lines. One that has no translation is shown in English; one whose English has
changed since is told by a test. Any editor of .po files, such as Poedit, works on them.
"""
import re, sys
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

PROJECT = Path(__file__).resolve().parents[2]
NBS = PROJECT / "nbs"
LOCALE = NBS / "locale" / "zh"
FENCE = re.compile(r"(^ *```.*?^ *```$|^\$\$.*?\$\$$)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"^\d+_")
NOT_WORDS = re.compile(r"(```|\$\$|!\[)")


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


def words_of(nb):
    "All blocks of a notebook's prose, in order."
    return [block for cell in nb.cells if cell.cell_type == "markdown" for block in blocks(cell.source)]


def table(path):
    "English block -> Chinese block, as the .po file of a notebook has them."
    if not po_of(path).exists(): return {}
    with open(po_of(path), "rb") as file:
        return {message.id: message.string for message in read_po(file, locale="zh") if message.id and message.string}


def translated(nb, known):
    "A copy whose prose is in Chinese, as far as the table goes."
    copy = nbformat.from_dict(nb)
    for cell in copy.cells:
        if cell.cell_type == "markdown": cell.source = in_words(cell.source, known)
    return copy


def in_words(text, known):
    "A text in Chinese, as far as the table goes."
    return "".join(_put(part, known) for part in parts(text))


def _put(part, known):
    "A block in Chinese, with the blanks around it as they were."
    block = part.strip()
    return part.replace(block, known[block]) if block in known else part


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
