"""Make README.md from nbs/index.ipynb as it is saved, and nbs/locale/zh/README.md from its translation: nothing is
executed.

Left out: hidden and exported cells, directive lines, pictures among the outputs. Links are made to start where the
page lies.
"""
import argparse, posixpath, re, sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

import translated

PROJECT = Path(__file__).resolve().parents[2]
INDEX = PROJECT / "nbs" / "index.ipynb"
HEADER = "<!-- Made from nbs/index.ipynb by `make readme`: edit the notebook, not this file. -->\n\n"
FOLDERS = dict(en=".", zh="nbs/locale/zh") # of the page in a language
OTHERS = dict(en="[中文](nbs/locale/zh/README.md)", zh="[English](../../../README.md)") # the same in another language
HIDDEN = re.compile(r"^#\|\s*(hide|exporti?|exports|default_exp|include:\s*false)\b", re.MULTILINE)
DIRECTIVE = re.compile(r"^#\|.*\n?", re.MULTILINE)
FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""(\]\(|\b(?:src|href)=["'])(?![a-z]+:|[#/])([^)"'\s]+)""")


def relink(text, folder):
    "Links that start in nbs/ start in the page's folder instead; code is left alone."
    def moved(link): return link[1] + posixpath.relpath(f"nbs/{link[2]}", folder)
    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def plain(output):
    "An output with its text only, or None where nothing is left."
    if "data" not in output:
        return output
    output.data = {kind: data for kind, data in output.data.items() if kind in ("text/plain", "text/markdown")}
    drawn = output.data.get("text/plain", "").startswith("<Figure")
    return output if output.data and not drawn else None


def shown(cell, folder):
    "A cell as the README shows it."
    cell.pop("attachments", None)
    if cell.cell_type == "code":
        cell.source = DIRECTIVE.sub("", cell.source).strip()
        cell.outputs = [output for output in map(plain, cell.outputs) if output]
    else:
        cell.source = relink(cell.source, folder)
    return cell


def readme(lang="en"):
    "The text of the page in a language."
    nb = nbformat.read(INDEX, as_version=4)
    if lang == "zh":
        nb = translated.translated(nb, translated.table(INDEX))
    cells = [cell for cell in nb.cells if cell.cell_type != "raw" and not HIDDEN.search(cell.source)]
    nb.cells = [shown(cell, FOLDERS[lang]) for cell in cells]
    nb.metadata.language_info = {"name": "python"}
    body, _ = MarkdownExporter().from_notebook_node(nb)
    body = re.sub(r"[ \t]+$", "", body, flags=re.MULTILINE)
    return f"{HEADER}{OTHERS[lang]}\n\n" + re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where README.md is not in step")
    check = parser.parse_args().check
    for lang, folder in FOLDERS.items():
        text, target = readme(lang), PROJECT / folder / "README.md"
        if not check:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            sys.exit(f"{target} is not in step with nbs/index.ipynb: run `make readme` and commit it")


if __name__ == "__main__":
    main()
