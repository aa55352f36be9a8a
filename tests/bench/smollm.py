"""A real pretrained model goes through two rounds: SmolLM2-135M on sums of two one-digit numbers, with LoRA."""
import resource, time

import torch
from selfloop_nb import FineTune, LoRA, Loop, Sampling, Threshold, reasoning, smollm2, verifier
from selfloop_nb.text import last_number

torch.set_num_threads(2)
began = time.monotonic()
SUMS = dict(min_terms=2, max_terms=2, min_digits=1, max_digits=1)
task = reasoning("chain_sum", n_prompts=64, n_heldout=100, seed=0, extract=last_number, **SUMS)
assert not set(task.heldout["prompt"]) & set(task.prompts["prompt"]), "no held-out problem is ever a prompt"
loop = Loop(smollm2(), task, score=verifier(), select=Threshold(1.0),
            sampling=Sampling(n_samples=4, max_new_tokens=10),
            tune=FineTune(steps=None, epochs=3, batch_size=8, lr=5e-4, lora=LoRA()), store=None)
history = loop.run(rounds=2)
columns = ["round", "n_sampled", "n_kept", "heldout_accuracy", "heldout_loss", "unique_ratio"]
print(history[columns].round(3).to_string(index=False))
for row in loop.samples(2).to_list()[:8]:
    reason = f", {row['reason']}" if row["reason"] else ""
    print(f"  {row['prompt'][-8:]!r} {row['completion']!r}: {row['state']}{reason}")
before, after = history["heldout_accuracy"].iloc[[0, -1]]
minutes = (time.monotonic() - began) / 60
gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
cost = f"{minutes:.1f} minutes, peak memory {gib:.1f} GiB"
print(f"SmolLM2-135M, answers of at most 10 tokens, {len(task.heldout)} held-out problems:",
      round(before, 2), "->", round(after, 2), "in", cost)
