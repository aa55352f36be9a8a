"How long the theta explorer takes to answer a drag: metrics, picture and table, at 10,000 and 100,000 samples."
import random, statistics

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


def milliseconds_of_drags(explorer, n=20):
    "The milliseconds that each of n drags takes."
    for step in range(n):
        explorer.slider.value = 0.2 + 0.03 * step
        assert explorer.publisher.flush()
        seconds, _ = timed(lambda: explorer._draw({"theta"}))
        yield 1000 * seconds


for n in (10_000, 100_000):
    seconds, explorer = timed(lambda: explore(scored(n), group="topic"))
    say(f"{n:,} samples: sorted and shown in {seconds:.1f} s")
    drags = list(milliseconds_of_drags(explorer))
    median = f"{statistics.median(drags):.0f} ms"
    say(f"{n:,} samples: a drag is answered in {median} (median of 20; slowest {max(drags):.0f})")
