"How long the theta explorer takes to answer a drag: figures, picture and table, at 10,000 and 100,000 samples."
import random, statistics, time

from datasets import Dataset
from selfloop_nb import explore


def scored(n):
    "A round of n samples with random scores."
    dice = random.Random(0)
    texts = [" ".join(dice.choices("abcdefghij", k=12)) for _ in range(n)]
    ids = [i // 4 for i in range(n)]
    return Dataset.from_dict(dict(prompt_id=ids, prompt=list(map(str, ids)), completion=texts, score=[dice.random() for _ in range(n)], n_tokens=[12] * n, finished=[True] * n, correct=[dice.random() < 0.5 for _ in range(n)], topic=[dice.choice("abc") for _ in range(n)]))


for n in (10_000, 100_000):
    began = time.perf_counter()
    explorer = explore(scored(n), group="topic")
    print(f"{n:,} samples: sorted and shown in {time.perf_counter() - began:.1f} s", flush=True)
    answers = []
    for step in range(20):
        explorer.slider.value = 0.2 + 0.03 * step
        assert explorer.publisher.flush()
        began = time.perf_counter()
        explorer._draw({"theta"})
        answers.append(1000 * (time.perf_counter() - began))
    print(f"{n:,} samples: a drag is answered in {statistics.median(answers):.0f} ms (median of 20; slowest {max(answers):.0f})", flush=True)
