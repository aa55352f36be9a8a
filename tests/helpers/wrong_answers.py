"What a student reads who gives an answer."
import importlib, math, re
from pathlib import Path

import numpy

from selfloop_nb.charts.words import shown
from selfloop_nb.course.answers import NotRight

TESTS = Path(__file__).resolve().parents[1]


class Unwilling:
    "An object that tells nothing of itself."
    def __float__(self):
        raise RuntimeError

    __len__ = __repr__ = __float__


# Answers that are no number, whatever the exercise, and a word of what is said to them.
NO_NUMBERS = {
    "left empty": (None, "still empty"), "the placeholder": (..., "still empty"), "blank": (" ", "still empty"),
    "in quotation marks": ("-0.05", "quotation marks"), "in words": ("a fifth", "is text"),
    "a list": ([0.5], "the one number"), "a pair": ((0.5, 1.0), "the one number"), "a dict": ({1: 2}, "a dict"),
    "yes": (True, "True or False"), "a function": (max, "call it"), "the type": (float, "call it"),
    "nan": (math.nan, "nan"), "infinite": (-math.inf, "infinite"), "complex": (1j, "complex"),
    "a range": (range(3), "the one number"), "bytes": (b"1", "bytes"), "a set": ({1}, "a set"),
    "per cent in words": ("80 %", "80 % is 0.8, without quotation marks"), "a comma": ("0,8", "in place of the comma"),
    "a sum in words": ("1/(1 + 0.25)", "Python works it out"), "beyond all": (10 ** 400, "too large"),
    "half a number": (numpy.complex64(1), "a number is wanted"), "an array": (numpy.zeros(3), "the one number"),
    "an object": (object(), "put a number"), "an unwilling one": (Unwilling(), "an Unwilling"),
}


def hint(exercise, *answers, **given):
    "The sentence with which an answer is refused; '' where it is right. Any other error is a fault of the check."
    try:
        exercise.check(*answers, **given)
    except NotRight as error:
        assert str(error).strip() and "nobody has thought of" not in str(error)
        assert exercise.__name__ not in TRIED or not left_in_english(str(error)), shown(str(error), "zh")
        return str(error)
    return ""


def left_in_english(said):
    "Has a sentence of an exercise words that stay English in a Chinese session? Code and Python's errors may."
    words = re.sub(r"`[^`]*`|stops with .*|中断：.*|Dataset.*", "", shown(said, "zh"), flags=re.DOTALL)
    return bool(re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", words))


TRIED = {} # name of an exercise -> its wrong answers, as the tests of the labs name them; `make bench-answers` counts


def tried(exercise, answers):
    "The wrong answers that an exercise is tried with: they are counted."
    return TRIED.setdefault(exercise.__name__, answers)


def counted():
    "Lab -> exercise -> how many wrong answers: of its own, and such as are no number whatever the exercise."
    from editions import labs
    for path in sorted(TESTS.glob("test_course_*.py")): importlib.import_module(path.stem)
    names = {path.stem: [one.name for one in labs.questions(labs.read(path))] for path in labs.paths()}
    return {lab: {name: _split(TRIED.get(name, {})) for name in exercises} for lab, exercises in names.items()}


def _split(answers):
    general = sum(answer == NO_NUMBERS.get(name) for name, answer in answers.items())
    return len(answers) - general, general


class Wrong(dict):
    "Wrong functions by name, each with a word of what is said to it: `@wrong(\"return\")` above one takes it in."
    def __call__(self, words):
        def take(function):
            self[function.__name__] = function, words
            return function
        return take
