"Work done in another order, or by others, gives the same bytes; answers that are mixed up are refused."
import random
from dataclasses import replace

import pytest

from selfloop_nb import Quantile, Sampling, agreement, confidence, length, likelihood, mean_of, sentiment, tiny_llama
from selfloop_nb import train_classifier, verifier
from selfloop_nb.backend.workers import Here
from selfloop_nb.backend.core import SelfloopError
from selfloop_nb.scoring import Context, as_scorer, run_scorer
from small import half_digits, small_loop, small_task

pytestmark = pytest.mark.usefixtures("warm_python")


def made(loop):
    "All that a run has made, but for the times."
    return [(r.id, r.config, r.counts, repr(r.metrics), r.files) for r in loop.rounds]


def has_low_digit(row): return any(c in "01234" for c in row["completion"])


def looped(store, **changed):
    "A loop that asks for all that can be done elsewhere."
    task = changed.pop("task", None) or small_task()
    model = tiny_llama(task, width=32)
    score = verifier(has_low_digit) + 0.1 * likelihood(model) + 0.1 * as_scorer(half_digits)
    asked = dict(score=score, audit=verifier(has_low_digit) + agreement(), drift=True, select=Quantile(0.5),
                 measures={"low": verifier(has_low_digit)})
    return small_loop(store, task=task, model=model, **{**asked, **changed})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    loop = looped(tmp_path_factory.mktemp("here") / "run")
    loop.run(rounds=2)
    return made(loop)


class Backwards(Here):
    "The last piece first, and a count of what was done."
    def __init__(self): self.works = {}

    def map(self, work, common, keys, *how):
        self.works.setdefault(work.work.__name__, []).append(list(keys))
        yield from super().map(work, common, list(keys)[::-1], *how)


def test_the_order_does_not_matter(tmp_path, undisturbed):
    workers = Backwards()
    loop = looped(tmp_path / "run", workers=workers)
    loop.run(rounds=2)
    assert made(loop) == undisturbed
    parts = {"sample_chunk", "run_scorer", "_all_checked", "_summed_loss", "mean_logprobs"}
    assert parts == set(workers.works), "what can be done elsewhere was"
    assert max(map(len, workers.works["sample_chunk"])) > 3


def test_the_texts_of_large_tables_are_cut_by_the_workers(tmp_path, undisturbed, monkeypatch):
    import selfloop_nb.sampling, selfloop_nb.backend.rows
    monkeypatch.setattr(selfloop_nb.sampling, "CUT_AT_ONCE", 1)
    monkeypatch.setattr(selfloop_nb.backend.rows, "ENCODED_AT_ONCE", 3)
    workers = Backwards()
    loop = looped(tmp_path / "run", workers=workers)
    loop.run(rounds=2)
    assert made(loop) == undisturbed
    assert set(map(len, workers.works["_cut"])) == {20, 30} and max(map(len, workers.works["_encoded"])) > 20


def test_who_works_is_no_part_of_a_round(tmp_path):
    assert looped(tmp_path / "a").config() == looped(tmp_path / "b", workers=Backwards()).config()
    branch = looped(tmp_path / "c", workers=Backwards())
    branch.start()
    assert branch.branch("other").workers is branch.workers


class Swapping(Here):
    "Takes one answer for another, of the same kind and size."
    def map(self, *how):
        answers = list(super().map(*how))
        keys = [key for key, _ in answers]
        yield from zip(keys, [answer for _, answer in answers[1:] + answers[:1]])


class Twice(Here):
    def map(self, *how):
        for answer in super().map(*how): yield from [answer, answer]


class Losing(Here):
    def map(self, *how): yield from list(super().map(*how))[1:]


@pytest.mark.parametrize("kind", [Swapping, Twice, Losing])
def test_answers_that_are_mixed_up_are_refused(tmp_path, kind):
    loop = small_loop(tmp_path / "run", workers=kind())
    with pytest.raises(SelfloopError, match=f"{kind.__name__}.map"): loop.run(rounds=1)
    assert len(loop.rounds) < 2


class Torn(Here):
    "Gives up after so many pieces; the pieces that it did count."
    def __init__(self, most): self.most, self.n_done = most, 0

    def map(self, *how):
        for answer in super().map(*how):
            self.n_done += 1
            yield answer
            if self.n_done >= self.most: raise ConnectionError("the workers are away")


def test_what_was_done_is_not_done_again(tmp_path, undisturbed):
    loop = looped(tmp_path / "run")
    loop.start()
    loop.workers = Torn(3)
    with pytest.raises(ConnectionError): loop.step()
    n_parts = len(list((tmp_path / "run").glob("generated/*/parts/*")))
    assert n_parts == 3
    loop.workers = counted = Backwards()
    loop.run(rounds=1)
    assert made(loop) == undisturbed[:2]
    assert min(counted.works["sample_chunk"][0]) == 3, "the first three were there"


def test_a_stop_is_heard_between_pieces(tmp_path, undisturbed):
    loop = looped(tmp_path / "run", workers=Backwards())
    def stop_early(event):
        if event.kind == "progress" and event.phase == "sample" and 3 * event.data["done"] > event.data["total"]:
            loop.stop()
    loop.on(stop_early)
    loop.run(rounds=2)
    assert len(loop.rounds) == 1
    loop.control.off(stop_early)
    loop.run(rounds=1)
    assert made(loop) == undisturbed[:2]


def test_what_cannot_work_is_refused(tmp_path):
    for wrong in (3, Here, None):
        with pytest.raises(ValueError, match="workers="): looped(tmp_path / "run", workers=wrong)


class Apart(Here):
    "Scores the prompts one at a time, the last first."
    def map(self, work, common, keys, piece, *how):
        yield from super().map(work, common, list(keys)[::-1], piece, *how)


def apart_scorers():
    yield verifier(has_low_digit)
    yield length(1, 3)
    yield sentiment()
    yield mean_of(verifier(has_low_digit), length(1, 3))
    yield train_classifier(["12", "34", "57", "88"], [True, True, False, False])


@pytest.mark.parametrize("scorer", list(apart_scorers()), ids=lambda scorer: scorer.name)
def test_scorers_that_work_apart_give_the_same_bits(scorer, monkeypatch):
    from datasets import Dataset
    from selfloop_nb import scoring
    assert scorer.apart
    rows = [dict(prompt_id=n // 4, prompt=f"{n // 4}+{n}=", completion=str(n * 37 % 101), answer=str(n % 9))
            for n in range(80)]
    samples = Dataset.from_list(rows)
    whole = scoring.score_samples(samples, scorer)
    monkeypatch.setattr(scoring, "ROWS", 8)
    pieces = scoring.score_samples(samples, scorer, workers=Apart())
    assert repr(pieces.to_dict()) == repr(whole.to_dict())


@pytest.mark.parametrize("name", ["exact_match", "chrf", "word_f1"])
def test_references_are_compared_elsewhere_and_missed_here(name, tmp_path, monkeypatch):
    "The first rows have no reference: a piece without any is no table without any."
    import selfloop_nb
    from datasets import Dataset
    from selfloop_nb.scorers import references
    monkeypatch.setattr(references, "AT_ONCE", 8)
    rows = [dict(prompt_id=n // 4, prompt=f"{n}=", completion=str(n * 37 % 101), answer="" if n < 12 else str(n % 9))
            for n in range(80)]
    samples, scorer = Dataset.from_list(rows), getattr(selfloop_nb, name)()
    context = Context(tmp_path, 1, "", 0, print, lambda: False, workers=Backwards())
    here, there = (run_scorer(one, samples) for one in (scorer, scorer.bound(context, samples)))
    assert repr(there) == repr(here) and "_verdicts" in context.workers.works
    assert scorer.bound(Context(tmp_path, 1, "", 0, print, bool), samples) is scorer


def heads_or_tails(row): return random.random() < 0.5


class Forwards(Here):
    "Others, who do the pieces in turn."


@pytest.mark.parametrize("in_score", [False, True], ids=["the task's check", "the scorer's check"])
def test_what_a_check_draws_is_the_same_whoever_asks_it(tmp_path, monkeypatch, in_score):
    from selfloop_nb import scoring, tasks
    monkeypatch.setattr(scoring, "ROWS", 5)
    monkeypatch.setattr(tasks, "CHECKED_AT_ONCE", 5)
    task = replace(small_task(), check=has_low_digit if in_score else heads_or_tails)
    score = verifier(heads_or_tails) if in_score else verifier()
    in_turn, backwards = (
        small_loop(tmp_path / type(workers).__name__, task=task, score=score, select=Quantile(0.5), workers=workers)
        for workers in (Forwards(), Backwards()))
    for loop in (in_turn, backwards): loop.run(rounds=1)
    assert made(in_turn) == made(backwards)


def test_scorers_that_look_across_prompts_stay_here():
    for scorer in (agreement(), confidence(), as_scorer(half_digits)): assert not scorer.apart


def test_a_counter_never_goes_back():
    from selfloop_nb.backend.drawing import Counter
    heard = []
    counter = Counter(100, lambda done, total: heard.append(done))
    for n in (10, 10, 10): counter.add(n)
    counter.end(20)
    counter.add(5)
    for _ in range(4): counter.end(20)
    assert heard == sorted(heard) and heard[-1] == 100 == max(heard)


def test_templates_and_refill_settings_keep_their_chunks(tmp_path):
    "Several ways to ask, in another order."
    how = Sampling(tokens_per_batch=60, templates=("{prompt}", "1+{prompt}"))
    both = [looped(tmp_path / str(n), sampling=how, **more) for n, more in enumerate([{}, {"workers": Backwards()}])]
    for loop in both: loop.run(rounds=1)
    assert made(both[0]) == made(both[1])
