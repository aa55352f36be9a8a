"""The charts' JavaScript and CSS out of the notebook that explains them: python tests/tools/script.py"""
import json, re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "nbs" / "charts" / "10_script.ipynb"
FILES = {"js": PROJECT / "selfloop_nb/charts/script.js", "css": PROJECT / "selfloop_nb/charts/script.css"}


def blocks(language):
    "What the notebook's prose holds in fences of a language, as one text."
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    found = [block for text in prose for block in re.findall(rf"(?ms)^```{language}\n(.*?)\n```$", text)]
    return "\n\n".join(found) + "\n"


if __name__ == "__main__":
    for language, path in FILES.items(): path.write_text(blocks(language), encoding="utf-8")
