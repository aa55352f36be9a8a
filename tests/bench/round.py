"""What the loop costs over a bare script: one round of the demo.

With Loop, and with generate and Trainer alone and no records; alternating."""
import copy, statistics, sys, tempfile

import torch
from selfloop_nb import Loop, Threshold, addition, tiny_llama, verifier
from _timing import say, timed
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

task = addition()
loop = Loop(tiny_llama(task), task, score=verifier(), select=Threshold(1.0), progress=False)
loop.start()
m0 = loop.language_model(0)
tokenizer = m0.tokenizer
COLUMNS = [table[name] for table in (task.train, task.prompts, task.heldout) for name in ("prompt", "answer")]
IDS = {text: tokenizer(text)["input_ids"] for column in COLUMNS for text in column}
EOS = tokenizer.eos_token_id
HOW = dict(
    per_device_train_batch_size=128, max_steps=150, learning_rate=1.5e-3, lr_scheduler_type="cosine_warmup_with_min_lr",
    lr_scheduler_kwargs={"min_lr_rate": 0.1}, warmup_steps=0.1, weight_decay=0.1, adam_beta2=0.98, report_to="none",
    save_strategy="no", logging_steps=50, disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
    log_level="error")


def collate(rows):
    "One batch; all rows of this task are equally long."
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def generate(model, prompts, n, **how):
    "n answers a prompt with transformers' generate."
    batch = torch.tensor([IDS[prompt] for prompt in prompts for _ in range(n)])
    texts = []
    for part in batch.split(1489): # as many rows as the library's default batch holds
        out = model.generate(input_ids=part, attention_mask=torch.ones_like(part), max_new_tokens=4,
                             pad_token_id=tokenizer.pad_token_id, eos_token_id=EOS, **how)
        texts += tokenizer.batch_decode(out[:, part.shape[1]:], skip_special_tokens=True)
    return texts


def pairs(table): return list(zip(table["prompt"], table["completion"]))


def bare_round(model):
    "The same work without a record: sample, check, keep, train, measure held-out loss and accuracy."
    prompts = task.round_prompts(1)["prompt"][:]
    drawn = zip([prompt for prompt in prompts for _ in range(4)], generate(model, prompts, 4, do_sample=True, top_k=0))
    truth = dict(zip(task.prompts["prompt"], task.prompts["answer"]))
    kept = list({(prompt, text) for prompt, text in drawn if truth[prompt] == text})
    train(model, [encode(*pair) for pair in pairs(task.train) + kept])
    model.eval()
    with torch.inference_mode(): model(**collate([encode(*pair) for pair in pairs(task.heldout)])).loss.item()
    answers = generate(model, task.heldout["prompt"][:], 1, do_sample=False)
    return len(kept), sum(a == b for a, b in zip(answers, task.heldout["answer"])) / len(answers)


def encode(prompt, completion):
    "A row for the Trainer: the loss counts the completion."
    before = IDS[prompt]
    after = tokenizer(completion)["input_ids"] + [EOS]
    labels = [-100] * len(before) + after
    return dict(input_ids=before + after, attention_mask=[1] * len(labels), labels=labels)


def train(model, rows):
    "150 steps of transformers' Trainer, as the library does them."
    arguments = TrainingArguments(output_dir=tempfile.mkdtemp(), **HOW)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def pair(repeat):
    "Seconds of a round with Loop, and of the bare one."
    set_seed(repeat)
    loop.rewind(0)
    ours, record = timed(loop.step)
    bare, (n_kept, accuracy) = timed(lambda: bare_round(copy.deepcopy(m0.model)))
    say(f"pair {repeat}: ratio {ours / bare:.2f}" if repeat else "to warm up:")
    say(f"  loop {ours:.2f} s, kept {record.counts['n_kept']}, accuracy {record.metrics['heldout_accuracy']:.3f}")
    say(f"  bare {bare:.2f} s, kept {n_kept}, accuracy {accuracy:.3f}")
    return ours, bare


def main(repeats):
    "Print the ratio of each pair, and of the medians; the first pair warms up."
    pair(0)
    ours, bare = map(statistics.median, zip(*(pair(repeat) for repeat in range(1, repeats + 1))))
    say(f"a round with Loop takes {ours / bare:.2f} x the bare script",
        f"(medians of {repeats}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
