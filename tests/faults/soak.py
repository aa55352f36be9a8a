"""Thousands of rounds of the smallest loop: neither the memory nor the time of a round may grow.

    python tests/faults/soak.py [ROUNDS]
"""
import gc, statistics, sys, tempfile, time
from pathlib import Path

from table import Row, show
from tiny import tiny_loop, warm_up


def resident():
    "Memory of this process in MiB, now."
    import psutil
    return psutil.Process().memory_info().rss / 2**20


def main(rounds=2000):
    "The rows of the table: the last tenth against the first."
    warm_up()
    from selfloop_nb import Window
    seconds, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        loop = tiny_loop(Path(folder) / "run", mix=Window(n=2))
        loop.start()
        for _ in range(rounds):
            before = time.process_time() # of this process: others may be at work on the machine
            loop.step()
            seconds.append(time.process_time() - before)
            memory.append(resident())
        assert len(loop.rounds) == rounds + 1
    n = rounds // 10
    rows = []
    for what, unit, values in (("time", "ms", [1000 * s for s in seconds]), ("memory", "MiB", memory)):
        first, last = statistics.median(values[:n]), statistics.median(values[-n:])
        rows.append(Row(f"rounds of a minimal loop, {what} flat", rounds, [f"{what} grew from {first:.0f} to {last:.0f} {unit}"] if last > 1.1 * first else [], f"by tenths, {unit}: " + " ".join(f"{statistics.median(values[k * n:(k + 1) * n]):.0f}" for k in range(10))))
    return rows


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
