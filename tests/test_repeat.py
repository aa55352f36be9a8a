"The same seed gives the same run, another seed another one; and any causal language model goes through the loop."
import pytest
from small import small_loop, small_task
from test_resume import outcome


def test_the_same_seed_twice():
    first, second = small_loop(), small_loop()
    first.run(rounds=2); second.run(rounds=2)
    assert outcome(first) == outcome(second)
    figures = [c for c in first.history() if not c.startswith("seconds")]
    assert first.history()[figures].equals(second.history()[figures])


def test_another_seed():
    first, second = small_loop(seed=0), small_loop(seed=1)
    first.run(rounds=1); second.run(rounds=1)
    (a, texts_a), (b, texts_b) = outcome(first), outcome(second)
    assert a[0] != b[0] and a[1] != b[1] and texts_a != texts_b


def test_what_the_program_draws_meanwhile_changes_nothing():
    import torch
    loop, other = small_loop(), small_loop()
    loop.run(rounds=1)
    other.on(lambda event: torch.rand(3) if event.kind == "phase" else None)
    other.run(rounds=1)
    assert outcome(loop) == outcome(other)


def foreign(kind, vocabulary):
    "A model of another family, with random weights and few of them."
    import transformers as t
    ids = dict(vocab_size=vocabulary, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    usual = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64)
    return {
        "gpt2": lambda: t.GPT2LMHeadModel(t.GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64, **ids)),
        "opt": lambda: t.OPTForCausalLM(t.OPTConfig(hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=1, num_attention_heads=2, ffn_dim=64, max_position_embeddings=64, **ids)),
        "qwen2": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(num_key_value_heads=1, **usual, **ids)),
        "gemma": lambda: t.GemmaForCausalLM(t.GemmaConfig(num_key_value_heads=1, head_dim=16, **usual, **ids)),
        "gemma2": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(num_key_value_heads=1, head_dim=16, sliding_window=32, **usual, **ids)),
    }[kind]()


@pytest.mark.parametrize("kind", ["gpt2", "opt", "qwen2", "gemma", "gemma2"])
@pytest.mark.parametrize("lora", [False, True])
def test_a_foreign_model_works_unchanged(kind, lora, tmp_path):
    import torch
    from selfloop_nb import FineTune, LoRA, load_model, tiny_llama
    from selfloop_nb.models import LanguageModel
    torch.manual_seed(0)
    task = small_task()
    tokenizer = tiny_llama(task).tokenizer
    LanguageModel(foreign(kind, len(tokenizer)), tokenizer).save(tmp_path / kind)
    loop = small_loop(tmp_path / "run", task=task, model=load_model(tmp_path / kind, pretrained=False), tune=FineTune(steps=10, batch_size=16, lora=LoRA() if lora else None))
    history = loop.run(rounds=2)
    assert list(history["round"]) == [0, 1, 2] and (history["n_kept"][1:] > 0).all()
    assert history["heldout_loss"][2] != history["heldout_loss"][1], "it has learnt something"
    assert loop.model.weights_hash() != loop.language_model().weights_hash()
