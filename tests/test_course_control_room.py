"Lab 2: each wrong answer is answered with a sentence that leads on; a fair comparison is one, whatever was changed."
import pytest
from datasets import Dataset

from selfloop_nb import FineTune, Loop, Quantile, Replace, Sampling, TopK, addition, open_run, sweep, tiny_llama
from selfloop_nb.course.control_room import fooled_by, own_experiment, strict_enough, try_line
from selfloop_nb.filters.preview import ThresholdPreview
from wrong_answers import NO_NUMBERS, Wrong, hint, tried


def rows(right):
    "Samples of rising score, from 0 to 1, of which some are right."
    return Dataset.from_list([row(i, i / len(right), is_right) for i, is_right in enumerate(right)])


def row(i, score, is_right):
    "One of them; the first four were not kept."
    verdict = dict(state="kept", reason="") if i >= 4 else dict(state="rejected", reason="below theta")
    return dict(prompt_id=str(i), prompt=f"{i}+0=", completion=f"{i} or {i + 1}", answer=str(i), n_tokens=3,
                finished=True, score=score, correct=is_right, **verdict)


SAMPLES = rows([i % 5 == 0 if i < 20 else i != 25 for i in range(40)])
TOPPED = rows([10 <= i < 38 for i in range(40)]) # the two best by score are wrong
EMPTY = rows([False] * 40)
THETAS = {**NO_NUMBERS, "too low": (0.1, "go higher"), "lowest": (0, "go higher"), "negative": (-3, "go higher"),
          "a little low": (0.3, "go higher"), "a little high": (0.7, "go lower"), "too high": (0.95, "go lower"),
          "keeps nothing": (0.99, "go lower"), "above the range": (1.5, "go lower"), "per cent": (80, "go lower"),
          "a keep rule": (TopK(1), "is a TopK"),
          "what it keeps": (ThresholdPreview(SAMPLES).at(0.5), "is a KeptMetrics"),
          "a number of samples": (17, "go lower")}
tried(strict_enough, THETAS)


@pytest.mark.parametrize("theta, words", THETAS.values(), ids=THETAS)
def test_a_wrong_theta(theta, words):
    assert words in hint(strict_enough, theta, preview=ThresholdPreview(SAMPLES))


def test_where_the_best_by_score_are_wrong_the_way_is_down():
    assert "not the right ones here. Go lower" in hint(strict_enough, 0.95, preview=ThresholdPreview(TOPPED))
    assert "M_0 knows too little" in hint(strict_enough, 0.5, preview=ThresholdPreview(EMPTY))


def test_a_right_theta():
    assert hint(strict_enough, 15 / 40, preview=ThresholdPreview(SAMPLES)) == ""


FOOLED = {"in quotation marks": ("25", "quotation marks"), "two rows": ((25, 19), "the one number"),
          "far off": (10**400, "too large"), "left empty": (None, "still empty"),
          "a row": (SAMPLES[5], "the row or its id"),
          "an id": ("2-sample-80-0", "its id"), "a score": (0.5, "a score"),
          "far outside": (10**6, "the rows are 0 to 39"), "just outside": (40, "the rows are 0 to 39"),
          "from the end": (-1, "counts from the end"), "rejected": (1, "look among the kept"),
          "right": (30, "is right"), "a list": ([5], "the one number"), "yes": (True, "True or False"),
          "nan": (float("nan"), "nan"), "a function": (max, "call it"), "the lowest": (4, "have a higher score"),
          "a float beyond": (1e300, "the rows are"), "a problem": ("12+34=", "its id"),
          "a table": (SAMPLES, "the one number"), "counted from one": (26, "is right")}
tried(fooled_by, FOOLED)


@pytest.mark.parametrize("fooled, words", FOOLED.values(), ids=FOOLED)
def test_a_wrong_row(fooled, words):
    assert words in hint(fooled_by, fooled, samples=SAMPLES)


@pytest.mark.parametrize("fooled", [25, 25.0, 19])
def test_a_right_row(fooled):
    assert hint(fooled_by, fooled, samples=SAMPLES) == ""


def loop_in(folder, seed=0):
    "A loop that takes a moment a round."
    def sure(samples):
        return [2.0 ** q for q in samples["logprob"]]
    task = addition(digits=1, n_train=20, n_prompts=8, n_heldout=4, seed=seed)
    loop = Loop(tiny_llama(task, layers=1, width=16), task, score=sure, select=TopK(1, finished=False),
                initial=FineTune(steps=2), tune=FineTune(steps=1), sampling=Sampling(n_samples=2, max_new_tokens=3),
                store=folder, seed=seed, progress=False)
    loop.start()
    return loop


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    loop = loop_in(tmp_path_factory.mktemp("strict") / "run")
    loop.run(rounds=2)
    return loop


EXPECTED = "more of them will pass"


def said(mine, strict, expected=EXPECTED):
    return hint(own_experiment, mine, expected, beside=strict)


CHANGES = [dict(temperature=1.3), dict(mix=Replace()), dict(select=Quantile(0.5)), dict(steps=2)]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
def test_one_setting_is_a_fair_comparison(strict, changed):
    assert said(try_line(strict, **changed), strict) == ""
    again = try_line(strict, **changed)
    assert said(open_run(strict.store.path, again.store.branch), strict) == "", "the cell was run again"


# What is given for a line, of the line that it is held against, and for what is expected of it.
lines = tried(own_experiment, Wrong())
HOT = dict(temperature=1.3)


@lines("`mine` is still empty")
def left_empty(strict):
    return None, EXPECTED


@lines("not its name")
def its_name(strict):
    return "mine", EXPECTED


@lines("`run` returns the history")
def the_history(strict):
    return strict.history(), EXPECTED


@lines("a function")
def the_method(strict):
    return strict.branch, EXPECTED


@lines("a list")
def a_list(strict):
    return [strict], EXPECTED


@lines("a dict")
def settings(strict):
    return HOT, EXPECTED


@lines("Path")
def its_folder(strict):
    return strict.store.path, EXPECTED


@lines("the other line itself")
def the_other_line(strict):
    return strict, EXPECTED


@lines("change one")
def the_same_again(strict):
    return try_line(strict), EXPECTED


@lines("mix and sampling differ")
def two_settings(strict):
    return try_line(strict, mix=Replace(), **HOT), EXPECTED


@lines("`expected` is still empty")
def nothing_expected(strict):
    return try_line(strict, **HOT), None


@lines("`expected` is still empty")
def a_blank(strict):
    return try_line(strict, **HOT), " "


@lines("in quotation marks")
def a_figure(strict):
    return try_line(strict, **HOT), 0.9


@lines("a sentence")
def one_word(strict):
    return try_line(strict, **HOT), "more"


@lines("not its name")
def both_swapped(strict):
    return EXPECTED, "mine"


@lines("is the class Loop")
def the_class(strict):
    return Loop, EXPECTED


@lines("holds many lines")
def a_sweep(strict):
    return sweep(strict, rounds=2, temperature=[1.3], progress=False), EXPECTED


@lines("a list of 3")
def its_rounds(strict):
    return strict.rounds, EXPECTED


@lines("a sentence")
def in_a_list(strict):
    return try_line(strict, **HOT), [EXPECTED]


@pytest.mark.parametrize("given, words", lines.values(), ids=list(lines))
def test_what_is_no_experiment(strict, given, words):
    mine, expected = given(strict)
    assert words in said(mine, strict, expected)


def test_a_line_of_another_run(strict, tmp_path):
    assert "an M_0 of its own" in said(loop_in(tmp_path / "other", seed=1), strict)


def test_too_few_and_too_many_rounds(strict):
    line = strict.branch("hot", round=0, sampling=Sampling(n_samples=2, max_new_tokens=3, temperature=2.0))
    assert "0 of 2 rounds" in said(line, strict)
    line.run(rounds=1)
    assert "1 of 2 rounds" in said(line, strict)
    line.run(rounds=2)
    assert "mine has 3 rounds and the other line 2" in said(line, strict)
