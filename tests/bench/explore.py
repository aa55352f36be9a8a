"How long explore takes to show the chart of a round, and the table where theta is let go: 100,000 samples, a million."
import random, statistics, sys

from datasets import Dataset
from selfloop_nb import explore
from timing import say, timed


def scored(n):
    "A round of n samples with random scores."
    rng = random.Random(0)
    ids = [i // 4 for i in range(n)]
    return Dataset.from_dict(dict(
        prompt_id=ids,
        prompt=list(map(str, ids)),
        completion=[" ".join(rng.choices("abcdefghij", k=12)) for _ in range(n)],
        score=[rng.random() for _ in range(n)],
        n_tokens=[12] * n,
        finished=[True] * n,
        correct=rng.choices([True, False], k=n),
        topic=rng.choices("abc", k=n)))


def milliseconds_of_thetas(explorer, n=20):
    "The milliseconds until the table follows, for each of n thetas."
    for step in range(n):
        seconds, _ = timed(lambda: follow(explorer, 0.2 + 0.03 * step))
        yield 1000 * seconds


def follow(explorer, theta):
    "Put theta there, and wait for the table."
    explorer.theta = theta
    assert explorer.publisher.flush()


for n in map(int, sys.argv[1:] or (100_000, 1_000_000)):
    samples = scored(n)
    seconds, explorer = timed(lambda: explore(samples))
    waited, _ = timed(explorer.publisher.flush)
    say(f"{n:,} samples: the chart is sent after {seconds:.1f} s")
    say(f"{n:,} samples: the table follows {waited:.1f} s later")
    median = statistics.median(milliseconds_of_thetas(explorer))
    say(f"{n:,} samples: where theta is let go the table follows in {median:.0f} ms (median of 20)")
