"""The views' JavaScript and CSS out of the notebooks that explain them: python tests/tools/script.py"""
import json, re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CHARTS = PROJECT / "selfloop_nb" / "charts"
NOTEBOOKS = {"script.js": "charts/15_script", "script.css": "charts/15_script", "linked.js": "charts/17_linked",
             "twin.js": "charts/19_twin", "keys.js": "views/08_rate"}


def blocks(name):
    "What the notebook of a file holds in fences of its language, as one text."
    notebook = PROJECT / "nbs" / f"{NOTEBOOKS[name]}.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    language = name.rpartition(".")[2]
    found = [block for text in prose for block in re.findall(rf"(?ms)^```{language}\n(.*?)\n```$", text)]
    return "\n\n".join(found) + "\n"


if __name__ == "__main__":
    for name in NOTEBOOKS: (CHARTS / name).write_text(blocks(name), encoding="utf-8")
