"The lab on pass@k: each wrong answer is answered with a sentence that leads on."
import math, random, statistics

import pytest

from selfloop_nb.course.many_tries import VERDICTS, by_hand, crossing, own_pass_at_k
from selfloop_nb.metrics.pass_at_k import pass_at_k
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

BEFORE = {1: 0.3, 2: 0.45, 4: 0.6, 8: 0.75, 16: 0.85, 32: 0.9, 64: 0.95}
AFTER = {1: 0.5, 2: 0.55, 4: 0.61, 8: 0.66, 16: 0.7, 32: 0.75, 64: 0.8}

PAIRS = {**NO_NUMBERS, "with replacement": (0.609, "with replacement"), "one try": (0.375, "pass@1"),
         "added": (0.75, "cannot be added"), "both": (0.107, "*both*"), "none": (0.357, "*none*"),
         "exactly one": (0.536, "*exactly*"), "a square": (0.1406, "both are right"),
         "added up": (0.8036, "cannot be added"), "rounded": (0.6, "rounded too far"),
         "none, replaced": (0.3906, "with replacement"), "always": (1, "can be drawn"),
         "pairs": (18, "a share"), "too few": (0.2, "never worse"), "made up": (0.9, "hold *no* right one"),
         "below nothing": (-0.6, "a share lies"),
         "not both": (1 - 3 / 28, "*not both*"),
         "one, put back": (2 * 3 / 8 * 5 / 8, "*exactly* one is right, drawn with"),
         "with and without order": (1 - 10 / 56, "above without order"),
         "one wrong one less": (1 - 5 / 8 * 5 / 7, "one less"),
         "a fraction in words": ("9/14", "Python works it out")}
tried(by_hand, PAIRS)


@pytest.mark.parametrize("share, words", PAIRS.values(), ids=list(PAIRS))
def test_a_wrong_pass_at_2(share, words):
    assert words in hint(by_hand, share, n=8, c=3, k=2)


CROSSINGS = {**NO_NUMBERS, "before it": (4, "Go to more tries"), "one try": (1, "Go to more tries"),
             "the last": (64, "the *first* k"), "behind it": (16, "ahead already"), "between": (6, "the table has"),
             "more than there are": (128, "the table has"), "none": (0, "without a try"),
             "a share": (0.75, "a share of problems"), "not whole": (5.5, "tries are whole"),
             "below nothing": (-8, "without a try"), "its place": (3, "the table has"), "a line": ("M_0", "is text"),
             "both": ((8, 16), "the one number")}
tried(crossing, CROSSINGS)


@pytest.mark.parametrize("k, words", CROSSINGS.values(), ids=list(CROSSINGS))
def test_a_wrong_crossing(k, words):
    assert words in hint(crossing, k, before=BEFORE, after=AFTER)


def test_curves_that_do_not_cross_say_so():
    assert "do not cross" in hint(crossing, 8, before=AFTER, after={k: 0.99 for k in AFTER})


def test_right_numbers():
    assert hint(by_hand, 9 / 14, n=8, c=3, k=2) == hint(crossing, 8, before=BEFORE, after=AFTER) == ""


def unbiased(verdicts, k):
    failed = [math.comb(len(one) - sum(one), k) / math.comb(len(one), k) for one in verdicts]
    return 1 - sum(failed) / len(failed)


def over(of_one):
    "The mean over the problems."
    return lambda verdicts, k: sum(of_one(one, k) for one in verdicts) / len(verdicts)


wrong = tried(own_pass_at_k, Wrong())
wrong["empty"] = None, "still empty"
wrong["a number"] = 0.5, "not what it returns"
wrong["first tries"] = over(lambda one, k: any(one[:k])), "first k tries only"
wrong["last tries"] = over(lambda one, k: any(one[-k:])), "the mean over the problems"
wrong["any try"] = over(lambda one, k: any(one)), "does not depend on k"
wrong["one try"] = over(lambda one, k: sum(one) / len(one)), "pass@1 whatever k"
wrong["replaced"] = over(lambda one, k: 1 - (1 - sum(one) / len(one)) ** k), "with replacement"
wrong["all right"] = over(lambda one, k: math.comb(sum(one), k) / math.comb(len(one), k)), "all k are right"


@wrong("how often none is right")
def failed(verdicts, k):
    return 1 - unbiased(verdicts, k)


@wrong("per cent")
def per_cent(verdicts, k):
    return 100 * unbiased(verdicts, k)


@wrong("divide by their number")
def summed(verdicts, k):
    return len(verdicts) * unbiased(verdicts, k)


@wrong("the one number")
def a_list(verdicts, k):
    return [unbiased(verdicts, k)]


@wrong("nan")
def nothing(verdicts, k):
    return math.nan


@wrong("still empty")
def stub(verdicts, k):
    ...


@wrong("over all problems together")
def pooled(verdicts, k):
    return unbiased([[verdict for one in verdicts for verdict in one]], k)


@wrong("stops with ZeroDivisionError")
def by_right_ones(verdicts, k):
    return sum(1 - math.comb(len(one) - sum(one), k) / sum(one) for one in verdicts)


@wrong("is it rounded")
def rounded(verdicts, k):
    return round(unbiased(verdicts, k), 2)


@wrong("is written as `pass_at(k, verdicts)`")
def arguments_swapped(k, verdicts):
    return unbiased(verdicts, k)


@wrong("the one number")
def one_a_k(verdicts, k):
    return [unbiased(verdicts, i) for i in range(1, k + 1)]


@wrong("is called with 2 arguments")
def without_k(verdicts):
    return 0.5


@wrong("forget `return`")
def forgetting(verdicts, k):
    unbiased(verdicts, k)


@wrong("changes what it is given")
def shuffling(verdicts, k):
    for one in verdicts:
        one.sort()
    return unbiased(verdicts, k)


wrong["not all right"] = over(lambda one, k: 1 - math.comb(sum(one), k) / math.comb(len(one), k)), "draws of wrong ones"
wrong["chances added"] = over(lambda one, k: min(1, k * sum(one) / len(one))), "adds up chances"
wrong["cut off"] = over(lambda one, k: 1 - math.comb(len(one) - sum(one), k) // math.comb(len(one), k)), "`//`"


@wrong("each problem has its own")
def of_the_first_ones_tries(verdicts, k):
    n = len(verdicts[0])
    return 1 - sum(math.comb(n - sum(one), k) / math.comb(n, k) for one in verdicts) / len(verdicts)


@wrong("they count, with 0")
def of_those_that_are_solved(verdicts, k):
    return unbiased([one for one in verdicts if any(one)], k)


@wrong("the middle one")
def the_median(verdicts, k):
    return statistics.median(unbiased([one], k) for one in verdicts)


@pytest.mark.parametrize("function, words", wrong.values(), ids=list(wrong))
def test_a_wrong_function(function, words):
    assert words in hint(own_pass_at_k, function)


def by_hundreds_of_draws(verdicts, k):
    rng = random.Random(0)
    return sum(any(rng.sample(one, k)) for one in verdicts for _ in range(100)) / len(verdicts) / 100


def test_a_right_function_and_one_that_draws():
    assert hint(own_pass_at_k, unbiased) == ""
    assert "drawn by chance" in hint(own_pass_at_k, by_hundreds_of_draws)


def test_it_is_what_the_library_says():
    rows = [(str(i), verdict) for i, one in enumerate(VERDICTS) for verdict in one]
    assert unbiased(VERDICTS, 4) == pytest.approx(pass_at_k(*map(list, zip(*rows)), k=4))
