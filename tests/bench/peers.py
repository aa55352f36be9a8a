"""The same rounds with what a user would pick instead: TRL's SFTTrainer, TRL's GRPO.

SFTTrainer after generate does the same work; GRPO, with the same verifier, has the same wall time. One process,
alternating, the same work: sample, check, keep, train, held-out loss and accuracy, save the model. TRL stands there
twice: as it comes (it turns bfloat16 and gradient checkpointing on by itself), and in 32 bit without checkpointing, as
our loop trains.
"""
import copy, logging, statistics, sys, tempfile, time, warnings

import torch
from datasets import Dataset
from _heldout import accuracy
from selfloop_nb import Loop, Sampling, Threshold, addition, tiny_llama, verifier
from selfloop_nb.models import LanguageModel
from selfloop_nb.sampling import generate_samples
from _timing import say, timed
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
SEED = 1
task = addition(seed=SEED)
loop = Loop(tiny_llama(task, seed=SEED), task, score=verifier(), select=Threshold(1.0), seed=SEED, progress=False)
loop.start()
m0 = loop.language_model(0)
truth = dict(zip(task.prompts["prompt"], task.prompts["answer"]))
USUAL = dict(
    per_device_train_batch_size=128, per_device_eval_batch_size=1000, report_to="none", save_strategy="no",
    disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False, log_level="error")
SFT = dict(
    max_steps=150, learning_rate=1.5e-3, lr_scheduler_type="cosine_warmup_with_min_lr",
    lr_scheduler_kwargs={"min_lr_rate": 0.1}, warmup_steps=15, weight_decay=0.1, adam_beta2=0.98, logging_steps=50)
GRPO = dict(
    num_generations=4, max_completion_length=4, temperature=1.0, max_steps=100_000, logging_steps=1000, beta=0.0,
    bf16=False)
AS_IT_COMES = {}
LIKE_OURS = dict(bf16=False, gradient_checkpointing=False)


def pairs(table): return list(zip(table["prompt"], table["completion"]))


def reached(model): return accuracy(LanguageModel(model, m0.tokenizer), task)


def trl_round(model, number, kept, **changed):
    "Sample, check and keep as we do; then TRL's SFTTrainer on D_train and all that was kept."
    writer = LanguageModel(model, m0.tokenizer)
    samples = generate_samples(writer, task.round_prompts(number), Sampling(), 4, SEED, (number, "sample"))
    kept += sorted({(prompt, text) for prompt, text in pairs(samples) if truth[prompt] == text})
    rows = [dict(prompt=prompt, completion=text) for prompt, text in pairs(task.train) + kept]
    how = SFTConfig(output_dir=tempfile.mkdtemp(), **SFT, **USUAL, **changed)
    heldout = task.heldout.select_columns(["prompt", "completion"])
    trainer = SFTTrainer(model=model, args=how, train_dataset=Dataset.from_list(rows), eval_dataset=heldout,
                         processing_class=m0.tokenizer)
    trainer.train()
    trainer.evaluate()
    trainer.save_model()
    return reached(model)


class Clock(TrainerCallback):
    "Ends the training when the time is up."
    def __init__(self, seconds): self.seconds = seconds
    def on_train_begin(self, *args, **kwargs): self.end = time.monotonic() + self.seconds
    def on_step_end(self, args, state, control, **kwargs): control.should_training_stop = time.monotonic() > self.end


def plain(text): return text.replace("<bos>", "").replace("<eos>", "")


def reward(prompts, completions, **kwargs):
    "The verifier, as GRPO asks for it."
    return [float(truth[plain(prompt)] == plain(text)) for prompt, text in zip(prompts, completions)]


def grpo(lr, seconds):
    "TRL's GRPO from M_0 with the same verifier, for so many seconds."
    how = GRPOConfig(output_dir=tempfile.mkdtemp(), learning_rate=lr, **GRPO, **USUAL)
    prompts = Dataset.from_list([dict(prompt=prompt) for prompt in task.prompts["prompt"][:]])
    trainer = GRPOTrainer(model=copy.deepcopy(m0.model), reward_funcs=reward, train_dataset=prompts,
                          processing_class=m0.tokenizer, callbacks=[Clock(seconds)], args=how)
    trainer.train()
    return reached(trainer.model), trainer.state.global_step


def ours(rounds):
    "Rounds of the loop from M_0; the accuracy they end with."
    loop.rewind(0)
    return loop.run(rounds=rounds)["heldout_accuracy"].iloc[-1]


def theirs(rounds, **changed):
    "The same rounds with TRL's SFTTrainer."
    model = copy.deepcopy(m0.model)
    kept = []
    return [trl_round(model, number, kept, **changed) for number in range(1, rounds + 1)][-1]


WAYS = {
    "Loop": ours,
    "SFTTrainer as it comes": lambda rounds: theirs(rounds, **AS_IT_COMES),
    "SFTTrainer in 32 bit": lambda rounds: theirs(rounds, **LIKE_OURS),
}


def compare(rounds, repeats):
    "The rounds, three ways, alternating: the ratios of the medians. Returns the seconds that ours took."
    took = {name: [] for name in WAYS}
    for repeat in range(repeats):
        for name, way in WAYS.items():
            seconds, end = timed(lambda: way(rounds))
            took[name].append(seconds)
            say(f"{rounds} rounds, time {repeat + 1}: {name} {seconds:.1f} s, accuracy {end:.3f}")
    own, *others = (statistics.median(took[name]) for name in WAYS)
    for name, median in zip(list(WAYS)[1:], others):
        say(f"{rounds} rounds of Loop take {own / median:.2f} x the time of {name}",
            f"(medians of {repeats}, {torch.get_num_threads()} threads)")
    return own


def main(repeats):
    "One round to warm up, then six; and GRPO for the time that six of ours take."
    compare(1, 1)
    seconds = compare(6, repeats)
    start = loop.history()["heldout_accuracy"].iloc[0]
    for lr in (1e-3, 3e-4, 1e-4):
        end, steps = grpo(lr, seconds)
        say(f"GRPO, learning rate {lr}, the same time ({steps} steps): accuracy {start:.3f} -> {end:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
