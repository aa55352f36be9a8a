"Runs and tables with made-up records, as long and as odd as a test wants them; the same each time they are made."
import json, math, random

from datasets import Dataset

WORDS = "alpha beta gamma delta 你好 eta theta 42 +7 =49".split()
NOTHING = dict(n_sampled=0, n_kept=0, n_rejected=0, n_quarantined=0, reasons={})


def made_up_run(path, rounds, n=400, theta=0.5, low=0.0, high=1.0, values=None, losses=80, rule="Threshold",
                missing=False):
    "A run of so many rounds: scores rise, losses fall; `values` are the only scores, where scores are not `missing`."
    from selfloop_nb.storage.store import Run
    rng = random.Random(0)
    run, parent = Run.create(path, {"seed": 0, "task": {"name": "made-up"}}), None
    theta = low + theta * (high - low)
    chosen = dict(theta=theta) if rule == "Threshold" else dict(share=0.25)
    settings = {"score": {"kind": "Scorer", "name": "Q", "range": [low, high]},
                "select": {"kind": rule, **chosen, "unique": True, "finished": True, "max_tokens": None}}
    for number in range(rounds + 1):
        table = samples(rng, number, n, theta, low, high, values, missing) if number else None
        parent = commit(run, rng, number, parent, settings, table, losses)
    return run


def samples(rng, number, n, theta, low, high, values, missing):
    "The selected sample table of a round."
    middle = 0.3 + 0.45 * (1 - math.exp(-number / 15))
    rows = []
    for i in range(n):
        share = min(1.0, max(0.0, rng.gauss(middle, 0.18)))
        score = rng.choice(values) if values else low + share * (high - low)
        if missing: score = math.nan
        text = " ".join(rng.choices(WORDS, k=12))
        state = "quarantined" if not math.isfinite(score) else "kept" if score >= theta else "rejected"
        rows.append(dict(sample_id=f"{number}-{i}", prompt_id=i // 4, prompt=f"{i // 4}+{i % 9}=", completion=text,
            token_ids=[1], n_tokens=rng.randint(4, 20), logprob=-1.0, finished=rng.random() < 0.95,
            correct=rng.random() < share, score=score, state=state,
            reason="" if state == "kept" else "below threshold"))
    return Dataset.from_list(rows) if rows else EMPTY


COLUMNS = ("sample_id", "prompt_id", "prompt", "completion", "token_ids", "n_tokens", "logprob", "finished", "correct",
           "score", "state", "reason")
EMPTY = Dataset.from_dict({name: [] for name in COLUMNS})


def commit(run, rng, number, parent, settings, table, losses):
    "Write a round; returns its id."
    from selfloop_nb.metrics.basic import round_counts, sample_metrics
    from selfloop_nb.records import Round
    from selfloop_nb.storage.store import Draft
    draft = Draft(run.folder(f"{number:04d}-x"))
    counts = round_counts(table) if table is not None and len(table) else NOTHING
    metrics = sample_metrics(table) if table is not None and len(table) else {}
    if table is not None: draft.write_table("samples.parquet", table)
    draft.end_phase("score", ["samples.parquet"] if table is not None else [], 0.1)
    points = [dict(step=i + 1, loss=1.2 * math.exp(-number / 20) + 0.4 * math.exp(-i / 20) + 0.05 * rng.random())
              for i in range(losses)]
    (draft.folder / "losses.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    draft.end_phase("tune", ["losses.jsonl"], 0.1)
    metrics |= {"heldout_loss": 1.5 * math.exp(-number / 20) + 0.6 + 0.01 * number, "train_loss": 0.5,
                "heldout_accuracy": 0.2 + 0.6 * (1 - math.exp(-number / 20))}
    run.commit(draft, Round(draft.id, number, parent, "main", settings, {}, counts, metrics, {"sample": 1.0}, {}, []))
    return draft.id


def scored(n):
    "A table of n samples with random scores."
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
