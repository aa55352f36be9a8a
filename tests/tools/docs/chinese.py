"The site's pages in Chinese: of every notebook that has a translation; what has none is linked in English."
import json, posixpath, re, shutil
from pathlib import Path

import pages, translated
from project import notebooks

LOCALES = Path(__file__).resolve().parent / "locales" # what the theme says, in the folder in which Sphinx looks for it
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s#]+)\.ipynb\)")
CONTENTS = """```{{toctree}}
:hidden:
:caption: 课程

{names}
```"""


def write(folder):
    "All sources of the Chinese pages."
    paths = {path.relative_to(pages.NBS).with_suffix("").as_posix(): path for path in notebooks()}
    names = [name for name, path in paths.items() if translated.po_of(path).exists()]
    shutil.copytree(pages.NBS / "images", folder / "images")
    shutil.copytree(LOCALES, folder / "locales")
    for name in names:
        copy = (folder / name).with_suffix(".ipynb")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(shown(paths[name], name, names)), encoding="utf-8")


def shown(path, name, names):
    "A notebook in Chinese."
    nb, known = pages.shown(path), translated.table(path)
    for cell in nb["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown": cell["source"] = linked(translated.in_words(source, known), name, names)
        if cell["cell_type"] == "code" and known: cell["source"] = translated.in_code(source, known)
        translated.tables_in_words(cell)
    if name == "index":
        listed = sorted(set(names) - {"index"}, key=lambda name: (name != "quickstart", name))
        nb["cells"][-1]["source"] = CONTENTS.format(names="\n".join(listed))
        nb["cells"][1]["source"] = '<a href="../index.html">English</a>'
    return nb


def linked(text, name, names):
    "Links to what is not in Chinese lead to the English site, in the folder above."
    def link(match):
        words, place = match.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), place))
        if target in names: return match[0]
        up = "../" * (name.count("/") + 1)
        return f'<a href="{up}{target}.html">{words}</a>'
    return LINK.sub(link, text)
