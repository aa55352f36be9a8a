"""Workers on a Ray cluster of this machine: what they cost, and what random kills cost.

CPU seconds beside those of one process, two workers beside one, random kills over many small runs, and a round of a
million prompts: what the driver takes, what was lost, what was done twice. The first two are of whole rounds of which
nine tenths are the model's writing and being measured, as of what one takes a cluster for; the driver does its part of
them, three steps of training among it, alone.

    KILLS=1000 PROMPTS=1000000 python tests/bench/cluster.py
"""
import os, random, shutil, signal, sys, tempfile, time, warnings
from pathlib import Path

import psutil, torch
from selfloop_nb import (
    FineTune, Loop, Replace, Sampling, Threshold, addition, from_dataset, ray_cluster, tiny_llama, verifier)
from selfloop_nb.backend.workers import Here, Signed
from selfloop_nb.sampling import sample_chunk

torch.set_num_threads(1)
KILLS, PROMPTS = int(os.environ.get("KILLS", 1000)), int(os.environ.get("PROMPTS", 1_000_000))
SUMS = addition(n_train=200, n_prompts=3000, n_heldout=30)
FEW = FineTune(steps=3, batch_size=16)
TIMES = 5 # rounds that are compared


def say(*text): print(*text, flush=True)


def low_digit(samples): return [float(any(c in "01234" for c in text)) for text in samples["completion"]]


def new_loop(folder, workers, task, tokens, **model):
    "A loop on these workers, or in this process, whose rounds are of one size."
    more = dict(workers=workers) if workers else {}
    return Loop(tiny_llama(task, **model), task, score=low_digit, select=Threshold(1.0), mix=Replace(),
                sampling=Sampling(tokens_per_batch=tokens), tune=FEW, initial=FEW, store=folder, progress=False, **more)


def large_loop(folder, workers=None):
    "One whose model is its work: it has 13 million weights, and writes 12,000 samples a round, 200 a chunk."
    return new_loop(folder, workers, SUMS, 2048, width=256, layers=12)


def small_loop(folder, workers=None):
    "One whose round is 80 samples, ten a chunk, by next to no model: many of them are made."
    return new_loop(folder, workers, addition(n_train=60, n_prompts=20, n_heldout=30), 100, width=32)


def made(loop): return [(r.id, r.counts, r.files) for r in loop.rounds]


def pids_of(workers):
    "The processes of the workers that are at hand."
    actors = [actor for actor, tokens in workers.team.items() if tokens is not None]
    return [pid for pid in (pid_of(workers.ray, actor) for actor in actors) if pid is not None]


def pid_of(ray, actor):
    "The process of a worker; None where it has died and the loop has not heard of it."
    try: return ray.get(actor.__ray_call__.remote(lambda self: os.getpid()))
    except ray.exceptions.RayActorError: return None


def cpu_seconds(pids):
    "What this process and those workers have used so far."
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in [os.getpid(), *pids])


def begun(folder, who):
    "A loop and who works for it, after two rounds: both have all that they need at hand."
    loop = large_loop(folder, who)
    loop.run(rounds=1)
    return loop, pids_of(who) if who else []


def step(loop, pids):
    "CPU seconds and seconds of the next round, all of its phases."
    before, began = cpu_seconds(pids), time.perf_counter()
    loop.step()
    return cpu_seconds(pids) - before, time.perf_counter() - began


def compared(folder, one, other):
    "CPU seconds and seconds of rounds, as shares of those of the same rounds made by another; in turn."
    pairs = begun(folder / "one", one), begun(folder / "other", other)
    shares = []
    for _ in range(TIMES):
        mine, theirs = (step(*pair) for pair in pairs)
        shares.append([a / b for a, b in zip(mine, theirs)])
    assert made(pairs[0][0]) == made(pairs[1][0]), "the same bytes"
    del pairs
    for name in ("one", "other"): shutil.rmtree(folder / name)
    return [sorted(numbers) for numbers in zip(*shares)]


def shown(numbers): return "median of " + ", ".join(format(number, ".2f") for number in numbers)


def overhead(workers, folder):
    "CPU seconds of a round on warm workers beside those of the same round in this process."
    ratios, _ = compared(folder, workers, None)
    say(f"CPU seconds of a round on two warm workers: {ratios[TIMES // 2]:.2f} x of one here ({shown(ratios)})")


def speed(workers, folder):
    "How much quicker two workers are than one; it takes two cores that nothing else uses."
    alone = ray_cluster(workers=1, keep=600)
    _, ratios = compared(folder, alone, workers)
    alone.rest()
    say(f"a round on two workers is {ratios[TIMES // 2]:.2f} x as quick as on one "
        f"({shown(ratios)}; load {os.getloadavg()[0]:.1f})")


def struck(workers, folder, n, what, strike):
    "Make small runs while n workers or machines are killed; what was lost, done twice, or came out otherwise."
    alone = small_loop(folder / "alone")
    alone.run(rounds=1)
    chance, n_killed = random.Random(0), 0
    lost = doubled = other = n_runs = 0
    while n_killed < n:
        loop = small_loop(folder / "struck", workers)
        def kill(event):
            nonlocal n_killed
            if event.kind == "progress" and chance.random() < 0.1: n_killed += strike(chance)
        loop.on(kill)
        loop.run(rounds=1)
        ids = loop.samples(1)["sample_id"][:]
        lost, doubled = lost + 80 - len(set(ids)), doubled + len(ids) - len(set(ids))
        other, n_runs = other + (made(loop) != made(alone)), n_runs + 1
        del loop
        shutil.rmtree(folder / "struck")
        if n_runs % 50 and n_killed < n: continue # a thousand take an hour
        say(f"{n_killed} kills of {what} over {n_runs} runs: {lost} samples lost, {doubled} doubled, "
            f"{other} runs that came out otherwise")
    shutil.rmtree(folder / "alone")


def killed(workers, folder):
    "Workers are killed at random."
    def strike(chance):
        pids = pids_of(workers)
        pids = chance.sample(pids, 1) if pids else []
        for pid in pids: os.kill(pid, signal.SIGKILL)
        return len(pids)
    struck(workers, folder, KILLS, "workers", strike)


def machines(folder):
    "Machines are killed at random: two of one processor each, all of them here; each is followed by another."
    from ray.cluster_utils import Cluster
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0))
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "whoever can reach this cluster")
        workers = ray_cluster(cluster.address, workers=2, keep=600)
    def strike(chance):
        cluster.remove_node(nodes.pop(chance.randrange(2)), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1))
        return 1
    struck(workers, folder, max(1, KILLS // 20), "machines", strike)
    workers.rest()
    workers.ray.shutdown()
    cluster.shutdown()


class Costless(Here):
    "Workers that write at once what stands for samples: the rest of a round is as it is."
    def __init__(self, workers): self.workers = workers

    def map(self, work, common, *how):
        if work.work is sample_chunk: work, common = Signed(answered), {}
        yield from self.workers.map(work, common, *how)


def answered(ids, chunk_seed, progress, should_stop):
    "A chunk of samples that cost nothing: five digits and an end each, as the tokenizer of additions cuts them."
    chance, rows = random.Random(chunk_seed), []
    for _ in ids:
        number = str(chance.randrange(10_000, 20_000))
        tokens = [*(5 + int(digit) for digit in number), 2]
        rows.append(dict(completion=number, token_ids=tokens, n_tokens=6, logprob=-chance.random(), finished=True))
    return rows


def prompts(n):
    "So many different sums, each with its answer; a quarter is answered right where a sample is as large."
    chance = random.Random(0)
    sums = ((chance.randrange(5000, 10_000), chance.randrange(5000, 10_000)) for _ in range(n))
    return [dict(prompt=f"{a}+{b}=", answer=str(a + b)) for a, b in sums]


def is_large(row): return row["completion"] > "17500"


def peak_bytes(pid="self"):
    "The most memory of a process since it began or was last asked to count anew."
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def large(workers, folder):
    "A round of very many prompts, one sample each: what it takes of the driver, whose workers do the rest."
    Path("/proc/self/clear_refs").write_text("5") # the peak is counted from here
    rows = prompts(PROMPTS)
    task = from_dataset([dict(prompt="1+2=", completion="3")], rows, [dict(prompt="2+1=", completion="3")], is_large)
    del rows
    model = tiny_llama(SUMS, width=32)
    loop = Loop(model, task, score=verifier(), sampling=Sampling(n_samples=1), tune=FEW, initial=FEW,
                store=folder / "large", progress=False, workers=Costless(workers))
    loop.start()
    begun = peak_bytes() / 2**20
    Path("/proc/self/clear_refs").write_text("5") # and anew from here
    before = time.process_time()
    loop.step()
    us, counts = (time.process_time() - before) / PROMPTS * 1e6, loop.rounds[1].counts
    text = ("{:,} samples, {:,} kept: {:.1f} us of the driver's CPU each, {:,.0f} MiB of it at most, libraries "
            "included; {:,.0f} MiB while the prompts were made of dicts of Python")
    say(text.format(counts["n_sampled"], counts["n_kept"], us, peak_bytes() / 2**20, begun))


def main(names):
    "Every part, or those that are named."
    folder, began = Path(tempfile.mkdtemp()), time.perf_counter()
    parts = [part for part in (large, overhead, speed, killed) if part.__name__ in names or not names]
    if parts:
        workers = ray_cluster(workers=2, keep=600, num_cpus=3) # the third is for who works alone in `speed`
        say(f"Ray began in {time.perf_counter() - began:.1f} s")
        for part in parts: part(workers, folder)
        workers.rest()
        workers.ray.shutdown()
    if "machines" in names or not names: machines(folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    main(sys.argv[1:])
