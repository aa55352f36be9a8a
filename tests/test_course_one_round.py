"Lab 1: each wrong answer is answered with a sentence that leads on, and right ones are right however they are written."
import random
from collections import Counter

import numpy, pytest, torch
from datasets import Dataset

from selfloop_nb import Threshold
from selfloop_nb.course.one_round import diversity, keep_a_fifth, own_q
from selfloop_nb.metrics.basic import unique_ratio
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

SCORES = [-(i / 400) ** 2 for i in range(400)] # of a confidence: most lie close to 0
FIFTH = sorted(SCORES)[320]


def sample(a, b, rng):
    "What a model might write for a + b."
    total = f"{a + b:03d}"[::-1]
    completion = rng.choice([total, total, total[0] + "9" + total[2], f"{rng.randrange(1000):03d}", "", "+1"])
    one, other = (f"{number:02d}"[::-1] for number in (a, b))
    return dict(prompt=f"{one}+{other}=", completion=completion, answer=total, correct=completion == total)


def table(seed, n_problems):
    "400 samples of some problems."
    rng = random.Random(seed)
    problems = [(rng.randrange(100), rng.randrange(100)) for _ in range(n_problems)]
    return Dataset.from_list([sample(*rng.choice(problems), rng) for _ in range(400)])


S, S1 = table(0, 200), table(1, 40)


def fits(prompt, completion):
    return float(completion[:1] == str((int(prompt[0]) + int(prompt[3])) % 10))


def by_row(mark):
    "A scorer that marks a row at a time."
    return lambda samples: [mark(*pair) for pair in zip(samples["prompt"], samples["completion"])]


THETAS = {**NO_NUMBERS, "a rank": (80, "a share or a probability"), "the mean": (sum(SCORES) / 400, "Go higher"),
          "a lost share": (-0.2, "Go higher"), "all scores": (SCORES, "the one number"),
          "wrong end": (sorted(SCORES)[80], "other end"), "a share": (0.2, "a share or a probability"),
          "per cent": (20, "a share or a probability"), "a probability": (0.9, "a share or a probability"),
          "the best": (max(SCORES), "Go lower"), "too high": (-1e-4, "Go lower"),
          "half": (sorted(SCORES)[200], "Go higher"),
          "the lowest": (min(SCORES), "Every score"), "far below": (-100, "Every score"),
          "the share's logarithm": (numpy.log(0.2), "Every score"), "nought": (0, "Go lower"),
          "a keep rule": (Threshold(0.5), "is a Threshold"), "an index": (320, "a share or a probability"),
          "its probability": (numpy.exp(FIFTH), "a share or a probability")}
tried(keep_a_fifth, THETAS)


@pytest.mark.parametrize("theta, words", THETAS.values(), ids=THETAS)
def test_a_wrong_theta(theta, words):
    assert words in hint(keep_a_fifth, theta, scores=SCORES, correct=S["correct"][:])


@pytest.mark.parametrize("theta", [FIFTH, numpy.float32(FIFTH), numpy.array(FIFTH), torch.tensor(FIFTH)])
def test_a_right_theta(theta):
    assert hint(keep_a_fifth, theta, scores=SCORES, correct=S["correct"][:]) == ""


wrong = Wrong(empty=(None, "still empty"), result=([1.0] * 400, "not what it returns"),
              number=(1.0, "not what it returns"),
              its_name=("last_digit_fits", "not what it returns"), a_class=(list, "the class"))
tried(own_q, wrong)


def wrong_mark(words):
    "A wrong scorer that marks a row at a time."
    def take(mark):
        wrong[mark.__name__] = by_row(mark), words
        return mark
    return take


@wrong("still empty")
def stub(samples):
    ...


@wrong("still empty")
def undone(samples):
    raise NotImplementedError


@wrong("in place of `print`")
def printing(samples):
    print(by_row(fits)(samples))


@wrong("forget `return`")
def forgetting(samples):
    by_row(fits)(samples)


@wrong("one number a row")
def returning_in_the_loop(samples):
    for pair in zip(samples["prompt"], samples["completion"]):
        return fits(*pair)


@wrong("yield")
def lazily(samples):
    yield from by_row(fits)(samples)


@wrong("async")
async def later(samples):
    return by_row(fits)(samples)


@wrong("SystemExit")
def leaving(samples):
    raise SystemExit


@wrong("RecursionError")
def endless(samples):
    return endless(samples)


@wrong("called with 1 argument")
def with_two_parameters(samples, theta):
    return [1.0] * len(samples)


@wrong("called with 1 argument")
def without_parameter():
    return [1.0]


@wrong("to every sample")
def everything(samples):
    return [1.0] * len(samples)


@wrong("nothing would be kept")
def nothing(samples):
    return [0] * len(samples)


@wrong("no solution")
def by_the_key(samples):
    return [float(a == c) for a, c in zip(samples["answer"], samples["completion"])]


@wrong("no solution")
def by_the_verdict(samples):
    return samples["correct"]


@wrong("There is prompt, completion")
def of_a_column_that_is_not_there(samples):
    return samples["text"]


@wrong("for 199 rows")
def of_the_notebooks_table(samples):
    return by_row(fits)(S)


@wrong("begins with")
def by_the_notebooks_key(samples):
    return [float(right) for right in S["correct"]][:len(samples)]


@wrong("198 numbers for 199 rows")
def one_too_few(samples):
    return by_row(fits)(samples)[1:]


@wrong("list(...)")
def a_map(samples):
    return map(fits, samples["prompt"], samples["completion"])


@wrong("return a list")
def a_dict(samples):
    return dict(enumerate(by_row(fits)(samples)))


@wrong("return a list")
def a_set(samples):
    return set(by_row(fits)(samples))


@wrong("return a list")
def one_number(samples):
    return 1.0


@wrong("return a list")
def a_text(samples):
    return "1" * len(samples)


@wrong_mark("a list of 1")
def a_row_in_a_row(prompt, completion):
    return [1.0]


@wrong_mark("is text")
def texts(prompt, completion):
    return "1.0"


@wrong_mark("nan")
def no_number(prompt, completion):
    return float("nan")


@wrong_mark("is None")
def none_for_some(prompt, completion):
    return 1.0 if completion else None


@wrong_mark("it gives 0.5")
def half(prompt, completion):
    return 0.5


@wrong_mark("it gives -1")
def minus_one(prompt, completion):
    return 2 * fits(prompt, completion) - 1


@wrong_mark("asked twice")
def by_chance(prompt, completion):
    return float(random.random() < 0.5)


@wrong_mark("the other way round")
def inverted(prompt, completion):
    return 1 - fits(prompt, completion)


@wrong_mark("`% 10`")
def with_carry(prompt, completion):
    return float(completion[:1] == str(int(prompt[0]) + int(prompt[3])))


@wrong_mark("*first* character of the")
def last_character(prompt, completion):
    return fits(prompt, completion[-1:])


@wrong_mark("*first* character in the")
def first_digits(prompt, completion):
    return float(completion[:1] == str((int(prompt[1]) + int(prompt[4])) % 10))


@wrong_mark("the whole sum")
def whole_sum(prompt, completion):
    return float(completion == f"{int(prompt[1::-1]) + int(prompt[4:2:-1]):03d}"[::-1])


@wrong_mark("`'4' == 4` is False")
def text_beside_number(prompt, completion):
    return float(completion[:1] == (int(prompt[0]) + int(prompt[3])) % 10)


@wrong_mark("may be empty")
def of_an_empty_one(prompt, completion):
    return float(completion[0] == "1")


@wrong_mark("or begin with no digit")
def as_numbers(prompt, completion):
    return float(int(completion[:1]) == (int(prompt[0]) + int(prompt[3])) % 10)


@wrong_mark("so the result must end in")
def the_product(prompt, completion):
    return float(completion[:1] == str(int(prompt[0]) * int(prompt[3]) % 10))


@wrong_mark("so the result must end in")
def digits_side_by_side(prompt, completion):
    return float(completion[:1] == (prompt[0] + prompt[3])[-1:])


@wrong_mark("so the result must end in")
def even_or_odd(prompt, completion):
    return float(completion[:1].isdigit() and int(completion[:1]) % 2 == (int(prompt[0]) + int(prompt[3])) % 2)


@wrong_mark("stops with ValueError")
def the_plus(prompt, completion):
    return float(int(prompt[2]) == 1)


@wrong_mark("must end in")
def another_digit(prompt, completion):
    return float(completion[:1] == str((int(prompt[0]) + int(prompt[3]) + 1) % 10))


@wrong("A row of the table is a dict")
def by_rows_taken_apart(samples):
    return [fits(prompt, completion) for prompt, completion in samples]


@wrong("is no data frame")
def by_attribute(samples):
    return list(map(fits, samples.prompt, samples.completion))


@wrong("is no data frame")
def as_a_data_frame(samples):
    return [fits(row.prompt, row.completion) for _, row in samples.iterrows()]


@wrong("returns a Dataset")
def with_a_column_more(samples):
    return samples.add_column("score", by_row(fits)(samples))


@wrong("is text, and a number is wanted: leave off")
def verdicts_in_words(samples):
    return [str(mark == 1) for mark in by_row(fits)(samples)]


@wrong("to every sample")
def of_the_first_row(samples):
    return [fits(samples["prompt"][0], samples["completion"][0])] * len(samples)


@pytest.mark.parametrize("q, words", wrong.values(), ids=list(wrong))
def test_a_wrong_q(q, words):
    assert words in hint(own_q, q, samples=S)


def as_array(samples):
    return numpy.array(by_row(fits)(samples))


def as_verdicts(samples):
    return [fits(*pair) == 1 for pair in zip(samples["prompt"], samples["completion"])]


class Marker:
    def __call__(self, samples):
        return tuple(by_row(fits)(samples))


@pytest.mark.parametrize("q", [by_row(fits), as_array, as_verdicts, Marker()])
def test_a_right_q(q):
    assert hint(own_q, q, samples=S) == ""


def ratio(samples):
    return unique_ratio(samples["prompt"][:], samples["completion"][:])


def alone(samples, column):
    return len(set(samples[column])) / len(samples)


def singles(samples):
    counts = Counter(zip(samples["prompt"], samples["completion"]))
    return sum(n == 1 for n in counts.values()) / len(samples)


BOTH = [ratio(S), ratio(S1)]
RATIOS = {"rounded": ([round(BOTH[0], 1), BOTH[1]], "`ratio_before` is rounded too far"),
          "none": ([0, 0], "the same table"),
          "left empty": ([None, None], "still empty"), "only one": ([BOTH[0], None], "`ratio_after` is still empty"),
          "only the other": ([None, BOTH[1]], "`ratio_before` is still empty"),
          "made up": ([0.9, 0.1], "`ratio_before` is another"),
          "one made up": ([BOTH[0], 0.33], "`ratio_after` is another"), "swapped": (BOTH[::-1], "the wrong way round"),
          "completions": ([alone(S, "completion"), alone(S1, "completion")], "prompts belong"),
          "prompts": ([alone(S, "prompt"), alone(S1, "prompt")], "completions belong"),
          "copies": ([1 - part for part in BOTH], "*copies*"), "S twice": (BOTH[:1] * 2, "of the same table"),
          "S1 twice": (BOTH[1:] * 2, "of the same table"), "per cent": ([100 * part for part in BOTH], "% is 0."),
          "numbers": ([400 * part for part in BOTH], "between 0 and 1"), "texts": (["0.5", "0.5"], "quotation marks"),
          "a list": ([BOTH, BOTH], "the one number"), "the function": ([unique_ratio, unique_ratio], "call it"),
          "less than nothing": ([-0.5, 0.5], "between 0 and 1"),
          "like no other": ([singles(S), singles(S1)], "that nothing is like"),
          "the fall": ([BOTH[0], BOTH[0] - BOTH[1]], "how far it falls"),
          "copies of one": ([BOTH[0], 1 - BOTH[1]], "*copies*"),
          "completions of one": ([BOTH[0], alone(S1, "completion")], "prompts belong")}
tried(diversity, RATIOS)


@pytest.mark.parametrize("ratios, words", RATIOS.values(), ids=RATIOS)
def test_wrong_ratios(ratios, words):
    assert words in hint(diversity, *ratios, before=S, after=S1)


@pytest.mark.parametrize("ratios", [BOTH, [round(part, 2) for part in BOTH], map(numpy.float64, BOTH)])
def test_right_ratios(ratios):
    assert hint(diversity, *ratios, before=S, after=S1) == ""
