"A run folder, an archive or a model from a stranger does no harm, and nothing goes out to the network."
import json, math, os, queue, resource, shutil, sys, threading, time
from pathlib import Path

import pytest
from selfloop_nb.backend import scores
from selfloop_nb.backend.core import SelfloopError, TrainingError
from small import small_loop, small_task
from waiting import wait_until

FAULTS = Path(__file__).with_name("faults")
sys.path.append(str(FAULTS))


def test_hostile_archives(tmp_path):
    import hostile
    (tmp_path / "runs").mkdir()
    losses, n = hostile.try_all(tmp_path / "runs")
    assert n >= 40
    assert losses == []


def test_no_byte_of_a_footer_ends_the_process_or_fills_the_memory(tmp_path):
    from datasets import Dataset
    from failpoints import child, values
    from fuzz import parts_of
    from selfloop_nb.storage.files import read_table, table_bytes
    table = tmp_path / "t.parquet"
    table.write_bytes(table_bytes(Dataset.from_dict({"text": ["a", "b"], "ids": [[1], []], "score": [0.5, None]})))
    rows, footer = parts_of(table)
    def try_all(report):
        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
        report({"refused": sum(map(is_refused, range(len(footer))))})
    def is_refused(n):
        other = footer[:n] + bytes([footer[n] ^ 1]) + footer[n + 1:]
        table.write_bytes(rows + other + len(other).to_bytes(4, "little") + b"PAR1")
        try: read_table(table)
        except SelfloopError: return True
        return False
    status, reports = child(try_all)
    assert status == 0 and values(reports, "refused")[0] > len(footer) / 8, reports


def test_a_run_goes_on_from_an_archive(tmp_path):
    from selfloop_nb import export_run, import_run, verify
    from tiny import finish, tiny_loop
    loop = tiny_loop(tmp_path / "run")
    loop.run(rounds=1)
    archive = export_run(loop, tmp_path / "run.zip")
    assert verify(import_run(archive, tmp_path / "copy")).is_bit_exact
    assert finish(tmp_path / "copy", rounds=2) == finish(tmp_path / "run", rounds=2)
    loop.store.folder(loop.rounds[0].id).joinpath("losses.jsonl").unlink()
    with pytest.raises(SelfloopError, match="losses.jsonl missing or changed"): export_run(loop, tmp_path / "run.zip")


@pytest.fixture(scope="module")
def good_model(tmp_path_factory):
    from selfloop_nb import tiny_llama
    folder = tmp_path_factory.mktemp("models") / "good"
    tiny_llama(small_task(), layers=1, width=8, heads=2).save(folder)
    return folder


def alter(folder, name, **fields):
    "Change a JSON file of a model; a field of None is taken out."
    data = {**json.loads((folder / name).read_text()), **fields}
    (folder / name).write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def half(folder):
    with open(folder / "model.safetensors", "r+b") as file: file.truncate(500)


def without_a_weight(folder):
    from safetensors.torch import load_file, save_file
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_code(folder): alter(folder, "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})
def with_code_of_a_tokenizer(folder):
    alter(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})
def of_images(folder): alter(folder, "config.json", model_type="vit")
def of_its_own_architecture(folder): alter(folder, "config.json", architectures=["EvilForCausalLM"])
def without_config(folder): (folder / "config.json").unlink()


STRANGERS = {
    "code of its own": (with_code, "brings code of its own.*not run"),
    "a tokenizer's code": (with_code_of_a_tokenizer, "auto_map in tokenizer_config.json"),
    "no language model": (of_images, "type 'vit', which is no causal"),
    "unknown architecture": (of_its_own_architecture, "architecture 'EvilForCausalLM'"),
    "pickled weights": (pickled, "no \\*.safetensors, only \\['pytorch_model.bin'\\].*can run code"),
    "no config": (without_config, "config.json or tokenizer_config.json cannot be read"),
    "half a file": (half, "no model could be loaded"),
    "a weight is missing": (without_a_weight, "lack 'model.norm.weight'.*not whole"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_models_that_are_not_loaded(case, good_model, tmp_path):
    from selfloop_nb import load_model
    change, message = STRANGERS[case]
    folder = tmp_path / "stranger"
    shutil.copytree(good_model, folder)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'opened')!r}, 'w')")
    assert load_model(folder).name == "stranger"
    change(folder)
    with pytest.raises(SelfloopError, match=message): load_model(folder)
    assert not (tmp_path / "opened").exists()


def test_weights_that_are_no_numbers_are_found_before_generation(good_model, tmp_path):
    import torch
    from selfloop_nb import load_model
    lm = load_model(good_model)
    with torch.no_grad(): lm.model.model.norm.weight[0] = math.nan
    loop = small_loop(tmp_path / "run", model=lm)
    kinds = []
    loop.on(lambda event: kinds.append(event.kind))
    with pytest.raises(TrainingError, match="model.norm.weight is not finite"): loop.run(rounds=1)
    assert "progress" not in kinds


@pytest.mark.parametrize("odd", [None, 5, ["a"], b"model"])
def test_what_is_no_name_is_looked_for_on_no_hub(odd):
    from selfloop_nb import load_model
    with pytest.raises(ValueError, match="it must be a folder, or a name on the hub"): load_model(odd)


def test_a_folder_without_weights_is_not_searched(tmp_path):
    "As a home, where `load_model(\"~\")` went through all files, and named one of them."
    from selfloop_nb import load_model
    (tmp_path / "deep").mkdir()
    os.mkfifo(tmp_path / "deep" / "pipe")
    with pytest.raises(SelfloopError, match=r"has no \*.safetensors"): load_model(tmp_path)


def test_a_name_without_a_hub_is_an_error_in_words(monkeypatch):
    from huggingface_hub import constants
    from selfloop_nb import load_model
    from selfloop_nb.backend.strangers import hub_answers
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert not hub_answers()
    message = "no model could be loaded from 'nobody/nothing'.*hub name while there is a network"
    with pytest.raises(SelfloopError, match=message): load_model("nobody/nothing")
    assert slept == [], "nobody waits for a network that is not there"


def test_a_whole_run_asks_nobody_and_stores_nothing_of_the_environment():
    import network
    assert network.calls_out() == []


def judge_by_sample(journal=False, seconds=None, **faults):
    """A scorer that notes what it is asked, as a judge that costs; it is the same judge whatever its faults: the sample
    at which it `dies`, and that at which it `hangs` until it is let go."""
    asked = []
    let_go, hanging = threading.Event(), threading.Event()
    def judge(samples):
        asked.extend(samples["sample_id"])
        if faults.get("dies") in samples["sample_id"]: raise KeyboardInterrupt
        if faults.get("hangs") in samples["sample_id"]:
            hanging.set()
            let_go.wait()
        return [1.0] * len(samples)
    judge.__dict__.update(journal=journal, seconds=seconds, name="judge", version="1")
    judge.asked = asked
    judge.let_go, judge.hanging = let_go, hanging
    return judge


def test_a_judge_that_costs_is_asked_for_no_sample_twice(tmp_path):
    judge = judge_by_sample(dies="1-sample-9-0", journal=True)
    loop = small_loop(tmp_path / "run", score=judge)
    with pytest.raises(KeyboardInterrupt): loop.step()
    first = list(judge.asked)
    assert "1-sample-8-3" in first
    assert "1-sample-10-0" not in first
    del loop
    again = judge_by_sample(journal=True)
    loop = small_loop(tmp_path / "run", score=again)
    loop.step()
    assert set(again.asked) & set(first) == {f"1-sample-9-{k}" for k in range(4)}, "only those that it has not answered"
    assert len(again.asked) + len(first) == 84
    assert loop.rounds[1].counts["n_sampled"] == 80


class Impatient(queue.SimpleQueue):
    "Has waited long enough once the judge hangs, however busy the machine is."
    def get(self, timeout):
        wait_until(lambda: not self.empty() or self.hanging.is_set())
        self.hanging.clear()
        return super().get_nowait()


def test_a_scorer_that_hangs_on_one_sample(tmp_path, monkeypatch):
    judge = judge_by_sample(hangs="1-sample-9-2", seconds=0.5)
    Impatient.hanging = judge.hanging
    monkeypatch.setattr(scores.queue, "SimpleQueue", Impatient)
    loop = small_loop(tmp_path / "run", score=judge)
    loop.step()
    row, = (row for row in loop.samples() if row["state"] == "quarantined")
    assert row["sample_id"] == "1-sample-9-2"
    assert "judge raised TimeoutError: no answer in 0.5 s" in row["reason"]
    assert not judge.let_go.is_set(), "the round is done while it hangs"
    judge.let_go.set()


def table_with(columns, told):
    "A parquet file that says of itself what it likes."
    import io, pyarrow, pyarrow.parquet
    table = pyarrow.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": told}})})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["Image", "Audio", "Video", "Pdf", "Nifti", "Mesh"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_table_cannot_have_files_opened(kind, deep, tmp_path):
    from selfloop_nb.backend.core import DamagedRunError
    from selfloop_nb.storage.files import read_table
    (tmp_path / "mine.png").write_text("mine")
    cell = {"bytes": None, "path": str(tmp_path / "mine.png")}
    column = {"_type": kind}
    told = {"x": {"_type": "List", "feature": column} if deep else column}
    data = table_with({"x": [[cell] if deep else cell]}, told)
    (tmp_path / "samples.parquet").write_bytes(data)
    with pytest.raises(DamagedRunError, match=f"kind '{kind}', which opens what its cells name"):
        read_table(tmp_path / "samples.parquet")
