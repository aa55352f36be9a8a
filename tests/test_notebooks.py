"""Every notebook runs: library notebooks in nbdev's own shell, those with parameters at a small size in a kernel of
their own; the recipes of tests/bench/applications.py at full size too, with seed 0.

What the small size is stands in the notebook's metadata, under `selfloop_test`: {"rounds": 2}.
"""
import shutil, sys
from pathlib import Path

import nbdev.test, nbformat, pytest
from execnb.shell import CaptureShell
from nbdev.config import get_config

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import run_notebook
from applications import APPLICATIONS, RECIPES
from project import PROJECT, notebooks

pytestmark = pytest.mark.usefixtures("warm_python")

NOTEBOOKS = notebooks(PROJECT)
OF_APPLICATIONS = sorted({RECIPES / f"{application.notebook}.ipynb" for application in APPLICATIONS})
assert NOTEBOOKS, "no notebook found in nbs/"


class CountingShell(CaptureShell):
    "nbdev's shell, which counts the cells it ran."
    ran = 0

    def run(self, code, **kwargs):
        CountingShell.ran += bool(code.strip())
        return super().run(code, **kwargs)


def run_in_shell(path, folder, monkeypatch):
    "How many cells of a library notebook ran; it works on a copy, in `folder`."
    monkeypatch.setattr(nbdev.test, "CaptureShell", CountingShell)
    monkeypatch.setattr(CountingShell, "ran", 0)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("IN_TEST", "1") # test_nb sets it for good
    copy = folder / path.name
    shutil.copy(path, copy)
    success, _ = nbdev.test.test_nb(copy, skip_flags=get_config(path=PROJECT).tst_flags.split(), basepath=PROJECT)
    assert success, f"a cell of {path.name} failed: its traceback is in the captured stderr"
    return CountingShell.ran


def run_in_kernel(path, folder, values):
    "How many cells ran of a notebook that has parameters, these aside."
    nb = run_notebook.run(path, folder, values)
    return sum(bool(cell.get("execution_count")) for cell in nb.cells if not sets_parameters(cell))


def sets_parameters(cell):
    return any(run_notebook.has_tag(cell, tag) for tag in ("parameters", "injected-parameters"))


# Labs that take some while at their small size, too: `make test-long` runs them in full.
LONG = {"02_the_control_room", "03_how_many_seeds_how_many_ratings", "05_the_crowd_as_judge", "07_one_try_or_many",
        "08_easy_to_hard"}


def case(path):
    "A notebook as a test; the older recipes and some labs take long at their small size, too."
    takes_long = path.parent == RECIPES and path not in OF_APPLICATIONS or path.stem in LONG
    marks = [pytest.mark.long] if takes_long else []
    return pytest.param(path, marks=marks, id=path.relative_to(PROJECT / "nbs").as_posix())


@pytest.mark.parametrize("path", list(map(case, NOTEBOOKS)))
def test_notebook(path, tmp_path, monkeypatch):
    nb = nbformat.read(path, as_version=4)
    tunable = any(run_notebook.has_tag(cell, "parameters") for cell in nb.cells)
    small = nb.metadata.get("selfloop_test", {})
    ran = run_in_kernel(path, tmp_path, small) if tunable else run_in_shell(path, tmp_path, monkeypatch)
    assert ran, f"{path.name} executed nothing"


@pytest.mark.long
@pytest.mark.parametrize("path", OF_APPLICATIONS, ids=lambda path: path.stem)
def test_application_at_full_size(path, tmp_path):
    "What a recipe claims is asserted in it, at full size, for seed 0."
    assert run_in_kernel(path, tmp_path, {})
