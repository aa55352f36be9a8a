"""The demo's three arms on seeds 0, 1, 2, and beside them the control that sees D_train only: the README's table."""
import sys

import pandas
from _heldout import accuracy
from selfloop_nb import FineTune, Loop, Quantile, Threshold, addition, confidence, tiny_llama, verifier
from selfloop_nb.backend.core import derive_seed
from selfloop_nb.charts.comparison import arms_table
from selfloop_nb.backend.rows import completion_loss
from selfloop_nb.tuning import fine_tune
from _timing import say

ROUNDS = 6
ARMS = {
    "verifier": dict(score=verifier(), select=Threshold(1.0)),
    "no filter": dict(score=verifier(), select=Threshold(float("-inf"))),
    "confidence": dict(score=confidence(), select=Quantile(0.5)),
}
COLUMNS = ["accuracy of M_0", "accuracy at the end", "held-out loss at the end", "right among the kept"]


def histories(seed):
    "Arm -> history for one seed; all arms begin with the same M_0."
    task = addition(seed=seed)
    first = Loop(tiny_llama(task, seed=seed), task, seed=seed, progress=False)
    first.start()
    arms = {name: first.branch(name.replace(" ", "-"), **changed) for name, changed in ARMS.items()}
    found = {name: loop.run(rounds=ROUNDS) for name, loop in arms.items()}
    return {**found, "D_train only": control(first)}


def control(loop):
    "The history of a model that is trained for as long, and never sees a sample of its own."
    model = loop.language_model(0)
    rows = [loop.history().iloc[0].to_dict()]
    for number in range(1, ROUNDS + 1):
        model, _, _ = fine_tune(model, loop.task.train, FineTune(), derive_seed(loop.seed, number, "tune"))
        loss = completion_loss(model, loop.task.heldout)
        metrics = dict(heldout_loss=loss, heldout_accuracy=accuracy(model, loop.task))
        rows.append({**rows[0], "round": number, **metrics})
    return pandas.DataFrame(rows)


def main(seeds):
    "Print the table: mean over the seeds, lowest and highest."
    runs = {}
    for seed in seeds:
        for name, history in histories(seed).items():
            runs.setdefault(name, []).append(history)
            accuracies = " ".join(f"{accuracy:.3f}" for accuracy in history["heldout_accuracy"])
            say(f"seed {seed}, {name}: {accuracies}")
    say()
    say(f"| arm | {' | '.join(COLUMNS)} |")
    say("|---" * (len(COLUMNS) + 1) + "|")
    for name, row in arms_table(runs)[COLUMNS].iterrows(): say(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main([int(s) for s in sys.argv[1:]] or [0, 1, 2])
