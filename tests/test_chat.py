"""Chat as users have it: TRL's forms of tables load unchanged; several turns, system messages, tools and a template's
settings reach the model; ids trained are ids sampled; thoughts are told apart from answers, and Q sees the answers.
"""
import json
import math

import pytest
from chats import CHATS, chat_model, chat_tokenizer, turns
from selfloop_nb import FineTune, Loop, Sampling, Threshold, from_dataset
from selfloop_nb.backend.turns import read_turns, write_turns
from selfloop_nb.models import LanguageModel, load_model

SUMS = [(a, b) for a in range(4) for b in range(4)]
SKY = turns("What color is the sky?", "It is blue.")
NO = [SKY[0], {"role": "assistant", "content": "It is green."}]
FORMS = {
    "language modeling": dict(text="The sky is blue."),
    "language modeling, conversational": dict(messages=SKY),
    "prompt-only": dict(prompt="The sky is"),
    "prompt-only, conversational": dict(prompt=SKY[:1]),
    "prompt-completion": dict(prompt="The sky is", completion=" blue."),
    "prompt-completion, conversational": dict(prompt=SKY[:1], completion=SKY[1:]),
    "preference": dict(prompt="The sky is", chosen=" blue.", rejected=" green."),
    "preference, conversational": dict(prompt=SKY[:1], chosen=SKY[1:], rejected=NO[1:]),
    "preference, implicit": dict(chosen="The sky is blue.", rejected="The sky is green."),
    "preference, implicit, conversational": dict(chosen=SKY, rejected=NO),
    "unpaired preference": dict(prompt="The sky is", completion=" blue.", label=True),
    "unpaired preference, conversational": dict(prompt=SKY[:1], completion=SKY[1:], label=True),
}


@pytest.mark.filterwarnings("ignore:the prompts bring completions")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["rows", "dataset", "jsonl", "parquet", "pandas"])
def test_the_forms_of_trl_load_unchanged(form, kind, tmp_path):
    from datasets import Dataset
    table = Dataset.from_list([FORMS[form]])
    table.to_json(tmp_path / "data.jsonl")
    table.to_parquet(tmp_path / "data.parquet")
    made = dict(rows=[FORMS[form]], dataset=table, pandas=table.to_pandas())
    data = made.get(kind, tmp_path / f"data.{kind}")
    asks = form.startswith("prompt-only")
    task = from_dataset(None if asks else data, data, None if asks else data)
    talks, is_text = "conversational" in form, form == "language modeling"
    expected = "" if is_text else "What color is the sky?" if talks else "The sky is"
    assert task.prompts["prompt"][:] == [expected]
    if asks: return
    completion = "The sky is blue." if is_text else "It is blue." if talks else " blue."
    assert (task.train["prompt"][:], task.train["completion"][:]) == ([expected], [completion])
    assert task.heldout["completion"][:] == [completion]


def test_steps_with_labels_are_refused_in_words_and_their_prompts_can_be_asked():
    steps = [dict(prompt="1+2=", completions=["1", "2"], labels=[True, False])]
    assert from_dataset(None, steps).prompts["prompt"][:] == ["1+2="]
    with pytest.raises(ValueError, match="train: completions with a label for each step"): from_dataset(steps, steps)


def test_of_bad_completions_nothing_is_learnt():
    rows = [dict(prompt="a", completion="b", label=True), dict(prompt="a", completion="c", label=False),
            dict(prompt="d", completion="e", label=False)]
    with pytest.warns(UserWarning, match="train: 2 of 3 completions are labelled False"):
        task = from_dataset(rows, [dict(prompt="a")])
    assert task.train["completion"][:] == ["b"]
    with pytest.warns(UserWarning, match="asked without references"): task = from_dataset(None, rows)
    assert task.prompts["prompt"][:] == ["a", "d"] and task.check is None


@pytest.mark.parametrize("good, bad", [("True", "False"), ("true", "false"), ("TRUE", ""), (True, None)])
def test_verdicts_are_read_as_they_are_meant(good, bad, tmp_path):
    rows = [dict(prompt="a", completion="b", label=good), dict(prompt="a", completion="c", label=bad)]
    (tmp_path / "rows.csv").write_text(f"prompt,completion,label\na,b,{good}\na,c,{bad}\n".replace("None", ""))
    for train in (rows, tmp_path / "rows.csv"):
        with pytest.warns(UserWarning, match="train: 1 of 2 completions are labelled False"):
            task = from_dataset(train, [dict(prompt="a")])
        assert task.train["completion"][:] == ["b"]


@pytest.mark.parametrize("good, bad", [(1, -1), (1, 0), (1.0, 0.0), ("1", "0"), ("yes", "no")])
def test_what_may_be_a_verdict_is_named(good, bad):
    rows = [dict(prompt="a", completion="b", label=good), dict(prompt="a", completion="c", label=bad)]
    with pytest.warns(UserWarning, match="is not read as a verdict"): from_dataset(rows, [dict(prompt="a")])


def test_a_label_that_is_no_verdict_is_a_column_as_any(recwarn):
    rows = [dict(prompt="a", completion="b", label=label) for label in ("news", "True")]
    assert from_dataset(rows, [dict(prompt="a")]).train["label"][:] == ["news", "True"] and not recwarn.list


def test_a_message_of_weight_0_is_not_learnt():
    def weighed(text, weight): return [*turns("q"), dict(role="assistant", content=text, weight=weight)]
    texts = [("bad", 0), ("good", 1)]
    forms = [[dict(messages=weighed(*text)) for text in texts],
             [dict(messages=json.dumps(weighed(*text))) for text in texts],
             [dict(prompt="q", completion=weighed(*text)[1:]) for text in texts]]
    for rows in forms:
        with pytest.warns(UserWarning, match="train: 1 of 2 answers have the weight 0"):
            task = from_dataset(rows, [dict(prompt="a")])
        assert task.train["completion"][:] == ["good"]


def test_share_gpt_and_columns_beside():
    row = dict(conversations=[{"from": "human", "value": "1+2="}, {"from": "gpt", "value": "3"}], topic="sums")
    assert from_dataset([row], [dict(prompt="a")]).train[:] == dict(prompt=["1+2="], completion=["3"], topic=["sums"])


OF_THE_HUB = {
    "UltraFeedback": dict(prompt="What color is the sky?", chosen=SKY, rejected=NO, messages=SKY),
    "the same, with a system message": dict(prompt="What color is the sky?\n", rejected=NO,
                                            chosen=turns("What color is the sky?", "It is blue.", system="Be brief.")),
    "a prompt of messages, again": dict(prompt=SKY[:1], chosen=SKY, rejected=NO),
    "a completion that begins with it": dict(prompt=SKY[:1], completion=SKY),
    "UltraChat": dict(prompt="What color is the sky?", messages=SKY),
    "a thought in both places": dict(messages=[SKY[0], dict(role="assistant", content="<think>\nx\n</think>\n\nIt is "
                                                            "blue.", reasoning_content="x")]),
    "a thought as vLLM names it": dict(messages=[SKY[0], dict(SKY[1], reasoning="x")]),
}


@pytest.mark.parametrize("form", OF_THE_HUB)
@pytest.mark.parametrize("kind", ["rows", "dataset"])
def test_what_the_hubs_tables_say_twice_is_read_once(form, kind):
    from datasets import Dataset
    data = [OF_THE_HUB[form]] if kind == "rows" else Dataset.from_list([OF_THE_HUB[form]])
    train = from_dataset(data, [dict(prompt="a")]).train
    (prompt,), (completion,) = train["prompt"][:], train["completion"][:]
    assert prompt.count("What color is the sky?") == 1 and prompt.count("Be brief.") == ("system" in form)
    assert completion.count("It is blue.") == 1 and completion.count("<think>") == ("thought" in form)


def test_what_is_judged_in_part_is_learnt_where_it_is_called_good():
    rows = [dict(prompt="a", completion=text, label=label) for text, label in (("b", True), ("c", False), ("d", None))]
    with pytest.warns(UserWarning, match="2 of 3 completions are labelled False or not at all"):
        assert from_dataset(rows, [dict(prompt="a")]).train["completion"][:] == ["b"]


def test_pictures_are_refused():
    from PIL import Image
    picture = Image.new("RGB", (2, 2))
    for seen in (dict(images=[picture]), dict(photo=picture), dict(image="sky.png")):
        with pytest.raises(ValueError, match="train: the column .* holds pictures"):
            from_dataset([dict(prompt=SKY[:1], completion=SKY[1:], **seen)], [dict(prompt="a")])


WRONG = [
    (dict(messages=turns("1+2=")), "row 1: its messages end with the turn of the user"),
    (dict(messages=turns("1+2=", " ")), "row 1, message 1: the message of the assistant holds no text"),
    (dict(messages=[]), "row 1"),
    (dict(prompt="Add!", messages=turns("1+2=", "3")), "row 1: the prompt 'Add!' stands beside messages of which none"),
    (dict(messages=turns("1+2=", "3")[1:]), "row 1: nothing is asked"),
    (dict(messages=[{"role": "<|im_end|>", "content": "a"}]), "row 1, message 0: its role is"),
    (dict(messages=turns("1+2=", "<think>3")), "row 1: the completion '<think>3' opens a thought"),
    (dict(messages=turns("1+2=", "<think>3</think>\n")), "row 1: the completion .* is a thought without an answer"),
    (dict(messages=[*turns("1+2="), dict(role="assistant", tool_calls=[dict(name="add")])]), "calls a tool"),
]


@pytest.mark.parametrize("chosen, rejected", [("3", None), (None, "3"), ("3", turns("1+2=", "4"))])
def test_a_pair_has_two_sides_of_one_kind(chosen, rejected):
    with pytest.raises(ValueError, match="row 0: chosen is .* and rejected .*: give two texts"):
        from_dataset([dict(chosen=chosen, rejected=rejected)], [dict(prompt="a")])


def test_a_pair_that_shows_no_prompt_asks_for_one():
    with pytest.raises(ValueError, match="row 0: chosen and rejected begin differently.*chosen, question, rejected"):
        from_dataset([dict(question="1+2=", chosen="3", rejected="4")], [dict(prompt="a")])


@pytest.mark.parametrize("told", [dict(system=3), dict(template_kwargs="no")])
def test_what_a_model_is_told_is_a_text_and_a_dict(told):
    with pytest.raises(ValueError, match=f"{next(iter(told))}=.*: it must be a"): chat_model("qwen", **told)


def test_what_is_said_before_the_completion_is_not_lost():
    said = turns("1+2=", "What?", "Add them.", "3")
    forms = [dict(messages=said), *(dict(prompt=asked, completion=said[1:]) for asked in ("1+2=", said[:1]))]
    rows = [from_dataset([form], [dict(prompt="a")]).train[0] for form in forms]
    assert rows[0] == rows[1] == rows[2] and "What?" in rows[0]["prompt"]


@pytest.mark.parametrize("row, words", WRONG)
def test_bad_conversations_are_named_with_their_row(row, words):
    good = dict(messages=turns("1+1=", "2"))
    with pytest.raises(ValueError, match=words): from_dataset([good, row], [dict(prompt="a")])


def test_prompts_must_end_with_someone_to_answer():
    for bad in (turns("1+2=", "3"), [dict(role="system", content="Add!")]):
        with pytest.raises(ValueError, match="prompts, row 0, prompt: the prompt ends with the turn of the"):
            from_dataset(None, [dict(prompt=bad)])


@pytest.mark.parametrize("kind", CHATS)
def test_a_conversation_is_asked_as_the_template_writes_it(kind):
    lm = chat_model(kind)
    talk = turns("1+1=", "2", "And 1 <eos> more?", system="You add.")
    by_hand = lm.tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    assert lm.tokenizer.decode(lm.prompt_ids(write_turns(talk))) == by_hand
    assert lm.tokenizer.eos_token_id not in lm.prompt_ids(write_turns(talk)), "what a user types is text"


def test_tools_and_settings_reach_the_template():
    lm, tool = chat_model("qwen"), {"type": "function", "function": {"name": "add"}}
    asked = turns("1+2=") + [dict(role="assistant", content="", tool_calls=[dict(name="add", arguments=dict(a=1))]),
                             dict(role="tool", content="3")]
    rows = [dict(prompt=asked, tools=[tool], chat_template_kwargs=dict(enable_thinking=False))]
    task = from_dataset(None, rows)
    text = lm.tokenizer.decode(lm.prompt_ids(task.prompts["prompt"][0]))
    by_hand = lm.tokenizer.apply_chat_template(asked, tools=[tool], enable_thinking=False, add_generation_prompt=True,
                                               tokenize=False)
    assert text == by_hand and '{"name": "add"}' in text and text.endswith("</think>\n\n")
    assert task.prompts["tools"][0] == [tool], "the column goes along"


def test_a_template_that_fails_on_a_prompt_names_it():
    lm = chat_model("gemma")
    twice = write_turns([*turns("1+1="), *turns("1+2=")])
    words = "fails on the prompt .*Conversation roles must alternate"
    with pytest.raises(ValueError, match=words): lm.prompt_ids(twice)


@pytest.mark.parametrize("template, words", [
    ("{{ messages[0].content + 1 }}", "can only concatenate str"), ("{% for m in %}", "TemplateSyntaxError|Expected"),
    ("{{ raise_exception('not today') }}", "not today"),
    ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "does not end within")])
def test_a_template_that_fails_or_never_ends_is_named_when_the_model_is_made(template, words):
    lm = chat_model("qwen")
    lm.tokenizer.chat_template = template
    with pytest.raises(ValueError, match=f"qwen: its chat template cannot write a question .*({words})"):
        LanguageModel(lm.model, lm.tokenizer, "qwen")
    LanguageModel(lm.model, lm.tokenizer, "qwen", chat=False)


CALL = dict(role="assistant", content="", tool_calls=[dict(name="add", arguments=dict(a=1))])
DROPPED = { # as of Zephyr, which knows a user and an assistant; "prompter" is OpenAssistant's
    "the message of the system": turns("1+2=", system="Add!"),
    "the message of the tool": [*turns("1+2=", "add"), dict(role="tool", content="3")],
    "the message of the prompter": [dict(role="prompter", content="1+2=")],
    "the calls of tools by the assistant": [*turns("1+2="), CALL, *turns("And 1 more?")],
}
ZEPHYR = """{% for m in messages %}
{%- if m.role in ('user', 'assistant') %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}
{%- endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""


@pytest.mark.parametrize("what", DROPPED)
@pytest.mark.parametrize("table", ["D_train", "prompts", "held-out"])
def test_a_message_that_the_template_leaves_out_is_named_before_the_first_round(what, table, tmp_path):
    lm = chat_model("llama")
    lm.tokenizer.chat_template = ZEPHYR
    plain, odd = turns("1+1="), DROPPED[what]
    rows = {name: [plain, odd if name == table else plain] for name in ("D_train", "prompts", "held-out")}
    solved = {name: [dict(prompt=row, completion="2") for row in asked] for name, asked in rows.items()}
    task = from_dataset(solved["D_train"], [dict(prompt=row) for row in rows["prompts"]], solved["held-out"])
    with pytest.raises(ValueError, match=f"{table}, row 1: the chat template of llama leaves out {what}, .*: say it"):
        Loop(lm, task, score=lambda s: [1.0] * len(s), store=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", CHATS)
def test_no_message_is_missed_where_the_template_writes_all(kind):
    from selfloop_nb.training.round_models import check_turns
    thought = "<think>\n1\n</think>\n\n2"
    rows = [dict(prompt=turns("1+1=", said, "And 1 more?", system="Add!")) for said in ("2", thought, "?")]
    if kind == "qwen": rows.append(dict(prompt=[*turns("1+2="), CALL, dict(role="tool", content="3")]))
    check_turns(chat_model(kind), from_dataset(None, rows))


def test_each_of_several_templates_is_told_what_the_model_is_told():
    lm = chat_model("qwen")
    one = lm.tokenizer.chat_template
    lm.tokenizer.chat_template = {"default": one, "tool_use": "(tools)" + one}
    told = dict(system="Add!", template_kwargs={"enable_thinking": False})
    own = LanguageModel(lm.model, lm.tokenizer, "several", **told)
    asked = own.asked(["1+2=", write_turns(turns("1+2="), {"tools": [{"name": "add"}]})])
    for prompt, text in asked.items():
        assert "Add!" in text and text.endswith("</think>\n\n"), text
        assert text.startswith("(tools)") == ('"add"' in text) == (prompt != "1+2=")


HARMONY = """{% for m in messages %}{{ '<|start|>' + m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}
{{- '<|message|>' + m.content + ('<|return|>' if m.role == 'assistant' else '<|end|>') }}{% endfor %}
{%- if add_generation_prompt %}<|start|>assistant{% endif %}"""
COHERE = """{% for m in messages %}{{ '<|' + m.role + '|>' }}{% if m.role == 'assistant' %}<|answer|>{% endif %}
{{- m.content }}{% if m.role == 'assistant' %}<|done|>{% endif %}{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


@pytest.mark.parametrize("template, tokens", [
    (HARMONY, ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>")),
    (COHERE, ("<|user|>", "<|assistant|>", "<|answer|>", "<|done|>"))])
def test_what_the_template_writes_before_an_answer_is_taught_and_not_read(template, tokens):
    from kinds import byte_pairs, with_tokens
    from selfloop_nb.backend.tokens import Reader
    lm = chat_model("llama")
    lm.tokenizer = with_tokens(byte_pairs(), tokens, (), template)
    taught = lm.prompt_ids("1+2=") + lm.completion_ids("3", prompt="1+2=")
    by_hand = lm.tokenizer.apply_chat_template(turns("1+2=", "3"), return_dict=False)
    assert taught == by_hand
    before = lm.prompt_ids("1+2=")
    assert Reader(lm)(taught[len(before):-1], before) == "3"
    assert Reader(lm)(lm.cut(["3"])[0], before) == "3", "where the model has not written it"


def test_what_a_model_is_told_stays_with_it(tmp_path):
    plain = chat_model("qwen")
    plain.save(tmp_path / "plain")
    told = dict(system="Add!", template_kwargs={"enable_thinking": False})
    lm = load_model(tmp_path / "plain", device="cpu", **told)
    assert lm.tokenizer.decode(lm.prompt_ids("1+2=")).endswith("<think>\n\n</think>\n\n")
    lm.save(tmp_path / "told")
    again = load_model(tmp_path / "told", device="cpu")
    assert again.prompt_ids("1+2=") == lm.prompt_ids("1+2=") != plain.prompt_ids("1+2=")
    raw = load_model(tmp_path / "plain", device="cpu", chat=False)
    assert raw.tokenizer.decode(raw.prompt_ids("1+2=")) == "1+2=" and raw.identity() != plain.identity()
    with pytest.raises(ValueError, match="does not read"): load_model(tmp_path / "plain", template_kwargs=dict(think=1))
    with pytest.raises(ValueError, match="is a conversation, and the model has no chat template"):
        raw.prompt_ids(write_turns(turns("1+1=", "2", "1+2=")))


def said(a, b, thinks):
    "The answer to a sum, perhaps with a thought before it."
    return f"<think>\n{a} {b}\n</think>\n\n{a + b}" if thinks else str(a + b)


def sums_task(thinks=False, **more):
    "Sums, half of them asked in the second turn of a conversation."
    def asked(a, b): return turns("1+1=", "2", f"{a}+{b}=") if a % 2 else turns(f"{a}+{b}=")
    solved = [dict(messages=[*asked(a, b), dict(role="assistant", content=said(a, b, thinks))]) for a, b in SUMS]
    return from_dataset(solved, [dict(prompt=asked(a, b), answer=str(a + b)) for a, b in SUMS], solved, **more)


def sums_loop(kind, store=None, task=None, **changed):
    "A loop that learns them by heart."
    settings = dict(initial=FineTune(steps=220, batch_size=16, lr=5e-3), tune=FineTune(steps=10, batch_size=16),
                    sampling=Sampling(max_new_tokens=24, n_samples=2), select=Threshold(1.0), progress=False)
    return Loop(chat_model(kind), task or sums_task(kind == "qwen"), store=store, **{**settings, **changed})


def trained_ids(lm, table):
    from selfloop_nb.backend.rows import encode_rows
    return [[label for label in row["labels"] if label != -100] for row in encode_rows(lm, table)]


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("told", [{}, {"system": "You add."}])
def test_ids_trained_are_ids_sampled_in_conversations(kind, told):
    from selfloop_nb.sampling import generate_samples
    lm = chat_model(kind, **told)
    samples = generate_samples(lm, sums_task().prompts, Sampling(n_samples=4, max_new_tokens=12))
    assert sum(prompt.startswith("⟪") for prompt in samples["prompt"]) == 32
    assert trained_ids(lm, samples) == samples["token_ids"][:]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    "A run of a model that thinks before it answers."
    loop = sums_loop("qwen", tmp_path_factory.mktemp("runs") / "thinker")
    loop.run(rounds=1)
    return loop


def test_thoughts_are_told_apart(thinker):
    samples = thinker.samples()
    right = [s for s in samples if s["state"] == "kept"]
    assert len(right) >= 10 and thinker.history()["heldout_accuracy"][0] > 0.8
    for s in right:
        assert s["completion"] == f"<think>\n{s['thought']}\n</think>\n\n{s['reply']}" and s["reply"] == s["answer"]
    kept = samples.select([i for i, s in enumerate(samples) if s["state"] == "kept"])
    assert trained_ids(thinker.model, kept) == kept["token_ids"][:], "both are learnt, as they were sampled"


def test_q_sees_the_answer(thinker):
    seen = []
    def is_short(table):
        seen.extend(table["completion"])
        return [float(len(text) < 3) for text in table["completion"]]
    other = thinker.branch("short", round=0, score=is_short)
    other.step()
    assert seen and not any("think" in text for text in seen)
    assert all("</think>" in s["completion"] for s in other.samples() if s["state"] == "kept")


def test_an_unclosed_thought_has_its_own_reason(thinker):
    from selfloop_nb.backend.core import EmptyRoundError
    cut = thinker.branch("cut", round=0, sampling=Sampling(max_new_tokens=4))
    with pytest.raises(EmptyRoundError, match="before they had ended their thought") as error: cut.step()
    samples = error.value.samples
    assert set(samples["reason"]) == {"unclosed thought"} and set(samples["state"]) == {"quarantined"}
    assert samples["reply"][:] == [None] * len(samples) and all(map(math.isnan, samples["score"]))


def test_a_run_with_thoughts_goes_on(thinker):
    from selfloop_nb import open_run, verify
    path = thinker.store.path
    assert open_run(path).samples(1)["thought"][:] == thinker.samples(1)["thought"][:]
    assert verify(path).is_whole and thinker.report().exists()


def test_the_browser_folds_thoughts(thinker):
    from selfloop_nb import browse
    shown = browse(thinker)
    shown.state.value = "kept"
    assert "<summary>thought, " in shown.cards() and "&lt;think&gt;" not in shown.cards()
    rows = shown.live.samples["rows"]
    assert all(row["thought"] and "<think>" not in row["completion"] for row in rows)


def test_one_part_can_be_learnt_alone(thinker):
    from selfloop_nb.training.thinking import LearnOnly
    answers = thinker.branch("answers", round=0, mix=LearnOnly("answer"))
    answers.step()
    table = answers.mix(answers.task.train, [], 0)
    assert not any("<think>" in text for text in table["completion"])
    assert answers.rounds[1].config["mix"]["part"] == "answer"


def test_a_thought_that_the_prompt_has_begun():
    lm = chat_model("a thought begun")
    from selfloop_nb.backend.thoughts import with_thoughts
    from datasets import Dataset
    table = Dataset.from_dict(dict(prompt=["1+2="] * 2, completion=["1, 2</think>3", "1, 2"]))
    told = with_thoughts(lm, table)
    assert told["thought"][:] == ["1, 2", "1, 2"] and told["reply"][:] == ["3", None]


def test_an_answer_goes_on_from_a_thought_that_was_begun():
    lm = chat_model("a thought begun")
    for completion, expected in (("<think>\n1, 2</think>3", "1, 2</think>3"), ("3", "</think>\n\n3")):
        ids = lm.completion_ids(completion, finished=False, prompt="1+2=")
        assert lm.tokenizer.decode(ids) == expected


TAUGHT = "<think>\n1, 2\n</think>\n\n3"
CHANNELS = {"gpt-oss": "<|channel|>analysis<|message|>1, 2<|end|><|start|>assistant<|channel|>final<|message|>3",
            "gemma 4": "<|channel>thought\n1, 2\n<channel|>3"}


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_thought_in_a_channel_is_told_apart_and_taught_in_it(kind):
    from datasets import Dataset
    from selfloop_nb.backend.thoughts import with_thoughts
    from selfloop_nb.metrics.doubts import doubts
    from selfloop_nb.storage.publish import _said
    lm, written = chat_model(kind), CHANNELS[kind]
    for completion in (TAUGHT, written):
        ids = lm.completion_ids(completion, prompt="1+2=")
        assert lm.tokenizer.decode(ids[:-1]) == written and ids[-1] == lm.end_id
        assert ids == [*lm.tokenizer(written)["input_ids"], lm.end_id], "its marks are control tokens"
    spelt = lm.completion_ids("I write <|channel|> and <|channel>", prompt="1+2=")
    channel = lm.tokenizer.convert_tokens_to_ids("<|channel|>")
    assert kind != "gpt-oss" or spelt.count(channel) == 1, "where the answer begins"
    table = Dataset.from_dict(dict(prompt=["1+2="] * 3, completion=[written, written.partition("2")[0], "3"]))
    told = with_thoughts(lm, table)
    assert told["thought"][0] == "1, 2" and told["reply"][:] == ["3", None, "3"]
    task = from_dataset([dict(messages=[*turns("1+2="), dict(role="assistant", content="3", thinking="1, 2")])],
                        [dict(prompt="1+2=")])
    assert task.train["completion"][:] == [TAUGHT] and not doubts(lm, task)
    assert not doubts(lm, from_dataset(table.select([0]), [dict(prompt="1+2=")]))
    again = from_dataset([dict(messages=turns("1+2=") + _said(written))], [dict(prompt="1+2=")])
    assert again.train["completion"][:] == [TAUGHT], "what is published comes back"


@pytest.mark.parametrize("thinks", [None, True, False])
def test_gemma_thinks_where_it_is_told_to(thinks):
    lm = chat_model("gemma 4", template_kwargs=None if thinks is None else {"enable_thinking": thinks})
    assert lm.thinks == bool(thinks)


def test_the_templates_of_families_are_taught_as_they_write():
    from importlib.util import find_spec
    from pathlib import Path
    from kinds import byte_pairs, with_tokens
    from selfloop_nb.backend.tokens import TextAsIds
    if not find_spec("trl"): pytest.skip("trl has the templates")
    folder, lm = Path(find_spec("trl").origin).parent / "chat_templates", TextAsIds()
    marks = ("<|im_start|>", "<|im_end|>", "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>")
    for name in ("gptoss", "qwen3", "qwen3_5_think", "nemotron_3_nano", "nemotron_3_ultra", "lfm2_2_5"):
        template = (folder / f"{name}.jinja").read_text()
        lm.tokenizer = with_tokens(byte_pairs(), marks, ("<think>", "</think>"), template)
        taught = lm.tokenizer.decode(lm.prompt_ids("1+2=") + lm.completion_ids(TAUGHT, prompt="1+2="))
        said = dict(role="assistant", content="3", thinking="1, 2", reasoning_content="1, 2")
        told = lm.tokenizer.apply_chat_template([*turns("1+2="), said], tokenize=False)
        assert told.rstrip("\n") == taught, name


def test_a_thought_that_is_ended_at_once_is_said():
    from selfloop_nb.metrics.doubts import doubts
    task = from_dataset([dict(prompt="1+2=", completion=text) for text in ("<think>2, 3</think>3", "3")],
                        [dict(prompt="2+2=")])
    said = [text for text in doubts(chat_model("a thought begun"), task) if "have no thought" in text]
    assert len(said) == 1 and "1 of 2 completions have no thought, such as row 1" in said[0], said
    assert "learns to end it at once, with '</think>'" in said[0]


@pytest.mark.parametrize("quick", [True, False])
def test_what_is_taught_is_what_the_template_writes_or_it_is_said(quick):
    from selfloop_nb.metrics.doubts import doubts
    lm = chat_model("qwen", template_kwargs={"enable_thinking": False} if quick else None)
    asked = lm.tokenizer.decode(lm.prompt_ids("1+2=") + lm.completion_ids("3", prompt="1+2="))
    written = lm.tokenizer.apply_chat_template(turns("1+2=", "3"), tokenize=False)
    task = from_dataset([dict(prompt="1+2=", completion=text) for text in ("3", "<think>2, 3</think>3")],
                        [dict(prompt="2+2=")])
    said = [text for text in doubts(lm, task) if "have no thought" in text]
    if not quick: written = written.replace("<think>\n\n</think>\n\n", "")
    assert asked.rstrip() == written.rstrip()
    assert bool(said) != quick
    assert quick or "1 of 2 completions" in said[0] and "enable_thinking': False" in said[0]


@pytest.mark.parametrize("kind, closed", [
    ("qwen", dict(template_kwargs={"enable_thinking": False})), ("smollm", dict(system="/no_think")), ("qwen", {})])
def test_a_second_thought_behind_one_that_the_template_has_closed_is_said(kind, closed):
    from selfloop_nb.metrics.doubts import doubts
    task = from_dataset([dict(prompt="1+2=", completion=text) for text in ("3", "<think>2, 3</think>3")],
                        [dict(prompt="2+2=")])
    said = [text for text in doubts(chat_model(kind, **closed), task) if "a second one is learnt" in text]
    assert bool(said) == bool(closed)
    assert not closed or "1 of 2 completions have a thought, such as row 1" in said[0]


@pytest.mark.parametrize("kind, hint", [("qwen", "it thinks first"), ("llama", "ask otherwise")])
def test_a_judge_says_why_it_has_no_verdict(kind, hint):
    from selfloop_nb import judge, score_samples
    from selfloop_nb.backend.core import ScoringError
    samples = from_dataset(None, [dict(prompt="1+2=")]).prompts.add_column("completion", ["3"])
    samples = samples.add_column("prompt_id", [0])
    asked = judge(chat_model(kind, context=2048), least=0.9, n_controls=0)
    with pytest.raises(ScoringError, match=f"'Yes' and 'No' have a probability of .* below least=0.9: {hint}"):
        score_samples(samples, asked)
    with pytest.raises(ScoringError, match="its question does not fit into the context"):
        score_samples(samples, judge(chat_model(kind, context=64), n_controls=0))


def test_room_to_think(thinker):
    from selfloop_nb.sampling import room_for
    trained = chat_model("qwen", context=8192, pretrained=True)
    quick = chat_model("qwen", context=8192, pretrained=True, template_kwargs={"enable_thinking": False})
    assert room_for(trained, thinker.task, Sampling()) == 2048 and room_for(quick, thinker.task, Sampling()) == 256


@pytest.mark.long
@pytest.mark.parametrize("kind", CHATS)
def test_a_loop_of_conversations(kind, tmp_path):
    loop = sums_loop(kind, tmp_path / "run", score=lambda table: [1.0] * len(table))
    loop.run(rounds=2)
    assert loop.rounds[-1].number == 2 and read_turns(loop.samples()["prompt"][-1])
    assert chat_tokenizer(kind).chat_template == loop.language_model().tokenizer.chat_template
