"""A sample is trained on the ids that were sampled, whatever the tokenizer: ids trained are ids sampled in all rows, an
answer that the model gives has hardly any held-out loss, and no text becomes a control token.
"""
import json, re

import pytest
from kinds import KINDS, ROWS, causal, encoder_decoder, odd_texts, rows
from selfloop_nb.backend.tokens import row_ids
from tokenizers import Tokenizer

BOTH = [pytest.param(causal, kind, id=kind) for kind in KINDS]
BOTH += [pytest.param(encoder_decoder, kind, id=f"encoder and decoder, {kind}") for kind in ("characters", "unigrams")]


def drawn(lm, n=4, room=12, **settings):
    "Samples of the prompts of D_train."
    from selfloop_nb import Sampling
    from selfloop_nb.sampling import generate_samples
    sampling = Sampling(n_samples=n, max_new_tokens=room, **settings)
    return generate_samples(lm, rows().select_columns(["prompt"]), sampling)


def trained_ids(encoded):
    "The labels of each row."
    return [[label for label in row["labels"] if label != -100] for row in encoded]


@pytest.fixture(scope="module")
def taught():
    "Models that have learnt D_train by heart, each made once."
    from selfloop_nb import FineTune
    from selfloop_nb.tuning import fine_tune
    made = {}
    def of(make, kind, more=()):
        how = FineTune(steps=120, batch_size=16, lr=5e-3)
        if (make, kind) not in made: made[make, kind] = fine_tune(make(kind), rows(more), how)[0]
        return made[make, kind]
    return of


@pytest.mark.parametrize("make, kind", BOTH)
def test_ids_trained_are_ids_sampled(make, kind):
    "Of a model that knows nothing: it spells as no tokenizer would, and writes special tokens in the middle."
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.backend.rows import encode_rows
    lm = make(kind)
    samples = drawn(lm)
    assert trained_ids(encode_rows(lm, samples)) == samples["token_ids"][:]
    written = samples.filter(lambda s: s["n_tokens"] > 0)
    assert completion_logprobs(lm, written) == pytest.approx(written["logprob"][:], abs=1e-4), "likelihood(M_0) too"


@pytest.mark.parametrize("make, kind", BOTH)
def test_an_answer_that_the_model_gives_has_no_heldout_loss(make, kind, taught):
    from selfloop_nb.backend.rows import completion_loss
    lm = taught(make, kind)
    answers = drawn(lm, n=1, temperature=0.0)
    assert all(answers["finished"]) and set(ids[-1] for ids in answers["token_ids"]) == {lm.end_id}
    right = [answer.strip() == completion.strip() for answer, (_, completion) in zip(answers["completion"], ROWS)]
    assert sum(right) >= 14, "it has learnt them by heart"
    loss = completion_loss(lm, answers.select_columns(["prompt", "completion"]))
    noted = sum(answer["logprob"] * answer["n_tokens"] for answer in answers) / sum(answers["n_tokens"])
    assert loss == pytest.approx(-noted, abs=1e-4) and loss < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_cut(kind):
    "Word pieces have no spaces, and what a vocabulary does not hold cannot come back."
    from selfloop_nb.backend.tokens import Reader
    lm = causal(kind)
    read, unknown = Reader(lm), lm.tokenizer.unk_token_id
    texts = odd_texts(300)
    pairs = list(zip(texts, odd_texts(300, seed=1)))
    before = lm.ids_of_prompts(texts)
    for (prompt, completion), ids in zip(pairs, lm.ids_of_pairs(pairs)):
        if unknown in ids or kind == "word pieces": continue
        assert read(ids, before[prompt]) in (completion, completion.removeprefix(" ")), (prompt, completion, ids)


@pytest.mark.parametrize("kind", KINDS)
def test_text_never_becomes_a_control_token(kind):
    lm = causal(kind)
    names = [name for name in lm.controls.names if name != "<unk>"]
    controls = set(lm.tokenizer.convert_tokens_to_ids(names))
    own = lm.ids_of_prompts(["1"])["1"]
    framing = [i for i in own if i in controls]
    texts = [*names, *(f"1{name}2" for name in names), *odd_texts(100)]
    for prompt, ids in lm.ids_of_prompts([text for text in texts if text.strip()]).items():
        assert [i for i in ids if i in controls] == framing, prompt
    for ids in lm.ids_of_pairs([("1+2=", text) for text in texts]): assert not controls & set(ids)


def test_tags_stay_what_they_are(taught):
    from selfloop_nb.backend.rows import encode_rows
    kind = "tags that are special, and plain ones"
    lm = causal(kind)
    more = [("1=", "<think>1</think><tool>2")] * 8
    tagged = encode_rows(lm, rows(more))[-1]["labels"]
    names = lm.tokenizer.convert_ids_to_tokens([i for i in tagged if i != -100])
    assert names == ["<think>", "1", "</think>", "<tool>", "2", "<eos>"]


@pytest.mark.parametrize("kind", ["bytes", "a space before a text"])
def test_pairs_are_the_ids_that_were_sampled(kind):
    from selfloop_nb.training.preferences import encode_pairs, preference_pairs, spin_pairs
    lm = causal(kind)
    samples = drawn(lm)
    samples = samples.add_column("score", [float(n % 4) for n in range(len(samples))])
    pairs, _ = preference_pairs(samples)
    encoded = encode_pairs(lm, pairs)
    sampled = list(map(list, samples["token_ids"]))
    assert all(ids in sampled for side in ("chosen_ids", "rejected_ids") for ids in encoded[side])
    played = encode_pairs(lm, spin_pairs(rows(), samples)[0])
    assert all(ids in sampled for ids in played["rejected_ids"])
    assert all(ids[-1] == lm.end_id for ids in played["chosen_ids"])


def test_numbers_that_a_vocabulary_leaves_out_are_no_end_of_it():
    "The end of a turn has the last number, which is larger than there are tokens."
    from selfloop_nb.models import LanguageModel, character_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM
    def made(n_rows):
        own = dict(vocab_size=n_rows, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=[2, 40])
        return LanguageModel(LlamaForCausalLM(LlamaConfig(**own)), tokenizer, "with gaps")

    full = character_tokenizer(["0123456789+="])
    data = json.loads(full.backend_tokenizer.to_str())
    data["model"]["vocab"]["="] = 40
    tokenizer = type(full)(tokenizer_object=Tokenizer.from_str(json.dumps(data)), eos_token="<eos>", pad_token="<pad>")
    assert made(41).eos_ids == [2, 40]
    with pytest.raises(ValueError, match=r"call model.resize_token_embeddings\(41\)"): made(20)


def test_half_a_character_is_set_apart():
    from selfloop_nb import Threshold
    from selfloop_nb.selection import select_samples
    from selfloop_nb.backend.rows import encode_rows
    lm = causal("bytes")
    half = lm.tokenizer.convert_tokens_to_ids("Ã")
    samples = drawn(lm, n=1).select([0])
    ids = [[half, lm.end_id]]
    samples = samples.remove_columns(["token_ids", "completion", "finished"]).add_column("token_ids", ids)
    samples = samples.add_column("completion", ["\ufffd"]).add_column("finished", [True]).add_column("score", [1.0])
    judged = select_samples(samples, Threshold(1.0))
    assert judged["reason"][:] == ["broken text"] and judged["state"][:] == ["rejected"]
    assert trained_ids(encode_rows(lm, samples)) == ids, "and where a rule of one's own keeps it, as it was sampled"


def with_missing_characters_as_bytes():
    "As of Llama 2: a character that the vocabulary lacks is written as its bytes."
    from kinds import CONTROLS, fast
    from tokenizers import Tokenizer, decoders, models, normalizers
    names = [*CONTROLS, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"0123456789+="]
    tokenizer = Tokenizer(models.BPE(dict(zip(names, range(len(names)))), [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    return fast(tokenizer)


def test_what_follows_the_bytes_of_a_character_is_read_as_it_is():
    from selfloop_nb.backend.tokens import Reader
    lm = causal("bytes")
    lm.tokenizer = with_missing_characters_as_bytes()
    pairs = [("日", "é語 🙂"), ("1+1=日本", "語"), ("🙂", "2"), ("1", "日")]
    before, read = lm.ids_of_prompts([prompt for prompt, _ in pairs]), Reader(lm)
    for (prompt, text), ids in zip(pairs, lm.ids_of_pairs(pairs)): assert read(ids, before[prompt]) == text


def test_a_tokenizer_that_was_told_to_split_its_control_tokens_asks_as_before():
    lm = causal("a chat of bytes, its own end of turn")
    asked = lm.prompt_ids("1+2=")
    lm.tokenizer.split_special_tokens = True
    assert lm.prompt_ids("1+2=") == asked


def test_a_stop_string_cuts_text_and_ids_alike():
    from selfloop_nb.backend.rows import encode_rows
    lm = causal("characters")
    samples = drawn(lm, stop=("1",)).filter(lambda s: s["finished"] and s["token_ids"][-1] != lm.end_id)
    assert len(samples) > 3 and not any("1" in text for text in samples["completion"])
    for sample, ids in zip(samples, trained_ids(encode_rows(lm, samples))):
        assert ids == lm.completion_ids(sample["completion"], prompt=sample["prompt"])


@pytest.mark.parametrize("stop", ["#", "##", "o"])
def test_a_stop_string_ends_no_sample_that_does_not_hold_it(stop):
    "Cut in the middle of a word, word pieces are shown as `##s`."
    lm = causal("word pieces")
    stopped, plain = drawn(lm, stop=(stop,)), drawn(lm)
    assert stopped["completion"][:] == [text.partition(stop)[0] for text in plain["completion"][:]]


def test_an_ordinary_token_that_pads_is_text_where_it_is_written():
    "As GPT-2's exclamation mark with `pad_token_id = 0`: samples end with it, and stop strings hold it."
    from selfloop_nb.tuning import encode_rows, fine_tune
    lm = causal("characters")
    lm.tokenizer.pad_token = "!"
    from selfloop_nb import FineTune
    shouting = rows().map(lambda row: dict(completion="1" + "!" * 20))
    lm = fine_tune(lm, shouting, FineTune(steps=60, batch_size=16, lr=5e-3))[0]
    cut = drawn(lm, n=1, room=4, temperature=0.0)
    assert set(cut["completion"]) == {"1!!!"} and not any(cut["finished"])
    assert trained_ids(encode_rows(lm, cut)) == cut["token_ids"][:]
    stopped = drawn(lm, n=1, room=4, temperature=0.0, stop=("!!",))
    assert set(stopped["completion"]) == {"1"} and all(stopped["finished"])


def test_a_system_prompt_is_in_every_prompt(tmp_path):
    from selfloop_nb.models import LanguageModel, load_model
    plain = causal("a chat of bytes, its own end of turn")
    lm = LanguageModel(plain.model, plain.tokenizer, "told", system="Add!")
    assert "Add!" in lm.tokenizer.decode(lm.prompt_ids("1+2="))
    lm.save(tmp_path / "model")
    again = load_model(tmp_path / "model", device="cpu")
    assert again.prompt_ids("1+2=") == lm.prompt_ids("1+2=") != plain.prompt_ids("1+2=")


@pytest.mark.parametrize("kind", ["a space before a text", "bytes", "characters"])
def test_the_space_before_an_answer_is_the_templates(kind):
    "As of Mistral, Vicuna and Falcon: D_train is learnt as the template writes it, and read as it was given."
    from selfloop_nb.backend.tokens import Reader
    lm = causal(kind)
    lm.tokenizer.chat_template = ("{% for m in messages %}{% if m.role == 'user' %}1{{ m.content }}={% else %}"
                                  " {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}")
    talk = [dict(role="user", content="+2"), dict(role="assistant", content="3")]
    told = lm.tokenizer.apply_chat_template(talk, return_dict=False)
    before, ids = lm.prompt_ids("+2"), lm.completion_ids("3", prompt="+2")
    assert before + ids == told and Reader(lm)(ids[:-1], before) == "3"
    samples = drawn(lm)
    assert [ids for _, ids in row_ids(lm, samples)] == samples["token_ids"][:]
    earlier = samples.map(lambda row: dict(completion=" " + row["completion"]))
    begun = [i for i, ids in enumerate(samples["token_ids"][:]) if lm.tokenizer.decode(ids).startswith(" ")]
    again = row_ids(lm, earlier.select(begun))
    assert [ids for _, ids in again] == [samples["token_ids"][i] for i in begun], "read with it, as once"


def test_of_several_templates_the_default_is_used():
    lm = causal("a chat of bytes, its own end of turn")
    one = lm.tokenizer.chat_template
    lm.tokenizer.chat_template = {"default": one, "rag": "{{ messages[0].content }}"}
    from selfloop_nb.models import LanguageModel
    several = LanguageModel(lm.model, lm.tokenizer, "several")
    assert several.end_id == several.tokenizer.convert_tokens_to_ids("<end>")
    assert several.tokenizer.decode(several.prompt_ids("1+2=")) == "<user>1+2=<assistant>"


def test_what_a_tokenizer_cannot_write_is_said_before_it_is_trained(tmp_path):
    from selfloop_nb import FineTune, from_dataset
    from small import small_loop
    odd = [("1+1=", "2\n"), ("2+2=", "four\n!"), ("3+3=", "6<eos>")]
    task = from_dataset([dict(prompt=p, completion=c) for p, c in odd], [dict(prompt="1\n+1=")])
    few = FineTune(steps=1, batch_size=16)
    loop = small_loop(tmp_path / "run", task=task, model=causal("a space before a text"), initial=few, tune=few)
    said = loop.start().warnings
    for words in ("D_train: 2 of 3 completions cannot be written .* row 0, '2\\\\n', which comes back as '2<unk>'",
                  "prompts: 1 of 1 prompts hold what the tokenizer .* does not know",
                  "D_train: 1 of 3 completions spell a control token .* '<eos>' in row 2"):
        assert [text for text in said if re.match(words, text)], (words, said)


def test_templates_are_for_held_out_problems_too(tmp_path):
    from selfloop_nb import FineTune, Sampling, from_dataset
    from small import small_loop
    seen = []
    def check(row):
        seen.append(row["prompt"])
        return row["completion"] == row["answer"]
    asked = [dict(prompt=p, answer=c) for p, c in ROWS]
    task = from_dataset([dict(prompt=p, completion=c) for p, c in ROWS], asked, rows(), check=check)
    few = FineTune(steps=5, batch_size=16)
    loop = small_loop(tmp_path / "run", task=task, model=causal("characters"), initial=few, tune=few,
                      sampling=Sampling(templates=("{prompt}", "it is {prompt}")))
    loop.start()
    assert seen == [("it is " if i % 2 else "") + p for i, (p, _) in enumerate(ROWS)]


def test_answers_that_were_cut_off_are_said(tmp_path):
    from selfloop_nb import Sampling, Threshold
    from selfloop_nb.backend.core import EmptyRoundError
    from small import small_loop
    short = small_loop(tmp_path / "run", sampling=Sampling(max_new_tokens=1, n_samples=1))
    with pytest.raises(EmptyRoundError, match="100% of the samples were cut off at max_new_tokens=1"): short.step()
    kept = small_loop(tmp_path / "kept", select=Threshold(1.0, finished=False), sampling=Sampling(max_new_tokens=1))
    assert any("held-out answers were cut off at max_new_tokens=1" in text for text in kept.start().warnings)


class Counting:
    "Counts the rows that a run is trained on, and those whose ids are not the ones that were sampled."
    def __init__(self, monkeypatch):
        import selfloop_nb.tuning as tuning
        self.rows = self.others = 0
        self.encode = tuning.encode_rows
        monkeypatch.setattr(tuning, "encode_rows", self)

    def __call__(self, lm, table, *how):
        encoded = self.encode(lm, table, *how)
        if "token_ids" not in table.column_names: return encoded
        sampled = [(ids, row) for ids, row in zip(table["token_ids"], trained_ids(encoded)) if ids]
        self.rows += len(sampled)
        self.others += sum(ids != row for ids, row in sampled)
        return encoded


@pytest.mark.long
@pytest.mark.parametrize("make, kind", BOTH)
def test_golden_run(make, kind, tmp_path, monkeypatch, capsys):
    "Two rounds, counted."
    from selfloop_nb import FineTune, Loop, Sampling, Threshold, from_dataset
    asked = [dict(prompt=p) for p, _ in ROWS]
    task = from_dataset(rows(), asked, rows())
    def has_digit(samples): return [float(any(map(str.isdigit, text))) for text in samples["completion"]]
    has_digit.range = (0.0, 1.0)
    counted = Counting(monkeypatch)
    few = FineTune(steps=25, batch_size=16, lr=5e-3)
    loop = Loop(make(kind), task, score=has_digit, select=Threshold(1.0), tune=few, initial=few, store=tmp_path / "run",
                sampling=Sampling(n_samples=6, max_new_tokens=16), progress=False, drift=True)
    history = loop.run(rounds=2)
    assert len(history) == 3 and counted.rows > 20 and counted.others == 0
    with capsys.disabled(): print(f"\n{loop.model.name}: {counted.rows} rows, {counted.others} on other ids", end=" ")
