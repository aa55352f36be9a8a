"What a person takes for the same answer is the same; part of an answer, or a number close by, is none."
import math, re, threading, time
from fractions import Fraction

import pytest
import selfloop_nb
from datasets import Dataset
from selfloop_nb.backend.core import ScoringError
from selfloop_nb.scorers.expressions import delimit
from selfloop_nb.scoring import score_samples
from selfloop_nb.text import last_number

# text: the last number in it
NUMBERS = {
    "the result is −5": "-5", "so x = -5.": "-5", "it is .5": "0.5", "x = −.5": "-0.5", "= - 5": "-5",
    "–5 degrees": "-5", "(−5)": "-5", "-$5": "-5", "$-5": "-5", "−$1,200.50": "-1200.50", "**-5**": "-5",
    "3-5": "5", "3–5": "5", "so 7-3": "3", "(10)-5": "5", "COVID-19": "19", "2024-05-01": "01", "- 5 apples": "5",
    "10 - 3 = 7": "7", "5 - -3": "-3",
    "the numbers are 1,2": "2", "1,234,567": "1234567", "1, 234": "234", "12,34": "34", "1,2345": "2345",
    "1,234.50": "1234.50", "1.234,56": "1234.56",
    "12,50 €": "12.50", "3,05": "3.05", "1,00,000": "100000", "−1⁄2": "-1/2",
    "11{,}111": "11111", r"11,\!111": "11111", r"11\,111": "11111", "5'000": "5000",
    "12 000": "12000", "1 050 000": "1050000", "1 234": "234", "1\u00a0234\u00a0567": "1234567",
    "2.5.": "2.5", "$12.": "12", "50%": "50", "**$1,000**": "1000", r"\$1,234": "1234", "18 $": "18", "€5": "5",
    "3/4": "3/4", r"-\frac{3}{4}": "-3/4", r"\dfrac{-3}{4}": "-3/4", r"1\frac{1}{2}": "3/2", "1½ cups": "3/2",
    "10/2 = 5": "5", "9/11/2001": "2001", "1.2.3": "3",
    "1.5E-3": "1.5E-3", "6.02 × 10^23": "6.02e23", r"1.5 \times 10^{-3}": "1.5e-3", "10^6": "1e6",
    "3 * 10^2 = 300": "300", "12 m^2": "12", "2^10": "", "x^2 + 3": "3",
    "12,5 %": "12.5", r"12,5\%": "12.5", "1 200,50 €": "1200.50", "5\u202f000,5": "5000.5", "minus 5": "-5",
    "10 minus 3": "3", "it is negative 0.5": "-0.5", "x1 = 5, so x1": "5", "12 m2": "12", "H2O": "2",
    "3 for USD500": "500", "costs Rs500": "500", r"first 3, so \boxed5": "5",
    "-\u00a05": "-5", "it is −\u202f5": "-5", "-(5)": "-5", "x = -(5.5)": "-5.5", "7 -(5)": "5",
    "答案是5个": "5", "１２": "12", "5km": "5", "5!": "5", "#### 1,234": "1234", r"\boxed{-7}": "-7", "none": ""}


@pytest.mark.parametrize("text", NUMBERS)
def test_the_last_number_as_a_person_reads_it(text):
    number = last_number(text)
    assert number == NUMBERS[text]
    if number: Fraction(number)


def test_long_texts_take_no_longer_than_they_are():
    pieces = ("1", "1 ", "1,", "-", "10^", "000 ", "1/", ".5", "$1", "1 and ", r"\a", "(", "1)", " ", r"\boxed{", "x+")
    def cost(n):
        "CPU seconds for texts of n pieces, at best."
        return min(timed(n) for _ in range(3))

    def timed(n):
        began = time.process_time()
        for piece in pieces:
            last_number(piece * n)
            delimit(piece * n)
        return time.process_time() - began

    assert cost(8000) < 10 * cost(2000), "four times as long, not sixteen"


# (completion, reference)
EQUAL = [
    (r"So the answer is $\frac{9}{7}$.", r"\frac{9}{7}"), (r"\boxed{2\sqrt{3}}", r"2\sqrt{3}"), ("2√3", r"2\sqrt{3}"),
    (r"$x=\boxed{\pi}$", r"\pi"), ("π/2", r"\frac{\pi}{2}"), (r"\boxed{(1,2)}", "(1,2)"), ("x=2 or x=3", r"\{2,3\}"),
    ("1728 and 1331", "1331 and 1728"), (r"\boxed{1331, 1728}", "1331 and 1728"), ("x^2+1", "1+x^2"),
    (r"First \boxed{2}. No: \boxed{3}", "3"), ("x = 5", "5"), ("5", "x=5"), ("0.5", "50%"), ("12,000", "12000"),
    ("12 000", "12000"), ("$12.50", "12.5"), ("−5", "-5"), ("1½", "3/2"), ("1e3", "1000"), ("0.333333", "1/3"),
    ("The answer is 72!", "72"), ("**72**", "72"), ("48/2 = 24. 48+24 = 72", "72"), ("In 2020, 72 people", "72"),
    ("She has 72 clips.", "48/2=<<48/2=24>>24 clips. #### 72"), ("it costs $5 and then $10.", "10"), ("5cm", "5"),
    ("10 x 5 = 50", "50"), ("2003!", "2003!"), ("the answer is 2^{1000}", "$2^{1000}$"), ("B", "B"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), ("12 cm", r"12\text{ cm}"),
    ("12 inches", r"12 \text{ inches}"), (r"12\textrm{ in}", "12"), ("5 m^2", "5"), (r"5 \text{ cm}^2", "5"),
    ("10 m/s", "10"), ("1.234,56 €", "1234.56"), ("3+4=<<3+4=7>>7", "7"), (r"\boxed {5}", "5"), ("<b>5</b>", "5"),
    ("the 2nd", "2"), ("x = - 5", "-5"), ("x=-1", "x+1=0"), ("y=2x+1", "2x-y+1=0"), ("12", "12_5"),
    ("cafe\u0301: 5", "5"), ("1.5 × 10³", "1500"), ("x²+1", "x^2+1"), ("0.333…", "1/3"), (r"0.\overline{3}", "1/3"),
    ("1/6", r"0.1\overline{6}"), ("2.(45)", "27/11"), ("infinity", r"\infty"), ("∅", r"\emptyset"), ("minus 5", "-5"),
    ("It is Monday.", r"\text{Monday}"), (r"\boxed{\text{even}}", r"\text{even}"), ("12,5 %", r"12.5\%"),
    ("(A) or (C)? I choose (C)", "C"), ("The answer is C.", r"\text{C}"), (r"\boxed{\text{(C)}}", "C"),
    (r"(A) is 5 and (B) is 6, so \boxed{C}", r"\textbf{(C)}"), (r"choice A is wrong: $\boxed{\mathrm{C}}$", "(C)"),
    ("答案是72。", "72"), ("一共有1,234个苹果", "1234"), ("所以x=−5。", "-5"), ("（1，2）", "(1,2)"), ("2和3", "2,3"),
    ("答案是十二个。", "12"), ("三百六十五", "365"), ("三分之二", "2/3"), ("百分之五十", "50%"), (r"\boxed{72个}", "72"),
    ("答えは72です。", "72"), ("Ответ72", "72"), ("故选：C。", "C"), ("答案是（B）", "B"), ("选A而不是B。", "A"),
    (r"\boxed{\begin{pmatrix} -1/3 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} -\frac{1}{3} \\ 2 \end{pmatrix}"),
    (r"\boxed{p^2+pq+q^2}", "p^2 + pq + q^2"), (r"$\boxed{\overline{AB}}$", r"\overline{AB}"),
    (r"\boxed{\angle BAC}", r"\angle BAC"), (r"\boxed{0 \le x < 1}", "[0,1)"), (r"\boxed{\varnothing}", r"\emptyset"),
    (r"\boxed{15~\text{cm}}", "15"), (r"\boxed{\text{5 dollars}}", "5"), (r"\boxed{5.}", "5"), (r"\fbox{5}", "5"),
    (r"\boxed{\approx 3.5}", "3.5"), ("A: 5", "5"), ("2x10^8", "2e8"), ("the answer is b.", "B"),
    (r"Therefore, $x=\frac{3}{4}.$", "0.75"), (r"\[ x = 3. \]", "3"), ("2+3 $= 5$", "5"), (r"$\implies x=5$", "5"),
    (r"\[\begin{aligned} x &= 2+4 \\ &= 6 \end{aligned}\]", "6"), ("2.5 × 10^-3", "0.0025"),
    (r"$\bigl(1,2\bigr)$", "(1,2)"), (r"10\ 000", "10000"), ("12 cm²", r"12\text{ cm}^2"),
    ("Step 1: 5\nStep 2: 9", "9"), ("ratio 3: 4", "3:4"), (r"\boxed{\text{The answer is } 5}", "5"),
    ("12.5%", "12.5"), (r"\boxed{12.5}", r"12.5\%"), ("33.3%", "0.333"), ("x>2 or x<-2", r"(-\infty,-2)\cup(2,\infty)"),
    (r"$-2 < x$ and $x < 2$", "(-2,2)"), ("Answer: C\n\nOption D is wrong", "C"), ("I choose C over D", "C"),
    ("C is right, A is not", "C"), ("∴ x = 9", "9"), (r"\boxed{\bf 42}", "42"),
    ("B", "B. Paris"), (r"\boxed{5}", r"\textbf{(B)}\ 5"), (r"\boxed{\textbf{(B)}\ 5}", "B"), (r"\boxed{(B) 5}", "B")]
DIFFERENT = [
    ("1728", "1331 and 1728"), ("1331 and 1728", "1728"), (r"\boxed{2}", r"\{2,3\}"), ("2 or 3", "3"), ("2, 3", "3"),
    ("$2021$", r"$\pm 2021$"), (r"\boxed{2} and \boxed{3}", "3"), ("2, 3, 4, 5, 6, 7, 8, 9", "9"), ("(2,3)", "(3,2)"),
    (r"2\sqrt{3}", "2"), ("2√3", "2"), ("3x", "3"), ("x+1", "x"), ("1 1/2", "1"), ("1e3", "1"), ("10^3", "10"),
    ("3+4i", "3"), ("5:3", "5"), ("2003!", "2003"), (r"\frac{2}{4}x", "1/2"), ("1/2", "2"), ("between 3 and 5", "5"),
    (r"$\frac{1}{2^{98}}$", r"$\frac{1}{2^{99}}$"), ("$0.0000001$", "$0.0000002$"), ("3.0000001", "3"), ("0.33", "1/3"),
    ("1000000", "1000001"), ("100000000000000000000", "100000000000000000001"), ("5", "-5"), ("1,2", "12"),
    ("24", "48/2=<<48/2=24>>24 clips. #### 72"), ("no idea", "72"), ("", "72"), ("x<3", r"x \le 3"), ("y=5", "x=5"),
    ("x+1=0", "x=-1"), ("2x+3=7", "x=2"), ("x=1", "x+1=0"), ("12_5", "12_7"), ("x = - 5", "5"),
    ("12 inches", r"13 \text{ inches}"), ("10⁻³", "10"), ("x²", "x"), ("0.333", "1/3"), ("0.3333", "1/3"),
    ("(A) or (B)", "B"), ("The answer is A or B.", "A"), ("It is not even", r"\text{even}"),
    ("Monday", r"\text{Sunday}"), ("minus 5", "5"), ("not C", "C"), ("It is not (C).", r"\text{C}"),
    (r"\boxed{\text{A or C}}", "C"), (r"\boxed{A} or \boxed{C}", "C"),
    ("答案是72", "73"), ("答案是十二", "2"), ("都是一样的", "1"), ("不是C", "C"), ("答案是A", "B"), ("B", "C. Paris"),
    (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} -\frac{1}{3} \\ 2 \end{pmatrix}"),
    (r"\boxed{q^2}", "p^2 + pq + q^2"), (r"\boxed{\angle XYZ}", r"\angle BAC"), (r"\boxed{0 \le x \le 1}", "[0,1)"),
    ("x < 2", "x > 2"), (r"\boxed{a}", "b"), ("It is not $4$, it is $x=5.$", "4"), (r"$x=\frac{3}{4}.$", "3"),
    ("12.5%", "13.5"), ("12.5", "1.25%"), ("x > 2 or x < -2", "(-2,2)"), ("A triangle has 3 sides", "A"),
    ("C is right, A is not", "A"), ("Step 1: 5\nStep 2: 9", "2/9"), ("10^-3", "10^3")]


def problems(pairs):
    "A sample table of completions and references."
    completions, references = zip(*pairs)
    return Dataset.from_dict({"prompt_id": list(range(len(pairs))), "completion": completions, "answer": references})


def test_maths_takes_what_is_equal_and_nothing_else():
    samples = problems(EQUAL + DIFFERENT)
    scores = selfloop_nb.maths()(samples)
    wrong = [row for row, score in enumerate(scores) if score != (row < len(EQUAL))]
    assert not wrong, samples.select(wrong).to_list()


def test_maths_says_the_same_in_a_thread_and_comes_to_an_end():
    pairs = [("2003!", "2003!"), ("x^2+1", "1+x^2"), ("5", "5"), ("9^{9^{9}}", "1"), (r"\boxed{72}", "72")]
    q = selfloop_nb.maths(seconds=4)
    scores = []
    thread = threading.Thread(target=lambda: scores.extend(q(problems(pairs))))
    thread.start()
    thread.join()
    assert str(q(problems(pairs))) == str(scores) and [s for s in scores if s == s] == [1] * 4


def test_the_calculator_is_replaced_when_it_dies():
    from selfloop_nb.scorers.maths import _calculator
    q = selfloop_nb.maths(seconds=20)
    assert q(problems([("1", "1")])) == [1]
    _calculator.process.kill()
    assert q(problems([("17", "17.0")])) == [1]


@pytest.mark.parametrize("name, settings, reference", [
    ("maths", {}, "Tuesday"), ("word_f1", {}, "?!"), ("rouge", {}, "…"),
    ("exact_match", dict(normalise=last_number), "none")])
def test_a_reference_that_nothing_can_equal_is_named_and_no_zero(name, settings, reference):
    q = getattr(selfloop_nb, name)(**settings)
    samples = problems([("5", "5")] * 19 + [("5", reference)])
    message = f"no answer can equal the reference {reference!r} of prompt"
    for scorer in (q, selfloop_nb.mean_of(q, selfloop_nb.no_repetition())):
        scored = score_samples(samples, scorer)
        assert [math.isnan(score) for score in scored["score"]] == [False] * 19 + [True]
        assert f"{message} 19" in scored["reason"][19]
    hopeless = problems([("5", reference)] * 5)
    with pytest.raises(ScoringError, match=re.escape(f"{message} 0")): score_samples(hopeless, q)


def test_numbers_of_a_column_in_which_one_is_missing_stay_whole():
    samples = Dataset.from_dict({"prompt_id": [0, 1], "completion": ["72", "nan"], "answer": [72.0, math.nan]})
    scores = selfloop_nb.exact_match()(samples)
    assert scores[0] == 1 and math.isnan(scores[1])


def test_numbers_are_compared_by_value_and_texts_as_unicode_means_them():
    pairs = [("it is 72.00", "72"), ("0.5", "1/2"), ("1,000", "1000.0"), ("71", "72")]
    assert selfloop_nb.exact_match(normalise=last_number)(problems(pairs)) == [1, 1, 1, 0]
    said = Dataset.from_dict({"prompt_id": [0, 0, 0], "completion": ["it is 12.50", "$12.5", "13"]})
    assert selfloop_nb.agreement(last_number)(said) == [2 / 3, 2 / 3, 1 / 3]
    assert selfloop_nb.exact_match()(problems([("caf\u00e9", "cafe\u0301")])) == [1]


@pytest.mark.parametrize("completion, reference", [
    ("10:30", "11:30"), ("(1, 2)", "(3, 2)"), ("2√3", "5√3"), ("2024-05-01", "2023-05-01"), ("2 or 3", "5 or 3")])
def test_a_reference_of_several_numbers_is_not_compared_by_its_last(completion, reference):
    score, = selfloop_nb.exact_match(normalise="last_number")(problems([(completion, reference)]))
    assert math.isnan(score) and repr(reference) in score.reason


@pytest.mark.parametrize("completion, reference, score", [
    ("es sind 3,5 m", "3,5", 1), ("4,5", "3,5", 0), ("3.5", "3,5", 1), ("3,5", "3.5", 1), ("1,234", "1234", 1),
    ("0,125", "0,125", 1), ("1,5", "5", 1)])
def test_a_decimal_may_have_a_comma(completion, reference, score):
    assert selfloop_nb.exact_match(normalise="last_number")(problems([(completion, reference)])) == [score]
