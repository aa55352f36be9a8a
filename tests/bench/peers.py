"""The same rounds with what a user would pick instead: TRL's SFTTrainer after generate; and TRL's GRPO, same verifier, for the same wall time.

One process, alternating. TRL's round is timed without measuring and without records; ours with both.
"""
import copy, logging, statistics, sys, tempfile, time, warnings

import torch
from datasets import Dataset
from selfloop_nb import Loop, Sampling, Threshold, addition, tiny_llama, verifier
from selfloop_nb.models import LanguageModel
from selfloop_nb.sampling import GREEDY, generate_samples
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
SEED = 1
task = addition(seed=SEED)
loop = Loop(tiny_llama(task, seed=SEED), task, score=verifier(), select=Threshold(1.0), seed=SEED, progress=False)
loop.start()
m0, truth = loop.language_model(0), dict(zip(task.prompts["prompt"], task.prompts["answer"]))
usual = dict(per_device_train_batch_size=128, report_to="none", save_strategy="no", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False, log_level="error")


def accuracy(model):
    "Greedy accuracy on the held-out problems."
    answers = generate_samples(LanguageModel(model, m0.tokenizer), task.heldout.remove_columns("completion"), GREEDY, 4)
    return sum(task.correct(answers.to_list())) / len(answers)


def trl_round(model, number, kept):
    "Sample, check and keep as we do; then TRL's SFTTrainer on D_train and all that was kept."
    samples = generate_samples(LanguageModel(model, m0.tokenizer), task.round_prompts(number), Sampling(), 4, SEED, (number, "sample"))
    kept += sorted({(p, c) for p, c in zip(samples["prompt"][:], samples["completion"][:]) if truth[p] == c})
    rows = [dict(prompt=p, completion=c) for p, c in [*zip(task.train["prompt"][:], task.train["completion"][:]), *kept]]
    how = SFTConfig(output_dir=tempfile.mkdtemp(), max_steps=150, learning_rate=1e-3, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1}, warmup_steps=15,
                    weight_decay=0.1, adam_beta2=0.98, logging_steps=50, bf16=False, **usual)
    SFTTrainer(model=model, args=how, train_dataset=Dataset.from_list(rows), processing_class=m0.tokenizer).train()
    return model


class Clock(TrainerCallback):
    "Ends the training when the time is up."
    def __init__(self, seconds): self.seconds = seconds
    def on_train_begin(self, *args, **kwargs): self.end = time.monotonic() + self.seconds
    def on_step_end(self, args, state, control, **kwargs): control.should_training_stop = time.monotonic() > self.end


def grpo(lr, seconds):
    "TRL's GRPO from M_0 with the same verifier, for so many seconds."
    def reward(prompts, completions, **kwargs):
        plain = lambda text: text.replace("<bos>", "").replace("<eos>", "")
        return [float(truth[plain(p)] == plain(c)) for p, c in zip(prompts, completions)]
    how = GRPOConfig(output_dir=tempfile.mkdtemp(), num_generations=4, max_completion_length=4, learning_rate=lr, temperature=1.0, max_steps=100_000, logging_steps=1000, beta=0.0, bf16=False, **usual)
    trainer = GRPOTrainer(model=copy.deepcopy(m0.model), reward_funcs=reward, train_dataset=Dataset.from_list([dict(prompt=p) for p in task.prompts["prompt"][:]]), processing_class=m0.tokenizer, callbacks=[Clock(seconds)], args=how)
    trainer.train()
    return accuracy(trainer.model), trainer.state.global_step


def timed(work):
    "Seconds and result."
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def first_rounds(repeats):
    "The first round, both ways, alternating: the ratio of the medians."
    ours, theirs = [], []
    for repeat in range(repeats + 1): # the first pair warms up
        loop.rewind(0)
        a, record = timed(loop.step)
        b, model = timed(lambda: trl_round(copy.deepcopy(m0.model), 1, []))
        print(f"{'warm-up' if not repeat else f'pair {repeat} '}: Loop {a:.2f} s, accuracy {record.metrics['heldout_accuracy']:.3f}; SFTTrainer {b:.2f} s, accuracy {accuracy(model):.3f}; ratio {a / b:.2f}", flush=True)
        if repeat: ours.append(a); theirs.append(b)
    print(f"a round with Loop takes {statistics.median(ours) / statistics.median(theirs):.2f} x that of TRL's SFTTrainer (medians of {repeats}, {torch.get_num_threads()} threads)", flush=True)


def six_rounds():
    "Six rounds both ways, and GRPO for the time that ours took."
    loop.rewind(0)
    seconds, history = timed(lambda: loop.run(rounds=6))
    start, end = history["heldout_accuracy"].iloc[[0, -1]]
    print(f"six rounds of Loop: {seconds:.0f} s, accuracy {start:.3f} -> {end:.3f}", flush=True)
    model, kept = copy.deepcopy(m0.model), []
    took, _ = timed(lambda: [trl_round(model, number, kept) for number in range(1, 7)])
    print(f"six rounds of SFTTrainer: {took / seconds:.1f} x the time, accuracy {start:.3f} -> {accuracy(model):.3f}", flush=True)
    for lr in (1e-3, 3e-4, 1e-4):
        reached, steps = grpo(lr, seconds)
        print(f"GRPO, learning rate {lr:g}, the same time ({steps} steps): accuracy {start:.3f} -> {reached:.3f}", flush=True)


if __name__ == "__main__":
    first_rounds(int(sys.argv[1]) if sys.argv[1:] else 3)
    six_rounds()
