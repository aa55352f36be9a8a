"The lab on voting: what a jury, a vote and thirty ratings can know; each wrong answer is answered with a sentence."
from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfloop_nb.course.crowd import go_on_from, jury, jury_right, own_vote, vote_samples
from selfloop_nb.scoring import agreement
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

SAMPLES = vote_samples()


@given(st.integers(0, 20), st.floats(0.01, 0.99))
def test_a_jury_is_right_or_wrong(half, p):
    n = 2 * half + 1
    assert jury(n, p) + jury(n, 1 - p) == pytest.approx(1)
    assert (jury(n + 2, p) - jury(n, p)) * (p - 0.5) >= -1e-12, "a larger jury is surer of what its members lean to"


JURIES = {**NO_NUMBERS, "the wrong side": (0.2666, "other side"), "one juror": (0.6, "one juror alone"),
          "exactly five": (0.2508, "*exactly* 5"), "from four on": (0.9006, "4 of 9 are no majority"),
          "from six on": (0.4826, "5 of 9 are a majority"), "at least one": (0.9997, "at least one"),
          "all": (0.0101, "*all* are right"), "five given ones": (0.0778, "5 given jurors"), "coins": (0.5, "coins"),
          "their number": (5.4, "a share"), "per cent": (73.3, "73.3 % is 0.733"), "rounded": (0.7, "rounded too far"),
          "not all": (0.9899, "*not all*"), "worse": (0.55, "gains by a vote"),
          "made up": (0.8, "add up the chances"), "below nothing": (-0.1, "a share lies"),
          "of three": (0.648, "a jury of 3"), "of eleven": (0.7535, "a jury of 11"),
          "five of nine": (5 / 9, "gains by"),
          "without the wrong ones": (14.886, "a share lies")}
tried(jury_right, JURIES)


@pytest.mark.parametrize("majority, words", JURIES.values(), ids=list(JURIES))
def test_a_wrong_jury(majority, words):
    assert words in hint(jury_right, majority, n=9, p=0.6)


COUNTS = {**NO_NUMBERS, "a bare majority": (16, "of all samples"), "half": (15, "no majority even"),
          "one too few": (20, "It takes more"), "one too many": (22, "fewer do"), "all": (30, "all of them"),
          "more than there are": (31, "only 30"), "a share": (0.7, "how many samples"), "none": (0, "no majority even"),
          "a lost sign": (-21, "a number of samples"), "a part": (20.5, "samples are whole"), "many": (28, "fewer do"),
          "one-sided": (19, "It takes more"), "per cent": (70, "only 30"),
          "from so many on": (range(21, 31), "the one number")}
tried(go_on_from, COUNTS)


@pytest.mark.parametrize("n_right, words", COUNTS.values(), ids=list(COUNTS))
def test_a_wrong_stop_rule(n_right, words):
    assert words in hint(go_on_from, n_right, n=30)


def test_right_numbers():
    assert hint(jury_right, 0.7334, n=9, p=0.6) == hint(go_on_from, 21, n=30) == ""


def pairs_of(samples):
    return list(zip(samples["prompt"], samples["completion"]))


def counted(passes):
    "A vote by: how often a sample's answer is given, how often its problem was asked -> does it pass?"
    def vote(samples):
        pairs = pairs_of(samples)
        same, asked = Counter(pairs), Counter(prompt for prompt, _ in pairs)
        return [float(passes(same[pair], asked[pair[0]])) for pair in pairs]
    return vote


wrong = tried(own_vote, Wrong())
wrong["empty"] = None, "still empty"
wrong["marks"] = [1.0] * 54, "not what it returns"
wrong["half"] = counted(lambda same, asked: 2 * same >= asked), "half is not more than half"
wrong["unanimous"] = counted(lambda same, asked: same == asked), "more than half is enough"
wrong["twice"] = counted(lambda same, asked: same > 1), "said twice"
wrong["minority"] = counted(lambda same, asked: 2 * same <= asked), "the other way round"
wrong["everybody"] = counted(lambda same, asked: True), "tells nothing"
wrong["nobody"] = counted(lambda same, asked: same > asked), "passes nothing"
wrong["three"] = counted(lambda same, asked: same >= 3), "the most frequent answer"
wrong["five"] = counted(lambda same, asked: same > 4), "not every problem has eight"
wrong["without itself"] = counted(lambda same, asked: 2 * (same - 1) > asked), "say so"
wrong["six"] = counted(lambda same, asked: same >= 6), "say so"


@wrong("still empty")
def stub(samples):
    ...


@wrong("it gives 0.125")
def shares(samples):
    return agreement()(samples.add_column("prompt_id", samples["prompt"][:]))


@wrong("that may be two of eight")
def most_frequent(samples):
    pairs = pairs_of(samples)
    most = {prompt: Counter(text for p, text in pairs if p == prompt).most_common(1)[0][1] for prompt, _ in pairs}
    return [float(pairs.count(pair) == most[pair[0]]) for pair in pairs]


@wrong("passes nothing")
def over_the_whole_table(samples):
    texts = samples["completion"][:]
    return [float(2 * texts.count(text) > len(texts)) for text in texts]


@wrong("compared with each other")
def eight_neighbours(samples):
    texts = samples["completion"][:]
    eights = [texts[i - i % 8:i - i % 8 + 8] for i in range(len(texts))]
    return [float(2 * eight.count(text) > 8) for eight, text in zip(eights, texts)]


@wrong("There is prompt, completion. A vote knows no solution")
def by_the_key(samples):
    return [float(text == answer) for text, answer in zip(samples["completion"], samples["answer"])]


@wrong("invalid literal")
def of_numbers(samples):
    return [float(int(prompt)) for prompt in samples["prompt"]]


@wrong("7 numbers for 54 rows")
def one_a_problem(samples):
    return [1.0] * len(set(samples["prompt"]))


@wrong("forget `return`")
def forgetting(samples):
    pairs_of(samples)


@wrong("`return` in place of `print`")
def printing(samples):
    print([1.0] * len(samples))


@wrong("need not stand beside")
def of_neighbours(samples):
    groups = groupby(pairs_of(samples), key=lambda pair: pair[0])
    found = [[text for _, text in group] for _, group in groups]
    return [float(2 * texts.count(text) > len(texts)) for texts in found for text in texts]


@wrong("samples of")
def over_all_problems(samples):
    texts = samples["completion"][:]
    return [float(texts.count(text) > 4) for text in texts]


@wrong("samples of")
def in_an_order_of_its_own(samples):
    pairs = sorted(pairs_of(samples))
    return [float(2 * pairs.count(pair) > len([0 for prompt, _ in pairs if prompt == pair[0]])) for pair in pairs]


@wrong("returns a dict")
def by_problem(samples):
    return {prompt: text for prompt, text in pairs_of(samples)}


@pytest.mark.parametrize("vote, words", wrong.values(), ids=list(wrong))
def test_a_wrong_vote(vote, words):
    assert words in hint(own_vote, vote, samples=SAMPLES)


def test_a_right_vote():
    assert hint(own_vote, counted(lambda same, asked: 2 * same > asked), samples=SAMPLES) == ""
