"""A million samples in one round: scored, selected, measured, recorded, drawn, browsed, reported; how long each takes,
and how much memory the whole.

    python tests/faults/load.py [SAMPLES]
"""
import random, resource, sys, tempfile, time
from pathlib import Path

from table import Row, show
import tiny  # noqa: F401

LIMIT = 4096 # MiB


ANSWERS = 4 # answers a prompt


def of_each_prompt(values): return [value for value in values for _ in range(ANSWERS)]


def written(n):
    "A sample table of n rows, as sampling makes it: four answers a prompt."
    from datasets import Dataset
    rng = random.Random(0)
    sums = [(rng.randrange(10_000), rng.randrange(10_000)) for _ in range(n // ANSWERS)]
    texts = [str(a + b + rng.choice((0, 0, 1, 10))) for a, b in of_each_prompt(sums)]
    answers = of_each_prompt([str(a + b) for a, b in sums])
    ids = [f"1-sample-{i // ANSWERS}-{i % ANSWERS}" for i in range(n)]
    prompts = [f"{a}+{b}=" for a, b in sums]
    return Dataset.from_dict(dict(
        sample_id=ids,
        prompt_id=of_each_prompt(range(n // ANSWERS)),
        prompt=of_each_prompt(prompts),
        completion=texts,
        token_ids=[list(map(ord, text)) for text in texts],
        n_tokens=list(map(len, texts)),
        logprob=[-rng.random() for _ in texts],
        finished=[True] * n,
        answer=answers,
        correct=list(map(str.__eq__, texts, answers))))


def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Stages:
    "What is done with a round of n samples, one stage after the other."
    def __init__(self, n, folder):
        self.n, self.folder = n, folder

    def write(self): self.samples = written(self.n)

    def score(self):
        from selfloop_nb import confidence
        from selfloop_nb.scoring import score_samples, verifier
        self.samples = score_samples(self.samples, 2.0 * verifier() + confidence())

    def select(self):
        from selfloop_nb import Threshold
        from selfloop_nb.selection import select_samples
        self.samples = select_samples(self.samples, Threshold(1.0))

    def measure(self):
        from selfloop_nb.metrics.basic import round_counts, sample_metrics
        self.metrics = sample_metrics(self.samples)
        self.counts = round_counts(self.samples)

    def record(self):
        from selfloop_nb import open_run
        from selfloop_nb.records import Round
        from selfloop_nb.storage.store import Draft, Run
        run = Run.create(self.folder / "run", {"seed": 0})
        config = {"score": {"range": ["-inf", 0.0]}}
        first, second = Draft(run.folder("0000-x")), Draft(run.folder("0001-x"))
        first.end_phase("score", [], 1.0)
        run.commit(first, Round(first.id, 0, None, "main", config, {}, {"n_sampled": 0}, {}, {}, {}))
        second.write_table("samples.parquet", self.samples)
        second.end_phase("score", ["samples.parquet"], 1.0)
        run.commit(second, Round(second.id, 1, first.id, "main", config, {}, self.counts, self.metrics, {}, {}))
        self.run = open_run(self.folder / "run")

    def history(self): self.run.history()

    def histogram(self):
        from selfloop_nb.charts.look import png
        from selfloop_nb.charts.rounds import score_histogram
        png(score_histogram(self.run.samples(1)))

    def browser(self):
        from selfloop_nb import browse
        browse(self.run)

    def explorer(self):
        from selfloop_nb import explore
        explore(self.run)

    def report(self): self.n_bytes = self.run.report(self.folder / "report.html").stat().st_size

    def losses(self):
        "What is wrong, in words."
        states = sum(self.counts[f"n_{state}"] for state in ("kept", "rejected", "quarantined"))
        if peak() > LIMIT: yield f"{peak():,.0f} MiB are more than {LIMIT:,}"
        if self.counts["n_sampled"] != states: yield "samples are lost"
        if self.n_bytes > 3_000_000: yield f"a report of {self.n_bytes:,} bytes"


STAGES = ("write", "score", "select", "measure", "record", "history", "histogram", "browser", "explorer", "report")


def main(n=1_000_000):
    "The row of the table."
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(n, Path(folder))
        for name in STAGES:
            began = time.process_time()
            getattr(stages, name)()
            seconds[name] = time.process_time() - began
            print(f"{name}: {seconds[name]:.1f} s, peak {peak():,.0f} MiB", file=sys.stderr, flush=True)
    note = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items())
    what = "samples in one round through all that reads them"
    return [Row(what, n, list(stages.losses()), f"peak {peak():,.0f} MiB; {note}")]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
