"""Strip the notebooks of what only makes diffs noisy: nbdev_clean, and the widget state that it keeps.

A live view is made anew by whoever runs the notebook; without its state it would show as an error.
"""
import json, os
from pathlib import Path

from nbdev.clean import nbdev_clean

PROJECT = Path(__file__).resolve().parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"


def without_view(output):
    "An output without its live view, or None where only the text that stands for the view is left."
    data = output.get("data", {})
    had_view = data.pop(VIEW, None) is not None
    return None if had_view and set(data) <= {"text/plain"} else output


def drop_widgets(path):
    "Remove the saved state and the live views of widgets from a notebook."
    nb = json.loads(path.read_text(encoding="utf-8"))
    nb["metadata"].pop("widgets", None)
    for cell in (cell for cell in nb["cells"] if "outputs" in cell):
        cell["outputs"] = [output for output in map(without_view, cell["outputs"]) if output]
    path.write_text(json.dumps(nb), encoding="utf-8")


def main():
    os.chdir(PROJECT)
    for path in Path("nbs").rglob("*.ipynb"):
        if not any(part.startswith(".") for part in path.parts):
            drop_widgets(path)
    nbdev_clean.__wrapped__()


if __name__ == "__main__":
    main()
