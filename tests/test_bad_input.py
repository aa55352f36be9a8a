"Each mistake is an error that says what, which value and how to mend it; and nothing that was there is lost."
import gc, json, math, os, re, subprocess, sys, warnings
from dataclasses import replace

import numpy, pandas, pytest
import selfloop_nb
import selfloop_nb.phases as phases
import selfloop_nb.sampling as sampling
import selfloop_nb.tuning as tuning
import small
import torch
from datasets import Dataset
from made_up import scored
from selfloop_nb.guards import check_guards
from selfloop_nb.mixing import as_mix
from selfloop_nb.selection import KeepRule, as_rule
from small import small_loop, small_task

pytestmark = pytest.mark.usefixtures("warm_python")

ONE = [{"prompt": "1+1=", "completion": "2"}]


def refuse(error, pattern):
    "What is raised, and the words in it."
    from selfloop_nb.backend import core
    return pytest.raises(ValueError if error == "ValueError" else getattr(core, error), match=pattern)


@pytest.mark.parametrize("train, prompts, message", [
    ([], ONE, "train is empty.*prompt.*completion"),
    (None, [], "prompts is empty"),
    ([{"prompt": "1+1="}], ONE, "train lacks the column 'completion'.*\\['prompt'\\]"),
    (ONE, [{"question": "?"}], "prompts lacks the column 'prompt'.*question"),
    (ONE, [{"prompt": None}], "prompts, column 'prompt', row 0: NoneType where text is needed"),
    ([{**ONE[0], "weight": text} for text in ("1.0", "")], ONE, "column 'weight', row 1: None: it must be a finite"),
    (ONE, [{"question": "1+1=", "answer": "2"}], "prompts lacks the column 'prompt'.*{'question': 'prompt'}"),
    ([{**ONE[0], "finished": "2026-05-01"}], ONE, "column 'finished', row 0: '2026-05-01': it must be True or False"),
    (ONE, [{"prompt": "1+1=", "answer": {"a": 2}}], "column 'answer', row 0: {'a': 2}, which no text equals"),
    ("https://example.org/train.jsonl", ONE, "is no path: it is an address"),
    ("nothing.jsonl", ONE, "there is no file 'nothing.jsonl'"),
    (ONE, [{"prompt": "1+1=", "answer": ["2", 2]}], "column 'answer', row 0: .* holds int and str"),
    (ONE, {"prompt": "1+1=", "answer": "2"}, "give a list of dicts, of one row"),
    (ONE, numpy.array(["1+1="]), "ndarray is no table; give a Dataset"),
    (ONE, None, "prompts=None: give what a round asks.* prompts=train asks what D_train asks"),
    (ONE, ["1+1="], r"list is no table; give rows with a column, such as Dataset.from_dict\(dict\(prompt=texts"),
    (ONE, pandas.DataFrame(dict(prompt=["1+1="], answer=numpy.array([2**63], "uint64"))), "too large for a table"),
    (ONE, [{"messages": "[{'role': 'user', 'content': '1+1='}]"}], "is no JSON"),
    (ONE, [{"prompt": "1+1=", 3: "2"}], "prompts: the column 3 needs a text as its name"),
    (ONE, dict(train=ONE, test=ONE), r"the dict holds several tables, \['train', 'test'\]: give the rows of one"),
])
def test_data_that_is_missing(train, prompts, message):
    from selfloop_nb import from_dataset
    with refuse("ValueError", message): from_dataset(train, prompts)


def test_data_is_read_as_it_is_meant():
    from selfloop_nb import from_dataset
    talk = [{"role": "User", "content": "1+1="}, {"role": "bot", "content": "2"}]
    for held in (talk, json.dumps(talk)): # as a CSV file holds them
        task = from_dataset([{"messages": held}], [{"prompt": "2+2="}])
        assert task.train.to_list() == [{"prompt": "1+1=", "completion": "2"}]
    within = [dict(data=ONE), dict(version="1.0", data=ONE), dict(schema={"fields": []}, data=ONE)]
    for held in [*within, dict(columns=list(ONE[0]), index=[0], data=[list(ONE[0].values())])]:
        assert from_dataset(held, ONE[:1]).train.to_list() == ONE, "as pandas and others write them"
    assert from_dataset(ONE, [{"prompt": "half of \ud83d"}]).prompts["prompt"][:] == ["half of \ufffd"]
    with refuse("ValueError", "check='exact': it must be a function"): from_dataset(ONE, ONE[:1], check="exact")


@pytest.mark.parametrize("prompts, words", [
    ([{"prompt": "1+1=", "ground_truth": "2"}], "rename 'ground_truth' to 'answer'"),
    ([{"prompt": "1+1=", "answer": ""}, {"prompt": "2+2=", "answer": "4"}], "1 of 2 are empty"),
    (pandas.DataFrame(dict(prompt=["1+1="], target=numpy.array([0.1], "float32"))), "'target' is float32"),
    ([{"prompt": '[{"role": "user", "content": "1+1="}]'}], "holds messages as text"),
    ([{"prompt": "1+1=", "completion": "two", "answer": "2"}], "the completions are left out"),
    ([{"text": "1+1="}], "does not see the column 'text'"),
    ([{"prompt": "red: blood or snow?", "choices": ["blood", "snow"], "answer": 0}], "numbers, such as 0 beside"),
    ([{"prompt": "1+1=", "answer": "nan"}, {"prompt": "2+2=", "answer": "4"}], "1 of 2 are the text 'nan'"),
    ([{"prompt": "Add.", "input": "1+1="}], "does not see the column 'input', of which the prompt of row 0"),
])
def test_data_that_may_not_be_what_it_looks_like_is_said(prompts, words):
    from selfloop_nb import from_dataset
    with pytest.warns(UserWarning, match=words): from_dataset(ONE, prompts)


IN_32_BIT = numpy.array([0.1, 0.9], "float32")
KINDS_OF_32_BIT = {
    "numpy": IN_32_BIT, "numpy, 16 bit": IN_32_BIT.astype("float16"), "torch": torch.tensor(IN_32_BIT),
    "a list": list(IN_32_BIT), "objects": numpy.array(list(map(numpy.float32, (0.1, 0.9))), object),
    "arrays": IN_32_BIT[:, None], "lists of numpy": [[value] for value in IN_32_BIT],
    "many arrays": [numpy.array([value]) for value in IN_32_BIT], "a Series": pandas.Series(IN_32_BIT)}


@pytest.mark.parametrize("kind", KINDS_OF_32_BIT)
def test_an_answer_in_32_bit_is_the_one_that_was_written(kind):
    from selfloop_nb import from_dataset
    columns = dict(prompt=["a", "b"], answer=KINDS_OF_32_BIT[kind])
    tables = [columns]
    if kind != "a Series": tables.append([dict(prompt=p, answer=a) for p, a in zip("ab", columns["answer"])])
    if kind not in ("arrays", "torch"): tables.append(pandas.DataFrame(columns))
    if kind not in ("arrays", "torch", "objects", "a Series"): tables.append(Dataset.from_dict(columns))
    for table in tables:
        task = from_dataset(None, table)
        assert task.correct([{**task.prompts[0], "completion": "0.1"}]) == [True], table


def test_texts_of_a_csv_file_and_of_numpy_are_what_they_say(tmp_path):
    from selfloop_nb import from_dataset
    path = tmp_path / "train.csv"
    path.write_text("prompt,completion,weight,finished\n1+1=,2,0.5,True\n2+2=,4,1,false\n", encoding="utf-8")
    train = from_dataset(path, ONE[:1]).train
    assert (train["weight"][:], train["finished"][:]) == ([0.5, 1.0], [True, False])
    path.write_text("prompt,completion,weight\n1+1=,2,heavy\n", encoding="utf-8")
    with refuse("ValueError", "train, column 'weight', row 0: 'heavy': it must be"): from_dataset(path, ONE)
    mixed = [{"prompt": numpy.str_("1+1="), "answer": numpy.str_("2")}, {"prompt": "2+2=", "answer": "4"}]
    assert from_dataset(None, mixed).prompts["answer"][:] == ["2", "4"]


def test_a_table_that_shows_some_of_its_columns_is_read_whole():
    from selfloop_nb import from_dataset
    shown = Dataset.from_dict(dict(prompt=["1+1="], answer=[2])).with_format("torch", columns=["answer"])
    assert from_dataset(None, shown).prompts.to_list() == [{"prompt": "1+1=", "answer": 2}]


def test_untrained_model_without_data():
    from selfloop_nb import from_dataset, tiny_llama
    task = from_dataset(None, [{"prompt": "1+1="}], ONE)
    loop = small_loop(task=task, model=tiny_llama(task))
    with refuse("ValueError", "M_0 must be trained and the task has no D_train"): loop.start()


def test_a_prompt_longer_than_the_context(tmp_path):
    from selfloop_nb import from_dataset, tiny_llama
    task = from_dataset(ONE, [{"prompt": "1" * 70}], ONE)
    with refuse("ValueError", "prompt 0 .* has 70 tokens.*context of 64: shorten it"):
        small_loop(tmp_path / "run", task=task, model=tiny_llama(task, context=64))
    assert not (tmp_path / "run").exists(), "nothing was trained, and no folder stands in the way"


def test_a_model_that_cannot_end():
    from selfloop_nb import tiny_llama
    from selfloop_nb.models import LanguageModel
    lm = tiny_llama(small_task())
    lm.tokenizer.eos_token = None
    with refuse("ValueError", "no EOS token.*set tokenizer.eos_token"): LanguageModel(lm.model, lm.tokenizer)
    lm.tokenizer.eos_token = "</s>"
    with refuse("ValueError", "'</s>' is no token of the vocabulary, and '<unk>' stands in its place; set one that is"):
        LanguageModel(lm.model, lm.tokenizer)


class Processor:
    "What holds a tokenizer beside other things."
    def __init__(self, tokenizer): self.tokenizer = tokenizer


@pytest.mark.parametrize("make, fix", [
    (Processor, "its tokenizer is a Processor; give the one that it holds"),
    (lambda tokenizer: tokenizer.backend_tokenizer, "PreTrainedTokenizerFast\\(tokenizer_object"),
    (str, "is a str and none of transformers")])
def test_what_is_no_tokenizer_is_named(make, fix):
    from selfloop_nb import tiny_llama
    from selfloop_nb.models import LanguageModel
    lm = tiny_llama(small_task())
    with refuse("ValueError", fix): LanguageModel(lm.model, make(lm.tokenizer))


def test_a_budget_that_leaves_no_kept_sample(tmp_path):
    from selfloop_nb import Accumulate
    loop = small_loop(tmp_path / "run", mix=Accumulate(real_share=0.99, budget=30))
    with refuse("ValueError", "budget=30: .* leaves none of .* kept samples.*lower real_share=0.99"): loop.step()
    loop.change(mix=Accumulate())
    assert loop.step().number == 1


def test_an_empty_prompt_without_anything_to_begin_with(tmp_path):
    from selfloop_nb import from_dataset, tiny_llama
    task = from_dataset(ONE, [{"prompt": ""}])
    model = tiny_llama(task)
    model.tokenizer.bos_token = None
    with refuse("ValueError", "a prompt is empty.*give every prompt some text"):
        small_loop(tmp_path / "run", task=task, model=model)
    assert not (tmp_path / "run").exists()


NO_SETTINGS = [
    dict(sampling={"n_samples": 2}), dict(tune={"steps": 3}), dict(initial={"steps": 3}), dict(guards=(5,)),
    dict(guards=None), dict(drift="no")]


@pytest.mark.parametrize("given", NO_SETTINGS, ids=str)
def test_what_is_no_setting_is_named(given):
    name, = given
    with refuse("ValueError", f"^{name}="): small_loop(**given)


def test_what_is_no_model_or_no_task_is_named():
    from selfloop_nb import Loop, tiny_llama
    with refuse("ValueError", r"^model=str: give LanguageModel\(model, tokenizer\)"): Loop("gpt2", small_task())
    with refuse("ValueError", "^task=int: give a Task"): Loop(tiny_llama(small_task()), 5)


def test_a_maker_of_scorers_is_no_check():
    rows = [{"prompt": "1+1=", "completion": "2"}]
    with pytest.raises(ValueError, match=r"check=exact_match: that makes scorers; call it: exact_match\(\)"):
        selfloop_nb.from_dataset(rows, prompts=rows, check=selfloop_nb.exact_match)
    assert selfloop_nb.from_dataset(rows, prompts=rows, check=selfloop_nb.exact_match()).check is not None


def test_a_maker_of_scorers_is_no_scorer():
    from selfloop_nb import chrf, verifier
    for name in ("score", "audit"):
        with refuse("ValueError", rf"^{name}=verifier: .*call it: verifier\(\)"): small_loop(**{name: verifier})
    with refuse("ValueError", r"^measures, 'chrf': .*call it: chrf\(\)"): small_loop(measures={"chrf": chrf})


def of_two(completion, answer): return completion == answer
def misspelt(row): return row["anwser"] == row["completion"]


def test_a_check_is_a_function_of_a_row():
    from selfloop_nb import verifier
    with refuse("ValueError", "^check=.*a function of a row"): replace(small_task(), check=of_two)
    with refuse("ValueError", "^check=.*a function of a row"): verifier(of_two)


def test_a_q_that_fails_as_its_check_does_says_why(tmp_path):
    from selfloop_nb import verifier
    loop = small_loop(tmp_path / "run", task=replace(small_task(), check=misspelt), score=verifier())
    with refuse("ScoringError", "verifier gave nan. Look at the check: .*KeyError: 'anwser'"): loop.step()


class Few(KeepRule):
    def keep(self, scores, prompt_ids): return [True]


def answering(answer): return lambda samples: answer


TWO_LISTS = "return two lists, a state and a reason"
OWN_RULES = {
    "nothing": (answering(None), f"the keep rule '<lambda>' returned None for 3 samples: {TWO_LISTS}"),
    "states alone": (answering(["kept"] * 3), TWO_LISTS),
    "too few": (answering((["kept"], [""])), TWO_LISTS),
    "yes and no": (answering(([True] * 3, [""] * 3)), "gave the state True: use one of"),
    "reasons by row": (answering((["kept"] * 3, {0: "", 1: "", 2: ""})), TWO_LISTS),
    "reasons too few": (answering((["kept"] * 3, [""])), TWO_LISTS),
    "a reason that is none": (answering((["kept"] * 3, [{"why": 1}] * 3)), "gave the reason {'why': 1}: give a text"),
    "one score": (Few(), "Few.keep returned \\[True\\] for 3 scores")}


@pytest.mark.parametrize("case", OWN_RULES)
def test_a_rule_that_decides_nothing_is_named(case):
    rule, message = OWN_RULES[case]
    with refuse("ValueError", message): as_rule(rule)(scored(3))


def test_no_rule_keeps_what_has_no_score(tmp_path):
    def graded(samples): return [math.nan if i == 3 else 1.0 for i in range(len(samples))]
    def all_of_them(samples): return ["kept"] * len(samples), [""] * len(samples)
    class Everything(KeepRule):
        def __call__(self, samples): return all_of_them(samples)
    for rule in (all_of_them, selfloop_nb.NoNearDuplicates(all_of_them), Everything()):
        loop = small_loop(score=graded, select=rule)
        loop.run(rounds=1)
        (row,) = loop.samples(1).filter(lambda row: row["state"] == "quarantined")
        assert row["reason"] == "graded gave nan" and math.isnan(row["score"])


def test_kept_samples_that_teach_nothing_end_the_round():
    loop = small_loop(mix=selfloop_nb.Accumulate(rows=lambda row: []))
    loop.start()
    with refuse("ValueError", "gave no row for any of [0-9]+ kept samples, and nothing new"): loop.step()
    assert len(loop.rounds) == 1


def test_a_mix_without_rows_is_named():
    train = Dataset.from_list(ONE)
    for given in (None, ONE, train.select([]), train.remove_columns("completion")):
        with refuse("ValueError", "the mix '<lambda>' returned"): as_mix(lambda train, kept, seed: given)(train, [], 0)


def test_a_guard_that_breaks_costs_nothing():
    def breaks(history): return 1 / 0
    said, stops = check_guards((lambda history: True, breaks, lambda history: None), [])
    assert "returned True: it must be a text" in said[0] and "raised ZeroDivisionError" in said[1]
    assert len(said) == 2 and not stops


@pytest.mark.parametrize("rounds", [2.0, "1", True, None, -1])
def test_rounds_are_counted(rounds):
    with refuse("ValueError", "^rounds="): small_loop().run(rounds)


def test_a_check_that_raises_on_every_row_is_said(tmp_path):
    def misspelt(row): return row["completion"] == row["anwser"]
    loop = small_loop(tmp_path / "run", task=replace(small_task(), check=misspelt))
    loop.step()
    said = [[text for text in record.warnings if "no verdict" in text] for record in loop.rounds]
    assert [len(texts) for texts in said] == [1, 2], "of held-out answers, and of samples"
    assert "held-out: the check has no verdict on any of 30 answers (KeyError: 'anwser')" in said[0][0]
    assert "answer, completion, finished" in said[0][0], "and the columns that there are"


def test_a_check_that_raises_on_some_rows_is_said(tmp_path):
    def equal(row): return int(row["completion"]) == int(row["answer"])
    loop = small_loop(tmp_path / "run", task=replace(small_task(), check=equal))
    loop.step()
    said = [text for text in loop.rounds[1].warnings if "the check fails on" in text]
    assert "of 80 answers (ValueError: invalid literal for int()" in said[0]
    assert "count neither as right nor as wrong" in said[0]


@pytest.mark.parametrize("rules, message", [
    (dict(target=0.9), "target=0.9: it goes by held-out accuracy.*without a check"),
    (dict(patience=2), "patience=2: it goes by held-out data, and the task has none")])
def test_a_stop_rule_that_nothing_can_be_held_against(rules, message):
    changed = dict(check=None) if "target" in rules else dict(heldout=None)
    with refuse("ValueError", message): small_loop(task=replace(small_task(), **changed)).run(1, **rules)


def test_a_round_that_there_is_not_is_named_as_it_was_given(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    with refuse("SelfloopError", "round -3 is not on branch 'main': it has rounds 0 to 0"): loop.samples(-3)
    with refuse("SelfloopError", "round='1' is no round of run 'run': give a number, or an id such as '0000-"):
        loop.branch("other", "1")
    with refuse("ValueError", "round=None"): loop.remake(None)
    assert loop.branch("same", loop.rounds[0].id).rounds == loop.rounds


@pytest.mark.parametrize("theta", [1.5, -0.1])
def test_theta_outside_the_range(theta):
    from selfloop_nb import Threshold, verifier
    with refuse("ValueError", f"theta={theta}.*outside the scorer's range \\[0, 1\\]"):
        small_loop(score=verifier(), select=Threshold(theta))


def no_argument(): return 1.0
def two_arguments(one, other): return one
def of_a_text(completion): return float(completion == "3")
def of_a_row(answer): return float(answer["completion"] == "3")


@pytest.mark.parametrize("settings, words", [
    (dict(select=two_arguments), "select=.*or a function of a table"),
    (dict(mix=two_arguments), "a function of D_train, the kept tables and a seed"),
    (dict(guards=(no_argument,)), "guards=.*a tuple of guards"),
    (dict(guards=(selfloop_nb.RoomGuard,)), "guards=.*a tuple of guards"),
    (dict(measures={"m": no_argument}), "'m': .* is no measure"),
    (dict(score=of_a_text), "score=of_a_text: it takes a text, and is given a table: give lambda samples"),
])
def test_what_cannot_be_asked_is_named_before_anything_is_trained(settings, words):
    with refuse("ValueError", words): small_loop(**settings)


def test_a_function_of_something_else_is_named_where_it_is_given():
    from selfloop_nb import Accumulate, Scorer, from_dataset, verifier
    with refuse("ValueError", "weights=.*a function of a score"): Accumulate(weights=two_arguments)
    with refuse("ValueError", "rows=.*a function of a kept row"): Accumulate(rows=no_argument)
    for take in (verifier, lambda check: from_dataset(ONE, [dict(prompt="2+2=")], check=check)):
        with refuse("ValueError", "check=of_a_text: it takes a text, and is given a row"): take(of_a_text)
        take(of_a_row)
    with refuse("ValueError", "seconds=-1.0: it must be above 0"): Scorer("slow", two_arguments, seconds=-1)
    with refuse("ValueError", "range=None: it must be a tuple"): Scorer("odd", two_arguments, None)


def test_scorers_are_taken_from_one_another():
    from selfloop_nb import confidence, length, score_samples, verifier
    table = Dataset.from_dict(dict(prompt_id=[0], completion=["one two three four"], correct=[True]))
    shorter = verifier() - 0.1 * length(1, 2)
    assert score_samples(table, shorter)["score"][:] == [pytest.approx(0.95)] and shorter.range == (-0.1, 1.0)
    assert (-confidence()).range == (0.0, math.inf)


def all_bad(samples): return [0.0] * len(samples)
def too_few(samples): return [1.0]
def one_number(samples): return 1.0
def all_nan(samples): return [math.nan] * len(samples)
def raising(samples): return 1 / 0


BROKEN = {
    "nothing kept": (all_bad, "EmptyRoundError", "nothing was kept of 80 samples.*theta=1.0.*best: 0.*Lower theta"),
    "wrong length": (too_few, "ScoringError", "returned 1 scores for 80 samples"),
    "one number": (one_number, "ScoringError", "returned float for 80 samples"),
    "all NaN": (all_nan, "ScoringError", "failed on 80 of 80 samples.*budget of 10%"),
    "raises": (raising, "ScoringError", "failed on 80 of 80.*ZeroDivisionError"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_scorer_that_is_broken_costs_no_round(case, tmp_path):
    score, error, message = BROKEN[case]
    good = small_loop(tmp_path / "run")
    good.step()
    before = [r.id for r in good.rounds]
    with refuse(error, message): good.branch("bad", score=score).step()
    assert [r.id for r in good.rounds] == before and not good.store.verify(before[-1])
    good.step()
    assert len(good.rounds) == 3


def test_a_loss_that_is_no_number(tmp_path):
    from selfloop_nb import FineTune
    loop = small_loop(tmp_path / "run")
    loop.step()
    hot = loop.branch("hot", tune=FineTune(steps=10, lr=1e30, warmup=0))
    with refuse("TrainingError", "the loss is (nan|inf) at step .* lr=1e\\+30: lower the learning rate"): hot.step()
    assert len(loop.rounds) == 2
    assert loop.step().number == 2


def test_a_name_that_is_a_path_and_a_folder_that_is_no_run(tmp_path):
    from selfloop_nb import open_run
    small_loop(tmp_path / "good").start()
    with refuse("SelfloopError", "no such folder; runs in .*\\['good'\\]"): open_run(tmp_path / "bad")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    with refuse("SelfloopError", "it has no run.json"): open_run(tmp_path / "other")
    with refuse("SelfloopError", "not empty and no run"): small_loop(tmp_path / "other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    with refuse("ValueError", "no name for a run"): small_loop(tmp_path / "a b")
    with refuse("ValueError", "'../x' is no name for a branch"): open_run(tmp_path / "good", "../x")
    with refuse("ValueError", "'../x' is no name for a branch"): small_loop(tmp_path / "good").branch("../x")


def test_a_second_kernel(tmp_path):
    from selfloop_nb import open_run
    loop = small_loop(tmp_path / "run")
    loop.step()
    second = subprocess.run([sys.executable, small.__file__, tmp_path / "run"], capture_output=True, text=True)
    assert second.returncode
    assert f"is being written by process {os.getpid()} on" in second.stderr
    assert "open_run" in second.stderr
    assert len(open_run(tmp_path / "run").history()) == 2, "it may look"
    assert loop.step().number == 2, "and disturbs nobody"


def test_a_link_in_the_place_of_the_lock(tmp_path):
    small_loop(tmp_path / "run").start()
    gc.collect() # the loop is gone, and with it its lock
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "run" / "lock").unlink()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "thesis")
    with refuse("RunLockedError", "the lock of run 'run' cannot be opened.*no link"): small_loop(tmp_path / "run")
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_a_second_loop_in_the_same_kernel_takes_turns(tmp_path):
    loop, second = small_loop(tmp_path / "run"), small_loop(tmp_path / "run")
    refused = []
    def try_meanwhile(event):
        if event.kind == "loss" and not refused:
            try: second.step()
            except Exception as error: refused.append(str(error))
    loop.on(try_meanwhile)
    loop.start()
    assert "is at work in this kernel already" in refused[0]
    assert second.step().number == 1 and loop.step().number == 2, "one after the other they may"


def test_other_data_on_the_same_folder(tmp_path):
    small_loop(tmp_path / "run").start()
    with refuse("SelfloopError", "was made with task .* use the same, or another store"):
        small_loop(tmp_path / "run", task=small_task(seed=5))
    with refuse("SelfloopError", "was made with seed 0, this loop has 1"): small_loop(tmp_path / "run", seed=1)


def out_of_memory(*arguments, **named):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def full_in_sampling(work):
    "The second chunk does not fit."
    chunks = iter([work])
    return lambda *arguments, **named: next(chunks, out_of_memory)(*arguments, **named)


def full_in_tuning(work):
    "After a step, more is asked for than any machine has."
    def allocate(*point): torch.empty(2**46)
    def full(lm, table, how, seed, on_loss, *rest): return work(lm, table, how, seed, allocate, *rest)
    return full


FULL = {
    "sample": (sampling, "sample_chunk", full_in_sampling, "a smaller Sampling\\(tokens_per_batch"),
    "tune": (tuning, "fine_tune", full_in_tuning, "a smaller FineTune\\(batch_size"),
    "measure": (phases, "ask_heldout", lambda work: out_of_memory, "a smaller Sampling"),
}


def last_weights(record): return record.files["model/model.safetensors"]


@pytest.mark.parametrize("phase", FULL)
def test_out_of_memory(tmp_path, phase, monkeypatch):
    "In the middle of a phase; what was there stays, and the same settings then give what they would have given."
    whole = small_loop(tmp_path / "whole", score=small.half_digits)
    expected = [last_weights(whole.step()), last_weights(whole.step())]
    loop = small_loop(tmp_path / "run", score=small.half_digits)
    loop.step()
    module, name, full, fix = FULL[phase]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full(getattr(module, name)))
        with refuse("OutOfMemoryError", f"round 2 is out of memory.*'{phase}'.*{fix}.*stays"): loop.step()
    assert len(loop.rounds) == 2
    assert loop.store.verify(loop.rounds[1].id) == []
    loop.step()
    assert [last_weights(record) for record in loop.rounds[1:]] == expected


def test_numbers_that_pandas_has_cut_are_said():
    from selfloop_nb import from_dataset
    prompts = pandas.DataFrame(dict(prompt=["1+1=", "2+2="], answer=[2**53 + 1, None]))
    with pytest.warns(UserWarning, match="9007199254740992 have lost their last digits"): from_dataset(ONE, prompts)


def test_steps_by_hand_say_what_they_want():
    import selfloop_nb as s
    def best(table): return ["kept", "rejected"], ["", "no"]
    samples = scored(2)
    assert s.select_samples(samples, best)["state"][:] == ["kept", "rejected"]
    with pytest.raises(ValueError, match="return two lists"): s.select_samples(samples, lambda table: ["kept", "no"])
    with pytest.raises(ValueError, match="have no score"):
        s.select_samples(samples.remove_columns("score"), s.Threshold(1.0))
    with pytest.raises(ValueError, match="give a Dataset"): s.generate_samples(s.tiny_llama(small_task()), ["1+1="])
    table = Dataset.from_dict(dict(completion=["a b c d e f g h i"]))
    assert s.Decontaminated(s.Threshold(0.5), table) == s.Decontaminated(s.Threshold(0.5), table["completion"][:])
    with pytest.raises(ValueError, match="needs the held-out texts"): s.Decontaminated(s.Threshold(0.5), "a b c")


def test_scores_beyond_the_range_that_is_declared_are_said():
    def graded(samples): return [87.0] * len(samples)
    graded.range = (0.0, 1.0)
    loop = small_loop(score=graded)
    loop.run(rounds=1)
    said = "scores go from 87 to 87, and the scorer 'graded' declares the range 0 to 1"
    assert any(said in text for text in loop.rounds[1].warnings)


def test_a_prompt_that_stands_twice_with_different_answers_is_said():
    from selfloop_nb import from_dataset
    prompts = [dict(prompt="a", answer="1"), dict(prompt="b", answer="2"), dict(prompt="a", answer="3")]
    with pytest.warns(UserWarning, match="1 stand several times with different answers .*'a' with '1' and '3'"):
        from_dataset(ONE, prompts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_dataset(ONE, [*prompts[:2], prompts[0]])


@pytest.mark.parametrize("make, words", [
    (lambda small: small.RoomGuard(50), "most=50.0: it must be from 0 to 1"),
    (lambda small: small.HeldoutLossGuard(math.nan), "rise=nan: it must be a number"),
    (lambda small: small.TopK(1, max_tokens=0), "max_tokens=0: it must be at least 1, or None"),
    (lambda small: small.AcceptanceTarget(0.5, max_tokens=-1), "max_tokens=-1: it must be at least 1, or None"),
    (lambda small: small.addition(n_train=-5), "n_train=-5: it must be 0 or more"),
    (lambda small: small.reasoning("chain_sum", n_heldout=-1), "n_heldout=-1: it must be 0 or more"),
    (lambda small: small.likelihood("gpt2"), "lm='gpt2': give LanguageModel"),
    (lambda small: small.self_judge(least=math.nan), "least=nan: it must be from 0 to 1"),
    (lambda small: small.readability(math.nan), "ease=nan: it must be above 0"),
])
def test_a_setting_that_would_do_nothing_or_the_opposite_is_refused(make, words):
    import selfloop_nb
    with refuse("ValueError", words): make(selfloop_nb)


def test_a_share_of_a_table_that_there_is_not_is_refused():
    from selfloop_nb import Accumulate, Replace, from_dataset
    prompts = [{"prompt": "1+1=", "answer": "2"}]
    model = small_loop().model.copy(pretrained=True)
    for mix in (Accumulate(real_share=0.5), Replace(0.5)):
        with refuse("ValueError", "real_share=0.5: .* the task has none"):
            small_loop(task=from_dataset(None, prompts), model=model, mix=mix)


@pytest.mark.parametrize("settings, words", [
    (dict(n_samples=1, templates=("{prompt}", "?{prompt}")), r"no sample is asked by '\?{prompt}'"),
    (dict(n_samples=1, templates=("{prompt}{answer}",)), "a template holds {answer}, which the model reads"),
    (dict(n_samples=2, top_k=1), "n_samples=2 with top_k=1: .* give top_k=0"),
])
def test_a_way_to_sample_that_is_not_what_it_seems_is_said(settings, words):
    from selfloop_nb import Sampling, Threshold
    rule = Threshold(-math.inf, finished=False)
    loop = small_loop(score=lambda samples: [1.0] * len(samples), sampling=Sampling(**settings), select=rule)
    assert any(re.search(words, text) for text in loop.step().warnings)


def test_a_seed_below_0_is_another_seed():
    import random
    from selfloop_nb import addition
    from selfloop_nb.backend.core import seeded
    from selfloop_nb.mixing import draw_rows
    for draw in (lambda seed: addition(1, 5, 5, 5, seed=seed).fingerprint(), lambda seed: draw_rows(99, 9, seed)):
        assert draw(-1) == draw(-1) != draw(1)
    assert seeded(7).random() == random.Random(7).random() == seeded(numpy.int64(7)).random()


LARGE = 2**70
TOO_LARGE = [
    ("FineTune", dict(batch_size=LARGE)), ("DPO", dict(batch_size=LARGE)), ("MaskedLM", dict(batch_size=LARGE)),
    ("LoRA", dict(r=LARGE)), ("Sampling", dict(tokens_per_batch=LARGE)), ("TopK", dict(k=LARGE)),
    ("length", dict(low=1, high=LARGE)), ("no_repetition", dict(n=LARGE))]


@pytest.mark.parametrize("name, given", TOO_LARGE, ids=str)
def test_a_whole_number_beyond_64_bit_is_refused(name, given):
    with refuse("ValueError", "=1180591620717411303424: it must be a whole number of at most 64 bit"):
        getattr(selfloop_nb, name)(**given)


def test_a_seed_beyond_64_bit_is_hashed():
    assert small_loop(seed=LARGE).seed == LARGE
    task = small_task()
    for make in (selfloop_nb.tiny_llama, selfloop_nb.tiny_t5):
        one, again, other = (make(task, seed=seed).weights_hash() for seed in (LARGE, LARGE, 0))
        assert one == again != other
    lm, how = selfloop_nb.tiny_llama(task), selfloop_nb.FineTune(steps=1, batch_size=8)
    for seed in (LARGE, 2**32, -1): assert len(selfloop_nb.fine_tune(lm, task.train, how, seed=seed).losses) == 1


@pytest.mark.parametrize("make, words", [
    (lambda: selfloop_nb.FineTune(freeze=[1]), "freeze=\\(1,\\): it must be names of parts"),
    (lambda: selfloop_nb.FineTune(optimizer=["adamw"]), "optimizer=\\['adamw'\\]: it must be a text"),
    (lambda: selfloop_nb.tiny_llama(None), "task=None: give a Task, such as addition"),
    (lambda: selfloop_nb.Task("mine", ONE, ONE, None), "train=\\[.*: give a Dataset, or from_dataset"),
    (lambda: selfloop_nb.generate_samples(None, None), "lm=None: give LanguageModel"),
    (lambda: selfloop_nb.pass_at_k(None, [True]), "prompt_ids=None: give a list"),
    (lambda: selfloop_nb.theta_for_precision([0.5], None), "correct=None: give a list"),
    (lambda: selfloop_nb.select_samples(None, selfloop_nb.TopK()), "the samples have no score"),
    (lambda: selfloop_nb.self_judge(verdicts=["Yes"]), "verdicts=.*: give a dict of words"),
    (lambda: selfloop_nb.bleu(tokenize=["zh"]), "tokenize=.*: it must be one of"),
    (lambda: selfloop_nb.similarity(None), "encoder=None: give load_encoder"),
    (lambda: selfloop_nb.load_encoder(device="x"), "device='x': it must be one of cuda"),
    (lambda: selfloop_nb.reward_model("judge", device="x"), "device='x': it must be one of cuda"),
    (lambda: selfloop_nb.fine_tune(None, None), "lm=None: give LanguageModel"),
    (lambda: selfloop_nb.fine_tune(None, None, None), "how=None: give FineTune"),
    (lambda: selfloop_nb.score_samples(None, selfloop_nb.word_f1()), "samples=None: give a table of samples"),
    (lambda: selfloop_nb.kept_rows(Dataset.from_list(ONE)), "the samples lack the columns \\['state'\\]"),
    (lambda: selfloop_nb.ByRound(3), "rule=3: give a function"),
    (lambda: selfloop_nb.PerCluster(selfloop_nb.TopK(), vectors=None), "vectors=None: give load_encoder"),
    (lambda: selfloop_nb.Scorer("q", None), "function=None: give one of a sample table"),
    (lambda: selfloop_nb.Scorer("q", len, seconds=math.inf), "seconds=inf: it must be above 0 and at most a day"),
    (lambda: selfloop_nb.asks("x"), "function='x': give a function of samples"),
    (lambda: selfloop_nb.word_f1(reference=3), "reference=3: it must be the name of a column"),
    (lambda: selfloop_nb.round_trip(len, max_new_tokens=0), "max_new_tokens=0: "),
    (lambda: selfloop_nb.round_trip(None), "turn=None: give a function"),
    (lambda: selfloop_nb.MaskedLM(texts=[1]), "texts=\\[1\\]: it must be a list of texts"),
    (lambda: selfloop_nb.human(ratings=3), "ratings=3: give Ratings"),
    (lambda: selfloop_nb.completion_loss(None, None), "lm=None: give LanguageModel"),
])
def test_what_cannot_be_given_is_named_where_it_is(make, words):
    with refuse("ValueError", words): make()


@pytest.mark.parametrize("ask", ["Staircase", 3, [0, 1], dict, len], ids=str)
def test_what_does_not_choose_prompts_is_refused_before_anything_is_trained(ask):
    from selfloop_nb import Staircase, from_dataset
    for wrong in (ask, Staircase):
        with refuse("ValueError", "such as Staircase"): from_dataset(ONE, [{"prompt": "a"}], ask=wrong)


def test_the_mix_that_the_error_advises_is_learnt(tmp_path):
    import datasets
    def mine(train, kept, seed): return datasets.concatenate_datasets([train, kept[-1]])
    loop = small_loop(tmp_path / "run", mix=mine, select=selfloop_nb.Threshold(0.0, finished=False))
    assert len(loop.run(rounds=1)) == 2


LEARNT = {
    "a completion that is missing": dict(completion=[None]), "a number": dict(prompt=[1]),
    "a word for the end": dict(finished=["no"]), "an end that is 2": dict(finished=[2]),
}


@pytest.mark.parametrize("name", LEARNT)
def test_what_cannot_be_learnt_is_named_by_its_row(name):
    table = Dataset.from_dict({**dict(prompt=["1"], completion=["2"]), **LEARNT[name]})
    lm = selfloop_nb.tiny_llama(small_task(), layers=1, width=16)
    few = selfloop_nb.FineTune(steps=1)
    for learn in (lambda: selfloop_nb.completion_loss(lm, table), lambda: selfloop_nb.fine_tune(lm, table, few)):
        with refuse("ValueError", f"what is to be learnt, column '{next(iter(LEARNT[name]))}', row 0"): learn()


@pytest.mark.parametrize("asked", [dict(prompt=["1", None]), dict(prompt=[1]), dict(x=["1"])], ids=str)
def test_what_cannot_be_asked_is_named(asked):
    lm = selfloop_nb.tiny_llama(small_task(), layers=1, width=16)
    with refuse("ValueError", "prompts"): selfloop_nb.generate_samples(lm, Dataset.from_dict(asked))


@pytest.mark.parametrize("tune", [{}, 0, False, "", []], ids=repr)
def test_a_way_to_train_that_is_none_is_not_the_default(tune):
    with refuse("ValueError", "it must be a way to train"): small_loop(tune=tune)


@pytest.mark.parametrize("ids", ["12 13", [[9.5]], 7, [-1], ["1"]], ids=str)
def test_token_ids_of_another_library_are_cut_as_text(ids, tmp_path):
    from selfloop_nb import from_dataset
    rows = [dict(prompt=f"{i}+1=", completion=f"{i + 1}") for i in range(9)]
    def lost(**more):
        task = from_dataset([{**row, **more} for row in rows], [{"prompt": "1+1="}], rows)
        loop = small_loop(tmp_path / f"run-{len(more)}", task=task, select=selfloop_nb.Threshold(0.0, finished=False))
        return loop.run(rounds=1)["heldout_loss"].tolist()
    assert lost(token_ids=ids) == lost()


ALIKE = [("a\r\nb", "a\nb"), ("10\u00a0km", "10 km"), ("\u2764\ufe0f", "\u2764"), ("x\ty", "x\ty")]


@pytest.mark.parametrize("answer, text", ALIKE)
def test_what_looks_the_same_is_the_same(answer, text):
    task = selfloop_nb.from_dataset(None, [{"prompt": "?", "answer": answer}])
    assert task.correct([{**task.prompts[0], "completion": text}]) == [True]


@pytest.mark.parametrize("name, guard", [("drift", selfloop_nb.DriftGuard(stop=True)),
    ("audit", selfloop_nb.AuditGuard(gap=0.1)), ("measures", selfloop_nb.MeasureGuard("chrf"))])
def test_a_guard_with_nothing_to_watch_is_said(name, guard):
    loop = small_loop(guards=(guard,))
    loop.run(rounds=1)
    assert f"{type(guard).__name__} has nothing to watch: " in loop.rounds[1].warnings[-1]
    assert f"Loop({name}=" in loop.rounds[1].warnings[-1]


@pytest.mark.parametrize("name", ["progress", "should_stop", "written"])
def test_what_is_called_is_named_where_it_is_no_function(name):
    lm, asked = selfloop_nb.tiny_llama(small_task()), Dataset.from_list([{"prompt": "1+1="}])
    for wrong in (None, "print"):
        with refuse("ValueError", f"{name}={wrong!r}: give a function"):
            selfloop_nb.generate_samples(lm, asked, **{name: wrong})
    with refuse("ValueError", "on_loss=None: give a function"):
        selfloop_nb.fine_tune(lm, Dataset.from_list(ONE), on_loss=None)
