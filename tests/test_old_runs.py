"Runs that older versions have made are opened, verified and gone on with; tests/old_runs holds one of each."
import json
from pathlib import Path

import pytest
from selfloop_nb import FineTune, Loop, Sampling, Threshold, addition, confidence, import_run, open_run, tiny_llama
from selfloop_nb import verifier, verify

RUNS = sorted((Path(__file__).parent / "old_runs").glob("*.zip"))


def loop_on(store, progress=False):
    "The loop that made the run, as it was written then."
    task = addition(digits=1, n_train=20, n_prompts=10, n_heldout=10, seed=0)
    few = FineTune(steps=10, batch_size=8)
    model = tiny_llama(task, layers=1, width=16, heads=2)
    return Loop(model, task, score=verifier(), select=Threshold(0.0), tune=few, initial=few, audit=confidence(),
                sampling=Sampling(n_samples=2), store=store, seed=0, progress=progress)


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_it_opens_and_verifies(archive, tmp_path):
    import_run(archive, tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert [r.number for r in run.rounds] == [0, 1, 2] and verify(run).is_whole
    assert len(open_run(tmp_path / "run", "replace").rounds) == 3
    assert len(run.samples(2)) == 20 and len(run.losses(2)) == 10
    assert "audit_mean" in run.history() and run.report(tmp_path / "report.html").is_file()


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_it_goes_on_with_the_same_round(archive, tmp_path):
    "On the machine that made it to the last bit; elsewhere it goes on, and `verify` says what differs."
    import_run(archive, tmp_path / "run")
    expected = json.loads(archive.with_suffix(".json").read_text(encoding="utf-8"))
    same_machine = verify(open_run(tmp_path / "run")).is_bit_exact
    loop = loop_on(tmp_path / "run")
    record = loop.step()
    assert record.number == 3 and record.id == expected["id"]
    if same_machine:
        assert loop.samples()["token_ids"][:] == expected["token_ids"]
        assert loop.language_model().weights_hash() == expected["weights"]


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_it_says_from_which_round_on_it_trains_on_ids(archive, tmp_path, capsys):
    import_run(archive, tmp_path / "run")
    of_before = "trained_on" not in open_run(tmp_path / "run").store.info
    for _ in range(2):
        loop = loop_on(tmp_path / "run", progress=True)
        said = "from round 3 on it trains on token ids as sampled" in capsys.readouterr().err
        assert said == of_before
        loop.step()
        del loop


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_what_a_newer_version_has_added_is_kept(archive, tmp_path):
    "A record with fields that we do not know is read, and written again as it was."
    from selfloop_nb.backend.core import short_hash
    from selfloop_nb.records import Round
    import_run(archive, tmp_path / "run")
    for file in tmp_path.glob("run/rounds/*/round.json"):
        data = {**json.loads(file.read_text(encoding="utf-8")), "energy": {"joules": [1, None]}, "note": "x"}
        data.pop("sealed", None)
        text = json.dumps({**data, "sealed": short_hash(data, 64)})
        assert json.loads(Round.from_json(text).to_json()) == json.loads(text)


@pytest.mark.parametrize("numbers, reads, writes", [
    (dict(format=1), True, True), (dict(format=2), True, False), (dict(format=99, readers=1), True, False),
    (dict(format=2, readers=2), False, False), (dict(format=1, readers=2), False, False),
    (dict(format="1"), False, False), (dict(format=None), False, False), (dict(format=0), False, False),
    (dict(format=1, readers=True), False, False), (dict(format=1.5), False, False)])
@pytest.mark.parametrize("archive", RUNS[:1], ids=lambda path: path.stem)
def test_two_numbers_decide_who_may_read_and_write(archive, numbers, reads, writes, tmp_path):
    from selfloop_nb.backend.core import SelfloopError
    info = import_run(archive, tmp_path / "run") / "run.json"
    info.write_text(json.dumps({**json.loads(info.read_text(encoding="utf-8")), **numbers}))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.json")}
    def may(work):
        try: work()
        except SelfloopError: return False
        return True
    assert may(lambda: open_run(tmp_path / "run").history()) == may(lambda: verify(tmp_path / "run")) == reads
    assert may(lambda: loop_on(tmp_path / "run")) == writes
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.json")} == before
