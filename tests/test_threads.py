"As many threads as fit: one for a small model while others fill the machine, and the record says so."
import os, subprocess, sys
from pathlib import Path

import pytest, torch
from selfloop_nb.backend import threads
from small import half_digits, small_loop

BUSY = pytest.mark.parametrize("busy", [True, False])


@pytest.fixture
def two_threads():
    "Two threads for so long."
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


@pytest.fixture
def load(monkeypatch):
    "Sets what others ask of the machine."
    return lambda busy: monkeypatch.setattr(threads._load, "is_busy", lambda: busy)


def python(code, **env):
    "What a fresh Python prints, without settings for threads but those that are given."
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    place = str(Path(__file__).parents[1])
    out = subprocess.run([sys.executable, "-c", code], env={**clean, "PYTHONPATH": place, **env}, capture_output=True,
                         text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def test_threads_wait_a_moment_and_not_for_ever():
    said = "import os, selfloop_nb; print(os.environ['GOMP_SPINCOUNT'], selfloop_nb.torch_came_first)"
    assert python(said) == "5000 False"
    assert python(said, GOMP_SPINCOUNT="7") == "7 False", "what the user has set stays"
    assert python(f"import torch; {said}") == "5000 True"
    assert python(f"import torch; {said}", GOMP_SPINCOUNT="7") == "7 False"


@BUSY
def test_a_round_says_where_it_had_fewer_threads(busy, two_threads, load, tmp_path):
    loop = small_loop(tmp_path / "run", score=half_digits, select=small_rule())
    two_threads()
    load(busy)
    said, seen = [], []
    def listen(event):
        if event.kind == "message": said.append(event.data["text"])
        if event.kind == "loss" and event.round == 1: seen.append(torch.get_num_threads())
    loop.on(listen)
    loop.run(rounds=1)
    assert set(seen) == {1 if busy else 2} and torch.get_num_threads() == 2
    noted = {name: value for name, value in loop.rounds[1].metrics.items() if name.startswith("threads")}
    assert noted == (dict(threads_sample=1, threads_tune=1, threads_measure=1) if busy else {})
    assert any("one thread for so small a model, instead of 2" in text for text in said) == busy
    again = small_loop(tmp_path / "other", score=half_digits, select=small_rule())
    assert again.config() == loop.config(), "it is no setting"


def small_rule():
    from selfloop_nb import Threshold
    return Threshold(0.5)


def test_the_number_comes_back_however_a_block_ends(two_threads, load):
    two_threads()
    load(True)
    with pytest.raises(KeyError), threads.fitting_threads(torch.nn.Linear(2, 2)): raise KeyError
    assert torch.get_num_threads() == 2


def test_a_larger_model_keeps_its_threads_and_hears_why_it_is_slow(two_threads, load, monkeypatch):
    import selfloop_nb
    two_threads()
    load(True)
    large = torch.nn.Linear(1000, 1001)
    for late in (True, False):
        monkeypatch.setattr(selfloop_nb, "torch_came_first", late)
        with threads.fitting_threads(large) as choice: assert torch.get_num_threads() == 2
        assert choice.n_threads is None and ("import selfloop_nb first" in choice.why) == late


def test_nobody_knows_the_load(monkeypatch):
    "As on Windows."
    monkeypatch.delattr(os, "getloadavg")
    assert not threads.Load().is_busy()


@pytest.mark.parametrize("load, own, is_busy", [(0.5, 0, False), (2.0, 2.0, False), (3.0, 0.0, True), (6.0, 0.4, True)])
def test_busy_is_what_others_fill(load, own, is_busy, monkeypatch):
    clock = iter([0.0, 10.0])
    cpu = iter([0.0, 10.0 * own])
    monkeypatch.setattr(threads.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(threads.time, "process_time", lambda: next(cpu))
    monkeypatch.setattr(threads, "n_cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert threads.Load().is_busy() == is_busy
