"""Continuous batching, tried on the CPU, where `can_refill` would not choose it: a session draws what the model would
write, and as likely; the same again with the same seed; it stops, fails and goes on as chunks do.
"""
from types import SimpleNamespace

import pytest, torch
from selfloop_nb import Sampling, generate_samples
from selfloop_nb.backend import refill
from selfloop_nb.backend.core import SelfloopError, Stopped
from selfloop_nb.models import tiny_llama
from selfloop_nb.storage.identity import describe
from selfloop_nb.training.encoder_decoder import tiny_t5
from small import small_task

TASK = small_task()
HOW = Sampling(refill=True, tokens_per_batch=512)

needs_likelihoods = pytest.mark.skipif(not refill.has_likelihoods(), reason="an older transformers")


@pytest.fixture
def chosen(monkeypatch):
    "As if there were CUDA, without its graphs."
    import selfloop_nb.sampling as module
    monkeypatch.setattr(module, "can_refill", lambda lm, sampling: sampling.refill)


def draw(lm, how=HOW, **more):
    return generate_samples(lm, TASK.round_prompts(1), how, max_new_tokens=8, **more)


@needs_likelihoods
def test_a_session_draws_what_the_model_writes_and_as_likely(chosen):
    lm = tiny_llama(TASK)
    samples, other = draw(lm), draw(lm, seed=1)
    assert samples.to_dict() == draw(lm).to_dict() and samples["completion"][:] != other["completion"][:]
    assert len(samples) == 4 * len(TASK.round_prompts(1)) and any(samples["finished"]) and not all(samples["finished"])
    for row in samples.to_list():
        prompt, n = lm.prompt_ids(row["prompt"]), row["n_tokens"]
        with torch.no_grad(): logits = lm.model(torch.tensor([prompt + row["token_ids"]])).logits[0].log_softmax(-1)
        likely = [logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(row["token_ids"])]
        assert sum(likely) / n == pytest.approx(row["logprob"], abs=1e-5)
    assert lm.model.config._attn_implementation == tiny_llama(TASK).model.config._attn_implementation


@needs_likelihoods
def test_the_likeliest_tokens_are_the_likeliest(chosen):
    lm = tiny_llama(TASK)
    greedy = Sampling(n_samples=1, temperature=0)
    both = [draw(lm, how)["token_ids"][:] for how in (greedy, Sampling(n_samples=1, temperature=0, refill=True))]
    assert both[0] == both[1]


@needs_likelihoods
def test_a_session_is_stopped_and_goes_on(chosen):
    lm = tiny_llama(TASK)
    parts, told = {}, []
    small = Sampling(refill=True, tokens_per_batch=32)
    with pytest.raises(Stopped): draw(lm, small, parts=parts, should_stop=lambda: len(parts) == 1)
    assert len(parts) == 1
    whole = draw(lm, small, parts=parts, progress=lambda done, total: told.append(done / total))
    assert whole.to_dict() == draw(lm, small).to_dict() and told[-1] == 1
    plain = draw(lm, Sampling(tokens_per_batch=32), parts=dict(parts))
    assert plain.to_dict() == draw(lm, Sampling(tokens_per_batch=32)).to_dict(), "parts of a session are no chunks"


@needs_likelihoods
def test_a_session_that_fails_says_what_to_do(chosen, monkeypatch):
    lm = tiny_llama(TASK)
    def broken(self, *args, **more): raise ValueError("no room")
    monkeypatch.setattr(type(lm.model), "forward", broken)
    with pytest.raises(SelfloopError, match=r"continuous batching.*Sampling\(refill=False\)"): draw(lm)


def on_cuda(lm):
    "A model that says that it lies on a GPU."
    class There(type(lm)):
        device = SimpleNamespace(type="cuda")
    lm.__class__ = There
    return lm


def test_where_it_can_be_had(monkeypatch):
    monkeypatch.setattr(refill, "has_likelihoods", lambda: True)
    here, there = tiny_llama(TASK), on_cuda(tiny_llama(TASK))
    greedy = Sampling(temperature=0, top_k=5, refill=True)
    for lm, how, can in [
            (there, HOW, True), (there, greedy, True), (here, HOW, False), (there, Sampling(), False),
            (there, Sampling(temperature=0.7, refill=True), False), (there, Sampling(top_k=5, refill=True), False),
            (there, Sampling(top_p=0.9, refill=True), False), (there, Sampling(stop=("1",), refill=True), False),
            (on_cuda(tiny_t5(TASK)), HOW, False)]:
        assert refill.can_refill(lm, how) == can, how
    there.model.generation_config.bad_words_ids = [[5]]
    assert not refill.can_refill(there, HOW)
    there.model.generation_config.bad_words_ids = None
    monkeypatch.setattr(type(there.model), "_is_stateful", True)
    assert not refill.can_refill(there, HOW)


def test_without_cuda_nothing_changes_but_the_record():
    lm = tiny_llama(TASK)
    assert draw(lm).to_dict() == draw(lm, Sampling(tokens_per_batch=512)).to_dict()
    assert "refill" not in describe(Sampling()) and describe(HOW)["refill"] is True
