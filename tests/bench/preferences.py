"""DPO and SPIN on seeds 0, 1, 2: held-out accuracy of M_0 and after each round, beside a control that trains on D_train for as many steps.

M_0 is stopped once it solves three in ten held-out problems, which takes some seeds twice as long as others: it makes mistakes on D_train too, and these
are what SPIN learns from.
"""
import sys

from selfloop_nb import DPO, SPIN, FineTune, Loop, Sampling, addition, tiny_llama
from selfloop_nb.models import LanguageModel
from selfloop_nb.core import derive_seed
from selfloop_nb.sampling import GREEDY, generate_samples
from selfloop_nb.tuning import fine_tune

ROUNDS = 3
ARMS = {"DPO": dict(tune=DPO(), sampling=Sampling(n_samples=8, temperature=0.7)), "SPIN": dict(tune=SPIN(), sampling=Sampling(n_samples=2))}
CONTROL = FineTune(steps=SPIN().steps, lr=SPIN().lr)


def accuracy(model, task):
    "Greedy accuracy on the held-out problems."
    answers = generate_samples(model, task.heldout.remove_columns("completion"), GREEDY, 4)
    return sum(task.correct(answers.to_list())) / len(answers)


def half_taught(task, seed):
    "A model that can add, and not well."
    model, n = tiny_llama(task, seed=seed), 0
    while accuracy(model, task) < 0.3:
        n += 1
        model, _, _ = fine_tune(model, task.train, FineTune(steps=50, lr=2e-3), derive_seed(seed, "first", n))
    print(f"seed {seed}: M_0 took {50 * n} steps", flush=True)
    return LanguageModel(model.model, model.tokenizer, model.name)


def histories(seed):
    "Arm -> held-out accuracy by round; all arms begin with the same M_0."
    task = addition(n_train=2000, seed=seed)
    first = Loop(half_taught(task, seed), task, seed=seed, progress=False)
    m0 = first.start().metrics["heldout_accuracy"]
    for name, changed in ARMS.items():
        history = first.branch(name, **changed).run(rounds=ROUNDS)
        yield name, list(history["heldout_accuracy"]), list(history["n_pairs"][1:].astype(int)), list(history["n_unpaired"][1:].astype(int))
    yield "D_train only", [m0, *control(first)], [], []


def control(loop):
    "Accuracies of a model that is trained on D_train for as many steps, and never sees a sample of its own."
    model = loop.language_model(0)
    for number in range(1, ROUNDS + 1):
        model, _, _ = fine_tune(model, loop.task.train, CONTROL, derive_seed(loop.seed, number, "tune"))
        yield accuracy(model, loop.task)


def main(seeds):
    "Print every run, then a table; a run that does not end above its M_0 is an error."
    ends = {}
    for seed in seeds:
        for name, accuracies, pairs, unpaired in histories(seed):
            ends.setdefault(name, []).append((accuracies[0], accuracies[-1]))
            print(f"seed {seed}, {name}: " + " ".join(f"{a:.3f}" for a in accuracies) + (f"; pairs {pairs}, prompts without {unpaired}" if pairs else ""), flush=True)
    print(f"\n| arm | accuracy of M_0 (seeds {', '.join(map(str, seeds))}) | after {ROUNDS} rounds |\n|---|---|---|")
    for name, found in ends.items(): print(f"| {name} | " + " | ".join(", ".join(f"{pair[side]:.3f}" for pair in found) for side in (0, 1)) + " |")
    if worse := [name for name in ARMS for before, after in ends[name] if after <= before]: sys.exit(f"no better than M_0: {worse}")


if __name__ == "__main__":
    main([int(s) for s in sys.argv[1:]] or [0, 1, 2])
