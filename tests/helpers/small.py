"""A loop small enough for a test, in this process or in one that is going to be killed:

    KILLED_IN=tune python small.py STORE
    python small.py STORE score
"""
import os, signal, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def small_task(**changed):
    "Addition with few problems."
    from selfloop_nb import addition
    return addition(**{**dict(n_train=60, n_prompts=20, n_heldout=30), **changed})


def small_loop(store=None, seed=0, **changed):
    "A loop whose rounds take about a second; everything is kept that holds a digit below 5."
    import torch
    from selfloop_nb import FineTune, Loop, Sampling, Threshold, tiny_llama
    torch.set_num_threads(1)
    task = changed.pop("task", None) or small_task()
    model = changed.pop("model", None) or tiny_llama(task, width=32)
    few = FineTune(steps=20, batch_size=32)
    settings = dict(score=low_digit, select=Threshold(1.0), sampling=Sampling(tokens_per_batch=200),
                    tune=few, initial=None if model.pretrained else few, progress=False)
    return Loop(model, task, store=store, seed=seed, **{**settings, **changed})


def low_digit(samples):
    "A score that the untrained model can win; where it is told to, it dies in the middle of round 2."
    if sys.argv[2:] == ["score"] and samples["sample_id"][0].startswith("2-"): kill_self()
    return [float(any(c in "01234" for c in text)) for text in samples["completion"]]


def half_digits(samples):
    "A score of several values: the share of low digits."
    return [sum(c in "01234" for c in text) / max(len(text), 1) for text in samples["completion"]]
half_digits.range = (0.0, 1.0)


def kill_self():
    "What no program can catch."
    os.kill(os.getpid(), signal.SIGKILL)


def is_halfway(event, phase):
    "Is more than half of this phase done, as the event tells it?"
    if event.phase != phase: return False
    if event.kind == "progress": return 2 * event.data["done"] > event.data["total"]
    return event.kind == "loss" and 2 * event.data["step"] > event.data["n_steps"]


def kill_in_phase(event):
    "A listener that dies in the middle of a phase of round 2."
    if event.round == 2 and is_halfway(event, os.environ.get("KILLED_IN")): kill_self()


if __name__ == "__main__":
    loop = small_loop(sys.argv[1])
    loop.on(kill_in_phase)
    loop.run(rounds=2)
