"The lab on easy to hard: sums that add up; each wrong answer is answered with a sentence that leads on."
import random

import numpy, pytest
from hypothesis import given
from hypothesis import strategies as st

from selfloop_nb.course.ladder import climbs_to, ladder_problem, next_levels, own_staircase, stalls_at
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

ASKED = dict(rates={4: 0.8, 5: 0.9}, up=0.75, down=0.2, last=7)
RATES = {3: 0.99, 4: 0.95, 5: 0.8, 6: 0.6, 7: 0.1}


@given(st.integers(0, 10 ** 6), st.integers(1, 7))
def test_a_problem_adds_up_and_fits(seed, n):
    row = ladder_problem(random.Random(seed), n)
    one, other = (int(number[::-1]) for number in row["prompt"].rstrip("=").split("+"))
    assert one + other == int(row["answer"][::-1]) and len(row["answer"]) == 8 and len(row["prompt"]) == 16


def test_a_demand_that_is_too_high_stalls_at_once():
    assert [climbs_to(RATES, up) for up in (0.999, 0.97, 0.9, 0.7, 0.05)] == [3, 4, 5, 6, 7]


LEVELS = {"left empty": (None, "still empty"), "one number": (5, "one number"), "text": ("5, 6", "is text"),
          "the same": ([4, 5], "were asked"), "two steps": ([6, 7], "one step a round"), "one level": ([5], "*and*"),
          "three": ([4, 5, 6], "two levels"),
          "down": ([3, 4], "goes down only"), "above all": ([7, 8], "no level above"),
          "apart": ([5, 7], "neighbours"), "rates": ([0.8, 0.9], "holds a share"), "none": ([], "always asks"),
          "a rate more": ([5, 6.5], "holds a share"), "twice": ([5, 5], "neighbours"),
          "nested": ([[5, 6]], "the one number"),
          "a function": (max, "a function"), "words": (["five", "six"], "is text"), "a dict": ({5: 6}, "a dict"),
          "in words": ("5, 6", "is text"), "steps": ([-1, 0], "so few digits"), "together": (56, "one number"),
          "one too many": ([5, 6, 6], "two levels")}
tried(next_levels, LEVELS)


@pytest.mark.parametrize("levels, words", LEVELS.values(), ids=list(LEVELS))
def test_wrong_levels(levels, words):
    assert words in hint(next_levels, levels, **ASKED)


STALLS = {**NO_NUMBERS, "one below": (4, "it goes on"), "one above": (6, "not reached"), "the top": (7, "never comes"),
          "the start": (3, "climbs on"), "off the ladder": (8, "the levels are"), "a rate": (0.8, "no share"),
          "below nothing": (-5, "the levels are"), "zero": (0, "the levels are"), "one": (1, "the levels are"),
          "between": (5.5, "no share"), "both": ((5, 6), "the one number"), "per cent": (90, "the levels are")}
tried(stalls_at, STALLS)


@pytest.mark.parametrize("level, words", STALLS.values(), ids=list(STALLS))
def test_a_wrong_level(level, words):
    assert words in hint(stalls_at, level, rates=RATES, up=0.9)


def test_right_answers():
    assert hint(next_levels, range(5, 7), **ASKED) == hint(next_levels, numpy.array([5, 6]), **ASKED) == ""
    assert hint(next_levels, [5, 6], **ASKED) == hint(next_levels, (6, 5), **ASKED) == ""
    assert hint(stalls_at, 5, rates=RATES, up=0.9) == hint(own_staircase, right) == ""
    assert hint(next_levels, [7], rates={7: 0.9}, up=0.75, down=0.2, last=7) == ""


def right(level, rate, lowest=3, highest=7, up=0.75, down=0.2):
    return min(max(level + (rate >= up) - (rate < down), lowest), highest)


wrong = tried(own_staircase, Wrong())
wrong["empty"] = None, "still empty"
wrong["a level"] = 5, "not what it returns"


@wrong("still empty")
def stub(level, rate):
    ...


@wrong("levels 3 to 7")
def off_the_ladder(level, rate):
    return level + (rate >= 0.75) - (rate < 0.2)


@wrong("`>=`")
def more_than_enough(level, rate):
    return right(level, rate, up=0.7500001)


@wrong("only *below*")
def down_at_the_edge(level, rate):
    return right(level, rate, down=0.2000001)


@wrong("changed places")
def upside_down(level, rate):
    return min(max(2 * level - right(level, rate), 3), 7)


@wrong("one step at a time")
def two_steps(level, rate):
    return min(max(level + 2 * (right(level, rate) - level), 3), 7)


@wrong("goes up")
def never_up(level, rate):
    return min(level, right(level, rate))


@wrong("goes down")
def never_down(level, rate):
    return max(level, right(level, rate))


@wrong("it stays")
def always_up(level, rate):
    return min(level + 1, 7)


@wrong("levels are whole")
def by_the_rate(level, rate):
    return min(max(level + rate - 0.5, 3), 7)


@wrong("that is the step")
def only_the_step(level, rate):
    return right(level, rate) - level


@wrong("and not 75")
def of_per_cent(level, rate):
    return right(level, rate / 100)


@wrong("the level comes first")
def rate_first(a, b):
    return right(b, a)


@wrong("is written as `next_level(rate, level)`")
def arguments_swapped(rate, level):
    return right(level, rate)


@wrong("the one number")
def both_levels(level, rate):
    return level, level + 1


@wrong("True or False")
def whether(level, rate):
    return rate >= 0.75


@wrong("is called with 2 arguments")
def without_a_rate(level):
    return level


@wrong("forget `return`")
def forgetting(level, rate):
    right(level, rate)


@wrong("quotation marks")
def in_words(level, rate):
    return str(right(level, rate))


@wrong("the ladder ends there")
def round_and_round(level, rate):
    step = level + (rate >= 0.75) - (rate < 0.2)
    return 3 if step > 7 else 7 if step < 3 else step


@wrong("forget `return`")
def silent_where_it_stays(level, rate):
    if rate >= 0.75: return min(level + 1, 7)
    if rate < 0.2: return max(level - 1, 3)


@wrong("goes up")
def asking_for_nine_tenths(level, rate):
    return right(level, rate, up=0.9)


@wrong("a list of 2")
def the_level_and_the_next(level, rate):
    return [right(level, rate), right(level, rate) + 1]


@pytest.mark.parametrize("function, words", wrong.values(), ids=list(wrong))
def test_a_wrong_staircase(function, words):
    assert words in hint(own_staircase, function)
