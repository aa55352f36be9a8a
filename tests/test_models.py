"""A model stays what it is: its type, what is frozen in it, where it lies in memory; what cannot go through a loop is
refused when the loop is made, and a round that has learnt nothing says so.
"""
import sys

import pytest, torch, transformers
from selfloop_nb import DPO, SPIN, FineTune, LoRA, Sampling, Threshold, from_dataset
from selfloop_nb.metrics.doubts import doubts
from selfloop_nb.models import LanguageModel, load_model, tiny_llama
from selfloop_nb.training.encoder_decoder import tiny_t5
from selfloop_nb.tuning import fine_tune
from small import half_digits, small_loop, small_task

pytestmark = pytest.mark.usefixtures("warm_python")

FEW = dict(steps=4, batch_size=16)
SMALL = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


def tiny(dtype=torch.float32):
    "A tiny Llama of some type."
    lm = tiny_llama(small_task(), width=32)
    lm.model.to(dtype)
    return lm


def of_family(config, name="tiny", **changed):
    "A tiny model of some family, with random weights."
    tokenizer = tiny_llama(small_task()).tokenizer
    ids = dict(bos_token_id=1, eos_token_id=2, vocab_size=len(tokenizer))
    model = transformers.AutoModelForCausalLM.from_config(config(**{**ids, **changed}))
    return LanguageModel(model.eval(), tokenizer, name, pretrained=False)


def gpt2(**changed): return of_family(transformers.GPT2Config, n_embd=16, n_layer=1, n_head=2, **changed)


def mamba(): return of_family(transformers.MambaConfig, "mamba", hidden_size=16, num_hidden_layers=1, state_size=4)


def types_of(lm): return {weight.dtype for weight in lm.model.parameters()}


def files_of(loop, number):
    "The hashes of the weights, or of what was added, of all rounds of a number."
    rounds = [record for record in loop.store.all_rounds() if record.number == number]
    return [tuple(h for name, h in record.files.items() if name.endswith(".safetensors")) for record in rounds]


def test_a_mixture_learns_to_use_its_experts_evenly_where_its_config_says_so():
    "As with the Trainer of transformers."
    from selfloop_nb.backend.rows import collate, encode_rows
    more = dict(num_key_value_heads=1, num_local_experts=3, output_router_logits=True, router_aux_loss_coef=0.5)
    torch.manual_seed(0)
    lm, train = of_family(transformers.MixtralConfig, **SMALL, **more), small_task().train.select(range(8))
    batch = collate(encode_rows(lm, train), lm)
    follow = batch.pop("labels")
    with torch.inference_mode(): theirs = lm.model(**batch)
    cross = torch.nn.functional.cross_entropy(theirs.logits.flatten(0, 1), follow.flatten())
    losses = fine_tune(lm, train, FineTune(steps=1, batch_size=8))[1]
    assert losses[0]["loss"] == pytest.approx(float(cross + 0.5 * theirs.aux_loss), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_model_stays_in_its_type(dtype, tmp_path):
    def loop(name="run"): return small_loop(tmp_path / name, model=tiny(dtype), score=half_digits, select=Threshold(0))
    first = loop()
    first.run(rounds=1)
    first.rewind(0)
    first.step()
    assert types_of(first.language_model()) == types_of(first.language_model(0)) == {dtype}
    assert len(set(files_of(first, 1))) == 1, "round 1 was made twice, from memory and from the disk"
    first.step()
    del first
    again = loop()
    again.step()
    through = loop("through")
    through.run(rounds=3)
    assert types_of(again.language_model()) == {dtype}
    assert set(files_of(again, 3)) == set(files_of(through, 3)), "a new kernel goes on as the old one would have"


def test_what_is_frozen_stays_frozen_in_a_new_kernel(tmp_path):
    def frozen():
        lm = tiny()
        lm.model.model.embed_tokens.requires_grad_(False)
        return lm
    for _ in range(2):
        loop = small_loop(tmp_path / "run", model=frozen())
        loop.step()
        del loop
    last = small_loop(tmp_path / "run", model=frozen()).language_model()
    assert torch.equal(last.model.model.embed_tokens.weight, frozen().model.model.embed_tokens.weight)
    assert last.weights_hash() != frozen().weights_hash()


def test_float16_is_refused_where_all_weights_are_trained():
    with pytest.raises(ValueError, match="its weights are in float16.*bfloat16 or float32"):
        small_loop(model=tiny(torch.float16))
    FineTune(**FEW, lora=LoRA()).check(tiny(torch.float16), small_task())


@pytest.mark.parametrize("lora", [None, LoRA()], ids=["full", "lora"])
def test_a_run_that_goes_on_in_new_kernels_has_the_same_likelihoods(lora, tmp_path):
    "To the last bit, also where a chunk is a single request."
    settings = dict(score=half_digits, select=Threshold(0), tune=FineTune(**FEW, lora=lora),
                    sampling=Sampling(n_samples=1, tokens_per_batch=8))
    through = small_loop(tmp_path / "through", **settings)
    through.run(rounds=2)
    for _ in range(2): small_loop(tmp_path / "run", **settings).step()
    resumed = small_loop(tmp_path / "run", **settings)
    assert resumed.samples(2)["logprob"][:] == through.samples(2)["logprob"][:]
    assert files_of(resumed, 2) == files_of(through, 2)


def adapted(lm):
    from peft import LoraConfig, get_peft_model
    return get_peft_model(lm.model, LoraConfig(target_modules="all-linear"))


def with_adapter(lm):
    from peft import LoraConfig
    lm.model.add_adapter(LoraConfig(target_modules=["q_proj"]))
    return lm.model


def quantised(lm):
    lm.model.is_quantized = True
    return lm.model


def elsewhere(lm): return lm.model.to("meta")


def compiled(lm): return torch.compile(lm.model)


def in_parallel(lm): return torch.nn.DataParallel(lm.model)


@pytest.mark.parametrize("make, message", [
    (adapted, r"it is a PeftModel.*model\.merge_and_unload\(\)"), (with_adapter, "it has adapters"),
    (quantised, "quantised and cannot be trained"), (elsewhere, "not in memory"),
    (compiled, "no model of transformers"), (in_parallel, "no model of transformers")])
def test_what_only_holds_a_model_is_refused(make, message):
    lm = tiny()
    with pytest.raises(ValueError, match=f"^given: .*{message}"): LanguageModel(make(lm), lm.tokenizer, "given")


def headless(lm): return lm.model.model


def for_classes(lm): return transformers.LlamaForSequenceClassification(lm.model.config)


@pytest.mark.parametrize("make", [headless, for_classes])
def test_what_writes_no_text_is_refused(make):
    lm = tiny()
    with pytest.raises(ValueError, match="^given: it is a Llama.*writes no text"):
        LanguageModel(make(lm), lm.tokenizer, "given")


def with_own_class(lm):
    class Mine(transformers.LlamaForCausalLM): "A class of somebody's own."
    return Mine(lm.model.config)


def with_value_head(lm):
    lm.model.value_head = torch.nn.Linear(32, 1)
    return lm.model


def shortened(lm):
    lm.model.model.layers = lm.model.model.layers[:1]
    return lm.model


def tied_by_hand(lm):
    lm.model.config.tie_word_embeddings = False
    return lm.model


def layers_tied_by_hand(lm):
    first, second = lm.model.model.layers
    second.mlp.up_proj = first.mlp.up_proj
    return lm.model


def weights_tied_by_hand(lm):
    first, second = lm.model.model.layers
    second.mlp.down_proj.weight = first.mlp.down_proj.weight
    return lm.model


def looks_ahead(lm):
    config = transformers.BertConfig(vocab_size=len(lm.tokenizer), bos_token_id=1, eos_token_id=2, **SMALL)
    return transformers.BertLMHeadModel(config)


@pytest.mark.parametrize("make, message", [
    (with_own_class, "class Mine is not one of transformers"), (with_value_head, "'value_head.bias', and 1 more"),
    (shortened, "not what its config says"), (tied_by_hand, "tie_word_embeddings = True"),
    (layers_tied_by_hand, "layers.0.mlp.up_proj.weight' and 'model.layers.1.mlp.up_proj.weight' are one"),
    (weights_tied_by_hand, "come back from the disk as two.*copy"),
    (looks_ahead, "hangs on what follows.*is_decoder=True")])
def test_what_would_come_back_as_another_model_is_refused_before_a_loop_begins(make, message, tmp_path):
    lm = tiny()
    other = LanguageModel(make(lm), lm.tokenizer, "given")
    with pytest.raises(ValueError, match=f"^given: .*{message}"): small_loop(tmp_path / "run", model=other)
    assert not (tmp_path / "run").exists()


def test_a_model_that_would_come_back_as_another_one_is_not_written(tmp_path):
    lm = tiny()
    layers_tied_by_hand(lm)
    with pytest.raises(ValueError, match="cannot be written: its weights .* are one"): lm.save(tmp_path / "model")


def add_one(lm):
    with torch.no_grad(): lm.model.model.norm.weight.add_(1)


@pytest.mark.parametrize("when", ["before M_0", "after it"])
def test_weights_that_somebody_else_has_changed_make_no_round(when, tmp_path):
    lm = tiny()
    lm.pretrained = True
    loop = small_loop(tmp_path / "run", model=lm)
    if when == "after it": loop.start()
    add_one(lm)
    with pytest.raises(ValueError, match="were changed after the loop"): loop.step()


def test_weights_of_a_later_round_that_somebody_else_has_changed_make_none_and_are_read_again(tmp_path):
    one, other = small_loop(tmp_path / "one"), small_loop(tmp_path / "other")
    for loop in (one, other): loop.run(rounds=1)
    add_one(one.model_of(one.rounds[1].id))
    with pytest.raises(ValueError, match="the weights of round 1 were changed after the loop had made them"): one.step()
    one.step()
    other.step()
    assert one.language_model().weights_hash() == other.language_model().weights_hash()


def other_template(lm): lm.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}="


def more_tokens(lm): lm.tokenizer.add_tokens(["12"])


def another_end(lm): lm.tokenizer.eos_token = "0"


@pytest.mark.parametrize("change", [other_template, more_tokens, another_end])
def test_a_tokenizer_that_somebody_else_has_changed_makes_no_round(change, tmp_path):
    lm = tiny()
    loop = small_loop(tmp_path / "run", model=lm)
    loop.start()
    change(lm)
    with pytest.raises(ValueError, match="tokenizer, chat template or end tokens of .* were changed after the loop"):
        loop.step()


def test_tokens_that_were_added_without_room_are_named_before_a_loop_begins(tmp_path):
    lm = tiny()
    lm.tokenizer.add_tokens(["12"])
    with pytest.raises(ValueError, match=r"call model.resize_token_embeddings\(\d+\)"):
        small_loop(tmp_path / "run", model=lm)


def test_a_place_of_pictures_without_an_embedding_is_text_for_a_model_that_reads_text(tmp_path):
    "As in Gemma 3 of 270 million and a billion weights, whose tokenizer has one token more than the embeddings."
    lm = tiny()
    n_rows = lm.n_embeddings
    lm.tokenizer.add_special_tokens(dict(extra_special_tokens=["<image_soft_token>"]))
    lm = LanguageModel(lm.model, lm.tokenizer, "reads text")
    assert lm.unread_ids == [n_rows] and max(lm.prompt_ids("1<image_soft_token>=")) < n_rows
    loop = small_loop(tmp_path / "run", model=lm)
    loop.step()
    asked = from_dataset(None, [dict(prompt="1<image_soft_token>=", answer="2")])
    said = " ".join(doubts(lm, asked))
    assert "hold '<image_soft_token>'" in said and f"resize_token_embeddings({n_rows + 1})" in said
    lm.tokenizer.add_special_tokens(dict(pad_token="<padding>"))
    with pytest.raises(ValueError, match=r"call model.resize_token_embeddings\(\d+\)"):
        LanguageModel(lm.model, lm.tokenizer, "padded with what it cannot read")


def test_generation_settings_that_contradict_each_other_are_kept(tmp_path):
    lm = tiny()
    own = lm.model.generation_config
    own.do_sample, own.temperature = False, 0.7
    loop = small_loop(tmp_path / "run", model=lm, score=half_digits, select=Threshold(0))
    loop.run(rounds=1)
    assert loop.language_model(0).model.generation_config.temperature == own.temperature == 0.7


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_a_loop_within_a_block_without_gradients_learns_as_outside(around, tmp_path):
    def made(name): return small_loop(tmp_path / name, score=half_digits, select=Threshold(0))
    outside, inside = made("outside"), made("inside")
    outside.step()
    with around():
        inside.step()
        inside.rewind(0)
        inside.step()
    first, again = files_of(inside, 1)
    assert [first] == [again] == files_of(outside, 1)
    assert inside.samples(1)["logprob"][:] == outside.samples(1)["logprob"][:], "M_0 was read from the disk"


def test_what_a_launcher_has_left_in_the_environment_changes_nothing(tmp_path, monkeypatch):
    def trained(): return fine_tune(tiny(), small_task().train, FineTune(**FEW))[0].weights_hash()
    plain = trained()
    for name, value in dict(ACCELERATE_MIXED_PRECISION="bf16", WORLD_SIZE="2", RANK="0").items():
        monkeypatch.setenv(name, value)
    assert trained() == plain


LENGTHS = [
    (transformers.GPT2Config, dict(n_positions=64, n_embd=16, n_layer=1, n_head=2), 64),
    (transformers.MptConfig, dict(max_seq_len=64, d_model=16, n_layers=1, n_heads=2), 64),
    (transformers.BioGptConfig, dict(max_position_embeddings=64, **SMALL), 64),
    (transformers.BertConfig, dict(max_position_embeddings=64, is_decoder=True, **SMALL), 64),
    (transformers.RobertaConfig, dict(max_position_embeddings=64, pad_token_id=1, is_decoder=True, **SMALL), 62)]


@pytest.mark.parametrize("config, settings, longest", LENGTHS, ids=lambda value: getattr(value, "model_type", ""))
def test_the_context_is_what_fits(config, settings, longest):
    lm = of_family(config, **settings)
    assert lm.context == longest
    lm.model(torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)): lm.model(torch.full((1, longest + 1), 5))


def test_a_family_that_counts_its_places_from_the_padding_is_asked_as_it_is_taught():
    "What it writes is as likely as a second pass says; transformers' `generate` would count from 0."
    from selfloop_nb.sampling import generate_samples
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    lm = of_family(transformers.RobertaConfig, max_position_embeddings=64, pad_token_id=0, is_decoder=True, **SMALL)
    samples = generate_samples(lm, small_task().prompts, Sampling(n_samples=2, max_new_tokens=8))
    rows = [i for i, ids in enumerate(samples["token_ids"]) if ids and 0 not in ids] # padding counts no place
    samples = samples.select(rows)
    assert len(samples) > 5
    assert completion_logprobs(lm, samples) == pytest.approx(samples["logprob"][:], abs=1e-4)


def test_a_context_under_a_name_of_long_ago_and_none():
    bloom = of_family(transformers.BloomConfig, hidden_size=16, n_layer=1, n_head=2, seq_length=48)
    assert bloom.context == 48
    assert tiny_t5(small_task()).context == 1_000_000
    assert mamba().context == 1_000_000


def test_additions_that_a_family_cannot_have_are_refused_when_the_loop_is_made():
    lora = FineTune(**FEW, lora=LoRA())
    with pytest.raises(ValueError, match=r"mamba \(mamba\) cannot have low-rank additions .*lora=None"):
        small_loop(model=mamba(), tune=lora)
    with pytest.raises(ValueError, match="cannot have low-rank additions"): small_loop(model=mamba(), initial=lora)
    loop = small_loop(model=mamba())
    with pytest.raises(ValueError, match="cannot have low-rank additions"): loop.change(tune=lora)
    with pytest.raises(ValueError, match="cannot have low-rank additions"):
        small_loop(model=mamba(), tune=DPO(lora=LoRA()))
    small_loop(model=gpt2(n_positions=64), tune=lora)


def test_additions_without_peft_are_refused_when_the_loop_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    lora = FineTune(**FEW, lora=LoRA())
    with pytest.raises(ImportError, match=r"pip install 'selfloop_nb\[lora\]'"): small_loop(tune=lora)
    bare = tiny()
    for layer in bare.model.model.layers: layer.self_attn = layer.mlp = torch.nn.Identity()
    with pytest.raises(ValueError, match="it has no linear layer"): lora.check(bare, small_task())


def test_a_model_that_is_frozen_is_refused_when_the_loop_is_made():
    frozen = tiny()
    frozen.model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"all of its weights are frozen; call model.requires_grad_\(True\)"):
        small_loop(model=frozen)
    lora = FineTune(steps=4, batch_size=16, lr=1e-2, lora=LoRA())
    loop = small_loop(model=frozen, tune=lora, initial=lora)
    loop.run(rounds=1)
    assert not loop.rounds[1].warnings or "as before" not in loop.rounds[1].warnings[0]


NOTHING = dict(steps=2, batch_size=16, lr=1e-12)
LITTLE = dict(NOTHING, lr=1e-5) # too little for a weight of 16 bit


@pytest.mark.parametrize("tune, dtype", [
    (FineTune(**NOTHING), torch.float32), (FineTune(**NOTHING, lora=LoRA()), torch.float32),
    (DPO(**NOTHING), torch.float32), (SPIN(**NOTHING), torch.float32),
    (FineTune(**LITTLE), torch.bfloat16), (FineTune(**LITTLE, lora=LoRA()), torch.bfloat16),
    (DPO(**LITTLE), torch.bfloat16)])
def test_a_round_that_has_learnt_nothing_says_so(tune, dtype, tmp_path):
    settings = dict(model=tiny(dtype), score=half_digits, select=Threshold(0.5), guards=(), tune=tune,
                    sampling=Sampling(n_samples=6))
    loop = small_loop(tmp_path / "run", **settings)
    messages = []
    loop.on(lambda event: messages.append(event.data.get("text", "")))
    loop.run(rounds=1)
    warning, = loop.rounds[1].warnings
    assert "of the weights are as before, after 2 steps at lr=1e-" in warning
    assert ("32 bit" in warning) == (dtype == torch.bfloat16)
    assert any(warning in text for text in messages)
    assert loop.rounds[0].warnings == [], "M_0 has learnt"


def test_a_round_of_one_step_learns():
    "Also with pairs, and where a round has fewer rows than a batch."
    for tune in (FineTune(steps=1), FineTune(steps=None, epochs=1, lr=2e-5), DPO(steps=1)):
        loop = small_loop(score=half_digits, select=Threshold(0.5), tune=tune, sampling=Sampling(n_samples=6))
        loop.run(rounds=1)
        assert [point["lr"] for point in loop.losses(1)] == [tune.lr] * len(loop.losses(1))
        assert loop.language_model(0).weights_hash() != loop.language_model(1).weights_hash()


def test_a_loop_within_autocast_learns_what_it_learns_without_its_cache():
    def trained(**how):
        with torch.autocast("cpu", torch.bfloat16, **how):
            loop = small_loop(score=half_digits, select=Threshold(0), tune=FineTune(steps=10, batch_size=16))
            loop.run(rounds=1)
            assert torch.is_autocast_cache_enabled() == how.get("cache_enabled", True), "it is left as it was"
        return loop.language_model().weights_hash()
    assert trained() == trained(cache_enabled=False)


def test_an_encoder_without_a_pooler_goes_through_a_loop(tmp_path):
    task = small_task()
    tokenizer = tiny_llama(task).tokenizer
    ids = dict(vocab_size=len(tokenizer), pad_token_id=0, max_position_embeddings=64, **SMALL)
    def model():
        torch.manual_seed(0)
        encoder = transformers.BertModel(transformers.BertConfig(**ids), add_pooling_layer=False)
        cross = transformers.BertConfig(**ids, is_decoder=True, add_cross_attention=True)
        both = transformers.EncoderDecoderModel(encoder=encoder, decoder=transformers.BertLMHeadModel(cross))
        both.generation_config.decoder_start_token_id = 1
        return LanguageModel(both, tokenizer, "no pooler", pretrained=False)
    loop = small_loop(tmp_path / "run", task=task, model=model(), score=half_digits, select=Threshold(0))
    loop.run(rounds=1)
    made = loop.language_model().weights_hash()
    assert load_model(loop.store.folder(loop.rounds[1].id) / "model", device="cpu").weights_hash() == made
    del loop
    again = small_loop(tmp_path / "run", task=task, model=model(), score=half_digits, select=Threshold(0))
    again.step()
    assert again.language_model(1).weights_hash() == made


def test_the_copy_that_is_trained_and_what_is_read_lie_as_torch_puts_them(tmp_path):
    lm = tiny()
    tuned, _, _ = fine_tune(lm, small_task().train, FineTune(**FEW, lora=LoRA()))
    tuned.save(tmp_path / "model")
    read, again = load_model(tmp_path / "model", device="cpu"), lm.reloaded(tmp_path / "model")
    for model in (tuned, read, again):
        assert {weight.data_ptr() % 64 for weight in model.model.parameters()} == {0}
        assert {weight.requires_grad for weight in model.model.parameters()} == {True}
        assert model.weights_hash() == tuned.weights_hash()


def test_a_new_model_is_the_same_whatever_torch_is_set_to():
    import torch
    from selfloop_nb import tiny_llama, tiny_t5
    task = small_task()
    for make in (tiny_llama, tiny_t5):
        plain = make(task, layers=1, width=8, heads=2).weights_hash()
        try:
            torch.set_default_dtype(torch.float64)
            torch.set_default_device("meta")
            assert make(task, layers=1, width=8, heads=2).weights_hash() == plain
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)


def test_what_another_thread_makes_meanwhile_has_its_numbers():
    import torch
    from concurrent.futures import ThreadPoolExecutor
    from selfloop_nb.backend.whole import _empty_weights
    def made(): return torch.nn.Linear(2, 2).weight.is_meta
    with ThreadPoolExecutor(1) as other, _empty_weights():
        assert made() and not other.submit(made).result()
    assert not made()
