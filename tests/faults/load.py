"""A million samples in one round: scored, selected, measured, recorded, drawn, browsed, reported; how long each takes, and how much memory the whole.

    python tests/faults/load.py [SAMPLES]
"""
import random, resource, sys, tempfile, time
from pathlib import Path

from table import Row, show
import tiny  # noqa: F401

LIMIT = 4096 # MiB


def written(n):
    "A sample table of n rows, as sampling makes it: four answers a prompt."
    from datasets import Dataset
    chance = random.Random(0)
    sums = [(chance.randrange(10_000), chance.randrange(10_000)) for _ in range(n // 4)]
    texts = [f"{a + b + chance.choice((0, 0, 1, 10))}" for a, b in sums for _ in range(4)]
    repeat = lambda values: [v for v in values for _ in range(4)]
    return Dataset.from_dict(dict(sample_id=[f"1-sample-{i // 4}-{i % 4}" for i in range(n)], prompt_id=repeat(range(n // 4)), prompt=repeat([f"{a}+{b}=" for a, b in sums]),
        completion=texts, token_ids=[[ord(c) for c in t] for t in texts], n_tokens=[len(t) for t in texts], logprob=[-chance.random() for _ in texts], finished=[True] * n,
        answer=repeat([str(a + b) for a, b in sums]), correct=[t == str(a + b) for t, (a, b) in zip(texts, repeat(sums))]))


def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stages(n, folder):
    "Stage -> what is done in it, in order."
    from selfloop_nb import Threshold, browse, confidence, explore, open_run
    from selfloop_nb.metrics.basic import round_counts, sample_metrics
    from selfloop_nb.charts.rounds import png, score_histogram
    from selfloop_nb.records import Round
    from selfloop_nb.scoring import score_samples, verifier
    from selfloop_nb.selection import select_samples
    from selfloop_nb.storage.store import Draft, Run
    at = {}
    def record():
        run, parent = Run.create(folder / "run", {"seed": 0}), None
        for number in range(2):
            draft = Draft(run.folder(f"{number:04d}-x"))
            if number: draft.write_table("samples.parquet", at["selected"])
            draft.end_phase("score", ["samples.parquet"] if number else [], 1.0)
            run.commit(draft, Round(draft.id, number, parent, "main", {"score": {"range": ["-inf", 0.0]}}, {}, at["counts"] if number else {"n_sampled": 0}, at["metrics"] if number else {}, {}, {}))
            parent = draft.id
        at["run"] = open_run(folder / "run")
    return {
        "write": lambda: at.update(samples=written(n)),
        "score": lambda: at.update(scored=score_samples(at.pop("samples"), 2.0 * verifier() + confidence())),
        "select": lambda: at.update(selected=select_samples(at.pop("scored"), Threshold(1.0))),
        "metrics": lambda: at.update(metrics=sample_metrics(at["selected"]), counts=round_counts(at["selected"])),
        "record": record,
        "history": lambda: at["run"].history(),
        "histogram": lambda: png(score_histogram(at["run"].samples(1))),
        "browser": lambda: browse(at["run"]),
        "explorer": lambda: explore(at["run"]),
        "report": lambda: at.update(bytes=at["run"].report(folder / "report.html").stat().st_size),
    }, at


def main(n=1_000_000):
    "The row of the table."
    took = {}
    with tempfile.TemporaryDirectory() as folder:
        work, at = stages(n, Path(folder))
        for name, do in work.items():
            began = time.process_time()
            do()
            took[name] = time.process_time() - began
            print(f"{name}: {took[name]:.1f} s, peak {peak():,.0f} MiB", file=sys.stderr, flush=True)
    losses = [f"{peak():,.0f} MiB are more than {LIMIT:,}"] if peak() > LIMIT else []
    if at["counts"]["n_sampled"] != sum(at["counts"][f"n_{s}"] for s in ("kept", "rejected", "quarantined")): losses.append("samples are lost")
    if at["bytes"] > 3_000_000: losses.append(f"a report of {at['bytes']:,} bytes")
    return [Row("samples in one round through all that reads them", n, losses, f"peak {peak():,.0f} MiB; " + ", ".join(f"{name} {s:.0f} s" for name, s in took.items()))]


if __name__ == "__main__": show(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
