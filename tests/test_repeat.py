"The same seed gives the same run, another seed another one; and any causal language model goes through the loop."
import random
from dataclasses import replace

import pytest
from small import small_loop, small_task
from test_resume import outcome
from selfloop_nb import Threshold


def test_the_same_seed_twice():
    first, second = small_loop(), small_loop()
    first.run(rounds=2)
    second.run(rounds=2)
    assert outcome(first) == outcome(second)
    metrics = [name for name in first.history() if not name.startswith("seconds")]
    assert first.history()[metrics].equals(second.history()[metrics])


def test_another_seed():
    first, second = small_loop(seed=0), small_loop(seed=1)
    first.run(rounds=1)
    second.run(rounds=1)
    (weights, texts), (other_weights, other_texts) = outcome(first), outcome(second)
    assert weights[0] != other_weights[0] and weights[1] != other_weights[1]
    assert texts != other_texts


def test_what_the_program_draws_meanwhile_changes_nothing():
    import torch
    loop, other = small_loop(), small_loop()
    loop.run(rounds=1)
    other.on(lambda event: torch.rand(3) if event.kind == "phase" else None)
    other.run(rounds=1)
    assert outcome(loop) == outcome(other)


def guessed(samples): return [random.random() for _ in samples]
def some_examples(train, kept, seed): return train.select(random.sample(range(len(train)), 30))
def some_prompts(prompts, last): return random.sample(range(len(prompts)), 12)


def test_what_functions_of_your_own_draw_belongs_to_the_run(tmp_path):
    "Not to the session: the same run comes out in a new kernel, after whatever was drawn there."
    def made(store=None):
        return small_loop(store, score=guessed, select=Threshold(0.5), mix=some_examples,
                          task=replace(small_task(), ask=some_prompts))
    first = made()
    first.run(rounds=2)
    made(tmp_path / "run").run(rounds=1)
    random.seed(5)
    again = made(tmp_path / "run")
    again.run(rounds=1)
    assert outcome(first) == outcome(again)
    assert random.random() == random.Random(5).random(), "and the session has its own back"


SIZES = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
             max_position_embeddings=64)
OF_GPT2 = dict(n_embd=32, n_layer=1, n_head=2, n_positions=64)
OF_OPT = dict(hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=1, num_attention_heads=2, ffn_dim=64,
              max_position_embeddings=64)
FAMILIES = { # kind -> classes of the model and of its settings, settings
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", OF_GPT2),
    "opt": ("OPTForCausalLM", "OPTConfig", OF_OPT),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", dict(num_key_value_heads=1, **SIZES)),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", dict(num_key_value_heads=1, head_dim=16, **SIZES)),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config",
               dict(num_key_value_heads=1, head_dim=16, sliding_window=32, **SIZES)),
}


def foreign(kind, vocabulary):
    "A model of another family, with random weights and few of them."
    import transformers
    model, config, settings = FAMILIES[kind]
    ids = dict(vocab_size=vocabulary, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    return getattr(transformers, model)(getattr(transformers, config)(**settings, **ids))


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("lora", [False, True])
def test_a_foreign_model_works_unchanged(kind, lora, tmp_path):
    import torch
    from selfloop_nb import FineTune, LoRA, load_model, tiny_llama
    from selfloop_nb.models import LanguageModel
    torch.manual_seed(0)
    task = small_task()
    tokenizer = tiny_llama(task).tokenizer
    LanguageModel(foreign(kind, len(tokenizer)), tokenizer).save(tmp_path / kind)
    model = load_model(tmp_path / kind, pretrained=False)
    tune = FineTune(steps=10, batch_size=16, lora=LoRA() if lora else None)
    loop = small_loop(tmp_path / "run", task=task, model=model, tune=tune)
    history = loop.run(rounds=2)
    assert list(history["round"]) == [0, 1, 2]
    assert (history["n_kept"][1:] > 0).all()
    assert history["heldout_loss"][2] != history["heldout_loss"][1], "it has learnt something"
    assert loop.model.weights_hash() != loop.language_model().weights_hash()
