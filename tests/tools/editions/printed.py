"""A lab on one page of paper: question, claim, equation, arms, room for guesses and an empty figure to draw them into,
the exercises, and what the lab does not show."""
import ast, html, math, re

from editions import labs, pages

SHEET = """
@page { size: A4; margin: 11mm 13mm; }
body { font-size: %.2fpt; line-height: 1.32; max-width: none; margin: 0; }
main { columns: 2; column-gap: 8mm; }
"""
GUESS = re.compile(r"guess|猜", re.IGNORECASE)
LATER = re.compile(r"exercise|does not show|练习|没有说明", re.IGNORECASE)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LETTERS = 5300 # of a full page at 9 points


def sections(nb):
    "Heading -> the prose under it; what stands before the second heading belongs to the first."
    found = {}
    for cell in labs.prose(labs.without(nb, "solution", "teacher", "quiz")):
        for part in re.split(r"(?m)^(?=#{1,3} )", cell.source):
            heading = re.match(r"#{1,3} (.+)", part)
            if heading: found[heading[1]] = part
            elif found: found[list(found)[-1]] += "\n\n" + part
    return found


def guesses(nb):
    "What the lab asks to be guessed: the keys of `guess`, or '' for one number; nothing where it asks none."
    for node in (node for cell in nb.cells if cell.cell_type == "code" for node in ast.parse(cell.source).body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("guess"):
            return [ast.literal_eval(key) for key in getattr(node.value, "keys", [])] or [""]
    return []


def axes(nb):
    "The words at the axes of the lab's figure."
    source = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
    return [next(iter(re.findall(rf'{name}="([^"]*)"', source)), "") for name in ("xlabel", "ylabel")]


def figure(nb):
    "Empty axes."
    x, y = map(html.escape, axes(nb))
    lines = "".join(f'<path d="M30 {at} H330" class="faint"/>' for at in range(10, 171, 40))
    return (f'<svg viewBox="0 0 340 200" class="empty">{lines}<path d="M30 10 V170 H330"/>'
            f'<text x="180" y="190" text-anchor="middle">{x}</text>'
            f'<text transform="translate(14 90) rotate(-90)" text-anchor="middle">{y}</text></svg>')


def on_paper(parts):
    "The headings of what belongs on paper: all before the guess is made, exercises, what the lab does not show."
    names = list(parts)
    guess = next((at for at, name in enumerate(names) if GUESS.search(name)), 0)
    return names[1:guess + 1] + [name for name in names[guess + 1:] if LATER.search(name)]


def formulas(parts, names):
    "The displayed formulas of the other parts."
    return "\n\n".join(found for name in names for found in re.findall(r"(?s)\$\$.+?\$\$", parts[name]))


def page(nb, lang="en"):
    "The printed page of a lab."
    parts = sections(nb)
    first, *others = parts
    body = pages.markdown(parts[first])
    blanks = "".join(f"<li>{html.escape(str(one))} <span></span></li>" for one in guesses(nb))
    asked = f'<ul class="blanks">{blanks}</ul>' if blanks else ""
    names = on_paper(parts)
    laws = formulas(parts, [name for name in others if name not in names])
    shown = [PICTURE.sub("", parts[name]) for name in names]
    letters = sum(map(len, [parts[first], *shown])) + 70 * len(blanks.split("<li>"))
    size = min(10.5, max(6.5, 9 * math.sqrt(LETTERS / (letters + 1600))))
    rest = "".join(map(pages.markdown, shown))
    sheet = f'<main class="sheet">{body}{pages.markdown(laws)}{asked}{figure(nb)}{rest}</main>'
    return pages.page(labs.title(nb), sheet, SHEET % size, lang)
