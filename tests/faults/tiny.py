"""The smallest whole run, for what is done to it hundreds of times: M_0 and two rounds in well under a second."""
import hashlib, os, sys
from pathlib import Path

for name, value in {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}.items(): os.environ.setdefault(name, value)
sys.path[:0] = [str(Path(__file__).parents[2])]


def tiny_score(samples):
    "A score that depends on the text and has no verdict on the first sample of a round."
    return [float("nan") if row.endswith(("sample-0-0", "sample-6-0")) else float(len(set(text))) for text, row in zip(samples["completion"], samples["sample_id"])]


def tiny_loop(store=None, **changed):
    "A loop on one-digit sums with a model of a thousand weights."
    import torch
    from selfloop_nb import FineTune, Loop, Replace, Sampling, Threshold, addition, tiny_llama
    torch.set_num_threads(1)
    task = changed.pop("task", None) or addition(digits=1, n_train=8, n_prompts=6, n_heldout=4)
    tune = FineTune(steps=2, batch_size=4, lr=1e-2)
    settings = dict(score=tiny_score, select=Threshold(1.0, finished=False), mix=Replace(), tune=tune, initial=tune, sampling=Sampling(n_samples=2, max_new_tokens=3, tokens_per_batch=28), progress=False, guards=())
    return Loop(tiny_llama(task, layers=1, width=8, heads=2), task, store=store, **{**settings, **changed})


def finish(store, rounds=2):
    "Bring the run in `store` to its last round, from wherever it is; returns its `outcome`."
    loop = tiny_loop(store)
    loop.start()
    while len(loop.rounds) <= rounds: loop.step()
    return outcome(loop.store)


def outcome(run):
    "SHA-256 of what the rounds made: every weights file and every sample table, with counts that add up and files as recorded."
    digest = hashlib.sha256()
    for record in run.rounds():
        counts = record.counts
        assert counts["n_sampled"] == counts["n_kept"] + counts["n_rejected"] + counts["n_quarantined"], counts
        assert run.verify(record.id) == [], run.verify(record.id)
        made = sorted((name, h) for name, h in record.files.items() if name.endswith((".safetensors", ".parquet")))
        digest.update(repr((record.id, made)).encode())
    return digest.hexdigest()


def warm_up():
    "Load and use everything once, so that a fork of this process can begin at once."
    import tempfile
    with tempfile.TemporaryDirectory() as folder: finish(Path(folder) / "run", rounds=1)
