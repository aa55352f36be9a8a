"""The wrong answers that each exercise of the course is tried with; tests/test_course_*.py hold what is said to each

What is wrong for every exercise that wants a number, such as text or nan, is counted by itself.
"""
import importlib, sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "helpers"), str(TESTS / "tools")]

from course import labs
from wrong_answers import NO_NUMBERS, TRIED


def counted():
    "Lab -> exercise -> how many wrong answers: of its own, and such as are no number."
    for path in sorted(TESTS.glob("test_course_*.py")): importlib.import_module(path.stem)
    names = {path.stem: [one.name for one in labs.questions(labs.read(path))] for path in labs.paths()}
    return {lab: {name: _split(TRIED.get(name, {})) for name in exercises} for lab, exercises in names.items()}


def _split(answers):
    general = sum(answer == NO_NUMBERS.get(name) for name, answer in answers.items())
    return len(answers) - general, general


def main():
    found = counted()
    print("| lab | exercise | wrong answers of its own | no numbers |\n|---|---|---|---|")
    for lab, exercises in found.items():
        for name, numbers in exercises.items(): print(f"| {lab[:2]} | {name} | {numbers[0]} | {numbers[1]} |")
    rows = [numbers for exercises in found.values() for numbers in exercises.values()]
    own, general = map(sum, zip(*rows))
    print(f"| {len(found)} labs | {len(rows)} exercises | {own} | {general} |")


if __name__ == "__main__":
    main()
