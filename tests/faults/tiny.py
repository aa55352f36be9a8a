"""The smallest whole run, for what is done to it hundreds of times: M_0 and two rounds in well under a second."""
import hashlib, math, os, sys, tempfile
from pathlib import Path

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
for name, value in ENVIRONMENT.items(): os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).parents[2]))


def tiny_score(samples):
    "A score that depends on the text and has no verdict on the first sample of a round."
    def score(text, sample_id):
        return math.nan if sample_id.endswith(("sample-0-0", "sample-6-0")) else float(len(set(text)))
    return list(map(score, samples["completion"], samples["sample_id"]))


def tiny_loop(store=None, **changed):
    "A loop on one-digit sums with a model of a thousand weights."
    import torch
    from selfloop_nb import FineTune, Loop, Replace, Sampling, Threshold, addition, tiny_llama
    torch.set_num_threads(1)
    task = changed.pop("task", None) or addition(digits=1, n_train=8, n_prompts=6, n_heldout=4)
    tune = FineTune(steps=2, batch_size=4, lr=1e-2)
    sampling = Sampling(n_samples=2, max_new_tokens=3, tokens_per_batch=28)
    settings = dict(score=tiny_score, select=Threshold(1.0, finished=False), mix=Replace(), tune=tune, initial=tune,
                    sampling=sampling, progress=False, guards=())
    return Loop(tiny_llama(task, layers=1, width=8, heads=2), task, store=store, **{**settings, **changed})


def finish(store, rounds=2):
    "Bring the run in `store` to its last round, from wherever it is; returns its `outcome`."
    loop = tiny_loop(store)
    loop.start()
    while len(loop.rounds) <= rounds: loop.step()
    return outcome(loop.store)


def results(record):
    "Name and SHA-256 of what a round has made: weights and sample tables."
    return sorted((name, h) for name, h in record.files.items() if name.endswith((".safetensors", ".parquet")))


def outcome(run):
    "SHA-256 of what all rounds have made; their counts must add up, their files must be as recorded."
    digest = hashlib.sha256()
    for record in run.rounds():
        counts = record.counts
        assert counts["n_sampled"] == counts["n_kept"] + counts["n_rejected"] + counts["n_quarantined"], counts
        assert run.verify(record.id) == [], run.verify(record.id)
        digest.update(repr((record.id, results(record))).encode())
    return digest.hexdigest()


def warm_up():
    "Load and use everything once, so that a fork of this process can begin at once."
    with tempfile.TemporaryDirectory() as folder: finish(Path(folder) / "run", rounds=1)
