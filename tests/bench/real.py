"""How far from what the machine can do: the demo against code by hand, a real model against `generate`.

Sampling and a round of the demo against a Llama written by hand, SmolLM2-135M against `generate` with its own loop,
rows that have ended, threads beside busy processes. Ratios of CPU seconds, each from alternating runs; names of rows as
arguments run these alone."""
import gc, os, random, statistics, subprocess, sys, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
import selfloop_nb as s
import torch
from bare import BareLlama, BareRound
from plain import plain_rows
from selfloop_nb.backend.decode import Decoder
from selfloop_nb.sampling import sample_chunk
from selfloop_nb.text import last_number
from _timing import cpu_seconds, say


def ratio(ours, theirs, repeats=5, prepare=lambda: None):
    """The median of ours / theirs, and of the CPU seconds of both.

    They alternate, after once to warm up, and each of ours is held against theirs right before and after it: a shared
    machine is quicker at one minute than at another. `prepare` is done before ours, and not counted. Garbage is
    collected between them, as timeit has it: a walk through all that is imported takes as long as a twentieth of a
    round, and would fall to one or the other.
    """
    def once(work):
        gc.collect()
        gc.disable()
        try: return cpu_seconds(work)[0]
        finally: gc.enable()
    def mine():
        prepare()
        return once(ours)
    mine(), once(theirs)
    given, taken = [once(theirs)], []
    for _ in range(repeats):
        taken.append(mine())
        given.append(once(theirs))
    beside = map(statistics.mean, zip(given, given[1:]))
    shares = [of_ours / of_theirs for of_ours, of_theirs in zip(taken, beside)]
    return tuple(map(statistics.median, (shares, taken, given)))


def demo():
    "The demo's loop after M_0, without progress."
    task = s.addition()
    loop = s.Loop(s.tiny_llama(task), task, score=s.verifier(), select=s.Threshold(1.0), progress=False)
    loop.start()
    return loop


def demo_sampling():
    "1,000 prompts, four samples each."
    loop = demo()
    bare, lm = BareRound(loop.task, loop.language_model(0)), loop.language_model(0)
    model, prompts = BareLlama(lm.model), loop.task.round_prompts(1)
    def ours(): s.generate_samples(lm, prompts, max_new_tokens=4)
    figures = ratio(ours, lambda: bare.sample(model), repeats=15)
    text = "sampling of the demo: {:.2f} x a script by hand ({:.3f} and {:.3f} CPU seconds)"
    say(text.format(*figures))


def demo_round():
    "A whole round, from a model that is at hand, as it is in a run."
    loop = demo()
    bare = BareRound(loop.task, loop.language_model(0))
    def back():
        loop.rewind(0)
        loop.model_of(loop.rounds[-1].id)
    figures = ratio(loop.step, bare, repeats=25, prepare=back)
    n_kept, by_hand, _ = bare()
    kept, accuracy = loop.rounds[1].counts["n_kept"], loop.rounds[1].metrics["heldout_accuracy"]
    text = "a round of the demo: {:.2f} x a script by hand ({:.2f} and {:.2f} CPU seconds;"
    say(text.format(*figures),
        "kept {} and {}, accuracy {:.3f} and {:.3f})".format(kept, n_kept, accuracy, by_hand))


def problems(lm, n):
    "Sums, as reasoning-gym asks for them: 58 to 64 tokens each."
    return [lm.prompt_ids(text) for text in s.reasoning("chain_sum", n_prompts=n, n_heldout=1).prompts["prompt"][:n]]


def smollm_row(lm, ids, room, text):
    "CPU seconds of `generate` with its own loop, once, against ours."
    mine, drawn = cpu_seconds(lambda: sample_chunk(lm, ids, 0, s.Sampling(), room))
    theirs, before = cpu_seconds(lambda: plain_rows(lm, ids, 0, s.Sampling(), room))
    same = [row["token_ids"] for row in drawn] == [tokens for tokens, _ in before]
    figures = "{:.2f} x as quick as generate ({:.1f} and {:.1f} CPU seconds;".format(theirs / mine, mine, theirs)
    say(f"SmolLM2-135M, {text}:", figures, "the same tokens)" if same else "OTHER TOKENS)")
    return theirs


def smollm_short():
    "Eight sums, four samples each, at most 48 tokens; then the same in bfloat16."
    lm = s.smollm2()
    ids = [prompt for prompt in problems(lm, 8) for _ in range(4)]
    sample_chunk(lm, ids[:4], 0, s.Sampling(), 4) # to warm up
    theirs = smollm_row(lm, ids, 48, "4 samples of 64-token prompts")
    lm.model.to(torch.bfloat16)
    mine, _ = cpu_seconds(lambda: sample_chunk(lm, ids, 0, s.Sampling(), 48))
    say(f"the same in bfloat16: {theirs / mine:.2f} x as quick ({mine:.1f} CPU seconds)")


def smollm_long():
    "One prompt of 2,000 tokens, four samples."
    lm = s.smollm2()
    long = lm.prompt_ids("Add up: " + " + ".join(map(str, range(10, 900))))[-2000:]
    smollm_row(lm, [long] * 4, 16, "4 samples of a 2,000-token prompt")


SEEDS = list(map(int, os.environ.get("SEEDS", "0 1 2").split()))
SUMS = dict(min_terms=2, max_terms=2, min_digits=1, max_digits=1)


def learnt(dtype, seed):
    "Held-out accuracy of SmolLM2 after two rounds of sums with adapters."
    lm, task = s.smollm2(), s.reasoning("chain_sum", n_prompts=64, n_heldout=100, extract=last_number, **SUMS)
    lm.model.to(dtype)
    tune = s.FineTune(steps=None, epochs=3, batch_size=8, lr=5e-4, lora=s.LoRA())
    loop = s.Loop(lm, task, sampling=s.Sampling(max_new_tokens=10), tune=tune, seed=seed, progress=False)
    loop.run(rounds=2)
    return loop.rounds[2].metrics["heldout_accuracy"]


def smollm_learns():
    "What bfloat16 costs and saves where it learns; seeds from the variable SEEDS."
    took, accuracies = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        took[dtype], accuracies[dtype] = cpu_seconds(lambda: [learnt(dtype, seed) for seed in SEEDS])
    share = took[torch.bfloat16] / took[torch.float32]
    say(f"SmolLM2-135M, sums, adapters, seeds {SEEDS}: bfloat16 takes {share:.2f} x the CPU seconds of 32 bit;",
        f"accuracies {accuracies[torch.bfloat16]}, in 32 bit {accuracies[torch.float32]}")


def ended_rows():
    "The share of what is read for rows that have ended, where lengths are lognormal (median 120, at most 512)."
    from transformers import LlamaConfig, LlamaForCausalLM, StoppingCriteriaList
    rng, room = random.Random(0), 512
    lengths = [min(room, 1 + int(rng.lognormvariate(4.79, 0.8))) for _ in range(128)]
    config = LlamaConfig(vocab_size=600, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, pad_token_id=0, eos_token_id=None)
    model, read = LlamaForCausalLM(config).eval(), []
    model.get_input_embeddings().register_forward_pre_hook(lambda module, given: read.append(len(given[0])))
    def long_enough(ids, scores, **more): return ids.shape[1] - 1 >= ids[:, 0] # its prompt says how long a row is
    def carried(n_rows):
        read.clear()
        for at in range(0, len(lengths), n_rows):
            part = torch.tensor(lengths[at:at + n_rows])[:, None]
            decoder = Decoder(list(range(n_rows)), room)
            model.generate(
                part, attention_mask=torch.ones_like(part), max_new_tokens=room, do_sample=True,
                custom_generate=decoder,
                stopping_criteria=StoppingCriteriaList([long_enough]))
        return sum(read)
    for n_rows in (32, 128):
        n_read, longest = carried(n_rows), [max(lengths[at:at + n_rows]) for at in range(0, len(lengths), n_rows)]
        ours, before = 1 - sum(lengths) / n_read, 1 - sum(lengths) / (n_rows * sum(longest))
        text = "rows that have ended, of what is read, {} rows a batch: {:.1%} (with the loop of generate {:.0%})"
        say(text.format(n_rows, ours, before))


STEPS = """
import sys, time
if sys.argv[1] == "as it comes": import torch
import selfloop_nb as s, torch
from selfloop_nb.backend.threads import fitting_threads
from selfloop_nb.tuning import fine_tune
torch.set_num_threads(1 if sys.argv[1] == "one thread" else 2)
task = s.addition()
lm = s.tiny_llama(task)
def steps(n):
    began = time.perf_counter()
    fine_tune(lm, task.train, s.FineTune(steps=n))
    return n / (time.perf_counter() - began)
steps(2)
time.sleep(2)
if sys.argv[1] != "selfloop_nb": print(steps(80))
else:
    with fitting_threads(lm.model): print(steps(80))
"""
WAYS = ("one thread", "as it comes", "selfloop_nb")


def steps_a_second(repeats):
    "Medians of each way to set the threads, alternating, each in a process of its own."
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")}
    def once(way): return float(subprocess.run([sys.executable, "-c", STEPS, way], env=env, capture_output=True,
                                               text=True, check=True).stdout)
    taken = [[once(way) for way in WAYS] for _ in range(repeats)]
    return dict(zip(WAYS, map(statistics.median, zip(*taken))))


REPEATS = {0: 9, 4: 3} # by how many are busy: alone little differs


def threads(repeats=REPEATS):
    "Steps a second of the demo's tuning with two threads, alone and beside four busy processes."
    for n_busy in repeats:
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
        try:
            while n_busy and os.getloadavg()[0] < 4: time.sleep(1)
            load, speeds = os.getloadavg()[0], steps_a_second(repeats[n_busy])
        finally:
            for process in busy: process.kill()
        said = ", ".join(f"{way} {speed:.1f}" for way, speed in speeds.items())
        share = speeds["selfloop_nb"] / max(speeds["one thread"], speeds["as it comes"])
        text = "tuning beside {} busy processes (load {:.1f}): {:.2f} x the best (steps a second: {})"
        say(text.format(n_busy, load, share, said))


ROWS = dict(demo_sampling=demo_sampling, demo_round=demo_round, smollm_short=smollm_short, smollm_long=smollm_long,
            smollm_learns=smollm_learns, ended_rows=ended_rows, threads=threads)


def main(names):
    "Print every row, or those that are named."
    torch.set_num_threads(1)
    say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, torch {torch.__version__}")
    for name in names or ROWS: ROWS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
