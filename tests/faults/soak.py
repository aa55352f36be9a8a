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


def clocked(work):
    "Seconds that this process computes at something: others may be at work on the machine."
    before = time.process_time()
    work()
    return time.process_time() - before


def yardstick():
    "The same work every time: a machine that gets slower is no round that does."
    return sum(i * i for i in range(200_000))


def main(rounds=2000):
    "The rows of the table: the last tenth against the first."
    warm_up()
    from selfloop_nb import Window
    seconds, sticks, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        loop = tiny_loop(Path(folder) / "run", mix=Window(n=2))
        loop.start()
        for _ in range(rounds):
            sticks.append(clocked(yardstick))
            seconds.append(clocked(loop.step))
            memory.append(resident())
        assert len(loop.rounds) == rounds + 1
    tenths = lambda values: [statistics.median(values[k * rounds // 10:(k + 1) * rounds // 10]) for k in range(10)]
    rows = []
    for what, unit, values in (("time", "times a fixed computation beside it", tenths([a / b for a, b in zip(seconds, sticks)])), ("memory", "MiB", tenths(memory))):
        first, last = values[0], values[-1]
        rows.append(Row(f"rounds of a minimal loop, {what} flat", rounds, [f"{what} grew from {first:.1f} to {last:.1f} {unit}"] if last > 1.1 * first else [], f"by tenths, {unit}: " + " ".join(f"{v:.0f}" if what == "memory" else f"{v:.1f}" for v in values)))
    rows[0].note += f"; a round takes {1000 * statistics.median(seconds):.0f} ms of the processor"
    return rows


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
