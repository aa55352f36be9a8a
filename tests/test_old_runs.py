"""Runs that older versions have made are opened, verified and gone on with.

tests/old_runs holds archives of those before 0.1.0, and from then on a whole folder of each (`folders`), with all that
a run can hold and a round that was begun. A release adds its own before it goes out, and no later one takes it away:

    python tests/test_old_runs.py 0.1.0
"""
import gc, json, shutil, sys, tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from selfloop_nb import FineTune, Loop, LoRA, Sampling, Threshold, addition, chrf, confidence, export_run, import_run
from selfloop_nb import open_run, tiny_llama, verifier, verify
from selfloop_nb.backend.core import SelfloopError

PLACE = Path(__file__).parent / "old_runs"
RUNS = sorted(PLACE.glob("*.zip"))
FOLDERS = sorted((PLACE / "folders").glob("*.zip"))


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
def test_it_says_from_which_round_on_it_trains_otherwise(archive, tmp_path, capsys):
    import_run(archive, tmp_path / "run")
    on_text = "trained_on" not in open_run(tmp_path / "run").store.info
    for began_at_0 in (True, False): # of the newest round; the round of the first time has begun above it
        loop = loop_on(tmp_path / "run", progress=True)
        told = capsys.readouterr().err
        assert ("from round 3 on it trains on token ids as sampled" in told) == on_text
        assert ("from round 3 on no step has a learning rate of 0" in told) == began_at_0
        loop.step()
        assert (min(point["lr"] for point in loop.losses()) > 0) and loop.losses(2)[0]["lr"] == 0
        del loop


@pytest.mark.parametrize("archive", RUNS, ids=lambda path: path.stem)
def test_a_round_whose_warm_up_began_at_0_is_not_made_again(archive, tmp_path):
    import_run(archive, tmp_path / "run")
    loop = loop_on(tmp_path / "run")
    loop.step()
    loop.prune(keep=1)
    with pytest.raises(SelfloopError, match="round 1 cannot be made again: it was trained by an older version"):
        loop.remake(1)


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


def loop_with_all(store):
    "A loop that keeps whatever a run can keep: adapters, an audit, a figure of its own, a sealed test."
    task = addition(digits=1, n_train=20, n_prompts=10, n_heldout=20, seed=0)
    task = replace(task, heldout=task.heldout.select(range(10)), sealed=task.heldout.select(range(10, 20)))
    few = FineTune(steps=4, batch_size=8)
    return Loop(tiny_llama(task, layers=1, width=16, heads=2), task, score=verifier(), select=Threshold(0.0),
                tune=replace(few, lora=LoRA(r=1)), initial=few, audit=confidence(), measures={"chrf": chrf()},
                sampling=Sampling(n_samples=2), store=store, seed=0, progress=False)


def stopped_in_tune(loop):
    "The next round is sampled and scored, and not learned from."
    def stop(event):
        if event.kind == "phase" and event.phase == "tune": raise KeyboardInterrupt
    loop.on(stop)
    with pytest.raises(KeyboardInterrupt): loop.step()
    loop.listeners.clear()


def make_with_all(store):
    "The run of `loop_with_all`: three rounds, a rewind taken back, a branch, ratings, a round that was begun."
    from selfloop_nb.storage.ratings import Ratings
    loop = loop_with_all(store)
    loop.run(rounds=3)
    loop.rewind(1)
    loop.undo()
    loop.branch("hot", round=1, sampling=Sampling(n_samples=2, temperature=1.5)).step()
    for row in loop.samples(3).select(range(2)): Ratings(store / "ratings.jsonl").add(row, 1.0, "ann")
    loop.unseal()
    stopped_in_tune(loop)
    del loop
    gc.collect()


def unpacked(folder, place):
    "A run folder as it lay on the disk."
    shutil.unpack_archive(folder, place)
    return place


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.stem)
def test_all_that_a_run_holds_is_read(folder, tmp_path):
    run = open_run(unpacked(folder, tmp_path / "run"))
    assert [record.number for record in run.rounds] == [0, 1, 2, 3] and verify(run).is_whole
    assert [move.why for move in run.store.moves()] == ["round 0", "round 1", "round 2", "round 3", "rewind", "undo"]
    assert all(move.by.startswith("process ") for move in run.store.moves())
    assert len(open_run(tmp_path / "run", "hot").rounds) == 3
    assert run.sealed.metrics["sealed_chrf"] >= 0 and len(run.answers(3)) == 10
    assert {"audit_mean", "heldout_chrf", "heldout_chrf_low"} <= set(run.history())
    from selfloop_nb.storage.ratings import Ratings
    assert len(Ratings(tmp_path / "run" / "ratings.jsonl").verdicts("ann")) == 2
    copy = import_run(export_run(run, tmp_path / "run.zip"), tmp_path / "copy")
    assert verify(copy).is_whole and open_run(copy).sealed.metrics == run.sealed.metrics


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.stem)
def test_a_round_that_was_begun_is_ended(folder, tmp_path):
    pytest.importorskip("peft")
    loop = loop_with_all(unpacked(folder, tmp_path / "run"))
    expected = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    same_machine = verify(loop).is_bit_exact
    said = []
    loop.on(lambda event: said.append(event.data.get("text", "")))
    record = loop.step()
    assert record.id == expected["id"] and "round 4: score was done before, going on after it" in said
    if same_machine: assert loop.language_model().weights_hash() == expected["weights"]
    assert loop.undo().number == 3 and verify(loop).is_whole
    loop.prune(keep=1)
    if same_machine: assert loop.remake(2).number == 2


def make(version):
    "Write the folder of a release, and what its next round is."
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "run"
        make_with_all(store)
        folder = Path(shutil.make_archive(PLACE / "folders" / version, "zip", store))
        loop = loop_with_all(store)
        ended = dict(id=loop.step().id, weights=loop.language_model().weights_hash())
        folder.with_suffix(".json").write_text(json.dumps(ended), encoding="utf-8")


if __name__ == "__main__": make(sys.argv[1])
