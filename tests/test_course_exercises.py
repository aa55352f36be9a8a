"A notebook shows a student the sentence alone; a solution is told from an answer, in whatever order cells are run."
from IPython.core.interactiveshell import InteractiveShell

from selfloop_nb.course.answers import NotRight, number
from selfloop_nb.course.exercises import exercise, progress
from wrong_answers import hint

LESSON = """
from selfloop_nb.course.answers import NotRight, number
from selfloop_nb.course.exercises import exercise

@exercise
def half(answer:number, *, whole):
    "Half."
    if answer != whole / 2: raise NotRight("divide by two")
    return "half"
"""


def shown(capsys, *cells):
    "What the last of some cells shows, in a shell of its own."
    shell = InteractiveShell()
    for cell in (LESSON, *cells):
        capsys.readouterr()
        shell.run_cell(cell)
    return capsys.readouterr().out


def test_a_notebook_shows_the_sentence_and_no_traceback(capsys):
    assert shown(capsys, "half.check(3, whole=4)").strip() == "Not right yet: divide by two"
    empty = "Not answered yet: `answer` is still empty: it wants a number"
    assert shown(capsys, "half.check(None, whole=4)").strip() == empty
    assert shown(capsys, "half.check(2, whole=4)").strip() == "Right: half"


def test_a_function_that_stops_is_shown_with_its_line(capsys):
    lesson = LESSON.replace("number", "function")
    lesson = lesson.replace("answer != whole / 2", "call(answer, whole, name='answer') != 2")
    lesson = lesson.replace("import NotRight,", "import NotRight, call,")
    said = shown(capsys, lesson, "def answer(n):\n    m = n - 4\n    return n / m", "half.check(answer, whole=4)")
    assert said.startswith("Not right yet: `answer` stops with ZeroDivisionError") and "`return n / m`" in said


def new_exercise():
    @exercise
    def half(answer:number, *, whole):
        "Half of it."
        if answer != whole / 2: raise NotRight("divide by two")
        return "half"
    return half


def state(half): return progress(half)["state"].iloc[0]


def test_cells_in_any_order():
    half = new_exercise()
    assert state(half) == "not answered" and "still empty" in hint(half, None, whole=4)
    answer = half.solution(2.0)
    assert hint(half, answer, whole=4) == "" and state(half) == "the solution was shown"
    assert hint(half, 3, whole=4) and hint(half, 3, whole=4)
    assert len(half.mark.tried) == 1, "a cell that is run twice counts once"
    assert hint(half, 2.5, whole=4) and len(half.mark.tried) == 2
    assert hint(half, 2, whole=4) == "" and state(half) == "right, after the solution was shown"
    assert hint(half, None, whole=4) and state(half).startswith("right"), "what is right stays right"


def test_an_own_answer_before_the_solution_is_ones_own():
    half = new_exercise()
    assert hint(half, 1, whole=4) and hint(half, 2, whole=4) == "" and state(half) == "right, at try 2"
    assert not half.unanswered(2)
    half.solution(2.0)
    assert state(half) == "right, at try 2"


