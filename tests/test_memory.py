"""What a run holds: each weight once in memory, what was added on the disk, and of old rounds what was asked for. All
of it comes back to the same bits, or it is said by name why not.
"""
import functools, gc, json, re, shutil, warnings

import pytest, torch, transformers
from selfloop_nb import DPO, FineTune, LoRA, Sampling, Threshold, export_run, import_run, open_run, tiny_t5, verify
from selfloop_nb.backend.core import DamagedRunError, OutOfMemoryError, SelfloopError
from selfloop_nb.backend.decode import Decoder
from selfloop_nb.models import LanguageModel, load_model, tiny_llama
from selfloop_nb.phases import Settings
from selfloop_nb.storage.stored import PRUNED, added_to
from selfloop_nb.tuning import fine_tune
from small import half_digits, small_loop, small_task

FEW = dict(steps=4, batch_size=16)


def loop_with(store, tune, **more):
    settings = dict(score=half_digits, select=Threshold(0.3), sampling=Sampling(n_samples=4), tune=tune)
    return small_loop(store, **{**settings, **more})


def hashes(loop): return [loop.language_model(number).weights_hash() for number in range(len(loop.rounds))]


def trained_model(width=64):
    "A model that comes trained."
    lm = tiny_llama(small_task(), width=width)
    lm.pretrained = True
    return lm


def weights_in_memory():
    "Bytes of the numbers that all models of this process hold together, each once."
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if isinstance(thing, torch.nn.Parameter) and not thing.is_meta:
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


LORAS = dict(previous=FineTune(**FEW, lora=LoRA()), base=FineTune(**FEW, lora=LoRA(), start="base"),
             pairs=DPO(steps=4, batch_size=4, lora=LoRA()),
             some=FineTune(**FEW, lora=LoRA(targets=("q_proj", "v_proj"), rslora=True)))


@pytest.mark.parametrize("how", LORAS)
def test_a_round_of_lora_keeps_what_was_added_and_comes_back_to_the_last_bit(how, tmp_path):
    through = loop_with(tmp_path / "through", LORAS[how])
    through.run(rounds=3)
    for _ in range(3): loop_with(tmp_path / "run", LORAS[how]).step()
    again = loop_with(tmp_path / "run", LORAS[how])
    assert hashes(again) == hashes(through) and len(set(hashes(again))) == 4
    assert again.samples(3).to_list() == through.samples(3).to_list()
    for record in again.rounds[1:]:
        assert not (again.store.folder(record.id) / "model").exists()
        assert record.files == through.store.record(record.id).files, "the same bytes, adapter_config.json too"
    assert verify(again).is_whole


def test_an_addition_weighs_a_fraction(tmp_path):
    loop = small_loop(tmp_path / "run", model=trained_model(), score=half_digits, select=Threshold(0),
                      tune=FineTune(**FEW, lora=LoRA(r=2)))
    loop.run(rounds=1)
    def size(folder): return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    folder = loop.store.folder(loop.rounds[1].id)
    adapter = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
    assert size(folder / "adapter") <= 2 * adapter < size(loop.store.folder(loop.rounds[0].id) / "model")


def test_adapters_go_into_an_archive_and_out_of_it(tmp_path):
    loop = loop_with(tmp_path / "run", LORAS["previous"])
    loop.run(rounds=2)
    import_run(export_run(loop, tmp_path / "run.zip"), tmp_path / "again")
    again = loop_with(tmp_path / "again", LORAS["previous"])
    assert hashes(again) == hashes(loop)


def test_what_an_adapter_stands_on_is_missed_by_name(tmp_path):
    loop = loop_with(tmp_path / "run", LORAS["previous"])
    loop.run(rounds=2)
    base, first, last = loop.rounds
    recorded = base.files["model/model.safetensors"]
    del loop
    whole = tmp_path / "run" / "rounds" / base.id / "model"
    with open(whole / "model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    found = verify(tmp_path / "run").damaged
    assert list(found) == [base.id, first.id, last.id], "none of them can be made any more"
    assert found[last.id] == [f"{base.id}/model/model.safetensors, SHA-256 {recorded[:12]}, which its adapter was made "
                              "for, missing or changed"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DamagedRunError, match="no round before it is left"):
            loop_with(tmp_path / "run", LORAS["previous"])
    assert recorded


def test_a_base_that_is_gone_or_changed_while_the_loop_is_open(tmp_path):
    loop = loop_with(tmp_path / "run", LORAS["previous"])
    loop.run(rounds=2)
    base = loop.rounds[0]
    recorded = base.files["model/model.safetensors"][:12]
    whole = loop.store.folder(base.id) / "model"
    other = tiny_llama(small_task(), width=32, seed=7)
    other.model.save_pretrained(whole)
    with pytest.raises(DamagedRunError, match=f"stands on the model of round .*no longer as it was.*{recorded}"):
        loop.language_model(1)
    shutil.rmtree(whole)
    with pytest.raises(DamagedRunError, match=f"stands on, are gone .*model.safetensors, SHA-256 {recorded}"):
        loop.language_model(1)


def test_a_run_with_whole_models_of_lora_goes_on(tmp_path, monkeypatch):
    from selfloop_nb.training import round_models
    written = round_models.write_model
    with monkeypatch.context() as patch: # as it was before
        def whole(folder, model, origin, id): return written(folder, model, None, None)
        patch.setattr("selfloop_nb.phases.write_model", whole)
        old = loop_with(tmp_path / "run", LORAS["previous"])
        old.run(rounds=2)
    made = hashes(old)
    del old
    loop = loop_with(tmp_path / "run", LORAS["previous"])
    loop.step()
    through = loop_with(tmp_path / "through", LORAS["previous"])
    through.run(rounds=3)
    assert hashes(loop) == hashes(through) and hashes(loop)[:3] == made
    assert added_to(loop.store.folder(loop.rounds[3].id)).origin == loop.rounds[2].id


def test_what_was_trained_in_two_goes_is_written_whole(tmp_path):
    from selfloop_nb.tuning import FineTune as Kind
    class Twice(Kind):
        def train(self, lm, data, *rest):
            first, _, _ = super().train(lm, data, *rest)
            return super().train(first, data, *rest)
    loop = loop_with(tmp_path / "run", Twice(**FEW, lora=LoRA()))
    loop.step()
    assert (loop.store.folder(loop.rounds[1].id) / "model").is_dir()


# what is held

def held_while_tuning(tune, dtype, **more):
    "The most bytes that weights take at a step, by weight of the model; gradients and the optimizer left out."
    lm = trained_model()
    lm.model.to(dtype)
    n_weights, most = lm.model.num_parameters(), []
    def note(event):
        if event.kind == "loss" and event.round == 2: most.append(weights_in_memory())
    before = weights_in_memory() - n_weights * dtype.itemsize
    loop = small_loop(model=lm, score=half_digits, select=Threshold(0), tune=tune, **more)
    del lm
    loop.on(note)
    loop.run(rounds=2)
    return (max(most) - before) / n_weights


@pytest.mark.parametrize("tune, dtype, most", [
    (FineTune(**FEW), torch.float32, 8), (FineTune(**FEW), torch.bfloat16, 8),
    (FineTune(**FEW, lora=LoRA(r=1, targets=("q_proj",))), torch.bfloat16, 2.5),
    (FineTune(**FEW, lora=LoRA(r=1, targets=("q_proj",)), start="base"), torch.bfloat16, 2.5),
    (FineTune(**FEW, lora=LoRA(r=1, targets=("q_proj",))), torch.float32, 4.5),
    (DPO(steps=4, batch_size=4, lora=LoRA(r=1, targets=("q_proj",))), torch.bfloat16, 2.5)])
def test_each_weight_is_held_once(tune, dtype, most):
    assert held_while_tuning(tune, dtype) <= most


def test_drift_needs_no_second_model_while_a_round_is_tuned():
    tune = FineTune(**FEW, lora=LoRA(r=1, targets=("q_proj",)))
    assert held_while_tuning(tune, torch.bfloat16, drift=True) <= 2.5


def models_alive(): return sum(issubclass(type(thing), transformers.PreTrainedModel) for thing in gc.get_objects())


@pytest.mark.parametrize("tune", [FineTune(**FEW), LORAS["base"], LORAS["pairs"]], ids=["all", "LoRA", "DPO"])
def test_what_a_training_took_is_given_back_at_once(tune):
    "A model that only the collector of Python finds is held for rounds, and the memory it leaves is in pieces."
    loop = loop_with(None, tune)
    loop.run(rounds=2)
    gc.collect()
    before = models_alive()
    gc.disable()
    try: loop.step()
    finally: gc.enable()
    assert models_alive() <= before


def test_what_the_loop_was_given_is_let_go_and_read_back(tmp_path):
    lm = trained_model()
    given = lm.weights_hash()
    loop = small_loop(tmp_path / "run", model=lm, score=half_digits, select=Threshold(0))
    loop.run(rounds=1)
    assert loop.models.given.is_empty and loop.model.weights_hash() == given == lm.weights_hash()
    loop.change(tune=FineTune(steps=3))
    loop.branch("other", round=0, tune=FineTune(**FEW, lora=LoRA())).step()
    assert loop.model.pretrained and verify(loop).is_whole


# what is on the disk

def test_a_hundred_rounds_with_the_newest_three(tmp_path):
    "The disk does not fill with weights."
    loop = loop_with(tmp_path / "run", FineTune(steps=1, batch_size=8), keep=3, task=small_task(n_prompts=3),
                     initial=FineTune(steps=2, batch_size=8), guards=(),
                     select=Threshold(0.0, unique=False, finished=False))
    def n_models(): return len(list((tmp_path / "run" / "rounds").glob("*/model")))
    counts = []
    for _ in range(10):
        loop.run(rounds=10)
        counts.append(n_models())
    assert len(loop.rounds) == 101 and max(counts) <= 5, "M_0, the best, and the newest three"
    assert "of them without weights, which were pruned" in str(verify(loop)) and verify(loop).is_whole


@pytest.mark.parametrize("tune", [FineTune(**FEW), DPO(steps=4, batch_size=4), LORAS["base"]],
                         ids=["full", "dpo", "lora"])
def test_what_was_pruned_is_made_again_and_proved(tune, tmp_path):
    loop = loop_with(tmp_path / "run", tune)
    loop.run(rounds=4)
    made, samples = hashes(loop), loop.samples(2).to_list()
    gone = loop.prune(keep=1)
    best = max(loop.rounds, key=lambda record: record.metrics["heldout_accuracy"])
    assert gone == [r.id for r in loop.rounds[1:4] if r.id != best.id] and loop.samples(2).to_list() == samples
    with pytest.raises(SelfloopError, match=r"has no weights any more, they were pruned: loop.remake\("):
        loop.rewind(int(gone[-1][:4]))
    with pytest.raises(SelfloopError, match="pruned"): loop.branch("b", round=gone[-1])
    assert import_run(export_run(loop, tmp_path / "a.zip"), tmp_path / "again")
    assert verify(tmp_path / "again").n_pruned == len(gone)
    loop.remake(gone[-1])
    loop.rewind(int(gone[-1][:4]))
    assert loop.language_model().weights_hash() == made[int(gone[-1][:4])]
    assert verify(loop).is_whole


def test_what_is_made_again_otherwise_stays_pruned(tmp_path):
    loop = loop_with(tmp_path / "run", FineTune(**FEW))
    loop.run(rounds=3)
    gone, = set(loop.prune(keep=2)) or [""]
    loop.change(tune=FineTune(steps=5, batch_size=16))
    with pytest.raises(SelfloopError, match="was made with tune=.*'steps': 4.*loop.change"): loop.remake(gone)
    loop.change(tune=FineTune(**FEW))
    folder = loop.store.folder(loop.rounds[0].id) / "model"
    other = tiny_llama(small_task(), width=32, seed=7)
    loop.models.at_hand = {}
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    other.model.save_pretrained(folder)
    otherwise = "trained again and model/.* is not what it was.*stays pruned"
    with pytest.raises(SelfloopError, match=otherwise): loop.remake(gone)
    for name, data in kept.items(): (folder / name).write_bytes(data)
    assert verify(loop).is_whole and (loop.store.folder(gone) / PRUNED).is_file()
    loop.models.at_hand = {}
    loop.remake(gone)
    assert verify(loop).n_pruned == 0


def test_only_weights_may_be_called_pruned(tmp_path):
    loop = loop_with(tmp_path / "run", FineTune(**FEW))
    loop.run(rounds=1)
    folder = loop.store.folder(loop.rounds[1].id)
    (folder / PRUNED).write_text(json.dumps(dict(files=["samples.parquet", "round.json", "../../run.json"])))
    (folder / "samples.parquet").unlink()
    assert verify(loop).damaged


def test_old_rounds_of_a_chain_stay_as_long_as_newer_ones_stand_on_them(tmp_path):
    loop = loop_with(tmp_path / "run", LORAS["previous"])
    loop.run(rounds=3)
    assert loop.prune(keep=1) == []


# settings

def test_settings_that_are_not_used_are_not_in_the_config():
    plain = Settings.config(small_loop().settings)["tune"]
    assert len(plain) == 10 and not set(plain) & {"tokens_at_once", "checkpointing", "autocast", "optimizer", "freeze"}
    used = small_loop(tune=FineTune(**FEW, tokens_at_once=100, lora=LoRA(rslora=True))).settings.config()["tune"]
    assert used["tokens_at_once"] == 100 and used["lora"]["rslora"] is True and "freeze" not in used


def test_a_full_memory_names_the_setting_that_would_have_done(monkeypatch):
    loop = small_loop()
    loop.start()
    def full(loss): raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    monkeypatch.setattr(torch.Tensor, "backward", full)
    with pytest.raises(OutOfMemoryError, match=r"FineTune\(tokens_at_once=\d+, "): loop.step()


@pytest.mark.parametrize("make", [tiny_llama, tiny_t5])
def test_a_full_memory_while_it_writes_names_a_batch_that_fits_in_the_end(make, monkeypatch):
    loop = small_loop(model=make(small_task()), sampling=Sampling(n_samples=2, tokens_per_batch=1000))
    loop.start()
    draw = Decoder.draw
    def full(self, logits):
        if len(self.prompt_of) > 20: raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return draw(self, logits)
    monkeypatch.setattr(Decoder, "draw", full)
    for _ in range(8):
        try: loop.step()
        except OutOfMemoryError as error: less = int(re.search(r"Sampling\(tokens_per_batch=(\d+), ", str(error))[1])
        if len(loop.rounds) == 2: break
        loop.change(sampling=Sampling(n_samples=2, tokens_per_batch=less))
    assert len(loop.rounds) == 2 and less < 1000


@pytest.mark.parametrize("how", [dict(tokens_at_once=40), dict(checkpointing=True), dict(optimizer="adafactor"),
                                 dict(freeze=("embed_tokens", "layers.0")), dict(autocast=True)], ids=str)
@pytest.mark.parametrize("lora", [None, LoRA()], ids=["full", "lora"])
def test_each_setting_goes_through_a_loop(how, lora, tmp_path):
    loop = loop_with(tmp_path / "run", FineTune(**FEW, lora=lora, **how))
    loop.run(rounds=2)
    first, last = (dict(loop.language_model(number).model.named_parameters()) for number in (0, 2))
    changed = {name for name in first if not torch.equal(first[name], last[name])}
    assert changed and verify(loop).is_whole
    if "freeze" in how: assert not any("layers.0." in name or "embed_tokens" in name for name in changed)
    assert all(weight.requires_grad for weight in last.values())


def test_a_step_in_parts_has_the_gradient_of_the_step():
    "Also with rows that have weights."
    task = small_task()
    lm = tiny_llama(task)
    table = task.train.add_column("weight", [1.0 + i % 3 for i in range(len(task.train))])
    how = dict(steps=1, batch_size=60, warmup=0)
    for rows in (task.train, table):
        whole, losses, _ = fine_tune(lm, rows, FineTune(**how))
        parts, others, _ = fine_tune(lm, rows, FineTune(**how, tokens_at_once=50))
        assert losses[0]["loss"] == pytest.approx(others[0]["loss"], abs=1e-6)
        gap = max((a - b).abs().max() for a, b in zip(whole.model.parameters(), parts.model.parameters()))
        assert gap < 1e-4


def test_logits_of_a_training_are_bounded(monkeypatch):
    from selfloop_nb.backend import rows
    task, seen = small_task(), []
    lm = tiny_llama(task)
    forward = type(lm.model).forward
    @functools.wraps(forward)
    def look(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        seen.append(out.logits.numel())
        return out
    monkeypatch.setattr(rows, "MOST_LOGITS", 500)
    monkeypatch.setattr(type(lm.model), "forward", look)
    fine_tune(lm, task.train, FineTune(steps=2, batch_size=60))
    assert max(seen) <= 500


@pytest.mark.parametrize("name, message", [("tpu", "must be one of cuda, mps, cpu"), ("cuda", "there is none here")])
def test_a_device_that_is_not_there_is_refused_by_name(name, message, tmp_path):
    if name == "cuda" and torch.cuda.is_available(): pytest.skip("there is one")
    tiny_llama(small_task()).save(tmp_path)
    with pytest.raises(ValueError, match=f"device='{name}'.*{message}"): load_model(tmp_path, device=name)


def test_a_type_may_be_torchs_own():
    from selfloop_nb.backend.devices import choose_dtype
    assert choose_dtype(torch.bfloat16, "cpu") == "bfloat16"
    with pytest.raises(ValueError, match="dtype='int8': it must be"): choose_dtype(torch.int8, "cpu")


def test_a_type_that_the_device_lacks_is_refused_by_name(monkeypatch):
    from selfloop_nb.backend import devices
    monkeypatch.setattr(devices, "_has", lambda device, dtype: dtype != "bfloat16")
    assert devices.choose_dtype("auto", "cuda") == "float32"
    with pytest.raises(ValueError, match="dtype='bfloat16': cuda does not compute in it; take one of float32, float16"):
        devices.choose_dtype("bfloat16", "cuda")
    monkeypatch.setattr(devices, "_has", lambda device, dtype: True)
    assert devices.choose_dtype("auto", "cuda") == "bfloat16" and devices.choose_dtype("auto", "cpu") == "float32"


def test_several_gpus_do_not_multiply_the_batch():
    from selfloop_nb.backend.trainer import on_one_device
    from transformers import TrainingArguments
    arguments = TrainingArguments(output_dir="nowhere", use_cpu=True, per_device_train_batch_size=8)
    arguments.device # chosen
    arguments._n_gpu = 4
    assert arguments.train_batch_size == 32
    assert on_one_device(arguments).train_batch_size == 8


def test_the_type_of_a_run_is_recorded_and_kept(tmp_path):
    def half():
        lm = trained_model()
        lm.model.to(torch.bfloat16)
        return lm
    loop = small_loop(tmp_path / "run", model=half(), score=half_digits, select=Threshold(0))
    loop.run(rounds=1)
    loop.rewind(0)
    loop.step()
    del loop
    again = small_loop(tmp_path / "run", model=half(), score=half_digits, select=Threshold(0))
    assert open_run(tmp_path / "run").store.info["dtype"] == "bfloat16" == again.language_model().dtype
    assert isinstance(again.language_model(), LanguageModel)
