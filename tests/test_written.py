"""What a model writes is as likely as a second pass over it says, whatever its family, its own settings and what is
around it; one that is taught otherwise than it writes is refused; a run knows the settings that decide what is written.
"""
import gc, json

import pytest, torch, transformers
from small import half_digits, low_digit, small_loop, small_task
from selfloop_nb import Sampling, Threshold, from_dataset, likelihood
from selfloop_nb.backend.core import SelfloopError
from selfloop_nb.backend.rows import completion_loss
from selfloop_nb.metrics.redrawn import redraw
from selfloop_nb.models import LanguageModel, tiny_llama
from selfloop_nb.sampling import generate_samples
from selfloop_nb.scorers.likelihoods import completion_logprobs

TOKENIZER = tiny_llama(small_task()).tokenizer
IDS = dict(vocab_size=len(TOKENIZER), pad_token_id=0, bos_token_id=1, eos_token_id=2)
SIDES = dict(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
             encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, decoder_start_token_id=2)
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def tiny(pretrained=False):
    lm = tiny_llama(small_task(), width=32)
    lm.pretrained = pretrained
    return lm


SIZE = IDS["vocab_size"]
FAMILIES = {
    "M2M100": SIDES | IDS, "Roberta": SMALL | IDS | dict(max_position_embeddings=64, is_decoder=True),
    "FSMT": SIDES | dict(langs=["en", "de"], src_vocab_size=SIZE, tgt_vocab_size=SIZE, pad_token_id=0, eos_token_id=2),
    "RecurrentGemma": SMALL | IDS | dict(num_hidden_layers=3, lru_width=32, attention_window_size=16),
    "Rwkv": IDS | dict(hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, context_length=64),
    "Bart": SIDES | IDS | dict(is_decoder=True, is_encoder_decoder=False),
    "XLM": dict(emb_dim=32, n_layers=2, n_heads=2, causal=True, n_words=SIZE, pad_index=0, bos_index=1, eos_index=2)}


def of_family(name):
    "A model of some family, whose random weights are so large that its positions count."
    auto = transformers.AutoModelForSeq2SeqLM if name in ("M2M100", "FSMT") else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    model = auto.from_config(getattr(transformers, f"{name}Config")(**FAMILIES[name]))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1: weight.add_(torch.randn_like(weight) / 5)
    return LanguageModel(model, TOKENIZER, name, pretrained=False)


def drawn(lm, **settings):
    "Samples of prompts of several lengths."
    texts = [("1+" if i % 3 == 0 else "") + text for i, text in enumerate(small_task().prompts["prompt"][:6])]
    how = Sampling(**{**dict(n_samples=4, max_new_tokens=10), **settings})
    samples = generate_samples(lm, from_dataset(None, [dict(prompt=text) for text in texts]).prompts, how, seed=1)
    return samples.filter(lambda row: row["n_tokens"] > 0)


def far(lm, samples):
    "How far the second pass is from the first."
    again = completion_logprobs(lm, samples, same_tokens=True)
    return max(abs(ours - noted) for ours, noted in zip(again, samples["logprob"][:]))


BENT = dict(repetition_penalty=2.0, no_repeat_ngram_size=2, min_p=0.5, top_k=2, top_p=0.1, typical_p=0.2,
            epsilon_cutoff=0.1, min_new_tokens=9, max_length=2, num_beams=3, stop_strings=["1"], forced_eos_token_id=2,
            use_cache=False, begin_suppress_tokens=[5, 6, 7], do_sample=False, temperature=0.01, guidance_scale=3.0,
            max_time=1e-4)


def test_the_models_own_settings_bend_no_sample():
    plain = drawn(tiny()).to_dict()
    for name, value in BENT.items():
        lm = tiny()
        setattr(lm.model.generation_config, name, value)
        assert drawn(lm).to_dict() == plain, name


@pytest.mark.parametrize("name, barred", [("suppress_tokens", [5, 6, 7]), ("bad_words_ids", [[5], [6], [7]])])
def test_what_is_never_written_is_as_likely_as_it_is(name, barred):
    lm = tiny()
    setattr(lm.model.generation_config, name, barred)
    samples = drawn(lm)
    assert not {5, 6, 7} & {i for ids in samples["token_ids"][:] for i in ids}
    assert far(lm, samples) < 1e-5


@pytest.mark.parametrize("family", ["M2M100", "FSMT", "Roberta"])
def test_padding_is_never_written_where_it_would_move_what_follows(family):
    lm = of_family(family)
    head = lm.model.get_output_embeddings()
    with torch.no_grad():
        head.weight[0] = head.weight[5] # as likely as a digit
    samples = drawn(lm)
    assert not any(0 in ids for ids in samples["token_ids"][:]) and far(lm, samples) < 1e-4


@pytest.mark.parametrize("family", ["RecurrentGemma", "Rwkv", "Bart"])
def test_prompts_of_other_lengths_change_no_sample_of_a_family_that_reads_padding(family):
    lm = of_family(family)
    assert far(lm, drawn(lm)) < 1e-4


@pytest.mark.parametrize("family", ["RecurrentGemma", "Rwkv"])
def test_what_is_drawn_again_of_such_a_family_is_the_same(family):
    "Else a run of it would be called not bit-exact wherever it goes on."
    lm, how = of_family(family), Sampling(n_samples=2, max_new_tokens=6)
    asked = from_dataset(None, [dict(prompt=text) for text in ("1+1=", "12+34=", "1+2=", "12+3=")]).prompts
    samples = generate_samples(lm, asked, how, seed=1, place=(1, "sample"))
    assert redraw(lm, samples, how, 6, 1, 1)


def test_the_decoder_of_a_model_with_an_encoder_can_be_taught_alone(tmp_path):
    loop = small_loop(tmp_path / "run", model=of_family("Bart"), score=half_digits, select=Threshold(0))
    assert loop.step().number == 1


def test_a_model_that_is_taught_otherwise_than_it_writes_is_refused():
    with pytest.raises(ValueError, match="^XLM: what it writes is .* nats a token away .* take another model"):
        small_loop(model=of_family("XLM"))


def test_an_autocast_around_changes_no_figure_and_is_said(tmp_path):
    def made(name): return small_loop(tmp_path / name, score=half_digits, select=Threshold(0))
    outside, inside = made("outside"), made("inside")
    lm, table = tiny(), small_task().heldout
    outside.run(rounds=1)
    figures = completion_loss(lm, table), likelihood(lm)(table)
    with torch.autocast("cpu", torch.bfloat16):
        inside.run(rounds=1)
        assert (completion_loss(lm, table), likelihood(lm)(table)) == figures
    assert inside.language_model().weights_hash() == outside.language_model().weights_hash()
    assert inside.samples(1).to_dict() == outside.samples(1).to_dict()
    said = [str(record.warnings).count("autocast around the loop is not used") for record in inside.rounds]
    assert said == [1, 1] and not any("autocast" in str(record.warnings) for record in outside.rounds)


def with_barred(lm, barred):
    lm.model.generation_config.suppress_tokens = barred
    return lm


def test_a_run_goes_on_with_the_settings_that_it_was_written_with(tmp_path):
    def loop(barred):
        model = with_barred(tiny(pretrained=True), barred)
        return small_loop(tmp_path / "run", model=model, score=half_digits, select=Threshold(0))
    loop([5]).start()
    gc.collect()
    for others in (None, [6]):
        with pytest.raises(SelfloopError, match="was made with model .*suppress_tokens.*another store"): loop(others)
    assert loop([5]).step().number == 1


def test_settings_that_somebody_else_has_changed_make_no_round(tmp_path):
    lm = with_barred(tiny(), [5])
    loop = small_loop(tmp_path / "run", model=lm)
    with_barred(lm, [6])
    with pytest.raises(ValueError, match="the generation settings .* were changed after the loop"): loop.start()


def test_a_run_of_before_which_tells_no_such_settings_goes_on(tmp_path):
    small_loop(tmp_path / "run").start()
    gc.collect()
    path = tmp_path / "run" / "run.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    assert info["model"].pop("generates") == {}
    path.write_text(json.dumps(info), encoding="utf-8")
    assert small_loop(tmp_path / "run", model=with_barred(tiny(), [5])).step().number == 1


def test_chunks_that_were_drawn_under_other_settings_are_drawn_again():
    kept, prompts = {}, small_task().prompts.select(range(6))
    plain = generate_samples(tiny(), prompts, Sampling(), 6, parts=kept)
    other = generate_samples(with_barred(tiny(), [5, 6, 7]), prompts, Sampling(), 6, parts=kept)
    assert plain["token_ids"][:] != other["token_ids"][:]
    assert not {5, 6, 7} & {i for ids in other["token_ids"][:] for i in ids}


def test_m_0_is_trained_once_and_another_way_to_train_it_is_said_to_be_unused(tmp_path, recwarn):
    from selfloop_nb import FineTune
    small_loop(tmp_path / "run").start()
    gc.collect()
    small_loop(tmp_path / "run")
    assert not [w for w in recwarn if "initial" in str(w.message)]
    gc.collect()
    with pytest.warns(UserWarning, match="initial is not used: M_0 of run 'run' was trained already, with steps=20"):
        small_loop(tmp_path / "run", initial=FineTune(steps=3, batch_size=32))


def test_what_q_goes_by_is_there_before_anything_is_trained(tmp_path):
    from selfloop_nb import OnlyTrain, exact_match, mean_of, no_repetition, verifier
    bare = from_dataset([dict(prompt="1+1=", completion="2")], [dict(prompt="2+1=", hint="?")])
    for score in (None, 0.5 * verifier() + no_repetition(), mean_of(verifier(), no_repetition())):
        with pytest.raises(ValueError, match="needs a task with a check"):
            small_loop(tmp_path / "run", task=bare, score=score)
    with pytest.raises(ValueError, match="score=exact_match: the prompts lack the reference column 'answer'.*'hint'"):
        small_loop(tmp_path / "run", task=bare, score=exact_match())
    assert not (tmp_path / "run").exists()
    small_loop(task=bare, score=verifier(), mix=OnlyTrain()) # draws no samples
    taken = from_dataset([dict(prompt="1+1=", completion="2")], [dict(prompt="2+1=", score_low_digit=1.0)])
    with pytest.raises(ValueError, match="prompts: the column 'score_low_digit' is where the scores of a part of Q go"):
        small_loop(task=taken, score=no_repetition() + low_digit)
