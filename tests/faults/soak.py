"""Thousands of rounds of the smallest loop: neither the memory nor the time of a round may grow.

    python tests/faults/soak.py [ROUNDS]
"""
import statistics, sys, tempfile, time
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


def tenths(values):
    "The medians of the first tenth, the second, and so on."
    n = len(values)
    return [statistics.median(values[k * n // 10:(k + 1) * n // 10]) for k in range(10)]


def flat(what, values, unit, digits):
    "The row of a quantity that must not grow: the last tenth against the first."
    medians = tenths(values)
    first, last = medians[0], medians[-1]
    losses = []
    if last > 1.1 * first: losses.append(f"{what} grew from {first:.1f} to {last:.1f} {unit}")
    course = " ".join(f"{value:.{digits}f}" for value in medians)
    return Row(f"rounds of a minimal loop, {what} flat", len(values), losses, f"by tenths, {unit}: {course}")


def main(rounds=2000):
    "The rows of the table: of time, and of memory."
    from selfloop_nb import Window
    warm_up()
    seconds = []
    ratios = []
    memory = []
    with tempfile.TemporaryDirectory() as folder:
        loop = tiny_loop(Path(folder) / "run", mix=Window(n=2))
        loop.start()
        for _ in range(rounds):
            beside = clocked(yardstick)
            seconds.append(clocked(loop.step))
            ratios.append(seconds[-1] / beside)
            memory.append(resident())
        assert len(loop.rounds) == rounds + 1
    time_row = flat("time", ratios, "times a fixed computation beside it", digits=1)
    time_row.note += f"; a round takes {1000 * statistics.median(seconds):.0f} ms of the processor"
    return [time_row, flat("memory", memory, "MiB", digits=0)]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
