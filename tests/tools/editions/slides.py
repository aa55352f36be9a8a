"""Slides of a lab: one idea a slide, in one file that needs no network. Keys: arrows; S for the teacher's notes.

A slide begins at each heading, and where it would hold more than a screen. Of code it shows what is short and puts
out words or a table, and what waits for an answer; a picture stands alone.
"""
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from editions import labs, pages

ROOM = 12.5 # lines that a slide holds
WIDTH = 58  # letters of a line
SHORT = 8   # lines of code that a class reads
FRAME = """
Reveal.initialize({width: 1280, height: 720, margin: 0.04, center: false, hash: true, transition: "none",
                   slideNumber: "c/t", plugins: [RevealNotes]})
"""


@dataclass
class Slide:
    "What stands on a slide."
    heading: str = ""
    blocks: list = field(default_factory=list) # HTML
    notes: list = field(default_factory=list)  # Markdown, for the teacher
    lines: float = 0.0                          # of `ROOM`

    def html(self):
        notes = "".join(map(pages.markdown, self.notes))
        aside = f'<aside class="notes">{notes}</aside>' if notes else ""
        kind = ' class="tight"' if self.lines > ROOM else ""
        return f"<section{kind}>{self.heading}{''.join(self.blocks)}{aside}</section>"


def slides(nb):
    "The slides of a lab, in order."
    asked = labs.questions(nb)
    checks, answers = ({one.at[part] for one in asked} for part in ("check", "answer"))
    found = [Slide()]
    for at, cell in enumerate(nb.cells[:-1]): # the last one says where to go from here
        if labs.tagged(cell, "teacher"): found[-1].notes.append(cell.source)
        elif cell.cell_type == "markdown" and not labs.tagged(cell, "quiz"): add_prose(found, cell.source)
        elif cell.cell_type == "code" and at not in checks: add_code(found, cell, at in answers)
    return [slide for slide in found if slide.blocks or slide.heading]


def blocks(text):
    "Paragraphs, lists, tables, formulas and headings of a text, each as it is written."
    lines = text.splitlines()
    top = [token for token in pages.MARKDOWN.parse(text) if token.level == 0 and token.map]
    return ["\n".join(lines[token.map[0]:token.map[1]]).strip() for token in top]


def add_prose(found, text):
    "A cell of prose, block by block; one that ends in a colon stays with what it announces."
    parts = blocks(text)
    for block, following in zip(parts, [*parts[1:], ""]):
        if block.startswith("#"): found.append(Slide(pages.markdown(block)))
        else: place(found, pages.markdown(block), height(block), height(following) if block.endswith(":") else 0)


def height(block):
    "How many lines a block of prose fills."
    if block.startswith("!["): return 10
    rows = block.splitlines()
    if block.startswith("|"): return 0.95 * len(rows)
    if block.startswith("$$"): return 2.5
    return 0.4 + sum(-(-len(row) // WIDTH) for row in rows)


def add_code(found, cell, waits):
    "A cell of code with what came of it; `waits`: for an answer."
    if any(labs.tagged(cell, tag) for tag in ("solution", "parameters")) or "progress(" in cell.source: return
    outputs = [(pages.output(one), rows(one)) for one in cell.outputs[:2]]
    lines = cell.source.count("\n") + 1.5
    drawn = any("image/png" in one.get("data", {}) for one in cell.outputs)
    if waits or is_guess(cell) or (outputs and not drawn and lines <= SHORT):
        place(found, pages.code(cell.source), lines, sum(room for _, room in outputs))
    for text, room in outputs: place(found, text, room)


def is_guess(cell):
    "Does a cell wait for what the reader guesses?"
    return cell.source.startswith("guess")


def rows(one):
    "How many lines an output fills."
    data = one.get("data", {})
    if "image/png" in data: return ROOM
    if "text/html" in data: return min(ROOM - 1, 1 + data["text/html"].count("<tr"))
    return 1 + (one.get("text") or data.get("text/plain", "")).count("\n")


def place(found, text, room, also=0.0):
    "Put a block on the last slide, or on a new one under the same heading where it and what follows have no room."
    last = found[-1]
    if last.blocks and last.lines + room + also > ROOM:
        heading = re.sub(r"<h\d>(.*?)</h\d>", r'<h2 class="on">\1</h2>', last.heading, flags=re.DOTALL)
        last = Slide(heading)
        found.append(last)
    last.blocks.append(text)
    last.lines += room


def reveal():
    "The folder of reveal.js, which a package of Sphinx's carries; nothing of the package is loaded."
    return Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"


def page(nb, lang="en"):
    "All slides of a lab, as one page with reveal.js inside."
    place = reveal()
    css = (place / "dist/reveal.css").read_text(encoding="utf-8")
    scripts = [(place / name).read_text(encoding="utf-8") for name in ("dist/reveal.js", "plugin/notes/notes.js")]
    body = "\n".join(slide.html() for slide in slides(nb))
    scripts = "".join(f"<script>{script}</script>" for script in (*scripts, FRAME))
    return pages.page(labs.title(nb), f'<div class="reveal"><div class="slides">{body}</div></div>{scripts}', css, lang)
