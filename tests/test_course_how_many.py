"The lab on seeds and ratings: intervals hold as often as is said; each wrong answer is answered with a sentence."
import math, random, statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfloop_nb.course.how_many import coverage, own_interval, paired_error, ratings_needed, two_errors
from selfloop_nb.course.how_many import unpaired_error, wald
from selfloop_nb.people.agreement import wilson
from wrong_answers import NO_NUMBERS, Wrong, hint

ONE, OTHER = [0.35, 0.48, 0.20, 0.41], [0.33, 0.47, 0.17, 0.40]
PAIRED, UNPAIRED = paired_error(ONE, OTHER), unpaired_error(ONE, OTHER)


@pytest.mark.parametrize("interval", [wald, wilson])
def test_coverage_is_what_is_counted(interval):
    dice = random.Random(0)
    p, n = 0.9, 20
    found = [sum(dice.random() < p for _ in range(n)) for _ in range(4000)]
    held = sum(low <= p <= high for low, high in (interval(k, n) for k in found)) / len(found)
    assert held == pytest.approx(coverage(interval, p, n), abs=0.03)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=8, unique=True))
def test_what_all_arms_share_is_taken_away(values):
    shifted = [value + 0.1 + 0.001 * i for i, value in enumerate(values)]
    assert paired_error(shifted, values) < 0.002
    assert unpaired_error(shifted, values) >= statistics.stdev(values) / math.sqrt(len(values))


RATINGS = {**NO_NUMBERS, "above theta": (16, "*above* theta"), "per cent": (80, "as per cent"),
           "ten": (10, "prove no more than 0.72"), "one": (1, "prove no more than"), "too few": (40, "it takes 16"),
           "just too few": (84, "it takes 16"), "far too many": (1000, "more than twice"), "a share": (0.8, "a share"),
           "a lost sign": (-85, "without a rating"), "none": (0, "without a rating"), "a part": (84.2, "whole")}


@pytest.mark.parametrize("ratings, words", RATINGS.values(), ids=list(RATINGS))
def test_a_wrong_number_of_ratings(ratings, words):
    assert words in hint(ratings_needed, ratings, wanted=0.8, share_above=0.19)


ERRORS = {"empty": (None, None, "`paired` is still empty"), "half": (PAIRED, None, "`unpaired` is still empty"),
          "swapped": (UNPAIRED, PAIRED, "wrong way round"),
          "unpaired twice": (UNPAIRED, UNPAIRED, "seed by seed first"),
          "paired twice": (PAIRED, PAIRED, "both are paired"), "spreads": (2 * PAIRED, 2 * UNPAIRED, "single seeds"),
          "by n": (PAIRED * 0.75 ** 0.5, UNPAIRED * 0.75 ** 0.5, "it is n - 1"),
          "variances": (PAIRED ** 2, UNPAIRED ** 2, "take the root"),
          "the gap": (0.0175, UNPAIRED, "difference of the means"),
          "below nothing": (-PAIRED, UNPAIRED, "never below 0"),
          "paired made up": (0.5, UNPAIRED, "`paired` is another"),
          "unpaired made up": (PAIRED, 0.5, "`unpaired` is another"),
          "text": (str(PAIRED), UNPAIRED, "quotation marks"),
          "lists": ([PAIRED], [UNPAIRED], "the one number")}


@pytest.mark.parametrize("paired, unpaired, words", ERRORS.values(), ids=list(ERRORS))
def test_wrong_errors(paired, unpaired, words):
    assert words in hint(two_errors, paired, unpaired, one=ONE, other=OTHER)


def test_right_numbers():
    assert hint(two_errors, PAIRED, UNPAIRED, one=ONE, other=OTHER) == ""
    assert {hint(ratings_needed, n, wanted=0.8, share_above=0.19) for n in (85, 100, 160)} == {""}


wrong = Wrong()
wrong["empty"] = None, "still empty"
wrong["ends"] = (0.7, 1.0), "not what it returns"
wrong["walds"] = wald, "is no proof"


@wrong("68 %")
def of_68(k, n):
    return wilson(k, n, 1.0)


@wrong("90 %")
def of_90(k, n):
    return wilson(k, n, 1.644854)


@wrong("99 %")
def of_99(k, n):
    return wilson(k, n, 2.575829)


@wrong("wrong way round")
def swapped(k, n):
    return wilson(k, n)[::-1]


@wrong("between 0 and 1")
def per_cent(k, n):
    return [100 * end for end in wilson(k, n)]


@wrong("two ends")
def one_end(k, n):
    return wilson(k, n)[0]


@wrong("a tuple of 3")
def three(k, n):
    return (0, k / n, 1)


@wrong("Wilson's is")
def too_wide(k, n):
    return (0.0, 1.0)


@wrong("quotation marks")
def texts(k, n):
    return ("0", "1")


@wrong("between 0 and 1")
def beyond(k, n):
    return (k / n - 0.3, k / n + 0.3)


@wrong("still empty")
def stub(k, n):
    ...


@wrong("Wilson's is")
def clipped_walds(k, n):
    low, high = wald(k, n)
    return max(0, low) - 0.01 * (k == n), min(1, high)


@wrong("stops with")
def by_hand(k, n):
    return math.log(n - k), 1.0


@wrong("is called with 2 arguments")
def of_a_share(share):
    return share, share


@wrong("forget `return`")
def forgetting(k, n):
    wilson(k, n)


@wrong("`return` in place of `print`")
def printing(k, n):
    print(*wilson(k, n))


@pytest.mark.parametrize("interval, words", wrong.values(), ids=list(wrong))
def test_a_wrong_interval(interval, words):
    assert words in hint(own_interval, interval)


def test_a_right_interval():
    assert hint(own_interval, wilson) == ""
