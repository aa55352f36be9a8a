"""Make the course's editions out of the labs in nbs/course.

    python tests/tools/editions [FOLDER]

Nothing is executed and nothing is fetched. What it needs is the extra `course`; how a lab says what belongs into which
edition stands in labs.py.
"""
import os, re, shutil, subprocess, sys, time
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = map(str, (TESTS / "tools", TESTS / "helpers", TESTS.parent))

NEEDED = dict(nbgrader="nbgrader", otter="otter-grader", latex2mathml="latex2mathml", sphinx_revealjs="sphinx-revealjs")
missing = [package for module, package in NEEDED.items() if not find_spec(module)]
if missing: sys.exit(f"this Python has no {', '.join(missing)}: `make course` sets up one that has")

import nbformat

import translated
from editions import labs, notebooks, pages, printed, quizzes, slides
from docs.addresses import fetched
from project import PROJECT
from selfloop_nb.charts.words import HEADERS, shown
import selfloop_nb.course.exercises # its tables of words

SOURCES = dict(nbgrader="nbgrader/source", otter="otter")
GRADER = dict(assign=["--no-run-tests", "--no-pdfs"], generate_assignment=["--create", "--force"])


def write(folder):
    "All editions that need no grader's tools, and those in Chinese."
    shutil.rmtree(folder, ignore_errors=True)
    write_chinese(folder / "zh")
    found = {path: lab(path) for path in labs.paths()}
    for path, nb in found.items():
        shown = labs.pictures(labs.read(path))
        for name, make in dict(student=notebooks.student, teacher=notebooks.teacher).items():
            save(make(nb), folder / name / path.name, shown)
        for name, make in dict(nbgrader=notebooks.nbgrader, otter=notebooks.otter).items():
            beside = folder / SOURCES[name] / path.stem
            save(make(nb), beside / path.name, shown if name == "nbgrader" else [])
            labs.lay_beside(nb, beside)
        put(folder / "slides" / f"{path.stem}.html", slides.page(nb))
        put(folder / "print" / f"{path.stem}.html", printed.page(nb))
        if quizzes.items(nb): write_quiz(nb, folder / "quizzes", path.stem)
    for edition in ("student", "teacher", "zh/student", "zh/teacher"):
        shutil.copytree(labs.RECORDED, folder / edition / labs.RECORDED.name)
    shutil.copy(labs.HERE / "nbgrader_config.py", folder / "nbgrader")
    put(folder / "syllabus.html", pages.page("Syllabus", pages.markdown(syllabus(found.values()))))


def write_chinese(folder):
    "The labs and the quickstart in Chinese: for students, for teachers, as slides and on paper; quizzes and syllabus."
    found = []
    for path in (PROJECT / "nbs" / "quickstart.ipynb", *labs.paths()):
        if not translated.po_of(path).exists(): continue
        pictures, nb = labs.pictures(labs.read(path)), translated.translated(lab(path), at_hand(path))
        save(translated.begun_in_chinese(notebooks.student(nb)), folder / "student" / path.name, pictures)
        if path.parent == labs.FOLDER:
            found.append(nb)
            save(translated.begun_in_chinese(notebooks.teacher(nb)), folder / "teacher" / path.name, pictures)
            write_quiz(nb, folder / "quizzes", path.stem, "zh")
            put(folder / "slides" / f"{path.stem}.html", slides.page(nb, "zh"))
            put(folder / "print" / f"{path.stem}.html", printed.page(nb, "zh"))
    text = pages.markdown(syllabus(found, "zh"))
    put(folder / "syllabus.html", pages.page("课程大纲", text, lang="zh"))


def at_hand(path):
    "The translation of a lab, its links put in order as those of the lab are."
    def ordered(text): return labs.relinked_text(text, {one.name for one in labs.paths()})
    return {ordered(english): ordered(chinese) for english, chinese in translated.table(path).items()}


def lab(path):
    "A lab whose links lead to what is at hand."
    return labs.relinked(labs.read(path), {one.name for one in labs.paths()})


def save(nb, path, pictures):
    "A notebook, with the pictures that it shows beside it."
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.validate(nb)
    nbformat.write(nb, path)
    for picture in pictures:
        (path.parent / "images").mkdir(exist_ok=True)
        shutil.copy(picture, path.parent / "images")


def put(path, text):
    "A text file."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_quiz(nb, folder, name, lang="en"):
    "The three sheets of a quiz."
    put(folder / f"{name}.html", quizzes.sheet(nb, lang=lang))
    put(folder / f"{name}_key.html", quizzes.sheet(nb, key=True, lang=lang))
    put(folder / f"{name}.gift", quizzes.gift(nb))


SYLLABI = dict( # the text; the headers of the labs' table and of the claims'; what parts the ends of an interval
    en=("syllabus.md", "| lab | title | exercises |", "| lab | claim | published | here |", "to"),
    zh=("syllabus_zh.md", "| 实验 | 题目 | 练习 |", "| 实验 | 主张 | 已发表 | 这里 |", "至"))


def syllabus(found, lang="en"):
    "The syllabus, with a table of the labs."
    name, head, *_ = SYLLABI[lang]
    rows = [head, "|---|---|---|"]
    for number, nb in enumerate(found, start=1):
        headings = re.findall(r"(?m)^#+ (?:Exercise|练习)[^:：]*[:：] *(.+)$", "\n".join(cell.source for cell in nb.cells))
        rows.append(f"| {number} | {labs.title(nb)} | {'; '.join(headings)} |")
    text = (labs.HERE / name).read_text(encoding="utf-8")
    return text.format(n_labs=len(rows) - 2, labs="\n".join(rows), claims="\n".join(claims(found, lang)))


def claims(found, lang="en"):
    "What the labs claim, as a table: what they measured when they were saved, with Student's interval over the seeds."
    yield f"{SYLLABI[lang][2]}\n|---|---|---|---|"
    for number, nb in enumerate(found, start=1):
        for claim, published, here, low, high in labs.claims(nb):
            interval = "" if low == "NaN" else f" ({low} {SYLLABI[lang][3]} {high})"
            told = f"{said(claim, lang)} | {said(published, lang)}"
            yield f"| {number} | {told} | {here}{interval} |".replace("*", r"\*")


def said(text, lang):
    "A header of a table of claims, or what stands in it, in a language: as a lab shows it."
    return HEADERS[lang].get(text) or shown(text, lang)


def call(name, *arguments, cwd):
    "A tool of this environment; what it says is shown where it fails."
    place = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"} # nbgrader calls alembic
    done = subprocess.run([place / name, *arguments], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode: sys.exit(f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}")


def assign(folder):
    "What the graders' own tools make of their sources: nbgrader/release, otter/LAB/student and otter/LAB/autograder."
    for path in labs.paths():
        call("nbgrader", "generate_assignment", path.stem, *GRADER["generate_assignment"], cwd=folder / "nbgrader")
        call("otter", "assign", path.name, ".", *GRADER["assign"], cwd=folder / "otter" / path.stem)


def main():
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PROJECT / "_course"
    began = time.monotonic()
    write(folder)
    outside = fetched(folder)
    if outside: sys.exit("pages would fetch from elsewhere:\n" + "\n".join(outside))
    assign(folder)
    print(f"{len(labs.paths())} labs in {time.monotonic() - began:.0f} s: {folder / 'syllabus.html'}")
    for path in labs.paths():
        tags = {tag for cell in labs.read(path).cells for tag in cell.metadata.get("tags", [])}
        lacks = [tag for tag in ("teacher", "quiz") if tag not in tags]
        if lacks: print(f"{path.name} has no cell tagged {' or '.join(lacks)}")


if __name__ == "__main__":
    main()
