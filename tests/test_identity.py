"Two settings have the same identity when they make the same round, here and in every other kernel; else another one."
import collections, functools, gc, json, os, random, subprocess, sys, threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy, pandas
import pytest
from small import small_loop, small_task

sys.path.append(str(Path(__file__).with_name("faults")))


def shifted(samples, by):
    return [float(by)] * len(samples)


class Shift:
    "A scorer with a setting."
    def __init__(self, by, **more):
        self.__dict__.update(by=by, **more)

    def __call__(self, samples):
        return [float(self.by)] * len(samples)


def boxed(by):
    "A scorer that has captured a list."
    box = [by]
    def q(samples): return [float(box[0])] * len(samples)
    return q


def with_default(by):
    def q(samples, box={"by": by}): return [float(box["by"])] * len(samples)
    return q


def with_keyword(by):
    def q(samples, *, by=by): return [float(by)] * len(samples)
    return q


def with_attribute(by):
    def q(samples): return [float(q.by)] * len(samples)
    q.by = by
    return q


def with_function(by):
    "A scorer that calls a function, which has captured a number."
    def inner(): return float(by)
    def q(samples): return [inner()] * len(samples)
    return q


def with_partial(by): return functools.partial(shifted, by=by)
def with_method(by): return Shift(by).__call__
def with_scalar(by): return Shift(numpy.float64(by))
def with_array(by): return Shift(numpy.array(by))


def with_default_dict(by): return Shift(1, rest=collections.defaultdict(lambda: by))
def with_dice(by): return Shift(1, dice=random.Random(by))
def with_named_tuple(by): return Shift(1, at=Point(by, 1))


Point = collections.namedtuple("Point", "x y")


class Labelled(list):
    "A list that holds something besides."


def with_list_of_its_own(by):
    box = Labelled([1])
    box.by = by
    return Shift(1, box=box)


WAYS = dict(partial=with_partial, object=Shift, method=with_method, closure=boxed, default=with_default,
            keyword=with_keyword, attribute=with_attribute, function=with_function, scalar=with_scalar,
            array=with_array, default_dict=with_default_dict, dice=with_dice, named_tuple=with_named_tuple,
            list_of_its_own=with_list_of_its_own)


@pytest.mark.parametrize("way", WAYS)
def test_a_scorer_is_itself_and_no_other(way):
    from selfloop_nb.scoring import as_scorer
    first, again, other = (as_scorer(WAYS[way](by)).describe() for by in (5, 5, 9))
    assert first == again != other
    assert "cannot be known" not in json.dumps(first)


SETTINGS = {"numpy": numpy.int64(3), "set": {"b", "a"}, "bytes": b"x", "array": numpy.arange(3),
            "nested": [{"a": (1, 2)}]}


@pytest.mark.parametrize("name", SETTINGS)
def test_plain_data_is_what_it_says(name):
    from selfloop_nb.storage.identity import describe, unknown_in
    value = SETTINGS[name]
    assert json.dumps(describe(value)) == json.dumps(describe(value)) and unknown_in(value) == []
    assert describe([value]) != describe([None])


def looked_up(table):
    "A scorer that takes the first rule that fits."
    def q(samples): return [next((by for word, by in table.items() if str(word) in text), 0.0) for text in samples]
    return q


def test_a_dict_that_is_held_counts_in_its_order_and_with_its_keys():
    from selfloop_nb.scoring import as_scorer
    tables = [{"1": 1.0, "12": 2.0}, {"12": 2.0, "1": 1.0}, {1: 1.0, "12": 2.0}, {"1": 1.0, 12: 2.0}, {"1": 1.0}]
    told = [json.dumps(as_scorer(looked_up(table)).describe()) for table in tables]
    assert len(set(told)) == len(tables)
    assert told == [json.dumps(as_scorer(looked_up(dict(table))).describe()) for table in tables]


def test_keywords_have_no_order():
    from selfloop_nb.storage.identity import describe
    first, second = functools.partial(print, sep="a", end="b"), functools.partial(print, end="b", sep="a")
    assert describe(first) == describe(second)


def test_globals_of_a_function_count():
    from selfloop_nb.storage.identity import describe
    scope = {"bonus": 1}
    exec("def helper(x): return x + bonus\ndef q(samples): return [helper(1)]", scope)
    before = describe(scope["q"])
    scope["bonus"] = 2
    assert describe(scope["q"]) != before
    scope["bonus"] = 1
    assert describe(scope["q"]) == before


CELLS = { # what a cell says, with a place for a value
    "a class": "class Q:\n def __call__(self, s): return [{}] * len(s)\nq = Q()",
    "a partial method": "import functools\nclass Q:\n def f(self, s, by): return [by] * len(s)\n"
                        " __call__ = functools.partialmethod(f, by={})\nq = Q()",
    "a cached method": "import functools\nclass Q:\n @functools.lru_cache\n def __call__(self, s): return [{}]\n"
                       "q = Q()",
    "a class of classes": "class M(type): by = {}\nclass Q(metaclass=M):\n"
                          " def __call__(self, s): return [type(self).by]\nq = Q()",
    "slots": "class Q:\n __slots__ = ('by',)\n def __init__(self, by): self.by = by\n"
             " def __reduce__(self): return Q, (0,)\n def __call__(self, s): return [self.by]\nq = Q({})",
    "an Enum's method": "import enum\nclass E(enum.Enum):\n A = 1\n def by(self): return {}\n"
                        "a = E.A\ndef q(s): return [a.by()] * len(s)",
    "a number of a class": "class N(int):\n def __add__(self, x): return {}\nn = N(1)\n"
                           "def q(s): return [n + 1] * len(s)",
    "a text of a class": "class T(str): by = {}\nt = T('t')\ndef q(s): return [t.by] * len(s)",
    "by a text": "by = {}\ndef q(s): return [globals()['by']] * len(s)",
    "evaluated": "by = {}\ndef q(s): return [eval('by + 1')] * len(s)",
    "a token": "from dataclasses import dataclass\n@dataclass\nclass Q:\n token: object\n"
               " def __call__(self, s): return [self.token]\nq = Q('{}')",
    "a key": "from dataclasses import dataclass\n@dataclass\nclass Q:\n key: object\n"
             " def __call__(self, s): return [self.key(s)]\nq = Q(lambda s: {})",
}


def of_cell(source):
    scope = {}
    exec(source, scope)
    return scope["q"]


@pytest.mark.parametrize("way", CELLS)
def test_a_cell_that_says_something_else_makes_another_scorer(way):
    from selfloop_nb.scoring import as_scorer
    first, again, other = (as_scorer(of_cell(CELLS[way].format(by))).describe() for by in (5, 5, 9))
    assert first == again != other


HANDED = {"default": "import {0}\ndef q(s, m={0}): return [m.by]",
          "in a dict": "import {0}\ntable = dict(m={0})\ndef q(s): return [table['m'].by]",
          "by its name": "import importlib\ndef q(s): return [importlib.import_module('{0}').by]",
          "an attribute by its name": "import {0}\ndef q(s): return [getattr({0}, 'by')]",
          "of a package without a file": "def q(s):\n from {0}_p import part\n return [part.by]"}


@pytest.mark.parametrize("way", HANDED)
def test_a_module_that_is_handed_about_counts(way, tmp_path, monkeypatch):
    from selfloop_nb.storage.environment import is_installed
    from selfloop_nb.storage.identity import describe
    monkeypatch.syspath_prepend(tmp_path)
    name, found = f"handed_{list(HANDED).index(way)}", []
    (tmp_path / f"{name}_p").mkdir()
    for by in (1, 2):
        for file in (f"{name}.py", f"{name}_p/part.py"): (tmp_path / file).write_text(f"by = {by}{' ' * by}")
        for module in [m for m in sys.modules if m.startswith(name)]: monkeypatch.delitem(sys.modules, module)
        is_installed.cache_clear()
        found.append(describe(of_cell(HANDED[way].format(name))))
    assert found[0] != found[1]


def test_a_key_of_a_service_may_be_renewed():
    from selfloop_nb.storage.identity import describe
    first, second = ({"api_key": f"{n}bcdefgh12345678"} for n in "ab")
    assert describe(first) == describe(second) == {"api_key": "[redacted]"}
    assert describe({"password": "word1"}) == {"password": "[redacted]"}
    assert "word1" not in describe({"token": "word1"})["token"]


def test_a_rule_with_another_version_is_another_rule():
    from selfloop_nb.selection import as_rule
    from selfloop_nb.storage.identity import describe
    def rule(samples): return [True] * len(samples)
    found = []
    for version in "12":
        rule.version = version
        found.append(describe(as_rule(rule)))
    assert found[0] != found[1]


PROGRAM = """
import json
from functools import partial
from selfloop_nb import Decontaminated, Sampling, Threshold, verifier
from selfloop_nb.scoring import as_scorer
from selfloop_nb.storage.identity import describe
LOW = {"0", "1", "2"}
class Client: pass
def with_a_set(samples): return [any(c in {"0", "1", "2"} for c in text) for text in samples]
def with_a_global(samples): return [bool(LOW & set(text)) for text in samples]
def with_an_object(samples, client=Client()): return [1.0 for text in samples]
scorers = [with_a_set, with_a_global, with_an_object, partial(with_an_object, client=Client()), verifier(with_a_set)]
print(json.dumps([as_scorer(q).describe() for q in scorers] + [describe([Sampling(), Threshold(0.5)])], sort_keys=True))
"""


def test_the_same_in_three_kernels():
    from hash_seeds import outputs
    assert len(set(outputs(PROGRAM))) == 1


def test_what_cannot_be_known_is_another_thing_in_each_kernel():
    from hash_seeds import outputs
    from selfloop_nb.storage.identity import describe, unknown_in
    lock = threading.Lock()
    assert describe(Shift(1, client=lock)) == describe(Shift(1, client=lock))
    assert describe(Shift(1, client=lock)) != describe(Shift(1, client=threading.Lock()))
    assert unknown_in(Shift(1, client=lock)) == ["client (lock)"]
    program = "import threading\nfrom selfloop_nb.storage.identity import describe\nprint(describe(threading.Lock()))"
    assert len(set(outputs(program))) == 3


class Pickled(Shift):
    "Leaves out of its pickle what decides."
    def __getstate__(self): return {}


def test_what_a_class_leaves_out_of_its_pickle_counts():
    from selfloop_nb.storage.identity import describe, unknown_in
    assert describe(Pickled(1)) == describe(Pickled(1)) != describe(Pickled(2))
    assert unknown_in(Pickled(1, client=threading.Lock())) == ["client (lock)"]


def test_a_journal_needs_to_know_its_scorer(tmp_path):
    judge = Shift(1.0, client=threading.Lock(), journal=True)
    with pytest.raises(ValueError, match=r"keeps its scores.*client \(lock\).*version='1'"): small_loop(score=judge)
    from selfloop_nb.scoring import as_scorer
    def versioned(by, version): return as_scorer(Shift(by, client=threading.Lock(), journal=True, version=version))
    assert versioned(1, "1").describe() == versioned(1, "1").describe()
    assert versioned(1, "1").describe() != versioned(1, "2").describe() != versioned(2, "2").describe()


class Listed:
    "A judge that reads its words from a file, as it is told where or from the environment."
    def __init__(self, path): self.path = path
    def __call__(self, samples): return [float(text in open(self.path).read()) for text in samples["completion"]]


def reads_variable(samples): return [float(os.environ.get("JUDGE_OF_TEST", "0"))] * len(samples)


VARIABLE = "JUDGE_OF_TEST"
def reads_what_it_is_told(samples): return [float(os.environ.get(VARIABLE, "0"))] * len(samples)
def reads_by_its_default(samples, name="JUDGE_OF_TEST"): return [float(os.getenv(name, "0"))] * len(samples)


class ReadsIts:
    "A judge that is told at which variable to look."
    def __init__(self, name): self.name = name
    def __call__(self, samples): return [float(os.environ.get(self.name, "0"))] * len(samples)


def words_of(path): return open(path).read().split()


def reads_by_a_helper(samples, path="words.txt"): return [float(text in words_of(path)) for text in samples]


def keeps_a_log(samples): return open("log.txt", "a").write(str(len(samples)))


LISTED = Listed("words.txt")
JUDGES = [LISTED, LISTED.__call__, reads_by_a_helper, functools.partial(words_of, "words.txt")]


@pytest.mark.parametrize("judge", JUDGES, ids=["object", "method", "helper", "partial"])
def test_a_file_that_a_scorer_reads_tells_it_apart(judge, tmp_path, monkeypatch):
    from selfloop_nb.storage.identity import describe, unknown_in
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("bad")
    before = describe(judge)
    assert describe(judge) == before and not unknown_in(judge)
    (tmp_path / "words.txt").write_text("bad worse")
    assert describe(judge) != before


def test_a_module_of_torch_is_more_than_its_weights():
    import torch
    from selfloop_nb.storage.identity import describe
    class Judge(torch.nn.Module):
        def __init__(self, theta):
            super().__init__()
            self.layer, self.theta = torch.nn.Linear(1, 1, bias=False), theta
            torch.nn.init.ones_(self.layer.weight)

    assert describe(Judge(0.1)) == describe(Judge(0.1)) != describe(Judge(0.2))
    inside = [torch.nn.Sequential(Judge(theta)) for theta in (0.1, 0.2)]
    assert describe(inside[0]) != describe(inside[1])
    assert "holds" not in describe(torch.nn.Linear(1, 1))


def buffered(value):
    "A part of one's own whose threshold is not saved."
    import torch
    class Judge(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("theta", torch.tensor(value), persistent=False)
    return Judge()


def compared(value):
    import torch
    return torch.nn.CosineSimilarity(dim=int(value))


def softcapped(value):
    import torch
    from selfloop_nb.models import tiny_llama
    from small import small_task
    model = tiny_llama(small_task(), width=8).model
    model.config.final_logit_softcapping = value
    return model


def writes_so_many(value):
    model = softcapped(None)
    model.generation_config.max_new_tokens = int(value)
    return model


def counted_in_the_class(value):
    "A dataclass with a constant."
    @dataclass
    class Judge:
        theta: ClassVar[float] = value
        def __call__(self, samples): return [self.theta] * len(samples)
    return Judge()


def twice_indexed(value): return pandas.DataFrame(dict(score=[value, 5.0]), index=[0, 0])


def in_order(value): return pandas.Series([value, 2.0 - value], index=[int(value), 1 - int(value)])


@pytest.mark.parametrize("make", [buffered, compared, softcapped, writes_so_many, counted_in_the_class, twice_indexed,
                                  in_order], ids=lambda make: make.__name__)
def test_what_stands_beside_weights_and_fields_tells_apart(make):
    from selfloop_nb.storage.identity import describe
    assert describe(make(1.0)) == describe(make(1.0)) != describe(make(0.0))


READERS = [reads_variable, reads_what_it_is_told, reads_by_its_default, ReadsIts("JUDGE_OF_TEST")]


@pytest.mark.parametrize("scorer", READERS)
def test_a_variable_of_the_environment_tells_a_scorer_apart(scorer, monkeypatch):
    from selfloop_nb.storage.identity import describe
    monkeypatch.delenv("JUDGE_OF_TEST", raising=False)
    found = [describe(scorer)]
    for value in ("1", "2"):
        monkeypatch.setenv("JUDGE_OF_TEST", value)
        found.append(describe(scorer))
    assert found[0] != found[1] != found[2] != found[0]


def test_what_a_scorer_writes_is_not_what_it_reads(tmp_path, monkeypatch):
    from selfloop_nb.storage.identity import describe, unknown_in
    monkeypatch.chdir(tmp_path)
    before = describe(keeps_a_log)
    keeps_a_log([1])
    assert describe(keeps_a_log) == before and not unknown_in(keeps_a_log)


def test_a_journal_of_what_may_read_any_file_asks_for_a_version():
    from selfloop_nb.scoring import Scorer, as_scorer
    with pytest.raises(ValueError, match=r"words_of \(a file that it reads\).*version='1'"):
        Scorer("words", words_of, journal=True)
    assert as_scorer(words_of) and Scorer("words", words_of, journal=True, version="1")


def stopped_in_tune(loop):
    "A loop whose round was scored, and died before it had learned."
    def stop(event):
        if event.kind == "phase" and event.phase == "tune": raise SystemExit
    loop.on(stop)
    with pytest.raises(SystemExit): loop.step()


@pytest.mark.parametrize("way", ["partial", "object", "closure"])
def test_another_scorer_does_not_take_the_scores_of_the_first(way, tmp_path):
    loop = small_loop(tmp_path / "run", score=WAYS[way](5))
    loop.start()
    stopped_in_tune(loop)
    del loop
    gc.collect()
    loop = small_loop(tmp_path / "run", score=WAYS[way](9))
    loop.step()
    assert set(loop.samples(1)["score"][:]) == {9.0}


LIMIT = 5.0


def above_limit(samples): return [LIMIT] * len(samples)


def test_what_is_changed_by_hand_between_two_rounds_is_another_scorer(tmp_path, monkeypatch):
    from selfloop_nb import Threshold
    from tiny import tiny_loop
    loop = tiny_loop(tmp_path / "run", score=above_limit, select=Threshold(0.0, finished=False))
    loop.start()
    stopped_in_tune(loop)
    monkeypatch.setitem(globals(), "LIMIT", 9.0)
    loop.listeners.clear()
    loop.step()
    assert set(loop.samples(1)["score"][:]) == {9.0}, "what was scored with another number is not taken"
    monkeypatch.setitem(globals(), "LIMIT", 5.0)
    loop.step()
    first, second = (record.config["score"] for record in loop.rounds[1:])
    assert set(loop.samples(2)["score"][:]) == {5.0} and first != second
    assert not loop.rounds[1].warnings and not loop.rounds[2].warnings


def test_what_changes_itself_stays_what_it_is_and_says_so(tmp_path):
    from selfloop_nb import Threshold
    from tiny import tiny_loop
    def novelty(samples):
        scores = [float(text not in seen) for text in samples["completion"]]
        seen.update(samples["completion"])
        return scores
    seen = set()
    loop = tiny_loop(tmp_path / "run", score=novelty, select=Threshold(0.0, finished=False, unique=False))
    loop.run(rounds=2)
    first, second = loop.rounds[1:]
    assert ["changed what it holds while it scored" in text for text in first.warnings] == [True]
    assert first.config == second.config


def test_a_mended_check_is_asked_again(tmp_path):
    from selfloop_nb import verifier
    from selfloop_nb.backend.core import EmptyRoundError
    def task(check):
        made = small_task()
        made.check = check
        return made
    loop = small_loop(tmp_path / "run", task=task(lambda row: True), score=verifier())
    loop.start()
    stopped_in_tune(loop)
    del loop
    gc.collect()
    loop = small_loop(tmp_path / "run", task=task(lambda row: False), score=verifier())
    with pytest.raises(EmptyRoundError): loop.step()


def paid_judge():
    "A scorer that is paid for each prompt; which it was asked; how to have it cut off after some more."
    asked, end = [], []
    def judge(samples):
        if end and len(asked) == end[0]: raise KeyboardInterrupt
        asked.extend(sorted(set(samples["prompt_id"])))
        return [float(len(set(text))) for text in samples["completion"]]
    def cut_off(loop, after):
        end.append(len(asked) + after)
        with pytest.raises(KeyboardInterrupt): loop.step()
        end.clear()
    judge.journal, judge.version = True, "1"
    return judge, asked, cut_off


@pytest.mark.parametrize("by", ["another scorer", "the same scorer", pytest.param("an audit", marks=pytest.mark.long)])
def test_a_round_of_another_branch_leaves_what_was_paid_for(by, tmp_path):
    from selfloop_nb import Threshold
    from tiny import tiny_loop
    judge, asked, cut_off = paid_judge()
    loop = tiny_loop(tmp_path / "run")
    loop.start()
    settings = dict(audit=judge) if by == "an audit" else dict(score=judge)
    other = loop.branch("other", select=Threshold(0.5, finished=False), **settings)
    cut_off(other, after=4)
    if by == "the same scorer": loop.change(score=judge)
    loop.step()
    other.step()
    assert sorted(asked) == list(range(6)), "each prompt once"
    assert not list((tmp_path / "run" / "generated").iterdir()), "and in the end nothing is left"


def test_who_goes_back_to_a_scorer_has_its_answers_still(tmp_path):
    from tiny import tiny_loop, tiny_score
    judge, asked, cut_off = paid_judge()
    loop = tiny_loop(tmp_path / "run", score=judge)
    loop.start()
    cut_off(loop, after=4)
    loop.change(score=tiny_score)
    loop.step()
    loop.rewind(0)
    loop.change(score=judge)
    loop.step()
    assert sorted(asked) == list(range(6))
    assert not list((tmp_path / "run" / "generated").iterdir())


@pytest.mark.parametrize("phase", ["sample", pytest.param("tune", marks=pytest.mark.long)])
def test_a_round_made_again_with_other_weights_has_samples_of_its_own(phase, tmp_path, monkeypatch):
    "As when the newest round is lost, and made again on another machine: its id is the same."
    import shutil
    from selfloop_nb import FineTune
    from small import is_halfway
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    first = loop.rounds[1]
    def stop(event):
        if is_halfway(event, phase): raise SystemExit
    loop.on(stop)
    with pytest.raises(SystemExit): loop.step()
    asked_of = loop.language_model().weights_hash()
    del loop
    gc.collect()
    shutil.rmtree(tmp_path / "run" / "rounds" / first.id)
    (tmp_path / "run" / "heads.json").write_text(json.dumps({"main": first.parent}), encoding="utf-8")
    train = FineTune.train
    def otherwise(self, model, data, seed, *more): return train(self, model, data, seed + 1, *more)
    monkeypatch.setattr(FineTune, "train", otherwise)
    loop = small_loop(tmp_path / "run")
    assert loop.step().id == first.id and loop.language_model().weights_hash() != asked_of
    loop.step()
    undisturbed = small_loop(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(FineTune, "train", train)
        undisturbed.start()
    undisturbed.run(rounds=2)
    assert undisturbed.samples(2)["completion"][:] == loop.samples(2)["completion"][:]
    assert undisturbed.language_model().weights_hash() == loop.language_model().weights_hash()


def test_other_prompts_are_sampled_anew(tmp_path):
    task = small_task()
    task.n_prompts = 10
    loop = small_loop(tmp_path / "run", task=task)
    loop.start()
    stopped_in_tune(loop)
    del loop
    gc.collect()
    loop = small_loop(tmp_path / "run", task=small_task())
    assert loop.step().counts["n_sampled"] == 80 and len(set(loop.samples(1)["prompt_id"][:])) == 20


def test_numbers_of_numpy_are_numbers():
    from selfloop_nb import FineTune, Quantile, Sampling, Threshold, TopK
    from selfloop_nb.guards import StopRules
    from selfloop_nb.storage.identity import describe
    pairs = [(Sampling, dict(n_samples=2, temperature=0.5)), (Threshold, dict(theta=0.5)), (Quantile, dict(share=0.5)),
             (TopK, dict(k=2)), (StopRules, dict(patience=3)), (FineTune, dict(steps=5, lr=0.5))]
    for kind, values in pairs:
        made = kind(**{name: numpy.array(value)[()] for name, value in values.items()})
        assert made == kind(**values) and json.dumps(describe(made)) == json.dumps(describe(kind(**values)))


def seeded(place, seed):
    "Call what takes a seed."
    import selfloop_nb as s
    from selfloop_nb.backend.core import derive_seed
    from selfloop_nb.metrics.diversity import on_parts
    task, few = small_task(), s.Sampling(n_samples=1, max_new_tokens=2)
    if place == "loop": return small_loop(seed=seed)
    if place == "addition": return s.addition(n_train=10, n_prompts=5, n_heldout=5, seed=seed)
    if place == "tiny_llama": return s.tiny_llama(task, layers=1, width=8, heads=2, seed=seed)
    if place == "tiny_t5": return s.tiny_t5(task, seed=seed)
    if place == "derive_seed": return derive_seed(seed, 1)
    if place == "generate_samples":
        return s.generate_samples(s.tiny_llama(task), task.prompts.select([0]), few, seed=seed)
    if place == "majority": return s.majority_at_k([0, 0], ["a", "b"], [True, False], 2, seed=seed)
    if place == "on_parts": return on_parts(len, list("abcd"), size=2, seed=seed)
    return s.fine_tune(s.tiny_llama(task), task.train, s.FineTune(steps=1), seed=seed)


SEEDED = ("loop addition tiny_llama tiny_t5 derive_seed generate_samples majority on_parts fine_tune").split()


@pytest.mark.parametrize("place", SEEDED)
def test_a_seed_is_a_whole_number(place):
    for seed in (1.0, True, "7", None, 1.5, numpy.float64(1), numpy.bool_(True), [1]):
        with pytest.raises(ValueError, match="seed=.*whole number"): seeded(place, seed)
    for seed in (numpy.int64(3), numpy.uint8(3), 3): seeded(place, seed)


def test_a_seed_of_numpy_is_the_same_seed():
    assert type(small_loop(seed=numpy.int64(3)).seed) is int


def by_length(samples): return [float(len(text)) for text in samples["completion"]]


def at_least(least):
    "A scorer that has captured a number."
    def q(samples): return [float(len(text) >= least) for text in samples["completion"]]
    return q


def of(kind, **values):
    "Settings of the library, to be made when they are needed."
    def make():
        import selfloop_nb
        return getattr(selfloop_nb, kind)(**values)
    return functools.partial(make)


def scorer(make, *args, **how): return functools.partial(make, *args, **how)


def made(changed):
    "What is made when it is needed, made."
    return {name: value() if isinstance(value, functools.partial) else value for name, value in changed.items()}


def always(row): return True


FEW = dict(n_samples=2, max_new_tokens=3)
SPELLINGS = { # the same said in other ways: the same settings, the same bytes
    "numbers of numpy": dict(sampling=of("Sampling", n_samples=numpy.int64(2), max_new_tokens=numpy.int32(3))),
    "defaults said": dict(sampling=of("Sampling", **FEW, temperature=1.0, top_k=0, top_p=1.0, stop=())),
    "a list for a tuple": dict(sampling=of("Sampling", **FEW, templates=["{prompt}"])),
    "another object of a class": dict(score=scorer(Shift, 1.0)),
    "the same closure again": dict(score=scorer(at_least, 1)),
    "a partial": dict(score=scorer(functools.partial, shifted, by=1)),
    "theta of numpy": dict(select=of("Threshold", theta=numpy.float64(0.0))),
}
OTHERS = { # another thing said: other settings, other bytes
    "more samples": dict(sampling=of("Sampling", n_samples=3, max_new_tokens=3)),
    "temperature": dict(sampling=of("Sampling", **FEW, temperature=0.5)),
    "top_k": dict(sampling=of("Sampling", **FEW, top_k=2)),
    "a template": dict(sampling=of("Sampling", **FEW, templates=("{prompt}", "1{prompt}"))),
    "a stop string": dict(sampling=of("Sampling", **FEW, stop=("1",))),
    "another scorer": dict(score=by_length),
    "another number in it": dict(score=scorer(at_least, 2)),
    "theta": dict(score=by_length, select=of("Threshold", theta=2.0)),
    "the rule": dict(score=by_length, select=of("TopK", k=1)),
    "fewer kept": dict(select=of("Threshold", theta=0.0, unique=False, finished=False)),
    "the mix": dict(mix=of("Replace")),
    "the learning rate": dict(tune=of("FineTune", steps=4, batch_size=8, lr=0.1)),
    "the steps": dict(tune=of("FineTune", steps=5, batch_size=8, lr=0.01)),
    "how M_0 is trained": dict(initial=of("FineTune", steps=5, batch_size=8, lr=0.01)),
    "a column for the audit": dict(audit=by_length),
}
TASKS = {"fewer prompts": dict(n_prompts=10), "another check": dict(check=always)}


def task_with(**attributes):
    task = small_task()
    vars(task).update(attributes)
    return task


def round_of(path, **changed):
    "The settings of a round as recorded, and the hashes of the samples and weights that came of it."
    few = of("FineTune", steps=4, batch_size=8, lr=0.01)
    settings = dict(score=at_least(1), select=of("Threshold", theta=0.0), mix=of("Accumulate"), tune=few, initial=few,
                    sampling=of("Sampling", **FEW))
    loop = small_loop(path, **made({**settings, **changed}))
    loop.step()
    kept = [r.files.get(name) for r in loop.rounds for name in ("samples.parquet", "model/model.safetensors")]
    return loop.rounds[1].config, kept


@pytest.fixture(scope="module")
def plain(tmp_path_factory): return round_of(tmp_path_factory.mktemp("identity") / "run")


@pytest.mark.parametrize("way", SPELLINGS)
def test_the_same_in_other_words_is_the_same_round(way, plain, tmp_path):
    changed = SPELLINGS[way]
    config, kept = round_of(tmp_path / "run", **changed)
    assert kept == plain[1] or "score" in changed
    if "score" not in changed: assert config == plain[0]
    again = round_of(tmp_path / "again", **changed)
    assert again == (config, kept)


@pytest.mark.parametrize("way", [*OTHERS, *TASKS])
def test_another_setting_is_another_round(way, plain, tmp_path):
    changed = OTHERS.get(way) or dict(task=task_with(**TASKS[way]))
    config, kept = round_of(tmp_path / "run", **changed)
    assert kept != plain[1], "this setting does nothing: the test has no point"
    assert config != plain[0]


def chatty(template):
    from selfloop_nb import tiny_llama
    lm = tiny_llama(small_task())
    lm.tokenizer.chat_template = template
    return lm


def test_how_a_model_is_asked_belongs_to_the_run(tmp_path):
    from selfloop_nb.backend.core import SelfloopError
    asked = "{% for m in messages %}{{ m.content }}{% endfor %}"
    loop = small_loop(tmp_path / "run", model=chatty(asked))
    loop.start()
    del loop
    gc.collect()
    with pytest.raises(SelfloopError, match="was made with model"):
        small_loop(tmp_path / "run", model=chatty(asked + "="))
    assert len(small_loop(tmp_path / "run", model=chatty(asked)).rounds) == 1


PACKAGE = {
    "mine/__init__.py": "", "mine/deep/__init__.py": "", "mine/deep/rules.py": "LEAST = {least}\n",
    "mine/score.py": "import mine.deep.rules\n"
                     "def q(samples): return [float(mine.deep.rules.LEAST < len(t)) for t in samples['completion']]\n"
                     "def lazy(samples):\n    from mine.deep import rules\n    return q(samples) and rules.LEAST\n"}
TELL = """
import sys
sys.path.insert(0, sys.argv[1])
from mine import score
from selfloop_nb.storage.identity import identity_hash
print(identity_hash(score.q), identity_hash(score.lazy))
"""


def told_of_package(folder, least):
    "What two functions of a package are, in a kernel of its own."
    for name, text in PACKAGE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("{least}", str(least)))
    told = subprocess.run([sys.executable, "-B", "-c", TELL, folder], capture_output=True, text=True, check=True)
    return told.stdout.split()


def test_a_module_of_a_package_of_ones_own_counts(tmp_path):
    "What a function takes by way of `package.part.value`, or imports where it is needed."
    one, again, other = (told_of_package(tmp_path, least) for least in (1, 1, 2))
    assert one == again and not set(one) & set(other)


def test_models_of_one_name_are_told_apart_where_they_judge():
    from selfloop_nb import judge, tiny_llama
    from selfloop_nb.scorers.embeddings import Encoder, embedding_agreement
    from small import small_task
    one, other = (tiny_llama(small_task(), width=32, seed=seed) for seed in (0, 1))
    def agreement(lm): return embedding_agreement(Encoder(lm.model.model, lm.tokenizer, "model")).describe()
    assert agreement(one) == agreement(one) != agreement(other)
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    one.tokenizer.chat_template = template
    from selfloop_nb.models import LanguageModel
    def judged(system):
        lm = LanguageModel(one.model, one.tokenizer, "judge", system=system)
        return judge(lm, verdicts={"1": 1.0, "0": 0.0}).describe()

    assert judged("1") == judged("1") != judged("2")
