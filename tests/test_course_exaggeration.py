"The lab on bias: the judge is what it says; each wrong answer is answered with a sentence that leads on."
from collections import Counter

import pandas, pytest

from selfloop_nb.course.exaggeration import job_samples, job_shares, order_of_losses, own_rebalance
from selfloop_nb.course.exaggeration import rounds_above, rounds_to_dominate, share_of_m, word_judge
from wrong_answers import NO_NUMBERS, Wrong, hint, tried

SAMPLES, SHARES = job_samples()
LOSSES = {"neutral": 0.29, "half real": 0.292, "taste": 0.33, "no copies": 0.346, "cold": 0.7}


def test_the_samples_exaggerate():
    assert share_of_m(SAMPLES) > sum(SHARES.values()) / 20 + 0.05 and SHARES == job_shares(0) != job_shares(1)


@pytest.mark.parametrize("keeps_f", [1.2, -0.1, float("nan")])
def test_a_taste_is_a_share(keeps_f):
    with pytest.raises(ValueError, match="it is a share"):
        word_judge(keeps_f)


def test_a_neutral_temperature_takes_for_ever_and_a_cold_one_is_quick():
    assert rounds_above(0.7, 0.5, 0.95) < rounds_above(0.7, 0.8, 0.95) < rounds_above(0.7, 0.95, 0.95)


ROUNDS = {**NO_NUMBERS, "one too few": (5, "round up"), "by share": (2, "not the share"),
          "by odds": (10, "take a power"),
          "not rounded": (5.58, "whole"), "round 1 forgotten": (7, "count that one"), "none": (0, "70% are m"),
          "far too many": (100, "earlier round"), "far too few": (1, "too early"), "a lost sign": (-6, "lose its sign"),
          "a share": (0.95, "whole"), "the logarithm": (-5.58, "lose its sign"), "four": (4, "too early"),
          "twice as many": (12, "earlier round"), "three": (3, "too early"), "the temperature": (0.8, "whole")}
tried(rounds_to_dominate, ROUNDS)


@pytest.mark.parametrize("rounds, words", ROUNDS.values(), ids=list(ROUNDS))
def test_a_wrong_number_of_rounds(rounds, words):
    assert words in hint(rounds_to_dominate, rounds, p=0.7, temperature=0.8, above=0.95)


ORDERS = {"left empty": (None, "still empty"), "a name": ("neutral", "is text"), "a dict": (LOSSES, "a dict"),
          "numbers": ([1, 2, 3, 4, 5], "holds an int"), "the losses": (list(LOSSES.values()), "holds a float"),
          "one missing": (["neutral", "half real", "taste", "no copies"], "'cold' is missing"),
          "one twice": (["neutral", "neutral", "taste", "no copies", "cold"], "stands twice"),
          "an unknown one": (["neutral", "half real", "taste", "warm", "cold"], "no line 'warm'"),
          "letters": (sorted(LOSSES), "stands behind"), "pairs": (sorted(LOSSES.items()), "holds a tuple"),
          "capitals": (["Neutral", "half real", "taste", "no copies", "cold"], "no line 'Neutral'"),
          "a set": (set(LOSSES), "a set"), "a view": (LOSSES.keys(), "a list of names"),
          "backwards": (list(LOSSES)[::-1], "from the worst to the best"),
          "cold too early": (["neutral", "half real", "taste", "cold", "no copies"], "'no copies' stands behind"),
          "taste last": (["neutral", "half real", "no copies", "cold", "taste"], "'taste' stands behind 'cold'"),
          "cold first": (["cold", "neutral", "half real", "taste", "no copies"], "'neutral' stands behind 'cold'"),
          "one text": ([", ".join(LOSSES)], "no line"), "with a blank": ([f"{name} " for name in LOSSES], "no line"),
          "a series": (pandas.Series(LOSSES), "holds a float"), "numbered": (list(enumerate(LOSSES)), "holds a tuple"),
          "mixed up": (["taste", "neutral", "cold", "half real", "no copies"], "1 more pairs")}
tried(order_of_losses, ORDERS)


@pytest.mark.parametrize("order, words", ORDERS.values(), ids=list(ORDERS))
def test_a_wrong_order(order, words):
    assert words in hint(order_of_losses, order, losses=LOSSES)


def test_right_answers():
    assert hint(rounds_to_dominate, 6, p=0.7, temperature=0.8, above=0.95) == ""
    for order in (list(LOSSES), pandas.Index(LOSSES), ["half real", "neutral", "taste", "no copies", "cold"]):
        assert hint(order_of_losses, order, losses=LOSSES) == ""


def rebalanced(odds, part=1.0):
    "A rule that keeps a job's f, and m at some odds to them; or a part of both."
    def keep(samples, shares):
        rows = list(zip(samples["job"], samples["completion"]))
        there_are, kept = Counter(rows), Counter()
        marks = []
        for job, word in rows:
            n_f = round(part * there_are[job, "f"])
            allowed = n_f if word == "f" else round(n_f * odds(shares[job]))
            marks.append(kept[job, word] < allowed)
            kept[job, word] += 1
        return marks
    return keep


def right_odds(share):
    return share / (1 - share)


wrong = tried(own_rebalance, Wrong())
wrong["empty"] = None, "still empty"
wrong["marks"] = [True] * 1000, "not what it returns"
wrong["half and half"] = rebalanced(lambda share: 1), "another bias"
wrong["one share"] = rebalanced(lambda share: 0.7 / 0.3), "most jobs get one share"
wrong["only f"] = rebalanced(lambda share: 0), "lost altogether"
wrong["share for odds"] = rebalanced(lambda share: share), "too few m"
wrong["swapped"] = rebalanced(lambda share: 1 / right_odds(share)), "changed places"
wrong["too mild"] = rebalanced(lambda share: 2 * right_odds(share)), "too many m"
wrong["half of it"] = rebalanced(right_odds, 0.5), "keep more"


@wrong("still empty")
def stub(samples, shares):
    ...


@wrong("too many m")
def everything(samples, shares):
    return [True] * len(samples)


@wrong("keeps nothing")
def nothing(samples, shares):
    return [False] * len(samples)


@wrong("lost altogether")
def only_m(samples, shares):
    return [word == "m" for word in samples["completion"]]


@wrong("forgets that job")
def one_job(samples, shares):
    return [job == "doctor" and keep for job, keep in zip(samples["job"], rebalanced(right_odds)(samples, shares))]


@wrong("it gives 0.")
def weights(samples, shares):
    return [shares[job] if word == "m" else 1 - shares[job] for job, word in zip(samples["job"], samples["completion"])]


@wrong("numbers for 1000 rows")
def numbers_of_rows(samples, shares):
    return [i for i, keep in enumerate(rebalanced(right_odds)(samples, shares)) if keep]


@wrong("is written as `keep(shares, samples)`")
def arguments_swapped(shares, samples):
    return rebalanced(right_odds)(samples, shares)


@wrong("stops with KeyError: 'plumber'")
def of_an_unknown_job(samples, shares):
    return [shares["plumber"] > 0.5] * len(samples)


@wrong("numbers for 1000 rows")
def the_rows_themselves(samples, shares):
    return [row for row, keep in zip(samples, rebalanced(right_odds)(samples, shares)) if keep]


@wrong("is called with 2 arguments")
def without_shares(samples):
    return [True] * len(samples)


@wrong("forget `return`")
def forgetting(samples, shares):
    rebalanced(right_odds)(samples, shares)


@wrong(f"There is {list(SHARES)[0]}")
def by_prompt(samples, shares):
    return [shares[prompt] > 0.5 for prompt in samples["prompt"]]


@wrong("m, and D_train has")
def one_number_for_all_jobs(samples, shares):
    left = round(samples["completion"][:].count("f") * 0.7 / 0.3)
    marks = []
    for word in samples["completion"]:
        marks.append(word == "f" or left > 0)
        left -= word == "m"
    return marks


@wrong("keep more")
def twenty_of_each(samples, shares):
    left = {(job, "m"): round(20 * share) for job, share in shares.items()}
    left |= {(job, "f"): 20 - left[job, "m"] for job in shares}
    marks = []
    for pair in zip(samples["job"], samples["completion"]):
        marks.append(left[pair] > 0)
        left[pair] -= 1
    return marks


@wrong("changes what it is given")
def using_up_the_shares(samples, shares):
    return [shares.pop(job, 0) > 0 for job in samples["job"]]


@wrong("leave off the quotation marks")
def verdicts_in_words(samples, shares):
    return list(map(str, rebalanced(right_odds)(samples, shares)))


@pytest.mark.parametrize("keep, words", wrong.values(), ids=list(wrong))
def test_a_wrong_rule(keep, words):
    assert words in hint(own_rebalance, keep, samples=SAMPLES, shares=SHARES)


def test_a_right_rule():
    assert hint(own_rebalance, rebalanced(right_odds), samples=SAMPLES, shares=SHARES) == ""
