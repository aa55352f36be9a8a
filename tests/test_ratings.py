"A rating that was given is never lost, and a loop that waits for people can be stopped, killed and resumed."
import json, os, signal, subprocess, sys, threading, time, warnings

import pytest
from browser import library_path
from small import low_digit, small_loop, small_task
from waiting import wait_until

from selfloop_nb import Threshold, agreement, dashboard, human, open_run, rate
from selfloop_nb.people.scorer import run_ratings, wanted
from selfloop_nb.storage.ratings import Ratings, sample_key
from selfloop_nb.backend.core import DamagedRunError, EmptyRoundError, ScoringError, Stopped
from selfloop_nb.scoring import as_scorer, score_samples

ROW = dict(sample_id="1-0", prompt="2+2=", completion="4")
RATER = """
import sys
from selfloop_nb.storage.ratings import Ratings
path, by, n, size = sys.argv[1:]
ratings = Ratings(path)
for i in range(int(n)):
    ratings.add(dict(prompt=f"{by} {i}", completion="x" * int(size)), i % 2, by)
    print(i, flush=True)
"""
WAITER = """
import sys
from small import small_loop
from selfloop_nb import human
small_loop(sys.argv[1], score=human(n=8)).run(rounds=1)
"""


OTHER_RATER = """
import sys
from selfloop_nb import open_run, rate
view = rate(open_run(sys.argv[1]), by="bob", n=4)
while view.to_rate: view.give(1)
"""


def python(code, *arguments):
    "A Python of its own that runs `code`."
    env = {**os.environ, "PYTHONPATH": library_path()}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def at_work(work, *arguments):
    "A thread that does it, and a list of what it raised."
    raised = []
    def run():
        try: work(*arguments)
        except Exception as error: raised.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def verdict(row):
    "What `low_digit` says of one sample."
    return low_digit({"completion": [row["completion"]], "sample_id": ["x"]})[0]


def rate_all(run, by="ann", n=None):
    "Give a verdict on what a run asks for, all or the first n."
    for row in list(wanted(run)[1])[:n]: run_ratings(run).add(row, verdict(row), by, "random")


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.1, 0.2])
def test_kill_9_while_rating_loses_nothing_that_was_given(tmp_path, seconds):
    path = tmp_path / "ratings.jsonl"
    rater = python(RATER, path, "ann", 100_000, 2000)
    rater.stdout.readline()
    time.sleep(seconds)
    rater.send_signal(signal.SIGKILL)
    given = 1 + len(rater.stdout.read().splitlines())
    rater.wait(), rater.stderr.close()
    with warnings.catch_warnings(record=True):
        ratings = Ratings(path)
    assert given <= len(ratings.verdicts("ann")) <= given + 1 and len(ratings.damaged) <= 1
    ratings.add(ROW, 1, "bob")
    with warnings.catch_warnings(record=True):
        assert Ratings(path).means()[sample_key(ROW)] == 1


def test_a_rating_is_on_the_disk_when_the_call_returns(tmp_path, monkeypatch):
    forced = []
    fsync = os.fsync
    def watched(handle):
        forced.append(os.path.realpath(f"/proc/self/fd/{handle}"))
        fsync(handle)
    monkeypatch.setattr(os, "fsync", watched)
    ratings = Ratings(tmp_path / "ratings.jsonl")
    ratings.add(ROW, 1, "ann")
    assert forced == [str(tmp_path / "ratings.jsonl"), str(tmp_path)], "the file, and its name in the folder"
    ratings.undo("ann")
    assert forced[2:] == [str(tmp_path / "ratings.jsonl")]


@pytest.mark.parametrize("size", [10, 200_000])
def test_two_people_at_once_lose_nothing(tmp_path, size):
    path = tmp_path / "ratings.jsonl"
    raters = [python(RATER, path, by, 60, size) for by in ("ann", "bob")]
    watching = Ratings(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(rater.poll() is None for rater in raters): watching.refresh()
        for rater in raters: assert rater.communicate()[1] == ""
        ratings = Ratings(path)
        watching.refresh()
    assert [len(ratings.verdicts(by)) for by in ("ann", "bob")] == [60, 60]
    assert watching.means() == ratings.means()
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_torn_line_is_said_and_costs_itself_only(tmp_path):
    path = tmp_path / "ratings.jsonl"
    Ratings(path).add(ROW, 1, "ann")
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ratings = Ratings(path)
        assert [str(warning.message)[:26] for warning in caught] == ["line 2 of ratings.jsonl is"]
        assert ratings.means() == {sample_key(ROW): 1}
    ratings.add({**ROW, "completion": "5"}, 0, "ann")
    assert len(ratings.means()) == 2 and path.read_bytes().endswith(b"}\n")


def test_a_last_line_without_its_end_counts_once(tmp_path):
    path = tmp_path / "ratings.jsonl"
    Ratings(path).add(ROW, 1, "ann")
    path.write_bytes(path.read_bytes()[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ratings = Ratings(path)
        assert ratings.means() == {sample_key(ROW): 1}
        ratings.refresh()
        ratings.add({**ROW, "completion": "5"}, 0, "ann")
        ratings.refresh()
        for opened in (ratings, Ratings(path)): assert len(opened.means()) == 2
    assert ratings.undo("ann")["completion"] == "5"
    assert ratings.undo("ann")["completion"] == "4"
    assert ratings.undo("ann") is None, "it was not counted twice"


def test_a_full_disk_is_said_and_the_next_rating_is_whole(tmp_path, monkeypatch):
    ratings = Ratings(tmp_path / "ratings.jsonl")
    ratings.add(ROW, 1, "ann")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
        with pytest.raises(OSError, match="20 of .* this rating is not kept, those before it are.*ratings.jsonl"):
            ratings.add(ROW, 0, "bob")
    with pytest.warns(UserWarning, match="line 2"): ratings.add(ROW, 0, "carl")
    assert ratings.raters == ["ann", "carl"]


def test_a_link_in_the_place_of_the_ratings_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "ratings.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedRunError, match="a link or no plain file"): Ratings(tmp_path / "ratings.jsonl")


def test_surrogates_never_get_in(tmp_path):
    path = tmp_path / "ratings.jsonl"
    row = dict(sample_id="\ud800", prompt="\udfff \x00", completion="\ud83d\ude00 \ud800")
    Ratings(path).add(row, 1, "ann \ud800")
    assert Ratings(path).means() == {sample_key(row): 1}
    assert "\\ud800" not in path.read_text()


@pytest.fixture
def rated(tmp_path):
    "A run with one round, made by a program's Q."
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    return loop


def test_undo_after_reopening_brings_the_sample_back(rated):
    first = rate(rated, by="ann", n=5)
    texts = []
    for _ in range(3):
        texts.append(first.sample.value)
        first.give(1)
    again = rate(open_run(rated.store.path), by="ann", n=5)
    assert again.sample.value not in texts
    again.undo()
    assert again.sample.value == texts[-1] and len(run_ratings(rated.store).verdicts("ann")) == 2
    for _ in range(3): again.undo()
    assert "nothing to take back" in again.answer.value and again.sample.value == texts[0]


def test_a_run_that_another_kernel_holds_can_be_rated(rated):
    other = python(OTHER_RATER, rated.store.path)
    assert other.wait() == 0, other.communicate()[1]
    assert len(run_ratings(rated.store).verdicts("bob")) == 4
    assert rated.step().number == 2, "and the loop goes on"


def test_what_cannot_be_written_is_said_and_the_sample_stays(rated, monkeypatch):
    view = rate(rated, by="ann")
    shown = view.sample.value
    def full(*_): raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "write", full)
    view.give(1)
    assert "No space left" in view.answer.value
    assert view.sample.value == shown
    assert "1 of 20" in view.progress.value


def test_a_loop_that_waits_is_stopped_and_resumed(tmp_path):
    loop = small_loop(tmp_path / "run", score=human(n=8))
    loop.start()
    worker, raised = at_work(loop.step)
    wait_until(lambda: wanted(loop.store)[0])
    asked = wanted(loop.store)[1]["sample_id"][:]
    rate_all(loop.store, n=5)
    loop.stop()
    worker.join()
    assert isinstance(raised[0], Stopped) and len(loop.rounds) == 1
    del loop
    loop = small_loop(tmp_path / "run", score=human(n=8))
    events = []
    loop.on(lambda event: events.append((event.kind, event.data)))
    worker, raised = at_work(loop.step)
    wait_until(lambda: ("waiting", dict(n_rated=5, n_samples=8)) in events)
    assert wanted(loop.store)[1]["sample_id"][:] == asked, "the same samples, drawn once"
    loop.pause()
    rate_all(loop.store)
    time.sleep(0.5)
    assert worker.is_alive() and len(loop.rounds) == 1, "paused, it does not go on"
    loop.resume()
    worker.join()
    assert raised == []
    metrics = loop.rounds[-1].metrics
    assert metrics["n_ratings"] >= 8 and metrics["n_raters"] == 1


def stopped_in_training(loop):
    "A loop whose people have rated all, stopped as the training of its first round begins."
    def stop(event):
        if (event.kind, event.phase, event.round) == ("phase", "tune", 1): loop.stop()
    loop.on(stop)
    worker, raised = at_work(loop.step)
    wait_until(lambda: wanted(loop.store)[0])
    rate_all(loop.store)
    worker.join()
    loop.control.listeners.remove(stop)
    assert isinstance(raised[0], Stopped)


@pytest.mark.parametrize("score", [human(n=8), 0.5 * human(n=8) + 0.5 * agreement()], ids=["alone", "in a sum"])
def test_ratings_that_are_corrected_before_the_training_ends_count(score, tmp_path):
    loop = small_loop(tmp_path / "run", score=score, select=Threshold(0.5))
    stopped_in_training(loop)
    ratings, said = run_ratings(loop.store), []
    corrected = {key: 1 - value for key, value in ratings.means().items()}
    for (prompt, completion), value in corrected.items():
        ratings.add(dict(prompt=prompt, completion=completion), value, "ann")
    loop.on(lambda event: said.append(event.data.get("text", "")))
    loop.step()
    name = "score_human" if "score_human" in loop.samples(1).column_names else "score"
    assert {sample_key(row): row[name] for row in loop.samples(1) if row["reason"] != "not rated"} == corrected
    assert sum("they are scored anew" in text for text in said) == 1


def test_ratings_of_other_samples_cost_no_training(tmp_path):
    loop, said = small_loop(tmp_path / "run", score=human(n=8)), []
    stopped_in_training(loop)
    run_ratings(loop.store).add(ROW | dict(prompt="of another round"), 1, "ann")
    loop.on(lambda event: said.append(event.data.get("text", "")))
    loop.step()
    assert "round 1: score was done before, going on after it" in said


def test_kill_9_while_the_loop_waits_loses_no_rating(tmp_path):
    waiter = python(WAITER, tmp_path / "run")
    wait_until(lambda: (tmp_path / "run" / "wanted.json").exists() or waiter.poll() is not None)
    run = open_run(tmp_path / "run").store
    rate_all(run, n=6)
    asked = wanted(run)[1]["sample_id"][:]
    waiter.send_signal(signal.SIGKILL)
    waiter.communicate()
    loop = small_loop(tmp_path / "run", score=human(n=8))
    view = rate(loop, by="ann")
    worker, raised = at_work(loop.run, 1)
    wait_until(lambda: view.waiting)
    assert len(view.to_rate) == 2 and view.samples["sample_id"][:] == asked
    while view.to_rate: view.give(1)
    worker.join()
    assert raised == []
    assert len(loop.rounds) == 2
    assert not (tmp_path / "run" / "wanted.json").exists()


def test_the_control_room_stops_a_loop_that_waits():
    room = dashboard(small_loop(score=human(n=4)))
    room.step()
    wait_until(lambda: wanted(room.loop.store)[0])
    room.stop()
    wait_until(room.wait)
    assert room.worker.error is None
    room.step()
    wait_until(lambda: room.worker.busy)
    rate_all(room.loop.store)
    wait_until(room.wait)
    assert room.loop.rounds[-1].number == 1


def test_people_in_a_weighted_sum(tmp_path):
    score = 0.75 * human(n=6) + 0.25 * agreement()
    loop = small_loop(tmp_path / "run", score=score, select=Threshold(0.75))
    worker, raised = at_work(loop.step)
    wait_until(lambda: wanted(loop.store)[0])
    rate_all(loop.store)
    worker.join()
    samples = loop.samples()
    by_text = run_ratings(loop.store).means()
    assert raised == []
    assert "kept" in samples["state"][:]
    for row in samples:
        rating = by_text.get(sample_key(row))
        if row["state"] == "kept": assert row["score"] == pytest.approx(0.75 * rating + 0.25 * row["score_agreement"])
        if rating is None: assert (row["state"], row["reason"]) == ("quarantined", "not rated")


def test_unrated_samples_are_no_failures_but_broken_scorers_are(rated):
    samples = rated.samples().remove_columns(["score", "state", "reason"])
    ratings = run_ratings(rated.store)
    ratings.add(samples[0], 1, "ann")
    scored = score_samples(samples, human(ratings=ratings), failure_budget=0.0)
    assert scored["reason"][:].count("not rated") > 0.9 * len(samples)
    assert scored["score"][0] == 1
    def broken(samples): return [float("nan")] * len(samples)
    with pytest.raises(ScoringError, match="broken gave nan"):
        score_samples(samples, human(ratings=ratings) + as_scorer(broken))


def test_when_nothing_rated_was_good_more_can_be_asked_for(tmp_path):
    loop = small_loop(tmp_path / "run", score=human(wait=False, n=4), task=small_task(n_prompts=60))
    with pytest.raises(EmptyRoundError, match="not rated.*Have more of them rated"): loop.step()
    first = wanted(loop.store)[1]
    for row in first: run_ratings(loop.store).add(row, 0, "ann")
    with pytest.raises(EmptyRoundError): loop.step()
    loop.change(score=human(wait=False, n=9))
    with pytest.raises(EmptyRoundError): loop.step()
    more = wanted(loop.store)[1]
    assert len(more) == 9
    assert more["sample_id"][:4] == first["sample_id"][:], "a larger n adds to what was asked"
    for row in more: run_ratings(loop.store).add(row, 1, "ann")
    assert loop.step().counts["n_kept"] >= 1


def test_a_file_full_of_lines_that_are_none_is_read_in_a_moment(tmp_path):
    path = tmp_path / "ratings.jsonl"
    Ratings(path).add(ROW, 1, "ann")
    path.write_text(path.read_text() + "x\n" * 50_000) # each was looked up among all before it, and told
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = Ratings(path)
        found.refresh()
    assert len(found.damaged) == 50_000 and 0 < len(heard) <= 10 and found.means() == {sample_key(ROW): 1}


AS_ROWS = [dict(ROW, by="ann", value=value) for value in (1, 0)]
SENT = {"a table": "by,prompt,completion,value\nann,2+2=,4,1\n", "a list": json.dumps(AS_ROWS, indent=1),
        "votes to 5": "".join(json.dumps(dict(row, value=4 * row["value"] + 1)) + "\n" for row in AS_ROWS),
        "true and false": json.dumps(dict(AS_ROWS[0], value=True)) + "\n",
        "other names": '{"rater": "ann", "prompt": "2+2=", "completion": "4", "rating": 1}\n'}

@pytest.mark.parametrize("what", SENT)
def test_a_file_of_something_else_is_refused_where_it_is_given(what, tmp_path):
    "It was passed over, line by line; of votes from 1 to 5 the worst alone counted, as the best."
    path = tmp_path / "ratings.jsonl"
    path.write_text(SENT[what])
    for use in (Ratings, lambda path: human(ratings=path), lambda path: human(wait=False, ratings=str(path))):
        with pytest.raises(ValueError, match="line [12]: .*a value from 0 to 1: write yours to a new file"): use(path)
    assert path.read_text() == SENT[what]


def test_a_run_whose_first_rating_was_torn_goes_on(tmp_path):
    path = tmp_path / "ratings.jsonl"
    Ratings(path).add(ROW, 1, "ann")
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        for torn in (whole[:cut], whole[:cut] + b"\n"):
            path.write_bytes(torn)
            with pytest.warns(UserWarning, match="line 1 of ratings.jsonl is torn"): ratings = Ratings(path)
            ratings.add(ROW, 1, "ann")
            assert ratings.means() == {sample_key(ROW): 1}


@pytest.mark.parametrize("row", ["2+2=4", {}, dict(prompt="2+2="), dict(ROW, completion=None), dict(ROW, prompt=[1])])
def test_what_is_no_sample_cannot_be_rated(row, tmp_path):
    with pytest.raises(ValueError, match="row=.*give one row of a sample table"):
        Ratings(tmp_path / "ratings.jsonl").add(row, 1, "ann")
    assert not (tmp_path / "ratings.jsonl").exists()


def test_a_name_in_two_ways_to_write_it_is_one_person(tmp_path):
    ratings = Ratings(tmp_path / "ratings.jsonl")
    for value, by in ((1, "Zoe\u0308"), (0, "Zo\u00eb")): ratings.add(ROW, value, by)
    assert ratings.means() == {sample_key(ROW): 0} and len(ratings.raters) == 1


def test_the_newest_verdict_is_taken_back_first(tmp_path):
    found = Ratings(tmp_path / "ratings.jsonl")
    first, second = dict(prompt="1+1=", completion="2"), dict(prompt="1+1=", completion="3")
    for row, value in ((first, 1.0), (second, 0.0), (first, 0.5)): found.add(row, value, by="ada")
    assert [found.undo("ada")["value"] for _ in range(3)] == [0.5, 0.0, 1.0] and found.undo("ada") is None
    assert Ratings(tmp_path / "ratings.jsonl").raters == []
