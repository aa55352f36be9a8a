"""Views in a notebook that is used: cells run again, rooms shown once more, other branches, other threads.

A view asks the loop what goes on, lets go of all it has when it goes, and shows whatever there is to show.
"""
import copy, gc, pickle, sys, threading
from html import unescape

import pytest
from hostile_texts import commit_round, hostile_table
from ipywidgets import widgets
from made_up import made_up_run
from selfloop_nb import Threshold, browse, compare, dashboard, explore, open_run, rate, tree
from selfloop_nb.backend.core import RunLockedError, SelfloopError
from selfloop_nb.storage.store import Run
from small import half_digits, small_loop
from waiting import wait_until
from rooms import answered, click, done, room, says

pytestmark = pytest.mark.usefixtures("warm_python")


# ---- a run that goes


def test_a_run_folder_that_vanishes_is_said_in_every_view(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=2)
    run = open_run(tmp_path / "run")
    room = dashboard(run)
    explorer, browser = explore(run), browse(run)
    climber = tree(run)
    assert room.wait()
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    room.live.round = 1
    assert "is gone: put it back" in room.live.samples["title"] and not room.live.samples["rows"]
    wait_until(lambda: "is gone" in room.status.value)
    for view in (explorer, browser):
        view.rounds.value = 1
        assert "is gone: put it back" in view.answer.value
    climber.again.click()
    assert "is gone" in climber.answer.value
    (tmp_path / "elsewhere").rename(tmp_path / "run")
    explorer.rounds.value = 2
    room.live.round = 2
    assert explorer.seen is not None and room.live.scores["round"] == 2 and len(room.live.samples["rows"]) == 8


def numbers(view): return [number for _, number in view.rounds.options]


def test_a_run_that_goes_on_elsewhere_is_followed(room):
    run = open_run(room.loop.store.path)
    views = explore(run), browse(run), rate(run)
    room.loop.step()
    wait_until(lambda: all(numbers(view) == [1, 2] for view in views))
    for view in views: view.rounds.value = 2
    views[0].watcher.close() # nobody tells it that round 2 goes
    room.loop.rewind(1)
    wait_until(lambda: all(numbers(view) == [1] for view in views[1:]))
    views[0].rounds.value = 1
    views[0].rounds.value = 2
    assert "round 2 is not on branch" in views[0].answer.value
    room.loop.rewind(0)
    wait_until(lambda: not any(map(numbers, views[1:])))
    wait_until(lambda: "nothing is written yet" in views[1].answer.value)
    assert not views[1].live.samples["rows"], "no sample of a round that is gone"


# ---- views that are made again, closed, or shown once more


def views_of(loop):
    "One view of each kind, as a cell makes them."
    return [dashboard(loop), explore(loop), browse(loop), tree(loop), compare(loop), rate(loop)]


class Census:
    "What has come to life since: who listens to the loop, threads of views, widgets; other tests may have left some."
    def __init__(self, loop):
        gc.collect()
        self.loop = loop
        self.listeners = len(loop.listeners)
        self.threads, self.widgets = set(threading.enumerate()), set(widgets.widget._instances)

    def __call__(self):
        gc.collect()
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("selfloop")]
        return (len(self.loop.listeners) - self.listeners, len(set(threads) - self.threads),
                len(set(widgets.widget._instances) - self.widgets))


def at_rest(views):
    "Wait until nothing is drawn any more."
    wait_until(views[0].wait)
    for view in views[1:]:
        if view.publisher: wait_until(view.publisher.flush)


def test_views_that_are_made_again_leave_nothing_behind(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.step()
    census = Census(loop)
    views = views_of(loop)
    at_rest(views)
    wait_until(lambda: census()[1] == 0)
    one_set = census()
    for _ in range(15): views = views_of(loop)
    at_rest(views)
    wait_until(lambda: census() == one_set)
    for view in views: view.close()
    assert census() == (0, 0, 0) and len(loop.rounds) == 2


def test_a_view_that_is_closed_is_told_nothing(room):
    at_rest([room])
    room.close()
    room.close()
    shown = room.status.value
    room.loop.step()
    assert not room.loop.listeners and room.status.value == shown


class Cell:
    "A cell that is run again and again, as the views see it."
    def __init__(self, monkeypatch):
        self.n_runs = 0
        monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: Shown())
        monkeypatch.setattr("selfloop_nb.views.view._cell", lambda: ("the cell", self.n_runs))
        monkeypatch.setattr("selfloop_nb.views.view._SHOWN", {})

    def run(self, *views):
        self.n_runs += 1
        for view in views: view._ipython_display_()
        return views


class Shown:
    "A plain output that is shown."
    def __init__(self): self.updates = []
    def update(self, output, raw): self.updates.append(output)


def test_what_a_cell_shows_anew_takes_the_place_of_the_old(tmp_path, monkeypatch):
    loop, cell = small_loop(tmp_path / "run"), Cell(monkeypatch)
    loop.step()
    first, explorer = cell.run(dashboard(loop), explore(loop))
    cell.run(first, explorer)
    assert len(loop.listeners) == 2, "the same once more is no other"
    second, other = cell.run(dashboard(loop), dashboard(loop))
    assert first.box.comm is None and len(loop.listeners) == 3, "two in one cell, and the explorer"
    kept = [second, other]
    del first
    cell.run(dashboard(loop))
    assert len(loop.listeners) == 2 and all(room.box.comm is None for room in kept)


def test_an_output_that_a_cell_has_put_anew_is_renewed_no_more(tmp_path, monkeypatch):
    room, cell = dashboard(small_loop(tmp_path / "run")), Cell(monkeypatch)
    for _ in range(15): cell.run(room)
    assert len(room.static) == 2, "the picture and the table, once"
    cell.run(room, room)
    monkeypatch.setattr("selfloop_nb.views.view._cell", lambda: ("another cell", 0))
    room._ipython_display_()
    assert len(room.static) == 6, "twice in one run of a cell, and once in another cell"


def test_what_a_picture_warns_of_stands_above_the_charts(tmp_path, monkeypatch):
    "Such as letters that no font has: below it would be one of the outputs that they hide, and the last one seen."
    view, cell = explore(small_loop(tmp_path / "run")), Cell(monkeypatch)
    order = []
    def show(*args, **kwargs):
        order.append("shown")
        return Shown()
    def draw(self):
        order.append("drawn")
        return [{"text/plain": "picture"}]
    monkeypatch.setattr("IPython.display.display", show)
    monkeypatch.setattr(type(view), "plain", draw)
    cell.run(view)
    assert order == ["drawn", "shown", "shown"]


def test_a_saved_notebook_has_the_round_that_is_said_to_be_done(tmp_path, monkeypatch):
    room, cell = dashboard(small_loop(tmp_path / "run")), Cell(monkeypatch)
    cell.run(room)
    assert room.plain()[0] == {"text/plain": "no round is made yet"}, "no picture of nothing"
    tables = []
    def note_table(change):
        if "round 1 is done" in change["new"]: tables.append(room.static[1][1].updates[-1]["text/html"])
    room.status.observe(note_table, "value")
    click(room, "Step")
    says(room, "round 1 is done")
    assert "<td>1</td>" in tables[0]
    wait_until(lambda: "image/png" in room.static[0][1].updates[-1])


# ---- Stop, Pause and status ask the loop


@pytest.fixture
def held(room):
    "A room whose loop is in the middle of tuning, and waits there for an event."
    room.gate, tuning = threading.Event(), threading.Event()
    def hold(event):
        if event.kind != "loss": return
        tuning.set()
        room.gate.wait()
    room.loop.on(hold)
    click(room, "Step")
    tuning.wait()
    room.loop.control.off(hold)
    yield room
    room.gate.set()
    assert done(room)


def test_a_room_that_is_shown_in_mid_round_steers_it(held):
    again = dashboard(held.loop)
    assert again.publisher.flush() and "round 2: tune" in again.status.value and 0 < again.bar.value <= 1
    assert "busy" in answered(again, "Step") and "paused" in answered(again, "Pause")
    assert held.loop.paused and again.publisher.flush() and again.buttons["Pause"].description == "Go on"
    click(again, "Pause")
    assert "stopping" in answered(again, "Stop")
    held.gate.set()
    assert done(again) and not held.worker.busy and len(held.loop.rounds) == 2
    says(again, "round 1 is done")


def test_no_press_elsewhere_erases_a_stop(held):
    other = dashboard(held.loop)
    click(held, "Stop")
    for name in ("Step", "Run", "Rewind", "Branch", "Export"): assert "busy" in answered(other, name), name
    for press in (held.loop.step, held.loop.run, held.loop.start):
        try: press()
        except RunLockedError: pass
    held.gate.set()
    assert done(other) and len(held.loop.rounds) == 2, "the round that was stopped does not count"


def test_a_loop_that_a_cell_runs_is_steered_by_a_room(room):
    loop, tuning = room.loop, threading.Event()
    loop.on(lambda event: tuning.set() if event.kind == "loss" else None)
    cell = threading.Thread(target=loop.run, kwargs=dict(rounds=50), daemon=True)
    cell.start()
    tuning.wait()
    assert "busy" in answered(room, "Step")
    assert "stopping" in answered(room, "Stop")
    cell.join()
    assert done(room) and len(loop.rounds) < 50


def test_a_cell_that_makes_the_loop_anew_finds_the_one_at_work(held):
    "The cell holds `loop = Loop(...)` as well: the new room has another loop on the same folder."
    loop = small_loop(held.loop.store.path)
    again = dashboard(loop)
    assert again.publisher.flush() and "another loop of this run, round 2: tune" in again.status.value
    assert "busy" in answered(again, "Step") and "stopping" in answered(again, "Stop")
    held.gate.set()
    assert done(again) and len(loop.rounds) == 2
    click(again, "Step")
    says(again, "round 2 is done")


def test_an_error_is_seen_in_a_room_that_is_made_again(room):
    room.loop.change(score=lambda samples: [1.0])
    click(room, "Step")
    says(room, "returned 1 scores for 80 samples")
    says(dashboard(room.loop), "returned 1 scores for 80 samples")


def test_what_is_applied_is_what_is_seen(room):
    room.live.theta = 0.25 # dragged, over the scores of round 1
    click(room, "Step")
    says(room, "round 2 is done")
    assert "drag" in answered(room, "Apply θ") and room.loop.select == Threshold(1.0)


def test_what_is_no_number_of_rounds_is_named(room):
    for rounds in (-1, 2.5, "2"):
        room.run(rounds)
        assert f"rounds={rounds!r}" in unescape(room.answer.value) and not room.busy


# ---- branches


def choose(room, branch): room.branches.value = branch


def test_the_list_of_branches_leads_back(room):
    main = room.loop
    room.branch_name.value = "second"
    click(room, "Branch", "Step")
    says(room, "second: round 2 is done")
    assert room.branches.options == ("main", "second") and room.branches.value == "second"
    choose(room, "main")
    assert room.loop is main and "on branch main" in room.answer.value
    says(room, "main: round 1 is done")
    third = main.branch("third")
    wait_until(lambda: "third" in room.branches.options)
    choose(room, "third")
    assert room.loop is third and not room.buttons["Step"].disabled


def test_a_branch_without_a_loop_is_there_to_look_at(room):
    room.loop.branch("old")
    again = dashboard(small_loop(room.loop.store.path))
    says(again, "main: round 1 is done")
    choose(again, "old")
    assert again.buttons["Step"].disabled and "no loop in this kernel" in again.answer.value
    says(again, "old: round 1 is done")
    choose(again, "main")
    assert not again.buttons["Step"].disabled
    guest = dashboard(open_run(room.loop.store.path))
    says(guest, "to look at")
    choose(guest, "old")
    says(guest, "old: round 1 is done")
    assert guest.buttons["Step"].disabled and not guest.buttons["Export"].disabled


# ---- without threads


def test_without_threads_the_last_state_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", None)
    loop = small_loop(tmp_path / "run", score=half_digits, select=Threshold(0.5))
    loop.step()
    room, explorer = dashboard(loop), explore(loop)
    shown, pair = tree(loop), compare(loop)
    click(room, "Step")
    assert "round 2 is done" in room.status.value and not room.publisher.changed
    assert room.live.history["round"] == [0, 1, 2] and room.live.scores["round"] == 2
    assert len(shown.rounds) == 3 and pair.round.max == 2
    for i in range(20): explorer.theta = i / 20
    n_kept = explorer.seen.preview.at(0.95).n_kept
    assert explorer.choices()["θ = 0.95"].n_kept == n_kept and f">{n_kept:,}<" in explorer.table.value


# ---- what is drawn


def test_a_hand_and_a_choice_at_once(tmp_path):
    "Theta is moved while another round is chosen: in the end chart, table and round are those of one another."
    loop = small_loop(tmp_path / "run", score=half_digits, select=Threshold(0.5))
    loop.run(rounds=2)
    explorer = explore(loop)
    for i in range(40):
        explorer.theta = (i % 20) / 20
        explorer.rounds.value = 1 + i % 2
        explorer.theta = (i % 7) / 7
    assert explorer.publisher.flush() and not explorer.publisher.errors
    alone = explore(loop, round=explorer.rounds.value)
    alone.theta = explorer.theta
    assert alone.publisher.flush()
    assert explorer.live.table == alone.live.table and explorer.table.value == alone.table.value
    assert explorer.plain()[0] == alone.plain()[0]


HUGE = sys.float_info.max


@pytest.mark.parametrize("scores", ([1e308, -1e308, 0.0], [HUGE, HUGE, HUGE], [-0.0, 0.0, -0.0], [0.3, 0.3, 0.3],
                                    [1e16, 1e16, 1e16], [5e-324, 0.0, 1e-323], [HUGE, 1.0, 2.0]), ids=str)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_any_finite_score_is_drawn(tmp_path, scores):
    table = hostile_table().select(range(3))
    for name, values in dict(completion=["a", "b", "c"], score=scores, state=["kept"] * 3, reason=[""] * 3).items():
        table = table.remove_columns(name).add_column(name, values)
    run = Run.create(tmp_path / "run", {"seed": 0})
    commit_round(run, 0, None)
    commit_round(run, 1, "0000-x", table)
    opened = open_run(run.path)
    explorer, pair = explore(table), compare(opened)
    edges = explorer.live.scores["edges"]
    explorer.theta = edges[-1]
    assert explorer.publisher.flush() and not explorer.publisher.errors
    assert edges[0] < edges[-1] and sum(explorer.live.scores["open"]) == 3
    assert pair.answer.value == "" and len(pair.live.others["0/scores"]) == 200
    assert all("image/png" in output for output in (explorer.plain()[0], *pair.plain()[:2]))
    room = dashboard(opened)
    assert room.wait() and not room.publisher.errors and "no picture" not in room.answer.value
    assert opened.report().stat().st_size > 10_000


def test_a_room_reads_texts_of_one_round_and_each_loss_once(tmp_path, monkeypatch):
    run = open_run(made_up_run(tmp_path / "run", 12).path)
    tables, trainings = [], []
    def noting(method, numbers):
        def noted(self, number):
            numbers.append(number)
            return method(self, number)
        return noted
    monkeypatch.setattr(Run, "samples", noting(Run.samples, tables))
    monkeypatch.setattr(Run, "losses", noting(Run.losses, trainings))
    room = dashboard(run)
    assert room.publisher.flush() and room.live.spread["rounds"] == list(range(1, 13))
    assert tables == [12] and trainings == list(range(13))
    room.live.refresh()
    assert tables == [12] and trainings == list(range(13)) and len(room.live.losses) == 13


STYLES = {"tex": {"text.usetex": True},
          "black": {"savefig.facecolor": "black", "lines.linestyle": ":", "font.size": 40},
          "tight": {"savefig.bbox": "tight", "savefig.transparent": True, "figure.autolayout": True}}


@pytest.mark.parametrize("style", STYLES)
def test_a_notebooks_own_style_changes_no_picture(tmp_path, style):
    from matplotlib import rc_context
    from selfloop_nb.charts.rounds import heldout_loss_plot
    from selfloop_nb.charts.look import png
    run = open_run(made_up_run(tmp_path / "run", 2).path)
    def drawn():
        pair = compare(run)
        return [pair.plain()[:2], explore(run).plain()[0], png(heldout_loss_plot(run.history()))]
    usual = drawn()
    with rc_context(STYLES[style]): assert drawn() == usual


def test_a_long_sample_is_there_to_its_end(tmp_path):
    table = hostile_table().select(range(3))
    for name, values in dict(completion=["word " * 5000 + "THE END"] * 3, prompt=["why? " * 500] * 3).items():
        table = table.remove_columns(name).add_column(name, values)
    run = Run.create(tmp_path / "run", {"seed": 0})
    commit_round(run, 0, None)
    commit_round(run, 1, "0000-x", table)
    room, browser = dashboard(open_run(run.path)), browse(table)
    shown = tree(open_run(run.path))
    assert room.wait()
    card = room.live.samples["rows"][0]
    for found in (card, shown.live.samples["rows"][0]):
        assert len(found["completion"]) == 20_000 and found["more"] == dict(completion=5_007)
        assert len(found["prompt"]) == 2_500
    assert browser.live.samples["rows"][0]["completion"].endswith("THE END")
    cards = browser.plain()[0]["text/html"]
    assert "THE END</b></code></details>" in cards and "(24,607 more characters)" in cards
    assert "all of it: 2,500 characters of prompt, 25,007 written" in cards


@pytest.mark.parametrize("view", ["dashboard", "explore", "browse", "tree", "compare"])
@pytest.mark.parametrize("source", [5, None, [1, 2]], ids=str)
def test_what_is_no_run_is_named(view, source):
    import selfloop_nb
    with pytest.raises(ValueError, match="is no run|has no name"): getattr(selfloop_nb, view)(source)


def test_before_the_first_round_a_view_says_so(tmp_path):
    early = explore(small_loop(tmp_path / "run"))
    for ask in (lambda: early.theta, early.choices):
        with pytest.raises(SelfloopError, match="make a round first"): ask()
    early.apply()
    assert "make a round first" in early.answer.value
    with pytest.raises(ValueError, match="theta='0.5'"): early.theta = "0.5"


def test_a_table_is_shown_in_whatever_hands_it_is(room, tmp_path):
    table = room.loop.samples(1)
    frame = table.to_pandas()
    for held in (frame[frame["n_tokens"] > 0], table.to_list(), table.to_dict()):
        assert len(browse(held).found) == len(explore(held).seen.samples) == len(table)
        assert rate(held, ratings=tmp_path / "ratings.jsonl").samples["prompt"][:] == table["prompt"][:]
    with pytest.raises(ValueError, match="open it first, open_run"): dashboard(str(room.loop.store.path))


def test_a_loop_and_its_views_are_not_copied(room):
    for live in (room, room.loop, browse(room.loop)):
        for copied in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="hand on the run folder"): copied(live)
    for listener in (5, lambda: None):
        with pytest.raises(ValueError, match="is no listener: give a function of an event"): room.loop.on(listener)
    with pytest.raises(ValueError, match="font_scale=0: it must be in"): dashboard(room.loop, font_scale=0)


def test_a_table_without_what_is_shown_is_named():
    from datasets import Dataset
    texts = Dataset.from_dict(dict(prompt=["a"], completion=["b"]))
    with pytest.raises(ValueError, match=r"lacks the columns \['score', 'prompt_id', .*'finished'\]"): explore(texts)
    for name, values in dict(score=["high"], completion=[["b"]]).items():
        row = dict(prompt=["a"], completion=["b"], score=[0.5], state=["kept"], reason=[""])
        odd = Dataset.from_dict(row | {name: values})
        with pytest.raises(ValueError, match=f"column '{name}': .* is needed"): browse(odd)
    prompts = texts.remove_columns("completion")
    with pytest.raises(ValueError, match=r"lacks the columns \['completion'\]"): browse(prompts)


@pytest.mark.parametrize("view", ["explore", "browse", "rate"])
def test_a_round_that_cannot_be_shown_is_named(view, tmp_path):
    import selfloop_nb
    loop = small_loop(tmp_path / "run")
    loop.step()
    with pytest.raises(ValueError, match=r"round=0: it has no samples here; there are those of \[1\]"):
        getattr(selfloop_nb, view)(loop, round=0)
