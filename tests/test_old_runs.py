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
    for _ in range(2):
        loop = loop_on(tmp_path / "run", progress=True)
        assert "from round 3 on it trains on token ids as sampled" in capsys.readouterr().err
        loop.step()
        del loop
