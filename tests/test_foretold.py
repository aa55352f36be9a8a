"""A held-out completion that the loss has found likeliest is the greedy answer: it is not written again, and nothing is
told that would not have been written."""
import pytest
import torch
from datasets import Dataset
from selfloop_nb import LanguageModel, addition, tiny_llama, tiny_t5
from selfloop_nb import sampling as sampling_module
from selfloop_nb.backend.workers import Here
from selfloop_nb.metrics import measures
from selfloop_nb.metrics.measures import answer, ask_heldout
from selfloop_nb.sampling import Sampling
from selfloop_nb.tuning import FineTune, fine_tune

COLUMNS = ["completion", "token_ids", "n_tokens", "finished", "correct"]


@pytest.fixture(scope="module", params=[tiny_llama, tiny_t5], ids=["decoder", "encoder-decoder"])
def learnt(request):
    "A model that knows most of its examples by heart, and the examples."
    task = addition(n_train=24, n_prompts=8, n_heldout=8)
    lm = fine_tune(request.param(task), task.train, FineTune(steps=160, lr=3e-3))[0]
    rows = task.train[:]
    return task, lm, Dataset.from_dict(dict(rows, answer=rows["completion"]))


@pytest.fixture
def n_written(monkeypatch):
    "How many answers are written."
    counts, draw = [], sampling_module.sample_chunk
    def counted(lm, ids, *rest, **more):
        counts.append(len(ids))
        return draw(lm, ids, *rest, **more)
    monkeypatch.setattr(sampling_module, "sample_chunk", counted)
    return counts


def same(first, second): return all(first[name][:] == second[name][:] for name in COLUMNS)


def test_the_same_answers(learnt, n_written):
    "Those that are told and those that are written stand in the order of the rows."
    task, lm, asked = learnt
    written = answer(lm, task, asked, Sampling())
    assert sum(n_written) == len(asked)
    n_written.clear()
    told, metrics = ask_heldout(lm, task, asked, Sampling())
    assert same(told, written) and sum(n_written) < len(asked) / 2
    assert torch.allclose(torch.tensor(told["logprob"][:]), torch.tensor(written["logprob"][:]), atol=1e-4)
    assert metrics["heldout_accuracy"] == sum(written["correct"][:]) / len(asked)


def test_all_are_told_and_none(learnt, n_written):
    "No chunk is left to draw where all are known; other references tell nothing."
    task, lm, asked = learnt
    by_heart = answer(lm, task, asked, Sampling())
    right = asked.select([i for i, is_right in enumerate(by_heart["correct"][:]) if is_right])
    n_written.clear()
    told, metrics = ask_heldout(lm, task, right, Sampling())
    assert n_written == [] and metrics["heldout_accuracy"] == 1.0 and len(told) == len(right)
    wrong = right.remove_columns("completion").add_column("completion", ["00"] * len(right))
    assert same(ask_heldout(lm, task, wrong, Sampling())[0], answer(lm, task, wrong, Sampling()))


@pytest.mark.parametrize("how", [Sampling(stop=("1",)), Sampling(max_new_tokens=2)], ids=["stop", "short"])
def test_what_ends_earlier_is_written(learnt, how):
    "A stop string, or too little room: the reference is not what would be written."
    task, lm, asked = learnt
    assert same(ask_heldout(lm, task, asked, how)[0], answer(lm, task, asked, how))


def test_what_is_never_written(learnt):
    "Tokens and words that a model must not write are not told either."
    task, lm, asked = learnt
    own, digit = lm.model.generation_config, lm.tokenizer.convert_tokens_to_ids("1")
    for barred in (dict(suppress_tokens=[digit]), dict(bad_words_ids=[[digit]])):
        lm.model.generation_config = type(own)(**own.to_diff_dict() | barred)
        try: told, written = ask_heldout(lm, task, asked, Sampling())[0], answer(lm, task, asked, Sampling())
        finally: lm.model.generation_config = own
        assert same(told, written) and not any(digit in ids for ids in told["token_ids"][:])


def test_who_writes_otherwise(learnt, n_written):
    "In 16 bit, and by a `generate` of its own, every answer is written."
    task, lm, asked = learnt

    class Own(LanguageModel):
        def generate(self, **inputs): return super().generate(**inputs)

    half = lm.copy()
    half.model.to(torch.bfloat16)
    for other in (half, Own(lm.model, lm.tokenizer)):
        n_written.clear()
        ask_heldout(other, task, asked, Sampling())
        assert sum(n_written) == len(asked)


def test_a_server_writes_all(learnt, n_written):
    "What another engine writes is not mixed with what is computed here."
    task, lm, asked = learnt
    elsewhere = Here()
    elsewhere.draws = "by a server"
    ask_heldout(lm, task, asked, Sampling(), workers=elsewhere)
    assert sum(n_written) == len(asked)


def test_completions_without_end(learnt):
    "Where D_train teaches no end, greedy answers go on."
    task, lm, asked = learnt
    open_ended = asked.add_column("finished", [False] * len(asked))
    assert measures.read_completions(lm, open_ended)[1], "they are likely all the same"
    assert same(ask_heldout(lm, task, open_ended, Sampling())[0], answer(lm, task, open_ended, Sampling()))
