"A lab that is opened elsewhere, run out of order, stopped, or goes on from runs of an older version says what to do."
import re, shutil
from pathlib import Path
from threading import Thread
from unittest.mock import ANY

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import KernelManager

import run_notebook
from editions import labs
from project import PROJECT
from selfloop_nb import import_run, session
from selfloop_nb.backend.core import SelfloopError
from selfloop_nb.course.begin import begin, next_step
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("warm_python")

SWEPT = [path for path in labs.paths() if "done = sweep(" in path.read_text(encoding="utf-8")]
every_lab = pytest.mark.parametrize("path", labs.paths(), ids=lambda path: path.stem)
every_sweep = pytest.mark.parametrize("path", SWEPT, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Another folder, as everywhere in this file."
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    session(lang="en")


@pytest.fixture
def shell():
    "A shell of its own, which is the one that a notebook has."
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def code(path):
    "The code cells of a lab, at the size of its test."
    nb = labs.read(path)
    run_notebook.override(nb, nb.metadata["selfloop_test"])
    return [cell.source for cell in nb.cells if cell.cell_type == "code"]


def first_cells(path):
    "The cells up to the one that begins the lab."
    cells = code(path)
    at = next(i for i, source in enumerate(cells) if "begin(" in source)
    return cells[:at + 1], cells[at + 1:]


def said(capsys, shell, source):
    "What is shown below a cell."
    capsys.readouterr()
    shell.run_cell(source)
    return "".join(capsys.readouterr())


@every_sweep
def test_a_cell_that_is_run_too_early_names_what_is_missing(path, capsys, shell):
    cells, later = first_cells(path)
    for source in cells: shell.run_cell(source)
    begun = next(i for i, source in enumerate(later) if "done = sweep(" in source)
    early = next(source for source in later[begun + 1:] if "read_off(done)" in source and "def read_off" not in source)
    assert re.search(r"`\w+` is not there: a cell above .* Run the cells above", said(capsys, shell, early))


@every_lab
def test_a_lab_begins_twice_in_any_folder_and_says_things_once(path, capsys, shell, elsewhere):
    cells, _ = first_cells(path)
    for source in [*cells, *cells]: assert shell.run_cell(source).success
    assert said(capsys, shell, "nowhere").count("is not there") == 1
    assert (elsewhere / "runs").is_dir() and not list((elsewhere / "runs").iterdir())


NEXT = {
    "a package that is not there": ("import nowhere_at_all", "`nowhere_at_all` is not installed in the Python of this"),
    "a lab of another version": ("from selfloop_nb.course.ladder import nowhere", "are not of one version"),
    "a claim that does not show": ("assert 1 > 2", "does not show with the sizes of the first cell"),
}


@pytest.mark.parametrize("name", NEXT)
def test_an_error_that_says_nothing_of_what_to_do(name, capsys, shell):
    source, words = NEXT[name]
    begin()
    assert words in said(capsys, shell, source)
    session(lang="zh")
    assert re.search(r"[\u4e00-\u9fff]", said(capsys, shell, source)), "and in Chinese"


def test_in_chinese(capsys):
    session(lang="zh")
    with pytest.raises(NameError) as error: nowhere  # noqa: F821
    assert next_step(error.value).startswith("`nowhere` 不存在")


def test_a_folder_that_takes_nothing(elsewhere):
    Path("runs").write_text("a file")
    with pytest.raises(Exception, match="copy the lab into a folder of your own"):
        begin("carry", 1)


def test_a_lab_without_its_record_or_with_other_sizes_says_what_to_do(elsewhere):
    path = next(path for path in SWEPT if path.stem[:2] == "06")
    with pytest.raises(SelfloopError, match="copy the folder nbs/course/recorded beside the lab"):
        recorded_cells(path, {})
    shutil.copytree(labs.FOLDER / "recorded", elsewhere / "recorded")
    with pytest.raises(SelfloopError, match="put the first cell back as it was, with quick = False"):
        recorded_cells(path, dict(quick=True))
    for _ in range(2): recorded_cells(path, {}) # the second time the run is there already


def recorded_cells(path, sizes):
    "The cells of a lab that takes its numbers from its record."
    nb = labs.read(path)
    run_notebook.override(nb, dict(recorded=True, **sizes))
    names = {}
    for cell in nb.cells:
        if cell.cell_type == "code" and ".unanswered(" not in cell.source: exec(cell.source, names)
        if "recorded_run(" in cell.source and "import" not in cell.source: return


def test_other_sizes_are_other_runs():
    assert begin("carry", 300, 4) != begin("carry", 300, 2) and begin("carry", 300, 4) == begin("carry", 300, 4)


# A real kernel, for what is stopped in the middle.
@pytest.fixture
def kernel(elsewhere):
    "A manager and a client of a kernel that stands in the folder."
    spec = run_notebook.ThisPython().kernel_spec
    spec.env = {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    manager = KernelManager()
    manager._kernel_spec = spec
    manager.start_kernel(cwd=str(elsewhere))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def ran(client, source):
    "How a cell ended, and what stands below it."
    shown = []

    def take(message):
        content = message["content"]
        shown.append(content.get("text") or "\n".join(content.get("traceback", [])))

    reply = client.execute_interactive(source, output_hook=take)
    return reply["content"]["status"], "".join(shown)


def rounds_in(folder):
    "The rounds of all runs below a folder."
    return sorted(path.relative_to(folder) for path in folder.rglob("rounds/*"))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", [path for path in SWEPT if path.stem[:2] in ("04", "06")], ids=lambda path: path.stem)
def test_a_lab_that_is_stopped_goes_on_and_is_done_at_once_where_it_was_made(path, kernel, elsewhere):
    manager, client = kernel
    cells = code(path)
    at = next(i for i, source in enumerate(cells) if "done = sweep(" in source)
    for source in cells[:at]: assert ran(client, source)[0] == "ok"
    begun = Thread(target=lambda: (wait_until(lambda: list(elsewhere.rglob("run.json"))), manager.interrupt_kernel()))
    begun.start()
    status, said = ran(client, cells[at])
    begun.join()
    assert status == "error" and "run this cell again" in said
    assert ran(client, cells[at + 1])[0] == "ok"
    status, said = ran(client, cells[at + 2])
    assert status == "error" and "`done` is not there" in said
    for source in cells[at:]: assert ran(client, source) == ("ok", ANY), source
    committed = rounds_in(elsewhere / "runs")
    shutil.copytree(elsewhere / "runs", elsewhere / "handed out" / "runs")
    for place in (".", "handed out"):
        ran(client, f"import os; os.chdir({place!r})")
        for source in cells[:at + 1]: assert ran(client, source)[0] == "ok"
    assert rounds_in(elsewhere / "runs") == rounds_in(elsewhere / "handed out" / "runs") == committed != []


@pytest.mark.parametrize("path", [path for path in SWEPT if path.stem[:2] in ("04", "06", "08")], ids=str)
def test_a_folder_in_which_something_else_lies_is_named(path, elsewhere):
    shell = {}
    for source in code(path):
        if "done = sweep(" in source: break
        exec(source, shell)
    import_run(min((PROJECT / "tests" / "old_runs").glob("*.zip")), shell["folder"] / "0")
    with pytest.raises(SelfloopError) as error: exec(source, shell)
    assert "another store" in str(error.value)
