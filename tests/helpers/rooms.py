"A control room under test: what is clicked, and what it says."
import pytest
from selfloop_nb import dashboard
from small import small_loop
from waiting import wait_until


@pytest.fixture
def room(tmp_path):
    "A control room of a loop that has made one round."
    loop = small_loop(tmp_path / "run")
    loop.step()
    return dashboard(loop)


def click(room, *names):
    for name in names: room.buttons[name].click()


def answered(room, name):
    "What the room answers to a click."
    click(room, name)
    return room.answer.value


def done(room):
    "Wait until nothing is going on; was it without an error?"
    wait_until(room.wait)
    return room.worker.error is None


def says(room, text):
    "Wait until the room is at rest and its status says this."
    wait_until(lambda: room.wait() and text in room.status.value)
