"""Workers on a Ray cluster of this machine: CPU seconds beside those of one process, and random kills over many small
runs: what was lost, what was done twice."""
import os, random, shutil, signal, sys, tempfile, time
from pathlib import Path

import psutil, torch
from selfloop_nb import FineTune, Loop, Sampling, Threshold, addition, ray_cluster, tiny_llama

torch.set_num_threads(1)
KILLS = int(os.environ.get("KILLS", 100))
TASK = addition(n_train=200, n_prompts=500, n_heldout=200)


def low_digit(samples): return [float(any(c in "01234" for c in text)) for text in samples["completion"]]


def new_loop(folder, workers=None, n_prompts=500, tokens=2048):
    "A loop with many chunks a round."
    task = TASK if n_prompts == 500 else addition(n_train=60, n_prompts=n_prompts, n_heldout=30)
    few, more = FineTune(steps=10, batch_size=32), dict(workers=workers) if workers else {}
    model = tiny_llama(task, width=64 if n_prompts == 500 else 32)
    return Loop(model, task, score=low_digit, select=Threshold(1.0), sampling=Sampling(tokens_per_batch=tokens),
                tune=few, initial=few, store=folder, progress=False, **more)


def made(loop): return [(r.id, r.counts, r.files) for r in loop.rounds]


def pids_of(workers):
    "The processes of the workers that are at hand."
    actors = [actor for actor, tokens in workers.team.items() if tokens is not None]
    return [workers.ray.get(actor.__ray_call__.remote(lambda self: os.getpid())) for actor in actors]


def cpu_seconds(pids):
    "What this process and those workers have used so far."
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in [os.getpid(), *pids])


def overhead(workers, folder):
    "CPU seconds of sampling 2,000 samples on a warm worker, a share of those in this process; the median of three."
    def seconds(name, who):
        loop = new_loop(folder / name, who)
        loop.start()
        pids = pids_of(workers) if who else []
        before = cpu_seconds(pids)
        loop.step()
        return cpu_seconds(pids) - before
    seconds("warm", workers)
    ratios = sorted(seconds(f"there-{n}", workers) / seconds(f"here-{n}", None) for n in range(3))
    print("CPU seconds of a round on two warm workers, as a share of one here:",
          *[f"{r:.2f}" for r in ratios], flush=True)


def killed(workers, folder):
    "Kill workers at random while small runs are made; what was lost, done twice, or came out otherwise."
    alone = new_loop(folder / "alone", n_prompts=20, tokens=100)
    alone.run(rounds=1)
    chance, n_killed = random.Random(0), 0
    lost = doubled = other = n_runs = 0
    while n_killed < KILLS:
        loop = new_loop(folder / "killed", workers, n_prompts=20, tokens=100)
        def kill(event):
            nonlocal n_killed
            if event.kind != "progress" or chance.random() > 0.1: return
            for pid in chance.sample(pids_of(workers), 1) if workers.team else []:
                os.kill(pid, signal.SIGKILL)
                n_killed += 1
        loop.on(kill)
        loop.run(rounds=1)
        ids = loop.samples(1)["sample_id"][:]
        lost, doubled = lost + 80 - len(set(ids)), doubled + len(ids) - len(set(ids))
        other, n_runs = other + (made(loop) != made(alone)), n_runs + 1
        del loop
        shutil.rmtree(folder / "killed")
    print(f"{n_killed} kills of workers over {n_runs} runs: {lost} samples lost, {doubled} doubled, "
          f"{other} runs that came out otherwise", flush=True)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    folder, began = Path(tempfile.mkdtemp()), time.perf_counter()
    workers = ray_cluster(workers=2, keep=600)
    print(f"Ray began in {time.perf_counter() - began:.1f} s", flush=True)
    overhead(workers, folder)
    killed(workers, folder)
    workers.rest()
    shutil.rmtree(folder)
