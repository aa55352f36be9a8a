"""What cannot be promised: the same run made again with other threads, other versions, other batches of samples.

Each time `verify` must have said so, and how much differs is measured.

    python tests/faults/elsewhere.py
"""
import json, os, subprocess, sys, tempfile
from pathlib import Path

from table import Row, show
import tiny  # noqa: F401

OTHER = "transformers==5.22.2" # than constraints.txt has
TOKENS = 1024 # of a batch


def life(store, threads, tokens):
    "Two rounds of a model of the demo's size; prints the hashes of the weights, and the samples."
    import torch
    from selfloop_nb import FineTune, Loop, Sampling, Threshold, addition, tiny_llama, verifier
    torch.set_num_threads(threads)
    task = addition(n_train=200, n_prompts=100, n_heldout=50)
    tune = FineTune(steps=60)
    sampling = Sampling(n_samples=2, tokens_per_batch=tokens)
    loop = Loop(tiny_llama(task), task, store=store, score=verifier(), select=Threshold(0.0), sampling=sampling,
                tune=tune, initial=tune, progress=False, guards=())
    loop.run(rounds=2)
    files = [item for record in loop.rounds for item in record.files.items()]
    weights = [h for name, h in files if name.endswith(".safetensors")]
    print(json.dumps([weights, loop.samples(1)["completion"][:] + loop.samples(2)["completion"][:]]))


def warned(store, threads):
    "What `verify` says of the run in a process like that of `life`; prints it."
    import torch
    from selfloop_nb import verify
    torch.set_num_threads(threads)
    print(json.dumps(verify(store).differs))


def call(work, store, *arguments, threads=1, path=""):
    "One of these two in a process of its own; what it prints."
    places = filter(None, [str(path), os.environ.get("PYTHONPATH")])
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-W", "ignore", __file__, work.__name__, store, threads, *arguments]
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def difference(here, there):
    "How much two outcomes differ, in words."
    (weights, texts), (other_weights, other_texts) = here, there
    share = sum(a == b for a, b in zip(texts, other_texts)) / len(texts)
    if weights == other_weights and share == 1: return "all weights and samples the same"
    return f"{'same' if weights == other_weights else 'other'} weights, {share:.1%} of the samples the same"


def elsewhere(what, folder, expected, word, **place):
    "The run in another place: `verify` must have named what is another there."
    text = call(warned, folder / "here", **place)
    losses = [] if word in text else [f"verify says {text!r} of other {word}"]
    again = call(life, folder / word, TOKENS, **place)
    return Row(what, 1, losses, f"{difference(expected, again)}; verify says: {text}")


def with_other_versions(folder, expected):
    "The run with another version of transformers, where one can be had."
    what = "with another version of transformers"
    packages = folder / "packages"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", packages, OTHER]
    if subprocess.run(command, capture_output=True).returncode:
        return Row(what, 0, [], f"pip could not install {OTHER}")
    return elsewhere(what, folder, expected, "transformers", path=packages)


def main():
    "The rows of the table."
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        expected = call(life, folder / "here", TOKENS)
        again = call(life, folder / "again", TOKENS)
        others = call(life, folder / "batches", TOKENS // 2)
        return [
            Row("the same run made again, all the same", 1, [] if again == expected else [difference(expected, again)]),
            Row("with samples drawn in other batches (another setting: it is in the record)", 1, [],
                difference(expected, others)),
            elsewhere("with 2 threads instead of 1", folder, expected, "threads", threads=2),
            with_other_versions(folder, expected),
        ]


if __name__ == "__main__":
    if sys.argv[1:]: globals()[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
    else: show(main())
