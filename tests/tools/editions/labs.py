"""A lab as it lies in nbs/course, taken apart: its questions, its notes for the teacher, its quiz.

What a lab says of itself, by tags of its cells:

- `parameters`: the sizes, which a test or a hurried reader sets smaller;
- `solution`: `if NAME.unanswered(...)`, and in it the solution. The cell above it that holds the placeholders is the
  answer's, the cell below it with `NAME.check(...)` checks. In prose: what students need not read;
- `teacher`: a note that only the teacher's edition has;
- `quiz`: a numbered list of questions, under each `- [ ]` or `- [x]` an answer and, in italics, why.
"""
import ast, html, re, shutil, textwrap
from dataclasses import dataclass
from pathlib import Path

import nbformat

from project import PROJECT

HERE = Path(__file__).resolve().parent
FOLDER = PROJECT / "nbs" / "course"
PICTURES = PROJECT / "nbs" / "images"
RECORDED = FOLDER / "recorded"
OPENS = re.compile(r'\b(?:begin\(|recorded_run\(folder / )"(\w+)"') # the name of what a lab has recorded
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


class LabError(ValueError):
    "A lab that is not written as labs are, and what its author has to mend."


@dataclass
class Question:
    "An exercise of a lab: which cells it has, and what stands in them."
    name: str      # of the exercise, as the lab imports it
    answers: list  # the names of the answers, as the check takes them
    at: dict       # "answer", "solution" and "check" -> the number of the cell
    solution: str  # as a student would have written it


def paths():
    "The labs, in the order of the course."
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def read(path):
    "A lab's notebook."
    return nbformat.read(path, as_version=4)


def recorded(nb):
    "The files in `recorded`, beside the labs, that a lab opens in place of a run of its own."
    names = OPENS.findall("\n".join(cell.source for cell in nb.cells if cell.cell_type == "code"))
    return sorted(path for path in RECORDED.iterdir() for name in names if f"{path.stem}_".startswith(f"{name}_"))


def lay_beside(nb, folder):
    "Copy what a lab opens to where it lies."
    for path in recorded(nb):
        (folder / RECORDED.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / RECORDED.name)


def tagged(cell, tag):
    "Does a cell carry a tag?"
    return tag in cell.metadata.get("tags", [])


def title(nb):
    "The first heading."
    return re.search(r"^# (.+)$", nb.cells[0].source, re.MULTILINE)[1]


def prose(nb):
    "The cells that are read."
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def without(nb, *tags):
    "A copy in which cells with any of the tags are left out."
    kept = [cell for cell in nb.cells if not any(tagged(cell, tag) for tag in tags)]
    return nbformat.from_dict({**nb, "cells": kept})


def bare(nb):
    "A copy without outputs."
    copy = nbformat.from_dict(nb)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


def questions(nb):
    "The exercises of a lab, in order."
    found = [at for at, cell in enumerate(nb.cells) if tagged(cell, "solution") and cell.cell_type == "code"]
    return [question(nb, at) for at in found]


def question(nb, at):
    "The exercise whose solution stands in a cell."
    source = nb.cells[at].source
    asked = next((node for node in ast.parse(source).body if isinstance(node, ast.If)), None)
    if asked is None or not _calls(asked.test, "unanswered"):
        raise LabError(f"{title(nb)}: a cell tagged `solution` begins with `if NAME.unanswered(...)`:\n{source}")
    name, answers = asked.test.func.value.id, [ast.unparse(one) for one in asked.test.args]
    before = [i for i in range(at) if nb.cells[i].cell_type == "code" and set(answers) <= assigned(nb.cells[i].source)]
    after = [i for i in range(at, len(nb.cells)) if f"{name}.check(" in nb.cells[i].source]
    if not before or not after:
        missing = "no cell above has a placeholder for each answer" if after else "no cell below checks it"
        raise LabError(f"{title(nb)}: {name}: {missing}")
    return Question(name, answers, dict(answer=before[-1], solution=at, check=after[0]), solved(source, name))


def _calls(node, method):
    "Is it the call of a method of a name?"
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method


def assigned(source):
    "The names that a cell assigns or defines."
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def solved(source, name):
    "What a `solution` cell fills in, as a student would have written it."
    asked = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    lines = source.splitlines()
    if asked.body[0].lineno == asked.lineno: # all of it on one line
        lines[asked.lineno - 1] = lines[asked.lineno - 1][asked.body[0].col_offset:]
    first = min([asked.body[0].lineno, *(one.lineno for one in getattr(asked.body[0], "decorator_list", []))])
    body = textwrap.dedent("\n".join(lines[first - 1:asked.end_lineno]))
    body = re.sub(rf"^@{name}\.solution\n", "", body, flags=re.MULTILINE)
    for call in reversed([node for node in ast.walk(ast.parse(body)) if _calls(node, "solution")]):
        body = _replaced(body, call, ", ".join(_written(body, one) for one in call.args))
    return body


def _replaced(text, node, words):
    "A source in which a node is written otherwise."
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[:node.lineno - 1])) + _column(lines[node.lineno - 1], node.col_offset)
    end = sum(map(len, lines[:node.end_lineno - 1])) + _column(lines[node.end_lineno - 1], node.end_col_offset)
    return text[:start] + words + text[end:]


def _column(line, offset):
    "The column of a line in characters; ast counts bytes."
    return len(line.encode()[:offset].decode())


def _written(text, node):
    "A node as it stands in its source; a starred one becomes a tuple of its values."
    if isinstance(node, ast.Starred):
        return _written(text, node.value)
    found = ast.get_source_segment(text, node)
    return f"({found})" if "\n" in found else found


def claims(nb):
    "The lines of a lab's table of claims, as it was saved: claim, published, here, from, to; none where it has none."
    found = [cell for cell in nb.cells if cell.source.rstrip().endswith("\nclaims") and cell.get("outputs")]
    pages = [cell.outputs[-1].get("data", {}).get("text/html", "") for cell in found]
    lines = [line for page in pages for line in re.findall(r"<tr>\s*<th>(.+?)</th>((?:\s*<td>.*?</td>)+)", page)]
    return [[html.unescape(claim), *map(html.unescape, re.findall(r"<td>(.*?)</td>", row))] for claim, row in lines]


def relinked(nb, at_hand):
    "A copy whose links lead to files at hand only: of others the words stay; pictures come from images/."
    copy = nbformat.from_dict(nb)
    for cell in prose(copy):
        cell.source = relinked_text(cell.source, at_hand)
    return copy


def relinked_text(text, at_hand):
    "The same for a text."
    def link(match):
        picture, words, place = match.groups()
        if picture:
            return f"![{words}](images/{Path(place).name})"
        return match[0] if place.split("#")[0] in at_hand else words
    return LINK.sub(link, text)


def pictures(nb):
    "The files that the prose shows."
    links = [link for cell in prose(nb) for link in LINK.findall(cell.source)]
    return [(FOLDER / place).resolve() for sign, _, place in links if sign]
