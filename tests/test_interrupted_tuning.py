"""A training that is interrupted goes on in the middle, to the last bit: with all weights, LoRA, in 16 bit, with pairs,
against one's own answers, with an encoder, with gaps; over several epochs and with dropout.
"""
import os, signal, subprocess, sys
from pathlib import Path

import pytest, torch
import small
from selfloop_nb import DPO, SPIN, FineTune, LoRA, Sampling, Threshold
from selfloop_nb.models import tiny_llama
from selfloop_nb.storage import checkpoints
from selfloop_nb.storage.checkpoints import Checkpoints
from selfloop_nb.training.encoder_decoder import tiny_t5
from selfloop_nb.training.masked import MaskedLM
from small import half_digits, small_loop, small_task

pytestmark = pytest.mark.usefixtures("warm_python")

FEW = dict(steps=9, batch_size=16)


class Interrupted(Exception): "Raised by a listener, in the middle of a training."


def of_type(dtype):
    lm = tiny_llama(small_task(), width=32)
    lm.model.to(dtype)
    return lm


def with_dropout():
    lm = tiny_llama(small_task(), width=32)
    lm.model.config.attention_dropout = 0.2
    for layer in lm.model.model.layers: layer.self_attn.attention_dropout = 0.2
    return lm


def encoder_decoder():
    lm = tiny_t5(small_task(), width=32)
    lm.name = "t5"
    return lm


FILLING = MaskedLM(steps=9, batch_size=16, then=FineTune(**FEW))
KINDS = {
    "full": dict(tune=FineTune(**FEW)),
    "lora": dict(tune=FineTune(**FEW, lora=LoRA(dropout=0.3))),
    "bfloat16": dict(tune=FineTune(**FEW), model=lambda: of_type(torch.bfloat16)),
    "dpo": dict(tune=DPO(steps=9, batch_size=4)),
    "dpo with lora": dict(tune=DPO(steps=9, batch_size=4, lora=LoRA())),
    "spin": dict(tune=SPIN(steps=9, batch_size=8)),
    "encoder and decoder": dict(tune=FineTune(**FEW), model=encoder_decoder),
    "dropout, several epochs": dict(tune=FineTune(steps=None, epochs=4, batch_size=32), model=with_dropout),
    "in parts": dict(tune=FineTune(**FEW, tokens_at_once=60)),
    "adafactor": dict(tune=FineTune(**FEW, optimizer="adafactor")),
    "twice, with frozen parts": dict(tune=FineTune(**FEW, checkpointing=True, freeze="layers.0")),
}


def loop_of(kind, store):
    "A loop whose rounds take a second."
    settings = dict(KINDS[kind])
    made = settings.pop("model", of_type)
    model = made() if made is not of_type else of_type(torch.float32)
    return small_loop(store, model=model, score=half_digits, select=Threshold(0.3), sampling=Sampling(n_samples=4),
                      initial=FineTune(steps=5, batch_size=32), **settings)


def outcome(loop):
    "All that a run has come to: files, samples with their log-probabilities, losses."
    samples = [loop.samples(number).to_list() for number in range(1, len(loop.rounds))]
    return [record.files for record in loop.rounds], samples, [record.metrics for record in loop.rounds]


@pytest.fixture
def each_step(monkeypatch):
    "A state is kept after each step."
    monkeypatch.setattr(Checkpoints, "is_due", lambda self: True)


def interrupt_at(step, seen):
    "A listener that interrupts a training at a step, and notes the steps that it sees."
    def listen(event):
        if event.kind != "loss" or event.round != 1: return
        seen.append(event.data["step"])
        if event.data["step"] == step: raise Interrupted
    return listen


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_at_several_steps_it_comes_to_the_same_bits(kind, tmp_path, each_step):
    rounds = 2 if kind in ("full", "lora", "dpo with lora") else 1 # what a round hands on, the next must go on with
    through = loop_of(kind, tmp_path / "through")
    through.run(rounds=rounds)
    steps = []
    for step in (2, 5, 8):
        loop = loop_of(kind, tmp_path / "run")
        loop.on(interrupt_at(step, steps))
        with pytest.raises(Interrupted): loop.step()
        del loop
    loop = loop_of(kind, tmp_path / "run")
    loop.on(interrupt_at(None, steps))
    loop.run(rounds=rounds)
    assert outcome(loop) == outcome(through)
    n = len(through.losses(1))
    assert steps == [1, 2, 2, 3, 4, 5, 5, 6, 7, 8, *range(8, n + 1)], "only the step that was interrupted is done again"
    assert not list((tmp_path / "run").rglob(checkpoints.FOLDER)), "a committed round has no checkpoints"


@pytest.mark.parametrize("step", [4, 9, 10, 14])
def test_a_first_training_in_two_parts_goes_on_in_either(step, tmp_path, each_step):
    def loop(name): return small_loop(tmp_path / name, model=encoder_decoder(), initial=FILLING)
    through = loop("through")
    through.start()
    first = loop("run")
    def interrupt(event):
        if event.kind == "loss" and event.data["step"] == step: raise Interrupted
    first.on(interrupt)
    with pytest.raises(Interrupted): first.start()
    del first
    again, steps = loop("run"), []
    def note(event):
        if event.kind == "loss": steps.append(event.data["step"])
    again.on(note)
    again.start()
    assert again.rounds[0].files == through.rounds[0].files and again.rounds[0].metrics == through.rounds[0].metrics
    assert steps[0] == step, "what was learnt before is not learnt again"


def test_killed_in_the_middle_of_tuning_it_goes_on_from_the_last_state(tmp_path, each_step):
    through = small_loop(tmp_path / "through")
    through.run(rounds=2)
    code = "from selfloop_nb.storage import checkpoints; checkpoints.SECONDS = 0; checkpoints.SHARE = 10**9\n"
    code += f"import runpy; runpy.run_path({small.__file__!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    where = {**os.environ, "KILLED_IN": "tune", "PYTHONPATH": str(Path(small.__file__).parent)}
    died = subprocess.run(command, env=where, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    loop, steps = small_loop(tmp_path / "run"), []
    def note(event):
        if event.kind == "loss": steps.append(event.data["step"])
    loop.on(note)
    loop.step()
    assert outcome(loop) == outcome(through) and steps[0] == 11, "it was killed in the 11th of 20 steps"


def damage_first(folder):
    "Cut the file of the newest state."
    os.truncate(max(folder.rglob("state.safetensors")), 100)


def change_first(folder):
    "Change a byte in the newest state."
    with open(max(folder.rglob("state.safetensors")), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")


def lose_first(folder): max(folder.rglob("checkpoint.json")).unlink()


@pytest.mark.parametrize("harm", [damage_first, change_first, lose_first])
def test_a_torn_state_is_passed_over(harm, tmp_path, each_step):
    through = small_loop(tmp_path / "through")
    through.step()
    loop = small_loop(tmp_path / "run")
    loop.on(interrupt_at(7, []))
    with pytest.raises(Interrupted): loop.step()
    harm(tmp_path / "run")
    loop.listeners.clear()
    steps = []
    loop.on(interrupt_at(None, steps))
    loop.step()
    assert steps[0] == 1 and outcome(loop) == outcome(through)


def test_a_state_is_not_used_with_other_settings(tmp_path, each_step):
    loop = small_loop(tmp_path / "run")
    loop.start()
    loop.on(interrupt_at(7, []))
    with pytest.raises(Interrupted): loop.step()
    loop.listeners.clear()
    loop.change(tune=FineTune(steps=20, batch_size=16))
    steps = []
    loop.on(interrupt_at(None, steps))
    loop.step()
    assert steps[0] == 1


def test_states_are_kept_by_time(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path / "tuning", "data")
    now = kept.written
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now)
    assert not kept.is_due()
    now += checkpoints.SECONDS
    assert kept.is_due()
    kept.cost = checkpoints.SECONDS
    assert not kept.is_due(), "where writing takes a minute, it is done every ten"
    now += checkpoints.SECONDS * 10
    assert kept.is_due()
