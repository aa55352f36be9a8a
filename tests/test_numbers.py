"Wherever a user gives a number, what is none is refused by its name, and the numbers of numpy are taken as Python's."
import dataclasses
import inspect
import types
import typing
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
import selfloop_nb
from small import small_loop, small_task

NUMBERS = {bool, int, float}
RULES = "must be", "give one of the two", "use 0 <= low"
ASK_FIRST = ("SpeechModel",) # it wants a folder of sound before
WRONG = ("5x", [1], {}, None, True, 0.5)


def kinds_of(parameter):
    return typing.get_args(parameter.annotation) or (parameter.annotation,)


def callables():
    "(name, what is called) of all public functions and classes, and of the methods of a loop, its task and its model."
    for name in selfloop_nb.__all__:
        thing = getattr(selfloop_nb, name)
        if callable(thing) and name not in ASK_FIRST: yield name, thing
    for cls in (selfloop_nb.Loop, selfloop_nb.LanguageModel):
        for name, method in vars(cls).items():
            is_public = isinstance(method, types.FunctionType) and not name.startswith("_")
            if is_public and name in ("rewind", "branch", "prune", "language_model", "run"):
                yield f"{cls.__name__}.{name}", method


def settings():
    "(name, callable, parameter) of every number."
    for name, function in callables():
        try: parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError): continue
        for parameter in parameters:
            if NUMBERS & set(kinds_of(parameter)): yield name, function, parameter


class Anything:
    "Stands for every other argument, functions too: the number is looked at first."

    def __call__(self): raise NotImplementedError


@pytest.fixture(scope="module")
def given():
    "Arguments that must be right before the number is looked at."
    from selfloop_nb import Threshold, verifier
    task, loop = small_task(), small_loop()
    loop.step()
    known = dict(self=loop, model=loop.model, tokenizer=loop.model.tokenizer, task=task, source=loop, loop=loop)
    known |= dict(train=task.train, prompts=task.prompts, heldout=task.heldout, scorer=verifier(), part="answer")
    known |= dict(rule=Threshold(1.0), function=lambda samples: [1.0] * len(samples), name="x")
    known |= dict(theta=0.5, share=0.5, first=0.1, last=0.9, rounds=1, n_trials=1, low=1, high=2, k=1, seed=0)
    known |= dict(accuracy=0.5, url="http://127.0.0.1")
    return known


def call(function, given, **named):
    "Call with what else it needs."
    for parameter in inspect.signature(function).parameters.values():
        is_asked = parameter.default is parameter.empty or parameter.name == "prompts" # which has a default to say more
        needed = is_asked and parameter.name not in named
        if needed and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            named[parameter.name] = given.get(parameter.name, Anything())
    return function(**named)


def is_wrong(value, kinds):
    "Is this value nothing that the annotation allows?"
    if isinstance(value, str): return str not in kinds
    if value is None: return types.NoneType not in kinds
    if value is True: return bool not in kinds
    return isinstance(value, (list, dict)) or float not in kinds


def refusal(function, given, name, value):
    "What is said of a wrong value."
    try: call(function, given, **{name: value})
    except ValueError as error: return str(error)
    except Exception as error: return f"{type(error).__name__}: {error}"
    return "it is taken"


def test_what_is_no_number_is_refused_by_its_name(given):
    tried = [(name, function, parameter, value) for name, function, parameter in settings() for value in WRONG]
    tried = [one for one in tried if is_wrong(one[3], kinds_of(one[2]))]
    said = {(name, p.name, repr(value)): refusal(f, given, p.name, value) for name, f, p, value in tried}
    def is_named(at, text): return f"{at[1]}={at[2]}" in text and any(words in text for words in RULES)
    assert [(at, text) for at, text in said.items() if not is_named(at, text)] == []
    assert len(said) > 500
    print(f"{len(said)} wrong values refused")


def as_numpy(value):
    return {bool: numpy.bool_, int: numpy.int64, float: numpy.float64}[type(value)](value)


def test_numbers_of_numpy_are_those_of_python(given):
    "Each setting of a dataclass becomes a number of Python; a function that takes numbers makes such of them first."
    for name, function, parameter in settings():
        value = parameter.default
        if type(value) not in NUMBERS or not dataclasses.is_dataclass(function): continue
        more = dict(heldout=["one two three four five six seven eight"]) if name == "Decontaminated" else {}
        known = {**given, "model": given["model"].model}
        made = call(function, known, **more, **{parameter.name: as_numpy(value)})
        assert type(getattr(made, parameter.name)) in NUMBERS, (name, parameter.name)
    functions = {name: f for name, f, _ in settings() if isinstance(f, types.FunctionType) and "." not in name}
    own = {"addition", "from_dataset", "maths", "reasoning"} # look at their numbers themselves
    assert not {name for name, f in functions.items() if not hasattr(f, "__wrapped__")} - own


def test_whole_numbers_of_numpy_make_the_same_round():
    from selfloop_nb import FineTune
    from selfloop_nb.storage.identity import describe
    ours, theirs = FineTune(steps=None, epochs=2, lr=1), FineTune(steps=None, epochs=numpy.int64(2), lr=numpy.int32(1))
    assert str(describe(ours)) == str(describe(theirs))
    assert small_loop(drift=numpy.bool_(True)).drift is True
    tuned = small_loop(tune=FineTune(steps=2, batch_size=8, betas=(0, 0)), select=selfloop_nb.Threshold(0.0))
    assert tuned.step().number == 1, "AdamW itself takes no whole numbers"


@pytest.mark.parametrize("value", [10**18, 1_000_001, 0, -1])
@pytest.mark.parametrize("name", ["n_samples", "max_new_tokens"])
def test_what_nobody_can_mean_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name}={value}: it must be at least 1, at most 1,000,000"):
        selfloop_nb.Sampling(**{name: value})


def test_fractions_and_decimals_are_numbers():
    for half in (Fraction(1, 2), Decimal("0.5")):
        assert type(selfloop_nb.Accumulate(real_share=half).real_share) is float
        assert type(selfloop_nb.Threshold(half).theta) is float


def test_scorers_of_numpy_numbers_are_the_same_scorers():
    from selfloop_nb import length, no_repetition, novelty, readability, vote_of
    from selfloop_nb.storage.identity import describe
    for make, numbers in ((length, (2, 8)), (no_repetition, (2,)), (readability, (50.0,)), (readability, (50,))):
        assert describe(make(*numbers)) == describe(make(*map(as_numpy, numbers)))
    assert describe(novelty(["a b"], 2)) == describe(novelty(["a b"], numpy.int32(2)))
    assert describe(vote_of(length(1, 2), no_repetition(), least=0.25)) == \
        describe(vote_of(length(1, 2), no_repetition(), least=numpy.float32(0.25)))


def test_an_axis_in_32_bit_holds_the_values_that_were_written():
    import torch
    from selfloop_nb.sweeps.arms import _listed
    single = numpy.array([0.1, 0.7], "float32")
    for axis in (single, list(single), torch.tensor(single), single.astype("float16")):
        assert _listed(axis) == [0.1, 0.7]
    assert _listed(numpy.arange(2)) == [0, 1] and _listed(0.1) is None
