"A kernel that dies in the middle of any phase costs that phase and nothing else."
import gc, json, os, signal, subprocess, sys
from pathlib import Path

import pytest
import small
from small import small_loop

sys.path.append(str(Path(__file__).with_name("faults")))

pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    "The weights and samples of the run that nothing happened to."
    loop = small_loop(tmp_path_factory.mktemp("whole") / "run")
    loop.run(rounds=2)
    return outcome(loop)


def outcome(loop):
    "What a run has come to: hashes of the weights of all rounds, and all texts."
    hashes = [{name: h for name, h in r.files.items() if name.endswith(".safetensors")} for r in loop.rounds]
    return hashes, [loop.samples(r)["completion"][:] for r in range(1, len(loop.rounds))]


PHASES = ["sample", "score", "tune", "measure"]


@pytest.mark.parametrize("phase", PHASES)
def test_kill_9_in_a_phase_of_round_2(phase, tmp_path, undisturbed):
    command = [sys.executable, small.__file__, tmp_path / "run", phase]
    died = subprocess.run(command, env={**os.environ, "KILLED_IN": phase}, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    loop = small_loop(tmp_path / "run")
    assert [r.number for r in loop.rounds] == [0, 1], "what was committed is there"
    done = []
    def listen(event):
        if event.kind == "message": done.append(event.phase)
    loop.on(listen)
    loop.step()
    assert outcome(loop) == undisturbed
    assert done == PHASES[:PHASES.index(phase)], "phases that had ended are not done again"


def test_chunks_that_were_drawn_are_not_drawn_again(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    def stop_halfway(event):
        if small.is_halfway(event, "sample"): loop.stop()
    loop.on(stop_halfway)
    loop.run(rounds=1)
    assert list((tmp_path / "run" / "generated").rglob("parts/*.json"))
    loop.listeners.clear()
    shares = []
    def note(event):
        if event.kind == "progress" and event.phase == "sample":
            shares.append(event.data["done"] / event.data["total"])
    loop.on(note)
    loop.run(rounds=1)
    assert shares[0] > 0.2, "the first progress counts the chunks that were there"


def test_a_damaged_newest_round_is_left_loudly(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=2)
    last, weights = loop.rounds[-1], outcome(loop)
    weights_file = loop.store.folder(last.id) / "model" / "model.safetensors"
    with open(weights_file, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    del loop
    with pytest.warns(UserWarning, match=f"round {last.id}.*model.safetensors.*going back to"):
        loop = small_loop(tmp_path / "run")
    assert [r.number for r in loop.rounds] == [0, 1]
    loop.step()
    assert outcome(loop) == weights, "computed again, it is the same"


def test_interrupt_commits_nothing_half(tmp_path, undisturbed):
    loop = small_loop(tmp_path / "run")
    loop.step()
    def interrupt(event):
        if event.kind == "loss" and event.data["step"] == 10: raise KeyboardInterrupt
    loop.on(interrupt)
    with pytest.raises(KeyboardInterrupt): loop.step()
    assert len(loop.rounds) == 2
    loop.listeners.clear()
    loop.step()
    assert outcome(loop) == undisturbed


def test_a_run_that_goes_on_elsewhere_says_that_it_is_not_bit_exact(tmp_path, capsys):
    from selfloop_nb import verify
    from selfloop_nb.storage.store import write_file
    small_loop(tmp_path / "run").start()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    small_loop(tmp_path / "run", progress=True)
    assert "not bit-exact" not in capsys.readouterr().err
    write_file(tmp_path / "run" / "run.json", json.dumps({**info, "threads": 7}))
    small_loop(tmp_path / "run", progress=True)
    assert "not bit-exact from here on: threads 1 instead of 7" in capsys.readouterr().err
    assert verify(tmp_path / "run").is_whole and not verify(tmp_path / "run").is_bit_exact


def test_a_run_that_goes_on_says_which_settings_are_others(tmp_path, capsys):
    from selfloop_nb import Threshold, TopK
    def told(**changed):
        small_loop(tmp_path / "run", progress=True, **changed)
        return capsys.readouterr().err
    small_loop(tmp_path / "run").start()
    assert "other settings" not in told(select=Threshold(0.5)), "no round has had others"
    small_loop(tmp_path / "run").step()
    assert "goes on after round 1" in (same := told()) and "other settings" not in same
    assert "from round 2 on other settings: select.theta is 0.5, before 1.0\n" in told(select=Threshold(0.5))
    assert "select is TopK, before Threshold" in told(select=TopK(1))


def test_rounds_without_heads_are_found_again(tmp_path, undisturbed):
    loop = small_loop(tmp_path / "run")
    loop.step()
    del loop
    (tmp_path / "run" / "heads.json").unlink()
    message = "heads.json of run 'run' is missing.*taking the last move in heads.log, or the newest whole round"
    with pytest.warns(UserWarning, match=message): loop = small_loop(tmp_path / "run")
    loop.step()
    assert outcome(loop) == undisturbed


def with_siblings(folder):
    "A run with two rounds 1, of which the older one has a round 2; it stands at round 1, and no other."
    from selfloop_nb import Threshold
    from tiny import tiny_loop
    loop = tiny_loop(folder)
    loop.start()
    first = loop.step()
    loop.rewind(0)
    loop.change(select=Threshold(2.0, finished=False))
    loop.step()
    loop.undo()
    loop.undo()
    second = loop.step()
    assert second.parent == first.id
    return loop, first, second


def test_what_was_lost_in_an_imported_copy_is_followed_by_its_parent(tmp_path):
    from selfloop_nb import export_run, import_run
    from tiny import tiny_loop
    loop, first, second = with_siblings(tmp_path / "run")
    export_run(loop, tmp_path / "run.zip")
    import_run(tmp_path / "run.zip", tmp_path / "copy")
    log = (tmp_path / "copy" / "heads.log").read_text()
    assert str(tmp_path) not in log and "process" not in log and '"by": ""' in log
    (tmp_path / "copy" / "rounds" / second.id / "round.json").unlink()
    with pytest.warns(UserWarning, match=f"going back to {first.id}"): copy = tiny_loop(tmp_path / "copy")
    assert copy.store.head == first.id


def test_heads_that_are_lost_stand_where_the_log_says(tmp_path):
    from tiny import tiny_loop
    loop, first, second = with_siblings(tmp_path / "run")
    loop.rewind(1)
    del loop
    gc.collect()
    (tmp_path / "run" / "heads.json").unlink()
    with pytest.warns(UserWarning, match=f"heads.json of run 'run' is missing.*{first.id}"):
        loop = tiny_loop(tmp_path / "run")
    assert loop.store.head == first.id


def test_heads_that_name_no_branch_hide_nothing(tmp_path):
    from tiny import tiny_loop
    loop, _, second = with_siblings(tmp_path / "run")
    del loop
    gc.collect()
    (tmp_path / "run" / "heads.json").write_text("{}")
    with pytest.warns(UserWarning, match=f"names no branch, and there are 4 rounds: standing at {second.id}"):
        loop = tiny_loop(tmp_path / "run")
    assert loop.step().parent == second.id


def test_settings_of_a_run_that_cannot_be_read(tmp_path):
    from selfloop_nb import open_run
    from selfloop_nb.backend.core import DamagedRunError
    small_loop(tmp_path / "run").start()
    os.truncate(tmp_path / "run" / "run.json", 20)
    message = "run.json of run 'run' cannot be read.*made the 1 rounds, which are still in.*archive of `export_run`"
    for look in (open_run, small_loop):
        with pytest.raises(DamagedRunError, match=message): look(tmp_path / "run")
