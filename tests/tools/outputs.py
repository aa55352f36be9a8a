"""Save in notebooks what their cells put out now.

    python tests/tools/outputs.py [NOTEBOOK ...]     without names, all notebooks of the library

Labs, recipes and the quickstart run at full size, which takes minutes each: they are run where they are named.
"""
import sys, tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from clean_notebooks import main as clean_notebooks
from clean_notebooks import without_view
from project import reading_order
from run_notebook import STARTUP, ThisPython, has_tag
from warm import warm_python

IDLE = "skip-execution" # a tag that nbclient knows
# Pandas that was read outside of IPython, as by the warm Python, writes tables as for a terminal.
AS_IN_NOTEBOOKS = "__import__('pandas').set_option('display.max_columns', 20)"


def executed(path):
    "The cells of a notebook with all that they put out, in a folder of its own; those that nbdev does not run stay."
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if "#| eval: false" in cell.source: cell.metadata["tags"] = [*cell.metadata.get("tags", []), IDLE]
    nb.cells.insert(0, nbformat.v4.new_code_cell(AS_IN_NOTEBOOKS))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(nb, kernel_manager_class=ThisPython, timeout=None, startup_timeout=STARTUP,
                                coalesce_streams=True, skip_cells_with_tag=IDLE,
                                resources={"metadata": {"path": folder}})
        client.execute()
    return nb.cells[1:]


def lasting(outputs):
    "The outputs that a notebook keeps: no progress, no warnings, no live views."
    said = [output for output in outputs if output.get("name") != "stderr"]
    return [output for output in map(without_view, said) if output]


def save_outputs(path):
    "Run a notebook and save its outputs in it; returns how many cells put out something else than before."
    nb, fresh = nbformat.read(path, as_version=4), executed(path)
    n_changed = 0
    for cell, ran in zip(nb.cells, fresh):
        if cell.cell_type != "code" or has_tag(ran, IDLE): continue
        outputs = lasting(ran.outputs)
        n_changed += _plain(outputs) != _plain(cell.outputs)
        cell.outputs = outputs
    nbformat.write(nb, path)
    return n_changed


def _plain(outputs):
    "Outputs without what nbdev_clean takes out."
    return [{name: value for name, value in output.items() if name not in ("execution_count", "metadata")}
            for output in outputs]


def saved(path):
    "Were a notebook's outputs saved? Not where a cell has failed."
    try: print(f"{path}: {save_outputs(path)} cells changed", flush=True)
    except CellExecutionError as error: print(f"{path}: {error}", flush=True)
    else: return True
    return False


def main():
    with tempfile.TemporaryDirectory() as folder:
        python, _ = warm_python(Path(folder))
        sys.executable = str(python)
        failed = [path for path in map(Path, sys.argv[1:] or reading_order()) if not saved(path)]
    clean_notebooks()
    sys.exit(f"failed: {', '.join(map(str, failed))}" if failed else 0)


if __name__ == "__main__":
    main()
