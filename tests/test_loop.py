"How a run ends, what it tells, and what a run that is only opened can show."
import threading, time
from dataclasses import dataclass

import pytest
from listening import messages_of, trained_on
from selfloop_nb import FineTune, Threshold, from_dataset
from small import small_loop


@pytest.mark.parametrize("rule, message", [
    (dict(target=0.0), "held-out accuracy 0.000 has reached the target 0"),
    (dict(patience=1), "no progress on held-out data for 1 rounds"),
    (dict(minutes=1e-6), "1e-06 minutes are up"),
])
def test_stop_rules(rule, message):
    loop = small_loop()
    messages = messages_of(loop)
    history = loop.run(rounds=9, **rule)
    assert len(history) < 10
    assert f"stopped after round {history['round'].iloc[-1]}: {message}" in messages


@dataclass(frozen=True)
class Never:
    "A guard of a user that finds fault with round 2."
    stop:bool
    def __call__(self, history): return "the moon is full" if history[-1]["round"] == 2 else ""


@pytest.mark.parametrize("stop", [False, True])
def test_a_guard_warns_or_stops(stop):
    loop = small_loop(guards=(Never(stop),))
    messages = messages_of(loop)
    history = loop.run(rounds=3)
    assert len(history) == (3 if stop else 4)
    assert "round 2: the moon is full" in messages
    assert loop.rounds[2].warnings == ["the moon is full"]
    assert ("stopped after round 2: a guard asks for it: the moon is full" in messages) == stop


def test_rounds_mean_more_rounds_and_counts_add_up():
    loop = small_loop()
    loop.run(rounds=1)
    history = loop.run(rounds=2)
    assert list(history["round"]) == [0, 1, 2, 3]
    assert (history["n_sampled"] == history["n_kept"] + history["n_rejected"] + history["n_quarantined"]).all()
    for number in (1, 2, 3):
        samples = loop.samples(number)
        states, reasons = samples["state"][:], samples["reason"][:]
        assert states.count("kept") == history["n_kept"][number]
        assert all((reason == "") == (state == "kept") for state, reason in zip(states, reasons))


def test_what_is_doubted_is_told_once(tmp_path, capsys):
    "As the run is opened; it stands in the record of M_0, too."
    rows = [dict(prompt=f"{i}+1=", completion=str(i + 1)) for i in range(20)]
    task = from_dataset(rows, prompts=[{"prompt": "1+2="}], heldout=rows[:3])
    loop = small_loop(tmp_path / "run", task=task, progress=True)
    loop.start()
    assert loop.rounds[0].warnings[0].startswith("3 held-out rows stand in D_train, too")
    assert capsys.readouterr().err.count("3 held-out rows stand in D_train, too") == 1


def pairs(rows):
    "Prompt and completion of some rows, sorted."
    return sorted((row["prompt"], row["completion"]) for row in rows)


def test_the_mix_is_what_the_formula_says(tmp_path, monkeypatch):
    "D_t = D_train + K_1 + ... + K_t, seen by the trainer itself."
    loop = small_loop(tmp_path / "run")
    seen = trained_on(monkeypatch)
    loop.run(rounds=2)
    first, second = ([row for row in loop.samples(n) if row["state"] == "kept"] for n in (1, 2))
    train = loop.task.train.to_list()
    tables = [pairs(table) for _, table in seen]
    assert tables == [pairs(train), pairs(train + first), pairs(train + first + second)]


def test_tuning_from_the_base_model_starts_at_M_0(monkeypatch):
    from selfloop_nb import FineTune
    loop = small_loop(tune=FineTune(steps=5, batch_size=16, start="base"))
    seen = trained_on(monkeypatch)
    loop.run(rounds=2)
    _, first, second = (model.weights_hash() for model, _ in seen)
    assert first == second == loop.language_model(0).weights_hash()


def test_an_opened_run_shows_all_that_the_loop_shows(tmp_path):
    from selfloop_nb import open_run
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=2)
    opened = open_run(tmp_path / "run")
    assert opened.history().equals(loop.history())
    assert opened.samples(1).to_list() == loop.samples(1).to_list()
    assert opened.losses(2) == loop.losses(2)
    assert len(opened.losses(2)) == 20
    assert "sample" in opened.report(tmp_path / "report.html").read_text(encoding="utf-8")
    files = {path.name for path in opened.export(tmp_path / "figures")}
    assert {"accuracy.png", "accuracy.svg", "accuracy.pdf", "history.csv", "samples.csv", "captions.txt"} <= files


def test_padding_is_little_and_recorded(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    assert loop.history()["padding_share"].max() < 0.1


def test_paused_loop_gives_the_same_bytes(tmp_path):
    "Pause holds a round in the middle of each phase that can be held; what comes out is as if nothing had been."
    plain, held = small_loop(tmp_path / "plain"), small_loop(tmp_path / "held")
    pauses = []

    def hold(event):
        if event.kind in ("progress", "loss") and event.phase not in pauses:
            pauses.append(event.phase)
            held.pause()
            threading.Timer(0.2, held.resume).start()

    held.on(hold)
    plain.run(rounds=1)
    held.run(rounds=1)
    assert set(pauses) == {"sample", "tune", "measure"}
    assert held.language_model().weights_hash() == plain.language_model().weights_hash()
    assert held.samples()["completion"][:] == plain.samples()["completion"][:]
    assert not held.paused
    assert held.control.seconds_held > 0


def test_a_stop_ends_a_pause(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    def pause_then_stop(event):
        if event.kind == "loss" and event.data["step"] == 1:
            loop.pause()
            threading.Timer(0.2, loop.stop).start()
    loop.on(pause_then_stop)
    loop.run(rounds=1)
    assert len(loop.rounds) == 1


def test_settings_changed_in_mid_round_count_from_the_next(tmp_path):
    loop = small_loop(tmp_path / "run")
    def change(event):
        if event.kind == "loss" and event.round == 1: loop.change(select=Threshold(0.0))
    loop.on(change)
    loop.run(rounds=1)
    assert loop.select == Threshold(0.0) and "theta=0" in repr(loop), "what is shown is what comes next"
    assert loop.branch("other").select == Threshold(0.0), "and so is what begins here"
    loop.run(rounds=1)
    assert [r.config["select"]["theta"] for r in loop.rounds[1:]] == [1.0, 0.0]


def test_what_is_changed_in_a_round_that_fails_holds_for_a_branch(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.start()
    def change(event):
        if event.kind != "scored": return
        loop.change(select=Threshold(0.0))
        raise KeyboardInterrupt
    loop.on(change)
    with pytest.raises(KeyboardInterrupt): loop.step()
    assert loop.branch("other").select == Threshold(0.0)


def test_loops_that_run_at_once_and_whoever_draws_meanwhile_change_nothing(tmp_path):
    import torch
    alone = small_loop(tmp_path / "alone")
    alone.run(rounds=2)
    loops = [small_loop(tmp_path / name) for name in ("one", "two")]
    threads = [threading.Thread(target=loop.run, args=(2,)) for loop in loops]
    for thread in threads: thread.start()
    while any(thread.is_alive() for thread in threads): torch.manual_seed(0) # as in the next cell
    for loop in loops: assert [r.files for r in loop.rounds] == [r.files for r in alone.rounds]


def test_a_loop_that_waits_to_train_stops_when_it_is_asked_to(tmp_path):
    from selfloop_nb.backend.trainer import one_at_a_time
    loop = small_loop(tmp_path / "run")
    runs = threading.Thread(target=loop.run, args=(1,))
    with one_at_a_time.turn(lambda: False):
        runs.start()
        loop.stop()
        runs.join()
        assert not loop.rounds


def test_while_a_loop_is_paused_another_one_trains(tmp_path):
    paused, other = small_loop(tmp_path / "paused"), small_loop(tmp_path / "other")
    paused.on(lambda event: event.kind == "loss" and paused.pause())
    runs = threading.Thread(target=paused.start)
    runs.start()
    while not paused.paused and runs.is_alive(): time.sleep(0.01)
    other.start()
    assert len(other.rounds) == 1 and not paused.rounds
    paused.listeners.clear()
    paused.resume()
    runs.join()
    assert [r.files for r in paused.rounds] == [r.files for r in other.rounds]


def test_a_task_that_is_given_other_data_is_no_longer_that_of_the_run(tmp_path):
    from selfloop_nb.backend.core import SelfloopError
    loop = small_loop(tmp_path / "run")
    loop.start()
    before, loop.task.train = loop.task.train, loop.task.train.select(range(5))
    with pytest.raises(SelfloopError, match="was made with task .* this loop has .*: use the same, or another store"):
        loop.step()
    loop.task.train = before
    assert loop.step().number == 1


def rates(how, n_rows=64):
    "The learning rate of each step, as Trainer is told to set it."
    import torch
    from transformers import TrainingArguments, get_scheduler
    from selfloop_nb.backend.trainer import n_steps, shortened_warmup, trainer_arguments
    steps, warm = n_steps(how, n_rows), shortened_warmup(how, n_rows)
    told = TrainingArguments(**trainer_arguments(warm, 0, "unused", torch.device("cpu")))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=told.learning_rate)
    schedule = get_scheduler(told.lr_scheduler_type, optimizer, told.get_warmup_steps(steps), steps,
                             told.lr_scheduler_kwargs)
    for _ in range(steps):
        yield schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("warmup", [0, 0.001, 0.1, 0.5, 0.99])
def test_no_step_has_a_learning_rate_of_0(warmup):
    for steps in (*range(1, 40), 150, 1000):
        found = list(rates(FineTune(steps=steps, warmup=warmup)))
        peak = found.index(max(found))
        assert len(found) == steps and 0 < min(found) <= max(found) == FineTune().lr
        assert found[:peak + 1] == sorted(found[:peak + 1]) and found[peak:] == sorted(found[peak:], reverse=True)
        assert peak <= warmup * steps
    assert min(rates(FineTune(steps=None, epochs=0.3, batch_size=4, warmup=warmup))) > 0
