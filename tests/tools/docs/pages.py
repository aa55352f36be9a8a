"The site's sources: notebooks without what is for machines, the order of README, a page for each module."
import json, re, shutil

import reference
from project import PROJECT, notebooks

NBS = PROJECT / "nbs"
DIRECTIVE = re.compile(r"^#\|.*\n?", re.MULTILINE)
HIDDEN = re.compile(r"^#\|\s*(hide|include:\s*false)\b", re.MULTILINE)
SHELF = re.compile(r"^- \*\*(.+?):\*\* (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+\.ipynb)\)")
CHINESE = '<a href="zh/index.html">中文</a>'


def write(folder):
    "All sources of the site."
    left_out = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "runs", "locale") # that one has pages of its own
    shutil.copytree(NBS, folder, ignore=left_out)
    for path in notebooks():
        copy = folder / path.relative_to(NBS)
        copy.write_text(json.dumps(shown(path)), encoding="utf-8")
    shutil.copy(PROJECT / "CHANGELOG.md", folder / "changelog.md")
    reference.write(folder / "reference")


def shown(path):
    "A notebook as readers see it; the first page says what there is."
    nb = json.loads(path.read_text(encoding="utf-8"))
    nb["cells"] = [cell for cell in map(cleaned, nb["cells"]) if cell]
    if path == NBS / "index.ipynb":
        source = contents("\n".join("".join(cell["source"]) for cell in nb["cells"]))
        nb["cells"].insert(1, dict(cell_type="markdown", id="chinese", metadata={}, source=CHINESE))
        nb["cells"].append(dict(cell_type="markdown", id="contents", metadata={}, source=source))
    return nb


def cleaned(cell):
    "A cell without directives; None where nothing is left, or it is the teacher's. Solutions are folded."
    source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
    if {"teacher", "quiz"} & set(tags):
        return None
    if cell["cell_type"] != "code":
        return cell
    source = "" if HIDDEN.search(source) else DIRECTIVE.sub("", source).strip()
    if not source:
        return None
    if "solution" in tags:
        tags.append("hide-cell")
    return {**cell, "source": source}


def contents(text):
    "The tree of pages, in the order in which README names them."
    shelves = [("To begin", ["quickstart"]), ("The course", found("course/*")), ("Recipes", found("recipes/*"))]
    for title, links in SHELF.findall(text):
        shelves.append((title, [link.removesuffix(".ipynb") for link in LINK.findall(links)]))
    shelves.append(("Reference", ["reference/index", "changelog"]))
    return "\n\n".join(tree(title, names) for title, names in shelves)


def found(pattern):
    return [path.relative_to(NBS).with_suffix("").as_posix() for path in sorted(NBS.glob(f"{pattern}.ipynb"))]


def tree(title, names):
    "A part of the tree, under its title."
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```"])
