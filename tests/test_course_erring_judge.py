"Lab 4: the law and the judge are what they say; each wrong answer is answered with a sentence that leads on."
import random, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfloop_nb.course.erring_judge import breakdown_point, carry_samples, erring_judge, how_many_rounds, next_share
from selfloop_nb.course.erring_judge import own_judge
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

SAMPLES = carry_samples()
SHARES = st.floats(0.01, 0.99)


@given(SHARES, SHARES, SHARES)
def test_the_law_is_counting(p, phi, psi):
    kept_right, kept_wrong = (1 - p) * phi, p * psi
    assert next_share(p, psi / phi) == pytest.approx(kept_wrong / (kept_right + kept_wrong), rel=1e-9)


@given(SHARES, st.floats(0.05, 0.95))
def test_a_cold_model_keeps_a_point_of_no_return(ratio, temperature):
    odds = ratio ** (1 / (temperature - 1))
    point = odds / (1 + odds)
    if 1e-6 < point < 1 - 1e-6:
        assert next_share(point, ratio, temperature) == pytest.approx(point, rel=1e-6)


@pytest.mark.parametrize("phi, psi", [(0.8, 0.4), (0.5, 0.5), (0.1, 0.9), (1, 0.25)])
def test_the_judge_errs_as_often_as_it_says(phi, psi):
    assert hint(own_judge, erring_judge(phi, psi), phi=phi, psi=psi, samples=SAMPLES) == ""


@pytest.mark.parametrize("rates", [(1.2, 0.5), (0.5, -0.1), (float("nan"), 0.5)])
def test_a_judge_has_shares(rates):
    with pytest.raises(ValueError, match="it is a share"):
        erring_judge(*rates)


POINTS = {**NO_NUMBERS, "1 - p*": (0.25, "how often the model must be *right*"), "the ratio": (1 / 3, "put it into"),
          "its inverse": (3, "is odds"), "per cent": (75, "75 % is 0.75"), "φ itself": (0.9, "φ itself"),
          "what it is divided by": (4 / 3, "1 is divided by"), "taken from 1": (2 / 3, "not 1 - ψ/φ"),
          "the sum": (1.2, "is no share"), "1 - ψ": (0.7, "rejects what is wrong"),
          "the gap": (0.6, "far the judge is from a coin"),
          "a half": (0.5, "tells nothing"), "the product": (0.27, "is a ratio"), "a coin's side": (0.1, "above 1/2"),
          "of a pair": (0.63, "about a pair"), "made up": (0.85, "how often may the model be wrong"),
          "below nothing": (-0.2, "a share lies")}
tried(breakdown_point, POINTS)


@pytest.mark.parametrize("point, words", POINTS.values(), ids=list(POINTS))
def test_a_wrong_breakdown_point(point, words):
    assert words in hint(breakdown_point, point, phi=0.9, psi=0.3)


ROUNDS = {**NO_NUMBERS, "by share": (4, "not the share p"), "rounded down": (4, "round up"),
          "the logarithm": (-4.83, "lose its sign"), "not rounded": (4.83, "whole"),
          "one too many": (6, "it takes fewer"),
          "far too many": (100, "it takes fewer"), "far too few": (1, "too early"), "none": (0, "without a round"),
          "a lost sign": (-5, "lose its sign"), "a share": (0.05, "whole"), "three": (3, "too early"),
          "how far the share falls": (12, "the share must fall"), "how far the odds fall": (29, "the odds must fall"),
          "to base ten": (1.45, "whole"), "twice as many": (10, "it takes fewer")}
tried(how_many_rounds, ROUNDS)


@pytest.mark.parametrize("rounds, words", ROUNDS.values(), ids=list(ROUNDS))
def test_a_wrong_number_of_rounds(rounds, words):
    assert words in hint(how_many_rounds, rounds, p=0.6, ratio=0.5, below=0.05)


def test_right_numbers():
    assert hint(breakdown_point, 0.75, phi=0.9, psi=0.3) == hint(how_many_rounds, 5, p=0.6, ratio=0.5, below=0.05) == ""


def coins(phi, psi, coin):
    "A judge with a coin of some kind: row number, id, text -> number in [0, 1)."
    def judge(samples):
        rows = zip(samples["sample_id"], samples["completion"], samples["answer"])
        return [float(coin(i, *row[:2]) < (phi if row[1] == row[2] else psi)) for i, row in enumerate(rows)]
    return judge


def by_id(i, id, text):
    return random.Random(id).random()


def by_row(i, id, text):
    return random.Random(i).random()


def by_text(i, id, text):
    return random.Random(text).random()


def by_chance(i, id, text):
    return random.random()


def by_the_clock(i, id, text):
    return time.perf_counter_ns() % 1000 / 1000


wrong = Wrong(empty=(None, "still empty"), marks=([1.0] * 2000, "not what it returns"),
              swapped=(coins(0.4, 0.8, by_id), "changed places"), the_same=(coins(0.6, 0.6, by_id), "no difference"),
              above=(coins(0.2, 0.6, by_id), "*below* the rate"), faultless=(coins(1, 0, by_id), "without a fault"),
              too_strict=(coins(0.8, 0.1, by_id), "of the wrong ones 40%"),
              too_mild=(coins(1, 0.4, by_id), "of the right ones 80%"),
              of_rows=(coins(0.8, 0.4, by_row), "in another order"), of_texts=(coins(0.8, 0.4, by_text), "all copies"),
              of_chance=(coins(0.8, 0.4, by_chance), "asked again"),
              of_the_clock=(coins(0.8, 0.4, by_the_clock), "asked again"))
tried(own_judge, wrong)


@wrong("still empty")
def stub(samples):
    ...


@wrong("no difference")
def everything(samples):
    return [1.0] * len(samples)


@wrong("it gives 0.4")
def chances(samples):
    return [0.8 if text == answer else 0.4 for text, answer in zip(samples["completion"], samples["answer"])]


@wrong("in another order")
def one_seed_for_all(samples):
    rng = random.Random(0)
    rows = zip(samples["completion"], samples["answer"])
    return [float(rng.random() < (0.8 if text == answer else 0.4)) for text, answer in rows]


@wrong("differs in each kernel")
def by_hash(samples):
    rows = zip(samples["sample_id"], samples["completion"], samples["answer"])
    return [float(hash(id) % 1000 < (800 if text == answer else 400)) for id, text, answer in rows]


def coin_of(id):
    return hash(id) % 1000 / 1000


@wrong("differs in each kernel")
def by_a_hash_elsewhere(samples):
    rows = zip(samples["sample_id"], samples["completion"], samples["answer"])
    return [float(coin_of(id) < (0.8 if text == answer else 0.4)) for id, text, answer in rows]


@wrong("2 numbers for 2000 rows")
def two_rates(samples):
    return [0.8, 0.4]


@wrong("called with 1 argument")
def of_one_sample(id, text, answer):
    return 1.0


@wrong("forget `return`")
def forgetting(samples):
    coins(0.8, 0.4, by_id)(samples)


@wrong("There is prompt, answer, forgot, completion")
def of_another_column(samples):
    return samples["correct"]


@wrong("in another order")
def the_first_of_them(samples):
    right = [text == answer for text, answer in zip(samples["completion"], samples["answer"])]
    left = {True: 0.8 * right.count(True), False: 0.4 * right.count(False)}
    marks = []
    for one in right:
        marks.append(float(left[one] > 0))
        left[one] -= 1
    return marks


@wrong("in another order")
def of_a_seed_set_anew(samples):
    random.seed(1)
    return coins(0.8, 0.4, by_chance)(samples)


@wrong("all copies")
def of_the_problem(samples):
    rows = zip(samples["prompt"], samples["completion"], samples["answer"])
    return [float(random.Random(prompt).random() < (0.8 if text == answer else 0.4)) for prompt, text, answer in rows]


@wrong("returns a Dataset")
def what_it_keeps(samples):
    return samples.select(range(10))


@wrong("of the wrong ones 40%")
def two_coins(samples):
    rows = zip(samples["sample_id"], samples["completion"], samples["answer"])
    both = [(random.Random(id).random() < 0.8, random.Random(id + "again").random() < 0.4, text == answer)
            for id, text, answer in rows]
    return [float(one and (right or other)) for one, other, right in both]


@pytest.mark.parametrize("judge, words", wrong.values(), ids=list(wrong))
def test_a_wrong_judge(judge, words):
    assert words in hint(own_judge, judge, phi=0.8, psi=0.4, samples=SAMPLES)


def test_a_right_judge():
    assert hint(own_judge, coins(0.8, 0.4, by_id), phi=0.8, psi=0.4, samples=SAMPLES) == ""
