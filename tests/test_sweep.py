"""A sweep shares what its arms have in common, survives a kill, and gives the same numbers with any number of workers.

Run as a script it is a sweep that is going to be killed.
"""
import math, os, re, signal, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).with_name("helpers")))
from selfloop_nb.backend.processes import packed
from selfloop_nb.backend.workers import Here
from selfloop_nb.backend.core import SelfloopError
from small import half_digits, kill_self, small_loop, small_task
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("warm_python")

AXES = dict(theta=[0.0, 1.0])


def fatal(samples):
    "A score that dies, where it is told to, as soon as one arm is done."
    place = os.environ.get("KILLED_AFTER_AN_ARM")
    if place and len(list(Path(place).glob("rounds/*/round.json"))) == 2: kill_self()
    return [float(any(c in "01234" for c in text)) for text in samples["completion"]]
fatal.version = "1" # what it reads of the environment decides no score


def swept(store, seeds=(0,), workers=1, rounds=1, **changed):
    "A sweep of two arms over small loops."
    from selfloop_nb import sweep
    how = dict(rounds=rounds, seeds=list(seeds), workers=workers, progress=False)
    return sweep(small_loop(store, score=fatal), **how, **{**AXES, **changed})


def ids(run): return [record.id for record in run.rounds]


def weights(run):
    "The hashes of the weights of a run's rounds."
    return [{name: h for name, h in r.files.items() if name.endswith(".safetensors")} for r in run.rounds]


def times(store):
    "When each committed round was written."
    return {path.parent.name: path.stat().st_mtime_ns for path in Path(store).glob("rounds/*/round.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    "The sweep that nothing happened to: two arms, two seeds, in turn."
    return swept(tmp_path_factory.mktemp("whole") / "run", seeds=(0, 1))


def test_work_is_packed_by_many_threads_without_a_word(capsys):
    "dill turns the standard output aside for a moment; two at once would leave it there, or print what it reads."
    notebook = dict(__name__="__main__", swept=swept, rounds=[1] * 10)
    exec("def make(seed): return [swept(n, seeds=(seed,)) for n in rounds]", notebook)
    with ThreadPoolExecutor(8) as pool:
        packages = list(pool.map(lambda seed: packed(work=notebook["make"], seed=seed), [0] * 100))
    assert len(set(packages)) == 1
    print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_arms_share_M_0_and_the_common_rounds(tmp_path):
    done = swept(tmp_path / "run", seeds=(0, 1), shared=1)
    for seed in (0, 1):
        low, high = (done.runs[arm.name][seed] for arm in done.arms)
        assert ids(low)[:2] == ids(high)[:2] and ids(low)[2] != ids(high)[2]
        assert weights(low)[:2] == weights(high)[:2] and weights(low)[2] != weights(high)[2]
        assert low.store.path == high.store.path
        assert len(times(low.store.path)) == 4, "M_0, a common round, two arms"
        alone = small_loop(seed=seed, score=fatal)
        alone.run(rounds=1)
        assert weights(alone) == weights(low)[:2], "a seed's common rounds are those of a loop of that seed"
    assert list(done.table["rounds"]) == [2, 2]


def test_an_arm_is_what_a_loop_with_its_settings_would_be(undisturbed):
    from selfloop_nb import Threshold
    for arm, theta in zip(undisturbed.arms, AXES["theta"]):
        alone = small_loop(seed=1, score=fatal, select=Threshold(theta))
        alone.run(rounds=1)
        run = undisturbed.runs[arm.name][1]
        assert weights(run) == weights(alone)
        assert run.samples(1)["completion"][:] == alone.samples(1)["completion"][:]


@pytest.mark.long
def test_killed_in_the_second_arm(tmp_path, undisturbed):
    store = tmp_path / "run"
    env = {**os.environ, "KILLED_AFTER_AN_ARM": str(store)}
    died = subprocess.run([sys.executable, __file__, store, "1"], env=env, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    before = times(store)
    assert len(before) == 2, "M_0 and one arm"
    done = swept(store, seeds=(0, 1))
    assert before.items() <= times(store).items(), "the arm that was done was not run again"
    assert len(times(store)) == 3
    assert done.table.equals(undisturbed.table)
    before = times(store)
    assert swept(store, seeds=(0, 1)).table.equals(done.table)
    assert times(store) == before, "asked for again, nothing is run"


@pytest.mark.long
@pytest.mark.parametrize("who", ["asker", "worker"])
def test_killed_with_two_workers(who, tmp_path, undisturbed):
    store = tmp_path / "run"
    process = subprocess.Popen([sys.executable, __file__, store, "2"], stderr=subprocess.PIPE, text=True)
    worker = wait_until(lambda: arm_writer(tmp_path))
    assert worker != process.pid, "a process of its own"
    os.kill({"asker": process.pid, "worker": worker}[who], signal.SIGKILL)
    errors = process.communicate()[1]
    assert who == "asker" or "ended before it was done: what was committed stays" in errors
    wait_until(lambda: not alive(worker))
    assert swept(store, seeds=(0, 1), workers=2).table.equals(undisturbed.table)


def arm_writer(folder):
    "The process that writes an arm; None where none does yet."
    for lock in folder.glob("run*-arm-*/lock"):
        if found := re.match(r"process (\d+) ", lock.read_text()): return int(found[1])


def alive(pid):
    "Is there such a process? One that nobody has waited for yet does not count."
    try: return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError: return False


class Backwards(Here):
    "The last piece first."
    def map(self, work, common, keys, *how): yield from super().map(work, common, list(keys)[::-1], *how)


def test_arms_are_made_beside_each_other(tmp_path, undisturbed):
    done = swept(tmp_path / "run", seeds=(0, 1), workers=Backwards())
    assert done.table.equals(undisturbed.table)
    for arm in undisturbed.arms:
        for one, other in zip(done.runs[arm.name], undisturbed.runs[arm.name]):
            assert ids(one) == ids(other) and weights(one) == weights(other)
            assert one.store.branch == other.store.branch and one.store.path.name == other.store.path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-seed-1"], "the arms' own folders are gone"
    before = times(tmp_path / "run")
    assert swept(tmp_path / "run", seeds=(0, 1), workers=Backwards()).table.equals(done.table)
    assert times(tmp_path / "run") == before, "asked for again, nothing is run"


@pytest.mark.long
def test_arms_go_on_beside_each_other(tmp_path):
    swept(tmp_path / "run")
    before = times(tmp_path / "run")
    more = swept(tmp_path / "run", rounds=2, workers=Backwards())
    assert list(more.table["rounds"]) == [2, 2] and before.items() <= times(tmp_path / "run").items()
    assert more.table.equals(swept(tmp_path / "turn", rounds=2).table)


def test_a_sweep_elsewhere_needs_the_folder_of_the_run(tmp_path):
    from selfloop_nb.sweeps.seeds import arm_of_seed
    where = dict(run=str(tmp_path / "away"), branch="main", folder=str(tmp_path / "arm"))
    with pytest.raises(SelfloopError, match="needs a folder that all machines of a cluster see"):
        arm_of_seed({}, 0, 1, 0, None, progress=None, should_stop=None, **where)


def test_processes_give_the_same_rounds(tmp_path, undisturbed):
    done = swept(tmp_path / "run", workers=2)
    for name, runs in undisturbed.runs.items(): assert list(map(weights, done.runs[name])) == [weights(runs[0])]


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_arms_keep_as_many_weights_as_their_loop(workers, tmp_path):
    "A loop that is told not to fill the disk does not fill it with arms."
    from selfloop_nb import sweep, verify
    loop = small_loop(tmp_path / "run", keep=1)
    sweep(loop, rounds=3, seeds=[0, 1], workers=workers, progress=False, theta=[0.0])
    for folder in (tmp_path / "run", tmp_path / "run-seed-1"):
        assert verify(folder).is_whole and len(times(folder)) == 4
        assert len(list(folder.glob("rounds/*/model"))) <= 3, "M_0, the best, the newest"


def test_arms_are_drawn_by_the_workers_of_their_loop(tmp_path):
    from selfloop_nb import controls, sweep
    class Counted(Here):
        "Counts who asks."
        asked = 0
        def map(self, *args, **how):
            Counted.asked += 1
            return super().map(*args, **how)
    loop = small_loop(tmp_path / "run", workers=Counted())
    done = sweep(loop, rounds=1, seeds=[0, 1], progress=False, theta=[0.0])
    assert Counted.asked and all(run.rounds for runs in done.runs.values() for run in runs)
    before = Counted.asked
    controls(loop).run(1)
    assert Counted.asked > before


def test_a_function_makes_the_loop_of_a_seed(tmp_path):
    from selfloop_nb import sweep, tiny_llama
    def first(seed):
        model = tiny_llama(small_task(), width=32, seed=seed)
        return small_loop(tmp_path / f"own-{seed}", seed, task=small_task(seed=seed), model=model)
    done = sweep(first, rounds=1, seeds=[3, 4], workers=2, progress=False, **AXES)
    alone = first(4)
    assert weights(alone)[0] == weights(done.runs["theta=1"][1])[0]
    assert len(alone.rounds) == 1, "the loop itself stands at M_0"
    tasks = {run.store.info["task"]["fingerprint"] for run in done.runs["theta=0"]}
    assert tasks == {small_task(seed=seed).fingerprint() for seed in (3, 4)}
    with pytest.raises(ValueError, match="for seed 5: it must give a Loop with seed=5 and a store of its own"):
        sweep(lambda seed: small_loop(seed=0), seeds=[5], **AXES)


@pytest.mark.long
def test_a_function_of_the_user_goes_along(tmp_path):
    from selfloop_nb import sweep
    high = "56789"
    least = -math.inf
    def high_digit(samples): return [max(least, float(any(c in high for c in text))) for text in samples["completion"]]
    loop = small_loop(tmp_path / "run", score=high_digit)
    done = sweep(loop, rounds=1, seeds=[1, 2], workers=2, progress=False, **AXES)
    assert (done.table["accept_rate"] > 0).all()


def test_a_loop_that_cannot_go_along(tmp_path):
    from selfloop_nb import sweep
    numbers = (n for n in range(9))
    def counting(samples): return [float(next(numbers))] * len(samples)
    loop = small_loop(tmp_path / "run", score=counting)
    with pytest.raises(SelfloopError, match="cannot be handed to another process.*use workers=1"):
        sweep(loop, rounds=1, seeds=[1, 2], workers=2, progress=False, **AXES)


def test_settings_that_follow_the_round(tmp_path):
    from selfloop_nb import ByRound
    done = swept(tmp_path / "run", rounds=2, theta=[0.0], n_samples=[ByRound(lambda t: t)])
    history, = next(iter(done.histories.values()))
    assert list(history["n_sampled"]) == [0, 20, 40]


def test_arms_that_end_early(tmp_path):
    from selfloop_nb import sweep
    from selfloop_nb.guards import HeldoutLossGuard
    loop = small_loop(tmp_path / "run", guards=(HeldoutLossGuard(rise=-1.0, stop=True),))
    def all_bad(samples): return [0.0] * len(samples)
    arms = {"diverges": dict(lr=1e30), "empty": dict(score=all_bad), "guarded": {}}
    done = sweep(loop, rounds=3, arms=arms, progress=False)
    assert re.search("the loss is|not finite", done.ended["diverges", 0])
    assert done.ended["empty", 0].startswith("in round 1: nothing was kept")
    assert done.ended["guarded", 0].startswith("after round 1 a guard: held-out loss")
    assert list(done.table["rounds"]) == [0, 0, 1]
    assert "empty, seed 0: ended in round 1: nothing was kept" in done._repr_html_()
    before = times(tmp_path / "run")
    again = sweep(loop, rounds=3, arms=arms, progress=False)
    assert again.ended.keys() == done.ended.keys()
    assert times(tmp_path / "run") == before


@pytest.mark.parametrize("asked, message", [
    (dict(theta=[]), "theta=[]: it is empty"),
    (dict(theta=0.5), "theta=0.5: give a list of values, such as theta=[0.5]"),
    (dict(theta="high"), "theta='high': give a list"),
    (dict(theta=[2.0]), "theta=2 lies outside the scorer's range [0, 1]"),
    (dict(theta=["high"]), "theta='high': it must be a number"),
    (dict(temperature=[-1.0]), "temperature=-1.0: it must be 0 or more"),
    (dict(temperature=["warm"]), "temperature='warm': it must be a number"),
    (dict(thta=[0.5]), "thta is no axis of this loop: use score, select"),
    (dict(mix=["replace"]), "mix='replace': it must be a mix, such as Accumulate()"),
    (dict(theta=[0.5, 0.5]), "two arms are called 'theta=0.5'"),
    (dict(seeds=[]), "seeds=[]: it is empty"),
    (dict(seeds=[0, 0]), "seeds=[0, 0]: each of them once"),
    (dict(seeds=["a"]), "seeds=['a']: 'a' is no whole number"),
    (dict(rounds=0), "rounds=0: it must be a whole number, at least 1"),
    (dict(workers=1.5), "workers=1.5: it must be a whole number"),
    (dict(arms=["replace"]), "give a dict, name -> settings"),
    (dict(arms={1: {}}), "arms={1: {}}: give a dict, name -> settings"),
    (dict(store="runs"), "store='runs': it is the same for all arms: give it to the loop, Loop(store=...): the runs"),
    (dict(model=[None]), "model=[None]: it is the same for all arms: give it to the loop, Loop(model=...); a function"),
    (dict(seed=3), "Loop(seed=...); a sweep has seeds=[...]"),
    (dict(folder="runs"), "folder is no axis of this loop: use score, select"),
])
def test_what_cannot_work_is_said_before_anything_is_run(asked, message, tmp_path):
    from selfloop_nb import sweep
    loop = small_loop(tmp_path / "run", score=half_digits)
    with pytest.raises(ValueError) as error: sweep(loop, **asked)
    assert message in str(error.value)
    assert not loop.rounds and not list((tmp_path / "run" / "rounds").iterdir())


def faults_of(loop, **asked):
    "What a sweep says that cannot work, a fault a line."
    from selfloop_nb import sweep
    with pytest.raises(ValueError) as error: sweep(loop, **asked)
    return str(error.value).splitlines()


def test_all_faults_are_said_at_once(tmp_path):
    loop = small_loop(tmp_path / "run", score=half_digits)
    faults = faults_of(loop, rounds=0, seeds=[], theta=[0.5], lr=[], heat=[1.0])
    assert len(faults) == 4, "no rounds, no seed, no value of lr, no heat"
    faults = faults_of(loop, theta=[0.5, 2.0, 3.0], temperature=[1.0, -1.0])
    assert {re.match("[^: ]+", fault)[0] for fault in faults} == {"theta=2", "theta=3", "temperature=-1.0"}


def test_common_rounds_that_another_seed_could_not_repeat(tmp_path):
    from selfloop_nb import Threshold, sweep
    loop = small_loop(tmp_path / "run")
    loop.step()
    loop.change(select=Threshold(0.0))
    with pytest.raises(ValueError, match="shared=1: round 1 was made with other settings.*use shared=0"):
        sweep(loop, rounds=1, seeds=[0, 1], shared=1, **AXES)
    done = sweep(loop, rounds=1, shared=1, progress=False, **AXES)
    assert list(done.table["rounds"]) == [2, 2], "the loop's own seed needs not repeat it"


def test_intervals_are_students():
    stats = pytest.importorskip("scipy.stats")
    from selfloop_nb.sweeps.sweep import t_interval
    for n in (2, 3, 5, 21, 22, 23, 40, 200):
        values = [math.sin(i * i) for i in range(n)]
        mean, low, high = t_interval(values)
        assert (low, high) == pytest.approx(stats.t.interval(0.95, n - 1, mean, stats.sem(values)), rel=1e-3)


def test_search_with_optuna(tmp_path):
    pytest.importorskip("optuna")
    from selfloop_nb import search
    loop = small_loop(tmp_path / "run")
    space = dict(theta=(0.0, 1.0), n_samples=(2, 4), select=["a"])
    with pytest.raises(ValueError, match="select='a': it must be a keep rule"): search(loop, 1, **space)
    with pytest.raises(ValueError, match="theta=0.5: give a range"): search(loop, 1, theta=0.5)
    space = dict(temperature=(0.5, 1.5), n_samples=(2, 4))
    study = search(loop, 3, rounds=1, measure="heldout_loss", **space)
    assert study.best_value == min(trial.value for trial in study.trials)
    assert set(study.best_params) == set(space)
    before = times(tmp_path / "run")
    assert len(before) == 4, "M_0 and three trials"
    again = search(loop, 4, rounds=1, measure="heldout_loss", **space)
    params = [trial.params for trial in again.trials]
    assert params[:3] == [trial.params for trial in study.trials]
    assert before.items() < times(tmp_path / "run").items(), "a longer search goes on from the shorter one"
    with pytest.raises(ValueError, match="measure='acc': no arm has a value of it"):
        search(loop, 2, rounds=1, measure="acc", **space)


def test_a_search_goes_the_way_that_a_measure_counts(tmp_path):
    "An error rate was made as large as could be; theta from 0 to 1 was 0 or 1, and nothing between them."
    pytest.importorskip("optuna")
    from selfloop_nb import Measure, search
    def errors(answers): return len({len(text) for text in answers["completion"]}) / 10
    wrong = dict(errors=Measure(errors, lower_is_better=True))
    loop = small_loop(tmp_path / "run", score=half_digits, measures=wrong)
    study = search(loop, 2, rounds=1, measure="heldout_errors", theta=(0, 1))
    assert study.direction.name == "MINIMIZE" and all(0 < trial.params["theta"] < 1 for trial in study.trials)


def test_search_without_optuna(monkeypatch):
    from selfloop_nb import search
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"optuna is not installed: pip install 'selfloop_nb\[search\]'"):
        search(small_loop(), 1, theta=(0.0, 1.0))


def test_a_seed_below_0_is_one_as_any_other(tmp_path):
    done = swept(tmp_path / "run", rounds=1, seeds=[-1, 1], theta=[0.0])
    below, above = done.histories["theta=0"]
    assert below["heldout_loss"].iloc[-1] != above["heldout_loss"].iloc[-1]


if __name__ == "__main__":
    swept(Path(sys.argv[1]), seeds=(0, 1), workers=int(sys.argv[2]))
