"An encoder-decoder goes through the same loop: two rounds with the verifier, killed and gone on with, asked for likelihoods, loaded from a folder."
import math, random

import pytest
from small import small_loop
from test_resume import outcome


def capitals(n_train=300, n_prompts=60):
    "A toy translation: two to four different letters are written in capitals."
    from selfloop_nb import from_dataset
    dice = random.Random(0)
    words = list(dict.fromkeys("".join(dice.sample("abcdefgh", dice.choice((2, 3, 4)))) for _ in range(900)))
    rows = [{"prompt": w, "completion": w.upper(), "answer": w.upper()} for w in words]
    return from_dataset(rows[:n_train], [{"prompt": r["prompt"], "answer": r["answer"]} for r in rows[-n_prompts:]], rows[n_train:n_train + 40], name="capitals")


def model(kind, task):
    "A T5 as it comes, and a BART and a Marian with random weights and few of them."
    import torch, transformers as t
    from selfloop_nb import tiny_t5
    from selfloop_nb.models import LanguageModel
    small = tiny_t5(task, layers=1, width=32, heads=2)
    if kind == "t5": return small
    ids = dict(vocab_size=len(small.tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    sizes = dict(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=32, dropout=0.0, init_std=0.1)
    torch.manual_seed(0)
    made = {"bart": lambda: t.BartForConditionalGeneration(t.BartConfig(decoder_start_token_id=2, **sizes, **ids)),
        "marian": lambda: t.MarianMTModel(t.MarianConfig(decoder_start_token_id=0, **sizes, **ids))}[kind]()
    if kind == "bart": made.generation_config.forced_bos_token_id = 1 # and, as BART has it, an end that is forced
    if kind == "marian": made.generation_config.bad_words_ids = [[0]]
    return LanguageModel(made, small.tokenizer, kind, pretrained=False)


def loop_of(kind, store=None, **changed):
    "A loop of rounds that take about a second."
    from selfloop_nb import FineTune, Sampling, verifier
    task = capitals()
    settings = dict(model=changed.pop("model", None) or model(kind, task), score=verifier(), sampling=Sampling(tokens_per_batch=400), initial=FineTune(steps={"t5": 300, "bart": 60, "marian": 200}[kind], batch_size=64 if kind == "t5" else 32, lr=1e-2 if kind == "t5" else 5e-3), tune=FineTune(steps=60, batch_size=32, lr=5e-3))
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
    assert (history["n_kept"][1:] > 0).all() and history["heldout_loss"][2] < history["heldout_loss"][0]
    samples = loop.samples(1)
    assert all(s["correct"] for s in samples if s["state"] == "kept") and all(s["finished"] for s in samples if s["state"] == "kept")


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("phase", ["sample", "tune"])
def test_a_stopped_run_goes_on_to_the_same_weights(kind, phase, tmp_path):
    from selfloop_nb.core import Stopped
    whole = quick_loop(kind)
    whole.run(rounds=2)
    loop = quick_loop(kind, tmp_path / "run")
    loop.run(rounds=1)
    def stop(event):
        done, total = event.data.get("step", event.data.get("done", 0)), event.data.get("n_steps", event.data.get("total", 0))
        if event.phase == phase and event.kind in ("progress", "loss") and 2 * done > total: loop.stop()
    loop.on(stop)
    with pytest.raises(Stopped): loop.step()
    again = quick_loop(kind, tmp_path / "run")
    assert len(again.rounds) == 2
    again.step()
    assert outcome(again) == outcome(whole)


def by_hand(lm, prompt, tokens):
    "The mean log-probability of a completion, one token after the other, without padding or a batch."
    import torch
    total = 0.0
    for n, token in enumerate(tokens):
        begun = torch.tensor([lm.start_ids + tokens[:n]])
        with torch.no_grad(): logits = lm.model(input_ids=torch.tensor([lm.prompt_ids(prompt)]), decoder_input_ids=begun).logits[0, -1]
        total += logits.log_softmax(-1)[token].item()
    return total / len(tokens)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_log_probabilities_are_those_of_a_computation_by_hand(kind):
    from selfloop_nb import Sampling, likelihood
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.sampling import generate_samples
    from selfloop_nb.tuning import completion_loss
    task = capitals()
    lm = model(kind, task)
    samples = generate_samples(lm, task.round_prompts(1), Sampling(n_samples=1, tokens_per_batch=100), max_new_tokens=5).filter(lambda s: s["n_tokens"] > 0)
    wanted = [by_hand(lm, s["prompt"], s["token_ids"]) for s in samples]
    assert samples["logprob"][:] == pytest.approx(wanted, abs=1e-4)
    assert completion_logprobs(lm, samples, same_tokens=True) == pytest.approx(wanted, abs=1e-4)
    answers = [lm.completion_ids(row["completion"]) for row in task.heldout]
    means = [by_hand(lm, row["prompt"], ids) for row, ids in zip(task.heldout, answers)]
    assert likelihood(lm)(task.heldout) == pytest.approx(means, abs=1e-4)
    assert completion_loss(lm, task.heldout) == pytest.approx(-sum(m * len(ids) for m, ids in zip(means, answers)) / sum(map(len, answers)), abs=1e-4)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_a_model_from_a_folder(kind, tmp_path):
    from selfloop_nb import load_model
    saved = model(kind, capitals())
    saved.save(tmp_path / "model")
    loop = quick_loop(kind, tmp_path / "run", model=load_model(tmp_path / "model", pretrained=False))
    same = quick_loop(kind)
    loop.run(rounds=1); same.run(rounds=1)
    assert outcome(loop) == outcome(same)


def test_lora():
    from selfloop_nb import FineTune, LoRA
    pytest.importorskip("peft")
    loop = quick_loop("t5", tune=FineTune(steps=10, batch_size=32, lr=1e-2, lora=LoRA()))
    history = loop.run(rounds=1)
    assert history["heldout_loss"][1] != history["heldout_loss"][0]
    assert list(loop.language_model().model.state_dict()) == list(loop.model.model.state_dict()), "what comes out is an ordinary model"


def test_a_judge():
    import torch
    from selfloop_nb.scorers.judges import Judge, judge_prompt
    task = capitals()
    lm, rows = model("t5", task), task.heldout.select(range(9))
    said = Judge(lm, verdicts={"a": 1.0, "b": 0.0}, least=0.0)(rows["prompt"][:], rows["completion"][:])
    a, b = map(lm.tokenizer.convert_tokens_to_ids, "ab")
    for row, verdict in zip(rows, said):
        asked = lm.prompt_ids(judge_prompt(row["prompt"], row["completion"], verdicts=("a", "b")))
        with torch.no_grad(): p = lm.model(input_ids=torch.tensor([asked]), decoder_input_ids=torch.tensor([lm.start_ids])).logits[0, -1].softmax(-1)
        assert verdict == pytest.approx((p[a] / (p[a] + p[b])).item(), abs=1e-4)


def test_what_does_not_fit_is_named():
    from datasets import Dataset
    from selfloop_nb import Sampling
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.sampling import generate_samples
    from selfloop_nb.tuning import encode_rows
    lm = model("bart", capitals())
    fits, long = "a" * 32, "a" * 33
    table = lambda prompt, completion: Dataset.from_dict({"prompt": [prompt], "completion": [completion]})
    assert len(encode_rows(lm, table(fits, "A" * 29))) == 1, "each side has places of its own"
    for prompt, completion in ((long, "A"), ("a", "A" * 30)):
        with pytest.raises(ValueError, match="the model's context is 32"): encode_rows(lm, table(prompt, completion))
        assert math.isnan(completion_logprobs(lm, table(prompt, completion))[0])
    with pytest.raises(ValueError, match="has 33 tokens.*context of 32"): generate_samples(lm, table(long, ""), Sampling(), max_new_tokens=4)
    assert len(generate_samples(lm, table(fits, ""), Sampling(n_samples=1), max_new_tokens=30)) == 1


@pytest.mark.parametrize("kind, said", [("t5", "T5EncoderModel"), ("bert", "BertForMaskedLM")])
def test_an_encoder_alone_is_refused(kind, said, tmp_path):
    import json
    from selfloop_nb import load_model
    from selfloop_nb.core import SelfloopError
    model("t5", capitals()).save(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": kind, "architectures": [said]}))
    with pytest.raises(SelfloopError, match=f"architecture '{said}'.*no encoder-decoder"): load_model(tmp_path / "model")


def test_gaps_first_then_the_labels(tmp_path):
    from selfloop_nb import FineTune, MaskedLM
    from selfloop_nb.core import Stopped
    how = MaskedLM(steps=20, batch_size=32, then=FineTune(steps=30, batch_size=32, lr=5e-3))
    loop = quick_loop("t5", tmp_path / "run", initial=how)
    loop.on(lambda event: loop.stop() if event.kind == "loss" and event.data["step"] == 25 else None)
    with pytest.raises(Stopped): loop.start()
    assert loop.rounds == [], "half an M_0 is none"
    loop.listeners.clear()
    record = loop.start()
    losses = loop.losses(0)
    assert [p["step"] for p in losses] == list(range(1, 51)) and [p.get("part") for p in losses] == ["masked"] * 20 + [None] * 30
    assert record.config["initial"] | {"then": 0} == dict(kind="MaskedLM", steps=20, then=0, mask_share=0.15, mean_span=3.0, batch_size=32, lr=2e-3, longest=128, texts_hash="")
    again, other = quick_loop("t5", initial=how), quick_loop("t5", initial=how, seed=1)
    again.start(); other.start()
    assert outcome(again) == outcome(loop) != outcome(other)
    raw = quick_loop("t5", initial=MaskedLM(steps=20, batch_size=32, then=how.then, texts=["abc", "ABBA"]))
    assert raw.config()["initial"]["texts_hash"] and outcome(again) != (raw.start(), outcome(raw))[1]


def test_gaps_are_for_those_that_can_fill_them():
    from selfloop_nb import MaskedLM, tiny_llama
    from selfloop_nb.models import LanguageModel, character_tokenizer
    with pytest.raises(ValueError, match="for an encoder-decoder, and tiny-llama.* is none: use tiny_t5"): small_loop(initial=MaskedLM()).start()
    task = capitals()
    plain = LanguageModel(model("t5", task).model, character_tokenizer(["abcABC"]), "plain", pretrained=False)
    with pytest.raises(ValueError, match="tokenizer of plain has no sentinels"): small_loop(task=task, model=plain, initial=MaskedLM()).start()
