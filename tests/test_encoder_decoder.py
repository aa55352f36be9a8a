"""An encoder-decoder goes through the same loop: two rounds with the verifier, killed and gone on with, asked for
likelihoods, loaded from a folder.
"""
import json, math, random

import pytest
from small import is_halfway, small_loop
from test_resume import outcome


def capitals(n_train=300, n_prompts=60):
    "A toy translation: two to four different letters are written in capitals."
    from selfloop_nb import from_dataset
    rng = random.Random(0)
    drawn = ["".join(rng.sample("abcdefgh", rng.choice((2, 3, 4)))) for _ in range(900)]
    words = list(dict.fromkeys(drawn))
    rows = [{"prompt": w, "completion": w.upper(), "answer": w.upper()} for w in words]
    prompts = [{"prompt": row["prompt"], "answer": row["answer"]} for row in rows[-n_prompts:]]
    return from_dataset(rows[:n_train], prompts, rows[n_train:n_train + 40], name="capitals")


SIZES = dict(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
             encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=32, dropout=0.0, init_std=0.1)


def model(kind, task):
    "A T5 as it comes, and a BART and a Marian with random weights and few of them."
    import torch
    from selfloop_nb import tiny_t5
    from selfloop_nb.models import LanguageModel
    small = tiny_t5(task, layers=1, width=32, heads=2)
    if kind == "t5": return small
    ids = dict(vocab_size=len(small.tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(0)
    random_model = bart(ids) if kind == "bart" else marian(ids)
    return LanguageModel(random_model, small.tokenizer, kind, pretrained=False)


def bart(ids):
    "As BART has it, with an end that is forced."
    from transformers import BartConfig, BartForConditionalGeneration
    model = BartForConditionalGeneration(BartConfig(decoder_start_token_id=2, **SIZES, **ids))
    model.generation_config.forced_bos_token_id = 1
    return model


def marian(ids):
    "As Marian has it, with a token that must not be written."
    from transformers import MarianConfig, MarianMTModel
    model = MarianMTModel(MarianConfig(decoder_start_token_id=0, **SIZES, **ids))
    model.generation_config.bad_words_ids = [[0]]
    return model


STEPS = {"t5": 300, "bart": 60, "marian": 200}


def loop_of(kind, store=None, **changed):
    "A loop of rounds that take about a second."
    from selfloop_nb import FineTune, Sampling, verifier
    task = capitals()
    how = dict(batch_size=64, lr=1e-2) if kind == "t5" else dict(batch_size=32, lr=5e-3)
    settings = dict(
        model=changed.pop("model", None) or model(kind, task),
        score=verifier(),
        sampling=Sampling(tokens_per_batch=400),
        initial=FineTune(steps=STEPS[kind], **how),
        tune=FineTune(steps=60, batch_size=32, lr=5e-3))
    return small_loop(store, task=task, **{**settings, **changed})


def quick_loop(kind, store=None, **changed):
    "Rounds that take half a second, with a score that a model that knows nothing can win."
    from selfloop_nb import FineTune
    def holds_a(samples): return [float("A" in text) for text in samples["completion"]]
    few = FineTune(steps=15, batch_size=32)
    return loop_of(kind, store, **{**dict(score=holds_a, initial=few, tune=few), **changed})


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_two_rounds_with_the_verifier(kind, tmp_path):
    loop = loop_of(kind, tmp_path / "run")
    history = loop.run(rounds=2)
    assert (history["n_kept"][1:] > 0).all()
    assert history["heldout_loss"][2] < history["heldout_loss"][0]
    kept = [row for row in loop.samples(1) if row["state"] == "kept"]
    assert all(row["correct"] and row["finished"] for row in kept)


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("phase", ["sample", "tune"])
def test_a_stopped_run_goes_on_to_the_same_weights(kind, phase, tmp_path):
    from selfloop_nb.backend.core import Stopped
    whole = quick_loop(kind)
    whole.run(rounds=2)
    loop = quick_loop(kind, tmp_path / "run")
    loop.run(rounds=1)
    def stop(event):
        if is_halfway(event, phase): loop.stop()
    loop.on(stop)
    with pytest.raises(Stopped): loop.step()
    again = quick_loop(kind, tmp_path / "run")
    assert len(again.rounds) == 2
    again.step()
    assert outcome(again) == outcome(whole)


def next_token_probabilities(lm, prompt_ids, begun=()):
    "Log-probabilities of the token that follows, without padding or a batch."
    import torch
    inputs = dict(input_ids=torch.tensor([prompt_ids]), decoder_input_ids=torch.tensor([[*lm.start_ids, *begun]]))
    with torch.no_grad(): logits = lm.model(**inputs).logits[0, -1]
    return logits.log_softmax(-1)


def by_hand(lm, prompt, tokens):
    "The mean log-probability of a completion, one token after the other."
    asked = lm.prompt_ids(prompt)
    total = sum(next_token_probabilities(lm, asked, tokens[:n])[token].item() for n, token in enumerate(tokens))
    return total / len(tokens)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_log_probabilities_are_those_of_a_computation_by_hand(kind):
    from selfloop_nb import Sampling, likelihood
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.sampling import generate_samples
    from selfloop_nb.backend.rows import completion_loss
    task = capitals()
    lm = model(kind, task)
    how = Sampling(n_samples=1, tokens_per_batch=100)
    samples = generate_samples(lm, task.round_prompts(1), how, max_new_tokens=5)
    samples = samples.filter(lambda row: row["n_tokens"] > 0)
    expected = [by_hand(lm, row["prompt"], row["token_ids"]) for row in samples]
    assert samples["logprob"][:] == pytest.approx(expected, abs=1e-4)
    assert completion_logprobs(lm, samples, same_tokens=True) == pytest.approx(expected, abs=1e-4)
    answers = [lm.completion_ids(row["completion"]) for row in task.heldout]
    means = [by_hand(lm, row["prompt"], ids) for row, ids in zip(task.heldout, answers)]
    assert likelihood(lm)(task.heldout) == pytest.approx(means, abs=1e-4)
    lengths = list(map(len, answers))
    loss = -sum(mean * n for mean, n in zip(means, lengths)) / sum(lengths)
    assert completion_loss(lm, task.heldout) == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_a_model_from_a_folder(kind, tmp_path):
    from selfloop_nb import load_model
    saved = model(kind, capitals())
    saved.save(tmp_path / "model")
    loop = quick_loop(kind, tmp_path / "run", model=load_model(tmp_path / "model", pretrained=False))
    same = quick_loop(kind)
    loop.run(rounds=1)
    same.run(rounds=1)
    assert outcome(loop) == outcome(same)


def test_lora():
    from selfloop_nb import FineTune, LoRA
    pytest.importorskip("peft")
    loop = quick_loop("t5", tune=FineTune(steps=10, batch_size=32, lr=1e-2, lora=LoRA()))
    history = loop.run(rounds=1)
    assert history["heldout_loss"][1] != history["heldout_loss"][0]
    tuned, first = loop.language_model().model, loop.model.model
    assert list(tuned.state_dict()) == list(first.state_dict()), "what comes out is an ordinary model"


def test_a_judge():
    from selfloop_nb.scorers.judges import Judge, judge_prompt
    task = capitals()
    lm = model("t5", task)
    rows = task.heldout.select(range(9))
    verdicts = Judge(lm, verdicts={"a": 1.0, "b": 0.0}, least=0.0)(rows["prompt"][:], rows["completion"][:])
    a, b = map(lm.tokenizer.convert_tokens_to_ids, "ab")
    for row, verdict in zip(rows, verdicts):
        asked = lm.prompt_ids(judge_prompt(row["prompt"], row["completion"], verdicts=("a", "b")))
        p = next_token_probabilities(lm, asked).exp()
        assert verdict == pytest.approx((p[a] / (p[a] + p[b])).item(), abs=1e-4)


def one_row(prompt, completion=""):
    from datasets import Dataset
    return Dataset.from_dict({"prompt": [prompt], "completion": [completion]})


def test_what_does_not_fit_is_named():
    from selfloop_nb import Sampling
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.sampling import generate_samples
    from selfloop_nb.backend.rows import encode_rows
    lm = model("bart", capitals())
    fits, long = "a" * 32, "a" * 33
    assert len(encode_rows(lm, one_row(fits, "A" * 29))) == 1, "each side has places of its own"
    for prompt, completion in ((long, "A"), ("a", "A" * 30)):
        with pytest.raises(ValueError, match="the model's context is 32"): encode_rows(lm, one_row(prompt, completion))
        assert math.isnan(completion_logprobs(lm, one_row(prompt, completion))[0])
    with pytest.raises(ValueError, match="has 33 tokens.*context of 32"):
        generate_samples(lm, one_row(long), Sampling(), max_new_tokens=4)
    assert len(generate_samples(lm, one_row(fits), Sampling(n_samples=1), max_new_tokens=30)) == 1


@pytest.mark.parametrize("kind, architecture", [("t5", "T5EncoderModel"), ("bert", "BertForMaskedLM")])
def test_an_encoder_alone_is_refused(kind, architecture, tmp_path):
    from selfloop_nb import load_model
    from selfloop_nb.backend.core import SelfloopError
    model("t5", capitals()).save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text()) if kind == "t5" else {}
    config |= {"model_type": kind, "architectures": [architecture]}
    path.write_text(json.dumps(config))
    with pytest.raises(SelfloopError, match=f"architecture '{architecture}'.*no encoder-decoder"):
        load_model(tmp_path / "model")


def stop_at(loop, step):
    "Let the loop stop after a training step."
    def listen(event):
        if event.kind == "loss" and event.data["step"] == step: loop.stop()
    loop.on(listen)


def test_gaps_first_then_the_labels(tmp_path):
    from selfloop_nb import FineTune, MaskedLM
    from selfloop_nb.backend.core import Stopped
    then = FineTune(steps=30, batch_size=32, lr=5e-3)
    how = MaskedLM(steps=20, batch_size=32, then=then)
    loop = quick_loop("t5", tmp_path / "run", initial=how)
    stop_at(loop, 25)
    with pytest.raises(Stopped): loop.start()
    assert loop.rounds == [], "half an M_0 is none"
    loop.listeners.clear()
    record = loop.start()
    losses = loop.losses(0)
    assert [point["step"] for point in losses] == list(range(1, 51))
    assert [point.get("part") for point in losses] == ["masked"] * 20 + [None] * 30
    assert record.config["initial"] | {"then": 0} == dict(
        kind="MaskedLM", steps=20, then=0, mask_share=0.15, mean_span=3.0, batch_size=32, lr=2e-3, longest=128,
        texts_hash="")
    again = quick_loop("t5", initial=how)
    again.start()
    other = quick_loop("t5", initial=how, seed=1)
    other.start()
    assert outcome(again) == outcome(loop) != outcome(other)
    raw = quick_loop("t5", initial=MaskedLM(steps=20, batch_size=32, then=then, texts=["abc", "ABBA"]))
    raw.start()
    assert raw.config()["initial"]["texts_hash"]
    assert outcome(again) != outcome(raw)


def test_gaps_are_for_those_that_can_fill_them():
    from selfloop_nb import MaskedLM
    from selfloop_nb.models import LanguageModel, character_tokenizer
    with pytest.raises(ValueError, match="for an encoder-decoder, and tiny-llama.* is none: use tiny_t5"):
        small_loop(initial=MaskedLM())
    task = capitals()
    characters = character_tokenizer(["abcABC"])
    plain = LanguageModel(model("t5", task).model, characters, "plain", pretrained=False)
    with pytest.raises(ValueError, match="tokenizer of plain has no sentinels"):
        small_loop(task=task, model=plain, initial=MaskedLM())
