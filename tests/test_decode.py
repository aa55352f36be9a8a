"""What is read once and leaves when it has ended writes the same: the same tokens as `generate` with its own loop, and
the same log-probabilities to the last bit, whatever the family, the type, the batch; and the network reads less for it.
"""
from copy import deepcopy

import pytest, torch, transformers
from datasets import Dataset

from plain import plain_rows
from selfloop_nb import Sampling
from selfloop_nb.backend import decode
from selfloop_nb.backend.rows import read_completions
from selfloop_nb.backend.tokens import prompt_batch
from selfloop_nb.backend.core import TrainingError
from selfloop_nb.metrics.measures import ask_heldout
from selfloop_nb.models import LanguageModel, tiny_llama
from selfloop_nb.sampling import GREEDY, sample_chunk
from selfloop_nb.training.encoder_decoder import tiny_t5
from small import small_task

TASK = small_task()
TOKENIZER = tiny_llama(TASK).tokenizer
IDS = dict(vocab_size=len(TOKENIZER), pad_token_id=0, bos_token_id=1, eos_token_id=2)
SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
             max_position_embeddings=64)
OF_GPT2 = dict(n_embd=32, n_layer=2, n_head=2, n_positions=64)
GROUPED = dict(num_key_value_heads=1, **SIZES)
WINDOW = dict(head_dim=16, sliding_window=4, **GROUPED) # shorter than the prompts
MAMBA = dict(hidden_size=16, num_hidden_layers=2, state_size=4)
RECURRENT = dict(num_hidden_layers=3, hidden_size=32, intermediate_size=64, num_attention_heads=2, lru_width=32,
                 attention_window_size=8, block_types=["recurrent", "recurrent", "attention"])
LINEAR = dict(head_dim=16, linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8,
              linear_value_head_dim=8, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16,
              shared_expert_intermediate_size=16, layer_types=["linear_attention", "full_attention"], **GROUPED)
FAMILIES = { # name of the configuration -> settings; can rows be taken out?
    "Llama": (SIZES, True), "GPT2": (OF_GPT2, True), "Qwen2": (GROUPED, True),
    "Bloom": (dict(hidden_size=32, n_layer=2, n_head=2), True),
    "Mistral": (WINDOW, True), "Gemma2": (WINDOW, True),
    "Mpt": (dict(max_seq_len=64, d_model=32, n_layers=2, n_heads=2), True),
    "Mamba": (MAMBA, False), "RecurrentGemma": (RECURRENT, False), "Qwen3Next": (LINEAR, False),
    "Rwkv": (dict(hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, context_length=64), False),
}
ROOM = 16


def of_family(name):
    "A model of some family with random weights."
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**IDS, **FAMILIES[name][0]})
    return LanguageModel(transformers.AutoModelForCausalLM.from_config(config).eval(), TOKENIZER, name)


def bart():
    config = transformers.BartConfig(
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, **IDS, decoder_start_token_id=2,
        forced_eos_token_id=None)
    torch.manual_seed(0)
    return LanguageModel(transformers.BartForConditionalGeneration(config), TOKENIZER, "bart")


def asked(lm, n_prompts=5, n_samples=4):
    "Prompts of several lengths, each several times."
    texts = [("1+" if i % 3 == 0 else "") + text for i, text in enumerate(TASK.prompts["prompt"][:n_prompts])]
    return [lm.prompt_ids(text) for text in texts for _ in range(n_samples)]


def check_same(lm, ids, sampling=Sampling(), room=ROOM):
    "The same tokens, and likelihoods to the last bit."
    rows = sample_chunk(lm, ids, 3, sampling, room)
    for row, (tokens, logprobs) in zip(rows, plain_rows(lm, ids, 3, sampling, room)):
        assert row["token_ids"] == tokens
        assert not tokens or row["logprob"] == sum(logprobs[:len(tokens)]) / len(tokens)
    return rows


@pytest.fixture
def n_taken(monkeypatch):
    "How many rows were in each batch out of which some were taken."
    sizes, leave = [], decode.rows_of
    def noted(inputs, rows, n_rows):
        sizes.append((n_rows, len(rows)))
        return leave(inputs, rows, n_rows)
    monkeypatch.setattr(decode, "rows_of", noted)
    return sizes


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_writes_what_it_wrote(name, n_taken):
    lm = of_family(name)
    rows = check_same(lm, asked(lm))
    assert len({row["n_tokens"] for row in rows}) > 2, "they end at different times"
    left = [after for before, after in n_taken if after < before]
    assert bool(left) == FAMILIES[name][1]


@pytest.mark.parametrize("make", [lambda: tiny_t5(TASK), bart], ids=["t5", "bart"])
@pytest.mark.parametrize("n_prompts", [1, 3, 5])
def test_an_encoder_decoder_writes_what_it_wrote(make, n_prompts, n_taken):
    lm = make()
    check_same(lm, asked(lm, n_prompts, 8))
    assert n_prompts == 1 or any(after < before for before, after in n_taken)


@pytest.mark.parametrize("n_prompts, n_samples", [(1, 1), (1, 2), (1, 4), (1, 9), (2, 3), (3, 1), (7, 1), (2, 30)])
def test_few_and_many_rows(n_prompts, n_samples):
    lm = of_family("Llama")
    check_same(lm, asked(lm, n_prompts, n_samples))


@pytest.mark.parametrize("sampling", [
    GREEDY, Sampling(temperature=0.5, top_k=5, top_p=0.8), Sampling(temperature=2.0)], ids=["greedy", "cut", "hot"])
def test_every_way_to_sample(sampling):
    lm = of_family("Llama")
    check_same(lm, asked(lm), sampling)


def test_what_the_model_never_writes_and_its_other_ends():
    lm = of_family("Llama")
    lm.model.generation_config.bad_words_ids = [[5]]
    lm.model.generation_config.eos_token_id = [2, 7]
    sampling = Sampling(n_samples=4)
    rows = sample_chunk(lm, asked(lm), 3, sampling, ROOM)
    assert not any(5 in row["token_ids"] for row in rows)
    assert {row["token_ids"][-1] for row in rows if row["finished"]} == {2, 7}


def test_numbers_of_sixteen_bit():
    lm = of_family("Llama")
    lm.model.to(torch.bfloat16)
    rows = sample_chunk(lm, asked(lm), 3, Sampling(), ROOM)
    before = plain_rows(lm, asked(lm), 3, Sampling(), ROOM)
    assert [row["token_ids"] for row in rows] == [tokens for tokens, _ in before]


def test_a_sample_does_not_depend_on_when_its_neighbours_end():
    "The first row of a chunk is the same whatever the others are asked, and so is what it draws."
    lm = of_family("Llama")
    first, *others = asked(lm, 6, 1)
    short = sample_chunk(lm, [first, *others[:1] * 5], 3, Sampling(), ROOM)[0]
    assert short == sample_chunk(lm, [first, *others], 3, Sampling(), ROOM)[0]


def test_a_large_vocabulary_draws_the_same_noise(monkeypatch):
    "Numbers that nobody needs are passed over, not made."
    lm = of_family("Llama")
    monkeypatch.setattr(decode, "MOST_TOGETHER", 0)
    check_same(lm, asked(lm))
    monkeypatch.setattr(decode, "_is_logarithm", lambda: False)
    check_same(lm, asked(lm))


def test_a_prompt_is_read_once_and_who_has_ended_is_not_read():
    lm, sampling = of_family("Llama"), Sampling(n_samples=8)
    ids, read = asked(lm, 4, 8), []
    lm.model.get_input_embeddings().register_forward_pre_hook(lambda module, given: read.append(given[0].shape))
    rows = sample_chunk(lm, ids, 3, sampling, 40)
    longest = prompt_batch(lm, ids)["input_ids"].shape[1]
    assert read[0] == (4, longest), "each prompt once"
    useful = sum(row["n_tokens"] for row in rows) - len(rows) # the first comes with the prompt
    carried = sum(n for n, _ in read[1:])
    assert useful <= carried < 1.25 * useful, "few rows, which stay to fill a block of four"


@pytest.mark.parametrize("make", [lambda: of_family("Llama"), lambda: of_family("Gemma2"), bart])
def test_what_rows_begin_with_is_read_once_until_they_part(make):
    lm, read = make(), []
    ids = asked(lm, 3, 12)
    lm.model.generation_config.bad_words_ids = [[0]] # padding at the end of a text is none of its tokens
    embeddings = lm.model.get_decoder().get_input_embeddings()
    embeddings.register_forward_pre_hook(lambda module, given: read.append(len(given[0])))
    rows = check_same(lm, ids, Sampling(temperature=0.3))
    del read[ROOM:] # what the plain loop has read
    prefixes = [len({(*asked_for, *row["token_ids"][:n]) for asked_for, row in zip(ids, rows) if row["n_tokens"] > n})
                for n in range(1, max(row["n_tokens"] for row in rows))]
    assert len(set(prefixes)) > 2 and max(prefixes) < len(rows), "some share all along, and some part late"
    for carried, needed in zip(read[1:], prefixes): assert needed <= carried <= max(4, needed * 16 / 15)


def test_a_stop_string_ends_a_row_without_an_end_that_it_did_not_write():
    "Also where padding and end are the same token, as in many chat models."
    lm = of_family("Llama")
    lm = LanguageModel(lm.model, tiny_llama(TASK).tokenizer, "padded with its end")
    lm.tokenizer.pad_token = lm.tokenizer.eos_token
    rows = sample_chunk(lm, asked(lm), 3, Sampling(stop=("1",)), ROOM)
    one = lm.tokenizer.convert_tokens_to_ids("1")
    stopped = [row for row in rows if one in row["token_ids"]]
    assert stopped and all(row["token_ids"][-1] == one and row["finished"] for row in stopped)


def test_weights_that_are_no_numbers_are_no_samples():
    lm = of_family("Llama")
    lm.model.get_input_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="probabilities are no numbers"):
        sample_chunk(lm, asked(lm), 3, Sampling(), ROOM)


def test_answers_of_no_numbers_are_no_empty_answers():
    "Of no numbers the first token is the largest: where that is the end, an empty completion would be the likeliest."
    lm, empty = of_family("Llama"), Dataset.from_list([dict(prompt="1+2=", completion="", answer="")])
    lm.tokenizer = deepcopy(TOKENIZER)
    lm.tokenizer.eos_token = lm.tokenizer.convert_ids_to_tokens(0)
    lm.model.get_input_embeddings().weight.data.fill_(float("nan"))
    assert list(read_completions(lm, empty)[1]) == [0], "the loss takes it for the likeliest"
    with pytest.raises(TrainingError, match="probabilities are no numbers"):
        ask_heldout(lm, TASK, empty, Sampling(max_new_tokens=4))
