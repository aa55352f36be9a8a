"of 100 runs whose Q is chance, how many are reported to have no effect (at least 95 should be)"
import argparse, itertools, random, sys, tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

SEEDS_A_GROUP = 5


def turned_words(seed):
    "Words of four letters, to be written backwards; few enough that chance could pass for progress."
    from selfloop_nb import from_dataset
    words = ["".join(letters) for letters in itertools.product("abcd", repeat=4)]
    random.Random(seed).shuffle(words)
    rows = [{"prompt": f"{word}>", "completion": word[::-1]} for word in words]
    asked = [{"prompt": row["prompt"], "answer": row["completion"]} for row in rows[80:120]]
    return from_dataset(rows[:80], asked, rows[-100:], name="turned", n_prompts=40)


def blind_run(seed, folder, rounds=1):
    "A run whose Q says nothing, with its three controls; a round takes half a second."
    from selfloop_nb import FineTune, Loop, Quantile, Sampling, chance, controls, tiny_llama
    task = turned_words(seed)
    few = FineTune(steps=20, batch_size=32, lr=3e-3)
    loop = Loop(tiny_llama(task, layers=1, width=32, seed=seed), task, score=chance(seed), select=Quantile(0.4),
                sampling=Sampling(n_samples=2), initial=FineTune(steps=200, batch_size=32, lr=1e-2), tune=few,
                seed=seed, store=folder / f"seed-{seed}", progress=False)
    loop.run(rounds)
    return loop, controls(loop).run()


def verdicts(seeds, folder, rounds=1, tell=print):
    "Of each seed: its verdict in accuracy, and the stores of the run and of its controls."
    found = []
    for seed in seeds:
        loop, twins = blind_run(seed, folder, rounds)
        verdict = twins.verdict("accuracy")
        found.append((verdict, loop.store, {name: line.store for name, line in twins.items()}))
        gaps = ", ".join(f"{name} {gap.mean:+.3f} {gap.verdict}" for name, gap in verdict.gaps.items())
        tell(f"seed {seed}: {gaps}")
    return found


def of_groups(found, size=SEEDS_A_GROUP):
    "The verdicts of so many seeds together, by Student's interval."
    from selfloop_nb.storage.evidence import Metric, against_controls
    groups = [found[at:at + size] for at in range(0, len(found) - size + 1, size)]
    said = []
    for group in groups:
        runs = [store for _, store, _ in group]
        twins = {name: [others[name] for _, _, others in group] for name in group[0][2]}
        said.append(against_controls("chance as Q", runs, twins, Metric("accuracy")))
    return said


def counted(verdicts, control=None):
    "How many are reported to have no effect: against one control, or all things considered."
    if control is None: return sum(not verdict.has_effect for verdict in verdicts)
    return sum(verdict.gaps[control].verdict == "no effect against" for verdict in verdicts)


def main():
    import torch
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(options.first, options.first + options.seeds)
    with tempfile.TemporaryDirectory() as folder:
        found = verdicts(seeds, Path(folder), tell=lambda text: print(text, flush=True))
        single, groups = [verdict for verdict, _, _ in found], of_groups(found)
    for name, said in ((f"{len(single)} runs of one seed", single),
                       (f"{len(groups)} groups of {SEEDS_A_GROUP} seeds", groups)):
        print(f"{name}: {counted(said)} reported to have no effect")
        for control in said[0].gaps if said else ():
            print(f"    against {control!r} alone: {counted(said, control)} no effect")


if __name__ == "__main__": main()
