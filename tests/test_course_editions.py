"""The course's editions come out of the labs: no solution reaches a student, a solved copy is graded full and an empty
one zero, slides and printed pages need nothing from elsewhere.

How the graders' own tools see it, the long tests ask; these have an environment of their own, `.venv-course`.
"""
import ast, json, os, re, subprocess

import nbformat, pytest

import translated
from editions import labs, notebooks, printed, quizzes, slides
from docs.addresses import in_page
from project import PROJECT
from run_notebook import override

PYTHON = PROJECT / ".venv-course" / "bin" / "python"
LABS = [pytest.param(path, id=path.stem) for path in labs.paths()]
HERE = {path.name for path in labs.paths()}
every_lab = pytest.mark.parametrize("path", LABS)


def text(nb):
    "All that stands in a notebook's cells."
    return "\n".join(cell.source for cell in nb.cells)


def small(path):
    "A lab at the size of the tests."
    nb = labs.read(path)
    override(nb, nb.metadata.get("selfloop_test", {}))
    return nb


def lab(*cells):
    "A lab of these cells: (kind, source, tags)."
    kinds = dict(code=nbformat.v4.new_code_cell, markdown=nbformat.v4.new_markdown_cell)
    made = [kinds[kind](source, metadata=dict(tags=tags)) for kind, source, tags in cells]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A lab"), *made])


@every_lab
def test_a_lab_has_exercises_and_their_solutions_are_found(path):
    found = labs.questions(labs.read(path))
    assert len(found) >= 3
    for one in found:
        assert one.at["answer"] < one.at["solution"] < one.at["check"]
        assert set(one.answers) <= labs.assigned(one.solution)
        assert ".solution" not in one.solution and ".unanswered" not in one.solution


SOLUTIONS = {
    "a number": ("if e.unanswered(x):\n    x = e.solution(1 + 1)", "x = 1 + 1"),
    "two": ("if e.unanswered(x, y):\n    x, y = e.solution(1, 'é')", "x, y = 1, 'é'"),
    "a pair": ("if e.unanswered(x, y):\n    pair = 1, 2\n    x, y = e.solution(*pair)", "pair = 1, 2\nx, y = pair"),
    "a function": ("if e.unanswered(f):\n    @e.solution\n    def f(x):\n        return [\n            x]",
                   "def f(x):\n    return [\n        x]"),
    "on one line": ("if e.unanswered(x): x = e.solution(2)", "x = 2"),
    "over lines": ("if e.unanswered(x):\n    x = e.solution(1 +\n        1)", "x = (1 +\n    1)"),
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_solution_is_what_a_student_would_have_written(name):
    source, solution = SOLUTIONS[name]
    found = labs.solved(source, "e")
    assert found == solution
    compile(found, name, "exec")


MISTAKES = {
    "no question": [("code", "x = None", []), ("code", "x = 1", ["solution"]), ("code", "e.check(x)", [])],
    "no placeholder": [("code", "if e.unanswered(x): x = e.solution(1)", ["solution"]), ("code", "e.check(x)", [])],
    "no check": [("code", "x = None", []), ("code", "if e.unanswered(x): x = e.solution(1)", ["solution"])],
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_lab_that_is_written_otherwise_is_refused_with_its_name(name):
    with pytest.raises(labs.LabError, match="A lab: "):
        labs.questions(lab(*MISTAKES[name]))


@every_lab
def test_nothing_of_the_teachers_reaches_students(path):
    nb = labs.read(path)
    nb.cells.insert(1, nbformat.v4.new_markdown_cell("only for teachers", metadata=dict(tags=["teacher"])))
    made = notebooks.student(nb)
    assert "only for teachers" not in text(made) and "only for teachers" in text(notebooks.teacher(nb))
    assert not any(cell.get("outputs") for cell in made.cells)
    for one in labs.questions(nb):
        assert one.solution.splitlines()[-1] not in text(made) and f"{one.name}.check(" in text(made)


@every_lab
def test_links_of_an_edition_lead_to_what_is_beside_it(path):
    made = labs.relinked(labs.read(path), HERE)
    places = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text(made))
    assert all(place in HERE or (labs.PICTURES / place.removeprefix("images/")).exists() for place in places)


@every_lab
def test_the_graders_sources_hold_each_solution_between_their_marks(path):
    nb = labs.read(path)
    for one in labs.questions(nb):
        assert f"### BEGIN SOLUTION\n{one.solution}\n### END SOLUTION" in text(notebooks.nbgrader(nb))
        assert f"# BEGIN SOLUTION NO PROMPT\n{one.solution}\n# END SOLUTION" in text(notebooks.otter(nb))
    graded = [cell.metadata["nbgrader"] for cell in notebooks.nbgrader(nb).cells if "nbgrader" in cell.metadata]
    assert sum(one.get("points", 0) for one in graded) == notebooks.POINTS * len(labs.questions(nb))
    assert len({one["grade_id"] for one in graded}) == len(graded)


@every_lab
def test_what_a_test_of_otter_asks_for_was_made_before_it(path):
    known = set()
    for cell in notebooks.otter(labs.read(path)).cells:
        if cell.cell_type != "code": continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert {one.arg for one in node.args.args} <= known, node.name
            known |= named(node)


def named(node):
    "The names that a statement makes."
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store): return {node.id}
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)): return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)): return {alias.asname or alias.name for alias in node.names}
    return set()


@every_lab
def test_slides_hold_one_idea_each_and_no_answer(path):
    nb = labs.relinked(labs.read(path), HERE)
    found = slides.slides(nb)
    pages = [slide.html() for slide in found]
    assert len(found) >= 10 and all(len(slide.blocks) == 1 or slide.lines <= slides.ROOM for slide in found)
    assert not any(in_page(page) for page in pages)
    for one in labs.questions(nb):
        assert not any(f"{one.name}.check" in page or "The solution, not an answer" in page for page in pages)


def test_notes_go_with_the_slide_that_they_are_about():
    nb = lab(("markdown", "## One\n\nfirst", []), ("markdown", "say it slowly", ["teacher"]),
             ("markdown", "## Two\n\nsecond", []), ("markdown", "goodbye", []))
    first, one, two = [slide.html() for slide in slides.slides(nb)]
    assert "say it slowly" in one and "notes" in one and "notes" not in first + two and "goodbye" not in two


def test_what_ends_in_a_colon_stays_with_what_it_announces():
    lines = "\n\n".join("a line" for _ in range(8))
    nb = lab(("markdown", f"## One\n\n{lines}\n\nThese:\n\n- a\n- b\n- c", []), ("markdown", "end", []))
    assert any("These:" in slide.html() and "<li>a" in slide.html() for slide in slides.slides(nb))


@every_lab
def test_a_printed_page_asks_before_it_tells(path):
    nb = labs.relinked(labs.read(path), HERE)
    page = printed.page(nb)
    assert labs.title(nb) in page and 'class="empty"' in page and not in_page(page)
    assert all(f"<li>{one} <span>" in page for one in printed.guesses(nb))
    assert "The solution, not" not in page and "<img" not in page


QUIZ = """## Quiz

1. What is kept?
   - [ ] all *then Q would be idle*
   - [x] what reaches θ: {s} *that is the rule*
   - [ ] nothing *then nothing is learnt*
"""


def test_a_quiz_has_a_sheet_a_key_and_a_file_for_a_platform():
    nb = lab(("markdown", QUIZ, ["quiz"]))
    assert "then Q would" not in quizzes.sheet(nb) and "☑ what reaches" in quizzes.sheet(nb, key=True)
    assert quizzes.gift(nb).splitlines()[2] == r"=what reaches θ\: \{s\} #that is the rule"


@pytest.mark.parametrize("old, new", [("[x]", "[ ]"), ("[ ] all", "[x] all"), ("*then Q would be idle*", ""),
                                      ("   - [ ] all *then Q would be idle*\n", "")])
def test_a_quiz_with_a_fault_is_refused(old, new):
    with pytest.raises(labs.LabError, match="What is kept"):
        quizzes.items(lab(("markdown", QUIZ.replace(old, new, 1), ["quiz"])))


@every_lab
def test_the_quiz_of_a_lab_is_sound(path):
    assert len(quizzes.items(labs.read(path))) in (0, 5)


@every_lab
def test_a_lab_knows_what_it_opens(path):
    opened = {one.suffix for one in labs.recorded(labs.read(path))}
    assert opened == {"01": set(), "02": {".zip"}}.get(path.stem[:2], {".zip", ".json"})


@every_lab
def test_notes_and_quiz_are_the_same_in_chinese(path):
    nb = labs.read(path)
    chinese = translated.translated(nb, translated.table(path))
    assert "For the teacher" not in text(chinese) and "小测" in text(chinese)
    english, other = ([[right for right, _, _ in item.answers] for item in quizzes.items(one)] for one in (nb, chinese))
    assert english == other, "the right answers stand in the same places"


@pytest.mark.parametrize("path", LABS[2:])
def test_the_syllabus_shows_what_a_lab_has_measured(path):
    found = labs.claims(labs.read(path))
    assert len(found) >= 3 and all(float(here) == float(here) for _, _, here, _, _ in found), "its claims are saved"


# What the graders' own tools say. A lab at its test's size, once solved and once empty.
GRADES = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    for student in ("empty", "solved"):
        print(json.dumps([student, book.find_submission(sys.argv[1], student).score]))
"""


@pytest.fixture(scope="module")
def graders(tmp_path_factory):
    "Both graders' sources, of labs at the tests' size."
    assert PYTHON.exists(), "run `make .venv-course/.done` once: the graders have an environment of their own"
    folder = tmp_path_factory.mktemp("graders")
    (folder / "nbgrader").mkdir()
    (folder / "nbgrader" / "nbgrader_config.py").write_text((labs.HERE / "nbgrader_config.py").read_text())
    return folder


def ask(command, *arguments, cwd):
    "What a tool of the graders' environment prints."
    path = os.pathsep.join([str(PYTHON.parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT)}
    call = [PYTHON.parent / command, *map(str, arguments)]
    done = subprocess.run(call, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def put(nb, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)


@pytest.mark.long
@every_lab
def test_nbgrader_gives_a_solved_copy_all_points_and_an_empty_one_none(graders, path):
    folder, nb = graders / "nbgrader", small(path)
    put(notebooks.nbgrader(nb), folder / "source" / path.stem / path.name)
    labs.lay_beside(nb, folder / "source" / path.stem)
    ask("nbgrader", "generate_assignment", path.stem, "--create", "--force", cwd=folder)
    released = nbformat.read(folder / "release" / path.stem / path.name, as_version=4)
    assert not any(one.solution in text(released) for one in labs.questions(nb))
    put(released, folder / "submitted" / "empty" / path.stem / path.name)
    for one in labs.questions(nb):
        answer = next(cell for cell in released.cells
                      if cell.metadata.get("nbgrader", {}).get("grade_id") == f"{one.name}_answer")
        answer.source += "\n" + one.solution
    put(released, folder / "submitted" / "solved" / path.stem / path.name)
    ask("nbgrader", "autograde", path.stem, "--create", "--force", cwd=folder)
    (folder / "grades.py").write_text(GRADES)
    grades = dict(map(json.loads, ask("python", "grades.py", path.stem, cwd=folder).splitlines()))
    assert grades == {"empty": 0, "solved": notebooks.POINTS * len(labs.questions(nb))}


@pytest.mark.long
@every_lab
def test_otter_gives_a_solved_copy_all_points_and_an_empty_one_none(graders, path):
    folder, nb = graders / "otter" / path.stem, small(path)
    put(notebooks.otter(nb), folder / path.name)
    labs.lay_beside(nb, folder)
    ask("otter", "assign", path.name, ".", "--no-run-tests", "--no-pdfs", cwd=folder)
    student = text(nbformat.read(folder / "student" / path.name, as_version=4))
    assert not any(one.solution in student for one in labs.questions(nb))
    autograder = next((folder / "autograder").glob("*.zip"))
    grades = {}
    for edition in ("student", "autograder"):
        ask("otter", "run", folder / edition / path.name, "-a", autograder, "-o", folder, cwd=folder)
        tests = json.loads((folder / "results.json").read_text())["tests"]
        grades[edition] = sum(one.get("score", 0) for one in tests)
    assert grades == {"student": 0, "autograder": notebooks.POINTS * len(labs.questions(nb))}


@pytest.mark.long
def test_all_editions_are_made_at_once(tmp_path):
    done = subprocess.run([PYTHON, "tests/tools/editions", tmp_path], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in labs.paths():
        assert "Reveal.initialize" in (tmp_path / "slides" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert (tmp_path / "nbgrader" / "release" / path.stem / path.name).exists()
        assert list((tmp_path / "otter" / path.stem / "autograder").glob("*.zip"))
        beside = {one.name for one in labs.recorded(labs.read(path))}
        for place in (tmp_path / "nbgrader" / "release" / path.stem, tmp_path / "otter" / path.stem / "student"):
            assert {one.name for one in place.glob("recorded/*")} == beside, "and what it opens with the lab"
    assert list((tmp_path / "zh" / "student" / "recorded").glob("*.json")), "what is recorded goes along"
    assert labs.title(labs.read(labs.paths()[-1])) in (tmp_path / "syllabus.html").read_text(encoding="utf-8")
    assert "会出错的评判者" in (tmp_path / "zh" / "syllabus.html").read_text(encoding="utf-8")
