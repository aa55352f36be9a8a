"""The wrong answers that each exercise of the course is tried with; tests/test_course_*.py hold what is said to each

What is wrong for every exercise that wants a number, such as text or nan, is counted by itself.
"""
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(TESTS), str(TESTS / "helpers"), str(TESTS / "tools")] # here lies another `course`

from wrong_answers import counted


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
