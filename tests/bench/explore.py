"How long explore takes to show the chart of a round, and the table where theta is let go: 100,000 samples, a million."
import statistics, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from made_up import scored
from selfloop_nb import explore
from _timing import cpu_seconds, say, timed


def milliseconds_of_thetas(explorer, n=20):
    "The milliseconds until the table follows, for each of n thetas."
    for step in range(n):
        seconds, _ = timed(lambda: follow(explorer, 0.2 + 0.03 * step))
        yield 1000 * seconds


def follow(explorer, theta):
    "Put theta there, and wait for the table."
    explorer.theta = theta
    assert explorer.publisher.flush()


def measure(n):
    "What explore takes over n samples."
    samples = scored(n)
    def opened(): return cpu_seconds(lambda: explore(samples))
    seconds, (worked, explorer) = timed(opened)
    waited, _ = timed(explorer.publisher.flush)
    median = statistics.median(milliseconds_of_thetas(explorer))
    say(f"{n:,} samples: the chart is sent after {seconds:.1f} s")
    say(f"{n:,} samples: it took {worked:.1f} s of the processor")
    say(f"{n:,} samples: the table follows {waited:.1f} s later")
    say(f"{n:,} samples: where theta is let go the table follows in {median:.0f} ms (median of 20)")


for n in map(int, sys.argv[1:] or (100_000, 1_000_000)): measure(n)
