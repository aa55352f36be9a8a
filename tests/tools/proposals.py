"""Make nbs/recipes/proposals.tsv: titles of Python Enhancement Proposals and what they begin with.

    python proposals.py FOLDER

FOLDER is a clone of https://github.com/python/peps; only proposals in the public domain or under CC0 are taken.
"""
import re, sys
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[2] / "nbs" / "recipes"
FREE = re.compile(r"public\s+domain|CC0", re.IGNORECASE)
TITLE = re.compile(r"^Title:\s*(.+(?:\n\s+.+)*)", re.MULTILINE)
BEGINNING = re.compile(r"^(?:Abstract|Introduction)\n[=~-]+\n+((?:.+\n)+)", re.MULTILINE)
ADDRESS = re.compile(r"pypi\.org") # no file of this project names a package index
MARKS = [(r":pep:`(\d+)[^`]*`", r"PEP \1"), (r"`+([^`<]*?)(\s*<[^`]*>)?`+_*", r"\1"), (r":\w+:", ""),
         (r"\[#?[\w-]+\]_", ""), (r"[*~]+", ""), (r"\s+", " "), (r" ([,.;)])", r"\1")]


def plain(text):
    "A text without the marks of reStructuredText, on one line."
    for pattern, put in MARKS: text = re.sub(pattern, put, text)
    return text.strip()


def sentences(text, most):
    "The first sentences that have room in so many letters."
    found = ""
    for sentence in re.split(r"(?<=[.?!]) (?=[A-Z])", text):
        if len(found) + len(sentence) >= most: break
        found = f"{found} {sentence}".strip()
    return found


def proposal(path):
    "Number, title and beginning of a proposal; None for one that has no such beginning, or another licence."
    text = path.read_text(encoding="utf-8")
    title, beginning = TITLE.search(text), BEGINNING.search(text)
    if not (FREE.search(text) and title and beginning): return None
    title, beginning = plain(title[1]), sentences(plain(beginning[1]), 240)
    fits = 10 <= len(title) <= 60 and len(beginning) >= 60 and not ADDRESS.search(beginning)
    return (str(int(path.stem[4:])), title, beginning) if fits else None


def main(folder):
    "Write the table."
    found = [proposal(path) for path in sorted(folder.rglob("pep-[0-9]???.rst"))]
    lines = ["\t".join(row) for row in [("number", "title", "text"), *filter(None, found)]]
    (RECIPES / "proposals.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} proposals")


if __name__ == "__main__": main(Path(sys.argv[1]))
