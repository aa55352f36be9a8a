"The quiz of a lab: a sheet for the class, a sheet with the answers, and the same for a learning platform (GIFT)."
import re
from dataclasses import dataclass

from editions import labs, pages

ASKED = re.compile(r"^\d+\. +(.+)$")
OPTION = re.compile(r"^ +- \[( |x)\] +(.+?)(?: +\*([^*]+)\*)?$")


@dataclass
class Item:
    "A question, its answers, whether each is right, and why."
    text: str
    answers: list # (right, words, why)


def items(nb):
    "The questions of a lab's quiz."
    found = []
    for line in "\n".join(cell.source for cell in nb.cells if labs.tagged(cell, "quiz")).splitlines():
        asked, option = ASKED.match(line), OPTION.match(line)
        if asked: found.append(Item(asked[1], []))
        elif option: found[-1].answers.append((option[1] == "x", option[2], option[3] or ""))
    faults = [item.text for item in found if not sound(item)]
    if faults:
        raise labs.LabError(f"{labs.title(nb)}: one right answer, two wrong ones or more, a reason for each: {faults}")
    return found


def sound(item):
    "One right answer, at least two wrong ones, and a reason for each."
    right = [right for right, _, _ in item.answers]
    return sum(right) == 1 and len(right) >= 3 and all(why for _, _, why in item.answers)


def sheet(nb, key=False, lang="en"):
    "The quiz as a page; with `key`, which answers are right, and why."
    listed = []
    for item in items(nb):
        rows = [answer(*one, key) for one in item.answers]
        listed.append(f"1. {item.text}\n\n" + "\n".join(rows))
    return pages.page(labs.title(nb), pages.markdown(f"# {labs.title(nb)}\n\n" + "\n\n".join(listed)), lang=lang)


def answer(right, words, why, key):
    "A line of the sheet."
    if not key: return f"    - ☐ {words}"
    return f"    - {'☑' if right else '☐'} {words} *{why}*"


def gift(nb):
    "The quiz in GIFT, which Moodle and others read."
    return "\n\n".join(f"{escaped(item.text)} {{\n{options(item)}\n}}" for item in items(nb)) + "\n"


def options(item):
    "The answers of a question, in GIFT."
    return "\n".join(f"{'=' if right else '~'}{escaped(words)} #{escaped(why)}" for right, words, why in item.answers)


def escaped(text):
    "GIFT's own signs are no text."
    return re.sub(r"([~=#{}:\\])", r"\\\1", text)
