"""Work on a Ray cluster: the same bytes, nothing lost or doubled when workers die, and what cannot be is said.

What hangs on when a worker dies is tried on a stand-in for Ray, where a seed decides it; a real cluster is tried once
in `make test`, and by itself in `make test-long`.
"""
import os, signal, socket, sys, threading, warnings
from collections import Counter

import pytest

from fake_ray import ActorDied, FakeRay
from selfloop_nb import verifier
from selfloop_nb.backend.core import SelfloopError, Stopped
from small import small_loop
from test_workers import looped, made, undisturbed # noqa: F401, a fixture
from waiting import wait_until


def double(factor, number): return factor * number
def double_told(factor, number, progress, should_stop):
    progress(1)
    return factor * number
def as_number(key): return dict(number=key)


def shared(factor, number, place, progress, should_stop):
    progress(f"{number} at {place}")
    return factor * number


@pytest.fixture
def crew(monkeypatch):
    "Makes clusters on a Ray that is none."
    from selfloop_nb.sweeps import cluster
    monkeypatch.setattr(cluster, "LOOK", 0.0) # time does not pass on it
    def make(workers=None, keep=1000, needs=1, **how):
        ray = FakeRay(**how)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return cluster.RayCluster(ray, workers, dict(CPU=needs, GPU=0), keep)
    return make


def test_each_piece_is_done_once_whoever_dies(crew, monkeypatch):
    from selfloop_nb.sweeps import jobs
    monkeypatch.setattr(jobs, "TRIES", 100) # here any piece may meet many deaths
    n_killed = 0
    for seed in range(200):
        workers = crew(seed=seed, cpus=(1, 2), deaths=0.1)
        heard, kept = [], Counter()
        for key, answer in workers.map(double_told, dict(factor=2), range(30), as_number, heard.append):
            assert answer == 2 * key
            kept[key] += 1
        assert sorted(kept) == list(range(30)) and set(kept.values()) == {1}
        n_killed += workers.ray.n_killed
    assert n_killed > 500


def test_a_run_is_the_same_whoever_dies(crew, tmp_path, undisturbed): # noqa: F811
    n_killed = 0
    for seed in range(2):
        workers = crew(seed=seed, cpus=(1, 1, 1), deaths=0.1)
        loop = looped(tmp_path / str(seed), workers=workers)
        loop.run(rounds=1)
        assert made(loop) == undisturbed[:2]
        n_killed += workers.ray.n_killed
    assert n_killed


def test_a_piece_that_kills_is_given_up_by_name_and_the_others_are_done(crew):
    for seed in range(50):
        workers, done = crew(seed=seed, cpus=(2,)), []
        workers.ray.fatal_piece = dict(number=7)
        with pytest.raises(SelfloopError, match=r"piece 7 of double was given up: 3 workers were lost with it alone"):
            for key, _ in workers.map(double, dict(factor=2), range(10), as_number): done.append(key)
        assert 7 not in done and len(done) == len(set(done))


def test_what_work_raises_is_raised(crew):
    def fails(number):
        if number == 3: raise ValueError("three is none")
        return number
    with pytest.raises(ValueError, match="three is none"):
        list(crew().map(fails, {}, range(5), as_number))


def test_a_stop_is_heard_and_the_workers_leave(crew):
    workers, done = crew(cpus=(1, 1)), []
    with pytest.raises(Stopped):
        for key, _ in workers.map(double, dict(factor=2), range(20), as_number, None, lambda: len(done) >= 5):
            done.append(key)
    again = dict(workers.map(double, dict(factor=3), range(20), as_number))
    assert again == {key: 3 * key for key in range(20)}, "the next job is not the one that was left"


def test_of_few_pieces_each_worker_gets_some(crew):
    n_seen = 0
    for seed in range(20):
        workers = crew(seed=seed, cpus=(1, 1))
        list(workers.map(double, dict(factor=2), range(8), as_number)) # both are there
        loads = Counter()
        for actor in workers.ray.actors: actor.object.do = counted(actor.object.do, loads, actor)
        list(workers.map(double, dict(factor=2), range(2), as_number))
        if len(workers.at_hand()) < 2: continue # one was lost
        assert sorted(loads.values()) == [1, 1]
        n_seen += 1
    assert n_seen > 5


def counted(do, loads, actor):
    "The same, and counts."
    def done(*how):
        loads[actor] += 1
        return do(*how)
    return done


def test_more_pieces_than_room_and_late_machines(crew):
    workers = crew(workers=4, cpus=(1,))
    answers = workers.map(double, dict(factor=2), range(40), as_number)
    first = [next(answers) for _ in range(5)]
    n_at_first = sum(actor.has_room for actor in workers.ray.actors)
    workers.ray.machines += [1, 1]
    rest = list(answers)
    assert len(first) + len(rest) == 40
    assert n_at_first == 1 and sum(actor.has_room for actor in workers.ray.actors) == 3
    assert len(workers.team) == 3, "who found no room has gone"


def test_no_room_is_said(crew):
    workers = crew(cpus=(1, 2), needs=4)
    with pytest.raises(SelfloopError, match="no machine of the cluster has room for a worker with .*2 CPUs; ask for"):
        list(workers.map(double, dict(factor=2), [1], as_number))


def test_workers_go_when_there_is_nothing_to_do(crew):
    workers = crew(keep=0.05, cpus=(1, 1))
    assert len(list(workers.map(double, dict(factor=2), range(9), as_number))) == 9
    wait_until(lambda: not workers.team)
    assert workers.ray.free() == 2 and len(list(workers.map(double, dict(factor=2), range(9), as_number))) == 9
    workers.rest()
    assert not workers.team


def test_workers_that_compute_otherwise_are_named(crew, monkeypatch):
    from selfloop_nb.sweeps import cluster
    workers, ours = crew(), cluster.facts()
    monkeypatch.setattr(cluster.Worker, "hello", lambda self, threads: {**ours, "torch": "1.0", "host": "far"})
    with pytest.warns(UserWarning, match="not bit-exact: the worker on far has torch 1.0 instead of"):
        list(workers.map(double, dict(factor=2), [1], as_number))


def test_what_workers_have_otherwise_stands_in_the_record(crew, tmp_path, monkeypatch):
    from selfloop_nb.sweeps import cluster
    ours = cluster.facts()
    monkeypatch.setattr(cluster.Worker, "hello", lambda self, threads: {**ours, "torch": "1.0", "host": "far"})
    loop = looped(tmp_path / "run", workers=crew())
    with pytest.warns(UserWarning, match="not bit-exact"): loop.run(rounds=1)
    assert any("not bit-exact: the worker on far has torch 1.0" in text for text in loop.rounds[1].warnings)


def test_workers_of_other_code_are_refused(crew, monkeypatch):
    from selfloop_nb.sweeps import cluster
    workers, ours = crew(), cluster.facts()
    theirs = {**ours, "selfloop_nb": "0.1.0 (01234567)", "host": "far"}
    monkeypatch.setattr(cluster.Worker, "hello", lambda self, threads: theirs)
    with pytest.raises(SelfloopError, match=r"worker on far runs other code, selfloop_nb 0.1.0 \(01234567\) instead"):
        list(workers.map(double, dict(factor=2), [1], as_number))
    monkeypatch.setattr(cluster.Worker, "hello", lambda self, threads: ours)
    assert dict(workers.map(double, dict(factor=2), [1], as_number)) == {1: 2}, "it is not kept"


def test_a_cluster_that_others_hold_is_said(crew, monkeypatch):
    from selfloop_nb.sweeps import jobs
    monkeypatch.setattr(jobs, "PATIENCE", 0.0)
    workers, looks = crew(cpus=(1,)), []
    other = workers.ray.remote(object).options(num_cpus=1, num_gpus=0, max_concurrency=1).remote()
    other.has_room = True
    def look():
        looks.append(1)
        if len(looks) == 5: workers.ray.kill(other)
        return False
    with pytest.warns(UserWarning, match="0 workers of 1 that are needed have begun .* others may hold") as said:
        answers = dict(workers.map(double, dict(factor=2), range(5), as_number, None, look))
    assert answers == {key: 2 * key for key in range(5)} and len(said) == 1


def test_workers_that_cannot_begin_are_named(crew, monkeypatch):
    from selfloop_nb.sweeps import cluster
    workers = crew()
    monkeypatch.setattr(cluster.Worker, "hello", lambda self, threads: exec("import no_such_package"))
    with pytest.raises(SelfloopError, match="3 workers ended as they began.*no_such_package"):
        list(workers.map(double, dict(factor=2), [1], as_number))


def test_workers_that_find_no_memory_say_so(crew, monkeypatch):
    from selfloop_nb.sweeps import cluster
    workers = crew()
    def killed(self, threads):
        advice = ["Top 10 memory users:", *("a process" for _ in range(10)), "Refer to the documentation"]
        raise ActorDied("\n".join(["1 worker(s) were killed: the node is low on memory", *advice]))
    monkeypatch.setattr(cluster.Worker, "hello", killed)
    with pytest.raises(SelfloopError, match="3 workers ended as they began .*low on memory.* and memory for it"):
        list(workers.map(double, dict(factor=2), [1], as_number))


def test_what_cannot_be_sent_is_named(crew):
    lock = threading.Lock()
    def locked(row):
        with lock: return True
    from selfloop_nb.scoring import run_scorer
    from datasets import Dataset
    common = dict(scorer=verifier(locked))
    with pytest.raises(SelfloopError, match="scorer 'verifier' cannot be sent to the workers: it holds a lock"):
        list(crew().map(run_scorer, common, [0], lambda key: dict(samples=Dataset.from_dict({"a": [1]}))))


def test_an_answer_that_cannot_be_sent_back_is_named(crew):
    def locked(scorer, number): return threading.Lock()
    with pytest.raises(SelfloopError, match="what the scorer 'verifier' gave for piece 1 cannot be sent back"):
        list(crew().map(locked, dict(scorer=verifier()), [1], as_number))
    with pytest.raises(SelfloopError, match="what locked gave for piece 1"):
        list(crew().map(locked, dict(scorer=None), [1], as_number))


class Unsendable:
    def __reduce__(self): raise KeyError("not today") # as odd as any


def test_whatever_cannot_be_sent_is_named_and_so_is_a_store_that_is_too_small(crew, monkeypatch):
    with pytest.raises(SelfloopError, match="factor '' cannot be sent to the workers"):
        list(crew().map(double, dict(factor=Unsendable()), [1], as_number))
    workers = crew()
    def full(value): raise workers.ray.exceptions.RayError("Failed to put object: full")
    workers.ray.put = full
    with pytest.raises(SelfloopError, match="not be put where workers find it .* ray_cluster.object_store_memory"):
        list(workers.map(double, dict(factor=2), [1], as_number))


def test_what_cannot_be_asked_of_a_cluster_is_refused():
    from selfloop_nb import ray_cluster
    from selfloop_nb.backend.asking import same_place
    wrong = [dict(cpus=1.5), dict(gpus=2.5), dict(cpus=float("inf")), dict(keep=float("inf")), dict(cpus=-1),
             dict(cpus=0), dict(workers=0), dict(cpus="many")]
    for how in wrong:
        with pytest.raises(ValueError, match=next(iter(how))): ray_cluster(**how)
    assert same_place("auto", "10.0.0.1:6379") and same_place("ray://far:10001", "10.0.0.1:6379")
    assert same_place("localhost:6379", "127.0.0.1:6379")
    assert not same_place("127.0.0.1:6380", "127.0.0.1:6379") and not same_place("10.0.0.2:6379", "127.0.0.1:6379")


def test_a_disk_that_is_not_shared_is_said_before_anything_is_trained(tmp_path):
    from selfloop_nb.sweeps.seeds import arm_of_seed, common_of_seed
    run = tmp_path / "far" / "run"
    arm = dict(rounds=1, arm=None, run=str(run), branch="", folder="")
    for work, more in ((common_of_seed, {}), (arm_of_seed, arm)):
        with pytest.raises(SelfloopError, match="far/run is not on this machine: a sweep needs a folder that all"):
            work(source=dict(store=run), shared=0, seed=1, progress=None, should_stop=None, **more)
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_loses_its_head_is_left(crew):
    head = socket.create_server(("127.0.0.1", 0), backlog=4096)
    workers, done = crew(workers=9), [] # it would hire more
    workers.head = f"127.0.0.1:{head.getsockname()[1]}"
    nodes = workers.ray.nodes
    def asked():
        assert head.fileno() >= 0, "Ray would wait for the head, and end the process"
        return nodes()
    workers.ray.nodes = asked
    with pytest.raises(SelfloopError, match=f"the head of the cluster, {workers.head}, does not answer any more"):
        for key, _ in workers.map(double, dict(factor=2), range(1000), as_number):
            done.append(key)
            if len(done) == 100: head.close()
    assert 100 <= len(done) < 1000 and not workers.team
    with pytest.raises(SelfloopError, match="does not answer any more"):
        list(workers.map(double, dict(factor=2), range(9), as_number))
    with pytest.raises(SelfloopError, match="does not answer any more"): workers.gang(2)
    assert not workers.ray.n_astray


def test_two_loops_at_once_are_refused(crew):
    workers = crew()
    first = workers.map(double, dict(factor=2), range(5), as_number)
    next(first)
    with pytest.raises(SelfloopError, match="busy with another loop"):
        list(workers.map(double, dict(factor=2), range(5), as_number))
    first.close()
    assert len(list(workers.map(double, dict(factor=2), range(5), as_number))) == 5


def test_those_who_train_together_are_there_all_at_once_or_begin_again(crew, monkeypatch):
    from selfloop_nb.sweeps import jobs
    monkeypatch.setattr(jobs, "TRIES", 100)
    n_killed = 0
    for seed in range(100):
        workers, heard = crew(seed=seed, cpus=(2, 1, 1), deaths=0.1), []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "process . of 3, on .*, was lost: the training goes on from what it kept")
            answers = list(workers.gang(3).map(shared, dict(factor=2), range(3), as_number, heard.append))
        assert sorted(answers) == [(0, 0), (1, 2), (2, 4)]
        assert heard[-1].startswith("0 at 127.0.0.1:"), "the first of them tells, to his last word"
        n_killed += workers.ray.n_killed
    assert n_killed > 20


def test_a_training_that_loses_worker_after_worker_is_given_up_and_says_where(crew):
    workers = crew(cpus=(1, 1))
    workers.ray.fatal_piece = dict(number=1)
    with pytest.warns(UserWarning, match="process 2 of 2, on .*, was lost: the training goes on"):
        with pytest.raises(SelfloopError, match="process 2 of 2, on .*, was lost, and so was one 3 times"):
            list(workers.gang(2).map(shared, dict(factor=2), range(2), as_number, print))
    workers.ray.fatal_piece = None
    assert len(list(workers.gang(2).map(shared, dict(factor=2), range(2), as_number, print))) == 2


def test_what_those_who_train_together_raise_is_raised_and_a_stop_sends_them_home(crew):
    def fails(number, **how): raise ValueError("three is none")
    with pytest.raises(ValueError, match="three is none"):
        list(crew().gang(2).map(fails, {}, range(2), as_number, print))
    workers, looks = crew(), []
    def look():
        looks.append(1)
        return len(looks) > 5
    wait = workers.ray.wait
    def busy(refs, **how): return wait(refs, **how) if not workers.at_hand() else ([], refs)
    workers.ray.wait = busy
    with pytest.raises(Stopped): list(workers.gang(2).map(shared, dict(factor=2), range(2), as_number, print, look))
    assert not workers.team


def test_more_processes_than_the_cluster_has_room_for_are_refused(crew):
    with pytest.raises(SelfloopError, match="processes=3: this cluster has room for 2 workers at a time"):
        crew(cpus=(1, 1)).gang(3)


def test_a_loop_without_workers_opens_no_sockets(tmp_path):
    import psutil
    before = {c.laddr for c in psutil.Process().net_connections() if c.status == "LISTEN"}
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    assert {c.laddr for c in psutil.Process().net_connections() if c.status == "LISTEN"} <= before


# With Ray itself.

@pytest.fixture(scope="module")
def real():
    "Two workers on a cluster of this machine."
    pytest.importorskip("ray")
    from selfloop_nb import ray_cluster
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        workers = ray_cluster(workers=2, keep=600, object_store_memory=100 * 2**20)
        yield workers
        workers.rest()
        workers.ray.shutdown()


@pytest.mark.long
def test_ray_makes_the_same_bytes_and_a_killed_worker_costs_nothing(tmp_path, real, undisturbed): # noqa: F811
    loop, killed = looped(tmp_path / "run", workers=real), []
    def kill_one(event):
        if event.phase != "sample" or event.kind != "progress" or killed or not event.data["done"]: return
        actor = next(actor for actor, tokens in real.team.items() if tokens is not None)
        killed.append(real.ray.get(actor.__ray_call__.remote(lambda self: os.getpid())))
        os.kill(killed[0], signal.SIGKILL)
    loop.on(kill_one)
    loop.run(rounds=1)
    assert killed and made(loop) == undisturbed[:2]


@pytest.mark.long
def test_ray_stops_and_goes_on(tmp_path, real, undisturbed): # noqa: F811
    loop = looped(tmp_path / "run", workers=real)
    def drawn(): return {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("generated/*/parts/*")}
    def stop(event):
        if event.phase == "sample" and drawn(): loop.stop()
    loop.on(stop)
    loop.run(rounds=2)
    before = drawn()
    assert len(loop.rounds) == 1 and before
    loop.control.off(stop)
    again = []
    loop.on(lambda event: again.extend(p for p, when in before.items() if drawn().get(p, when) != when))
    loop.run(rounds=2)
    assert made(loop) == undisturbed and not again, "no chunk was drawn twice"


@pytest.mark.long
def test_ray_gives_up_a_piece_that_kills(real):
    with pytest.raises(SelfloopError, match="piece 1 of fatal was given up"):
        list(real.map(fatal, {}, [0, 1, 2], lambda key: dict(key=key)))
    assert dict(real.map(double, dict(factor=2), range(4), as_number)) == {key: 2 * key for key in range(4)}


@pytest.mark.long
def test_ray_names_what_cannot_be_sent_back(real):
    def locked(number): return threading.Lock()
    with pytest.raises(SelfloopError, match="what locked gave for piece 1 cannot be sent back"):
        list(real.map(locked, {}, [1], as_number))
    assert dict(real.map(double, dict(factor=2), range(4), as_number)) == {key: 2 * key for key in range(4)}


def fatal(key):
    if key == 1: os.kill(os.getpid(), signal.SIGKILL)
    return key


@pytest.mark.long
def test_ray_pauses(tmp_path, real, undisturbed): # noqa: F811
    loop, counts = looped(tmp_path / "run", workers=real), []
    def pause(event):
        if event.phase != "sample" or event.kind != "progress" or counts: return
        counts.append(event.data["done"])
        loop.pause()
        threading.Timer(0.5, loop.resume).start()
    loop.on(pause)
    loop.run(rounds=2)
    assert counts and made(loop) == undisturbed


@pytest.mark.long
def test_ray_makes_the_arms_of_a_sweep(tmp_path, real):
    from selfloop_nb import sweep
    how = dict(rounds=1, seeds=[0, 1], progress=False, theta=[0.0, 1.0])
    there = sweep(small_loop(tmp_path / "there"), workers=real, **how)
    here = sweep(small_loop(tmp_path / "here"), **how)
    assert there.table.equals(here.table)
    for name, runs in here.runs.items():
        assert [made(run) for run in there.runs[name]] == [made(run) for run in runs]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "here-seed-1", "there", "there-seed-1"]


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    ray = pytest.importorskip("ray")
    from selfloop_nb.sweeps.cluster import _connect
    def refuse(*how, **more): raise ConnectionError("ray is not there")
    monkeypatch.setattr(ray, "init", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SelfloopError, match="no cluster could be reached at 'auto' .ray is not there."):
            _connect(ray, "auto", {})
        asked = []
        monkeypatch.setattr(ray, "init", lambda *how, **more: asked.append(how))
        for nobody in ("127.0.0.1:1", "ray://127.0.0.1:1"): # where Ray itself would ask for minutes
            with pytest.raises(SelfloopError, match=f"no cluster could be reached at '{nobody}' .nobody takes a conn"):
                _connect(ray, nobody, {})
        with socket.create_server(("127.0.0.1", 0)) as head:
            _connect(ray, f"127.0.0.1:{head.getsockname()[1]}", {})
    assert len(asked) == 1
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SelfloopError, match="Ray did not begin in 3 tries"): _connect(ray, None, {})


def test_whoever_may_reach_a_cluster_is_said(monkeypatch):
    ray = pytest.importorskip("ray")
    from selfloop_nb.sweeps.cluster import _connect
    monkeypatch.setattr(ray, "init", lambda *how, **more: None)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.warns(UserWarning, match="RAY_AUTH_MODE=token"): _connect(ray, "auto", {})
