"""A folder that goes, or cannot be written any more, while a round is made: what happened is said, nothing is made in
its place, and once it is back the loop goes on to the same round.
"""
import errno, os, shutil, sys
from pathlib import Path

import pytest

from selfloop_nb.backend.core import RunFolderError, SelfloopError
from selfloop_nb.storage.disk import Disk

sys.path.append(str(Path(__file__).with_name("faults")))
from tiny import finish, outcome, tiny_loop

PHASES = ["sample", "score", "tune", "measure"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("vanished") / "run")


def loop_that_is_hit(run, phase, hit):
    "A loop of one round; as the phase of the next one begins, something happens."
    loop = tiny_loop(run)
    loop.run(rounds=1)
    def listen(event):
        if (event.kind, event.phase, event.round) == ("phase", phase, 2): hit()
    loop.on(listen)
    return loop


@pytest.mark.parametrize("phase", PHASES)
def test_a_folder_that_goes(phase, tmp_path, undisturbed):
    run, away = tmp_path / "run", tmp_path / "away"
    loop = loop_that_is_hit(run, phase, lambda: run.rename(away))
    with pytest.raises(RunFolderError, match=r"run' is gone: put it back, and step\(\)"): loop.step()
    with pytest.raises(RunFolderError, match="is gone: put it back"): loop.step()
    assert not run.exists(), "nothing is made in its place"
    away.rename(run)
    loop.listeners.clear()
    assert loop.step().number == 2 and outcome(loop.store) == undisturbed


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [errno.EROFS, pytest.param(errno.EACCES, marks=pytest.mark.long)])
def test_a_folder_that_cannot_be_written_any_more(number, phase, tmp_path, undisturbed, monkeypatch):
    def refused(path): raise OSError(number, os.strerror(number), str(path))
    def opened(disk, path, flags, open=Disk.open):
        return refused(path) if flags & (os.O_WRONLY | os.O_RDWR) else open(disk, path, flags)
    def read_only():
        monkeypatch.setattr(Disk, "open", opened)
        monkeypatch.setattr(Disk, "mkdir", lambda disk, path: refused(path))
    loop = loop_that_is_hit(tmp_path / "run", phase, read_only)
    words = "cannot be written any more.*All rounds that were committed stay"
    with pytest.raises(RunFolderError, match=words) as heard: loop.step()
    assert heard.value.errno == number and str(tmp_path / "run") in str(heard.value)
    monkeypatch.undo()
    loop.listeners.clear()
    assert loop.step().number == 2 and outcome(loop.store) == undisturbed


def test_a_draft_that_is_taken_away(tmp_path, undisturbed):
    run = tmp_path / "run"
    def tidy_up():
        for folder in (run / "generated").iterdir(): shutil.rmtree(folder)
    loop = loop_that_is_hit(run, "sample", tidy_up)
    with pytest.raises(RunFolderError, match="was taken away while it was needed"): loop.step()
    loop.listeners.clear()
    assert loop.step().number == 2 and outcome(loop.store) == undisturbed


def test_an_error_of_somebody_else_stays_what_it_is(tmp_path):
    loop = tiny_loop(tmp_path / "run")
    loop.start()
    def listen(event):
        if event.kind == "phase" and event.phase == "score": (tmp_path / "notes" / "of mine").read_text()
    loop.on(listen)
    with pytest.raises(FileNotFoundError) as heard: loop.step()
    assert not isinstance(heard.value, SelfloopError)
    loop.listeners.clear()
    assert loop.step().number == 1
