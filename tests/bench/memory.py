"""What a run holds in memory and on the disk.

Weights while a round is tuned, in bytes for each of them, beside gradients and the optimizer; a round of LoRA on the
disk beside its adapter; a hundred rounds that keep the newest three."""
import gc, tempfile, warnings
from pathlib import Path

import torch
from selfloop_nb import FineTune, LoRA, Loop, Threshold, addition, tiny_llama

torch.set_num_threads(1)
TASK = addition(n_train=60, n_prompts=10, n_heldout=10)
ALL = [("all weights, 32 bit", torch.float32, {}), ("all weights, bfloat16", torch.bfloat16, {}),
       ("LoRA, 32 bit", torch.float32, dict(lora=LoRA(r=2))), ("LoRA, bfloat16", torch.bfloat16, dict(lora=LoRA(r=2))),
       ("LoRA from M_0, bfloat16", torch.bfloat16, dict(lora=LoRA(r=2), start="base"))]


def everything(samples): return [1.0] * len(samples)


def new_loop(dtype=torch.float32, store=None, steps=4, width=256, **more):
    "A loop whose model came trained."
    lm = tiny_llama(TASK, width=width)
    lm.pretrained = True
    lm.model.to(dtype)
    keep, tune = more.pop("keep", None), FineTune(steps=steps, batch_size=16, **more)
    return Loop(lm, TASK, score=everything, select=Threshold(0.0, finished=False), tune=tune, store=store, keep=keep,
                guards=(), progress=False)


def bytes_held():
    "Of the numbers that all models of this process hold together, each once."
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore") # of modules that warn when anything looks at them
        alive = [thing for thing in gc.get_objects() if isinstance(thing, torch.nn.Parameter) and not thing.is_meta]
    storages = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in alive}
    return sum(storages.values())


def held_while_tuning(dtype, more):
    "The most that is held at a step of round 2, in bytes a weight of the model."
    before, seen = bytes_held(), []
    loop = new_loop(dtype, **more)
    n_weights = loop.model.model.num_parameters()
    def note(event):
        if event.kind == "loss" and event.round == 2: seen.append(bytes_held())
    loop.on(note)
    loop.run(rounds=2)
    return (max(seen) - before) / n_weights


def size(folder): return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def show_disk():
    "A round of LoRA, and a hundred rounds."
    with tempfile.TemporaryDirectory() as place:
        loop = new_loop(store=f"{place}/lora", lora=LoRA(r=8))
        loop.run(rounds=1)
        first, second = (loop.store.folder(record.id) for record in loop.rounds)
        adapter = (second / "adapter" / "adapter_model.safetensors").stat().st_size
        print(f"a round of LoRA on the disk: {size(second / 'adapter') / adapter:.2f} x its adapter, "
              f"{size(second / 'adapter') / size(first / 'model'):.3f} x the whole model")
    with tempfile.TemporaryDirectory() as place:
        loop = new_loop(store=f"{place}/long", steps=1, width=32, keep=3)
        loop.run(rounds=100)
        models = list(Path(place).rglob("model.safetensors"))
        print(f"100 rounds with keep=3: the weights of {len(models)} rounds, {sum(map(size_of, models)) / 1e6:.2f} MB")


def size_of(file): return file.stat().st_size


for name, dtype, more in ALL: print(f"{name}: {held_while_tuning(dtype, more):.2f} bytes a weight held while tuning")
show_disk()
