"""What cannot be promised: the same run made again with other threads, other versions, another processor's worth of samples at once. Each time `verify` must have said so, and how much differs is measured.

    python tests/faults/elsewhere.py
"""
import json, os, subprocess, sys, tempfile
from pathlib import Path

from table import Row, show
import tiny  # noqa: F401

OTHER = "transformers==5.22.2" # than constraints.txt has


def life(store, threads, tokens):
    "Two rounds of a model of the demo's size; prints the hashes of the weights and the samples."
    import torch
    from selfloop_nb import FineTune, Loop, Sampling, Threshold, addition, tiny_llama, verifier
    torch.set_num_threads(threads)
    task = addition(n_train=200, n_prompts=100, n_heldout=50)
    tune = FineTune(steps=60)
    loop = Loop(tiny_llama(task), task, store=store, score=verifier(), select=Threshold(0.0), sampling=Sampling(n_samples=2, tokens_per_batch=tokens), tune=tune, initial=tune, progress=False, guards=())
    loop.run(rounds=2)
    print(json.dumps([[h for r in loop.rounds for name, h in r.files.items() if name.endswith(".safetensors")], [text for r in (1, 2) for text in loop.samples(r)["completion"][:]]]))


def warned(store, threads):
    "What `verify` says of the run in a process like that of `life`; prints it."
    import torch
    from selfloop_nb import verify
    torch.set_num_threads(threads)
    print(json.dumps(verify(store).differs))


def call(do, store, *arguments, threads=1, path=""):
    "One of these two in a process of its own."
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, "-W", "ignore", __file__, do, store, str(threads), *map(str, arguments)], env=env, capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def difference(here, there):
    "How much two outcomes differ, in words."
    weights, same = here[0] == there[0], sum(a == b for a, b in zip(here[1], there[1])) / len(here[1])
    return "all weights and samples the same" if weights and same == 1 else f"{'same' if weights else 'other'} weights, {same:.1%} of the samples the same"


def other_versions(folder):
    "A folder with another version of transformers, or None where none can be had."
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, OTHER], capture_output=True)
    return None if done.returncode else folder


def main():
    "The rows of the table."
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder, tokens = Path(place), 1024
        made = call("life", folder / "here", tokens)
        again = call("life", folder / "again", tokens)
        rows.append(Row("the same run made again, all the same", 1, [] if made == again else [difference(made, again)]))
        rows.append(Row("with samples drawn in other batches (another setting: it is in the record)", 1, [], difference(made, call("life", folder / "batches", tokens // 2))))
        there = dict(threads=2)
        said = call("warned", folder / "here", **there)
        rows.append(Row("with 2 threads instead of 1", 1, [] if "threads" in said else [f"verify says {said!r} of other threads"], f"{difference(made, call('life', folder / 'threads', tokens, **there))}; verify says: {said}"))
        if path := other_versions(folder / "packages"):
            said = call("warned", folder / "here", path=path)
            rows.append(Row("with another version of transformers", 1, [] if "transformers" in said else [f"verify says {said!r} of another version"], f"{difference(made, call('life', folder / 'versions', tokens, path=path))}; verify says: {said}"))
        else: rows.append(Row("with another version of transformers", 0, [], f"pip could not install {OTHER}"))
    return rows


if __name__ == "__main__":
    if sys.argv[1:]: globals()[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
    else: show(main())
