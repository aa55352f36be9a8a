"""What the control room costs, in a real kernel.

The time of a round of the demo with it and without it, alternating, fifteen of each, since a round's time varies by a
tenth by itself; the memory of 200 tiny rounds; the size of the saved notebook.
"""
import sys, tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HELPERS = str(Path(__file__).resolve().parents[1] / "helpers")
TIME = """
import statistics, time
from selfloop_nb import *
task = addition()
loop = Loop(tiny_llama(task), task, score=verifier(), select=Threshold(1.0), progress=False)
loop.start()
room = dashboard(loop)
room.box

#%%
import torch
def timed(work):
    loop.rewind(0)
    assert room.wait()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

def alone():
    listeners = list(loop.listeners)
    loop.listeners.clear()
    loop.step()
    loop.listeners[:] = listeners

def in_the_room():
    room.step()
    assert room.worker.wait() and room.worker.error is None

pairs = []
for repeat in range(REPEATS + 1): # the first pair warms up; who comes first changes from pair to pair
    order = (in_the_room, alone) if repeat % 2 else (alone, in_the_room)
    took = {work: timed(work) for work in order}
    pairs.append((took[in_the_room], took[alone]))
    name = f"pair {repeat:2}" if repeat else "warm-up"
    a, b = pairs[-1]
    print(f"{name}: in the room {a:.2f} s, alone {b:.2f} s, ratio {a / b:.3f}", flush=True)
open_, closed = (statistics.median(side) for side in zip(*pairs[1:]))
low, _, high = statistics.quantiles([a / b for a, b in pairs[1:]], n=4)
print(f"a round with the control room open takes {open_ / closed:.3f} x the time of a round without it",
      f"(medians of {REPEATS}; half of the pairs lie between {low:.3f} and {high:.3f};",
      f"{torch.get_num_threads()} threads)")
"""
SIZE = """
import os; os.environ["OMP_NUM_THREADS"] = "1" # so small a model gains nothing from a second thread
import sys; sys.path.insert(0, HELPERS)
import gc, psutil, torch
from small import small_loop
from selfloop_nb import dashboard
room = dashboard(small_loop())
room

#%%
def megabytes_after(rounds):
    room.run(rounds - max(len(room.loop.rounds) - 1, 0))
    assert room.wait() and room.worker.error is None and len(room.loop.rounds) == rounds + 1
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20
early = megabytes_after(20)
"""
LONG = SIZE + """
#%%
late = megabytes_after(ROUNDS)
print(f"memory of the kernel: {early:.0f} MB after 20 rounds, {late:.0f} MB after {ROUNDS}: {late - early:+.0f} MB")
"""


def printed(cell):
    "What a cell has printed."
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in streams if output.name == "stdout")


def run(cells, **values):
    "Run cells in a kernel, print what they print, and return the saved notebook's size in bytes."
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    sources = [cell.strip() for cell in (head + cells).split("#%%")]
    nb = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    def show(cell, cell_index, execute_reply): print(printed(cell), end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(nb, timeout=None, kernel_name="python3", resources=resources, on_cell_executed=show).execute()
        nb.metadata.pop("widgets", None) # the front ends do not save it unless they are told to
        path = Path(folder) / "nb.ipynb"
        nbformat.write(nb, path)
        return path.stat().st_size


def main(repeats=15, rounds=200):
    run(TIME, REPEATS=repeats)
    size = run(SIZE, HELPERS=HELPERS)
    print(f"a notebook saved after 20 rounds: {size / 2**20:.2f} MB", flush=True)
    run(LONG, HELPERS=HELPERS, ROUNDS=rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
