"""Two kernels begin one folder at the same instant, with other seeds: one makes the run, the other is told so.

    python tests/faults/pairs.py [PAIRS]
"""
import json, multiprocessing, sys, tempfile
from pathlib import Path

from table import Row, show
import tiny  # noqa: F401

BOTH = 120 # seconds that one waits for the other


def kernel(seed, n, folder, gate, answers):
    "Begin n runs, each as the gate opens; tell what came of each."
    from selfloop_nb import Loop, addition, tiny_llama
    from selfloop_nb.backend.core import SelfloopError
    task = addition(digits=1, n_train=8, n_prompts=6, n_heldout=4)
    model = tiny_llama(task, layers=1, width=8, heads=2)
    for k in range(n):
        loop = None
        gate.wait(BOTH)
        try: loop = Loop(model, task, store=f"{folder}/{k}", seed=seed, progress=False)
        except SelfloopError as error: said = f"{type(error).__name__}: {error}"
        except BaseException as error: said = f"raised {type(error).__name__}: {error}"
        answers.put((k, seed, "" if loop else said))
        gate.wait(BOTH) # the loop is held until both have tried
        del loop


def wrong(run, said):
    "What is wrong with what two kernels have said; None where all is well."
    made = [seed for seed, words in said.items() if not words]
    if len(made) != 1: return f"{len(made)} kernels made the run: {said}"
    other = said[1 - made[0]]
    if not other.startswith(("RunLockedError", "SelfloopError")): return other
    if json.loads((run / "run.json").read_text())["seed"] != made[0]: return "run.json is the other one's"


def main(n=100):
    "The row of the table."
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(2), spawn.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        kernels = [spawn.Process(target=kernel, args=(seed, n, folder, gate, answers)) for seed in (0, 1)]
        for process in kernels: process.start()
        said = {k: {} for k in range(n)}
        for _ in range(2 * n):
            k, seed, words = answers.get()
            said[k][seed] = words
        for process in kernels: process.join()
        found = {k: wrong(Path(folder) / str(k), words) for k, words in said.items()}
    losses = [f"pair {k}: {text}" for k, text in found.items() if text]
    firsts = sum(not words[0] for words in said.values())
    return [Row("pairs of kernels that begin one folder at once", n, losses, f"the first made {firsts} of the runs")]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 100))
