"The lab on seeds and ratings: intervals hold as often as is said; each wrong answer is answered with a sentence."
import math, random, statistics

import numpy, pytest
from hypothesis import given
from hypothesis import strategies as st

from selfloop_nb.course.how_many import coverage, own_interval, paired_error, ratings_needed, two_errors
from selfloop_nb.course.how_many import unpaired_error, wald
from selfloop_nb.people.agreement import wilson
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

ONE, OTHER = [0.35, 0.48, 0.20, 0.41], [0.33, 0.47, 0.17, 0.40]
PAIRED, UNPAIRED = paired_error(ONE, OTHER), unpaired_error(ONE, OTHER)
ALONE = [statistics.stdev(values) / 2 for values in (ONE, OTHER)]


@pytest.mark.parametrize("interval", [wald, wilson])
def test_coverage_is_what_is_counted(interval):
    rng = random.Random(0)
    p, n = 0.9, 20
    found = [sum(rng.random() < p for _ in range(n)) for _ in range(4000)]
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
           "multiplied": (3, "divide"), "multiplied and rounded up": (4, "divide"),
           "a share in per cent": (19, "it takes 16"),
           "a lost sign": (-85, "without a rating"), "none": (0, "without a rating"), "a part": (84.2, "whole"),
           "added": (35, "it takes 16"), "five times as many in per cent": (421, "more than twice"),
           "for five per cent more or less": (385, "more than twice"), "one of": (5, "prove no more than")}
tried(ratings_needed, RATINGS)


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
          "per cent of them": (100 * PAIRED, 100 * UNPAIRED, "are shares"),
          "half an interval": (1.96 * PAIRED, UNPAIRED, "half an interval"),
          "Student's": (3.182 * PAIRED, UNPAIRED, "half an interval"),
          "rounded": (round(PAIRED, 2), UNPAIRED, "`paired` is rounded too far"),
          "both rounded": (PAIRED, round(UNPAIRED, 1), "`unpaired` is rounded too far"),
          "added": (PAIRED, 2 * UNPAIRED / 2 ** 0.5, "*squares* add up"),
          "text": (str(PAIRED), UNPAIRED, "quotation marks"),
          "lists": ([PAIRED], [UNPAIRED], "the one number"),
          "not by the root": (PAIRED / 2, UNPAIRED / 2, "divide by sqrt(4), not by 4"),
          "errors added": (PAIRED, sum(ALONE), "*squares* add up"),
          "their mean": (PAIRED, sum(ALONE) / 2, "mean of both"),
          "the first alone": (PAIRED, ALONE[0], "the first mean alone"),
          "the second alone": (PAIRED, ALONE[1], "the second mean alone"),
          "a variance": (PAIRED, UNPAIRED ** 2, "is a variance"),
          "put together": (PAIRED, statistics.stdev(ONE + OTHER) / 8 ** 0.5, "one mean over both arms")}
tried(two_errors, ERRORS)


@pytest.mark.parametrize("paired, unpaired, words", ERRORS.values(), ids=list(ERRORS))
def test_wrong_errors(paired, unpaired, words):
    assert words in hint(two_errors, paired, unpaired, one=ONE, other=OTHER)


def test_right_numbers():
    assert hint(two_errors, PAIRED, UNPAIRED, one=ONE, other=OTHER) == ""
    assert {hint(ratings_needed, n, wanted=0.8, share_above=0.19) for n in (85, 100, 160)} == {""}


wrong = tried(own_interval, Wrong())
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


@wrong("not per cent")
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


@wrong("z = 2")
def of_two_spreads(k, n):
    return wilson(k, n, 2)


@wrong("80 %")
def one_sided(k, n):
    return wilson(k, n, 1.281552)


@wrong("Agresti and Coull")
def with_four_more(k, n):
    middle = (k + 1.9208) / (n + 3.8416)
    half = 1.96 * math.sqrt(middle * (1 - middle) / (n + 3.8416))
    return middle - half, middle + half


@wrong("Clopper and Pearson")
def exact(k, n):
    return (0.025 ** (1 / n), 1.0) if k == n else wilson(k, n)


@wrong("1/(1 + z²/n) in front")
def without_the_factor(k, n):
    return tuple(end * (1 + 1.96 ** 2 / n) for end in wilson(k, n))


@wrong("the middle, and how far")
def middle_and_half(k, n):
    low, high = wilson(k, n)
    return (low + high) / 2, (high - low) / 2


@wrong("rounded too far")
def rounded(k, n):
    return [round(end, 2) for end in wilson(k, n)]


@wrong("is written as `interval(n, k)`")
def arguments_swapped(n, k):
    return wilson(k, n)


@wrong("two ends")
def by_name(k, n):
    return dict(zip(("low", "high"), wilson(k, n)))


@wrong("nan")
def no_number(k, n):
    return math.nan, math.nan


ZIG = [(0.350, 0.344), (0.476, 0.482), (0.204, 0.194), (0.410, 0.401), (0.290, 0.301), (0.522, 0.508)]


def test_differences_of_either_sign():
    one, other = map(list, zip(*ZIG))
    unsigned = statistics.stdev([abs(a - b) for a, b in ZIG]) / math.sqrt(len(ZIG))
    assert "loses the signs" in hint(two_errors, unsigned, unpaired_error(one, other), one=one, other=other)


def slipped(z_root=1.96, cubed=None, squared=None, middle=None, sign=-1):
    "Wilson's formula with a slip."
    def interval(k, n):
        root = math.sqrt(k * (n - k) / (cubed or n ** 3) + 1.96 ** 2 / (squared or 4 * n ** 2))
        mean = k / n + 1.96 ** 2 / (middle or 2 * n)
        ends = mean + sign * z_root * root, mean + z_root * root
        return [end / (1 + 1.96 ** 2 / n) for end in ends]
    return interval


wrong["no z"] = slipped(z_root=1), "z in front of the root"
wrong["both ends the upper one"] = slipped(sign=1), "once minus, once plus"


@wrong("mind its brackets")
def without_brackets(k, n):
    return [end * (1 + 1.96 ** 2 / n) ** 2 for end in wilson(k, n)]


@wrong("not by n²")
def divided_by_n_squared(k, n):
    return slipped(cubed=n ** 2)(k, n)


@wrong("not by 4n")
def divided_by_4n(k, n):
    return slipped(squared=4 * n)(k, n)


@wrong("not by n")
def divided_by_n(k, n):
    return slipped(middle=n)(k, n)


@wrong("two ends")
def a_sentence(k, n):
    return "{:.2f} to {:.2f}".format(*wilson(k, n))


@wrong("the same for every k and n")
def whole_numbers(k, n):
    return list(map(math.floor, wilson(k, n)))


@pytest.mark.parametrize("interval, words", wrong.values(), ids=list(wrong))
def test_a_wrong_interval(interval, words):
    assert words in hint(own_interval, interval)


def test_a_right_interval():
    assert hint(own_interval, wilson) == hint(own_interval, lambda *given: numpy.array(wilson(*given))) == ""
