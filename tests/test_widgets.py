"The control room under attack: clicks at the wrong time, folders that vanish, hostile text, places without threads. No browser here."
import shutil, time
from concurrent.futures import ThreadPoolExecutor

import pytest
from selfloop_nb import dashboard, open_run
from small import small_loop


def until(true, seconds=30):
    "Wait for something to become true."
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end: time.sleep(0.02)
    return true()


@pytest.fixture
def room(tmp_path):
    "A control room of a loop that has made one round."
    loop = small_loop(tmp_path / "run")
    loop.step()
    return dashboard(loop)


def click(room, *names):
    for name in names: room.buttons[name].click()


def test_a_stop_that_follows_at_once_is_heard(room):
    for _ in range(20):
        click(room, "Step", "Stop")
        assert room.worker.wait(60) and room.worker.error is None
    assert len(room.loop.rounds) == 2, "not one of twenty rounds was made"
    click(room, "Step")
    assert room.worker.wait(60) and len(room.loop.rounds) == 3, "and the stop is forgotten after it"


def test_clicks_in_the_wrong_state_are_answered(room):
    click(room, "Stop"); assert "nothing is running" in room.answer.value
    click(room, "Pause"); assert "nothing is running" in room.answer.value
    click(room, "Step")
    for name in ("Step", "Run", "Rewind", "Branch", "Export"):
        click(room, name)
        assert "busy" in room.answer.value, name
    click(room, "Stop")
    assert room.wait(60) and room.worker.error is None
    room.back_to.value = 99
    click(room, "Rewind"); assert "round 99 is not on branch" in room.answer.value
    room.branch_name.value = "../etc"
    click(room, "Branch"); assert "is no name for a branch" in room.answer.value


def test_many_hands_on_the_buttons(room):
    "Clicks from eight threads at once: one round is made at a time, and none is half."
    with ThreadPoolExecutor(8) as hands: list(hands.map(lambda _: click(room, "Step"), range(8)))
    assert room.worker.wait(120) and room.worker.error is None
    assert len(room.loop.rounds) == 3 and not room.loop.store.verify(room.loop.rounds[-1].id)


def test_report_and_figures(room):
    click(room, "Export")
    assert room.wait(120) and room.worker.error is None and "report.html" in room.answer.value
    made = {path.name for path in (room.loop.store.path / "figures").iterdir()}
    assert {"accuracy.pdf", "scores.svg", "history.csv", "captions.txt"} <= made


def test_a_run_that_another_kernel_makes_is_followed(room):
    guest = dashboard(open_run(room.loop.store.path))
    assert guest.wait(60) and "round 1 is done" in guest.status.value
    before = guest.charts["accuracy"].value
    room.loop.step()
    assert until(lambda: "round 2 is done" in guest.status.value), guest.status.value
    assert guest.wait(60) and guest.charts["accuracy"].value != before and not guest.publisher.errors


def test_without_threads_a_button_returns_when_its_work_is_done(tmp_path):
    room, seen = dashboard(small_loop(tmp_path / "run"), threads=False), []
    room.status.observe(lambda change: seen.append(change["new"]), "value")
    click(room, "Step")
    assert len(room.loop.rounds) == 2 and room.publisher.flush()
    assert room.worker.thread is None and room.publisher.thread is None and room.painter.thread is None
    assert any("tune" in text for text in seen) and "round 1 is done" in seen[-1]
    assert room.charts["scores"].value[:4] == b"\x89PNG"


def test_an_interrupt_without_threads_is_said(tmp_path):
    room = dashboard(small_loop(tmp_path / "run"), threads=False)
    def interrupt(event):
        if event.kind == "loss": raise KeyboardInterrupt
    room.loop.on(interrupt)
    click(room, "Step")
    assert room.publisher.flush() and "KeyboardInterrupt" in room.status.value and not room.loop.rounds
    room.loop.listeners.remove(interrupt)
    click(room, "Step")
    assert len(room.loop.rounds) == 2 and room.worker.error is None


def test_a_run_folder_that_has_vanished(room):
    folder = room.loop.store.path
    shutil.move(folder, folder.with_name("elsewhere"))
    for press in (lambda: room.rewind(0), room.step, room.export):
        press()
        assert room.wait(60) and "is gone" in room.status.value
    assert not folder.exists(), "and nothing was begun in its place"
    shutil.move(folder.with_name("elsewhere"), folder)
    click(room, "Step")
    assert room.wait(60) and "round 2 is done" in room.status.value


def test_a_scorer_that_fails_costs_no_round_and_can_be_mended(room):
    good = room.loop.score
    room.loop.change(score=lambda samples: [1.0])
    click(room, "Step")
    assert room.wait(60) and "returned 1 scores for 80 samples" in room.status.value and len(room.loop.rounds) == 2
    room.loop.change(score=good)
    click(room, "Step")
    assert room.wait(60) and "round 2 is done" in room.status.value
