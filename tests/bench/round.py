"""What the loop costs over a bare script: one round of the demo, with Loop, and with generate and Trainer alone and no records; alternating."""
import copy, statistics, sys, tempfile, time

import torch
from selfloop_nb import Loop, Threshold, addition, tiny_llama, verifier
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

task = addition()
loop = Loop(tiny_llama(task), task, score=verifier(), select=Threshold(1.0), progress=False)
loop.start()
m0 = loop.language_model(0)
tokenizer, pad, eos = m0.tokenizer, m0.tokenizer.pad_token_id, m0.tokenizer.eos_token_id
ids = {t: tokenizer(t)["input_ids"] for table in (task.train, task.prompts, task.heldout) for c in ("prompt", "answer") for t in table[c]}


def collate(rows):
    "One batch; all rows of this task are equally long."
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def generate(model, prompts, n, **how):
    "n answers a prompt with transformers' generate."
    batch, texts = torch.tensor([ids[p] for p in prompts for _ in range(n)]), []
    for part in batch.split(1489): # as many rows as the library's default batch holds
        out = model.generate(input_ids=part, attention_mask=torch.ones_like(part), max_new_tokens=4, pad_token_id=pad, eos_token_id=eos, **how)
        texts += tokenizer.batch_decode(out[:, part.shape[1]:], skip_special_tokens=True)
    return texts


def bare_round(model):
    "The same work without a record: sample, check, keep, train, measure held-out loss and accuracy."
    prompts = task.round_prompts(1)["prompt"][:]
    drawn = zip([p for p in prompts for _ in range(4)], generate(model, prompts, 4, do_sample=True, top_k=0))
    truth = dict(zip(task.prompts["prompt"], task.prompts["answer"]))
    kept = list({(p, c) for p, c in drawn if truth[p] == c})
    train(model, [encode(p, c) for p, c in [*zip(task.train["prompt"], task.train["completion"]), *kept]])
    model.eval()
    with torch.inference_mode(): model(**collate([encode(p, c) for p, c in zip(task.heldout["prompt"], task.heldout["completion"])])).loss.item()
    answers = generate(model, task.heldout["prompt"][:], 1, do_sample=False)
    return len(kept), sum(a == b for a, b in zip(answers, task.heldout["answer"])) / len(answers)


def encode(prompt, completion):
    "A row for the Trainer: the loss counts the completion."
    before, after = ids[prompt], tokenizer(completion)["input_ids"] + [eos]
    return dict(input_ids=before + after, attention_mask=[1] * len(before + after), labels=[-100] * len(before) + after)


def train(model, rows):
    "150 steps of transformers' Trainer, as the library does them."
    arguments = TrainingArguments(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=128, max_steps=150, learning_rate=1.5e-3, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=0.1, weight_decay=0.1, adam_beta2=0.98, report_to="none", save_strategy="no", logging_steps=50, disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False, log_level="error")
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def timed(work):
    "Seconds and result."
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main(repeats):
    "Print the ratio of the medians, and of each pair."
    ours, bare = [], []
    for repeat in range(repeats + 1): # the first pair warms up
        set_seed(repeat)
        loop.rewind(0)
        a, record = timed(loop.step)
        b, (kept, accuracy) = timed(lambda: bare_round(copy.deepcopy(m0.model)))
        print(f"{'warm-up' if repeat == 0 else f'pair {repeat} '}: loop {a:.2f} s (kept {record.counts['n_kept']}, accuracy {record.metrics['heldout_accuracy']:.3f}), bare {b:.2f} s (kept {kept}, accuracy {accuracy:.3f}), ratio {a / b:.2f}", flush=True)
        if repeat: ours.append(a); bare.append(b)
    print(f"a round with Loop takes {statistics.median(ours) / statistics.median(bare):.2f} x the bare script (medians of {repeats}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
