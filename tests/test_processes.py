"Several processes of this machine make what one makes: the same samples to the last bit, the same training to 1e-6."
import os, random, signal
from functools import partial

import psutil, pytest

from selfloop_nb import DPO, FineTune, LoRA, Processes, tiny_llama
from selfloop_nb.backend.core import SelfloopError, TrainingError
from small import small_loop, small_task
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("warm_python")


def mixed_rows(n, weighted):
    "Sums of one to four digits: rows of many lengths."
    from datasets import Dataset
    chance, rows = random.Random(0), []
    for k in range(n):
        a, b = (chance.randrange(10 ** (1 + k % 4)) for _ in range(2))
        rows.append(dict(prompt=f"{a}+{b}=", completion=str(a + b)))
        if weighted: rows[-1]["weight"] = float(k % 3)
    return Dataset.from_list(rows)


def distance(one, other):
    "The relative distance of two models' weights."
    import torch
    flat = [torch.cat([weight.detach().flatten() for weight in lm.model.parameters()]) for lm in (one, other)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())


@pytest.mark.long
@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_in_two_processes_is_that_of_one(weighted):
    from selfloop_nb import fine_tune
    lm, heard = tiny_llama(small_task(), width=32), []
    rows, before = mixed_rows(101, weighted), lm.weights_hash()
    how = dict(steps=None, epochs=3, batch_size=16, tokens_at_once=200 if weighted else None)
    one = fine_tune(lm, rows, FineTune(**how), seed=3)
    two = fine_tune(lm, rows, FineTune(**how, processes=2), seed=3, on_loss=lambda point, n: heard.append((point, n)))
    assert lm.weights_hash() == before != one.model.weights_hash()
    assert distance(one.model, two.model) < 1e-6
    assert [point["step"] for point, _ in heard] == list(range(1, 22)) and heard[0][1] == 21
    assert two.losses == [point for point, _ in heard] and two.statistics == one.statistics
    assert max(abs(a["loss"] - b["loss"]) for a, b in zip(one.losses, two.losses)) < 1e-5
    other = fine_tune(lm, rows, FineTune(**how), seed=4)
    assert distance(one.model, other.model) > 1e-3, "another order of the rows is another training"


@pytest.mark.long
@pytest.mark.parametrize("lora", [None, LoRA(r=4)])
def test_a_training_in_two_processes_goes_on_where_it_was(tmp_path, lora):
    from selfloop_nb import fine_tune
    from selfloop_nb.storage.checkpoints import Checkpoints
    lm, rows = tiny_llama(small_task(), width=32), mixed_rows(60, weighted=False)
    how = dict(steps=12, batch_size=16, lora=lora)
    one = fine_tune(lm, rows, FineTune(**how), seed=3)
    kept, heard = Checkpoints(tmp_path / "tuning", "these rows"), []
    kept.is_due = partial(bool, True) # after each step
    def interrupt(point, n_steps):
        heard.append(point["step"])
        if point["step"] == 6: raise KeyboardInterrupt
    def train(on_loss): return fine_tune(lm, rows, FineTune(**how, processes=2), 3, on_loss, checkpoints=kept)
    with pytest.raises(KeyboardInterrupt): train(interrupt)
    before, heard[:] = int(kept.newest().name), []
    two = train(lambda point, n_steps: heard.append(point["step"]))
    assert before >= 5 and heard == list(range(before + 1, 13))
    assert distance(one.model, two.model) < 1e-6 < distance(one.model, lm)
    assert [point["step"] for point in two.losses] == list(range(1, 13)) and two.statistics == one.statistics
    assert (two.model.adapter is None) == (lora is None)


@pytest.mark.long
def test_additions_that_two_processes_have_trained_are_a_round(tmp_path):
    tune = FineTune(steps=5, batch_size=16, lora=LoRA(r=4), processes=2)
    loop = small_loop(tmp_path / "run", tune=tune)
    loop.run(rounds=2)
    assert all("adapter/adapter_model.safetensors" in round.files for round in loop.rounds[1:])
    again = small_loop(tmp_path / "run", tune=tune)
    assert again.language_model().weights_hash() == loop.language_model().weights_hash()


@pytest.mark.long
def test_what_ends_a_training_is_said_as_by_one_process(tmp_path):
    loop = small_loop(tmp_path / "run", initial=FineTune(steps=5, batch_size=16, lr=1e30, processes=2))
    with pytest.raises(TrainingError, match="the loss is|not finite"): loop.start()
    assert not loop.rounds


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="processes=0"): FineTune(processes=0)
    lm = tiny_llama(small_task(), width=32)
    with pytest.raises(ValueError, match="set lora.dropout to 0"):
        FineTune(processes=2, lora=LoRA(dropout=0.1)).check(lm, None)
    lm.model.model.layers[0].self_attn.attention_dropout = 0.1
    with pytest.raises(ValueError, match=r"set model.layers.0.self_attn.attention_dropout to 0"):
        FineTune(processes=2).check(lm, None)
    FineTune().check(lm, None)
    with pytest.raises(ValueError, match="processes=2"): DPO(processes=2)
    with pytest.raises(ValueError, match="n=0"): Processes(0)
    from selfloop_nb.storage.identity import describe
    assert "processes" not in describe(FineTune()) and describe(FineTune(processes=2))["processes"] == 2


@pytest.mark.long
def test_a_loop_on_two_processes_makes_the_same_bytes(tmp_path):
    loops = small_loop(tmp_path / "here"), small_loop(tmp_path / "there", workers=Processes(2))
    for loop in loops: loop.run(rounds=1)
    here, there = ([(r.id, r.files, repr(r.metrics)) for r in loop.rounds] for loop in loops)
    assert there == here
    wait_until(lambda: not psutil.Process().children(recursive=True)) # the processes have gone


@pytest.mark.long
def test_a_process_that_is_killed_is_said_and_nothing_is_lost(tmp_path):
    loop = small_loop(tmp_path / "run", workers=Processes(2))
    loop.start()
    def kill(event):
        if event.kind != "progress" or event.phase != "sample": return
        for child in psutil.Process().children(): os.kill(child.pid, signal.SIGKILL)
    loop.on(kill)
    with pytest.raises(SelfloopError, match="ended before it was done: what was committed stays"): loop.step()
    loop.control.off(kill)
    alone = small_loop(tmp_path / "alone")
    alone.run(rounds=1)
    assert loop.step().files == alone.rounds[1].files
