"""What is published loads elsewhere and says what the record says: the model, the samples in the usual forms, two cards
that no text of a stranger breaks; a converter or a hub that is not there costs nothing.
"""
import json, socket

import pytest
from chats import chat_model, turns
from selfloop_nb import FineTune, Measure, Sampling, from_dataset, open_run
from selfloop_nb.backend.core import DamagedRunError, SelfloopError
from selfloop_nb.storage import publish
from selfloop_nb.storage.publish import CONVERTER
from selfloop_nb.storage.stored import pruned_files
from small import small_loop, small_task

HOSTILE = "---\n| <script>alert(1)</script> ``` [x](javascript:alert(1)) {{ 1 }} \u202e: {a: b} !!python/object"


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    "A run of two rounds."
    loop = small_loop(tmp_path_factory.mktemp("runs") / "run")
    loop.run(rounds=2)
    return loop


@pytest.fixture
def offline(monkeypatch):
    "No hub to be asked."
    import huggingface_hub.constants as constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_the_model_loads_and_is_the_round(loop, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    published = loop.publish(tmp_path / "out", round=1)
    model = AutoModelForCausalLM.from_pretrained(published.folder)
    ours = loop.language_model(1).model.state_dict()
    assert published.round == 1 and all(torch.equal(ours[name], w) for name, w in model.state_dict().items())
    assert AutoTokenizer.from_pretrained(published.folder)("21+43=")["input_ids"]
    seen = open_run(loop.store.path).publish(tmp_path / "seen", round=1)
    assert (seen.folder / "README.md").read_text() == (published.folder / "README.md").read_text()


def test_the_best_round_is_taken(loop, tmp_path):
    history = loop.history()
    best = min(range(3), key=lambda n: (-history["heldout_accuracy"][n], n))
    assert loop.publish(tmp_path / "out").round == best


def test_samples_load_in_three_forms(loop, tmp_path):
    from datasets import load_dataset
    folder = loop.publish(tmp_path / "out", round=2).dataset
    kept = sum(record.counts["n_kept"] for record in loop.rounds)
    for form in ("messages", "prompt_completion"):
        for kind in ("jsonl", "parquet"):
            reader = "json" if kind == "jsonl" else kind
            table = load_dataset(reader, data_files=str(folder / f"{form}.{kind}"), cache_dir=str(tmp_path / "cache"))
            assert len(table["train"]) == kept
    pairs = [json.loads(line) for line in (folder / "dpo.jsonl").read_text().splitlines()]
    texts = {(s["prompt"], s["completion"]): s["state"] for n in (1, 2) for s in loop.samples(n)}
    assert pairs and all(texts[p["prompt"], p["chosen"]] == "kept" for p in pairs)
    assert all(texts[p["prompt"], p["rejected"]] == "rejected" and p["score_rejected"] < p["score"] for p in pairs)
    task = from_dataset(folder / "dpo.jsonl", [dict(prompt="1+1=")])
    assert task.train["completion"][:] == [p["chosen"] for p in pairs], "it comes back in, as it went out"


def test_the_figures_on_the_card_are_the_records(loop, tmp_path):
    from huggingface_hub import DatasetCard, ModelCard
    from selfloop_nb.storage.files import file_hash
    published = loop.publish(tmp_path / "out", round=2)
    card = ModelCard.load(published.folder / "README.md")
    for record in loop.rounds:
        assert f"| {record.metrics['heldout_loss']:.4g} |" in card.text
        assert f"| {record.counts['n_kept']} |" in card.text
    seal = file_hash(loop.store.folder(record.id) / "round.json")
    assert record.id in card.text and seal in card.text
    samples = DatasetCard.load(published.dataset / "README.md")
    assert seal in samples.text and {c["config_name"] for c in samples.data.configs} >= {"messages", "dpo"}


def test_no_text_of_a_stranger_breaks_a_card(tmp_path):
    from huggingface_hub import DatasetCard, ModelCard
    def hostile_score(samples): return [1.0] * len(samples)
    hostile_score.name = HOSTILE
    loop = small_loop(tmp_path / "run", score=hostile_score, sampling=Sampling(n_samples=1, max_new_tokens=4))
    loop.task.name = HOSTILE
    loop.store.info["task"]["name"], loop.store.info["model"]["name"] = HOSTILE, HOSTILE
    loop.step()
    published = loop.publish(tmp_path / "out", round=1)
    for card in (ModelCard.load(published.folder / "README.md"), DatasetCard.load(published.dataset / "README.md")):
        assert "<script" not in card.text and "](" not in card.text and "\u202e" not in card.text
        assert card.data.tags[0] == "selfloop_nb" and getattr(card.data, "base_model", None) is None


def test_conversations_are_published_as_messages(tmp_path):
    asked = [dict(prompt=turns("1+1=", "2", f"{a}+1=", system="Add."), answer=str(a + 1)) for a in range(4)]
    solved = [dict(prompt=row["prompt"], completion=turns("", row["answer"])[1:]) for row in asked]
    few = FineTune(steps=3, batch_size=4)
    task = from_dataset(solved, asked, solved)
    loop = small_loop(tmp_path / "run", task=task, model=chat_model("llama"), initial=few, tune=few,
                      score=lambda s: [float(i % 2) for i in range(len(s))],
                      sampling=Sampling(n_samples=4, max_new_tokens=3), select=any_kept)
    loop.step()
    folder = loop.publish(tmp_path / "out", round=1).dataset
    row = json.loads((folder / "messages.jsonl").read_text().splitlines()[0])
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    row = json.loads((folder / "dpo.jsonl").read_text().splitlines()[0]) if (folder / "dpo.jsonl").exists() else None
    assert row is None or row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"


def test_what_a_chat_model_wrote_is_published_as_it_was_asked(tmp_path):
    asked = [dict(prompt=f"{a}+1=", answer=str(a + 1)) for a in range(4)]
    few = FineTune(steps=3, batch_size=4)
    model = chat_model("qwen", system="Be brief.", template_kwargs={"enable_thinking": False})
    task = from_dataset([dict(prompt="1+1=", completion="2")], asked, [dict(prompt="7+1=", completion="8")])
    loop = small_loop(tmp_path / "run", task=task, model=model, initial=few, tune=few,
                      score=lambda s: [float(i % 2) for i in range(len(s))],
                      sampling=Sampling(n_samples=4, max_new_tokens=3), select=any_kept)
    loop.step()
    folder = loop.publish(tmp_path / "out", round=1).dataset
    for form, name in (("messages", "messages"), ("prompt_completion", "prompt")):
        row = json.loads((folder / f"{form}.jsonl").read_text().splitlines()[0])
        assert [m["role"] for m in row[name]][:2] == ["system", "user"] and row[name][0]["content"] == "Be brief."
        assert row["chat_template_kwargs"] == {"enable_thinking": False}
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    told = tokenizer.apply_chat_template(row["prompt"], **row["chat_template_kwargs"], add_generation_prompt=True,
                                         tokenize=False)
    plain = row["prompt"][1]["content"]
    assert told == model.asked([plain])[plain], "a trainer reads what the model was asked"


@pytest.mark.parametrize("texts", [["", "2", "<think>\n1\n</think>\n", " "], ["", "", "", ""]])
def test_what_says_nothing_is_in_no_message_and_the_rest_comes_back(texts, tmp_path):
    from selfloop_nb.storage.publish import forms_of
    row = dict(round=1, sample_id="1-0", finished=True, score=1.0, state="kept")
    rows = [dict(row, prompt=f"{i}+1=", prompt_id=i, completion=text) for i, text in enumerate(texts)]
    rows += [dict(rows[1], completion="", score=0.0, state="rejected")]
    for told in (None, {}, {"system": "Be brief."}):
        for name, made in forms_of(rows, told).items():
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, made)))
            train = from_dataset(tmp_path / f"{name}.jsonl", [dict(prompt="a")]).train
            may_be_empty = told is None and name == "prompt_completion"
            assert train["completion"][:] == [one for one in texts if one == "2" or may_be_empty and not one.strip()]


def any_kept(samples):
    "A rule of one's own: what scores 1 is kept, whether it has ended or not."
    states = ["kept" if score == 1 else "rejected" for score in samples["score"]]
    return states, ["" if state == "kept" else "no" for state in states]


def test_a_folder_of_others_is_left_alone(loop, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(SelfloopError, match="holds something else"): loop.publish(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()
    loop.publish(tmp_path / "out", round=1)
    assert loop.publish(tmp_path / "out", round=2).round == 2, "what was published is replaced"
    for name in ("notes.txt", "README.md", ".git/config"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("by hand")
        with pytest.raises(SelfloopError, match=f"holds something else .{name}."): loop.publish(tmp_path / "out")
        assert (tmp_path / "out" / name).read_text() == "by hand"
        (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / ".DS_Store").write_text("")
    assert loop.publish(tmp_path / "out", round=1).round == 1
    with pytest.raises(SelfloopError, match="among the rounds"): loop.publish(loop.store.path / "rounds" / "out")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(SelfloopError, match="is a link"): loop.publish(tmp_path / "link")
    thesis = tmp_path / "mine" / "thesis.tex"
    with pytest.raises(SelfloopError, match="thesis.tex' is a file"): loop.publish(thesis / "out")


def test_a_damaged_round_is_not_published(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    weights = loop.store.folder(loop.rounds[0].id) / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DamagedRunError, match="model.safetensors"): loop.publish(tmp_path / "out", round=0)
    assert not (tmp_path / "out").exists(), "whole or not at all"


def test_a_pruned_round_says_how_it_is_made_again(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=3)
    loop.prune(keep=1)
    gone = next(record.number for record in loop.rounds if pruned_files(loop.store.folder(record.id)))
    with pytest.raises(SelfloopError, match=rf"pruned: make them again, loop.remake\({gone}\)"):
        loop.publish(tmp_path / "out", round=gone)
    loop.remake(gone)
    assert loop.publish(tmp_path / "out", round=gone).round == gone


@pytest.mark.parametrize("number", ["newest", "1", None, 1.5, True])
def test_a_round_is_a_whole_number(loop, tmp_path, number):
    with pytest.raises(ValueError, match="round=.* must be a whole number"):
        loop.publish(tmp_path / "out", round=number)


def test_round_0_has_no_samples_and_says_so(loop, tmp_path):
    published = loop.publish(tmp_path / "out", round=0)
    assert "no dataset" in repr(published) and not published.dataset.exists()


@pytest.mark.parametrize("script, words", [
    ("import sys; open(sys.argv[3], 'wb').write(b'GGUF')", "GGUF: model.gguf"),
    ("raise SystemExit('no such architecture')", "no GGUF: convert_hf_to_gguf.py failed (no such architecture)")])
def test_gguf_where_the_converter_is_there(loop, tmp_path, monkeypatch, script, words):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / CONVERTER).write_text(f"#!/usr/bin/env python3\n{script}\n")
    (tmp_path / "bin" / CONVERTER).chmod(0o755)
    monkeypatch.setenv("PATH", "")
    assert "is not on the path" in repr(loop.publish(tmp_path / "without", round=1))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    published = loop.publish(tmp_path / "out", round=1)
    assert words in published.notes and (published.folder / "model.gguf").exists() == words.startswith("GGUF")


def test_a_hub_that_does_not_answer_costs_nothing(loop, tmp_path, offline):
    published = loop.publish(tmp_path / "out", round=1, push_to_hub="somebody/something")
    assert sum("is not on the hub, and all of it is in" in note for note in published.notes) == 2
    assert (published.folder / "config.json").exists()


def test_a_hub_that_takes_a_connection_and_says_nothing_costs_a_while(loop, tmp_path, monkeypatch):
    from huggingface_hub import constants
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setattr(publish, "HUB_SECONDS", 0.2)
    notes = loop.publish(tmp_path / "out", round=1, push_to_hub="somebody/something").notes
    assert sum("the hub does not answer" in note for note in notes) == 2


def test_what_goes_to_a_hub(loop, tmp_path, monkeypatch):
    import huggingface_hub
    monkeypatch.setattr(publish, "hub_answers", lambda seconds: True)
    calls = []
    class Hub:
        def create_repo(self, name, **how):
            calls.append((name, how["repo_type"], how["private"]))
            return f"https://hub/{name}"
        def upload_folder(self, **how): calls.append((how["repo_id"], how["folder_path"].name, how["ignore_patterns"]))
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    notes = loop.publish(tmp_path / "out", round=1, push_to_hub="me/model").notes
    assert calls == [("me/model", "model", True), ("me/model", "out", ["dataset/*"]),
                     ("me/model-samples", "dataset", True), ("me/model-samples", "dataset", None)]
    assert "model: https://hub/me/model" in notes


def test_nothing_measured_has_no_best(tmp_path):
    task = small_task()
    loop = small_loop(tmp_path / "run", task=from_dataset(task.train, task.prompts.select(range(20))))
    loop.start()
    with pytest.raises(SelfloopError, match="name one, such as round=3"): loop.publish(tmp_path / "out")


def test_the_best_is_the_same_wherever_it_is_asked_for(tmp_path):
    "A task that nothing checks goes by its own measure, and not by the loss."
    task = small_task()
    unchecked = from_dataset(task.train, task.prompts.remove_columns("answer").select(range(20)), task.heldout)
    asked = []
    def own(answers): # best in round 1
        asked.append(answers)
        return float(len(asked) == 2)
    loop = small_loop(tmp_path / "run", task=unchecked, keep=1, measures=dict(own=Measure(own, draws=0)))
    loop.run(rounds=3)
    losses = loop.history()["heldout_loss"].tolist()
    assert losses.index(min(losses)) != 1, "the loss would have chosen another"
    assert loop.best().number == loop.publish(tmp_path / "out").round == 1
    assert [bool(pruned_files(loop.store.folder(record.id))) for record in loop.rounds] == [False, False, True, False]


def test_a_model_with_an_encoder_says_what_it_is_for(tmp_path):
    import transformers
    from huggingface_hub import DatasetCard, ModelCard
    from selfloop_nb import tiny_t5
    from small import small_task
    task = small_task()
    loop = small_loop(tmp_path / "run", task=task, model=tiny_t5(task, layers=1, width=32, heads=2))
    loop.run(rounds=1)
    published = loop.publish(tmp_path / "out", round=1)
    card = ModelCard.load(published.folder / "README.md")
    assert card.data.pipeline_tag == "text2text-generation" and "AutoModelForSeq2SeqLM" in card.text
    assert DatasetCard.load(published.dataset / "README.md").data.task_categories == ["text2text-generation"]
    assert isinstance(transformers.AutoModelForSeq2SeqLM.from_pretrained(published.folder), type(loop.model.model))


def test_a_run_that_learnt_from_d_train_alone_is_published_without_samples(tmp_path):
    from selfloop_nb import OnlyTrain
    loop = small_loop(tmp_path / "run", mix=OnlyTrain())
    loop.run(rounds=1)
    published = loop.publish(tmp_path / "out", round=1)
    assert "no dataset: no sample was kept up to this round" in published.notes
