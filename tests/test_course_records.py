"""What lies recorded beside the labs is what they show: an archive imports, is whole and small, and a lab that takes
its numbers from there makes the very tables that it was saved with.
"""
import ast, gc, io, json, re, shutil, zipfile
from contextlib import redirect_stdout

import pandas, pytest

from editions import labs, records
from selfloop_nb.course.exaggeration import share_of_m
from selfloop_nb.course.exercises import Exercise, Mark
from selfloop_nb.course.recorded import recorded_results, recorded_run
from selfloop_nb.storage.archive import import_run
from selfloop_nb.storage.store import Run
from selfloop_nb.storage.verify import verify

ARCHIVES = sorted(records.RECORDED.glob("*.zip"))
LABS = [path for path in labs.paths() if records.sizes(labs.read(path)) is not None]
every_archive = pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
every_lab = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    "A folder as that of the labs."
    shutil.copytree(records.RECORDED, tmp_path / "recorded")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(cell):
    "What a cell has printed and shown, as it was saved."
    return without_blanks(one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell.outputs)


def without_blanks(texts):
    "The lines of some texts, without the blanks around them; pictures have none."
    lines = [line.strip() for text in texts if not text.startswith("<") for line in text.splitlines()]
    return list(filter(None, lines))


def shows(source, names):
    "What a cell prints and shows."
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    with pandas.option_context("display.max_columns", 20, "display.width", 80): # as in a notebook
        return without_blanks([out.getvalue(), "" if value is None else repr(value)])


@pytest.fixture
def unanswered():
    "The marks of every exercise as they are before anybody answers: other tests have answered some in this process."
    gc.unfreeze() # exercises are there before the first test, see conftest.py
    for thing in gc.get_objects():
        if type(thing) is Exercise: thing.mark, thing.solutions = Mark(), []


@every_lab
def test_a_lab_from_its_record_shows_what_it_was_saved_with(path, beside, unanswered):
    nb, names = labs.read(path), {}
    compared = 0
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        source = re.sub(r"(?m)^recorded = False", "recorded = True", cell.source)
        shown = shows(source, names)
        assert shown == saved(cell), cell.source
        compared += bool(shown)
    assert names["recorded"] and compared >= 5 and "done" not in names, "nothing was run"


def test_each_is_small_and_all_of_them_are():
    sizes = [path.stat().st_size for path in records.RECORDED.iterdir()]
    assert max(sizes) < 320_000 and sum(sizes) < 2_000_000


@every_archive
def test_an_archive_is_whole_and_has_no_weights(archive, beside):
    run = Run(import_run(archive, beside / "run"))
    verify(run)
    assert len(run.heads) >= 2 and not [name for name in zipfile.ZipFile(archive).namelist() if "safetensors" in name]


def test_every_lab_with_runs_has_its_archive():
    assert len(ARCHIVES) == len(records.LINES) == len(LABS) + 1


def accuracies(run):
    return run.history()["heldout_accuracy"].tolist()


def shares_of_m(run):
    return [share_of_m(run.samples(round.number)) for round in run.rounds[1:]]


SAME = { # lab -> a line that is in its archive, a number that was read off it, and how
    "seeds": ("as it is", "accuracy", lambda run: accuracies(run)[-1]), "carry": ("coin", "accuracy", accuracies),
    "jobs": ("cold", "m", shares_of_m), "ladder": ("verifier", "accuracy", accuracies)}


@pytest.mark.parametrize("name", SAME)
def test_the_numbers_are_those_of_the_run(name, beside):
    line, number, read_off = SAME[name]
    path = next(beside.glob(f"recorded/{name}_*.json"))
    folder, sizes = beside / "runs" / path.stem, json.loads(path.read_text())["sizes"]
    assert recorded_results(folder, **sizes)[number][line][0] == read_off(recorded_run(folder, line))
