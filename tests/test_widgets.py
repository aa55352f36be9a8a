"""The control room under attack: clicks at the wrong time, folders that vanish, hostile text, places without threads.

No browser here.
"""
import shutil
from concurrent.futures import ThreadPoolExecutor

from selfloop_nb import dashboard, open_run
from rooms import answered, click, done, room, says
from small import small_loop
from waiting import wait_until


def test_a_stop_that_follows_at_once_is_heard(room):
    for _ in range(20):
        click(room, "Step", "Stop")
        assert done(room)
    assert len(room.loop.rounds) == 2, "not one of twenty rounds was made"
    click(room, "Step")
    assert done(room) and len(room.loop.rounds) == 3, "and the stop is forgotten after it"


def test_clicks_in_the_wrong_state_are_answered(room):
    assert "nothing is running" in answered(room, "Stop")
    assert "nothing is running" in answered(room, "Pause")
    click(room, "Step")
    for name in ("Step", "Run", "Rewind", "Branch", "Export"): assert "busy" in answered(room, name), name
    click(room, "Stop")
    assert done(room)
    room.back_to.value = 99
    assert "round 99 is not on branch" in answered(room, "Rewind")
    room.branch_name.value = "../etc"
    assert "is no name for a branch" in answered(room, "Branch")


def test_a_warning_stands_once(tmp_path):
    def certain(history): return "" if len(history) < 2 else "this guard always warns"
    room = dashboard(small_loop(tmp_path / "run", guards=(certain,)))
    click(room, "Step")
    says(room, "round 1 is done")
    wait_until(lambda: "round 1: this guard always warns" in room.warned.value)
    assert "always warns" not in room.status.value


def test_many_hands_on_the_buttons(room):
    "Clicks from eight threads at once: one round is made at a time, and none is half."
    with ThreadPoolExecutor(8) as hands: list(hands.map(lambda _: click(room, "Step"), range(8)))
    assert done(room)
    assert len(room.loop.rounds) == 3
    assert not room.loop.store.verify(room.loop.rounds[-1].id)


def test_report_and_figures(room):
    click(room, "Export")
    assert done(room)
    assert "report.html" in room.answer.value
    names = {path.name for path in (room.loop.store.path / "figures").iterdir()}
    assert {"accuracy.pdf", "scores.svg", "history.csv", "captions.txt"} <= names


def test_a_run_that_another_kernel_makes_is_followed(room):
    guest = dashboard(open_run(room.loop.store.path))
    says(guest, "round 1 is done")
    room.loop.step()
    says(guest, "round 2 is done")
    wait_until(lambda: guest.live.history["round"] == [0, 1, 2] and guest.live.scores["round"] == 2)
    assert not guest.publisher.errors


def test_without_threads_a_button_returns_when_its_work_is_done(tmp_path):
    room = dashboard(small_loop(tmp_path / "run"), threads=False)
    seen = []
    room.status.observe(lambda change: seen.append(change["new"]), "value")
    click(room, "Step")
    assert len(room.loop.rounds) == 2 and room.publisher.flush()
    assert room.worker.thread is None and room.publisher.thread is None and room.painter.thread is None
    assert any(text.startswith("<b>round ") for text in seen[:-1]), "it is drawn while it works"
    assert "round 1 is done" in seen[-1]
    assert room.live.scores["round"] == 1 and room.live.history["round"] == [0, 1]


def test_an_interrupt_without_threads_is_said(tmp_path):
    room = dashboard(small_loop(tmp_path / "run"), threads=False)
    def interrupt(event):
        if event.kind == "loss": raise KeyboardInterrupt
    room.loop.on(interrupt)
    click(room, "Step")
    assert room.publisher.flush()
    assert "KeyboardInterrupt" in room.status.value
    assert not room.loop.rounds
    room.loop.listeners.remove(interrupt)
    click(room, "Step")
    assert len(room.loop.rounds) == 2 and room.worker.error is None


def test_a_run_folder_that_has_vanished(room):
    folder = room.loop.store.path
    shutil.move(folder, folder.with_name("elsewhere"))
    for press in (lambda: room.rewind(0), room.step, room.export):
        press()
        says(room, "is gone")
    assert not folder.exists(), "and nothing was begun in its place"
    shutil.move(folder.with_name("elsewhere"), folder)
    click(room, "Step")
    says(room, "round 2 is done")


def test_what_cannot_be_drawn_is_said(room):
    folder = room.loop.store.folder(room.loop.rounds[1].id)
    (folder / "samples.parquet").unlink() # to save space, by hand
    guest = dashboard(open_run(room.loop.store.path))
    wait_until(lambda: "not drawn, so what is shown may be old" in guest.answer.value)
    assert "samples.parquet" in guest.answer.value and "round 1 is done" in guest.status.value


def test_a_scorer_that_fails_costs_no_round_and_can_be_mended(room):
    good = room.loop.score
    room.loop.change(score=lambda samples: [1.0])
    click(room, "Step")
    says(room, "returned 1 scores for 80 samples")
    assert len(room.loop.rounds) == 2
    room.loop.change(score=good)
    click(room, "Step")
    says(room, "round 2 is done")
