"The editions that are notebooks: for students, for the teacher, for nbgrader and for otter-grader."
import ast, builtins, json

import nbformat

from editions import labs

POINTS = 2 # for an exercise
CONFIG = "# ASSIGNMENT CONFIG\nrun_tests: false\nexport_cell: false\ntests:\n  ok_format: false"
RAW = nbformat.v4.new_raw_cell
CODE = nbformat.v4.new_code_cell


def student(nb):
    "Without solutions, notes and outputs: what the check says of an empty answer is where the work begins."
    return labs.bare(labs.without(nb, "solution", "teacher", "quiz"))


def teacher(nb):
    "All there is: outputs, solutions, notes and the quiz with its answers."
    return nbformat.from_dict(nb)


def answered(nb, answers):
    "A students' edition in which the cells of answers go on with other words; {name of the exercise: words}."
    copy = nbformat.from_dict(nb)
    for one in labs.questions(nb):
        copy.cells[one.at["answer"]].source += "\n" + answers.get(one.name, "")
    return labs.bare(labs.without(copy, "solution", "teacher", "quiz"))


def nbgrader(nb):
    "The teacher's source of an nbgrader assignment: a solution between its marks, a locked check worth `POINTS`."
    copy = nbformat.from_dict(nb)
    for one in labs.questions(nb):
        answer, solution, check = (copy.cells[one.at[part]] for part in ("answer", "solution", "check"))
        solution.source = f"{answer.source}\n### BEGIN SOLUTION\n{one.solution}\n### END SOLUTION"
        solution.metadata = _graded(f"{one.name}_answer", solution=True)
        answer.metadata["tags"] = ["solution"] # its words have moved on
        check.metadata = _graded(one.name, grade=True, locked=True, points=POINTS)
    return labs.bare(labs.without(copy, "solution", "teacher", "quiz"))


def _graded(name, **settings):
    "What nbgrader reads of a cell."
    settings = {**dict(grade=False, solution=False, locked=False, task=False), **settings}
    return nbformat.from_dict({"nbgrader": {**settings, "grade_id": name, "schema_version": 3}})


def otter(nb):
    "The source of an otter assignment: raw cells with its marks, tests that raise what the exercise says."
    beside = json.dumps([f"{labs.RECORDED.name}/{path.name}" for path in labs.recorded(nb)])
    cells = [RAW(f"{CONFIG}\nfiles: {beside}")]
    found = labs.questions(nb)
    begins = {one.at["answer"]: one for one in found}
    answered = {one.at["solution"]: one for one in found}
    checked = {one.at["check"]: one for one in found}
    for at, cell in enumerate(nb.cells):
        if at in answered: cells += _asked(nb, answered[at])
        elif at in checked: cells += _tested(cell, checked[at])
        elif at not in begins: cells.append(cell)
    return labs.bare(labs.without(nbformat.from_dict({**nb, "cells": cells}), "solution", "teacher", "quiz"))


def _asked(nb, question):
    "The cells of an answer, for otter."
    placeholders = nb.cells[question.at["answer"]].source
    source = f"{placeholders}\n# BEGIN SOLUTION NO PROMPT\n{question.solution}\n# END SOLUTION"
    return [RAW(f"# BEGIN QUESTION\nname: {question.name}\npoints: {POINTS}"),
            RAW("# BEGIN SOLUTION"), CODE(source), RAW("# END SOLUTION")]


def _tested(cell, question):
    "The check as a test of otter's, and behind it what else its cell does."
    lines, tree = cell.source.splitlines(), ast.parse(cell.source)
    place = next(n for n, node in enumerate(tree.body) if f"{question.name}.check(" in ast.unparse(node))
    check, needed = tree.body[place], tree.body[:place + 1] # otter runs it before the cell behind it
    used = [node for statement in needed for node in ast.walk(statement) if isinstance(node, ast.Name)]
    made = {node.id for node in used if isinstance(node.ctx, ast.Store)}
    names = sorted({node.id for node in used} - made - set(dir(builtins)))
    body = "\n".join("    " + line for line in lines[:check.end_lineno])
    rest = "\n".join(lines[:check.lineno - 1] + lines[check.end_lineno:]).strip()
    test = CODE(f"def test_{question.name}({', '.join(names)}):\n{body}")
    closed = [RAW("# BEGIN TESTS"), test, RAW("# END TESTS"), RAW("# END QUESTION")]
    return closed + ([CODE(rest)] if rest else [])
