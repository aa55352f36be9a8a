"""DPO and SPIN on seeds 0, 1, 2: held-out accuracy of M_0 and after each round, beside a control.

The control trains on D_train for as many steps. M_0 is stopped once it solves three in ten held-out problems, which
takes some seeds twice as long as others: it makes mistakes on D_train too, and these are what SPIN learns from.
"""
import sys
from dataclasses import dataclass

from _heldout import accuracy
from selfloop_nb import DPO, SPIN, FineTune, Loop, Sampling, addition, tiny_llama
from selfloop_nb.models import LanguageModel
from selfloop_nb.backend.core import derive_seed
from selfloop_nb.tuning import fine_tune
from _timing import say

ROUNDS = 3
ARMS = {
    "DPO": dict(tune=DPO(), sampling=Sampling(n_samples=8, temperature=0.7)),
    "SPIN": dict(tune=SPIN(), sampling=Sampling(n_samples=2)),
}
CONTROL = FineTune(steps=SPIN().steps, lr=SPIN().lr)


@dataclass
class Result:
    "What one arm came to on one seed."
    arm: str
    accuracies: list
    counts: str = "" # of pairs, in words

    def __str__(self):
        accuracies = " ".join(f"{accuracy:.3f}" for accuracy in self.accuracies)
        return f"{self.arm}: {accuracies}{self.counts}"


def half_taught(task, seed):
    "A model that can add, and not well."
    model = tiny_llama(task, seed=seed)
    n = 0
    while accuracy(model, task) < 0.3:
        n += 1
        model, _, _ = fine_tune(model, task.train, FineTune(steps=50, lr=2e-3), derive_seed(seed, "first", n))
    say(f"seed {seed}: M_0 took {50 * n} steps")
    return LanguageModel(model.model, model.tokenizer, model.name)


def results(seed):
    "What each arm comes to on a seed; all begin with the same M_0."
    task = addition(n_train=2000, seed=seed)
    first = Loop(half_taught(task, seed), task, seed=seed, progress=False)
    m0 = first.start().metrics["heldout_accuracy"]
    for name, changed in ARMS.items():
        history = first.branch(name, **changed).run(rounds=ROUNDS)
        pairs, unpaired = (list(history[column][1:].astype(int)) for column in ("n_pairs", "n_unpaired"))
        counts = f"; pairs {pairs}, prompts without {unpaired}"
        yield Result(name, list(history["heldout_accuracy"]), counts)
    yield Result("D_train only", [m0, *control(first)])


def control(loop):
    "Accuracies of a model that is trained on D_train for as many steps, and never sees a sample of its own."
    model = loop.language_model(0)
    for number in range(1, ROUNDS + 1):
        model, _, _ = fine_tune(model, loop.task.train, CONTROL, derive_seed(loop.seed, number, "tune"))
        yield accuracy(model, loop.task)


def main(seeds):
    "Print every run, then a table; a run that does not end above its M_0 is an error."
    arms = {}
    for seed in seeds:
        for result in results(seed):
            arms.setdefault(result.arm, []).append(result)
            say(f"seed {seed}, {result}")
    say(f"\n| arm | accuracy of M_0 (seeds {', '.join(map(str, seeds))}) | after {ROUNDS} rounds |\n|---|---|---|")
    for name, found in arms.items():
        before = ", ".join(f"{result.accuracies[0]:.3f}" for result in found)
        after = ", ".join(f"{result.accuracies[-1]:.3f}" for result in found)
        say(f"| {name} | {before} | {after} |")
    tuned = [result for name in ARMS for result in arms[name]]
    worse = [result.arm for result in tuned if result.accuracies[-1] <= result.accuracies[0]]
    if worse: sys.exit(f"no better than M_0: {worse}")


if __name__ == "__main__":
    main([int(s) for s in sys.argv[1:]] or [0, 1, 2])
