"Each lab at full size, for seed 0: its asserts hold what it claims."
import nbformat
import pytest

import run_notebook
from project import PROJECT

pytestmark = pytest.mark.usefixtures("warm_python")

LABS = sorted((PROJECT / "nbs" / "course").glob("[0-9]*.ipynb"))
MORE_SEEDS = {"03_how_many_seeds_how_many_ratings": [0, 1]}


def parameters(nb):
    "The names that a lab's first code cell sets."
    cell = next(cell for cell in nb.cells if run_notebook.has_tag(cell, "parameters"))
    return run_notebook.assigned(cell.source)


@pytest.mark.long
@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_at_full_size(path, tmp_path):
    names = parameters(nbformat.read(path, as_version=4))
    values = dict(seeds=MORE_SEEDS.get(path.stem, [0]), workers=1) if "seeds" in names else {}
    nb = run_notebook.run(path, tmp_path, values)
    assert all(cell.get("execution_count") for cell in nb.cells if cell.cell_type == "code" and cell.source.strip())


def test_a_lab_that_tries_something_can_be_had_quickly():
    for path in LABS:
        nb = nbformat.read(path, as_version=4)
        if "seeds" not in parameters(nb):
            continue
        assert "quick" in parameters(nb) and nb.metadata["selfloop_test"] == {"quick": True}, path.name
